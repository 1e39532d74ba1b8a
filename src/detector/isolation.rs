//! Whether the silence is this node's own, and what others say of it.

use super::charge::Said;
use super::{Detector, JURORS, may_sleep};
use crate::config::Config;
use crate::member::{Address, NodeId};
use crate::members::MYSELF;
use crate::node_core::Core;
use crate::stats::Stats;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::Word;

impl<A: Address, S: Storage> Detector<A, S> {
    /// Adds those who were asked in vain to those who do not answer, and holds this node for isolated if they are
    /// three, or all there are. Mere silence proves nothing: nobody need have had reason to speak. Nor does that of
    /// members who were silent already while others answered.
    pub(super) fn judge_isolation(&mut self, core: &mut Core<A, S>) {
        let read = self.read_until(core.now);
        for case in self.cases.iter() {
            if read.since(case.opened) < self.allowed(&core.config) / 2 {
                continue;
            }
            let mute = case.mute_jurors(read, &core.config);
            for id in core::iter::once(case.target).chain(mute) {
                let index = core.members.find(id);
                // Of whoever was never heard nothing can be expected: it may be somebody's invention.
                let expected = index.is_some_and(|index| core.members.is_expected(index) && !may_sleep(index, core));
                if expected && !self.unanswered.contains(&id) {
                    // Full means three, which is enough.
                    let _ = self.unanswered.push(id);
                }
            }
        }
        // If all were silent already, and the last who answered has left, nobody is expected to.
        let others = core.members.others();
        let expected = core.members.expected() as usize;
        // Nor does it matter whether nobody answers or nobody can be asked.
        self.refusing = self.refusing.filter(|(_, before)| taken(&core.stats) == *before);
        let mute = self.refusing.is_some_and(|(since, _)| core.now.since(since) >= core.config.suspicion);
        if others > 0 && (mute || self.unanswered.len() >= expected.min(JURORS)) {
            self.refusing = None;
            self.isolated = true;
            self.hold.isolate();
        }
    }

    /// Somebody says that this node is dead at this incarnation. False if it is to speak against that at once.
    pub(crate) fn accuse(&mut self, incarnation: u32, now: Instant, config: &Config) -> bool {
        self.hold.accuse(incarnation, now, config.probe_period)
    }

    /// Whether this node holds its tongue while it is said to be dead.
    pub(crate) fn is_accused(&self) -> bool {
        self.hold.is_accused()
    }

    /// Whether it does so about this incarnation.
    pub(crate) fn is_accused_of(&self, incarnation: u32) -> bool {
        self.hold.is_accused_of(incarnation)
    }

    /// At which incarnation this node is now to speak against its death.
    pub(crate) fn release(&mut self, now: bool, config: &Config) -> Option<u32> {
        self.hold.release(now, config.probe_period)
    }

    /// This member says that this node is gone: it is asked whether it holds that itself. False if there is no room for it.
    pub(crate) fn charge(&mut self, accuser: NodeId, said: Said, core: &mut Core<A, S>) -> bool {
        // After a cut it may well be held for dead itself.
        let known = core.members.find(accuser).is_some_and(|index| index != MYSELF);
        let taken = known && self.charges.open(accuser, said, core);
        self.charges.tick(self.unit(&core.config), core.config.suspicion, core.now);
        taken
    }

    /// What is said of this node by a member that does not answer. It may hold it all the same: a link can be cut in one
    /// direction, and the accuser be held alive here by the word of others.
    pub(crate) fn unanswered_charge(&mut self, core: &Core<A, S>) -> Option<Said> {
        let (_, said) = self.charges.take_unanswered()?;
        self.charges.heed(core.now, 16 * core.config.suspicion).then_some(said)
    }

    /// Whether this node is to speak up against what others only ask about: if it goes on for sixteen suspicions, once in
    /// each.
    pub(crate) fn rumour_persists(&mut self, now: Instant, config: &Config) -> bool {
        self.charges.persists(now, 16 * config.suspicion)
    }

    /// Takes an answer to that; `None` if it is none. What the accuser does hold, if it does.
    pub(crate) fn on_charge(
        &mut self,
        from: NodeId,
        question: u32,
        word: Word,
        core: &mut Core<A, S>,
    ) -> Option<Option<Said>> {
        let held = self.charges.on_verdict(from, question, word, (core.now, core.config.probe_period))?;
        self.answered(core);
        Some(held)
    }

    /// Whether a member's answer is being waited for.
    pub(crate) fn doubts(&self, id: NodeId) -> bool {
        self.cases.iter().any(|case| case.target == id)
    }

    /// Somebody has answered: whoever is silent now is so for itself.
    pub(crate) fn answered(&mut self, core: &mut Core<A, S>) {
        self.unanswered.clear();
        self.refusing = None;
        self.hold.answered(core.now, core.config.probe_period);
        if core::mem::take(&mut self.isolated) {
            core.members.absolve(|id| self.doubts(id));
        }
        for case in self.cases.iter() {
            if let Some(index) = core.members.find(case.target) {
                core.members.excuse_suspect(index);
            }
        }
    }
}

/// How many datagrams the host has taken.
pub(super) fn taken(stats: &Stats) -> u64 {
    stats.datagrams_out.wrapping_sub(stats.send_errors)
}
