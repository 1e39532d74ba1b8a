//! Who learned of what, and when; and which datagram reached whom.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tidings::sim::{Report, Sim, Watch};
use tidings::{HeapNode, Instant, Status, Version};

pub(crate) type Node = HeapNode<u32>;

/// What nodes write in this page.
pub(crate) const KEY: &str = "colour";
/// Older happenings are forgotten.
const REMEMBERED: usize = 12;
/// More datagrams between two pictures than anybody could see.
const FLIGHTS: usize = 4_096;

/// Something that others can come to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Every node is told of its seeds.
    Begun,
    Killed,
    Restarted,
    Paused,
    Resumed,
    Left,
    Said(u32),
    Wrote(Version),
    /// Some can no longer reach some others.
    Parted,
    /// All can reach all.
    Healed,
}

impl What {
    /// As the page counts them.
    pub fn number(self) -> u32 {
        match self {
            What::Begun => 0,
            What::Killed => 1,
            What::Restarted => 2,
            What::Paused => 3,
            What::Resumed => 4,
            What::Left => 5,
            What::Said(_) => 6,
            What::Wrote(_) => 7,
            What::Parted => 8,
            What::Healed => 9,
        }
    }

    /// Whether it is about what the others see of one node, so that the next such thing puts an end to it.
    fn is_of_life(self) -> bool {
        !self.is_of_network() && !matches!(self, What::Said(_) | What::Wrote(_))
    }

    fn is_of_network(self) -> bool {
        matches!(self, What::Begun | What::Parted | What::Healed)
    }
}

/// What happened, and who knows.
#[derive(Clone, Debug)]
pub struct Happening {
    /// Counts all that ever happened here.
    pub number: u32,
    pub what: What,
    pub host: usize,
    pub at: Instant,
    /// When each node learned of it.
    pub known: Vec<Option<Instant>>,
    /// Who lives to learn of it.
    pub owed: Vec<bool>,
    /// Another happening took its place: who does not know yet will not learn of it.
    over: bool,
}

/// A datagram, when it was sent, and when it arrived, if it did.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    pub from: usize,
    pub to: usize,
    pub bytes: usize,
    pub sent: Instant,
    pub arrived: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) happenings: VecDeque<Happening>,
    /// On which side of a cut each node is.
    pub(crate) sides: Vec<u32>,
    flights: VecDeque<Flight>,
    count: u32,
}

impl Ledger {
    /// Notes that this happens now. Those that run are owed the knowledge of it, but for the one that it is about.
    pub(crate) fn note(&mut self, sim: &Sim<Node>, what: What, host: usize) {
        for earlier in &mut self.happenings {
            let replaced = match what {
                // What is said and written is numbered anew in each life.
                What::Restarted => earlier.host == host && !earlier.what.is_of_network(),
                _ => earlier.host == host && earlier.what.is_of_life() && what.is_of_life(),
            };
            earlier.over |= replaced || (earlier.what.is_of_network() && what.is_of_network());
        }
        let about = |other: usize| other == host && !what.is_of_network();
        let owed = (0..sim.hosts()).map(|other| sim.is_running(other) && !about(other)).collect();
        let known = vec![None; sim.hosts()];
        self.count += 1;
        let (number, at) = (self.count, sim.now());
        self.happenings.push_front(Happening { number, what, host, at, known, owed, over: false });
        self.happenings.truncate(REMEMBERED);
    }

    /// This node's life has ended: what it does not know, it is no longer owed.
    pub(crate) fn release(&mut self, host: usize) {
        for happening in &mut self.happenings {
            happening.owed[host] = happening.known[host].is_some();
        }
    }

    /// Takes out every datagram that has arrived, or was sent before `lost_before` and has not.
    pub(crate) fn landed(&mut self, lost_before: Instant) -> Vec<Flight> {
        let is_over = |flight: &Flight| flight.arrived.is_some() || flight.sent < lost_before;
        let landed = self.flights.iter().copied().filter(is_over).collect();
        self.flights.retain(|flight| !is_over(flight));
        landed
    }

    /// Whether a node must still be looked at.
    fn waits_for(&self, host: usize) -> impl Iterator<Item = usize> {
        let waits = move |it: &Happening| !it.over && it.owed[host] && it.known[host].is_none();
        self.happenings.iter().enumerate().filter(move |(_, it)| waits(it)).map(|(at, _)| at)
    }
}

/// The ledger's eyes in the simulator.
#[derive(Clone, Default)]
pub(crate) struct Witness(pub(crate) Rc<RefCell<Ledger>>);

impl Watch<Node> for Witness {
    fn after_step(&mut self, sim: &Sim<Node>, host: usize) -> Result<(), String> {
        let mut ledger = self.0.borrow_mut();
        let knows = |at: &usize| knows(sim, host, &ledger.happenings[*at], &ledger.sides);
        let learned: Vec<usize> = ledger.waits_for(host).filter(knows).collect();
        for at in learned {
            ledger.happenings[at].known[host] = Some(sim.now());
        }
        Ok(())
    }

    fn on_transmit(&mut self, sim: &Sim<Node>, from: usize, to: u32, datagram: &[u8]) -> Result<(), String> {
        let flights = &mut self.0.borrow_mut().flights;
        if flights.len() < FLIGHTS && (to as usize) < sim.hosts() {
            let flight = Flight { from, to: to as usize, bytes: datagram.len(), sent: sim.now(), arrived: None };
            flights.push_back(flight);
        }
        Ok(())
    }

    fn on_arrival(&mut self, sim: &Sim<Node>, to: usize, from: u32, datagram: &[u8]) -> Result<(), String> {
        let same = |flight: &&mut Flight| {
            flight.arrived.is_none() && (flight.from, flight.to, flight.bytes) == (from as usize, to, datagram.len())
        };
        if let Some(flight) = self.0.borrow_mut().flights.iter_mut().find(same) {
            flight.arrived = Some(sim.now());
        }
        Ok(())
    }

    fn on_report(&mut self, sim: &Sim<Node>, host: usize, report: Report) -> Result<(), String> {
        let Report::Message { origin, seq, .. } = report else { return Ok(()) };
        let this = |it: &&mut Happening| it.what == What::Said(seq) && sim.id(it.host) == origin && !it.over;
        if let Some(happening) = self.0.borrow_mut().happenings.iter_mut().find(this) {
            happening.known[host].get_or_insert(sim.now());
        }
        Ok(())
    }
}

/// Whether this shows in what the node holds. A broadcast does not: it is told once.
fn knows(sim: &Sim<Node>, observer: usize, happening: &Happening, sides: &[u32]) -> bool {
    let Some(node) = sim.machine(observer) else { return false };
    let subject = sim.id(happening.host);
    let member = node.member(subject);
    let status = member.map(|member| member.status());
    // It may have found, after its start, that its life must come after another.
    let present = sim.machine(happening.host).and_then(|owner| owner.member(subject)).map(|myself| myself.life());
    let of_present_life = member.is_some_and(|member| present.is_none_or(|life| life == member.life()));
    match happening.what {
        What::Killed | What::Paused => status == Some(Status::Down),
        What::Left => status == Some(Status::Left),
        What::Resumed => status == Some(Status::Alive),
        What::Restarted => of_present_life && status == Some(Status::Alive),
        What::Wrote(version) => {
            of_present_life && node.entry(subject, KEY).is_some_and(|entry| entry.version() >= version)
        }
        What::Begun | What::Parted | What::Healed => sees_all_it_can_reach(sim, observer, node, sides),
        What::Said(_) => false,
    }
}

fn sees_all_it_can_reach(sim: &Sim<Node>, observer: usize, node: &Node, sides: &[u32]) -> bool {
    (0..sim.hosts()).all(|host| {
        let live = node.member(sim.id(host)).is_some_and(|member| member.status().is_live());
        live == (sim.is_running(host) && sides[host] == sides[observer])
    })
}
