//! What is measured: the things that a node does over and over.

use std::hint::black_box;

use clap::ValueEnum;
use tidings::Instant;

use crate::bed::{Bed, FULL, Node};
use crate::forge::Sender;
use crate::maps::{Reads, Takes, Writes};

/// Something that a node does over and over, in batches.
pub trait Operation {
    /// Makes the next batch ready; this is not measured.
    fn prepare(&mut self) {}
    /// Does one batch; this is.
    fn run(&mut self);
    /// How often a batch does it.
    fn count(&self) -> usize;
    /// Panics unless the batches so far did what they are said to do.
    fn check(&self);
}

/// The operations. Those of records are per record, with as many to a datagram as 1,200 bytes hold.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Taken in, answered, and the answer written.
    Ping,
    /// Heard of a member in just the state that it is known to be in: most of what gossip brings.
    KnownRecord,
    /// Heard of a known member that has spoken anew.
    NewerRecord,
    /// Picked from among everybody's, which all are news, and written. A table of 10 fills no datagram.
    SentRecord,
    /// `poll_transmit`, `poll_event` and `poll_timeout` with nothing to say.
    IdlePoll,
    /// `handle_timeout` before it is time.
    EarlyTick,
    /// Any of the ten keys that each member has.
    ReadKey,
    /// A member has written a key again: a datagram with its new value.
    TakeKey,
    /// One of this node's own, with another value.
    WriteKey,
}

impl Kind {
    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ping => "ping in to ack out",
            Kind::KnownRecord => "known record",
            Kind::NewerRecord => "newer record of a known member",
            Kind::SentRecord => "record sent as news",
            Kind::IdlePoll => "three idle polls",
            Kind::EarlyTick => "`handle_timeout`, nothing due",
            Kind::ReadKey => "a key read, of ten of each member",
            Kind::TakeKey => "a key of a member that was written again",
            Kind::WriteKey => "an own key written again",
        }
    }

    /// The operation on copies of this node.
    pub fn on(self, bed: &Bed) -> Box<dyn Operation> {
        match self {
            Kind::Ping => Box::new(Pings::new(bed)),
            Kind::KnownRecord => Box::new(Known::new(bed)),
            Kind::NewerRecord => Box::new(Newer::new(bed)),
            Kind::SentRecord => Box::new(Sent::new(bed)),
            Kind::IdlePoll => Box::new(Idle { node: bed.node.clone(), before: bed.node.clone() }),
            Kind::ReadKey => Box::new(Reads::new(bed)),
            Kind::TakeKey => Box::new(Takes::new(bed)),
            Kind::WriteKey => Box::new(Writes::new(bed)),
            Kind::EarlyTick => Box::new(Early { node: bed.node.clone(), before: bed.node.clone(), now: bed.now }),
        }
    }
}

/// Hands in a copy of a datagram; what the node has to say to it is written into `out`.
fn hand_in(bed: &mut Bed, datagram: &[u8], buf: &mut [u8; FULL], out: &mut [u8; FULL]) -> Option<usize> {
    let copy = &mut buf[..datagram.len()];
    copy.copy_from_slice(datagram);
    bed.node.handle_datagram(bed.now, bed.from, black_box(copy));
    bed.node.poll_transmit(out).map(|answer| black_box(answer.payload).len())
}

/// A ping comes in, an ack goes out.
struct Pings {
    bed: Bed,
    ping: Vec<u8>,
    pinged: usize,
}

impl Pings {
    fn new(bed: &Bed) -> Self {
        Pings { ping: bed.ping(), bed: bed.clone(), pinged: 0 }
    }
}

impl Operation for Pings {
    fn run(&mut self) {
        let (mut buf, mut out) = ([0; FULL], [0; FULL]);
        for _ in 0..self.count() {
            let ack = hand_in(&mut self.bed, &self.ping, &mut buf, &mut out);
            assert_eq!(ack, Some(25), "an ack, and no news");
            assert!(self.bed.node.poll_transmit(&mut out).is_none(), "one ack");
        }
        self.pinged += self.count();
    }

    fn count(&self) -> usize {
        1_000
    }

    fn check(&self) {
        let stats = self.bed.node.stats();
        assert_eq!(stats.dropped_in_all(), 0, "no ping was refused");
        assert!(self.pinged > 0 && stats.datagrams_out >= self.pinged as u64, "every ping was answered");
    }
}

/// The fewest records that a batch tells, so that small tables have batches of more than an instant.
const RECORDS: usize = 5_000;

/// Datagrams full of records just as the node has them.
struct Known {
    bed: Bed,
    before: Node,
    datagrams: Vec<Vec<u8>>,
    records: usize,
}

impl Known {
    fn new(bed: &Bed) -> Self {
        let others = bed.others();
        let many: Vec<Sender> = others.iter().cycle().take(RECORDS.max(others.len())).copied().collect();
        let (datagrams, records) = bed.news(&many);
        Known { bed: bed.clone(), before: bed.node.clone(), datagrams, records }
    }
}

impl Operation for Known {
    fn run(&mut self) {
        tell_all(&mut self.bed, &self.datagrams);
    }

    fn count(&self) -> usize {
        self.records
    }

    fn check(&self) {
        let (node, before) = (&self.bed.node, &self.before);
        assert_eq!(node.stats().dropped_in_all(), 0, "no record was refused");
        assert!(node.members().eq(before.members()), "the records were known");
    }
}

fn tell_all(bed: &mut Bed, datagrams: &[Vec<u8>]) {
    let (mut buf, mut out) = ([0; FULL], [0; FULL]);
    for datagram in datagrams {
        assert_eq!(hand_in(bed, datagram, &mut buf, &mut out), None, "news asks for no answer");
        assert!(bed.node.poll_event().is_none(), "and is none that the application wants to know");
    }
}

/// Datagrams full of records that are newer than what the node has: the owners have spoken anew.
struct Newer {
    bed: Bed,
    others: Vec<Sender>,
    datagrams: Vec<Vec<u8>>,
    records: usize,
}

impl Newer {
    fn new(bed: &Bed) -> Self {
        let others = bed.others();
        let records = RECORDS.max(others.len());
        Newer { bed: bed.clone(), others, datagrams: Vec::new(), records }
    }
}

impl Operation for Newer {
    fn prepare(&mut self) {
        let (mut newer, count) = (Vec::with_capacity(self.records), self.others.len());
        for at in 0..self.records {
            let other = &mut self.others[at % count];
            other.incarnation += 1;
            newer.push(*other);
        }
        (self.datagrams, _) = self.bed.news(&newer);
    }

    fn run(&mut self) {
        tell_all(&mut self.bed, &self.datagrams);
    }

    fn count(&self) -> usize {
        self.records
    }

    fn check(&self) {
        assert_eq!(self.bed.node.stats().dropped_in_all(), 0, "no record was refused");
        let held = |id: u64| self.bed.node.member(tidings::NodeId::new(id)).map(|member| member.incarnation());
        assert!(self.others.iter().all(|other| held(other.id) == Some(other.incarnation)), "every record was newer");
    }
}

/// Everybody's record is news that others may have missed: what goes first, and the datagrams of a burst with as many
/// records as they hold.
struct Sent {
    /// Before the burst.
    eager: Bed,
    bed: Bed,
    records: usize,
    datagrams: usize,
    bytes: usize,
}

impl Sent {
    fn new(bed: &Bed) -> Self {
        let mut eager = bed.clone();
        let newer: Vec<Sender> =
            bed.others().iter().map(|other| Sender { incarnation: other.incarnation + 1, ..*other }).collect();
        // Nothing is taken out yet: the first of them begins the burst.
        for mut datagram in bed.found(&newer) {
            eager.node.handle_datagram(eager.now, eager.from, &mut datagram);
        }
        let mut sent = Sent { bed: eager.clone(), eager, records: 0, datagrams: 0, bytes: 0 };
        // Once, to know how many records it is; always as many.
        sent.run();
        sent.records = sent.told();
        sent
    }

    fn told(&self) -> usize {
        (self.bed.node.stats().news_out - self.eager.node.stats().news_out) as usize
    }
}

impl Operation for Sent {
    fn prepare(&mut self) {
        self.bed.clone_from(&self.eager);
    }

    fn run(&mut self) {
        let node = &mut self.bed.node;
        let mut out = [0; FULL];
        (self.datagrams, self.bytes) = (0, 0);
        // In a large table the burst is not due at once.
        node.handle_timeout(node.poll_timeout());
        while let Some(datagram) = node.poll_transmit(&mut out) {
            self.datagrams += 1;
            self.bytes += black_box(datagram.payload).len();
        }
    }

    fn count(&self) -> usize {
        self.records
    }

    fn check(&self) {
        assert!(self.datagrams > 0, "a burst, which ends when all has been told often enough");
        assert_eq!(self.told(), self.records, "with as many records each time");
        let all = self.datagrams * (self.bed.node.live() - 2);
        assert!(self.records == all || self.bytes > self.datagrams * (FULL - 30), "and no room for another");
    }
}

/// How often a batch does what takes a few nanoseconds.
pub const MOMENTS: usize = 10_000;

/// The caller's loop comes round, and there is nothing to send, to tell or to do.
struct Idle {
    node: Node,
    before: Node,
}

impl Operation for Idle {
    fn run(&mut self) {
        let mut out = [0; FULL];
        for _ in 0..MOMENTS {
            let node = black_box(&mut self.node);
            assert!(node.poll_transmit(&mut out).is_none());
            assert!(node.poll_event().is_none());
            black_box(node.poll_timeout());
        }
    }

    fn count(&self) -> usize {
        MOMENTS
    }

    fn check(&self) {
        assert!(self.node == self.before, "it changed nothing");
    }
}

/// The caller's loop comes round before it had to.
struct Early {
    node: Node,
    before: Node,
    now: Instant,
}

impl Operation for Early {
    fn run(&mut self) {
        for _ in 0..MOMENTS {
            black_box(&mut self.node).handle_timeout(self.now);
        }
    }

    fn count(&self) -> usize {
        MOMENTS
    }

    fn check(&self) {
        assert!(self.node == self.before, "it changed nothing");
    }
}
