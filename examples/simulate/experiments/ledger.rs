//! What was broadcast, who was owed it, and who has it.

use std::collections::HashMap;
use std::time::Duration;

use tidings::sim::{Report, Reported, Sim};
use tidings::{Instant, NodeId};

use super::Subject;

/// Bytes of a payload, the number included.
pub const PAYLOAD: usize = 64;

/// Who sent the message of this number. An application would write it into its messages just so: not every protocol
/// says whom one is from.
pub fn origin_of(number: u64) -> NodeId {
    NodeId::new(number >> 32)
}

/// A payload with the number of the message, which is unique in a run: the sender's id, and the place of the message
/// among all of the run, from 1 on.
pub fn payload(origin: NodeId, place: usize) -> [u8; PAYLOAD] {
    let mut payload = [0xb5; PAYLOAD];
    payload[..8].copy_from_slice(&(origin.get() << 32 | place as u64).to_le_bytes());
    payload
}

struct Message {
    sender: usize,
    /// Its place among all that the sender has sent.
    seq: u32,
    at: Instant,
    /// For each host, whether it ran when this was sent, and is not the sender.
    owed: Vec<bool>,
    /// For each host, when it came.
    came: Vec<Option<Instant>>,
    /// How many of those that are owed it lack it.
    left: usize,
}

/// All messages of a run.
#[derive(Default)]
pub struct Ledger {
    messages: Vec<Message>,
    /// How many messages of each host were taken.
    sent: HashMap<usize, u32>,
    /// What each host was told of each origin that would not come any more: the first and the last.
    lost: HashMap<(usize, NodeId), Vec<(u32, u32)>>,
    hops: Hops,
    /// How many messages their sender would not take.
    pub refused: usize,
    /// How many gaps were reported.
    pub gaps: usize,
    /// Deliveries too many: of a message that the member had, or had been told it would not get, or that nobody sent.
    pub excess: usize,
}

/// How many machines messages went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hops {
    sum: u64,
    count: u64,
    pub most: u8,
}

impl Hops {
    fn add(&mut self, hops: u8) {
        // Where the protocol does not say, it is none.
        if hops > 0 {
            self.sum += u64::from(hops);
            self.count += 1;
            self.most = self.most.max(hops);
        }
    }

    /// On average; nothing where the protocol does not say.
    pub fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

impl core::ops::AddAssign for Hops {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
        self.most = self.most.max(other.most);
    }
}

/// What became of messages that were sent at some time: a message is owed to all others that ran when it was sent and
/// still run at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub messages: usize,
    /// How many messages all have to whom they are owed.
    pub complete: usize,
    /// Pairs of a message and a member to whom it is owed.
    pub owed: usize,
    /// How many of these pairs came together.
    pub delivered: usize,
    /// Of how many others the member was told that the message will not come.
    pub told: usize,
}

impl Tally {
    /// The part of the pairs that came together; all of none.
    pub fn delivered(&self) -> f64 {
        part(self.delivered, self.owed)
    }

    /// The part of the messages that all have.
    pub fn complete(&self) -> f64 {
        part(self.complete, self.messages)
    }

    /// Pairs that neither came together nor were told apart.
    pub fn silent(&self) -> usize {
        self.owed - self.delivered - self.told
    }
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.complete += other.complete;
        self.owed += other.owed;
        self.delivered += other.delivered;
        self.told += other.told;
    }
}

fn part(count: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}

/// How long messages took to each member that they were owed to; some never came.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// In microseconds, sorted.
    micros: Vec<u64>,
    never: usize,
}

impl Delays {
    /// Of several runs.
    pub fn together<'a>(runs: impl IntoIterator<Item = &'a Delays>) -> Self {
        let mut all = Delays::default();
        for run in runs {
            all.micros.extend(&run.micros);
            all.never += run.never;
        }
        all.micros.sort_unstable();
        all
    }

    /// What this part of all stays within, from 0 to 1; `None` if too many never came.
    pub fn within(&self, part: f64) -> Option<Duration> {
        let last = (self.micros.len() + self.never).checked_sub(1)?;
        let at = (part * last as f64).ceil() as usize;
        self.micros.get(at).copied().map(Duration::from_micros)
    }
}

impl Ledger {
    /// Has a host broadcast the next message, now; false if it would not.
    pub fn send<M: Subject>(&mut self, sim: &mut Sim<M>, sender: usize) -> bool {
        let payload = payload(sim.id(sender), self.messages.len() + 1);
        let mut owed = vec![false; sim.hosts()];
        sim.running().filter(|host| *host != sender).for_each(|host| owed[host] = true);
        let mut taken = false;
        sim.with(sender, |machine, now| taken = machine.broadcast(now, &payload));
        if !taken {
            self.refused += 1;
            return false;
        }
        let seq = self.sent.entry(sender).or_default();
        *seq += 1;
        let left = owed.iter().filter(|owed| **owed).count();
        let came = vec![None; owed.len()];
        self.messages.push(Message { sender, seq: *seq, at: sim.now(), owed, came, left });
        true
    }

    /// Notes what came since this was last called.
    pub fn note<M: Subject>(&mut self, sim: &mut Sim<M>) {
        for Reported { at, host, report, .. } in sim.take_reports() {
            match report {
                Report::Message { number, hops, .. } => self.deliver(sim, host, number, hops, at),
                Report::Gap { origin, first, last } => {
                    self.gaps += 1;
                    self.lost.entry((host, origin)).or_default().push((first, last));
                }
                _ => {}
            }
        }
    }

    fn deliver<M: Subject>(&mut self, sim: &Sim<M>, host: usize, number: u64, hops: u8, at: Instant) {
        let place = (number & u64::from(u32::MAX)) as usize;
        let message = place.checked_sub(1).and_then(|at| self.messages.get_mut(at));
        let Some(message) = message.filter(|message| sim.id(message.sender) == origin_of(number)) else {
            self.excess += 1;
            return;
        };
        // Whether a sender hears itself is the protocol's affair.
        if host == message.sender {
            return;
        }
        let told = told(&self.lost, host, origin_of(number), message.seq);
        if message.came[host].replace(at).is_some() || told {
            self.excess += 1;
        } else if message.owed[host] {
            message.left -= 1;
            self.hops.add(hops);
        }
    }

    /// Whether all have the latest message to whom it is owed, and after how long they had it.
    pub fn latest(&self) -> Option<Duration> {
        let message = self.messages.last().filter(|message| message.left == 0)?;
        Some(message.came.iter().flatten().max().copied().unwrap_or(message.at).duration_since(message.at))
    }

    /// What became of the messages that were sent from this time on and before that.
    pub fn tally<M: Subject>(&self, sim: &Sim<M>, from: Instant, until: Instant) -> Tally {
        let mut tally = Tally::default();
        for message in self.messages.iter().filter(|message| (from..until).contains(&message.at)) {
            let origin = sim.id(message.sender);
            let owed = || (0..message.owed.len()).filter(|host| message.owed[*host] && sim.is_running(*host));
            let delivered = owed().filter(|host| message.came[*host].is_some()).count();
            let without = owed().filter(|host| message.came[*host].is_none());
            tally += Tally {
                messages: 1,
                complete: usize::from(delivered == owed().count()),
                owed: owed().count(),
                delivered,
                told: without.filter(|host| told(&self.lost, *host, origin, message.seq)).count(),
            };
        }
        tally
    }

    /// How long the messages took to those that they were owed to.
    pub fn delays<M: Subject>(&self, sim: &Sim<M>) -> Delays {
        let mut delays = Delays::default();
        for message in &self.messages {
            for host in (0..message.owed.len()).filter(|host| message.owed[*host] && sim.is_running(*host)) {
                match message.came[host] {
                    Some(came) => delays.micros.push(came.duration_since(message.at).as_micros() as u64),
                    None => delays.never += 1,
                }
            }
        }
        delays.micros.sort_unstable();
        delays
    }

    /// How many machines the messages went through.
    pub fn hops(&self) -> Hops {
        self.hops
    }
}

/// Whether the host was told that this message of the origin will not come.
fn told(lost: &HashMap<(usize, NodeId), Vec<(u32, u32)>>, host: usize, origin: NodeId, seq: u32) -> bool {
    lost.get(&(host, origin)).is_some_and(|gaps| gaps.iter().any(|(first, last)| (*first..=*last).contains(&seq)))
}
