//! How news of members reaches everybody from whoever was the first to know: in parcels of records, down the tree of
//! `tree.rs`.
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
use crate::recent::Recent;
use crate::storage::{Few, FewOf, Storage};
use crate::time::Instant;
pub(crate) use crate::tree::Share;
use crate::tree::{Leg, NewsTree, Tree, WAYS, Wish};

/// The most records in a parcel.
pub(crate) const PARCEL: usize = 24;
/// The most parcels under way.
const PARCELS: usize = 4;
const FEW_PARCELS: usize = 2;
/// The most shares that wait for an acknowledgement.
pub(crate) const LEGS: usize = 20;
const FEW_LEGS: usize = 8;
/// How many of the latest parcels are known again when they come twice.
const TAKEN: usize = 16;
const FEW_TAKEN: usize = 8;
/// By how much the gap between parcels grows while there is more and more to tell: to 80 ms from 5.
const MOST_ROUNDS: u8 = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Parcel {
    name: u32,
    /// Who handed it to this node, or itself; `None` if that is not known.
    from: Option<NodeId>,
    records: Vec<Index, PARCEL>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Relays<S: Storage> {
    parcels: Few<S, Parcel, PARCELS, FEW_PARCELS>,
    /// By the names of the parcels.
    tree: NewsTree<S, u32, LEGS, FEW_LEGS>,
    /// The numbers under which parcels came, the latest overwriting the oldest.
    taken: Recent<Few<S, u32, TAKEN, FEW_TAKEN>>,
    /// Records of this node's own to tell, which wait for each other.
    outbox: Vec<Index, PARCEL>,
    last_parcel: Instant,
    rounds: u8,
    next_name: u32,
}

impl<S: Storage> Relays<S> {
    pub(crate) const NONE: Self = Relays {
        parcels: FewOf::EMPTY,
        tree: Tree::NONE,
        taken: Recent::NONE,
        outbox: Vec::new(),
        last_parcel: Instant::ZERO,
        rounds: 0,
        next_name: 0,
    };

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
    pub(crate) fn is_done(&self) -> bool {
        self.outbox.is_empty() && self.tree.is_empty()
    }

    /// When there is something to do next.
    pub(crate) fn due(&self, config: &Config) -> Instant {
        let legs = self.tree.due();
        if self.outbox.is_empty() || !self.has_room(config) {
            return legs;
        }
        legs.min(self.next_parcel(config))
    }

    /// The first parcel after a quiet time leaves at once; while there is more and more to tell, ever more rides
    /// together.
    fn next_parcel(&self, config: &Config) -> Instant {
        if self.outbox.is_full() { self.last_parcel } else { self.last_parcel.after(config.gossip_gap << self.rounds) }
    }

    /// Among how many a share is divided: no more than half of what the tree holds.
    fn ways(&self, config: &Config) -> usize {
        usize::from(config.fanout).clamp(2, WAYS.min(self.tree.limit() / 2))
    }

    /// Whether there is room for a parcel of this node's own.
    pub(crate) fn has_room(&self, config: &Config) -> bool {
        !self.parcels.is_full() && self.tree.room() > self.ways(config)
    }

    /// Whether there is room for a parcel that this member has handed over, beside one of this node's own.
    pub(crate) fn has_room_for(&self, from: Option<NodeId>, config: &Config) -> bool {
        let theirs = self.parcels.iter().filter(|parcel| parcel.from == from).count();
        let share = from.map_or(1, |_| (self.parcels.len() + self.parcels.room()) / 2);
        // What is left of the tree is enough for one of this node's own: the cut at its place makes up to two shares more.
        let legs = (2 * self.ways(config) + 2).min(self.tree.limit() - 1);
        self.parcels.room() > 1 && self.tree.room() > legs && theirs < share
    }

    /// Sends off what waits, and tries again where no acknowledgement came. Who was tried in vain is left to the comparison of
    /// tables.
    pub(crate) fn tick<A: Address>(&mut self, unit: u64, core: &mut Core<A, S>) {
        if self.is_done() && self.parcels.is_empty() {
            return;
        }
        self.tree.tick(unit, core);
        // What is given up makes room for what waits.
        self.forget_done();
        if !self.outbox.is_empty() && self.has_room(&core.config) && core.now >= self.next_parcel(&core.config) {
            let len = self.outbox.len().min(capacity::<A>(&core.config));
            let (mut parcel, mut rest) = (Vec::new(), Vec::new());
            for (at, index) in self.outbox.iter().enumerate() {
                let _ = if at < len { parcel.push(*index) } else { rest.push(*index) };
            }
            self.outbox = rest;
            (self.last_parcel, self.rounds) = (core.now, (self.rounds + 1).min(MOST_ROUNDS));
            let from = core.members.myself().map(|myself| myself.id);
            self.pass_on(parcel, (from, Share::ALL), unit, core);
        }
    }

    /// Passes a parcel from this member on to all members of a share but this node.
    pub(crate) fn pass_on<A: Address>(
        &mut self,
        records: Vec<Index, PARCEL>,
        (from, share): (Option<NodeId>, Share),
        unit: u64,
        core: &mut Core<A, S>,
    ) {
        let name = self.next_name;
        self.next_name = name.wrapping_add(1);
        let parcel = Parcel { name, from, records };
        // Those whom it is about may not be there any more.
        let wished = Wish::Not(&parcel.records);
        self.tree.hand_out(name, (share, self.ways(&core.config)), wished, unit, core);
        let _ = self.parcels.push(parcel);
        self.forget_done();
    }

    fn forget_done(&mut self) {
        let tree = &self.tree;
        self.parcels.retain(|parcel| tree.jobs().any(|name| name == parcel.name));
    }

    /// Gives up everything under way: nobody answers.
    pub(crate) fn clear(&mut self) {
        self.tree.clear();
        self.parcels.clear();
        self.outbox.clear();
    }

    /// The caller came late.
    pub(crate) fn postpone(&mut self, read: Instant) {
        self.tree.postpone(read);
    }

    /// The host did not take what was sent there.
    pub(crate) fn not_sent(&mut self, there: impl Fn(NodeId) -> bool) {
        self.tree.not_sent(there);
    }

    // What others send.

    /// Whether a parcel of this number has been taken before.
    pub(crate) fn has_taken(&self, number: u32) -> bool {
        self.taken.contains(number)
    }

    pub(crate) fn take(&mut self, number: u32) {
        self.taken.note(number);
    }

    /// Takes a delegate's acknowledgement; one who cannot pass the parcel on is replaced. False if it is none.
    pub(crate) fn on_ack<A: Address>(
        &mut self,
        from: NodeId,
        number: u32,
        passes_on: bool,
        core: &mut Core<A, S>,
    ) -> bool {
        let asked = self.tree.on_ack(from, number, passes_on, core);
        self.forget_done();
        asked
    }

    /// This member knows what is told, and cannot be asked to pass it on.
    pub(crate) fn do_without<A: Address>(&mut self, delegate: NodeId, core: &mut Core<A, S>) {
        self.tree.do_without(delegate, core);
        self.forget_done();
    }

    // What is to be sent.

    /// Whether nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.tree.is_empty()
    }

    /// Which legs are to be sent, and to whom.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, NodeId)> {
        self.tree.owed().map(|(at, leg)| (at, leg.delegate))
    }

    /// This leg, and the records that go with it.
    pub(crate) fn content(&self, at: usize) -> Option<(&Leg<u32>, &[Index])> {
        let leg = self.tree.get(at)?;
        let parcel = self.parcels.iter().find(|parcel| parcel.name == leg.job)?;
        Some((leg, &parcel.records))
    }

    /// Only so many of the records that go with this leg fit a datagram. Takes the others out of the parcel: what is not
    /// told is not to count as told.
    pub(crate) fn shorten(&mut self, at: usize, count: usize) -> impl Iterator<Item = Index> + use<S> {
        let name = self.tree.get(at).map(|leg| leg.job);
        let parcel = self.parcels.iter_mut().find(|parcel| Some(parcel.name) == name);
        let rest = parcel.map_or(Vec::new(), |parcel| {
            let rest = Vec::from_slice(parcel.records.get(count..).unwrap_or_default());
            parcel.records.truncate(count);
            rest.unwrap_or_default()
        });
        Vec::<Index, PARCEL>::into_iter(rest)
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.tree.sent(at)
    }
}

/// How many records fit a datagram of this node's, whatever they are.
pub(crate) fn capacity<A: Address>(config: &Config) -> usize {
    let most = crate::wire::most_of_record::<A>();
    ((config.max_datagram() - crate::wire::MOST_BEFORE_RECORDS) / most).clamp(1, PARCEL)
}
