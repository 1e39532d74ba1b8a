//! Bytes from one place to another, without a way to panic: what the lengths rule out, the compiler cannot always see.

use postcard::Error;
use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Copies as many bytes as both have.
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// Moves `size` bytes down, from `from` to `to`; nothing happens if they are not there, or would go up.
pub(crate) fn slide(bytes: &mut [u8], from: usize, to: usize, size: usize) {
    let Some(gap) = from.checked_sub(to).filter(|gap| *gap > 0) else { return };
    let Some(mut rest) = bytes.get_mut(to..from.saturating_add(size)) else { return };
    // A piece as long as the gap at a time does not overlap itself.
    while let Some((hole, behind)) = rest.split_at_mut_checked(gap).filter(|(_, behind)| !behind.is_empty()) {
        copy(hole, behind);
        rest = behind;
    }
}

/// Writes a value as postcard encodes it; how many bytes that took, or `None` if it does not fit or cannot be encoded.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, buf: &mut [u8]) -> Option<usize> {
    postcard::serialize_with_flavor(value, Pen::new(buf)).ok()
}

/// Writes into a slice, one behind the other.
pub(crate) struct Pen<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl<'b> Pen<'b> {
    pub(crate) fn new(buf: &'b mut [u8]) -> Self {
        Pen { buf, len: 0 }
    }

    /// How much has been written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Writes these bytes, if they fit.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        copy(self.buf.get_mut(self.len..)?.get_mut(..bytes.len())?, bytes);
        self.len += bytes.len();
        Some(())
    }

    /// Writes a number in 7 bits a byte, the lowest first, as postcard does.
    pub(crate) fn varint(&mut self, mut value: u64) -> Option<()> {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80])?;
            value >>= 7;
        }
        self.put(&[value as u8])
    }
}

impl Flavor for Pen<'_> {
    type Output = usize;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.put(bytes).ok_or(Error::SerializeBufferFull)
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.len)
    }
}
