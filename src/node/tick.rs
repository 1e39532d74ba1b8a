//! Time: when something is due next, and what is done then. Everything that a node does of its own accord begins here.

use super::Node;
use crate::budget::Class;
use crate::event::{Notice, Phase, WakeReason};
use crate::member::Address;
use crate::node_core::Deadline;
use crate::storage::Storage;
use crate::time::Instant;

/// Until when a node has nothing to do, and nothing to send but answers; zero while that is not known. Of all datagrams
/// most are pings of members that are well, and to look what is due costs more than to answer one. It follows from the
/// rest of the node, so that it makes no difference between two.
#[derive(Clone, Copy)]
pub(super) struct Idle(Instant);

impl Idle {
    pub(super) const UNKNOWN: Idle = Idle(Instant::ZERO);
}

impl PartialEq for Idle {
    fn eq(&self, _: &Idle) -> bool {
        true
    }
}

impl Eq for Idle {}

impl core::hash::Hash for Idle {
    fn hash<H: core::hash::Hasher>(&self, _: &mut H) {}
}

impl<A: Address, S: Storage> Node<A, S> {
    /// Whether nothing will be due at this time, as far as is known.
    pub(super) fn is_idle_at(&self, now: Instant) -> bool {
        debug_assert!(!self.is_idle() || self.idle.0 <= self.idle_until(), "nothing is due sooner");
        now < self.idle.0
    }

    /// Whether nothing but answers is to be sent, as far as is known.
    pub(super) fn is_idle(&self) -> bool {
        self.idle.0 > Instant::ZERO
    }

    /// Takes note that there is nothing to send.
    pub(super) fn note_idle(&mut self) {
        // Under a byte budget what is due then is an estimate.
        let settled =
            self.core.phase == Phase::Member && self.detector.is_settled() && self.core.config.byte_budget == 0;
        if settled && !self.is_idle() {
            self.idle = Idle(self.idle_until());
        }
    }

    /// Looks at everything the next time; whether it would not have.
    #[cfg(test)]
    pub(crate) fn forget_idle(&mut self) -> bool {
        let idle = self.is_idle();
        self.idle = Idle::UNKNOWN;
        idle
    }

    fn idle_until(&self) -> Instant {
        let mut until = self.poll_timeout();
        if self.keeps_data() {
            until = until.min(self.broadcasts.next_mourning);
        }
        if self.keeps_maps() {
            until = until.min(self.state.next_look);
        }
        until
    }

    /// Whether seeds should be asked: until one has answered, and when nobody else is alive.
    pub(super) fn wants_seeds(&self) -> bool {
        match self.core.phase {
            Phase::Joining => true,
            Phase::Member => self.core.members.others() == 0,
            _ => false,
        }
    }

    pub(super) fn due(&self) -> Deadline {
        let mut due = Deadline::NEVER;
        if !self.is_running() {
            return due;
        }
        due.sooner(self.answers_due(), WakeReason::Answer);
        match &self.leave {
            Some(leave) => due.sooner(leave.due(), WakeReason::Leave),
            None => {
                due = self.detector.due(&self.core.members);
                due.sooner(self.seeds.due(self.wants_seeds()), WakeReason::Join);
            }
        }
        if !self.detector.isolated {
            let tells = self
                .gossip
                .due(&self.core.members, &self.core.config)
                .min(self.relays.due(&self.core.tree, &self.core.config));
            self.sooner_if_paid(&mut due, Class::News, tells, WakeReason::Gossip);
        }
        self.sooner_if_paid(&mut due, Class::Sync, self.walk.due(), WakeReason::Sync);
        // Otherwise it goes out with this very call.
        if self.walk.owed(self.detector.isolated).next().is_some() && !self.may_send(Class::Sync) {
            self.sooner_if_paid(&mut due, Class::Sync, self.core.now, WakeReason::Sync);
        }
        self.messages_due(&mut due);
        self.state_due(&mut due);
        if self.core.phase == Phase::Member {
            due.sooner(self.seeds.visit_due(&self.core.members, self.detector.isolated), WakeReason::Visit);
            due.sooner(self.arrives.unwrap_or(Instant::FAR_FUTURE), WakeReason::Join);
        }
        due.sooner(self.challenges.due(), WakeReason::Challenge);
        if let Some(rival) = &self.rival {
            due.sooner(rival.due(!self.is_joining()), WakeReason::Rival);
        }
        due
    }

    /// Lets time pass up to `now`, and serves what is due. An older `now` counts as the newest seen (law 2).
    pub(super) fn advance(&mut self, now: Instant) {
        self.idle = Idle::UNKNOWN;
        let (due, before) = (self.poll_timeout(), self.core.now);
        self.tell_time(now);
        if self.core.now < due {
            return;
        }
        let late = self.core.now.since(due);
        if late > self.core.config.grace() {
            self.forgive(late, before);
        }
        self.act();
    }

    /// Takes note of the time. Times so late that deadlines would run into `FAR_FUTURE` (half a million years after
    /// the epoch) count as the last that do not.
    pub(super) fn tell_time(&mut self, now: Instant) {
        const LATEST: Instant = Instant::from_micros(u64::MAX - (1 << 40));
        self.core.now = self.core.now.max(now.min(LATEST));
    }

    /// Serves whatever is due now. Everything that a node does of its own accord begins here.
    pub(super) fn act(&mut self) {
        self.idle = Idle::UNKNOWN;
        if !self.is_running() {
            return;
        }
        let (told, isolated) = (self.leave.is_some() && self.has_told_all(), self.detector.isolated);
        if self.leave.as_mut().is_some_and(|leave| leave.tick(told, isolated, &mut self.core)) {
            self.leave = None;
            self.core.phase = Phase::Left;
            self.broadcasts.sends.conclude();
            return self.core.notices.raise(Notice::Left);
        }
        if self.leave.is_none() {
            self.detect();
            // The last other member may turn out to have left.
            self.look_into_claims();
            self.ask_seeds();
        }
        if self.core.phase == Phase::Member {
            if self.core.now >= self.seeds.visit_due(&self.core.members, self.detector.isolated) {
                self.forget_outdated();
            }
            self.seeds.tick_visit(self.detector.isolated, &mut self.core);
        }
        self.settle_in();
        self.contest();
        // It may begin another life, which is news.
        self.tick_state();
        self.tell();
        self.tick_messages();
        self.tick_walk();
    }

    /// Comes last: what the others have found to ask about is asked at once.
    fn tick_walk(&mut self) {
        if self.state.fetches.has_room() {
            self.walk.go_on(self.core.now);
        }
        if self.core.now >= self.no_sooner(Class::Sync, self.walk.due()) {
            let hop = self.detector.hop(&self.core.config);
            self.walk.tick((self.core.config.first_retry, hop), &mut self.core);
        }
    }

    /// Whether all that this node says has been acknowledged, or given up.
    pub(super) fn has_told_all(&self) -> bool {
        let said = !self.keeps_messages() || self.broadcasts.is_done(&self.core.tree);
        let written = !self.keeps_maps() || self.state.is_done(&self.core);
        self.relays.is_done(&self.core.tree) && said && written
    }

    fn tell(&mut self) {
        if self.detector.isolated || !self.may_send(Class::News) {
            return;
        }
        let unit = self.detector.unit(&self.core.config);
        self.relays.tick(unit, &mut self.core);
        self.gossip.tick(&mut self.core);
    }

    /// Takes what is due then, or as soon as it can be sent, for the next deadline if that is sooner.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn sooner_if_paid(&self, due: &mut Deadline, class: Class, at: Instant, reason: WakeReason) {
        if at < due.at {
            due.sooner(self.no_sooner(class, at), reason);
        }
    }

    /// When what is due then can be sent, as far as the byte budget goes.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn no_sooner(&self, class: Class, due: Instant) -> Instant {
        if due == Instant::FAR_FUTURE {
            due
        } else {
            due.max(self.core.budget.ready(class, self.core.now, &self.core.config))
        }
    }

    fn detect(&mut self) {
        let was_isolated = self.detector.isolated;
        while let Some((dead, certificate)) = self.detector.tick(&mut self.core) {
            self.declare_down(dead, certificate);
        }
        if let Some(said) = self.detector.unanswered_charge(&self.core) {
            self.heed_charge(said);
        }
        self.note_isolation(was_isolated);
        self.speak_up(false);
    }

    fn ask_seeds(&mut self) {
        let wanted = self.wants_seeds();
        if let Some(addr) = self.addr() {
            self.seeds.tick(wanted, addr, &mut self.core);
            if self.core.phase == Phase::Joining && self.seeds.tell_failing(self.core.now, &self.core.config) {
                self.core.notices.raise(Notice::JoinFailing);
            }
        }
    }

    fn look_into_claims(&mut self) {
        if self.challenges.is_empty() {
            return;
        }
        let unit = self.detector.unit(&self.core.config);
        while let Some(record) = self.challenges.tick(unit, &mut self.core) {
            if let Some(index) = self.believe(record).filter(|index| self.core.members.is_live(*index)) {
                self.core.members.see(index, self.core.now);
                self.core.members.prove(index);
            }
        }
    }

    pub(super) fn note_isolation(&mut self, was_isolated: bool) {
        match (was_isolated, self.detector.isolated) {
            (false, true) => {
                self.relays.clear(&mut self.core.tree);
                self.core.notices.raise(Notice::Isolated);
            }
            (true, false) => {
                // Nobody could be asked meanwhile.
                self.broadcasts.repairs.forgive(u64::MAX, self.core.now);
                self.core.notices.raise(Notice::Reconnected);
            }
            _ => {}
        }
    }
}
