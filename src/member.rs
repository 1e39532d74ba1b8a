//! What is known of one member, and the rule by which two accounts of it become one.

mod address;
mod id;

use core::fmt;

pub use address::Address;
pub use id::{NodeId, ParseIdError};

use crate::hash;
use crate::topic::Topic;

/// One life of a member, from `start` to its end: later lives of an id are greater.
///
/// A restarted node without memory begins at generation 0 with a fresh nonce. When it hears of its past it takes a
/// generation above it, so that no disk and no clock is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Life {
    pub(crate) generation: u32,
    pub(crate) nonce: u32,
}

impl Life {
    /// How often this id is known to have begun anew.
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// Tells lives of one generation apart; random.
    pub const fn nonce(self) -> u32 {
        self.nonce
    }

    /// Whether the owner itself may have come to this life after that one was held. Seeds may have told it of a later one;
    /// but beyond half of all generations it goes by single steps, or somebody who takes the last one while the owner is
    /// away would leave it none.
    pub(crate) const fn may_follow(self, held: Life) -> bool {
        self.generation <= 1 << 31 || self.generation <= held.generation.saturating_add(1)
    }

    /// 24 bits that stand for this life of `id` in a datagram's head and seed its check value. Never zero, which
    /// stands for "whoever is at this address".
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn tag(self, id: NodeId) -> u32 {
        let life = (self.generation as u64) << 32 | self.nonce as u64;
        let tag = (hash::mix(id.get() ^ hash::mix(life)) >> 40) as u32;
        if tag == 0 { 1 } else { tag }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.generation, self.nonce)
    }
}

/// What this node holds a member to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Status {
    /// Answers, or nobody has reason to doubt that it does.
    Alive,
    /// Does not answer this node at present. Suspicion is this node's own and never told to others.
    Suspect,
    /// Declared dead: it answered neither the node that declared it nor those that were asked to try for themselves.
    Down,
    /// Left of its own accord.
    Left,
}

impl Status {
    /// Alive or suspect: [`Node::live`](crate::Node::live) counts those, as most suspects recover.
    pub const fn is_live(self) -> bool {
        matches!(self, Status::Alive | Status::Suspect)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Alive => "alive",
            Status::Suspect => "suspect",
            Status::Down => "down",
            Status::Left => "left",
        })
    }
}

/// A copy of what this node knows of one member.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Member<A> {
    pub(crate) record: Record<A>,
    pub(crate) suspect: bool,
}

impl<A: Copy + fmt::Debug> fmt::Display for Member<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}, {}", self.id(), self.addr(), self.status())
    }
}

impl<A> Member<A> {
    /// Its identity.
    pub fn id(&self) -> NodeId {
        self.record.id
    }

    /// Where it says that it can be reached.
    pub fn addr(&self) -> A
    where
        A: Copy,
    {
        self.record.addr
    }

    /// Its present life. A `MemberUp` with another life than before means that it was restarted.
    pub fn life(&self) -> Life {
        self.record.life
    }

    /// How often it has spoken anew about itself in this life: against being taken for dead, or to say that it moved.
    pub fn incarnation(&self) -> u32 {
        self.record.incarnation
    }

    /// Whether it may listen to a topic. A member says so in 32 bits, so that it is also true of some topics that it does not
    /// listen to, of one in 32 where it listens to one; where it is false, it does not.
    pub fn may_listen(&self, topic: Topic) -> bool {
        self.record.topics & topic.bit() != 0
    }

    /// What this node holds it to be.
    pub fn status(&self) -> Status {
        match self.record.liveness {
            Liveness::Alive if self.suspect => Status::Suspect,
            Liveness::Alive => Status::Alive,
            Liveness::Down => Status::Down,
            Liveness::Left => Status::Left,
        }
    }
}

/// By what can be asked of it, not by how it is kept.
impl<A: fmt::Debug> fmt::Debug for Member<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("id", &self.id())
            .field("addr", &self.record.addr)
            .field("life", &self.life())
            .field("incarnation", &self.incarnation())
            .field("status", &self.status())
            .finish()
    }
}

/// The part of a status that members tell each other. The order is the order of precedence in the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Liveness {
    Alive,
    Down,
    Left,
}

/// The greatest step of a counter that is believed: an owner moves it by ones, and a counter pushed to its maximum
/// would leave the owner nothing to answer with.
pub(crate) const MAX_JUMP: u32 = 1 << 16;

/// The account of a member that travels between nodes.
///
/// The derived order compares the fields from the first to the last, and for one id the later record is the greater:
/// newer life, then incarnation, then Alive < Down < Left, then the address and what else there is break the tie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Record<A> {
    pub(crate) id: NodeId,
    pub(crate) life: Life,
    pub(crate) incarnation: u32,
    pub(crate) liveness: Liveness,
    pub(crate) addr: A,
    /// How long a silence the member may keep: 2^patience seconds, 0 for the cluster's usual.
    pub(crate) patience: u8,
    /// One bit for each topic that it listens to, and for others of the same bit.
    pub(crate) topics: u32,
}

/// What a verdict of death rests on: two members who were asked the same question and heard nothing either. It travels
/// with the record, and is no part of it: others may have come to the same verdict by other witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Certificate {
    /// The same one twice where there were only three members.
    pub(crate) jurors: [NodeId; 2],
    pub(crate) question: u32,
}

impl Certificate {
    /// Says who has told of a death that no two witnesses bear out. No verdict has the number 0.
    pub(crate) fn said_by(accuser: NodeId) -> Self {
        Certificate { jurors: [accuser; 2], question: 0 }
    }

    /// Who has told of it, if it says no more.
    pub(crate) fn accuser(&self) -> Option<NodeId> {
        let [first, second] = self.jurors;
        (self.question == 0 && first == second).then_some(first)
    }
}

impl<A: Ord + Copy> Record<A> {
    /// Whether this record replaces `held`, an account of the same id. Taking the greater of the two by a total
    /// order is a lattice join: commutative, associative and idempotent, so the order of arrival does not matter.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn supersedes(&self, held: &Self) -> bool {
        self.id == held.id && self > held
    }

    /// Whether believing this second-hand record after `held` (or after nothing) would move a counter too far.
    pub(crate) fn jumps(&self, held: Option<&Self>) -> bool {
        let generation = held.map_or(0, |held| held.life.generation);
        let incarnation = held.filter(|held| held.life == self.life).map_or(0, |held| held.incarnation);
        self.life.generation.saturating_sub(generation) > MAX_JUMP
            || self.incarnation.saturating_sub(incarnation) > MAX_JUMP
    }

    pub(crate) fn tag(&self) -> u32 {
        self.life.tag(self.id)
    }

    /// This account after `held`: the end of a life has what its owner said of itself under that incarnation, and not what
    /// whoever tells of the end makes of it.
    pub(crate) fn ending(self, held: &Self) -> Self {
        let Record { addr, patience, topics, .. } = *held;
        let ends = self.liveness != Liveness::Alive && (self.life, self.incarnation) == (held.life, held.incarnation);
        if ends { Record { addr, patience, topics, ..self } } else { self }
    }

    /// Whether the two tell the same word of the owner in different ways, which it never does.
    pub(crate) fn disputes(&self, other: &Self) -> bool {
        let word = |of: &Self| (of.id, of.life, of.incarnation, of.liveness);
        word(self) == word(other) && self != other
    }

    /// The same account with another verdict.
    pub(crate) fn with(self, liveness: Liveness) -> Self {
        Record { liveness, ..self }
    }
}

#[cfg(all(test, unit_tests))]
#[path = "../tests/unit/record.rs"]
mod tests;
