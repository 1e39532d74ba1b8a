//! This node's own map, and what it reads of others'.

use core::time::Duration;

use super::Node;
use crate::bytes::{copy, encode};
use crate::event::{CapacityError, Event};
use crate::key::{Entry, SetOptions, StateError, Version};
use crate::member::{Address, NodeId};
use crate::members::MYSELF;
use crate::state::{self, StateNews, Write};
use crate::storage::Storage;
use crate::time::Instant;

impl<A: Address, S: Storage> Node<A, S> {
    /// Writes a key of this node's own map, which every member can read within a few network latencies, and sooner or later
    /// through any loss that heals. Only this node writes it. Before [`start`](Self::start) it is kept until then.
    ///
    /// **Every member of the cluster can read it**, and whoever can send them datagrams can become one. What others must
    /// not see is of [`Class::Local`](crate::Class::Local), or is not written here.
    ///
    /// The key has 1 to [`max_key`](Self::max_key) bytes, the value at most [`max_value`](Self::max_value). An error means
    /// that nothing changed. To write what is there already costs nothing, and gives the version that it has. Later
    /// lives of this node keep the map, as they do seeds and topics; a restarted process brings it back by
    /// [`import`](Self::import), or writes it anew: its old map goes when it is known to live again.
    pub fn set(&mut self, now: Instant, key: &str, value: &[u8]) -> Result<Version, StateError> {
        self.set_with(now, key, value, SetOptions::DEFAULT)
    }

    /// The same, for so long: the key is then deleted, by this node and so everywhere.
    pub fn set_with_ttl(
        &mut self,
        now: Instant,
        key: &str,
        value: &[u8],
        ttl: Duration,
    ) -> Result<Version, StateError> {
        self.set_with(now, key, value, SetOptions::DEFAULT.with_ttl(ttl))
    }

    /// The same, with a class and a time to live.
    pub fn set_with(
        &mut self,
        now: Instant,
        key: &str,
        value: &[u8],
        options: SetOptions,
    ) -> Result<Version, StateError> {
        self.put(now, Write { key, options }, value.len(), |place| {
            copy(place, value);
            Ok(())
        })
    }

    /// Writes any serde value, as postcard encodes it; [`Entry::typed`] and [`get_typed`](Self::get_typed) read it. It is
    /// encoded twice: to see how long it is, and into its place. If that fails only the second time, as of a type whose
    /// encoding changes, nothing has changed, or, where there was no room for both, the key is deleted.
    pub fn set_typed<T: serde::Serialize + ?Sized>(
        &mut self,
        now: Instant,
        key: &str,
        value: &T,
        options: SetOptions,
    ) -> Result<Version, StateError> {
        let size = postcard::ser_flavors::Size::default();
        let len = postcard::serialize_with_flavor(value, size).map_err(|_| StateError::Type)?;
        self.put(now, Write { key, options }, len, |place| {
            if encode(value, place) == Some(len) { Ok(()) } else { Err(StateError::Type) }
        })
    }

    fn put(
        &mut self,
        now: Instant,
        write: Write<'_>,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), StateError>,
    ) -> Result<Version, StateError> {
        self.advance(now);
        let written = self.state.set(write, len, fill, &mut self.core);
        self.act();
        Ok(self.own_version(written?))
    }

    /// Deletes a key of this node's own map. Others are told for a minute at least; who was out of reach for longer finds it
    /// gone all the same. [`StateError::Unknown`] if there is no such key.
    pub fn delete(&mut self, now: Instant, key: &str) -> Result<Version, StateError> {
        self.advance(now);
        let deleted = self.state.delete(key, &mut self.core);
        self.act();
        Ok(self.own_version(deleted?))
    }

    fn own_version(&self, number: u32) -> Version {
        let life = self.core.members.myself().map_or(crate::Life { generation: 0, nonce: 0 }, |myself| myself.life);
        Version { life, number }
    }

    /// The longest key, in bytes: 63, or less where datagrams are shorter than 153 bytes.
    pub fn max_key(&self) -> usize {
        state::max_key(&self.core.config)
    }

    /// The longest value, in bytes, under a key of this many bytes: 64 KiB, or 64 datagrams' worth, or what there is room
    /// for.
    pub fn max_value(&self, key_len: usize) -> usize {
        self.state.max_value(key_len.min(self.max_key()), &self.core.config)
    }

    // Reading.

    /// A value of a member's map, borrowed from this node: one look-up in a table of as many buckets as there may be
    /// members. `None` if this node does not know the member or
    /// the key. What a member had that is down or has left can be read for
    /// [`Config::state_retention`](crate::Config::state_retention).
    pub fn get(&self, owner: NodeId, key: &str) -> Option<&[u8]> {
        self.entry(owner, key).map(|entry| entry.value())
    }

    /// The same with the version and the class.
    pub fn entry(&self, owner: NodeId, key: &str) -> Option<Entry<'_>> {
        let owner = if owner == self.id() { MYSELF } else { self.core.members.find(owner)? };
        self.state
            .find(owner, key.as_bytes(), &self.core.members)
            .and_then(|at| self.state.entry(at, &self.core.members))
    }

    /// A value as [`set_typed`](Self::set_typed) wrote it; an error if it is not of that type.
    pub fn get_typed<'n, T: serde::Deserialize<'n>>(&'n self, owner: NodeId, key: &str) -> Result<T, StateError> {
        self.entry(owner, key).ok_or(StateError::Unknown)?.typed()
    }

    /// All keys of a member's map, the latest first: vital ones, then the bulk, then of this node's own the local ones.
    pub fn entries(&self, owner: NodeId) -> impl Iterator<Item = Entry<'_>> {
        let owner = if owner == self.id() { Some(MYSELF) } else { self.core.members.find(owner) };
        owner.into_iter().flat_map(|owner| self.state.entries_of(owner, &self.core.members))
    }

    /// A key in the maps of all who have it: one look-up for each member that has a map.
    pub fn values<'n>(&'n self, key: &'n str) -> impl Iterator<Item = (NodeId, Entry<'n>)> {
        self.owners().filter_map(move |owner| Some((owner, self.entry(owner, key)?)))
    }

    /// All members that have a map here with anything in it, this node among them, in no particular order.
    pub fn owners(&self) -> impl Iterator<Item = NodeId> {
        let used = (0..self.core.members.map_slots()).filter(|index| self.core.members.map(*index).used > 0);
        let known = used
            .filter_map(|index| self.core.members.get(index).map(|record| record.id).or_else(|| self.nobody(index)));
        known.filter(|owner| self.entries(*owner).next().is_some())
    }

    /// This node before its first life.
    fn nobody(&self, index: u32) -> Option<NodeId> {
        (index == MYSELF).then(|| self.id())
    }

    /// Every key that any member has, once. Where many members have the same keys this is quick; where each has keys of its
    /// own, it costs a look-up for each key and member.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let of_owner = |(place, owner): (usize, NodeId)| self.entries(owner).map(move |entry| (place, entry.key()));
        let all = self.owners().enumerate().flat_map(of_owner);
        let first = |(place, key): &(usize, &str)| {
            !self.owners().take(*place).any(|earlier| self.entry(earlier, key).is_some())
        };
        all.filter(first).map(|(_, key)| key)
    }

    // Watching.

    /// Has changes of others' keys that begin with `prefix` told as events, from now on; with the empty prefix, of all. Four
    /// prefixes at most (2 in a [`Narrow`](crate::Narrow) node), of 63 bytes. A key that changes several times before events are polled is told once, as it is
    /// then. Deleted keys are remembered until they have been told: whoever watches, polls.
    pub fn watch(&mut self, prefix: &str) -> Result<(), CapacityError> {
        self.state.watch(prefix, &mut self.core.members)
    }

    /// Has them told no more.
    pub fn unwatch(&mut self, prefix: &str) {
        self.state.unwatch(prefix);
    }

    pub(super) fn state_event(&self, news: StateNews) -> Option<Event<'_, A>> {
        let at = match news {
            StateNews::Replaced(owner) => return Some(Event::MapReplaced { owner }),
            StateNews::Gone(owner) => return Some(Event::MapGone { owner }),
            StateNews::Set(at) | StateNews::Deleted(at) => at,
        };
        let (index, key) = self.state.owner_and_key(at)?;
        let owner = self.core.members.get(index)?.id;
        // A key is in two classes for a moment when its owner changes that: as long as it is in one, it is there, as it is
        // in that one.
        match self
            .state
            .find(index, key.as_bytes(), &self.core.members)
            .and_then(|at| self.state.entry(at, &self.core.members))
        {
            Some(entry) => Some(Event::KeySet { owner, entry }),
            None => Some(Event::KeyDeleted { owner, key }),
        }
    }

    // Keeping.

    /// Writes this node's own map into `buf`, for [`import`](Self::import) in a later process: how many bytes it took.
    /// `None` if that is too few; [`export_len`](Self::export_len) says how many it takes. Times to live are not kept.
    pub fn export(&self, buf: &mut [u8]) -> Option<usize> {
        let mut len = 0;
        for entry in self.entries(self.id()) {
            let kept = state::Kept { key: entry.key(), value: entry.value(), class: entry.class() };
            len += kept.write(buf.get_mut(len..)?)?;
        }
        Some(len)
    }

    /// How many bytes [`export`](Self::export) writes.
    pub fn export_len(&self) -> usize {
        let kept =
            |entry: Entry<'_>| state::Kept { key: entry.key(), value: entry.value(), class: entry.class() }.len();
        self.entries(self.id()).map(kept).sum()
    }

    /// Writes all keys of an exported map that this node's own does not have yet: how many. What is there stays. It stops at
    /// the first that cannot be written; those before it are. [`StateError::Type`] if the bytes are no such map.
    pub fn import(&mut self, now: Instant, exported: &[u8]) -> Result<usize, StateError> {
        let (mut rest, mut count) = (exported, 0);
        while !rest.is_empty() {
            let (kept, behind) = state::Kept::read(rest).ok_or(StateError::Type)?;
            if self.entry(self.id(), kept.key).is_none() {
                self.set_with(now, kept.key, kept.value, SetOptions::DEFAULT.with_class(kept.class))?;
                count += 1;
            }
            rest = behind;
        }
        Ok(count)
    }
}
