//! Clusters that grow, fall apart, grow together and change all the time.

use std::time::Duration;

use tidings::Status;
use tidings::sim::{Conditions, Sim, SimRng};

use super::{SECOND, Slander, Subject, rate, some};

/// What a join showed.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// Until every member knew the newcomer.
    pub known: Option<Duration>,
    /// Until the newcomer knew every member.
    pub knows: Option<Duration>,
    /// Bytes that the newcomer sent and was sent until then, if it was complete.
    pub bytes: u64,
}

/// One more node joins a settled cluster through one seed; waited for so long.
pub fn join<M: Subject>(nodes: u32, loss: f64, limit: Duration, seed: u64) -> Result<Joined, String> {
    let mut sim = M::cluster(nodes, seed)?;
    sim.set_conditions(Conditions::LAN.with_loss(loss));
    let newcomer = sim.add(M::new(nodes + 1));
    let (begun, before) = (sim.now(), sim.total_traffic().bytes);
    sim.start(newcomer, &[some(1, nodes, seed)[0]]);
    let id = sim.id(newcomer);
    let mut joined = Joined { known: None, knows: None, bytes: 0 };
    let mut unaware: Vec<usize> = (0..newcomer).collect();
    while sim.now() < begun + limit && (joined.known.is_none() || joined.knows.is_none()) {
        // A thousandth of a second is as fine as the network.
        sim.run_for(SECOND / 1_000);
        let passed = sim.now().duration_since(begun);
        unaware.retain(|host| sim.machine(*host).is_some_and(|node| node.status(id) != Some(Status::Alive)));
        if unaware.is_empty() && joined.known.is_none() {
            joined.known = Some(passed);
        }
        if joined.knows.is_none() && sim.machine(newcomer).is_some_and(|node| node.live() == sim.hosts()) {
            (joined.knows, joined.bytes) = (Some(passed), sim.total_traffic().bytes - before);
        }
    }
    Ok(joined)
}

/// What a bootstrap showed.
#[derive(Clone, Copy, Debug)]
pub struct Booted {
    /// From the first start until all views were complete.
    pub complete: Option<Duration>,
    /// Bytes that a node sent until then, on average.
    pub bytes: f64,
    /// The same of the seed.
    pub seed_bytes: u64,
    pub slander: Slander,
}

/// All nodes but the first join through it, each at a random moment of one second; waited for so long.
pub fn bootstrap<M: Subject>(nodes: u32, loss: f64, limit: Duration, seed: u64) -> Result<Booted, String> {
    let mut sim = Sim::<M>::new(seed, Conditions::LAN.with_loss(loss));
    let mut rng = SimRng::new(seed);
    let mut starts: Vec<(u64, usize)> = (1..nodes as usize).map(|host| (rng.below(1_000_000), host)).collect();
    starts.sort();
    for _ in 0..nodes {
        sim.add(M::new(nodes));
    }
    sim.start(0, &[]);
    let begun = sim.now();
    for (micros, host) in starts {
        sim.run_until(begun + Duration::from_micros(micros));
        sim.start(host, &[0]);
    }
    let passed = sim.now().duration_since(begun);
    let complete = sim.run_until_agreed(SECOND / 100, limit).map(|took| passed + took);
    let reports = sim.take_reports();
    let mut slander = Slander::default();
    slander.count(&sim, &reports, &[]);
    let bytes = sim.total_traffic().bytes as f64 / f64::from(nodes);
    Ok(Booted { complete, bytes, seed_bytes: sim.traffic(0).bytes, slander })
}

/// Halves of a settled cluster are apart for so long; how long it takes until all see all again, without any seed.
pub fn partition<M: Subject>(
    nodes: u32,
    apart: Duration,
    limit: Duration,
    seed: u64,
) -> Result<Option<Duration>, String> {
    let mut sim = M::cluster(nodes, seed)?;
    // By chance, but in equal parts.
    let mut rng = SimRng::new(seed);
    let mut hosts: Vec<usize> = (0..nodes as usize).collect();
    (1..hosts.len()).rev().for_each(|at| hosts.swap(at, rng.below(at as u64 + 1) as usize));
    hosts.iter().take(nodes as usize / 2).for_each(|host| sim.set_side(*host, 1));
    sim.run_for(apart + SECOND * (seed % 16) as u32 / 16);
    (0..nodes as usize).for_each(|host| sim.set_side(host, 0));
    Ok(sim.run_until_agreed(SECOND / 100, limit))
}

/// What steady change showed.
#[derive(Clone, Copy, Debug)]
pub struct Churned {
    /// Bytes of UDP payload that a node sent in a second, on average.
    pub bytes: f64,
    /// The part of all entries of all views that was wrong, on average.
    pub wrong: f64,
    /// Who was declared down though it lived.
    pub slander: Slander,
    /// From the last change until all views were right.
    pub settled: Option<Duration>,
}

/// Every `every`, one node crashes, and one that crashed before is started again without memory; for `lasts`.
pub fn churn<M: Subject>(
    nodes: u32,
    every: Duration,
    loss: f64,
    lasts: Duration,
    seed: u64,
) -> Result<Churned, String> {
    let mut sim = M::cluster(nodes, seed)?;
    sim.set_conditions(Conditions::LAN.with_loss(loss));
    let (begun, before) = (sim.now(), sim.total_traffic());
    let mut rng = SimRng::new(seed);
    let (mut gone, mut back, mut slander) = (Vec::new(), Vec::new(), Slander::default());
    let (mut wrong, mut looks) = (0.0, 0u32);
    while sim.now() < begun + lasts {
        // A tenth of the cluster is away at a time.
        if gone.len() as u32 > nodes / 10 {
            let host = gone.remove(rng.below(gone.len() as u64) as usize);
            sim.restart(host, M::new(nodes), &[0, 1, 2]);
            back.push((sim.now(), host));
        }
        let victim = 3 + rng.below(u64::from(nodes) - 3) as usize;
        if sim.is_running(victim) {
            sim.crash(victim);
            gone.push(victim);
        }
        sim.run_for(every);
        let reports = sim.take_reports();
        // Who is just back may still be told dead: it was.
        let now = sim.now();
        back.retain(|(since, _)| *since + 10 * SECOND > now);
        let troubled: Vec<usize> = gone.iter().copied().chain(back.iter().map(|(_, host)| *host)).collect();
        slander.count(&sim, &reports, &troubled);
        wrong += wrong_part(&sim);
        looks += 1;
    }
    let bytes = rate(nodes, sim.total_traffic().bytes - before.bytes, lasts);
    let settled = sim.run_until_agreed(SECOND / 10, 120 * SECOND);
    Ok(Churned { bytes, wrong: wrong / f64::from(looks), slander, settled })
}

/// Which part of all entries of all views is wrong.
fn wrong_part<M: Subject>(sim: &Sim<M>) -> f64 {
    let (mut wrong, mut all) = (0u32, 0u32);
    for host in sim.running() {
        let node = sim.machine(host).expect("it runs");
        for other in 0..sim.hosts() {
            let held = matches!(node.status(sim.id(other)), Some(Status::Alive | Status::Suspect));
            wrong += u32::from(held != sim.is_running(other));
            all += 1;
        }
    }
    f64::from(wrong) / f64::from(all)
}
