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
        // All fields by name, so that none is forgotten here.
        let Detector {
            next_probe,
            turn,
            ring,
            cases,
            errands,
            charges,
            round_trip,
            health,
            next_blame,
            unanswered,
            isolated,
            tries_last,
            behind,
            refusing,
            unreached,
            hold,
        } = self;
        cases.clear();
        errands.clear();
        unanswered.clear();
        (*charges, *hold, *round_trip) = (Charges::NONE, Hold::NONE, RoundTrip::UNKNOWN);
        (*next_probe, *next_blame, *turn, *ring) = (Instant::ZERO, Instant::ZERO, 0, (u32::MAX, 0));
        (*health, *isolated, *tries_last) = (0, false, false);
        (*behind, *refusing, *unreached) = (None, None, None);
    }
}
