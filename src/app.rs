//! One application for the simulator and for real sockets.

use alloc::boxed::Box;
use core::net::SocketAddr;

use crate::event::{OwnedEvent, StartError};
use crate::member::{Address, NodeId};
use crate::node::Node;
use crate::storage::{Heap, Storage};
use crate::time::Instant;

/// What a program does with its node, whoever drives it: [`Sim`](crate::sim::Sim) in tests, `tidings-tokio` or a loop of
/// your own in production. So the logic that is tested is the logic that runs.
///
/// Each method is handed the node, and may call whatever it likes of it but the five verbs; [`Node::now`] is the time. It
/// must not wait: the node stands still meanwhile.
///
/// This one runs in the simulator, which needs the feature `sim`. A test has that by
/// `tidings = { .., features = ["sim"] }` among its `dev-dependencies`:
///
/// ```
/// use std::net::SocketAddr;
/// use std::time::Duration;
/// use tidings::sim::{Conditions, Sim};
/// use tidings::{App, Config, HeapNode, Hosted, Limits, NodeId, OwnedEvent};
///
/// /// Follows the smallest id of those that live.
/// #[derive(Default)]
/// struct Follower {
///     leader: Option<NodeId>,
/// }
///
/// impl App for Follower {
///     fn on_event(&mut self, node: &mut HeapNode, event: &OwnedEvent<SocketAddr>) {
///         if event.member().is_some() {
///             self.leader = node.members().filter(|member| member.status().is_live()).map(|member| member.id()).min();
///         }
///     }
/// }
///
/// let mut sim = Sim::new(7, Conditions::LAN.with_loss(0.05));
/// for _ in 0..5 {
///     let node = HeapNode::new(Config::LAN, Limits::DEFAULT);
///     let host = sim.add(Hosted::new(node, Follower::default()));
///     sim.start(host, &[0]); // all join through the first
/// }
/// sim.run_for(Duration::from_secs(5));
/// sim.crash(0);
/// let agree = |sim: &Sim<Hosted<Follower>>| {
///     sim.running().all(|host| sim.machine(host).is_some_and(|it| it.app.leader == Some(sim.id(1))))
/// };
/// let took = sim.run_until_true(agree, Duration::from_millis(50), Duration::from_secs(10));
/// assert!(took.is_some(), "the next one leads");
/// ```
pub trait App<A: Address = SocketAddr, S: Storage = Heap> {
    /// A life of the node has begun: the time to subscribe to topics and to publish keys.
    fn on_start(&mut self, node: &mut Node<A, S>) {
        let _ = node;
    }

    /// Something has happened. Called once for each event, in order.
    fn on_event(&mut self, node: &mut Node<A, S>, event: &OwnedEvent<A>);

    /// The time that [`next_timer`](Self::next_timer) gave has come.
    fn on_timer(&mut self, node: &mut Node<A, S>) {
        let _ = node;
    }

    /// When `on_timer` is to be called; asked again after each call of any other method. Must be later than the last call
    /// of `on_timer`, or the driver calls it without end.
    fn next_timer(&self) -> Instant {
        Instant::FAR_FUTURE
    }
}

/// No application: nothing is done.
impl<A: Address, S: Storage> App<A, S> for () {
    fn on_event(&mut self, _: &mut Node<A, S>, _: &OwnedEvent<A>) {}
}

impl<A: Address, S: Storage, P: App<A, S> + ?Sized> App<A, S> for Box<P> {
    fn on_start(&mut self, node: &mut Node<A, S>) {
        (**self).on_start(node);
    }

    fn on_event(&mut self, node: &mut Node<A, S>, event: &OwnedEvent<A>) {
        (**self).on_event(node, event);
    }

    fn on_timer(&mut self, node: &mut Node<A, S>) {
        (**self).on_timer(node);
    }

    fn next_timer(&self) -> Instant {
        (**self).next_timer()
    }
}

/// A node with its application, behind the node's own verbs. [`Sim`](crate::sim::Sim) drives it as it does a bare node.
#[derive(Clone, Debug)]
pub struct Hosted<P, A: Address = SocketAddr, S: Storage = Heap> {
    /// The node.
    pub node: Node<A, S>,
    /// The application.
    pub app: P,
}

impl<A: Address, S: Storage, P: App<A, S>> Hosted<P, A, S> {
    /// Puts the two together.
    pub fn new(node: Node<A, S>, app: P) -> Self {
        Hosted { node, app }
    }

    /// As [`Node::start`], then [`App::on_start`].
    pub fn start(
        &mut self,
        now: Instant,
        id: NodeId,
        addr: A,
        rng: &mut impl rand_core::Rng,
    ) -> Result<(), StartError> {
        self.node.start(now, id, addr, rng)?;
        self.app.on_start(&mut self.node);
        Ok(())
    }

    /// As [`Node::start_with_seed`], then [`App::on_start`].
    pub fn start_with_seed(&mut self, now: Instant, id: NodeId, addr: A, seed: [u8; 16]) -> Result<(), StartError> {
        self.node.start_with_seed(now, id, addr, seed)?;
        self.app.on_start(&mut self.node);
        Ok(())
    }

    /// As [`Node::handle_datagram`].
    pub fn handle_datagram(&mut self, now: Instant, from: A, datagram: &mut [u8]) {
        self.node.handle_datagram(now, from, datagram);
    }

    /// As [`Node::handle_timeout`], then [`App::on_timer`] if it is time for that.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.node.handle_timeout(now);
        if self.node.now() >= self.app.next_timer() {
            self.app.on_timer(&mut self.node);
        }
    }

    /// As [`Node::poll_event`]; the application has seen what this gives.
    pub fn poll_event(&mut self) -> Option<OwnedEvent<A>> {
        let event = self.node.poll_event()?.to_owned();
        self.app.on_event(&mut self.node, &event);
        Some(event)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): for the node, or for the application.
    pub fn poll_timeout(&self) -> Instant {
        self.node.poll_timeout().min(self.app.next_timer())
    }
}
