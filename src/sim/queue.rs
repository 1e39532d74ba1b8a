//! What is going to happen, in order.

use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::Vec;

use crate::time::Instant;

pub(super) enum Happening {
    /// From the address of this number.
    Arrival {
        to: u32,
        from: u32,
        bytes: Vec<u8>,
    },
    Wake {
        host: u32,
    },
    /// The host's coarse loop comes round.
    Tick {
        host: u32,
        series: u32,
    },
    /// The actor of this number is called.
    Act {
        actor: u32,
    },
}

struct Entry {
    at: Instant,
    order: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Of two things at one time, the first is that which was put in first.
#[derive(Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Instant, what: Happening) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, what }));
    }

    pub(super) fn pop(&mut self) -> Option<(Instant, Happening)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }
}
