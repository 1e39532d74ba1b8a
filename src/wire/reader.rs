//! Fields, records and frames off the front of a datagram, borrowing from it.

use super::{Origin, Position, Roots, Told};
use crate::member::{Address, Certificate, Life, Liveness, NodeId, Record};
use crate::stats::DropReason;

/// Reads fields off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'d> {
    pub(super) bytes: &'d [u8],
}

impl<'d> Reader<'d> {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bits, 64 at most, behind the number of their bytes.
    pub(super) fn bits(&mut self) -> Option<u64> {
        let len = self.u8().filter(|len| *len <= 8)?;
        let bytes = self.take(len.into())?;
        Some(bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }

    pub(super) fn id(&mut self) -> Option<NodeId> {
        self.u64().map(NodeId::new)
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            let bits = u32::from(byte & 0x7f);
            // The fifth byte has room for four bits only.
            if shift == 28 && bits > 0xf {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn roots(&mut self) -> Option<Roots> {
        Some(Roots { membership: self.u32()?, positions: self.u16()? })
    }

    /// How far another has come with an origin.
    pub(crate) fn position(&mut self) -> Option<(Origin, Position)> {
        let origin = Origin { id: self.id()?, tag: self.u24()? };
        Some((origin, Position { seen: self.varint()?, versions: [self.varint()?, self.varint()?] }))
    }

    /// The next record; `None` if what is left is none.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn record<A: Address>(&mut self) -> Option<Record<A>> {
        self.told().map(|told| told.record)
    }

    /// The next record, and what comes beside it.
    pub(crate) fn told<A: Address>(&mut self) -> Option<Told<A>> {
        let flags = self.u8()?;
        let id = self.id()?;
        let generation = self.varint()?;
        let life = Life { generation, nonce: self.u32()? };
        let incarnation = self.varint()?;
        let (addr, rest) = postcard::take_from_bytes::<A>(self.bytes).ok()?;
        self.bytes = rest;
        let (mut topics, mut seen) = (0, 0);
        if flags & 1 << 6 != 0 {
            let len = self.varint()?;
            let mut extension = Reader { bytes: self.take(len as usize)? };
            topics = extension.u32()?;
            seen = if extension.is_empty() { 0 } else { extension.varint()? };
        }
        let certificate = if flags & 1 << 7 != 0 {
            let jurors = [self.id()?, self.id()?];
            Some(Certificate { jurors, question: self.u32()? })
        } else {
            None
        };
        let liveness = match flags & 3 {
            0 => Liveness::Alive,
            1 => Liveness::Down,
            2 => Liveness::Left,
            _ => return None,
        };
        let record = Record { id, life, incarnation, liveness, addr, patience: flags >> 2 & 0xf, topics };
        Some(Told { record, seen, certificate })
    }

    /// The next frame: its kind and its body.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn frame(&mut self) -> Result<(u8, Reader<'d>), DropReason> {
        let frame = |reader: &mut Self| {
            let kind = reader.u8()?;
            let len = reader.varint()?;
            Some((kind, Reader { bytes: reader.take(len as usize)? }))
        };
        frame(self).ok_or(DropReason::Truncated)
    }
}
