//! The frames of replicated state.

use super::{Frame, Origin, Reader, Writer, kind};

/// The longest key.
pub(crate) const MAX_KEY: usize = 63;
/// The longest value.
pub(crate) const MOST_VALUE: usize = 1 << 16;
/// The greatest version: what is above it was not written by anybody.
pub(crate) const MOST_VERSION: u32 = 1 << 31;

/// The most entries of a chunk: what takes them in has not much else to do meanwhile.
pub(crate) const MOST_ENTRIES: usize = 32;

/// The log is the vital one.
const VITAL: u8 = 1 << 0;
/// It is one piece of one value.
const PIECE: u8 = 1 << 1;
/// It is just what its sender's owner had at `as_of`.
const SURE: u8 = 1 << 2;
/// In the byte that begins a key: it was deleted.
const DELETED: u8 = 1 << 7;
const KEY_LEN: u8 = MAX_KEY as u8;

/// The most bytes of a datagram before the entries of a delta: the head, a frame, whom to pass it on to, and the span.
pub(crate) const MOST_BEFORE_ENTRIES: usize = 23 + 4 + 12 + MOST_OF_SPAN;
/// The most bytes of a chunk before its entries.
pub(crate) const MOST_OF_SPAN: usize = 8 + 3 + 1 + 5 * 5;
/// The most bytes before the key of an entry, or of a piece.
pub(crate) const MOST_BEFORE_KEY: usize = 5 + 1;
/// The most bytes between a key and its value, or a piece of it.
pub(crate) const MOST_BEFORE_VALUE: usize = 5 + 2;

/// What a chunk of a log says of itself: it has all that its sender held at `as_of` of the versions behind `from` up to
/// `to`, but what was deleted up to `floor`. If it is `sure`, there is nothing else: what a sender holds from before may have
/// been written again, or deleted, in versions that have not come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) as_of: u32,
    pub(crate) floor: u32,
    pub(crate) sure: bool,
}

/// A part of one log of a member's map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'d> {
    pub(crate) head: ChunkHead,
    pub(crate) body: Reader<'d>,
}

/// All of a chunk but its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    pub(crate) origin: Origin,
    pub(crate) vital: bool,
    /// It is one piece of the value that has the version `to`.
    pub(crate) piece: bool,
    pub(crate) span: Span,
    /// The greatest version that there is known to be, whoever has it.
    pub(crate) newest: u32,
}

/// One entry of a chunk; without a value it was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written<'d> {
    pub(crate) version: u32,
    pub(crate) key: &'d [u8],
    pub(crate) value: Option<&'d [u8]>,
}

/// One piece of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValuePiece<'d> {
    pub(crate) key: &'d [u8],
    /// The length of the whole value.
    pub(crate) len: u32,
    pub(crate) pieces: u8,
    pub(crate) piece: u8,
    pub(crate) bytes: &'d [u8],
}

impl ValuePiece<'_> {
    /// Where a piece lies in a value: all are of one length, but for the last.
    pub(crate) fn range(len: u32, pieces: u8, piece: u8) -> core::ops::Range<usize> {
        let (len, each) = (len as usize, (len as usize).div_ceil(usize::from(pieces).max(1)));
        let start = (usize::from(piece) * each).min(len);
        start..(start + each).min(len)
    }
}

/// What one who asks has of a member's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Had {
    pub(crate) origin: Origin,
    pub(crate) logs: [HadOf; 2],
}

/// And of one of its logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct HadOf {
    pub(crate) version: u32,
    /// That is how far it has read it again from the beginning.
    pub(crate) rebuilds: bool,
    /// The version of a value of which it has some pieces, and a bit for each of them.
    pub(crate) partial: Option<(u32, u64)>,
}

pub(super) fn decode(kind: u8, mut body: Reader<'_>) -> Option<Frame<'_>> {
    Some(match kind {
        kind::FETCH => Frame::Fetch { number: body.u32()?, wants: body },
        kind::GIVEN => Frame::Given(chunk(body)?),
        kind::FETCHED => Frame::Fetched { number: body.u32()? },
        _ => return None,
    })
}

/// A chunk, which is read through once, so that it makes sense to its end or is refused whole.
pub(super) fn chunk(mut body: Reader<'_>) -> Option<Chunk<'_>> {
    let origin = Origin { id: body.id()?, tag: body.u24()? };
    let flags = body.u8().filter(|flags| flags & !(VITAL | PIECE | SURE) == 0)?;
    let from = body.varint()?;
    let to = from.checked_add(body.varint()?)?;
    let as_of = to.checked_add(body.varint()?).filter(|as_of| *as_of <= MOST_VERSION)?;
    let newest = to.checked_add(body.varint()?).filter(|newest| *newest <= MOST_VERSION)?;
    let floor = body.varint().filter(|floor| *floor <= as_of)?;
    let (vital, piece, sure) = (flags & VITAL != 0, flags & PIECE != 0, flags & SURE != 0);
    let span = Span { from, to, as_of, floor, sure };
    let head = ChunkHead { origin, vital, piece, span, newest };
    let mut entries = body;
    if piece {
        entries.value_piece().filter(|_| from < to)?;
    } else {
        let (mut version, mut count) = (from, 0);
        while !entries.is_empty() {
            count += 1;
            if count > MOST_ENTRIES {
                return None;
            }
            version = entries.written(version).filter(|written| written.version <= to)?.version;
        }
    }
    Some(Chunk { head, body })
}

impl<'d> Reader<'d> {
    /// The next entry, whose version is above this one.
    pub(crate) fn written(&mut self, before: u32) -> Option<Written<'d>> {
        let version = before.checked_add(self.varint().filter(|ahead| *ahead > 0)?)?;
        let first = self.u8()?;
        let key = self.key(first & KEY_LEN)?;
        let deleted = first & DELETED != 0;
        let value = if deleted { None } else { Some(self.counted()?) };
        Some(Written { version, key, value })
    }

    fn key(&mut self, len: u8) -> Option<&'d [u8]> {
        self.take(len.into()).filter(|key| !key.is_empty() && core::str::from_utf8(key).is_ok())
    }

    fn counted(&mut self) -> Option<&'d [u8]> {
        let len = self.varint()?;
        self.take(len as usize)
    }

    pub(crate) fn value_piece(&mut self) -> Option<ValuePiece<'d>> {
        let first = self.u8()?;
        let key = self.key(first & KEY_LEN)?;
        let (len, pieces, piece) = (self.varint()?, self.u8()?, self.u8()?);
        let bytes = self.take(self.len())?;
        let sound = len as usize <= MOST_VALUE && (2..=64).contains(&pieces) && piece < pieces && !bytes.is_empty();
        (sound && ValuePiece::range(len, pieces, piece).len() == bytes.len()).then_some(ValuePiece {
            key,
            len,
            pieces,
            piece,
            bytes,
        })
    }

    /// The next of those that are asked for.
    pub(crate) fn had(&mut self) -> Option<Had> {
        let origin = Origin { id: self.id()?, tag: self.u24()? };
        let flags = self.u8()?;
        let mut logs = [HadOf::default(); 2];
        for (log, had) in logs.iter_mut().enumerate() {
            had.version = self.varint()?;
            had.rebuilds = flags >> log & 1 != 0;
            if flags >> (2 + log) & 1 != 0 {
                had.partial = Some((self.varint()?, self.u64()?));
            }
        }
        Some(Had { origin, logs })
    }
}

impl Writer<'_> {
    pub(crate) fn chunk_head(&mut self, head: &ChunkHead) -> Option<()> {
        let Span { from, to, as_of, floor, sure } = head.span;
        self.id(head.origin.id)?;
        self.u24(head.origin.tag)?;
        let sure = if sure { SURE } else { 0 };
        self.u8(if head.vital { VITAL } else { 0 } | if head.piece { PIECE } else { 0 } | sure)?;
        self.varint(from)?;
        self.varint(to.saturating_sub(from))?;
        self.varint(as_of.saturating_sub(to))?;
        self.varint(head.newest.saturating_sub(to))?;
        self.varint(floor)
    }

    pub(crate) fn written(&mut self, before: u32, written: &Written<'_>) -> Option<()> {
        self.varint(written.version.saturating_sub(before))?;
        let deleted = if written.value.is_none() { DELETED } else { 0 };
        self.u8(written.key.len() as u8 & KEY_LEN | deleted)?;
        self.put(written.key)?;
        let Some(value) = written.value else { return Some(()) };
        self.varint(value.len() as u32)?;
        self.put(value)
    }

    pub(crate) fn value_piece(&mut self, piece: &ValuePiece<'_>) -> Option<()> {
        self.u8(piece.key.len() as u8 & KEY_LEN)?;
        self.put(piece.key)?;
        self.varint(piece.len)?;
        self.u8(piece.pieces)?;
        self.u8(piece.piece)?;
        self.put(piece.bytes)
    }

    /// Adds what this node has of a map, or nothing.
    pub(crate) fn had(&mut self, had: &Had) -> Option<()> {
        let start = self.len();
        let mut write = || {
            self.id(had.origin.id)?;
            self.u24(had.origin.tag)?;
            let [bulk, vital] = &had.logs;
            let rebuilds = u8::from(bulk.rebuilds) | u8::from(vital.rebuilds) << 1;
            let partial = u8::from(bulk.partial.is_some()) << 2 | u8::from(vital.partial.is_some()) << 3;
            self.u8(rebuilds | partial)?;
            for log in [bulk, vital] {
                self.varint(log.version)?;
                if let Some((version, came)) = log.partial {
                    self.varint(version)?;
                    self.u64(came)?;
                }
            }
            Some(())
        };
        let done = write();
        if done.is_none() {
            self.rewind(start);
        }
        done
    }
}

/// How many bytes an entry takes.
pub(crate) fn written_len(before: u32, version: u32, key: usize, value: Option<usize>) -> usize {
    let value = value.map_or(0, |len| varint_len(len as u32) + len);
    varint_len(version.saturating_sub(before)) + 1 + key + value
}

fn varint_len(value: u32) -> usize {
    super::writer::varint_len(value).into()
}
