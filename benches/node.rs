//! What a datagram costs a node: a ping in and its ack out, and each record in a full datagram of records that it has.
//!
//! `cargo bench --bench node` prints nanoseconds, the median and the least of several batches. Nodes and datagrams are
//! real: one node admits newcomers until it is full, the node under test joins it and pulls its table, and a node that
//! has room for one peer pings the node under test. The records are written by hand, as that peer's news, and the
//! bench fails if any of them is refused. Each time includes the copy of the datagram into a receive buffer, since a
//! node may change what it is given.

#[path = "../tests/common/forge.rs"]
mod forge;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use forge::Sender;
use tidings::{Config, HeapNode, Instant, Limits, Member, NodeId, Phase};

type Node = HeapNode<SocketAddrV4>;

const BATCHES: usize = 15;
const BATCH: Duration = Duration::from_millis(20);
const LATENCY: Duration = Duration::from_micros(500);

fn main() {
    println!("{:>8}  {:>20}  {:>26}  {:>20}", "members", "ping in to ack out", "known record", "records a datagram");
    for members in [10, 100, 1_000, 10_000] {
        let mut bench = Bench::new(members);
        let (ping, ping_least) = bench.ping_to_ack();
        let (record, record_least) = bench.known_records();
        let each = bench.records.1 / bench.records.0.len();
        print!("{members:>8}  {ping:>5.0} ns (least {ping_least:>3.0})  ");
        println!("{record:>12.1} ns (least {record_least:>4.1})  {each:>18}");
    }
}

/// The `number`-th address.
fn address(number: usize) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + number as u32), 7946)
}

fn start(config: Config, now: Instant, number: usize, limit: usize, seed: Option<usize>) -> Node {
    let mut node = Node::new(config, Limits::DEFAULT.with_members(limit));
    if let Some(seed) = seed {
        node.join(now, address(seed)).expect("one seed fits");
    }
    node.start(now, NodeId::new(number as u64 + 1), address(number), &mut rand::rng());
    node
}

/// Everything that a node has to send.
fn transmit(node: &mut Node) -> Vec<(SocketAddrV4, Vec<u8>)> {
    let mut sent = Vec::new();
    let mut buf = [0; 1_200];
    while let Some(datagram) = node.poll_transmit(&mut buf) {
        sent.push((datagram.to, datagram.payload.to_vec()));
    }
    sent
}

/// Carries what `from` has to say to `to` and drops what is for others; how many datagrams arrived.
fn carry(now: Instant, from: &mut Node, to: &mut Node) -> usize {
    let (source, target) = (from.addr().expect("started"), to.addr().expect("started"));
    let mut carried = 0;
    for (_, mut bytes) in transmit(from).into_iter().filter(|(to, _)| *to == target) {
        to.handle_datagram(now, source, &mut bytes);
        carried += 1;
    }
    carried
}

fn sender(member: Member<SocketAddrV4>) -> Sender {
    let life = member.life();
    let (generation, nonce) = (life.generation(), life.nonce());
    Sender { id: member.id().get(), generation, nonce, incarnation: member.incarnation() }
}

/// All that `node` knows of others, as news from `peer` in datagrams of at most 1,200 bytes; and how many records.
fn known_news(node: &Node, peer: &Node) -> (Vec<Vec<u8>>, usize) {
    let tag = sender(node.member(node.id()).expect("started")).tag();
    let peer = sender(node.member(peer.id()).expect("it knows its seed"));
    let encode = |member: Member<SocketAddrV4>| {
        let addr = [&member.addr().ip().octets()[..], &forge::varint(member.addr().port().into())].concat();
        forge::record_at(0, sender(member), &addr)
    };
    let records: Vec<Vec<u8>> = node.members().filter(|member| member.id() != node.id()).map(encode).collect();
    let of_a_datagram = |records: &[Vec<u8>]| {
        let news = forge::frame(forge::kind::NEWS, &records.concat());
        forge::datagram(forge::cluster(""), 1, tag, peer, &[news])
    };
    let datagrams: Vec<Vec<u8>> = records.chunks(54).map(of_a_datagram).collect();
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 1_200));
    (datagrams, records.len())
}

struct Bench {
    now: Instant,
    node: Node,
    peer: SocketAddrV4,
    pinger: SocketAddrV4,
    /// Full datagrams of records that the node has, and how many records they hold.
    records: (Vec<Vec<u8>>, usize),
    ping: Vec<u8>,
}

impl Bench {
    fn new(members: usize) -> Self {
        let mut now = Instant::from_millis(1_000);
        let mut full = start(Config::LAN, now, 0, members, None);
        // All but the three that go on living. Time stands still, so that nobody misses the ones that do not.
        for number in 3..members {
            let mut newcomer = start(Config::LAN, now, number, 2, Some(0));
            while newcomer.phase() == Phase::Joining {
                let there = carry(now, &mut newcomer, &mut full);
                let back = carry(now, &mut full, &mut newcomer);
                assert!(there > 0 && back > 0, "joining takes two round trips");
            }
        }
        let mut node = start(Config::LAN, now, 1, members, Some(0));
        while node.live() < members - 1 {
            now = now + LATENCY;
            full.handle_timeout(now);
            node.handle_timeout(now);
            carry(now, &mut node, &mut full);
            carry(now, &mut full, &mut node);
            assert!(now < Instant::from_millis(10_000), "a newcomer's view is complete in seconds");
        }
        let records = known_news(&node, &full);
        let mut bench = Bench { now, node, peer: address(0), pinger: address(2), records, ping: Vec::new() };
        bench.ping = bench.make_ping();
        bench
    }

    /// A bare ping from a node that has room for one peer only, and hence pings that one.
    fn make_ping(&mut self) -> Vec<u8> {
        let hasty = Config::LAN.with_first_retry(Duration::from_millis(1)).with_probe_period(Duration::from_millis(20));
        let mut pinger = start(hasty, self.now, 2, 2, Some(1));
        loop {
            let probes = pinger.stats().probes;
            pinger.handle_timeout(self.now);
            let begun = pinger.stats().probes > probes;
            for (_, bytes) in transmit(&mut pinger) {
                // Longer ones carry news as well.
                if begun && bytes.len() <= 31 {
                    return bytes;
                }
                self.node.handle_datagram(self.now, self.pinger, &mut bytes.clone());
            }
            carry(self.now, &mut self.node, &mut pinger);
            self.now = pinger.poll_timeout().max(self.now);
            self.node.handle_timeout(self.now);
        }
    }

    fn ping_to_ack(&mut self) -> (f64, f64) {
        let (node, now, from, ping) = (&mut self.node, self.now, self.pinger, &self.ping);
        let (mut buf, mut out) = ([0; 1_200], [0; 1_200]);
        transmit(node);
        let mut answer = || {
            let datagram = &mut buf[..ping.len()];
            datagram.copy_from_slice(ping);
            node.handle_datagram(now, from, black_box(datagram));
            let ack = black_box(node.poll_transmit(&mut out)).map(|ack| ack.payload.len());
            assert!(node.poll_transmit(&mut out).is_none(), "one ping, one ack");
            ack
        };
        // News rides on the first acks, until it has been told often enough.
        (0..10_000).for_each(|_| assert!(answer().is_some()));
        assert!(answer().is_some_and(|len| len <= 31), "an ack and nothing else");
        measure(answer)
    }

    fn known_records(&mut self) -> (f64, f64) {
        let (node, now, from) = (&mut self.node, self.now, self.peer);
        let (datagrams, records) = (&self.records.0, self.records.1 as f64);
        let (before, mut buf, mut out) = (node.fingerprint(), [0; 1_200], [0; 1_200]);
        let refused = node.stats().dropped_in_all();
        let (median, least) = measure(|| {
            for known in datagrams {
                let datagram = &mut buf[..known.len()];
                datagram.copy_from_slice(known);
                node.handle_datagram(now, from, black_box(datagram));
                black_box(node.poll_transmit(&mut out));
            }
        });
        assert_eq!(self.node.fingerprint(), before, "the records were known");
        assert_eq!(self.node.stats().dropped_in_all(), refused, "and none was refused");
        (median / records, least / records)
    }
}

/// The median and the least time of one call, in nanoseconds.
fn measure<T>(mut call: impl FnMut() -> T) -> (f64, f64) {
    let mut timed = |calls: u32| {
        let begun = std::time::Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        begun.elapsed()
    };
    let mut calls = 1;
    while timed(calls) < BATCH {
        calls *= 2;
    }
    let mut batches: Vec<_> = (0..BATCHES).map(|_| timed(calls).as_secs_f64() * 1e9 / f64::from(calls)).collect();
    batches.sort_by(f64::total_cmp);
    (batches[BATCHES / 2], batches[0])
}
