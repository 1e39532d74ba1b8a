//! How long an answer takes.

/// The smoothed round trip over all members, in microseconds (Jacobson 1988).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RoundTrip {
    smoothed: u32,
    deviation: u32,
}

impl RoundTrip {
    pub(super) const UNKNOWN: Self = RoundTrip { smoothed: 0, deviation: 0 };

    pub(super) fn sample(&mut self, micros: u64) {
        // Four minutes are as good as more, and the sums below stay far from overflowing.
        let sample = micros.min(1 << 28) as u32;
        if self.smoothed == 0 {
            (self.smoothed, self.deviation) = (sample, sample / 2);
            return;
        }
        self.deviation = self.deviation - self.deviation / 4 + self.smoothed.abs_diff(sample) / 4;
        self.smoothed = self.smoothed - self.smoothed / 8 + sample / 8;
    }

    pub(super) fn timeout(&self) -> u64 {
        u64::from(self.smoothed) + 4 * u64::from(self.deviation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_settles_above_steady_round_trips_and_follows_a_change() {
        let mut round_trip = RoundTrip::UNKNOWN;
        assert_eq!(round_trip.timeout(), 0);
        (0..100).for_each(|_| round_trip.sample(10_000));
        assert!((10_000..10_500).contains(&round_trip.timeout()), "{round_trip:?}");
        (0..100).for_each(|_| round_trip.sample(200_000));
        assert!((199_000..210_000).contains(&round_trip.timeout()), "{round_trip:?}");
        round_trip.sample(u64::MAX);
        assert!(round_trip.timeout() > 200_000, "an absurd sample does not overflow");
    }
}
