//! This node's own map: what the application writes, what runs out, and how long is remembered what was deleted.

use core::time::Duration;

use super::store::{DELETED, Head, LOCAL, VITAL};
use super::{State, mark_of};
use crate::bytes::copy;
use crate::config::Config;
use crate::key::{Class, SetOptions, StateError};
use crate::map::{At, BULK, LOGS, VITAL_LOG};
use crate::member::Address;
use crate::members::{MYSELF, Members};
use crate::node_core::Core;
use crate::storage::Storage;
use crate::time::{Instant, micros};
use crate::tree::Kind;
use crate::wire::{
    MAX_KEY, MOST_BEFORE_ENTRIES, MOST_BEFORE_KEY, MOST_BEFORE_VALUE, MOST_VALUE, MOST_VERSION, written_len,
};

/// The most pieces of a value: one bit each in what is remembered of them.
const MOST_PIECES: usize = 64;
/// For how many probe periods it is said at least that a key was deleted.
const DELETED_FOR: u64 = 60;
/// The unit of the times at which keys run out, as a logarithm.
const EXPIRY_UNIT: u32 = 16;
/// The longest time to live: half of what the unit can tell apart.
const MOST_TTL: u64 = (1 << (EXPIRY_UNIT + 31)) - (2 << EXPIRY_UNIT);

/// What is written in place of what.
#[derive(Clone, Copy)]
pub(crate) struct Write<'v> {
    pub(crate) key: &'v str,
    pub(crate) options: SetOptions,
}

/// The longest key that fits the datagrams of these settings.
pub(crate) fn max_key(config: &Config) -> usize {
    (config.max_datagram() - MOST_BEFORE_ENTRIES - MOST_BEFORE_KEY - MOST_BEFORE_VALUE - 1).min(MAX_KEY)
}

/// The longest piece of a value with this key.
fn piece_len(key: usize, config: &Config) -> usize {
    config.max_datagram() - MOST_BEFORE_ENTRIES - MOST_BEFORE_KEY - MOST_BEFORE_VALUE - key
}

/// Into how many pieces an entry goes with datagrams of these settings: as it was cut by its owner, or finer where that
/// is too much for them. 1 if it goes whole, or no cut would do.
pub(super) fn pieces_of(head: &Head, config: &Config) -> u8 {
    let (key, len) = (usize::from(head.key_len), head.len as usize);
    let whole = MOST_BEFORE_ENTRIES + written_len(0, u32::MAX, key, Some(len));
    if head.is(DELETED) || head.pieces == 1 && whole <= config.max_datagram() {
        return 1;
    }
    let needed = len.div_ceil(piece_len(key, config).max(1)).max(2).max(head.pieces.into());
    if needed > MOST_PIECES { 1 } else { needed as u8 }
}

impl<S: Storage> State<S> {
    /// The longest value that can be written under a key of this length.
    pub(crate) fn max_value(&self, key: usize, config: &Config) -> usize {
        let room = (self.store.limit() / 4).saturating_sub(Head::new(MYSELF, 0, 0, 0).size() + 8 + key);
        (MOST_PIECES * piece_len(key, config)).min(MOST_VALUE).min(room)
    }

    /// Writes a key, its value by `fill`, which is given as many bytes as it has; its version. A value that is there already
    /// is not written again.
    pub(crate) fn set<A: Address>(
        &mut self,
        write: Write<'_>,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), StateError>,
        core: &mut Core<A, S>,
    ) -> Result<u32, StateError> {
        let (key, class) = (write.key.as_bytes(), marks_of(write.options.class()));
        if key.is_empty() || key.len() > max_key(&core.config) {
            return Err(StateError::Key);
        }
        if len > self.max_value(key.len(), &core.config) {
            return Err(StateError::TooLarge);
        }
        let expires = write.options.ttl().map_or(0, |ttl| expiry(core.now, ttl));
        let mut head = Head { expires, ..Head::new(MYSELF, 0, class, len) };
        head.pieces = pieces_of(&Head { key_len: key.len() as u8, ..head }, &core.config);
        let held = self.store.find(MYSELF, class, key);
        let beside = self.make_room(&head, key, held, &mut core.members)?;
        head.version = self.next_version(class, &core.members)?;
        if class != LOCAL {
            self.pace.allow(core.now, &core.config)?;
        }
        if let Some(held) = held.filter(|_| !beside) {
            self.replace_own(held, &mut core.members);
        }
        let at = self.add(head, key, &mut core.members).ok_or(StateError::Full)?;
        if let Err(error) = fill(self.store.value_mut(at)) {
            match beside || held.is_none() {
                true => self.remove(at, &mut core.members),
                // What was there is gone, which others must hear.
                false => self.bury_at(at, (head.version, class), core),
            }
            return Err(error);
        }
        let held = self.store.find_other(MYSELF, class, key, at);
        if let Some(version) = self.is_repeated(at, held, &mut core.members) {
            return Ok(version);
        }
        if let Some(held) = held {
            self.replace_own(held, &mut core.members);
        }
        self.settle_write(head.version, class, core);
        if expires != 0 {
            self.next_expiry = self.next_expiry.min(time_of(expires, core.now));
        }
        for other in [VITAL, 0, LOCAL].into_iter().filter(|other| *other != class) {
            self.delete_in(other, key, core)?;
        }
        Ok(head.version)
    }

    /// Whether the new entry says nothing that is not there already; then it goes again.
    fn is_repeated<A: Address>(&mut self, at: At, held: Option<At>, members: &mut Members<A, S>) -> Option<u32> {
        let (held_at, head) = (held?, self.store.get(held?)?);
        let lasting = head.expires == 0 && self.store.get(at)?.expires == 0;
        if head.is(DELETED) || !lasting || self.store.value(held_at) != self.store.value(at) {
            return None;
        }
        self.remove(at, members);
        Some(head.version)
    }

    /// Finds room for an entry in the own map: whether beside the one it replaces, so that an error changes nothing, or
    /// only in its place.
    fn make_room<A: Address>(
        &mut self,
        head: &Head,
        key: &[u8],
        held: Option<At>,
        members: &mut Members<A, S>,
    ) -> Result<bool, StateError> {
        let size = Head { key_len: key.len() as u8, ..*head }.size();
        let replaced = held.and_then(|at| self.store.get(at)).map_or(0, |held| held.size());
        let used = members.map(MYSELF).used as usize;
        if used + size > self.store.limit() / 4 + replaced {
            return Err(StateError::Full);
        }
        while !self.store.has_room(size.saturating_sub(replaced)) {
            if !self.drop_some_dead(members) {
                return Err(StateError::Full);
            }
        }
        Ok(self.store.has_room(size))
    }

    fn next_version<A: Address>(&self, class: u8, members: &Members<A, S>) -> Result<u32, StateError> {
        let last = if class == LOCAL { self.local.1 } else { members.map(MYSELF).log(log_from(class)).version };
        // Another life begins soon.
        if last >= MOST_VERSION { Err(StateError::WouldBlock) } else { Ok(last + 1) }
    }

    /// What was written counts as written.
    fn settle_write<A: Address>(&mut self, version: u32, class: u8, core: &mut Core<A, S>) {
        if class == LOCAL {
            self.local.1 = version;
            return;
        }
        core.members.with_map(MYSELF, |map| {
            let log = map.log_mut(log_from(class));
            (log.version, log.told) = (version, version);
        });
        self.pace.note_write();
        self.note_change(MYSELF);
    }

    /// Deletes a key of this node's, wherever it is; its last version.
    pub(crate) fn delete<A: Address>(&mut self, key: &str, core: &mut Core<A, S>) -> Result<u32, StateError> {
        let mut version = Err(StateError::Unknown);
        for class in [VITAL, 0, LOCAL] {
            if let Some(deleted) = self.delete_in(class, key.as_bytes(), core)? {
                version = Ok(deleted);
            }
        }
        version
    }

    fn delete_in<A: Address>(
        &mut self,
        class: u8,
        key: &[u8],
        core: &mut Core<A, S>,
    ) -> Result<Option<u32>, StateError> {
        let held = self.store.find(MYSELF, class, key);
        let held = held.filter(|at| self.store.get(*at).is_some_and(|head| !head.is(DELETED)));
        held.map(|at| self.delete_at(at, class, core)).transpose()
    }

    fn delete_at<A: Address>(&mut self, at: At, class: u8, core: &mut Core<A, S>) -> Result<u32, StateError> {
        let version = self.next_version(class, &core.members)?;
        self.bury_at(at, (version, class), core);
        Ok(version)
    }

    /// Puts a deletion in the place of an entry.
    fn bury_at<A: Address>(&mut self, at: At, (version, class): (u32, u8), core: &mut Core<A, S>) {
        let mut key = [0; MAX_KEY];
        let len = self.store.key(at).len().min(MAX_KEY);
        let (key, _) = key.split_at_mut(len);
        copy(key, self.store.key(at));
        // What stands for it takes no more room.
        self.remove(at, &mut core.members);
        if class != LOCAL {
            let mark = Head::new(MYSELF, version, class | DELETED, 0);
            self.add(mark, key, &mut core.members);
            self.deleted += 1;
            if self.floor_mark.1 == Instant::FAR_FUTURE {
                self.floor_mark = ([0; LOGS], core.now.after(deleted_for(&core.config)));
                self.floor_mark.0 = core.members.map(MYSELF).versions();
            }
        }
        self.settle_write(version, class, core);
    }

    /// Removes what was written anew.
    fn replace_own<A: Address>(&mut self, at: At, members: &mut Members<A, S>) {
        if self.store.get(at).is_some_and(|head| head.is(DELETED)) {
            self.deleted -= 1;
        }
        self.remove(at, members);
    }

    // Time.

    /// When a key runs out, or the floor is looked at.
    pub(crate) fn own_due(&self) -> Instant {
        self.next_expiry.min(self.floor_mark.1)
    }

    /// Deletes what has run out, and forgets what was deleted long ago.
    pub(crate) fn tick_own<A: Address>(&mut self, core: &mut Core<A, S>) {
        if core.now >= self.next_expiry {
            self.expire(core);
        }
        if core.now >= self.floor_mark.1 {
            self.raise_floor(core);
        }
    }

    fn expire<A: Address>(&mut self, core: &mut Core<A, S>) {
        self.next_expiry = Instant::FAR_FUTURE;
        for class in [VITAL, 0, LOCAL] {
            let last_of = |state: &Self, members: &Members<A, S>| match class {
                LOCAL => state.local.0,
                class => members.map(MYSELF).log(log_from(class)).last,
            };
            let mut at = last_of(self, &core.members);
            while let Some(head) = self.store.get(at) {
                let time = if head.expires == 0 { Instant::FAR_FUTURE } else { time_of(head.expires, core.now) };
                let moves = self.store.moves();
                if time > core.now {
                    self.next_expiry = self.next_expiry.min(time);
                } else if self.delete_at(at, class, core).is_err() {
                    // Another life begins soon.
                    self.next_expiry = core.now.after(core.config.probe_period);
                    return;
                }
                at = if self.store.moves() == moves { head.older } else { last_of(self, &core.members) };
            }
        }
    }

    /// Moves the floors to where the logs were when they were last looked at.
    fn raise_floor<A: Address>(&mut self, core: &mut Core<A, S>) {
        let (versions, _) = self.floor_mark;
        for (log, version) in [BULK, VITAL_LOG].into_iter().zip(versions) {
            let forgotten = self.forget_deleted(MYSELF, log, version, &mut core.members);
            self.deleted -= forgotten.min(self.deleted);
            core.members.with_map(MYSELF, |map| {
                let log = map.log_mut(log);
                log.floor = log.floor.max(version.min(log.version));
            });
            // Others keep what was deleted until they hear of it.
            if let Some(tells) = self.tells_floor.get_mut(log).filter(|_| forgotten > 0) {
                *tells = true;
            }
        }
        let next = if self.deleted == 0 { Instant::FAR_FUTURE } else { core.now.after(deleted_for(&core.config)) };
        self.floor_mark = (core.members.map(MYSELF).versions(), next);
    }

    /// Removes what was deleted up to this version; how many there were.
    pub(super) fn forget_deleted<A: Address>(
        &mut self,
        owner: crate::members::Index,
        log: usize,
        floor: u32,
        members: &mut Members<A, S>,
    ) -> u32 {
        let (mut at, mut count) = (members.map(owner).log(log).last, 0);
        while let Some(head) = self.store.get(at) {
            if head.is(DELETED) && head.version <= floor {
                self.remove(at, members);
                count += 1;
            }
            at = head.older;
        }
        count
    }

    /// Writes all anew above what others say that there is, so that nobody's lie stays. False if that cannot be: it takes
    /// another life.
    pub(crate) fn write_anew<A: Address>(&mut self, core: &mut Core<A, S>) -> bool {
        for (log, said) in [BULK, VITAL_LOG].into_iter().zip(core::mem::take(&mut self.doubted)) {
            let map = core.members.map(MYSELF);
            if said <= map.log(log).version {
                continue;
            }
            self.deleted -= self.forget_deleted(MYSELF, log, u32::MAX, &mut core.members).min(self.deleted);
            let count = self.back_from(core.members.map(MYSELF).log(log).last).count() as u32;
            let Some(top) = said.checked_add(count + 1).filter(|top| *top < MOST_VERSION) else { return false };
            let mut version = top;
            let mut at = core.members.map(MYSELF).log(log).last;
            while let Some(head) = self.store.get(at) {
                self.store.set(at, Head { version, ..head });
                version -= 1;
                at = head.older;
            }
            let base = said + 1;
            core.members.with_map(MYSELF, |map| {
                let log = map.log_mut(log);
                (log.version, log.floor, log.told) = (top, base.min(top), top);
            });
            if let Some(handed) = self.handed.get_mut(log) {
                *handed = base.min(top);
            }
        }
        true
    }

    /// This node begins another life, in which all that it has is handed out anew, its versions from 1 on.
    pub(crate) fn renew<A: Address>(&mut self, core: &mut Core<A, S>) {
        core.tree.clear(Kind::Delta);
        let members = &mut core.members;
        (self.handed, self.doubted, self.tells_floor) = ([0; LOGS], [0; LOGS], [false; LOGS]);
        (self.deleted, self.floor_mark) = (0, ([0; LOGS], Instant::FAR_FUTURE));
        let mut kept = 0u32;
        for log in [BULK, VITAL_LOG] {
            self.forget_deleted(MYSELF, log, u32::MAX, members);
            let last = members.map(MYSELF).log(log).last;
            let count = self.back_from(last).count() as u32;
            kept = kept.saturating_add(count);
            let (mut at, mut version) = (last, count);
            while let Some(head) = self.store.get(at) {
                self.store.set(at, Head { version, ..head });
                version = version.saturating_sub(1);
                at = head.older;
            }
            members.with_map(MYSELF, |map| {
                let log = map.log_mut(log);
                (log.version, log.floor, log.told) = (count, 0, count);
            });
        }
        self.pace.begin(kept);
    }
}

fn deleted_for(config: &Config) -> u64 {
    DELETED_FOR * config.probe_period.max(1 << 20)
}

fn marks_of(class: Class) -> u8 {
    match class {
        Class::Bulk => 0,
        Class::Vital => VITAL,
        Class::Local => LOCAL,
    }
}

fn log_from(class: u8) -> usize {
    if class == mark_of(VITAL_LOG) { VITAL_LOG } else { BULK }
}

/// When something runs out that is written now, rounded up.
fn expiry(now: Instant, ttl: Duration) -> u32 {
    let at = now.after(micros(ttl).min(MOST_TTL)).as_micros();
    // 0 stands for never.
    ((at >> EXPIRY_UNIT).wrapping_add(1) as u32).max(1)
}

/// The time that is meant, within half of what can be told apart.
fn time_of(expires: u32, now: Instant) -> Instant {
    let ahead = expires.wrapping_sub((now.as_micros() >> EXPIRY_UNIT) as u32);
    if ahead > 1 << 31 {
        return now;
    }
    Instant::from_micros(((now.as_micros() >> EXPIRY_UNIT).saturating_add(u64::from(ahead))) << EXPIRY_UNIT)
}
