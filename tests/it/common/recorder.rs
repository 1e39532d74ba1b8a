//! Writes down every call that the simulator makes of nodes, and what came of it, so that the same calls can be made
//! again elsewhere; `recording.rs` reads it, which a microcontroller can do too.
//!
//! A recording is the lives of nodes one after another: all calls of one, then all of the next. Each call is
//!
//! ```text
//! | length: u16 | kind: u8 | fields |      the length is that of kind and fields; numbers are little-endian
//! ```
//!
//! | kind | the call                         | fields                                       |
//! |------|----------------------------------|----------------------------------------------|
//! | `L`  | none: here a node is made anew   | its address, u16                             |
//! | `S`  | `start`                          | now, u64; id, u64; address, u16; 16 random bytes |
//! | `J`  | `join`                           | now, u64; address of the seed, u16           |
//! | `Q`  | `leave`                          | now, u64                                     |
//! | `D`  | `handle_datagram`                | now, u64; from, u16; the datagram            |
//! | `T`  | `handle_timeout`                 | now, u64                                     |
//! | `O`  | `poll_transmit`, and a datagram  | to, u16; the datagram                        |
//! | `o`  | `poll_transmit`, and `None`      |                                              |
//! | `E`  | `poll_event`, and an event       |                                              |
//! | `e`  | `poll_event`, and `None`         |                                              |
//! | `W`  | `poll_timeout`                   | the deadline, u64                            |
//!
//! Times are microseconds.

use std::cell::RefCell;
use std::rc::Rc;

use tidings::rand_core::Rng;
use tidings::sim::{Layer, Machine, Report, SimRng};
use tidings::{Instant, Node, NodeId, Storage};

/// The lives that were recorded, in the order in which they began.
#[derive(Clone, Default)]
pub struct Lives(Rc<RefCell<Vec<Life>>>);

#[derive(Default)]
struct Life {
    addr: u16,
    calls: Vec<u8>,
}

impl Lives {
    /// A node whose calls are written down here.
    pub fn record<S: Storage>(&self, node: Node<u16, S>) -> Recorder<S> {
        let mut lives = self.0.borrow_mut();
        lives.push(Life::default());
        Recorder { node, life: lives.len() - 1, lives: self.clone() }
    }

    /// The recording.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for life in self.0.borrow().iter() {
            write(&mut bytes, b'L', &[&life.addr.to_le_bytes()]);
            bytes.extend_from_slice(&life.calls);
        }
        bytes
    }
}

/// A node that has its calls written down.
pub struct Recorder<S: Storage> {
    node: Node<u16, S>,
    life: usize,
    lives: Lives,
}

impl<S: Storage> Recorder<S> {
    fn note(&self, kind: u8, fields: &[&[u8]]) {
        write(&mut self.lives.0.borrow_mut()[self.life].calls, kind, fields);
    }

    fn note_at(&self, kind: u8, now: Instant, fields: &[u8]) {
        self.note(kind, &[&now.as_micros().to_le_bytes(), fields]);
    }
}

fn write(bytes: &mut Vec<u8>, kind: u8, fields: &[&[u8]]) {
    let fields = fields.concat();
    let length = u16::try_from(1 + fields.len()).expect("a datagram of the default size fits");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(&fields);
}

impl<S: Storage> Layer for Recorder<S> {
    type Inner = Node<u16, S>;

    fn inner(&self) -> &Node<u16, S> {
        &self.node
    }

    fn inner_mut(&mut self) -> &mut Node<u16, S> {
        &mut self.node
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: u16, rng: &mut SimRng) {
        let mut drawn = [0; 16];
        rng.clone().fill_bytes(&mut drawn);
        self.lives.0.borrow_mut()[self.life].addr = addr;
        self.note_at(b'S', now, &[&id.get().to_le_bytes()[..], &addr.to_le_bytes(), &drawn].concat());
        self.node.start(now, id, addr, rng).unwrap();
    }

    fn join(&mut self, now: Instant, seed: u16) {
        self.note_at(b'J', now, &seed.to_le_bytes());
        Machine::join(&mut self.node, now, seed);
    }

    fn leave(&mut self, now: Instant) {
        self.note_at(b'Q', now, &[]);
        self.node.leave(now);
    }

    fn handle_datagram(&mut self, now: Instant, from: u16, datagram: &mut [u8]) {
        self.note_at(b'D', now, &[&from.to_le_bytes(), &*datagram].concat());
        self.node.handle_datagram(now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.note_at(b'T', now, &[]);
        self.node.handle_timeout(now);
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u16, usize)> {
        let sent = Machine::poll_transmit(&mut self.node, buf);
        match sent {
            Some((to, len)) => self.note(b'O', &[&to.to_le_bytes(), &buf[..len]]),
            None => self.note(b'o', &[]),
        }
        sent
    }

    fn poll_report(&mut self) -> Option<Report> {
        let report = self.node.poll_report();
        self.note(if report.is_some() { b'E' } else { b'e' }, &[]);
        report
    }

    fn poll_timeout(&self) -> Instant {
        let due = self.node.poll_timeout();
        self.note_at(b'W', due, &[]);
        due
    }
}
