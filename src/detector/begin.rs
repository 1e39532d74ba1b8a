//! How a detector begins.

use heapless::Vec;

use super::charge::Charges;
use super::hold::Hold;
use super::round_trip::RoundTrip;
use super::{Detector, scaled};
use crate::member::Address;
use crate::node_core::Core;
use crate::storage::{FewOf, Storage};
use crate::time::Instant;

impl<A: Address, S: Storage> Detector<A, S> {
    pub(crate) const NEW: Self = Detector {
        next_probe: Instant::ZERO,
        turn: 0,
        ring: (u32::MAX, 0),
        cases: FewOf::EMPTY,
        errands: FewOf::EMPTY,
        charges: Charges::NONE,
        round_trip: RoundTrip::UNKNOWN,
        health: 0,
        next_blame: Instant::ZERO,
        unanswered: Vec::new(),
        isolated: false,
        tries_last: false,
        behind: None,
        refusing: None,
        unreached: None,
        hold: Hold::NONE,
    };

    /// Begins a life; the first probe comes at a random part of the period, so that nodes started together do not
    /// probe together.
    pub(crate) fn start(&mut self, core: &mut Core<A, S>) {
        self.forget();
        self.next_probe = core.now.after(scaled(core.config.probe_period, core.rng.next_u32()));
    }

    /// Forgets all. In place: [`NEW`](Self::NEW) once more would be another image of it in flash, to be copied from there.
    fn forget(&mut self) {
        let Detector { next_probe, turn, ring, cases, errands, charges, round_trip, health, next_blame, .. } = self;
        cases.clear();
        errands.clear();
        *charges = Charges::NONE;
        (*next_probe, *turn, *ring) = (Instant::ZERO, 0, (u32::MAX, 0));
        (*round_trip, *health, *next_blame) = (RoundTrip::UNKNOWN, 0, Instant::ZERO);
        self.unanswered.clear();
        (self.isolated, self.tries_last) = (false, false);
        (self.behind, self.refusing, self.unreached) = (None, None, None);
        self.hold = Hold::NONE;
    }
}
