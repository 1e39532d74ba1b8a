//! Anti-entropy: two members whose roots differ find out in what, a datagram at a time.
//!
//! The asker sends the sums of equal parts of the id space; the other says which of them differ. Where a part that
//! differs holds little, and from the beginning where the whole table does, the asker lists the short ids of what it
//! holds there; the other answers with the records that the list lacks, and says which of the listed it lacks itself,
//! which it is then sent. Each step is one datagram and says all that is needed to answer it: nothing is remembered by
//! the one who answers, and a step that comes twice changes nothing. The asker remembers up to four ranges, its *lanes*,
//! each with one question under way, which it repeats. Short ids and sums are mixed with a salt, so that no collision
//! lasts.
//!
//! A newcomer, who lacks nearly everything, lists the whole id space a page at a time without asking for sums. As soon
//! as it knows others than its host, it divides what is left among four of them.
//!
//! Unequal roots are looked into at once, not only when they stay so: what goes down the relay tree is with everybody
//! before the next probe, so that unequal roots are seldom news on its way.

use heapless::Vec;

use crate::ask::{Ask, Schedule};
use crate::member::{Address, NodeId};
use crate::members::{Look, Members};
use crate::node_core::Core;
use crate::storage::{FewOf, Storage};
use crate::time::Instant;
use crate::wire::{Parts, Reader, Writer, kind};

/// The most short ids in a list, and the most records that one answer looks at: one bit each in what is remembered until
/// it is sent.
const LOOK: usize = 64;
/// How many ranges are asked about at once.
pub(crate) const LANES: usize = 4;
/// How often one peer is asked the same before another is.
const TRIES: u8 = 5;
/// How many peers a newcomer asks for a page before its lane is given up. Others leave it to the next unequal roots.
const PEERS: u8 = 4;
/// How often the gap between comparisons that change nothing is doubled at most.
const MOST_VAIN: u8 = 6;
/// The logarithm of the most sums in a datagram.
const MOST_PARTS: u32 = 4;

/// A range that is asked about, and who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lane {
    peer: NodeId,
    low: u64,
    high: u64,
    /// To be listed, however much there is: sums would not say more.
    listed: bool,
    peers: u8,
    /// A step needs no number: an answer is held against the range that is asked about.
    ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sync {
    lanes: Vec<Lane, LANES>,
    /// What is pulled is the first that this node hears of a cluster.
    newcomer: bool,
    next_compare: Instant,
    /// This node's root when tables were last compared, and how often that had changed nothing by then.
    compared: (u64, u8),
    /// There was no room for all that this peer had to say: tables are compared with it once more.
    unfinished: Option<NodeId>,
}

/// An answer to a list, until it is sent: which of the own records in a range the other side needs, and which of those
/// that it listed are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Diff {
    low: u64,
    high: u64,
    needed: u64,
    wanted: u64,
}

impl Sync {
    pub(crate) const NEW: Self =
        Sync { lanes: Vec::new(), newcomer: false, next_compare: Instant::ZERO, compared: (0, 0), unfinished: None };

    pub(crate) fn due(&self) -> Instant {
        let again = self.unfinished.map_or(Instant::FAR_FUTURE, |_| self.next_compare);
        self.lanes.iter().map(|lane| lane.ask.next).min().unwrap_or(again)
    }

    /// Pulls everything from this peer, from the beginning.
    pub(crate) fn pull(&mut self, peer: NodeId, newcomer: bool, now: Instant) {
        self.newcomer = newcomer;
        self.lanes.clear();
        let _ = self.lanes.push(Lane { listed: newcomer, ..Lane::new(peer, 0, u64::MAX, now) });
    }

    /// Whether this node is new and learns what all others know.
    pub(crate) fn by_newcomer(&self) -> bool {
        self.newcomer && !self.lanes.is_empty()
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
        if self.lanes.is_empty() && now >= next {
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

    /// Asks where it is time, and begins another comparison where the last left something.
    pub(crate) fn tick<A: Address, S: Storage>(&mut self, gap: u64, core: &mut Core<A, S>) {
        self.ask(gap, core);
        if let Some(peer) = self.unfinished.filter(|_| self.lanes.is_empty() && core.now >= self.next_compare) {
            self.unfinished = None;
            self.pull(peer, false, core.now);
            self.ask(gap, core);
        }
    }

    fn ask<A: Address, S: Storage>(&mut self, gap: u64, core: &mut Core<A, S>) {
        let most = if self.newcomer { PEERS } else { 1 };
        for lane in self.lanes.iter_mut().filter(|lane| lane.ask.is_due(core.now)) {
            if lane.ask.tries >= TRIES {
                let other = core.members.random_live(&mut core.rng, |_| true).and_then(|index| core.members.get(index));
                lane.peer = other.map_or(lane.peer, |record| record.id);
                (lane.ask.tries, lane.peers) = (0, lane.peers + 1);
            }
            lane.ask.repeat(Schedule::walk(gap), core.now);
            lane.ask.owed = lane.peers < most;
        }
        self.lanes.retain(|lane| lane.peers < most);
    }

    /// The caller came late: a peer is not given up for a silence that may wait in the socket.
    pub(crate) fn postpone(&mut self, read: Instant) {
        self.lanes.iter_mut().for_each(|lane| lane.ask.postpone(TRIES, read));
    }

    /// The host did not take what was sent to a peer that is there: that one has not been asked.
    pub(crate) fn not_sent(&mut self, there: impl Fn(NodeId) -> bool) {
        self.lanes.iter_mut().filter(|lane| there(lane.peer)).for_each(|lane| lane.ask.not_sent());
    }

    /// The lanes that are to ask, and whom.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, NodeId)> {
        self.lanes.iter().enumerate().filter(|(_, lane)| lane.ask.owed).map(|(at, lane)| (at, lane.peer))
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.lanes.get_mut(at).is_some_and(|lane| lane.ask.sent())
    }

    /// The peer that was to be asked is gone: another is, at the next try.
    pub(crate) fn give_up(&mut self, at: usize) -> bool {
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.ask.tries = TRIES;
        }
        self.sent(at)
    }

    /// Writes this lane's question.
    pub(crate) fn write<A: Address, S: Storage>(
        &self,
        at: usize,
        salt: u32,
        writer: &mut Writer<'_>,
        members: &Members<A, S>,
    ) -> Option<()> {
        let lane = self.lanes.get(at)?;
        let mut within = members.ordered_from(lane.low).take_while(|(place, _)| *place <= lane.high);
        if lane.listed || within.nth(LOOK).is_none() {
            write_list(writer, lane.low, lane.high, salt, members)
        } else {
            write_sums(writer, lane.low, lane.high, salt, members)
        }
    }

    fn lane(&mut self, peer: NodeId, low: u64) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.low == low && lane.peer == peer)
    }

    /// Goes on behind `high`, up to which an answer to the list from `low` on was complete. A newcomer that sees that
    /// there is much more to come divides it. False if this peer was not asked for that page.
    pub(crate) fn on_page<A: Address, S: Storage>(
        &mut self,
        peer: NodeId,
        (low, high): (u64, u64),
        core: &mut Core<A, S>,
    ) -> bool {
        let asked = self.lane(peer, low);
        let Some((at, lane)) = asked.and_then(|at| self.lanes.get_mut(at).map(|lane| (at, lane))) else { return false };
        if high >= lane.high {
            self.lanes.swap_take(at);
            if self.newcomer && self.lanes.is_empty() {
                // What came to the others meanwhile may have passed it by.
                let any = core.members.random_live(&mut core.rng, |_| true).and_then(|index| core.members.get(index));
                let peer = any.map_or(peer, |record| record.id);
                self.leave_unfinished(peer, core.now, 2 * core.config.first_retry);
            }
            return true;
        }
        *lane = Lane { listed: lane.listed, ..Lane::new(peer, high + 1, lane.high, core.now) };
        if self.newcomer && low == 0 && lane.high == u64::MAX && high < u64::MAX / 8 {
            self.divide(core);
        }
        true
    }

    /// Divides the only lane into four equal ones, with as many peers.
    fn divide<A: Address, S: Storage>(&mut self, core: &mut Core<A, S>) {
        let Some(Lane { peer: host, low, high, .. }) = self.lanes.first().cloned() else { return };
        let quarters = Parts { low, high, log: LANES.ilog2() as u8, meant: u32::MAX };
        self.lanes.clear();
        for (low, high) in quarters.ranges() {
            let other = core.members.random_live(&mut core.rng, |_| low > 0).and_then(|index| core.members.get(index));
            let peer = other.filter(|_| !self.lanes.is_empty()).map_or(host, |record| record.id);
            let _ = self.lanes.push(Lane { listed: true, ..Lane::new(peer, low, high, core.now) });
        }
    }

    /// Goes on with the parts that differ, neighbours together; with all that is left in one where there are too many.
    /// False if this peer was not asked about this range.
    pub(crate) fn on_parts(&mut self, peer: NodeId, parts: &Parts, now: Instant) -> bool {
        let asked = self.lane(peer, parts.low);
        let Some(at) = asked.filter(|at| self.lanes.get(*at).is_some_and(|lane| lane.high == parts.high)) else {
            return false;
        };
        self.lanes.swap_take(at);
        let free = LANES - self.lanes.len().min(LANES);
        let mut runs = Vec::<Lane, LANES>::new();
        for (low, high) in parts.meant() {
            let full = runs.len() >= free;
            match runs.last_mut() {
                Some(run) if full || run.high.checked_add(1) == Some(low) => (run.high, run.listed) = (high, true),
                _ => drop(runs.push(Lane::new(peer, low, high, now))),
            }
        }
        runs.into_iter().for_each(|run| _ = self.lanes.push(run));
        true
    }
}

impl Lane {
    fn new(peer: NodeId, low: u64, high: u64, now: Instant) -> Self {
        Lane { peer, low, high, listed: false, peers: 0, ask: Ask::new(0, now) }
    }
}

/// Compares a list of short ids with the own records in its range.
pub(crate) fn compare<A: Address, S: Storage>(
    members: &Members<A, S>,
    (low, high): (u64, u64),
    salt: u32,
    list: Reader<'_>,
) -> Diff {
    let mut listed = Vec::<u32, LOOK>::new();
    let mut rest = list;
    while let Some(short) = rest.u32().filter(|_| !listed.is_full()) {
        let _ = listed.push(short);
    }
    let mut diff = Diff { low, high, needed: 0, wanted: 0 };
    // Both are in order, so what they share is found by looking ahead; what is passed over is theirs alone.
    let (mut at, mut limited) = (0, false);
    let own = members.ordered_from(low).take_while(|(place, _)| *place <= high);
    for (count, (place, index)) in own.enumerate() {
        if count == LOOK {
            (diff.high, limited) = (place - 1, true);
            break;
        }
        let short = members.short_id(index, salt);
        let ahead = listed.get(at..).and_then(|ahead| ahead.iter().position(|other| *other == short));
        match ahead {
            Some(passed) => {
                diff.wanted |= ones(at, passed);
                at += passed + 1;
            }
            None => diff.needed |= 1 << count,
        }
    }
    // Behind a limit it cannot be told which of the listed stand before it: the next page will.
    if !limited {
        diff.wanted |= ones(at, listed.len().saturating_sub(at));
    }
    diff
}

/// So many ones from this place on.
fn ones(from: usize, count: usize) -> u64 {
    let up_to = |end: usize| if end >= u64::BITS as usize { u64::MAX } else { (1 << end) - 1 };
    up_to(from + count) & !up_to(from)
}

impl Diff {
    /// Writes what the other side needs, and what of its list is wanted if there is room.
    pub(crate) fn write<A: Address, S: Storage>(&self, writer: &mut Writer<'_>, members: &Members<A, S>) -> Option<()> {
        let own = members.ordered_from(self.low).take_while(|(place, _)| *place <= self.high).take(LOOK);
        let needed = own.zip(0..).filter(|(_, bit)| self.needed >> bit & 1 == 1);
        let frame = writer.begin(kind::DIFF)?;
        let mut high = self.high;
        let fill = |writer: &mut Writer<'_>| {
            writer.u64(self.low)?;
            let bound = writer.hole()?;
            for (count, ((place, index), _)) in needed.enumerate() {
                if members.describe(index, count == 0, writer).is_none() {
                    // Not even one: the buffer is too small.
                    high = place.checked_sub(1).filter(|high| *high >= self.low)?;
                    break;
                }
            }
            writer.fill(bound, high)
        };
        match fill(writer) {
            Some(()) => writer.end(frame)?,
            None => return writer.cancel(frame),
        }
        if self.wanted != 0 {
            // If it does not fit, it is wanted still when tables are compared the next time.
            let _ = writer.frame(kind::WANT, |body| {
                body.u64(self.low)?;
                body.u64(self.wanted)
            });
        }
        Some(())
    }
}

/// Writes those of the own records from `low` on that were wanted of the list that began there. If others have come
/// between since, those are sent that stand there now, and the next comparison finds the rest.
pub(crate) fn write_wanted<A: Address, S: Storage>(
    low: u64,
    wanted: u64,
    writer: &mut Writer<'_>,
    members: &Members<A, S>,
) -> Option<()> {
    let frame = writer.begin(kind::RECORDS)?;
    let mut count = 0u32;
    let own = members.ordered_from(low).take(LOOK).zip(0..).filter(|(_, bit)| wanted >> bit & 1 == 1);
    for ((_, index), _) in own {
        if members.describe(index, count == 0, writer).is_none() {
            break;
        }
        count += 1;
    }
    if count > 0 { writer.end(frame) } else { writer.cancel(frame) }
}

/// Compares the sums of another's parts with the own; `None` if they are not as many as a power of two.
pub(crate) fn compare_sums<A: Address, S: Storage>(
    members: &Members<A, S>,
    (low, high): (u64, u64),
    salt: u32,
    mut sums: Reader<'_>,
) -> Option<Parts> {
    let count = sums.len() / 4;
    if !count.is_power_of_two() || count > 1 << MOST_PARTS {
        return None;
    }
    let mut parts = Parts { low, high, log: count.ilog2() as u8, meant: 0 };
    let mut look = Look::NEW;
    for (at, range) in parts.ranges().enumerate() {
        let (theirs, own) = (sums.u32()?, members.sum(range, salt, &mut look));
        parts.meant |= u32::from(own != Some(theirs)) << at;
    }
    Some(parts)
}

impl Parts {
    /// The parts, in order; of a range of less than so many places there are fewer.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (low, high) = (self.low, self.high);
        let log = u32::from(self.log).min(MOST_PARTS);
        let span = (high - low) >> log;
        let starts = core::iter::successors(Some(low), move |start| start.checked_add(span)?.checked_add(1));
        let ranges = starts.map(move |start| (start, start.saturating_add(span).min(high)));
        ranges.take_while(move |(start, _)| *start <= high).take(1 << log)
    }

    fn meant(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let meant = self.meant;
        self.ranges().zip(0..).filter(move |(_, at)| meant >> at & 1 == 1).map(|(range, _)| range)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        writer.frame(kind::PARTS, |body| {
            body.u64(self.low)?;
            body.u64(self.high)?;
            body.u8(self.log)?;
            body.u32(self.meant)
        })
    }
}

/// Writes the short ids of the own records in a range, as many as fit, and the range for which they are complete.
fn write_list<A: Address, S: Storage>(
    writer: &mut Writer<'_>,
    low: u64,
    end: u64,
    salt: u32,
    members: &Members<A, S>,
) -> Option<()> {
    let frame = writer.begin(kind::LIST)?;
    let mut high = end;
    let own = members.ordered_from(low).take_while(|(place, _)| *place <= end);
    let fill = |writer: &mut Writer<'_>| {
        writer.u64(low)?;
        let bound = writer.hole()?;
        writer.u32(salt)?;
        for (count, (place, index)) in own.enumerate() {
            if count == LOOK || writer.u32(members.short_id(index, salt)).is_none() {
                // Not even one: the buffer is too small.
                high = place.checked_sub(1).filter(|high| *high >= low)?;
                break;
            }
        }
        writer.fill(bound, high)
    };
    match fill(writer) {
        Some(()) => writer.end(frame),
        None => writer.cancel(frame),
    }
}

/// Writes the sums of the parts of a range, of as many as fit.
fn write_sums<A: Address, S: Storage>(
    writer: &mut Writer<'_>,
    low: u64,
    high: u64,
    salt: u32,
    members: &Members<A, S>,
) -> Option<()> {
    const BEFORE: usize = 4 + 8 + 8 + 4;
    let room = writer.room().saturating_sub(BEFORE) / 4;
    let Some(log) = room.checked_ilog2() else { return writer.no_room() };
    let log = log.min(MOST_PARTS);
    let parts = Parts { low, high, log: log as u8, meant: 0 };
    let frame = writer.begin(kind::SUMS)?;
    let fill = |writer: &mut Writer<'_>| {
        writer.u64(low)?;
        writer.u64(high)?;
        writer.u32(salt)?;
        let (mut rest, mut look) = (1 << log, Look::NEW);
        for range in parts.ranges() {
            // What it would take too long to sum up is to be found different.
            writer.u32(members.sum(range, salt, &mut look).unwrap_or(1))?;
            rest -= 1;
        }
        (0..rest).try_for_each(|_: i32| writer.u32(0))
    };
    match fill(writer) {
        Some(()) => writer.end(frame),
        None => writer.cancel(frame),
    }
}
