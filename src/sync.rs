//! Anti-entropy: two members whose roots differ compare a range of the id space, one datagram at a time.
//!
//! The asker sends all that it has in a range; the other takes what is newer and answers with what the asker lacks or
//! has older. A page is complete for its range, so one exchange makes both equal there, and the range says where to go
//! on. Nothing is remembered by the one who answers.

use crate::config::Config;
use crate::member::{Address, NodeId};
use crate::members::Members;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{Reader, Writer, kind};

/// How many own records one answer looks at: one bit each in what is remembered until it is sent.
const LOOK: usize = 64;
/// How often a page is asked for before the walk is given up; the next unequal roots begin another.
const TRIES: u8 = 4;

/// A comparison in progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Walk {
    peer: NodeId,
    low: u64,
    /// To the end of the id space, not only as far as there are differences.
    whole: bool,
    /// By a newcomer, to whom alone it is news.
    newcomer: bool,
    tries: u8,
    next: Instant,
    owed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sync {
    cursor: u64,
    unequal_since: Option<Instant>,
    /// Somebody's roots have been equal to ours since `start`.
    settled: bool,
    walk: Option<Walk>,
}

/// An answer that waits to be sent: which of the own records from `low` on the other side needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Diff {
    low: u64,
    high: u64,
    needed: u64,
}

impl Sync {
    pub(crate) const NEW: Self = Sync { cursor: 0, unequal_since: None, settled: false, walk: None };

    pub(crate) fn due(&self) -> Instant {
        self.walk.as_ref().map_or(Instant::FAR_FUTURE, |walk| walk.next)
    }

    /// Compares everything with this peer, from the beginning.
    pub(crate) fn pull(&mut self, peer: NodeId, newcomer: bool, now: Instant) {
        self.walk = Some(Walk { peer, low: 0, whole: true, newcomer, tries: 0, next: now, owed: false });
    }

    /// Whether this node is new and learns what all others know.
    pub(crate) fn by_newcomer(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.newcomer)
    }

    /// Whether this node has yet to see roots equal to its own.
    pub(crate) fn is_settling(&self) -> bool {
        !self.settled
    }

    /// Takes note of whether this peer's roots are as ours. One page is compared at once, from a cursor that goes
    /// round; everything, when nobody's roots were equal for a whole probe period: shorter, it is news on its way. A
    /// newcomer compares everything with everybody until it has caught up.
    pub(crate) fn compare(&mut self, peer: NodeId, equal: bool, now: Instant, config: &Config) {
        if equal {
            (self.unequal_since, self.settled) = (None, true);
            return;
        }
        if !self.settled && self.walk.is_none() {
            self.pull(peer, true, now);
        }
        let since = *self.unequal_since.get_or_insert(now);
        if self.walk.is_some() {
            return;
        }
        if now.since(since) >= config.probe_period {
            self.unequal_since = Some(now);
            self.pull(peer, false, now);
        } else {
            self.walk =
                Some(Walk { peer, low: self.cursor, whole: false, newcomer: false, tries: 0, next: now, owed: false });
        }
    }

    pub(crate) fn tick(&mut self, now: Instant, gap: u64) {
        let Some(walk) = self.walk.as_mut().filter(|walk| now >= walk.next) else { return };
        if walk.tries >= TRIES {
            self.walk = None;
            return;
        }
        walk.tries += 1;
        walk.owed = true;
        walk.next = now.after(gap << walk.tries);
    }

    /// Whom to ask next.
    pub(crate) fn owed(&self) -> Option<NodeId> {
        self.walk.as_ref().filter(|walk| walk.owed).map(|walk| walk.peer)
    }

    pub(crate) fn sent(&mut self) {
        if let Some(walk) = &mut self.walk {
            walk.owed = false;
        }
    }

    /// The peer that was asked is gone.
    pub(crate) fn give_up(&mut self) {
        self.walk = None;
    }

    /// Writes the page that is owed: the own records from the walk's place on, as many as fit.
    pub(crate) fn write<A: Address, S: Storage>(&self, writer: &mut Writer<'_>, members: &Members<A, S>) -> Option<()> {
        let low = self.walk.as_ref()?.low;
        let all = members.ordered_from(low).take(LOOK).map(|(place, index)| (place, Some(index)));
        // One more than is looked at tells whether this is all there is.
        let beyond = members.ordered_from(low).nth(LOOK).map(|(place, _)| place - 1);
        write_page(writer, kind::SYNC, low, beyond.unwrap_or(u64::MAX), all, members)
    }

    /// Whether this is an answer to the page that was asked for.
    pub(crate) fn awaits(&self, peer: NodeId, low: u64) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.peer == peer && walk.low == low)
    }

    /// Goes on behind `high`, up to which the awaited answer was complete; whether it held anything new decides how
    /// far.
    pub(crate) fn on_diff(&mut self, high: u64, news: bool, now: Instant) {
        self.cursor = high.wrapping_add(1);
        match self.walk.as_mut().filter(|walk| high < u64::MAX && (walk.whole || news)) {
            Some(walk) => (walk.low, walk.tries, walk.next) = (high + 1, 0, now),
            None => self.walk = None,
        }
    }
}

/// Which of the own records in a range the sender of `theirs` needs: it lacks them or has them older.
pub(crate) fn compare<A: Address, S: Storage>(
    members: &Members<A, S>,
    low: u64,
    high: u64,
    mut theirs: Reader<'_>,
) -> Diff {
    let mut their = theirs.record::<A>();
    let mut diff = Diff { low, high, needed: 0 };
    let own = members.ordered_from(low).take_while(|(place, _)| *place <= high);
    for (count, (place, index)) in own.enumerate() {
        if count == LOOK {
            diff.high = place - 1;
            break;
        }
        while their.is_some_and(|record| members.place(record.id) < place) {
            their = theirs.record::<A>();
        }
        let needed = match (members.get(index), their) {
            (Some(mine), Some(record)) if record.id == mine.id => mine.supersedes(&record),
            _ => true,
        };
        diff.needed |= u64::from(needed) << count;
    }
    diff
}

impl Diff {
    pub(crate) fn write<A: Address, S: Storage>(&self, writer: &mut Writer<'_>, members: &Members<A, S>) -> Option<()> {
        let own = members.ordered_from(self.low).take_while(|(place, _)| *place <= self.high).take(LOOK);
        let picked = own.zip(0..).map(|((place, index), bit)| (place, (self.needed >> bit & 1 == 1).then_some(index)));
        write_page(writer, kind::DIFF, self.low, self.high, picked, members)
    }
}

/// Writes the picked records, and the range for which they are complete: up to `high`, or to just before the first
/// that did not fit.
fn write_page<A: Address, S: Storage>(
    writer: &mut Writer<'_>,
    kind: u8,
    low: u64,
    mut high: u64,
    picked: impl Iterator<Item = (u64, Option<crate::members::Index>)>,
    members: &Members<A, S>,
) -> Option<()> {
    let frame = writer.begin(kind)?;
    let fill = |writer: &mut Writer<'_>| {
        writer.u64(low)?;
        let bound = writer.hole()?;
        for (place, index) in picked {
            let Some(record) = index.and_then(|index| members.get(index)) else { continue };
            if writer.record(record).is_none() {
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
