//! Clusters whose members write into their maps, and what of it is where.
//!
//! Each value says how often its key has been written, so that whoever reads one knows how many writes are missing.

pub mod fill;
pub mod spread;
pub mod stale;

use std::time::Duration;

use tidings::sim::{Conditions, Sim, SimRng};
use tidings::{HeapNode, Instant};

use crate::experiments::{SECOND, Subject, rate};

pub type Node = HeapNode<u32>;

/// Bytes of a value, the number included.
pub const VALUE: usize = 64;
/// How long a cluster is under the loss before anything is measured, and left alone when it has been filled.
const SETTLE: Duration = Duration::from_secs(5);
/// How long anything is waited for.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A cluster and all that its members have written.
pub struct Maps {
    pub sim: Sim<Node>,
    pub rng: SimRng,
    keys: Vec<String>,
    /// For each member and key, when it was written.
    written: Vec<Vec<Vec<Instant>>>,
}

impl Maps {
    /// Members that have written nothing yet, in whatever state they are.
    pub fn new(sim: Sim<Node>, keys: u32, seed: u64) -> Self {
        let keys: Vec<String> = (0..keys).map(|key| format!("key-{key:02}")).collect();
        let written = vec![vec![Vec::new(); keys.len()]; sim.hosts()];
        Maps { sim, rng: SimRng::new(seed), keys, written }
    }

    /// A settled cluster under this loss, with nothing in its maps.
    pub fn settled(nodes: u32, keys: u32, loss: f64, seed: u64) -> Result<Self, String> {
        let mut sim = Node::cluster(nodes, seed)?;
        sim.set_conditions(Conditions::LAN.with_loss(loss));
        sim.run_for(SETTLE);
        Ok(Maps::new(sim, keys, seed))
    }

    /// Has all write all of their keys, and waits until that is everywhere.
    pub fn fill(&mut self) -> Result<(), String> {
        let owners = 0..self.sim.hosts();
        for owner in owners.clone() {
            for key in 0..self.keys.len() {
                if !self.set(owner, key) {
                    return Err(format!("host {owner} does not take all {} keys", self.keys.len()));
                }
            }
            // As a bootstrap takes a second, so does this.
            self.sim.run_for(SECOND / self.sim.hosts() as u32);
        }
        let all = owners.clone().flat_map(|host| owners.clone().map(move |owner| (host, owner))).collect();
        self.until_have(all, SECOND / 100).ok_or(format!("not all maps were everywhere after {LIMIT:?}"))?;
        self.sim.run_for(SETTLE);
        Ok(())
    }

    /// Has a member write a key, now; false if it would not.
    pub fn set(&mut self, owner: usize, key: usize) -> bool {
        let times = &mut self.written[owner][key];
        let mut value = [0xb5; VALUE];
        value[..8].copy_from_slice(&(times.len() as u64 + 1).to_le_bytes());
        let (name, mut taken) = (&self.keys[key], false);
        self.sim.with(owner, |node, now| taken = node.set(now, name, &value).is_ok());
        if taken {
            times.push(self.sim.now());
        }
        taken
    }

    /// The same with any of the first so many members and any of its keys: whose, or `None` if it would not.
    pub fn set_any(&mut self, writers: u32) -> Option<usize> {
        let owner = self.rng.below(writers.into()) as usize;
        let key = self.rng.below(self.keys.len() as u64) as usize;
        self.set(owner, key).then_some(owner)
    }

    /// Since when a host has not had the owner's latest value of a key; `None` if it has it.
    pub fn stale_since(&self, host: usize, owner: usize, key: usize) -> Option<Instant> {
        let value = self.sim.machine(host).and_then(|node| node.get(self.sim.id(owner), &self.keys[key]));
        let number = value.and_then(|value| value.first_chunk()).map_or(0, |number| u64::from_le_bytes(*number));
        self.written[owner][key].get(number as usize).copied()
    }

    /// Whether a host has all that the owner has written.
    pub fn has(&self, host: usize, owner: usize) -> bool {
        (0..self.keys.len()).all(|key| self.stale_since(host, owner, key).is_none())
    }

    /// Runs until each of these hosts has all of the owner beside it, looking every `pace`: how long it took, or `None`
    /// if it took longer than the limit. Nothing may be written meanwhile.
    pub fn until_have(&mut self, mut missing: Vec<(usize, usize)>, pace: Duration) -> Option<Duration> {
        let begun = self.sim.now();
        loop {
            // Nobody forgets what it has, so each needs to be seen once, in whatever order.
            while missing.pop_if(|(host, owner)| self.has(*host, *owner)).is_some() {}
            if missing.is_empty() {
                return Some(self.sim.now().duration_since(begun));
            }
            if self.sim.now() > begun + LIMIT {
                return None;
            }
            self.sim.run_for(pace);
        }
    }

    /// How many parts of others' maps have come to all so far.
    pub fn parts(&self) -> u64 {
        let hosts = (0..self.sim.hosts()).filter_map(|host| self.sim.machine(host));
        hosts.map(|node| node.stats().chunks_in).sum()
    }

    /// Bytes per node and second from now on for so long.
    pub fn idle(&mut self, lasts: Duration) -> f64 {
        let before = self.sim.total_traffic().bytes;
        self.sim.run_for(lasts);
        let bytes = self.sim.total_traffic().bytes - before;
        rate(self.sim.hosts() as u32, bytes, lasts)
    }
}
