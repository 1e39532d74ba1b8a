//! One node in tokio: its socket, its timer and Ctrl-C in one `select!`, on one task.

#[path = "shared/mod.rs"]
mod shared;

use std::net::SocketAddr;
use std::pin::pin;
use std::process::{self, ExitCode};

use clap::Parser;
use owo_colors::OwoColorize;
use tidings::{Clock, Event, HeapNode, Limits, MAX_DATAGRAM, Phase, SendFailure};
use tokio::net::UdpSocket;
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use shared::options::{Joining, Opened, Place};
use shared::{INTERRUPTED, LEAVING_TEXT, print};

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --example tokio --`:
  Three nodes, in three terminals:
    --bind 127.0.0.1:7001
    --bind 127.0.0.1:7002 --join 127.0.0.1:7001
    --bind 127.0.0.1:7003 --join 127.0.0.1:7001,127.0.0.1:7002
The examples `cluster`, with --bind, and `poll` join the same cluster with the same options.";

/// Runs one node of a cluster in a tokio task, until Ctrl-C.
#[derive(Parser)]
#[command(name = "tokio", max_term_width = 80, after_help = EXAMPLES)]
struct Options {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    joining: Joining,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::outcome(run(&Options::parse()).await)
}

async fn run(Options { place, joining }: &Options) -> Result<ExitCode, String> {
    let Opened { socket, addr, seeds } = place.open(joining)?;
    let failed = |error: std::io::Error| format!("the socket failed: {error}");
    socket.set_nonblocking(true).map_err(failed)?;
    let socket = UdpSocket::from_std(socket).map_err(failed)?;
    let id = place.id(addr);
    let clock = Clock::start();
    let mut node = HeapNode::new(joining.config(), Limits::DEFAULT);
    for seed in seeds {
        node.join(clock.now(), seed).map_err(|error| format!("--join {seed}: {error}"))?;
    }
    node.start(clock.now(), id, addr, &mut rand::rng()).map_err(|error| format!("{addr}: {error}"))?;
    let (cluster, asking) = (&joining.cluster, joining.asking());
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
            print_event(&event);
            match event {
                Event::Left => return Ok(ExitCode::SUCCESS),
                Event::IdTaken => return Err(format!("another live node has the id {id}: choose another --name")),
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
                Err(error) => return Err(failed(error)),
            },
            () = sleep(clock.until(node.poll_timeout())) => node.handle_timeout(clock.now()),
            pressed = &mut interrupt => {
                pressed.map_err(|error| format!("cannot watch for Ctrl-C: {error}"))?;
                if node.phase() == Phase::Leaving {
                    process::exit(INTERRUPTED.into());
                }
                print(LEAVING_TEXT);
                node.leave(clock.now());
                interrupt.set(ctrl_c());
            }
        }
    }
}

/// Prints the time of day, and what happened then.
fn print_event(event: &Event<'_, SocketAddr>) {
    print(format_args!("{}  {}", shared::stamp().dimmed(), event.style(shared::style(event))));
}
