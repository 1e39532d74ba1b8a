//! How far this node has come with others' broadcasts, as it tells it to those whose roots are not equal.
//!
//! A datagram names the origins of the latest messages, as those are what somebody most likely lacks, and all in a range
//! of the id space, as many as fit. The next one begins where that ended.

use heapless::Vec;

use super::Broadcasts;
use super::log::DIRECT;
use crate::member::Address;
use crate::members::{Index, Members};
use crate::storage::Storage;
use crate::wire::{Origin, Writer, kind};

/// The most origins that are named when two compare how far they have come: the latest, and those in a range.
const LATEST: usize = 16;
const MOST_STEPS: usize = 200;
/// How many messages are looked at to find the latest origins.
const LOOK: usize = 64;

impl<S: Storage> Broadcasts<S> {
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
            // No more than half of the room: the others must have their turn.
            let half = writer.room() / 2;
            for index in self.latest_origins(members) {
                if writer.room() < half || write_step(index, members, writer).is_none() {
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

/// Writes how far this node has come with one origin, or nothing.
fn write_step<A: Address, S: Storage>(index: Index, members: &Members<A, S>, writer: &mut Writer<'_>) -> Option<()> {
    let record = members.get(index)?;
    writer.progress(Origin { id: record.id, tag: record.tag() }, members.window(index).seen())
}
