//! Whether every broadcast came, or was reported as a gap.

use core::time::Duration;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use super::machine::{HostAddress, Report, TOPIC};
use super::world::{Sim, Watch};
use crate::event::Phase;
use crate::member::{Life, NodeId, Status};
use crate::node::Node;
use crate::storage::Storage;
use crate::time::Instant;

/// How long a node must have been a member before it is owed what those say whom it does not know: a newcomer counts as old
/// what was said before it heard of who said it, and under loss its first pull takes a while.
const SETTLED: Duration = Duration::from_secs(20);

/// A broadcast, and who must hear of it.
#[derive(Clone, Debug)]
struct Said {
    host: usize,
    origin: NodeId,
    life: Life,
    seq: u32,
    at: Instant,
    /// The hosts that were members when it was sent, and their lives.
    owed: Vec<(usize, Life)>,
}

/// How often it is looked whether a host has forgotten a member: every so many steps.
const NOW_AND_THEN: u64 = 8;

/// Whose broadcasts, and the first and the last of them.
type Lost = (NodeId, u32, u32);

#[derive(Debug, Default)]
struct Ledger {
    said: BTreeMap<u64, Said>,
    /// By host and life: what it was told.
    told: BTreeMap<(usize, Life), BTreeSet<u64>>,
    gaps: BTreeMap<(usize, Life), Vec<Lost>>,
    /// By host, life and origin: the number of the last broadcast that was told.
    last: BTreeMap<(usize, Life, NodeId), u32>,
    /// Since when each host has been a member in its life.
    since: BTreeMap<(usize, Life), Instant>,
    /// The latest life of each id.
    lives: BTreeMap<NodeId, Life>,
    /// Broadcasts are told in the order in which they were sent.
    ordered: bool,
    /// A liar may repeat anything under another number.
    lied: bool,
}

/// Has nodes broadcast, and keeps account of who was told: nobody anything twice, and in the end everybody all, or that
/// it is lost.
#[derive(Clone, Debug, Default)]
pub struct Deliveries(Rc<RefCell<Ledger>>);

impl Deliveries {
    /// Keeps account for this network from now on; `ordered` if its nodes listen in order.
    pub fn watch<A: HostAddress + 'static, S: Storage + 'static>(sim: &mut Sim<Node<A, S>>, ordered: bool) -> Self {
        let deliveries = Deliveries::default();
        deliveries.0.borrow_mut().ordered = ordered;
        sim.watch(deliveries.clone());
        deliveries
    }

    /// Somebody lies from now on: the same may be told twice under different numbers.
    pub fn expect_lies(&self) {
        self.0.borrow_mut().lied = true;
    }

    /// Has a host broadcast a payload of this length, at least 8; false if it does not run or cannot take it now.
    pub fn say<A: HostAddress, S: Storage>(&self, sim: &mut Sim<Node<A, S>>, host: usize, len: usize) -> bool {
        let number = self.0.borrow().said.len() as u64 + 1;
        let mut payload = std::vec![0x5a; len.max(8)];
        payload[..8].copy_from_slice(&number.to_le_bytes());
        let mut sent = None;
        let owed = self.members(sim, host);
        // Noted before the node is driven on, which may tell others at once.
        let ledger = self.0.clone();
        let at = sim.now();
        sim.with(host, |node, now| {
            let Some(life) = node.member(node.id()).map(|myself| myself.life()) else { return };
            sent = node.broadcast(now, TOPIC, &payload).ok();
            if let Some(id) = sent {
                let said = Said { host, origin: node.id(), life, seq: id.seq(), at, owed };
                ledger.borrow_mut().said.insert(number, said);
            }
        });
        sent.is_some()
    }

    /// The hosts that must hear of what `speaker` says now.
    fn members<A: HostAddress, S: Storage>(&self, sim: &Sim<Node<A, S>>, speaker: usize) -> Vec<(usize, Life)> {
        let ledger = self.0.borrow();
        // Who meets it for the first time after that counts as old what it has said.
        let cut_off = sim.machine(speaker).is_some_and(|node| node.phase() == Phase::Isolated);
        let settled = |host: &usize| {
            let node = sim.machine(*host)?;
            let life = node.member(node.id())?.life();
            let since = ledger.since.get(&(*host, life))?;
            let settled = sim.now().duration_since(*since) >= SETTLED;
            let knows = node.member(sim.id(speaker)).zip(sim.machine(speaker)).is_some_and(|(held, speaker)| {
                speaker.member(speaker.id()).is_some_and(|own| own.life() == held.life())
            });
            (settled && !cut_off || knows).then_some((*host, life))
        };
        sim.running().filter(|host| *host != speaker).filter_map(|host| settled(&host)).collect()
    }

    /// How many broadcasts there were.
    pub fn said(&self) -> usize {
        self.0.borrow().said.len()
    }

    /// What is owed still: every broadcast, to each host that was a member when it was sent and has lived on since, unless
    /// it was told of a gap. What nobody who is left has ever had is owed to nobody, nor is what was said in a life that
    /// another has replaced; and where a liar speaks in others' names, nothing at all. The first few, a line each; empty if
    /// all is well.
    pub fn missing<A: HostAddress, S: Storage>(&self, sim: &Sim<Node<A, S>>) -> String {
        let ledger = self.0.borrow();
        if ledger.lied {
            return String::new();
        }
        let alive = |host: usize, life: Life| {
            let node = sim.machine(host).filter(|_| sim.is_running(host));
            node.filter(|node| node.member(node.id()).is_some_and(|myself| myself.life() == life))
        };
        let mut text = String::new();
        for (number, said) in &ledger.said {
            let has =
                |host: usize, life: Life| ledger.told.get(&(host, life)).is_some_and(|told| told.contains(number));
            let known = alive(said.host, said.life).is_some()
                || said.owed.iter().any(|(host, life)| alive(*host, *life).is_some() && has(*host, *life));
            // Those who learned of the later life have forgotten the earlier, and what others missed of it.
            let replaced = ledger.lives.get(&said.origin).is_some_and(|latest| *latest > said.life);
            if !known || replaced {
                continue;
            }
            for (host, life) in &said.owed {
                let Some(node) = alive(*host, *life) else { continue };
                let same_life = node.member(said.origin).is_some_and(|origin| origin.life() == said.life);
                let gap = |(origin, first, last): &Lost| *origin == said.origin && (*first..=*last).contains(&said.seq);
                let lost = ledger.gaps.get(&(*host, *life)).is_some_and(|gaps| gaps.iter().any(gap));
                if same_life && !lost && !has(*host, *life) && text.len() < 1_000 {
                    let (from, seq, at) = (said.host, said.seq, said.at);
                    text.push_str(&format!("host {host} never had {number}, broadcast {seq} of host {from} at {at}\n"));
                }
            }
        }
        text
    }
}

impl<A: HostAddress, S: Storage> Watch<Node<A, S>> for Deliveries {
    fn after_step(&mut self, sim: &Sim<Node<A, S>>, host: usize) -> Result<(), String> {
        let Some(node) = sim.machine(host) else { return Ok(()) };
        let member = matches!(node.phase(), Phase::Member | Phase::Isolated);
        let Some(myself) = node.member(node.id()) else { return Ok(()) };
        let mut ledger = self.0.borrow_mut();
        let latest = ledger.lives.entry(node.id()).or_insert(myself.life());
        *latest = (*latest).max(myself.life());
        if member {
            ledger.since.entry((host, myself.life())).or_insert(sim.now());
        }
        // What is kept of a member that is gone is forgotten after a while. If it comes back and its old datagrams do, they
        // are news again.
        if member && sim.steps().is_multiple_of(NOW_AND_THEN) {
            let Ledger { said, told, .. } = &mut *ledger;
            let forgotten = |number: &u64| said.get(number).is_some_and(|said| node.member(said.origin).is_none());
            told.entry((host, myself.life())).or_default().retain(|number| !forgotten(number));
        }
        Ok(())
    }

    fn on_report(&mut self, sim: &Sim<Node<A, S>>, host: usize, report: Report) -> Result<(), String> {
        let Some(node) = sim.machine(host) else { return Ok(()) };
        let Some(life) = node.member(node.id()).map(|myself| myself.life()) else { return Ok(()) };
        let mut ledger = self.0.borrow_mut();
        match report {
            Report::Message { origin, seq, number, .. } => {
                let fresh = ledger.told.entry((host, life)).or_default().insert(number);
                // What was under way when its origin began another life is said again in that.
                let of_life = node.member(origin).map(|origin| origin.life());
                let same = ledger
                    .said
                    .get(&number)
                    .is_some_and(|said| said.origin == origin && said.seq == seq && Some(said.life) == of_life);
                if !fresh && same && !ledger.lied {
                    return Err(format!("host {host} is told twice of broadcast {seq} of {origin} ({number})"));
                }
                // Direct messages have no order.
                let Some(said_in) = ledger.said.get(&number).map(|said| said.life) else { return Ok(()) };
                let before = ledger.last.insert((host, life, origin), seq).unwrap_or(0);
                let comparable = ledger.ordered && !ledger.lied && of_life == Some(said_in);
                let earlier = ledger.said.values().any(|said| said.origin == origin && said.life != said_in);
                if comparable && !earlier && seq < before {
                    return Err(format!("host {host} is told of broadcast {seq} of {origin} after {before}"));
                }
            }
            Report::Gap { origin, first, last } => {
                ledger.gaps.entry((host, life)).or_default().push((origin, first, last));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether this node takes nobody but itself for alive.
pub(super) fn is_alone<A: HostAddress, S: Storage>(node: &Node<A, S>) -> bool {
    node.members().all(|member| member.id() == node.id() || member.status() != Status::Alive)
}
