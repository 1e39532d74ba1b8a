//! What the answers of jurors come to: who is dead, who lives though it does not answer this node, and what this node knows
//! of its own place.

use super::case::{Case, unreached_after};
use super::verdict::{Around, is_dead};
use super::{CROWD, Detector, may_sleep};
use crate::config::Config;
use crate::member::{Address, Certificate, Liveness, NodeId};
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::storage::{FewOf, Storage};
use crate::time::Instant;
use crate::wire::Word;

impl<A: Address, S: Storage> Detector<A, S> {
    /// Whether this node has lately not reached a member whom others heard.
    pub(super) fn is_partial(&self, core: &Core<A, S>) -> bool {
        self.unreached.is_some_and(|at| core.now.since(at) < 16 * core.config.suspicion)
    }

    pub(super) fn around(&self, core: &Core<A, S>) -> Around {
        // A silence that no other has confirmed may be this node's own.
        let confirmed = self.cases.iter().filter(|case| case.silent > 0 && case.heard_by.is_none()).count();
        let partial = self.is_partial(core);
        let crowd = !partial && confirmed + core.members.certified(core.now) >= CROWD;
        // From tick to tick: to be asked, to ask the accused, to hear of it, and to be heard.
        let slack = 4 * self.lag(core.now);
        let bystanders = core.members.others().saturating_sub(1);
        let jurors = core.members.heard().min(bystanders);
        Around { bystanders, jurors, crowd, partial, slack }
    }

    /// The last other member, by its silence alone: there is nobody to ask, and one that is to take over must come to it some
    /// time. It is tried all along.
    pub(super) fn last_verdict(&mut self, core: &mut Core<A, S>) -> Option<(Index, Option<Certificate>)> {
        self.tries_last = is_last(&core.members, &core.config);
        if !self.tries_last {
            return None;
        }
        let (unit, read) = (self.unit(&core.config), self.read_until(core.now));
        self.close_settled(core);
        self.cases.iter_mut().for_each(|case| _ = case.tries.tick(core.now, unit, &core.config));
        let case = self.cases.first()?;
        let index = core.members.find(case.target).filter(|index| !may_sleep(*index, core))?;
        let silent = case.tries.made() > 0 && read.since(case.opened) >= 3 * self.allowed(&core.config);
        silent.then(|| self.cases.clear())?;
        Some((index, None))
    }

    pub(super) fn verdict(&mut self, core: &mut Core<A, S>) -> Option<(Index, Option<Certificate>)> {
        let allowed = self.allowed(&core.config);
        let (around, read) = (self.around(core), self.read_until(core.now));
        let dead = self.cases.iter().position(|case| is_dead(case.evidence(allowed, read, around, &core.members)))?;
        let case = self.cases.swap_take(dead)?;
        // The dead need not answer, and nothing follows from it if they do not.
        self.unanswered.retain(|id| *id != case.target);
        let certificate = case.certificate(allowed + around.slack, read)?;
        core.members.find(case.target).map(|index| (index, Some(certificate)))
    }

    /// Closes the cases of sleepers at the latest when others would be judged: one that has not been quiet for longer
    /// than it may be is not judged, and not many of them shall keep others from being probed. It is probed again when
    /// its turn comes.
    pub(super) fn let_sleep(&mut self, core: &mut Core<A, S>) {
        let allowed = self.allowed(&core.config);
        self.cases.retain(|case| {
            let asleep = core.members.find(case.target).is_some_and(|index| may_sleep(index, core));
            let waited = if case.claim.is_some() { allowed / 2 } else { allowed };
            !asleep || core.now.since(case.opened) < waited
        });
    }

    /// Drops the cases that what was learned meanwhile has settled, and the claims that the accused has spoken against.
    pub(super) fn close_settled(&mut self, core: &mut Core<A, S>) {
        for case in self.cases.iter_mut() {
            let record = core.members.find_record(case.target);
            case.claim =
                case.claim.filter(|claim| record.is_some_and(|record| record.incarnation <= claim.incarnation));
        }
        let (unreached, read) = (unreached_after(self.allowed(&core.config)), self.read_until(core.now));
        self.cases.retain(|case| {
            let record = core.members.find_record(case.target);
            let tried = case.vouched && read.since(case.opened) >= unreached;
            if tried {
                self.unreached = Some(core.now);
            }
            !tried && record.is_some_and(|record| record.liveness == Liveness::Alive && record.tag() == case.tag)
        });
    }

    /// Takes a juror's answer; false unless it is one to the present question of the case.
    pub(crate) fn on_verdict(
        &mut self,
        from: NodeId,
        question: u32,
        target: NodeId,
        word: Word,
        core: &mut Core<A, S>,
    ) -> bool {
        let allowed = self.allowed(&core.config);
        let of_question = |case: &Case| case.target == target && case.question == question;
        let Some(at) = self.cases.iter().position(of_question) else { return false };
        let Some(case) = self.cases.get_mut(at) else { return false };
        let Some(place) = case.jurors.iter().position(|juror| juror.id == from) else { return false };
        case.note(place, word);
        if !case.is_heard() {
            self.answered(core);
            return true;
        }
        // It lives. Whether it answers this node too is looked into each fourth time, as that takes some more tries.
        if case.claim.is_some() || !core.rng.next_u32().is_multiple_of(4) && case.is_young(allowed, core.now) {
            self.cases.swap_take(at);
        } else {
            (case.vouched, case.next_jury) = (true, Instant::FAR_FUTURE);
            case.jurors.clear();
        }
        // Those who ask about it want this node's own word.
        let others = self.errands.iter_mut().filter(|errand| errand.target == target);
        others.for_each(|errand| errand.tries.ask.next = errand.tries.ask.next.min(core.now));
        self.hears(target, core);
        true
    }
}

/// Whether there is only one other member left, and it is to be declared down by its silence alone.
pub(super) fn is_last<A: Address, S: Storage>(members: &Members<A, S>, config: &Config) -> bool {
    config.last_verdict && members.others() == 1
}
