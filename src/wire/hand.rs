//! The frames of the tree: what is handed to a delegate, and its acknowledgement.

use super::{Chunk, Frame, Piece, Reader, Writer, kind, message, state};

/// What follows, in the two lowest bits of a number.
pub(crate) const RECORDS: u32 = 1;
pub(crate) const PIECE: u32 = 2;
pub(crate) const CHUNK: u32 = 3;
const CONTENT: u32 = 3;

/// What a delegate is handed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'d> {
    Records(Reader<'d>),
    Piece(Piece<'d>),
    Chunk(Chunk<'d>),
}

/// What becomes of what a delegate was handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Passing {
    /// It does not go on from here.
    No = 0,
    Yes = 1,
    /// It does not reach back to what is here.
    Gap = 2,
}

/// The number under which such a content goes, from a random one.
pub(crate) fn numbered(random: u32, content: u32) -> u32 {
    random & !CONTENT | content
}

/// What goes under this number.
pub(crate) fn content_of(number: u32) -> u32 {
    number & CONTENT
}

pub(super) fn decode<const DATA: bool>(mut body: Reader<'_>) -> Option<Frame<'_>> {
    let whole = body;
    let (number, low, high) = (body.u32()?, body.u32()?, body.u32()?);
    if low > high {
        return None;
    }
    let content = match content_of(number) {
        RECORDS => Content::Records(body),
        PIECE if DATA => Content::Piece(message::piece(body)?),
        CHUNK if DATA => Content::Chunk(state::chunk(body)?),
        PIECE | CHUNK => return message::foreign(kind::HAND, whole).map(Frame::Foreign),
        _ => return None,
    };
    Some(Frame::Hand { number, low, high, content })
}

pub(super) fn decode_ack(mut body: Reader<'_>) -> Option<Frame<'_>> {
    let number = body.u32()?;
    let passing = match body.u8()? {
        0 => Passing::No,
        1 => Passing::Yes,
        2 => Passing::Gap,
        _ => return None,
    };
    let have = if content_of(number) == CHUNK { body.varint()? } else { 0 };
    Some(Frame::HandAck { number, passing, have })
}

impl Writer<'_> {
    /// An acknowledgement; of a part of a map it says how far this node has come.
    pub(crate) fn hand_ack(&mut self, number: u32, passing: Passing, have: u32) -> Option<()> {
        self.u32(number)?;
        self.u8(passing as u8)?;
        if content_of(number) == CHUNK { self.varint(have) } else { Some(()) }
    }
}
