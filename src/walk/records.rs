//! Records are compared by lists of their short ids.

use heapless::Vec;

use super::Range;
use crate::member::Address;
use crate::members::Members;
use crate::storage::Storage;
use crate::wire::{Reader, Writer, kind, most_of_record};

/// The most short ids in a list, and the most records that one answer looks at: one bit each in what is remembered until
/// it is sent.
pub(super) const LOOK: usize = 64;

/// An answer to a list, until it is sent: which of the own records in a range the other side needs, and which of those
/// that it listed are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Diff {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) needed: u64,
    pub(crate) wanted: u64,
    /// It answers a list, so that the asker goes on behind its range. What was wanted is no page of a list.
    of_list: bool,
}

/// The range of records that were wanted: no cursor begins there but one that is at its end.
const NOWHERE: Range = (u64::MAX, u64::MAX);

/// Compares a list of short ids with the own records in its range.
pub(crate) fn compare<A: Address, S: Storage>(
    members: &Members<A, S>,
    (low, high): Range,
    salt: u32,
    list: Reader<'_>,
) -> Diff {
    let mut listed = Vec::<u32, LOOK>::new();
    let mut rest = list;
    while let Some(short) = rest.u32().filter(|_| !listed.is_full()) {
        let _ = listed.push(short);
    }
    let mut diff = Diff { low, high, needed: 0, wanted: 0, of_list: true };
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
    /// The records that were wanted of a list, by their place in it, behind this range too. If others have come between since,
    /// those are sent that stand there now, and the next comparison finds the rest.
    pub(crate) fn of_wanted((low, high): Range, wanted: u64) -> Self {
        Diff { low, high, needed: wanted, wanted: 0, of_list: false }
    }

    /// Writes what of the other's list is wanted, if there is room for that beside a record, and what it lacks.
    pub(crate) fn write<A: Address, S: Storage>(&self, writer: &mut Writer<'_>, members: &Members<A, S>) -> Option<()> {
        let own = members.ordered_from(self.low).take(LOOK);
        let needed = own.zip(0..).filter(|(_, bit)| self.needed >> bit & 1 == 1);
        let frame = writer.begin(kind::DIFF)?;
        let (mut high, mut any) = (self.high, false);
        let fill = |writer: &mut Writer<'_>| {
            writer.u64(if self.of_list { self.low } else { NOWHERE.0 })?;
            let bound = writer.hole()?;
            // What does not fit is wanted still when tables are compared the next time.
            let fits = self.needed == 0 || writer.room() > most_of_record::<A>() + size_of::<u64>();
            writer.bits(if fits { self.wanted } else { 0 })?;
            for (count, ((place, index), _)) in needed.enumerate() {
                if members.describe(index, count == 0, writer).is_none() {
                    // Not even one: the buffer is too small.
                    high = place.checked_sub(1).filter(|high| *high >= self.low)?.min(high);
                    break;
                }
                any = true;
            }
            writer.fill(bound, if self.of_list { high } else { NOWHERE.1 })
        };
        match fill(writer) {
            // What was needed is here no more: there is nothing to say.
            Some(()) if any || self.needed == 0 => writer.end(frame),
            _ => writer.cancel(frame),
        }
    }
}

/// Writes the short ids of the own records in a range, as many as fit, and the range for which they are complete.
pub(super) fn write_list<A: Address, S: Storage>(
    (low, end): Range,
    salt: u32,
    members: &Members<A, S>,
    writer: &mut Writer<'_>,
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
