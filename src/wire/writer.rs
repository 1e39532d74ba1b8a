//! A datagram into the caller's buffer.

use super::{
    FULL, HEAD_BEFORE_CHECK, HEAD_WITH_CHECK, Head, NEWCOMER, OPEN, Origin, Position, Roots, Seal, VERSION, Word, kind,
};
use crate::bytes::copy;
use crate::member::{Address, Certificate, Liveness, NodeId, Record};

/// Writes one datagram into a buffer. Every method gives `None` if it does not fit; after a [`frame`](Self::frame) or a
/// [`record`](Self::record) that did not, the datagram is as before the call.
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
    short: bool,
}

/// An unfinished frame.
pub(crate) struct Open {
    start: usize,
    body: usize,
}

impl<'b> Writer<'b> {
    /// Begins a datagram; [`finish`](Self::finish) seals it.
    pub(crate) fn new(buf: &'b mut [u8], seal: Seal, head: Head) -> Option<Self> {
        let mut writer = Writer { buf, len: 0, short: false };
        let open = if head.open { OPEN } else { 0 };
        let full = if head.full { FULL } else { 0 };
        let newcomer = if head.newcomer { NEWCOMER } else { 0 };
        writer.put(&[VERSION | open | full | newcomer])?;
        writer.put(&seal.cluster_tag())?;
        writer.put(&[0; 4])?;
        writer.id(head.sender)?;
        writer.u24(head.tag)?;
        writer.varint(head.incarnation)?;
        Some(writer)
    }

    /// How many bytes it has so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes back all behind this many.
    pub(crate) fn rewind(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// How many more fit.
    pub(crate) fn room(&self) -> usize {
        self.buf.len().saturating_sub(self.len)
    }

    /// How many fit in all.
    pub(crate) fn capacity(&self) -> usize {
        self.buf.len()
    }

    /// Whether anything did not fit. Where nothing was written and everything would have fitted, there is nothing to say.
    pub(crate) fn is_short(&self) -> bool {
        self.short
    }

    /// Notes that something will not fit. Always `None`, for the caller to return.
    pub(crate) fn no_room<T>(&mut self) -> Option<T> {
        self.short = true;
        None
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        let Some(space) = self.buf.get_mut(self.len..end) else { return self.no_room() };
        copy(space, bytes);
        self.len = end;
        Some(())
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn u8(&mut self, value: u8) -> Option<()> {
        self.put(&[value])
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn u16(&mut self, value: u16) -> Option<()> {
        self.put(&value.to_le_bytes())
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn u24(&mut self, value: u32) -> Option<()> {
        let [a, b, c, _] = value.to_le_bytes();
        self.put(&[a, b, c])
    }

    /// A time of at most 71 minutes; a longer one counts as that.
    pub(crate) fn time(&mut self, micros: u64) -> Option<()> {
        self.u32(micros.min(u64::from(u32::MAX)) as u32)
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn u32(&mut self, value: u32) -> Option<()> {
        self.put(&value.to_le_bytes())
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn u64(&mut self, value: u64) -> Option<()> {
        self.put(&value.to_le_bytes())
    }

    /// Bits, without the bytes at the end that have none, behind the number of the others.
    pub(crate) fn bits(&mut self, bits: u64) -> Option<()> {
        let len = (u64::BITS - bits.leading_zeros()).div_ceil(8);
        self.u8(len as u8)?;
        self.put(bits.to_le_bytes().get(..len as usize)?)
    }

    pub(crate) fn id(&mut self, id: NodeId) -> Option<()> {
        self.u64(id.get())
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn varint(&mut self, mut value: u32) -> Option<()> {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80)?;
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// Adds how far this node has come with an origin's broadcasts and with both logs of its map, or nothing.
    pub(crate) fn position(&mut self, origin: Origin, Position { seen, versions }: Position) -> Option<()> {
        let start = self.len;
        let write = |writer: &mut Self| {
            writer.id(origin.id)?;
            writer.u24(origin.tag)?;
            writer.varint(seen)?;
            versions.into_iter().try_for_each(|version| writer.varint(version))
        };
        let done = write(self);
        if done.is_none() {
            self.len = start;
        }
        done
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn roots(&mut self, roots: Roots) -> Option<()> {
        self.u32(roots.membership)?;
        self.put(&roots.positions.to_le_bytes())
    }

    /// Adds a record, or nothing.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn record<A: Address>(&mut self, record: &Record<A>) -> Option<()> {
        self.told(record, 0, None)
    }

    /// Adds a record, how far this node has come with the member's broadcasts, and what it rests on; or nothing.
    pub(crate) fn told<A: Address>(
        &mut self,
        record: &Record<A>,
        seen: u32,
        certificate: Option<&Certificate>,
    ) -> Option<()> {
        let start = self.len;
        let done = self.try_record(record, seen, certificate);
        if done.is_none() {
            self.len = start;
        }
        done
    }

    pub(super) fn try_record<A: Address>(
        &mut self,
        record: &Record<A>,
        seen: u32,
        certificate: Option<&Certificate>,
    ) -> Option<()> {
        let liveness = match record.liveness {
            Liveness::Alive => 0,
            Liveness::Down => 1,
            Liveness::Left => 2,
        };
        let certified = u8::from(certificate.is_some()) << 7;
        let extended = record.topics != 0 || seen != 0;
        self.u8(liveness | (record.patience & 0xf) << 2 | u8::from(extended) << 6 | certified)?;
        self.id(record.id)?;
        self.varint(record.life.generation)?;
        self.u32(record.life.nonce)?;
        self.varint(record.incarnation)?;
        let written = self.buf.get_mut(self.len..).and_then(|space| record.addr.encode_into(space));
        let Some(written) = written else { return self.no_room() };
        self.len = self.len.checked_add(written)?;
        if extended {
            self.u8(4 + if seen == 0 { 0 } else { varint_len(seen) })?;
            self.u32(record.topics)?;
            if seen != 0 {
                self.varint(seen)?;
            }
        }
        let Some(Certificate { jurors: [first, second], question }) = certificate else { return Some(()) };
        self.id(*first)?;
        self.id(*second)?;
        self.u32(*question)
    }

    /// Adds a whole frame with a body of at most 127 bytes, or nothing.
    pub(crate) fn frame(&mut self, kind: u8, body: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let open = self.begin_with(&[kind, 0])?;
        let done = body(self).filter(|()| self.len - open.body < 0x80);
        if done.is_some() { self.end(open) } else { self.cancel(open) }
    }

    /// Begins a list whose length is not yet known, and which may fill the buffer: its length takes as many bytes as
    /// that could need.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn begin(&mut self, kind: u8) -> Option<Open> {
        match self.buf.len().saturating_sub(self.len) {
            0..=129 => self.begin_with(&[kind, 0]),
            130..=16_386 => self.begin_with(&[kind, 0x80, 0]),
            _ => self.begin_with(&[kind, 0x80, 0x80, 0]),
        }
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn begin_with(&mut self, kind_and_holes: &[u8]) -> Option<Open> {
        let start = self.len;
        self.put(kind_and_holes)?;
        Some(Open { start, body: self.len })
    }

    /// Gives up a frame. Always `None`, for the caller to return.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn cancel(&mut self, open: Open) -> Option<()> {
        self.len = open.start;
        None
    }

    /// Fills in a frame's length.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn end(&mut self, open: Open) -> Option<()> {
        let len = self.len.checked_sub(open.body)?;
        // Padded: each byte but the last keeps its continuation bit, whatever the length turns out to be.
        for (place, hole) in self.buf.get_mut(open.start + 1..open.body)?.iter_mut().enumerate() {
            *hole |= (len >> (7 * place)) as u8 & 0x7f;
        }
        Some(())
    }

    /// Fills in the check value; the length of the datagram.
    pub(crate) fn finish(self, seal: Seal) -> Option<usize> {
        let datagram = self.buf.get_mut(..self.len)?;
        let (before, rest) = datagram.split_first_chunk_mut::<HEAD_BEFORE_CHECK>()?;
        let (check, after) = rest.split_first_chunk_mut::<{ HEAD_WITH_CHECK - HEAD_BEFORE_CHECK }>()?;
        *check = seal.check(*before, after);
        Some(self.len)
    }
}

/// A number to be filled in when it is known.
pub(crate) struct Hole(usize);

impl Writer<'_> {
    pub(crate) fn hole(&mut self) -> Option<Hole> {
        let at = self.len;
        self.u64(0)?;
        Some(Hole(at))
    }

    pub(crate) fn fill(&mut self, hole: Hole, value: u64) -> Option<()> {
        let end = hole.0.checked_add(8)?;
        copy(self.buf.get_mut(hole.0..end)?, &value.to_le_bytes());
        Some(())
    }
}

pub(super) fn varint_len(value: u32) -> u8 {
    (u32::BITS - (value | 1).leading_zeros()).div_ceil(7) as u8
}

/// Writes a juror's answer to a question.
pub(crate) fn write_verdict(question: u32, target: NodeId, word: Word, writer: &mut Writer<'_>) -> Option<()> {
    writer.frame(kind::VERDICT, |body| {
        body.u32(question)?;
        body.id(target)?;
        body.u8(match word {
            Word::Silent => 0,
            Word::Heard => 1,
            Word::Busy => 2,
        })
    })
}
