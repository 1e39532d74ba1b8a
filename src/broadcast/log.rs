//! The messages themselves: one stretch of bytes in which they lie in the order in which they came.
//!
//! It serves four purposes with one copy: what is under way is sent from here, what the application has not read yet
//! waits here, pieces are put together here, and what others missed is given to them from here. When there is no room,
//! the oldest go that nobody needs, an eighth of all at a time, and the rest moves up: each byte is then moved eight
//! times at most in its life, and every payload is in one piece.
//!
//! A message is found by the chain of a bucket, so that no datagram has this node look through all of them. Broadcasts stand
//! in the bucket of 64 numbers of their origin, of which whoever lacks some asks for as many at a time; direct messages that
//! are not whole in that of their sender. The buckets are keyed with a secret, or numbers could be chosen that make a chain
//! long.

use core::ops::Range;

use heapless::Vec;

use crate::bytes;
use crate::hash::Sip;
use crate::member::NodeId;
use crate::storage::{List, Storage};
use crate::wire::MOST_PIECES;

/// Where a message begins.
pub(crate) type At = u32;
/// Nowhere.
const NOWHERE: At = At::MAX;
/// The logarithm of how many numbers of an origin share a bucket.
const BLOCK: u32 = 6;
/// The most blocks in which a range of numbers is looked for; of more, all messages are looked at.
const MOST_BLOCKS: u32 = 8;
/// For how many bytes of messages there is a bucket.
const BYTES_A_BUCKET: usize = 256;
/// More messages than have a piece among 64 neighbouring numbers, unless some are held twice.
const MOST_ASKED: usize = 96;

/// The bytes before each payload.
pub(crate) const HEADER: usize = 40;

/// A message without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Who sent it, and which life of it.
    pub(crate) origin: NodeId,
    pub(crate) tag: u32,
    /// The number of the first piece among all that the origin has broadcast; if it is direct, the number of the message.
    pub(crate) seq: u32,
    pub(crate) topic: u32,
    pub(crate) len: u32,
    /// Which pieces have come.
    pub(crate) came: u32,
    pub(crate) pieces: u8,
    pub(crate) form: u8,
    pub(crate) marks: u8,
    /// How many nodes it went through.
    pub(crate) hops: u8,
}

/// The application is to be told of it, and has not been.
pub(crate) const UNTOLD: u8 = 1 << 0;
/// It was sent to this node alone, or by it to some.
pub(crate) const DIRECT: u8 = 1 << 1;
/// It is to be told in its turn among the origin's.
pub(crate) const ORDERED: u8 = 1 << 2;
/// Nothing of it is needed any more.
pub(crate) const DONE: u8 = 1 << 3;

impl Entry {
    /// How many bytes it takes.
    pub(crate) fn size(&self) -> u32 {
        HEADER as u32 + self.len
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn is_complete(&self) -> bool {
        self.came.count_ones() >= u32::from(self.pieces)
    }

    pub(crate) fn is(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// The number of the last piece.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn last(&self) -> u32 {
        self.seq.saturating_add(u32::from(self.pieces).saturating_sub(1))
    }

    /// Whether it is, or has as a piece, the broadcast of this number.
    pub(crate) fn has(&self, origin: NodeId, tag: u32, seq: u32) -> bool {
        self.origin == origin && self.tag == tag && !self.is(DIRECT) && (self.seq..=self.last()).contains(&seq)
    }

    /// The bytes of a piece within the payload: all pieces are of one length, but for the last.
    pub(crate) fn range(&self, piece: u8) -> Range<usize> {
        let (len, each) = (self.len as usize, piece_len(self.len, self.pieces));
        let start = (usize::from(piece) * each).min(len);
        start..(start + each).min(len)
    }

    /// What its bucket is made of, if it is in one.
    fn chained_by(&self) -> Option<u64> {
        match self.is(DIRECT) {
            false => Some(block(self.tag, self.seq >> BLOCK)),
            true => (!self.is_complete()).then(|| block(self.tag, u32::MAX)),
        }
    }

    fn to_bytes(self, chain: At, before: u32) -> [u8; HEADER] {
        let words = [chain, before, self.tag, self.seq, self.topic, self.len, self.came];
        let mut bytes = [0; HEADER];
        let (front, rest) = bytes.split_at_mut(4 * words.len());
        for (place, word) in front.chunks_exact_mut(4).zip(words) {
            bytes::copy(place, &word.to_le_bytes());
        }
        let (id, small) = rest.split_at_mut(8);
        bytes::copy(id, &self.origin.get().to_le_bytes());
        bytes::copy(small, &[self.pieces, self.form, self.marks, self.hops]);
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER]) -> (Self, u32, u32) {
        let (front, rest) = bytes.split_at(28);
        let mut words = front.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
        let mut word = || words.next().unwrap_or(0);
        let (chain, before, tag, seq, topic, len, came) = (word(), word(), word(), word(), word(), word(), word());
        let origin = NodeId::new(rest.first_chunk::<8>().map_or(0, |id| u64::from_le_bytes(*id)));
        let [pieces, form, marks, hops] = rest.last_chunk::<4>().copied().unwrap_or_default();
        (Entry { origin, tag, seq, topic, len, came, pieces, form, marks, hops }, chain, before)
    }
}

/// How far a search for an origin's broadcasts has come.
struct Search {
    origin: NodeId,
    tag: u32,
    /// The first and the last number.
    numbers: (u32, u32),
    /// The blocks of numbers that are still to be looked into.
    blocks: Range<u32>,
    /// The one that is; `None` if all messages are looked at.
    block: Option<u32>,
    next: At,
}

impl Search {
    fn finds(&self, entry: &Entry) -> bool {
        let (first, last) = self.numbers;
        let own = entry.origin == self.origin && entry.tag == self.tag && !entry.is(DIRECT);
        let in_block = self.block.is_none_or(|numbers| entry.seq >> BLOCK == numbers);
        own && in_block && entry.seq <= last && first <= entry.last()
    }
}

/// What stands for some numbers of a life, or for its direct messages.
fn block(tag: u32, numbers: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(numbers)
}

/// How long each piece but the last is.
fn piece_len(len: u32, pieces: u8) -> usize {
    (len as usize).div_ceil(usize::from(pieces).max(1))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log<S: Storage> {
    bytes: S::Bytes,
    /// The newest message of each bucket.
    buckets: S::DataPerMember<At>,
    key: u64,
    /// Where the last message begins.
    last: At,
    /// How many of the messages are untold, complete or not.
    untold: u32,
    /// All before this one have been told.
    told: At,
}

impl<S: Storage> Log<S> {
    pub(crate) const fn new(bytes: S::Bytes, buckets: S::DataPerMember<At>) -> Self {
        Log { bytes, buckets, key: 0, last: 0, untold: 0, told: 0 }
    }

    /// Forgets all, and begins with another secret.
    pub(crate) fn clear(&mut self, key: u64) {
        self.bytes.clear();
        self.buckets.all_mut().fill(NOWHERE);
        self.key = key;
        (self.last, self.untold, self.told) = (0, 0, 0);
    }

    /// The longest payload that there could ever be room for.
    pub(crate) fn limit(&self) -> usize {
        self.bytes.limit()
    }

    /// The longest payload that there is ever room for.
    pub(crate) fn most(&self) -> usize {
        self.bytes.limit().saturating_sub(HEADER)
    }

    /// Whether there could ever be room for a payload of this length.
    pub(crate) fn can_hold(&self, len: usize) -> bool {
        len.checked_add(HEADER).is_some_and(|size| size <= self.bytes.limit())
    }

    pub(crate) fn has_untold(&self) -> bool {
        self.untold > 0
    }

    // Looking.

    /// A message, the next in its bucket, and how far back the one before it begins.
    fn header(&self, at: At) -> Option<(Entry, At, u32)> {
        let start = at as usize;
        let bytes = self.bytes.all().get(start..start + HEADER)?;
        Some(Entry::from_bytes(bytes.try_into().ok()?))
    }

    pub(crate) fn get(&self, at: At) -> Option<Entry> {
        self.header(at).map(|(entry, ..)| entry)
    }

    pub(crate) fn payload(&self, at: At) -> &[u8] {
        let start = at as usize + HEADER;
        let len = self.get(at).map_or(0, |entry| entry.len as usize);
        self.bytes.all().get(start..start + len).unwrap_or(&[])
    }

    /// All, the oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (At, Entry)> {
        self.from(0)
    }

    /// Those of which the application is to be told and has not been, the oldest first.
    pub(crate) fn untold(&self) -> impl Iterator<Item = (At, Entry)> {
        self.from(self.told).filter(|(_, entry)| entry.is(UNTOLD))
    }

    /// Those from this one on, which is where one begins.
    pub(crate) fn from(&self, mut next: At) -> impl Iterator<Item = (At, Entry)> {
        core::iter::from_fn(move || {
            let (at, entry) = (next, self.get(next)?);
            next += entry.size();
            Some((at, entry))
        })
    }

    /// All, the newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (At, Entry)> {
        let mut next = (!self.bytes.all().is_empty()).then_some(self.last);
        core::iter::from_fn(move || {
            let at = next?;
            let (entry, _, before) = self.header(at)?;
            next = (at > 0).then(|| at.saturating_sub(before));
            Some((at, entry))
        })
    }

    /// The newest message of an origin of which this broadcast is a part.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn find(&self, origin: NodeId, tag: u32, seq: u32) -> Option<(At, Entry)> {
        self.of_origin(origin, tag, (seq, seq)).max_by_key(|(at, _)| *at)
    }

    /// An origin's broadcasts that have a part among these numbers, in no order. Of a range that is not short all messages are
    /// looked at.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn of_origin(
        &self,
        origin: NodeId,
        tag: u32,
        (first, last): (u32, u32),
    ) -> impl Iterator<Item = (At, Entry)> {
        let (low, high) = (first.saturating_sub(u32::from(MOST_PIECES) - 1) >> BLOCK, last >> BLOCK);
        let few = high.saturating_sub(low) < MOST_BLOCKS;
        let (blocks, next) = if few { (low..high + 1, NOWHERE) } else { (0..0, 0) };
        let mut search = Search { origin, tag, numbers: (first, last), blocks, block: None, next };
        core::iter::from_fn(move || self.step(&mut search))
    }

    /// The next that is found.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn step(&self, search: &mut Search) -> Option<(At, Entry)> {
        loop {
            let at = search.next;
            let Some((entry, chain, _)) = self.header(at) else {
                let numbers = search.blocks.next()?;
                (search.block, search.next) = (Some(numbers), self.first_of(search.origin, block(search.tag, numbers)));
                continue;
            };
            search.next = if search.block.is_some() { chain } else { at + entry.size() };
            if search.finds(&entry) {
                return Some((at, entry));
            }
        }
    }

    /// Where the messages are that have a part among these and the next 63, the oldest first.
    pub(crate) fn asked(&self, origin: NodeId, tag: u32, first: u32) -> Vec<At, MOST_ASKED> {
        let mut held = Vec::new();
        for (at, _) in self.of_origin(origin, tag, (first, first.saturating_add(63))) {
            let place = held.iter().position(|other| *other > at).unwrap_or(held.len());
            let _ = held.insert(place, at);
        }
        held
    }

    /// The direct messages of a sender that are not whole.
    pub(crate) fn torn_directs(&self, origin: NodeId, tag: u32) -> impl Iterator<Item = (At, Entry)> {
        let of_sender = move |entry: &Entry| entry.is(DIRECT) && entry.origin == origin && entry.tag == tag;
        self.chain(origin, block(tag, u32::MAX)).filter(move |(_, entry)| of_sender(entry) && !entry.is_complete())
    }

    /// What stands in the bucket of these numbers of an origin, and of others.
    fn chain(&self, origin: NodeId, block: u64) -> impl Iterator<Item = (At, Entry)> {
        let mut next = self.first_of(origin, block);
        core::iter::from_fn(move || {
            let (at, (entry, chain, _)) = (next, self.header(next)?);
            next = chain;
            Some((at, entry))
        })
    }

    /// The most that stand in one bucket.
    #[cfg(test)]
    pub(crate) fn longest_chain(&self) -> usize {
        let length = |first: &At| {
            let next = |at: &At| self.header(*at).map(|(_, chain, _)| chain);
            core::iter::successors(Some(*first), next).count() - 1
        };
        self.buckets.all().iter().map(length).max().unwrap_or(0)
    }

    fn first_of(&self, origin: NodeId, block: u64) -> At {
        self.buckets.all().get(self.bucket(origin, block)).copied().unwrap_or(NOWHERE)
    }

    fn bucket(&self, origin: NodeId, block: u64) -> usize {
        let hash = Sip::new(self.key, origin.get()).word(block).finish();
        (((hash >> 32) * self.buckets.all().len() as u64) >> 32) as usize
    }

    // Changing.

    /// Changes what is said of a message; its length and its place stay.
    pub(crate) fn set(&mut self, at: At, entry: Entry) {
        let Some((old, chain, before)) = self.header(at) else { return };
        let entry = Entry { len: old.len, ..entry };
        let moves = (old.origin, old.chained_by()) != (entry.origin, entry.chained_by());
        if moves {
            self.unlink(at, &old, chain);
        }
        self.untold = self.untold + u32::from(entry.is(UNTOLD)) - u32::from(old.is(UNTOLD));
        if entry.is(UNTOLD) {
            self.told = self.told.min(at);
        }
        self.write(at, entry, chain, before);
        if moves {
            self.link(at, entry, before);
        }
    }

    fn write(&mut self, at: At, entry: Entry, chain: At, before: u32) {
        let start = at as usize;
        if let Some(place) = self.bytes.all_mut().get_mut(start..start + HEADER) {
            bytes::copy(place, &entry.to_bytes(chain, before));
        }
    }

    /// Writes a message, and puts it into its bucket.
    fn link(&mut self, at: At, entry: Entry, before: u32) {
        let bucket = entry.chained_by().map(|block| self.bucket(entry.origin, block));
        let first = bucket.and_then(|bucket| self.buckets.all_mut().get_mut(bucket));
        let chain = first.map_or(NOWHERE, |first| core::mem::replace(first, at));
        self.write(at, entry, chain, before);
    }

    /// Takes a message out of its bucket.
    fn unlink(&mut self, at: At, entry: &Entry, chain: At) {
        let Some(block) = entry.chained_by() else { return };
        let bucket = self.bucket(entry.origin, block);
        let mut held = self.buckets.all().get(bucket).copied().unwrap_or(NOWHERE);
        if held == at {
            self.buckets.all_mut().get_mut(bucket).into_iter().for_each(|first| *first = chain);
            return;
        }
        while let Some((other, next, before)) = self.header(held) {
            if next == at {
                return self.write(held, other, chain, before);
            }
            held = next;
        }
    }

    /// Puts bytes into a message's payload; false if they do not fit there.
    pub(crate) fn fill(&mut self, at: At, range: Range<usize>, bytes: &[u8]) -> bool {
        let start = at as usize + HEADER;
        let len = self.get(at).map_or(0, |entry| entry.len as usize);
        let place = self.bytes.all_mut().get_mut(start..start + len).and_then(|payload| payload.get_mut(range));
        match place {
            Some(place) if place.len() == bytes.len() => {
                bytes::copy(place, bytes);
                true
            }
            _ => false,
        }
    }

    /// Adds a message, its payload all zeros. There must be room: see [`make_room`](Self::make_room).
    pub(crate) fn push(&mut self, entry: Entry) -> Option<At> {
        let (at, size) = (self.bytes.all().len(), HEADER + entry.len as usize);
        if !self.bytes.resize(at + size) {
            return None;
        }
        let before = if at == 0 { 0 } else { at as u32 - self.last };
        if self.buckets.all().is_empty() {
            let most = self.bytes.limit() / BYTES_A_BUCKET;
            while self.buckets.all().len() <= most && self.buckets.push(NOWHERE) {}
        }
        self.link(at as At, entry, before);
        self.untold += u32::from(entry.is(UNTOLD));
        self.last = at as At;
        Some(self.last)
    }

    /// Passes over those in the beginning that have been told.
    pub(crate) fn skip_told(&mut self) {
        while let Some(entry) = self.get(self.told).filter(|entry| !entry.is(UNTOLD)) {
            self.told += entry.size();
        }
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.bytes.limit() - self.bytes.all().len() >= HEADER + len
    }

    /// Makes room for a payload of this length by letting go the oldest that may go, and with them enough others that it
    /// need not be done again soon. Whether there is room now; if there could not be, nothing changed.
    ///
    /// `stays` says what is still needed; `lost` hears of those that go untold, and `moved` where the others are now.
    pub(crate) fn make_room(
        &mut self,
        len: usize,
        stays: impl Fn(At, &Entry) -> bool,
        mut lost: impl FnMut(Entry),
        mut moved: impl FnMut(At, At),
    ) -> bool {
        let free = self.bytes.limit() - self.bytes.all().len();
        let needed = (HEADER + len).saturating_sub(free);
        if needed == 0 {
            return true;
        }
        let wanted = needed.max(self.bytes.limit() / 8);
        let (mut told, mut untold) = (0, 0);
        for (_, entry) in self.all().filter(|(at, entry)| !stays(*at, entry)) {
            *(if entry.is(UNTOLD) { &mut untold } else { &mut told }) += entry.size() as usize;
            // Most often the oldest are enough.
            if told >= wanted {
                break;
            }
        }
        if told + untold < needed {
            return false;
        }
        // What the application has not read goes only where nothing else would make room.
        let mut quota = [wanted.min(told), needed.saturating_sub(told)];
        let (mut from, mut to, mut before) = (0, 0, 0);
        self.buckets.all_mut().fill(NOWHERE);
        while let Some(entry) = self.get(from) {
            let size = entry.size();
            let left = quota.get_mut(usize::from(entry.is(UNTOLD)));
            if let Some(left) = left.filter(|left| **left > 0 && !stays(from, &entry)) {
                *left = left.saturating_sub(size as usize);
                self.untold -= u32::from(entry.is(UNTOLD));
                if entry.is(UNTOLD) {
                    lost(entry);
                }
            } else {
                bytes::slide(self.bytes.all_mut(), from as usize, to as usize, size as usize);
                self.link(to, entry, before);
                moved(from, to);
                (self.last, before) = (to, size);
                to += size;
            }
            from += size;
        }
        self.last = if to == 0 { 0 } else { self.last };
        self.told = 0;
        self.bytes.truncate(to as usize);
        true
    }
}
