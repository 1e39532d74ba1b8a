//! Who was heard, and when; who is suspected, and of whom an answer can be expected.

use super::slot::{EXCUSED, PROVED, SEEN, SUSPECT, Slot};
use super::{Index, MYSELF, Members, coarse};
use crate::member::{Address, NodeId};
use crate::storage::{List, Storage};
use crate::time::Instant;

impl<A: Address, S: Storage> Members<A, S> {
    /// How many of them can be expected to answer: they have been heard, and were not silent while others answered. All,
    /// if nobody has been heard yet.
    pub(crate) fn expected(&self) -> u32 {
        if self.heard == 0 { self.others() } else { self.heard.saturating_sub(self.excused) }
    }

    /// How many living members were heard themselves.
    pub(crate) fn heard(&self) -> u32 {
        self.heard
    }

    /// Whether this member can.
    pub(crate) fn is_expected(&self, index: Index) -> bool {
        (self.is_heard(index) || self.heard == 0) && !self.is_excused(index)
    }

    pub(crate) fn is_excused(&self, index: Index) -> bool {
        self.slot(index).is_some_and(|slot| slot.marks & EXCUSED != 0)
    }

    /// Marks that this node suspects the member, or no longer does; whether that is a change.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn suspect(&mut self, index: Index, suspect: bool) -> bool {
        let Some(slot) = self.slot_mut(index) else { return false };
        let before = slot.marks;
        slot.marks = if suspect { before | SUSPECT } else { before & !(SUSPECT | EXCUSED) };
        let changed = (before ^ slot.marks) & SUSPECT != 0;
        if before & !slot.marks & EXCUSED != 0 {
            self.excused -= 1;
        }
        if changed {
            self.note_change(index, 0);
        }
        changed
    }

    /// Somebody else answers while this member is silent. Of one that was never heard nothing was expected anyway.
    fn excuse(&mut self, index: Index) {
        if let Some(slot) = self.slot_mut(index).filter(|slot| slot.marks & (EXCUSED | SEEN) == SEEN) {
            slot.marks |= EXCUSED;
            self.excused += 1;
        }
    }

    /// Somebody else answers, while this member may be suspected.
    pub(crate) fn excuse_suspect(&mut self, index: Index) {
        if self.slot(index).is_some_and(|slot| slot.marks & SUSPECT != 0) {
            self.excuse(index);
        }
    }

    /// Whether the member itself was heard in its present life.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn was_heard(&self, index: Index) -> bool {
        self.slot(index).is_some_and(|slot| slot.marks & SEEN != 0)
    }

    /// Whether the member itself was heard in its present life, and nobody doubts it.
    pub(crate) fn is_well(&self, index: Index) -> bool {
        self.slot(index).is_some_and(|slot| slot.marks & (SEEN | SUSPECT | EXCUSED) == SEEN)
    }

    /// How long nothing was heard of a member: since it was last heard itself, or since this node learned of it.
    pub(crate) fn quiet(&self, index: Index, now: Instant) -> u64 {
        self.slot(index).map_or(0, |slot| u64::from(coarse(now).wrapping_sub(slot.seen)) << 10)
    }

    /// Takes back the suspicions that came of this node being cut off, and those that nobody looks into any more. They are
    /// kept in mind, until the members are heard: if they are dead after all, their silence shall not make this node seem
    /// cut off again. A scan of the table.
    pub(crate) fn absolve(&mut self, looked_into: impl Fn(NodeId) -> bool) {
        for index in 0..self.slots.all().len() as Index {
            let of_cut = |slot: &Slot<A>| slot.marks & EXCUSED == 0 || !looked_into(slot.record.id);
            if self.slot(index).is_some_and(|slot| slot.marks & SUSPECT != 0 && of_cut(slot)) {
                self.suspect(index, false);
                self.excuse(index);
            }
        }
    }

    /// Notes that the member itself was heard, or its end learned of.
    pub(crate) fn see(&mut self, index: Index, now: Instant) {
        self.heard += u32::from(index != MYSELF && self.is_live(index) && !self.was_heard(index));
        if let Some(slot) = self.slot_mut(index) {
            slot.seen = coarse(now);
            slot.marks |= SEEN;
        }
    }

    /// Notes that the member has answered a question that went to its address: it lives there.
    pub(crate) fn prove(&mut self, index: Index) {
        if let Some(slot) = self.slot_mut(index) {
            slot.marks |= PROVED;
        }
    }

    /// Whether the member is known to be at its address, and not only said to be.
    pub(crate) fn is_proved(&self, index: Index) -> bool {
        self.slot(index).is_some_and(|slot| slot.marks & PROVED != 0)
    }

    /// Microseconds since the member was last heard in its present life, to within a millisecond or so; the clock of
    /// it wraps after 50 days.
    pub(crate) fn silence(&self, index: Index, now: Instant) -> u64 {
        match self.slot(index) {
            Some(slot) if slot.marks & SEEN != 0 => u64::from(coarse(now).wrapping_sub(slot.seen)) << 10,
            _ => u64::MAX,
        }
    }
}
