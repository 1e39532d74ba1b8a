//! The frames of messages against the tables, as `tests/unit/forge.rs` understands them.

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::frames::{Example, HEAD_LEN, around, decoded, head, le, number, seal, write};
use crate::member::NodeId;
use crate::stats::DropReason;
use crate::unit::forge;
use crate::unit::property::check;
use crate::wire::{
    Content, Frame, HOLLOW, Head, Lack, MOST_BEFORE_PAYLOAD, Origin, PART, Part, Piece, Position, Pull, Writer, kind,
    write_part, write_piece,
};

const MALFORMED: Option<DropReason> = Some(DropReason::Malformed);

/// A payload of any length that could be cut into this many pieces, with how many they are and which one is meant.
fn cuts() -> impl Strategy<Value = (Vec<u8>, u8, u8)> {
    let lens = (1..=32usize).prop_flat_map(|pieces| (Just(pieces), 0..pieces, pieces..20 * pieces));
    let whole_last = |(pieces, _, len): &(usize, usize, usize)| len.div_ceil(*pieces) * (pieces - 1) < *len;
    lens.prop_filter("the last has something", whole_last).prop_flat_map(|(pieces, piece, len)| {
        vec(any::<u8>(), len).prop_map(move |payload| (payload, pieces as u8, piece as u8))
    })
}

/// The bytes of one piece, by hand.
fn bytes_of((payload, pieces, piece): &(Vec<u8>, u8, u8)) -> Vec<u8> {
    let each = payload.len().div_ceil((*pieces).into());
    payload.chunks(each).nth((*piece).into()).expect("there are so many").to_vec()
}

/// What goes behind the number of a message, by hand.
fn part_by_hand(form: u8, topic: u32, cut: &(Vec<u8>, u8, u8)) -> Vec<u8> {
    let (payload, pieces, piece) = cut;
    let parted = *pieces > 1;
    let form = if parted { form | 2 } else { form & !2 };
    let place = [&[*piece, *pieces][..], &forge::varint(payload.len() as u32)].concat();
    let place = if parted { place } else { Vec::new() };
    [&[form][..], &topic.to_le_bytes(), &place, &bytes_of(cut)].concat()
}

fn origin_by_hand(origin: Origin) -> Vec<u8> {
    [&origin.id.get().to_le_bytes()[..], &origin.tag.to_le_bytes()[..3]].concat()
}

fn origins() -> impl Strategy<Value = Origin> {
    any::<(u64, u32)>().prop_map(|(id, tag)| Origin { id: NodeId::new(id), tag: tag >> 8 })
}

/// Bodies by hand of all kinds that carry no payload.
fn plain_examples(n: u32, wanted: u64, origin: Origin) -> Vec<Example> {
    let (number, first, oldest, newest) = (n, n.wrapping_add(1), n / 2, !n);
    let pull = Pull { number, origin, first, wanted };
    let of_pull = [&n.to_le_bytes()[..], &origin_by_hand(origin), &first.to_le_bytes(), &le(&[wanted])].concat();
    let bounds = [oldest, newest].map(u32::to_le_bytes).concat();
    let piece = n as u8;
    let said = |frame: Frame<'_>| std::format!("{frame:?}");
    let mut all = std::vec![
        (22, of_pull.clone(), said(Frame::Pull(pull)), 0),
        (24, [of_pull, bounds].concat(), said(Frame::Lack(Lack { pull, oldest, newest })), 0),
    ];
    for yes in [false, true] {
        let direct_ack = [&n.to_le_bytes()[..], &[piece, yes.into()]].concat();
        all.push((26, direct_ack, said(Frame::DirectAck { number, piece, taken: yes }), 0));
    }
    all
}

#[test]
fn frames_about_messages_are_understood_and_shorter_ones_are_malformed() {
    check(100, (any::<u32>(), any::<u64>(), origins()), |(n, wanted, origin)| {
        for (kind, body, said, _) in plain_examples(n, wanted, origin) {
            assert_eq!(decoded(kind, &body).as_ref(), Ok(&said));
            for len in 0..body.len() {
                assert_eq!(decoded(kind, &body[..len]).err(), MALFORMED, "{len} bytes of {said}");
            }
        }
    });
    assert_eq!(decoded(26, &[1, 2, 3, 4, 0, 2]).err(), MALFORMED, "there was room for it or not");
}

#[test]
fn any_piece_is_written_as_in_the_diagram_and_read_back_and_one_byte_less_is_malformed() {
    let inputs = ((any::<u32>(), any::<u8>(), any::<u32>()), number(), origins(), cuts());
    check(300, inputs, |((number, form, topic), seq, origin, cut)| {
        let (payload, pieces, piece) = &cut;
        let seq = seq.max(u32::from(*piece) + 1);
        let bytes = &bytes_of(&cut)[..];
        let form = form & !(HOLLOW | PART);
        let part = Part { form, topic, piece: *piece, pieces: *pieces, len: payload.len() as u32, bytes };
        let behind = part_by_hand(form, topic, &cut);
        let whole = [origin_by_hand(origin), forge::varint(seq), behind.clone()].concat();
        let handed = number & !3 | 2;
        let ends = [handed.to_le_bytes(), 5u32.to_le_bytes(), 6u32.to_le_bytes()].concat();

        let (done, written) = write(2_000, |writer| write_piece(&Piece { origin, seq, part }, writer));
        assert_eq!((done, written), (Some(()), around(&whole)));
        let (done, written) = write(2_000, |writer| write_part(&part, writer));
        assert_eq!((done, written), (Some(()), around(&behind)));

        // What says that it is one of several says so when it is read.
        let part = Part { form: if *pieces > 1 { form | PART } else { form }, ..part };
        let said = Piece { origin, seq, part };
        let (low, high) = (5, 6);
        let frames = [
            (14, [ends, whole.clone()].concat(), {
                std::format!("{:?}", Frame::Hand { number: handed, low, high, content: Content::Piece(said) })
            }),
            (23, whole, std::format!("{:?}", Frame::Give(said))),
            (25, [&number.to_le_bytes()[..], &behind].concat(), std::format!("{:?}", Frame::Direct { number, part })),
        ];
        for (kind, body, said) in frames {
            assert_eq!(decoded(kind, &body), Ok(said));
            let least = body.len() - if *pieces == 1 { bytes.len() } else { 0 };
            for len in 0..least {
                assert_eq!(decoded(kind, &body[..len]).err(), MALFORMED, "{len} bytes of a frame {kind}");
            }
        }
    });
}

/// A broadcast's body with this form and this behind the topic.
fn give(seq: u32, form: u8, rest: &[u8]) -> Result<std::string::String, DropReason> {
    let origin = Origin { id: NodeId::new(7), tag: 8 };
    decoded(23, &[&origin_by_hand(origin)[..], &forge::varint(seq), &[form, 1, 2, 3, 4], rest].concat())
}

#[test]
fn pieces_that_nobody_cuts_so_are_malformed() {
    assert!(give(9, 2, &[0, 3, 5, 10, 11]).is_ok(), "two bytes of five in three pieces");
    let senseless: [(&str, &[u8]); 9] = [
        ("one of one", &[0, 1, 2, 10, 11]),
        ("one of none", &[0, 0, 2, 10, 11]),
        ("one of 33", &[0, 33, 33, 10]),
        ("the fourth of three", &[3, 3, 5, 10]),
        ("three pieces of two bytes", &[0, 3, 2, 10]),
        ("too few bytes", &[0, 3, 5, 10]),
        ("too many bytes", &[0, 3, 5, 10, 11, 12]),
        ("a last piece as long as the others", &[2, 3, 5, 10, 11]),
        ("a last piece without a byte, as nothing is left for it", &[4, 5, 8]),
    ];
    for (what, rest) in senseless {
        assert_eq!(give(9, 2, rest).err(), MALFORMED, "{what}");
    }
    assert_eq!(give(0, 0, &[10]).err(), MALFORMED, "numbers begin with 1");
    assert_eq!(give(2, 2, &[2, 3, 5, 10]).err(), MALFORMED, "and so do those of the pieces before");
    assert!(give(3, 2, &[2, 3, 5, 10]).is_ok());
}

#[test]
fn what_is_hollow_carries_nothing_and_says_nothing_of_how_much_there_is() {
    assert!(give(9, 1, &[]).is_ok());
    assert_eq!(give(9, 1, &[10]).err(), MALFORMED, "a payload");
    assert_eq!(give(9, 3, &[0, 3, 0xff, 0xff, 3]).err(), MALFORMED, "room for 65,535 bytes");
    assert_eq!(decoded(25, &[1, 2, 3, 4, 1, 1, 2, 3, 4]).err(), MALFORMED, "a message to one who would not get it");
    let part = Part { form: HOLLOW, topic: 5, piece: 0, pieces: 1, len: 0, bytes: &[] };
    let (_, written) = write(100, |writer| write_part(&part, writer));
    assert_eq!(written, around(&[1, 5, 0, 0, 0]));
}

#[test]
fn ranges_that_end_before_they_begin_are_malformed() {
    let whole = [&[7; 11][..], &[1, 0, 0, 0, 0, 0]].concat();
    let cast =
        |low: u32, high: u32| decoded(14, &[&[10; 4], &low.to_le_bytes()[..], &high.to_le_bytes(), &whole].concat());
    assert!(cast(5, 5).is_ok());
    assert_eq!(cast(6, 5).err(), MALFORMED);
    let have = |low: u64, high: u64, answer: u8| decoded(20, &[&le(&[low, high])[..], &[answer]].concat());
    assert!(have(5, 5, 0).is_ok() && have(5, 6, 1).is_ok());
    assert_eq!(have(6, 5, 0).err(), MALFORMED);
    assert_eq!(have(5, 5, 2).err(), MALFORMED, "it is an answer or not");
}

/// How far somebody has come, as it is told and by hand.
fn positions() -> impl Strategy<Value = (Origin, Position)> {
    (origins(), number(), [number(), number()]).prop_map(|(of, seen, versions)| (of, Position { seen, versions }))
}

fn position_by_hand((of, position): &(Origin, Position)) -> Vec<u8> {
    let [bulk, vital] = position.versions.map(forge::varint);
    [origin_by_hand(*of), forge::varint(position.seen), bulk, vital].concat()
}

#[test]
fn positions_are_written_one_by_one_and_read_back() {
    check(100, vec(positions(), 0..12), |all| {
        let bytes: Vec<u8> = all.iter().flat_map(position_by_hand).collect();
        let (done, written) = write(500, |writer| all.iter().try_for_each(|(of, one)| writer.position(*of, *one)));
        assert_eq!((done, &written), (Some(()), &around(&bytes)));
        let body = [&le(&[1, 2])[..], &[0], &bytes].concat();
        super::frames::read(&forge::frame(20, &body), |mut reader| {
            let (kind, body) = reader.frame().expect("it is whole");
            let Ok(Frame::Have { low: 1, high: 2, answer: false, mut positions }) = crate::wire::decode(kind, body)
            else {
                panic!("it is a frame of positions");
            };
            let read: Vec<(Origin, Position)> = core::iter::from_fn(|| positions.position()).collect();
            assert_eq!((read, positions.is_empty()), (all.clone(), true));
        });
        if let Some(one) = all.first() {
            for room in 0..position_by_hand(one).len() {
                let (done, written) = write(HEAD_LEN + room, |writer| writer.position(one.0, one.1));
                assert_eq!((done, written), (None, around(&[])), "a position that does not fit is not begun");
            }
        }
    });
}

#[test]
fn what_is_asked_for_and_what_is_lacking_is_written_as_it_is_read() {
    check(100, (any::<u32>(), any::<u64>(), origins()), |(n, wanted, origin)| {
        let [pull, lack] = [0, 1].map(|which| plain_examples(n, wanted, origin)[which].1.clone());
        let asked = Pull { number: n, origin, first: n.wrapping_add(1), wanted };
        let (done, written) = write(200, |writer| asked.write(writer));
        assert_eq!((done, written), (Some(()), around(&pull)));
        let (oldest, newest) = (n / 2, !n);
        let (done, written) = write(200, |writer| Lack { pull: asked, oldest, newest }.write(writer));
        assert_eq!((done, written), (Some(()), around(&lack)));
    });
}

/// Writes a cast with the longest head and counters and this many bytes into a buffer of this size; its length.
fn longest_cast(size: usize, bytes: &[u8]) -> Option<usize> {
    let head = Head { incarnation: u32::MAX, ..head() };
    let mut buf = std::vec![0; size];
    let mut writer = Writer::new(&mut buf, seal(), head)?;
    let frame = writer.begin(kind::HAND)?;
    (0..3).try_for_each(|_| writer.u32(u32::MAX))?;
    let part = Part { form: 0, topic: u32::MAX, piece: 31, pieces: 32, len: u32::MAX, bytes };
    let origin = Origin { id: NodeId::new(u64::MAX), tag: 0xff_ffff };
    write_piece(&Piece { origin, seq: u32::MAX, part }, &mut writer)?;
    writer.end(frame)?;
    writer.finish(seal())
}

#[test]
fn a_payload_as_long_as_is_said_fits_every_size_and_the_greatest_has_no_room_for_more() {
    for size in (crate::MIN_DATAGRAM..300).chain(16_380..16_480).chain([crate::MAX_DATAGRAM]) {
        let bytes = std::vec![7; size - MOST_BEFORE_PAYLOAD];
        assert!(longest_cast(size, &bytes).is_some(), "{size} bytes");
    }
    let one_more = std::vec![7; crate::MAX_DATAGRAM - MOST_BEFORE_PAYLOAD + 1];
    assert_eq!(longest_cast(crate::MAX_DATAGRAM, &one_more), None);
}
