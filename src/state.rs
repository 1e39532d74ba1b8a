//! Replicated state: every member's own map, at every member.
//!
//! Only the owner writes its map, and orders what it writes by a version of its own; no clock is in it. What it writes goes
//! down the tree of `tree.rs` as *deltas*: the part of a log between two versions, read off the map when the datagram is
//! written, so that what is written again meanwhile goes once. Who missed one shows by its version, in the answer to the
//! next delta, or in the roots of positions in a probe, and fetches what it lacks from whoever has it (`state/fetch.rs`).
//!
//! One datagram can be followed so: `node/replicate.rs` takes the frame, `map.rs` judges by versions alone whether
//! the chunk may be taken, `state/take.rs` takes it entry by entry (`state/rebuild.rs`, when a log is read again),
//! `state/store.rs` holds the bytes, `state/tell.rs` says what the application hears of it.
//!
//! Where this departs from Scuttlebutt (van Renesse et al. 2008) and from what has become of it:
//!
//! | there | here | why |
//! |---|---|---|
//! | a digest of everybody in every message | 2 bytes in every probe; a digest of the latest, then of a range, when they differ | a digest of 1,000 does not fit a datagram, and nothing has changed most of the time |
//! | rounds of gossip spread a write | a tree does, each member receives it once | a hundredth of the time, and a tenth of the bytes |
//! | each replica forgets deletions by its own clock | the owner moves the floor; a replica its own only up to where it has read all, to read a log again or for want of room | a replica that forgets sooner than another brings deleted keys back |
//! | below the floor, the map is wiped and read anew | it is read anew beside what there is, and at the end all changes at once (`state/rebuild.rs`) | a wipe that stops half-way, and a third node, revive what was deleted |
//! | one order of versions | two logs, *vital* and *bulk* | a value of 64 KiB must not delay a node's health |
//! | depth first: whoever has most waits least | half a datagram at most for one, while others wait | small maps are whole at once |
//! | what others claim of an owner holds | the owner writes all anew above it, or begins another life | a liar's version would shut the owner out |
//!
//! Versions above [`MOST_VERSION`] are refused; whoever has written so often begins another life.

mod cast;
mod fetch;
mod give;
mod keep;
mod own;
mod pace;
mod rebuild;
mod store;
mod take;
mod tell;

pub(crate) use fetch::{Fetches, WANTS};
pub(crate) use keep::Kept;
pub(crate) use own::{Write, max_key};
pub(crate) use take::Took;
pub(crate) use tell::StateNews;

/// What tests look into.
#[cfg(test)]
pub(crate) mod parts {
    pub(crate) use super::pace::Pace;
    pub(crate) use super::store::{DELETED, Head, LOCAL, PARTIAL, Store, VITAL};
}

use crate::key::{Class, Entry, Version};
use crate::map::{At, BULK, LOGS, Map, NOWHERE, Rebuild, VITAL_LOG};
use crate::member::Address;
use crate::members::{Index, MYSELF, Members};
use crate::storage::{FEW_LATEST, FewData, FewOf, LATEST, Storage, must_fit};
use crate::time::Instant;
use store::{DELETED, Head, LOCAL, PARTIAL, Store, VITAL};
use tell::Watches;

/// How many owners' logs are read again from the beginning at a time.
const REBUILDS: usize = 4;
const FEW_REBUILDS: usize = 2;
/// How many values are put together at a time.
const PARTIALS: usize = 4;
const FEW_PARTIALS: usize = 2;
/// How many are given what they fetch at a time.
const GIVES: usize = 2;
const FEW_GIVES: usize = 1;
/// The most that can be to be sent at once.
pub(crate) const MOST_OWED: usize = fetch::FETCHES + GIVES;

/// A value of which some pieces have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Partial {
    owner: Index,
    log: u8,
    version: u32,
    at: At,
    came: u64,
    since: Instant,
}

/// A log that is being read again, and when it went on last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Rebuilding {
    owner: Index,
    log: u8,
    rebuild: Rebuild,
    since: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State<S: Storage> {
    store: Store<S>,
    /// Of the keys that are for nobody else: the last entry, and the greatest version.
    local: (At, u32),
    /// The next time at which an own key may run out.
    next_expiry: Instant,
    /// How many own keys are kept deleted, and how far the logs had come when the floor was last looked at.
    deleted: u32,
    floor_mark: ([u32; LOGS], Instant),
    /// Up to which version the own logs were handed out, and when last.
    handed: [u32; LOGS],
    last_handed: Instant,
    /// The floor of the log has moved, and others are to hear of it.
    tells_floor: [bool; LOGS],
    rebuilds: FewData<S, Rebuilding, REBUILDS, FEW_REBUILDS>,
    partials: FewData<S, Partial, PARTIALS, FEW_PARTIALS>,
    pub(crate) fetches: Fetches<S>,
    gives: FewData<S, give::Give<S>, GIVES, FEW_GIVES>,
    pub(crate) pace: pace::Pace,
    watches: Watches<S>,
    latest: FewData<S, Index, LATEST, FEW_LATEST>,
    /// Some map is not whole for want of room, and when that is asked for again.
    pub(crate) refuses: bool,
    next_retry: Instant,
    /// Where to look next for those whose map is to go.
    next_dead: Index,
    pub(crate) next_look: Instant,
    /// The own logs are to be written anew, above what others say that there is of them.
    pub(crate) doubted: [u32; LOGS],
}

impl<S: Storage> State<S> {
    pub(crate) const fn new(bytes: S::State, buckets: S::DataPerMember<At>) -> Self {
        State {
            store: Store::new(bytes, buckets),
            local: (NOWHERE, 0),
            next_expiry: Instant::FAR_FUTURE,
            deleted: 0,
            floor_mark: ([0; LOGS], Instant::FAR_FUTURE),
            handed: [0; LOGS],
            last_handed: Instant::ZERO,
            tells_floor: [false; LOGS],
            rebuilds: FewOf::EMPTY,
            partials: FewOf::EMPTY,
            fetches: Fetches::NONE,
            gives: FewOf::EMPTY,
            pace: pace::Pace::FREE,
            watches: Watches::NONE,
            latest: FewOf::EMPTY,
            refuses: false,
            next_retry: Instant::ZERO,
            next_dead: 0,
            next_look: Instant::ZERO,
            doubted: [0; LOGS],
        }
    }

    /// Forgets everything but this node's own map and what the application wants to hear of, and begins with another secret.
    /// The others' maps must be known still.
    pub(crate) fn reset<A: Address>(&mut self, key: u64, members: &mut Members<A, S>) {
        for index in 1..members.map_slots() {
            self.clear_map(index, members);
        }
        self.store.rekey(key);
        self.handed = [0; LOGS];
        self.rebuilds.clear();
        (self.fetches, self.gives, self.pace) = (Fetches::NONE, FewOf::EMPTY, pace::Pace::FREE);
        self.latest.clear();
        (self.refuses, self.next_dead, self.doubted) = (false, 0, [0; LOGS]);
        self.watches.reset();
    }

    /// How many bytes all entries may take.
    pub(crate) fn limit(&self) -> usize {
        self.store.limit()
    }

    /// How many bytes all entries take.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.store.used()
    }

    /// Checks what always holds of an owner's map.
    #[cfg(test)]
    pub(crate) fn check<A: Address>(&self, owner: Index, members: &Members<A, S>) {
        let sizes = |last: At| self.back_from(last).filter_map(|at| self.store.get(at)).map(|head| head.size());
        let partials = self.partials.iter().filter(|partial| partial.owner == owner);
        let mut used: usize = partials.filter_map(|partial| self.store.get(partial.at)).map(|head| head.size()).sum();
        used += if owner == MYSELF { sizes(self.local.0).sum() } else { 0 };
        for log in [BULK, VITAL_LOG] {
            let held = *members.map(owner).log(log);
            used += sizes(held.last).sum::<usize>();
            let mut before = u32::MAX;
            for at in self.back_from(held.last) {
                let version = self.store.get(at).map_or(0, |head| head.version);
                assert!(version < before, "in order of version, and none twice");
                before = version;
                let is_ahead = version > held.version;
                assert!(!is_ahead || self.rebuild_of((owner, log)).is_some(), "ahead of a log that is not read again");
                let same = self.find_both((owner, log), self.store.key(at), members);
                assert_eq!(same.get(usize::from(is_ahead)), Some(&Some(at)), "the only one of its key");
            }
        }
        assert_eq!(used, members.map(owner).used as usize, "every byte is counted");
    }

    // Looking.

    /// Where a key is, if it is there: in the vital log, in the bulk, or for this node alone.
    pub(crate) fn find<A: Address>(&self, owner: Index, key: &[u8], members: &Members<A, S>) -> Option<At> {
        let find = |(class, _, version)| self.store.find_if(owner, class, key, |_, head| head.version <= version);
        let found = self.ends_of(owner, members).into_iter().filter_map(find);
        { found }.find(|at| self.store.get(*at).is_some_and(|head| !head.is(DELETED)))
    }

    /// What is there.
    pub(crate) fn entry<A: Address>(&self, at: At, members: &Members<A, S>) -> Option<Entry<'_>> {
        let head = self.store.get(at).filter(|head| !head.is(DELETED))?;
        // Before `start` there is no life yet.
        let life = members.get(head.owner).map_or(crate::Life { generation: 0, nonce: 0 }, |record| record.life);
        let class = match head.marks & (VITAL | LOCAL) {
            VITAL => Class::Vital,
            LOCAL => Class::Local,
            _ => Class::Bulk,
        };
        let (key, value) = (core::str::from_utf8(self.store.key(at)).ok()?, self.store.value(at));
        Some(Entry { key, value, version: Version { life, number: head.version }, class })
    }

    /// Whose an entry is, and its key.
    pub(crate) fn owner_and_key(&self, at: At) -> Option<(Index, &str)> {
        Some((self.store.get(at)?.owner, core::str::from_utf8(self.store.key(at)).ok()?))
    }

    /// All keys of an owner: the latest first of each class.
    pub(crate) fn entries_of<A: Address>(
        &self,
        owner: Index,
        members: &Members<A, S>,
    ) -> impl Iterator<Item = Entry<'_>> {
        let seen = |at: &At, version: u32| self.store.get(*at).is_some_and(|head| head.version <= version);
        let ends = self.ends_of(owner, members).into_iter();
        let places = ends.flat_map(move |(_, last, version)| self.back_from(last).filter(move |at| seen(at, version)));
        places.filter_map(|at| self.entry(at, members))
    }

    /// Of each class the last entry, and the version up to which entries are seen: what is beyond is ahead of the log.
    fn ends_of<A: Address>(&self, owner: Index, members: &Members<A, S>) -> [(u8, At, u32); 3] {
        let [bulk, vital] = members.map(owner).logs;
        let local = if owner == MYSELF { self.local } else { (NOWHERE, 0) };
        [(VITAL, vital.last, vital.version), (0, bulk.last, bulk.version), (LOCAL, local.0, local.1)]
    }

    /// The entries of a log from this one on to the oldest.
    fn back_from(&self, last: At) -> impl Iterator<Item = At> {
        let mut next = last;
        core::iter::from_fn(move || {
            let (at, head) = (next, self.store.get(next)?);
            next = head.older;
            Some(at)
        })
    }

    /// The first entry of a log behind this version. At the cost of a look at all that are newer.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn first_behind(&self, last: At, version: u32) -> Option<(At, Head)> {
        let mut found = None;
        let mut at = last;
        while let Some(head) = self.store.get(at).filter(|head| head.version > version) {
            found = Some((at, head));
            at = head.older;
        }
        found
    }

    // Changing.

    /// Adds an entry to a log, as its last or where its version belongs. There must be room.
    fn add<A: Address>(&mut self, head: Head, key: &[u8], members: &mut Members<A, S>) -> Option<At> {
        let State { store, partials, local, .. } = self;
        let at = store.push(head, key, |head, from, to| {
            if head.is(PARTIAL) {
                partials.iter_mut().filter(|partial| partial.at == from).for_each(|partial| partial.at = to);
            } else if head.is(LOCAL) {
                local.0 = if local.0 == from { to } else { local.0 };
            } else {
                members.move_last(head.owner, log_of(head), from, to);
            }
        })?;
        if !head.is(PARTIAL) {
            self.link(at, &head, members);
        }
        let size = self.store.get(at).map_or(0, |head| head.size() as u32);
        members.with_map(head.owner, |map| map.used = map.used.saturating_add(size));
        Some(at)
    }

    fn link<A: Address>(&mut self, at: At, head: &Head, members: &mut Members<A, S>) {
        if head.is(LOCAL) {
            self.local.0 = self.store.link(at, self.local.0);
        } else {
            let last = self.store.link(at, members.map(head.owner).log(log_of(head)).last);
            members.with_map(head.owner, |map| map.log_mut(log_of(head)).last = last);
        }
    }

    /// Removes an entry.
    fn remove<A: Address>(&mut self, at: At, members: &mut Members<A, S>) {
        let Some(head) = self.store.get(at) else { return };
        let map = members.map(head.owner);
        let last = if head.is(LOCAL) { self.local.0 } else { map.log(log_of(&head)).last };
        let last = self.store.remove(at, last);
        if head.is(LOCAL) {
            self.local.0 = last;
        }
        members.with_map(head.owner, |map| {
            map.used = map.used.saturating_sub(head.size() as u32);
            if !head.is(LOCAL) {
                map.log_mut(log_of(&head)).last = last;
            }
        });
    }

    /// Removes all of an owner's: it is gone, or has begun another life.
    pub(crate) fn clear_map<A: Address>(&mut self, owner: Index, members: &mut Members<A, S>) {
        self.rebuilds.retain(|held| held.owner != owner);
        while let Some(partial) = self.partials.iter().find(|partial| partial.owner == owner).copied() {
            self.drop_partial(partial.at, members);
        }
        for log in [BULK, VITAL_LOG] {
            while let Some(at) = Some(members.map(owner).log(log).last).filter(|at| *at != NOWHERE) {
                self.remove(at, members);
            }
        }
        members.with_map(owner, |map| *map = Map::NEW);
    }

    /// Removes what is left of a member that the table has forgotten.
    pub(crate) fn bury<A: Address>(&mut self, members: &mut Members<A, S>) {
        let Some((owner, id, map)) = members.take_evicted() else { return };
        // Its slot may be another's by now, who has nothing yet.
        members.with_map(owner, |held| *held = map);
        self.clear_map(owner, members);
        self.watches.note_gone(id, map.replaced || map.has_any());
    }

    fn drop_partial<A: Address>(&mut self, at: At, members: &mut Members<A, S>) {
        self.partials.retain(|partial| partial.at != at);
        self.remove(at, members);
    }

    /// A map has changed.
    fn note_change(&mut self, owner: Index) {
        if self.latest.last() != Some(&owner) {
            if self.latest.is_full() {
                self.latest.take_first();
            }
            must_fit(self.latest.push(owner));
        }
        self.watches.note_change(owner);
    }

    /// Whose maps changed last, the latest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = Index> {
        self.latest.iter().rev().copied()
    }

    /// A member's map is to be dropped, as it has begun another life or is dead for long.
    pub(crate) fn drop_map<A: Address>(&mut self, owner: Index, members: &mut Members<A, S>) {
        if !members.map(owner).has_any() {
            return;
        }
        self.clear_map(owner, members);
        if self.watches.any() {
            members.with_map(owner, |map| map.replaced = true);
            self.watches.note_change(owner);
        }
    }
}

/// Which log an entry is in.
fn log_of(head: &Head) -> usize {
    if head.is_vital() { VITAL_LOG } else { BULK }
}

/// What entries of this log are marked with.
fn mark_of(log: usize) -> u8 {
    if log == VITAL_LOG { VITAL } else { 0 }
}
