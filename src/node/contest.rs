//! Others that have this node's id: another process that was given the same, or this node's own past.

use super::Node;
use super::learn::Telling;
use super::reply::Replies;
use crate::challenge::Challenges;
use crate::event::{Notice, Phase};
use crate::member::{Address, Life, Liveness, MAX_JUMP, Member, NodeId, Record};
use crate::members::MYSELF;
use crate::rival::{Begun, Outcome, Rival, Witness, decide};
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::wire::Head;

impl<A: Address, S: Storage> Node<A, S> {
    /// Somebody names another life of this node's id.
    pub(super) fn learn_of_other_life(&mut self, record: Record<A>, myself: Record<A>, witness: Witness) {
        if self.core.phase == Phase::Leaving {
            return;
        }
        match (self.is_joining(), witness) {
            (true, Witness::Seed) => self.learn_of_other_at_seed(record, myself),
            // Its seeds know who has its id, and who else says so may be anybody.
            (true, _) => {}
            (_, Witness::Asked) => self.open_contest(record, true, None),
            (_, Witness::Hearsay(None)) if record.life < myself.life => {}
            // That it has a rival in a lesser life a member hears only of those who hold it.
            (_, Witness::Hearsay(from)) => self.open_contest(record, false, from),
            // Nobody whom it holds alive need hold it: two parts of a cluster may hold each other for dead.
            (_, Witness::Seed) => {
                self.open_contest(record, true, None);
                if let Some(rival) = self.rival.as_mut().filter(|rival| rival.life == record.life) {
                    rival.insisted = true;
                }
            }
        }
    }

    /// Whether it has only its seeds to ask.
    pub(super) fn is_joining(&self) -> bool {
        self.core.phase == Phase::Joining || self.core.members.others() == 0
    }

    /// Whoever holds the id elsewhere stands in the way of a join, the greater life or not, until our generation is above
    /// it.
    fn learn_of_other_at_seed(&mut self, record: Record<A>, myself: Record<A>) {
        let greater = record.life > myself.life;
        if !greater && record.life.generation < myself.life.generation {
            return;
        }
        // A generation that no owner comes to by itself may be one seed's invention. While another may let this node in, it
        // is not believed: nobody else would follow.
        let leaps = record.life.generation.saturating_sub(myself.life.generation) > MAX_JUMP;
        if leaps && !self.insists() {
            return self.refuse(DropReason::CounterJump);
        }
        // At our own address, or dead: it was this node's own past.
        if record.addr == myself.addr || record.liveness != Liveness::Alive {
            if greater {
                self.outlive(record.life);
            }
            return;
        }
        match &mut self.rival {
            Some(rival) if rival.life == record.life => rival.remind(self.core.now),
            Some(rival) if rival.life > record.life => {}
            _ => {
                let numbers = (self.core.rng.next_u32(), self.core.rng.next_u32());
                self.rival = Some(Rival::new(&record, numbers, true, self.core.now, &self.core.config));
            }
        }
    }

    /// Whether no seed is left that may let this node in under its id. One of several may be lying: what another says is
    /// waited for.
    pub(super) fn is_shut_out(&mut self) -> bool {
        let Some(addr) = self.addr() else { return false };
        self.seeds.all_say_taken(addr, false) || self.insists() && self.seeds.all_say_taken(addr, true)
    }

    /// Whether seeds have stood in the way for so long that no other can be about to let this node in.
    fn insists(&mut self) -> bool {
        let since = *self.hearsay.get_or_insert(self.core.now);
        self.core.now.since(since) >= self.core.config.suspicion
    }

    /// A member looks into it: it asks the rival, and others. What was told by whoever was `asked` itself stands before what
    /// anybody says.
    fn open_contest(&mut self, record: Record<A>, asked: bool, from: Option<NodeId>) {
        self.refuse(DropReason::OwnId);
        match &mut self.rival {
            Some(rival) if rival.life == record.life => {
                rival.ask_first(from);
                return rival.remind(self.core.now);
            }
            Some(rival) if rival.is_held() || rival.life > record.life && !asked => return,
            // It has been looked into just now.
            None if self.hearsay.is_some_and(|quiet| self.core.now < quiet) && !asked => return,
            _ => {}
        }
        let Some(myself) = self.core.members.myself() else { return };
        let past = record.addr == myself.addr || record.liveness != Liveness::Alive;
        if past && record.life < myself.life {
            return;
        }
        let numbers = (self.core.rng.next_u32(), self.core.rng.next_u32());
        let mut rival = Rival::new(&record, numbers, false, self.core.now, &self.core.config);
        rival.ask_first(from);
        self.rival = Some(if past { rival.past(self.core.now) } else { rival });
    }

    /// Asks on, and does what follows from the answers.
    pub(super) fn contest(&mut self) {
        let joining = self.is_joining();
        let Some(rival) = &mut self.rival else { return };
        let over = rival.tick(self.core.now, &self.core.config);
        let Some(own) = self.core.members.myself().map(|myself| myself.life) else { return };
        if joining {
            // Nobody answered for the other life: it was this node's own past.
            if over && let Some(rival) = self.rival.take() {
                self.outlive(rival.life);
            }
            return;
        }
        // To an isolated node the others are as good as dead: one that is not will do as a witness.
        let others = if self.detector.isolated { 1 } else { self.core.members.heard() };
        let rested = self.began.is_none_or(|begun| begun.is_rested(self.core.now, &self.core.config));
        let contest = rival.contest(own, others, rested, self.core.now, &self.core.config);
        let life = rival.life;
        match decide(contest) {
            Outcome::Wait => self.ask_which_life(),
            // The rival is told first that others hold this node.
            Outcome::Drop if rival.ask.owed && !contest.waited => rival.rest(self.core.now, &self.core.config),
            Outcome::Drop => {
                self.hearsay = rival.is_backed(others).then(|| self.core.now.after(self.core.config.suspicion));
                self.rival = None;
            }
            Outcome::GiveWay => self.give_up_id(),
            Outcome::Outlive => {
                self.rival = None;
                self.began = Some(Begun::again(self.began, self.core.now));
                self.outlive(life);
            }
        }
    }

    /// Asks another member which life of this node's id it holds, if it is time. At random, so that a liar is seldom asked,
    /// and where the table has it, not where somebody speaks from.
    fn ask_which_life(&mut self) {
        let Some(rival) = &mut self.rival else { return };
        let Some(first) = rival.wants_peer(self.core.now, &self.core.config) else { return };
        let first = first.and_then(|id| self.core.members.find(id)).filter(|index| self.core.members.is_live(*index));
        let unheard = |member: &Member<A>| !rival.has_heard(member.id());
        let peer = first
            .filter(|index| *index != MYSELF)
            .or_else(|| self.core.members.random_live(&mut self.core.rng, unheard));
        // All have been heard, and one may have learned better.
        let peer = peer.or_else(|| self.core.members.random_live(&mut self.core.rng, |_| true));
        if let Some(peer) = peer.and_then(|index| self.core.members.get(index)) {
            let number = rival.ask(peer.id);
            self.seeds.call_on(peer.addr, number, self.core.now);
        }
    }

    /// Whoever was asked under this number holds that life of this node's id: a seed, one that is held for dead, or the
    /// member that the question was put to. Whether it was that member.
    pub(super) fn note_life_held(&mut self, number: u32, (from, at): (NodeId, A), held: Record<A>) -> bool {
        let asked = self.rival.as_ref().is_some_and(|rival| rival.asked(number, from));
        // Those who hold the other may all be held for dead by this node, as it is a stranger to them.
        if self.is_joining() {
            return false;
        }
        let Some(myself) = self.core.members.myself().copied() else { return false };
        if held.life != myself.life && self.rival.as_ref().is_none_or(|rival| rival.life != held.life) {
            self.learn_of_other_life(held, myself, Witness::Asked);
        }
        // Of a third life each may be told in its turn.
        if let Some(rival) = self.rival.as_mut().filter(|rival| held.life == myself.life || held.life == rival.life) {
            rival.weigh(from, at, held.life, self.core.now);
        }
        asked
    }

    /// Begins a life above `past`, with the same memory; or as far towards it as others would follow.
    pub(super) fn outlive(&mut self, past: Life) {
        let Some(myself) = self.core.members.myself().copied() else { return };
        if past.generation < myself.life.generation {
            return;
        }
        let furthest = myself.life.generation.saturating_add(MAX_JUMP);
        let generation = past.generation.saturating_add(1).min(furthest);
        let life = Life { generation, nonce: self.core.rng.next_u32() };
        self.adopt(MYSELF, Record { life, incarnation: 0, ..myself }, Telling::Tree);
        if self.keeps_messages() {
            self.broadcasts.renew(&mut self.core);
        }
        if self.keeps_maps() {
            self.state.renew(&mut self.core);
        }
        self.hearsay = None;
        self.seeds.again();
    }

    /// Begins another life, as this one's numbers are used up.
    pub(super) fn begin_anew(&mut self) {
        if let Some(life) = self.core.members.myself().map(|myself| myself.life) {
            self.outlive(life);
        }
    }

    /// The other claimant of this node's id lives. A node that joins gives way to it, unless it comes before it by now; a
    /// member asks others first.
    pub(super) fn meet_twin(&mut self, head: Head) {
        let joining = self.is_joining();
        let Some(rival) = &mut self.rival else { return };
        rival.answer(head.full, self.core.now, &self.core.config);
        if !joining {
            return;
        }
        let life = rival.life;
        if self.keeps_id(life, head.newcomer) {
            self.rival = None;
        } else if self.is_shut_out() {
            self.give_up_id();
        }
    }

    /// Falls silent: another live node has this node's id.
    pub(super) fn give_up_id(&mut self) {
        self.core.phase = Phase::Idle;
        (self.challenges, self.rival, self.leave) = (Challenges::NONE, None, None);
        self.replies = Replies::NONE;
        self.core.notices.raise(Notice::IdTaken);
    }

    /// Another claimant of this id says which life it is. Whether it is to be answered when it asks; if not, it is this
    /// node that asks.
    pub(super) fn stands_up_to(&mut self, other: Record<A>, head: Head) -> bool {
        let Some(myself) = self.core.members.myself().copied() else { return false };
        if !self.is_joining() {
            // Two members each must know that the other lives, until others have told them who keeps the id. One in a lesser
            // life comes first if others hold it, and is a rival then.
            if !head.newcomer && (head.full || other.life > myself.life) {
                self.open_contest(other, false, None);
            }
            return true;
        }
        let keeps = self.keeps_id(other.life, head.newcomer);
        if !keeps {
            self.learn_of_other_life(other, myself, Witness::Hearsay(None));
        } else if head.newcomer || self.core.phase == Phase::Joining {
            // It need not be asked any more: it gives way.
            self.rival = self.rival.take().filter(|rival| rival.life != other.life);
        }
        keeps || self.core.phase == Phase::Member && !head.newcomer
    }

    /// Whether members whom it asked hold this node, now or when it last looked into another life of its id.
    pub(super) fn is_held(&self) -> bool {
        match &self.rival {
            Some(rival) => rival.is_backed(self.core.members.heard()),
            None => self.core.phase == Phase::Member && self.hearsay.is_some_and(|quiet| self.core.now < quiet),
        }
    }

    /// Whether this node keeps its id before another claimant: a member before a newcomer, and of two equals the greater
    /// life. A claimant only ever grows in rank until it gives way, so that of two who judge each other by what they
    /// last said of themselves never both do.
    fn keeps_id(&self, other: Life, newcomer: bool) -> bool {
        if newcomer != (self.core.phase == Phase::Joining) {
            return newcomer;
        }
        self.core.members.myself().is_some_and(|myself| myself.life > other)
    }
}
