//! Deltas down the tree: what this node writes itself, and what it passes on.

use super::State;
use crate::map::{BULK, LOGS, VITAL_LOG};
use crate::member::{Address, NodeId};
use crate::members::{MYSELF, Members};
use crate::node_core::Core;
use crate::storage::Storage;
use crate::time::Instant;
use crate::tree::{Delta, Job, Kind, Range32};
use crate::wire::{MOST_BEFORE_ENTRIES, Passing, Writer};

impl Delta {
    fn log(&self) -> usize {
        if self.vital { VITAL_LOG } else { BULK }
    }
}

impl<S: Storage> State<S> {
    /// The first own log of which something is to be handed out: vital before bulk.
    fn unhanded<A: Address>(&self, members: &Members<A, S>) -> Option<(usize, u32)> {
        let versions = members.map(MYSELF).versions();
        if self.handed == versions && self.tells_floor == [false; LOGS] {
            return None;
        }
        [VITAL_LOG, BULK].into_iter().find_map(|log| {
            let (handed, version) = (*self.handed.get(log)?, *versions.get(log)?);
            (handed < version || *self.tells_floor.get(log)?).then_some((log, handed))
        })
    }

    /// Whether all that was written has been handed out and acknowledged, or given up; or there is nobody to be told.
    pub(crate) fn is_done<A: Address>(&self, core: &Core<A, S>) -> bool {
        let members = &core.members;
        core.tree.is_empty(Kind::Delta) && (members.others() == 0 || self.unhanded(members).is_none())
    }

    /// Whether nothing but what the tree carries is under way, to others or from them.
    pub(crate) fn is_quiet(&self) -> bool {
        self.fetches.is_empty() && self.gives.is_empty()
    }

    /// When something is to be sent again, or could be sent at all.
    pub(crate) fn casts_due<A: Address>(&self, may_begin: bool, core: &Core<A, S>) -> Instant {
        let due = core.tree.due(Kind::Delta);
        let unhanded = may_begin && core.members.others() > 0 && self.unhanded(&core.members).is_some();
        if unhanded && core.tree.ways(Kind::Delta).is_some() {
            due.min(self.last_handed.after(core.config.gossip_gap))
        } else {
            due
        }
    }

    /// Tries again where no acknowledgement came, and hands out what was written, as much at a time as a datagram holds.
    /// Returns who was tried in vain.
    pub(crate) fn tick_casts<A: Address>(
        &mut self,
        may_begin: bool,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> Option<NodeId> {
        let (tree, mut context) = core.tree();
        let given_up = tree.tick(Kind::Delta, &[], unit, &mut context);
        self.note_backlog(core);
        self.hand_out_own(may_begin, unit, core);
        given_up
    }

    fn hand_out_own<A: Address>(&mut self, may_begin: bool, unit: u64, core: &mut Core<A, S>) {
        let now = core.now >= self.last_handed.after(core.config.gossip_gap);
        if !(may_begin && now && core.members.others() > 0) {
            return;
        }
        let Some((log, from)) = self.unhanded(&core.members) else { return };
        let Some(tag) = core.members.myself().map(|myself| myself.tag()) else { return };
        let room = core.config.max_datagram() - MOST_BEFORE_ENTRIES;
        let to = self.reach((MYSELF, log), from, room, &core.members);
        let delta = Delta { owner: MYSELF, tag, vital: log == VITAL_LOG, from, to };
        if !self.hand_out(delta, Range32::ALL, unit, core) {
            return;
        }
        if let Some(handed) = self.handed.get_mut(log) {
            *handed = to;
        }
        // It goes with every part of the log.
        if let Some(tells) = self.tells_floor.get_mut(log) {
            *tells = false;
        }
        self.last_handed = core.now;
    }

    /// Hands a range out; false, and nothing done, if there is no room. Where an earlier part of the same log is still on its
    /// way in the same range, both go together if they fit: under load a log is sent once, and not once for each write.
    pub(crate) fn hand_out<A: Address>(
        &mut self,
        delta: Delta,
        range: Range32,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> bool {
        let Some(ways) = core.tree.ways(Kind::Delta) else { return false };
        let room = core.config.max_datagram() - MOST_BEFORE_ENTRIES;
        let log = *core.members.map(delta.owner).log(delta.log());
        let join = |held: Job| {
            let held = held.delta()?;
            let same = held.owner == delta.owner && held.tag == delta.tag && held.vital == delta.vital;
            let (from, to) = (held.from.min(delta.from), held.to.max(delta.to));
            let fits = same && self.reach_of(&log, from, room) >= to;
            fits.then_some(Job::Delta(Delta { from, to, ..delta }))
        };
        let (tree, mut context) = core.tree();
        tree.hand_out_or_join(Job::Delta(delta), (range, ways), &[], join, unit, &mut context);
        true
    }

    /// Writes a delta as it is by now.
    pub(crate) fn write_delta<A: Address>(
        &self,
        delta: Delta,
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        members.get(delta.owner).filter(|record| record.tag() == delta.tag)?;
        let log = Some(*members.map(delta.owner).log(delta.log())).filter(|log| !log.hollow)?;
        // A delegate that is behind the floor must read the whole log.
        let from = if delta.from < log.floor { 0 } else { delta.from.min(log.version) };
        let span = (from, delta.to.min(log.version), delta.to);
        self.write_entries((delta.owner, delta.log()), span, usize::MAX, members, writer).map(drop)
    }

    /// Takes note of how far a delegate has come that was handed this delta. One that it does not reach back far enough for
    /// goes again, from where the delegate is: whether it does.
    pub(crate) fn on_delta_ack<A: Address>(
        &mut self,
        (number, delta): (u32, Delta),
        (passing, have): (Passing, u32),
        unit: u64,
        core: &mut Core<A, S>,
    ) -> bool {
        if delta.owner == MYSELF && (passing != Passing::No || have > 0) {
            self.pace.note_report(self.pace.is_behind(delta.to.saturating_sub(have)));
        }
        let floor = core.members.map(delta.owner).log(delta.log()).floor;
        let again = Delta { from: if have < floor { 0 } else { have }, ..delta };
        // Once: what does not help is no different the next time.
        if passing != Passing::Gap || again.from >= delta.from || have >= delta.from {
            return false;
        }
        let (tree, mut context) = core.tree();
        tree.change_job(number, Job::Delta(again), unit, &mut context)
    }

    /// Takes note of what has been on its way for long: what was handed out, and is not acknowledged.
    fn note_backlog<A: Address>(&mut self, core: &Core<A, S>) {
        let (own, mut reached) = (core.members.map(MYSELF).versions(), self.handed);
        for delta in core.tree.jobs().filter_map(Job::delta).filter(|delta| delta.owner == MYSELF) {
            if let Some(reached) = reached.get_mut(delta.log()) {
                *reached = delta.from.min(*reached);
            }
        }
        self.pace.note_backlog(lag(reached, own));
    }

    /// What is known of this node's own map elsewhere.
    pub(crate) fn note_claim(&mut self, versions: [u32; LOGS], own: [u32; LOGS]) {
        self.note_doubt(versions, own);
        if versions != [0; LOGS] {
            self.pace.note_report(self.pace.is_behind(lag(versions, own)));
        }
    }

    /// Whoever claims more than there is has been lied to.
    pub(crate) fn note_doubt(&mut self, versions: [u32; LOGS], own: [u32; LOGS]) {
        for ((doubted, said), own) in self.doubted.iter_mut().zip(versions).zip(own) {
            if said > own {
                *doubted = (*doubted).max(said);
            }
        }
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted != [0; LOGS]
    }
}

/// How many writes somebody who has so much is behind.
fn lag(have: [u32; LOGS], own: [u32; LOGS]) -> u32 {
    own.iter().zip(have).map(|(own, have)| own.saturating_sub(have)).fold(0, u32::saturating_add)
}
