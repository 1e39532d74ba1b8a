//! Anti-entropy: two members whose roots differ find out in what, a datagram at a time. There is one walk, for records and
//! for positions, which say how far a member has come with the logs of others.
//!
//! The asker sends the sums of equal parts of a range of the id space. Each step is one datagram and says all that is
//! needed to answer it: nothing is remembered by the one who answers, and a step that comes twice changes nothing. The
//! asker keeps a *cursor* for each range that it asks about: whom, from which place to which, and when it repeats its
//! question. An answer counts only if it lies in what a cursor asks about, and moves that cursor nearer to its end. Sums
//! and short ids are mixed with a salt, so that no collision lasts.
//!
//! - *Records.* The answer says which parts differ (PARTS). Where a part that differs holds little, and from the beginning
//!   where the whole table does, the asker lists the short ids of what it holds there (LIST). The other answers with the
//!   records that the list lacks, and says which of the listed it lacks itself (DIFF), which are sent in turn (DIFF). Only
//!   the former has a range: the latter answers no list, so that no cursor of its receiver may go on by it.
//! - *Positions.* The answer has the positions in the first parts that differ, as many as fit (HAVE), and is told those of
//!   the asker in turn. The cursor goes on behind them as soon as what was found missing can be asked for. Roots that
//!   differ once are most often those of what is on its way: then only the latest is told, and no cursor begins.
//!
//! PARTS stays beside LIST: it takes 21 bytes and names all parts that differ, so that up to four cursors go on at once. A
//! list of 64 short ids takes 276 and covers one of them only if that part holds so few.
//!
//! A newcomer, who lacks nearly everything, lists the whole id space a page at a time without asking for sums. As soon
//! as it knows others than its host, it divides what is left among four of them.
//!
//! Unequal roots are looked into at once, not only when they stay so: what goes down the relay tree is with everybody
//! before the next probe, so that unequal roots are seldom news on its way.

mod positions;
mod records;
mod sums;

pub(crate) use positions::{LATEST_ONLY, MOST_POSITIONS, write_have};
pub(crate) use records::{Diff, compare};
pub(crate) use sums::compare_sums;

use heapless::Vec;

use crate::ask::{Ask, Schedule};
use crate::member::{Address, NodeId};
use crate::members::Members;
use crate::node_core::Core;
use crate::storage::{FewOf, Storage};
use crate::time::Instant;
use crate::wire::{Parts, What, Writer};
use records::{LOOK, write_list};
use sums::write_sums;

/// A range of the id space, both ends included.
pub(crate) type Range = (u64, u64);

/// How many ranges of records are asked about at once.
const OF_RECORDS: usize = 4;
/// The most cursors: those of records, one of positions, and one for whoever is told the latest.
pub(crate) const CURSORS: usize = OF_RECORDS + 2;
/// How often one peer is asked the same before another is, or the cursor is given up.
const TRIES: u8 = 5;
/// How many peers a newcomer asks for a page before its cursor is given up. Others leave it to the next unequal roots.
const PEERS: u8 = 4;
/// How often the gap between comparisons that change nothing is doubled at most.
const MOST_VAIN: u8 = 6;
/// How often whoever is new asks for all positions before the gap begins to double, and how often it doubles.
const ASKINGS: u8 = 8;
const MOST_DOUBLED: u8 = 12;

/// A range that is asked about, and who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cursor {
    what: What,
    peer: NodeId,
    low: u64,
    high: u64,
    /// To be listed, however much there is: sums would not say more.
    listed: bool,
    peers: u8,
    /// It needs no number: an answer is held against what is asked. It is never due while there is no room for what would come
    /// of it.
    ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Walk {
    cursors: Vec<Cursor, CURSORS>,
    /// What is pulled is the first that this node hears of a cluster.
    newcomer: bool,
    next_compare: Instant,
    /// This node's root when tables were last compared, and how often that had changed nothing by then.
    compared: (u64, u8),
    /// There was no room for all that this peer had to say: tables are compared with it once more.
    unfinished: Option<NodeId>,
    /// In how many probes in a row the roots of positions differed.
    unequal: u8,
    /// Who was told the latest, and is told once more if it did not know where this node is.
    told: Option<NodeId>,
    /// When whoever is new asks somebody for all positions, until somebody has answered; and how often it has asked.
    next_asking: Instant,
    askings: u8,
}

impl Walk {
    pub(crate) const NEW: Self = Walk {
        cursors: Vec::new(),
        newcomer: false,
        next_compare: Instant::ZERO,
        compared: (0, 0),
        unfinished: None,
        unequal: 0,
        told: None,
        next_asking: Instant::ZERO,
        askings: 0,
    };

    pub(crate) fn due(&self) -> Instant {
        let again = self.unfinished.filter(|_| !self.is_under_way()).map_or(Instant::FAR_FUTURE, |_| self.next_compare);
        self.cursors.iter().map(|cursor| cursor.ask.next).min().unwrap_or(again).min(again)
    }

    /// Asks where it is time, and begins another comparison of records where the last left something. Questions for
    /// records are repeated after `gap`, those for positions after `hop`, and then after twice as long each time.
    pub(crate) fn tick<A: Address, S: Storage>(&mut self, gaps: (u64, u64), core: &mut Core<A, S>) {
        self.ask(gaps, core);
        if let Some(peer) = self.unfinished.filter(|_| !self.is_under_way() && core.now >= self.next_compare) {
            self.unfinished = None;
            self.pull(peer, false, core.now);
            self.ask(gaps, core);
        }
    }

    fn ask<A: Address, S: Storage>(&mut self, (gap, hop): (u64, u64), core: &mut Core<A, S>) {
        let newcomer = self.newcomer;
        let most = |cursor: &Cursor| if newcomer && cursor.what == What::Records { PEERS } else { 1 };
        for cursor in self.cursors.iter_mut().filter(|cursor| cursor.ask.is_due(core.now)) {
            let (gap, tries) = (if cursor.what == What::Records { gap } else { hop }, cursor.tries());
            if cursor.ask.tries >= tries {
                let other = core.members.random_live(&mut core.rng, |_| true).and_then(|index| core.members.get(index));
                cursor.peer = other.map_or(cursor.peer, |record| record.id);
                (cursor.ask.tries, cursor.peers) = (0, cursor.peers + 1);
            }
            cursor.ask.repeat(Schedule::walk(gap), core.now);
            cursor.ask.owed = cursor.peers < most(cursor);
        }
        self.cursors.retain(|cursor| cursor.peers < most(cursor));
    }

    /// The caller came late: a peer is not given up for a silence that may wait in the socket.
    pub(crate) fn postpone(&mut self, read: Instant) {
        for cursor in &mut self.cursors {
            cursor.ask.postpone(cursor.tries(), read);
        }
    }

    /// The host did not take what was sent to a peer that is there: that one has not been asked.
    pub(crate) fn not_sent(&mut self, there: impl Fn(NodeId) -> bool) {
        self.cursors.iter_mut().filter(|cursor| there(cursor.peer)).for_each(|cursor| cursor.ask.not_sent());
    }

    /// The cursors that are to ask, and whom.
    pub(crate) fn owed(&self, isolated: bool) -> impl Iterator<Item = (usize, NodeId)> {
        let asks = move |cursor: &Cursor| cursor.ask.owed && (!isolated || cursor.what == What::Records);
        self.cursors.iter().enumerate().filter(move |(_, cursor)| asks(cursor)).map(|(at, cursor)| (at, cursor.peer))
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        let Some(cursor) = self.cursors.get_mut(at) else { return false };
        let owed = cursor.ask.sent();
        if cursor.is_of_latest() {
            // Whoever is told is asked nothing. To be told once more is marked, so that it is not for ever.
            self.told = Some(cursor.peer).filter(|_| !cursor.listed);
            self.end(at);
        }
        owed
    }

    /// The peer that was to be asked is gone: another is, at the next try.
    pub(crate) fn give_up(&mut self, at: usize) -> bool {
        if let Some(cursor) = self.cursors.get_mut(at) {
            cursor.ask.tries = TRIES;
        }
        self.sent(at)
    }

    /// Writes this cursor's question about records, or about positions if this node keeps any.
    pub(crate) fn write<A: Address, S: Storage>(
        &self,
        at: usize,
        salt: u32,
        writer: &mut Writer<'_>,
        members: &Members<A, S>,
    ) -> Option<()> {
        let cursor = self.cursors.get(at)?;
        let range = (cursor.low, cursor.high);
        let mut within = members.ordered_from(cursor.low).take_while(|(place, _)| *place <= cursor.high);
        if cursor.what == What::Records && (cursor.listed || within.nth(LOOK).is_none()) {
            write_list(range, salt, members, writer)
        } else {
            write_sums(cursor.what, range, salt, members, writer)
        }
    }

    /// Whether this cursor asks about records.
    pub(crate) fn is_of_records(&self, at: usize) -> bool {
        self.cursors.get(at).is_some_and(|cursor| cursor.what == What::Records)
    }

    /// Whether this cursor tells the latest positions, which its caller knows.
    pub(crate) fn is_of_latest(&self, at: usize) -> bool {
        self.cursors.get(at).is_some_and(Cursor::is_of_latest)
    }

    /// The cursor that asks this peer about all of this range, or about more.
    fn cursor(&self, what: What, peer: NodeId, (low, high): Range) -> Option<usize> {
        let asks = |cursor: &Cursor| cursor.low <= low && high <= cursor.high && !cursor.is_of_latest();
        self.cursors.iter().position(|cursor| cursor.what == what && cursor.peer == peer && asks(cursor))
    }

    fn push(&mut self, cursor: Cursor) {
        let pushed = self.cursors.push(cursor);
        debug_assert!(pushed.is_ok(), "there is a place for each cursor");
    }

    fn end(&mut self, at: usize) -> Option<Cursor> {
        self.cursors.swap_take(at)
    }

    // Records.

    fn of_records(&self) -> impl Iterator<Item = &Cursor> {
        self.cursors.iter().filter(|cursor| cursor.what == What::Records)
    }

    /// Whether records are compared.
    fn is_under_way(&self) -> bool {
        self.of_records().next().is_some()
    }

    /// Pulls everything from this peer, from the beginning.
    pub(crate) fn pull(&mut self, peer: NodeId, newcomer: bool, now: Instant) {
        self.newcomer = newcomer;
        self.cursors.retain(|cursor| cursor.what != What::Records);
        self.push(Cursor { listed: newcomer, ..Cursor::new(What::Records, peer, (0, u64::MAX), now) });
    }

    /// Whether this node is new and learns what all others know.
    pub(crate) fn by_newcomer(&self) -> bool {
        self.newcomer && self.is_under_way()
    }

    /// This node is new no longer, whether it has learned all or not.
    pub(crate) fn settle(&mut self) {
        self.newcomer = false;
    }

    /// Takes note of whether this peer's roots are as ours; if not, tables are compared, unless they were within this gap. The
    /// gap doubles with each comparison that has changed nothing here, because roots may stay unequal: somebody lies, or
    /// refuses what others hold. The peer that lacks something asks for itself.
    pub(crate) fn compare(&mut self, peer: NodeId, equal: bool, root: u64, now: Instant, (gap, most): (u64, u64)) {
        if equal {
            self.unfinished = None;
            return;
        }
        let (before, vain) = self.compared;
        let vain = if root == before { vain } else { 0 };
        let longer = (gap << vain).min(most).saturating_sub(gap);
        let next = self.next_compare.after(longer);
        if !self.is_under_way() && now >= next {
            self.pull(peer, false, now);
            // Long after the last time it is another matter.
            let again = root == before && now < next.after(2 * most);
            self.compared = (root, if again { (vain + 1).min(MOST_VAIN) } else { 0 });
            self.next_compare = now.after(gap);
        }
    }

    /// There was no room for all that this peer had to say: tables are compared with it once more, soon.
    pub(crate) fn leave_unfinished(&mut self, peer: NodeId, now: Instant, gap: u64) {
        if self.unfinished.replace(peer).is_none() {
            self.next_compare = now.after(gap);
        }
    }

    /// Goes on behind `high`, up to which an answer to the list from `low` on was complete. A newcomer that sees that
    /// there is much more to come divides it. False if this peer was not asked for that page.
    pub(crate) fn on_page<A: Address, S: Storage>(
        &mut self,
        peer: NodeId,
        (low, high): Range,
        core: &mut Core<A, S>,
    ) -> bool {
        let asked = self
            .cursors
            .iter_mut()
            .zip(0..)
            .find(|(cursor, _)| (cursor.what, cursor.low, cursor.peer) == (What::Records, low, peer));
        let Some((cursor, at)) = asked else { return false };
        if high >= cursor.high {
            self.end(at);
            if self.newcomer && !self.is_under_way() {
                // What came to the others meanwhile may have passed it by.
                let any = core.members.random_live(&mut core.rng, |_| true).and_then(|index| core.members.get(index));
                let peer = any.map_or(peer, |record| record.id);
                self.leave_unfinished(peer, core.now, 2 * core.config.first_retry);
            }
            return true;
        }
        let is_all = low == 0 && cursor.high == u64::MAX;
        cursor.go_on(high + 1, core.now);
        if self.newcomer && is_all && high < u64::MAX / 8 {
            self.divide(at, core);
        }
        true
    }

    /// Divides the only cursor of records into four equal ones, with as many peers.
    fn divide<A: Address, S: Storage>(&mut self, at: usize, core: &mut Core<A, S>) {
        let Some(Cursor { peer: host, low, high, .. }) = self.end(at) else { return };
        let quarters = Parts { low, high, log: OF_RECORDS.ilog2() as u8, meant: u32::MAX };
        for range in quarters.ranges() {
            let other = core.members.random_live(&mut core.rng, |_| low > 0).and_then(|index| core.members.get(index));
            let peer = other.filter(|_| self.is_under_way()).map_or(host, |record| record.id);
            self.push(Cursor { listed: true, ..Cursor::new(What::Records, peer, range, core.now) });
        }
    }

    /// Goes on with the parts that differ, neighbours together; with all that is left in one where there are too many.
    /// False if this peer was not asked about this range.
    pub(crate) fn on_parts(&mut self, peer: NodeId, parts: &Parts, now: Instant) -> bool {
        let range = (parts.low, parts.high);
        let same = |cursor: &Cursor| (cursor.low, cursor.high) == range;
        let asked = self.cursor(What::Records, peer, range);
        let Some(at) = asked.filter(|at| self.cursors.get(*at).is_some_and(same)) else { return false };
        self.end(at);
        let free = OF_RECORDS.saturating_sub(self.of_records().count());
        let mut runs = Vec::<Cursor, OF_RECORDS>::new();
        for (low, high) in parts.meant() {
            let full = runs.len() >= free;
            match runs.last_mut() {
                Some(run) if full || run.high.checked_add(1) == Some(low) => (run.high, run.listed) = (high, true),
                _ => {
                    let pushed = runs.push(Cursor::new(What::Records, peer, (low, high), now));
                    debug_assert!(pushed.is_ok(), "no more runs than there is room for");
                }
            }
        }
        runs.into_iter().for_each(|run| self.push(run));
        true
    }

    // Positions.

    fn of_positions(&mut self) -> Option<&mut Cursor> {
        self.cursors.iter_mut().find(|cursor| cursor.what == What::Positions && !cursor.is_of_latest())
    }

    /// Whether another's roots of positions are equal, as a probe has shown. A node that has no room for all cannot become
    /// equal, and compares the latest alone; so does one whose question to another is under way.
    pub(crate) fn note_roots(&mut self, peer: NodeId, equal: bool, refuses: bool, now: Instant) {
        self.unequal = if equal { 0 } else { self.unequal.saturating_add(1) };
        let persists = self.unequal > 1 && !refuses;
        match self.of_positions() {
            _ if equal => {}
            None if persists => self.push(Cursor::new(What::Positions, peer, (0, u64::MAX), now)),
            Some(cursor) if cursor.peer == peer => {}
            // A peer that does not answer is left for one that has just answered a probe.
            Some(cursor) if persists && cursor.ask.tries > 1 => {
                *cursor = Cursor::new(What::Positions, peer, (cursor.low, cursor.high), now);
            }
            _ => self.tell_latest(peer, false, now),
        }
    }

    fn tell_latest(&mut self, peer: NodeId, again: bool, now: Instant) {
        self.cursors.retain(|cursor| !cursor.is_of_latest());
        self.push(Cursor { listed: again, ..Cursor::new(What::Positions, peer, LATEST_ONLY, now) });
    }

    /// Whether somebody has told a node that was new its positions.
    pub(crate) fn is_answered(&self) -> bool {
        self.next_asking == Instant::FAR_FUTURE
    }

    /// When a node that is new asks for all positions.
    pub(crate) fn asking_due(&self) -> Instant {
        self.next_asking
    }

    /// Asks this member for all positions, and again then if nobody answers.
    pub(crate) fn ask_for_all(&mut self, peer: NodeId, now: Instant, wait: u64) {
        // Nobody may have anything to tell, or be one that could.
        let doubled = self.askings.saturating_sub(ASKINGS).min(MOST_DOUBLED);
        self.askings = self.askings.saturating_add(1);
        self.next_asking = now.after(wait << doubled);
        let all = Cursor::new(What::Positions, peer, (0, u64::MAX), now);
        match self.of_positions() {
            Some(cursor) => *cursor = all,
            None => self.push(all),
        }
    }

    /// Another has told its positions in a range, all up to that `next` place or up to the first for which there was no
    /// room. If that answers sums, goes on there; when there is room again, if there was none.
    pub(crate) fn on_have(&mut self, peer: NodeId, range: Range, answer: bool, next: Option<u64>, now: Instant) {
        // To sums the answer is the first part that differs, about which the other asks in turn; or if none does, a range that
        // ends where it begins, and asks for nothing.
        let found = range != LATEST_ONLY && answer == (range.0 == range.1);
        if answer || found {
            self.next_asking = Instant::FAR_FUTURE;
        }
        let Some(at) = self.cursor(What::Positions, peer, range).filter(|_| found) else { return };
        match (next, self.cursors.get_mut(at)) {
            (Some(next), Some(cursor)) if next <= cursor.high => {
                if next > cursor.low {
                    cursor.go_on(next, now);
                }
                cursor.ask.next = Instant::FAR_FUTURE;
            }
            _ => drop(self.end(at)),
        }
    }

    /// There is room for what comes of it.
    pub(crate) fn go_on(&mut self, now: Instant) {
        if let Some(cursor) = self.of_positions().filter(|cursor| cursor.ask.next == Instant::FAR_FUTURE) {
            cursor.ask.next = now;
        }
    }

    /// This peer did not know where this node is, and does by now: it is told or asked again.
    pub(crate) fn note_introduced(&mut self, peer: NodeId, now: Instant) {
        if self.told.take_if(|told| *told == peer).is_some() {
            self.tell_latest(peer, true, now);
        }
        if let Some(cursor) =
            self.of_positions().filter(|cursor| cursor.peer == peer && cursor.ask.next != Instant::FAR_FUTURE)
        {
            cursor.ask.next = now;
        }
    }
}

impl Cursor {
    fn new(what: What, peer: NodeId, (low, high): Range, now: Instant) -> Self {
        Cursor { what, peer, low, high, listed: false, peers: 0, ask: Ask::new(0, now) }
    }

    /// Begins where this place is, with all tries.
    fn go_on(&mut self, low: u64, now: Instant) {
        debug_assert!(self.low < low && low <= self.high, "each step is nearer to the end");
        *self = Cursor { listed: self.listed, ..Cursor::new(self.what, self.peer, (low, self.high), now) };
    }

    /// How often one peer is asked.
    fn tries(&self) -> u8 {
        if self.what == What::Records { TRIES } else { TRIES - 1 }
    }

    fn is_of_latest(&self) -> bool {
        self.what == What::Positions && (self.low, self.high) == LATEST_ONLY
    }
}
