//! How far this node has come with each member's map: a table of its own beside the slots, which grows only when members
//! have maps.

use super::{Index, Members};
use crate::map::{At, Map};
use crate::member::{Address, NodeId};
use crate::storage::{List, Storage};

impl<A: Address, S: Storage> Members<A, S> {
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn map(&self, index: Index) -> &Map {
        self.maps.all().get(index as usize).unwrap_or(&Map::NEW)
    }

    /// How many slots have, or had, a map.
    pub(crate) fn map_slots(&self) -> Index {
        self.maps.all().len() as Index
    }

    /// Changes a member's map, and what stands for all of them.
    pub(crate) fn with_map<T>(&mut self, index: Index, change: impl FnOnce(&mut Map) -> T) -> T {
        let mut map = *self.map(index);
        let outcome = change(&mut map);
        self.set_map(index, &map);
        outcome
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn set_map(&mut self, index: Index, map: &Map) {
        if map == self.map(index) {
            return;
        }
        let at = index as usize;
        while self.maps.all().len() <= at {
            if !self.maps.push(Map::NEW) {
                return;
            }
        }
        // This node's own is there before its record is.
        let record = self.get(index).copied();
        let before = record.map_or(0, |record| self.positions_term(index, &record));
        if let Some(place) = self.maps.all_mut().get_mut(at) {
            *place = *map;
        }
        if let Some(record) = &record {
            self.count_position(index, record, before);
        }
    }

    /// The last entry of a log has moved.
    pub(crate) fn move_last(&mut self, index: Index, log: usize, from: At, to: At) {
        if let Some(map) = self.maps.all_mut().get_mut(index as usize)
            && map.log(log).last == from
        {
            map.log_mut(log).last = to;
        }
    }

    /// Takes a map away with its member.
    pub(super) fn evict_map(&mut self, index: Index) {
        let map = *self.map(index);
        if map == Map::NEW {
            return;
        }
        if let Some(id) = self.get(index).map(|record| record.id) {
            self.evicted = Some((index, id, map));
        }
        self.with_map(index, |map| *map = Map::NEW);
    }

    /// The map of the member that was forgotten last, if its entries are still to be removed.
    pub(crate) fn take_evicted(&mut self) -> Option<(Index, NodeId, Map)> {
        self.evicted.take()
    }
}
