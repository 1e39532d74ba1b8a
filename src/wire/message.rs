//! The frames of broadcasts and direct messages.

use super::{Frame, Reader, Writer, kind};
use crate::member::NodeId;

pub(crate) const HOLLOW: u8 = 1 << 0;
pub(crate) const PART: u8 = 1 << 1;
pub(crate) const QUESTION: u8 = 1 << 2;
pub(crate) const ANSWER: u8 = 1 << 3;
/// Where the number of hops begins.
pub(crate) const HOPS: u32 = 4;

/// The most pieces of a message: one bit each in what is remembered of it.
pub(crate) const MOST_PIECES: u8 = 32;
/// The most bytes of a datagram before the payload of a message: the head, a frame, whom to pass it on to, and the piece.
pub(crate) const MOST_BEFORE_PAYLOAD: usize = 23 + 4 + 12 + 8 + 3 + 5 + 1 + 4 + 7;

/// Who broadcast something, and the tag of which life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) id: NodeId,
    pub(crate) tag: u32,
}

/// What a message is, and the bytes of one of its pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'d> {
    pub(crate) form: u8,
    pub(crate) topic: u32,
    pub(crate) piece: u8,
    pub(crate) pieces: u8,
    /// The length of the whole payload.
    pub(crate) len: u32,
    pub(crate) bytes: &'d [u8],
}

/// A broadcast, or one piece of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'d> {
    pub(crate) origin: Origin,
    pub(crate) seq: u32,
    pub(crate) part: Part<'d>,
}

/// Which broadcasts of an origin are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pull {
    pub(crate) number: u32,
    pub(crate) origin: Origin,
    pub(crate) first: u32,
    pub(crate) wanted: u64,
}

/// Which of those that were asked for there are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lack {
    pub(crate) pull: Pull,
    pub(crate) oldest: u32,
    pub(crate) newest: u32,
}

pub(super) fn decode(kind: u8, mut body: Reader<'_>) -> Option<Frame<'_>> {
    Some(match kind {
        kind::PULL => Frame::Pull(pull(&mut body)?),
        kind::GIVE => Frame::Give(piece(body)?),
        kind::LACK => Frame::Lack(Lack { pull: pull(&mut body)?, oldest: body.u32()?, newest: body.u32()? }),
        kind::DIRECT => {
            let number = body.u32()?;
            Frame::Direct { number, part: part(body).filter(|part| part.form & HOLLOW == 0)? }
        }
        kind::DIRECT_ACK => Frame::DirectAck { number: body.u32()?, piece: body.u8()?, taken: body.bool()? },
        _ => return None,
    })
}

/// A frame of messages or maps to one who does not keep them: what it takes to decline it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// Of those that are declined alike, any.
    pub(crate) kind: u8,
    pub(crate) number: u32,
    /// Of a direct message.
    pub(crate) piece: u8,
}

pub(super) fn foreign(kind: u8, mut body: Reader<'_>) -> Option<Foreign> {
    let number = body.u32()?;
    let form = if kind == kind::DIRECT { body.take(5)?.first().copied() } else { None };
    let piece = if form.is_some_and(|form| form & PART != 0) { body.u8()? } else { 0 };
    Some(Foreign { kind, number, piece })
}

impl Frame<'_> {
    pub(crate) fn foreign(&self) -> Foreign {
        let (kind, number, piece) = match self {
            Frame::Direct { number, part } => (kind::DIRECT, *number, part.piece),
            Frame::Fetch { .. } | Frame::Given(_) | Frame::Fetched { .. } => (kind::FETCH, 0, 0),
            _ => (kind::PULL, 0, 0),
        };
        Foreign { kind, number, piece }
    }
}

fn pull(body: &mut Reader<'_>) -> Option<Pull> {
    let number = body.u32()?;
    let origin = Origin { id: body.id()?, tag: body.u24()? };
    Some(Pull { number, origin, first: body.u32()?, wanted: body.u64()? })
}

pub(super) fn piece(mut body: Reader<'_>) -> Option<Piece<'_>> {
    let origin = Origin { id: body.id()?, tag: body.u24()? };
    let seq = body.varint()?;
    let part = part(body)?;
    // The first piece has a number, too, and numbers begin with 1.
    (seq > u32::from(part.piece)).then_some(Piece { origin, seq, part })
}

fn part(mut body: Reader<'_>) -> Option<Part<'_>> {
    let (form, topic) = (body.u8()?, body.u32()?);
    // Without its payload it is in one piece, however many there are of that: it must not say how much room they take.
    if form & HOLLOW != 0 && (form & PART != 0 || !body.is_empty()) {
        return None;
    }
    if form & PART == 0 {
        let bytes = body.bytes;
        return Some(Part { form, topic, piece: 0, pieces: 1, len: bytes.len() as u32, bytes });
    }
    let (piece, pieces, len) = (body.u8()?, body.u8()?, body.varint()?);
    let part = Part { form, topic, piece, pieces, len, bytes: body.bytes };
    part.is_sound().then_some(part)
}

impl Part<'_> {
    /// Whether there are as many bytes as the others of its kind say.
    fn is_sound(&self) -> bool {
        let pieces = u32::from(self.pieces);
        let few = (2..=u32::from(MOST_PIECES)).contains(&pieces) && self.piece < self.pieces;
        if !few || self.len < pieces {
            return false;
        }
        let each = self.len.div_ceil(pieces);
        // An odd length may leave nothing for the last pieces: nobody cuts so.
        let start = u64::from(each) * u64::from(self.piece);
        let left = u64::from(self.len).saturating_sub(start);
        left > 0 && self.bytes.len() as u64 == left.min(each.into())
    }
}

/// Writes a frame of any length, or nothing.
pub(crate) fn write_frame(
    kind: u8,
    writer: &mut Writer<'_>,
    body: impl FnOnce(&mut Writer<'_>) -> Option<()>,
) -> Option<()> {
    let frame = writer.begin(kind)?;
    if body(writer).is_some() { writer.end(frame) } else { writer.cancel(frame) }
}

/// Writes a broadcast or one piece of it, behind what else the frame begins with; or nothing.
pub(crate) fn write_piece(piece: &Piece<'_>, writer: &mut Writer<'_>) -> Option<()> {
    writer.id(piece.origin.id)?;
    writer.u24(piece.origin.tag)?;
    writer.varint(piece.seq)?;
    write_part(&piece.part, writer)
}

/// Writes what a message is, and the bytes of one of its pieces.
pub(crate) fn write_part(part: &Part<'_>, writer: &mut Writer<'_>) -> Option<()> {
    let parted = if part.pieces > 1 { PART } else { 0 };
    writer.u8(part.form | parted)?;
    writer.u32(part.topic)?;
    if part.pieces > 1 {
        writer.u8(part.piece)?;
        writer.u8(part.pieces)?;
        writer.varint(part.len)?;
    }
    writer.put(if part.form & HOLLOW == 0 { part.bytes } else { &[] })
}

impl Pull {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        writer.u32(self.number)?;
        writer.id(self.origin.id)?;
        writer.u24(self.origin.tag)?;
        writer.u32(self.first)?;
        writer.u64(self.wanted)
    }
}

impl Lack {
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        self.pull.write(writer)?;
        writer.u32(self.oldest)?;
        writer.u32(self.newest)
    }
}
