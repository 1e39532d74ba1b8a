//! The second reader: by hand, from the byte diagrams and the table in `src/wire/mod.rs`, with nothing of the codec but
//! the names of the kinds.

use std::string::String;
use std::vec::Vec;

use super::{ADDRESSEE, BITS, CLUSTER, FIELDS, Opened, Place, Said, Script, Sent, Stretch, Told, forge};
use crate::member::{Address, Certificate, Life, Liveness, NodeId, Record};
use crate::stats::DropReason;
use crate::wire::{ChunkHead, Had, HadOf, Head, Origin, Span, kind};

pub(super) fn by_hand<A: Address>(datagram: &[u8]) -> Opened<A> {
    let mut rest = datagram;
    let front = take(&mut rest, 3).ok_or(DropReason::Truncated)?;
    let form = front[0];
    if form & 0xf != 2 {
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
    let fields: Option<Vec<u64>> = widths.iter().map(|width| field(&mut body, *width)).collect();
    let mut fields = fields.ok_or(DropReason::Malformed)?;
    if kind == kind::ACK && !body.is_empty() {
        fields.push(number(&mut body, 6).ok_or(DropReason::Malformed)?);
    }
    // What is handed out, or was, is said by the two lowest bits of its number.
    let [records, message, map] =
        [1, 2, 3].map(|what| matches!(kind, kind::HAND | kind::HAND_ACK) && fields[0] & 3 == what);
    if kind == kind::HAND_ACK && map {
        fields.push(varint(&mut body).ok_or(DropReason::Malformed)?.into());
    }
    make_sense(kind, &mut fields)?;
    let mut said = Said::plain(kind, fields);
    match kind {
        kind::HAND if records => (said.records, said.whole) = all(body, record_by_hand),
        kind::HAND if message => said.piece = Some(piece_by_hand(kind, body).ok_or(DropReason::Malformed)?),
        kind::HAND if map => said.chunk = Some(chunk_by_hand(body).ok_or(DropReason::Malformed)?),
        kind::NEWS | kind::DIFF | kind::JOIN | kind::WELCOME | kind::CLAIM => {
            (said.records, said.whole) = all(body, record_by_hand);
        }
        kind::LIST => {
            (said.numbers, said.whole) = all(body, |rest| number(rest, 4).map(|number| number as u32));
        }
        kind::SUMS => (said.numbers, said.whole) = all(body, |rest| number(rest, 2).map(|number| number as u32)),
        kind::HAVE => (said.positions, said.whole) = all(body, position_by_hand),
        kind::FETCH => (said.hads, said.whole) = all(body, had_by_hand),
        kind::GIVEN => said.chunk = Some(chunk_by_hand(body).ok_or(DropReason::Malformed)?),
        kind::GIVE | kind::DIRECT => {
            said.piece = Some(piece_by_hand(kind, body).ok_or(DropReason::Malformed)?);
        }
        _ => {}
    }
    Ok(said)
}

/// As many as there are, and whether nothing else comes behind them.
fn all<T>(mut bytes: &[u8], next: impl Fn(&mut &[u8]) -> Option<T>) -> (Vec<T>, bool) {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        match next(&mut bytes) {
            Some(one) => found.push(one),
            None => return (found, false),
        }
    }
    (found, true)
}

/// Refuses fields that make no sense, and forgets what a node forgets of the others.
fn make_sense(kind: u8, fields: &mut [u64]) -> Result<(), DropReason> {
    match (kind, &mut *fields) {
        (kind::VERDICT, [_, _, word]) if *word > 2 => return Err(DropReason::Malformed),
        (kind::LIST | kind::DIFF | kind::PARTS | kind::HAVE, [low, high, ..])
        | (kind::SUMS, [_, low, high, ..])
        | (kind::HAND, [_, low, high])
            if *low > *high =>
        {
            return Err(DropReason::Malformed);
        }
        (kind::DIRECT_ACK | kind::HAVE, [.., yes]) | (kind::SUMS, [yes, ..]) if *yes > 1 => {
            return Err(DropReason::Malformed);
        }
        (kind::HAND, [number, ..]) if *number & 3 == 0 => return Err(DropReason::Malformed),
        (kind::HAND_ACK, [_, passing, ..]) if *passing > 2 => return Err(DropReason::Malformed),
        (kind::WELCOME, [_, answer, _]) if *answer > 4 => return Err(DropReason::Malformed),
        // What a node makes of these is less than what they say.
        (kind::WELCOME, [_, answer, cookie]) if *answer > 0 => *cookie = 0,
        (kind::JOIN, [_, _, oldest, newest]) => {
            // The highest bit says that the cookie is the id of whom it looks for.
            let (seeks, speaks) = (*oldest & 0x80, (*oldest & 0x7f..=*newest).contains(&2));
            (*oldest, *newest) = (seeks, if speaks { 2 } else { 0 });
        }
        _ => {}
    }
    Ok(())
}

/// A member, the tag of its life, and a number among its broadcasts.
fn origin_by_hand(bytes: &mut &[u8]) -> Option<(u64, u32, u32)> {
    Some((number(bytes, 8)?, number(bytes, 3)? as u32, varint(bytes)?))
}

/// The same with two more numbers, of both logs of its map.
fn position_by_hand(bytes: &mut &[u8]) -> Option<Place> {
    let (id, tag, seen) = origin_by_hand(bytes)?;
    Some((id, tag, [seen, varint(bytes)?, varint(bytes)?]))
}

/// What somebody has of a map.
fn had_by_hand(bytes: &mut &[u8]) -> Option<Had> {
    let origin = Origin { id: NodeId::new(number(bytes, 8)?), tag: number(bytes, 3)? as u32 };
    let flags = number(bytes, 1)?;
    let mut log = |rebuilds: u64, pieces: u64| {
        let version = varint(bytes)?;
        let partial = if flags & pieces != 0 { Some((varint(bytes)?, number(bytes, 8)?)) } else { None };
        Some(HadOf { version, rebuilds: flags & rebuilds != 0, partial })
    };
    Some(Had { origin, logs: [log(1, 4)?, log(2, 8)?] })
}

/// A part of a log, to its end.
fn chunk_by_hand(mut body: &[u8]) -> Option<Stretch> {
    let origin = Origin { id: NodeId::new(number(&mut body, 8)?), tag: number(&mut body, 3)? as u32 };
    let flags = number(&mut body, 1)?;
    let mut ahead = || varint(&mut body).map(u64::from);
    let from = ahead()?;
    let to = from + ahead()?;
    let as_of = to + ahead()?;
    let newest = to + ahead()?;
    let floor = ahead()?;
    if flags > 7 || newest > 1 << 31 || as_of > 1 << 31 || floor > as_of {
        return None;
    }
    let (from, to, as_of, sure) = (from as u32, to as u32, as_of as u32, flags & 4 != 0);
    let span = Span { from, to, as_of, floor: floor as u32, sure };
    let (vital, piece) = (flags & 1 != 0, flags & 2 != 0);
    let head = ChunkHead { origin, vital, piece, span, newest: newest as u32 };
    let mut stretch = Stretch { head, entries: Vec::new(), piece: None };
    if piece {
        let (key, _) = key_by_hand(&mut body)?;
        let place = (varint(&mut body)?, number(&mut body, 1)? as u8, number(&mut body, 1)? as u8);
        stretch.piece =
            Some((key, place, body.to_vec())).filter(|_| is_sound_value_part(place, body.len()) && from < to);
        stretch.piece.as_ref()?;
    } else {
        let mut before = u64::from(from);
        while !body.is_empty() {
            let version = before + u64::from(varint(&mut body)?);
            let (key, deleted) = key_by_hand(&mut body)?;
            let value =
                if deleted { None } else { Some(varint(&mut body).and_then(|len| take(&mut body, len as usize))?) };
            if version == before || version > u64::from(to) {
                return None;
            }
            before = version;
            stretch.entries.push((version as u32, key, value.map(<[u8]>::to_vec)));
        }
    }
    Some(stretch)
}

/// A key, and whether it was deleted.
fn key_by_hand(bytes: &mut &[u8]) -> Option<(Vec<u8>, bool)> {
    let first = number(bytes, 1)?;
    let key = take(bytes, first as usize & 0x3f)?.to_vec();
    (!key.is_empty() && String::from_utf8(key.clone()).is_ok()).then_some((key, first & 0x80 != 0))
}

/// Whether a piece of a value is as long as it must be.
fn is_sound_value_part((len, pieces, piece): (u32, u8, u8), held: usize) -> bool {
    let (len, pieces) = (len as usize, usize::from(pieces));
    let each = len.div_ceil(pieces.max(1));
    let own = len.saturating_sub(usize::from(piece) * each).min(each);
    (2..=64).contains(&pieces) && usize::from(piece) < pieces && len <= 1 << 16 && own > 0 && own == held
}

fn piece_by_hand(kind: u8, mut body: &[u8]) -> Option<Sent> {
    let direct = kind == kind::DIRECT;
    let broadcast = if direct { None } else { Some(origin_by_hand(&mut body)?) };
    let (form, topic) = (number(&mut body, 1)? as u8, number(&mut body, 4)? as u32);
    let [hollow, parted] = [1, 2].map(|bit| form & bit != 0);
    let part = if parted {
        (number(&mut body, 1)? as u8, number(&mut body, 1)? as u8, varint(&mut body)?)
    } else {
        (0, 1, body.len() as u32)
    };
    let sent = Sent { broadcast, form, topic, part, bytes: body.to_vec() };
    // A hollow one is without its payload, and one to a single member is not hollow.
    let sound = if hollow { !direct && !parted && body.is_empty() } else { !parted || is_sound_part(&sent) };
    // Its first piece has a number, too, and that is 1 at the least.
    let numbered = broadcast.is_none_or(|(.., seq)| seq > part.0.into());
    (sound && numbered).then_some(sent)
}

/// Whether a piece is as long as it must be if all are of equal length but for the last, and none is empty.
fn is_sound_part(sent: &Sent) -> bool {
    let (piece, pieces, len) = sent.part;
    let (piece, pieces, len) = (usize::from(piece), usize::from(pieces), len as usize);
    let each = len.div_ceil(pieces.max(1));
    let lengths: Vec<usize> = (0..pieces).map(|place| len.saturating_sub(place * each).min(each)).collect();
    (2..=32).contains(&pieces)
        && len >= pieces
        && lengths.get(piece).is_some_and(|own| *own > 0 && *own == sent.bytes.len())
}

fn record_by_hand<A: Address>(bytes: &mut &[u8]) -> Option<Told<A>> {
    let flags = number(bytes, 1)?;
    let id = NodeId::new(number(bytes, 8)?);
    let life = Life { generation: varint(bytes)?, nonce: number(bytes, 4)? as u32 };
    let incarnation = varint(bytes)?;
    let (addr, rest) = postcard::take_from_bytes(bytes).ok()?;
    *bytes = rest;
    let (mut topics, mut seen) = (0, 0);
    if flags & 1 << 6 != 0 {
        let len = varint(bytes)?;
        let mut extension = take(bytes, len as usize)?;
        topics = number(&mut extension, 4)? as u32;
        if !extension.is_empty() {
            seen = varint(&mut extension)?;
        }
    }
    let mut certificate = None;
    if flags & 1 << 7 != 0 {
        let jurors = [NodeId::new(number(bytes, 8)?), NodeId::new(number(bytes, 8)?)];
        certificate = Some(Certificate { jurors, question: number(bytes, 4)? as u32 });
    }
    let liveness = *[Liveness::Alive, Liveness::Down, Liveness::Left].get(flags as usize & 3)?;
    let patience = (flags >> 2) as u8 & 0xf;
    Some((Record { id, life, incarnation, liveness, addr, patience, topics }, seen, certificate))
}

fn take<'d>(bytes: &mut &'d [u8], len: usize) -> Option<&'d [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn field(bytes: &mut &[u8], width: usize) -> Option<u64> {
    match width {
        BITS => number(bytes, 1).filter(|len| *len <= 8).and_then(|len| number(bytes, len as usize)),
        width => number(bytes, width),
    }
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
