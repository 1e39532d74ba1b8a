//! Ten keys of every member: reading them, and taking what is written.

use std::hint::black_box;

use tidings::sim::SimRng;
use tidings::{Instant, NodeId};

use crate::bed::{Bed, FULL};
use crate::forge::{self, Sender};
use crate::operations::{MOMENTS, Operation};

/// How many keys each member has.
pub const KEYS: usize = 10;
/// How long their values are.
pub const VALUE: usize = 32;

fn key(number: usize) -> String {
    format!("key {number}")
}

/// What comes down the tree of a member's bulk log, to be passed on to nobody: these keys, all with one value, from this
/// version on.
fn delta(owner: Sender, from: u32, keys: impl ExactSizeIterator<Item = usize>, value: u8) -> Vec<u8> {
    // Each handoff has a number of its own, but for its lowest bits.
    let number = (owner.id as u32).wrapping_mul(0x9e37_79b1) ^ from.wrapping_mul(0x85eb_ca6b);
    let (number, (low, high)) = (forge::handed(number, 3), (0, 0));
    let mut body: Vec<u8> = [number, low, high].iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    body.extend(owner.id.to_le_bytes());
    body.extend(&owner.tag().to_le_bytes()[..3]);
    body.push(0);
    for number in [from, keys.len() as u32, 0, 0, 0] {
        body.extend(forge::varint(number));
    }
    for number in keys {
        let key = key(number);
        body.extend(forge::varint(1));
        body.push(key.len() as u8);
        body.extend(key.bytes());
        body.extend(forge::varint(VALUE as u32));
        body.extend([value; VALUE]);
    }
    forge::frame(forge::kind::HAND, &body)
}

/// The bed, and ten keys of each other member but for the peer; and how many bytes that took for each key, beside the key
/// and the value.
pub fn filled(bed: &Bed) -> (Bed, f64) {
    let mut bed = bed.clone();
    let before = crate::counting::held();
    for owner in bed.others() {
        let mut datagram = bed.datagram(&delta(owner, 0, 0..KEYS, 1));
        bed.node.handle_datagram(bed.now, bed.from, &mut datagram);
        settle(&mut bed);
    }
    let took = crate::counting::held() - before;
    assert_eq!(bed.node.stats().dropped_in_all(), 0, "no key was refused");
    let keys = bed.others().len() * KEYS;
    (bed, took as f64 / keys as f64 - (key(0).len() + VALUE) as f64)
}

fn settle(bed: &mut Bed) {
    let mut buf = [0; FULL];
    while bed.node.poll_transmit(&mut buf).is_some() {}
    while bed.node.poll_event().is_some() {}
}

/// Somebody's key is read.
pub struct Reads {
    bed: Bed,
    wanted: Vec<(NodeId, String)>,
    found: usize,
}

impl Reads {
    pub fn new(bed: &Bed) -> Self {
        let (bed, _) = filled(bed);
        let (others, mut rng) = (bed.others(), SimRng::new(3));
        let any =
            |_| (NodeId::new(others[rng.below(others.len() as u64) as usize].id), key(rng.below(KEYS as u64) as usize));
        Reads { wanted: (0..MOMENTS).map(any).collect(), bed, found: 0 }
    }
}

impl Operation for Reads {
    fn run(&mut self) {
        let node = black_box(&self.bed.node);
        for (owner, key) in &self.wanted {
            self.found += usize::from(black_box(node.get(*owner, key)).is_some());
        }
    }

    fn count(&self) -> usize {
        MOMENTS
    }

    fn check(&self) {
        assert!(self.found > 0 && self.found.is_multiple_of(MOMENTS), "every key was there");
    }
}

/// Somebody has written a key again, which comes in a datagram of its own.
pub struct Takes {
    bed: Bed,
    others: Vec<Sender>,
    version: u32,
    datagrams: Vec<Vec<u8>>,
}

impl Takes {
    pub fn new(bed: &Bed) -> Self {
        let (bed, _) = filled(bed);
        let others = bed.others();
        let mut takes = Takes { others, bed, version: KEYS as u32, datagrams: Vec::new() };
        // Until what was replaced takes as much as it ever will.
        for _ in 0..takes.others.len() * KEYS / takes.count() + KEYS {
            takes.prepare();
            takes.run();
        }
        takes
    }
}

impl Operation for Takes {
    fn prepare(&mut self) {
        let number = self.version as usize % KEYS;
        let newer = self.others.iter().take(1_000);
        let of =
            |owner: &Sender| self.bed.datagram(&delta(*owner, self.version, number..number + 1, self.version as u8));
        self.datagrams = newer.map(of).collect();
        self.version += 1;
    }

    fn run(&mut self) {
        let (mut buf, mut answer) = ([0; FULL], [0; FULL]);
        for datagram in &self.datagrams {
            let copy = &mut buf[..datagram.len()];
            copy.copy_from_slice(datagram);
            self.bed.node.handle_datagram(self.bed.now, self.bed.from, black_box(copy));
            // The acknowledgement.
            while self.bed.node.poll_transmit(&mut answer).is_some() {}
        }
    }

    fn count(&self) -> usize {
        self.others.len().min(1_000)
    }

    fn check(&self) {
        let node = &self.bed.node;
        assert_eq!(node.stats().dropped_in_all(), 0, "none was refused");
        let version = node.entry(NodeId::new(self.others[0].id), &key((self.version as usize - 1) % KEYS));
        assert_eq!(version.map(|entry| entry.version().number()), Some(self.version), "each was taken");
    }
}

/// This node writes one of its own keys again, which is told to nobody yet.
pub struct Writes {
    bed: Bed,
    now: Instant,
    round: u32,
}

impl Writes {
    pub fn new(bed: &Bed) -> Self {
        let (bed, _) = filled(bed);
        let mut node = bed;
        node.node.set_config(node.now, tidings::Config::LAN.with_push_back(false)).expect("it is a valid one");
        let mut writes = Writes { now: node.now, bed: node, round: 0 };
        (0..KEYS).for_each(|_| writes.run());
        writes
    }
}

impl Operation for Writes {
    fn run(&mut self) {
        for _ in 0..self.count() {
            self.round += 1;
            let value = [self.round as u8; VALUE];
            let set = self.bed.node.set(self.now, ["a", "b", "c", "d"][self.round as usize % 4], &value);
            black_box(set).expect("there is room");
        }
    }

    fn count(&self) -> usize {
        MOMENTS
    }

    fn check(&self) {
        let last = self.bed.node.entry(self.bed.node.id(), ["a", "b", "c", "d"][self.round as usize % 4]);
        assert_eq!(last.map(|entry| entry.version().number()), Some(self.round), "each was written");
    }
}
