//! Several nodes on one thread, each with a socket of its own, around one call that waits until one of them is ready.

#[path = "shared/mod.rs"]
mod shared;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, value_parser};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use owo_colors::OwoColorize;
use tidings::{Clock, Event, HeapNode, Instant, Limits, MAX_DATAGRAM, NodeId, Phase, SendFailure};

use shared::options::{self, Joining, Opened, Place};
use shared::{LEAVING_TEXT, print};

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --example poll --`:
  Five nodes, the first of them at port 7001:
    --bind 127.0.0.1:7001 --nodes 5
  Three more, in another terminal:
    --join 127.0.0.1:7001
The examples `cluster`, with --bind, and `tokio` join the same cluster with the same options.";

/// Runs several nodes of a cluster on one thread, until Ctrl-C.
#[derive(Parser)]
#[command(name = "poll", max_term_width = 80, after_help = EXAMPLES)]
struct Options {
    /// How many nodes, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// The first node's; the others take free ports beside it.
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    joining: Joining,
}

struct Peer {
    node: HeapNode,
    socket: UdpSocket,
    addr: SocketAddr,
    /// There may be a datagram to read. The system tells once, and again only after all have been read.
    ready: bool,
}

fn main() -> ExitCode {
    shared::outcome(run(&Options::parse()))
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let failed = |error: io::Error| format!("cannot wait for sockets: {error}");
    let (clock, mut poll) = (Clock::start(), Poll::new().map_err(failed)?);
    let mut peers = start(options, clock, &poll)?;
    let waker = Waker::new(poll.registry(), Token(peers.len())).map_err(failed)?;
    let leave = move || {
        print(LEAVING_TEXT);
        // If it cannot be woken, it leaves at its next deadline.
        let _ = waker.wake();
    };
    shared::leave_on_ctrl_c(leave, || ())?;
    let mut events = Events::with_capacity(64);
    let mut buf = vec![0; MAX_DATAGRAM];
    loop {
        for peer in &mut peers {
            peer.turn(clock, &mut buf)?;
        }
        if peers.iter().all(|peer| peer.node.phase() == Phase::Left) {
            return Ok(ExitCode::SUCCESS);
        }
        let next = peers.iter().map(|peer| peer.node.poll_timeout()).min().unwrap_or(Instant::FAR_FUTURE);
        let wait = if peers.iter().any(|peer| peer.ready) { Duration::ZERO } else { clock.until(next) };
        if let Err(error) = poll.poll(&mut events, Some(wait))
            && !tidings::is_transient(&error)
        {
            return Err(failed(error));
        }
        for event in &events {
            if let Some(peer) = peers.get_mut(event.token().0) {
                peer.ready = true;
            }
        }
    }
}

impl Peer {
    /// Reads one datagram at most: a flood at this socket keeps nobody from the others, and its end is not waited for
    /// before the deadlines, which `handle_datagram` and `handle_timeout` both serve.
    fn turn(&mut self, clock: Clock, buf: &mut [u8]) -> Result<(), String> {
        let Peer { node, socket, addr, ready } = self;
        if *ready {
            match socket.recv_from(buf) {
                Ok((len, from)) => node.handle_datagram(clock.now(), from, &mut buf[..len]),
                Err(error) if tidings::is_transient(&error) => *ready = error.kind() != ErrorKind::WouldBlock,
                Err(error) => return Err(format!("the socket at {addr} failed: {error}")),
            }
        }
        node.handle_timeout(clock.now());
        if shared::is_leaving() {
            node.leave(clock.now());
        }
        while let Some(datagram) = node.poll_transmit(buf) {
            // That the system has no room is local trouble too: to wait for it would keep the other nodes waiting.
            if let Err(error) = socket.send_to(datagram.payload, datagram.to) {
                node.handle_send_error(clock.now(), datagram.to, SendFailure::from(&error));
            }
        }
        while let Some(event) = node.poll_event() {
            print_event(*addr, &event);
            if event == Event::IdTaken {
                return Err(format!("another live node has the id of the one at {addr}: choose another --name"));
            }
        }
        Ok(())
    }
}

/// Nodes of which the first is as asked for. All are given the same seeds, the first node among them.
fn start(options: &Options, clock: Clock, poll: &Poll) -> Result<Vec<Peer>, String> {
    let Options { nodes, place, joining } = options;
    let Opened { socket, addr: first, mut seeds } = place.open(joining)?;
    let mut opened = vec![(socket, first)];
    for _ in 1..*nodes {
        opened.push(options::bind(SocketAddr::new(first.ip(), 0))?);
    }
    seeds.truncate(tidings::MAX_SEEDS - 1);
    seeds.push(first);
    let failed = |error: io::Error| format!("cannot wait for a socket: {error}");
    let (cluster, asking) = (&joining.cluster, joining.asking());
    let mut peers = Vec::new();
    for (socket, addr) in opened {
        socket.set_nonblocking(true).map_err(failed)?;
        let mut socket = UdpSocket::from_std(socket);
        poll.registry().register(&mut socket, Token(peers.len()), Interest::READABLE).map_err(failed)?;
        let mut node = HeapNode::new(joining.config(), Limits::DEFAULT);
        for seed in &seeds {
            node.join(clock.now(), *seed).map_err(|error| format!("--join {seed}: {error}"))?;
        }
        let id = if addr == first { place.id(addr) } else { NodeId::from_name(&addr.to_string()) };
        node.start(clock.now(), id, addr, &mut rand::rng()).map_err(|error| format!("{addr}: {error}"))?;
        print(format_args!("node {} at {addr} in cluster \"{cluster}\"{asking}; Ctrl-C to leave", id.bold()));
        peers.push(Peer { node, socket, addr, ready: false });
    }
    Ok(peers)
}

/// Prints the time of day, at which node, and what happened.
fn print_event(observer: SocketAddr, event: &Event<'_, SocketAddr>) {
    let head = format!("{}  {observer:<15}", shared::stamp());
    print(format_args!("{}  {}", head.dimmed(), event.style(shared::style(event))));
}
