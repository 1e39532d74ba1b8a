//! Two tables and the datagrams between them: whatever they hold, each learns what the other knows better.

mod positions;

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::Config;
use crate::member::{Life, Liveness, NodeId, Record};
use crate::members::Members;
use crate::node_core::Core;
use crate::rng::Rng;
use crate::sim::SimRng;
use crate::stats::Stats;
use crate::storage::{Heap, Limited};
use crate::time::Instant;
use crate::unit::property::check;
use crate::walk::{Diff, Walk, compare, compare_sums};
use crate::wire::{Frame, Head, Parts, Reader, Seal, What, Writer, decode, kind, open};

const SEAL: Seal = Seal { cluster: 7, addressee: 9 };
const HEAD: Head = Head { sender: NodeId::new(0), tag: 5, incarnation: 0, open: false, full: false, newcomer: false };
const KEY: u64 = 3;
const PEER: NodeId = NodeId::new(2);
const GAP: u64 = 1_000;
/// Of questions for positions.
const HOP: u64 = 300;
/// What most datagrams may have.
const AMPLE: usize = 1_200;
/// How many one list may name.
const LOOK: usize = 64;

fn record(id: u64, incarnation: u32, liveness: Liveness) -> Record<u16> {
    let life = Life { generation: 0, nonce: 1 };
    Record { id: NodeId::new(id), life, incarnation, liveness, addr: 9, patience: 0, topics: 0 }
}

#[derive(Clone)]
struct Table {
    core: Core<u16, Heap>,
}

impl Table {
    /// A table with these records of others.
    fn new(myself: u64, others: impl IntoIterator<Item = Record<u16>>) -> Self {
        let (mut members, mut stats) =
            (Members::new(Limited::new(400), Limited::new(400), Limited::new(400), Limited::new(400)), Stats::NONE);
        members.reset(KEY, record(myself, 0, Liveness::Alive), &mut stats);
        let mut table = Table { core: Core { stats, ..Core::new(Config::LAN, members) } };
        others.into_iter().for_each(|record| table.learn(record));
        table
    }

    fn learn(&mut self, record: Record<u16>) {
        match self.core.members.find(record.id) {
            Some(index) if self.core.members.get(index).is_some_and(|held| record.supersedes(held)) => {
                self.core.members.replace(index, record, Instant::ZERO);
            }
            Some(_) => {}
            None => {
                self.core.members.admit(record, Instant::ZERO, &mut self.core.stats).expect("there is room");
            }
        }
    }

    /// Everybody by place.
    fn by_place(&self) -> BTreeMap<u64, Record<u16>> {
        let held = |(place, index)| (place, *self.core.members.get(index).expect("it is there"));
        self.core.members.ordered_from(0).map(held).collect()
    }

    fn within(&self, low: u64, high: u64) -> Vec<Record<u16>> {
        self.by_place().range(low..=high).map(|(_, record)| *record).collect()
    }

    fn living_within(&self, low: u64, high: u64) -> Vec<Record<u16>> {
        self.within(low, high).into_iter().filter(|record| record.liveness == Liveness::Alive).collect()
    }

    /// What a list of all names.
    fn shorts(&self, salt: u32) -> Vec<u32> {
        self.core.members.ordered_from(0).map(|(_, index)| self.core.members.short_id(index, salt)).collect()
    }
}

/// What two tables know of the same members, in versions, of which 0 is nothing and odd ones are dead.
type Versions = Vec<(u64, u8, u8)>;

fn versions(most: usize) -> impl Strategy<Value = Versions> {
    let version = || prop_oneof![2 => Just(0u8), 5 => Just(2), 1 => 1..8u8];
    // Most members are known to both alike.
    let both = prop_oneof![4 => version().prop_map(|same| (same, same)), 1 => (version(), version())];
    vec((10..u64::MAX, both), 0..most).prop_map(|all| all.into_iter().map(|(id, (a, b))| (id, a, b)).collect())
}

fn versioned(id: u64, version: u8) -> Option<Record<u16>> {
    let liveness = if version % 2 == 1 { Liveness::Down } else { Liveness::Alive };
    (version > 0).then(|| record(id, u32::from(version) / 2, liveness))
}

fn tables(versions: &Versions) -> (Table, Table) {
    let one = versions.iter().filter_map(|(id, version, _)| versioned(*id, *version));
    let other = versions.iter().filter_map(|(id, _, version)| versioned(*id, *version));
    (Table::new(1, one), Table::new(PEER.get(), other))
}

fn datagram(size: usize, write: impl FnOnce(&mut Writer<'_>) -> Option<()>) -> Option<Vec<u8>> {
    let mut buf = std::vec![0; size];
    let mut writer = Writer::new(&mut buf, SEAL, HEAD).expect("the head fits");
    write(&mut writer)?;
    let len = writer.finish(SEAL)?;
    buf.truncate(len);
    Some(buf)
}

fn each_frame(datagram: &[u8], mut take: impl FnMut(Frame<'_>)) {
    let (_, mut frames) = open(datagram, SEAL).expect("it is sound");
    while !frames.is_empty() {
        let (kind, body) = frames.frame().expect("it is whole");
        take(decode(kind, body).expect("it makes sense"));
    }
}

fn records(mut records: Reader<'_>) -> Vec<Record<u16>> {
    let read = core::iter::from_fn(|| records.record()).collect();
    assert!(records.is_empty(), "whole records");
    read
}

/// A table that asks, one that answers in the name of whoever is asked, and what is between them.
struct Talk {
    asker: Table,
    other: Table,
    walk: Walk,
    rng: Rng,
    now: Instant,
    /// The most bytes of a datagram.
    size: usize,
    /// How many datagrams of a hundred are lost.
    loss: u32,
    questions: u32,
    told: u32,
}

impl Talk {
    fn new(asker: Table, other: Table, size: usize, loss: u32) -> Self {
        let (walk, rng, now) = (Walk::NEW, Rng::seeded(&mut SimRng::new(1)), Instant::from_millis(1));
        Talk { asker, other, walk, rng, now, size, loss, questions: 0, told: 0 }
    }

    fn tick(&mut self) {
        self.asker.core.now = self.now;
        self.walk.tick((GAP, HOP), &mut self.asker.core);
    }

    fn is_lost(&mut self) -> bool {
        self.rng.below(100) < self.loss
    }

    /// The next question, once it is time for it.
    fn question(&mut self) -> Option<(NodeId, Vec<u8>)> {
        while self.walk.owed(false).next().is_none() {
            if self.walk.due() == Instant::FAR_FUTURE {
                return None;
            }
            self.now = self.now.max(self.walk.due());
            self.tick();
        }
        let (at, peer) = self.walk.owed(false).next()?;
        let (salt, members) = (self.rng.next_u32(), &self.asker.core.members);
        let question = datagram(self.size, |writer| self.walk.write(at, salt, writer, members));
        assert!(self.walk.sent(at));
        self.questions += 1;
        assert!(self.questions < 20_000, "it comes to an end");
        Some((peer, question.expect("every question fits")))
    }

    /// One table asks the other until there is nothing more to ask.
    fn ask_all(&mut self, newcomer: bool) {
        self.walk.pull(PEER, newcomer, self.now);
        while let Some((peer, question)) = self.question() {
            if self.is_lost() {
                continue;
            }
            let answer = self.answer(&question);
            if !self.is_lost() {
                self.hear(peer, &answer);
            }
        }
    }

    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let (mut answer, members) = (None, &self.other.core.members);
        each_frame(question, |frame| {
            answer = datagram(self.size, |writer| match frame {
                Frame::List { low, high, salt, shorts } => {
                    assert!(shorts.len() <= 4 * LOOK);
                    compare(members, (low, high), salt, shorts).write(writer, members)
                }
                Frame::Sums { what: What::Records, low, high, salt, sums } => {
                    let parts = compare_sums(members, What::Records, (low, high), salt, sums);
                    parts.expect("as many as a power of two").write(writer)
                }
                other => panic!("not a question: {other:?}"),
            });
        });
        answer.expect("every answer fits")
    }

    fn hear(&mut self, peer: NodeId, answer: &[u8]) {
        each_frame(answer, |frame| match frame {
            Frame::Diff { low, high, wanted, records: list } => {
                for record in records(list) {
                    self.asker.learn(record);
                    self.told += 1;
                }
                self.asker.core.now = self.now;
                assert!(self.walk.on_page(peer, (low, high), &mut self.asker.core), "it was asked");
                self.give((low, high), wanted);
            }
            Frame::Parts(parts) => assert!(self.walk.on_parts(peer, &parts, self.now), "it was asked"),
            other => panic!("not an answer: {other:?}"),
        });
    }

    /// What was wanted of a list goes to whoever wanted it.
    fn give(&mut self, range: (u64, u64), bits: u64) {
        if bits == 0 {
            return;
        }
        let members = &self.asker.core.members;
        let found = datagram(self.size, |writer| Diff::of_wanted(range, bits).write(writer, members));
        let Some(found) = found.filter(|_| !self.is_lost()) else { return };
        each_frame(&found, |frame| {
            let Frame::Diff { low, high, wanted: 0, records: list } = frame else { panic!("not wanted: {frame:?}") };
            let mut asks_too = Walk::NEW;
            asks_too.pull(PEER, false, self.now);
            assert!(!asks_too.on_page(PEER, (low, high), &mut self.other.core), "what was wanted is no page of a list");
            records(list).into_iter().for_each(|record| self.other.learn(record));
        });
    }

    fn swap(&mut self) {
        core::mem::swap(&mut self.asker, &mut self.other);
    }

    fn roots_are_equal(&self) -> bool {
        self.asker.core.members.root() == self.other.core.members.root()
    }
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![Just(crate::MIN_DATAGRAM), 96..300usize, Just(AMPLE), Just(9_000)]
}

#[test]
fn two_tables_hold_the_same_living_members_once_each_has_asked_the_other() {
    check(60, (versions(260), sizes(), any::<bool>()), |(versions, size, newcomer)| {
        let (one, other) = tables(&versions);
        let mut talk = Talk::new(one, other, size, 0);
        talk.ask_all(newcomer);
        talk.swap();
        talk.ask_all(newcomer);
        assert!(talk.roots_are_equal(), "after {} questions", talk.questions);
        if newcomer {
            assert_eq!(talk.asker.by_place(), talk.other.by_place(), "lists are of the dead too");
        }
    });
}

#[test]
fn two_tables_become_equal_however_much_is_lost() {
    check(30, (versions(200), sizes(), 1..60u32), |(versions, size, loss)| {
        let (one, other) = tables(&versions);
        let mut talk = Talk::new(one, other, size, loss);
        for _ in 0..300 {
            if talk.roots_are_equal() {
                return;
            }
            talk.ask_all(false);
            talk.swap();
        }
        panic!("they differ after {} questions", talk.questions);
    });
}

#[test]
fn what_only_the_asker_knows_it_is_asked_for_and_tells_by_the_way() {
    check(60, versions(60), |versions| {
        // The asker has all that the other has.
        let superior = versions.into_iter().map(|(id, a, b)| (id, a.max(b), if b == a { b } else { 0 })).collect();
        let (mut one, other) = tables(&superior);
        one.learn(record(PEER.get(), 0, Liveness::Alive));
        let mut talk = Talk::new(one, other, 9_000, 0);
        talk.ask_all(false);
        assert_eq!((talk.questions, talk.told), (1, 0), "it asks once and is told nothing");
        assert_eq!(talk.other.by_place(), talk.asker.by_place());
    });
}

#[test]
fn tables_that_are_equal_find_that_out_with_one_question_and_tell_nothing() {
    check(60, versions(260), |versions| {
        let same: Versions = versions.into_iter().map(|(id, a, _)| (id, a, a)).collect();
        let (mut one, mut other) = tables(&same);
        one.learn(record(PEER.get(), 0, Liveness::Alive));
        other.learn(record(1, 0, Liveness::Alive));
        let mut talk = Talk::new(one, other, AMPLE, 0);
        talk.ask_all(false);
        assert_eq!((talk.questions, talk.told), (1, 0));
    });
}

/// What an answer to this list says: how far it goes, the records, and the bits of what is wanted.
fn diff_of(table: &Table, range: (u64, u64), salt: u32, shorts: &[u32]) -> (u64, Vec<Record<u16>>, u64) {
    let list = datagram(9_000, |writer| {
        writer.frame(kind::LIST, |body| {
            body.u64(range.0)?;
            body.u64(range.1)?;
            body.u32(salt)
        })
    });
    assert!(list.is_some(), "a list of nothing");
    let bytes: Vec<u8> = shorts.iter().flat_map(|short| short.to_le_bytes()).collect();
    let numbers = datagram(9_000, |writer| {
        let frame = writer.begin(kind::NEWS)?;
        bytes.iter().try_for_each(|byte| writer.u8(*byte))?;
        writer.end(frame)
    });
    let (mut said, mut wanted) = (None, 0);
    each_frame(&numbers.expect("it fits"), |frame| {
        let Frame::News(shorts) = frame else { panic!("just written") };
        let diff = compare(&table.core.members, range, salt, shorts);
        let answer = datagram(9_000, |writer| diff.write(writer, &table.core.members));
        each_frame(&answer.expect("it fits"), |frame| match frame {
            Frame::Diff { low, high, wanted: bits, records: list } => {
                assert_eq!(low, range.0);
                (said, wanted) = (Some((high, records(list))), bits);
            }
            other => panic!("not an answer: {other:?}"),
        });
    });
    let (high, records) = said.expect("it answers");
    (high, records, wanted)
}

#[test]
fn a_diff_has_just_what_the_list_lacks_and_wants_just_what_the_table_lacks() {
    check(150, (versions(150), any::<u32>()), |(versions, salt)| {
        let (asker, other) = tables(&versions);
        let listed: Vec<u32> = asker.shorts(salt).into_iter().take(LOOK).collect();
        let end = asker.by_place().keys().nth(LOOK).map_or(u64::MAX, |place| place - 1);
        let (high, told, wanted) = diff_of(&other, (0, end), salt, &listed);
        // It looks at so many of its own, and answers as far as that goes.
        let limit = other.by_place().range(..=end).nth(LOOK).map(|(place, _)| place - 1);
        assert_eq!(high, limit.unwrap_or(end), "how far it answers");
        let own = other.by_place();
        let lacks = own.range(..=high).map(|(_, record)| *record);
        let same = |record: &Record<u16>| asker.core.members.find_record(record.id) == Some(record);
        assert_eq!(told, lacks.filter(|record| !same(record)).collect::<Vec<_>>(), "what the list lacks");
        for (bit, (place, record)) in asker.by_place().into_iter().take(LOOK).enumerate() {
            let lacking = other.core.members.find_record(record.id) != Some(&record);
            // Behind the limit nothing is known for sure.
            let certain = limit.is_none();
            let is_wanted = wanted >> bit & 1 == 1;
            assert!(lacking || !is_wanted, "number {bit} is there");
            assert!(!certain || is_wanted == lacking, "number {bit} at {place:x}");
        }
        assert!(listed.len() >= LOOK || wanted >> listed.len() == 0, "nothing that was not listed");
    });
}

#[test]
fn of_a_list_that_is_all_unknown_all_is_wanted() {
    // A table of one, whose own record the list does not have.
    let table = Table::new(1, []);
    for count in 0..=LOOK {
        let listed: Vec<u32> = (0..count as u32).collect();
        let (high, told, wanted) = diff_of(&table, (0, u64::MAX), 5, &listed);
        assert_eq!((high, told.len(), wanted.count_ones() as usize), (u64::MAX, 1, count));
        assert!(wanted.trailing_ones() as usize == count, "{wanted:b} of {count}");
    }
}

// Sums and parts.

/// The parts of a range, by hand.
fn parts_of(low: u64, high: u64, log: u8) -> Vec<(u64, u64)> {
    let width = u128::from((high - low) >> log) + 1;
    let starts = (0..1u128 << log).map(|at| u128::from(low) + at * width);
    let ends = |start: u128| (start as u64, u128::from(high).min(start + width - 1) as u64);
    starts.take_while(|start| *start <= u128::from(high)).map(ends).collect()
}

/// What is asked of a peer that has said that these parts differ: the ranges of the lists that follow.
fn asked_after(walk: &Walk, parts: Parts) -> Vec<(u64, u64)> {
    let table = Table::new(1, []);
    let mut talk = Talk { walk: walk.clone(), ..Talk::new(table.clone(), table, AMPLE, 0) };
    assert!(talk.walk.on_parts(PEER, &parts, talk.now), "it was asked");
    talk.tick();
    let mut asked = Vec::new();
    while let Some((at, _)) = { talk.walk.owed(false).next() } {
        let question = datagram(AMPLE, |writer| talk.walk.write(at, 5, writer, &talk.asker.core.members));
        each_frame(&question.expect("it fits"), |frame| {
            let Frame::List { low, high, .. } = frame else { panic!("there is little to compare: {frame:?}") };
            asked.push((low, high));
        });
        assert!(talk.walk.sent(at));
    }
    asked
}

#[test]
fn the_parts_of_a_range_cover_it_without_gap_or_overlap() {
    // From all of the id space down to a few places, or one.
    check(40, vec((1..=4u8, any::<u32>()), 1..20), |path| {
        let mut walk = Walk::NEW;
        walk.pull(PEER, false, Instant::ZERO);
        let (mut low, mut high) = (0, u64::MAX);
        for (log, choice) in path {
            let meaning = |meant: u32| Parts { low, high, log, meant };
            let each = (0..1 << log).flat_map(|at| {
                let asked = asked_after(&walk, meaning(1 << at));
                assert!(asked.len() <= 1, "one part is asked about at once");
                asked
            });
            let parts: Vec<(u64, u64)> = each.collect();
            assert_eq!(parts, parts_of(low, high, log), "equal parts of {low:x} to {high:x}");
            assert_eq!((parts[0].0, parts[parts.len() - 1].1), (low, high), "from end to end");
            assert!(parts.windows(2).all(|pair| pair[0].1.checked_add(1) == Some(pair[1].0)), "without a gap");
            assert_eq!(asked_after(&walk, meaning(u32::MAX)), [(low, high)], "neighbours are asked about together");
            assert_eq!(asked_after(&walk, meaning(0)), [], "nothing, if nothing differs");
            let chosen = choice as usize % parts.len();
            assert!(walk.on_parts(PEER, &meaning(1 << chosen), Instant::ZERO));
            (low, high) = parts[chosen];
        }
    });
}

#[test]
fn all_parts_that_differ_are_asked_about_in_at_most_four_ranges() {
    check(200, any::<u32>(), |meant| {
        let mut walk = Walk::NEW;
        walk.pull(PEER, false, Instant::ZERO);
        let asked = asked_after(&walk, Parts { low: 0, high: u64::MAX, log: 4, meant });
        assert!(asked.len() <= 4);
        for (at, (low, high)) in parts_of(0, u64::MAX, 4).into_iter().enumerate() {
            let inside = asked.iter().filter(|(from, to)| *from <= low && high <= *to).count();
            assert!(inside == 1 || inside == 0 && meant >> at & 1 == 0, "part {at} of {meant:b}");
        }
    });
}

#[test]
fn the_parts_said_to_differ_are_those_whose_living_members_do() {
    check(60, (vec((10..u64::MAX, any::<u32>()), LOOK..200), 0..20u32, any::<u32>()), |(ids, changes, salt)| {
        let alive = ids.iter().map(|(id, _)| record(*id, 1, Liveness::Alive));
        let one = Table::new(1, alive.clone());
        let mut other = Table::new(1, alive);
        for (id, choice) in ids.iter().take(changes as usize) {
            let liveness = if choice % 2 == 0 { Liveness::Down } else { Liveness::Alive };
            other.learn(record(*id, 1 + choice % 3, liveness));
        }
        let mut walk = Walk::NEW;
        walk.pull(PEER, false, Instant::ZERO);
        for size in [crate::MIN_DATAGRAM, 150, AMPLE] {
            let sums = datagram(size, |writer| walk.write(0, salt, writer, &one.core.members)).expect("it fits");
            each_frame(&sums, |frame| {
                let Frame::Sums { what, low, high, salt, sums } = frame else { panic!("there is much: {frame:?}") };
                let same = compare_sums(&one.core.members, what, (low, high), salt, sums).expect("a power of two");
                assert_eq!(same.meant, 0, "a table is as itself");
                let parts = compare_sums(&other.core.members, what, (low, high), salt, sums).expect("a power of two");
                assert_eq!((parts.low, parts.high, 2 << parts.log), (0, u64::MAX, sums.len()));
                for (at, (low, high)) in parts_of(0, u64::MAX, parts.log).into_iter().enumerate() {
                    let differs = one.living_within(low, high) != other.living_within(low, high);
                    assert_eq!(parts.meant >> at & 1 == 1, differs, "part {at}");
                }
            });
        }
    });
}

#[test]
fn sums_that_are_not_as_many_as_a_power_of_two_up_to_16_are_refused() {
    let table = Table::new(1, []);
    for count in 0..=130usize {
        let sums = datagram(AMPLE, |writer| {
            let frame = writer.begin(kind::NEWS)?;
            (0..count).try_for_each(|_| writer.u16(1))?;
            writer.end(frame)
        });
        each_frame(&sums.expect("it fits"), |frame| {
            let Frame::News(sums) = frame else { panic!("just written") };
            let parts = compare_sums(&table.core.members, What::Records, (0, u64::MAX), 5, sums);
            assert_eq!(parts.is_some(), [1, 2, 4, 8, 16].contains(&count), "{count} sums");
        });
    }
}

// Cursors.

#[test]
fn whoever_does_not_answer_is_asked_five_times_and_a_newcomer_asks_four_peers() {
    for (newcomer, expected) in [(false, 5), (true, 20)] {
        let everybody = || (10..60).map(|id| record(id, 0, Liveness::Alive));
        let mut talk = Talk::new(Table::new(1, everybody()), Table::new(2, everybody()), AMPLE, 0);
        talk.walk.pull(PEER, newcomer, talk.now);
        let mut asked = Vec::new();
        while let Some((peer, _)) = talk.question() {
            asked.push((talk.now, peer));
        }
        assert_eq!(asked.len(), expected, "newcomer: {newcomer}");
        for turn in asked.chunks(5) {
            assert!(turn.iter().all(|(_, peer)| *peer == turn[0].1), "the same one five times");
            let gaps: Vec<u64> = turn.windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect();
            assert_eq!(gaps, [2 * GAP, 4 * GAP, 8 * GAP, 16 * GAP], "at gaps that double");
        }
        assert_eq!(talk.walk.due(), Instant::FAR_FUTURE);
    }
}

#[test]
fn a_newcomer_divides_what_is_left_among_four_peers() {
    let everybody = (10..250u64).map(|id| record(id, 0, Liveness::Alive));
    // So few in a page that there is much more to come.
    let mut talk = Talk::new(Table::new(1, []), Table::new(2, everybody), 300, 0);
    talk.walk.pull(PEER, true, talk.now);
    assert!(talk.walk.by_newcomer());
    let (peer, first) = talk.question().expect("it asks");
    let page = talk.answer(&first);
    talk.hear(peer, &page);
    let known = talk.asker.by_place();
    let last = *known.keys().rfind(|place| talk.other.by_place().contains_key(place)).expect("a page");
    let mut starts = Vec::new();
    talk.tick();
    while let Some((at, peer)) = { talk.walk.owed(false).next() } {
        assert!(peer == PEER || talk.asker.core.members.find(peer).is_some(), "it knows whom it asks");
        let question = datagram(AMPLE, |writer| talk.walk.write(at, 5, writer, &talk.asker.core.members));
        each_frame(&question.expect("it fits"), |frame| {
            let Frame::List { low, .. } = frame else { panic!("a newcomer lists: {frame:?}") };
            starts.push(low);
        });
        assert!(talk.walk.sent(at));
    }
    starts.sort_unstable();
    assert_eq!(starts.len(), 4);
    assert!(starts[0] > last, "what it has is not asked for again");
    let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| gap.abs_diff(gaps[0]) <= 1), "equal quarters: {starts:x?}");
}

#[test]
fn answers_to_no_question_change_nothing() {
    let mut talk = Talk::new(Table::new(1, []), Table::new(2, []), AMPLE, 0);
    talk.walk.pull(PEER, false, talk.now);
    let before = talk.walk.clone();
    let (stranger, middle) = (NodeId::new(9), 1 << 63);
    let Talk { asker: Table { core }, now, walk, .. } = &mut talk;
    core.now = *now;
    assert!(!walk.on_page(stranger, (0, middle), core), "from somebody else");
    assert!(!walk.on_page(PEER, (1, middle), core), "of another page");
    let parts = Parts { low: 0, high: u64::MAX, log: 3, meant: 5 };
    assert!(!walk.on_parts(stranger, &parts, *now), "from somebody else");
    assert!(!walk.on_parts(PEER, &Parts { low: 1, ..parts }, *now), "of another range");
    assert!(!walk.on_parts(PEER, &Parts { high: middle, ..parts }, *now), "of less");
    assert!(*walk == before);
}

// What does not hold yet.

#[test]
fn the_only_part_of_all_of_the_id_space_is_all_of_it() {
    let mut walk = Walk::NEW;
    walk.pull(PEER, false, Instant::ZERO);
    let whole = Parts { low: 0, high: u64::MAX, log: 0, meant: 1 };
    assert_eq!(asked_after(&walk, whole), [(0, u64::MAX)]);
}
