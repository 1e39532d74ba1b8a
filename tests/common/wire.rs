//! Any bytes are a datagram, as they are and with its front put right. It is read twice, by `src/wire.rs` and by hand
//! from the tables there, with the same outcome; and what was read, written and read again, is the same.

use std::net::SocketAddr;

#[path = "../../src/wire/mod.rs"]
#[allow(dead_code)]
mod codec;

use codec::{Answer, Frame, Head, Parts, Reader, Roots, Seal, Word, Writer, kind};

use super::forge;
use super::script::Script;
use crate::event::DropReason;
use crate::member::{Address, Certificate, Life, Liveness, NodeId, Record};

const CLUSTER: &str = "fuzz";
const ADDRESSEE: u32 = 0xabcdef;

/// The widths of what comes before the records or the short numbers in each kind of frame, from 1 on. Both roots are
/// one field here.
const FIELDS: [&[usize]; 19] = [
    &[4, 6],
    &[4],
    &[4, 8, 4],
    &[4, 8, 1],
    &[],
    &[8, 8, 4],
    &[8, 8],
    &[4, 8, 1, 1],
    &[4, 1, 8],
    &[4],
    &[4],
    &[8],
    &[],
    &[4, 4, 4],
    &[4, 1],
    &[8, 8, 4],
    &[8, 8],
    &[],
    &[8, 8, 1, 4],
];
/// The bytes of a certificate.
const CERTIFICATE: usize = 8 + 8 + 4;

/// Reads two bytes for the room there is to write in, and the rest as a datagram.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let room = usize::from(script.word());
    let raw = script.bytes(bytes.len());
    check::<u16>(raw, room);
    // So that something comes after the head's checks: the first byte, and all that follows the check value.
    let (form, rest) = raw.split_first().unwrap_or((&1, &[]));
    let sealed = forge::sealed(forge::cluster(CLUSTER), *form, ADDRESSEE, rest);
    check::<u16>(&sealed, room);
    check::<SocketAddr>(&sealed, room);
}

fn check<A: Address>(datagram: &[u8], room: usize) {
    let opened = read::<A>(datagram);
    assert_eq!(opened, by_hand(datagram));
    let Ok((head, said)) = opened else { return };
    if !head.open {
        let other = Seal { addressee: ADDRESSEE + 1, ..seal() };
        assert_eq!(codec::open(datagram, other).err(), Some(DropReason::Check), "it is for another life");
    }
    let sensible: Vec<Said<A>> = said.into_iter().flatten().collect();
    for said in &sensible {
        check_size(head, said);
    }
    let mut buf = vec![0xaa; room];
    if let Some((len, written)) = write(&mut buf, head, &sensible) {
        let written = written.into_iter().map(Ok).collect();
        assert_eq!(read::<A>(&buf[..len]), Ok((head, written)), "what was written is read");
    }
}

/// The sizes that `src/wire.rs` states, and that a frame needs no more room than it takes.
fn check_size<A: Address>(head: Head, said: &Said<A>) {
    let mut buf = [0; 256];
    let (empty, _) = write::<A>(&mut buf, head, &[]).expect("256 bytes are enough for a head");
    assert!(empty == 19 || head.incarnation >= 128);
    for record in &said.records {
        let alone = Said { kind: kind::NEWS, fields: vec![], records: vec![*record], numbers: vec![], whole: true };
        let (len, _) = write(&mut buf, head, &[alone]).expect("and for a record");
        // In a buffer of this size the kind and the length take three bytes.
        let len = len - empty - 3;
        let alone = 1 + 8 + 5 + 4 + 5 + A::MAX_LEN;
        let most = if record.1.is_some() { alone + CERTIFICATE } else { alone };
        assert!(len <= most, "{record:?} takes {len} bytes");
        assert_eq!(codec::most_of_record::<A>(), alone + CERTIFICATE);
    }
    let len = match (said.kind, said.fields.len()) {
        (kind::PING, _) | (kind::ACK, 2) => empty + 12,
        (kind::ACK, _) => empty + 6,
        _ => return,
    };
    let mut fits = |len: usize| {
        write(&mut buf[..len], head, std::slice::from_ref(said)).is_some_and(|(_, written)| !written.is_empty())
    };
    assert!(fits(len) && !fits(len - 1), "a ping takes 31 bytes and an ack 25, or 31 with roots");
}

/// What a datagram says: its head and, frame by frame, what can be made of it.
type Opened<A> = Result<(Head, Vec<Result<Said<A>, DropReason>>), DropReason>;

/// A frame in numbers.
#[derive(Clone, Debug, PartialEq)]
struct Said<A> {
    kind: u8,
    fields: Vec<u64>,
    records: Vec<Told<A>>,
    /// Short ids, or sums.
    numbers: Vec<u32>,
    /// Nothing comes behind the records that is none, and no part of a number behind the numbers.
    whole: bool,
}

/// A record, and what it rests on.
type Told<A> = (Record<A>, Option<Certificate>);

/// What stands behind the fields.
enum Rest<'d> {
    Nothing,
    Records(Reader<'d>),
    Numbers(Reader<'d>),
}

fn seal() -> Seal {
    Seal { cluster: forge::cluster(CLUSTER), addressee: ADDRESSEE }
}

// As a node reads.

fn read<A: Address>(datagram: &[u8]) -> Opened<A> {
    let (head, mut frames) = codec::open(datagram, seal())?;
    let mut said = Vec::new();
    while !frames.is_empty() && said.last() != Some(&Err(DropReason::Truncated)) {
        let frame = frames.frame().and_then(|(kind, body)| codec::decode(kind, body));
        said.push(frame.map(Said::of));
    }
    Ok((head, said))
}

impl<A: Address> Said<A> {
    fn of(frame: Frame<'_>) -> Self {
        let n = |number: u32| u64::from(number);
        let of_roots = |roots: Roots| u64::from(roots.progress) << 32 | n(roots.membership);
        let (kind, fields, rest) = match frame {
            Frame::Ping { number, roots } => (kind::PING, vec![n(number), of_roots(roots)], Rest::Nothing),
            Frame::Ack { number, roots } => {
                (kind::ACK, [n(number)].into_iter().chain(roots.map(of_roots)).collect(), Rest::Nothing)
            }
            Frame::Ask { question, target, within } => {
                (kind::ASK, vec![n(question), target.get(), within], Rest::Nothing)
            }
            Frame::Verdict { question, target, word } => {
                let word = match word {
                    Word::Silent => 0,
                    Word::Heard => 1,
                    Word::Busy => 2,
                };
                (kind::VERDICT, vec![n(question), target.get(), word], Rest::Nothing)
            }
            Frame::News(records) => (kind::NEWS, vec![], Rest::Records(records)),
            Frame::List { low, high, salt, shorts } => (kind::LIST, vec![low, high, n(salt)], Rest::Numbers(shorts)),
            Frame::Diff { low, high, records } => (kind::DIFF, vec![low, high], Rest::Records(records)),
            Frame::Join { number, cookie, speaks, record } => {
                (kind::JOIN, vec![n(number), cookie, speaks.into(), speaks.into()], Rest::Records(record))
            }
            Frame::Welcome { number, answer, record } => {
                let (answer, cookie) = match answer {
                    Answer::Prove(cookie) => (0, cookie),
                    Answer::Admitted => (1, 0),
                    Answer::Full => (2, 0),
                    Answer::Taken => (3, 0),
                    Answer::Lives => (4, 0),
                };
                (kind::WELCOME, vec![n(number), answer, cookie], Rest::Records(record))
            }
            Frame::Leave { number } => (kind::LEAVE, vec![n(number)], Rest::Nothing),
            Frame::LeaveAck { number } => (kind::LEAVE_ACK, vec![n(number)], Rest::Nothing),
            Frame::Introduce { cookie } => (kind::INTRODUCE, vec![cookie], Rest::Nothing),
            Frame::Claim(record) => (kind::CLAIM, vec![], Rest::Records(record)),
            Frame::Relay { number, low, high, records } => {
                (kind::RELAY, vec![n(number), n(low), n(high)], Rest::Records(records))
            }
            Frame::RelayAck { number, passes_on } => {
                (kind::RELAY_ACK, vec![n(number), passes_on.into()], Rest::Nothing)
            }
            Frame::Sums { low, high, salt, sums } => (kind::SUMS, vec![low, high, n(salt)], Rest::Numbers(sums)),
            Frame::Want { low, wanted } => (kind::WANT, vec![low, wanted], Rest::Nothing),
            Frame::Records(records) => (kind::RECORDS, vec![], Rest::Records(records)),
            Frame::Parts(Parts { low, high, log, meant }) => {
                (kind::PARTS, vec![low, high, log.into(), n(meant)], Rest::Nothing)
            }
        };
        let (mut records, mut numbers, mut whole) = (Vec::new(), Vec::new(), true);
        match rest {
            Rest::Nothing => {}
            Rest::Records(reader) => (records, whole) = read_records(reader),
            Rest::Numbers(mut reader) => {
                let len = reader.len();
                numbers.extend(std::iter::from_fn(|| reader.u32()));
                assert_eq!(len, 4 * numbers.len() + reader.len(), "a number takes four bytes");
                whole = reader.is_empty();
            }
        }
        Said { kind, fields, records, numbers, whole }
    }
}

/// Records up to the first that is none, and whether that was the end.
fn read_records<A: Address>(mut reader: Reader<'_>) -> (Vec<Told<A>>, bool) {
    let mut records = Vec::new();
    while !reader.is_empty() {
        let alone = { reader }.record::<A>();
        let told = reader.certified();
        assert_eq!(alone, told.map(|(record, _)| record), "a record is the same without what it rests on");
        let Some(told) = told else { return (records, false) };
        records.push(told);
    }
    (records, true)
}

// By hand.

fn by_hand<A: Address>(datagram: &[u8]) -> Opened<A> {
    let mut rest = datagram;
    let front = take(&mut rest, 3).ok_or(DropReason::Truncated)?;
    let form = front[0];
    if form & 0xf != 1 {
        return Err(DropReason::WireVersion);
    }
    if front[1..] != forge::cluster_tag(forge::cluster(CLUSTER)) {
        return Err(DropReason::OtherCluster);
    }
    if form & 0x80 != 0 {
        return Err(DropReason::Sealed);
    }
    take(&mut rest, 4).ok_or(DropReason::Truncated)?;
    let mut sealed = datagram.to_vec();
    forge::seal(&mut sealed, forge::cluster(CLUSTER), ADDRESSEE);
    if sealed != datagram {
        return Err(DropReason::Check);
    }
    let mut fields = || Some((number(&mut rest, 8)?, number(&mut rest, 3)?, varint(&mut rest)?));
    let (sender, tag, incarnation) = fields().ok_or(DropReason::Truncated)?;
    let [open, full, newcomer] = [0x10, 0x20, 0x40].map(|flag| form & flag != 0);
    let head = Head { sender: NodeId::new(sender), tag: tag as u32, incarnation, open, full, newcomer };
    let mut said = Vec::new();
    while !rest.is_empty() && said.last() != Some(&Err(DropReason::Truncated)) {
        let mut frame = || {
            let (kind, len) = (number(&mut rest, 1)?, varint(&mut rest)?);
            Some((kind as u8, take(&mut rest, len as usize)?))
        };
        said.push(frame().ok_or(DropReason::Truncated).and_then(|(kind, body)| frame_by_hand(kind, body)));
    }
    Ok((head, said))
}

fn frame_by_hand<A: Address>(kind: u8, mut body: &[u8]) -> Result<Said<A>, DropReason> {
    let widths = *FIELDS.get(usize::from(kind).wrapping_sub(1)).ok_or(DropReason::UnknownFrame)?;
    let fields: Option<Vec<u64>> = widths.iter().map(|width| number(&mut body, *width)).collect();
    let mut fields = fields.ok_or(DropReason::Malformed)?;
    if kind == kind::ACK && !body.is_empty() {
        fields.push(number(&mut body, 6).ok_or(DropReason::Malformed)?);
    }
    match (kind, &mut fields[..]) {
        (kind::VERDICT, [_, _, word]) if *word > 2 => return Err(DropReason::Malformed),
        (kind::LIST | kind::DIFF | kind::SUMS | kind::PARTS, [low, high, ..]) | (kind::RELAY, [_, low, high])
            if *low > *high =>
        {
            return Err(DropReason::Malformed);
        }
        (kind::RELAY_ACK, [_, passes_on]) if *passes_on > 1 => return Err(DropReason::Malformed),
        (kind::WELCOME, [_, answer, _]) if *answer > 4 => return Err(DropReason::Malformed),
        // What a node makes of these is less than what they say.
        (kind::WELCOME, [_, answer, cookie]) if *answer > 0 => *cookie = 0,
        (kind::JOIN, [_, _, oldest, newest]) => {
            let speaks = (*oldest..=*newest).contains(&1);
            (*oldest, *newest) = (speaks.into(), speaks.into());
        }
        _ => {}
    }
    let has_records = matches!(
        kind,
        kind::NEWS | kind::DIFF | kind::JOIN | kind::WELCOME | kind::CLAIM | kind::RELAY | kind::RECORDS
    );
    let (mut records, mut numbers, mut whole) = (Vec::new(), Vec::new(), true);
    while has_records && whole && !body.is_empty() {
        let record = record_by_hand(&mut body);
        whole = record.is_some();
        records.extend(record);
    }
    if matches!(kind, kind::LIST | kind::SUMS) {
        whole = body.len().is_multiple_of(4);
        numbers.extend(std::iter::from_fn(|| number(&mut body, 4)).map(|number| number as u32));
    }
    Ok(Said { kind, fields, records, numbers, whole })
}

fn record_by_hand<A: Address>(bytes: &mut &[u8]) -> Option<Told<A>> {
    let flags = number(bytes, 1)?;
    let id = NodeId::new(number(bytes, 8)?);
    let life = Life { generation: varint(bytes)?, nonce: number(bytes, 4)? as u32 };
    let incarnation = varint(bytes)?;
    let (addr, rest) = postcard::take_from_bytes(bytes).ok()?;
    *bytes = rest;
    if flags & 1 << 6 != 0 {
        let extension = varint(bytes)?;
        take(bytes, extension as usize)?;
    }
    let mut certificate = None;
    if flags & 1 << 7 != 0 {
        let jurors = [NodeId::new(number(bytes, 8)?), NodeId::new(number(bytes, 8)?)];
        certificate = Some(Certificate { jurors, question: number(bytes, 4)? as u32 });
    }
    let liveness = *[Liveness::Alive, Liveness::Down, Liveness::Left].get(flags as usize & 3)?;
    let patience = (flags >> 2) as u8 & 0xf;
    Some((Record { id, life, incarnation, liveness, addr, patience, topics: 0 }, certificate))
}

fn take<'d>(bytes: &mut &'d [u8], len: usize) -> Option<&'d [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8], len: usize) -> Option<u64> {
    take(bytes, len).map(|bytes| Script::new(bytes).number(len))
}

fn varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for place in 0..5 {
        let byte = number(bytes, 1)?;
        value |= (byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return u32::try_from(value).ok();
        }
    }
    None
}

// As a node writes (see `src/node/send.rs`, `src/gossip.rs` and `src/sync.rs`).

/// Writes the frames for which there is room; the datagram's length, and what it says.
fn write<A: Address>(buf: &mut [u8], head: Head, said: &[Said<A>]) -> Option<(usize, Vec<Said<A>>)> {
    let mut writer = Writer::new(buf, seal(), head)?;
    let mut written = Vec::new();
    for said in said {
        let done = match said.kind {
            kind::NEWS..=kind::DIFF | kind::RELAY | kind::SUMS | kind::RECORDS => write_list(&mut writer, said),
            _ => write_frame(&mut writer, said).map(|()| Said { whole: true, ..said.clone() }),
        };
        written.extend(done);
    }
    let seal = Seal { addressee: if head.open { codec::ANYONE } else { ADDRESSEE }, ..seal() };
    writer.finish(seal).map(|len| (len, written))
}

fn write_frame<A: Address>(writer: &mut Writer<'_>, said: &Said<A>) -> Option<()> {
    // Only an ack has more than its kind: the roots.
    let widths = FIELDS[usize::from(said.kind) - 1].iter().chain(&[6]);
    writer.frame(said.kind, |body| {
        said.fields.iter().zip(widths).try_for_each(|(value, width)| write_field(body, *value, *width))?;
        said.records.iter().try_for_each(|(record, certificate)| body.certified(record, certificate.as_ref()))
    })
}

fn write_field(writer: &mut Writer<'_>, value: u64, width: usize) -> Option<()> {
    match width {
        1 => writer.u8(value as u8),
        4 => writer.u32(value as u32),
        6 => writer.roots(Roots { membership: value as u32, progress: (value >> 32) as u16 }),
        _ => writer.u64(value),
    }
}

/// Writes as many of the records or the numbers as fit; what it says then.
fn write_list<A: Address>(writer: &mut Writer<'_>, said: &Said<A>) -> Option<Said<A>> {
    let frame = writer.begin(said.kind)?;
    let fill = |writer: &mut Writer<'_>| {
        let mut bound = None;
        for (at, (value, width)) in said.fields.iter().zip(FIELDS[usize::from(said.kind) - 1]).enumerate() {
            // How far it goes is known only when it is written.
            if at == 1 && matches!(said.kind, kind::LIST | kind::DIFF) {
                bound = Some((writer.hole()?, *value));
            } else {
                write_field(writer, *value, *width)?;
            }
        }
        let fits = |(record, certificate): &&Told<A>| writer.certified(record, certificate.as_ref()).is_some();
        let records: Vec<Told<A>> = said.records.iter().take_while(fits).copied().collect();
        let numbers: Vec<u32> =
            said.numbers.iter().take_while(|number| writer.u32(**number).is_some()).copied().collect();
        if let Some((bound, high)) = bound {
            writer.fill(bound, high)?;
        }
        Some(Said { records, numbers, whole: true, ..said.clone() })
    };
    match fill(writer) {
        Some(written) => writer.end(frame).map(|()| written),
        None => writer.cancel(frame).and(None),
    }
}
