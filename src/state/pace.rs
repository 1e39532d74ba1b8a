//! Push-back: how fast the application may write while others lag behind.
//!
//! Additive increase, multiplicative decrease, as in Scuttlebutt (van Renesse et al. 2008, section 3.3): the rate is halved
//! for each period in which most of those who were heard lag by two periods or more, or what was written is not handed out
//! for so long; and it grows by an eighth of that half in every other, until it is no limit any more.

use crate::config::Config;
use crate::key::StateError;
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
    /// In the present period: what has been written is not handed out for long, and how many were heard to be behind and
    /// in time. One who is cut off, or has no room, is not all.
    backlog: bool,
    late: u16,
    timely: u16,
}

impl Pace {
    pub(crate) const FREE: Self = Pace {
        rate: 0,
        cut: 0,
        written: 0,
        began: Instant::ZERO,
        total: 0,
        marks: [0; BACK],
        backlog: false,
        late: 0,
        timely: 0,
    };

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
        let part = u64::from((passed << 10).checked_div(whole).unwrap_or(0));
        let earned = 1 + ((u64::from(self.rate) * part) >> 10);
        if u64::from(self.written) < earned { Ok(()) } else { Err(StateError::WouldBlock) }
    }

    /// A period has passed, or several.
    fn turn(&mut self, now: Instant) {
        if self.backlog || self.late > self.timely {
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
        (self.backlog, self.late, self.timely) = (false, 0, 0);
        (self.written, self.began) = (0, now);
    }

    /// A life begins with so many writes from before it, which nobody else has: that they are to be handed out is no reason
    /// to write less.
    pub(crate) fn begin(&mut self, total: u32) {
        (self.total, self.marks) = (total, [0; BACK]);
    }

    pub(crate) fn note_write(&mut self) {
        (self.written, self.total) = (self.written.saturating_add(1), self.total.wrapping_add(1));
    }

    /// So many writes have not been acknowledged by those who are to pass them on.
    pub(crate) fn note_backlog(&mut self, behind: u32) {
        self.backlog |= self.is_behind(behind);
    }

    /// Somebody has been heard to be behind, or in time.
    pub(crate) fn note_report(&mut self, late: bool) {
        let count = if late { &mut self.late } else { &mut self.timely };
        *count = count.saturating_add(1);
    }

    /// Whether one who is so many writes behind lacks something that was there two periods ago.
    pub(crate) fn is_behind(&self, behind: u32) -> bool {
        let [.., oldest] = self.marks;
        behind > self.total.wrapping_sub(oldest)
    }
}
