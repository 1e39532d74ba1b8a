//! Where members stand in the id space: look-up, order, and sums of ranges.
//!
//! A member's *place* is a hash of its id, the same on all nodes of a cluster, as the tree and the walk need one order.
//! A bucket holds the places of an equal part of the id space, in order, so that one structure gives look-up in O(1)
//! and ordered ranges.
//!
//! # Sums of ranges
//!
//! Each question of anti-entropy asks for sums of up to 16 ranges, in 45 bytes or more. To add up what stands in a range
//! would be a scan of the table for one datagram. Sums of blocks of 8 buckets are therefore kept, in a Fenwick tree (Fenwick,
//! 1994): node `n` has the sum of as many blocks up to block `n` as the lowest bit of `n` says, so that the sum of all
//! blocks before one, and a change, take a logarithm of their number. What is left of a block at either end of a range is
//! added up from the nearer end of it: no more than half a block.
//!
//! The tree takes no memory of its own: it is in the last words of the list of buckets, five words to a block, so that
//! 8 buckets take 13 words and a full table has 1.6 members a bucket. Tables of less than [`LEAST`] have no blocks: to
//! look at all of them is cheap enough.
//!
//! How many slots a question looks at is counted down from [`MOST_VISITS`]. A question that would take more, as a
//! few do whose parts end in the middles of blocks or in buckets with chosen ids, gets a coarser answer: what was not looked at
//! counts as different.
//!
//! # Ids that were chosen
//!
//! The hash is no secret to whoever knows the cluster's name, so that ids can be chosen to stand in one bucket. No key of
//! this node's own could prevent that without a second order beside the shared one, at eight bytes a member. Instead a
//! bucket is full at [`MOST_IN_BUCKET`], as a table of that size would be: a newcomer is refused unless one of the dead
//! in it can be forgotten. Among ids that nobody chose, a bucket of more than a dozen is not seen in the largest
//! table. So look-up takes at most that many steps. Whoever wants to keep out one id must have as many members of his own
//! admitted, and keep them answering, as would fill a table of that size.

use super::{Full, Index, Members, NONE, Slot};
use crate::hash::mix;
use crate::member::{Address, Liveness, NodeId, Record};
use crate::stats::Stats;
use crate::storage::{List, Storage};
use crate::time::Instant;

/// How many buckets a block has.
const BLOCK: usize = 8;
/// How many words a node of the tree takes.
const NODE: usize = 5;
/// The least list of buckets that has blocks.
const LEAST: usize = 256;
/// The most members of a bucket.
pub(crate) const MOST_IN_BUCKET: usize = 64;
/// The most slots that one question looks at: an answer takes less time than 70 pings.
const MOST_VISITS: u32 = 128;

/// What is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// How many slots there are.
    Slots,
    /// What stands for the living.
    Living,
    /// What stands for how far this node has come.
    Positions,
}

/// How much of the table one question has looked at. Its ranges follow each other: what stands before one is known from the
/// range before.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    left: u32,
    before: Option<(u64, Sum, u64)>,
}

impl Look {
    pub(crate) const NEW: Self = Look { left: MOST_VISITS, before: None };

    /// At as many slots as one likes.
    #[cfg(test)]
    pub(crate) const FREE: Self = Look { left: u32::MAX, ..Look::NEW };

    #[cfg(test)]
    pub(crate) fn visits(&self) -> u32 {
        Look::FREE.left - self.left
    }
}

/// What a member adds to each of the sums.
#[derive(Clone, Copy, Default)]
pub(super) struct Terms {
    pub(super) slots: u32,
    pub(super) living: u64,
    pub(super) positions: u64,
}

/// How far a walk through the buckets has come.
pub(super) struct Walk {
    /// Slots before this place are passed over.
    low: u64,
    bucket: usize,
    /// How many buckets in a row had nobody.
    empty: usize,
    /// The next slot of this bucket.
    at: Index,
    wanted: Sum,
}

impl<A: Address, S: Storage> Members<A, S> {
    /// Where in the id space an id stands; distinct ids have distinct places.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn place(&self, id: NodeId) -> u64 {
        mix(id.get() ^ self.key)
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn find(&self, id: NodeId) -> Option<Index> {
        let place = self.place(id);
        let mut at = self.heads.all().get(self.bucket(place)).copied()?;
        while let Some(slot) = self.slot(at) {
            if slot.record.id == id {
                return Some(at);
            }
            at = slot.chain;
        }
        None
    }

    /// Has the first slot in an id's bucket fetched, and waits for nothing: in a large table it is in no cache, and a look-up
    /// that decides by what it finds there lets no other begin.
    pub(crate) fn fetch(&self, id: NodeId) {
        let first = self.heads.all().get(self.bucket(self.place(id)));
        core::hint::black_box(first.and_then(|at| self.slot(*at)).map(|slot| slot.chain));
    }

    /// The slot of an id that had this one a moment ago.
    pub(crate) fn find_again(&self, id: NodeId, slot: Option<Index>) -> Option<Index> {
        slot.filter(|at| self.get(*at).is_some_and(|record| record.id == id)).or_else(|| self.find(id))
    }

    /// Slots from `low` on, in order of place, to the end of the id space.
    pub(crate) fn ordered_from(&self, low: u64) -> impl Iterator<Item = (u64, Index)> {
        let mut walk = self.walk(low);
        core::iter::from_fn(move || self.step_on(&mut walk))
    }

    /// The same, passing over blocks in which nobody says anything.
    pub(crate) fn telling_from(&self, low: u64) -> impl Iterator<Item = (u64, Index)> {
        let mut walk = Walk { wanted: Sum::Positions, ..self.walk(low) };
        core::iter::from_fn(move || self.step_on(&mut walk))
    }

    /// Slots from a bucket on, in order.
    fn walk_from(&self, first: usize) -> impl Iterator<Item = (u64, Index)> {
        let mut walk = self.walk_at(first, 0);
        core::iter::from_fn(move || self.step_on(&mut walk))
    }

    /// A walk through all slots from a place on.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn walk(&self, low: u64) -> Walk {
        self.walk_at(self.bucket(low), low)
    }

    fn walk_at(&self, bucket: usize, low: u64) -> Walk {
        Walk { low, bucket, empty: 0, at: self.first_of(bucket).unwrap_or(NONE), wanted: Sum::Slots }
    }

    /// The first slot of a bucket.
    fn first_of(&self, bucket: usize) -> Option<Index> {
        self.heads.all().get(..self.buckets as usize)?.get(bucket).copied()
    }

    /// The next slot of a walk. Blocks whose sum is nothing are passed over.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn step_on(&self, walk: &mut Walk) -> Option<(u64, Index)> {
        loop {
            while walk.at == NONE {
                (walk.bucket, walk.empty) = (walk.bucket + 1, walk.empty + 1);
                // Few blocks of a table in use are empty of slots.
                if walk.bucket.is_multiple_of(BLOCK) && (walk.wanted != Sum::Slots || walk.empty >= BLOCK) {
                    walk.bucket = self.pass_over(walk.bucket, walk.wanted);
                }
                walk.at = self.first_of(walk.bucket)?;
            }
            let (slot, here) = (self.slot(walk.at)?, walk.at);
            (walk.at, walk.empty) = (slot.chain, 0);
            let place = self.place(slot.record.id);
            if place >= walk.low {
                return Some((place, here));
            }
        }
    }

    /// Where the first block from this bucket on begins whose sum is not nothing.
    fn pass_over(&self, bucket: usize, wanted: Sum) -> usize {
        let (blocks, mut block) = (self.blocks(), bucket / BLOCK);
        while block < blocks {
            // Nodes that begin here have fewer blocks than lie before it, and none begins at a block of odd number.
            let widest = if block == 0 { blocks.ilog2() + 1 } else { block.trailing_zeros() };
            let mut spans = (0..widest).rev().map(|log| 1 << log).filter(|span| block + span <= blocks);
            let alone = || self.before_block(block + 1, wanted) == self.before_block(block, wanted);
            let empty = spans.find(|span| self.node(block + span, wanted) == 0);
            match empty.or_else(|| (widest == 0 && alone()).then_some(1)) {
                Some(span) => block += span,
                None => break,
            }
        }
        bucket.max(block * BLOCK)
    }

    // Sums.

    /// The sum of what stands in a range, both ends included; `None` if more would have to be looked at than is left.
    pub(crate) fn within(&self, (low, high): (u64, u64), sum: Sum, look: &mut Look) -> Option<u64> {
        let block = |place: u64| self.bucket(place) / BLOCK;
        if self.blocks() == 0 || block(low) == block(high) {
            let all = self.ordered_from(low).take_while(|(place, _)| *place <= high);
            return self.add_up(all, sum, look);
        }
        let below = match look.before.filter(|(place, of, _)| (*place, *of) == (low, sum)) {
            Some((.., below)) => below,
            None => self.below(low, sum, look)?,
        };
        let Some(next) = high.checked_add(1) else { return Some(self.total(sum).wrapping_sub(below)) };
        let up_to = self.below(next, sum, look)?;
        look.before = Some((next, sum, up_to));
        Some(up_to.wrapping_sub(below))
    }

    /// The sum of what stands before a place.
    fn below(&self, place: u64, sum: Sum, look: &mut Look) -> Option<u64> {
        let bucket = self.bucket(place);
        let block = bucket / BLOCK;
        let (begin, end) = (block * BLOCK, (block + 1) * BLOCK);
        if bucket - begin < BLOCK / 2 {
            let before = self.walk_from(begin).take_while(|(other, _)| *other < place);
            Some(self.before_block(block, sum).wrapping_add(self.add_up(before, sum, look)?))
        } else {
            let rest = self.walk_from(bucket).take_while(|(other, _)| self.bucket(*other) < end);
            let behind = rest.filter(|(other, _)| *other >= place);
            Some(self.before_block(block + 1, sum).wrapping_sub(self.add_up(behind, sum, look)?))
        }
    }

    fn add_up(&self, all: impl Iterator<Item = (u64, Index)>, sum: Sum, look: &mut Look) -> Option<u64> {
        let mut added = 0u64;
        for (_, index) in all {
            look.left = look.left.checked_sub(1)?;
            added = added.wrapping_add(self.term(index, sum));
        }
        Some(added)
    }

    fn term(&self, index: Index, sum: Sum) -> u64 {
        let Some(record) = self.get(index) else { return 0 };
        match sum {
            Sum::Slots => 1,
            Sum::Living => self.living(record),
            Sum::Positions => self.positions_term(index, record),
        }
    }

    /// What a record adds to the sum of the living.
    pub(super) fn living(&self, record: &Record<A>) -> u64 {
        if record.liveness == Liveness::Alive { self.leaf(record) } else { 0 }
    }

    fn total(&self, sum: Sum) -> u64 {
        match sum {
            Sum::Slots => u64::from(self.used),
            Sum::Living => self.root,
            Sum::Positions => self.positions,
        }
    }

    // The tree.

    fn blocks(&self) -> usize {
        // Of a small table in the node itself the compiler knows the limit: nothing of the tree is in its program.
        if self.heads.limit() < LEAST { 0 } else { (self.heads.all().len() - self.buckets as usize) / NODE }
    }

    /// The sum of all blocks before this one.
    fn before_block(&self, block: usize, sum: Sum) -> u64 {
        // Behind the last block are buckets that make no whole one.
        if block > self.blocks() {
            return self.total(sum);
        }
        let (mut node, mut added) = (block, 0u64);
        while node > 0 {
            added = added.wrapping_add(self.node(node, sum));
            node &= node - 1;
        }
        added
    }

    fn node(&self, node: usize, sum: Sum) -> u64 {
        let Some([slots, living, above, positions, over]) = self.words(node) else { return 0 };
        let wide = |low: Index, high: Index| u64::from(high) << 32 | u64::from(low);
        match sum {
            Sum::Slots => slots.into(),
            Sum::Living => wide(living, above),
            Sum::Positions => wide(positions, over),
        }
    }

    /// The words of a node; the first has number 1.
    fn words(&self, node: usize) -> Option<[Index; NODE]> {
        let at = self.buckets as usize + node.checked_sub(1)? * NODE;
        self.heads.all().get(at..)?.first_chunk().copied()
    }

    /// Adds what has come to a member to the sums, and to those of all blocks that have it.
    pub(super) fn add(&mut self, id: NodeId, terms: Terms) {
        self.used = self.used.wrapping_add(terms.slots);
        self.root = self.root.wrapping_add(terms.living);
        self.positions = self.positions.wrapping_add(terms.positions);
        let blocks = self.blocks();
        if blocks == 0 {
            return;
        }
        let mut node = self.bucket(self.place(id)) / BLOCK + 1;
        while node <= blocks {
            let of = |sum| self.node(node, sum);
            let slots = (of(Sum::Slots) as u32).wrapping_add(terms.slots);
            let living = of(Sum::Living).wrapping_add(terms.living);
            let positions = of(Sum::Positions).wrapping_add(terms.positions);
            let at = self.buckets as usize + (node - 1) * NODE;
            if let Some(words) = self.heads.all_mut().get_mut(at..).and_then(|words| words.first_chunk_mut()) {
                let above = |wide: u64| (wide >> 32) as u32;
                *words = [slots, living as u32, above(living), positions as u32, above(positions)];
            }
            node += node & node.wrapping_neg();
        }
    }

    // Buckets.

    /// Makes all buckets and sums empty.
    pub(super) fn clear_order(&mut self) {
        self.heads.clear();
        while self.heads.push(NONE) {}
        let len = self.heads.all().len();
        let blocks = if self.heads.limit() < LEAST { 0 } else { len / (BLOCK + NODE) };
        let buckets = len - blocks * NODE;
        self.heads.all_mut().iter_mut().skip(buckets).for_each(|word| *word = 0);
        self.buckets = buckets as u32;
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn bucket(&self, place: u64) -> usize {
        // The top 32 bits suffice to spread and keep the order; a limit is at most 2^24.
        (((place >> 32) * u64::from(self.buckets)) >> 32) as usize
    }

    /// The slots of the bucket in which an id stands, or would.
    fn beside(&self, id: NodeId) -> impl Iterator<Item = (Index, &Slot<A>)> {
        let mut at = self.heads.all().get(self.bucket(self.place(id))).copied().unwrap_or(NONE);
        core::iter::from_fn(move || {
            let (here, slot) = (at, self.slot(at)?);
            at = slot.chain;
            Some((here, slot))
        })
    }

    /// Sees to it that the bucket of a newcomer has room, forgetting the longest dead in it if need be.
    pub(super) fn make_room_beside(&mut self, record: &Record<A>, now: Instant, stats: &mut Stats) -> Result<(), Full> {
        if self.beside(record.id).nth(MOST_IN_BUCKET - 1).is_none() {
            return Ok(());
        }
        // A dead newcomer is not worth another dead one's place.
        let dead = self.beside(record.id).filter(|(index, slot)| slot.is_settled(*index));
        let longest = dead.max_by_key(|(_, slot)| slot.age(now)).map(|(index, _)| index);
        let longest = longest.filter(|_| record.liveness == Liveness::Alive).ok_or(Full)?;
        self.forget(longest, stats);
        Ok(())
    }

    /// Puts a slot into its bucket's chain, in order of place.
    pub(super) fn link(&mut self, index: Index) {
        let Some(place) = self.get(index).map(|record| self.place(record.id)) else { return };
        let bucket = self.bucket(place);
        let (mut before, mut at) = (NONE, self.heads.all().get(bucket).copied().unwrap_or(NONE));
        while let Some(slot) = self.slot(at).filter(|slot| self.place(slot.record.id) < place) {
            (before, at) = (at, slot.chain);
        }
        if let Some(slot) = self.slot_mut(index) {
            slot.chain = at;
        }
        self.set_next(before, bucket, index);
    }

    pub(super) fn unlink(&mut self, index: Index) {
        let Some((place, next)) = self.slot(index).map(|slot| (self.place(slot.record.id), slot.chain)) else { return };
        let bucket = self.bucket(place);
        let (mut before, mut at) = (NONE, self.heads.all().get(bucket).copied().unwrap_or(NONE));
        while let Some(slot) = self.slot(at).filter(|_| at != index) {
            (before, at) = (at, slot.chain);
        }
        self.set_next(before, bucket, next);
    }

    /// Makes `next` follow slot `before`, or begin the bucket if there is none before.
    fn set_next(&mut self, before: Index, bucket: usize, next: Index) {
        match self.slot_mut(before) {
            Some(slot) => slot.chain = next,
            None => {
                if let Some(head) = self.heads.all_mut().get_mut(bucket) {
                    *head = next;
                }
            }
        }
    }
}
