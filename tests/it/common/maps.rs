//! Clusters whose nodes watch each other's maps.

use std::time::Duration;

use tidings::sim::{Conditions, HostAddress, Machine, Report, Sim, SimRng};
use tidings::{Class, Config, Event, HeapNode, Instant, Limits, NodeId, Status};

pub const SECOND: Duration = Duration::from_secs(1);

/// An event of maps, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Set(NodeId, String, Vec<u8>),
    Deleted(NodeId, String),
    Replaced(NodeId),
    Gone(NodeId),
}

/// A node that watches all keys, and what it was told.
pub struct Watcher {
    pub node: HeapNode<u32>,
    pub told: Vec<Told>,
}

pub fn watcher(config: Config, limits: Limits) -> Watcher {
    let mut node = HeapNode::new(config, limits.with_members(1_100));
    node.watch("").expect("it watches nothing yet");
    Watcher { node, told: Vec::new() }
}

/// A settled cluster of such as `make` gives.
pub fn cluster_of(nodes: usize, seed: u64, conditions: Conditions, make: impl Fn(usize) -> Watcher) -> Sim<Watcher> {
    let mut sim = Sim::new(seed, conditions);
    for host in 0..nodes {
        sim.add(make(host));
        sim.start(host, &[0]);
    }
    assert!(sim.run_until_agreed(SECOND / 10, 60 * SECOND).is_some(), "they form a cluster");
    sim.run_for(3 * SECOND);
    sim
}

pub fn cluster(nodes: usize, seed: u64) -> Sim<Watcher> {
    cluster_of(nodes, seed, Conditions::LAN, |_| watcher(Config::LAN, Limits::DEFAULT))
}

pub fn node(sim: &Sim<Watcher>, host: usize) -> &HeapNode<u32> {
    &sim.machine(host).expect("it runs").node
}

pub fn set(sim: &mut Sim<Watcher>, host: usize, key: &str, value: &[u8]) {
    sim.with(host, |it, now| _ = it.node.set(now, key, value).expect("there is room"));
}

pub fn has(sim: &Sim<Watcher>, host: usize, owner: usize, key: &str, value: &[u8]) -> bool {
    node(sim, host).get(sim.id(owner), key) == Some(value)
}

/// What a host has of another's map, in order of the keys.
pub fn map(sim: &Sim<Watcher>, host: usize, owner: usize) -> Vec<(String, Vec<u8>)> {
    let shared = node(sim, host).entries(sim.id(owner)).filter(|entry| entry.class() != Class::Local);
    let mut all: Vec<_> = shared.map(|entry| (entry.key().to_string(), entry.value().to_vec())).collect();
    all.sort();
    all
}

/// Whether every running host's map is the same at all.
pub fn equal(sim: &Sim<Watcher>) -> bool {
    let hosts: Vec<usize> = sim.running().collect();
    hosts.iter().all(|owner| {
        let own = map(sim, *owner, *owner);
        hosts.iter().all(|host| map(sim, *host, *owner) == own)
    })
}

impl Machine for Watcher {
    type Addr = u32;

    fn addr_of(host: u32) -> u32 {
        u32::of_host(host)
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: u32, rng: &mut SimRng) {
        self.node.start(now, id, addr, rng);
    }

    fn join(&mut self, now: Instant, seed: u32) {
        self.node.join(now, seed).expect("there is room for the seed");
    }

    fn leave(&mut self, now: Instant) {
        self.node.leave(now);
    }

    fn handle_datagram(&mut self, now: Instant, from: u32, datagram: &mut [u8]) {
        self.node.handle_datagram(now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.node.handle_timeout(now);
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u32, usize)> {
        Machine::poll_transmit(&mut self.node, buf)
    }

    fn poll_report(&mut self) -> Option<Report> {
        let told = match self.node.poll_event()? {
            Event::KeySet { owner, entry } => Told::Set(owner, entry.key().to_string(), entry.value().to_vec()),
            Event::KeyDeleted { owner, key } => Told::Deleted(owner, key.to_string()),
            Event::MapReplaced { owner } => Told::Replaced(owner),
            Event::MapGone { owner } => Told::Gone(owner),
            _ => return Some(Report::Other),
        };
        self.told.push(told);
        Some(Report::Other)
    }

    fn poll_timeout(&self) -> Instant {
        self.node.poll_timeout()
    }

    fn status(&self, id: NodeId) -> Option<Status> {
        Machine::status(&self.node, id)
    }

    fn live(&self) -> usize {
        self.node.live()
    }

    fn has_left(&self) -> bool {
        Machine::has_left(&self.node)
    }
}
