//! Joining, leaving and being forgotten as it goes where people run this: names that resolve to others each time, load
//! balancers, wrong seeds, and clusters that only ever work.
//!
//! Latency 1 to 5 ms and `Config::LAN` unless a test says otherwise. What a test prints names the seed to replay it with.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings::sim::{Conditions, Sim};
use tidings::{App, Config, DropReason, HeapNode, Hosted, Instant, Limits, OwnedEvent, Topic};

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
