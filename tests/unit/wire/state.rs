//! The frames of replicated state against the tables, as `tests/unit/forge.rs` understands them.

use std::string::String;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::frames::{HEAD_LEN, around, decoded, head, le, number, read, seal, write};
use crate::member::NodeId;
use crate::stats::DropReason;
use crate::unit::forge;
use crate::unit::property::check;
use crate::wire::{
    ChunkHead, Content, Frame, Had, HadOf, Head, MOST_BEFORE_ENTRIES, MOST_BEFORE_KEY, MOST_BEFORE_VALUE, MOST_OF_SPAN,
    Origin, Passing, ValuePiece, What, Writer, Written, decode, kind, written_len,
};
use crate::wire::{MAX_KEY, MOST_VERSION, Span};

const MALFORMED: Option<DropReason> = Some(DropReason::Malformed);

/// An entry that owns what it says: how far its version is above the one before, its key, and its value.
type Entry = (u32, String, Option<Vec<u8>>);

fn origins() -> impl Strategy<Value = Origin> {
    any::<(u64, u32)>().prop_map(|(id, tag)| Origin { id: NodeId::new(id), tag: tag >> 8 })
}

fn origin_by_hand(origin: Origin) -> Vec<u8> {
    [&origin.id.get().to_le_bytes()[..], &origin.tag.to_le_bytes()[..3]].concat()
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let value = proptest::option::of(prop_oneof![9 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 120..140)]);
    vec((1..300u32, "[a-zä]{1,20}", value), 0..6)
}

/// The head of a chunk in which these entries fit, and from where on they are counted.
fn spans() -> impl Strategy<Value = (Origin, bool, [u32; 5])> {
    (origins(), any::<bool>(), [number(), number(), number(), number(), number()])
        .prop_map(|(origin, vital, numbers)| (origin, vital, numbers.map(|number| number >> 4)))
}

fn chunk_head((origin, vital, numbers): &(Origin, bool, [u32; 5]), reach: u32, piece: bool) -> ChunkHead {
    let [from, to, as_of, newest, floor] = *numbers;
    let to = from + reach + to / 4;
    let as_of = to + as_of / 4;
    let span = Span { from, to, as_of, floor: floor % (as_of + 1), sure: newest % 2 == 0 };
    ChunkHead { origin: *origin, vital: *vital, piece, span, newest: to + newest / 4 }
}

fn head_by_hand(head: &ChunkHead) -> Vec<u8> {
    let Span { from, to, as_of, floor, sure } = head.span;
    let flags = u8::from(head.vital) | u8::from(head.piece) << 1 | u8::from(sure) << 2;
    let numbers = [from, to - from, as_of - to, head.newest - to, floor].map(forge::varint).concat();
    [&origin_by_hand(head.origin)[..], &[flags], &numbers].concat()
}

fn entry_by_hand((ahead, key, value): &Entry) -> Vec<u8> {
    let first = key.len() as u8 | if value.is_none() { 0x80 } else { 0 };
    let value = value.as_ref().map(|value| [&forge::varint(value.len() as u32)[..], value].concat());
    [&forge::varint(*ahead)[..], &[first], key.as_bytes(), &value.unwrap_or_default()].concat()
}

/// The frames in which a chunk goes, and what stands before it.
fn around_chunk(chunk: &[u8]) -> [(u8, Vec<u8>); 2] {
    let hand = [&le(&[0x1_0000_0003])[..], &7u32.to_le_bytes(), chunk].concat();
    [(kind::HAND, hand), (kind::GIVEN, chunk.to_vec())]
}

#[test]
fn chunks_are_written_entry_by_entry_and_read_back_whole_or_not_at_all() {
    check(200, (spans(), entries()), |(span, entries)| {
        let reach: u32 = entries.iter().map(|(ahead, ..)| ahead).sum();
        let head = chunk_head(&span, reach, false);
        let by_hand: Vec<u8> = entries.iter().flat_map(entry_by_hand).collect();
        let bytes = [head_by_hand(&head), by_hand].concat();
        let fill = |writer: &mut Writer<'_>| {
            writer.chunk_head(&head)?;
            let mut before = head.span.from;
            for (ahead, key, value) in &entries {
                let written = Written { version: before + ahead, key: key.as_bytes(), value: value.as_deref() };
                let (start, len) = (writer.len(), value.as_ref().map(Vec::len));
                writer.written(before, &written)?;
                assert_eq!(writer.len() - start, written_len(before, before + ahead, key.len(), len));
                before += ahead;
            }
            Some(())
        };
        assert_eq!(write(2_000, fill), (Some(()), around(&bytes)));
        assert!(head_by_hand(&head).len() <= MOST_OF_SPAN);
        for (kind, body) in around_chunk(&bytes) {
            read(&forge::frame(kind, &body), |mut reader| {
                let (kind, body) = reader.frame().expect("it is whole");
                let chunk = match decode(kind, body) {
                    Ok(Frame::Hand { number: 3, low: 1, high: 7, content: Content::Chunk(chunk) })
                    | Ok(Frame::Given(chunk)) => chunk,
                    other => panic!("{other:?}"),
                };
                assert_eq!(chunk.head, head);
                let (mut body, mut before) = (chunk.body, head.span.from);
                for (ahead, key, value) in &entries {
                    let written = Written { version: before + ahead, key: key.as_bytes(), value: value.as_deref() };
                    assert_eq!(body.written(before), Some(written));
                    before += ahead;
                }
                assert!(body.is_empty());
            });
            for cut in head_by_hand(&head).len() + 1..bytes.len() {
                let len = body.len() - (bytes.len() - cut);
                let outcome = decoded(kind, &body[..len]);
                let whole = decoded(kind, &body).is_ok();
                assert!(whole && (outcome.is_ok() || outcome.err() == MALFORMED), "half an entry is none");
            }
        }
    });
}

/// A chunk of the bulk by hand, from numbers as they stand there, and what is behind them.
fn raw(flags: u8, numbers: [u32; 5], rest: &[u8]) -> Vec<u8> {
    [&[7; 11][..], &[flags], &numbers.map(forge::varint).concat(), rest].concat()
}

#[test]
fn chunks_that_make_no_sense_are_malformed() {
    let entry = |bytes: &[u8]| raw(0, [5, 10, 0, 0, 0], bytes);
    let piece = |bytes: &[u8]| raw(2, [5, 10, 0, 0, 0], bytes);
    let far = [MOST_VERSION - 1, 1, 0, 0, 0];
    let sound = [
        raw(0, [5, 0, 0, 0, 5], &[]),
        raw(1, far, &[]),
        entry(&[10, 1, b'k', 0]),
        entry(&[1, 1, b'k', 0, 9, 0x81, b'k']),
        piece(&[1, b'k', 4, 2, 1, 8, 8]),
    ];
    let unsound = [
        (raw(8, [5, 10, 0, 0, 0], &[]), "a flag that there is not"),
        (raw(0, [5, 0, 0, 0, 6], &[]), "the floor is above all"),
        (raw(0, [MOST_VERSION, 0, 0, 1, 0], &[]), "more versions than there can be"),
        (raw(0, [MOST_VERSION, 0, 1, 0, 0], &[]), "the same of what it is as of, by one"),
        (raw(0, [u32::MAX, 1, 0, 0, 0], &[]), "more than can be counted"),
        (raw(0, [u32::MAX - 1, 1, 1, 0, 0], &[]), "the same of what it is as of"),
        (entry(&[0, 1, b'k', 0]), "two of one version"),
        (entry(&[11, 1, b'k', 0]), "a version behind its end"),
        (entry(&[1, 0, 0]), "no key"),
        (entry(&[1, 1, 0xff, 0]), "a key that is no text"),
        (entry(&[1, 2, b'k', 0]), "half a key"),
        (entry(&[1, 1, b'k', 2, 0]), "half a value"),
        (piece(&[1, b'k', 4, 2, 2, 8, 8]), "a third of two"),
        (piece(&[1, b'k', 4, 1, 0, 8, 8, 8, 8]), "one of one"),
        (piece(&[1, b'k', 4, 65, 0, 8]), "more than there can be"),
        (piece(&[1, b'k', 4, 2, 1, 8]), "too short"),
        (piece(&[1, b'k', 4, 2, 1, 8, 8, 8]), "too long"),
        (piece(&[1, b'k', 2, 3, 2]), "nothing is left for it"),
        (piece(&[0, 4, 2, 1, 8, 8]), "without a key"),
        (raw(2, [5, 0, 0, 0, 0], &[1, b'k', 4, 2, 1, 8, 8]), "a piece of no version"),
    ];
    for bytes in &sound {
        for (kind, body) in around_chunk(bytes) {
            assert!(decoded(kind, &body).is_ok(), "{bytes:?}");
        }
    }
    for (bytes, what) in &unsound {
        for (kind, body) in around_chunk(bytes) {
            assert_eq!(decoded(kind, &body).err(), MALFORMED, "{what}");
        }
    }
    let backwards = [&[11; 4][..], &[2, 0, 0, 0, 1, 0, 0, 0], &sound[0]].concat();
    assert_eq!(decoded(kind::HAND, &backwards).err(), MALFORMED, "a range that ends before it begins");
}

#[test]
fn pieces_of_a_value_are_of_one_length_but_for_the_last_and_read_as_they_were_written() {
    let inputs = (spans(), "[a-z]{1,63}", vec(any::<u8>(), 2..400), 2..=64u8, any::<u8>());
    check(200, inputs, |(span, key, value, pieces, which)| {
        let pieces = (pieces as usize).min(value.len());
        let each = value.len().div_ceil(pieces);
        let parts: Vec<&[u8]> = value.chunks(each).collect();
        let (pieces, which) = (parts.len().max(2) as u8, usize::from(which) % parts.len());
        if parts.len() < 2 || value.len().div_ceil(pieces.into()) != each {
            return;
        }
        let head = chunk_head(&span, 1, true);
        let piece = ValuePiece {
            key: key.as_bytes(),
            len: value.len() as u32,
            pieces,
            piece: which as u8,
            bytes: parts[which],
        };
        let fields = [&forge::varint(value.len() as u32)[..], &[pieces, which as u8]].concat();
        let bytes = [&head_by_hand(&head)[..], &[key.len() as u8], key.as_bytes(), &fields, parts[which]].concat();
        let fill = |writer: &mut Writer<'_>| writer.chunk_head(&head).and_then(|()| writer.value_piece(&piece));
        assert_eq!(write(700, fill), (Some(()), around(&bytes)));
        for (kind, body) in around_chunk(&bytes) {
            read(&forge::frame(kind, &body), |mut reader| {
                let (kind, body) = reader.frame().expect("it is whole");
                let Ok(Frame::Hand { content: Content::Chunk(chunk), .. } | Frame::Given(chunk)) = decode(kind, body)
                else {
                    panic!("it is a chunk");
                };
                let mut body = chunk.body;
                assert_eq!((chunk.head, body.value_piece()), (head, Some(piece)));
            });
        }
    });
}

fn hads() -> impl Strategy<Value = Had> {
    let log = || {
        let parts = (number(), any::<bool>(), proptest::option::of((number(), any::<u64>())));
        parts.prop_map(|(version, rebuilds, partial)| HadOf { version, rebuilds, partial })
    };
    (origins(), log(), log()).prop_map(|(origin, bulk, vital)| Had { origin, logs: [bulk, vital] })
}

fn had_by_hand(had: &Had) -> Vec<u8> {
    let mut flags = 0;
    let mut logs = Vec::new();
    for (place, log) in had.logs.iter().enumerate() {
        flags |= u8::from(log.rebuilds) << place | u8::from(log.partial.is_some()) << (2 + place);
        logs.extend(forge::varint(log.version));
        if let Some((version, came)) = log.partial {
            logs.extend(forge::varint(version));
            logs.extend(came.to_le_bytes());
        }
    }
    [&origin_by_hand(had.origin)[..], &[flags], &logs].concat()
}

#[test]
fn what_is_asked_for_is_written_map_by_map_and_read_back() {
    check(100, (any::<u32>(), vec(hads(), 0..8)), |(n, hads)| {
        let bytes: Vec<u8> = hads.iter().flat_map(had_by_hand).collect();
        let (done, written) = write(700, |writer| hads.iter().try_for_each(|had| writer.had(had)));
        assert_eq!((done, written), (Some(()), around(&bytes)));
        read(&forge::frame(kind::FETCH, &[&n.to_le_bytes()[..], &bytes].concat()), |mut reader| {
            let (kind, body) = reader.frame().expect("it is whole");
            let Ok(Frame::Fetch { number, mut wants }) = decode(kind, body) else { panic!("it is a fetch") };
            let said: Vec<Had> = core::iter::from_fn(|| wants.had()).collect();
            assert_eq!((number, said, wants.is_empty()), (n, hads.clone(), true));
        });
        if let Some(had) = hads.first() {
            for room in 0..had_by_hand(had).len() {
                let (done, written) = write(HEAD_LEN + room, |writer| writer.had(had));
                assert_eq!((done, written), (None, around(&[])), "what does not fit is not begun");
            }
        }
    });
}

#[test]
fn answers_to_what_was_handed_out_and_ends_of_what_was_given_are_written_as_they_are_read() {
    check(100, (any::<u32>(), number()), |(n, have)| {
        for (word, passing) in [(0, Passing::No), (1, Passing::Yes), (2, Passing::Gap)] {
            let of_map = n & 3 == 3;
            let (have, version) = if of_map { (have, forge::varint(have)) } else { (0, Vec::new()) };
            let bytes = [&n.to_le_bytes()[..], &[word], &version].concat();
            assert_eq!(write(60, |writer| writer.hand_ack(n, passing, have)), (Some(()), around(&bytes)));
            let said = std::format!("{:?}", Frame::HandAck { number: n, passing, have });
            assert_eq!(decoded(kind::HAND_ACK, &bytes), Ok(said));
            for len in 0..bytes.len() {
                assert_eq!(decoded(kind::HAND_ACK, &bytes[..len]).err(), MALFORMED, "{len} bytes");
            }
        }
        let fetched = std::format!("{:?}", Frame::Fetched { number: n });
        assert_eq!(decoded(kind::FETCHED, &n.to_le_bytes()), Ok(fetched));
    });
    assert_eq!(decoded(kind::HAND_ACK, &[3, 1, 1, 1, 3, 0]).err(), MALFORMED, "another word");
    assert_eq!(decoded(kind::HAND_ACK, &[3, 1, 1, 1, 2]).err(), MALFORMED, "without a version");
    assert_eq!(decoded(kind::FETCHED, &[1, 1, 1]).err(), MALFORMED, "half a number");
}

#[test]
fn sums_say_of_what_they_are_before_a_range_a_salt_and_sums_of_two_bytes() {
    let body = [&[1][..], &le(&[5, 9]), &7u32.to_le_bytes(), &[1, 2, 3, 4, 5]].concat();
    read(&forge::frame(kind::SUMS, &body), |mut reader| {
        let (kind, body) = reader.frame().expect("it is whole");
        let Ok(Frame::Sums { what: What::Positions, low: 5, high: 9, salt: 7, mut sums }) = decode(kind, body) else {
            panic!("sums of positions")
        };
        assert_eq!((sums.u16(), sums.u16(), sums.u16(), sums.len()), (Some(0x201), Some(0x403), None, 1));
    });
    let headed = |what: u8, low: u64, high: u64| {
        decoded(kind::SUMS, &[&[what][..], &le(&[low, high]), &7u32.to_le_bytes()].concat())
    };
    assert!(headed(0, 5, 9).is_ok() && headed(1, 9, 9).is_ok());
    assert_eq!(headed(1, 9, 5).err(), MALFORMED, "backwards");
    assert_eq!(headed(2, 5, 9).err(), MALFORMED, "of something else");
}

/// Writes a delta whose head and counters are the longest into a buffer of this size; its length.
fn longest_delta(size: usize, piece: bool, key: &[u8], bytes: &[u8]) -> Option<usize> {
    let head = Head { incarnation: u32::MAX, ..head() };
    let mut buf = std::vec![0; size];
    let mut writer = Writer::new(&mut buf, seal(), head)?;
    let frame = writer.begin(kind::HAND)?;
    (0..3).try_for_each(|_| writer.u32(u32::MAX))?;
    let origin = Origin { id: NodeId::new(u64::MAX), tag: 0xff_ffff };
    // Each of the five takes five bytes.
    let far = u32::MAX / 4;
    let span = Span { from: far, to: 2 * far, as_of: 3 * far, floor: far, sure: true };
    writer.chunk_head(&ChunkHead { origin, vital: true, piece, span, newest: u32::MAX })?;
    if piece {
        writer.value_piece(&ValuePiece { key, len: 1 << 16, pieces: 64, piece: 63, bytes })?;
    } else {
        writer.written(0, &Written { version: u32::MAX, key, value: Some(bytes) })?;
    }
    writer.end(frame)?;
    writer.finish(seal())
}

#[test]
fn an_entry_or_a_piece_as_long_as_is_said_fits_every_size() {
    let before = MOST_BEFORE_ENTRIES + MOST_BEFORE_KEY + MOST_BEFORE_VALUE;
    for size in (crate::MIN_DATAGRAM..300).chain(16_380..16_480).chain([crate::MAX_DATAGRAM]) {
        for key in [1, MAX_KEY.min(size - before - 1)] {
            let (key, bytes) = (std::vec![b'k'; key], std::vec![7; size - before - key]);
            for piece in [false, true] {
                let len = longest_delta(size, piece, &key, &bytes);
                assert!(len.is_some_and(|len| len <= size), "{size} bytes, a key of {}", key.len());
            }
        }
    }
}

#[test]
fn the_sizes_of_what_goes_most_often_are_these() {
    let origin = Origin { id: NodeId::new(1), tag: 1 };
    let span = Span { from: 100, to: 101, as_of: 101, floor: 90, sure: true };
    let chunk = ChunkHead { origin, vital: false, piece: false, span, newest: 101 };
    let entry = Written { version: 101, key: b"health", value: Some(b"ok") };
    let delta = |writer: &mut Writer<'_>| {
        let frame = writer.begin(kind::HAND)?;
        (0..3).try_for_each(|_| writer.u32(7))?;
        writer.chunk_head(&chunk)?;
        writer.written(100, &entry)?;
        writer.end(frame)
    };
    let len = |fill: &dyn Fn(&mut Writer<'_>) -> Option<()>| write(300, fill).1.len() - HEAD_LEN;
    // In a buffer of this size the kind and the length take three bytes.
    assert_eq!(len(&delta), 3 + 12 + (8 + 3 + 1 + 5) + (1 + 1 + 6 + 1 + 2), "a key of 6 bytes with a value of 2");
    let ack = |writer: &mut Writer<'_>| writer.frame(kind::HAND_ACK, |body| body.hand_ack(7, Passing::Yes, 101));
    assert_eq!(len(&ack), 2 + 4 + 1 + 1);
    let had = Had { origin, logs: [HadOf { version: 101, ..HadOf::default() }; 2] };
    let fetch = |writer: &mut Writer<'_>| writer.had(&had);
    assert_eq!(len(&fetch), 8 + 3 + 1 + 1 + 1, "beside the number of the question");
}
