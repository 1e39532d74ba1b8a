//! The table of members: find, admit, evict, sample, order, and what is pending for each.
//!
//! Slots do not move while they are in use. `heads` has buckets of the id space, chained through the slots, and sums of
//! them (see `order.rs`). Members with news to tell are also in the list of their send count (see `members/news.rs`), and those of
//! whom the application has not been told in a queue.

mod choose;
mod heard;
mod maps;
pub(crate) mod news;
mod order;
mod positions;
mod slot;

use news::News;
#[cfg(test)]
pub(crate) use order::MOST_IN_BUCKET;
use order::Terms;
pub(crate) use order::{Look, Sum};
pub(crate) use slot::Slot;
use slot::{FREE, MOVED, PROVED, REBORN, SEEN, UNTOLD};

use crate::event::Event;
use crate::hash::{Sip, mix};
use crate::map::Map;
use crate::member::{Address, Certificate, Liveness, Member, NodeId, Record};
use crate::stats::Stats;
use crate::storage::{Few, FewOf, List, Storage, must_fit};
use crate::time::Instant;
use crate::window::Window;
use crate::wire::{MAX_ADDR, Origin, UNSAID, Writer};

/// A slot's number.
pub(crate) type Index = u32;
/// No slot.
pub(crate) const NONE: Index = Index::MAX;
/// The slot of this node itself.
pub(crate) const MYSELF: Index = 0;

/// The table is full of living members.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Members<A: Address, S: Storage> {
    slots: S::PerMember<Slot<A>>,
    /// The first slot of each bucket, and behind the last of them sums.
    heads: S::PerMember<Index>,
    /// How many buckets there are.
    buckets: u32,
    /// By slot; no longer than the last of those who have broadcast.
    windows: S::DataPerMember<Window>,
    /// By slot; no longer than the last of those who have a map.
    maps: S::DataPerMember<Map>,
    /// Who was forgotten last, and its map, whose entries are still to be removed.
    evicted: Option<(Index, NodeId, Map)>,
    free: Index,
    live: u32,
    used: u32,
    /// Living others that were heard themselves in their present life.
    heard: u32,
    excused: u32,
    /// The last living newcomer was refused, and there has been no room since.
    refused: bool,
    /// Some of the dead have been forgotten.
    forgotten: bool,
    root: u64,
    positions: u64,
    /// Where to look next for those who have been dead for long.
    next_mourned: Index,
    /// Where to look next for the dead who make room.
    next_dead: Index,
    /// Whether this node keeps account of others' broadcasts.
    pub(crate) keeps_windows: bool,
    key: u64,
    untold: (Index, Index),
    news: News,
    /// What the latest verdicts rest on: kept for as long as they are passed on.
    certificates: Few<S, (Index, Certificate, Instant), CERTIFICATES, FEW_CERTIFICATES>,
}

/// How many slots are looked at for the dead who make room.
const LOOK_FOR_DEAD: usize = 1_024;
/// How many certificates are kept; a death that is told later is looked into by whoever hears of it.
const CERTIFICATES: usize = 8;
const FEW_CERTIFICATES: usize = 3;

impl<A: Address, S: Storage> Members<A, S> {
    pub(crate) const fn new(
        slots: S::PerMember<Slot<A>>,
        heads: S::PerMember<Index>,
        windows: S::DataPerMember<Window>,
        maps: S::DataPerMember<Map>,
    ) -> Self {
        Members {
            slots,
            heads,
            buckets: 0,
            windows,
            maps,
            evicted: None,
            free: NONE,
            live: 0,
            used: 0,
            heard: 0,
            excused: 0,
            refused: false,
            forgotten: false,
            root: 0,
            positions: 0,
            next_mourned: 0,
            next_dead: 0,
            keeps_windows: true,
            key: 0,
            untold: (NONE, NONE),
            news: News::new(),
            certificates: FewOf::EMPTY,
        }
    }

    /// Forgets everybody and begins with this node alone, and its own map.
    pub(crate) fn reset(&mut self, key: u64, myself: Record<A>, stats: &mut Stats) {
        self.slots.clear();
        self.clear_order();
        self.windows.clear();
        let own = *self.map(MYSELF);
        self.maps.clear();
        self.evicted = None;
        self.free = NONE;
        (self.live, self.used, self.heard, self.excused) = (0, 0, 0, 0);
        (self.root, self.positions) = (0, 0);
        (self.next_mourned, self.next_dead) = (0, 0);
        (self.key, self.refused, self.forgotten) = (key, false, false);
        self.untold = (NONE, NONE);
        self.news = News::new();
        self.certificates.clear();
        // Cannot be refused: every storage holds at least two members.
        let _ = self.insert(myself, Instant::ZERO, stats);
        self.with_map(MYSELF, |map| *map = own);
    }

    // Looking up.

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn get(&self, index: Index) -> Option<&Record<A>> {
        self.slot(index).map(|slot| &slot.record)
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn find_record(&self, id: NodeId) -> Option<&Record<A>> {
        self.find(id).and_then(|index| self.get(index))
    }

    /// Where a member is known to be, and the tag of its life.
    pub(crate) fn whereabouts(&self, id: NodeId) -> Option<(A, u32)> {
        self.find_record(id).map(|record| (record.addr, record.tag()))
    }

    /// A member's slot, if the table has it in the life that this tag stands for.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn find_life(&self, id: NodeId, tag: u32) -> Option<Index> {
        self.find(id).filter(|index| self.get(*index).is_some_and(|record| record.tag() == tag))
    }

    /// This node's own record; `None` before `start`.
    pub(crate) fn myself(&self) -> Option<&Record<A>> {
        self.get(MYSELF)
    }

    /// The origin of what this node says itself.
    pub(crate) fn own_origin(&self) -> Option<Origin> {
        self.myself().map(|myself| Origin { id: myself.id, tag: myself.tag() })
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn is_live(&self, index: Index) -> bool {
        self.get(index).is_some_and(|record| record.liveness == Liveness::Alive)
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn member(&self, index: Index) -> Option<Member<A>> {
        self.slot(index).map(Slot::member)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Member<A>> {
        self.slots.all().iter().filter(|slot| slot.marks & FREE == 0).map(Slot::member)
    }

    /// Whether somebody lives at an address, as far as this node knows. A scan of the table.
    pub(crate) fn lives_at(&self, addr: A) -> bool {
        self.all().any(|member| member.addr() == addr && member.status().is_live())
    }

    /// How many are alive, this node among them.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// How many others are alive.
    pub(crate) fn others(&self) -> u32 {
        self.live - u32::from(self.is_live(MYSELF))
    }

    /// How many are remembered as down or left.
    pub(crate) fn dead(&self) -> u32 {
        self.used - self.live
    }

    /// Whether living members had to be refused, so that this table cannot become equal to others.
    pub(crate) fn has_refused(&self) -> bool {
        self.refused
    }

    /// Whether there is no room for anybody, and nobody who could make some.
    pub(crate) fn is_full(&self) -> bool {
        self.used as usize == self.slots.limit() && self.dead() == 0
    }

    /// Whether some of the dead are no longer known.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.forgotten
    }

    /// Takes back that this table cannot become equal to others.
    pub(crate) fn forget_refusal(&mut self) {
        self.refused = false;
    }

    /// The fingerprint of all living members: a wrapping sum of one keyed hash each.
    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    /// What stands for a member's record in a list of short ids.
    pub(crate) fn short_id(&self, index: Index, salt: u32) -> u32 {
        self.get(index).map_or(0, |record| {
            let leaf = self.leaf(record) ^ (record.liveness as u64) << 62;
            (mix(leaf ^ u64::from(salt)) >> 32) as u32
        })
    }

    // Changing.

    /// Adds a member that is not in the table, forgetting the longest dead if there is no other room.
    pub(crate) fn admit(&mut self, record: Record<A>, now: Instant, stats: &mut Stats) -> Result<Index, Full> {
        let inserted = self.insert(record, now, stats);
        if record.liveness == Liveness::Alive {
            self.refused = inserted.is_err();
        }
        let index = inserted?;
        match record.liveness {
            Liveness::Alive => self.note_change(index, 0),
            // Of the end of somebody whom the application never saw alive there is nothing to tell.
            Liveness::Down | Liveness::Left => self.see(index, now),
        }
        Ok(index)
    }

    /// Replaces a member's record by a later one of the same id.
    pub(crate) fn replace(&mut self, index: Index, record: Record<A>, now: Instant) {
        let Some(held) = self.get(index).copied() else { return };
        let reborn = if held.life == record.life { 0 } else { REBORN };
        let moved = if held.addr == record.addr { 0 } else { MOVED };
        let was_alive = held.liveness == Liveness::Alive;
        let is_alive = record.liveness == Liveness::Alive;
        // What stands for how far this node has come does not hang on what else a living member says of itself.
        let counts_anew = reborn != 0 || !(was_alive && is_alive);
        let before = if counts_anew { self.positions_term(index, &held) } else { 0 };
        if reborn != 0 {
            self.reset_window(index);
        }
        self.set_mourned(index, !is_alive);
        let positions = if counts_anew { self.positions_term(index, &record).wrapping_sub(before) } else { 0 };
        let living = self.living(&record).wrapping_sub(self.living(&held));
        self.add(record.id, Terms { living, positions, ..Terms::default() });
        self.live = self.live + u32::from(is_alive) - u32::from(was_alive);
        self.refused &= is_alive || !was_alive;
        self.suspect(index, false);
        self.certificates.retain(|(of, ..)| *of != index);
        let heard = self.was_heard(index);
        let Some(slot) = self.slot_mut(index) else { return };
        slot.record = record;
        if reborn | moved != 0 {
            slot.marks &= !PROVED;
        }
        if reborn != 0 || was_alive != is_alive {
            slot.marks &= !SEEN;
            slot.seen = coarse(now);
        }
        self.heard -= u32::from(was_alive && heard && index != MYSELF);
        self.heard += u32::from(is_alive && self.was_heard(index) && index != MYSELF);
        if !is_alive {
            self.see(index, now);
            self.next_dead = index;
        }
        self.note_change(index, reborn | moved);
    }

    /// Keeps what a verdict about this member rests on until then, in place of the oldest if there is no room.
    pub(crate) fn certify(&mut self, index: Index, certificate: Certificate, until: Instant) {
        if self.certificates.is_full() {
            let mut oldest = true;
            self.certificates.retain(|_| !core::mem::take(&mut oldest));
        }
        must_fit(self.certificates.push((index, certificate, until)));
    }

    /// How many deaths were told of late with what they rest on.
    pub(crate) fn certified(&self, now: Instant) -> usize {
        self.certificates.iter().filter(|(.., until)| now < *until).count()
    }

    /// Writes a member's record, with what it rests on if that is fresh.
    pub(crate) fn write(&self, index: Index, now: Instant, writer: &mut Writer<'_>) -> Option<()> {
        let kept = self.certificates.iter().find(|(of, _, until)| *of == index && now < *until);
        let (record, certificate) = (self.get(index)?, kept.map(|(_, certificate, _)| certificate));
        // The smallest datagram may have no room for more than the record.
        let seen = if self.window(index).is_unknown() { UNSAID } else { self.window(index).seen() };
        writer.told(record, seen, certificate).or_else(|| writer.record(record))
    }

    /// Writes a member's record, and how far this node has come with its broadcasts; the record alone if that must fit
    /// and both do not.
    pub(crate) fn describe(&self, index: Index, must_fit: bool, writer: &mut Writer<'_>) -> Option<()> {
        let record = self.get(index)?;
        let alone = |writer: &mut Writer<'_>| if must_fit { writer.record(record) } else { None };
        writer.told(record, self.said_of(index), None).or_else(|| alone(writer))
    }

    // News.

    pub(crate) fn news(&self) -> &News {
        &self.news
    }

    /// Whether a member's record is still news.
    pub(crate) fn is_news(&self, index: Index) -> bool {
        self.slot(index).is_some_and(|slot| slot.sent != crate::members::news::SILENT)
    }

    /// Puts a member's record among the news as if it had been sent `sent` times already.
    pub(crate) fn announce(&mut self, index: Index, sent: u8) {
        self.news.put(self.slots.all_mut(), index, sent);
    }

    /// Counts one more copy of a member's record, sent or heard, towards `limit`.
    pub(crate) fn count_copy(&mut self, index: Index, limit: u8) {
        self.news.count_copy(self.slots.all_mut(), index, limit);
    }

    // Events.

    /// The next difference between what a slot holds and what the application was told of it.
    pub(crate) fn next_event<'n>(&mut self) -> Option<Event<'n, A>> {
        while let Some(slot) = self.slot_mut(self.untold.0) {
            if let Some(event) = slot.tell() {
                return Some(event);
            }
            slot.marks &= !UNTOLD;
            let next = slot.next_untold;
            self.untold = if next == NONE { (NONE, NONE) } else { (next, self.untold.1) };
        }
        None
    }

    // Inside.

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn slot(&self, index: Index) -> Option<&Slot<A>> {
        self.slots.all().get(index as usize).filter(|slot| slot.marks & FREE == 0)
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn slot_mut(&mut self, index: Index) -> Option<&mut Slot<A>> {
        self.slots.all_mut().get_mut(index as usize)
    }

    fn leaf(&self, record: &Record<A>) -> u64 {
        let life = u64::from(record.life.generation) << 32 | u64::from(record.life.nonce);
        let counters = u64::from(record.incarnation) << 8 | u64::from(record.patience);
        let mut scratch = [0; MAX_ADDR];
        let len = record.addr.encode_into(&mut scratch).unwrap_or(0);
        let addr = scratch.get(..len).unwrap_or(&[]);
        let hash = Sip::new(self.key, record.id.get()).word(life).word(counters);
        let hash = if record.topics == 0 { hash } else { hash.word(record.topics.into()) };
        hash.bytes(addr).finish()
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn note_change(&mut self, index: Index, marks: u8) {
        let Some(slot) = self.slot_mut(index) else { return };
        slot.marks |= marks;
        if index == MYSELF || slot.marks & UNTOLD != 0 {
            return;
        }
        slot.marks |= UNTOLD;
        slot.next_untold = NONE;
        match self.slot_mut(self.untold.1) {
            Some(last) => last.next_untold = index,
            None => self.untold.0 = index,
        }
        self.untold.1 = index;
    }

    fn insert(&mut self, record: Record<A>, now: Instant, stats: &mut Stats) -> Result<Index, Full> {
        if self.is_full() {
            return Err(Full);
        }
        self.make_room_beside(&record, now, stats)?;
        let index = self.place_slot(Slot::new(record, coarse(now)), now, stats)?;
        self.live += u32::from(record.liveness == Liveness::Alive);
        self.link(index);
        let living = self.living(&record);
        self.add(record.id, Terms { slots: 1, living, ..Terms::default() });
        Ok(index)
    }

    fn place_slot(&mut self, slot: Slot<A>, now: Instant, stats: &mut Stats) -> Result<Index, Full> {
        if self.free == NONE {
            let index = self.slots.all().len() as Index;
            if self.slots.push(slot.clone()) {
                return Ok(index);
            }
            // A dead newcomer is not worth another dead one's place.
            if slot.record.liveness != Liveness::Alive {
                return Err(Full);
            }
            self.forget_longest_dead(now, stats);
        }
        let index = self.free;
        let place = self.slots.all_mut().get_mut(index as usize).ok_or(Full)?;
        self.free = place.chain;
        *place = slot;
        Ok(index)
    }

    /// Whoever begins anew counts its broadcasts anew.
    fn reset_window(&mut self, index: Index) {
        if let Some(window) = self.windows.all_mut().get_mut(index as usize) {
            *window = Window::NEW;
        }
    }

    /// Frees the slot of the member that has been dead for longest and of whose end the application knows, when a newcomer
    /// needs the room. In a large table, of those in a part of it: a newcomer must not cost a scan. That part begins with
    /// who died last, or where the last look ended, so that each of the dead is found.
    fn forget_longest_dead(&mut self, now: Instant, stats: &mut Stats) {
        if self.dead() == 0 {
            return;
        }
        let all = self.slots.all();
        let first = if all.len() <= LOOK_FOR_DEAD { 0 } else { (self.next_dead as usize).min(all.len()) };
        let (before, behind) = all.split_at_checked(first).unwrap_or((all, &[]));
        let looked_at = behind.iter().zip(first as Index..).chain(before.iter().zip(0..)).take(LOOK_FOR_DEAD);
        let longest = looked_at.filter(|(slot, index)| slot.is_settled(*index)).max_by_key(|(slot, _)| slot.age(now));
        let longest = longest.map(|(_, index)| index);
        let end = first + LOOK_FOR_DEAD;
        self.next_dead = (if end < all.len() { end } else { end - all.len().min(end) }) as Index;
        if let Some(index) = longest {
            self.forget(index, stats);
        }
    }

    pub(crate) fn forget(&mut self, index: Index, stats: &mut Stats) {
        self.remove(index);
        self.forgotten = true;
        stats.forgotten = stats.forgotten.wrapping_add(1);
    }

    fn remove(&mut self, index: Index) {
        self.news.remove(self.slots.all_mut(), index);
        self.certificates.retain(|(of, ..)| *of != index);
        self.unlink(index);
        self.with_window(index, |window| *window = Window::NEW);
        self.evict_map(index);
        if let Some(id) = self.get(index).map(|record| record.id) {
            self.add(id, Terms { slots: u32::MAX, ..Terms::default() });
        }
        let free = self.free;
        if let Some(slot) = self.slot_mut(index) {
            slot.marks = FREE;
            slot.chain = free;
            self.free = index;
        }
    }
}

/// Milliseconds or so (1,024 us), wrapping.
fn coarse(now: Instant) -> u32 {
    (now.as_micros() >> 10) as u32
}
