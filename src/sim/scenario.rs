//! A cluster's bad day, written down: from a seed, a file or the bytes of a fuzzer, and run the same way.

mod deeds;
mod links;
mod text;

use core::fmt;
use core::time::Duration;
use std::string::{String, ToString};
use std::vec::Vec;

use super::check::Safety;
use super::delivery::{Deliveries, is_alone};
use super::hostile::{Attack, Stance};
use super::machine::TOPIC;
use super::network::{Conditions, SimRng};
use super::replicas::Replicas;
use super::world::Sim;
use crate::config::Config;
use crate::event::Phase;
use crate::member::NodeId;
use crate::node::HeapNode;
use crate::storage::Limits;
use crate::time::Instant;

use deeds::Accounts;
pub use text::ParseScenarioError;

/// Something that befalls the network or one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// This many thousandths of all datagrams are lost.
    Loss(u16),
    /// This many thousandths arrive twice.
    Duplicate(u16),
    /// This many thousandths are held up.
    Reorder(u16),
    /// This many thousandths are corrupted.
    Corrupt(u16),
    /// This many thousandths lose their end.
    Truncate(u16),
    /// The host loses this many thousandths of what it receives.
    LossIn(u8, u16),
    /// The host loses this many thousandths of what it sends.
    LossOut(u8, u16),
    /// The hosts whose bit is set are cut off from the rest.
    Partition(u16),
    /// The host's process ends.
    Crash(u8),
    /// The host's process begins anew, without memory.
    Restart(u8),
    /// The host's process is stopped.
    Stop(u8),
    /// The host's process goes on.
    Resume(u8),
    /// The host is taken off the network.
    Unplug(u8),
    /// The host is put back on the network.
    Plug(u8),
    /// The host leaves gracefully.
    Leave(u8),
    /// The host's clock runs wrong by this many parts in ten thousand.
    Drift(u8, i8),
    /// The host's clock jumps forward by this many seconds.
    Jump(u8, u16),
    /// The host is sent this many datagrams of random bytes.
    Flood(u8, u16),
    /// The host is sent this many datagrams that others have sent, to it or not, some of them changed.
    Replay(u8, u16),
    /// The host is told, as if by a member, that the other is dead.
    Slander(u8, u8),
    /// The host is told, as if by a member, of this many members that do not exist.
    Invent(u8, u8),
    /// The host is told a lie of this kind, as if by a member, about another member: that it has moved, that it lives
    /// anew elsewhere or where it is, or that its incarnation has leapt.
    Forge(u8, u8),
    /// The host mounts an attack of this kind for [a few seconds](Self::ATTACK); or another does, who is no member.
    Attack(u8, Attack, Stance),
    /// The host lies in all that it says from now on.
    Lie(u8),
    /// The host moves to another address.
    Move(u8),
    /// Another process is started under the host's id, elsewhere.
    Twin(u8),
    /// The host broadcasts a payload of this many bytes.
    Say(u8, u16),
    /// The host broadcasts this many payloads, 20 ms apart.
    Burst(u8, u16),
    /// The host sends a message to the other.
    Tell(u8, u8),
    /// The host writes one of a few keys; the number says which, how long its value is, and how it is kept.
    Set(u8, u16),
    /// The host writes keys so many times, 10 ms apart.
    Write(u8, u16),
    /// The host deletes the key of this number.
    Delete(u8, u8),
    /// The way from one host to another is blocked (0), or both ways are blocked (1), lose half (2), are slow (3), carry
    /// only small datagrams (4), or are good again (5).
    Link(u8, u8, u8),
    /// Hosts are in three zones by their numbers; where bit 3 f + t is set, what zone f sends to zone t is lost.
    Zones(u16),
    /// What comes to the host from an address that it has not sent to for so many seconds is dropped; 0 ends that.
    Filter(u8, u8),
    /// The host refuses this many thousandths of its sends; above 999, all sends in so many milliseconds of each second.
    Refuse(u8, u16),
    /// The host's loop comes round every so many milliseconds, and reads everything before it sends; 0 ends that.
    Pace(u8, u16),
}

/// What happens to a cluster, and when.
///
/// As text, one line each: the number of nodes, the seed, then milliseconds and an action.
///
/// ```
/// use tidings::sim::Scenario;
/// let text = "nodes 5\nseed 1\n2000 crash 3\n9000 restart 3\n";
/// let scenario: Scenario = text.parse().unwrap();
/// assert_eq!(scenario.to_string(), text);
/// scenario.run().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    nodes: u8,
    seed: u64,
    actions: Vec<(u32, Action)>,
}

/// How a scenario went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// From the end of the faults to one view that lasted, to within 200 ms.
    pub agreed_after: Duration,
    /// The longest that it may take, by [`Scenario::bound`].
    pub bound: Duration,
    /// Events simulated.
    pub steps: u64,
}

/// What went wrong in a scenario, and the scenario itself, to be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    complaint: String,
    scenario: Scenario,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.complaint)?;
        writeln!(f, "replay it: save what follows as FILE and run")?;
        writeln!(f, "cargo run --release --example simulate -- replay FILE")?;
        write!(f, "{}", self.scenario)
    }
}

impl core::error::Error for Failure {}

/// The most that one table holds; more than there are hosts, as the dead are remembered.
const LIMIT: usize = 32;

impl Scenario {
    /// A scenario drawn at random: 2 to 9 nodes and up to two minutes of faults.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = SimRng::new(seed);
        let count = 4 + rng.below(28) as usize;
        let bytes: Vec<u8> = (0..2 + 5 * count).map(|_| rng.draw() as u8).collect();
        Scenario { seed, ..Scenario::from_bytes(&bytes) }
    }

    /// Reads any bytes as a scenario: one for the number of nodes, one for the seed, and five for each action (two
    /// for the time since the one before, up to 8 s).
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (head, rest) = bytes.split_at(bytes.len().min(2));
        let nodes = 2 + head.first().map_or(0, |byte| byte % 8);
        let seed = head.get(1).copied().unwrap_or(0).into();
        let (mut at, mut actions) = (1_000u32, Vec::new());
        for chunk in rest.chunks_exact(5).take(64) {
            at += u32::from(u16::from_le_bytes([chunk[0], chunk[1]]) >> 3);
            actions.push((at, Action::from_bytes(chunk[2], u16::from_le_bytes([chunk[3], chunk[4]]), nodes)));
        }
        Scenario { nodes, seed, actions }
    }

    /// How soon after the last fault all must agree: what the protocol promises (law 7), computed from the settings.
    ///
    /// A member that was cut off is found when one of the dead is tried, each of which has its turn; a dead one when
    /// it is probed, each in two rounds of the ring; then come the longest verdict (thrice the suspicion, and that
    /// tripled for a node whose health has suffered, and a try more), the longest hold of a member that was cut off again
    /// and again, and the comparison of tables that settles the rest.
    pub fn bound(config: &Config, hosts: usize) -> Duration {
        // A hostile peer may have invented as many members again.
        let hosts = 2 * hosts as u32;
        let find_the_cut_off = config.dead_probe_period() * hosts;
        let find_the_dead = config.probe_period() * (2 * hosts);
        let judge = config.suspicion() * 10;
        let hold = config.probe_period() * 32;
        let spread = config.probe_period() * 4;
        find_the_cut_off + find_the_dead + judge + hold + spread
    }

    /// How many members hostile peers make up, as far as there is room for them.
    fn invented(&self) -> usize {
        let count = |(_, action): &(u32, Action)| match action {
            Action::Invent(_, count) => usize::from(*count),
            Action::Attack(_, attack, _) if attack.invents() => LIMIT,
            _ => 0,
        };
        self.actions.iter().map(count).sum::<usize>().min(LIMIT)
    }

    /// Whether nodes listen in order.
    fn in_order(&self) -> bool {
        self.seed & 1 == 1
    }

    /// A node as the hosts of this scenario have it; some have room for few messages.
    fn fresh(&self, config: Config) -> HeapNode<u32> {
        let room = [1 << 10, 4 << 10, 256 << 10][(self.seed >> 1) as usize % 3];
        let limits = Limits::DEFAULT.with_members(LIMIT).with_broadcast_bytes(room);
        let mut node = HeapNode::new(config, limits);
        let listens = if self.in_order() { HeapNode::subscribe_in_order } else { HeapNode::subscribe };
        listens(&mut node, Instant::ZERO, TOPIC).expect("it listens to nothing yet");
        node
    }

    /// Runs it with every check on: safety after each step, and agreement when the faults have ended.
    pub fn run(&self) -> Result<Summary, Failure> {
        self.run_with(Config::LAN, |_| {})
    }

    /// Runs it with these settings; `prepare` may add watches.
    pub fn run_with(&self, config: Config, prepare: impl FnOnce(&mut Sim<HeapNode<u32>>)) -> Result<Summary, Failure> {
        let mut sim = Sim::new(self.seed, Conditions::LAN);
        sim.watch(Safety::new(LIMIT));
        prepare(&mut sim);
        let deliveries = Deliveries::watch(&mut sim, self.in_order());
        let accounts = Accounts { deliveries, replicas: Replicas::watch(&mut sim) };
        let fresh = || self.fresh(config);
        for _ in 0..self.nodes {
            let host = sim.add(fresh());
            sim.start(host, &[0, 1]);
        }
        for (millis, action) in &self.actions {
            sim.run_until(Instant::from_millis((*millis).into()));
            action.apply_with(&mut sim, fresh, &accounts);
        }
        let lull = links::lull(&mut sim, &config, self.invented());
        sim.heal();
        for seed in [0, 1] {
            sim.move_host(seed, seed as u32);
            sim.with(seed, |node, now| node.set_addr(now, seed as u32).expect("a number is an address"));
        }
        let bound = Scenario::bound(&config, sim.hosts().max(self.invented()));
        let pace = Duration::from_millis(200);
        let (begun, mut agreed_after) = (sim.now(), Duration::ZERO);
        while sim.failure().is_none() && sim.now() < begun + bound {
            bring_back_seeds(&mut sim, fresh);
            sim.run_for(pace);
            if !settled(&sim) {
                // Agreement counts from when it lasts.
                agreed_after = sim.now().duration_since(begun);
            }
        }
        let complaint = match sim.failure() {
            Some(failure) => failure.to_string(),
            None if lull.is_err() => lull.err().unwrap_or_default(),
            None if agreed_after >= bound => std::format!("no agreement {bound:?} after the faults:\n{}", views(&sim)),
            None if !accounts.deliveries.missing(&sim).is_empty() => accounts.deliveries.missing(&sim),
            None if !accounts.replicas.differences(&sim).is_empty() => accounts.replicas.differences(&sim),
            None => return Ok(Summary { agreed_after, bound, steps: sim.steps() }),
        };
        let settings = (config != Config::LAN).then(|| std::format!("\n(with {config:?})"));
        let complaint = complaint + &settings.unwrap_or_default();
        Err(Failure { complaint, scenario: self.clone() })
    }
}

/// Whoever began without memory and whose seeds are all gone cannot be found: the seeds come back, under another id if
/// another has theirs by now.
fn bring_back_seeds(sim: &mut Sim<HeapNode<u32>>, fresh: impl Fn() -> HeapNode<u32>) {
    for seed in [0, 1] {
        if sim.machine(seed).is_some_and(|node| node.phase() == Phase::Idle) {
            sim.set_id(seed, NodeId::new(2_000_000 + sim.steps()));
        }
        if !sim.is_running(seed) {
            sim.restart(seed, fresh(), &[0, 1]);
        }
    }
}

/// Whether all is as it should be: all agree. A last survivor cannot tell whether the others are dead or it is cut off,
/// so it need only not take anybody for alive.
fn settled(sim: &Sim<HeapNode<u32>>) -> bool {
    let running: Vec<usize> = sim.running().collect();
    let [last] = running[..] else { return sim.agrees() && of_one_fingerprint(sim, &running) };
    is_alone(sim.machine(last).expect("it runs"))
}

/// Whether the views are equal down to lives and incarnations.
fn of_one_fingerprint(sim: &Sim<HeapNode<u32>>, running: &[usize]) -> bool {
    let mut prints = running.iter().filter_map(|host| sim.machine(*host)).map(HeapNode::fingerprint);
    let first = prints.next();
    prints.all(|print| Some(print) == first)
}

/// Every running node's view, a line each.
fn views(sim: &Sim<HeapNode<u32>>) -> String {
    let mut text = String::new();
    for host in sim.running() {
        let node = sim.machine(host).expect("it runs");
        let cell =
            |other: usize| node.member(sim.id(other)).map_or("-".to_string(), |member| member.status().to_string());
        let row: Vec<String> = (0..sim.hosts()).map(cell).collect();
        text.push_str(&std::format!("host {host} ({:?}): {}\n", node.phase(), row.join(" ")));
    }
    text
}

impl Action {
    /// How long an attack goes on.
    pub const ATTACK: Duration = Duration::from_secs(12);

    fn from_bytes(kind: u8, value: u16, nodes: u8) -> Self {
        if let Some(action) = Action::of_links(kind, value, nodes) {
            return action;
        }
        let host = (value >> 8) as u8 % nodes;
        let part = (value % 600).min(500);
        match kind % 64 {
            0 => Action::Loss(part),
            1 => Action::Duplicate(part),
            2 => Action::Reorder(part),
            3 => Action::Corrupt(part),
            4 => Action::Truncate(part),
            5 => Action::LossIn(host, value % 256 * 4),
            6 => Action::LossOut(host, value % 256 * 4),
            7 | 8 => Action::Partition(value % (1 << nodes)),
            9 | 10 => Action::Crash(host),
            11..=13 => Action::Restart(host),
            14 => Action::Stop(host),
            15 | 16 => Action::Resume(host),
            17 => Action::Unplug(host),
            18 | 19 => Action::Plug(host),
            20 => Action::Leave(host),
            21 => Action::Drift(host, value as i8),
            22 => Action::Jump(host, value % 4_000),
            23 => Action::Flood(host, value % 256),
            24 | 25 => Action::Replay(host, value % 256),
            26 | 27 => Action::Slander(host, value as u8 % nodes),
            28 => Action::Invent(host, 1 + value as u8 % 3),
            29 | 30 => Action::Forge(host, value as u8 % 4),
            31 => Action::Lie(host),
            32 | 33 => Action::Move(host),
            34 | 35 => Action::Twin(host),
            36..=41 => Action::Say(host, value % 256 * 4),
            42..=45 => Action::Burst(host, value % 100),
            46 | 47 => Action::Tell(host, value as u8 % nodes),
            48..=52 => Action::Set(host, value),
            53..=55 => {
                let (what, who) = (usize::from(value % 256), usize::from(value % 256) / Attack::ALL.len());
                let attack = Attack::ALL[what % Attack::ALL.len()];
                Action::Attack(host, attack, Stance::ALL[who % Stance::ALL.len()])
            }
            56..=58 => Action::Write(host, value % 64),
            _ => Action::Delete(host, value as u8 % 12),
        }
    }
}
