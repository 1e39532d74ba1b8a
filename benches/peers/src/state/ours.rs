//! Our own nodes in the simulator, as they replicate state.

use std::time::Duration;

use tidings::sim::{Conditions, Sim};
use tidings::{Instant, NodeId};

use super::day::{KEY, Replicas};
use crate::Ours;

/// What is asked of a node.
pub struct Api {
    /// One that is not started, for a cluster of this size.
    node: fn(u32) -> Ours,
    /// Gives a key of its own this value; false if it would not.
    set: fn(&mut Ours, Instant, &str, &[u8]) -> bool,
    /// The value of this member's key, as far as it knows.
    get: for<'node> fn(&'node Ours, NodeId, &str) -> Option<&'node [u8]>,
}

/// TO BE COMPLETED once nodes have state. Until then nothing of ours is shown.
///
/// ```ignore
/// Some(Api {
///     node: <Ours as crate::experiments::Subject>::new,
///     set: |node, now, key, value| node.set(now, key, value).is_ok(),
///     get: |node, owner, key| node.get(owner, key),
/// })
/// ```
pub fn api() -> Option<Api> {
    None
}

/// A cluster of our nodes.
pub struct Cluster {
    api: Api,
    sim: Sim<Ours>,
}

impl Replicas for Cluster {
    fn new(nodes: usize, loss: f64, seed: u64) -> Result<Self, String> {
        let api = api().ok_or("nodes have no state yet")?;
        let mut sim = Sim::new(seed, Conditions::LAN.with_loss(loss));
        for _ in 0..nodes {
            sim.add((api.node)(nodes as u32));
        }
        Ok(Cluster { api, sim })
    }

    fn start(&mut self, host: usize, value: &str) -> Result<(), String> {
        self.sim.start(host, &[0]);
        self.set(host, value)
    }

    fn run_for(&mut self, time: Duration) {
        self.sim.run_for(time);
    }

    fn set(&mut self, host: usize, value: &str) -> Result<(), String> {
        let (set, mut taken) = (self.api.set, false);
        self.sim.with(host, |node, now| taken = set(node, now, KEY, value.as_bytes()));
        if taken { Ok(()) } else { Err(format!("node {host} does not take the value")) }
    }

    fn has(&self, host: usize, owner: usize, value: &str) -> bool {
        let node = self.sim.machine(host);
        node.and_then(|node| (self.api.get)(node, self.sim.id(owner), KEY)) == Some(value.as_bytes())
    }

    fn bytes(&self) -> u64 {
        self.sim.total_traffic().bytes
    }
}
