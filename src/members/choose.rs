//! Whom to turn to: the next in id order, the next of a shuffled ring, somebody at random.

use super::order::Walk;
use super::slot::FREE;
use super::{Index, LOOK_FOR_DEAD, MYSELF, Members, Slot};
use crate::member::{Address, Liveness, Member, Record};
use crate::rng::{Rng, ring_bits, shuffled};
use crate::storage::{List, Storage};
use crate::time::Instant;

/// What is of late, in milliseconds or so.
const LATELY: u32 = 30_000;
/// How many slots are looked at for those at an address.
const LOOKED_AT: usize = 32;

/// How often somebody is drawn at random before all are gone through.
const DRAWS: u32 = 8;

/// How far a search for somebody at random has come.
struct Draw {
    /// How many more are drawn.
    left: u32,
    /// Then a walk from a random place on.
    walk: Option<Walk>,
    /// It has come to the end, and begun anew.
    around: bool,
}

impl<A: Address, S: Storage> Members<A, S> {
    /// The next living member other than this node after a place, around the ring.
    pub(crate) fn next_live(&self, after: u64) -> Option<Index> {
        self.next_around(after, false)
    }

    /// The next that was heard itself and does not sleep.
    pub(crate) fn next_heard(&self, after: u64) -> Option<Index> {
        self.next_around(after, true)
    }

    fn next_around(&self, after: u64, heard: bool) -> Option<Index> {
        let awake = |index: Index| self.get(index).is_some_and(|record| record.patience == 0);
        let eligible = |index: Index| if heard { self.is_heard(index) && awake(index) } else { self.is_other(index) };
        let lows = [after.checked_add(1), Some(0)];
        lows.into_iter().flatten().find_map(|low| {
            let mut walk = self.walk(low);
            core::iter::from_fn(|| self.step_on(&mut walk)).map(|(_, index)| index).find(|index| eligible(*index))
        })
    }

    /// Whether it is a living member other than this node.
    fn is_other(&self, index: Index) -> bool {
        index != MYSELF && self.is_live(index)
    }

    /// Whether it is a living member other than this node that was heard itself.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn is_heard(&self, index: Index) -> bool {
        self.is_other(index) && self.was_heard(index)
    }

    /// A living member other than this node that satisfies `wanted`, at random; `None` if a bounded number of draws
    /// and a look around the ring from a random place found none.
    pub(crate) fn random_live(&self, rng: &mut Rng, wanted: impl Fn(&Member<A>) -> bool) -> Option<Index> {
        let mut draw = Draw { left: DRAWS, walk: None, around: false };
        // What is asked of one is a few bytes of code for each who asks; who is asked about is found in one place.
        while let Some(index) = self.draw(rng, &mut draw) {
            if self.member(index).is_some_and(|member| wanted(&member)) {
                return Some(index);
            }
        }
        None
    }

    /// The next living member other than this node: at random a few times, and then each around the ring.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn draw(&self, rng: &mut Rng, draw: &mut Draw) -> Option<Index> {
        while let Some(left) = draw.left.checked_sub(1) {
            draw.left = left;
            let index = self.random_slot(rng);
            if self.is_other(index) {
                return Some(index);
            }
        }
        let walk = draw.walk.get_or_insert_with(|| self.walk(rng.next_u64()));
        loop {
            match self.step_on(walk) {
                Some((_, index)) if self.is_other(index) => return Some(index),
                Some(_) => {}
                None if core::mem::replace(&mut draw.around, true) => return None,
                None => *walk = self.walk(0),
            }
        }
    }

    /// How many live at an address and, where those count, have crashed there of late. In a large table as far as a look at
    /// some slots shows, from `start` on at equal distances.
    pub(crate) fn count_at(&self, addr: A, start: Index, crashes: bool, now: Instant) -> usize {
        let slots = self.slots.all();
        let step = slots.len().div_ceil(LOOKED_AT).max(1);
        let begin = start as usize;
        let looks = (begin..slots.len()).step_by(step).chain((0..begin).step_by(step));
        let counts = |slot: &&Slot<A>| match slot.record.liveness {
            _ if slot.marks & FREE != 0 || slot.record.addr != addr => false,
            Liveness::Alive => true,
            Liveness::Down => crashes && slot.age(now) < LATELY,
            Liveness::Left => false,
        };
        looks.filter_map(|at| slots.get(at)).filter(counts).count()
    }

    /// Any slot's number, at random.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn random_slot(&self, rng: &mut Rng) -> Index {
        rng.below(self.slots.all().len() as u32)
    }

    /// The next living member other than this node behind slot `after`, around the table.
    pub(crate) fn next_live_slot(&self, after: Index) -> Option<Index> {
        let len = self.slots.all().len() as Index;
        let behind = after.saturating_add(1).min(len)..len;
        behind.chain(0..len).find(|index| *index != MYSELF && self.is_live(*index))
    }

    /// The next that was heard itself, among the 64 slots behind `after`.
    pub(crate) fn next_heard_slot(&self, after: Index) -> Option<Index> {
        let len = self.slots.all().len() as Index;
        let behind = after.saturating_add(1).min(len)..len;
        behind.chain(0..len).take(64).find(|index| self.is_heard(*index))
    }

    /// From where on to look at [`LOOKED_AT`] slots: as this random number says, where those are not all.
    pub(crate) fn look_from(&self, random: u64) -> Index {
        let len = self.slots.all().len();
        if len > LOOKED_AT { (((random >> 32) * len as u64) >> 32) as Index } else { 0 }
    }

    /// How many positions the shuffled ring has: the slots, rounded up to an even power of two.
    pub(crate) fn ring_len(&self) -> u32 {
        1 << ring_bits(self.slots.all().len() as u32)
    }

    /// The first living member other than this node at or behind `position` on the ring shuffled with `key`, and the
    /// position behind it. Nobody at the end of the ring, or after a bounded number of empty positions.
    pub(crate) fn next_shuffled(&self, position: u32, key: u64) -> (Option<Index>, u32) {
        let bits = ring_bits(self.slots.all().len() as u32);
        let stop = self.ring_len().min(position.saturating_add(64));
        for at in position..stop {
            let index = shuffled(at, bits, key);
            if index != MYSELF && self.is_live(index) {
                return (Some(index), at + 1);
            }
        }
        (None, stop.max(position))
    }

    /// The next other member held for down, or with `all` any that has not left, behind slot `after`, around the table.
    pub(crate) fn next_lost(&self, after: Index, all: bool) -> Option<Index> {
        let lost = |record: &Record<A>| match record.liveness {
            Liveness::Alive => all,
            Liveness::Down => true,
            Liveness::Left => false,
        };
        if self.dead() == 0 && !all {
            return None;
        }
        let len = self.slots.all().len() as Index;
        let behind = after.saturating_add(1).min(len)..len;
        behind.chain(0..len).find(|index| *index != MYSELF && self.get(*index).is_some_and(lost))
    }

    /// One of the dead whose end the application knows, and who have been dead for longer than is given for who is down and
    /// for who has left. In a large table, as far as a look at a part of it shows, which is another each time.
    pub(crate) fn outdated(&self, rng: &mut Rng, (down, left): (u64, u64), now: Instant) -> Option<Index> {
        let len = self.slots.all().len() as Index;
        let start = if len as usize > LOOK_FOR_DEAD { self.random_slot(rng) } else { 0 };
        let looks = (start.min(len)..len).chain(0..start.min(len)).take(LOOK_FOR_DEAD);
        let mut settled = looks.filter(|index| self.is_settled(*index));
        settled.find(|index| {
            let has_left = self.get(*index).is_some_and(|record| record.liveness == Liveness::Left);
            self.quiet(*index, now) >= if has_left { left } else { down }
        })
    }

    /// Whether it is one of the dead of whose end the application knows.
    pub(crate) fn is_settled(&self, index: Index) -> bool {
        self.slot(index).is_some_and(|slot| slot.is_settled(index))
    }
}
