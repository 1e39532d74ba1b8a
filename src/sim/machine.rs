//! What the simulator drives.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::network::SimRng;
use crate::event::{Event, JoinError, SendFailure};
use crate::member::{Address, NodeId, Status};
use crate::node::Node;
use crate::storage::Storage;
use crate::time::Instant;
use crate::topic::Topic;

/// Something that a machine told its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A member's status, as this machine now sees it.
    Member(NodeId, Status),
    /// It has joined.
    Joined,
    /// No seed lets it in.
    JoinFailing,
    /// Nobody answers it.
    Isolated,
    /// Somebody answers it again.
    Reconnected,
    /// It has fallen silent, as another has its id.
    IdTaken,
    /// It has done leaving.
    Left,
    /// A member has moved.
    Moved(NodeId),
    /// A broadcast has come.
    Message {
        /// Who broadcast it.
        origin: NodeId,
        /// Its place among all that the origin has broadcast in its life, from 1 on; 0 where the protocol has none.
        seq: u32,
        /// The first eight bytes of the payload, little-endian; missing ones are zero.
        number: u64,
        /// How many machines it went through, the origin included; 0 where the protocol does not say.
        hops: u8,
    },
    /// Broadcasts of this origin will not come any more: these, the last included.
    Gap {
        /// Who broadcast them.
        origin: NodeId,
        /// The first of them.
        first: u32,
        /// The last of them.
        last: u32,
    },
    /// Anything else.
    Other,
}

impl<A: Copy> From<&Event<'_, A>> for Report {
    fn from(event: &Event<'_, A>) -> Self {
        match *event {
            Event::MemberUp(member)
            | Event::MemberSuspect(member)
            | Event::MemberDown(member)
            | Event::MemberLeft(member) => Report::Member(member.id(), member.status()),
            Event::Joined => Report::Joined,
            Event::JoinFailing { .. } => Report::JoinFailing,
            Event::Isolated => Report::Isolated,
            Event::Reconnected => Report::Reconnected,
            Event::IdTaken => Report::IdTaken,
            Event::Left => Report::Left,
            Event::MemberMoved(member) => Report::Moved(member.id()),
            Event::Message { origin, id, payload, hops, .. } => {
                Report::Message { origin, seq: id.seq(), number: number_of(payload), hops }
            }
            Event::Gap { origin, first, last } => Report::Gap { origin, first, last },
            _ => Report::Other,
        }
    }
}

/// A protocol that the simulator can drive: the verbs of a [`Node`], and what the simulator must know to judge it.
///
/// A bare [`Node`] is one, so is a node with an application, [`Hosted`](crate::Hosted), and whatever is a
/// [`Layer`](super::Layer) around one. Here each host follows the smallest live id, and
/// after a partition all follow the same one again:
///
/// ```
/// use std::time::Duration;
/// use tidings::sim::{Conditions, Sim};
/// use tidings::{App, Config, HeapNode, Hosted, Limits, NodeId, OwnedEvent};
///
/// #[derive(Default)]
/// struct Follower {
///     leader: Option<NodeId>,
/// }
///
/// impl App<u32> for Follower {
///     fn on_event(&mut self, node: &mut HeapNode<u32>, event: &OwnedEvent<u32>) {
///         if event.member().is_some() {
///             self.leader = node.members().filter(|member| member.status().is_live()).map(|member| member.id()).min();
///         }
///     }
/// }
///
/// let mut sim = Sim::new(7, Conditions::LAN.with_loss(0.05));
/// for _ in 0..9 {
///     let node = HeapNode::new(Config::LAN, Limits::DEFAULT);
///     let host = sim.add(Hosted::new(node, Follower::default()));
///     sim.start(host, &[0]);
/// }
/// type Cluster = Sim<Hosted<Follower, u32>>;
/// let follow = |sim: &Cluster, hosts: std::ops::Range<usize>, leader: usize| {
///     hosts.into_iter().all(|host| sim.machine(host).is_some_and(|it| it.app.leader == Some(sim.id(leader))))
/// };
/// let (pace, limit) = (Duration::from_millis(100), Duration::from_secs(60));
/// assert!(sim.run_until_true(|sim| follow(sim, 0..9, 0), pace, limit).is_some());
///
/// for host in 0..4 {
///     sim.set_side(host, 1);
/// }
/// let split = |sim: &Cluster| follow(sim, 0..4, 0) && follow(sim, 4..9, 4);
/// assert!(sim.run_until_true(split, pace, limit).is_some(), "each side has a leader of its own");
///
/// sim.heal();
/// assert!(sim.run_until_true(|sim| follow(sim, 0..9, 0), pace, limit).is_some(), "one leader again");
/// ```
pub trait Machine {
    /// Where a machine is reached.
    type Addr: Copy + Ord + core::fmt::Debug;

    /// The address of the simulator's `host`-th host; distinct for distinct hosts.
    fn addr_of(host: u32) -> Self::Addr;

    /// Begins a life, with all randomness from `rng`.
    fn start(&mut self, now: Instant, id: NodeId, addr: Self::Addr, rng: &mut SimRng);
    /// Joins through a seed.
    fn join(&mut self, now: Instant, seed: Self::Addr);
    /// Leaves gracefully.
    fn leave(&mut self, now: Instant);
    /// Takes a datagram.
    fn handle_datagram(&mut self, now: Instant, from: Self::Addr, datagram: &mut [u8]);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);
    /// Writes the next datagram into `buf`: where to, and how long it is.
    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(Self::Addr, usize)>;
    /// The next thing that it tells its application.
    fn poll_report(&mut self) -> Option<Report>;
    /// When it wants to be called next.
    fn poll_timeout(&self) -> Instant;
    /// What it holds a member to be; `None` if it does not know it.
    fn status(&self, id: NodeId) -> Option<Status>;
    /// How many members it holds to be alive or suspect, itself included.
    fn live(&self) -> usize;
    /// Whether its life has come to an end that it knows of: it left, or gave way to another with its id.
    fn has_left(&self) -> bool;

    /// Takes note that what it last gave to be sent there could not be sent, by the fault of its own host. A protocol that
    /// takes no notice leaves this out.
    fn send_error(&mut self, now: Instant, to: Self::Addr) {
        let _ = (now, to);
    }

    /// Sends a payload to all members; false if it cannot, now or at all. A protocol that has no broadcast leaves this
    /// out.
    fn broadcast(&mut self, now: Instant, payload: &[u8]) -> bool {
        let _ = (now, payload);
        false
    }
}

/// A payload as [`Report::Message`] shows it.
pub fn number_of(payload: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = payload.len().min(8);
    bytes[..len].copy_from_slice(&payload[..len]);
    u64::from_le_bytes(bytes)
}

/// What the simulator has nodes broadcast on; they hear of it if they listen to it.
pub const TOPIC: Topic = Topic::from_name("simulated");

/// An address type that can number the simulator's hosts.
pub trait HostAddress: Address {
    /// The address of the `host`-th host.
    fn of_host(host: u32) -> Self;
}

impl HostAddress for u16 {
    fn of_host(host: u32) -> Self {
        host as u16
    }
}

impl HostAddress for u32 {
    fn of_host(host: u32) -> Self {
        host
    }
}

impl HostAddress for u64 {
    fn of_host(host: u32) -> Self {
        host.into()
    }
}

impl HostAddress for SocketAddrV4 {
    fn of_host(host: u32) -> Self {
        SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0001 + host), 7400)
    }
}

impl HostAddress for SocketAddr {
    fn of_host(host: u32) -> Self {
        SocketAddrV4::of_host(host).into()
    }
}

impl<A: HostAddress, S: Storage> Machine for Node<A, S> {
    type Addr = A;

    fn addr_of(host: u32) -> A {
        A::of_host(host)
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: A, rng: &mut SimRng) {
        Node::start(self, now, id, addr, rng).expect("the simulator's addresses can be sent to");
    }

    fn join(&mut self, now: Instant, seed: A) {
        let joined = Node::join(self, now, seed);
        // All may be given the same list.
        assert!(matches!(joined, Ok(()) | Err(JoinError::Myself)), "the simulator's addresses can be sent to");
    }

    fn leave(&mut self, now: Instant) {
        Node::leave(self, now);
    }

    fn handle_datagram(&mut self, now: Instant, from: A, datagram: &mut [u8]) {
        Node::handle_datagram(self, now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        Node::handle_timeout(self, now);
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(A, usize)> {
        Node::poll_transmit(self, buf).map(|transmit| (transmit.to, transmit.payload.len()))
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.poll_event().map(|event| Report::from(&event))
    }

    fn poll_timeout(&self) -> Instant {
        Node::poll_timeout(self)
    }

    fn status(&self, id: NodeId) -> Option<Status> {
        self.member(id).map(|member| member.status())
    }

    fn live(&self) -> usize {
        Node::live(self)
    }

    fn has_left(&self) -> bool {
        matches!(self.phase(), crate::Phase::Left | crate::Phase::Idle)
    }

    fn send_error(&mut self, now: Instant, to: A) {
        Node::handle_send_error(self, now, to, SendFailure::Local);
    }

    /// On [`TOPIC`].
    fn broadcast(&mut self, now: Instant, payload: &[u8]) -> bool {
        Node::broadcast(self, now, TOPIC, payload).is_ok()
    }
}
