//! What must hold after every step, whatever the network does.

use std::collections::BTreeMap;
use std::format;
use std::string::String;

use super::hostile::{NOBODY, is_forged};
use super::machine::HostAddress;
use super::world::{Sim, Watch};
use crate::member::{Life, Member, NodeId, Status};
use crate::node::Node;
use crate::storage::Storage;
use crate::time::Instant;

/// How often the costlier checks are made, in steps.
const NOW_AND_THEN: u64 = 16;

/// More datagrams than any host sends in a second, however it is flooded: two that answer each other without end do.
const STORM: u32 = 5_000;

/// The safety properties of a network of honest [`Node`]s, checked on the host that each step touched:
///
/// * incarnations and lives grow only by their owner: nobody holds a later one than the owner ever had;
/// * what a node holds of a member never goes back in the order of the merge: the dead do not rise at the incarnation
///   at which they died;
/// * the table stays within its limit and datagrams within theirs;
/// * nobody sends without end, nor more than three bytes for one to an address that has proved nothing;
/// * polling again changes nothing, and does not make a deadline due.
#[derive(Debug)]
pub struct Safety {
    limit: usize,
    owned: BTreeMap<NodeId, (Life, u32)>,
    held: BTreeMap<(usize, NodeId), (Life, u32, u8)>,
    lives: BTreeMap<usize, Life>,
    /// How many of the dead each host has forgotten.
    forgotten: BTreeMap<usize, u64>,
    /// The second that each host is in, and what it has sent in it.
    sent: BTreeMap<usize, (u64, u32)>,
    /// The bytes that each host has had from nobody, and has sent there.
    with_nobody: BTreeMap<usize, (usize, usize)>,
}

impl Safety {
    /// Checks for tables that hold at most `limit` members.
    pub fn new(limit: usize) -> Self {
        Safety {
            limit,
            owned: BTreeMap::new(),
            held: BTreeMap::new(),
            lives: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            sent: BTreeMap::new(),
            with_nobody: BTreeMap::new(),
        }
    }

    fn count(&mut self, now: Instant, host: usize) -> Result<(), String> {
        let second = now.as_micros() / 1_000_000;
        let sent = self.sent.entry(host).or_insert((second, 0));
        *sent = if sent.0 == second { (second, sent.1 + 1) } else { (second, 1) };
        if sent.1 > STORM {
            return Err(format!("host {host} has sent {STORM} datagrams within a second"));
        }
        Ok(())
    }

    fn owner<A: HostAddress>(&mut self, host: usize, myself: Member<A>) {
        let now = (myself.life(), myself.incarnation());
        let known = self.owned.entry(myself.id()).or_insert(now);
        *known = (*known).max(now);
        if self.lives.insert(host, myself.life()) != Some(myself.life()) {
            // Another life of this host, perhaps without memory of what it held.
            self.held.retain(|(holder, _), _| *holder != host);
        }
    }

    fn member<A: HostAddress>(&mut self, host: usize, member: Member<A>) -> Result<(), String> {
        let rank = match member.status() {
            Status::Alive | Status::Suspect => 0,
            Status::Down => 1,
            Status::Left => 2,
        };
        let now = (member.life(), member.incarnation(), rank);
        // A member that a hostile peer invented has no owner.
        // Nor has an end that somebody else made up: it names the incarnation under which the owner would leave.
        let end = u32::from(!member.status().is_live());
        let leads = self.owned.get(&member.id()).is_some_and(|owned| (now.0, now.1) > (owned.0, owned.1 + end));
        if leads && !is_forged(&member) {
            return Err(format!("host {host} holds {member:?}, which its owner never was"));
        }
        match self.held.insert((host, member.id()), now) {
            Some(before) if before > now => Err(format!("host {host} went back from {before:?} to {member:?}")),
            _ => Ok(()),
        }
    }
}

impl<A: HostAddress, S: Storage> Watch<Node<A, S>> for Safety {
    fn after_step(&mut self, sim: &Sim<Node<A, S>>, host: usize) -> Result<(), String> {
        let Some(node) = sim.machine(host) else { return Ok(()) };
        let Some(myself) = node.member(node.id()) else { return Ok(()) };
        self.owner(host, myself);
        let forgotten = node.stats().forgotten;
        if self.forgotten.insert(host, forgotten) != Some(forgotten) {
            // Whom a full table has forgotten may come back as others have it.
            self.held.retain(|(holder, _), (.., rank)| *holder != host || *rank == 0);
        }
        let mut count = 0;
        for member in node.members() {
            count += 1;
            self.member(host, member)?;
        }
        if count > self.limit {
            return Err(format!("host {host} holds {count} members, its limit is {}", self.limit));
        }
        if sim.is_running(host) && node.poll_timeout() <= node.now() {
            return Err(format!("host {host} wants to be called in the past: {:?}", node.wake_reason()));
        }
        // What a coarse loop has just started waits for its next turn.
        if sim.steps().is_multiple_of(NOW_AND_THEN) && !sim.is_coarse(host) {
            idle_polls_change_nothing(host, node)?;
        }
        Ok(())
    }

    fn on_transmit(&mut self, sim: &Sim<Node<A, S>>, host: usize, to: A, datagram: &[u8]) -> Result<(), String> {
        self.count(sim.now(), host)?;
        if to == A::of_host(NOBODY) {
            let (had, sent) = self.with_nobody.entry(host).or_default();
            *sent += datagram.len();
            if *sent > 3 * *had {
                return Err(format!("host {host} has sent {sent} bytes for {had} to an address that proved nothing"));
            }
        }
        let Some(node) = sim.machine(host) else { return Ok(()) };
        let most = node.config().max_datagram();
        // A node may have moved on (refuted, begun another life) by what it is sending this very moment.
        if let Some(myself) = node.member(node.id()) {
            self.owner(host, myself);
        }
        if datagram.len() > most {
            return Err(format!("host {host} sends {} bytes, more than {most}", datagram.len()));
        }
        Ok(())
    }

    fn on_arrival(&mut self, _: &Sim<Node<A, S>>, host: usize, from: A, datagram: &[u8]) -> Result<(), String> {
        if from == A::of_host(NOBODY) {
            self.with_nobody.entry(host).or_default().0 += datagram.len();
        }
        Ok(())
    }
}

fn idle_polls_change_nothing<A: HostAddress, S: Storage>(host: usize, node: &Node<A, S>) -> Result<(), String> {
    let mut copy = node.clone();
    let mut buf = [0; 2_048];
    let sends = copy.poll_transmit(&mut buf).is_some();
    let tells = copy.poll_event().is_some();
    copy.handle_timeout(Instant::ZERO);
    if sends || tells || copy != *node {
        return Err(format!("polling host {host} with nothing to do does something"));
    }
    Ok(())
}
