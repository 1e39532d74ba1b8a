//! Hosts, the queue of events, and the passing of simulated time.

use core::time::Duration;
use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::string::String;
use std::vec::Vec;

use super::host::{Host, Process};
use super::links::Links;
use super::machine::{Machine, Report};
use super::network::{Conditions, SimRng};
use super::queue::{Happening, Queue};
use crate::member::{NodeId, Status};
use crate::time::Instant;

/// What a socket holds for a process that does not read it; more is lost.
const BACKLOG: usize = 512;
/// How many of the latest datagrams an eavesdropper has.
const OVERHEARD: usize = 256;
/// What a machine may do without time passing before the simulator calls it an endless loop.
const PATIENCE: u32 = 10_000;

/// What one host has put on the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Datagrams handed to the network.
    pub datagrams: u64,
    /// Their bytes of payload.
    pub bytes: u64,
}

/// A machine's report, and whose and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reported {
    /// When, in the simulator's time.
    pub at: Instant,
    /// The number of the host that reports.
    pub host: usize,
    /// What.
    pub report: Report,
}

/// Looks at a host after each step that touched it: for checks that must hold at all times. An error ends the run.
pub trait Watch<M: Machine> {
    /// Called with the simulation as it is after the step.
    fn after_step(&mut self, sim: &Sim<M>, host: usize) -> Result<(), String>;
    /// Called for every datagram that the host sends.
    fn on_transmit(&mut self, _: &Sim<M>, _host: usize, _to: M::Addr, _datagram: &[u8]) -> Result<(), String> {
        Ok(())
    }
    /// Called for everything that the host's machine reports.
    fn on_report(&mut self, _: &Sim<M>, _host: usize, _report: Report) -> Result<(), String> {
        Ok(())
    }
    /// Called for every datagram that reaches the host's running machine, before it does.
    fn on_arrival(&mut self, _: &Sim<M>, _host: usize, _from: M::Addr, _datagram: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// Changes a datagram that a host sends to another, by their numbers.
pub type Tamper<M> = Box<dyn FnMut(&Sim<M>, usize, usize, &mut Vec<u8>)>;

/// Does something to the network, and says when it is to be called again, if at all.
pub type Actor<M> = Box<dyn FnMut(&mut Sim<M>) -> Option<Duration>>;

/// A simulated network of hosts, each with one machine.
pub struct Sim<M: Machine> {
    pub(super) now: Instant,
    seed: u64,
    pub(super) rng: SimRng,
    pub(super) conditions: Conditions,
    pub(super) hosts: Vec<Host<M>>,
    pub(super) addresses: BTreeMap<M::Addr, u32>,
    pub(super) links: Links,
    pub(super) queue: Queue,
    pub(super) actors: BTreeMap<u32, Actor<M>>,
    /// How many actors there have been.
    pub(super) acted: u32,
    steps: u64,
    reports: Vec<Reported>,
    watches: Vec<Box<dyn Watch<M>>>,
    failure: Option<String>,
    transcript: Option<String>,
    buffer: Vec<u8>,
    recent: VecDeque<Vec<u8>>,
}

impl<M: Machine> Sim<M> {
    /// An empty network.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Sim {
            now: Instant::ZERO,
            seed,
            rng: SimRng::new(seed),
            conditions,
            hosts: Vec::new(),
            addresses: BTreeMap::new(),
            links: Links::default(),
            queue: Queue::default(),
            actors: BTreeMap::new(),
            acted: 0,
            steps: 0,
            reports: Vec::new(),
            watches: Vec::new(),
            failure: None,
            transcript: None,
            buffer: std::vec![0; crate::MAX_DATAGRAM],
            recent: VecDeque::new(),
        }
    }

    // Hosts.

    /// Adds a host with a machine that is not started yet; its number, from 0 on. Its id is that number plus one.
    pub fn add(&mut self, machine: M) -> usize {
        let host = self.hosts.len();
        self.addresses.insert(M::addr_of(host as u32), host as u32);
        self.hosts.push(Host::new(NodeId::new(host as u64 + 1), host as u32, machine));
        host
    }

    /// Gives the host another id, for its next start.
    pub fn set_id(&mut self, host: usize, id: NodeId) {
        self.hosts[host].id = id;
    }

    /// Starts the host's machine and has it join through the hosts of these numbers.
    pub fn start(&mut self, host: usize, seeds: &[usize]) {
        self.hosts[host].lives += 1;
        let mut rng = SimRng::new(self.seed ^ (host as u64) << 32 ^ self.hosts[host].lives << 16);
        let (id, addr) = (self.hosts[host].id, M::addr_of(self.hosts[host].place));
        let seeds: Vec<M::Addr> = seeds.iter().map(|seed| M::addr_of(*seed as u32)).collect();
        self.with(host, |machine, now| {
            for seed in seeds {
                machine.join(now, seed);
            }
            machine.start(now, id, addr, &mut rng);
        });
        // A coarse loop comes round later, and others may speak of this life before.
        self.look(host);
    }

    // The network.

    /// The latest datagrams that were sent, the oldest first: what an eavesdropper could replay with
    /// [`inject`](Self::inject).
    pub fn overheard(&self) -> impl Iterator<Item = &[u8]> {
        self.recent.iter().map(Vec::as_slice)
    }

    /// The weather.
    pub fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// Changes the weather, for datagrams sent from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    // Looking.

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// The number of the address that a host has.
    pub(super) fn place(&self, host: usize) -> u32 {
        self.hosts[host].place
    }

    /// The present time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// How many events there have been.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A host's id.
    pub fn id(&self, host: usize) -> NodeId {
        self.hosts[host].id
    }

    /// A host's machine, if its process is there, stopped or not.
    pub fn machine(&self, host: usize) -> Option<&M> {
        match &self.hosts[host].process {
            Process::Running(machine) | Process::Stopped(machine, _) => Some(machine),
            Process::Absent => None,
        }
    }

    /// Whether the host's process is there, not stopped, and has not left.
    pub fn is_running(&self, host: usize) -> bool {
        matches!(&self.hosts[host].process, Process::Running(machine) if !machine.has_left())
    }

    /// Whether the host is on the network.
    pub fn is_plugged(&self, host: usize) -> bool {
        self.hosts[host].plugged
    }

    /// The numbers of the running hosts.
    pub fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.hosts.len()).filter(|host| self.is_running(*host))
    }

    /// What a host has sent so far.
    pub fn traffic(&self, host: usize) -> Traffic {
        self.hosts[host].traffic
    }

    /// What all have sent so far.
    pub fn total_traffic(&self) -> Traffic {
        self.hosts.iter().fold(Traffic::default(), |sum, host| Traffic {
            datagrams: sum.datagrams + host.traffic.datagrams,
            bytes: sum.bytes + host.traffic.bytes,
        })
    }

    /// Whether every running host holds exactly the running hosts to be alive.
    pub fn agrees(&self) -> bool {
        let running: Vec<usize> = self.running().collect();
        running.iter().all(|host| {
            let machine = self.machine(*host).expect("it runs");
            let alive = |other: &usize| machine.status(self.id(*other)) == Some(Status::Alive);
            machine.live() == running.len() && running.iter().all(alive)
        })
    }

    /// What was reported since this was last called.
    pub fn take_reports(&mut self) -> Vec<Reported> {
        core::mem::take(&mut self.reports)
    }

    /// Whether a watch has found fault; the run has then ended.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Has this watch look on from now on.
    pub fn watch(&mut self, watch: impl Watch<M> + 'static) {
        self.watches.push(Box::new(watch));
    }

    /// Writes down every datagram and report from now on.
    pub fn record_transcript(&mut self) {
        self.transcript = Some(String::new());
    }

    /// What was written down.
    pub fn transcript(&self) -> &str {
        self.transcript.as_deref().unwrap_or("")
    }

    // Running.

    /// Calls a host's running machine at its present local time, and sees to what it wants to send and tell. Nothing
    /// happens if its process is not running.
    pub fn with(&mut self, host: usize, call: impl FnOnce(&mut M, Instant)) {
        let now = self.local(host);
        if let Process::Running(machine) = &mut self.hosts[host].process {
            call(machine, now);
        }
        self.settle(host);
    }

    /// Lets the next thing happen; false if nothing ever will.
    pub fn step(&mut self) -> bool {
        let Some((at, what)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.steps += 1;
        match what {
            Happening::Wake { host } => {
                let host = host as usize;
                if self.hosts[host].wake == Some(at) {
                    self.hosts[host].wake = None;
                    self.with(host, |machine, now| machine.handle_timeout(now));
                }
            }
            Happening::Tick { host, series } => self.tick(host as usize, series),
            Happening::Arrival { to, from, .. } if self.filters(to as usize, M::addr_of(from)) => {}
            Happening::Arrival { to, from, bytes } => {
                let host = to as usize;
                let coarse = self.hosts[host].troubles.pace.is_some();
                match &mut self.hosts[host].process {
                    Process::Running(_) if coarse => self.hosts[host].troubles.keep(from, bytes),
                    Process::Running(_) => self.deliver(host, from, bytes),
                    Process::Stopped(_, backlog) if backlog.len() < BACKLOG => backlog.push_back((from, bytes)),
                    _ => {}
                }
            }
            Happening::Act { actor } => self.act(actor),
        }
        true
    }

    /// Runs until this time, or until a watch finds fault.
    pub fn run_until(&mut self, end: Instant) {
        while self.failure.is_none() && self.queue.next().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Runs for this long, or until a watch finds fault.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// Runs until every running host has reported this status of a host since this call; how long it took, or `None`
    /// if it took longer than `limit`, to within one event. Other reports made meanwhile are dropped.
    pub fn run_until_all_report(&mut self, subject: usize, status: Status, limit: Duration) -> Option<Duration> {
        let (begun, wanted) = (self.now, Report::Member(self.id(subject), status));
        let mut waiting: Vec<bool> = (0..self.hosts()).map(|host| host != subject && self.is_running(host)).collect();
        let mut left = waiting.iter().filter(|waits| **waits).count();
        self.reports.clear();
        while left > 0 && self.failure.is_none() {
            if self.now > begun + limit || !self.step() {
                return None;
            }
            for reported in self.reports.drain(..) {
                if reported.report == wanted && core::mem::take(&mut waiting[reported.host]) {
                    left -= 1;
                }
            }
        }
        (left == 0).then(|| self.now.duration_since(begun))
    }

    /// Runs until all agree, looking every `pace`; how long it took, or `None` if it took longer than `limit`.
    pub fn run_until_agreed(&mut self, pace: Duration, limit: Duration) -> Option<Duration> {
        self.run_until_true(Self::agrees, pace, limit)
    }

    /// Runs until this is so, looking every `pace`; how long it took, or `None` if it took longer than `limit`.
    pub fn run_until_true(
        &mut self,
        wanted: impl Fn(&Self) -> bool,
        pace: Duration,
        limit: Duration,
    ) -> Option<Duration> {
        let begun = self.now;
        while !wanted(self) {
            if self.failure.is_some() || self.now > begun + limit {
                return None;
            }
            self.run_for(pace);
        }
        Some(self.now.duration_since(begun))
    }

    // Inside.

    /// What the host's clock shows.
    pub(super) fn local(&self, host: usize) -> Instant {
        self.hosts[host].clock.local(self.now)
    }

    /// Takes out what the host's machine wants to send and tell, and notes when it wants to be called; a coarse loop
    /// does that when it comes round.
    pub(super) fn settle(&mut self, host: usize) {
        if self.hosts[host].troubles.pace.is_none() {
            self.drain(host);
        }
    }

    /// Takes out what the host's machine wants to send and tell, and notes when it wants to be called.
    pub(super) fn drain(&mut self, host: usize) {
        let now = self.local(host);
        let mut buf = core::mem::take(&mut self.buffer);
        for turn in 0.. {
            let Host { process: Process::Running(machine), buffer, .. } = &mut self.hosts[host] else { break };
            assert!(turn < PATIENCE, "host {host} never stops sending");
            match machine.poll_transmit(&mut buf[..*buffer]) {
                Some((to, _)) if self.refuses(host) => {
                    if let Process::Running(machine) = &mut self.hosts[host].process {
                        machine.send_error(now, to);
                    }
                }
                Some((to, len)) => self.transmit(host, to, &buf[..len]),
                None => break,
            }
        }
        self.buffer = buf;
        for turn in 0.. {
            let Process::Running(machine) = &mut self.hosts[host].process else { return };
            assert!(turn < PATIENCE, "host {host} never stops reporting");
            let Some(report) = machine.poll_report() else { break };
            self.reports.push(Reported { at: self.now, host, report });
            self.ask_watches(|watch, sim| watch.on_report(sim, host, report));
            if let (Some(transcript), Report::Member(id, status)) = (&mut self.transcript, report) {
                transcript.push_str(&std::format!("{} host {host} reports {} {status}\n", clock(self.now), id.get()));
            }
        }
        let Process::Running(machine) = &self.hosts[host].process else { return };
        let due = machine.poll_timeout();
        let own_pace = self.hosts[host].troubles.pace.is_none();
        let wake = (due != Instant::FAR_FUTURE && own_pace).then(|| self.hosts[host].clock.global(due).max(self.now));
        if let Some(at) = wake.filter(|_| wake != self.hosts[host].wake) {
            self.queue.push(at, Happening::Wake { host: host as u32 });
        }
        self.hosts[host].wake = wake;
        self.look(host);
    }

    fn transmit(&mut self, from: usize, to: M::Addr, bytes: &[u8]) {
        self.hosts[from].traffic.datagrams += 1;
        self.hosts[from].traffic.bytes += bytes.len() as u64;
        self.ask_watches(|watch, sim| watch.on_transmit(sim, from, to, bytes));
        if let Some(transcript) = &mut self.transcript {
            let hex: String = bytes.iter().map(|byte| std::format!("{byte:02x}")).collect();
            transcript.push_str(&std::format!("{} host {from} -> {to:?} {hex}\n", clock(self.now)));
        }
        if self.recent.len() == OVERHEARD {
            self.recent.pop_front();
        }
        self.recent.push_back(bytes.to_vec());
        if let Some(to) = self.addresses.get(&to).copied() {
            self.dispatch(from, to, bytes);
        }
    }

    /// Hands a datagram to a running machine.
    pub(super) fn deliver(&mut self, host: usize, from: u32, mut bytes: Vec<u8>) {
        let from = M::addr_of(from);
        self.announce_arrival(host, from, &bytes);
        self.with(host, |machine, now| machine.handle_datagram(now, from, &mut bytes));
    }

    pub(super) fn announce_arrival(&mut self, host: usize, from: M::Addr, bytes: &[u8]) {
        self.ask_watches(|watch, sim| watch.on_arrival(sim, host, from, bytes));
    }

    pub(super) fn dispatch(&mut self, from: usize, to: u32, bytes: &[u8]) {
        self.open_filter(from, M::addr_of(self.hosts[to as usize].place));
        let (sender, receiver) = (&self.hosts[from], &self.hosts[to as usize]);
        let cut = !sender.plugged || !receiver.plugged || sender.side != receiver.side;
        let link = self.link(from, to as usize);
        if cut || link.blocked || bytes.len() > link.longest {
            return;
        }
        let (place, loss_out) = (sender.place, sender.loss_out);
        let mut bytes = bytes.to_vec();
        if let Some(mut tamper) = self.hosts[from].tamper.take() {
            tamper(self, from, to as usize, &mut bytes);
            self.hosts[from].tamper = Some(tamper);
        }
        let lost = [loss_out, link.loss].map(|loss| self.rng.chance(loss));
        if !lost.contains(&true) {
            self.carry(place, to, &bytes, link.delay);
        }
    }

    /// Carries a datagram from the address of this number, through the weather; it takes so much longer.
    pub(super) fn carry(&mut self, from: u32, to: u32, bytes: &[u8], delay: u64) {
        let conditions = self.conditions;
        let loss_in = self.hosts[to as usize].loss_in;
        let copies = 1 + u32::from(self.rng.chance(conditions.duplicate));
        for _ in 0..copies {
            let lost = [conditions.loss, loss_in].map(|loss| self.rng.chance(loss));
            if lost.contains(&true) {
                continue;
            }
            let mut bytes = bytes.to_vec();
            conditions.damage(&mut bytes, &mut self.rng);
            let at = self.now.after(delay + conditions.draw_latency(&mut self.rng));
            self.queue.push(at, Happening::Arrival { to, from, bytes });
        }
    }

    fn look(&mut self, host: usize) {
        self.ask_watches(|watch, sim| watch.after_step(sim, host));
    }

    fn ask_watches(&mut self, ask: impl Fn(&mut dyn Watch<M>, &Self) -> Result<(), String>) {
        let mut watches = core::mem::take(&mut self.watches);
        for watch in &mut watches {
            if let Err(complaint) = ask(watch.as_mut(), self) {
                self.failure.get_or_insert(complaint);
            }
        }
        self.watches = watches;
    }
}

fn clock(now: Instant) -> String {
    std::format!("{:>12}", now.as_micros())
}
