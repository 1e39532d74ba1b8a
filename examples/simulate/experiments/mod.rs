//! The experiments: what is done to a cluster, and what is counted. They know a protocol only as a [`Subject`], so that
//! whatever else implements it is put through the very same days, seed by seed.

pub mod broadcast;
pub mod crash;
pub mod flapping;
pub mod growth;
pub mod ledger;
pub mod partial;
pub mod steady;

use std::collections::HashSet;
use std::time::Duration;

use tidings::sim::{Conditions, Machine, Report, Reported, Sim};
use tidings::{NodeId, Status};

pub const SECOND: Duration = Duration::from_secs(1);

/// A protocol under test.
pub trait Subject: Machine + Sized {
    /// One that is not started, with the settings that its makers would choose for a cluster of this size in one data
    /// centre.
    fn new(nodes: u32) -> Self;

    /// The same, and it takes broadcasts, where that must be asked for.
    fn listening(nodes: u32) -> Self {
        Self::new(nodes)
    }

    /// How many copies of broadcast payloads have reached it so far, those of messages that it had included; zero where
    /// nobody counts them.
    fn payloads(&self) -> u64 {
        0
    }

    /// A cluster in which all know each other, some seconds old.
    fn cluster(nodes: u32, seed: u64) -> Result<Sim<Self>, String> {
        formed(nodes, seed, Self::new)
    }

    /// A cluster in which all take broadcasts and know each other, some seconds old.
    fn listening_cluster(nodes: u32, seed: u64) -> Result<Sim<Self>, String> {
        formed(nodes, seed, Self::listening)
    }
}

/// A cluster of such machines, some seconds after all know each other.
pub fn formed<M: Machine>(nodes: u32, seed: u64, machine: impl Fn(u32) -> M) -> Result<Sim<M>, String> {
    let mut sim = Sim::new(seed, Conditions::LAN);
    for host in 0..nodes as usize {
        sim.add(machine(nodes));
        sim.start(host, &[0]);
    }
    let limit = 120 * SECOND;
    sim.run_until_agreed(SECOND / 10, limit)
        .ok_or(format!("{nodes} nodes (seed {seed}) did not form a cluster within {limit:?}"))?;
    sim.run_for(5 * SECOND);
    sim.take_reports();
    Ok(sim)
}

/// How often members were declared down that were not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slander {
    /// Healthy ones, by healthy ones.
    pub by_healthy: usize,
    /// Healthy ones, by those in trouble.
    pub by_troubled: usize,
    /// Those in trouble, by anybody; they may deserve it.
    pub of_troubled: usize,
}

impl Slander {
    /// Counts what was reported, if the hosts of these numbers are in trouble.
    pub fn count<M: Machine>(&mut self, sim: &Sim<M>, reports: &[Reported], troubled: &[usize]) {
        let ids: HashSet<NodeId> = troubled.iter().map(|host| sim.id(*host)).collect();
        for reported in reports {
            let Report::Member(of, Status::Down) = reported.report else { continue };
            match (ids.contains(&of), troubled.contains(&reported.host)) {
                (true, _) => self.of_troubled += 1,
                (false, true) => self.by_troubled += 1,
                (false, false) => self.by_healthy += 1,
            }
        }
    }

    /// Healthy ones, by anybody.
    pub fn of_healthy(&self) -> usize {
        self.by_healthy + self.by_troubled
    }
}

impl core::ops::AddAssign for Slander {
    fn add_assign(&mut self, other: Self) {
        self.by_healthy += other.by_healthy;
        self.by_troubled += other.by_troubled;
        self.of_troubled += other.of_troubled;
    }
}

/// This many distinct hosts other than host 0, spread evenly over the cluster.
pub fn some(count: u32, nodes: u32, seed: u64) -> Vec<usize> {
    let (count, others) = (u64::from(count), u64::from(nodes) - 1);
    (0..count).map(|at| 1 + ((at * others / count + seed) % others) as usize).collect()
}

/// Bytes per node and second since `before`.
pub fn rate(nodes: u32, bytes: u64, over: Duration) -> f64 {
    bytes as f64 / f64::from(nodes) / over.as_secs_f64()
}
