//! The node's own randomness: seeded once at `start`, the same on every target.

use crate::hash::Sip;

/// SipHash of a counter under a 128-bit key from the caller.
///
/// A plain generator would do for choosing members. Probe numbers and cookies must also be hard to predict for a
/// peer that has seen earlier ones, and this is, at a dozen nanoseconds and 24 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rng {
    key: (u64, u64),
    count: u64,
}

impl Rng {
    pub(crate) const UNSEEDED: Rng = Rng { key: (0, 0), count: 0 };

    pub(crate) fn seeded(source: &mut impl rand_core::Rng) -> Self {
        Rng { key: (source.next_u64(), source.next_u64()), count: 0 }
    }

    pub(crate) fn from_seed(seed: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(seed);
        Rng { key: (key as u64, (key >> 64) as u64), count: 0 }
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn next_u64(&mut self) -> u64 {
        // Wraps after 2^64 numbers; the sequence then repeats.
        self.count = self.count.wrapping_add(1);
        Sip::new(self.key.0, self.key.1).word(self.count).finish()
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number below `bound`; zero if `bound` is zero. Biased by less than one part in 2^32.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A keyed hash that only this node can compute: of cookies.
    pub(crate) fn keyed(&self, domain: u64, bytes: &[u8]) -> u64 {
        Sip::new(self.key.1 ^ domain, self.key.0).bytes(bytes).finish()
    }
}

/// The widest permutation: more than the greatest table needs.
const MAX_BITS: u32 = 26;

/// A shuffled ring without memory: the `position`-th element of a permutation of `0..2^bits`, `bits` even.
///
/// A Feistel network of four rounds over the two halves of the position. Positions beyond the table are skipped by
/// the caller; at most three quarters of them are.
pub(crate) fn shuffled(position: u32, bits: u32, key: u64) -> u32 {
    let half = (bits / 2).clamp(1, MAX_BITS / 2);
    let mask = (1u32 << half) - 1;
    let (mut left, mut right) = ((position >> half) & mask, position & mask);
    for round in 0..4u64 {
        let scrambled = crate::hash::mix(key ^ round << 48 ^ u64::from(right)) as u32 & mask;
        (left, right) = (right, left ^ scrambled);
    }
    left << half | right
}

/// The smallest even number of bits whose range holds `count` positions.
pub(crate) fn ring_bits(count: u32) -> u32 {
    let bits = u32::BITS - count.saturating_sub(1).leading_zeros();
    bits.next_multiple_of(2).clamp(2, MAX_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shuffled_ring_visits_every_position_once() {
        for (count, key) in [(1u32, 7u64), (3, 9), (16, 1), (100, 2), (1_000, 3)] {
            let bits = ring_bits(count);
            assert!(1u64 << bits >= u64::from(count) && 1u64 << bits <= 4 * u64::from(count).max(1));
            let mut seen = [false; 4_096];
            for position in 0..1u32 << bits {
                let element = shuffled(position, bits, key) as usize;
                assert!(!seen[element], "{element} twice for {count}");
                seen[element] = true;
            }
        }
    }

    #[test]
    fn numbers_below_a_bound_stay_below_it_and_reach_every_value() {
        let mut rng = Rng { key: (1, 2), count: 0 };
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[rng.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(rng.below(0), 0);
    }
}
