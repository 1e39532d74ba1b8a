//! What is nobody's fault: a caller that comes late, and a host that does not take a send.
//!
//! Each of the two stands here once, and tells every service in which a silence counts for something. What an ask does with it
//! stands in `src/ask.rs`.

use super::Node;
use crate::member::Address;
use crate::storage::Storage;
use crate::time::Instant;

impl<A: Address, S: Storage> Node<A, S> {
    /// The caller comes late by so much, after a call at `before`: what seemed silence may wait in its socket (law 3).
    pub(super) fn forgive(&mut self, late: u64, before: Instant) {
        let core = &mut self.core;
        core.stats.late_ticks = core.stats.late_ticks.wrapping_add(1);
        let read = core.now.after(core.config.grace());
        self.detector.forgive(late, before, core.now, &core.config);
        self.challenges.postpone(read);
        if let Some(rival) = &mut self.rival {
            rival.forgive(core.now, &core.config);
        }
        core.tree.postpone(read);
        self.walk.postpone(read);
        if self.keeps_messages() {
            self.broadcasts.repairs.forgive(late, self.core.now);
            self.broadcasts.sends.forgive(late);
        }
        if self.keeps_maps() {
            self.state.fetches.postpone(read);
        }
    }

    /// The host did not take what was sent to this address. Whoever lives there was not asked.
    pub(super) fn not_sent(&mut self, to: A) {
        self.detector.not_sent(to, &mut self.core);
        self.challenges.not_sent(to, &self.core);
        self.seeds.not_sent(to, self.core.now, &self.core.config);
        let members = &self.core.members;
        let there = |id| members.whereabouts(id).is_some_and(|(addr, _)| addr == to);
        self.core.tree.not_sent(there);
        self.walk.not_sent(there);
        if self.keeps_maps() {
            self.state.fetches.not_sent(there);
        }
    }
}
