//! What a node does not look at while it is idle changes nothing: it does what a node does that looks at everything.

use std::vec::Vec;

use crate::rng::Rng;
use crate::sim::SimRng;
use crate::{Config, FixedNode, Instant, NodeId};

type Node = FixedNode<8, u16, 512, 512>;

/// A datagram on its way: when it arrives, from where and to where.
type Flight = (u64, u16, u16, Vec<u8>);

const NODES: u16 = 5;

struct Cluster {
    nodes: Vec<Node>,
    flights: Vec<Flight>,
    rng: Rng,
    now: u64,
    /// How many datagrams came to a node that knew itself to be idle.
    idle: usize,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let nodes = (0..NODES).map(|_| Node::new(Config::LOCAL)).collect();
        Cluster { nodes, flights: Vec::new(), rng: Rng::seeded(&mut SimRng::new(seed)), now: 1_000, idle: 0 }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn start(&mut self) {
        for at in 0..NODES {
            let (now, addr) = (self.now(), at + 1);
            let node = &mut self.nodes[usize::from(at)];
            node.start_with_seed(now, NodeId::new(u64::from(addr) << 40), addr, [addr as u8; 16]).unwrap();
            if at > 0 {
                node.join(now, 1).unwrap();
            }
        }
    }

    /// All that a node has to say goes on its way, if it is not lost.
    fn drain(&mut self, at: usize) {
        let mut buf = [0; 1400];
        while let Some(transmit) = self.nodes[at].poll_transmit(&mut buf) {
            let (to, payload) = (transmit.to, transmit.payload.to_vec());
            let delay = 200 + u64::from(self.rng.below(3_000));
            if self.rng.below(100) >= 4 {
                self.flights.push((self.now + delay, at as u16 + 1, to, payload));
            }
        }
        while self.nodes[at].poll_event().is_some() {}
    }

    /// Hands a datagram to its node and to a copy of it that looks at everything.
    fn deliver(&mut self, (_, from, to, mut datagram): Flight) {
        let (now, at) = (self.now(), usize::from(to - 1));
        let mut copy = self.nodes[at].clone();
        self.idle += usize::from(copy.forget_idle());
        copy.handle_datagram(now, from, &mut datagram.clone());
        self.nodes[at].handle_datagram(now, from, &mut datagram);
        assert!(copy == self.nodes[at], "at {} us, {datagram:?}", self.now);
        let mut bufs = [[0; 1400], [0; 1400]];
        let mut node = self.nodes[at].clone();
        loop {
            let said = node.poll_transmit(&mut bufs[0]).map(|said| (said.to, said.payload.to_vec()));
            copy.forget_idle();
            assert_eq!(said, copy.poll_transmit(&mut bufs[1]).map(|said| (said.to, said.payload.to_vec())));
            if said.is_none() {
                break;
            }
        }
        assert!(copy == node, "what was sent at {} us", self.now);
        self.drain(at);
    }

    /// Now and then one of them says or writes something.
    fn talk(&mut self) {
        let (now, at) = (self.now(), self.rng.below(u32::from(NODES)) as usize);
        let value = [self.rng.below(256) as u8; 20];
        if self.rng.below(2) == 0 {
            let _ = self.nodes[at].set(now, "key", &value);
        } else {
            let _ = self.nodes[at].broadcast(now, crate::Topic::new(1), &value);
        }
        self.drain(at);
    }

    fn run(&mut self, micros: u64) {
        let end = self.now + micros;
        let mut next_talk = self.now;
        while self.now < end {
            let due = self.nodes.iter().map(|node| node.poll_timeout().as_micros()).min().unwrap();
            let arrives = self.flights.iter().map(|flight| flight.0).min().unwrap_or(u64::MAX);
            self.now = due.min(arrives).min(next_talk).max(self.now);
            if let Some(at) = self.flights.iter().position(|flight| flight.0 <= self.now) {
                let flight = self.flights.swap_remove(at);
                self.deliver(flight);
            } else if self.now >= next_talk {
                next_talk = self.now + u64::from(self.rng.below(4_000_000));
                self.talk();
            } else {
                let now = self.now();
                for at in 0..self.nodes.len() {
                    self.nodes[at].handle_timeout(now);
                    self.drain(at);
                }
            }
        }
    }
}

#[test]
fn what_an_idle_node_does_not_look_at_changes_nothing() {
    let mut idle = 0;
    for seed in 0..8 {
        let mut cluster = Cluster::new(seed);
        cluster.start();
        cluster.run(120_000_000);
        idle += cluster.idle;
    }
    assert!(idle > 1_000, "{idle} datagrams came to nodes that knew themselves to be idle");
}
