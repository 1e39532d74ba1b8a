//! Simulated clusters, and what their members have said.

use std::time::Duration;

use tidings::sim::{Conditions, Machine, Report, Reported, Safety, Sim};
use tidings::{Config, HeapNode, Limits, NodeId, Status};

pub const SECOND: Duration = Duration::from_secs(1);

pub fn fresh() -> HeapNode<u32> {
    HeapNode::new(Config::LAN, Limits::DEFAULT)
}

/// Hosts that join through host 0 and have settled.
pub fn cluster(size: usize, seed: u64) -> Sim<HeapNode<u32>> {
    settled(Sim::new(seed, Conditions::LAN), (size, seed), 30 * SECOND, |_| fresh())
}

/// The same with the safety checks on from the beginning, for tables that come to hold at most 64 members more.
pub fn watched(size: usize, seed: u64) -> Sim<HeapNode<u32>> {
    let mut sim = Sim::new(seed, Conditions::LAN);
    sim.watch(Safety::new(size + 64));
    settled(sim, (size, seed), 30 * SECOND, |_| fresh())
}

/// So many hosts that join through host 0, each with what `make` gives, some seconds after they have become a cluster.
pub fn settled<M: Machine>(
    mut sim: Sim<M>,
    (size, seed): (usize, u64),
    limit: Duration,
    make: impl Fn(usize) -> M,
) -> Sim<M> {
    for host in 0..size {
        sim.add(make(host));
        sim.start(host, &[0]);
    }
    let agreed = sim.run_until_agreed(Duration::from_millis(100), limit);
    assert!(agreed.is_some(), "seed {seed}: {size} nodes did not form a cluster");
    sim.run_for(3 * SECOND);
    sim.take_reports();
    sim
}

/// Who reported whom in this status.
pub fn reported(reports: &[Reported], status: Status) -> Vec<(usize, NodeId)> {
    let of = |reported: &Reported| match reported.report {
        Report::Member(id, told) if told == status => Some((reported.host, id)),
        _ => None,
    };
    reports.iter().filter_map(of).collect()
}

/// How often a host has told this of itself since the reports were last taken.
pub fn said(sim: &mut Sim<HeapNode<u32>>, host: usize, what: Report) -> usize {
    sim.take_reports().iter().filter(|reported| reported.host == host && reported.report == what).count()
}

pub fn status_of(sim: &Sim<HeapNode<u32>>, host: usize, other: usize) -> Option<Status> {
    sim.machine(host)?.member(sim.id(other)).map(|member| member.status())
}
