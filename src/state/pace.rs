//! Push-back: how fast the application may write while others lag behind.
//!
//! Additive increase, multiplicative decrease, as in Scuttlebutt (van Renesse et al. 2008, section 3.3): the rate is halved
//! for each period in which somebody lags by two periods or more, and grows by an eighth of that half in each in which
//! nobody does, until it is no limit any more.

use super::{LOGS, StateError};
use crate::config::Config;
use crate::time::Instant;

/// How many periods back is remembered how much had been written.
const BACK: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pace {
    /// The most writes in a period; 0 for no limit.
    rate: u32,
    /// What it was after it was last halved.
    cut: u32,
    /// In the present period, which began then.
    written: u32,
    began: Instant,
    /// How much had been written in all, and at the beginning of the latest periods.
    total: u32,
    marks: [u32; BACK],
    lagged: bool,
}

impl Pace {
    pub(crate) const FREE: Self =
        Pace { rate: 0, cut: 0, written: 0, began: Instant::ZERO, total: 0, marks: [0; BACK], lagged: false };

    /// Whether one more may be written.
    pub(crate) fn allow(&mut self, now: Instant, config: &Config) -> Result<(), StateError> {
        let period = config.probe_period;
        if now.since(self.began) >= period {
            self.turn(now);
        }
        if !config.push_back || self.rate == 0 {
            return Ok(());
        }
        // In units of 1,024 us: no period is longer than 2^22 of them.
        let (passed, whole) = ((now.since(self.began) >> 10) as u32, (period >> 10).max(1) as u32);
        let earned = 1 + self.rate.min(1 << 9) * passed / whole * self.rate.div_ceil(1 << 9);
        if self.written < earned { Ok(()) } else { Err(StateError::WouldBlock) }
    }

    /// A period has passed, or several.
    fn turn(&mut self, now: Instant) {
        if self.lagged {
            let before = if self.rate == 0 { self.written } else { self.rate.min(self.written.max(1)) };
            self.rate = (before / 2).max(1);
            self.cut = self.rate;
        } else if self.rate > 0 {
            self.rate = self.rate.saturating_add(self.cut / 8 + 1);
            if self.rate > self.cut.saturating_mul(4).saturating_add(16) {
                self.rate = 0;
            }
        }
        self.marks.rotate_right(1);
        if let Some(newest) = self.marks.first_mut() {
            *newest = self.total;
        }
        (self.lagged, self.written, self.began) = (false, 0, now);
    }

    pub(crate) fn note_write(&mut self) {
        (self.written, self.total) = (self.written.saturating_add(1), self.total.wrapping_add(1));
    }

    /// So many writes have not come to somebody yet, or have not been handed out.
    pub(crate) fn note_lag(&mut self, have: [u32; LOGS], own: [u32; LOGS]) {
        let behind: u32 = own.iter().zip(have).map(|(own, have)| own.saturating_sub(have)).fold(0, u32::saturating_add);
        let [.., oldest] = self.marks;
        self.lagged |= behind > self.total.wrapping_sub(oldest);
    }
}
