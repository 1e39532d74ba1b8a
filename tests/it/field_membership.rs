//! Joining, leaving and being forgotten as it goes where people run this: names that resolve to others each time, load
//! balancers, wrong seeds, and clusters that only ever work.
//!
//! Latency 1 to 5 ms and `Config::LAN` unless a test says otherwise. What a test prints names the seed to replay it with.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings::sim::{Conditions, Sim};
use tidings::{App, Config, DropReason, HeapNode, Hosted, Instant, Limits, MessageId, OwnedEvent, Phase, Topic};

use crate::common::cluster::SECOND;

const MILLIS: Duration = Duration::from_millis(1);
const NEWS: Topic = Topic::from_name("news");

/// Keeps everything that it is told, and when.
#[derive(Default)]
struct Diary(Vec<(Instant, OwnedEvent<u32>)>);

impl App<u32> for Diary {
    fn on_start(&mut self, node: &mut HeapNode<u32>) {
        node.subscribe(node.now(), NEWS).expect("there is room for a topic");
    }

    fn on_event(&mut self, node: &mut HeapNode<u32>, event: &OwnedEvent<u32>) {
        self.0.push((node.now(), event.clone()));
    }
}

type Cluster = Sim<Hosted<Diary, u32>>;

fn diarist() -> Hosted<Diary, u32> {
    Hosted::new(HeapNode::new(Config::LAN, Limits::DEFAULT), Diary::default())
}

/// Hosts that ask host 0 to be admitted, all at once.
fn started(size: usize, seed: u64, conditions: Conditions) -> Cluster {
    let mut sim = Sim::new(seed, conditions);
    for host in 0..size {
        sim.add(diarist());
        sim.start(host, &[0]);
    }
    sim
}

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

fn has_told(sim: &Cluster, host: usize, wanted: impl Fn(&OwnedEvent<u32>) -> bool) -> bool {
    sim.machine(host).is_some_and(|it| it.app.0.iter().any(|(_, event)| wanted(event)))
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
