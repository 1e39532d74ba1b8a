//! A day of a cluster that replicates state; it knows a protocol only as [`Replicas`].

use std::collections::BTreeSet;
use std::time::Duration;

use tidings::sim::SimRng;

use crate::experiments::SECOND;
use crate::trial::Value;

/// A cluster whose members replicate what each says of itself, under one key.
pub trait Replicas: Sized {
    /// As many as will ever be, none of them started, in a network with this loss.
    fn new(nodes: usize, loss: f64, seed: u64) -> Result<Self, String>;

    /// Starts a member, which knows of the first, with the value that it has from the beginning.
    fn start(&mut self, host: usize, value: &str) -> Result<(), String>;

    /// Lets this much time go by.
    fn run_for(&mut self, time: Duration);

    /// Gives a member's key another value.
    fn set(&mut self, host: usize, value: &str) -> Result<(), String>;

    /// Whether a member has this as the value of another's key, or of its own.
    fn has(&self, host: usize, owner: usize, value: &str) -> bool;

    /// The UDP payload that all have sent so far.
    fn bytes(&self) -> u64;
}

/// The key, the same at all.
pub const KEY: &str = "load";
/// The length of a value.
const LENGTH: usize = 64;
/// What values are made of: text, as chitchat takes nothing else, and random, so that no compression makes it much
/// shorter.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How soon members have all started.
const STARTS: Duration = SECOND;
/// How long a cluster is left alone until it counts as settled.
const SETTLE: Duration = Duration::from_secs(15);
/// How many values are set before anything counts, for each member: chitchat's digests grow with them, as versions that
/// differ are compressed less well, and would go on to do so while the first of those that count are set.
const WORN: usize = 8;
/// How long nothing changes, each time.
const QUIET: Duration = Duration::from_secs(10);
/// How often a single value is set.
const SINGLE: usize = 12;
/// How many clusters start; all but the last are left then.
const BIRTHS: usize = 4;
/// How often values are set in a second, one after the other. With fewer, what they cost could not be told from what
/// chitchat's digests cost more or less by themselves: how well they are compressed changes with the heartbeats.
pub const RATES: [u32; 2] = [10, 100];
/// How long they are set so often.
const BUSY: Duration = Duration::from_secs(15);
/// How long after the last of them bytes still count as theirs.
const TAIL: Duration = Duration::from_secs(5);
/// How long it is waited until all are the same.
pub const LIMIT: Duration = Duration::from_secs(120);
/// How often one looks: as finely as the network.
const PACE: Duration = Duration::from_millis(1);

/// The figures of a day, in the order that the rows count them; of some there are many.
pub type Found = Vec<Vec<Value>>;

/// What is done in a day: all start, some times over; single values are set; nothing changes; and then values are set
/// one after the other at some rates, with a pause after each of them.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    pub nodes: usize,
    pub loss: f64,
}

impl Day {
    /// Does it, on this thread.
    pub fn run<C: Replicas>(self, seed: u64) -> Result<Found, String> {
        let mut together = Vec::new();
        let mut trial = Trial::<C>::new(self, seed)?;
        together.push(Value::Time(trial.start_all()?));
        while together.len() < BIRTHS {
            trial = Trial::new(self, trial.rng.draw())?;
            together.push(Value::Time(trial.start_all()?));
        }
        trial.wear()?;
        let single = (0..SINGLE).map(|_| trial.set_one().map(Value::Time)).collect::<Result<_, _>>()?;
        let quiet = trial.stay_quiet();
        let mut found = vec![together, vec![Value::Amount(quiet)], single];
        let mut before = quiet;
        for rate in RATES {
            let busy = trial.be_busy(rate)?;
            let after = trial.stay_quiet();
            let bytes = busy.bytes_above((before + after) / 2.0);
            before = after;
            found.extend([vec![Value::Amount(bytes)], vec![Value::Time(busy.settled)]]);
        }
        Ok(found)
    }
}

/// What setting many values showed.
struct Busy {
    /// How many.
    count: u32,
    /// Bytes that a member sent from the first of them on, on average.
    sent: f64,
    /// In so long.
    lasted: Duration,
    /// From the last of them until all were the same.
    settled: Option<Duration>,
}

impl Busy {
    /// Bytes for each value and member, above this many for each member and second.
    fn bytes_above(&self, quiet: f64) -> f64 {
        (self.sent - quiet * self.lasted.as_secs_f64()) / f64::from(self.count)
    }
}

/// A day that has begun.
struct Trial<C> {
    cluster: C,
    /// What each said last.
    values: Vec<String>,
    rng: SimRng,
}

impl<C: Replicas> Trial<C> {
    fn new(day: Day, seed: u64) -> Result<Self, String> {
        let mut rng = SimRng::new(seed);
        let values = (0..day.nodes).map(|_| value(&mut rng)).collect();
        Ok(Trial { cluster: C::new(day.nodes, day.loss, seed)?, values, rng })
    }

    fn nodes(&self) -> usize {
        self.values.len()
    }

    /// All start through the first, each at a random moment of one second; from the first start until all have all.
    fn start_all(&mut self) -> Result<Option<Duration>, String> {
        let millis = STARTS.as_millis() as u64;
        let mut starts: Vec<(u64, usize)> = (1..self.nodes()).map(|host| (self.rng.below(millis), host)).collect();
        starts.sort();
        self.cluster.start(0, &self.values[0])?;
        let mut passed = 0;
        for (at, host) in starts {
            self.cluster.run_for(Duration::from_millis(at - passed));
            passed = at;
            self.cluster.start(host, &self.values[host])?;
        }
        Ok(self.until_all_have(0..self.nodes()).map(|took| took + Duration::from_millis(passed)))
    }

    /// Runs until all have the last value of each of these; how long that took.
    fn until_all_have(&mut self, owners: impl IntoIterator<Item = usize>) -> Option<Duration> {
        let hosts = 0..self.nodes();
        let with_all = |owner| hosts.clone().map(move |host| (host, owner));
        let mut missing: Vec<(usize, usize)> = owners.into_iter().flat_map(with_all).collect();
        let mut took = Duration::ZERO;
        loop {
            // Nobody forgets what it has while nothing is set, so each needs to be seen once, in whatever order.
            while missing.pop_if(|(host, owner)| self.cluster.has(*host, *owner, &self.values[*owner])).is_some() {}
            if missing.is_empty() {
                return Some(took);
            }
            if took >= LIMIT {
                return None;
            }
            self.cluster.run_for(PACE);
            took += PACE;
        }
    }

    /// Bytes per member and second when nothing changes.
    fn stay_quiet(&mut self) -> f64 {
        let before = self.cluster.bytes();
        self.cluster.run_for(QUIET);
        (self.cluster.bytes() - before) as f64 / self.nodes() as f64 / QUIET.as_secs_f64()
    }

    /// A random member, with its new value.
    fn set(&mut self) -> Result<usize, String> {
        let host = self.rng.below(self.nodes() as u64) as usize;
        self.values[host] = value(&mut self.rng);
        self.cluster.set(host, &self.values[host])?;
        Ok(host)
    }

    /// A random member's value is another at a random moment; until all have it.
    fn set_one(&mut self) -> Result<Option<Duration>, String> {
        self.cluster.run_for(Duration::from_millis(self.rng.below(1_000)));
        let host = self.set()?;
        Ok(self.until_all_have([host]))
    }

    /// Makes it a cluster that has lived for a while, and lets it settle.
    fn wear(&mut self) -> Result<(), String> {
        for _ in 0..WORN * self.nodes() {
            self.set()?;
        }
        self.cluster.run_for(SETTLE);
        Ok(())
    }

    /// Values of random members are set, this many a second.
    fn be_busy(&mut self, rate: u32) -> Result<Busy, String> {
        let before = self.cluster.bytes();
        let count = rate * BUSY.as_secs() as u32;
        let mut owners = BTreeSet::new();
        for place in 0..count {
            if place > 0 {
                self.cluster.run_for(BUSY / count);
            }
            owners.insert(self.set()?);
        }
        let settled = self.until_all_have(owners);
        let rest = TAIL.saturating_sub(settled.unwrap_or(LIMIT));
        self.cluster.run_for(rest);
        let lasted = BUSY / count * (count - 1) + settled.unwrap_or(LIMIT) + rest;
        let sent = (self.cluster.bytes() - before) as f64 / self.nodes() as f64;
        Ok(Busy { count, sent, lasted, settled })
    }
}

/// A new value.
fn value(rng: &mut SimRng) -> String {
    (0..LENGTH).map(|_| char::from(LETTERS[rng.below(LETTERS.len() as u64) as usize])).collect()
}
