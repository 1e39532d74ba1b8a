//! The entries of all maps: one stretch of bytes, in which they lie in no order that matters.
//!
//! Each entry is in the list of its log, oldest first by version, and in the chain of a bucket, by which it is found in
//! constant time. What is replaced leaves a hole. When holes take much, or there is no other room, everything moves up.
//!
//! The buckets are keyed with a secret, or an owner could choose keys that all stand in one.

use crate::bytes;
use crate::hash::Sip;
use crate::map::{At, NOWHERE};
use crate::members::Index;
use crate::storage::{List, Storage};

/// The bytes before each key.
pub(crate) const HEADER: usize = 24;
/// Between it and the key, of those that run out or came in pieces.
const EXTRA: usize = 8;

/// A hole.
const HOLE: u8 = 1 << 0;
/// In the log that goes first.
pub(crate) const VITAL: u8 = 1 << 1;
/// It was deleted; the key is kept so that others hear of it.
pub(crate) const DELETED: u8 = 1 << 2;
/// It is not for others.
pub(crate) const LOCAL: u8 = 1 << 3;
/// Not whole yet: in no list and no bucket.
pub(crate) const PARTIAL: u8 = 1 << 4;
/// There are more fields.
const EXTENDED: u8 = 1 << 5;
/// A rebuild has found it to be there still.
pub(crate) const CONFIRMED: u8 = 1 << 6;

/// An entry without its key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The entry with the next greater version in the same log.
    pub(crate) newer: At,
    pub(crate) older: At,
    /// The next in the same bucket.
    pub(crate) chain: At,
    pub(crate) version: u32,
    /// Whose it is.
    pub(crate) owner: Index,
    pub(crate) marks: u8,
    pub(crate) key_len: u8,
    /// How long the value is.
    pub(crate) len: u32,
    /// Of this node's own: when it runs out, in units of 2^16 us, wrapping; 0 if never.
    pub(crate) expires: u32,
    /// Into how many pieces the value is cut on its way.
    pub(crate) pieces: u8,
}

impl Head {
    pub(crate) fn new(owner: Index, version: u32, marks: u8, len: usize) -> Self {
        let (newer, older, chain) = (NOWHERE, NOWHERE, NOWHERE);
        Head { newer, older, chain, version, owner, marks, key_len: 0, len: len as u32, expires: 0, pieces: 1 }
    }

    pub(crate) fn is(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Whether it is in the list of its log.
    pub(crate) fn is_listed(&self) -> bool {
        self.marks & (HOLE | PARTIAL | LOCAL) == 0
    }

    fn before_key(&self) -> usize {
        HEADER + if self.expires != 0 || self.pieces > 1 { EXTRA } else { 0 }
    }

    /// How many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.before_key() + usize::from(self.key_len) + self.len as usize
    }

    /// Which of the logs it is in.
    pub(crate) fn is_vital(&self) -> bool {
        self.is(VITAL)
    }

    fn words(&self) -> [u32; HEADER / 4] {
        let marks = self.marks & !EXTENDED | if self.before_key() > HEADER { EXTENDED } else { 0 };
        let owner = self.owner & 0xff_ffff | u32::from(marks) << 24;
        let len = self.len & 0xff_ffff | u32::from(self.key_len) << 24;
        [self.newer, self.older, self.chain, self.version, owner, len]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Store<S: Storage> {
    bytes: S::State,
    /// The first entry of each bucket.
    buckets: S::DataPerMember<At>,
    key: u64,
    /// How many bytes are holes.
    holes: u32,
    /// At least the most that entries have ever taken: memory is asked for only when that grows.
    highest: u32,
    /// How often all moved up or the end was cut off, wrapping.
    moves: u32,
}

impl<S: Storage> Store<S> {
    pub(crate) const fn new(bytes: S::State, buckets: S::DataPerMember<At>) -> Self {
        Store { bytes, buckets, key: 0, holes: 0, highest: 0, moves: 0 }
    }

    /// The most bytes that entries may take.
    pub(crate) fn limit(&self) -> usize {
        self.bytes.limit()
    }

    /// Changes when something else may be where an entry was.
    pub(crate) fn moves(&self) -> u32 {
        self.moves
    }

    /// How many they take.
    pub(crate) fn used(&self) -> usize {
        self.bytes.all().len() - self.holes as usize
    }

    // Looking.

    pub(crate) fn get(&self, at: At) -> Option<Head> {
        let (front, rest) = self.bytes.all().get(at as usize..)?.split_first_chunk::<HEADER>()?;
        let mut words = front.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let mut word = || words.next().unwrap_or(0);
        let (newer, older, chain, version, owner, len) = (word(), word(), word(), word(), word(), word());
        let marks = (owner >> 24) as u8;
        let (mut expires, mut pieces) = (0, 1);
        if marks & EXTENDED != 0 {
            let extra = rest.first_chunk::<EXTRA>()?;
            let [a, b, c, d, count, ..] = *extra;
            (expires, pieces) = (u32::from_le_bytes([a, b, c, d]), count);
        }
        let marks = marks & !EXTENDED;
        let (owner, key_len, len) = (owner & 0xff_ffff, (len >> 24) as u8, len & 0xff_ffff);
        Some(Head { newer, older, chain, version, owner, marks, key_len, len, expires, pieces })
    }

    pub(crate) fn key(&self, at: At) -> &[u8] {
        self.part(at, |head| (head.before_key(), usize::from(head.key_len)))
    }

    pub(crate) fn value(&self, at: At) -> &[u8] {
        self.part(at, |head| (head.before_key() + usize::from(head.key_len), head.len as usize))
    }

    fn part(&self, at: At, place: impl Fn(&Head) -> (usize, usize)) -> &[u8] {
        let (start, len) = self.get(at).as_ref().map_or((0, 0), place);
        let start = at as usize + start;
        self.bytes.all().get(start..start + len).unwrap_or(&[])
    }

    /// Where an owner's entry of this key is in one of its logs, the deleted included.
    pub(crate) fn find(&self, owner: Index, class: u8, key: &[u8]) -> Option<At> {
        self.find_if(owner, class, key, |_, _| true)
    }

    /// Where there is another entry of the key.
    pub(crate) fn find_other(&self, owner: Index, class: u8, key: &[u8], than: At) -> Option<At> {
        self.find_if(owner, class, key, |at, _| at != than)
    }

    /// Where there is an entry of the key that is wanted.
    pub(crate) fn find_if(
        &self,
        owner: Index,
        class: u8,
        key: &[u8],
        wanted: impl Fn(At, &Head) -> bool,
    ) -> Option<At> {
        let mut at = *self.buckets.all().get(self.bucket(owner, class, key))?;
        while let Some(head) = self.get(at) {
            let same = head.owner == owner && head.marks & (VITAL | LOCAL) == class;
            if same && wanted(at, &head) && self.key(at) == key {
                return Some(at);
            }
            at = head.chain;
        }
        None
    }

    fn bucket(&self, owner: Index, class: u8, key: &[u8]) -> usize {
        let hash = Sip::new(self.key, u64::from(owner) << 8 | u64::from(class)).bytes(key).finish();
        (((hash >> 32) * self.buckets.all().len() as u64) >> 32) as usize
    }

    /// How many stand in each bucket.
    #[cfg(test)]
    pub(crate) fn chains(&self) -> impl Iterator<Item = usize> {
        let next = |at: &At| self.get(*at).map(|head| head.chain).filter(|at| *at != NOWHERE);
        let length = move |first: At| core::iter::successors(Some(first).filter(|at| *at != NOWHERE), next).count();
        self.buckets.all().iter().copied().map(length)
    }

    // Changing.

    /// Changes what is said of an entry; its length stays.
    pub(crate) fn set(&mut self, at: At, head: Head) {
        let start = at as usize;
        let Some(place) = self.bytes.all_mut().get_mut(start..start + HEADER) else { return };
        for (place, word) in place.chunks_exact_mut(4).zip(head.words()) {
            bytes::copy(place, &word.to_le_bytes());
        }
    }

    fn change(&mut self, at: At, change: impl FnOnce(&mut Head)) {
        if let Some(mut head) = self.get(at) {
            change(&mut head);
            self.set(at, head);
        }
    }

    /// Whether an entry of this size could be added now, holes included.
    pub(crate) fn has_room(&self, size: usize) -> bool {
        self.used() + size <= self.limit()
    }

    /// Adds an entry that is in no list yet, its value all zeros; `moved` hears of those that moved for it. `None` if there
    /// is no room, and nothing changed.
    pub(crate) fn push(&mut self, head: Head, key: &[u8], moved: impl FnMut(&Head, At, At)) -> Option<At> {
        let head = Head { key_len: u8::try_from(key.len()).ok()?, ..head };
        let size = head.size();
        if !self.has_room(size) {
            return None;
        }
        self.prepare();
        if self.bytes.all().len() + size > self.bound(size) {
            self.move_up(moved);
        }
        let at = self.bytes.all().len();
        if !self.bytes.resize(at + size) {
            return None;
        }
        self.set(at as At, head);
        let before_key = head.before_key();
        let extra =
            self.bytes.all_mut().get_mut(at + HEADER..at + before_key).and_then(|extra| extra.split_first_chunk_mut());
        if let Some((expires, rest)) = extra {
            *expires = head.expires.to_le_bytes();
            if let Some(count) = rest.first_mut() {
                *count = head.pieces;
            }
        }
        bytes::copy(self.bytes.all_mut().get_mut(at + before_key..at + before_key + key.len())?, key);
        Some(at as At)
    }

    /// How many bytes may be used, holes included, before all moves up: so many more than entries ever took that each byte
    /// moves four times in its life or so, and that the buckets are not made anew for a few.
    fn bound(&mut self, size: usize) -> usize {
        let (used, highest) = (self.used() + size, self.highest as usize);
        let slack = |highest: usize| highest / 4 + self.buckets.all().len();
        if used <= highest {
            return (highest + slack(highest)).min(self.limit());
        }
        let highest = used.max(highest + highest / 8).min(self.limit());
        let (bound, len) = ((highest + slack(highest)).min(self.limit()), self.bytes.all().len());
        self.highest = highest as u32;
        if self.bytes.resize(bound.max(len)) {
            self.bytes.truncate(len);
        }
        bound
    }

    /// The bytes of a value, to be filled in.
    pub(crate) fn value_mut(&mut self, at: At) -> &mut [u8] {
        let Some(head) = self.get(at) else { return &mut [] };
        let start = at as usize + head.before_key() + usize::from(head.key_len);
        self.bytes.all_mut().get_mut(start..start + head.len as usize).unwrap_or(&mut [])
    }

    /// Puts an entry into the list that ends with `last`, in order of version, and into its bucket; the new end.
    pub(crate) fn link(&mut self, at: At, last: At) -> At {
        let Some(head) = self.get(at) else { return last };
        let (mut newer, mut older) = (NOWHERE, last);
        while let Some(held) = self.get(older).filter(|held| held.version > head.version) {
            (newer, older) = (older, held.older);
        }
        self.change(newer, |held| held.older = at);
        self.change(older, |held| held.newer = at);
        self.set(at, Head { newer, older, ..head });
        self.link_bucket(at);
        if newer == NOWHERE { at } else { last }
    }

    fn link_bucket(&mut self, at: At) {
        let Some(head) = self.get(at) else { return };
        let bucket = self.bucket(head.owner, head.marks & (VITAL | LOCAL), self.key(at));
        if let Some(first) = self.buckets.all_mut().get_mut(bucket) {
            let chain = core::mem::replace(first, at);
            self.change(at, |head| head.chain = chain);
        }
    }

    /// Takes an entry out of its list, which ended with `last`, and out of its bucket, and leaves a hole; the new end.
    pub(crate) fn remove(&mut self, at: At, last: At) -> At {
        let Some(head) = self.get(at) else { return last };
        if !head.is(PARTIAL) {
            self.change(head.newer, |held| held.older = head.older);
            self.change(head.older, |held| held.newer = head.newer);
            self.unlink_bucket(at, &head);
        }
        self.set(at, Head { marks: HOLE, newer: NOWHERE, older: NOWHERE, ..head });
        self.holes += head.size() as u32;
        if at as usize + head.size() == self.bytes.all().len() {
            self.bytes.truncate(at as usize);
            self.holes -= head.size() as u32;
            self.moves = self.moves.wrapping_add(1);
        }
        if last == at { head.older } else { last }
    }

    fn unlink_bucket(&mut self, at: At, head: &Head) {
        let bucket = self.bucket(head.owner, head.marks & (VITAL | LOCAL), self.key(at));
        let mut before = self.buckets.all().get(bucket).copied().unwrap_or(NOWHERE);
        if before == at {
            if let Some(first) = self.buckets.all_mut().get_mut(bucket) {
                *first = head.chain;
            }
            return;
        }
        while let Some(held) = self.get(before) {
            if held.chain == at {
                return self.change(before, |held| held.chain = head.chain);
            }
            before = held.chain;
        }
    }

    /// Puts all entries into the buckets that another secret makes.
    pub(crate) fn rekey(&mut self, key: u64) {
        self.key = key;
        self.buckets.all_mut().fill(NOWHERE);
        let mut at = 0;
        while let Some(head) = self.get(at) {
            if !head.is(HOLE | PARTIAL) {
                self.link_bucket(at);
            }
            at += head.size() as At;
        }
    }

    /// Closes all holes.
    fn move_up(&mut self, mut moved: impl FnMut(&Head, At, At)) {
        let (mut from, mut to) = (0, 0);
        self.buckets.all_mut().fill(NOWHERE);
        while let Some(head) = self.get(from) {
            let size = head.size() as At;
            if !head.is(HOLE) {
                self.slide(from, to, size);
                self.change(head.newer, |held| held.older = to);
                self.change(head.older, |held| held.newer = to);
                if !head.is(PARTIAL) {
                    self.link_bucket(to);
                }
                moved(&head, from, to);
                to += size;
            }
            from += size;
        }
        self.bytes.truncate(to as usize);
        (self.holes, self.moves) = (0, self.moves.wrapping_add(1));
    }

    fn slide(&mut self, from: At, to: At, size: At) {
        let (from, to, size) = (from as usize, to as usize, size as usize);
        bytes::slide(self.bytes.all_mut(), from, to, size);
    }

    /// Makes the buckets, once.
    fn prepare(&mut self) {
        if self.buckets.all().is_empty() {
            while self.buckets.push(NOWHERE) {}
        }
    }
}
