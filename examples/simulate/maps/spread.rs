//! Writes into maps that all have: how soon they are everywhere, and what they cost.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Maps;
use crate::experiments::{SECOND, some};

/// How finely a single write is looked for.
const PACE: Duration = Duration::from_micros(100);
/// How long nothing is written, and how long much is.
const IDLE: Duration = Duration::from_secs(20);
const BUSY: Duration = Duration::from_secs(20);
/// How long after the last write bytes still count as its.
const TAIL: Duration = Duration::from_secs(5);

/// So many single writes of 64 bytes, each of another member: how long until each can be read everywhere.
pub fn shots(nodes: u32, count: u32, loss: f64, seed: u64) -> Result<Vec<Option<Duration>>, String> {
    let mut maps = Maps::settled(nodes, 1, loss, seed)?;
    let mut shots = Vec::new();
    for owner in some(count.min(nodes - 1), nodes, seed) {
        let pause = SECOND + Duration::from_micros(maps.rng.below(1_000_000));
        maps.sim.run_for(pause);
        if !maps.set(owner, 0) {
            return Err(format!("host {owner} would not write a key (seed {seed})"));
        }
        shots.push(maps.until_have((0..nodes as usize).map(|host| (host, owner)).collect(), PACE));
    }
    Ok(shots)
}

/// What writing all the time showed.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Bytes per node and second without anything in maps.
    pub without: f64,
    /// The same with all maps filled, and nothing changing.
    pub idle: f64,
    /// Bytes for each write and member, beyond what is sent when nothing changes.
    pub bytes: f64,
    /// Parts of maps that came for each write and member that needed it.
    pub parts: f64,
    /// From the last write until all have all.
    pub settled: Option<Duration>,
    /// How many writes were pushed back.
    pub refused: u32,
}

/// Fills all maps with so many keys, and then has random members write so many a second, in all.
pub fn cost(nodes: u32, keys: u32, rate: u32, loss: f64, seed: u64) -> Result<Cost, String> {
    let mut maps = Maps::settled(nodes, keys, loss, seed)?;
    let without = maps.idle(IDLE);
    maps.fill()?;
    let idle = maps.idle(IDLE);
    let (begun, before) = (maps.sim.now(), maps.sim.total_traffic().bytes);
    let parts = maps.parts();
    let count = rate * BUSY.as_secs() as u32;
    let (mut owners, mut refused) = (BTreeSet::new(), 0);
    for place in 0..count {
        maps.sim.run_until(begun + BUSY * place / count);
        match maps.set_any(nodes) {
            Some(owner) => _ = owners.insert(owner),
            None => refused += 1,
        }
    }
    let hosts = 0..nodes as usize;
    let missing = owners.into_iter().flat_map(|owner| hosts.clone().map(move |host| (host, owner))).collect();
    let settled = maps.until_have(missing, SECOND / 1_000);
    maps.sim.run_for(TAIL);
    let lasted = maps.sim.now().duration_since(begun);
    let sent = (maps.sim.total_traffic().bytes - before) as f64 / f64::from(nodes);
    let parts = (maps.parts() - parts) as f64 / f64::from(nodes - 1);
    // How much is sent when nothing changes varies where datagrams are lost, but less over a time on both sides.
    let idle = (idle + maps.idle(IDLE)) / 2.0;
    let each = |all: f64| all / f64::from(count - refused).max(1.0);
    let (bytes, parts) = (each(sent - idle * lasted.as_secs_f64()), each(parts));
    Ok(Cost { without, idle, bytes, parts, settled, refused })
}
