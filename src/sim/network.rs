//! What happens to a datagram on its way.

use core::convert::Infallible;
use core::time::Duration;

use crate::hash::mix;
use crate::time::micros;

/// The simulator's randomness (SplitMix64), also for the machines that it starts.
#[derive(Clone, Debug)]
pub struct SimRng(u64);

impl SimRng {
    /// A generator that gives the same numbers for the same seed, on every machine.
    pub fn new(seed: u64) -> Self {
        SimRng(mix(seed))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.draw() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}

impl crate::rand_core::TryRng for SimRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.draw() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The weather of the network: one set for all paths. Probabilities are per datagram and independent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Conditions {
    /// The shortest time that a datagram takes, in microseconds.
    pub least_latency: u64,
    /// The longest; uniform between the two.
    pub most_latency: u64,
    /// The part of the datagrams that is lost.
    pub loss: f64,
    /// The part that arrives twice.
    pub duplicate: f64,
    /// The part that is held up for up to 100 ms more, so that later ones overtake it.
    pub reorder: f64,
    /// The part in which a few bits are flipped.
    pub corrupt: f64,
    /// The part that loses its end.
    pub truncate: f64,
}

impl Conditions {
    /// 1 to 5 ms each way and no faults.
    pub const LAN: Conditions = Conditions {
        least_latency: 1_000,
        most_latency: 5_000,
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        corrupt: 0.0,
        truncate: 0.0,
    };

    /// With another latency.
    pub fn with_latency(self, least: Duration, most: Duration) -> Self {
        Conditions { least_latency: micros(least), most_latency: micros(most).max(micros(least)), ..self }
    }

    /// With this part of the datagrams lost.
    pub fn with_loss(self, loss: f64) -> Self {
        Conditions { loss, ..self }
    }

    /// How long the next datagram takes.
    pub(super) fn draw_latency(&self, rng: &mut SimRng) -> u64 {
        let usual = self.least_latency + rng.below(self.most_latency - self.least_latency + 1);
        if rng.chance(self.reorder) { usual + rng.below(100_000) } else { usual }
    }

    /// Damages a datagram, perhaps.
    pub(super) fn damage(&self, bytes: &mut std::vec::Vec<u8>, rng: &mut SimRng) {
        if bytes.is_empty() {
            return;
        }
        if rng.chance(self.corrupt) {
            for _ in 0..=rng.below(3) {
                let bit = rng.below(8 * bytes.len() as u64) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        if rng.chance(self.truncate) {
            bytes.truncate(rng.below(bytes.len() as u64) as usize);
        }
    }
}
