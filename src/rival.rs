//! A rival: another life of this node's own id, that somebody has named, and what is to be done about it.
//!
//! That there is one is hearsay, and so is where. To give way to whoever answers there would let anybody silence a member
//! with two datagrams, and to begin a life above whatever is named would cost all others what they hold of this one. So a
//! member believes nobody but those whom it asked itself, under a number that only they were sent. It asks the rival
//! whether it lives, and members at random which life they hold: they hold the rival's only if they found this node
//! silent, or know nothing of it. Meanwhile it goes on as before.
//!
//! | of those asked | the rival answers | it is silent, or its address is this node's own |
//! |---|---|---|
//! | two hold the rival's life, or one if there are two others, or this node is isolated | the one of lesser rank gives way | this node begins a life above it |
//! | only one does, again and again, or a seed or one that was held for dead | this node goes on, and asks on | the same, ever more seldom, at last once in ten minutes |
//! | two hold this node's | there is nothing in it | there is nothing in it |
//!
//! Two processes that are started together may each find members that hold them. They agree by rank: the one that two
//! others hold, whom it asked, comes before the one that has not found two; of two equals the greater life comes first.
//! Each says in every ping and answer to the other whether it has found two. The rank of either only grows until it gives
//! way, so that never both do, whatever each has heard last.
//!
//! A node that still joins asks its seeds, and has no others to ask: it believes them, each for what follows from it.

use heapless::Vec;

use crate::ask::{Ask, Schedule};
use crate::config::Config;
use crate::join::least_gap;
use crate::member::{Address, Life, NodeId, Record};
use crate::node_core::Core;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{Writer, kind};

/// How many who were asked must hold another life before this node does anything about its own.
const NEEDED: usize = 2;
/// After so many suspicions what nothing came of is dropped; it comes again if there is something in it.
const FORGOTTEN: u64 = 32;
/// How long a node lives before the word of one makes it begin anew once more, in microseconds. The first few times less
/// will do: where two had one id, a last one that holds what the other was can be the only one.
const RESTED: u64 = 600_000_000;

/// Who has named another life of this node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Witness {
    /// A seed that this node has asked, and whose answer decides whether it may have its id.
    Seed,
    /// A member or a seed that this node has asked which life it holds.
    Asked,
    /// This member, it says; anybody may have said it.
    Hearsay(Option<NodeId>),
}

/// Those who say the same, and where each was asked: one at an address, whoever it says it is.
type Voices<A> = Vec<(NodeId, A), NEEDED>;

/// Another life of this node's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rival<A> {
    pub(crate) life: Life,
    pub(crate) addr: A,
    pub(crate) ask: Ask,
    opened: Instant,
    until: Instant,
    /// A late caller has had it wait longer.
    put_off: bool,
    /// When anybody else was last heard.
    contact: Instant,
    /// How often it may still be asked. Its address is hearsay, and gets no more than it is spoken of.
    credit: u8,
    /// When it last answered, and whether it said that others hold it.
    answered: Option<(Instant, bool)>,
    /// Who was asked last which life it holds, under which number, and when another is to be.
    peer: NodeId,
    question: u32,
    next_peer: Instant,
    /// Who has answered that it holds the rival's life, and who that it holds this node's.
    against: Voices<A>,
    backing: Voices<A>,
    /// Whoever is to be asked first.
    first: Option<NodeId>,
    /// How many have been asked.
    asked: u8,
    /// A seed or a visit has named it: others than those whom this node holds alive hold it.
    pub(crate) insisted: bool,
}

/// What there is to decide by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest {
    /// The rival's life is greater than this node's.
    pub(crate) greater: bool,
    /// The rival has answered of late, from elsewhere.
    pub(crate) answers: bool,
    /// It says that others whom it asked hold it.
    pub(crate) stands: bool,
    /// It has had the time to.
    pub(crate) waited: bool,
    /// How many of those who were asked hold the rival's life, and how many this node's.
    pub(crate) against: u32,
    pub(crate) backing: u32,
    /// How many other members have been heard: what somebody has made up answers nobody.
    pub(crate) others: u32,
    /// How long it has been going on, in suspicions.
    pub(crate) age: u64,
    /// This node has not begun anew for long.
    pub(crate) rested: bool,
    /// Others name it than those whom this node holds alive.
    pub(crate) insisted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Wait,
    /// There is nothing in it.
    Drop,
    /// The rival keeps the id.
    GiveWay,
    /// It was this node's own past, and a life above it ends it.
    Outlive,
}

/// How many witnesses it takes among so many others. As with a jury: of three members there is only one to ask.
fn needed(others: u32) -> usize {
    if others <= 2 { 1 } else { NEEDED }
}

pub(crate) fn decide(contest: Contest) -> Outcome {
    let Contest { greater, answers, stands, waited, against, backing, others, age, rested, insisted } = contest;
    let needed = needed(others) as u32;
    let (enough, backed) = (others > 0 && against >= needed, backing >= needed);
    let outranked = if stands == backed { greater } else { stands };
    if answers && enough && outranked {
        return Outcome::GiveWay;
    }
    let one = rested && (insisted || against > 0 && age >= 2);
    if !answers && waited && greater && (enough || one) {
        return Outcome::Outlive;
    }
    if age >= FORGOTTEN || against == 0 && backed && !(insisted && rested) || !answers && waited && !greater {
        return Outcome::Drop;
    }
    Outcome::Wait
}

impl<A: Address> Rival<A> {
    /// `insistent` if it was named by a seed, and the id hangs on its answer.
    pub(crate) fn new(of: &Record<A>, numbers: (u32, u32), insistent: bool, now: Instant, config: &Config) -> Self {
        Rival {
            life: of.life,
            addr: of.addr,
            ask: Ask::new(numbers.0, now),
            opened: now,
            until: now.after(config.suspicion),
            put_off: false,
            contact: now,
            credit: if insistent { u8::MAX } else { 2 },
            answered: None,
            peer: of.id,
            question: numbers.1,
            next_peer: now,
            against: Vec::new(),
            backing: Vec::new(),
            first: None,
            asked: 0,
            insisted: false,
        }
    }

    /// Nobody else can be there: its address is this node's, or it is held for dead.
    pub(crate) fn past(mut self, now: Instant) -> Self {
        (self.credit, self.until) = (0, now);
        self
    }

    /// Another has spoken of it, which is worth another question.
    pub(crate) fn remind(&mut self, now: Instant) {
        if now < self.until {
            (self.credit, self.ask.next) = (self.credit.max(1), self.ask.next.max(now));
        }
    }

    /// Whoever says that it holds this life is asked itself before others are.
    pub(crate) fn ask_first(&mut self, member: Option<NodeId>) {
        self.first = member.or(self.first);
    }

    /// When there is something to do: for whoever `asks` others, with each of them.
    pub(crate) fn due(&self, asks: bool) -> Instant {
        match asks {
            false => self.ask.next.min(self.until),
            true if self.credit > 0 => self.ask.next.min(self.next_peer),
            true => self.next_peer,
        }
    }

    /// Somebody else was heard: this node is not cut off.
    pub(crate) fn note_contact(&mut self, now: Instant) {
        self.contact = now;
    }

    /// The caller came late: an answer may wait in its socket, and is read before silence counts. That is so once, as a loop
    /// may always be late.
    pub(crate) fn forgive(&mut self, now: Instant, config: &Config) {
        if !core::mem::replace(&mut self.put_off, true) {
            self.extend(now, config);
        }
    }

    /// Gives it the whole time again.
    fn extend(&mut self, now: Instant, config: &Config) {
        (self.until, self.ask.next) = (now.after(config.suspicion), now);
    }

    /// Asks again when it is time; true when the time to answer is over. It is not while nobody else is heard either.
    pub(crate) fn tick(&mut self, now: Instant, config: &Config) -> bool {
        if now >= self.until && now.since(self.contact) > config.suspicion / 2 {
            self.extend(now, config);
        }
        if self.ask.is_due(now) {
            self.ask.repeat(Schedule::rival(config), now);
            self.ask.owed = self.credit > 0;
            self.credit = self.credit.saturating_sub(1);
        }
        now >= self.until
    }

    /// It has answered, so that it is there, and may be asked again; it says whether others hold it.
    pub(crate) fn answer(&mut self, stands: bool, now: Instant, config: &Config) {
        self.answered = Some((now, stands));
        (self.credit, self.ask.next) = (2, now.after(config.suspicion / 2));
    }

    /// Writes the question to the rival. Of two equals the greater life keeps the id: the rival must know which that is.
    pub(crate) fn write<S: Storage>(&self, core: &Core<A, S>, writer: &mut Writer<'_>) -> Option<()> {
        core.write_ping(self.ask.number, writer)?;
        let myself = core.members.myself()?;
        writer.frame(kind::NEWS, |body| body.record(myself))
    }

    // Those who are asked.

    /// Whom to ask next, if it is time: the one that named it, or nobody in particular.
    pub(crate) fn wants_peer(&mut self, now: Instant, config: &Config) -> Option<Option<NodeId>> {
        if now < self.next_peer {
            return None;
        }
        // The first few decide most contests; the others are asked at growing gaps.
        self.next_peer = now.after((2 * least_gap(config)) << (self.asked / 4).min(4));
        self.asked = self.asked.saturating_add(1);
        Some(self.first.take())
    }

    /// Nobody is to be asked for a while.
    pub(crate) fn rest(&mut self, now: Instant, config: &Config) {
        self.next_peer = now.after(2 * least_gap(config));
    }

    /// This member is asked under a number of its own.
    pub(crate) fn ask(&mut self, peer: NodeId) -> u32 {
        self.question = self.question.wrapping_add(1) | 1;
        self.peer = peer;
        self.question
    }

    /// Whether this is an answer to what was asked last, by whom it was put to.
    pub(crate) fn asked(&self, number: u32, of: NodeId) -> bool {
        self.question == number && self.peer == of
    }

    /// Takes the answer of whoever was asked, at this address: it holds this life.
    pub(crate) fn weigh(&mut self, peer: NodeId, at: A, holds: Life, now: Instant) {
        let (said, unsaid) = match holds == self.life {
            true => (&mut self.against, &mut self.backing),
            false => (&mut self.backing, &mut self.against),
        };
        let same = |(id, addr): &(NodeId, A)| *id == peer || *addr == at;
        unsaid.retain(|voice| !same(voice));
        if said.iter().any(same) || said.push((peer, at)).is_err() {
            // It has said so before, or enough have: no reason to hurry.
            return;
        }
        // The rival is told at once that others hold this node.
        if self.answered.is_some() && self.backing.len() == NEEDED {
            self.ask.next = now;
        }
        if self.asked < 4 {
            self.next_peer = self.next_peer.min(now);
        }
    }

    /// Whether this member's answer counts already.
    pub(crate) fn has_heard(&self, member: NodeId) -> bool {
        self.against.iter().chain(&self.backing).any(|(id, _)| *id == member)
    }

    /// Whether somebody who was asked holds it.
    pub(crate) fn is_held(&self) -> bool {
        !self.against.is_empty()
    }

    /// Whether as many of those who were asked hold this node as it takes.
    pub(crate) fn is_backed(&self, others: u32) -> bool {
        self.backing.len() >= needed(others)
    }

    /// What there is to decide by, for a node in this life.
    pub(crate) fn contest(&self, own: Life, others: u32, rested: bool, now: Instant, config: &Config) -> Contest {
        let age = now.since(self.opened);
        Contest {
            greater: self.life > own,
            answers: self.answered.is_some_and(|(at, _)| now.since(at) < config.suspicion),
            stands: self.answered.is_some_and(|(_, stands)| stands),
            waited: now >= self.until,
            against: self.against.len() as u32,
            backing: self.backing.len() as u32,
            others,
            age: suspicions(age, config),
            rested,
            insisted: self.insisted,
        }
    }
}

/// A time in whole suspicions, up to the most that matters.
fn suspicions(micros: u64, config: &Config) -> u64 {
    (1..=FORGOTTEN).rev().find(|count| micros >= count.saturating_mul(config.suspicion)).unwrap_or(0)
}

/// When a node last began anew because others held another life of its id, and how often of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Begun {
    at: Instant,
    times: u8,
}

impl Begun {
    /// It begins anew now.
    pub(crate) fn again(last: Option<Self>, now: Instant) -> Self {
        let recent = last.filter(|last| now.since(last.at) < 2 * RESTED);
        Begun { at: now, times: recent.map_or(0, |last| last.times.saturating_add(1)) }
    }

    /// Whether it may do so again on the word of one.
    pub(crate) fn is_rested(self, now: Instant, config: &Config) -> bool {
        let gap = (2 * config.suspicion) << self.times.min(7);
        now.since(self.at) >= gap.min(RESTED)
    }
}

#[cfg(all(test, unit_tests))]
#[path = "../tests/unit/rival.rs"]
mod tests;
