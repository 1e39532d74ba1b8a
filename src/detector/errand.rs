//! An errand: a juror's own probe of a member, on behalf of one who asked.

use super::case::{Case, Tries};
use super::{Detector, may_sleep};
use crate::config::Config;
use crate::member::{Address, NodeId};
use crate::node_core::Core;
use crate::share::{Claim, OVER, make_room};
use crate::storage::{FewOf, Storage, must_fit};
use crate::time::Instant;

/// So many pings does a question pay for towards a member that has not shown that it is where it is said to be: what all the
/// jurors send there comes together, and a question that is repeated pays again.
const PAID: u16 = 1;

/// Who asks for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asker<A> {
    pub(crate) id: NodeId,
    pub(crate) tag: u32,
    /// Where the question came from.
    pub(crate) addr: A,
    /// That is where the member is known to be.
    pub(crate) home: bool,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is answered when the target has answered, or the time is up.
    Taken,
    /// This node has found the target silent already.
    Silent,
    /// There is no room for it.
    Busy,
}

/// A probe on behalf of another member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Errand<A> {
    pub(super) asker: Asker<A>,
    pub(super) question: u32,
    pub(super) target: NodeId,
    /// The target has shown that it is where it is known to be.
    pub(super) proved: bool,
    /// How often the question came.
    pub(super) asks: u16,
    pub(super) begun: Instant,
    /// How long the asker waits for an answer.
    pub(super) within: u64,
    pub(super) tries: Tries,
    pub(super) heard: Option<bool>,
    pub(super) owed: bool,
}

impl<A: Copy> Errand<A> {
    /// The claim on its place: the better, the less a liar can have made up.
    pub(super) fn claim(&self) -> Claim<NodeId, A> {
        let open = self.heard.is_none() || self.owed;
        let rank = if open { 1 + u8::from(self.asker.home) + u8::from(self.proved) } else { OVER };
        Claim { peer: self.asker.id, addr: Some(self.asker.addr), rank }
    }

    /// The question came again: it is answered again, or pays for more pings.
    pub(super) fn repeat(&mut self, now: Instant) {
        self.owed |= self.heard.is_some();
        self.asks = self.asks.saturating_add(1);
        if self.tries.ask.next >= self.given_up_at() {
            self.tries.ask.next = now;
        }
    }

    /// Whether it was in vain for so long, just now.
    pub(super) fn finds_silent(&self, needed: u64, now: Instant) -> bool {
        let lasted = now.since(self.begun);
        self.heard != Some(true) && lasted >= needed && lasted < self.within + needed
    }

    fn given_up_at(&self) -> Instant {
        self.begun.after(self.within)
    }

    /// The host did not take the latest try.
    pub(super) fn not_sent(&mut self) {
        if self.tries.not_sent() {
            self.begun = self.tries.ask.next;
        }
    }

    /// When there is something to do next, if what waits to be read will have been by that time.
    pub(super) fn due(&self, read: Instant) -> Instant {
        match self.heard {
            None => self.tries.ask.next.min(self.given_up_at().max(read)),
            Some(_) => self.kept_until(),
        }
    }

    /// Makes the due try, unless the target is pinged anyhow, or gives up and answers, as far as what came has been read.
    pub(super) fn tick(&mut self, pinged: bool, unit: u64, (now, read): (Instant, Instant), config: &Config) {
        if self.heard.is_some() {
            return;
        }
        if read >= self.given_up_at() {
            self.conclude(false, now);
        } else if pinged {
            self.tries.ask.next = Instant::FAR_FUTURE;
        } else if self.proved || self.tries.made() < PAID.saturating_mul(self.asks) {
            self.tries.tick(now, unit, config);
        } else {
            self.tries.ask.next = Instant::FAR_FUTURE;
        }
    }

    /// Answers the asker. Who is heard after all is heard, and the asker is told.
    pub(super) fn conclude(&mut self, heard: bool, now: Instant) {
        if self.heard.is_none() || heard && self.heard == Some(false) {
            // An answer that took long is kept as long as one that is in time.
            self.begun = self.begun.max(Instant::from_micros(now.as_micros().saturating_sub(self.within)));
            (self.heard, self.owed, self.tries.ask.owed) = (Some(heard), true, false);
        }
    }

    /// Whether the asker may still ask again.
    pub(super) fn is_current(&self, now: Instant) -> bool {
        now < self.kept_until()
    }

    /// As long again as the asker waits, and a little for a caller who comes late to a short time.
    fn kept_until(&self) -> Instant {
        self.begun.after(2 * self.within + 100_000)
    }
}

/// How long a juror is to try before it says "silent": 0.6 s of a suspicion of 3.2 s; if many are asked, and each need not be
/// as sure of it, 0.4 s, so that there is time to ask again for an answer that is lost. The asker says so, as the juror's own
/// settings may be another's.
pub(crate) fn errand_time(config: &Config, many: bool) -> u64 {
    if many { config.suspicion / 8 } else { config.suspicion / 16 * 3 }
}

impl<A: Address, S: Storage> Detector<A, S> {
    /// Takes a request to probe `target` and to answer within so many microseconds.
    pub(crate) fn on_ask(
        &mut self,
        asker: Asker<A>,
        question: u32,
        target: NodeId,
        within: u64,
        core: &mut Core<A, S>,
    ) -> Asked {
        let same = |errand: &&mut Errand<A>| errand.asker.id == asker.id && errand.question == question;
        if let Some(errand) = self.errands.iter_mut().find(same) {
            errand.repeat(core.now);
            self.tick_errands(core);
            return Asked::Taken;
        }
        let index = core.members.find(target);
        let proved = index.is_some_and(|index| core.members.is_proved(index));
        // Nobody holds a place for long by asking for more than this node would: its own settings say how long it tries.
        let within = within.min(2 * errand_time(&core.config, false));
        let mut tries = Tries::begin(core.rng.next_u32(), core.now);
        // Several are asked at a time: each leaves out the closest tries, and makes three in the shorter time.
        tries.ask.tries = 3;
        let (begun, heard) = (core.now, None);
        let mut errand = Errand { asker, question, target, proved, asks: 1, begun, within, tries, heard, owed: false };
        if !make_room!(self.errands, Errand::claim, errand.claim()) {
            return if self.finds_silent(target, core) { Asked::Silent } else { Asked::Busy };
        }
        // One ping is enough for all who ask about a member at a time.
        if let Some(other) = self.errands.iter().find(|other| other.target == target && other.heard.is_none()) {
            errand.tries.ask.next = errand.tries.ask.next.max(other.tries.ask.next);
        }
        // A sleeper that this node has heard need not be woken to be vouched for.
        if index.is_some_and(|index| may_sleep(index, core) && core.members.was_heard(index)) {
            errand.conclude(true, core.now);
        }
        must_fit(self.errands.push(errand));
        self.tick_errands(core);
        Asked::Taken
    }

    /// Whether this node has probed a member in vain for as long as a juror does, and still does.
    fn finds_silent(&self, target: NodeId, core: &Core<A, S>) -> bool {
        let needed = errand_time(&core.config, false);
        let by_case = |case: &Case| case.target == target && core.now.since(case.opened) >= needed;
        let by_errand = |errand: &Errand<A>| errand.target == target && errand.finds_silent(needed, core.now);
        self.cases.iter().any(by_case) || self.errands.iter().any(by_errand)
    }

    pub(super) fn tick_errands(&mut self, core: &mut Core<A, S>) {
        let (unit, read) = (self.unit(&core.config), self.read_until(core.now));
        for errand in self.errands.iter_mut() {
            // The pings of a case are enough for all who ask about its target.
            let pinged = self.cases.iter().any(|case| case.target == errand.target);
            errand.tick(pinged, unit, (core.now, read), &core.config);
        }
        self.errands.retain(|errand| errand.is_current(core.now));
    }
}
