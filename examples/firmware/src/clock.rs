//! Time from the system timer that every Cortex-M has, and sleep until a time comes or a frame does.
//!
//! The timer does not tick at a fixed rate: it is given the whole time until the node has something to do, so that the
//! processor sleeps all that while and no tick can be missed. All interrupts are masked for good. A pending one ends
//! the sleep all the same, and between the last look at the network and the sleep none gets lost.

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m::{asm, interrupt};
use tidings::Instant;

/// The timer counts 25 cycles in 2 microseconds: 12.5 MHz, with which the machine starts.
const CYCLES: u32 = 25;
const MICROS: u32 = 2;
/// The longest span that the timer's 24 bits can count, 1.3 s.
const LONGEST: u32 = 1 << 24;
/// A sleep is at most so many microseconds: half of [`LONGEST`]. Who is late by more than the other half loses time.
const LONGEST_SLEEP: u64 = 650_000;
/// And at least so many: nothing that a node does is so urgent that it were worth while to set the timer for less.
const SHORTEST_SLEEP: u64 = 1_000;

pub struct Clock {
    timer: SYST,
    /// The time at which the span began that the timer counts down.
    began: Instant,
    /// Cycles before that which do not make up [`MICROS`].
    rest: u32,
    /// The length of the span in cycles.
    span: u32,
}

impl Clock {
    /// A clock whose epoch is now. It masks the interrupts.
    pub fn start(mut timer: SYST) -> Clock {
        interrupt::disable();
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(LONGEST - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        Clock { timer, began: Instant::ZERO, rest: 0, span: LONGEST }
    }

    /// The present time.
    pub fn now(&mut self) -> Instant {
        let passed = self.passed();
        after(self.began, (self.rest + passed) / CYCLES * MICROS)
    }

    /// Sleeps until `deadline`, but no longer than [`LONGEST_SLEEP`], or until a frame comes in.
    pub fn sleep(&mut self, deadline: Instant) {
        let wait = deadline.as_micros().saturating_sub(self.now().as_micros());
        let wait = wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP) as u32;
        let passed = self.passed();
        self.advance(passed);
        self.span = wait.div_ceil(MICROS) * CYCLES;
        self.timer.set_reload(self.span - 1);
        SCB::clear_pendst();
        self.timer.clear_current();
        // The timer takes the length of the span a cycle later; an emulated one, some microseconds later.
        while SYST::get_current() == 0 {}
        // This holds from the end of the span on, however late it is noticed.
        self.timer.set_reload(LONGEST - 1);
        asm::wfi();
    }

    /// Cycles since the span began. When it is over, the longest one begins, which is seen from the count: there is
    /// more left than there was at all.
    fn passed(&mut self) -> u32 {
        let left = SYST::get_current();
        if left > self.span {
            self.advance(self.span);
            self.span = LONGEST;
        }
        self.span - left
    }

    fn advance(&mut self, cycles: u32) {
        let cycles = self.rest + cycles;
        self.began = after(self.began, cycles / CYCLES * MICROS);
        self.rest = cycles % CYCLES;
    }
}

fn after(instant: Instant, micros: u32) -> Instant {
    Instant::from_micros(instant.as_micros() + u64::from(micros))
}
