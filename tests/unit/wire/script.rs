//! Any bytes are a datagram, as they are and with its front put right. It is read twice, by `src/wire/` and by hand
//! from the tables there, with the same outcome; and what was read, written and read again, is the same.

use core::net::SocketAddr;
use std::vec;
use std::vec::Vec;

mod by_hand;
mod stretch;

use crate::wire::{
    self, Answer, Content, Frame, Had, Head, Lack, Origin, Part, Parts, Passing, Piece, Position, Pull, Reader, Roots,
    Seal, What, Word, Writer, kind, write_part, write_piece,
};
use by_hand::by_hand;
use stretch::Stretch;

use crate::member::{Address, Certificate, NodeId, Record};
use crate::stats::DropReason;
use crate::unit::forge;
use crate::unit::script::Script;

const CLUSTER: &str = "fuzz";
const ADDRESSEE: u32 = 0xabcdef;

/// The widths of what comes before the records, the numbers, the steps or the piece in each kind of frame, from 1 on.
/// Both roots are one field here; a hand ack has a version more, if its number says that it is of a map.
const FIELDS: [&[usize]; 26] = [
    &[4, 6],
    &[4],
    &[4, 8, 4],
    &[4, 8, 1],
    &[],
    &[8, 8, 4],
    &[8, 8, BITS],
    &[4, 8, 1, 1],
    &[4, 1, 8],
    &[4],
    &[4],
    &[8],
    &[],
    &[4, 4, 4],
    &[4, 1],
    &[1, 8, 8, 4],
    &[],
    &[4],
    &[8, 8, 1, 4],
    &[8, 8, 1],
    &[4],
    &[4, 8, 3, 4, 8],
    &[],
    &[4, 8, 3, 4, 8, 4, 4],
    &[4],
    &[4, 1, 1],
];
/// The width of bits behind the number of their bytes.
const BITS: usize = 9;
/// The most bytes of an extension: its length, topics, and how far the sender has come.
const EXTENSION: usize = 1 + 4 + 5;
/// The bytes of a certificate.
const CERTIFICATE: usize = 8 + 8 + 4;

/// Reads two bytes for the room there is to write in, and the rest as a datagram.
pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let room = usize::from(script.word());
    let raw = script.bytes(bytes.len());
    check::<u16>(raw, room);
    // So that something comes after the head's checks: the first byte, and all that follows the check value.
    let (form, rest) = raw.split_first().unwrap_or((&forge::VERSION, &[]));
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
        assert_eq!(wire::open(datagram, other).err(), Some(DropReason::Check), "it is for another life");
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

/// The sizes that `src/wire/mod.rs` states, and that a frame needs no more room than it takes.
fn check_size<A: Address>(head: Head, said: &Said<A>) {
    let mut buf = [0; 256];
    let (empty, _) = write::<A>(&mut buf, head, &[]).expect("256 bytes are enough for a head");
    assert!(empty == 19 || head.incarnation >= 128);
    for record in &said.records {
        let alone = Said { records: vec![*record], ..Said::plain(kind::NEWS, vec![]) };
        let (len, _) = write(&mut buf, head, &[alone]).expect("and for a record");
        // In a buffer of this size the kind and the length take three bytes.
        let len = len - empty - 3;
        let alone = 1 + 8 + 5 + 4 + 5 + A::MAX_LEN;
        let extension = if record.0.topics == 0 && record.1 == 0 { 0 } else { EXTENSION };
        let certificate = if record.2.is_some() { CERTIFICATE } else { 0 };
        assert!(len <= alone + extension + certificate, "{record:?} takes {len} bytes");
        assert_eq!(wire::most_of_record::<A>(), alone + EXTENSION + CERTIFICATE);
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
    /// With whom, in which life, and to where.
    positions: Vec<Place>,
    /// Of a broadcast or a direct message.
    piece: Option<Sent>,
    /// Of a member's map.
    chunk: Option<Stretch>,
    /// What the sender has of others' maps.
    hads: Vec<Had>,
    /// Nothing comes behind the records or the steps that is none, and no part of a number behind the numbers.
    whole: bool,
}

/// A member, the tag of its life, and how far the sender has come with its broadcasts and both logs of its map.
type Place = (u64, u32, [u32; 3]);

/// A record, how far its sender has come with the member's broadcasts, and what it rests on.
type Told<A> = (Record<A>, u32, Option<Certificate>);

/// A message, or one piece of it.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    /// Who sent it, in which life, and its number; a direct message has none of these.
    broadcast: Option<(u64, u32, u32)>,
    form: u8,
    topic: u32,
    /// Which piece, of how many, and the length of the whole.
    part: (u8, u8, u32),
    bytes: Vec<u8>,
}

impl Sent {
    fn of(part: &Part<'_>) -> Self {
        let &Part { form, topic, piece, pieces, len, bytes } = part;
        Sent { broadcast: None, form, topic, part: (piece, pieces, len), bytes: bytes.to_vec() }
    }

    fn of_piece(piece: &Piece<'_>) -> Self {
        let Origin { id, tag } = piece.origin;
        Sent { broadcast: Some((id.get(), tag, piece.seq)), ..Sent::of(&piece.part) }
    }

    fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        let (piece, pieces, len) = self.part;
        let part = Part { form: self.form, topic: self.topic, piece, pieces, len, bytes: &self.bytes };
        match self.broadcast {
            Some((id, tag, seq)) => {
                write_piece(&Piece { origin: Origin { id: NodeId::new(id), tag }, seq, part }, writer)
            }
            None => write_part(&part, writer),
        }
    }
}

/// What stands behind the fields.
enum Rest<'d> {
    Nothing,
    Records(Reader<'d>),
    Numbers(Reader<'d>),
    Halves(Reader<'d>),
    Positions(Reader<'d>),
    Piece(Sent),
    Chunk(Stretch),
    Hads(Reader<'d>),
}

fn seal() -> Seal {
    Seal { cluster: forge::cluster(CLUSTER), addressee: ADDRESSEE }
}

// As a node reads.

fn read<A: Address>(datagram: &[u8]) -> Opened<A> {
    let (head, mut frames) = wire::open(datagram, seal())?;
    let mut said = Vec::new();
    while !frames.is_empty() && said.last() != Some(&Err(DropReason::Truncated)) {
        let frame = frames.frame().and_then(|(kind, body)| wire::decode(kind, body));
        said.push(frame.map(Said::of));
    }
    Ok((head, said))
}

impl<A: Address> Said<A> {
    fn plain(kind: u8, fields: Vec<u64>) -> Self {
        let (records, numbers, positions, hads) = Default::default();
        Said { kind, fields, records, numbers, positions, piece: None, chunk: None, hads, whole: true }
    }

    fn of(frame: Frame<'_>) -> Self {
        let (kind, fields, rest) = in_numbers(frame);
        let plain = Said::plain(kind, fields);
        match rest {
            Rest::Nothing => plain,
            Rest::Records(reader) => {
                let (records, whole) = read_records(reader);
                Said { records, whole, ..plain }
            }
            Rest::Numbers(mut reader) => {
                let len = reader.len();
                let numbers: Vec<u32> = std::iter::from_fn(|| reader.u32()).collect();
                assert_eq!(len, 4 * numbers.len() + reader.len(), "a number takes four bytes");
                Said { numbers, whole: reader.is_empty(), ..plain }
            }
            Rest::Halves(mut reader) => {
                let numbers: Vec<u32> = std::iter::from_fn(|| reader.u16().map(u32::from)).collect();
                Said { numbers, whole: reader.is_empty(), ..plain }
            }
            Rest::Positions(mut reader) => {
                let mut positions = Vec::new();
                while let Some((origin, Position { seen, versions: [bulk, vital] })) = { reader }.position() {
                    reader.position();
                    positions.push((origin.id.get(), origin.tag, [seen, bulk, vital]));
                }
                Said { positions, whole: reader.is_empty(), ..plain }
            }
            Rest::Piece(sent) => Said { piece: Some(sent), ..plain },
            Rest::Chunk(stretch) => Said { chunk: Some(stretch), ..plain },
            Rest::Hads(mut reader) => {
                let mut hads = Vec::new();
                while let Some(had) = { reader }.had() {
                    reader.had();
                    hads.push(had);
                }
                Said { hads, whole: reader.is_empty(), ..plain }
            }
        }
    }
}

/// The kind of a frame, its fields, and what stands behind them.
fn in_numbers(frame: Frame<'_>) -> (u8, Vec<u64>, Rest<'_>) {
    let n = |number: u32| u64::from(number);
    let of_roots = |roots: Roots| u64::from(roots.positions) << 32 | n(roots.membership);
    match frame {
        Frame::Ping { number, roots } => (kind::PING, vec![n(number), of_roots(roots)], Rest::Nothing),
        Frame::Ack { number, roots } => {
            (kind::ACK, [n(number)].into_iter().chain(roots.map(of_roots)).collect(), Rest::Nothing)
        }
        Frame::Ask { question, target, within } => (kind::ASK, vec![n(question), target.get(), within], Rest::Nothing),
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
        Frame::Diff { low, high, wanted, records } => (kind::DIFF, vec![low, high, wanted], Rest::Records(records)),
        Frame::Join { number, cookie, sought, speaks, record } => {
            let named = sought.map_or(cookie, |id| id.get());
            let seeks = u64::from(sought.is_some()) << 7;
            (
                kind::JOIN,
                vec![n(number), named, seeks, if speaks { forge::VERSION.into() } else { 0 }],
                Rest::Records(record),
            )
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
        Frame::Hand { number, low, high, content } => {
            let content = match content {
                Content::Records(records) => Rest::Records(records),
                Content::Piece(piece) => Rest::Piece(Sent::of_piece(&piece)),
                Content::Chunk(chunk) => Rest::Chunk(Stretch::of(chunk)),
            };
            (kind::HAND, vec![n(number), n(low), n(high)], content)
        }
        Frame::HandAck { number, passing, have } => {
            let passing = match passing {
                Passing::No => 0,
                Passing::Yes => 1,
                Passing::Gap => 2,
            };
            let have = Some(n(have)).filter(|_| number & 3 == 3);
            (kind::HAND_ACK, [n(number), passing].into_iter().chain(have).collect(), Rest::Nothing)
        }
        Frame::Sums { what, low, high, salt, sums } => {
            let what = u64::from(what == What::Positions);
            (kind::SUMS, vec![what, low, high, n(salt)], Rest::Halves(sums))
        }
        Frame::Parts(Parts { low, high, log, meant }) => {
            (kind::PARTS, vec![low, high, log.into(), n(meant)], Rest::Nothing)
        }
        of_messages => message_in_numbers(of_messages),
    }
}

/// The same of what carries messages.
fn message_in_numbers(frame: Frame<'_>) -> (u8, Vec<u64>, Rest<'_>) {
    let n = |number: u32| u64::from(number);
    let of_pull = |pull: Pull| {
        let Origin { id, tag } = pull.origin;
        [n(pull.number), id.get(), n(tag), n(pull.first), pull.wanted]
    };
    match frame {
        Frame::Pull(pull) => (kind::PULL, of_pull(pull).to_vec(), Rest::Nothing),
        Frame::Give(piece) => (kind::GIVE, vec![], Rest::Piece(Sent::of_piece(&piece))),
        Frame::Lack(Lack { pull, oldest, newest }) => {
            (kind::LACK, [&of_pull(pull)[..], &[n(oldest), n(newest)]].concat(), Rest::Nothing)
        }
        Frame::Have { low, high, answer, positions } => {
            (kind::HAVE, vec![low, high, answer.into()], Rest::Positions(positions))
        }
        Frame::Direct { number, part } => (kind::DIRECT, vec![n(number)], Rest::Piece(Sent::of(&part))),
        Frame::DirectAck { number, piece, taken } => {
            (kind::DIRECT_ACK, vec![n(number), piece.into(), taken.into()], Rest::Nothing)
        }
        of_maps => map_in_numbers(of_maps),
    }
}

/// The same of what carries maps.
fn map_in_numbers(frame: Frame<'_>) -> (u8, Vec<u64>, Rest<'_>) {
    let n = |number: u32| u64::from(number);
    match frame {
        Frame::Fetch { number, wants } => (kind::FETCH, vec![n(number)], Rest::Hads(wants)),
        Frame::Given(chunk) => (kind::GIVEN, vec![], Rest::Chunk(Stretch::of(chunk))),
        Frame::Fetched { number } => (kind::FETCHED, vec![n(number)], Rest::Nothing),
        other => unreachable!("{other:?} is about members"),
    }
}

/// Records up to the first that is none, and whether that was the end.
fn read_records<A: Address>(mut reader: Reader<'_>) -> (Vec<Told<A>>, bool) {
    let mut records = Vec::new();
    while !reader.is_empty() {
        let alone = { reader }.record::<A>();
        let told = reader.told();
        assert_eq!(alone, told.map(|told| told.record), "a record is the same without what comes beside it");
        let Some(told) = told else { return (records, false) };
        records.push((told.record, told.seen, told.certificate));
    }
    (records, true)
}

// As a node writes (see `src/node/send.rs`, `src/gossip.rs` and `src/walk.rs`).

/// Writes the frames for which there is room; the datagram's length, and what it says.
fn write<A: Address>(buf: &mut [u8], head: Head, said: &[Said<A>]) -> Option<(usize, Vec<Said<A>>)> {
    let mut writer = Writer::new(buf, seal(), head)?;
    let mut written = Vec::new();
    for said in said {
        let done = match said.kind {
            kind::HAND if said.fields[0] & 3 != 1 => write_sent(&mut writer, said),
            kind::NEWS..=kind::DIFF | kind::HAND | kind::SUMS | kind::HAVE | kind::FETCH => {
                write_list(&mut writer, said)
            }
            kind::GIVE | kind::DIRECT | kind::GIVEN => write_sent(&mut writer, said),
            _ => write_frame(&mut writer, said).map(|()| Said { whole: true, ..said.clone() }),
        };
        written.extend(done);
    }
    let seal = Seal { addressee: if head.open { wire::ANYONE } else { ADDRESSEE }, ..seal() };
    writer.finish(seal).map(|len| (len, written))
}

fn write_frame<A: Address>(writer: &mut Writer<'_>, said: &Said<A>) -> Option<()> {
    // Only an ack has more than its kind: the roots.
    let widths = FIELDS[usize::from(said.kind) - 1].iter().chain(&[6]);
    writer.frame(said.kind, |body| {
        if matches!(said.kind, kind::PULL | kind::LACK) {
            return write_pull(body, &said.fields);
        }
        if let (kind::HAND_ACK, &[number, passing, ref have @ ..]) = (said.kind, &said.fields[..]) {
            let passing = [Passing::No, Passing::Yes, Passing::Gap][passing as usize];
            return body.hand_ack(number as u32, passing, have.first().map_or(0, |have| *have as u32));
        }
        said.fields.iter().zip(widths).try_for_each(|(value, width)| write_field(body, *value, *width))?;
        said.records.iter().try_for_each(|(record, seen, found)| body.told(record, *seen, found.as_ref()))
    })
}

fn write_pull(writer: &mut Writer<'_>, fields: &[u64]) -> Option<()> {
    let &[number, id, tag, first, wanted, ref bounds @ ..] = fields else { return None };
    let origin = Origin { id: NodeId::new(id), tag: tag as u32 };
    let pull = Pull { number: number as u32, origin, first: first as u32, wanted };
    match *bounds {
        [oldest, newest] => Lack { pull, oldest: oldest as u32, newest: newest as u32 }.write(writer),
        _ => pull.write(writer),
    }
}

/// Writes a message or a piece of it, or a chunk, whole or not at all.
fn write_sent<A: Address>(writer: &mut Writer<'_>, said: &Said<A>) -> Option<Said<A>> {
    let frame = writer.begin(said.kind)?;
    let fill = |writer: &mut Writer<'_>| {
        said.fields.iter().try_for_each(|value| writer.u32(*value as u32))?;
        match (&said.piece, &said.chunk) {
            (Some(piece), _) => piece.write(writer),
            (None, chunk) => chunk.as_ref()?.write(writer),
        }
    };
    match fill(writer) {
        Some(()) => writer.end(frame).map(|()| said.clone()),
        None => writer.cancel(frame).and(None),
    }
}

fn write_field(writer: &mut Writer<'_>, value: u64, width: usize) -> Option<()> {
    match width {
        1 => writer.u8(value as u8),
        4 => writer.u32(value as u32),
        BITS => writer.bits(value),
        6 => writer.roots(Roots { membership: value as u32, positions: (value >> 32) as u16 }),
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
            if at == 1 && matches!(said.kind, kind::LIST | kind::DIFF | kind::HAVE) {
                bound = Some((writer.hole()?, *value));
            } else {
                write_field(writer, *value, *width)?;
            }
        }
        let fits = |(record, seen, found): &&Told<A>| writer.told(record, *seen, found.as_ref()).is_some();
        let records: Vec<Told<A>> = said.records.iter().take_while(fits).copied().collect();
        let fits = |number: &&u32| match said.kind {
            kind::SUMS => writer.u16(**number as u16).is_some(),
            _ => writer.u32(**number).is_some(),
        };
        let numbers: Vec<u32> = said.numbers.iter().take_while(fits).copied().collect();
        let fits = |&&(id, tag, [seen, bulk, vital]): &&Place| {
            let position = Position { seen, versions: [bulk, vital] };
            writer.position(Origin { id: NodeId::new(id), tag }, position).is_some()
        };
        let positions: Vec<Place> = said.positions.iter().take_while(fits).copied().collect();
        let hads: Vec<Had> = said.hads.iter().take_while(|had| writer.had(had).is_some()).copied().collect();
        if let Some((bound, high)) = bound {
            writer.fill(bound, high)?;
        }
        Some(Said { records, numbers, positions, hads, whole: true, ..said.clone() })
    };
    match fill(writer) {
        Some(written) => writer.end(frame).map(|()| written),
        None => writer.cancel(frame).and(None),
    }
}
