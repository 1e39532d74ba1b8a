//! Time from the system timer that every Cortex-M has, and sleep until a time comes or a frame does.
//!
//! The timer runs round without an interrupt, so that there is no tick to be missed; another one of the chip ends the
//! sleep. All interrupts are masked for good. A pending one ends the sleep all the same, and none gets lost between the
//! last look at the network and the sleep.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::{asm, interrupt};
use tidings::Instant;

use crate::stellaris::Alarm;

/// The timer counts 25 cycles in 2 microseconds: 12.5 MHz, with which the machine starts.
const CYCLES: u32 = 25;
const MICROS: u32 = 2;
/// It counts down to 0, and from this on again, once in 1.3 s.
const ROUND: u32 = (1 << 24) - 1;
/// A sleep is at most so many microseconds, so that no round is missed.
const LONGEST_SLEEP: u64 = 1_000_000;
/// And at least so many: nothing that a node does is so urgent that it were worth while to set the alarm for less.
const SHORTEST_SLEEP: u64 = 1_000;

pub struct Clock {
    alarm: Alarm,
    /// The time when it was last looked at, the count then, and cycles that did not make up [`MICROS`].
    seen: Instant,
    count: u32,
    rest: u32,
}

impl Clock {
    /// A clock whose epoch is now. It masks the interrupts.
    pub fn start(mut timer: SYST) -> Clock {
        interrupt::disable();
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(ROUND);
        timer.clear_current();
        timer.enable_counter();
        Clock { alarm: Alarm::start(), seen: Instant::ZERO, count: SYST::get_current(), rest: 0 }
    }

    /// The present time. Whoever asks less often than once a round loses the time of a round.
    pub fn now(&mut self) -> Instant {
        let count = SYST::get_current();
        let cycles = self.rest + (self.count.wrapping_sub(count) & ROUND);
        self.seen = Instant::from_micros(self.seen.as_micros() + u64::from(cycles / CYCLES * MICROS));
        (self.count, self.rest) = (count, cycles % CYCLES);
        self.seen
    }

    /// Sleeps until `deadline`, but no longer than [`LONGEST_SLEEP`], or until a frame comes in.
    pub fn sleep(&mut self, deadline: Instant) {
        let wait = deadline.as_micros().saturating_sub(self.now().as_micros());
        let wait = wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP) as u32;
        self.alarm.set(wait.div_ceil(MICROS) * CYCLES);
        asm::wfi();
    }
}
