//! Maps in and out: deltas and what they leave to be fetched.

use super::Node;
use super::hand::Taken;
use super::receive::Speaker;
use super::reply::Say;
use super::send::{Pending, What, behind};
use crate::budget::Class;
use crate::event::WakeReason;
use crate::map::{BULK, VITAL_LOG};
use crate::member::{Address, NodeId};
use crate::members::{Index, MYSELF};
use crate::node_core::Deadline;
use crate::state::{State, Took, WANTS};
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::tree::Delta;
use crate::wire::{Chunk, ChunkHead, MOST_VERSION, Reader};

impl<A: Address, S: Storage> Node<A, S> {
    // In.

    /// Takes a part of somebody's map that goes down the tree. What came before goes on all the same: the range may be
    /// another's who did not.
    pub(super) fn take_delta(&mut self, chunk: &Chunk<'_>, teller: NodeId) -> Taken {
        let ChunkHead { origin, vital, span, newest, .. } = chunk.head;
        let Some(owner) = self.core.members.find_life(origin.id, origin.tag) else {
            // It comes again, when its owner may be known.
            self.refuse(DropReason::UnknownOwner);
            return Taken::Refused;
        };
        if !self.keeps_maps() {
            self.pass_map_over(owner, versions_of(chunk));
            self.refuse(DropReason::StateRoom);
            return Taken::Stays;
        }
        match self.take_chunk(chunk, owner, (teller, true)) {
            Took::Unfit => Taken::Gap,
            Took::Refused => Taken::Stays,
            _ => Taken::Delta(Delta { owner, tag: origin.tag, vital, from: span.from, to: newest }),
        }
    }

    /// How far this node has come with the log that a chunk is of.
    pub(super) fn have_of(&self, chunk: &Chunk<'_>) -> u32 {
        let owner = self.core.members.find_life(chunk.head.origin.id, chunk.head.origin.tag);
        let owner = owner.filter(|_| self.keeps_maps());
        owner.map_or(0, |owner| self.core.members.map(owner).log(log_of(chunk)).version)
    }

    /// Takes a chunk that this member has sent, down the tree or because it was asked for, and sees to what it has beyond.
    fn take_chunk(&mut self, chunk: &Chunk<'_>, owner: Index, (teller, cast): (NodeId, bool)) -> Took {
        self.core.stats.chunks_in = self.core.stats.chunks_in.wrapping_add(1);
        if owner == MYSELF {
            let own = self.core.members.map(MYSELF).versions();
            self.state.note_doubt(versions_of(chunk), own);
            return Took::Old;
        }
        // What goes down the tree comes from the owner and ends there: the last that somebody wrote who leaves may come
        // behind the word of it.
        let kept = self.keeps_map_of(owner) || cast && self.is_recent(owner);
        if !kept {
            return Took::Old;
        }
        let by_owner = teller == chunk.head.origin.id;
        let log = log_of(chunk);
        let refused = self.core.members.map(owner).log(log).refused;
        let took = self.state.take(chunk, (owner, by_owner), &mut self.core);
        // Some of it may have been taken.
        if took == Took::Refused || !refused && self.core.members.map(owner).log(log).refused {
            self.refuse(DropReason::StateRoom);
        }
        let mut versions = self.core.members.map(owner).versions();
        if let Some(version) = versions.get_mut(log)
            && *version < chunk.head.newest
            && took != Took::Refused
            && !self.core.members.map(owner).log(log).refused
        {
            *version = chunk.head.newest;
            // What comes in pieces is only announced.
            let announced = chunk.head.span.from == chunk.head.span.to;
            self.note_more(owner, versions, (teller, announced));
        }
        took
    }

    /// Whether a map is to be read at all: that of the dead is not kept for ever, and not begun by whoever comes later.
    fn keeps_map_of(&self, owner: Index) -> bool {
        self.core.members.is_live(owner) || self.core.members.map(owner).has_any() && self.is_recent(owner)
    }

    /// Whether the map of a member that is gone is still to be kept.
    fn is_recent(&self, owner: Index) -> bool {
        self.core.members.quiet(owner, self.core.now) < self.core.config.state_retention
    }

    /// Another may have come further with a member's map: whether it has, and whether that could be noted.
    pub(super) fn hear_of_map(&mut self, owner: Index, versions: [u32; 2], teller: NodeId) -> Option<bool> {
        // Nobody has written so often.
        if versions.iter().any(|version| *version > MOST_VERSION) {
            return None;
        }
        if !self.keeps_maps() {
            self.pass_map_over(owner, versions);
            return None;
        }
        if owner == MYSELF {
            self.hear_of_own_map(versions);
            return None;
        }
        let wanted = self.core.members.map(owner).wants(versions) && self.keeps_map_of(owner);
        wanted.then(|| self.note_more(owner, versions, (teller, false)))
    }

    /// A node that keeps no maps counts all of them as read: it is to be as far as others are. It has nothing to give.
    fn pass_map_over(&mut self, owner: Index, versions: [u32; 2]) {
        if owner == MYSELF
            || !self.core.members.is_live(owner)
            || versions.iter().any(|version| *version > MOST_VERSION)
        {
            return;
        }
        self.core.members.with_map(owner, |map| {
            for (log, version) in map.logs.iter_mut().zip(versions) {
                (log.version, log.hollow) = (log.version.max(version), true);
            }
        });
    }

    /// What is refused for want of room is asked for again when somebody else's has gone.
    fn note_more(&mut self, owner: Index, versions: [u32; 2], (teller, announced): (NodeId, bool)) -> bool {
        let Some(tag) = self.core.members.get(owner).map(|record| record.tag()) else { return false };
        let wait = State::<S>::patience(self.detector.hop(&self.core.config), &self.core.config);
        let wait = if announced { self.core.config.gossip_gap } else { wait };
        self.state.fetches.note(teller, (owner, tag), versions, self.core.now.after(wait))
    }

    /// So much of this node's own map is elsewhere.
    fn hear_of_own_map(&mut self, versions: [u32; 2]) {
        let own = self.core.members.map(MYSELF).versions();
        self.state.note_claim(versions, own);
    }

    pub(super) fn on_given(&mut self, chunk: &Chunk<'_>, speaker: &Speaker<A>) {
        if !self.state.fetches.asks(speaker.head.sender) {
            return self.refuse(DropReason::Unasked);
        }
        let Some(owner) = self.core.members.find_life(chunk.head.origin.id, chunk.head.origin.tag) else {
            return self.refuse(DropReason::UnknownOwner);
        };
        if self.take_chunk(chunk, owner, (speaker.head.sender, false)) == Took::New {
            let wait = 4 * self.detector.hop(&self.core.config);
            self.state.fetches.note_given(speaker.head.sender, self.core.now, wait);
        }
    }

    /// A member lacks some of others' maps. What it is given goes to where it is known to be.
    pub(super) fn on_fetch(&mut self, number: u32, mut wants: Reader<'_>, speaker: &mut Speaker<A>) {
        let asker = self.core.members.find(speaker.head.sender).filter(|index| self.core.members.is_proved(*index));
        let Some(to) = asker.and_then(|index| self.core.members.get(index)).map(|record| record.id) else {
            return self.respond(speaker, Say::Introduce);
        };
        if !self.may_send(Class::State) {
            self.core.stats.held_back = self.core.stats.held_back.wrapping_add(1);
            return;
        }
        if !self.state.begin_give(to, number) {
            return self.refuse(DropReason::Busy);
        }
        let mut count = 0;
        while !wants.is_empty() {
            count += 1;
            let Some(had) = wants.had().filter(|_| count <= WANTS) else { return self.refuse(DropReason::Malformed) };
            if let Some(owner) = self.core.members.find_life(had.origin.id, had.origin.tag) {
                self.state.add_to_give(&had, owner, &self.core.members);
            }
        }
    }

    pub(super) fn on_fetched(&mut self, number: u32, speaker: &Speaker<A>) {
        let asked = self.state.fetches.on_fetched(
            speaker.head.sender,
            number,
            self.core.now,
            self.detector.hop(&self.core.config),
        );
        self.note_answer(asked, speaker);
    }

    // Time.

    pub(super) fn state_due(&self, due: &mut Deadline) {
        if !self.keeps_data() {
            return;
        }
        if self.keeps_maps() {
            due.sooner(self.state.own_due(), WakeReason::State);
        }
        if self.detector.isolated {
            return;
        }
        if self.keeps_maps() {
            let casts = self.state.casts_due(self.may_begin_casts(), &self.core);
            self.sooner_if_paid(due, Class::State, casts, WakeReason::State);
        }
        self.sooner_if_paid(due, Class::State, self.state.fetches.due(), WakeReason::State);
        if self.may_begin_casts() && self.core.members.others() > 0 {
            self.sooner_if_paid(due, Class::State, self.walk.asking_due(), WakeReason::State);
        }
        // Otherwise it goes out with this very call.
        if self.state.owed_gives().next().is_some() && !self.may_send(Class::State) {
            self.sooner_if_paid(due, Class::State, self.core.now, WakeReason::State);
        }
    }

    pub(super) fn tick_state(&mut self) {
        if !self.keeps_data() {
            return;
        }
        if self.keeps_maps() {
            self.tick_own_map();
        }
        if self.detector.isolated || !self.may_send(Class::State) {
            return;
        }
        let may_begin = self.may_begin_casts();
        if self.keeps_maps() {
            let unit = self.detector.hop(&self.core.config);
            let given_up = self.state.tick_casts(may_begin, unit, &mut self.core);
            self.detector.probe_now(given_up, &mut self.core);
            self.state.tick_fetches(unit, &mut self.core);
        }
        if may_begin && self.core.now >= self.walk.asking_due() {
            self.ask_for_all();
        }
    }

    fn tick_own_map(&mut self) {
        self.state.tick_own(&mut self.core);
        if self.core.now >= self.state.next_look {
            self.state.next_look = self.core.now.after(self.core.config.probe_period);
            self.state.tick_taking(&mut self.core);
            let worn = self.core.members.map(MYSELF).versions().iter().any(|version| *version >= MOST_VERSION);
            if worn || self.state.is_doubted() && !self.state.write_anew(&mut self.core) {
                self.begin_anew();
            }
        }
    }

    /// Whoever is new asks somebody for all maps, and does not wait until a probe shows that it lacks them.
    fn ask_for_all(&mut self) {
        // Better one with which it has spoken: another does not know yet that it is there.
        let known = |member: &crate::Member<A>| {
            self.core.members.find(member.id()).is_some_and(|index| self.core.members.is_proved(index))
        };
        let any = self.core.members.random_live(&mut self.core.rng, known);
        let any = any.or_else(|| self.core.members.random_live(&mut self.core.rng, |_| true));
        let any = any.and_then(|index| self.core.members.get(index));
        if let Some(peer) = any.map(|record| record.id) {
            self.walk.ask_for_all(peer, self.core.now, 4 * self.detector.hop(&self.core.config));
        }
    }

    // Out.

    pub(super) fn owed_state(&self, passed: &mut usize) -> Option<Pending<A>> {
        if self.detector.isolated || !self.keeps_maps() || self.state.is_quiet() || !self.may_send(Class::State) {
            return None;
        }
        if let Some((at, to)) = behind(self.state.fetches.owed(), passed) {
            return Some(self.pays(What::Fetch(at), to, Class::State));
        }
        behind(self.state.owed_gives(), passed).map(|(at, to)| self.pays(What::Maps(at), to, Class::State))
    }
}

fn log_of(chunk: &Chunk<'_>) -> usize {
    if chunk.head.vital { VITAL_LOG } else { BULK }
}

/// How far there is known to be something, of the log that a chunk is of.
fn versions_of(chunk: &Chunk<'_>) -> [u32; 2] {
    let mut versions = [0; 2];
    if let Some(version) = versions.get_mut(log_of(chunk)) {
        *version = chunk.head.newest;
    }
    versions
}
