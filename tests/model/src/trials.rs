//! The spaces that are explored.

use std::time::Duration;

use crate::config::{ANY_ORDER, Faults, Trial};

const NOTHING: Faults =
    Faults { crashes: 0, restarts: 0, cuts: 0, stalls: 0, losses: 0, copies: 0, delays: 0, swaps: ANY_ORDER };

const fn tenths(seconds: u64) -> Duration {
    Duration::from_millis(100 * seconds)
}

/// What the others differ from. Faults begin within two seconds, and all that follows from them within six.
///
/// The least numbers of states are somewhat below those that there are: the protocol may change a little.
const PLAIN: Trial = Trial {
    name: "",
    seeds: &[1, 2, 3],
    faults: NOTHING,
    window: tenths(20),
    horizon: tenths(60),
    latest: tenths(30),
    sample: 100,
    least: 0,
};

/// A member crashes while datagrams are lost.
pub const CRASH: Trial =
    Trial { name: "a crash, and losses", faults: Faults { crashes: 1, losses: 2, ..NOTHING }, least: 80_000, ..PLAIN };

/// A member is cut off, and datagrams are lost.
pub const CUT: Trial = Trial {
    name: "a cut, and losses",
    seeds: &[1],
    faults: Faults { cuts: 1, losses: 1, swaps: 1, ..NOTHING },
    least: 1_000_000,
    ..PLAIN
};

/// Every trial of every day.
pub const TRIALS: [Trial; 8] = [
    Trial {
        name: "losses alone",
        faults: Faults { losses: 5, ..NOTHING },
        horizon: tenths(40),
        least: 50_000,
        ..PLAIN
    },
    CRASH,
    Trial {
        name: "a crash, and copies and delays",
        faults: Faults { crashes: 1, copies: 1, delays: 1, ..NOTHING },
        least: 1_500_000,
        ..PLAIN
    },
    Trial {
        name: "a crash and a new life, and losses",
        seeds: &[1],
        faults: Faults { crashes: 1, restarts: 1, losses: 1, swaps: 1, ..NOTHING },
        window: tenths(10),
        least: 2_000_000,
        ..PLAIN
    },
    CUT,
    Trial { name: "a cut alone", faults: Faults { cuts: 1, swaps: 1, ..NOTHING }, least: 300_000, ..PLAIN },
    Trial {
        name: "a cut and a crash",
        faults: Faults { cuts: 1, crashes: 1, swaps: 0, ..NOTHING },
        least: 400_000,
        ..PLAIN
    },
    Trial {
        name: "a stall",
        seeds: &[1],
        faults: Faults { stalls: 1, swaps: 1, ..NOTHING },
        window: tenths(10),
        horizon: tenths(45),
        least: 6_000_000,
        ..PLAIN
    },
];

impl Trial {
    /// The same with more faults of the network; `depth` 1 is every day's. With each step there is one loss more where
    /// there are any, and one copy; with every second, one delay and one datagram out of turn.
    pub fn at_depth(self, depth: u8) -> Self {
        let more = depth.saturating_sub(1);
        let raise = |count: u8, by: u8| if count == 0 { 0 } else { count.saturating_add(by) };
        let Faults { losses, copies, delays, swaps, .. } = self.faults;
        let (losses, copies, delays) = (raise(losses, more), raise(copies, more), raise(delays, more / 2));
        Trial {
            faults: Faults { losses, copies, delays, swaps: swaps.saturating_add(more / 2), ..self.faults },
            ..self
        }
    }
}
