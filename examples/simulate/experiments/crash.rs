//! Some crash: how long until all others know, and whom they blame besides.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tidings::sim::{Conditions, Report};
use tidings::{NodeId, Status};

use super::{SECOND, Slander, Subject, some};

/// What a crash showed.
#[derive(Clone, Copy, Debug)]
pub struct Crashed {
    /// Until the first member knew of a crash.
    pub first: Duration,
    /// Until every survivor knew of all; `None` if that took longer than the experiment lasts.
    pub all: Option<Duration>,
    /// Who else was declared down until then.
    pub slander: Slander,
}

/// How long a crash is waited to be known.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Crashes this many nodes of a settled cluster at once, under this loss.
pub fn run<M: Subject>(nodes: u32, crashed: u32, loss: f64, seed: u64) -> Result<Crashed, String> {
    let mut sim = M::cluster(nodes, seed)?;
    sim.set_conditions(Conditions::LAN.with_loss(loss));
    // The clocks of all stand anyhow when it happens.
    sim.run_for(5 * SECOND + SECOND * (seed % 16) as u32 / 16);
    sim.take_reports();
    let victims = some(crashed, nodes, seed);
    let ids: HashSet<NodeId> = victims.iter().map(|host| sim.id(*host)).collect();
    victims.iter().for_each(|host| sim.crash(*host));
    let begun = sim.now();
    // Who has condemned a victim before it crashed, and rightly for once, has nothing to report any more.
    let held = |host: usize, id: &NodeId| {
        let status = sim.machine(host).and_then(|machine| machine.status(*id));
        status.is_some_and(|status| status.is_live())
    };
    let awaited = |host: usize| ids.iter().filter(|id| held(host, id)).copied().collect();
    let mut waiting: HashMap<usize, HashSet<NodeId>> = sim.running().map(|host| (host, awaited(host))).collect();
    waiting.retain(|_, left| !left.is_empty());
    let mut outcome = Crashed { first: LIMIT, all: None, slander: Slander::default() };
    while sim.step() && sim.now() < begun + LIMIT {
        let reports = sim.take_reports();
        outcome.slander.count(&sim, &reports, &victims);
        for reported in reports {
            let Report::Member(of, status) = reported.report else { continue };
            let after = reported.at.duration_since(begun);
            if ids.contains(&of) && status.is_live() {
                // It believes in a victim again, or only now.
                waiting.entry(reported.host).or_default().insert(of);
            }
            let Some(left) = waiting.get_mut(&reported.host).filter(|_| status == Status::Down) else { continue };
            if left.remove(&of) {
                outcome.first = outcome.first.min(after);
            }
            if left.is_empty() {
                waiting.remove(&reported.host);
            }
            if waiting.is_empty() {
                outcome.all = Some(after);
                return Ok(outcome);
            }
        }
    }
    Ok(outcome)
}
