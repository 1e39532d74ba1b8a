//! Messages of the application: broadcasts, direct messages, and questions that are answered.
//!
//! A broadcast has a number among those of its origin's life. It goes down the tree of `tree.rs`, to those who listen to
//! its topic with its payload and to others hollow, so that everybody can tell by the numbers what is missing. Each
//! member keeps a window of what has come from each origin (`broadcast/window.rs`), so that every message is told once.
//! What the tree missed shows in a later number, or in the progress roots of a probe; it is pulled from whoever has it
//! (`broadcast/repair.rs`), until the origin itself says that it is gone. Then, and only then, it is a gap.
//!
//! A direct message is sent to its addressee until it is acknowledged (`broadcast/direct.rs`). A question is a message
//! of either kind with a number, and an answer a direct message that carries it (`broadcast/question.rs`).
//!
//! Payloads longer than a datagram go in pieces, each a broadcast of its own number: pieces need no other windows, no
//! other acknowledgements and no other repair than messages.

mod direct;
mod log;
mod question;
mod repair;
mod window;

pub(crate) use direct::{SENDS as MOST_SENDS, Send, Sends};
#[cfg(test)]
pub(crate) use log::HEADER;
pub(crate) use log::{At, DIRECT, DONE, Entry, Log, ORDERED, UNTOLD};
pub use question::Question;
pub(crate) use question::Questions;
pub(crate) use repair::{Give, Repairs};
#[cfg(test)]
pub(crate) use window::SPAN;
pub(crate) use window::{Place, Window};

use core::fmt;

use heapless::{Deque, Vec};

use crate::context::Context;
use crate::event::{DropReason, Stats};
use crate::hash;
use crate::member::{Address, NodeId};
use crate::members::{Index, MYSELF, Members};
use crate::storage::{List, Storage};
use crate::time::Instant;
use crate::tree::{Share, Tree, WAYS, live_in};
use crate::wire::{
    ANSWER, HOLLOW, HOPS, Lack, MOST_BEFORE_PAYLOAD, MOST_PIECES, Origin, PART, Part, Piece, Pull, QUESTION, Writer,
    kind, write_piece,
};

/// The most shares that wait for an acknowledgement.
const LEGS: usize = 32;
/// The most shares that are not yet worth waiting for before there is room for more.
const LEAST_ROOM: usize = 4;
/// How many own broadcasts wait for their turn.
const OUTBOX: usize = 8;
/// How many of the latest casts are known again when they come twice.
const TAKEN: usize = 32;
/// The most topics that a node can listen to.
pub(crate) const TOPICS: usize = 16;
/// The most gaps that wait to be told.
const GAPS: usize = 16;
/// The most origins that are named when two compare how far they have come: the latest, and those in a range.
const LATEST: usize = 16;
const MOST_STEPS: usize = 200;
/// How many messages are looked at to find the latest origins.
const LOOK: usize = 64;
/// How many direct messages are known again when they come twice, at most.
const DIRECTS: usize = 1_024;

/// What a message is about: who does not listen to its topic is spared its payload.
///
/// ```
/// use tidings::Topic;
/// const ALARMS: Topic = Topic::from_name("alarms");
/// assert_ne!(ALARMS, Topic::from_name("prices"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Topic(u32);

impl Topic {
    /// The topic with this number.
    pub const fn new(number: u32) -> Self {
        Topic(number)
    }

    /// A 32-bit hash of a name, at compile time for a constant one. Among 100 names the chance that any two collide is 1
    /// in a million; where they did, one would hear what is meant for the other.
    pub const fn from_name(name: &str) -> Self {
        Topic(hash::name(0x746f, name) as u32)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// What stands for it in a member's record.
    pub(crate) fn bit(self) -> u32 {
        1 << (hash::mix(self.0.into()) >> 59)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:08x})", self.0)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// One message among all: who sent it, in which life, and a number. Two messages never have the same, whatever their
/// payloads are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    pub(crate) origin: NodeId,
    pub(crate) tag: u32,
    pub(crate) seq: u32,
}

impl MessageId {
    /// Who sent it.
    pub const fn origin(self) -> NodeId {
        self.origin
    }

    /// Of a broadcast, its place among all that the origin has broadcast in its life, from 1 on; a long one takes several
    /// places, and this is the first. Of a direct message or an answer, a random number.
    pub const fn seq(self) -> u32 {
        self.seq
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:06x}-{}", self.origin, self.tag, self.seq)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for MessageId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}-{:06x}-{}", self.origin, self.tag, self.seq);
    }
}

/// A message that goes down the tree, or one piece of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) at: At,
    pub(crate) piece: u8,
}

/// Broadcasts that will not come any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gap {
    pub(crate) origin: NodeId,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    New(At),
    /// It came before.
    Known,
    Refused(DropReason),
}

/// No room for it now.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broadcasts<S: Storage> {
    pub(crate) log: Log<S>,
    pub(crate) tree: Tree<Job, LEGS>,
    /// Own messages that are still to be handed out, and from which piece on.
    outbox: Vec<(At, u8), OUTBOX>,
    /// The number of the last own broadcast.
    last: u32,
    pub(crate) sends: Sends,
    pub(crate) repairs: Repairs,
    pub(crate) gives: Vec<Give, { repair::GIVES }>,
    pub(crate) questions: Questions,
    gaps: Deque<Gap, GAPS>,
    /// What this node listens to, and whether in the order in which it was sent.
    topics: Vec<(Topic, bool), TOPICS>,
    /// The numbers under which casts came, the latest overwriting the oldest.
    taken: [u32; TAKEN],
    next_taken: u8,
    /// The same of direct messages that are complete.
    directs: S::PerMember<u32>,
    next_direct: u32,
    /// Nothing untold can be told for now.
    quiet: bool,
    /// Whom to tell how far this node has come, and from which place of the id space on.
    pub(crate) compare: Option<NodeId>,
    pub(crate) cursor: u64,
    /// When those are looked for who have been dead for long.
    pub(crate) next_mourning: Instant,
}

impl<S: Storage> core::hash::Hash for Broadcasts<S> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (&self.log, &self.tree, &self.outbox, self.last).hash(state);
        (&self.sends, &self.repairs, &self.gives, &self.questions).hash(state);
        self.gaps.iter().for_each(|gap| gap.hash(state));
        (&self.topics, self.taken, self.next_taken, &self.directs, self.next_direct).hash(state);
        (self.quiet, self.compare, self.cursor, self.next_mourning).hash(state);
    }
}

impl<S: Storage> Broadcasts<S> {
    pub(crate) const fn new(bytes: S::Bytes, directs: S::PerMember<u32>) -> Self {
        Broadcasts {
            log: Log::new(bytes),
            tree: Tree::NONE,
            outbox: Vec::new(),
            last: 0,
            sends: Sends::NONE,
            repairs: Repairs::NONE,
            gives: Vec::new(),
            questions: Questions::NONE,
            gaps: Deque::new(),
            topics: Vec::new(),
            taken: [0; TAKEN],
            next_taken: 0,
            directs,
            next_direct: 0,
            quiet: true,
            compare: None,
            cursor: 0,
            next_mourning: Instant::ZERO,
        }
    }

    /// Forgets everything but what this node listens to.
    pub(crate) fn reset(&mut self) {
        self.log.clear();
        self.tree.clear();
        (self.outbox, self.last) = (Vec::new(), 0);
        (self.sends, self.repairs, self.gives) = (Sends::NONE, Repairs::NONE, Vec::new());
        (self.questions, self.gaps) = (Questions::NONE, Deque::new());
        (self.taken, self.next_taken) = ([0; TAKEN], 0);
        self.directs.clear();
        (self.next_direct, self.quiet, self.compare, self.cursor) = (0, true, None, 0);
    }

    // Topics.

    /// Listens to a topic, from now on; false if there is no room.
    pub(crate) fn subscribe(&mut self, topic: Topic, ordered: bool) -> bool {
        self.topics.retain(|(held, _)| *held != topic);
        self.topics.push((topic, ordered)).is_ok()
    }

    pub(crate) fn unsubscribe(&mut self, topic: Topic) {
        self.topics.retain(|(held, _)| *held != topic);
    }

    /// What stands for all topics in this node's record.
    pub(crate) fn topics(&self) -> u32 {
        self.topics.iter().fold(0, |bits, (topic, _)| bits | topic.bit())
    }

    fn listens(&self, topic: u32) -> Option<bool> {
        self.topics.iter().find(|(held, _)| held.0 == topic).map(|(_, ordered)| *ordered)
    }

    // Out.

    /// How long a payload may be, with datagrams of this size.
    pub(crate) fn most(&self, datagram: usize) -> usize {
        (usize::from(MOST_PIECES) * (datagram - MOST_BEFORE_PAYLOAD)).min(self.log.most())
    }

    /// Adds a message of this node's own, direct or to all, with a number before the payload if there is one.
    pub(crate) fn compose<A: Address>(
        &mut self,
        (seq, topic, form, marks): (u32, Topic, u8, u8),
        (number, payload): (Option<u32>, &[u8]),
        cx: &mut Context<'_, A, S>,
    ) -> Option<(At, u8)> {
        let (Origin { id: origin, tag }, head) = (own_origin(cx.members)?, number.map(u32::to_le_bytes));
        let head = head.as_ref().map_or(&[][..], |head| &head[..]);
        let len = (head.len() + payload.len()) as u32;
        let pieces = pieces_for(len, cx.config.max_datagram() - MOST_BEFORE_PAYLOAD)?;
        let came = u32::MAX >> (u32::BITS - u32::from(pieces));
        let entry = Entry { origin, tag, seq, topic: topic.0, len, came, pieces, form, marks, hops: 0 };
        let at = self.add(entry, cx)?;
        self.log.fill(at, 0..head.len(), head);
        self.log.fill(at, head.len()..len as usize, payload);
        Some((at, pieces))
    }

    /// Adds a broadcast to those that are to be handed out, and gives its number.
    pub(crate) fn broadcast<A: Address>(
        &mut self,
        topic: Topic,
        question: Option<u32>,
        payload: &[u8],
        cx: &mut Context<'_, A, S>,
    ) -> Result<u32, Full> {
        let first = self.last.checked_add(1).filter(|first| *first < u32::MAX - u32::from(MOST_PIECES)).ok_or(Full)?;
        if self.outbox.is_full() {
            return Err(Full);
        }
        let form = if question.is_some() { QUESTION } else { 0 };
        let (at, pieces) = self.compose((first, topic, form, 0), (question, payload), cx).ok_or(Full)?;
        self.last = first + u32::from(pieces) - 1;
        self.claim_numbers(first, cx.members);
        let _ = self.outbox.push((at, 0));
        Ok(first)
    }

    /// Settles the own numbers from this one on.
    fn claim_numbers<A: Address>(&self, first: u32, members: &mut Members<A, S>) {
        members.with_window(MYSELF, |window| {
            for seq in first..=self.last {
                window.take(seq);
            }
        });
    }

    /// Whether all own broadcasts have been acknowledged, or given up.
    pub(crate) fn is_done(&self) -> bool {
        self.outbox.is_empty() && self.tree.is_empty() && self.sends.is_done()
    }

    /// Whether an own message could be handed out.
    fn can_hand_out(&self) -> bool {
        !self.outbox.is_empty() && self.tree.room() >= LEAST_ROOM
    }

    /// When something is to be sent again, or could be sent at all.
    pub(crate) fn casts_due(&self, may_begin: bool, now: Instant) -> Instant {
        if may_begin && self.can_hand_out() { now } else { self.tree.due() }
    }

    /// Tries again where no acknowledgement came, and hands out own messages as far as there is room.
    pub(crate) fn tick_casts<A: Address>(&mut self, may_begin: bool, unit: u64, cx: &mut Context<'_, A, S>) {
        self.tree.tick(unit, cx);
        while may_begin && self.can_hand_out() {
            let Some((at, piece)) = self.outbox.first().copied() else { return };
            let pieces = self.log.get(at).map_or(0, |entry| entry.pieces);
            self.hand_out(Job { at, piece }, Share::ALL, unit, cx);
            match self.outbox.first_mut() {
                Some(first) if piece + 1 < pieces => first.1 = piece + 1,
                _ => drop(self.outbox.remove(0)),
            }
        }
    }

    /// Hands a share out, better to such as listen; false, and nothing done, if there is no room.
    pub(crate) fn hand_out<A: Address>(
        &mut self,
        job: Job,
        share: Share,
        unit: u64,
        cx: &mut Context<'_, A, S>,
    ) -> bool {
        if self.tree.room() < LEAST_ROOM {
            return false;
        }
        let Some(entry) = self.log.get(job.at) else { return false };
        let bit = Topic(entry.topic).bit();
        let ways = (self.tree.room() - 2).min(WAYS);
        self.tree.hand_out(job, (share, ways), |_, member| member.topics & bit != 0, unit, cx);
        true
    }

    /// What goes to a delegate: hollow if nobody in the share listens.
    pub(crate) fn piece<A: Address>(&self, job: Job, share: Share, members: &Members<A, S>) -> Option<Piece<'_>> {
        let entry = self.log.get(job.at)?;
        let bit = Topic(entry.topic).bit();
        let listens = |index: Index| members.get(index).is_some_and(|record| record.topics & bit != 0);
        let hollow = entry.form & HOLLOW != 0 || !live_in(share, members).any(|(_, index)| listens(index));
        Some(self.piece_of(job.at, &entry, job.piece, hollow))
    }

    /// One piece of a message, as it goes to others.
    pub(crate) fn piece_of(&self, at: At, entry: &Entry, piece: u8, hollow: bool) -> Piece<'_> {
        let origin = Origin { id: entry.origin, tag: entry.tag };
        let seq = entry.seq.saturating_add(piece.into());
        let form = entry.form & !HOLLOW | entry.hops.saturating_add(1).min(15) << HOPS;
        let part = Part { form, topic: entry.topic, piece, pieces: entry.pieces, len: entry.len, bytes: &[] };
        if hollow {
            return Piece { origin, seq, part: Part { form: form | HOLLOW, piece: 0, pieces: 1, len: 0, ..part } };
        }
        let bytes = self.log.payload(at).get(entry.range(piece)).unwrap_or(&[]);
        Piece { origin, seq, part: Part { bytes, ..part } }
    }

    /// This node begins another life: what is still under way is broadcast anew, numbered from 1, and all else is of the
    /// past.
    pub(crate) fn renew<A: Address>(&mut self, cx: &mut Context<'_, A, S>) {
        let Some(Origin { id, tag }) = own_origin(cx.members) else { return };
        self.last = 0;
        let mut next = 0;
        while let Some((at, entry)) = { self.log.all().find(|(at, _)| *at >= next) } {
            next = at + 1;
            let under_way = self.tree.jobs().any(|job| job.at == at) || self.outbox.iter().any(|(own, _)| *own == at);
            if entry.origin != id || !under_way && !entry.is(DIRECT) {
                continue;
            }
            let seq = if entry.is(DIRECT) { entry.seq } else { self.last + 1 };
            self.log.set(at, Entry { tag, seq, ..entry });
            if !entry.is(DIRECT) {
                self.last += u32::from(entry.pieces);
            }
        }
        self.claim_numbers(1, cx.members);
    }

    // In.

    /// Whether a cast of this number has been taken before.
    pub(crate) fn has_taken(&self, number: u32) -> bool {
        self.taken.contains(&number)
    }

    pub(crate) fn note_taken(&mut self, number: u32) {
        if let Some(place) = self.taken.get_mut(usize::from(self.next_taken)) {
            *place = number;
        }
        self.next_taken = (self.next_taken + 1) % TAKEN as u8;
    }

    /// Takes a piece of a broadcast of the member in this slot.
    pub(crate) fn take<A: Address>(&mut self, piece: &Piece<'_>, index: Index, cx: &mut Context<'_, A, S>) -> Taken {
        match cx.members.window(index).place(piece.seq) {
            Place::Settled => return Taken::Known,
            Place::Beyond => return Taken::Refused(DropReason::BeyondWindow),
            Place::Missing => {}
        }
        if cx.members.window(index).is_unknown() {
            self.note_gap(piece.origin.id, piece.seq - 1, cx);
        }
        let listens = self.listens(piece.part.topic);
        let hollow = piece.part.form & HOLLOW != 0;
        if hollow && listens.is_some() {
            // It was sent by one who did not know yet that this node listens. It is asked for.
            return Taken::Refused(DropReason::Hollow);
        }
        let marks = match listens {
            Some(ordered) => UNTOLD | if ordered { ORDERED } else { 0 },
            None => 0,
        };
        let number = piece.seq - u32::from(piece.part.piece);
        let at = match self.store(piece.origin, number, &piece.part, marks, cx) {
            Ok(at) => at,
            Err(reason) => return Taken::Refused(reason),
        };
        cx.members.with_window(index, |window| window.take(piece.seq));
        self.quiet = false;
        self.repairs.note_progress(piece.origin, cx.now);
        Taken::New(at)
    }

    /// Puts a piece where the others of its message are, or begins its message.
    fn store<A: Address>(
        &mut self,
        origin: Origin,
        seq: u32,
        part: &Part<'_>,
        marks: u8,
        cx: &mut Context<'_, A, S>,
    ) -> Result<At, DropReason> {
        let Part { form, topic, piece, pieces, len, bytes } = *part;
        let (form, hops) = (form & 0xf & !PART, form >> HOPS);
        let of_message = |entry: &Entry| {
            let same = entry.origin == origin.id && entry.tag == origin.tag && entry.seq == seq;
            same && entry.pieces == pieces && (entry.marks ^ marks) & DIRECT == 0
        };
        let held = if pieces > 1 { self.log.newest().find(|(_, entry)| of_message(entry)) } else { None };
        let (at, entry) = match held {
            Some((_, entry)) if entry.len != len || entry.topic != topic || entry.form != form => {
                return Err(DropReason::Malformed);
            }
            Some(held) => held,
            None => {
                let (origin, tag) = (origin.id, origin.tag);
                let entry = Entry { origin, tag, seq, topic, len, came: 0, pieces, form, marks, hops };
                (self.add(entry, cx).ok_or(DropReason::MessageRoom)?, entry)
            }
        };
        self.log.fill(at, entry.range(piece), bytes);
        self.log.set(at, Entry { came: entry.came | 1 << (piece & 31), hops: entry.hops.max(hops), ..entry });
        Ok(at)
    }

    /// Adds a message in place of old ones; `None`, and nothing changed, if there is no room.
    fn add<A: Address>(&mut self, entry: Entry, cx: &mut Context<'_, A, S>) -> Option<At> {
        let len = entry.len as usize;
        if !self.log.has_room(len) && !self.make_room(len, cx) {
            return None;
        }
        self.log.push(entry)
    }

    fn make_room<A: Address>(&mut self, len: usize, cx: &mut Context<'_, A, S>) -> bool {
        let Broadcasts { log, tree, outbox, sends, gaps, topics, .. } = self;
        let used =
            |at: At| tree.jobs().any(|job| job.at == at) || outbox.iter().any(|(own, _)| *own == at) || sends.uses(at);
        let stays = |at: At, entry: &Entry| used(at) || entry.is(UNTOLD) && entry.is(DIRECT);
        let members = &mut *cx.members;
        let stats = &mut *cx.stats;
        let lost = |entry: Entry| {
            // None of its other pieces is of use any more.
            if let Some(index) = members.find_life(entry.origin, entry.tag) {
                members.with_window(index, |window| window.take_all(entry.seq, entry.last()));
            }
            if !topics.is_empty() {
                note_gap(gaps, Gap { origin: entry.origin, first: entry.seq, last: entry.last() }, stats);
            }
        };
        let mut moves = Vec::<(At, At), { LEGS + OUTBOX + direct::SENDS }>::new();
        let made = log.make_room(len, stays, lost, |from, to| {
            if from != to && used(from) {
                let _ = moves.push((from, to));
            }
        });
        let new = |at: At| moves.iter().find(|(from, _)| *from == at).map_or(at, |(_, to)| *to);
        tree.rename(|job| Job { at: new(job.at), ..job });
        outbox.iter_mut().for_each(|(at, _)| *at = new(*at));
        sends.rename(new);
        made
    }

    /// Gives up the broadcasts of this origin that are missing up to that one: it says so itself, or nobody has them.
    pub(crate) fn give_up<A: Address>(
        &mut self,
        origin: Origin,
        (last, by_origin): (u32, bool),
        cx: &mut Context<'_, A, S>,
    ) {
        let Some(index) = cx.members.find_life(origin.id, origin.tag) else { return };
        let give_up = |window: &mut Window| {
            if last > window.seen() && !by_origin { window.give_up_hearsay(last) } else { window.give_up(last) }
        };
        while let Some((first, last)) = cx.members.with_window(index, give_up) {
            let gap = self.widen(Gap { origin: origin.id, first, last }, (origin, index), cx.members);
            self.quiet = false;
            if !self.topics.is_empty() {
                note_gap(&mut self.gaps, gap, cx.stats);
            }
        }
    }

    /// A message that lacks a piece is lost whole.
    fn widen<A: Address>(&mut self, gap: Gap, (origin, index): (Origin, Index), members: &mut Members<A, S>) -> Gap {
        let mut wide = gap;
        let torn = |(_, entry): &(At, Entry)| {
            let own = entry.origin == origin.id && entry.tag == origin.tag && !entry.is(DIRECT | DONE);
            own && !entry.is_complete() && entry.seq <= gap.last && gap.first <= entry.last()
        };
        while let Some((at, entry)) = { self.log.all().find(torn) } {
            self.log.set(at, Entry { marks: entry.marks & !UNTOLD | DONE, ..entry });
            wide.first = wide.first.min(entry.seq);
            wide.last = wide.last.max(entry.last());
            members.with_window(index, |window| window.take_all(entry.seq, entry.last()));
        }
        wide
    }

    /// A member is known again whose broadcasts may have come before or not: none of them is told any more.
    pub(crate) fn note_gap<A: Address>(&mut self, origin: NodeId, last: u32, cx: &mut Context<'_, A, S>) {
        if !self.topics.is_empty() && last > 0 {
            note_gap(&mut self.gaps, Gap { origin, first: 1, last }, cx.stats);
        }
    }

    // Direct messages.

    /// Whether this direct message has been taken whole.
    pub(crate) fn has_heard(&self, origin: Origin, number: u32) -> bool {
        self.directs.all().contains(&direct_name(origin, number))
    }

    /// Takes a piece of a direct message; whether that made it whole. `None` if there is no room.
    pub(crate) fn take_direct<A: Address>(
        &mut self,
        origin: Origin,
        number: u32,
        part: &Part<'_>,
        cx: &mut Context<'_, A, S>,
    ) -> Result<bool, DropReason> {
        let at = self.store(origin, number, part, DIRECT | UNTOLD, cx)?;
        let whole = self.log.get(at).is_some_and(|entry| entry.is_complete());
        if whole {
            self.note_heard(direct_name(origin, number));
            self.quiet = false;
        }
        Ok(whole)
    }

    pub(crate) fn note_heard(&mut self, name: u32) {
        let most = self.directs.limit().min(DIRECTS) as u32;
        if (self.directs.all().len() as u32) < most && self.directs.push(name) {
            return;
        }
        if let Some(place) = self.directs.all_mut().get_mut(self.next_direct as usize) {
            *place = name;
        }
        self.next_direct = (self.next_direct + 1) % most.max(1);
    }

    // Telling.

    /// The next gap to tell of.
    pub(crate) fn next_gap(&mut self) -> Option<Gap> {
        self.gaps.pop_front()
    }

    /// The next message to tell of, which then counts as told.
    pub(crate) fn next_message<A: Address>(&mut self, members: &Members<A, S>) -> Option<(At, Entry)> {
        if self.quiet || !self.log.has_untold() {
            return None;
        }
        let next = self.log.all().find(|(_, entry)| self.is_its_turn(entry, members));
        let Some((at, entry)) = next else {
            self.quiet = true;
            return None;
        };
        self.log.set(at, Entry { marks: entry.marks & !UNTOLD, ..entry });
        Some((at, entry))
    }

    fn is_its_turn<A: Address>(&self, entry: &Entry, members: &Members<A, S>) -> bool {
        if !entry.is(UNTOLD) || !entry.is_complete() {
            return false;
        }
        if !entry.is(ORDERED) {
            return true;
        }
        let Some(index) = members.find_life(entry.origin, entry.tag) else { return true };
        let earlier = |(_, other): (At, Entry)| {
            let same = other.origin == entry.origin && other.tag == entry.tag && !other.is(DIRECT);
            same && other.is(UNTOLD) && other.is(ORDERED) && other.seq < entry.seq
        };
        members.window(index).floor() >= entry.last() && !self.log.all().any(earlier)
    }

    /// A question that is over, and whose answers have all been told.
    pub(crate) fn next_over(&mut self) -> Option<question::Open> {
        let Broadcasts { log, questions, .. } = self;
        questions.next_over(|number| has_answer(log, number))
    }

    /// A message is not to be told after all.
    pub(crate) fn drop_untold(&mut self, at: At) {
        if let Some(entry) = self.log.get(at) {
            self.log.set(at, Entry { marks: entry.marks & !UNTOLD | DONE, ..entry });
        }
    }

    /// Which of the broadcasts that are asked for can be given to one who listens to these topics.
    pub(crate) fn had(&self, pull: &Pull, topics: u32) -> u64 {
        let mut had = 0;
        for (_, entry) in self.log.all() {
            let listens = topics & Topic(entry.topic).bit() != 0;
            if entry.form & HOLLOW == 0 || !listens {
                self.wanted_pieces(&entry, pull).for_each(|(_, bit)| had |= bit);
            }
        }
        had
    }

    /// The pieces of a message that are asked for and have come, each with its bit.
    fn wanted_pieces(&self, entry: &Entry, pull: &Pull) -> impl Iterator<Item = (u8, u64)> + use<S> {
        let (entry, pull) = (*entry, *pull);
        let of_origin = entry.origin == pull.origin.id && entry.tag == pull.origin.tag && !entry.is(DIRECT);
        let came = move |piece: &u8| of_origin && entry.came >> piece & 1 == 1;
        (0..entry.pieces.min(MOST_PIECES)).filter(came).filter_map(move |piece| {
            let ahead = entry.seq.checked_add(piece.into())?.checked_sub(pull.first)?;
            let bit = 1u64.checked_shl(ahead)?;
            (pull.wanted & bit != 0).then_some((piece, bit))
        })
    }

    /// Writes as much as fits of what the first asker is to be given, and when it is all given, what it is not.
    pub(crate) fn write_give<A: Address>(&mut self, members: &Members<A, S>, writer: &mut Writer<'_>) -> Option<()> {
        let give = self.gives.first().cloned()?;
        let topics = members.find_record(give.to)?.topics;
        let (mut left, before) = (give.left, writer.len());
        for (at, entry) in self.log.all() {
            if left == 0 {
                break;
            }
            let hollow = entry.form & HOLLOW != 0 || topics & Topic(entry.topic).bit() == 0;
            for (piece, bit) in self.wanted_pieces(&entry, &Pull { wanted: left, ..give.pull }) {
                let piece = self.piece_of(at, &entry, piece, hollow);
                if write_frame(kind::GIVE, writer, |writer| write_piece(&piece, writer)).is_some() {
                    left &= !bit;
                }
            }
        }
        let own = own_origin(members).filter(|own| *own == give.pull.origin);
        let (oldest, newest) = own.map_or((0, 0), |own| (self.oldest(own), self.last));
        // What has gone since it was asked for is lacking as well, or nothing more would ever be said.
        let gone = if left == give.left { left } else { 0 };
        let mut done = false;
        if left == 0 || writer.len() == before {
            let pull = Pull { wanted: give.lacking | gone, ..give.pull };
            let lack = Lack { pull, oldest, newest };
            done = writer.frame(kind::LACK, |body| lack.write(body)).is_some();
        }
        if let Some(first) = self.gives.first_mut() {
            (first.left, first.done, first.written) = (left, done, writer.len() > before);
        }
        (writer.len() > before).then_some(())
    }

    /// One datagram has gone to the first asker, or it is gone itself.
    pub(crate) fn settle_give(&mut self, to: NodeId) {
        match self.gives.first_mut().filter(|give| give.to == to) {
            Some(give) if give.written && !give.done => give.written = false,
            Some(_) => drop(self.gives.remove(0)),
            None => {}
        }
    }

    /// The first own broadcast from which on all are still there.
    fn oldest(&self, own: Origin) -> u32 {
        let kept = self.log.all().filter(|(_, entry)| entry.has(own.id, own.tag, entry.seq));
        kept.map(|(_, entry)| entry.seq).min().unwrap_or(self.last.saturating_add(1))
    }

    /// Whether something of repair is to be sent.
    pub(crate) fn owes_sync(&self) -> bool {
        !self.gives.is_empty() || self.compare.is_some()
    }

    // Progress.

    /// Writes how far this node has come: with the origins of the latest messages, and with all that have broadcast and
    /// stand in a range, as many as fit. Up to where that was.
    pub(crate) fn write_progress<A: Address>(
        &self,
        (low, high, answer): (u64, u64, bool),
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<u64> {
        let frame = writer.begin(kind::PROGRESS)?;
        let mut end = high;
        let mut fill = |writer: &mut Writer<'_>| {
            writer.u64(low)?;
            let bound = writer.hole()?;
            writer.u8(u8::from(answer))?;
            for index in self.latest_origins(members) {
                if write_step(index, members, writer).is_none() {
                    break;
                }
            }
            let range = members.ordered_from(low).take_while(|(place, _)| *place <= high);
            let known = range.filter(|(_, index)| members.counts(*index));
            for (count, (place, index)) in known.enumerate() {
                if count == MOST_STEPS || write_step(index, members, writer).is_none() {
                    // The range may begin with it.
                    end = place.saturating_sub(1).max(low);
                    break;
                }
            }
            writer.fill(bound, end)
        };
        match fill(writer) {
            Some(()) => writer.end(frame)?,
            None => writer.cancel(frame)?,
        }
        Some(end)
    }

    /// The origins of the latest messages, the dead among them.
    fn latest_origins<A: Address>(&self, members: &Members<A, S>) -> Vec<Index, LATEST> {
        let mut latest = Vec::new();
        for (_, entry) in self.log.newest().take(LOOK) {
            let index = members.find_life(entry.origin, entry.tag).filter(|_| !entry.is(DIRECT));
            if let Some(index) = index.filter(|index| !latest.contains(index))
                && latest.push(index).is_err()
            {
                break;
            }
        }
        latest
    }
}

/// Whether there is an answer that has not been told to the question of this number.
fn has_answer<S: Storage>(log: &Log<S>, number: u32) -> bool {
    let answers = |(at, entry): (At, Entry)| {
        let untold = entry.is(UNTOLD) && entry.is_complete() && entry.form & ANSWER != 0;
        untold && log.payload(at).first_chunk() == Some(&number.to_le_bytes())
    };
    log.has_untold() && log.all().any(answers)
}

/// Writes how far this node has come with one origin, or nothing.
fn write_step<A: Address, S: Storage>(index: Index, members: &Members<A, S>, writer: &mut Writer<'_>) -> Option<()> {
    let record = members.get(index)?;
    writer.progress(Origin { id: record.id, tag: record.tag() }, members.window(index).seen())
}

/// Writes a frame of any length, or nothing.
pub(crate) fn write_frame(
    kind: u8,
    writer: &mut Writer<'_>,
    body: impl FnOnce(&mut Writer<'_>) -> Option<()>,
) -> Option<()> {
    let frame = writer.begin(kind)?;
    if body(writer).is_some() { writer.end(frame) } else { writer.cancel(frame) }
}

/// Notes a gap, with one that it adjoins if it can; what there is no room for is counted.
fn note_gap(gaps: &mut Deque<Gap, GAPS>, gap: Gap, stats: &mut Stats) {
    let lost = u64::from(gap.last - gap.first) + 1;
    stats.messages_lost = stats.messages_lost.wrapping_add(lost);
    let adjoins = |held: &&mut Gap| held.origin == gap.origin && held.last.checked_add(1) == Some(gap.first);
    match gaps.iter_mut().find(adjoins) {
        Some(held) => held.last = gap.last,
        None => drop(gaps.push_back(gap)),
    }
}

fn direct_name(origin: Origin, number: u32) -> u32 {
    (hash::mix(origin.id.get() ^ hash::mix(u64::from(origin.tag) << 32 | u64::from(number))) >> 32) as u32
}

pub(crate) fn own_origin<A: Address, S: Storage>(members: &Members<A, S>) -> Option<Origin> {
    members.myself().map(|myself| Origin { id: myself.id, tag: myself.tag() })
}

/// Into how many pieces of at most this length a payload is cut; `None` if into too many.
pub(crate) fn pieces_for(len: u32, most: usize) -> Option<u8> {
    // So few that pieces of one length leave something for the last.
    let needed = (len as usize).div_ceil(most.max(1)).max(1);
    u8::try_from(needed).ok().filter(|pieces| *pieces <= MOST_PIECES)
}
