//! Positions: how far a node has come with the messages and the maps of others.

use heapless::Vec;

use super::Range;
use crate::broadcast::Broadcasts;
use crate::member::Address;
use crate::members::{Index, Members};
use crate::state::State;
use crate::storage::{LATEST, Storage};
use crate::wire::{Origin, Writer, kind};

/// The most positions in one frame: each costs whoever hears of it a look at its slot, its window and its map, which
/// are in no cache.
pub(crate) const MOST_POSITIONS: usize = 48;
/// The most members that are looked at for them.
const MOST_LOOKED_AT: usize = 512;
/// In place of a range: the latest positions alone.
pub(crate) const LATEST_ONLY: Range = (0, 0);

/// The members of whom others most likely lack something.
fn latest<A: Address, S: Storage>(
    broadcasts: &Broadcasts<S>,
    state: &State<S>,
    members: &Members<A, S>,
) -> Vec<Index, { 2 * LATEST }> {
    let mut latest = Vec::new();
    for index in broadcasts.latest_origins(members).into_iter().chain(state.latest()) {
        if !latest.contains(&index) && members.counts(index) {
            let pushed = latest.push(index);
            debug_assert!(pushed.is_ok(), "both have a list of so many");
        }
    }
    latest
}

/// Writes this node's positions: the latest alone, or those of all members in a range who say anything, as many as fit.
pub(crate) fn write_have<A: Address, S: Storage>(
    (low, high): Range,
    answer: bool,
    (broadcasts, state): (&Broadcasts<S>, &State<S>),
    members: &Members<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let latest = if (low, high) == LATEST_ONLY { latest(broadcasts, state, members) } else { Vec::new() };
    let frame = writer.begin(kind::HAVE)?;
    let fill = |writer: &mut Writer<'_>| {
        writer.u64(low)?;
        let (bound, mut end) = (writer.hole()?, high);
        writer.u8(u8::from(answer))?;
        for index in latest {
            if write_position(index, members, writer).is_none() {
                break;
            }
        }
        let range = members.telling_from(low).take_while(|(place, _)| *place <= high);
        let mut named = 0;
        for (looked_at, (place, index)) in range.enumerate() {
            let tells = members.counts(index);
            let full = looked_at == MOST_LOOKED_AT || named == MOST_POSITIONS;
            if full || tells && write_position(index, members, writer).is_none() {
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
fn write_position<A: Address, S: Storage>(
    index: Index,
    members: &Members<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let record = members.get(index)?;
    writer.position(Origin { id: record.id, tag: record.tag() }, members.position_with(index))
}
