//! Deltas down the tree: what this node writes itself, and what it passes on.

use super::State;
use crate::config::Config;
use crate::map::{BULK, LOGS, VITAL_LOG};
use crate::member::{Address, NodeId};
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::storage::Storage;
use crate::time::Instant;
use crate::tree::{Share, WAYS, Wish};
use crate::wire::{MOST_BEFORE_ENTRIES, Passing, Writer};

/// The most shares that are not yet worth waiting for before there is room for more.
const LEAST_ROOM: usize = 4;

/// A part of a log on its way to all: what is behind `from` up to `to`, as it is when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Delta {
    owner: Index,
    tag: u32,
    vital: bool,
    from: u32,
    to: u32,
}

impl Delta {
    fn log(&self) -> usize {
        if self.vital { VITAL_LOG } else { BULK }
    }
}

impl<S: Storage> State<S> {
    /// Whether a delta of this number has been taken before.
    pub(crate) fn has_taken(&self, number: u32) -> bool {
        self.taken.contains(number)
    }

    pub(crate) fn note_taken(&mut self, number: u32) {
        self.taken.note(number);
    }

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
    pub(crate) fn is_done<A: Address>(&self, members: &Members<A, S>) -> bool {
        self.tree.is_empty() && (members.others() == 0 || self.unhanded(members).is_none())
    }

    /// Whether nothing is under way, to others or from them.
    pub(crate) fn is_quiet(&self) -> bool {
        self.tree.is_empty() && self.fetches.is_empty() && self.gives.is_empty()
    }

    fn can_hand_out(&self) -> bool {
        self.tree.room() >= LEAST_ROOM
    }

    /// When something is to be sent again, or could be sent at all.
    pub(crate) fn casts_due<A: Address>(&self, may_begin: bool, members: &Members<A, S>, config: &Config) -> Instant {
        let due = self.tree.due();
        let begins = may_begin && members.others() > 0 && self.can_hand_out() && self.unhanded(members).is_some();
        if begins { due.min(self.last_handed.after(config.gossip_gap)) } else { due }
    }

    /// Tries again where no acknowledgement came, and hands out what was written, as much at a time as a datagram holds.
    /// Returns who was tried in vain.
    pub(crate) fn tick_casts<A: Address>(
        &mut self,
        may_begin: bool,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> Option<NodeId> {
        let given_up = self.tree.tick(unit, core);
        self.note_backlog(&core.members);
        self.hand_out_own(may_begin, unit, core);
        given_up
    }

    fn hand_out_own<A: Address>(&mut self, may_begin: bool, unit: u64, core: &mut Core<A, S>) {
        let now = core.now >= self.last_handed.after(core.config.gossip_gap);
        if !(may_begin && now && core.members.others() > 0 && self.can_hand_out()) {
            return;
        }
        let Some((log, from)) = self.unhanded(&core.members) else { return };
        let Some(tag) = core.members.myself().map(|myself| myself.tag()) else { return };
        let room = core.config.max_datagram() - MOST_BEFORE_ENTRIES;
        let to = self.reach((MYSELF, log), from, room, &core.members);
        let delta = Delta { owner: MYSELF, tag, vital: log == VITAL_LOG, from, to };
        self.hand_out(delta, Share::ALL, unit, core);
        if let Some(handed) = self.handed.get_mut(log) {
            *handed = to;
        }
        // It goes with every part of the log.
        if let Some(tells) = self.tells_floor.get_mut(log) {
            *tells = false;
        }
        self.last_handed = core.now;
    }

    /// Passes what a chunk brought on to the others in a share; false, and nothing done, if there is no room.
    pub(crate) fn pass_on<A: Address>(
        &mut self,
        (owner, vital): (Index, bool),
        (from, to): (u32, u32),
        share: Share,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> bool {
        let Some(tag) = core.members.get(owner).map(|record| record.tag()) else { return false };
        let able = self.can_hand_out();
        if able {
            self.hand_out(Delta { owner, tag, vital, from, to }, share, unit, core);
        }
        able
    }

    /// Hands a share out. Where an earlier part of the same log is still on its way in the same share, both go together if
    /// they fit: under load a log is sent once, and not once for each write.
    fn hand_out<A: Address>(&mut self, delta: Delta, share: Share, unit: u64, core: &mut Core<A, S>) {
        let ways = (self.tree.room() - 2).min(WAYS);
        let room = core.config.max_datagram() - MOST_BEFORE_ENTRIES;
        let map = *core.members.map(delta.owner);
        let mut tree = core::mem::replace(&mut self.tree, crate::tree::Tree::NONE);
        let joins = |held: &mut Delta| {
            let same = held.owner == delta.owner && held.tag == delta.tag && held.vital == delta.vital;
            let from = held.from.min(delta.from);
            let fits = same && self.reach_of(map.log(delta.log()), from, room) >= delta.to.max(held.to);
            if fits {
                (held.from, held.to) = (from, held.to.max(delta.to));
            }
            fits
        };
        tree.hand_out_or_join(delta, (share, ways), Wish::Any, joins, unit, core);
        self.tree = tree;
    }

    /// Which deltas are to be sent, and to whom: vital ones first.
    pub(crate) fn owed_cast(&self) -> impl Iterator<Item = (usize, NodeId)> {
        let of = |vital: bool| self.tree.owed().filter(move |(_, leg)| leg.job.vital == vital);
        of(true).chain(of(false)).map(|(at, leg)| (at, leg.delegate))
    }

    /// Writes the delta of this leg.
    pub(crate) fn write_delta<A: Address>(
        &self,
        at: usize,
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let leg = self.tree.get(at)?;
        let delta = leg.job;
        members.get(delta.owner).filter(|record| record.tag() == delta.tag)?;
        let log = Some(*members.map(delta.owner).log(delta.log())).filter(|log| !log.hollow)?;
        // Who is behind the floor must read it all.
        let from = if delta.from < log.floor { 0 } else { delta.from.min(log.version) };
        let frame = writer.begin(crate::wire::kind::DELTA)?;
        let fill = |writer: &mut Writer<'_>| {
            writer.u32(leg.ask.number)?;
            writer.u32(leg.share.low)?;
            writer.u32(leg.share.high)?;
            let span = (from, delta.to.min(log.version), delta.to);
            self.write_entries((delta.owner, delta.log()), span, usize::MAX, members, writer)
        };
        match fill(writer) {
            Some(_) => writer.end(frame),
            None => writer.cancel(frame),
        }
    }

    /// Takes the answer to a delta. One that does not reach back far enough goes again, from where the other is.
    pub(crate) fn on_delta_ack<A: Address>(
        &mut self,
        (from, number): (NodeId, u32),
        (passing, have): (Passing, u32),
        unit: u64,
        core: &mut Core<A, S>,
    ) -> bool {
        if passing != Passing::Gap {
            return self.tree.on_ack(from, number, passing == Passing::Yes, core);
        }
        let Some(leg) = self.tree.leg(number).filter(|leg| leg.delegate == from) else { return false };
        let delta = leg.job;
        let floor = core.members.map(delta.owner).log(delta.log()).floor;
        let again = Delta { from: if have < floor { 0 } else { have }, ..delta };
        // Once: what does not help is no different the next time.
        if again.from < delta.from && have < delta.from {
            self.tree.change_job(number, again, unit, core)
        } else {
            self.tree.on_ack(from, number, false, core)
        }
    }

    /// A delegate has come so far with what it was sent under this number.
    pub(crate) fn note_reach(&mut self, number: u32, have: u32) {
        let own = self.tree.leg(number).map(|leg| leg.job).filter(|delta| delta.owner == MYSELF);
        if let Some(delta) = own {
            self.pace.note_report(self.pace.is_behind(delta.to.saturating_sub(have)));
        }
    }

    /// Takes note of what has been on its way for long: what was handed out, and is not acknowledged.
    fn note_backlog<A: Address>(&mut self, members: &Members<A, S>) {
        let (own, mut reached) = (members.map(MYSELF).versions(), self.handed);
        for delta in self.tree.jobs().filter(|delta| delta.owner == MYSELF) {
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
