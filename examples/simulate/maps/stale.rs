//! More writes than the byte budgets of all carry: how old what is read becomes, and how soon it is fresh again. The
//! experiment of Scuttlebutt (van Renesse et al. 2008).

use std::time::Duration;

use tidings::sim::Conditions;
use tidings::{Config, HeapNode, Instant, Limits};

use super::{Maps, Node};
use crate::experiments::{SECOND, formed, rate};

/// How long a rate is kept up, to see whether it can be carried.
const TRIAL: Duration = Duration::from_secs(30);
/// How old the oldest value may then be.
const GROWN: Duration = Duration::from_secs(5);
/// By how much the next rate is higher: the fourth root of 2.
const STEP: f64 = 1.189;

/// A cluster in which every node may send so many bytes a second.
#[derive(Clone, Copy, Debug)]
pub struct Narrow {
    pub nodes: u32,
    pub keys: u32,
    pub loss: f64,
    pub budget: u32,
    /// How many of the nodes write.
    pub writers: u32,
    pub push_back: bool,
    /// Of how many members is looked what they hold: of all it would be a million of values each time.
    pub observers: u32,
}

/// What the members that are looked at held at one time, and what happened since the time before.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Duration,
    /// How many writes were wanted in a second, and how many were taken.
    pub wanted: f64,
    pub taken: f64,
    /// Bytes that a node sent in a second.
    pub bytes: f64,
    /// Parts of others' maps that came to a node in a second.
    pub parts: f64,
    pub ages: Ages,
}

/// How long values had been out of date.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ages {
    /// The part of all values that was.
    pub stale: f64,
    /// For how long they had been, those that were.
    pub mean: Duration,
    pub most: Duration,
}

impl Narrow {
    /// It comes together and reads all maps as fast as it can; only then is it bound.
    fn form(&self, seed: u64) -> Result<Maps, String> {
        let limits = Limits::DEFAULT;
        let sim = formed(self.nodes, seed, |_| HeapNode::new(Config::LAN, limits))?;
        let mut maps = Maps::new(sim, self.keys, seed);
        maps.fill()?;
        let config = Config::LAN.with_byte_budget(self.budget).with_push_back(self.push_back);
        let change = |node: &mut Node, now| node.set_config(now, config).expect("the cluster is the same");
        (0..self.nodes as usize).for_each(|host| maps.sim.with(host, change));
        maps.sim.set_conditions(Conditions::LAN.with_loss(self.loss));
        maps.sim.run_for(5 * SECOND);
        Ok(maps)
    }

    /// Tries higher and higher rates, from this one on, until one is found under which values grow older and older. All
    /// samples; those before the last are of rates that are carried.
    pub fn capacity(&self, first: f64, seed: u64, tell: impl Fn(f64)) -> Result<Vec<Sample>, String> {
        let mut maps = self.form(seed)?;
        let (mut samples, mut wanted) = (Vec::new(), first);
        loop {
            tell(wanted);
            let begun = maps.sim.now();
            let sample = self.write(&mut maps, wanted, TRIAL, begun);
            samples.push(sample);
            if sample.ages.most > GROWN {
                return Ok(samples);
            }
            let hosts = 0..self.nodes as usize;
            let all = hosts.clone().flat_map(|host| hosts.clone().map(move |owner| (host, owner))).collect();
            maps.until_have(all, SECOND / 100).ok_or(format!("{wanted:.1} writes a second were never everywhere"))?;
            maps.sim.run_for(5 * SECOND);
            wanted *= STEP;
        }
    }

    /// Writes at each of these rates for so long, looking every `every`.
    pub fn steps(&self, steps: &[(f64, Duration)], every: Duration, seed: u64) -> Result<Vec<Sample>, String> {
        let mut maps = self.form(seed)?;
        let (begun, mut samples) = (maps.sim.now(), Vec::new());
        for (wanted, lasts) in steps {
            let end = maps.sim.now() + *lasts;
            while maps.sim.now() < end {
                samples.push(self.write(&mut maps, *wanted, every, begun));
            }
        }
        Ok(samples)
    }

    /// Has random members write random keys at this rate for so long, and then looks.
    fn write(&self, maps: &mut Maps, wanted: f64, lasts: Duration, begun: Instant) -> Sample {
        let (from, before) = (maps.sim.now(), maps.sim.total_traffic().bytes);
        let parts = maps.parts();
        let count = (wanted * lasts.as_secs_f64()).round() as u32;
        let mut taken = 0;
        for place in 0..count {
            maps.sim.run_until(from + lasts * place / count);
            taken += u32::from(maps.set_any(self.writers.min(self.nodes)).is_some());
        }
        maps.sim.run_until(from + lasts);
        Sample {
            at: maps.sim.now().duration_since(begun),
            wanted: f64::from(count) / lasts.as_secs_f64(),
            taken: f64::from(taken) / lasts.as_secs_f64(),
            bytes: rate(self.nodes, maps.sim.total_traffic().bytes - before, lasts),
            parts: rate(self.nodes, maps.parts() - parts, lasts),
            ages: self.ages(maps),
        }
    }

    fn ages(&self, maps: &Maps) -> Ages {
        let (now, nodes, keys) = (maps.sim.now(), self.nodes as usize, self.keys as usize);
        let count = self.observers.min(self.nodes);
        let observers = (0..count).map(|place| (place * self.nodes / count) as usize);
        let (mut all, mut stale, mut sum, mut most) = (0u32, 0u32, 0.0, Duration::ZERO);
        for observer in observers {
            for (owner, key) in (0..nodes).flat_map(|owner| (0..keys).map(move |key| (owner, key))) {
                all += 1;
                let Some(since) = maps.stale_since(observer, owner, key) else { continue };
                let age = now.duration_since(since);
                (stale, sum, most) = (stale + 1, sum + age.as_secs_f64(), most.max(age));
            }
        }
        let mean = Duration::from_secs_f64(sum / f64::from(stale.max(1)));
        Ages { stale: f64::from(stale) / f64::from(all.max(1)), mean, most }
    }
}
