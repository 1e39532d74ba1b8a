//! A fuzzer's bytes, read as instructions.

#![allow(unreachable_pub)]

pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Script(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As many bytes as are left of so many.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A number of so many bytes, at most 8; they are zero behind the end.
    pub fn number(&mut self, len: usize) -> u64 {
        self.bytes(len).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    pub fn byte(&mut self) -> u8 {
        self.number(1) as u8
    }

    pub fn word(&mut self) -> u16 {
        self.number(2) as u16
    }

    /// A number of any magnitude, from two bytes: 8 bits of it, and how many follow them.
    pub fn magnitude(&mut self) -> u64 {
        u64::from(self.byte()) << (self.byte() & 63)
    }
}
