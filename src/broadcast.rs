//! Messages of the application: broadcasts, direct messages, and questions that are answered.
//!
//! A broadcast has a number among those of its origin's life. It goes down the tree of `tree.rs`, to those who listen to
//! its topic with its payload and to others hollow, so that everybody can tell by the numbers what is missing. Each
//! member keeps a window of what has come from each origin (`window.rs`), so that every message is told once.
//! What the tree missed shows in a later number, or in the roots of positions in a probe; it is pulled from whoever has it
//! (`broadcast/repair.rs`), until the origin itself says that it is gone. Then, and only then, it is a gap.
//!
//! A direct message is sent to its addressee until it is acknowledged (`broadcast/direct.rs`). A question is a message
//! of either kind with a number, and an answer a direct message that carries it (`broadcast/question.rs`).
//!
//! Payloads longer than a datagram go in pieces, each a broadcast of its own number: pieces need no other windows, no
//! other acknowledgements and no other repair than messages.
//!
//! Where this departs from Plumtree (Leitão et al. 2007), whose tree it has in another form, and from Scuttlebutt's
//! digests (van Renesse et al. 2008):
//!
//! | there | here | why |
//! |---|---|---|
//! | a tree of links, grafted and pruned by what comes twice | the order of the ids, cut anew for each message | nothing to repair after a crash, and no first flood |
//! | what was sent is announced to others as well | a number, and two bytes in every probe | announcements cost as much as small payloads do |
//! | one graft for each announcement | pulls from several, then from the origin, for as long as a message is tried | one lost graft would be a lost message |
//! | digests of everybody | of the latest and of a range, when the two bytes differ | a digest of 1,000 does not fit a datagram |
//! | what is missing is forgotten | it is a gap, when the origin or everybody else lacks it | nothing is lost quietly |
//! | a leave or a crash ends what a member said | the dead count for ten minutes more | what they said last is owed to all who outlive them |
//!
//! Ranges are cut in eight here and in three for news of members: a message should be with all soon, and the datagrams are
//! as many either way. The retry is a little more than a round trip, as a datagram too many costs less than a hop's wait.

mod direct;
mod give;
mod log;
mod question;
mod repair;
mod take;
mod tell;

pub(crate) use direct::{SENDS as MOST_SENDS, Send, Sends};
pub(crate) use give::MOST_GIVEN;
#[cfg(test)]
pub(crate) use log::HEADER;
pub(crate) use log::{At, DIRECT, Entry, Log};
#[cfg(test)]
pub(crate) use log::{DONE, ORDERED, UNTOLD};
pub(crate) use question::Questions;
pub(crate) use repair::{Give, Repairs};
pub(crate) use take::{Gap, Taken};

use crate::member::{Address, NodeId};
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::recent::Recent;
use crate::storage::{FewData, FewOf, List, Storage, must_fit};
use crate::time::Instant;
use crate::topic::Topic;
use crate::tree::{Job, Kind, LOOK, Message, Range32, Tree, live_in};
use crate::wire::{HOLLOW, HOPS, MOST_BEFORE_PAYLOAD, MOST_PIECES, Origin, Part, Piece, QUESTION};

/// The most that can be to be sent at once.
pub(crate) const MOST_OWED: usize = MOST_SENDS + repair::REPAIRS + repair::GIVES;
/// How many own broadcasts wait for their turn.
const OUTBOX: usize = 8;
const FEW_OUTBOX: usize = 4;
/// How many direct messages are known again however small the table is: each of eight members may have sixteen on their
/// way.
const LATEST_DIRECTS: usize = 128;
const FEW_DIRECTS: usize = 48;
/// The most topics that a node can listen to.
pub(crate) const TOPICS: usize = 16;
pub(crate) const FEW_TOPICS: usize = 8;
/// The most gaps that wait to be told: in a wide storage as many as one window can have, and some. What there is no room for
/// is counted.
const GAPS: usize = 40;
const FEW_GAPS: usize = 16;
/// No room for it now.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Broadcasts<S: Storage> {
    pub(crate) log: Log<S>,
    /// Own messages that are still to be handed out, and from which piece on.
    outbox: FewData<S, (At, u8), OUTBOX, FEW_OUTBOX>,
    /// The number of the last own broadcast.
    last: u32,
    pub(crate) sends: Sends<S>,
    pub(crate) repairs: Repairs<S>,
    pub(crate) gives: FewData<S, Give, { repair::GIVES }, { repair::FEW_GIVES }>,
    pub(crate) questions: Questions<S>,
    gaps: FewData<S, Gap, GAPS, FEW_GAPS>,
    /// What this node listens to, and whether in the order in which it was sent.
    topics: FewData<S, (Topic, bool), TOPICS, FEW_TOPICS>,
    /// The numbers of direct messages that are complete: the latest, and those before them.
    latest_directs: Recent<FewData<S, u32, LATEST_DIRECTS, FEW_DIRECTS>>,
    directs: S::DataPerMember<u32>,
    next_direct: u32,
    /// Nothing untold can be told for now.
    quiet: bool,
    /// When those are looked for who have been dead for long.
    pub(crate) next_mourning: Instant,
}

impl<S: Storage> Broadcasts<S> {
    pub(crate) const fn new(bytes: S::Bytes, buckets: S::DataPerMember<At>, directs: S::DataPerMember<u32>) -> Self {
        Broadcasts {
            log: Log::new(bytes, buckets),
            outbox: FewOf::EMPTY,
            last: 0,
            sends: Sends::NONE,
            repairs: Repairs::NONE,
            gives: FewOf::EMPTY,
            questions: Questions::NONE,
            gaps: FewOf::EMPTY,
            topics: FewOf::EMPTY,
            latest_directs: Recent::NONE,
            directs,
            next_direct: 0,
            quiet: true,
            next_mourning: Instant::ZERO,
        }
    }

    /// Forgets everything but what this node listens to, and begins with another secret.
    pub(crate) fn reset(&mut self, key: u64) {
        self.log.clear(key);
        (self.outbox, self.last) = (FewOf::EMPTY, 0);
        (self.sends, self.repairs, self.gives) = (Sends::NONE, Repairs::NONE, FewOf::EMPTY);
        (self.questions, self.gaps) = (Questions::NONE, FewOf::EMPTY);
        self.latest_directs = Recent::NONE;
        self.directs.clear();
        (self.next_direct, self.quiet) = (0, true);
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
        self.topics.iter().find(|(held, _)| held.get() == topic).map(|(_, ordered)| *ordered)
    }

    // Out.

    /// How long a payload may be, with datagrams of this size.
    pub(crate) fn most(&self, datagram: usize) -> usize {
        (usize::from(MOST_PIECES) * (datagram - MOST_BEFORE_PAYLOAD)).min(self.log.most())
    }

    /// Whether a payload of this length can be sent at all.
    pub(crate) fn can_hold(&self, len: usize, datagram: usize) -> bool {
        len <= self.most(datagram) && self.log.can_hold(len)
    }

    /// Adds a message of this node's own, direct or to all, with a number before the payload if there is one.
    pub(crate) fn compose<A: Address>(
        &mut self,
        (seq, topic, form, marks): (u32, Topic, u8, u8),
        (number, payload): (Option<u32>, &[u8]),
        core: &mut Core<A, S>,
    ) -> Option<(At, u8)> {
        let (Origin { id: origin, tag }, head) = (core.members.own_origin()?, number.map(u32::to_le_bytes));
        let head = head.as_ref().map_or(&[][..], |head| &head[..]);
        let len = (head.len() + payload.len()) as u32;
        let pieces = pieces_for(len, core.config.max_datagram() - MOST_BEFORE_PAYLOAD)?;
        let came = u32::MAX >> (u32::BITS - u32::from(pieces));
        let entry = Entry { origin, tag, seq, topic: topic.get(), len, came, pieces, form, marks, hops: 0 };
        let at = self.add(entry, core)?;
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
        core: &mut Core<A, S>,
    ) -> Result<u32, Full> {
        let first = self.last.checked_add(1).filter(|first| *first < u32::MAX - u32::from(MOST_PIECES)).ok_or(Full)?;
        if self.outbox.is_full() {
            return Err(Full);
        }
        let form = if question.is_some() { QUESTION } else { 0 };
        let (at, pieces) = self.compose((first, topic, form, 0), (question, payload), core).ok_or(Full)?;
        self.last = first + u32::from(pieces) - 1;
        self.claim_numbers(first, &mut core.members);
        must_fit(self.outbox.push((at, 0)));
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
    pub(crate) fn is_done(&self, tree: &Tree<S>) -> bool {
        self.outbox.is_empty() && tree.is_empty(Kind::Message) && self.sends.is_done()
    }

    /// Whether nothing but what the tree carries is under way, to others or from them.
    pub(crate) fn is_quiet(&self) -> bool {
        self.sends.is_empty() && self.repairs.is_empty() && self.gives.is_empty()
    }

    /// Whether an own message could be handed out.
    fn can_hand_out(&self, tree: &Tree<S>) -> bool {
        !self.outbox.is_empty() && tree.ways(Kind::Message).is_some()
    }

    /// When something is to be sent again, or could be sent at all.
    pub(crate) fn casts_due(&self, may_begin: bool, tree: &Tree<S>, now: Instant) -> Instant {
        if may_begin && self.can_hand_out(tree) { now } else { tree.due(Kind::Message) }
    }

    /// Tries again where no acknowledgement came, and hands out own messages as far as there is room. Returns who was tried
    /// in vain.
    pub(crate) fn tick_casts<A: Address>(
        &mut self,
        may_begin: bool,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> Option<NodeId> {
        let (tree, mut context) = core.tree();
        let given_up = tree.tick(Kind::Message, &[], unit, &mut context);
        while may_begin && self.can_hand_out(&core.tree) {
            let Some((at, piece)) = self.outbox.first().copied() else { break };
            let pieces = self.log.get(at).map_or(0, |entry| entry.pieces);
            self.hand_out((at, piece), Range32::ALL, unit, core);
            match self.outbox.first_mut() {
                Some(first) if piece + 1 < pieces => first.1 = piece + 1,
                _ => drop(self.outbox.take_first()),
            }
        }
        given_up
    }

    /// Hands a range out; false, and nothing done, if there is no room.
    pub(crate) fn hand_out<A: Address>(
        &mut self,
        (at, piece): (At, u8),
        range: Range32,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> bool {
        let (tree, mut context) = core.tree();
        let Some((ways, entry)) = tree.ways(Kind::Message).zip(self.log.get(at)) else { return false };
        let job = Job::Message(Message { at, piece, topics: Topic::new(entry.topic).bit() });
        tree.hand_out(job, (range, ways), &[], unit, &mut context);
        true
    }

    /// What goes to a delegate: hollow if nobody in the range listens.
    pub(crate) fn piece<A: Address>(
        &self,
        message: Message,
        range: Range32,
        members: &Members<A, S>,
    ) -> Option<Piece<'_>> {
        let entry = self.log.get(message.at)?;
        let bit = Topic::new(entry.topic).bit();
        let listens = |index: Index| members.get(index).is_some_and(|record| record.topics & bit != 0);
        // A range with many is not looked through: as it is passed on, it is cut in smaller ones.
        let mut all = live_in(range, members);
        let nobody = !all.by_ref().take(LOOK).any(|(_, index)| listens(index)) && all.next().is_none();
        let hollow = entry.form & HOLLOW != 0 || nobody;
        Some(self.piece_of(message.at, &entry, message.piece, hollow))
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
    pub(crate) fn renew<A: Address>(&mut self, core: &mut Core<A, S>) {
        let Some(Origin { id, tag }) = core.members.own_origin() else { return };
        self.last = 0;
        let mut next = 0;
        while let Some((at, entry)) = { self.log.from(next).next() } {
            next = at + entry.size();
            let under_way = is_under_way(&core.tree, at) || self.outbox.iter().any(|(own, _)| *own == at);
            if entry.origin != id || !under_way && !entry.is(DIRECT) {
                continue;
            }
            let seq = if entry.is(DIRECT) { entry.seq } else { self.last + 1 };
            self.log.set(at, Entry { tag, seq, ..entry });
            if !entry.is(DIRECT) {
                self.last += u32::from(entry.pieces);
            }
        }
        self.claim_numbers(1, &mut core.members);
    }
}

/// Whether a message is on its way down the tree.
fn is_under_way<S: Storage>(tree: &Tree<S>, at: At) -> bool {
    tree.jobs().filter_map(Job::message).any(|message| message.at == at)
}

/// Into how many pieces of at most this length a payload is cut; `None` if into too many.
pub(crate) fn pieces_for(len: u32, most: usize) -> Option<u8> {
    // So few that pieces of one length leave something for the last.
    let needed = (len as usize).div_ceil(most.max(1)).max(1);
    u8::try_from(needed).ok().filter(|pieces| *pieces <= MOST_PIECES)
}
