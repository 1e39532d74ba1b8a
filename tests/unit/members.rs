//! The table against its model (`table_model.rs`): whatever is done to it, both say the same, on both storages.

mod table_model;

use core::cell::{Cell, RefCell};
use core::mem::discriminant;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;
use rand_core::Rng as _;

use crate::event::Event;
use crate::member::{Life, Liveness, Member, NodeId, Record};
use crate::members::news::LISTS;
use crate::members::{Index, Look, MOST_IN_BUCKET, MYSELF, Members, Sum};
use crate::rng::Rng;
use crate::sim::SimRng;
use crate::stats::Stats;
use crate::storage::{Fixed, Heap, Limited, Storage};
use crate::time::Instant;
use crate::unit::property::check;
use crate::wire::Parts;
use table_model::{Known, Model};

const ME: NodeId = NodeId::new(0);

#[derive(Clone, Debug)]
enum Op {
    Learn(u64, Account),
    Suspect(u64, bool),
    Excuse(u64),
    Absolve,
    See(u64),
    Prove(u64),
    Announce(u64, u8),
    Copy(u64, u8),
    Tell(u8),
    Wait(u64),
    Restart(u64),
    /// So many of its broadcasts have come.
    Say(u64, u32),
}

/// How an account of a member differs from what is held of it.
#[derive(Clone, Debug)]
struct Account {
    other_life: bool,
    nonce: u32,
    later: u32,
    liveness: Liveness,
    addr: u16,
    patience: u8,
}

impl Account {
    fn record(&self, id: NodeId, held: Option<&Record<u16>>) -> Record<u16> {
        let held_life = held.map_or(Life { generation: 0, nonce: self.nonce }, |held| held.life);
        let reborn = Life { generation: held_life.generation + 1, nonce: self.nonce };
        let life = if self.other_life { reborn } else { held_life };
        let incarnation = held.filter(|held| held.life == life).map_or(0, |held| held.incarnation) + self.later;
        Record { id, life, incarnation, liveness: self.liveness, addr: self.addr, patience: self.patience, topics: 0 }
    }
}

fn account() -> impl Strategy<Value = Account> {
    let liveness = prop_oneof![3 => Just(Liveness::Alive), 2 => Just(Liveness::Down), 1 => Just(Liveness::Left)];
    let parts = (prop::bool::weighted(0.2), 0..3u32, 0..3u32, liveness, 0..3u16, 0..2u8);
    parts.prop_map(|(other_life, nonce, later, liveness, addr, patience)| Account {
        other_life,
        nonce,
        later,
        liveness,
        addr,
        patience,
    })
}

fn op(ids: u64) -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0..ids, account()).prop_map(|(id, account)| Op::Learn(id, account)),
        6 => (1..ids, prop::bool::weighted(0.7)).prop_map(|(id, suspect)| Op::Suspect(id, suspect)),
        3 => (1..ids).prop_map(Op::Excuse),
        1 => Just(Op::Absolve),
        2 => prop_oneof![(1..ids).prop_map(Op::See), (1..ids).prop_map(Op::Prove)],
        3 => (0..ids, 0..30u8).prop_map(|(id, sent)| Op::Announce(id, sent)),
        3 => (0..ids, 0..30u8).prop_map(|(id, limit)| Op::Copy(id, limit)),
        3 => (1..6u8).prop_map(Op::Tell),
        6 => prop_oneof![
            (0..3_000_000u64).prop_map(Op::Wait),
            (0..ids, 0..3u32).prop_map(|(id, seen)| Op::Say(id, seen)),
        ],
        1 => prop_oneof![20 => Just(None), 1 => any::<u64>().prop_map(Some)]
            .prop_map(|key| key.map_or(Op::Absolve, Op::Restart)),
    ]
}

fn myself(generation: u32) -> Record<u16> {
    let life = Life { generation, nonce: 5 };
    Record { id: ME, life, incarnation: 0, liveness: Liveness::Alive, addr: 9, patience: 0, topics: 0 }
}

/// The table, the model, and the time.
struct Play<S: Storage, F> {
    fresh: F,
    slots: usize,
    ids: u64,
    table: Members<u16, S>,
    model: Model,
    stats: Stats,
    key: u64,
    now: Instant,
    told: Vec<Event<'static, u16>>,
}

impl<S: Storage, F: Fn() -> Members<u16, S>> Play<S, F> {
    fn new(fresh: F, slots: usize, ids: u64, key: u64, now: Instant) -> Self {
        let (mut table, mut stats) = (fresh(), Stats::NONE);
        table.reset(key, myself(0), &mut stats);
        let model = Model::new(key, slots, myself(0));
        Play { fresh, slots, ids, table, model, stats, key, now, told: Vec::new() }
    }

    fn act(&mut self, op: &Op) {
        match op {
            Op::Learn(id, account) => self.learn(NodeId::new(*id), account),
            Op::Suspect(id, suspect) => {
                let known = self.known(*id).filter(|known| known.is_live());
                let Some(index) = known.map(|known| known.index) else { return };
                let changed = self.table.suspect(index, *suspect);
                assert_eq!(changed, self.model.suspect(NodeId::new(*id), *suspect), "whether suspicion is a change");
            }
            Op::Excuse(id) => {
                let Some(index) = self.known(*id).map(|known| known.index) else { return };
                self.table.excuse_suspect(index);
                self.model.excuse_suspect(NodeId::new(*id));
            }
            Op::Absolve => {
                // Any rule that tells some from others.
                let looked_into = |id: NodeId| id.get().is_multiple_of(2);
                self.table.absolve(looked_into);
                self.model.absolve(looked_into);
            }
            Op::See(id) => {
                let Some(index) = self.known(*id).map(|known| known.index) else { return };
                self.table.see(index, self.now);
                self.model.see(NodeId::new(*id), self.now);
            }
            Op::Prove(id) => {
                let Some(index) = self.known(*id).map(|known| known.index) else { return };
                self.table.prove(index);
                self.model.prove(NodeId::new(*id));
            }
            Op::Announce(id, sent) => {
                let Some(index) = self.known(*id).map(|known| known.index) else { return };
                self.table.announce(index, *sent);
                self.model.announce(index, *sent);
            }
            Op::Copy(id, limit) => {
                let Some(index) = self.known(*id).map(|known| known.index) else { return };
                self.table.count_copy(index, *limit);
                self.model.count_copy(index, *limit);
            }
            Op::Tell(events) => {
                for _ in 0..*events {
                    self.tell();
                }
            }
            Op::Say(id, seen) => {
                let Some(index) = self.known(*id).map(|known| known.index) else { return };
                self.table.begin_window(index, Some(*seen));
            }
            Op::Wait(micros) => self.now = self.now.after(*micros),
            Op::Restart(key) => {
                let generation = self.table.myself().expect("it was started").life.generation + 1;
                self.key = *key;
                self.table.reset(*key, myself(generation), &mut self.stats);
                let forgotten = self.model.forgotten;
                self.model = Model::new(*key, self.slots, myself(generation));
                self.model.forgotten = forgotten;
            }
        }
    }

    fn known(&self, id: u64) -> Option<&Known> {
        self.model.get(NodeId::new(id))
    }

    fn learn(&mut self, id: NodeId, account: &Account) {
        let held = self.model.get(id).map(|known| known.record);
        let record = account.record(id, held.as_ref());
        match held {
            Some(held) if !record.supersedes(&held) => {}
            // Nobody but itself has a node for down.
            Some(_) if id == ME && record.liveness == Liveness::Down => {}
            Some(_) => {
                let index = self.table.find(id).expect("it is there");
                self.table.replace(index, record, self.now);
                self.model.replace(record, self.now);
            }
            None => {
                let admitted = self.table.admit(record, self.now, &mut self.stats).ok();
                self.model.admit(record, self.now, admitted);
            }
        }
    }

    /// Tells one event; false if there was none.
    fn tell(&mut self) -> bool {
        let event = self.table.next_event();
        self.model.hear(event);
        self.told.extend(event);
        event.is_some()
    }

    // Whether both say the same.

    fn compare(&self) {
        self.compare_members();
        self.compare_counts();
        self.compare_order();
        self.compare_choices();
        self.compare_news();
        self.compare_root();
        self.compare_sums();
    }

    fn compare_members(&self) {
        let held: Vec<Member<u16>> = self.model.by_slot().into_iter().map(Known::member).collect();
        assert_eq!(self.table.all().collect::<Vec<_>>(), held, "all of them");
        assert_eq!(self.table.myself().map(|record| record.id), Some(ME), "slot 0 is this node's");
        for id in (0..self.ids).map(NodeId::new) {
            let Some(known) = self.model.get(id) else {
                assert_eq!(self.table.find(id), None, "{id} is not there");
                continue;
            };
            let (index, record) = (known.index, &known.record);
            assert_eq!(self.table.find(id), Some(index), "{id} is there");
            assert_eq!((self.table.get(index), self.table.find_record(id)), (Some(record), Some(record)), "{id}");
            assert_eq!(self.table.find_life(id, record.tag()), Some(index), "{id} in its life");
            assert_eq!(self.table.find_life(id, record.tag() ^ 1), None, "{id} in another life");
            assert_eq!(self.table.member(index), Some(known.member()), "{id}");
            assert_eq!(self.table.is_live(index), known.is_live(), "{id} is alive");
            assert_eq!(self.table.is_excused(index), known.excused, "{id} is excused");
            assert_eq!(self.table.was_heard(index), known.heard, "{id} was heard");
            assert_eq!(self.table.is_heard(index), known.is_heard(), "{id} was heard and lives");
            assert_eq!(self.table.is_proved(index), known.proved, "{id} is known to be there");
            let expected = (known.is_heard() || self.model.count(Known::is_heard) == 0) && !known.excused;
            assert_eq!(self.table.is_expected(index), expected, "{id} is expected to answer");
            self.compare_silence(known);
        }
    }

    /// Silence is kept in steps of 1,024 us.
    fn compare_silence(&self, known: &Known) {
        let quiet = self.table.quiet(known.index, self.now);
        // This node's own slot begins at zero, which may be longer ago than can be told.
        if known.index != MYSELF {
            let exact = self.now.since(known.since);
            assert!(quiet.abs_diff(exact) < 1_024, "quiet for {exact}, not {quiet}: {known:?}");
        }
        let silence = if known.heard { quiet } else { u64::MAX };
        assert_eq!(self.table.silence(known.index, self.now), silence, "{known:?}");
    }

    fn compare_counts(&self) {
        let live = self.model.count(Known::is_live);
        let others = self.model.count(|known| known.is_live() && known.index != MYSELF);
        let counts = (self.table.live(), self.table.others(), self.table.dead(), self.table.expected());
        let (heard, excused) = (self.model.count(Known::is_heard), self.model.count(|known| known.excused));
        let expected = if heard == 0 { others } else { heard.saturating_sub(excused) };
        assert_eq!(
            counts,
            (live, others, self.model.members.len() as u32 - live, expected),
            "live, others, dead, expected"
        );
        assert_eq!(self.table.has_refused(), self.model.refused, "whether it has refused");
        assert_eq!(self.stats.forgotten, self.model.forgotten, "how many it has forgotten");
    }

    fn compare_order(&self) {
        let places = self.model.members.keys().flat_map(|place| [*place, place.saturating_add(1)]);
        for low in places.chain([0, 1 << 63, u64::MAX]) {
            let ordered = self.model.members.range(low..).map(|(place, known)| (*place, known.index));
            assert_eq!(self.table.ordered_from(low).collect::<Vec<_>>(), ordered.collect::<Vec<_>>(), "from {low} on");
            let behind = self.model.members.range(low..).skip_while(|(place, _)| **place == low);
            let eligible = |known: &&Known| known.is_live() && known.index != MYSELF;
            let next = behind.chain(&self.model.members).map(|(_, known)| known).find(eligible);
            assert_eq!(self.table.next_live(low), next.map(|known| known.index), "the next living after {low}");
            let behind = self.model.members.range(low..).skip_while(|(place, _)| **place == low);
            let next = behind
                .chain(&self.model.members)
                .map(|(_, known)| known)
                .find(|known| known.is_heard() && known.record.patience == 0);
            assert_eq!(self.table.next_heard(low), next.map(|known| known.index), "the next heard after {low}");
        }
    }

    fn compare_choices(&self) {
        let slots = self.model.by_slot();
        let others = || slots.iter().filter(|known| known.index != MYSELF);
        for after in (0..slots.len() as Index + 2).chain([Index::MAX]) {
            let around = || others().filter(move |known| known.index > after).chain(others());
            let live = around().find(|known| known.is_live()).map(|known| known.index);
            assert_eq!(self.table.next_live_slot(after), live, "the next living behind slot {after}");
            let heard = self.table.next_heard_slot(after);
            let right = around().find(|known| known.is_heard()).map(|known| known.index);
            // It looks at 64 slots only.
            assert!(heard == right || heard.is_none() && slots.len() >= 64, "the next heard behind slot {after}");
            let down = around().find(|known| known.record.liveness == Liveness::Down).map(|known| known.index);
            assert_eq!(self.table.next_lost(after, false), down, "the next that is down behind slot {after}");
            let lost = around().find(|known| known.record.liveness != Liveness::Left).map(|known| known.index);
            assert_eq!(self.table.next_lost(after, true), lost, "the next that has not left behind slot {after}");
        }
        let mut rng = Rng::seeded(&mut SimRng::new(self.key));
        let wanted = |member: &Member<u16>| !member.id().get().is_multiple_of(3);
        let eligible = |known: &Known| known.is_live() && wanted(&known.member());
        for _ in 0..4 {
            let chosen = self.table.random_live(&mut rng, wanted);
            let right = chosen.map(|index| others().any(|known| known.index == index && eligible(known)));
            assert_eq!(right, others().any(|known| eligible(known)).then_some(true), "{chosen:?} of the living");
            assert!((self.table.random_slot(&mut rng) as usize) < slots.len(), "a slot in use");
        }
        let mut visited = self.round(rng.next_u64());
        visited.sort_unstable();
        let living: Vec<Index> = others().filter(|known| known.is_live()).map(|known| known.index).collect();
        assert_eq!(visited, living, "a round of the shuffled ring visits each of the living once");
    }

    /// Everybody on the ring shuffled with `key`, in its order.
    fn round(&self, key: u64) -> Vec<Index> {
        let (mut visited, mut position) = (Vec::new(), 0);
        while position < self.table.ring_len() {
            let (index, next) = self.table.next_shuffled(position, key);
            assert!(next > position && next - position <= 64, "at most 64 positions at a time, and at least one");
            visited.extend(index);
            position = next;
        }
        assert_eq!(self.table.next_shuffled(position, key), (None, position), "nobody at the end");
        visited
    }

    fn compare_news(&self) {
        let news = self.table.news();
        for sent in 0..=u8::MAX {
            let queue = self.model.news.get(usize::from(sent));
            assert_eq!(
                news.count(sent),
                queue.map_or(0, |queue| queue.len() as u32),
                "how many were sent {sent} times"
            );
            assert_eq!(news.first(sent), queue.and_then(|queue| queue.front().copied()), "the first sent {sent} times");
        }
        // The order within the queues shows when they are emptied.
        let mut table = self.table.clone();
        let mut order = Vec::new();
        while let Some(sent) = table.news().lowest().filter(|_| order.len() < self.slots) {
            let first = table.news().first(sent).expect("the lowest is a queue that is not empty");
            order.push((usize::from(sent), first));
            table.count_copy(first, 0);
        }
        let held = (0..LISTS).flat_map(|sent| self.model.news[sent].iter().map(move |index| (sent, *index)));
        assert_eq!(order, held.collect::<Vec<_>>(), "least-sent first, and those that wait longest among them");
    }

    /// The fingerprint is a sum over the living, whatever way led to them.
    fn compare_root(&self) {
        let mine = self.model.get(ME).expect("it is there").record;
        let alone = self.root_with(mine, None);
        let living = self.model.members.values().filter(|known| known.index != MYSELF && known.is_live());
        let leaves = living.map(|known| self.root_with(mine, Some(known.record)).wrapping_sub(alone));
        assert_eq!(self.table.root(), leaves.fold(alone, u64::wrapping_add), "the fingerprint of the living");
    }

    /// The sums of ranges are those of their members one by one, whatever is kept of blocks of them.
    fn compare_sums(&self) {
        let sum = |range, of| self.table.within(range, of, &mut Look::FREE.clone()).expect("it may look at all");
        let alone = |place: u64| [Sum::Slots, Sum::Living, Sum::Positions].map(|of| sum((place, place), of));
        let terms: BTreeMap<u64, [u64; 3]> = self.model.members.keys().map(|place| (*place, alone(*place))).collect();
        let mut rng = SimRng::new(self.key);
        let mut cuts: Vec<u64> = (0..24).map(|_| rng.next_u64()).chain([0, u64::MAX]).collect();
        cuts.extend(terms.keys().step_by(7));
        for low in &cuts {
            for high in cuts.iter().filter(|high| *high >= low) {
                let added = terms
                    .range(low..=high)
                    .fold([0u64; 3], |sums, (_, terms)| [0, 1, 2].map(|at: usize| sums[at].wrapping_add(terms[at])));
                let sums = [Sum::Slots, Sum::Living, Sum::Positions].map(|of| sum((*low, *high), of));
                assert_eq!(sums, added, "from {low} to {high}: slots, the living, progress");
            }
        }
        let whole = [Sum::Slots, Sum::Living, Sum::Positions].map(|of| sum((0, u64::MAX), of));
        let held = [self.model.members.len() as u64, self.table.root(), self.table.positions()];
        assert_eq!(whole, held, "of all: slots, the living, progress");
        let tells = |of: &(u64, Index)| self.table.counts(of.1);
        for low in &cuts {
            let (some, all) = (self.table.telling_from(*low), self.table.ordered_from(*low));
            assert!(some.filter(tells).eq(all.filter(tells)), "nobody who tells anything is passed over from {low} on");
        }
    }

    /// The fingerprint of a new table of this node and perhaps one other.
    fn root_with(&self, mine: Record<u16>, other: Option<Record<u16>>) -> u64 {
        let (mut table, mut stats) = ((self.fresh)(), Stats::NONE);
        table.reset(self.key, mine, &mut stats);
        if let Some(other) = other {
            table.admit(other, self.now, &mut stats).expect("there is room for one");
        }
        table.root()
    }

    /// Everything is told in the end, and nothing twice. Gives what was told and counted.
    fn end(mut self) -> (Vec<Event<'static, u16>>, Stats) {
        while self.tell() {}
        assert_eq!(self.table.next_event(), None, "nothing is left to tell");
        self.compare();
        (self.told, self.stats)
    }
}

/// What is done to a table, and to how many members.
#[derive(Clone, Debug)]
struct Script {
    ids: u64,
    key: u64,
    begun: u64,
    /// How often the table is compared with its model.
    pace: usize,
    ops: Vec<Op>,
}

impl Script {
    fn play<S: Storage>(&self, fresh: impl Fn() -> Members<u16, S>, slots: usize) -> (Vec<Event<'static, u16>>, Stats) {
        let mut play = Play::new(fresh, slots, self.ids, self.key, Instant::from_micros(self.begun));
        for (turn, op) in self.ops.iter().enumerate() {
            play.act(op);
            if turn % self.pace == 0 {
                play.compare();
            }
        }
        play.end()
    }
}

/// When the scripts begin: the clock of silence wraps after 2^42 us.
fn beginnings() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just((1 << 42) - 4_000_000)]
}

fn scripts() -> impl Strategy<Value = Script> {
    let parts = (any::<u64>(), beginnings(), vec(op(11), 1..100));
    parts.prop_map(|(key, begun, ops)| Script { ids: 11, key, begun, pace: 1, ops })
}

/// Of many members, of whom everybody is learned of first.
fn long_scripts() -> impl Strategy<Value = Script> {
    let parts = (any::<u64>(), beginnings(), vec(account(), 130), vec(op(130), 1..400));
    parts.prop_map(|(key, begun, accounts, ops)| {
        let learned = (0..130).zip(accounts).map(|(id, account)| Op::Learn(id, account));
        Script { ids: 130, key, begun, pace: 100, ops: learned.chain(ops).collect() }
    })
}

/// Of so many that there are blocks of them.
fn wide_scripts() -> impl Strategy<Value = Script> {
    let parts = (any::<u64>(), beginnings(), 40..330usize, vec(account(), 330), vec(op(330), 1..600));
    parts.prop_map(|(key, begun, known, accounts, ops)| {
        let learned = (0..330).zip(accounts).take(known).map(|(id, account)| Op::Learn(id, account));
        Script { ids: 330, key, begun, pace: 300, ops: learned.chain(ops).collect() }
    })
}

fn fixed<const N: usize>() -> Members<u16, Fixed<N>> {
    Members::new(heapless::Vec::new(), heapless::Vec::new(), heapless::Vec::new(), heapless::Vec::new())
}

fn heap(slots: usize) -> Members<u16, Heap> {
    Members::new(Limited::new(slots), Limited::new(slots), Limited::new(slots), Limited::new(slots))
}

#[test]
fn the_table_does_what_a_sorted_map_does_on_both_storages() {
    let (kinds, forgotten) = (RefCell::new(HashSet::new()), Cell::new(0));
    check(3_000, scripts(), |script| {
        let (told, stats) = script.play(fixed::<7>, 7);
        kinds.borrow_mut().extend(told.iter().map(discriminant));
        forgotten.set(forgotten.get() + stats.forgotten);
        assert_eq!((told, stats), script.play(|| heap(7), 7), "both storages tell the same");
    });
    assert_eq!(kinds.borrow().len(), 5, "members came, were suspected, moved, died and left");
    assert!(forgotten.get() > 0, "and some were forgotten");
}

#[test]
fn the_least_table_does_what_a_sorted_map_does() {
    check(300, scripts(), |script| drop(script.play(fixed::<2>, 2)));
}

#[test]
fn a_table_of_a_hundred_does_what_a_sorted_map_does_on_both_storages() {
    check(40, long_scripts(), |script| {
        assert_eq!(script.play(fixed::<100>, 100), script.play(|| heap(100), 100), "both storages tell the same");
    });
}

#[test]
fn a_table_with_blocks_does_what_a_sorted_map_does_on_both_storages() {
    check(20, wide_scripts(), |script| {
        assert_eq!(script.play(fixed::<300>, 300), script.play(|| heap(300), 300), "both storages tell the same");
    });
}

/// A full table, of ids that nobody chose.
fn crowd(members: u64) -> Members<u16, Heap> {
    let (mut table, mut stats) = (heap(members as usize), Stats::NONE);
    table.reset(3, myself(0), &mut stats);
    for id in 1..members {
        let record = Record { id: NodeId::new(id), ..myself(0) };
        table.admit(record, Instant::ZERO, &mut stats).expect("there is room");
    }
    table
}

/// Bounds the work and not the time: how many slots a question for the sums of 16 ranges looks at.
#[test]
fn the_sums_of_any_16_ranges_take_a_look_at_few_slots_however_large_the_table() {
    for members in [200, 3_000, 100_000u64] {
        let table = crowd(members);
        let mut rng = SimRng::new(members);
        let mut most = 0;
        for turn in 0..300u64 {
            let (one, other) = (rng.next_u64(), rng.next_u64());
            // Every other time just as many half blocks apart as there are parts.
            let half = u64::MAX / (members * 8 / 13) * 4;
            let apart = half.saturating_mul(1 + turn % 9).min(u64::MAX / 35);
            let (low, high) =
                if turn % 2 == 0 { (one.min(other), one.max(other)) } else { (half, half + apart * 32 - 1) };
            let parts = Parts { low, high, log: 4, meant: 0 };
            let mut look = Look::FREE;
            parts.ranges().for_each(|range| _ = table.within(range, Sum::Living, &mut look).expect("it may"));
            most = most.max(look.visits());
        }
        assert!(most <= 200, "{most} slots of {members} at the most");
        // What nodes ask first, all and a part of it, is most often answered in full.
        let whole = Parts { low: 0, high: u64::MAX, log: 4, meant: 0 };
        let coarse = whole.ranges().chain([(0, u64::MAX)]).filter(|(low, high)| {
            let mut look = Look::NEW;
            let parts = Parts { low: *low, high: *high, ..whole };
            !parts.ranges().all(|range| table.within(range, Sum::Living, &mut look).is_some())
        });
        let coarse = coarse.count();
        assert!(coarse <= 1, "{coarse} of 17 questions get a coarse answer, of {members}");
    }
}

#[test]
fn the_dead_of_a_large_table_make_room_one_by_one() {
    let mut table = crowd(5_000);
    let (mut stats, mut now) = (Stats::NONE, Instant::from_millis(1));
    let mut newcomers = (1_000_000..).map(|id| Record { id: NodeId::new(id), ..myself(0) });
    let kill = |table: &mut Members<u16, Heap>, index: Index, now| {
        let record = *table.get(index).expect("it is there");
        table.replace(index, record.with(Liveness::Down), now);
        while table.next_event().is_some() {}
    };
    // The only one that is dead makes room at once, wherever it is.
    for index in [4_999, 1, 2_500] {
        kill(&mut table, index, now);
        let newcomer = newcomers.next().expect("without end");
        assert_eq!(table.admit(newcomer, now, &mut stats).ok(), Some(index));
        assert!(table.admit(newcomers.next().expect("without end"), now, &mut stats).is_err(), "nobody else does");
    }
    // Of many, each is found before the table has been gone round twice.
    let dead: Vec<Index> = (10..5_000).step_by(499).collect();
    for index in &dead {
        now = now.after(1_000_000);
        kill(&mut table, *index, now);
    }
    let tries = newcomers.take(2 * (5_000 / 1_024 + 1) * dead.len());
    let admitted = tries.filter(|newcomer| table.admit(*newcomer, now, &mut stats).is_ok()).count();
    assert_eq!((admitted, table.dead()), (dead.len(), 0));
}

#[test]
fn what_few_members_say_is_found_in_a_large_table_without_a_look_at_the_others() {
    let mut table = crowd(100_000);
    let telling: BTreeSet<Index> = [5, 500, 50_000].into();
    telling.iter().for_each(|index| table.begin_window(*index, Some(1)));
    let all: Vec<Index> = table.telling_from(0).map(|(_, index)| index).collect();
    assert!(telling.iter().all(|index| all.contains(index)), "they are found");
    assert!(all.len() < 200, "with {} slots beside them", all.len());
}

#[test]
fn ids_that_were_chosen_make_no_bucket_longer_than_a_small_table() {
    let mut table = crowd(3_000);
    let mut stats = Stats::NONE;
    table.reset(3, myself(0), &mut stats);
    // The least of all places: all in the first bucket.
    let chosen = (1..).map(NodeId::new).filter(|id| table.place(*id) < u64::MAX / 3_000);
    let chosen: Vec<NodeId> = chosen.take(MOST_IN_BUCKET + 2).collect();
    let record = |id: NodeId| Record { id, ..myself(0) };
    let now = Instant::from_millis(1);
    let mut admit = |table: &mut Members<u16, Heap>, id| table.admit(record(id), now, &mut stats).ok();
    let admitted = chosen.iter().filter(|id| admit(&mut table, **id).is_some()).count();
    assert_eq!(admitted, MOST_IN_BUCKET, "of {} chosen ones", chosen.len());
    let (first, last) = (chosen[0], chosen[MOST_IN_BUCKET + 1]);
    assert!(admit(&mut table, NodeId::new(u64::MAX)).is_some(), "elsewhere there is room");
    let index = table.find(first).expect("it was admitted");
    table.replace(index, record(first).with(Liveness::Down), now);
    while table.next_event().is_some() {}
    assert!(admit(&mut table, last).is_some(), "one of the dead makes room");
    assert_eq!((table.find(first), table.find(last)), (None, Some(index)), "in its place");
    assert_eq!(stats.forgotten, 1, "which is counted");
}

#[test]
fn before_the_start_there_is_nobody() {
    let table = heap(7);
    assert_eq!((table.find(ME), table.myself(), table.all().count()), (None, None, 0));
    assert_eq!((table.live(), table.others(), table.dead(), table.root()), (0, 0, 0, 0));
    assert_eq!((table.ordered_from(0).count(), table.next_live(0), table.next_lost(0, true)), (0, None, None));
    let mut rng = Rng::UNSEEDED;
    assert_eq!((table.random_live(&mut rng, |_| true), table.random_slot(&mut rng)), (None, 0));
    assert_eq!(table.silence(MYSELF, Instant::ZERO), u64::MAX);
}

#[test]
fn choosing_at_random_reaches_everybody_who_may_be_chosen() {
    let (mut table, mut stats) = (heap(7), Stats::NONE);
    table.reset(3, myself(0), &mut stats);
    for id in 1..7 {
        let liveness = if id == 4 { Liveness::Down } else { Liveness::Alive };
        let record = Record { id: NodeId::new(id), liveness, ..myself(0) };
        table.admit(record, Instant::ZERO, &mut stats).expect("there is room");
    }
    let mut rng = Rng::seeded(&mut SimRng::new(1));
    let slots: BTreeSet<Index> = (0..300).map(|_| table.random_slot(&mut rng)).collect();
    assert_eq!(slots, (0..7).collect(), "any slot");
    let unwanted = NodeId::new(2);
    let chosen = (0..300).filter_map(|_| table.random_live(&mut rng, |member| member.id() != unwanted));
    assert_eq!(chosen.collect::<BTreeSet<Index>>(), BTreeSet::from([1, 3, 5, 6]), "any other that lives and is wanted");
}

#[test]
fn every_field_that_members_tell_each_other_is_in_the_fingerprint() {
    let root = |other: Record<u16>| {
        let (mut table, mut stats) = (heap(7), Stats::NONE);
        table.reset(3, myself(0), &mut stats);
        table.admit(other, Instant::ZERO, &mut stats).expect("there is room");
        table.root()
    };
    let base = Record { id: NodeId::new(1), ..myself(1) };
    let Life { generation, nonce } = base.life;
    let mut roots: Vec<u64> = [
        base,
        Record { id: NodeId::new(2), ..base },
        Record { life: Life { generation: generation + 1, nonce }, ..base },
        Record { life: Life { generation, nonce: nonce + 1 }, ..base },
        Record { life: Life { generation: nonce, nonce: generation }, ..base },
        Record { incarnation: 1, ..base },
        Record { incarnation: 2, ..base },
        Record { addr: 10, ..base },
        Record { patience: 1, ..base },
        Record { patience: 2, ..base },
        base.with(Liveness::Down),
    ]
    .map(root)
    .to_vec();
    roots.sort_unstable();
    roots.dedup();
    assert_eq!(roots.len(), 11, "each makes a difference: {roots:x?}");
    assert_eq!(root(base.with(Liveness::Down)), root(base.with(Liveness::Left)), "of the dead nothing is in it");
}
