//! A node with a page of plain text that tells how it is, for people and for what watches over services: two threads
//! share the node.

#[path = "shared/mod.rs"]
mod shared;

use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Parser;
use owo_colors::OwoColorize;
use tidings::{Clock, DropReason, Event, HeapNode, Limits, MAX_DATAGRAM, Phase, SendFailure};

use shared::options::{self, Joining, Opened, Place};
use shared::{LEAVING_TEXT, print};

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --example health --`:
  Two nodes, in two terminals:
    --bind 127.0.0.1:7001 --http 127.0.0.1:8001
    --bind 127.0.0.1:7002 --http 127.0.0.1:8002 --join 127.0.0.1:7001
Then open http://127.0.0.1:8001/ in a browser. The examples `cluster`, with --bind, `tokio` and `poll` join the same
cluster with the same options.";

/// How soon the loop sees that Ctrl-C was pressed.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How long one who asks for the page may keep others waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs one node of a cluster, with a page of its health at an address of its own, until Ctrl-C.
#[derive(Parser)]
#[command(name = "health", max_term_width = 80, after_help = EXAMPLES)]
struct Options {
    #[command(flatten)]
    place: Place,
    /// Where the page is served; whoever reaches this address can read it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    http: String,
    #[command(flatten)]
    joining: Joining,
}

fn main() -> ExitCode {
    shared::outcome(run(&Options::parse()))
}

fn run(Options { place, http, joining }: &Options) -> Result<ExitCode, String> {
    let Opened { socket, addr, seeds } = place.open(joining)?;
    let http = options::resolve("--http", http, None)?;
    let listener = TcpListener::bind(http).map_err(|error| options::cannot("serve the page at", http, &error))?;
    let page = listener.local_addr().map_err(|error| format!("cannot tell the address of the page: {error}"))?;

    let (id, clock) = (place.id(addr), Clock::start());
    let mut node = HeapNode::new(joining.config(), Limits::DEFAULT);
    for seed in seeds {
        node.join(clock.now(), seed).map_err(|error| format!("--join {seed}: {error}"))?;
    }
    node.start(clock.now(), id, addr, &mut rand::rng()).map_err(|error| format!("{addr}: {error}"))?;
    shared::leave_on_ctrl_c(|| print(LEAVING_TEXT), || ())?;
    print(format_args!("node {} at {addr}, its health at http://{page}/; Ctrl-C to leave", id.bold()));

    let node = Arc::new(Mutex::new(node));
    let shared = node.clone();
    thread::spawn(move || serve(&listener, &shared));
    drive(&node, &socket, clock)
}

/// The loop around the node. It holds the lock except while it waits.
fn drive(node: &Mutex<HeapNode>, socket: &UdpSocket, clock: Clock) -> Result<ExitCode, String> {
    let failed = |error: io::Error| format!("the socket failed: {error}");
    let mut buf = vec![0; MAX_DATAGRAM];
    loop {
        let mut held = node.lock().unwrap_or_else(PoisonError::into_inner);
        if shared::is_leaving() {
            held.leave(clock.now());
        }
        while let Some(datagram) = held.poll_transmit(&mut buf) {
            if let Err(error) = socket.send_to(datagram.payload, datagram.to) {
                held.handle_send_error(clock.now(), datagram.to, SendFailure::from(&error));
            }
        }
        while let Some(event) = held.poll_event() {
            print(format_args!("{}  {}", shared::stamp().dimmed(), event.style(shared::style(&event))));
            match event {
                Event::Left => return Ok(ExitCode::SUCCESS),
                Event::IdTaken => return Err("another live node has this id: choose another --name".to_string()),
                _ => {}
            }
        }
        let wait = clock.until(held.poll_timeout()).min(LONGEST_WAIT);
        drop(held);
        socket.set_read_timeout(Some(wait)).map_err(failed)?;
        let received = socket.recv_from(&mut buf);
        let mut held = node.lock().unwrap_or_else(PoisonError::into_inner);
        match received {
            Ok((len, from)) => held.handle_datagram(clock.now(), from, &mut buf[..len]),
            Err(error) if tidings::is_transient(&error) => held.handle_timeout(clock.now()),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Answers one request after the other, whatever it asks for.
fn serve(listener: &TcpListener, node: &Mutex<HeapNode>) {
    for stream in listener.incoming() {
        // Who hangs up, or asks for nothing, gets nothing.
        let _ = stream.and_then(|stream| answer(stream, node));
    }
}

fn answer(mut stream: TcpStream, node: &Mutex<HeapNode>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let _ = stream.read(&mut [0; 4_096])?;
    let (phase, body) = {
        // Only while the page is written: the node must not wait for a slow reader.
        let node = node.lock().unwrap_or_else(PoisonError::into_inner);
        (node.phase(), Page(&node).to_string())
    };
    let status = match phase {
        // Being cut off looks the same as being the only one left, and the only one left must go on.
        Phase::Member | Phase::Isolated => "200 OK",
        _ => "503 Service Unavailable",
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n")?;
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

struct Page<'n>(&'n HeapNode);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, stats) = (self.0, self.0.stats());
        writeln!(
            f,
            "node {} in phase {}, {} live in its view {:016x}\n",
            node.id(),
            node.phase(),
            node.live(),
            node.fingerprint()
        )?;
        let mut members: Vec<_> = node.members().collect();
        members.sort_by_key(|member| member.id());
        for member in members {
            let myself = if member.id() == node.id() { "  this node" } else { "" };
            writeln!(f, "{}  {:<7}  {}{myself}", member.id(), member.status(), member.addr())?;
        }
        writeln!(f, "\n{:>10} datagrams in, {} bytes", stats.datagrams_in, stats.bytes_in)?;
        writeln!(f, "{:>10} datagrams out, {} bytes", stats.datagrams_out, stats.bytes_out)?;
        writeln!(f, "{:>10} members suspected, {} declared down", stats.suspicions, stats.declared_down)?;
        writeln!(f, "{:>10} ticks too late, {} sends failed", stats.late_ticks, stats.send_errors)?;
        writeln!(f, "{:>10} refused in all", stats.dropped_in_all())?;
        for reason in DropReason::ALL {
            writeln!(f, "{:>10} refused: {reason}", stats.dropped(reason))?;
        }
        Ok(())
    }
}
