//! The tree: places reserved for each kind of job, delegates by preference, and what has come before.

use std::vec::Vec;

use crate::config::Config;
use crate::member::{Life, Liveness, NodeId, Record};
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::rng::Rng;
use crate::sim::SimRng;
use crate::stats::Stats;
use crate::storage::{Bare, Heap, Limited, Narrow, Storage, Wide};
use crate::time::Instant;
use crate::tree::{Delta, Job, Kind, Message, Parcel, Range32, Tree, WAYS};

const UNIT: u64 = 1_000;
const KINDS: [Kind; 3] = [Kind::Parcel, Kind::Message, Kind::Delta];
/// How often one delegate is tried.
const TRIES: usize = 3;

fn job(kind: Kind, number: u32) -> Job {
    match kind {
        Kind::Parcel => Job::Parcel(number),
        Kind::Message => Job::Message(Message { at: number, piece: 0, topics: 1 }),
        Kind::Delta => Job::Delta(Delta { owner: number, tag: 1, vital: false, from: 0, to: 1 }),
    }
}

/// A node among so many others, all of which have been heard; every third listens to the first topic.
fn core<S: Storage>(others: u64, members: Members<u16, S>) -> Core<u16, S> {
    let mut core = Core::new(Config::LAN, members);
    let life = Life { generation: 0, nonce: 1 };
    let record = |id: u64| {
        let topics = u32::from(id.is_multiple_of(3));
        Record { id: NodeId::new(id), life, incarnation: 0, liveness: Liveness::Alive, addr: 9, patience: 0, topics }
    };
    let mut stats = Stats::NONE;
    core.members.reset(3, record(1), &mut stats);
    for id in 10..10 + others {
        let index = core.members.admit(record(id), Instant::ZERO, &mut stats).expect("there is room");
        core.members.see(index, Instant::ZERO);
    }
    (core.rng, core.now) = (Rng::seeded(&mut SimRng::new(others)), Instant::from_millis(1_000));
    core
}

fn heap<W: crate::Width>(others: u64) -> Core<u16, Heap<W>> {
    core(others, Members::new(Limited::new(400), Limited::new(400), Limited::new(400), Limited::new(400)))
}

fn hand_out<S: Storage>(core: &mut Core<u16, S>, job: Job, range: Range32) {
    let (tree, mut context) = core.tree();
    tree.hand_out(job, (range, WAYS), &[], UNIT, &mut context);
}

/// Hands out jobs of this kind until there is no room, one range at a time.
fn fill<S: Storage>(core: &mut Core<u16, S>, kind: Kind) -> usize {
    let mut count = 0;
    while core.tree.room(kind) > 0 {
        let place = core.members.place(NodeId::new(10));
        let cell = (place >> 32) as u32;
        hand_out(core, job(kind, count), Range32 { low: cell, high: cell });
        count += 1;
        assert!(count < 1_000, "there is an end");
    }
    core.tree.jobs().filter(|job| job.kind() == kind).count()
}

fn each_kind_has_its_places<S: Storage>(new: impl Fn() -> Core<u16, S>, all: usize, reserved: [usize; 3]) {
    for greedy in KINDS {
        let mut core = new();
        let others: usize =
            KINDS.iter().zip(reserved).filter(|(kind, _)| **kind != greedy).map(|(_, places)| places).sum();
        assert_eq!(fill(&mut core, greedy), all - others, "{greedy:?} takes all but what is reserved for others");
        for (kind, places) in KINDS.into_iter().zip(reserved).filter(|(kind, _)| *kind != greedy) {
            assert_eq!(core.tree.room(kind), places, "{kind:?} has its places beside {greedy:?}");
            assert_eq!(fill(&mut core, kind), places);
        }
        assert_eq!(KINDS.map(|kind| core.tree.room(kind)), [0; 3]);
        core.tree.clear(greedy);
        assert!(core.tree.is_empty(greedy) && core.tree.room(greedy) == all - others);
    }
}

#[test]
fn no_kind_of_job_takes_the_places_of_another() {
    each_kind_has_its_places(|| heap::<Wide>(1), 64, [20, 16, 12]);
    each_kind_has_its_places(|| heap::<Narrow>(1), 20, [8, 4, 4]);
}

#[test]
fn a_bare_node_has_places_for_news_alone() {
    let mut core = heap::<Bare>(1);
    assert_eq!(fill(&mut core, Kind::Parcel), 8);
    core.tree.clear(Kind::Parcel);
    for kind in [Kind::Message, Kind::Delta] {
        hand_out(&mut core, job(kind, 1), Range32::ALL);
        assert!(core.tree.jobs().next().is_none(), "{kind:?}");
    }
    let (bare, narrow) = (size_of::<Tree<Heap<Bare>>>(), size_of::<Tree<Heap<Narrow>>>());
    assert!(
        bare <= 8 + 8 * 40 + 8 + 3 * 16 + 8 + 8 * 4 + 8,
        "{bare} bytes for 8 parts as small as those of a parcel can be"
    );
    assert!(bare * 2 < narrow, "{bare} of {narrow}");
}

/// Who is tried in turn where nobody answers, or where all say that they cannot.
fn tried_in_turn(core: &mut Core<u16, Heap>, job: Job, parcels: &[Parcel], answers: bool) -> Vec<NodeId> {
    let (mut tried, mut tries) = (Vec::new(), 0);
    // A range that this node does not stand in, and with others enough.
    let place = (core.members.place(NodeId::new(1)) >> 32) as u32;
    let (low, high) = if place < u32::MAX / 2 { (place + 1, u32::MAX) } else { (0, place - 1) };
    let (tree, mut context) = core.tree();
    tree.hand_out_or_join(job, (Range32 { low, high }, 2), parcels, |_| None, UNIT, &mut context);
    // One of the parts is looked at; the others are acknowledged.
    let part = core.tree.get(0).expect("it is handed out").range;
    let owed = core.tree.owed(job.kind()).filter(|(_, handoff)| handoff.range != part);
    for other in owed.map(|(_, handoff)| (handoff.delegate, handoff.ask.number)).collect::<Vec<_>>() {
        let (tree, mut context) = core.tree();
        assert!(tree.on_ack(other, true, parcels, &mut context));
    }
    loop {
        let handed = core.tree.owed(job.kind()).find(|(_, handoff)| handoff.range == part);
        if let Some((at, to, number)) = handed.map(|(at, held)| (at, held.delegate, held.ask.number)) {
            tries += 1;
            if tried.last() != Some(&to) {
                assert!(answers || tried.is_empty() || tries == TRIES + 1, "{tries}");
                tried.push(to);
                tries = 1;
            }
            assert!(core.tree.sent(at));
            if answers {
                let (tree, mut context) = core.tree();
                assert!(tree.on_ack((to, number), false, parcels, &mut context));
            }
        }
        core.now = core.tree.due(job.kind());
        if core.now == Instant::FAR_FUTURE {
            return tried;
        }
        let (tree, mut context) = core.tree();
        tree.tick(job.kind(), parcels, UNIT, &mut context);
    }
}

#[test]
fn a_preference_holds_at_a_retry_too() {
    for (seed, answers) in (0..20).flat_map(|seed| [(seed, false), (seed, true)]) {
        let listens = |id: &NodeId| id.get().is_multiple_of(3);
        let mut core = heap::<Wide>(60 + seed);
        let tried = tried_in_turn(&mut core, job(Kind::Message, 1), &[], answers);
        assert!(tried.len() >= 6, "{tried:?}");
        assert!(tried[..4].iter().all(listens), "who listens comes first: {tried:?}");
        assert!(!answers || !tried.iter().all(listens), "who does not is asked if those cannot: {tried:?}");
    }
}

#[test]
fn news_of_a_member_is_not_handed_to_that_member_at_a_retry_while_there_are_others() {
    for (seed, answers) in (0..20).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut core = heap::<Wide>(60 + seed);
        let about: Vec<Index> = (2..40).step_by(2).collect();
        let records = about.iter().copied().collect();
        let parcels = [Parcel { name: 1, from: None, records }];
        let tried = tried_in_turn(&mut core, job(Kind::Parcel, 1), &parcels, answers);
        let first: Vec<Index> = tried[..4].iter().filter_map(|id| core.members.find(*id)).collect();
        assert!(first.iter().all(|index| !about.contains(index)), "{first:?} of {about:?}");
    }
}

#[test]
fn one_that_was_silent_is_passed_over_by_jobs_of_all_kinds() {
    let mut core = heap::<Wide>(60);
    let silent = tried_in_turn(&mut core, job(Kind::Delta, 1), &[], false);
    for (kind, number) in KINDS.into_iter().flat_map(|kind| (0..20).map(move |number| (kind, number))) {
        core.tree.clear(kind);
        hand_out(&mut core, job(kind, number), Range32::ALL);
        let chosen: Vec<NodeId> = core.tree.owed(kind).map(|(_, handoff)| handoff.delegate).collect();
        assert!(chosen.len() >= WAYS, "{kind:?}");
        assert!(chosen.iter().all(|id| !silent.contains(id)), "{kind:?}: {chosen:?} of {silent:?}");
    }
}

#[test]
fn the_latest_eighty_jobs_are_known_again() {
    let mut tree = Tree::<Heap>::NONE;
    for number in 1..500u32 {
        assert!(!tree.has_taken(number));
        tree.note_taken(number);
        for other in 1..=number {
            assert_eq!(tree.has_taken(other), other + 80 > number, "{other} after {number}");
        }
    }
}
