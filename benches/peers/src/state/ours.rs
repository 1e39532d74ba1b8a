//! Our own nodes in the simulator, as they replicate state.

use std::time::Duration;

use tidings::sim::{Conditions, Sim};

use super::day::{KEY, Replicas};
use crate::Ours;
use crate::experiments::Subject;

/// A cluster of our nodes.
pub struct Cluster(Sim<Ours>);

impl Replicas for Cluster {
    fn new(nodes: usize, loss: f64, seed: u64) -> Result<Self, String> {
        let mut sim = Sim::new(seed, Conditions::LAN.with_loss(loss));
        for _ in 0..nodes {
            sim.add(<Ours as Subject>::new(nodes as u32));
        }
        Ok(Cluster(sim))
    }

    fn start(&mut self, host: usize, value: &str) -> Result<(), String> {
        self.0.start(host, &[0]);
        self.set(host, value)
    }

    fn run_for(&mut self, time: Duration) {
        self.0.run_for(time);
    }

    fn set(&mut self, host: usize, value: &str) -> Result<(), String> {
        let mut taken = false;
        self.0.with(host, |node, now| taken = node.set(now, KEY, value.as_bytes()).is_ok());
        if taken { Ok(()) } else { Err(format!("node {host} does not take the value")) }
    }

    fn has(&self, host: usize, owner: usize, value: &str) -> bool {
        let node = self.0.machine(host);
        node.and_then(|node| node.get(self.0.id(owner), KEY)) == Some(value.as_bytes())
    }

    fn bytes(&self) -> u64 {
        self.0.total_traffic().bytes
    }
}
