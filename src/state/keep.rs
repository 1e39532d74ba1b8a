//! A map as the application keeps it from one process to the next.

use crate::bytes::copy;
use crate::key::Class;
use crate::wire::MAX_KEY;

/// One key: its length 1, class 1, the value's length 4, key, value.
pub(crate) struct Kept<'b> {
    pub(crate) key: &'b str,
    pub(crate) value: &'b [u8],
    pub(crate) class: Class,
}

const BEFORE_KEY: usize = 6;

impl<'b> Kept<'b> {
    pub(crate) fn len(&self) -> usize {
        BEFORE_KEY + self.key.len() + self.value.len()
    }

    pub(crate) fn write(&self, buf: &mut [u8]) -> Option<usize> {
        let len = self.len();
        let (head, rest) = buf.get_mut(..len)?.split_first_chunk_mut::<BEFORE_KEY>()?;
        let [a, b, c, d] = (self.value.len() as u32).to_le_bytes();
        let class = match self.class {
            Class::Bulk => 0,
            Class::Vital => 1,
            Class::Local => 2,
        };
        *head = [self.key.len() as u8, class, a, b, c, d];
        let (key, value) = rest.split_at_mut_checked(self.key.len())?;
        copy(key, self.key.as_bytes());
        copy(value, self.value);
        Some(len)
    }

    /// The first key, and what is behind it.
    pub(crate) fn read(bytes: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let ([key, class, a, b, c, d], rest) = bytes.split_first_chunk::<BEFORE_KEY>()?;
        let class = match class {
            0 => Class::Bulk,
            1 => Class::Vital,
            2 => Class::Local,
            _ => return None,
        };
        let (key, rest) = rest.split_at_checked(usize::from(*key)).filter(|(key, _)| key.len() <= MAX_KEY)?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)?;
        Some((Kept { key: core::str::from_utf8(key).ok()?, value, class }, rest))
    }
}
