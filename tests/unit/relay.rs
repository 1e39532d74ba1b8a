//! The relay tree: shares cover everybody once, delegates stand in them, and who does not answer is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::Config;
use crate::member::{Life, Liveness, NodeId, Record};
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::relay::{Relays, capacity};
use crate::rng::Rng;
use crate::sim::SimRng;
use crate::stats::Stats;
use crate::storage::{Heap, Limited};
use crate::time::Instant;
use crate::tree::{Job, Kind, PARCEL, Range32};
use crate::unit::property::check;
use crate::wire::{MOST_BEFORE_RECORDS, most_of_record};

const KEY: u64 = 3;
const UNIT: u64 = 1_000;
/// How often one delegate is tried, and how often a range is handed out in all.
const TRIES: usize = 3;
const MOST_TRIES: usize = 18;

fn record(id: u64, liveness: Liveness) -> Record<u16> {
    let life = Life { generation: 0, nonce: 1 };
    Record { id: NodeId::new(id), life, incarnation: 0, liveness, addr: 9, patience: 0, topics: 0 }
}

/// A member with what it has to pass on.
#[derive(Clone)]
struct Holder {
    core: Core<u16, Heap>,
    relays: Relays<Heap>,
}

/// A range that was handed out.
#[derive(Clone, Debug)]
struct Handed {
    to: NodeId,
    number: u32,
    range: Range32,
    records: Vec<Index>,
}

impl Holder {
    fn new(myself: u64, others: &[(u64, Liveness)], config: Config) -> Self {
        let (mut members, mut stats) =
            (Members::new(Limited::new(400), Limited::new(400), Limited::new(400), Limited::new(400)), Stats::NONE);
        members.reset(KEY, record(myself, Liveness::Alive), &mut stats);
        for (id, liveness) in others.iter().filter(|(id, _)| *id != myself) {
            let index = members.admit(record(*id, *liveness), Instant::ZERO, &mut stats).expect("there is room");
            // Some were heard, and some are suspected.
            if id % 3 == 0 {
                members.see(index, Instant::ZERO);
            }
            members.suspect(index, *liveness == Liveness::Alive && id % 7 == 0);
        }
        let (rng, now) = (Rng::seeded(&mut SimRng::new(myself)), Instant::from_millis(1_000));
        Holder { core: Core { now, rng, stats, ..Core::new(config, members) }, relays: Relays::NONE }
    }

    /// The same, when all that live have been heard and none is suspected.
    fn trusting(others: &[(u64, Liveness)], config: Config) -> Self {
        let mut holder = Holder::new(1, others, config);
        let living = holder.living_in(Range32::ALL);
        for index in living.into_iter().filter_map(|id| holder.core.members.find(id)).collect::<Vec<_>>() {
            holder.core.members.see(index, Instant::ZERO);
            holder.core.members.suspect(index, false);
        }
        holder
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Relays<Heap>, &mut Core<u16, Heap>) -> T) -> T {
        act(&mut self.relays, &mut self.core)
    }

    fn due(&self) -> Instant {
        self.relays.due(&self.core.tree, &self.core.config)
    }

    fn has_room(&self) -> bool {
        self.relays.has_room(&self.core.tree, &self.core.config)
    }

    fn ack(&mut self, from: NodeId, number: u32, passes_on: bool) -> bool {
        let (tree, mut context) = self.core.tree();
        let asked = tree.on_ack((from, number), passes_on, &self.relays.parcels, &mut context);
        self.relays.forget_done(&self.core.tree);
        asked
    }

    fn tick(&mut self) {
        self.with(|relays, core| relays.tick(UNIT, core));
    }

    /// Takes out all that is to be sent now.
    fn sent(&mut self) -> Vec<Handed> {
        let mut sent = Vec::new();
        while let Some((at, handoff)) = { self.core.tree.owed(Kind::Parcel).next() } {
            let Job::Parcel(name) = handoff.job() else { panic!("a parcel") };
            let (to, number, range) = (handoff.delegate, handoff.ask.number, handoff.range);
            sent.push(Handed { to, number, range, records: self.relays.records(name).to_vec() });
            assert!(self.core.tree.sent(at));
        }
        sent
    }

    /// Passes on a record of its own to a range.
    fn pass_on(&mut self, range: Range32) -> Vec<Handed> {
        let parcel = [MYSELF].into_iter().collect();
        self.with(|relays, core| relays.pass_on(parcel, (None, range), UNIT, core));
        self.tick();
        self.sent()
    }

    fn cell(&self, id: NodeId) -> u32 {
        (self.core.members.place(id) >> 32) as u32
    }

    fn me(&self) -> NodeId {
        self.core.members.myself().expect("it was started").id
    }

    /// The living others that stand in a range.
    fn living_in(&self, range: Range32) -> BTreeSet<NodeId> {
        let living = self.core.members.all().filter(|member| member.status().is_live() && member.id() != self.me());
        living.map(|member| member.id()).filter(|id| contains(range, self.cell(*id))).collect()
    }
}

fn contains(range: Range32, cell: u32) -> bool {
    range.low <= cell && cell <= range.high
}

fn liveness() -> impl Strategy<Value = Liveness> {
    prop_oneof![6 => Just(Liveness::Alive), 1 => Just(Liveness::Down), 1 => Just(Liveness::Left)]
}

fn others() -> impl Strategy<Value = Vec<(u64, Liveness)>> {
    let any_number = |most| vec((10..u64::MAX, liveness()), 0..most);
    prop_oneof![any_number(8), any_number(70), any_number(300)]
}

fn shares() -> impl Strategy<Value = Range32> {
    let any_share = (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Range32 { low: a.min(b), high: a.max(b) });
    prop_oneof![2 => Just(Range32::ALL), 3 => any_share, 1 => any::<u32>().prop_map(|at| Range32 { low: at, high: at })]
}

fn fanouts() -> impl Strategy<Value = Config> {
    (1..=16u8).prop_map(|fanout| Config::LAN.with_fanout(fanout))
}

fn ways(config: &Config) -> usize {
    usize::from(config.fanout()).clamp(2, 8)
}

#[test]
fn a_share_is_cut_into_shares_that_hold_all_others_in_it_once_and_never_the_one_who_cuts() {
    check(300, (others(), shares(), fanouts()), |(others, range, config)| {
        let mut holder = Holder::new(1, &others, config);
        let handed = holder.pass_on(range);
        let ways = ways(&config);
        assert!(handed.len() <= ways + 2, "{} shares by {ways} ways", handed.len());
        let everybody = holder.living_in(range);
        let mut covered = Vec::new();
        for Handed { to, range: part, records, .. } in &handed {
            assert!(part.low <= part.high && range.low <= part.low && part.high <= range.high, "a part of {range:?}");
            assert!(!contains(*part, holder.cell(holder.me())), "not this node: {part:?}");
            let inside = holder.living_in(*part);
            assert!(inside.contains(to), "a delegate lives in its range");
            if everybody.len() < 64 {
                assert!(inside.len() <= everybody.len().div_ceil(ways), "it is divided evenly");
            }
            assert_eq!(records, &[MYSELF], "the whole parcel");
            covered.extend(inside);
        }
        covered.sort_unstable();
        assert_eq!(covered, everybody.into_iter().collect::<Vec<_>>(), "each once");
        let mut bounds: Vec<(u32, u32)> = handed.iter().map(|handed| (handed.range.low, handed.range.high)).collect();
        bounds.sort_unstable();
        assert!(bounds.windows(2).all(|pair| pair[0].1 < pair[1].0), "no two overlap: {bounds:x?}");
    });
}

#[test]
fn a_parcel_comes_to_each_member_once_within_few_hops() {
    check(25, (vec(10..u64::MAX, 1..60), fanouts()), |(ids, config)| {
        let others: Vec<(u64, Liveness)> = ids.iter().map(|id| (*id, Liveness::Alive)).collect();
        let mut holders: BTreeMap<NodeId, Holder> =
            ids.iter().map(|id| (NodeId::new(*id), Holder::new(*id, &others, config))).collect();
        let first = NodeId::new(ids[0]);
        let mut received: BTreeMap<NodeId, u32> = BTreeMap::from([(first, 0)]);
        let mut under_way: Vec<(NodeId, u32, Range32)> = std::vec![(first, 0, Range32::ALL)];
        while let Some((at, hops, range)) = under_way.pop() {
            for handed in holders.get_mut(&at).expect("a member").pass_on(range) {
                assert_eq!(received.insert(handed.to, hops + 1), None, "{} has it already", handed.to);
                under_way.push((handed.to, hops + 1, handed.range));
            }
        }
        assert_eq!(received.len(), holders.len(), "everybody has it");
        // With each hop there are fewer left, by as many ways at least.
        let (mut left, mut hops) = (holders.len() - 1, 0);
        while left > 0 {
            left = left.div_ceil(ways(&config)) - 1;
            hops += 1;
        }
        let most = *received.values().max().expect("the first");
        assert!(most <= hops, "{most} hops for {} members by {} ways", holders.len(), ways(&config));
    });
}

#[test]
fn a_delegate_that_is_silent_is_tried_three_times_and_a_share_eighteen_times_in_all() {
    check(60, (others(), shares(), fanouts()), |(others, range, config)| {
        let mut holder = Holder::trusting(&others, config);
        let mut tries: BTreeMap<(u32, u32), Vec<Handed>> = BTreeMap::new();
        let mut sent = holder.pass_on(range);
        loop {
            for handed in sent {
                assert!(holder.living_in(handed.range).contains(&handed.to), "a delegate lives in its range");
                tries.entry((handed.range.low, handed.range.high)).or_default().push(handed);
            }
            let due = holder.due();
            if due == Instant::FAR_FUTURE {
                break;
            }
            assert!(due > holder.core.now, "what was due is done");
            holder.core.now = due;
            holder.tick();
            sent = holder.sent();
        }
        for handed in tries.values() {
            let others = holder.living_in(handed[0].range).len();
            assert_eq!(handed.len(), if others > 1 { MOST_TRIES } else { handed.len().min(MOST_TRIES) });
            for turn in handed.chunks(TRIES) {
                assert!(turn.iter().all(|try_| try_.to == turn[0].to), "the same one three times");
                assert!(turn.iter().all(|try_| try_.number == turn[0].number), "under the same number");
            }
            let firsts: Vec<&Handed> = handed.chunks(TRIES).map(|turn| &turn[0]).collect();
            let changes =
                firsts.windows(2).all(|pair| (pair[0].to != pair[1].to) == (pair[0].number != pair[1].number));
            assert!(changes, "another delegate gets another number");
            if others > 1 {
                assert!(firsts.windows(2).all(|pair| pair[0].to != pair[1].to), "then another, if there is one");
            }
        }
        assert!(holder.has_room(), "and then there is room");
    });
}

#[test]
fn an_acknowledgement_ends_a_share_and_who_cannot_pass_it_on_is_replaced() {
    check(100, (others(), shares(), fanouts()), |(others, range, config)| {
        let mut holder = Holder::trusting(&others, config);
        for handed in holder.pass_on(range) {
            assert!(!holder.ack(NodeId::new(5), handed.number, true), "from somebody else");
            assert!(!holder.ack(handed.to, handed.number ^ 2, true), "under another number");
            assert!(holder.ack(handed.to, handed.number, false), "it cannot");
            let alone = holder.living_in(handed.range).len() == 1;
            holder.tick();
            let again = holder.sent();
            assert_eq!(again.is_empty(), alone, "another is asked if there is one");
            for next in again {
                assert_eq!((next.range, &next.records), (handed.range, &handed.records), "for the same");
                assert!(next.to != handed.to && next.number != handed.number, "not the same one");
                assert!(!holder.ack(handed.to, handed.number, true), "who was replaced");
                assert!(holder.ack(next.to, next.number, true), "it has it");
                assert!(!holder.ack(next.to, next.number, true), "and once is enough");
            }
        }
        assert_eq!(holder.due(), Instant::FAR_FUTURE, "nothing is left to do");
        assert!(holder.has_room());
    });
}

#[test]
fn a_delegate_that_dies_is_replaced_at_the_next_try() {
    let others: Vec<(u64, Liveness)> = (10..40).map(|id| (id, Liveness::Alive)).collect();
    let mut holder = Holder::new(1, &others, Config::LAN);
    let handed = holder.pass_on(Range32::ALL);
    for Handed { to, .. } in &handed {
        let index = holder.core.members.find(*to).expect("it is known");
        holder.core.members.replace(index, record(to.get(), Liveness::Down), holder.core.now);
    }
    holder.core.now = holder.core.now.after(2 * UNIT);
    holder.tick();
    let again = holder.sent();
    assert_eq!(again.len(), handed.len());
    for (first, next) in handed.iter().zip(&again) {
        assert_eq!(first.range, next.range);
        assert!(first.to != next.to && first.number != next.number);
    }
}

#[test]
fn what_is_told_leaves_once_in_parcels_that_fit_the_first_of_them_at_once() {
    let configs = (1..=16u8, 96..700usize);
    let inputs = (configs, vec((0..60u32, 0..200_000u64), 1..60));
    check(100, inputs, |((fanout, size), tellings)| {
        let config = Config::LAN.with_fanout(fanout).with_max_datagram(size);
        let others: Vec<(u64, Liveness)> = (10..80).map(|id| (id, Liveness::Alive)).collect();
        let mut holder = Holder::new(1, &others, config);
        let (mut told, mut left) = (BTreeMap::<Index, u32>::new(), BTreeMap::<Index, u32>::new());
        let mut waiting = BTreeSet::new();
        let mut quiet = true;
        for (index, wait) in tellings {
            let accepted = holder.with(|relays, core| relays.tell(index, core.now, &core.config));
            assert_eq!(
                accepted,
                waiting.contains(&index) || waiting.len() < PARCEL,
                "there is room for a parcel's worth"
            );
            if accepted && waiting.insert(index) {
                *told.entry(index).or_default() += 1;
            }
            for _ in 0..2 {
                holder.tick();
                let sent = holder.sent();
                let mut parcels: Vec<Vec<Index>> = sent.iter().map(|handed| handed.records.clone()).collect();
                parcels.dedup();
                assert!(parcels.len() <= 1, "one parcel at a time");
                assert!(!quiet || !parcels.is_empty(), "the first leaves at once");
                quiet = false;
                for index in parcels.into_iter().flatten() {
                    assert!(waiting.remove(&index), "{index} was told twice");
                    *left.entry(index).or_default() += 1;
                }
                for Handed { to, number, records, .. } in sent {
                    assert!(records.len() <= capacity::<u16>(&config));
                    assert!(holder.ack(to, number, true));
                }
                holder.core.now = holder.core.now.after(wait);
            }
        }
        for _ in 0..200 {
            holder.core.now = holder.due().max(holder.core.now).min(holder.core.now.after(1 << 20));
            holder.tick();
            for Handed { to, number, records, .. } in holder.sent() {
                for index in records.into_iter().filter(|index| waiting.remove(index)) {
                    *left.entry(index).or_default() += 1;
                }
                holder.ack(to, number, true);
            }
        }
        assert!(waiting.is_empty() && told == left, "all that was told has left, and once");
    });
}

#[test]
fn a_parcel_of_as_many_records_as_its_capacity_fits_its_datagram_whatever_they_are() {
    for size in crate::MIN_DATAGRAM..=crate::MAX_DATAGRAM {
        let config = Config::LAN.with_max_datagram(size);
        let count = capacity::<u16>(&config);
        assert!((1..=PARCEL).contains(&count));
        assert!(MOST_BEFORE_RECORDS + count * most_of_record::<u16>() <= size, "{count} records in {size} bytes");
        let most = capacity::<std::net::SocketAddr>(&config);
        assert!(most <= count, "longer ones are fewer");
    }
}

#[test]
fn giving_up_leaves_nothing_to_do() {
    let others: Vec<(u64, Liveness)> = (10..40).map(|id| (id, Liveness::Alive)).collect();
    let mut holder = Holder::new(1, &others, Config::LAN);
    let handed = holder.pass_on(Range32::ALL);
    holder.with(|relays, core| assert!(relays.tell(3, core.now, &core.config)));
    holder.with(|relays, core| relays.clear(&mut core.tree));
    assert!(!handed.is_empty());
    assert_eq!((holder.sent().len(), holder.due()), (0, Instant::FAR_FUTURE));
    assert!(holder.core.tree.get(0).is_none());
    assert!(holder.has_room());
}

// What does not hold yet.

#[test]
fn a_delegate_that_cannot_is_replaced_by_one_that_was_not_heard_yet_if_there_is_no_better() {
    // Of these nobody has been heard or is suspected.
    let others: Vec<(u64, Liveness)> = (0..18).map(|number| (22 + 21 * number, Liveness::Alive)).collect();
    let mut holder = Holder::new(1, &others, Config::LAN);
    let handed = holder.pass_on(Range32::ALL);
    for Handed { to, .. } in &handed {
        let index = holder.core.members.find(*to).expect("it is known");
        holder.core.members.see(index, holder.core.now);
    }
    for Handed { to, number, range, .. } in handed {
        assert!(holder.living_in(range).len() > 1);
        assert!(holder.ack(to, number, false));
        holder.tick();
        assert!(holder.sent().iter().any(|next| next.range == range && next.to != to));
    }
}

#[test]
fn whatever_was_due_is_done_when_time_has_passed() {
    let others: Vec<(u64, Liveness)> = (10..60).map(|id| (id, Liveness::Alive)).collect();
    let mut holder = Holder::trusting(&others, Config::LAN.with_fanout(8));
    while holder.has_room() {
        holder.pass_on(Range32::ALL);
    }
    assert!(holder.with(|relays, core| relays.tell(3, core.now, &core.config)));
    // What has waited long enough for room goes by gossip.
    holder.tick();
    holder.sent();
    for _ in 0..100 {
        let due = holder.due();
        assert!(due > holder.core.now, "due at {due}, but it is {} and everything has been done", holder.core.now);
        if due == Instant::FAR_FUTURE {
            return;
        }
        holder.core.now = due;
        holder.tick();
        holder.sent();
    }
}

#[test]
fn of_the_parcels_a_member_has_half_strangers_one_and_this_node_one_that_nobody_takes() {
    let others: Vec<(u64, Liveness)> = (10..40).map(|id| (id, Liveness::Alive)).collect();
    let mut holder = Holder::new(1, &others, Config::LAN);
    let room = |holder: &Holder, from: Option<u64>| {
        holder.relays.has_room_for(from.map(NodeId::new), &holder.core.tree, &holder.core.config)
    };
    let take = |holder: &mut Holder, from: Option<u64>| {
        let parcel = [MYSELF].into_iter().collect();
        holder.with(|relays, core| relays.pass_on(parcel, (from.map(NodeId::new), Range32::ALL), UNIT, core));
    };
    assert!(room(&holder, None));
    take(&mut holder, None);
    assert!(!room(&holder, None), "strangers have one together");
    take(&mut holder, Some(10));
    assert!(room(&holder, Some(10)) && room(&holder, Some(11)));
    take(&mut holder, Some(10));
    assert!(!room(&holder, Some(10)) && !room(&holder, Some(11)), "the last is this node's own");
    assert!(holder.has_room());
}
