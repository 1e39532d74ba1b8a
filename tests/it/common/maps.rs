//! Clusters whose nodes watch each other's maps.

use tidings::sim::{Conditions, Sim};
use tidings::{App, Class, Config, Event, HeapNode, Hosted, Limits, NodeId, OwnedEvent};

use super::cluster::settled;

pub use super::cluster::SECOND;

/// An event of maps, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Set(NodeId, String, Vec<u8>),
    Deleted(NodeId, String),
    Replaced(NodeId),
    Gone(NodeId),
}

/// Keeps what it is told of keys.
#[derive(Default)]
pub struct Keeper {
    pub told: Vec<Told>,
}

/// A node that watches all keys, and what it was told.
pub type Watcher = Hosted<Keeper, u32>;

pub fn watcher(config: Config, limits: Limits) -> Watcher {
    let mut node = HeapNode::new(config, limits.with_members(1_100));
    node.watch("").expect("it watches nothing yet");
    Watcher::new(node, Keeper::default())
}

/// A settled cluster of such as `make` gives.
pub fn cluster_of(nodes: usize, seed: u64, conditions: Conditions, make: impl Fn(usize) -> Watcher) -> Sim<Watcher> {
    settled(Sim::new(seed, conditions), (nodes, seed), 60 * SECOND, make)
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

impl App<u32> for Keeper {
    fn on_event(&mut self, _: &mut HeapNode<u32>, event: &OwnedEvent<u32>) {
        self.told.push(match event.as_event() {
            Event::KeySet { owner, entry } => Told::Set(owner, entry.key().to_string(), entry.value().to_vec()),
            Event::KeyDeleted { owner, key } => Told::Deleted(owner, key.to_string()),
            Event::MapReplaced { owner } => Told::Replaced(owner),
            Event::MapGone { owner } => Told::Gone(owner),
            _ => return,
        });
    }
}
