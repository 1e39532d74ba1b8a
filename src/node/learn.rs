//! What a record from elsewhere changes: whom to believe about whom.

use heapless::Vec;

use super::Node;
use super::send::Replies;
use crate::context::Context;
use crate::event::{DropReason, Notice, Phase};
use crate::gossip;
use crate::join::Rival;
use crate::member::{Address, Life, Liveness, MAX_JUMP, NodeId, Record};
use crate::members::{Index, MYSELF};
use crate::storage::Storage;
use crate::wire::Reader;

/// Where a record comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// From the member that it is about.
    Owner,
    /// Told as news, so it is fresh.
    News,
    /// Found by anti-entropy, so it may be old.
    Sync,
}

/// How many records are looked up before the first of them is weighed.
const BATCH: usize = 8;

impl<A: Address, S: Storage> Node<A, S> {
    /// Whether a stranger's news says who it is: the record of the very life that it speaks as. Of nodes that start
    /// together many hear of each other at first hand before anybody could introduce them.
    pub(super) fn introduces_itself(mut records: Reader<'_>, sender: NodeId, tag: u32) -> bool {
        let own = |record: Record<A>| record.id == sender && record.tag() == tag && record.liveness == Liveness::Alive;
        core::iter::from_fn(|| records.record::<A>()).any(own)
    }

    /// Learns records until the first that makes no sense; whether any changed anything.
    pub(super) fn learn_all(&mut self, mut records: Reader<'_>, source: Source) -> bool {
        let (mut changed, mut sound) = (false, true);
        while sound && !records.is_empty() {
            let mut batch = Vec::<Record<A>, BATCH>::new();
            while sound && !batch.is_full() && !records.is_empty() {
                sound = records.record().is_some_and(|record| batch.push(record).is_ok());
            }
            // The slots of a large table are in no cache. Look-ups that need not wait for each other fetch them together.
            for record in &batch {
                core::hint::black_box(self.members.find(record.id));
            }
            for record in batch {
                changed |= self.learn(record, source);
            }
        }
        if !sound {
            self.refuse(DropReason::Malformed);
        }
        changed
    }

    /// Weighs one record; whether it changed anything.
    pub(super) fn learn(&mut self, record: Record<A>, source: Source) -> bool {
        if record.id == self.id() {
            return self.learn_of_myself(record);
        }
        let Some(index) = self.members.find(record.id) else {
            return self.learn_of_unknown(record, source);
        };
        let Some(held) = self.members.get(index).copied() else { return false };
        if !record.supersedes(&held) {
            if record == held {
                // Whoever tells us has it already: an echo counts like a copy sent.
                self.members.count_copy(index, gossip::copies(self.members.live()));
            }
            return false;
        }
        if source != Source::Owner && record.jumps(Some(&held)) {
            self.refuse(DropReason::CounterJump);
            return false;
        }
        let accused = record.liveness == Liveness::Down && held.liveness == Liveness::Alive && record.life == held.life;
        if accused && !self.believes(index, source) {
            if !self.detector.check_claim(record.id, record.incarnation, &mut context!(self)) {
                self.refuse(DropReason::TooManyClaims);
            }
            return false;
        }
        self.adopt(index, record, self.copies_sent(source));
        true
    }

    /// Whether it is believed at once that a member is dead. Not what anti-entropy dug up, which may have been refuted
    /// long since; and not against this node's own ears: who was heard less than a suspicion ago was alive when the
    /// others say that it was silent. Such a claim is put to the accused.
    fn believes(&self, index: Index, source: Source) -> bool {
        let window = self.config.suspicion - self.config.grace();
        source == Source::News && self.members.silence(index, self.now) >= window
    }

    fn learn_of_unknown(&mut self, record: Record<A>, source: Source) -> bool {
        if source != Source::Owner && record.jumps(None) {
            self.refuse(DropReason::CounterJump);
            return false;
        }
        if record.liveness == Liveness::Alive {
            let Some(index) = self.welcome_newcomer(record) else { return false };
            if source == Source::Sync {
                self.members.announce(index, self.copies_sent(source));
            }
            return true;
        }
        // An end that is news to us is worth remembering where there is room for it, and nothing to tell.
        self.members.admit(record, self.now, &mut self.stats).is_ok()
    }

    /// Adds a living member; `None` if there is no room.
    pub(super) fn welcome_newcomer(&mut self, newcomer: Record<A>) -> Option<Index> {
        match self.members.admit(newcomer, self.now, &mut self.stats) {
            Ok(index) => {
                self.members.announce(index, 0);
                Some(index)
            }
            Err(crate::members::Full) => {
                self.refuse(DropReason::TableFull);
                None
            }
        }
    }

    /// Takes over a record that supersedes what is held, and passes it on as if told `sent` times already.
    pub(super) fn adopt(&mut self, index: Index, record: Record<A>, sent: u8) {
        self.members.replace(index, record, self.now);
        self.members.announce(index, sent);
    }

    /// How often others are taken to have been told already: what anti-entropy finds, most know; and what a newcomer
    /// pulls, all do.
    fn copies_sent(&self, source: Source) -> u8 {
        match source {
            Source::Owner | Source::News => 0,
            Source::Sync if self.sync.by_newcomer() => crate::news::SILENT,
            Source::Sync => gossip::copies(self.members.live()) / 2,
        }
    }

    /// Declares a member down that this node's own case has found dead.
    pub(super) fn declare_down(&mut self, index: Index) {
        let Some(record) = self.members.get(index).copied() else { return };
        self.stats.declared_down = self.stats.declared_down.wrapping_add(1);
        self.adopt(index, record.with(Liveness::Down), 0);
    }

    // What others say about this node.

    fn learn_of_myself(&mut self, record: Record<A>) -> bool {
        let Some(myself) = self.members.myself().copied() else { return false };
        if record.life != myself.life {
            self.learn_of_other_life(record, myself);
            return false;
        }
        if !record.supersedes(&myself) {
            if record == myself {
                self.members.count_copy(MYSELF, gossip::copies(self.members.live()));
            }
            return false;
        }
        if record.incarnation.saturating_sub(myself.incarnation) > MAX_JUMP || record.incarnation == u32::MAX {
            self.refuse(DropReason::CounterJump);
            return false;
        }
        // Only the owner moves its incarnation, and this is when.
        self.stats.refutations = self.stats.refutations.wrapping_add(1);
        if record.liveness == Liveness::Down {
            self.detector.worsen();
        }
        self.adopt(MYSELF, Record { incarnation: record.incarnation + 1, ..myself }, 0);
        true
    }

    fn learn_of_other_life(&mut self, record: Record<A>, myself: Record<A>) {
        // While joining, whoever holds the id elsewhere stands in the way, the greater life or not, until our generation
        // is above it.
        let greater = record.life > myself.life;
        let raised = record.life.generation < myself.life.generation;
        if !greater && (raised || self.phase != Phase::Joining) || self.phase == Phase::Leaving {
            return;
        }
        if record.life.generation.saturating_sub(myself.life.generation) > MAX_JUMP {
            return self.refuse(DropReason::CounterJump);
        }
        // At our own address, or dead: it was this node's own past.
        if record.addr == myself.addr || record.liveness != Liveness::Alive {
            if greater {
                self.outlive(record.life);
            }
            return;
        }
        if self.rival.as_ref().is_none_or(|rival| rival.life < record.life) {
            let number = self.rng.next_u32();
            self.rival = Some(Rival::new(record.life, record.addr, number, self.now, &self.config));
        }
    }

    /// Begins a life above `past`, with the same memory.
    fn outlive(&mut self, past: Life) {
        let Some(myself) = self.members.myself().copied() else { return };
        if past.generation < myself.life.generation {
            return;
        }
        let generation = past.generation.saturating_add(1);
        let life = Life { generation, nonce: self.rng.next_u32() };
        self.adopt(MYSELF, Record { life, incarnation: 0, ..myself }, 0);
        self.seeds.again();
    }

    /// Nobody answered for the other life: it was this node's own past.
    pub(super) fn outlive_rival(&mut self) {
        if let Some(rival) = self.rival.take() {
            self.outlive(rival.life);
        }
    }

    /// The other claimant of this node's id lives. A newcomer gives way to it; of two that are members already, the
    /// greater life keeps the id.
    pub(super) fn meet_twin(&mut self) {
        let Some(rival) = self.rival.take() else { return };
        let greater = self.members.myself().is_some_and(|myself| myself.life > rival.life);
        if self.phase == Phase::Joining || !greater {
            self.phase = Phase::Idle;
            self.leave = None;
            self.replies = Replies::NONE;
            self.notices.raise(Notice::IdTaken);
        }
    }
}
