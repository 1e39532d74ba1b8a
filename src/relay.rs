//! News of members, in parcels of records that go down the tree (`tree.rs`) to everybody from whoever was the first to
//! know.
//!
//! A delegate that does not believe a parcel, knows too few members yet or has no room says that it cannot pass it on.
//! Whoever can send can fill the room, so it is shared out: of the parcels one place is this node's own, each member has
//! half of them at most, and all have one together whose address is not the one that they are known to have.
//! An acknowledgement means that it was received, not that it was passed on: what a dying delegate kept to itself,
//! anti-entropy finds. Gossip in rounds would take a dozen copies to each member for the same certainty.

use heapless::Vec;

use crate::config::Config;
use crate::member::{Address, NodeId};
use crate::members::Index;
use crate::node_core::Core;
use crate::storage::{Few, FewOf, Storage, must_fit};
use crate::time::Instant;
use crate::tree::{Job, Kind, PARCEL, Parcel, Range32, Tree, WAYS};

/// The most parcels under way.
const PARCELS: usize = 4;
const FEW_PARCELS: usize = 2;
/// By how much the gap between parcels grows while there is more and more to tell: to 80 ms from 5.
const MAX_ROUNDS: u8 = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Relays<S: Storage> {
    pub(crate) parcels: Few<S, Parcel, PARCELS, FEW_PARCELS>,
    /// Records of this node's own to tell, which wait for each other.
    outbox: Vec<Index, PARCEL>,
    last_parcel: Instant,
    rounds: u8,
    next_name: u32,
}

impl<S: Storage> Relays<S> {
    pub(crate) const NONE: Self =
        Relays { parcels: FewOf::EMPTY, outbox: Vec::new(), last_parcel: Instant::ZERO, rounds: 0, next_name: 0 };

    /// Has everybody told of this record; false if too much else waits to be told.
    pub(crate) fn tell(&mut self, index: Index, now: Instant, config: &Config) -> bool {
        if self.outbox.contains(&index) {
            return true;
        }
        if self.outbox.is_empty() && now >= self.last_parcel.after(config.gossip_gap << (self.rounds + 1).min(8)) {
            self.rounds = 0;
        }
        self.outbox.push(index).is_ok()
    }

    /// Whether all that was to be told has been acknowledged, or given up.
    pub(crate) fn is_done(&self, tree: &Tree<S>) -> bool {
        self.outbox.is_empty() && tree.is_empty(Kind::Parcel)
    }

    /// When there is something to do next.
    pub(crate) fn due(&self, tree: &Tree<S>, config: &Config) -> Instant {
        let retries = tree.due(Kind::Parcel);
        if self.outbox.is_empty() || !self.has_room(tree, config) {
            return retries;
        }
        retries.min(self.next_parcel(config))
    }

    /// The first parcel after a quiet time leaves at once; while there is more and more to tell, ever more rides
    /// together.
    fn next_parcel(&self, config: &Config) -> Instant {
        if self.outbox.is_full() { self.last_parcel } else { self.last_parcel.after(config.gossip_gap << self.rounds) }
    }

    /// Whether there is room for a parcel of this node's own.
    pub(crate) fn has_room(&self, tree: &Tree<S>, config: &Config) -> bool {
        !self.parcels.is_full() && tree.room(Kind::Parcel) > ways(tree, config)
    }

    /// Whether there is room for a parcel that this member has handed over, beside one of this node's own.
    pub(crate) fn has_room_for(&self, from: Option<NodeId>, tree: &Tree<S>, config: &Config) -> bool {
        let theirs = self.parcels.iter().filter(|parcel| parcel.from == from).count();
        let share = from.map_or(1, |_| (self.parcels.len() + self.parcels.room()) / 2);
        // What is left of the tree is enough for one of this node's own: the cut at its place makes up to two parts more.
        let parts = (2 * ways(tree, config) + 2).min(tree.reserved_for(Kind::Parcel) - 1);
        self.parcels.room() > 1 && tree.room(Kind::Parcel) > parts && theirs < share
    }

    /// Sends off what waits, and tries again where no acknowledgement came. Who was tried in vain is left to the comparison of
    /// tables.
    pub(crate) fn tick<A: Address>(&mut self, unit: u64, core: &mut Core<A, S>) {
        if self.is_done(&core.tree) && self.parcels.is_empty() {
            return;
        }
        let (tree, mut context) = core.tree();
        tree.tick(Kind::Parcel, &self.parcels, unit, &mut context);
        // What is given up makes room for what waits.
        self.forget_done(&core.tree);
        let ready = !self.outbox.is_empty() && core.now >= self.next_parcel(&core.config);
        if ready && self.has_room(&core.tree, &core.config) {
            let len = self.outbox.len().min(capacity::<A>(&core.config));
            let (mut parcel, mut rest) = (Vec::new(), Vec::new());
            for (at, index) in self.outbox.iter().enumerate() {
                let _ = if at < len { parcel.push(*index) } else { rest.push(*index) };
            }
            self.outbox = rest;
            (self.last_parcel, self.rounds) = (core.now, (self.rounds + 1).min(MAX_ROUNDS));
            let from = core.members.myself().map(|myself| myself.id);
            self.pass_on(parcel, (from, Range32::ALL), unit, core);
        }
    }

    /// Passes a parcel from this member on to all members of a range but this node.
    pub(crate) fn pass_on<A: Address>(
        &mut self,
        records: Vec<Index, PARCEL>,
        (from, range): (Option<NodeId>, Range32),
        unit: u64,
        core: &mut Core<A, S>,
    ) {
        let name = self.next_name;
        self.next_name = name.wrapping_add(1);
        let ways = ways(&core.tree, &core.config);
        must_fit(self.parcels.push(Parcel { name, from, records }));
        let (tree, mut context) = core.tree();
        tree.hand_out(Job::Parcel(name), (range, ways), &self.parcels, unit, &mut context);
        self.forget_done(&core.tree);
    }

    /// Drops the parcels of which nothing is under way.
    pub(crate) fn forget_done(&mut self, tree: &Tree<S>) {
        self.parcels.retain(|parcel| tree.jobs().any(|job| job == Job::Parcel(parcel.name)));
    }

    /// Gives up everything under way: nobody answers.
    pub(crate) fn clear(&mut self, tree: &mut Tree<S>) {
        tree.clear(Kind::Parcel);
        self.parcels.clear();
        self.outbox.clear();
    }

    /// The records of a parcel.
    pub(crate) fn records(&self, name: u32) -> &[Index] {
        self.parcels.iter().find(|parcel| parcel.name == name).map_or(&[], |parcel| &parcel.records)
    }

    /// Only so many of a parcel's records fit a datagram. Takes out the others, which are not to count as told.
    pub(crate) fn shorten(&mut self, name: u32, count: usize) -> impl Iterator<Item = Index> + use<S> {
        let parcel = self.parcels.iter_mut().find(|parcel| parcel.name == name);
        let rest = parcel.map_or(Vec::new(), |parcel| {
            let rest = Vec::from_slice(parcel.records.get(count..).unwrap_or_default());
            parcel.records.truncate(count);
            rest.unwrap_or_default()
        });
        Vec::<Index, PARCEL>::into_iter(rest)
    }
}

/// Among how many a range is divided: no more than half of what the tree reserves for parcels.
fn ways<S: Storage>(tree: &Tree<S>, config: &Config) -> usize {
    usize::from(config.fanout).min(WAYS).min(tree.reserved_for(Kind::Parcel) / 2).max(2)
}

/// How many records fit a datagram of this node's, whatever they are.
pub(crate) fn capacity<A: Address>(config: &Config) -> usize {
    let most = crate::wire::most_of_record::<A>();
    ((config.max_datagram() - crate::wire::MOST_BEFORE_RECORDS) / most).clamp(1, PARCEL)
}
