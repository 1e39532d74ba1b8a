//! Members as they come, work and go where people run this: what a cluster is told that only ever works, when a newcomer knows
//! the cluster, and how long the dead are remembered.
//!
//! Latency 1 to 5 ms and `Config::LAN` unless a test says otherwise. What a test prints names the seed to replay it with.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings::sim::{Conditions, Sim};
use tidings::{
    Config, DropReason, ForgetError, HeapNode, Hosted, Limits, MessageId, NodeId, OwnedEvent, Phase, Status,
};

use crate::common::cluster::SECOND;
use crate::common::diary::{
    Cluster, Diary, MILLIS, NEWS, cluster_of_diarists, diarist, has_told, lists, node, started,
};

/// What the hosts were told to be refused, by how many of them.
fn refusals(sim: &Cluster) -> BTreeMap<&'static str, usize> {
    let mut refusals = BTreeMap::new();
    for machine in (0..sim.hosts()).filter_map(|host| sim.machine(host)) {
        for (_, event) in &machine.app.0 {
            if let OwnedEvent::Refused { reason } = event {
                *refusals.entry(reason.name()).or_default() += 1;
            }
        }
    }
    refusals
}

#[test]
fn a_healthy_cluster_that_starts_works_and_leaves_is_told_of_no_refusal() {
    for (size, loss, seed) in [(2, 0.0, 1), (16, 0.0, 2), (128, 0.0, 3), (128, 0.05, 4)] {
        let mut sim = started(size, seed, Conditions::LAN.with_loss(loss));
        assert!(sim.run_until_agreed(100 * MILLIS, 30 * SECOND).is_some(), "seed {seed}: they form a cluster");
        for round in 0..20u8 {
            for host in (0..size).step_by(8) {
                let next = sim.id((host + 1) % size);
                sim.with(host, |it, now| {
                    let _ = it.node.broadcast(now, NEWS, &[round; 64]);
                    let _ = it.node.send(now, next, NEWS, &[round; 64]);
                    let _ = it.node.set(now, "round", &[round; 64]);
                });
            }
            sim.run_for(500 * MILLIS);
        }
        // One after another makes room for a new version.
        for host in 1..size.min(5) {
            sim.leave(host);
            sim.run_for(SECOND);
            sim.restart(host, diarist(), &[0]);
            sim.run_for(SECOND);
        }
        (0..size).for_each(|host| sim.leave(host));
        sim.run_for(20 * SECOND);
        assert_eq!(refusals(&sim), BTreeMap::new(), "{size} nodes, {loss} loss, seed {seed}");
        let counted = (0..size).map(|host| sim.machine(host).expect("it is kept").node.stats());
        let strangers: u64 = counted.map(|stats| stats.dropped(DropReason::Stranger)).sum();
        assert!(size < 128 || strangers > 0, "seed {seed}: and what was refused is counted");
    }
}

/// Whether a host was told of this broadcast, or that it is lost.
fn knows_of(sim: &Cluster, host: usize, message: MessageId) -> bool {
    let told = &sim.machine(host).expect("it runs").app.0;
    told.iter().any(|(_, event)| match event {
        OwnedEvent::Message { id, .. } => *id == message,
        OwnedEvent::Gap { origin, first, last } => {
            *origin == message.origin() && (*first..=*last).contains(&message.seq())
        }
        _ => false,
    })
}

#[test]
fn whoever_tells_that_it_joined_is_told_of_everything_from_then_on() {
    for (loss, spoken_before) in [(0.0, 0), (0.0, 3), (0.1, 0), (0.1, 3)] {
        let (mut untold, mut unknown, mut longest) = (0, 0, Duration::ZERO);
        for seed in 0..40 {
            let mut sim = started(16, seed, Conditions::LAN.with_loss(loss));
            assert!(sim.run_until_agreed(100 * MILLIS, 30 * SECOND).is_some(), "seed {seed}: they form a cluster");
            sim.run_for(3 * SECOND);
            let say = |sim: &mut Cluster, host| {
                let mut id = None;
                sim.with(host, |it, now| id = it.node.broadcast(now, NEWS, b"now").ok());
                id.expect("there is room")
            };
            for host in (0..16).cycle().take(16 * spoken_before) {
                say(&mut sim, host);
                sim.run_for(10 * MILLIS);
            }
            let newcomer = sim.add(diarist());
            sim.start(newcomer, &[0]);
            let begun = sim.now();
            while !has_told(&sim, newcomer, |event| *event == OwnedEvent::Joined) {
                assert!(sim.step() && sim.now() < begun + 10 * SECOND, "seed {seed}: it joins");
            }
            longest = longest.max(Duration::from_micros(sim.now().as_micros() - begun.as_micros()));
            unknown += 17 - sim.machine(newcomer).expect("it runs").node.live();
            let said: Vec<MessageId> = (0..16).map(|host| say(&mut sim, host)).collect();
            sim.run_for(30 * SECOND);
            untold += said.iter().filter(|id| !knows_of(&sim, newcomer, **id)).count();
        }
        let of = format!("{loss} loss, {spoken_before} broadcasts each before, seeds 0 to 39");
        assert_eq!((untold, unknown), (0, 0), "broadcasts of 640 untold, and members of 640 unknown: {of}");
        assert!(longest < SECOND, "it takes {longest:?} to join: {of}");
    }
}

#[test]
fn whoever_was_let_in_by_a_seed_that_crashes_then_tells_that_it_joined_all_the_same() {
    for seed in 0..10 {
        let mut sim = started(1, seed, Conditions::LAN);
        let newcomer = sim.add(diarist());
        sim.start(newcomer, &[0]);
        while sim.machine(newcomer).expect("it runs").node.live() < 2 {
            assert!(sim.step(), "seed {seed}: it is let in");
        }
        sim.crash(0);
        sim.run_for(100 * MILLIS);
        assert_eq!(sim.machine(newcomer).expect("it runs").node.phase(), Phase::Joining, "seed {seed}");
        sim.run_for(Config::LAN.suspicion());
        assert!(has_told(&sim, newcomer, |event| *event == OwnedEvent::Joined), "seed {seed}");
    }
}

/// Keeps the dead for a minute or two.
const FORGETFUL: Config =
    Config::LAN.with_dead_retention(Duration::from_secs(120)).with_left_retention(Duration::from_secs(60));

/// A settled cluster of nodes that forget soon.
fn forgetful(size: usize, seed: u64) -> Cluster {
    let mut sim = Sim::new(seed, Conditions::LAN);
    for host in 0..size {
        sim.add(Hosted::new(HeapNode::new(FORGETFUL, Limits::DEFAULT), Diary::default()));
        sim.start(host, &[0, 1]);
    }
    assert!(sim.run_until_agreed(100 * MILLIS, 30 * SECOND).is_some(), "seed {seed}: they form a cluster");
    sim.run_for(3 * SECOND);
    sim
}

#[test]
fn the_dead_are_forgotten_when_their_time_is_over_and_visited_no_more() {
    for seed in 0..4 {
        let mut sim = forgetful(16, seed);
        (8..12).for_each(|host| sim.leave(host));
        (12..16).for_each(|host| sim.crash(host));
        let listed = |sim: &Cluster, hosts: std::ops::Range<usize>| {
            (0..8).map(|host| hosts.clone().filter(|dead| lists(sim, host, *dead).is_some()).count()).sum::<usize>()
        };
        sim.run_for(55 * SECOND);
        assert_eq!(listed(&sim, 8..16), 64, "seed {seed}: all are remembered at first");
        sim.run_for(25 * SECOND);
        assert_eq!((listed(&sim, 8..12), listed(&sim, 12..16)), (0, 32), "seed {seed}: who left is forgotten");
        // A newcomer learns of the dead from those who remember them.
        let newcomer = sim.add(Hosted::new(HeapNode::new(FORGETFUL, Limits::DEFAULT), Diary::default()));
        sim.start(newcomer, &[0]);
        sim.run_for(65 * SECOND);
        assert_eq!(listed(&sim, 8..16), 0, "seed {seed}: all are forgotten");
        sim.run_for(65 * SECOND);
        assert!((8..16).all(|dead| lists(&sim, newcomer, dead).is_none()), "seed {seed}: by the newcomer too");
        sim.record_transcript();
        sim.run_for(120 * SECOND);
        let visits = sim.transcript().lines().filter(|line| (8..16).any(|dead| line.contains(&format!("-> {dead} "))));
        assert_eq!(visits.count(), 0, "seed {seed}");
        assert!(sim.agrees(), "seed {seed}");
    }
}

#[test]
fn nobody_rises_from_the_table_of_one_who_slept_while_the_others_forgot() {
    for seed in 0..10 {
        let mut sim = forgetful(8, seed);
        sim.stop(7);
        sim.run_for(SECOND);
        sim.crash(6);
        sim.run_for(150 * SECOND);
        assert!((0..6).all(|host| lists(&sim, host, 6).is_none()), "seed {seed}: all have forgotten it");
        assert_eq!(lists(&sim, 7, 6), Some(Status::Alive), "seed {seed}: but one");
        sim.resume(7);
        for _ in 0..3_000 {
            sim.run_for(10 * MILLIS);
            let risen = (0..6).filter(|host| lists(&sim, *host, 6).is_some_and(Status::is_live)).count();
            assert_eq!(risen, 0, "seed {seed}: at {:?}", sim.now());
        }
        assert_eq!(lists(&sim, 7, 6), Some(Status::Down), "seed {seed}: that one has found it dead");
        assert!((0..6).all(|host| lists(&sim, host, 7) == Some(Status::Alive)), "seed {seed}: and is back itself");
    }
}

#[test]
fn a_partition_that_outlasts_the_memory_of_the_dead_heals_through_seeds() {
    for seed in 0..4 {
        let mut sim = forgetful(16, seed);
        (0..16).for_each(|host| sim.set_side(host, host as u32 % 2));
        sim.run_for(20 * SECOND);
        sim.crash(14);
        sim.run_for(180 * SECOND);
        assert!((0..14).all(|host| node(&sim, host).members().count() == 8 - (host + 1) % 2), "seed {seed}");
        sim.heal();
        let whole = sim.run_until_agreed(100 * MILLIS, 60 * SECOND);
        assert!(whole.is_some(), "seed {seed}: one cluster again");
        assert!((0..14).all(|host| lists(&sim, host, 14).is_none()), "seed {seed}: without the one that crashed");
    }
}

#[test]
fn an_operator_can_have_the_dead_forgotten_and_nobody_else() {
    for seed in 0..4 {
        let mut sim = cluster_of_diarists(8, seed);
        sim.with(7, |it, now| _ = it.node.set(now, "rack", b"b4").expect("there is room"));
        sim.run_for(SECOND);
        let dead = sim.id(7);
        let forget = |sim: &mut Cluster, id| {
            let mut outcome = Ok(());
            sim.with(0, |it, now| outcome = it.node.forget(now, id));
            outcome
        };
        assert_eq!(forget(&mut sim, dead), Err(ForgetError::Lives), "seed {seed}");
        let own = sim.id(0);
        assert_eq!(forget(&mut sim, own), Err(ForgetError::Lives), "seed {seed}");
        assert_eq!(forget(&mut sim, NodeId::new(99)), Err(ForgetError::Unknown), "seed {seed}");
        sim.crash(7);
        sim.run_for(2 * SECOND);
        assert_eq!(forget(&mut sim, dead), Err(ForgetError::Lives), "seed {seed}: it is no more than suspect");
        sim.run_for(8 * SECOND);
        assert_eq!(node(&sim, 0).get(dead, "rack"), Some(&b"b4"[..]), "seed {seed}: its map outlives it");
        sim.with(0, |it, _| _ = it.node.watch("rack"));
        assert_eq!(forget(&mut sim, dead), Ok(()), "seed {seed}");
        assert_eq!((lists(&sim, 0, 7), node(&sim, 0).get(dead, "rack")), (None, None), "seed {seed}");
        // Whoever comes has tables compared.
        let newcomer = sim.add(diarist());
        sim.start(newcomer, &[0]);
        sim.run_for(60 * SECOND);
        assert_eq!(lists(&sim, 0, 7), None, "seed {seed}: nobody brings it back");
        assert_eq!(lists(&sim, 1, 7), Some(Status::Down), "seed {seed}: others still list it");
        assert!(has_told(&sim, 0, |event| *event == OwnedEvent::MapGone { owner: dead }), "seed {seed}");
        // Each of those that come after somebody was forgotten is heard from its first message on.
        let mut said = None;
        sim.with(newcomer, |it, now| said = it.node.broadcast(now, NEWS, b"here").ok());
        sim.run_for(SECOND);
        let said = said.expect("there is room");
        assert!((0..7).all(|host| knows_of(&sim, host, said)), "seed {seed}");
        sim.restart(7, diarist(), &[0]);
        sim.run_for(5 * SECOND);
        assert_eq!(lists(&sim, 0, 7), Some(Status::Alive), "seed {seed}: it is let in as anybody is");
    }
}
