//! A cluster's bad day, written down: from a seed, a file or the bytes of a fuzzer, and run the same way.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::string::{String, ToString};
use std::vec::Vec;

use super::check::Safety;
use super::delivery::{Deliveries, is_alone};
use super::hostile::{Forger, GHOSTS, NOBODY, liar};
use super::machine::TOPIC;
use super::network::{Conditions, SimRng};
use super::world::Sim;
use crate::config::{Config, MAX_DATAGRAM};
use crate::event::Phase;
use crate::member::NodeId;
use crate::node::HeapNode;
use crate::storage::Limits;
use crate::time::Instant;

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
        writeln!(f, "cargo run --release --features sim --example simulate -- replay FILE")?;
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
        let count = |(_, action): &(u32, Action)| if let Action::Invent(_, count) = action { *count } else { 0 };
        self.actions.iter().map(count).map(usize::from).sum::<usize>().min(LIMIT)
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
        let fresh = || self.fresh(config);
        for _ in 0..self.nodes {
            let host = sim.add(fresh());
            sim.start(host, &[0, 1]);
        }
        for (millis, action) in &self.actions {
            sim.run_until(Instant::from_millis((*millis).into()));
            action.apply_with(&mut sim, fresh, &deliveries);
        }
        sim.heal();
        for seed in [0, 1] {
            sim.move_host(seed, seed as u32);
            sim.with(seed, |node, now| node.set_addr(now, seed as u32));
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
            None if agreed_after >= bound => std::format!("no agreement {bound:?} after the faults:\n{}", views(&sim)),
            None if !deliveries.missing(&sim).is_empty() => deliveries.missing(&sim),
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
    fn from_bytes(kind: u8, value: u16, nodes: u8) -> Self {
        let host = (value >> 8) as u8 % nodes;
        let part = (value % 600).min(500);
        match kind % 48 {
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
            _ => Action::Tell(host, value as u8 % nodes),
        }
    }

    /// Does it to a running simulation, keeping account of what is said.
    fn apply_with(self, sim: &mut Sim<HeapNode<u32>>, fresh: impl FnOnce() -> HeapNode<u32>, deliveries: &Deliveries) {
        match self {
            Action::Say(host, len) => drop(deliveries.say(sim, host.into(), len.into())),
            Action::Burst(host, count) => {
                for _ in 0..count {
                    deliveries.say(sim, host.into(), 64);
                    sim.run_for(Duration::from_millis(20));
                }
            }
            Action::Lie(_) => {
                deliveries.expect_lies();
                self.apply(sim, fresh);
            }
            _ => self.apply(sim, fresh),
        }
    }

    /// Does it to a running simulation. `fresh` makes the machine of a restarted host.
    pub fn apply(self, sim: &mut Sim<HeapNode<u32>>, fresh: impl FnOnce() -> HeapNode<u32>) {
        let part = |thousandths: u16| f64::from(thousandths) / 1_000.0;
        let weather = sim.conditions();
        match self {
            Action::Loss(loss) => sim.set_conditions(Conditions { loss: part(loss), ..weather }),
            Action::Duplicate(twice) => sim.set_conditions(Conditions { duplicate: part(twice), ..weather }),
            Action::Reorder(late) => sim.set_conditions(Conditions { reorder: part(late), ..weather }),
            Action::Corrupt(bad) => sim.set_conditions(Conditions { corrupt: part(bad), ..weather }),
            Action::Truncate(short) => sim.set_conditions(Conditions { truncate: part(short), ..weather }),
            Action::LossIn(host, loss) => sim.set_loss_in(host.into(), part(loss)),
            Action::LossOut(host, loss) => sim.set_loss_out(host.into(), part(loss)),
            Action::Partition(sides) => {
                (0..sim.hosts()).for_each(|host| sim.set_side(host, u32::from(sides >> (host % 16) & 1)));
            }
            Action::Crash(host) => sim.crash(host.into()),
            Action::Restart(host) => sim.restart(host.into(), fresh(), &[0, 1]),
            Action::Stop(host) => sim.stop(host.into()),
            Action::Resume(host) => sim.resume(host.into()),
            Action::Unplug(host) => sim.set_plugged(host.into(), false),
            Action::Plug(host) => sim.set_plugged(host.into(), true),
            Action::Leave(host) => sim.leave(host.into()),
            Action::Drift(host, thousandths) => sim.set_drift(host.into(), i64::from(thousandths) * 100),
            Action::Jump(host, seconds) => sim.jump_clock(host.into(), Duration::from_secs(seconds.into())),
            Action::Flood(host, count) => flood(sim, host.into(), count),
            Action::Replay(host, count) => replay(sim, host.into(), count),
            Action::Slander(host, accused) => slander(sim, host.into(), accused.into()),
            Action::Invent(host, count) => invent(sim, host.into(), count),
            Action::Forge(host, what) => forge(sim, host.into(), what),
            Action::Lie(host) => sim.set_tamper(host.into(), Some(liar(sim.steps()))),
            // A process that is stopped could not be told.
            Action::Move(host) if !sim.is_running(host.into()) => {}
            Action::Move(host) => {
                // A place of its own: hosts and places do not overlap.
                let place = 1_000 * (1 + u32::from(host)) + sim.steps() as u32 % 1_000;
                sim.move_host(host.into(), place);
                sim.with(host.into(), |node, now| node.set_addr(now, place));
            }
            // Without an account.
            Action::Say(host, len) => {
                sim.with(host.into(), |node, now| _ = node.broadcast(now, TOPIC, &std::vec![0x5a; len.into()]));
            }
            Action::Burst(host, count) => {
                for _ in 0..count {
                    sim.with(host.into(), |node, now| _ = node.broadcast(now, TOPIC, &[0x5a; 64]));
                    sim.run_for(Duration::from_millis(20));
                }
            }
            Action::Tell(host, other) => {
                let to = sim.id(other.into());
                sim.with(host.into(), |node, now| _ = node.send(now, to, TOPIC, b"a word with you"));
            }
            Action::Twin(host) => {
                let twin = sim.add(fresh());
                sim.set_id(twin, sim.id(host.into()));
                sim.start(twin, &[0, 1]);
            }
        }
    }
}

/// Random bytes, half of them with a plausible head, and now and then as many as a datagram holds.
fn flood(sim: &mut Sim<HeapNode<u32>>, to: usize, count: u16) {
    let mut rng = SimRng::new(sim.steps());
    for _ in 0..count {
        let most = if rng.chance(0.02) { MAX_DATAGRAM as u64 } else { 200 };
        let mut bytes: Vec<u8> = (0..rng.below(most)).map(|_| rng.draw() as u8).collect();
        if let Some(form) = bytes.first_mut().filter(|_| rng.chance(0.5)) {
            *form = 1;
        }
        inject_from_anywhere(sim, &mut rng, to, &bytes);
    }
}

/// What was overheard, half of it with a bit flipped or its end lost, from anywhere.
fn replay(sim: &mut Sim<HeapNode<u32>>, to: usize, count: u16) {
    let mut rng = SimRng::new(sim.steps());
    let overheard: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
    for _ in 0..count {
        let Some(mut bytes) = overheard.get(rng.below(overheard.len().max(1) as u64) as usize).cloned() else { return };
        if rng.chance(0.25) {
            bytes[0] ^= 1 << rng.below(8);
        } else if rng.chance(0.25) {
            bytes.truncate(rng.below(bytes.len() as u64) as usize);
        }
        inject_from_anywhere(sim, &mut rng, to, &bytes);
    }
}

/// As if one of the hosts had sent it, or nobody.
fn inject_from_anywhere(sim: &mut Sim<HeapNode<u32>>, rng: &mut SimRng, to: usize, bytes: &[u8]) {
    if rng.chance(0.5) {
        return sim.spoof(NOBODY, to, bytes);
    }
    let from = rng.below(sim.hosts() as u64) as usize;
    sim.inject(from, to, bytes);
}

/// A forger who speaks to a host as its neighbour.
fn forger(sim: &Sim<HeapNode<u32>>, victim: usize) -> Option<(Forger, usize)> {
    let mask = (victim + 1) % sim.hosts();
    Forger::new(sim.machine(victim)?, sim.machine(mask)?).map(|forger| (forger, mask))
}

fn slander(sim: &mut Sim<HeapNode<u32>>, victim: usize, accused: usize) {
    let lie = forger(sim, victim).and_then(|(forger, mask)| Some((mask, forger.accusation(sim.machine(accused)?))));
    if let Some((mask, bytes)) = lie {
        sim.inject(mask, victim, &bytes);
    }
}

fn invent(sim: &mut Sim<HeapNode<u32>>, victim: usize, count: u8) {
    if let Some((forger, mask)) = forger(sim, victim) {
        let first = 1_000_000 + sim.steps();
        let bytes = forger.invention::<u32>(first..first + u64::from(count));
        sim.inject(mask, victim, &bytes);
    }
}

fn forge(sim: &mut Sim<HeapNode<u32>>, victim: usize, what: u8) {
    let about = (victim + 2) % sim.hosts();
    let Some(((forger, mask), member)) = forger(sim, victim).zip(sim.machine(about)) else { return };
    let bytes = match what {
        0 => forger.removal(member, GHOSTS),
        1 => forger.rebirth(member, Some(GHOSTS)),
        2 => forger.rebirth(member, None),
        _ => forger.leap(member, u32::MAX),
    };
    // What it hears of itself, it has to believe.
    if about != victim {
        sim.inject(mask, victim, &bytes);
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Loss(part) => write!(f, "loss {part}"),
            Action::Duplicate(part) => write!(f, "duplicate {part}"),
            Action::Reorder(part) => write!(f, "reorder {part}"),
            Action::Corrupt(part) => write!(f, "corrupt {part}"),
            Action::Truncate(part) => write!(f, "truncate {part}"),
            Action::LossIn(host, part) => write!(f, "loss-in {host} {part}"),
            Action::LossOut(host, part) => write!(f, "loss-out {host} {part}"),
            Action::Partition(sides) => write!(f, "partition {sides}"),
            Action::Crash(host) => write!(f, "crash {host}"),
            Action::Restart(host) => write!(f, "restart {host}"),
            Action::Stop(host) => write!(f, "stop {host}"),
            Action::Resume(host) => write!(f, "resume {host}"),
            Action::Unplug(host) => write!(f, "unplug {host}"),
            Action::Plug(host) => write!(f, "plug {host}"),
            Action::Leave(host) => write!(f, "leave {host}"),
            Action::Drift(host, parts) => write!(f, "drift {host} {parts}"),
            Action::Jump(host, seconds) => write!(f, "jump {host} {seconds}"),
            Action::Flood(host, count) => write!(f, "flood {host} {count}"),
            Action::Replay(host, count) => write!(f, "replay {host} {count}"),
            Action::Slander(host, accused) => write!(f, "slander {host} {accused}"),
            Action::Invent(host, count) => write!(f, "invent {host} {count}"),
            Action::Forge(host, what) => write!(f, "forge {host} {what}"),
            Action::Lie(host) => write!(f, "lie {host}"),
            Action::Move(host) => write!(f, "move {host}"),
            Action::Twin(host) => write!(f, "twin {host}"),
            Action::Say(host, len) => write!(f, "say {host} {len}"),
            Action::Burst(host, count) => write!(f, "burst {host} {count}"),
            Action::Tell(host, other) => write!(f, "tell {host} {other}"),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "nodes {}\nseed {}", self.nodes, self.seed)?;
        self.actions.iter().try_for_each(|(at, action)| writeln!(f, "{at} {action}"))
    }
}

/// The first line of a scenario's text that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseScenarioError {
    line: usize,
}

impl fmt::Display for ParseScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no part of a scenario", self.line)
    }
}

impl core::error::Error for ParseScenarioError {}

impl FromStr for Scenario {
    type Err = ParseScenarioError;

    fn from_str(text: &str) -> Result<Self, ParseScenarioError> {
        let mut scenario = Scenario { nodes: 0, seed: 0, actions: Vec::new() };
        for (line, words) in (1..).zip(text.lines().map(str::split_whitespace)) {
            let words: Vec<&str> = words.collect();
            let understood = match words[..] {
                [] => Some(()),
                ["nodes", count] => {
                    count.parse().ok().filter(|count| (2..=16).contains(count)).map(|count| scenario.nodes = count)
                }
                ["seed", seed] => seed.parse().ok().map(|seed| scenario.seed = seed),
                [at, name, ref values @ ..] => at.parse().ok().and_then(|at| {
                    let action = Action::parse(name, values, scenario.nodes)?;
                    let in_order = scenario.actions.last().is_none_or(|(last, _)| *last <= at);
                    in_order.then(|| scenario.actions.push((at, action)))
                }),
                _ => None,
            };
            understood.ok_or(ParseScenarioError { line })?;
        }
        // Nothing may be there that would not be written: too many words, or the nodes in the wrong place.
        let written = scenario.to_string();
        let same = written.split_whitespace().eq(text.split_whitespace());
        if scenario.nodes == 0 || !same { Err(ParseScenarioError { line: text.lines().count() }) } else { Ok(scenario) }
    }
}

impl Action {
    fn parse(name: &str, values: &[&str], nodes: u8) -> Option<Self> {
        let value = |at: usize| values.get(at).and_then(|value| value.parse::<u16>().ok());
        let small = |at: usize| values.get(at).and_then(|value| value.parse::<u8>().ok());
        let host = || values.first().and_then(|value| value.parse::<u8>().ok()).filter(|host| *host < nodes);
        Some(match name {
            "loss" => Action::Loss(value(0)?),
            "duplicate" => Action::Duplicate(value(0)?),
            "reorder" => Action::Reorder(value(0)?),
            "corrupt" => Action::Corrupt(value(0)?),
            "truncate" => Action::Truncate(value(0)?),
            "loss-in" => Action::LossIn(host()?, value(1)?),
            "loss-out" => Action::LossOut(host()?, value(1)?),
            "partition" => Action::Partition(value(0)?),
            "crash" => Action::Crash(host()?),
            "restart" => Action::Restart(host()?),
            "stop" => Action::Stop(host()?),
            "resume" => Action::Resume(host()?),
            "unplug" => Action::Unplug(host()?),
            "plug" => Action::Plug(host()?),
            "leave" => Action::Leave(host()?),
            "drift" => Action::Drift(host()?, values.get(1)?.parse().ok()?),
            "jump" => Action::Jump(host()?, value(1)?),
            "flood" => Action::Flood(host()?, value(1)?),
            "replay" => Action::Replay(host()?, value(1)?),
            "slander" => Action::Slander(host()?, small(1).filter(|other| *other < nodes)?),
            "invent" => Action::Invent(host()?, small(1)?),
            "forge" => Action::Forge(host()?, small(1)?),
            "lie" => Action::Lie(host()?),
            "move" => Action::Move(host()?),
            "twin" => Action::Twin(host()?),
            "say" => Action::Say(host()?, value(1)?),
            "burst" => Action::Burst(host()?, value(1)?),
            "tell" => Action::Tell(host()?, small(1).filter(|other| *other < nodes)?),
            _ => return None,
        })
    }
}
