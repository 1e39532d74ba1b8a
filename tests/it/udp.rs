//! Real sockets and real time: nodes on loopback, each on a thread of its own. Everything waits for something to
//! happen, and fails if it has not within the deadline.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tidings::{Clock, Config, Event, HeapNode, Instant, Limits, NodeId, Phase, SendFailure, Status};

const NODES: usize = 4;
/// The node that leaves or dies.
const LAST: NodeId = NodeId::new(NODES as u64);
const DEADLINE: Duration = Duration::from_secs(20);
/// How soon a node sees that the others have reached their goal.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

struct Peer {
    node: HeapNode,
    socket: UdpSocket,
    clock: Clock,
    buf: Vec<u8>,
    told_left: BTreeSet<NodeId>,
    told_down: BTreeSet<NodeId>,
}

/// How many nodes have reached a goal that all are to reach.
#[derive(Default)]
struct Goal(AtomicUsize);

impl Peer {
    fn turn(&mut self) {
        self.node.handle_timeout(self.clock.now());
        while let Some(transmit) = self.node.poll_transmit(&mut self.buf) {
            // What the system does not take is as good as lost on the way.
            let _ = self.socket.send_to(transmit.payload, transmit.to);
        }
        while let Some(event) = self.node.poll_event() {
            match event {
                Event::MemberLeft(member) => _ = self.told_left.insert(member.id()),
                Event::MemberDown(member) => _ = self.told_down.insert(member.id()),
                _ => {}
            }
        }
        let wait = self.clock.until(self.node.poll_timeout()).min(LONGEST_WAIT);
        self.socket.set_read_timeout(Some(wait)).expect("a wait is never zero");
        match self.socket.recv_from(&mut self.buf) {
            Ok((len, from)) => self.node.handle_datagram(self.clock.now(), from, &mut self.buf[..len]),
            Err(error) if tidings::is_transient(&error) => {}
            Err(error) => panic!("the socket failed: {error}"),
        }
    }

    /// Drives the node until it has reached the goal, and on until all have.
    fn drive(&mut self, goal: &Goal, is_reached: impl Fn(&Peer) -> bool) {
        let mut reached = false;
        while goal.0.load(Ordering::Relaxed) < NODES {
            let late = self.clock.now() >= Instant::ZERO + DEADLINE;
            assert!(!late, "{:?} reached its goal: {reached}; it sees {:?}", self.node.id(), self.view());
            self.turn();
            if !reached && is_reached(self) {
                reached = true;
                goal.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn sees(&self, id: NodeId) -> Option<Status> {
        self.node.member(id).map(|member| member.status())
    }

    fn view(&self) -> Vec<(NodeId, Status)> {
        self.node.members().map(|member| (member.id(), member.status())).collect()
    }

    fn sees_all_alive(&self) -> bool {
        (1..=NODES as u64).all(|number| self.sees(NodeId::new(number)) == Some(Status::Alive))
    }
}

/// Nodes that are all given the same seed, the first of them.
fn peers() -> Vec<Peer> {
    let clock = Clock::start();
    let bind = |_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let sockets: Vec<UdpSocket> = (0..NODES).map(bind).collect();
    let addr = |socket: &UdpSocket| -> SocketAddr { socket.local_addr().expect("a bound socket has an address") };
    let seed = addr(&sockets[0]);
    let start = |(socket, number): (UdpSocket, u64)| {
        let mut node = HeapNode::new(Config::LOCAL, Limits::DEFAULT);
        node.join(clock.now(), seed).expect("the address of a socket");
        node.start(clock.now(), NodeId::new(number), addr(&socket), &mut rand::rng()).unwrap();
        let buf = vec![0; tidings::MAX_DATAGRAM];
        Peer { node, socket, clock, buf, told_left: BTreeSet::new(), told_down: BTreeSet::new() }
    };
    sockets.into_iter().zip(1..).map(start).collect()
}

/// Runs each in a thread of its own.
fn each(life: impl Fn(Peer) + Sync) {
    let life = &life;
    thread::scope(|scope| {
        for peer in peers() {
            scope.spawn(move || life(peer));
        }
    });
}

#[test]
fn nodes_on_loopback_find_each_other_and_all_see_one_leave() {
    let (together, parted) = (Goal::default(), Goal::default());
    each(|mut peer| {
        peer.drive(&together, Peer::sees_all_alive);
        if peer.node.id() == LAST {
            peer.node.leave(peer.clock.now());
            return peer.drive(&parted, |peer| peer.node.phase() == Phase::Left);
        }
        peer.drive(&parted, |peer| peer.told_left.contains(&LAST));
        assert_eq!(peer.sees(LAST), Some(Status::Left));
        assert_eq!(peer.told_left, BTreeSet::from([LAST]));
    });
}

#[test]
fn survivors_on_loopback_declare_down_whoever_falls_silent() {
    let (together, bereft) = (Goal::default(), Goal::default());
    each(|mut peer| {
        peer.drive(&together, Peer::sees_all_alive);
        if peer.node.id() == LAST {
            drop(peer);
            bereft.0.fetch_add(1, Ordering::Relaxed);
            return;
        }
        peer.drive(&bereft, |peer| peer.told_down.contains(&LAST));
        assert_eq!(peer.sees(LAST), Some(Status::Down));
        assert_eq!(peer.told_left, BTreeSet::new());
    });
}

#[test]
fn only_a_refusal_or_an_unreachable_host_is_held_against_the_peer() {
    let failure = |kind: ErrorKind| SendFailure::from(&Error::from(kind));
    for kind in [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable] {
        assert_eq!(failure(kind), SendFailure::Unreachable, "{kind}");
    }
    for kind in [ErrorKind::WouldBlock, ErrorKind::NetworkUnreachable, ErrorKind::InvalidInput, ErrorKind::Other] {
        assert_eq!(failure(kind), SendFailure::Local, "{kind}");
    }
}

#[test]
fn a_socket_that_has_nothing_to_read_is_not_taken_for_a_broken_one() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a wait is not zero");
    let error = socket.recv_from(&mut [0]).expect_err("nobody sends to it");
    assert!(tidings::is_transient(&error), "{error}");
    socket.set_nonblocking(true).expect("a socket can be told not to block");
    let error = socket.recv_from(&mut [0]).expect_err("nobody sends to it");
    assert!(tidings::is_transient(&error), "{error}");
    for kind in [ErrorKind::NotConnected, ErrorKind::InvalidInput, ErrorKind::PermissionDenied, ErrorKind::Other] {
        assert!(!tidings::is_transient(&Error::from(kind)), "{kind}");
    }
}
