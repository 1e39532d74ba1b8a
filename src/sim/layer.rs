//! Machines around machines.

use super::machine::{HostAddress, Machine, Report};
use super::network::SimRng;
use crate::app::{App, Hosted};
use crate::member::{NodeId, Status};
use crate::node::Node;
use crate::storage::Storage;
use crate::time::Instant;

/// A machine around another: something that ails, that writes down what it sees, or that drives it differently. It passes on
/// every call that it does not define itself, and is a [`Machine`] by that. For an application see [`App`].
///
/// ```
/// use tidings::sim::{Layer, Machine};
/// use tidings::{HeapNode, Instant};
///
/// /// Counts what it is handed.
/// struct Counted {
///     node: HeapNode<u32>,
///     datagrams: u32,
/// }
///
/// impl Layer for Counted {
///     type Inner = HeapNode<u32>;
///
///     fn inner(&self) -> &HeapNode<u32> {
///         &self.node
///     }
///     fn inner_mut(&mut self) -> &mut HeapNode<u32> {
///         &mut self.node
///     }
///     fn handle_datagram(&mut self, now: Instant, from: u32, datagram: &mut [u8]) {
///         self.datagrams += 1;
///         Machine::handle_datagram(&mut self.node, now, from, datagram);
///     }
/// }
/// ```
pub trait Layer {
    /// What is inside.
    type Inner: Machine;

    /// What is inside.
    fn inner(&self) -> &Self::Inner;
    /// What is inside.
    fn inner_mut(&mut self) -> &mut Self::Inner;

    /// As [`Machine::start`].
    fn start(&mut self, now: Instant, id: NodeId, addr: <Self::Inner as Machine>::Addr, rng: &mut SimRng) {
        self.inner_mut().start(now, id, addr, rng);
    }

    /// As [`Machine::join`].
    fn join(&mut self, now: Instant, seed: <Self::Inner as Machine>::Addr) {
        self.inner_mut().join(now, seed);
    }

    /// As [`Machine::leave`].
    fn leave(&mut self, now: Instant) {
        self.inner_mut().leave(now);
    }

    /// As [`Machine::handle_datagram`].
    fn handle_datagram(&mut self, now: Instant, from: <Self::Inner as Machine>::Addr, datagram: &mut [u8]) {
        self.inner_mut().handle_datagram(now, from, datagram);
    }

    /// As [`Machine::handle_timeout`].
    fn handle_timeout(&mut self, now: Instant) {
        self.inner_mut().handle_timeout(now);
    }

    /// As [`Machine::poll_transmit`].
    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(<Self::Inner as Machine>::Addr, usize)> {
        self.inner_mut().poll_transmit(buf)
    }

    /// As [`Machine::poll_report`].
    fn poll_report(&mut self) -> Option<Report> {
        self.inner_mut().poll_report()
    }

    /// As [`Machine::poll_timeout`].
    fn poll_timeout(&self) -> Instant {
        self.inner().poll_timeout()
    }
}

impl<L: Layer> Machine for L {
    type Addr = <L::Inner as Machine>::Addr;

    fn addr_of(host: u32) -> Self::Addr {
        L::Inner::addr_of(host)
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: Self::Addr, rng: &mut SimRng) {
        Layer::start(self, now, id, addr, rng);
    }

    fn join(&mut self, now: Instant, seed: Self::Addr) {
        Layer::join(self, now, seed);
    }

    fn leave(&mut self, now: Instant) {
        Layer::leave(self, now);
    }

    fn handle_datagram(&mut self, now: Instant, from: Self::Addr, datagram: &mut [u8]) {
        Layer::handle_datagram(self, now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        Layer::handle_timeout(self, now);
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(Self::Addr, usize)> {
        Layer::poll_transmit(self, buf)
    }

    fn poll_report(&mut self) -> Option<Report> {
        Layer::poll_report(self)
    }

    fn poll_timeout(&self) -> Instant {
        Layer::poll_timeout(self)
    }

    fn status(&self, id: NodeId) -> Option<Status> {
        self.inner().status(id)
    }

    fn live(&self) -> usize {
        self.inner().live()
    }

    fn has_left(&self) -> bool {
        self.inner().has_left()
    }

    fn broadcast(&mut self, now: Instant, payload: &[u8]) -> bool {
        self.inner_mut().broadcast(now, payload)
    }
}

impl<P: App<A, S>, A: HostAddress, S: Storage> Layer for Hosted<P, A, S> {
    type Inner = Node<A, S>;

    fn inner(&self) -> &Node<A, S> {
        &self.node
    }

    fn inner_mut(&mut self) -> &mut Node<A, S> {
        &mut self.node
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: A, rng: &mut SimRng) {
        Hosted::start(self, now, id, addr, rng).expect("the simulator's addresses can be sent to");
    }

    fn handle_timeout(&mut self, now: Instant) {
        Hosted::handle_timeout(self, now);
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.poll_event().map(|event| Report::from(&event.as_event()))
    }

    fn poll_timeout(&self) -> Instant {
        Hosted::poll_timeout(self)
    }
}
