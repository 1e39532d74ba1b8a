//! Which records are news, and how often each was sent: one list per send count, threaded through the slots, so that
//! the least-sent record is found without a scan and without memory beyond the slots.

use crate::member::Address;
use crate::members::{Index, NONE, Slot};

/// The send count of a record that is no news.
pub(crate) const SILENT: u8 = u8::MAX;
/// The most copies that are counted.
pub(crate) const LISTS: usize = 24;

/// A queue of slots that were sent equally often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Queue {
    first: Index,
    last: Index,
    len: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct News {
    queues: [Queue; LISTS],
    /// One bit for each queue that is not empty: whether there is any news is asked far more often than there is.
    filled: u32,
}

impl News {
    /// No news. Made where it stays: as a constant it would be in flash as a whole, and be copied from there.
    pub(crate) const fn new() -> News {
        News { queues: [Queue { first: NONE, last: NONE, len: 0 }; LISTS], filled: 0 }
    }

    /// How often the least-sent record was sent; `None` if there is no news.
    pub(crate) fn lowest(&self) -> Option<u8> {
        (self.filled != 0).then(|| self.filled.trailing_zeros() as u8)
    }

    /// How many records were sent `sent` times.
    pub(crate) fn count(&self, sent: u8) -> u32 {
        self.queues.get(sent as usize).map_or(0, |queue| queue.len)
    }

    /// The record that has waited longest among those sent `sent` times.
    pub(crate) fn first(&self, sent: u8) -> Option<Index> {
        self.queues.get(sent as usize).map(|queue| queue.first).filter(|first| *first != NONE)
    }

    /// Moves a record to the end of a queue; beyond the last, it is no longer news.
    pub(crate) fn put<A: Address>(&mut self, slots: &mut [Slot<A>], index: Index, sent: u8) {
        self.remove(slots, index);
        let (Some(queue), Some(slot)) = (self.queues.get_mut(sent as usize), slots.get_mut(index as usize)) else {
            return;
        };
        (slot.sent, slot.before, slot.behind) = (sent, queue.last, NONE);
        match slots.get_mut(queue.last as usize) {
            Some(last) => last.behind = index,
            None => queue.first = index,
        }
        queue.last = index;
        queue.len += 1;
        self.filled |= 1 << sent;
    }

    /// Counts one more copy; at `limit` copies the record is no longer news.
    pub(crate) fn count_copy<A: Address>(&mut self, slots: &mut [Slot<A>], index: Index, limit: u8) {
        let Some(sent) = slots.get(index as usize).map(|slot| slot.sent).filter(|sent| *sent != SILENT) else { return };
        let sent = sent.saturating_add(1);
        self.put(slots, index, if sent >= limit { SILENT } else { sent });
    }

    pub(crate) fn remove<A: Address>(&mut self, slots: &mut [Slot<A>], index: Index) {
        let Some(slot) = slots.get_mut(index as usize) else { return };
        let (sent, before, behind) = (slot.sent, slot.before, slot.behind);
        (slot.sent, slot.before, slot.behind) = (SILENT, NONE, NONE);
        let Some(queue) = self.queues.get_mut(sent as usize) else { return };
        match slots.get_mut(before as usize) {
            Some(slot) => slot.behind = behind,
            None => queue.first = behind,
        }
        match slots.get_mut(behind as usize) {
            Some(slot) => slot.before = before,
            None => queue.last = before,
        }
        queue.len = queue.len.saturating_sub(1);
        if queue.len == 0 {
            self.filled &= !(1 << sent);
        }
    }
}
