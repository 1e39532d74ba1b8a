//! How far this node has come with what others say, their broadcasts and their maps, as it tells it to those whose roots are
//! not equal.
//!
//! Roots that differ once are most often those of what is on its way: only the latest is compared. When they differ in
//! two probes in a row, sums of equal parts of the id space are sent; the other answers with all that stand in the first
//! parts that differ, as many as fit, and is told in turn. So it goes on to the end of the id space, as fast as what was
//! found missing can be asked for. No step is remembered by the one who answers.

use heapless::Vec;

use crate::broadcast::Broadcasts;
use crate::hash::mix;
use crate::member::{Address, NodeId};
use crate::members::{Index, Look, Members, Sum};
use crate::state::State;
use crate::storage::{LATEST, Storage};
use crate::time::Instant;
use crate::wire::{Origin, Parts, Reader, Writer, kind};

/// The most members that are named at a time: each costs whoever hears of it a look at its slot, its window and its map, which
/// are in no cache.
pub(crate) const MOST_STEPS: usize = 48;
/// The most that are looked at for them.
const MOST_LOOKED_AT: usize = 512;
/// Into how many parts a range is cut at most, as a logarithm.
const MOST_PARTS: u32 = 4;

/// How often sums are sent to whoever does not answer.
const TRIES: u8 = 3;

/// A range of the id space, both ends included.
pub(crate) type Range = (u64, u64);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Comparison {
    /// Whom to tell next, and from which place of the id space on; the latest alone if there is none.
    owed: Option<(NodeId, Option<u64>)>,
    /// Who was told last, and may be told once more.
    told: Option<(NodeId, Option<u64>)>,
    /// Somebody has been told once more since roots differed.
    repeats: bool,
    /// When whoever was sent sums is sent them again, and how often it was.
    again: Instant,
    tries: u8,
    /// In how many probes in a row the roots differed.
    unequal: u8,
    /// Whom to go on with, and from where on, as soon as there is room for what comes of it.
    more: Option<(NodeId, u64)>,
    /// When whoever is new asks somebody for all, until somebody has answered.
    next_asking: Instant,
    /// How often somebody was asked for all.
    askings: u8,
}

impl Comparison {
    pub(crate) const NEW: Self = Comparison {
        owed: None,
        told: None,
        repeats: false,
        again: Instant::FAR_FUTURE,
        tries: 0,
        unequal: 0,
        more: None,
        next_asking: Instant::ZERO,
        askings: 0,
    };

    /// Whether another's roots are equal, as a probe has shown. A node that has no room for all cannot become equal, and
    /// compares the latest alone.
    pub(crate) fn note_roots(&mut self, peer: NodeId, equal: bool, refuses: bool) {
        self.unequal = if equal { 0 } else { self.unequal.saturating_add(1) };
        if !equal {
            self.repeats = false;
            self.owed = Some((peer, (self.unequal > 1 && !refuses).then_some(0)));
        }
    }

    /// Another has answered, and there may be more to hear from here on.
    pub(crate) fn note_answer(&mut self, peer: NodeId, next: Option<u64>) {
        self.next_asking = Instant::FAR_FUTURE;
        if self.told.is_some_and(|(told, _)| told == peer) {
            (self.again, self.tries) = (Instant::FAR_FUTURE, 0);
        }
        if let Some(next) = next {
            self.more = Some((peer, next));
        }
    }

    /// Goes on.
    pub(crate) fn go_on(&mut self) {
        if let Some((peer, from)) = self.more.take() {
            self.owed = Some((peer, Some(from)));
        }
    }

    /// Whether somebody has answered a node that was new.
    pub(crate) fn is_answered(&self) -> bool {
        self.next_asking == Instant::FAR_FUTURE
    }

    /// When a node that is new asks for all.
    pub(crate) fn asking_due(&self) -> Instant {
        self.next_asking
    }

    /// Asks this member for all, and again then if nobody answers.
    pub(crate) fn ask(&mut self, peer: NodeId, now: Instant, wait: u64) {
        // Nobody may have anything to tell, or be one that could.
        let wait = if self.askings < 8 { wait } else { wait << (self.askings - 8).min(12) };
        self.askings = self.askings.saturating_add(1);
        (self.owed, self.next_asking) = (Some((peer, Some(0))), now.after(wait));
    }

    /// Whom to tell next.
    pub(crate) fn owed(&self) -> Option<NodeId> {
        self.owed.map(|(peer, _)| peer)
    }

    /// It has been told. To sums there is an answer, for which it is waited so long. Whether there was anything to tell.
    pub(crate) fn sent(&mut self, now: Instant, wait: u64) -> bool {
        let told = self.owed.take();
        let sums = told.is_some_and(|(_, from)| from.is_some());
        self.tries = if told == self.told { self.tries.saturating_add(1) } else { 0 };
        let waits = sums && self.tries < TRIES;
        self.again = if waits { now.after(wait << self.tries) } else { Instant::FAR_FUTURE };
        self.told = told;
        told.is_some()
    }

    /// When sums are sent again.
    pub(crate) fn due(&self) -> Instant {
        self.again
    }

    /// Sends sums again to whom did not answer.
    pub(crate) fn tick(&mut self, now: Instant) {
        if now >= self.again {
            self.again = Instant::FAR_FUTURE;
            self.owed = self.owed.or(self.told);
        }
    }

    /// Whoever was told last did not know where this node is, and does by now.
    pub(crate) fn note_introduced(&mut self, peer: NodeId) {
        if self.owed.is_none() && !core::mem::replace(&mut self.repeats, true) {
            self.owed = self.told.filter(|(told, _)| *told == peer);
        }
    }

    /// Writes what the next is to be told: the latest, or sums.
    pub(crate) fn write<A: Address, S: Storage>(
        &self,
        salt: u32,
        (broadcasts, state): (&Broadcasts<S>, &State<S>),
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let (_, from) = self.owed?;
        match from {
            Some(low) => write_sums((low, u64::MAX), salt, members, writer),
            None => write_steps(((0, 0), false), latest(broadcasts, state, members), members, writer),
        }
    }
}

/// Those of whom others most likely lack something.
fn latest<A: Address, S: Storage>(
    broadcasts: &Broadcasts<S>,
    state: &State<S>,
    members: &Members<A, S>,
) -> Vec<Index, { 2 * LATEST }> {
    let mut latest = Vec::new();
    for index in broadcasts.latest_origins(members).into_iter().chain(state.latest()) {
        if !latest.contains(&index) && members.counts(index) {
            let _ = latest.push(index);
        }
    }
    latest
}

/// Writes how far this node has come: in answer to the latest with its own latest, and with all in a range.
pub(crate) fn write_range<A: Address, S: Storage>(
    (range, answer): (Range, bool),
    parts: (&Broadcasts<S>, &State<S>),
    members: &Members<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let latest = if range == (0, 0) { latest(parts.0, parts.1, members) } else { Vec::new() };
    write_steps((range, answer), latest, members, writer)
}

/// Writes how far this node has come with these members, and with all that say anything and stand in a range, as many as
/// fit.
fn write_steps<A: Address, S: Storage>(
    ((low, high), answer): (Range, bool),
    latest: Vec<Index, { 2 * LATEST }>,
    members: &Members<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let frame = writer.begin(kind::PROGRESS)?;
    let fill = |writer: &mut Writer<'_>| {
        writer.u64(low)?;
        let (bound, mut end) = (writer.hole()?, high);
        writer.u8(u8::from(answer))?;
        for index in latest {
            if write_step(index, members, writer).is_none() {
                break;
            }
        }
        let range = members.telling_from(low).take_while(|(place, _)| *place <= high);
        let mut named = 0;
        for (looked_at, (place, index)) in range.enumerate() {
            let tells = members.counts(index);
            let full = looked_at == MOST_LOOKED_AT || named == MOST_STEPS;
            if full || tells && write_step(index, members, writer).is_none() {
                // The range may begin with it.
                end = place.saturating_sub(1).max(low);
                break;
            }
            named += usize::from(tells);
        }
        writer.fill(bound, end)
    };
    match fill(writer) {
        Some(()) => writer.end(frame),
        None => writer.cancel(frame),
    }
}

/// Writes how far this node has come with one member, or nothing.
fn write_step<A: Address, S: Storage>(index: Index, members: &Members<A, S>, writer: &mut Writer<'_>) -> Option<()> {
    let record = members.get(index)?;
    writer.progress(Origin { id: record.id, tag: record.tag() }, members.progress_with(index))
}

/// Writes the sums of equal parts of a range, as many as fit.
fn write_sums<A: Address, S: Storage>(
    (low, high): Range,
    salt: u32,
    members: &Members<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let frame = writer.begin(kind::STEPS)?;
    let fill = |writer: &mut Writer<'_>| {
        writer.u64(low)?;
        writer.u64(high)?;
        writer.u32(salt)?;
        let Some(log) = (writer.room() / 2).checked_ilog2() else { return writer.no_room() };
        let parts = Parts { low, high, log: log.min(MOST_PARTS) as u8, meant: 0 };
        let mut look = Look::NEW;
        // What it would take too long to sum up is to be found different.
        parts.ranges().try_for_each(|range| writer.u16(sum(range, salt, members, &mut look).unwrap_or(1)))
    };
    match fill(writer) {
        Some(()) => writer.end(frame),
        None => writer.cancel(frame),
    }
}

fn sum<A: Address, S: Storage>(range: Range, salt: u32, members: &Members<A, S>, look: &mut Look) -> Option<u16> {
    let sum = members.within(range, Sum::Progress, look)?;
    Some(if sum == 0 { 0 } else { (mix(sum ^ u64::from(salt)) >> 48) as u16 })
}

/// Which neighbouring parts are the first that differ from another's sums, if any do; `Err` if the sums make no sense.
pub(crate) fn first_difference<A: Address, S: Storage>(
    (low, high): Range,
    salt: u32,
    mut sums: Reader<'_>,
    members: &Members<A, S>,
) -> Result<Option<Range>, ()> {
    let count = sums.len() / 2;
    let log = count.checked_ilog2().filter(|log| *log <= MOST_PARTS).ok_or(())?;
    let parts = Parts { low, high, log: log as u8, meant: 0 };
    let (mut found, mut look): (Option<Range>, Look) = (None, Look::NEW);
    for range in parts.ranges() {
        let theirs = sums.u16().ok_or(())?;
        match (sum(range, salt, members, &mut look) != Some(theirs), found) {
            (true, Some((low, _))) => found = Some((low, range.1)),
            (true, None) => found = Some(range),
            (false, Some(_)) => break,
            (false, None) => {}
        }
    }
    Ok(found)
}
