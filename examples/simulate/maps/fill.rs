//! Members that come when others have much in their maps, or come all at once with it.

use std::time::Duration;

use tidings::sim::{Conditions, Sim, SimRng};

use super::{LIMIT, Maps, Node};
use crate::experiments::{SECOND, Subject, some};

/// How finely one looks.
const PACE: Duration = Duration::from_millis(1);

/// What it took to have everything.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Until the newcomer knew all members, or all knew all.
    pub knows: Option<Duration>,
    /// Until it had all of their maps, or all had all.
    pub has: Option<Duration>,
    /// Bytes that a node sent until then, on average; where one came, that all sent, beyond what they send when idle.
    pub bytes: f64,
}

/// One more joins a settled cluster through one seed, when each member has so many keys.
pub fn newcomer(nodes: u32, keys: u32, loss: f64, seed: u64) -> Result<Filled, String> {
    let mut maps = Maps::settled(nodes, keys, loss, seed)?;
    maps.fill()?;
    let idle = maps.idle(10 * SECOND) * f64::from(nodes);
    let newcomer = maps.sim.add(<Node as Subject>::new(nodes + 1));
    let (begun, before) = (maps.sim.now(), maps.sim.total_traffic().bytes);
    maps.sim.start(newcomer, &[some(1, nodes, seed)[0]]);
    let mut missing: Vec<usize> = (0..newcomer).collect();
    let mut filled = Filled { knows: None, has: None, bytes: 0.0 };
    while filled.has.is_none() && maps.sim.now() < begun + LIMIT {
        maps.sim.run_for(PACE);
        let passed = maps.sim.now().duration_since(begun);
        let knows = maps.sim.machine(newcomer).is_some_and(|node| node.live() == maps.sim.hosts());
        filled.knows = filled.knows.or(knows.then_some(passed));
        while missing.pop_if(|owner| maps.has(newcomer, *owner)).is_some() {}
        filled.has = missing.is_empty().then_some(passed);
    }
    let passed = maps.sim.now().duration_since(begun).as_secs_f64();
    filled.bytes = (maps.sim.total_traffic().bytes - before) as f64 - idle * passed;
    Ok(filled)
}

/// All have so many keys from the beginning, and all but the first join through it, each at a random moment of a second.
pub fn together(nodes: u32, keys: u32, loss: f64, seed: u64) -> Result<Filled, String> {
    let mut sim = Sim::<Node>::new(seed, Conditions::LAN.with_loss(loss));
    for _ in 0..nodes {
        sim.add(<Node as Subject>::new(nodes));
    }
    let mut rng = SimRng::new(seed);
    let mut starts: Vec<(u64, usize)> = (1..nodes as usize).map(|host| (rng.below(1_000_000), host)).collect();
    starts.sort();
    let mut maps = Maps::new(sim, keys, seed);
    for owner in 0..nodes as usize {
        for key in 0..keys as usize {
            if !maps.set(owner, key) {
                return Err(format!("host {owner} does not take {keys} keys before it starts"));
            }
        }
    }
    let begun = maps.sim.now();
    maps.sim.start(0, &[]);
    for (micros, host) in starts {
        maps.sim.run_until(begun + Duration::from_micros(micros));
        maps.sim.start(host, &[0]);
    }
    let passed = maps.sim.now().duration_since(begun);
    let knows = maps.sim.run_until_agreed(SECOND / 100, LIMIT).map(|took| passed + took);
    let hosts = 0..nodes as usize;
    let missing = hosts.clone().flat_map(|host| hosts.clone().map(move |owner| (host, owner))).collect();
    let has = maps.until_have(missing, SECOND / 100).map(|_| maps.sim.now().duration_since(begun));
    let bytes = maps.sim.total_traffic().bytes as f64 / f64::from(nodes);
    Ok(Filled { knows, has, bytes })
}
