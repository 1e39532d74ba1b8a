//! One node in tokio: its socket, its timer and Ctrl-C in one `select!`, on one task.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::{self, ExitCode};

use clap::Parser;
use owo_colors::{OwoColorize, Style};
use tidings::{Clock, Config, Event, HeapNode, Instant, Limits, MAX_DATAGRAM, NodeId, Phase, SendFailure};
use tokio::net::UdpSocket;
use tokio::signal::ctrl_c;
use tokio::time::sleep;

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --example tokio --`:
  Three nodes, in three terminals:
    --bind 127.0.0.1:7001
    --bind 127.0.0.1:7002 --join 127.0.0.1:7001
    --bind 127.0.0.1:7003 --join 127.0.0.1:7001 127.0.0.1:7002
The examples `cluster`, with --bind, and `poll` join the same cluster with the same options.";

/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Runs one node of a cluster in a tokio task, until Ctrl-C.
#[derive(Parser)]
#[command(name = "tokio", after_help = EXAMPLES)]
struct Options {
    /// Address of the node's socket, where others reach it; port 0 stands for any free one
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(sentence) = run(Options::parse()).await else { return ExitCode::SUCCESS };
    let _ = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
    ExitCode::FAILURE
}

async fn run(Options { bind, join, preset, cluster }: Options) -> Result<(), String> {
    if let Some(seed) = join.iter().find(|seed| seed.is_ipv4() != bind.is_ipv4()) {
        return Err(format!("--join {seed} and --bind {bind} must both be IPv4, or both IPv6"));
    }
    let socket = UdpSocket::bind(bind).await.map_err(|error| format!("cannot bind {bind}: {error}"))?;
    let addr = socket.local_addr().map_err(|error| format!("cannot tell the address of the socket: {error}"))?;
    let id = NodeId::from_name(&addr.to_string());
    let clock = Clock::start();
    let mut node = HeapNode::new(preset.with_cluster(&cluster), Limits::DEFAULT);
    let joined = join.iter().try_for_each(|seed| node.join(clock.now(), *seed));
    joined.map_err(|_| "--join names more addresses than a node keeps; one that answers is enough")?;
    node.start(clock.now(), id, addr, &mut rand::rng())
        .map_err(|_| format!("nobody can send to {addr}: --bind needs an address at which others reach this node"))?;
    let asking = if join.is_empty() { "" } else { ", asking to join" };
    print(format_args!("node {} at {addr} in cluster \"{cluster}\"{asking}; Ctrl-C to leave", id.bold()));

    let mut buf = vec![0; MAX_DATAGRAM];
    let mut interrupt = pin!(ctrl_c());
    loop {
        while let Some(datagram) = node.poll_transmit(&mut buf) {
            // This waits only while the system has no room, and then nothing else could be sent either.
            if let Err(error) = socket.send_to(datagram.payload, datagram.to).await {
                node.handle_send_error(clock.now(), datagram.to, SendFailure::from(&error));
            }
        }
        while let Some(event) = node.poll_event() {
            print_event(clock.now(), &event);
            match event {
                Event::Left => return Ok(()),
                Event::IdTaken => return Err(format!("another live node has the id {id}: --bind another address")),
                _ => {}
            }
        }
        // Of those that are ready, tokio takes one at random, so that a flood at the socket does not keep off Ctrl-C. The
        // node's deadlines do not even need that: `handle_datagram` serves those that have passed before it looks at
        // the datagram. Nor can the timer keep off the socket, as no wait is shorter than a millisecond.
        tokio::select! {
            received = socket.recv_from(&mut buf) => match received {
                Ok((len, from)) => node.handle_datagram(clock.now(), from, &mut buf[..len]),
                Err(error) if tidings::is_transient(&error) => node.handle_timeout(clock.now()),
                Err(error) => return Err(format!("the socket failed: {error}")),
            },
            () = sleep(clock.until(node.poll_timeout())) => node.handle_timeout(clock.now()),
            pressed = &mut interrupt => {
                pressed.map_err(|error| format!("cannot watch for Ctrl-C: {error}"))?;
                if node.phase() == Phase::Leaving {
                    process::exit(INTERRUPTED);
                }
                print("leaving; Ctrl-C again to exit at once");
                node.leave(clock.now());
                interrupt.set(ctrl_c());
            }
        }
    }
}

/// Prints the seconds since the start of the program, and what happened then.
fn print_event(at: Instant, event: &Event<'_, SocketAddr>) {
    let style = match event {
        Event::MemberSuspect(_) | Event::JoinFailing { .. } => Style::new().yellow(),
        Event::MemberDown(_) | Event::Isolated | Event::IdTaken => Style::new().red(),
        Event::MemberLeft(_) | Event::Left => Style::new().blue(),
        Event::Refused { .. } => Style::new().dimmed(),
        _ => Style::new().green(),
    };
    let seconds = at.duration_since(Instant::ZERO).as_secs_f64();
    print(format_args!("{}  {}", format_args!("{seconds:8.3} s").dimmed(), event.style(style)));
}

/// Prints a line. Nobody reading any more is no reason to stop.
fn print(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:7001 or [::1]:7001".to_string())
}
