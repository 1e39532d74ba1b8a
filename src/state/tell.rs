//! What the application is told of others' maps: the difference between what is there and what it was told last.
//!
//! Of each log that is a version. Nothing is queued but the owners of the latest changes; if those are too many, all are
//! looked through. So events coalesce, and none is lost however late the application asks.

use heapless::String;

use super::State;
use super::store::{DELETED, Head};
use crate::event::CapacityError;
use crate::map::VITAL_LOG;
use crate::map::{At, BULK, NOWHERE};
use crate::member::{Address, NodeId};
use crate::members::{Index, MYSELF, Members};
use crate::stats::Stats;
use crate::storage::{FewData, FewOf, Storage};
use crate::wire::MAX_KEY;

/// The most prefixes that the application can watch.
const WATCHES: usize = 4;
const FEW_WATCHES: usize = 2;
/// Of how many owners it is remembered that they have something to tell.
const CHANGED: usize = 16;
const FEW_CHANGED: usize = 8;
/// How many that the table has forgotten are still to be told of.
const GONE: usize = 16;
const FEW_GONE: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Watches<S: Storage> {
    prefixes: FewData<S, String<MAX_KEY>, WATCHES, FEW_WATCHES>,
    changed: FewData<S, Index, CHANGED, FEW_CHANGED>,
    /// Others may have something to tell, from this one on.
    look: Option<Index>,
    gone: FewData<S, NodeId, GONE, FEW_GONE>,
    /// There was no room to remember that one is gone.
    lost: u32,
    /// The entry that was told last, as long as nothing has moved since: the next is often behind it.
    last: (At, u32),
}

/// Something to tell.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StateNews {
    Set(At),
    Deleted(At),
    Replaced(NodeId),
    Gone(NodeId),
}

impl<S: Storage> Watches<S> {
    pub(super) const NONE: Self = Watches {
        prefixes: FewOf::EMPTY,
        changed: FewOf::EMPTY,
        look: None,
        gone: FewOf::EMPTY,
        lost: 0,
        last: (NOWHERE, 0),
    };

    pub(super) fn reset(&mut self) {
        (self.changed, self.look) = (FewOf::EMPTY, None);
        (self.gone, self.lost, self.last) = (FewOf::EMPTY, 0, (NOWHERE, 0));
    }

    /// Whether the application wants to hear of anything.
    pub(super) fn any(&self) -> bool {
        !self.prefixes.is_empty()
    }

    fn wants(&self, key: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
    }

    pub(super) fn note_change(&mut self, owner: Index) {
        if owner == MYSELF || !self.any() || self.changed.contains(&owner) {
            return;
        }
        if self.changed.push(owner).is_err() {
            self.look = Some(1);
        }
    }

    /// A member with a map has been forgotten.
    pub(super) fn note_gone(&mut self, id: NodeId, told: bool) {
        if told && self.any() && self.gone.push(id).is_err() {
            self.lost = self.lost.saturating_add(1);
        }
    }
}

impl<S: Storage> State<S> {
    /// The application wants to hear of keys that begin so, from now on.
    pub(crate) fn watch<A: Address>(&mut self, prefix: &str, members: &mut Members<A, S>) -> Result<(), CapacityError> {
        let held = self.watches.prefixes.iter().any(|held| held == prefix);
        if held {
            return Ok(());
        }
        let fresh = String::try_from(prefix).map_err(|_| CapacityError)?;
        if !self.watches.any() {
            for index in 1..members.map_slots() {
                members.with_map(index, |map| map.logs.iter_mut().for_each(|log| log.told = log.version));
            }
        }
        self.watches.prefixes.push(fresh).map_err(|_| CapacityError)
    }

    pub(crate) fn unwatch(&mut self, prefix: &str) {
        self.watches.prefixes.retain(|held| held != prefix);
        if !self.watches.any() {
            self.watches.reset();
        }
    }

    /// What there is to tell next, which then counts as told.
    pub(crate) fn next_news<A: Address>(
        &mut self,
        members: &mut Members<A, S>,
        stats: &mut Stats,
    ) -> Option<StateNews> {
        if !self.watches.any() {
            return None;
        }
        stats.maps_lost = stats.maps_lost.wrapping_add(core::mem::take(&mut self.watches.lost).into());
        if let Some(id) = self.watches.gone.pop() {
            return Some(StateNews::Gone(id));
        }
        loop {
            let owner = match self.watches.changed.first() {
                Some(owner) => *owner,
                None => self.next_changed(members)?,
            };
            if let Some(news) = self.news_of(owner, members) {
                return Some(news);
            }
            self.watches.changed.retain(|held| *held != owner);
        }
    }

    /// The next owner with something to tell, if there are any but those that are remembered.
    fn next_changed<A: Address>(&mut self, members: &Members<A, S>) -> Option<Index> {
        let from = self.watches.look?;
        let untold = |index: &Index| {
            let map = members.map(*index);
            map.replaced || map.logs.iter().any(|log| log.told < log.version)
        };
        self.watches.look = (from..members.map_slots()).find(untold);
        self.watches.look
    }

    fn news_of<A: Address>(&mut self, owner: Index, members: &mut Members<A, S>) -> Option<StateNews> {
        let map = *members.map(owner);
        if map.replaced {
            members.with_map(owner, |map| map.replaced = false);
            let id = members.get(owner)?.id;
            return Some(if members.is_live(owner) { StateNews::Replaced(id) } else { StateNews::Gone(id) });
        }
        for log in [VITAL_LOG, BULK] {
            let held = *map.log(log);
            let mut told = held.told;
            while let Some((at, head)) =
                self.behind(held.last, told).filter(|(_, head)| told < held.version && head.version <= held.version)
            {
                told = head.version;
                self.watches.last = (at, self.store.moves());
                if self.watches.wants(self.store.key(at)) {
                    members.with_map(owner, |map| map.log_mut(log).told = told);
                    return Some(if head.is(DELETED) { StateNews::Deleted(at) } else { StateNews::Set(at) });
                }
            }
            members.with_map(owner, |map| map.log_mut(log).told = held.version);
        }
        None
    }

    /// The first entry behind this version of the log that ends there.
    fn behind(&self, last: At, version: u32) -> Option<(At, Head)> {
        let end = self.store.get(last)?;
        let (told, moves) = self.watches.last;
        let hint = self.store.get(told).filter(|_| moves == self.store.moves()).filter(|head| {
            let same = head.owner == end.owner && head.is_vital() == end.is_vital() && head.is_listed();
            same && head.version == version && version > 0
        });
        match hint {
            Some(head) => Some((head.newer, self.store.get(head.newer)?)),
            None => self.first_behind(last, version),
        }
    }
}
