//! Who is to blame, and who was blamed.

use tidings::sim::{Machine, Report, Reported, Sim, SimRng};
use tidings::{NodeId, Status};

/// Reports that somebody is down who is none of these, by whom and of whom.
pub fn slander<M: Machine>(sim: &Sim<M>, reports: &[Reported], guilty: &[usize]) -> Vec<(usize, NodeId)> {
    let of = |reported: &Reported| match reported.report {
        Report::Member(id, Status::Down) if !guilty.iter().any(|host| sim.id(*host) == id) => Some((reported.host, id)),
        _ => None,
    };
    reports.iter().filter_map(of).collect()
}

/// So many hosts by chance, other than host 0.
pub fn chosen(count: usize, size: usize, seed: u64) -> Vec<usize> {
    let mut rng = SimRng::new(seed);
    let mut hosts: Vec<usize> = (1..size).collect();
    (1..hosts.len()).rev().for_each(|at| hosts.swap(at, rng.below(at as u64 + 1) as usize));
    hosts.truncate(count);
    hosts
}
