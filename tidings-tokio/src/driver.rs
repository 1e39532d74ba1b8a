//! The task that owns the node: it waits for the socket, for time and for commands, and hands each in.

use std::io;
use std::net::SocketAddr;

use tidings::{MAX_DATAGRAM, SendFailure, is_transient};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::core::{Command, Core};
use crate::error::Stopped;
use crate::socket::Socket;

/// How many datagrams, or commands, are taken before the others have a turn. Each datagram is a call of the system: to read
/// many by one call, as `quinn-udp` does, takes as much of the processor's time for datagrams as short as these.
const BATCH: usize = 64;

pub(crate) struct Driver {
    pub(crate) core: Core,
    pub(crate) socket: Socket,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) seeds: mpsc::Receiver<Vec<SocketAddr>>,
    pub(crate) sending: Sending,
}

/// The datagram that the socket had no room for.
pub(crate) struct Sending {
    buf: Box<[u8]>,
    unsent: Option<(SocketAddr, usize)>,
}

impl Sending {
    pub(crate) fn new() -> Self {
        Sending { buf: vec![0; MAX_DATAGRAM].into(), unsent: None }
    }

    /// Sends what the node has to send, until the socket has no room.
    fn flush(&mut self, core: &mut Core, socket: &Socket) {
        loop {
            if self.unsent.is_none() {
                let next = core.hosted.node.poll_transmit(&mut self.buf);
                self.unsent = next.map(|datagram| (datagram.to, datagram.payload.len()));
            }
            let Some((to, len)) = self.unsent else { return };
            match socket.send(to, &self.buf[..len]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => core.hosted.node.handle_send_error(core.clock.now(), to, SendFailure::from(&error)),
                Ok(()) => {}
            }
            self.unsent = None;
        }
    }
}

impl Driver {
    /// Runs until the node's life is over.
    pub(crate) async fn run(mut self) {
        let mut inbox = vec![0; MAX_DATAGRAM];
        let mut handles = true;
        let mut names = true;
        let stopped = loop {
            self.sending.flush(&mut self.core, &self.socket);
            self.core.resume();
            if let Some(stopped) = self.core.tell() {
                break stopped;
            }
            // What the application has done in answer to events.
            self.sending.flush(&mut self.core, &self.socket);
            self.core.publish(None);
            let wait = self.core.clock.until(self.core.due());
            let Driver { core, socket, commands, seeds, sending } = &mut self;
            // Of those that are ready one is taken at random, and each does no more than a batch: none keeps off another.
            tokio::select! {
                ready = socket.readable() => {
                    match ready.and_then(|()| receive(core, socket, sending, &mut inbox)) {
                        // A socket that never runs dry would keep this thread from its other tasks.
                        Ok(BATCH) => yield_now().await,
                        Ok(_) => {}
                        Err(error) => break Stopped::Socket(error.to_string()),
                    }
                }
                // Only to go round: the datagram is tried again.
                _ = socket.writable(), if sending.unsent.is_some() => {}
                () = sleep(wait) => core.handle_timeout(),
                command = commands.recv(), if handles => match command {
                    Some(command) => obey(core, command, commands),
                    // Nobody holds a handle any more.
                    None => {
                        handles = false;
                        core.hosted.node.leave(core.clock.now());
                    }
                },
                found = seeds.recv(), if names => match found {
                    Some(found) => core.join(socket, &found),
                    None => names = false,
                },
            }
        };
        self.sending.flush(&mut self.core, &self.socket);
        self.core.publish(Some(stopped));
    }
}

/// Hands in what has come: how many datagrams, at most a batch.
fn receive(core: &mut Core, socket: &Socket, sending: &mut Sending, inbox: &mut [u8]) -> io::Result<usize> {
    for count in 0..BATCH {
        match socket.receive(inbox) {
            Ok((len, from)) => {
                let now = core.clock.now();
                core.hosted.handle_datagram(now, from, &mut inbox[..len]);
                // A node remembers few answers: they go out before more is asked.
                sending.flush(core, socket);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(BATCH)
}

fn obey(core: &mut Core, first: Command, commands: &mut mpsc::Receiver<Command>) {
    first(core);
    for _ in 1..BATCH {
        let Ok(command) = commands.try_recv() else { break };
        command(core);
    }
}
