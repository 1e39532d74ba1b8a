//! How a range of the id space is cut, and who lives in it.

use heapless::Vec;

use crate::member::Address;
use crate::members::{Index, MYSELF, Members};
use crate::storage::Storage;

/// The most parts into which a range is divided.
pub(crate) const WAYS: usize = 8;
/// The most that come of that: a node's own place may cut one of them in two, and what is left is one more.
const MOST_PARTS: usize = WAYS + 2;
/// How many members of a range are looked at to find a delegate, or counted to cut it evenly.
pub(crate) const LOOK: usize = 64;

/// A range of the id space, both ends included, in units of 2^32 places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range32 {
    pub(crate) low: u32,
    pub(crate) high: u32,
}

impl Range32 {
    pub(crate) const ALL: Range32 = Range32 { low: 0, high: u32::MAX };
}

/// Cuts a range at this node's place and divides the rest: by the members in it if they are few enough to be counted,
/// else by its width, as ids are spread evenly.
pub(super) fn cut<A: Address, S: Storage>(
    range: Range32,
    ways: usize,
    members: &Members<A, S>,
) -> Vec<Range32, MOST_PARTS> {
    let ways = ways.max(1);
    let me = members.myself().map_or(0, |myself| cell(members.place(myself.id)));
    let inside = range.low <= me && me <= range.high;
    let below = me.checked_sub(1).filter(|_| inside).map(|high| Range32 { high, ..range });
    let above = me.checked_add(1).filter(|_| inside).map(|low| Range32 { low, ..range });
    let whole = Some(range).filter(|_| !inside);
    let sides = [below, above, whole].into_iter().flatten().filter(|side| side.low <= side.high);
    let count: usize = sides.clone().map(|side| live_in(side, members).take(LOOK).count()).sum();
    let mut parts = Vec::new();
    for side in sides {
        if count < LOOK {
            by_count(side, count.div_ceil(ways), members, &mut parts);
        } else {
            by_width(side, (range.high - range.low) / ways as u32 + 1, &mut parts);
        }
    }
    parts
}

fn by_count<A: Address, S: Storage>(
    side: Range32,
    most: usize,
    members: &Members<A, S>,
    parts: &mut Vec<Range32, MOST_PARTS>,
) {
    let mut low = side.low;
    for (at, (here, _)) in live_in(side, members).enumerate() {
        // The parts leave no gap, as members that are unknown here may stand between.
        if at > 0 && at.is_multiple_of(most) && here > low {
            let _ = parts.push(Range32 { low, high: here - 1 });
            low = here;
        }
    }
    let _ = parts.push(Range32 { low, high: side.high });
}

fn by_width(side: Range32, width: u32, parts: &mut Vec<Range32, MOST_PARTS>) {
    let mut low = side.low;
    while side.high - low >= width && parts.len() < WAYS {
        let _ = parts.push(Range32 { low, high: low + (width - 1) });
        low += width;
    }
    let _ = parts.push(Range32 { low, high: side.high });
}

/// The living others that stand in a range, in order.
pub(crate) fn live_in<A: Address, S: Storage>(
    range: Range32,
    members: &Members<A, S>,
) -> impl Iterator<Item = (u32, Index)> {
    let all = members.ordered_from(u64::from(range.low) << 32).map(|(place, index)| (cell(place), index));
    all.take_while(move |(here, _)| *here <= range.high)
        .filter(|(_, index)| *index != MYSELF && members.is_live(*index))
}

pub(super) fn cell(place: u64) -> u32 {
    (place >> 32) as u32
}
