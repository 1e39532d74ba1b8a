//! Several nodes on one thread, each with a socket of its own, around one call that waits until one of them is ready.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Parser, value_parser};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use owo_colors::{OwoColorize, Style};
use tidings::{Clock, Config, Event, HeapNode, Instant, Limits, MAX_DATAGRAM, NodeId, Phase, SendFailure};

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --example poll --`:
  Five nodes, the first of them at port 7001:
    --bind 127.0.0.1:7001 --nodes 5
  Three more, in another terminal:
    --join 127.0.0.1:7001
The examples `cluster`, with --bind, and `tokio` join the same cluster with the same options.";

/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
/// Set by Ctrl-C.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// Runs several nodes of a cluster on one thread, until Ctrl-C.
#[derive(Parser)]
#[command(name = "poll", after_help = EXAMPLES)]
struct Options {
    /// How many nodes, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// Address of the first node's socket, where others reach it; the other nodes take free ports, as does the first
    /// with port 0
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = address)]
    bind: SocketAddr,
    /// Join the cluster through the nodes at these addresses
    #[arg(long, value_name = "ADDR", num_args = 1.., value_parser = address)]
    join: Vec<SocketAddr>,
    /// How far apart the nodes are: lan, wan, local or low-power
    #[arg(long, default_value = "lan")]
    preset: Config,
    /// Name of the cluster; nodes of other clusters are ignored
    #[arg(long, value_name = "NAME", default_value = "demo")]
    cluster: String,
}

struct Peer {
    node: HeapNode,
    socket: UdpSocket,
    addr: SocketAddr,
    /// There may be a datagram to read. The system tells once, and again only after all have been read.
    ready: bool,
}

fn main() -> ExitCode {
    let Err(sentence) = run(&Options::parse()) else { return ExitCode::SUCCESS };
    let _ = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
    ExitCode::FAILURE
}

fn run(options: &Options) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot wait for sockets: {error}");
    let (clock, mut poll) = (Clock::start(), Poll::new().map_err(failed)?);
    let mut peers = start(options, clock, &poll)?;
    leave_on_ctrl_c(Waker::new(poll.registry(), Token(peers.len())).map_err(failed)?)?;
    let mut events = Events::with_capacity(64);
    let mut buf = vec![0; MAX_DATAGRAM];
    loop {
        for peer in &mut peers {
            peer.turn(clock, &mut buf)?;
        }
        if peers.iter().all(|peer| peer.node.phase() == Phase::Left) {
            return Ok(());
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
        if LEAVING.load(Ordering::Relaxed) {
            node.leave(clock.now());
        }
        while let Some(datagram) = node.poll_transmit(buf) {
            // That the system has no room is local trouble too: to wait for it would keep the other nodes waiting.
            if let Err(error) = socket.send_to(datagram.payload, datagram.to) {
                node.handle_send_error(clock.now(), datagram.to, SendFailure::from(&error));
            }
        }
        while let Some(event) = node.poll_event() {
            print_event(clock.now(), *addr, &event);
            if event == Event::IdTaken {
                return Err(format!("another live node has the id of {addr}: --bind other addresses"));
            }
        }
        Ok(())
    }
}

/// Nodes of which the first is at the address asked for. All are given the same seeds, the first node among them.
fn start(options: &Options, clock: Clock, poll: &Poll) -> Result<Vec<Peer>, String> {
    let &Options { bind, nodes, preset, ref join, ref cluster } = options;
    if let Some(seed) = join.iter().find(|seed| seed.is_ipv4() != bind.is_ipv4()) {
        return Err(format!("--join {seed} and --bind {bind} must both be IPv4, or both IPv6"));
    }
    let asking = if join.is_empty() { "" } else { ", asking to join" };
    let (mut peers, mut seeds) = (Vec::new(), join.clone());
    for number in 0..nodes {
        let at = if number == 0 { bind } else { SocketAddr::new(bind.ip(), 0) };
        let failed = |error: io::Error| format!("cannot bind {at}: {error}");
        let mut socket = UdpSocket::bind(at).map_err(failed)?;
        let addr = socket.local_addr().map_err(failed)?;
        poll.registry().register(&mut socket, Token(peers.len()), Interest::READABLE).map_err(failed)?;
        let mut node = HeapNode::new(preset.with_cluster(cluster), Limits::DEFAULT);
        if number == 0 {
            seeds.push(addr);
        }
        let joined = seeds.iter().try_for_each(|seed| node.join(clock.now(), *seed));
        joined.map_err(|_| "--join names more addresses than a node keeps; one that answers is enough")?;
        let id = NodeId::from_name(&addr.to_string());
        node.start(clock.now(), id, addr, &mut rand::rng()).map_err(|_| {
            format!("nobody can send to {addr}: --bind needs an address at which others reach the nodes")
        })?;
        print(format_args!("node {} at {addr} in cluster \"{cluster}\"{asking}; Ctrl-C to leave", id.bold()));
        peers.push(Peer { node, socket, addr, ready: false });
    }
    Ok(peers)
}

fn leave_on_ctrl_c(waker: Waker) -> Result<(), String> {
    let handler = move || {
        if LEAVING.swap(true, Ordering::Relaxed) {
            process::exit(INTERRUPTED);
        }
        print("leaving; Ctrl-C again to exit at once");
        // If it cannot be woken, it leaves at its next deadline.
        let _ = waker.wake();
    };
    ctrlc::set_handler(handler).map_err(|error| format!("cannot watch for Ctrl-C: {error}"))
}

/// Prints the seconds since the start of the program, at which node, and what happened.
fn print_event(at: Instant, observer: SocketAddr, event: &Event<'_, SocketAddr>) {
    let style = match event {
        Event::MemberSuspect(_) | Event::JoinFailing { .. } => Style::new().yellow(),
        Event::MemberDown(_) | Event::Isolated | Event::IdTaken => Style::new().red(),
        Event::MemberLeft(_) | Event::Left => Style::new().blue(),
        Event::Refused { .. } => Style::new().dimmed(),
        _ => Style::new().green(),
    };
    let seconds = at.duration_since(Instant::ZERO).as_secs_f64();
    print(format_args!("{}  {}", format_args!("{seconds:8.3} s  {observer:<15}").dimmed(), event.style(style)));
}

/// Prints a line. Nobody reading any more is no reason to stop.
fn print(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:7001 or [::1]:7001".to_string())
}
