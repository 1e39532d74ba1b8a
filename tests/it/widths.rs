//! Nodes of all widths in one cluster: what one has no room for, it leaves to others.

use std::time::Duration;

use tidings::sim::{Conditions, HostAddress, Machine, Report, Sim, SimRng, TOPIC};
use tidings::{
    Bare, Config, DropReason, FixedNode, HeapNode, Instant, Limits, Node, NodeId, Phase, SendError, Stats, Status,
    Storage,
};

const SECOND: Duration = Duration::from_secs(1);
const PACE: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(60);

type NarrowNode = FixedNode<40, u32, 4096, 4096>;
type BareNode = Node<u32, tidings::Fixed<40, 0, 0, Bare>>;
type MapNode = FixedNode<40, u32, 4096, 0>;
type TalkNode = FixedNode<40, u32, 0, 4096>;

enum AnyNode {
    Wide(Box<HeapNode<u32>>),
    Narrow(Box<NarrowNode>),
    Bare(Box<BareNode>),
    /// It keeps maps, and no messages.
    Map(Box<MapNode>),
    /// It keeps messages, and no maps.
    Talk(Box<TalkNode>),
}

/// Calls the node, whatever it is.
macro_rules! each {
    ($any:expr, $node:ident => $call:expr) => {
        match $any {
            AnyNode::Wide($node) => $call,
            AnyNode::Narrow($node) => $call,
            AnyNode::Bare($node) => $call,
            AnyNode::Map($node) => $call,
            AnyNode::Talk($node) => $call,
        }
    };
}

impl AnyNode {
    /// Every fifth of each kind.
    fn new(host: usize) -> Self {
        let mut node = match host % 5 {
            0 => AnyNode::Wide(Box::new(HeapNode::new(Config::LAN, Limits::DEFAULT))),
            3 => AnyNode::Map(Box::new(FixedNode::new(Config::LAN))),
            4 => AnyNode::Talk(Box::new(FixedNode::new(Config::LAN))),
            1 => AnyNode::Narrow(Box::new(FixedNode::new(Config::LAN))),
            _ => AnyNode::Bare(Box::new(Node::<u32, tidings::Fixed<40, 0, 0, Bare>>::new(Config::LAN))),
        };
        if node.keeps_messages() {
            each!(&mut node, node => node.subscribe(Instant::ZERO, TOPIC).expect("it listens to nothing yet"));
        }
        node
    }

    fn keeps_messages(&self) -> bool {
        !matches!(self, AnyNode::Bare(_) | AnyNode::Map(_))
    }

    fn keeps_maps(&self) -> bool {
        !matches!(self, AnyNode::Bare(_) | AnyNode::Talk(_))
    }

    fn stats(&self) -> &Stats {
        each!(self, node => node.stats())
    }

    fn get(&self, owner: NodeId, key: &str) -> Option<&[u8]> {
        each!(self, node => node.get(owner, key))
    }
}

impl Machine for AnyNode {
    type Addr = u32;

    fn addr_of(host: u32) -> u32 {
        u32::of_host(host)
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: u32, rng: &mut SimRng) {
        each!(self, node => node.start(now, id, addr, rng).unwrap());
    }

    fn join(&mut self, now: Instant, seed: u32) {
        each!(self, node => node.join(now, seed).expect("any number is an address"));
    }

    fn leave(&mut self, now: Instant) {
        each!(self, node => node.leave(now));
    }

    fn handle_datagram(&mut self, now: Instant, from: u32, datagram: &mut [u8]) {
        each!(self, node => node.handle_datagram(now, from, datagram));
    }

    fn handle_timeout(&mut self, now: Instant) {
        each!(self, node => node.handle_timeout(now));
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u32, usize)> {
        each!(self, node => transmit(node, buf))
    }

    fn poll_report(&mut self) -> Option<Report> {
        each!(self, node => report(node))
    }

    fn poll_timeout(&self) -> Instant {
        each!(self, node => node.poll_timeout())
    }

    fn status(&self, id: NodeId) -> Option<Status> {
        each!(self, node => node.member(id).map(|member| member.status()))
    }

    fn live(&self) -> usize {
        each!(self, node => node.live())
    }

    fn has_left(&self) -> bool {
        each!(self, node => node.phase() == Phase::Left)
    }
}

fn transmit<S: Storage>(node: &mut Node<u32, S>, buf: &mut [u8]) -> Option<(u32, usize)> {
    Machine::poll_transmit(node, buf)
}

fn report<S: Storage>(node: &mut Node<u32, S>) -> Option<Report> {
    Machine::poll_report(node)
}

/// A settled cluster of such nodes.
fn cluster(nodes: usize, seed: u64, loss: f64) -> Sim<AnyNode> {
    let mut sim = Sim::new(seed, Conditions::LAN.with_loss(loss));
    for host in 0..nodes {
        sim.add(AnyNode::new(host));
        sim.start(host, &[0, 1]);
    }
    assert!(sim.run_until_agreed(PACE, LIMIT).is_some(), "they form a cluster");
    sim.run_for(3 * SECOND);
    sim
}

fn machine(sim: &Sim<AnyNode>, host: usize) -> &AnyNode {
    sim.machine(host).expect("it runs")
}

#[test]
fn nodes_of_all_widths_are_one_cluster_and_all_notice_a_crash() {
    for seed in 0..5 {
        let mut sim = cluster(24, seed, 0.1);
        sim.crash(3 + seed as usize);
        let known = sim.run_until_all_report(3 + seed as usize, Status::Down, LIMIT);
        assert!(known.is_some(), "seed {seed}");
        assert!(sim.run_until_agreed(PACE, LIMIT).is_some(), "seed {seed}");
    }
}

#[test]
fn what_is_said_and_set_comes_to_all_who_keep_it() {
    for seed in 0..5 {
        let mut sim = cluster(24, 50 + seed, 0.1);
        let (speaker, owner) = (sim.id(0), sim.id(1));
        sim.with(0, |it, now| each!(it, node => _ = node.broadcast(now, TOPIC, &7u64.to_le_bytes()).expect("room")));
        sim.with(1, |it, now| each!(it, node => _ = node.set(now, "key", b"value").expect("room")));
        sim.take_reports();
        sim.run_for(10 * SECOND);
        let reports = sim.take_reports();
        for host in 0..24 {
            let is_it = |report: &Report| match report {
                Report::Message { origin, seq, number, .. } => (*origin, *seq, *number) == (speaker, 1, 7),
                _ => false,
            };
            let it = machine(&sim, host);
            let told = reports.iter().filter(|told| told.host == host && is_it(&told.report)).count();
            assert_eq!(told, usize::from(it.keeps_messages() && host != 0), "seed {seed}, host {host}");
            let has = it.get(owner, "key") == Some(&b"value"[..]);
            assert_eq!(has, it.keeps_maps(), "seed {seed}, host {host}");
        }
    }
}

#[test]
fn who_keeps_less_is_no_reason_to_compare_so_that_quiet_costs_what_it_did() {
    let mut sim = cluster(24, 100, 0.0);
    sim.with(0, |it, now| each!(it, node => _ = node.broadcast(now, TOPIC, b"once").expect("room")));
    sim.with(1, |it, now| each!(it, node => _ = node.set(now, "key", b"value").expect("room")));
    sim.run_for(10 * SECOND);
    let sent = |sim: &Sim<AnyNode>| (0..24).map(|host| machine(sim, host).stats().bytes_out).sum::<u64>();
    let before = sent(&sim);
    sim.run_for(60 * SECOND);
    let each = (sent(&sim) - before) / (24 * 60);
    assert!(each <= 60, "{each} bytes a node and second");
}

#[test]
fn a_bare_node_refuses_what_it_cannot_keep_and_says_so() {
    let mut sim = cluster(3, 150, 0.0);
    let (wide, bare) = (sim.id(0), sim.id(2));
    sim.with(2, |it, now| {
        each!(it, node => {
            assert_eq!(node.send(now, wide, TOPIC, b"hello"), Err(SendError::TooLarge));
            assert!(node.subscribe(now, TOPIC).is_err() && node.broadcast(now, TOPIC, b"hello").is_err());
            assert!(node.set(now, "key", b"value").is_err());
            assert_eq!(node.get(wide, "key"), None);
        });
    });
    let refused = |sim: &Sim<AnyNode>| {
        let stats = machine(sim, 2).stats();
        (stats.dropped(DropReason::MessageRoom), stats.dropped(DropReason::StateRoom))
    };
    assert_eq!(refused(&sim), (0, 0));
    sim.with(0, |it, now| each!(it, node => _ = node.set(now, "key", b"value").expect("there is room")));
    sim.run_for(SECOND);
    let (of_messages, of_maps) = refused(&sim);
    assert!(of_messages == 0 && of_maps > 0, "a part of a map is counted as one: {:?}", refused(&sim));
    sim.with(0, |it, now| each!(it, node => _ = node.send(now, bare, TOPIC, b"hello").expect("it lives")));
    sim.run_for(20 * SECOND);
    assert!(refused(&sim).0 > 0, "and so is a message");
    assert_eq!(machine(&sim, 0).status(bare), Some(Status::Alive), "and nobody takes it for dead");
}

/// A settled cluster of such kinds: 0 wide, 1 narrow, 2 bare.
fn of_kinds(kinds: &[usize], seed: u64) -> Sim<AnyNode> {
    let mut sim = Sim::new(seed, Conditions::LAN);
    for (host, kind) in kinds.iter().enumerate() {
        sim.add(AnyNode::new(*kind));
        sim.start(host, &[0]);
    }
    assert!(sim.run_until_agreed(PACE, LIMIT).is_some(), "they form a cluster");
    sim.run_for(3 * SECOND);
    sim
}

#[test]
fn whoever_has_nobody_to_compare_with_asks_ever_more_rarely() {
    for kinds in [&[0, 2, 2, 2, 2, 2][..], &[1, 2]] {
        let mut sim = of_kinds(kinds, 7);
        sim.run_for(60 * SECOND);
        let before = machine(&sim, 0).stats().bytes_out;
        sim.run_for(60 * SECOND);
        let each = (machine(&sim, 0).stats().bytes_out - before) / 60;
        assert!(each <= 70, "{each} bytes a second, of {kinds:?}");
    }
}

#[test]
fn the_bare_do_not_hold_a_writer_back() {
    let mut sim = of_kinds(&[0, 1, 2, 2, 2, 2], 9);
    for turn in 0..300u32 {
        sim.with(0, |it, now| each!(it, node => assert!(node.set(now, "key", &turn.to_le_bytes()).is_ok(), "{turn}")));
        sim.run_for(SECOND / 10);
    }
}

#[test]
fn a_newcomer_through_a_bare_seed_takes_the_past_for_old() {
    for seed in 0..5 {
        let mut sim = cluster(10, 300 + seed, 0.0);
        for number in 0..10u64 {
            sim.with(0, |it, now| {
                each!(it, node => _ = node.broadcast(now, TOPIC, &number.to_le_bytes()).expect("room"));
            });
            sim.run_for(SECOND / 5);
        }
        sim.run_for(5 * SECOND);
        sim.take_reports();
        let host = sim.add(AnyNode::new(0));
        sim.start(host, &[2]);
        sim.run_for(20 * SECOND);
        let of_messages = |report: &Report| matches!(report, Report::Message { .. } | Report::Gap { .. });
        let told = sim.take_reports().into_iter().find(|told| told.host == host && of_messages(&told.report));
        assert!(told.is_none(), "seed {seed}: {told:?}");
    }
}

#[test]
fn a_bare_node_on_the_heap_keeps_nothing_whatever_its_limits() {
    let mut node = Node::<u32, tidings::Heap<Bare>>::new(Config::LAN, Limits::DEFAULT);
    assert!(node.set(Instant::ZERO, "key", b"value").is_err() && node.subscribe(Instant::ZERO, TOPIC).is_err());
    assert_eq!(node.max_payload(), 0);
}

#[test]
fn any_fanout_tells_news_of_narrow_nodes_down_the_tree() {
    for fanout in [2, 8, 16] {
        let mut sim = Sim::new(3, Conditions::LAN);
        for host in 0..24 {
            sim.add(NarrowNode::new(Config::LAN.with_fanout(fanout)));
            sim.start(host, &[0, 1]);
        }
        assert!(sim.run_until_agreed(PACE, LIMIT).is_some(), "they form a cluster");
        sim.run_for(10 * SECOND);
        let host = sim.add(NarrowNode::new(Config::LAN.with_fanout(fanout)));
        sim.start(host, &[0]);
        let known = sim.run_until_agreed(SECOND / 100, LIMIT);
        assert!(known.is_some_and(|after| after < SECOND / 2), "fanout {fanout}: {known:?}");
        sim.run_for(10 * SECOND);
        sim.leave(5);
        sim.run_for(SECOND / 2);
        assert_eq!(sim.machine(5).map(Node::phase), Some(Phase::Left), "fanout {fanout}");
    }
}
