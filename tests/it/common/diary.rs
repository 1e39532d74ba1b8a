//! Clusters whose nodes keep everything that they are told.

use std::time::Duration;

use tidings::sim::{Conditions, Sim};
use tidings::{App, Config, HeapNode, Hosted, Instant, Limits, OwnedEvent, Status, Topic};

use super::cluster::SECOND;

pub const MILLIS: Duration = Duration::from_millis(1);
pub const NEWS: Topic = Topic::from_name("news");

/// Keeps everything that it is told, and when.
#[derive(Default)]
pub struct Diary(pub Vec<(Instant, OwnedEvent<u32>)>);

impl App<u32> for Diary {
    fn on_start(&mut self, node: &mut HeapNode<u32>) {
        node.subscribe(node.now(), NEWS).expect("there is room for a topic");
    }

    fn on_event(&mut self, node: &mut HeapNode<u32>, event: &OwnedEvent<u32>) {
        self.0.push((node.now(), event.clone()));
    }
}

pub type Cluster = Sim<Hosted<Diary, u32>>;

pub fn diarist() -> Hosted<Diary, u32> {
    Hosted::new(HeapNode::new(Config::LAN, Limits::DEFAULT), Diary::default())
}

/// Hosts that joined through host 0 and have settled.
pub fn cluster_of_diarists(size: usize, seed: u64) -> Cluster {
    let mut sim = started(size, seed, Conditions::LAN);
    assert!(sim.run_until_agreed(100 * MILLIS, 30 * SECOND).is_some(), "seed {seed}: they form a cluster");
    sim.run_for(3 * SECOND);
    sim
}

/// Hosts that ask host 0 to be admitted, all at once.
pub fn started(size: usize, seed: u64, conditions: Conditions) -> Cluster {
    let mut sim = Sim::new(seed, conditions);
    for host in 0..size {
        sim.add(diarist());
        sim.start(host, &[0]);
    }
    sim
}

pub fn node(sim: &Cluster, host: usize) -> &HeapNode<u32> {
    &sim.machine(host).expect("it runs").node
}

pub fn lists(sim: &Cluster, host: usize, other: usize) -> Option<Status> {
    node(sim, host).member(sim.id(other)).map(|member| member.status())
}

pub fn has_told(sim: &Cluster, host: usize, wanted: impl Fn(&OwnedEvent<u32>) -> bool) -> bool {
    sim.machine(host).is_some_and(|it| it.app.0.iter().any(|(_, event)| wanted(event)))
}
