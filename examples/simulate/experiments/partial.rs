//! Partial connectivity: zones of which two do not reach each other, and a member behind a stateful filter.

use std::collections::HashMap;
use std::time::Duration;

use tidings::Status;
use tidings::sim::{Link, Report, Sim};

use super::{SECOND, Subject, rate, some};

/// What it showed.
#[derive(Clone, Debug)]
pub struct Partial {
    /// Reports of members as down that were alive.
    pub wrong: usize,
    /// The most of them by one member.
    pub most: usize,
    /// Bytes of UDP payload that a node sent in a second, on average.
    pub bytes: f64,
    /// Until everybody held a member that crashed for down; `None` if that took longer than it was waited for.
    pub known: Option<Duration>,
}

/// How long a crash is waited to be known.
const LIMIT: Duration = Duration::from_secs(120);

/// Three zones of equal size; nothing passes between the first and the second for so long. Then a member of one of them
/// crashes, by turns of the seeds.
pub fn zones<M: Subject>(nodes: u32, lasts: Duration, seed: u64) -> Result<Partial, String> {
    let mut sim = M::cluster(nodes, seed)?;
    (0..nodes).for_each(|host| sim.set_zone(host as usize, 3 * host / nodes));
    sim.set_zone_link(0, 1, Link::BLOCKED);
    sim.set_zone_link(1, 0, Link::BLOCKED);
    let victim = some(1, nodes, seed * u64::from(nodes / 3 + 1))[0];
    Ok(observe(&mut sim, lasts, victim))
}

/// One more member, whose inbound drops what comes from an address that it has not sent to for this long. In the end it
/// crashes.
pub fn filter<M: Subject>(nodes: u32, open_for: Duration, lasts: Duration, seed: u64) -> Result<Partial, String> {
    let mut sim = M::cluster(nodes, seed)?;
    let filtered = sim.add(M::new(nodes + 1));
    sim.set_filter(filtered, Some(open_for));
    sim.start(filtered, &[some(1, nodes, seed)[0]]);
    sim.run_for(10 * SECOND);
    sim.take_reports();
    Ok(observe(&mut sim, lasts, filtered))
}

/// Lets time pass, and then has the victim crash.
fn observe<M: Subject>(sim: &mut Sim<M>, lasts: Duration, victim: usize) -> Partial {
    let (nodes, before) = (sim.hosts() as u32, sim.total_traffic().bytes);
    sim.run_for(lasts);
    let bytes = rate(nodes, sim.total_traffic().bytes - before, lasts);
    let mut wrong: HashMap<usize, usize> = HashMap::new();
    for reported in sim.take_reports() {
        if let Report::Member(_, Status::Down) = reported.report {
            *wrong.entry(reported.host).or_default() += 1;
        }
    }
    sim.crash(victim);
    let id = sim.id(victim);
    let all_know = move |sim: &Sim<M>| {
        let knows = |host: usize| sim.machine(host).and_then(|node| node.status(id)) == Some(Status::Down);
        sim.running().all(knows)
    };
    let known = sim.run_until_true(all_know, SECOND / 100, LIMIT);
    Partial { wrong: wrong.values().sum(), most: wrong.values().copied().max().unwrap_or(0), bytes, known }
}
