//! Messages for all: whether and when they come, and what that costs.

use std::time::Duration;

use tidings::Instant;
use tidings::sim::{Conditions, Sim, SimRng};

use super::ledger::{Delays, Hops, Ledger, Tally};
use super::{SECOND, Subject, rate, some};

/// How long a single message is waited for.
pub const LIMIT: Duration = Duration::from_secs(10);
/// How long further copies of it are counted.
const ECHO: Duration = Duration::from_secs(3);
/// How long a cluster has been under the loss before anything is measured.
const SETTLE: Duration = Duration::from_secs(5);
/// How long it is measured idle.
const IDLE: Duration = Duration::from_secs(20);
/// How long the last message of a stream may take.
pub const TAIL: Duration = Duration::from_secs(30);
/// With which message of a stream some crash.
const CRASHED_AT: u32 = 11;
/// How long after the crash it is likely not known to all.
const CONFUSED: Duration = Duration::from_secs(10);

/// What a single message showed.
#[derive(Clone, Copy, Debug)]
pub struct Shot {
    /// Until all had it.
    pub all: Option<Duration>,
    /// How many copies of it a member was sent, on average.
    pub copies: f64,
}

/// So many single messages to all of a settled cluster under this loss, one after the other, each from another member.
pub fn shots<M: Subject>(nodes: u32, count: u32, loss: f64, seed: u64) -> Result<Vec<Shot>, String> {
    let mut sim = M::listening_cluster(nodes, seed)?;
    sim.set_conditions(Conditions::LAN.with_loss(loss));
    sim.run_for(SETTLE);
    sim.take_reports();
    let mut ledger = Ledger::default();
    let mut shots = Vec::new();
    for sender in some(count.min(nodes - 1), nodes, seed) {
        let (begun, before) = (sim.now(), copies(&sim));
        let mut all = None;
        if ledger.send(&mut sim, sender) {
            while all.is_none() && sim.now() < begun + LIMIT && sim.step() {
                ledger.note(&mut sim);
                all = ledger.latest();
            }
        }
        sim.run_for(ECHO);
        let copies = copies(&sim).iter().sum::<u64>() - before.iter().sum::<u64>();
        shots.push(Shot { all, copies: copies as f64 / f64::from(nodes - 1) });
        ledger.note(&mut sim);
    }
    Ok(shots)
}

/// Who sends the messages of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    /// One member, all of them.
    Single,
    /// Each message another, by chance.
    Random,
}

/// A message a second.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub nodes: u32,
    pub loss: f64,
    pub senders: Senders,
    pub messages: u32,
    /// How many crash at once, ten seconds after the first message; none of them sends from then on.
    pub crashed: u32,
}

/// What a stream showed.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// All messages.
    pub whole: Tally,
    /// Those sent with the crash and within ten seconds after it.
    pub confused: Tally,
    /// Those sent later.
    pub later: Tally,
    /// How many messages their sender would not take.
    pub refused: usize,
    /// How many gaps were reported.
    pub gaps: usize,
    /// Deliveries too many, as the ledger counts them.
    pub excess: usize,
    /// How many payloads members were sent for each that they needed, but that one; nothing where copies are not
    /// counted, or nothing came.
    pub redundancy: Option<f64>,
    pub hops: Hops,
    /// Bytes of UDP payload for each message and member, beyond what the idle cluster sends; nothing where some
    /// crashed, as the cluster is not idle then.
    pub bytes: Option<f64>,
    pub delays: Delays,
}

impl Stream {
    /// Sends it.
    pub fn run<M: Subject>(&self, seed: u64) -> Result<Streamed, String> {
        let mut sim = M::listening_cluster(self.nodes, seed)?;
        sim.set_conditions(Conditions::LAN.with_loss(self.loss));
        sim.run_for(SETTLE + SECOND * (seed % 16) as u32 / 16);
        let before = sim.total_traffic().bytes;
        sim.run_for(IDLE);
        let idle = rate(self.nodes, sim.total_traffic().bytes - before, IDLE);
        sim.take_reports();
        let (begun, traffic, before) = (sim.now(), sim.total_traffic().bytes, copies(&sim));
        let mut ledger = Ledger::default();
        let crash = self.send_all(&mut sim, &mut ledger, seed);
        sim.run_for(TAIL);
        ledger.note(&mut sim);
        let lasted = sim.now().duration_since(begun);
        let sent = rate(self.nodes, sim.total_traffic().bytes - traffic, lasted);
        let after = copies(&sim);
        let received: u64 = sim.running().map(|host| after[host] - before[host]).sum();
        let calm = crash + CONFUSED;
        let whole = ledger.tally(&sim, Instant::ZERO, Instant::FAR_FUTURE);
        let each = |bytes: f64| bytes * lasted.as_secs_f64() / f64::from(self.messages);
        Ok(Streamed {
            confused: ledger.tally(&sim, crash, calm),
            later: ledger.tally(&sim, calm, Instant::FAR_FUTURE),
            refused: ledger.refused,
            gaps: ledger.gaps,
            excess: ledger.excess,
            redundancy: (received > 0 && whole.delivered > 0).then(|| received as f64 / whole.delivered as f64 - 1.0),
            hops: ledger.hops(),
            bytes: (self.crashed == 0).then(|| each(sent - idle)),
            delays: ledger.delays(&sim),
            whole,
        })
    }

    /// A message a second, and the crash; when that was, if it was.
    fn send_all<M: Subject>(&self, sim: &mut Sim<M>, ledger: &mut Ledger, seed: u64) -> Instant {
        let mut rng = SimRng::new(seed);
        let mut crash = Instant::FAR_FUTURE;
        for place in 1..=self.messages {
            if place == CRASHED_AT && self.crashed > 0 {
                // Never host 0, which sends alone.
                some(self.crashed, self.nodes, seed).into_iter().for_each(|host| sim.crash(host));
                crash = sim.now();
            }
            let able: Vec<usize> = sim.running().collect();
            let sender = match self.senders {
                Senders::Single => 0,
                Senders::Random => able[rng.below(able.len() as u64) as usize],
            };
            ledger.send(sim, sender);
            sim.run_for(SECOND);
            ledger.note(sim);
        }
        crash
    }
}

/// How many copies of payloads have reached each host so far.
fn copies<M: Subject>(sim: &Sim<M>) -> Vec<u64> {
    (0..sim.hosts()).map(|host| sim.machine(host).map_or(0, Subject::payloads)).collect()
}
