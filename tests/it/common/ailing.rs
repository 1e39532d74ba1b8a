//! Nodes whose process or link is not as it should be.

use std::collections::VecDeque;
use std::time::Duration;

use tidings::sim::{Conditions, Layer, Machine, Sim};
use tidings::{Config, HeapNode, Instant, Limits, SendFailure};

use super::cluster::{SECOND, settled};

/// Where the kind of a datagram's first frame stands, while the sender's incarnation is below 128; and that of a ping.
const FIRST_KIND: usize = 19;
const PING: u8 = 1;

/// A node that ails as its fields say; well at first.
pub struct Ailing {
    pub node: HeapNode<u32>,
    /// What arrives is read so much later.
    pub lag: Duration,
    /// How many pings it still does not read.
    pub deaf_to: u32,
    /// The longest datagram that its link takes; of longer ones the socket says so.
    pub link_takes: usize,
    /// An address that the network says cannot be reached.
    pub unreachable: Option<u32>,
    /// What arrives and what is to be sent waits; its timers run on.
    blocked: bool,
    now: Instant,
    inbox: VecDeque<(Instant, u32, Vec<u8>)>,
    outbox: VecDeque<(u32, Vec<u8>)>,
}

impl Ailing {
    pub fn new(config: Config) -> Self {
        Ailing {
            node: HeapNode::new(config, Limits::DEFAULT),
            lag: Duration::ZERO,
            deaf_to: 0,
            link_takes: usize::MAX,
            unreachable: None,
            blocked: false,
            now: Instant::ZERO,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
        }
    }

    /// Blocks it, or lets everything that waits go on in a burst.
    pub fn set_blocked(&mut self, now: Instant, blocked: bool) {
        self.blocked = blocked;
        Layer::handle_timeout(self, now);
    }

    /// What the socket says of a datagram, if anything.
    fn refused(&self, to: u32, len: usize) -> Option<SendFailure> {
        if len > self.link_takes {
            return Some(SendFailure::Local);
        }
        (Some(to) == self.unreachable).then_some(SendFailure::Unreachable)
    }
}

impl Layer for Ailing {
    type Inner = HeapNode<u32>;

    fn inner(&self) -> &HeapNode<u32> {
        &self.node
    }

    fn inner_mut(&mut self) -> &mut HeapNode<u32> {
        &mut self.node
    }

    fn handle_datagram(&mut self, now: Instant, from: u32, datagram: &mut [u8]) {
        self.now = now;
        if self.deaf_to > 0 && datagram.get(FIRST_KIND) == Some(&PING) {
            self.deaf_to -= 1;
        } else if self.blocked || !self.lag.is_zero() {
            self.inbox.push_back((now + self.lag, from, datagram.to_vec()));
        } else {
            self.node.handle_datagram(now, from, datagram);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while !self.blocked && self.inbox.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, from, mut datagram) = self.inbox.pop_front().expect("it was seen");
            self.node.handle_datagram(now, from, &mut datagram);
        }
        self.node.handle_timeout(now);
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u32, usize)> {
        while let Some((to, len)) = Machine::poll_transmit(&mut self.node, buf) {
            match self.refused(to, len) {
                Some(failure) => self.node.handle_send_error(self.now, to, failure),
                None => self.outbox.push_back((to, buf[..len].to_vec())),
            }
        }
        let (to, datagram) = if self.blocked { None } else { self.outbox.pop_front() }?;
        buf[..datagram.len()].copy_from_slice(&datagram);
        Some((to, datagram.len()))
    }

    fn poll_timeout(&self) -> Instant {
        let waiting = self.inbox.front().filter(|_| !self.blocked).map_or(Instant::FAR_FUTURE, |(at, ..)| *at);
        self.node.poll_timeout().min(waiting)
    }
}

/// Hosts that join through host 0 and have settled, each with these settings.
pub fn ailing_cluster(size: usize, seed: u64, config: impl Fn(usize) -> Config) -> Sim<Ailing> {
    settled(Sim::new(seed, Conditions::LAN), (size, seed), 30 * SECOND, |host| Ailing::new(config(host)))
}
