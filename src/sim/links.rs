//! Partial connectivity: faults of single ways, of zones, of what stands before a host, and of the loop that drives its
//! machine.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use super::host::Process;
use super::machine::Machine;
use super::queue::Happening;
use super::world::Sim;
use crate::time::{Instant, micros};

/// What happens to datagrams on one way, on top of the general conditions.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// Nothing arrives.
    pub blocked: bool,
    /// The part that is lost.
    pub loss: f64,
    /// How much longer they take, in microseconds.
    pub delay: u64,
    /// The longest that arrives, in bytes.
    pub longest: usize,
}

impl Link {
    /// Nothing is wrong with it.
    pub const GOOD: Link = Link { blocked: false, loss: 0.0, delay: 0, longest: usize::MAX };
    /// Nothing gets through.
    pub const BLOCKED: Link = Link { blocked: true, ..Link::GOOD };

    /// With this part of the datagrams lost.
    pub fn with_loss(self, loss: f64) -> Self {
        Link { loss, ..self }
    }

    /// With this time added to what each datagram takes.
    pub fn with_delay(self, delay: Duration) -> Self {
        Link { delay: micros(delay), ..self }
    }

    /// With datagrams of more bytes than this dropped.
    pub fn with_longest(self, longest: usize) -> Self {
        Link { longest, ..self }
    }

    /// Both, one behind the other.
    fn then(self, next: Link) -> Link {
        Link {
            blocked: self.blocked || next.blocked,
            loss: 1.0 - (1.0 - self.loss) * (1.0 - next.loss),
            delay: self.delay + next.delay,
            longest: self.longest.min(next.longest),
        }
    }
}

/// Which of its sends a host refuses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// None.
    Never,
    /// Each with this probability.
    Chance(f64),
    /// All in the first part, of this length, of every period of that length.
    Window {
        /// How long sends are refused.
        lasts: Duration,
        /// How long after that time began it begins again.
        every: Duration,
    },
}

/// What is wrong with the ways between hosts and between zones.
#[derive(Debug, Default)]
pub(super) struct Links {
    hosts: BTreeMap<(u32, u32), Link>,
    zones: BTreeMap<(u32, u32), Link>,
}

/// What is wrong at one host, apart from its general loss.
#[derive(Debug)]
pub(super) struct Troubles<A> {
    zone: u32,
    /// For how long the filter before the host lets in what comes from an address that the host has sent to.
    filter: Option<u64>,
    /// When the host last sent to each address; kept only while there is a filter.
    sent_to: BTreeMap<A, Instant>,
    refusal: Refusal,
    /// How often the host's loop comes round.
    pub(super) pace: Option<u64>,
    /// Which series of ticks is in force; earlier ones have ended.
    series: u32,
    /// What waits to be read at the next tick.
    inbox: VecDeque<(u32, Vec<u8>)>,
}

/// What a socket holds; more is lost.
const BACKLOG: usize = 512;

impl<A> Troubles<A> {
    pub(super) fn none() -> Self {
        Troubles {
            zone: 0,
            filter: None,
            sent_to: BTreeMap::new(),
            refusal: Refusal::Never,
            pace: None,
            series: 0,
            inbox: VecDeque::new(),
        }
    }

    /// The process is another: what waited for the former is gone.
    pub(super) fn forget_inbox(&mut self) {
        self.inbox.clear();
    }

    pub(super) fn keep(&mut self, from: u32, bytes: Vec<u8>) {
        if self.inbox.len() < BACKLOG {
            self.inbox.push_back((from, bytes));
        }
    }
}

impl<M: Machine> Sim<M> {
    /// Sets what is wrong with the way from one host to another; the way back is another.
    pub fn set_link(&mut self, from: usize, to: usize, link: Link) {
        set(&mut self.links.hosts, (from as u32, to as u32), link);
    }

    /// Sets what is wrong with both ways between two hosts.
    pub fn set_link_between(&mut self, one: usize, other: usize, link: Link) {
        self.set_link(one, other, link);
        self.set_link(other, one, link);
    }

    /// Blocks the way from one host to another, or opens it again; the way back is another.
    pub fn set_blocked(&mut self, from: usize, to: usize, blocked: bool) {
        self.set_link(from, to, if blocked { Link::BLOCKED } else { Link::GOOD });
    }

    /// Puts the host in a zone. All begin in zone 0, and zones reach each other until
    /// [`set_zone_link`](Self::set_zone_link) says otherwise.
    pub fn set_zone(&mut self, host: usize, zone: u32) {
        self.hosts[host].troubles.zone = zone;
    }

    /// Sets what is wrong with the way from the hosts of one zone to those of another, or of the same.
    pub fn set_zone_link(&mut self, from: u32, to: u32, link: Link) {
        set(&mut self.links.zones, (from, to), link);
    }

    /// Puts a stateful filter before the host, or takes it away: what comes from an address that the host has not sent
    /// to for so long is dropped.
    pub fn set_filter(&mut self, host: usize, open_for: Option<Duration>) {
        let troubles = &mut self.hosts[host].troubles;
        troubles.filter = open_for.map(micros);
        troubles.sent_to.clear();
    }

    /// Has the host refuse some of its machine's sends: they leave nothing on the network, and the machine is told by
    /// [`Machine::send_error`].
    pub fn set_refusal(&mut self, host: usize, refusal: Refusal) {
        self.hosts[host].troubles.refusal = refusal;
    }

    /// Whether a stateful filter stands before the host.
    pub fn is_filtered(&self, host: usize) -> bool {
        self.hosts[host].troubles.filter.is_some()
    }

    /// Whether a loop that comes round seldom drives the host's machine.
    pub(super) fn is_coarse(&self, host: usize) -> bool {
        self.hosts[host].troubles.pace.is_some()
    }

    /// Which of its machine's sends the host refuses.
    pub fn refusal(&self, host: usize) -> Refusal {
        self.hosts[host].troubles.refusal
    }

    /// Drives the host's machine by a loop that comes round only so often, whatever the machine asks for: it reads all
    /// that has arrived, then lets time pass, and only then sends and tells what there is to send and tell. `None` drives
    /// it as others are.
    pub fn set_pace(&mut self, host: usize, pace: Option<Duration>) {
        let troubles = &mut self.hosts[host].troubles;
        troubles.series += 1;
        troubles.pace = pace.map(|pace| micros(pace).max(1));
        let series = troubles.series;
        match troubles.pace {
            Some(pace) => {
                // Loops that were begun together do not come round together.
                let first = self.now.after(1 + self.rng.below(pace));
                self.queue.push(first, Happening::Tick { host: host as u32, series });
            }
            None => self.come_round(host),
        }
    }

    /// What is wrong with the way from one host to another: its own trouble, and that of their zones.
    pub fn link(&self, from: usize, to: usize) -> Link {
        let zones = (self.hosts[from].troubles.zone, self.hosts[to].troubles.zone);
        let of = |links: &BTreeMap<(u32, u32), Link>, way| links.get(&way).copied().unwrap_or(Link::GOOD);
        of(&self.links.hosts, (from as u32, to as u32)).then(of(&self.links.zones, zones))
    }

    /// Whether any way, filter, refusal or pace is set.
    pub fn has_partial_faults(&self) -> bool {
        let at = |troubles: &Troubles<M::Addr>| {
            troubles.filter.is_some() || troubles.refusal != Refusal::Never || troubles.pace.is_some()
        };
        let links = !self.links.hosts.is_empty() || !self.links.zones.is_empty();
        links || self.hosts.iter().any(|host| at(&host.troubles))
    }

    /// Puts all of that right.
    pub(super) fn heal_links(&mut self) {
        self.links = Links::default();
        for host in 0..self.hosts.len() {
            if self.hosts[host].troubles.pace.is_some() {
                self.set_pace(host, None);
            }
            let series = self.hosts[host].troubles.series;
            self.hosts[host].troubles = Troubles { series, ..Troubles::none() };
        }
    }

    /// One turn of a coarse loop, and when there is to be another.
    pub(super) fn tick(&mut self, host: usize, series: u32) {
        let troubles = &self.hosts[host].troubles;
        if let Some(pace) = troubles.pace.filter(|_| troubles.series == series) {
            self.queue.push(self.now.after(pace), Happening::Tick { host: host as u32, series });
            self.come_round(host);
        }
    }

    /// Reads all that has arrived, lets time pass, and sends and tells what there is.
    fn come_round(&mut self, host: usize) {
        let now = self.local(host);
        if !matches!(self.hosts[host].process, Process::Running(_)) {
            return;
        }
        for (from, mut bytes) in core::mem::take(&mut self.hosts[host].troubles.inbox) {
            let from = M::addr_of(from);
            self.announce_arrival(host, from, &bytes);
            if let Process::Running(machine) = &mut self.hosts[host].process {
                machine.handle_datagram(now, from, &mut bytes);
            }
        }
        if let Process::Running(machine) = &mut self.hosts[host].process {
            machine.handle_timeout(now);
        }
        self.drain(host);
    }

    /// Whether the host refuses this send.
    pub(super) fn refuses(&mut self, host: usize) -> bool {
        match self.hosts[host].troubles.refusal {
            Refusal::Never => false,
            Refusal::Chance(part) => self.rng.chance(part),
            Refusal::Window { lasts, every } => self.now.as_micros() % micros(every).max(1) < micros(lasts),
        }
    }

    /// The host has sent to this address: the filter before it lets answers in.
    pub(super) fn open_filter(&mut self, host: usize, to: M::Addr) {
        let now = self.now;
        let troubles = &mut self.hosts[host].troubles;
        if troubles.filter.is_some() {
            troubles.sent_to.insert(to, now);
        }
    }

    /// Whether the filter before the host drops what comes from this address.
    pub(super) fn filters(&self, host: usize, from: M::Addr) -> bool {
        let troubles = &self.hosts[host].troubles;
        let open = |open_for| troubles.sent_to.get(&from).is_some_and(|at| self.now.since(*at) <= open_for);
        troubles.filter.is_some_and(|open_for| !open(open_for))
    }
}

fn set(links: &mut BTreeMap<(u32, u32), Link>, way: (u32, u32), link: Link) {
    if link == Link::GOOD {
        links.remove(&way);
    } else {
        links.insert(way, link);
    }
}
