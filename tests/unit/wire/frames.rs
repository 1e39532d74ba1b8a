//! Reading and writing of datagrams against the byte diagram, as `tests/unit/forge.rs` understands it.

use core::net::{IpAddr, SocketAddr};
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::member::{Address, Certificate, Life, Liveness, NodeId, Record};
use crate::stats::DropReason;
use crate::unit::forge::{self, Sender};
use crate::unit::property::check;
use crate::wire::{
    ANYONE, Answer, Content, Frame, Head, MAX_ADDR, MOST_BEFORE_RECORDS, Parts, Reader, Roots, Seal, What, Word,
    Writer, decode, kind, most_of_record, open,
};

const FROM: Sender = Sender { id: 7, generation: 1, nonce: 2, incarnation: 3 };
/// Whose counters take the most bytes that there may be.
const GREATEST: Sender = Sender { id: u64::MAX, generation: u32::MAX, nonce: u32::MAX, incarnation: u32::MAX };
/// Kind and length of nothing: the head of a datagram from `FROM`.
pub(super) const HEAD_LEN: usize = 19;

pub(super) fn seal() -> Seal {
    Seal { cluster: forge::cluster("wire"), addressee: 0x00ab_cdef }
}

pub(super) fn head() -> Head {
    let (sender, tag) = (NodeId::new(FROM.id), FROM.tag());
    Head { sender, tag, incarnation: FROM.incarnation, open: false, full: false, newcomer: false }
}

/// A sound datagram with these bytes behind its head.
pub(super) fn around(bytes: &[u8]) -> Vec<u8> {
    forge::datagram(seal().cluster, forge::VERSION, seal().addressee, FROM, &[bytes.to_vec()])
}

/// Hands these bytes to a reader.
pub(super) fn read<T>(bytes: &[u8], with: impl FnOnce(Reader<'_>) -> T) -> T {
    let datagram = around(bytes);
    let (_, reader) = open(&datagram, seal()).expect("it is sound");
    with(reader)
}

/// What a writer with a buffer of this size makes of it.
pub(super) fn write(size: usize, with: impl FnOnce(&mut Writer<'_>) -> Option<()>) -> (Option<()>, Vec<u8>) {
    let mut buf = std::vec![0; size];
    let mut writer = Writer::new(&mut buf, seal(), head()).expect("the head fits");
    let done = with(&mut writer);
    let len = writer.finish(seal()).expect("it was begun");
    buf.truncate(len);
    (done, buf)
}

pub(super) fn number() -> impl Strategy<Value = u32> {
    // As many of each length.
    (any::<u32>(), 0..32u32).prop_map(|(bits, short)| bits >> short)
}

pub(super) fn sender() -> impl Strategy<Value = Sender> {
    let parts = (any::<u64>(), number(), any::<u32>(), number());
    parts.prop_map(|(id, generation, nonce, incarnation)| Sender { id, generation, nonce, incarnation })
}

fn record<A: Address>(flags: u8, of: Sender, addr: A) -> Record<A> {
    let liveness = [Liveness::Alive, Liveness::Down, Liveness::Left][usize::from(flags & 3)];
    let life = Life { generation: of.generation, nonce: of.nonce };
    Record {
        id: NodeId::new(of.id),
        life,
        incarnation: of.incarnation,
        liveness,
        addr,
        patience: flags >> 2 & 0xf,
        topics: 0,
    }
}

/// A record as it is read, how far its sender has come with the member's broadcasts, and what it rests on.
type Said<A> = (Record<A>, u32, Option<Certificate>);

fn next<A: Address>(reader: &mut Reader<'_>) -> Option<Said<A>> {
    reader.told().map(|told| (told.record, told.seen, told.certificate))
}

fn flags() -> impl Strategy<Value = u8> {
    (0..3u8, 0..16u8).prop_map(|(liveness, patience)| liveness | patience << 2)
}

fn certificate() -> impl Strategy<Value = Certificate> {
    let parts = (any::<[u64; 2]>(), any::<u32>());
    parts.prop_map(|(jurors, question)| Certificate { jurors: jurors.map(NodeId::new), question })
}

/// What may come beside a record: topics, how far its sender has come, and what it rests on.
type Beside = (u32, u32, Option<Certificate>);

fn beside() -> impl Strategy<Value = Beside> {
    let optional = || prop_oneof![Just(0), number()];
    (optional(), optional(), proptest::option::of(certificate()))
}

/// A record and what comes beside it, by hand.
fn told(flags: u8, of: Sender, addr: &[u8], (topics, seen, certificate): Beside) -> Vec<u8> {
    let extension = if (topics, seen) == (0, 0) { Vec::new() } else { forge::extension(topics, seen) };
    let flags = flags | u8::from(!extension.is_empty()) << 6 | u8::from(certificate.is_some()) << 7;
    let certificate = certificate.map(|found| forge::certificate(found.jurors.map(NodeId::get), found.question));
    [forge::record_at(flags, of, addr), extension, certificate.unwrap_or_default()].concat()
}

/// Writes and reads a record with this address, whose encoding is given, and with this beside it.
fn there_and_back<A: Address>(flags: u8, of: Sender, addr: A, encoded: &[u8], (topics, seen, certificate): Beside) {
    let record = Record { topics, ..record(flags, of, addr) };
    let bytes = told(flags, of, encoded, (topics, seen, certificate));
    let (done, written) = write(200, |writer| writer.told(&record, seen, certificate.as_ref()));
    assert_eq!((done, &written), (Some(()), &around(&bytes)), "written as in the diagram");
    read(&bytes, |mut reader| {
        let mut again = reader;
        assert_eq!(next::<A>(&mut reader), Some((record, seen, certificate)), "read as it was written");
        assert!(reader.is_empty(), "to its end");
        assert_eq!(next::<A>(&mut reader), None, "and no further");
        assert_eq!(again.record::<A>(), Some(record), "read without what comes beside it");
        assert!(again.is_empty(), "which is skipped");
        assert_eq!(again.record::<A>(), None, "and no further");
    });
    for cut in 0..bytes.len() {
        let cut_off = read(&bytes[..cut], |mut reader| next::<A>(&mut reader));
        assert_eq!(cut_off, None, "{cut} bytes of {} are no record", bytes.len());
        let cut_off = read(&bytes[..cut], |mut reader| reader.record::<A>());
        assert_eq!(cut_off, None, "{cut} bytes of {} are no record", bytes.len());
        let (done, written) = write(HEAD_LEN + cut, |writer| writer.told(&record, seen, certificate.as_ref()));
        assert_eq!((done, written), (None, around(&[])), "what does not fit is not begun");
    }
    if certificate.is_none() && seen == 0 {
        let (done, written) = write(200, |writer| writer.record(&record));
        assert_eq!((done, written), (Some(()), around(&bytes)), "a record alone rests on nothing");
    }
    let spared = if certificate.is_some() { 0 } else { forge::certificate([0; 2], 0).len() };
    let most = most_of_record::<A>() - spared - if (topics, seen) == (0, 0) { 10 } else { 0 };
    assert!(encoded.len() <= A::MAX_LEN && bytes.len() <= most, "{} bytes of {addr:?}", encoded.len());
}

#[test]
fn any_record_is_written_as_in_the_diagram_and_read_back_with_whatever_comes_beside_it() {
    let addresses = (any::<[u8; 16]>(), any::<u16>(), number());
    check(300, (flags(), sender(), addresses, beside()), |(flags, of, (ip, port, addr), beside)| {
        for beside in [(0, 0, None), beside] {
            there_and_back(flags, of, addr, &forge::varint(addr), beside);
            there_and_back(flags, of, port, &forge::varint(port.into()), beside);
            there_and_back(flags, of, ip, &ip, beside);
            let v6 = SocketAddr::new(IpAddr::from(ip), port);
            there_and_back(flags, of, v6, &[&[1][..], &ip, &forge::varint(port.into())].concat(), beside);
            let [a, b, c, d, ..] = ip;
            let v4 = SocketAddr::new(IpAddr::from([a, b, c, d]), port);
            there_and_back(flags, of, v4, &[&[0, a, b, c, d][..], &forge::varint(port.into())].concat(), beside);
        }
    });
}

/// Extensions of this version and of later ones: what each says, and its bytes.
fn extensions() -> impl Strategy<Value = (u32, u32, Vec<u8>)> {
    let unread = proptest::option::of((number(), vec(any::<u8>(), 0..300)));
    (any::<u32>(), unread).prop_map(|(topics, behind)| {
        let (seen, rest) = behind.unzip();
        let seen_bytes = seen.map(forge::varint).unwrap_or_default();
        let bytes = [&topics.to_le_bytes()[..], &seen_bytes, &rest.unwrap_or_default()].concat();
        (topics, seen.unwrap_or(0), bytes)
    })
}

#[test]
fn what_a_later_version_adds_to_an_extension_is_skipped_and_one_cut_off_refused() {
    check(100, (flags(), sender(), any::<u16>(), extensions()), |(flags, of, addr, (topics, seen, extension))| {
        let mut bytes = forge::record_at(flags | 1 << 6, of, &forge::varint(addr.into()));
        bytes.extend(forge::varint(extension.len() as u32));
        bytes.extend(&extension);
        let cut = read(&bytes[..bytes.len() - 1], |mut reader| reader.record::<u16>());
        assert_eq!(cut, None, "the extension is cut off");
        bytes.push(0xee);
        read(&bytes, |mut reader| {
            assert_eq!(next(&mut reader), Some((Record { topics, ..record(flags, of, addr) }, seen, None)));
            assert!(!reader.is_empty(), "what follows is left");
        });
    });
    // Shorter than its topics, and with a number that does not end.
    for short in [&[][..], &[1, 2, 3], &[1, 2, 3, 4, 0x80], &[1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0x1f]] {
        let mut bytes = forge::record_at(1 << 6, FROM, &[5]);
        bytes.extend(forge::varint(short.len() as u32));
        bytes.extend(short);
        assert_eq!(read(&bytes, |mut reader| next::<u16>(&mut reader)), None, "{short:?}");
    }
    let odd = read(&forge::record_at(3, FROM, &[5]), |mut reader| reader.record::<u16>());
    assert_eq!(odd, None, "there is no fourth liveness");
}

#[test]
fn a_certificate_stands_behind_the_extension_if_there_is_one() {
    let optional = proptest::option::of(extensions());
    check(100, (flags(), sender(), any::<u16>(), optional, certificate()), |(flags, of, addr, extension, found)| {
        let extended = flags | u8::from(extension.is_some()) << 6;
        let mut bytes = forge::record_at(extended | 1 << 7, of, &forge::varint(addr.into()));
        let (topics, seen, extension) =
            extension.map_or((0, 0, None), |(topics, seen, bytes)| (topics, seen, Some(bytes)));
        if let Some(extension) = extension {
            bytes.extend(forge::varint(extension.len() as u32));
            bytes.extend(&extension);
        }
        let start = bytes.len();
        bytes.extend(forge::certificate(found.jurors.map(|juror| juror.get()), found.question));
        for cut in start..bytes.len() {
            let cut_off = read(&bytes[..cut], |mut reader| next::<u16>(&mut reader));
            assert_eq!(cut_off, None, "{} bytes are no certificate", cut - start);
        }
        bytes.push(0xee);
        read(&bytes, |mut reader| {
            assert_eq!(next(&mut reader), Some((Record { topics, ..record(flags, of, addr) }, seen, Some(found))));
            assert!(!reader.is_empty(), "what follows is left");
        });
    });
}

#[test]
fn a_record_of_the_longest_address_and_the_greatest_counters_takes_the_most_bytes_and_no_fewer() {
    fn takes_the_most<A: Address>(addr: A) {
        let record = Record { topics: u32::MAX, ..record(63 & !1, GREATEST, addr) };
        let certificate = Certificate { jurors: [NodeId::new(u64::MAX); 2], question: u32::MAX };
        let (done, written) = write(200, |writer| writer.told(&record, u32::MAX, Some(&certificate)));
        assert_eq!((done, written.len()), (Some(()), HEAD_LEN + most_of_record::<A>()), "{addr:?}");
    }
    takes_the_most(u8::MAX);
    takes_the_most(u16::MAX);
    takes_the_most(u32::MAX);
    takes_the_most(u64::MAX);
    takes_the_most([0xffu8; 16]);
    takes_the_most(SocketAddr::new(IpAddr::from([0xff; 16]), u16::MAX));
}

/// A record with these bytes in place of its incarnation.
fn with_incarnation(bytes: &[u8]) -> Option<u32> {
    let mut record = forge::record_at(0, FROM, &[]);
    record.pop();
    record.extend(bytes);
    record.push(5);
    read(&record, |mut reader| reader.record::<u16>().map(|record| record.incarnation))
}

#[test]
fn a_number_of_more_than_32_bits_is_refused() {
    assert_eq!(with_incarnation(&[0x7f]), Some(0x7f));
    assert_eq!(with_incarnation(&[0xff, 0x01]), Some(0xff));
    assert_eq!(with_incarnation(&[0x80, 0x80, 0x80, 0x00]), Some(0), "padding is no fault");
    assert_eq!(with_incarnation(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(u32::MAX));
    assert_eq!(with_incarnation(&[0x80, 0x80, 0x80, 0x80, 0x08]), Some(1 << 31));
    for too_much in [0x10, 0x11, 0x7f, 0x80, 0x8f] {
        assert_eq!(with_incarnation(&[0xff, 0xff, 0xff, 0xff, too_much]), None, "{too_much:#x}");
    }
}

#[test]
fn a_datagram_is_opened_by_whom_it_is_for_and_by_nobody_else() {
    let inputs = (sender(), any::<[bool; 3]>(), any::<u32>(), any::<u32>());
    check(300, inputs, |(of, [open_to_all, full, newcomer], addressee, number)| {
        let addressee = addressee >> 8;
        let form = forge::VERSION | u8::from(open_to_all) << 4 | u8::from(full) << 5 | u8::from(newcomer) << 6;
        let seeded = if open_to_all { ANYONE } else { addressee };
        let frames = [forge::frame(kind::LEAVE, &number.to_le_bytes())];
        let datagram = forge::datagram(seal().cluster, form, seeded, of, &frames);
        let mine = Seal { addressee, ..seal() };
        let (sender, tag) = (NodeId::new(of.id), of.tag());
        let head = Head { sender, tag, incarnation: of.incarnation, open: open_to_all, full, newcomer };
        let (read, mut rest) = open(&datagram, mine).expect("it is for me");
        assert_eq!(read, head);
        let (kind, body) = rest.frame().expect("the frame is behind the head");
        assert!(matches!(decode(kind, body), Ok(Frame::Leave { number: said }) if said == number));
        let other = Seal { addressee: addressee ^ 1, ..mine };
        assert_eq!(open(&datagram, other).is_ok(), open_to_all, "meant for another life");
        let foreign = Seal { cluster: forge::cluster("other"), ..mine };
        assert_eq!(open(&datagram, foreign).err(), Some(DropReason::OtherCluster));

        let mut buf = [0; 40];
        let written = Seal { addressee: seeded, ..mine };
        let len = Writer::new(&mut buf, written, head).and_then(|writer| writer.finish(written)).expect("it fits");
        assert_eq!(buf[..len], forge::datagram(seal().cluster, form, seeded, of, &[]), "as in the diagram");
        for size in 0..len {
            assert!(Writer::new(&mut buf[..size], written, head).is_none(), "{size} bytes do for {len}");
        }
    });
}

#[test]
fn a_head_that_is_cut_off_is_truncated_or_fails_its_check() {
    let whole = around(&[]);
    for len in 0..whole.len() {
        let expected = if len < 7 { DropReason::Truncated } else { DropReason::Check };
        assert_eq!(open(&whole[..len], seal()).err(), Some(expected), "{len} bytes");
    }
    // One whose check value is right: the fields of the head are missing.
    for missing in 1..=12 {
        let short = forge::sealed(seal().cluster, forge::VERSION, seal().addressee, &whole[7..whole.len() - missing]);
        assert_eq!(open(&short, seal()).err(), Some(DropReason::Truncated), "{missing} bytes are missing");
    }
}

#[test]
fn what_another_version_sends_is_told_from_what_is_foreign_and_what_is_sealed() {
    let form = |form: u8| forge::datagram(seal().cluster, form, seal().addressee, FROM, &[]);
    for version in (0..16).filter(|version| *version != forge::VERSION) {
        assert_eq!(open(&form(version), seal()).err(), Some(DropReason::WireVersion), "version {version}");
    }
    assert_eq!(open(&form(0x82), seal()).err(), Some(DropReason::Sealed));
    assert!(open(&form(0x42), seal()).is_ok(), "the spare bit means nothing yet");
    let foreign = forge::datagram(forge::cluster("other"), 0x82, seal().addressee, FROM, &[]);
    assert_eq!(open(&foreign, seal()).err(), Some(DropReason::OtherCluster), "the cluster comes before the seal");
}

// Frames.

pub(super) fn le(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Decodes a body, and says in words what came of it.
pub(super) fn decoded(kind: u8, body: &[u8]) -> Result<std::string::String, DropReason> {
    read(&forge::frame(kind, body), |mut reader| {
        let (found, body) = reader.frame().expect("it is whole");
        assert_eq!(found, kind);
        assert!(reader.is_empty(), "the frame ends where it says");
        let records =
            |mut records: Reader<'_>| -> Vec<Said<u16>> { core::iter::from_fn(|| next(&mut records)).collect() };
        let numbers = |mut numbers: Reader<'_>| -> Vec<u32> { core::iter::from_fn(|| numbers.u32()).collect() };
        let halves = |mut numbers: Reader<'_>| -> Vec<u16> { core::iter::from_fn(|| numbers.u16()).collect() };
        decode(kind, body).map(|frame| match frame {
            Frame::News(list) => std::format!("news {:?}", records(list)),
            Frame::Claim(list) => std::format!("claim {:?}", records(list)),
            Frame::List { low, high, salt, shorts } => std::format!("list {low} {high} {salt} {:?}", numbers(shorts)),
            Frame::Sums { what, low, high, salt, sums } => {
                std::format!("sums {what:?} {low} {high} {salt} {:?}", halves(sums))
            }
            Frame::Hand { number, low, high, content: Content::Records(list) } => {
                std::format!("hand {number} {low} {high} {:?}", records(list))
            }
            Frame::Diff { low, high, wanted, records: list } => {
                std::format!("diff {low} {high} {wanted} {:?}", records(list))
            }
            Frame::Join { number, cookie, sought, speaks, record } => {
                std::format!("join {number} {cookie} {sought:?} {speaks} {:?}", records(record))
            }
            Frame::Welcome { number, answer, record } => {
                std::format!("welcome {number} {answer:?} {:?}", records(record))
            }
            plain => std::format!("{plain:?}"),
        })
    })
}

/// A kind, the body of such a frame, what it says, and how many bytes may be missing at its end.
pub(super) type Example = (u8, Vec<u8>, std::string::String, usize);

/// Bodies by hand.
fn examples(number: u32, long: u64, of: Sender) -> Vec<Example> {
    let n = number.to_le_bytes();
    let (id, roots) = (NodeId::new(long), Roots { membership: !number, positions: number as u16 });
    let six = [&roots.membership.to_le_bytes()[..], &roots.positions.to_le_bytes()].concat();
    let (low, high) = (long / 2, long);
    // One that rests on nothing, and one that does and comes with all else that there may be.
    let certificate = Certificate { jurors: [NodeId::new(low), id], question: !number };
    let beside = (number | 1, number, Some(certificate));
    let bytes = [forge::record(1 << 2, of, 300), told(1, of, &[7], beside)].concat();
    let whole_record = Record { topics: number | 1, ..record(1, of, 7) };
    let records: Vec<Said<u16>> =
        std::vec![(record(1 << 2, of, 300), 0, None), (whole_record, number, Some(certificate))];
    let shorts = [number, !number, number.wrapping_mul(3)];
    let mixed = [le(&[low, high]), n.to_vec()].concat();
    let with_numbers = |kind, said: &str| {
        let numbers: Vec<u8> = shorts.iter().flat_map(|short| short.to_le_bytes()).collect();
        (kind, [&mixed[..], &numbers].concat(), std::format!("{said} {low} {high} {number} {shorts:?}"), numbers.len())
    };
    let halves = [number as u16, !number as u16];
    let with_sums = |of: u8, what: What| {
        let sums: Vec<u8> = halves.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let said = std::format!("sums {what:?} {low} {high} {number} {halves:?}");
        (16, [&[of][..], &mixed, &sums].concat(), said, sums.len())
    };
    let records_number = number & !3 | 1;
    let (bits, log) = (number.wrapping_add(1), number as u8);
    let (from, to) = (number / 2, number);
    let whole = |kind, body: Vec<u8>, said: std::string::String| (kind, body, said, 0);
    let with_record =
        |kind, body: Vec<u8>, said: std::string::String| (kind, [body, bytes.clone()].concat(), said, bytes.len());
    let (ack_without, ack_with): (Option<Roots>, _) = (None, Some(roots));
    std::vec![
        whole(1, [&n[..], &six].concat(), std::format!("{:?}", Frame::Ping { number, roots })),
        whole(2, n.to_vec(), std::format!("{:?}", Frame::Ack { number, roots: ack_without })),
        whole(2, [&n[..], &six].concat(), std::format!("{:?}", Frame::Ack { number, roots: ack_with })),
        whole(
            3,
            [&n[..], &le(&[long]), &number.wrapping_add(1).to_le_bytes()].concat(),
            std::format!("{:?}", Frame::Ask { question: number, target: id, within: number.wrapping_add(1).into() }),
        ),
        whole(
            4,
            [&n[..], &le(&[long]), &[0]].concat(),
            std::format!("{:?}", Frame::Verdict { question: number, target: id, word: Word::Silent }),
        ),
        whole(
            4,
            [&n[..], &le(&[long]), &[1]].concat(),
            std::format!("{:?}", Frame::Verdict { question: number, target: id, word: Word::Heard }),
        ),
        with_record(5, Vec::new(), std::format!("news {records:?}")),
        with_numbers(6, "list"),
        with_record(7, [le(&[low, high]), std::vec![0]].concat(), std::format!("diff {low} {high} 0 {records:?}")),
        with_record(
            7,
            [le(&[low, high]), std::vec![4], n.to_vec()].concat(),
            std::format!("diff {low} {high} {number} {records:?}")
        ),
        with_record(
            7,
            [le(&[low, high]), std::vec![8], le(&[long])].concat(),
            std::format!("diff {low} {high} {long} {records:?}")
        ),
        with_record(
            8,
            [&n[..], &le(&[long]), &[2, 2]].concat(),
            std::format!("join {number} {long} None true {records:?}")
        ),
        with_record(
            9,
            [&n[..], &[0], &le(&[long])].concat(),
            std::format!("welcome {number} {:?} {records:?}", Answer::Prove(long))
        ),
        with_record(
            9,
            [&n[..], &[1], &le(&[0])].concat(),
            std::format!("welcome {number} {:?} {records:?}", Answer::Admitted)
        ),
        with_record(
            9,
            [&n[..], &[2], &le(&[0])].concat(),
            std::format!("welcome {number} {:?} {records:?}", Answer::Full)
        ),
        with_record(
            9,
            [&n[..], &[3], &le(&[0])].concat(),
            std::format!("welcome {number} {:?} {records:?}", Answer::Taken)
        ),
        with_record(
            9,
            [&n[..], &[4], &le(&[0])].concat(),
            std::format!("welcome {number} {:?} {records:?}", Answer::Lives)
        ),
        whole(10, n.to_vec(), std::format!("{:?}", Frame::Leave { number })),
        whole(11, n.to_vec(), std::format!("{:?}", Frame::LeaveAck { number })),
        whole(12, le(&[long]), std::format!("{:?}", Frame::Introduce { cookie: long })),
        with_record(13, Vec::new(), std::format!("claim {records:?}")),
        with_record(
            14,
            [records_number.to_le_bytes(), from.to_le_bytes(), to.to_le_bytes()].concat(),
            std::format!("hand {records_number} {from} {to} {records:?}")
        ),
        with_sums(0, What::Records),
        with_sums(1, What::Positions),
        whole(
            19,
            [le(&[low, high]), std::vec![log], bits.to_le_bytes().to_vec()].concat(),
            std::format!("{:?}", Frame::Parts(Parts { low, high, log, meant: bits }))
        ),
    ]
}

#[test]
fn every_frame_of_the_table_is_understood_and_a_shorter_one_is_malformed() {
    check(100, (any::<u32>(), any::<u64>(), sender()), |(number, long, of)| {
        for (kind, body, said, optional) in examples(number, long, of) {
            assert_eq!(decoded(kind, &body).as_ref(), Ok(&said));
            for len in 0..body.len() - optional {
                // An ack without roots is whole.
                let expected = if kind == 2 && len == 4 { None } else { Some(DropReason::Malformed) };
                assert_eq!(decoded(kind, &body[..len]).err(), expected, "{len} bytes of {said}");
            }
        }
    });
}

#[test]
fn frames_whose_fields_make_no_sense_are_malformed_and_unknown_kinds_unknown() {
    let number = [1, 2, 3, 4];
    let malformed = Err(DropReason::Malformed);
    assert_eq!(decoded(4, &[&number[..], &le(&[9]), &[3]].concat()), malformed, "a fourth word");
    assert_eq!(decoded(9, &[&number[..], &[5], &le(&[9])].concat()), malformed, "a sixth answer");
    assert_eq!(decoded(15, &[&number[..], &[3]].concat()), malformed, "a fourth way");
    for (kind, before) in [(6, &[][..]), (7, &[]), (16, &[0]), (16, &[1]), (19, &[])] {
        let of_range = |low: u64, high: u64| decoded(kind, &[before, &le(&[low, high]), &[0; 5]].concat());
        assert_eq!(of_range(10, 9), malformed, "a range that ends before it begins");
        assert!(of_range(9, 9).is_ok(), "a range of one place");
    }
    let hand = |low: u32, high: u32| decoded(14, &[number, low.to_le_bytes(), high.to_le_bytes()].concat());
    assert_eq!(hand(10, 9), malformed, "a range that ends before it begins");
    assert!(hand(9, 9).is_ok(), "a range of one cell");
    assert_eq!(decoded(14, &[&[4, 2, 3, 4][..], &[0; 8]].concat()), malformed, "it is nothing that there is");
    assert_eq!(decoded(7, &[&le(&[9, 9])[..], &[9], &[0; 9]].concat()), malformed, "more bits than a list has ids");
    assert_eq!(decoded(16, &[&[2][..], &le(&[9, 9]), &[0; 4]].concat()), malformed, "sums of something else");
    for kind in [0, 27, 31, 255] {
        assert_eq!(decoded(kind, &[0; 40]), Err(DropReason::UnknownFrame), "kind {kind}");
    }
    for (oldest, newest, speaks) in [(0, 1, false), (0, 2, true), (2, 9, true), (3, 9, false), (3, 2, false)] {
        let join = decoded(8, &[&number[..], &le(&[9]), &[oldest, newest]].concat());
        assert_eq!(join, Ok(std::format!("join 67305985 9 None {speaks} []")), "versions {oldest} to {newest}");
        let visit = decoded(8, &[&number[..], &le(&[9]), &[oldest | 0x80, newest]].concat());
        let sought = Some(NodeId::new(9));
        assert_eq!(visit, Ok(std::format!("join 67305985 0 {sought:?} {speaks} []")), "a visit to who has the id 9");
    }
}

#[test]
fn a_frame_longer_than_its_datagram_is_truncated() {
    let frame = forge::frame(kind::LEAVE, &[1, 2, 3, 4]);
    for len in 0..frame.len() {
        let found = read(&frame[..len], |mut reader| reader.frame().err());
        assert_eq!(found, Some(DropReason::Truncated), "{len} bytes");
    }
    let endless = [kind::NEWS, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(read(&endless, |mut reader| reader.frame().err()), Some(DropReason::Truncated));
}

// Writing.

#[test]
fn a_frame_is_written_whole_or_not_at_all() {
    check(100, (0..=127usize, 0..200usize), |(len, room)| {
        let body = std::vec![7; len];
        let put = |writer: &mut Writer<'_>| body.iter().try_for_each(|byte| writer.u8(*byte));
        let (done, written) = write(HEAD_LEN + room, |writer| {
            writer.frame(9, put)?;
            // One more, which fails inside, leaves the first as it was.
            assert!(writer.frame(10, |body| body.u8(1).and(None)).is_none());
            Some(())
        });
        let fits = 2 + len <= room;
        assert_eq!(done.is_some(), fits, "{len} bytes in {room}");
        let expected = if fits { around(&forge::frame(9, &body)) } else { around(&[]) };
        assert_eq!(written, expected);
    });
    let (done, written) = write(400, |writer| writer.frame(9, |body| (0..128).try_for_each(|_| body.u8(1))));
    assert_eq!((done, written), (None, around(&[])), "128 bytes need a longer length");
}

/// A frame whose length is padded to take this many bytes.
fn padded(kind: u8, width: usize, body: &[u8]) -> Vec<u8> {
    let bits = |place: usize| (body.len() >> (7 * place)) as u8 & 0x7f;
    let length = (0..width).map(|place| bits(place) | if place + 1 < width { 0x80 } else { 0 });
    [kind].into_iter().chain(length).chain(body.iter().copied()).collect()
}

#[test]
fn a_list_of_any_length_has_room_for_the_longest_length_that_its_buffer_could_need() {
    let rooms = prop_oneof![2..200usize, 16_300..16_500usize, 60_000..65_000usize];
    let inputs = rooms.prop_flat_map(|room| (Just(room), prop_oneof![Just(room), 0..=room, 0..=130usize]));
    check(200, inputs, |(room, wanted)| {
        let mut len = 0;
        let (done, written) = write(HEAD_LEN + room, |writer| {
            let list = writer.begin(kind::NEWS)?;
            while len < wanted && writer.u8(7).is_some() {
                len += 1;
            }
            writer.end(list)
        });
        let suffices = |width: &usize| room - 1 - width < 1 << (7 * width);
        let width = (1..).find(suffices).expect("some width does");
        let expected = padded(kind::NEWS, width, &std::vec![7; len]);
        assert_eq!((done, &written), (Some(()), &around(&expected)), "{len} bytes in {room}");
        assert!(len == wanted || written.len() == HEAD_LEN + room, "there was more room");
        let whole = read(&expected, |mut reader| reader.frame().is_ok() && reader.is_empty());
        assert!(whole, "its length is right");
    });
    let (done, written) = write(HEAD_LEN + 1, |writer| writer.begin(kind::NEWS).map(drop));
    assert_eq!((done, written), (None, around(&[])), "a kind alone is no frame");
}

#[test]
fn a_list_that_is_given_up_leaves_no_trace() {
    let (_, written) = write(300, |writer| {
        let list = writer.begin(kind::NEWS)?;
        writer.u64(5)?;
        assert_eq!(writer.cancel(list), None);
        writer.frame(kind::LEAVE, |body| body.u32(5))
    });
    assert_eq!(written, around(&forge::frame(kind::LEAVE, &[5, 0, 0, 0])));
}

#[test]
fn a_hole_is_filled_in_place_and_numbers_are_little_endian() {
    let (done, written) = write(100, |writer| {
        writer.u8(1)?;
        let hole = writer.hole()?;
        writer.u32(0x0203_0405)?;
        writer.fill(hole, 0x1112_1314_1516_1718)?;
        writer.id(NodeId::new(9))?;
        writer.roots(Roots { membership: 0x0a0b_0c0d, positions: 0x0e0f })?;
        writer.time(0x1_0000_0000)?;
        writer.time(0x0102)
    });
    assert_eq!(done, Some(()));
    let mut expected = std::vec![1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 5, 4, 3, 2];
    expected.extend([9, 0, 0, 0, 0, 0, 0, 0, 0x0d, 0x0c, 0x0b, 0x0a, 0x0f, 0x0e]);
    expected.extend([0xff, 0xff, 0xff, 0xff, 2, 1, 0, 0]);
    assert_eq!(written, around(&expected), "a time of more than 71 minutes counts as that");
}

#[test]
fn roots_that_collide_under_one_number_differ_under_the_next() {
    check(300, (any::<u64>(), any::<u64>(), any::<u32>()), |(mine, theirs, number)| {
        let under = |number: u32| (Roots::of(mine, Some(mine), number), Roots::of(theirs, Some(theirs), number));
        let ((a, b), (c, d)) = (under(number), under(number ^ 1));
        assert!(mine == theirs || a != b || c != d, "{mine:x} and {theirs:x} under {number:x}");
        assert!(a.membership != c.membership && a.positions != c.positions, "the number is mixed into both");
    });
    let mixed = Roots::of(0x0123_4567_89ab_cdef, Some(0x1111_2222_3333_4444), 0x0102_0304);
    assert_eq!(mixed, Roots { membership: 0xa0c6_2e60, positions: 0x80e1 }, "all members must mix alike");
}

#[test]
fn one_record_of_the_longest_address_fits_the_smallest_datagram() {
    // Of all frames with a record a join, a diff, a welcome and a hand have most before it.
    let head = 18 + 5;
    let before = [4 + 8 + 2, 8 + 8, 4 + 1 + 8, 4 + 4 + 4].into_iter().max().expect("there are four");
    let record = forge::record_at(0, GREATEST, &[0; MAX_ADDR]).len();
    assert!(head + 2 + before + record <= crate::MIN_DATAGRAM, "{}", head + 2 + before + record);
}

/// Writes all of a hand that stands before its records into a buffer of this size, with the longest head; how many
/// bytes it came to.
fn before_records(size: usize) -> Option<usize> {
    let head = Head { incarnation: u32::MAX, ..head() };
    let mut buf = std::vec![0; size];
    let mut writer = Writer::new(&mut buf, seal(), head)?;
    let frame = writer.begin(kind::HAND)?;
    (0..3).try_for_each(|_| writer.u32(u32::MAX))?;
    let len = writer.len();
    writer.end(frame).map(|()| len)
}

#[test]
fn no_hand_has_more_before_its_records_than_is_said() {
    let sizes = (crate::MIN_DATAGRAM..400).chain(16_000..17_000).chain([crate::MAX_DATAGRAM]);
    let most = sizes.map(|size| before_records(size).expect("it fits")).max();
    assert_eq!(most, Some(MOST_BEFORE_RECORDS), "and one has as much");
    let record = forge::record_at(0, GREATEST, &[0; MAX_ADDR]).len();
    let least = before_records(crate::MIN_DATAGRAM).expect("it fits") + record;
    assert!(least <= crate::MIN_DATAGRAM, "{least} bytes with one record of the longest address");
}
