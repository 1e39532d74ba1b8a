//! A node, its socket and its clock: the loop around a node that every program needs.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tidings::{
    BroadcastError, Clock, Config, Event, HeapNode, Limits, MAX_DATAGRAM, NodeId, SendFailure, StateError, Topic,
};

/// The longest time in which the caller of [`Driver::listen`] cannot do anything else.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// What the nodes of one program share.
#[derive(Clone, Copy)]
pub struct Setup {
    pub clock: Clock,
    pub config: Config,
    /// Percentage of outgoing datagrams that are lost on purpose.
    pub loss: u8,
    /// What they listen to, and say something on.
    pub topic: Topic,
}

pub struct Driver {
    pub node: HeapNode,
    setup: Setup,
    socket: UdpSocket,
    buf: Vec<u8>,
}

impl Driver {
    /// Begins the life of a node that others reach at `addr`.
    pub fn start(
        setup: Setup,
        socket: UdpSocket,
        (id, addr): (NodeId, SocketAddr),
        seeds: &[SocketAddr],
    ) -> Result<Driver, String> {
        let mut node = HeapNode::new(setup.config, Limits::DEFAULT);
        let now = setup.clock.now();
        for seed in seeds {
            node.join(now, *seed).map_err(|error| format!("--join {seed}: {error}"))?;
        }
        node.subscribe(now, setup.topic).map_err(|error| error.to_string())?;
        node.start(now, id, addr, &mut rand::rng()).map_err(|error| format!("{addr}: {error}"))?;
        Ok(Driver { node, setup, socket, buf: vec![0; MAX_DATAGRAM] })
    }

    /// Does what is due: sends what is to be sent, and tells what has happened.
    pub fn speak(&mut self, mut tell: impl FnMut(Event<'_, SocketAddr>)) {
        self.node.handle_timeout(self.setup.clock.now());
        while let Some(transmit) = self.node.poll_transmit(&mut self.buf) {
            if rand::random_ratio(self.setup.loss.into(), 100) {
                continue;
            }
            if let Err(error) = self.socket.send_to(transmit.payload, transmit.to) {
                self.node.handle_send_error(self.setup.clock.now(), transmit.to, SendFailure::from(&error));
            }
        }
        while let Some(event) = self.node.poll_event() {
            tell(event);
        }
    }

    /// Waits for a datagram, but not past the node's next deadline.
    pub fn listen(&mut self) -> io::Result<()> {
        let wait = self.setup.clock.until(self.node.poll_timeout()).min(LONGEST_WAIT);
        self.socket.set_read_timeout(Some(wait))?;
        match self.socket.recv_from(&mut self.buf) {
            Ok((len, from)) => self.node.handle_datagram(self.setup.clock.now(), from, &mut self.buf[..len]),
            Err(error) if tidings::is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Says something to all others.
    pub fn say(&mut self, text: &str) -> Result<(), BroadcastError> {
        let said = self.node.broadcast(self.setup.clock.now(), self.setup.topic, text.as_bytes());
        said.map(|_| ())
    }

    /// Asks all others something, and waits so long for their answers.
    pub fn ask(&mut self, text: &str, within: Duration) -> Result<(), BroadcastError> {
        let asked = self.node.ask(self.setup.clock.now(), self.setup.topic, text.as_bytes(), u32::MAX, within);
        asked.map(|_| ())
    }

    /// Writes a key that all others can read.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), StateError> {
        self.node.set(self.setup.clock.now(), key, value.as_bytes()).map(|_| ())
    }

    pub fn leave(&mut self) {
        self.node.leave(self.setup.clock.now());
    }
}
