//! One real node among other processes or hosts, until Ctrl-C.

use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use owo_colors::OwoColorize;
use tidings::{Address, Clock, Event, HeapNode, Instant, NodeId, Phase, Status, Topic};

use crate::driver::{Driver, Setup};
use crate::news::News;
use crate::screen::Screen;
use crate::{Network, address};

/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
/// How long others may take to answer a question.
const ANSWERS: Duration = Duration::from_secs(10);

#[derive(Args)]
// Its group would have the name of that of all options.
#[group(skip)]
#[command(next_help_heading = "One real node")]
pub struct Options {
    /// Run one node with its socket at this address, until Ctrl-C
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub bind: Option<SocketAddr>,
    /// Join the cluster through the nodes at these addresses, host names or IP addresses with a port
    #[arg(long, value_name = "ADDR", num_args = 1.., requires = "bind")]
    join: Vec<String>,
    /// Where others reach this node, if not at the bound address
    #[arg(long, value_name = "ADDR", value_parser = address, requires = "bind")]
    advertise: Option<SocketAddr>,
    /// A name that makes the id of this node, the same after a restart [default: its address]
    #[arg(long, value_name = "NAME", requires = "bind")]
    name: Option<String>,
    /// Show what others say on this topic
    #[arg(long, value_name = "TOPIC", default_value = "demo", requires = "bind")]
    topic: String,
    /// Say this on the topic to all others, as soon as there are any
    #[arg(long, value_name = "TEXT", requires_all = ["bind", "join"])]
    say: Option<String>,
    /// Ask all others this on the topic, as soon as there are any, and show what they answer
    #[arg(long, value_name = "TEXT", requires_all = ["bind", "join"])]
    ask: Option<String>,
    /// Set this key of this node's own map, which all others can read; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value, requires = "bind")]
    set: Vec<(String, String)>,
    /// Show all keys of others that begin so, those that there are and whatever they set; without a prefix, any key
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "", requires = "bind")]
    watch: Option<String>,
}

pub fn run(bind: SocketAddr, options: &Options, network: &Network) -> Result<(), String> {
    let seeds = options.join.iter().map(|seed| resolve(seed, bind)).collect::<Result<Vec<_>, _>>()?;
    let socket = UdpSocket::bind(bind).map_err(|error| format!("cannot bind {bind}: {error}"))?;
    let bound = socket.local_addr().map_err(|error| format!("cannot tell the address of the socket: {error}"))?;
    let addr = reachable(bound, options.advertise)?;
    let id = NodeId::from_name(options.name.as_deref().unwrap_or(&addr.to_string()));
    let topic = Topic::from_name(&options.topic);
    let setup = Setup { clock: Clock::start(), config: network.config(), loss: network.loss, topic };
    let mut driver = Driver::start(setup, socket, (id, addr), &seeds)?;
    if let Some(text) = &options.say {
        // It waits in the node until that has joined.
        driver.say(text).map_err(|error| format!("--say: {error}"))?;
    }
    if let Some(text) = &options.ask {
        driver.ask(text, ANSWERS).map_err(|error| format!("--ask: {error}"))?;
    }
    for (key, value) in &options.set {
        driver.set(key, value).map_err(|error| format!("--set {key}={value}: {error}"))?;
    }
    if let Some(prefix) = &options.watch {
        driver.node.watch(prefix).map_err(|_| format!("--watch {prefix}: no key is that long"))?;
    }
    let leaving = leave_on_ctrl_c()?;

    let screen = Screen::new();
    screen.line(format_args!("node {} at {addr} in cluster \"{}\"; Ctrl-C to leave", id.bold(), network.cluster));
    loop {
        if leaving.load(Ordering::Relaxed) {
            driver.leave();
        }
        driver.speak(|event| match event {
            Event::Message { origin, payload, .. } => {
                screen.event(setup.clock.now(), format_args!("{origin} says: {}", printable(payload)).cyan());
            }
            Event::Answer { from, payload, .. } => {
                screen.event(setup.clock.now(), format_args!("{from} answers: {}", printable(payload)).cyan());
            }
            Event::Answered { answers, .. } => {
                screen.event(setup.clock.now(), format_args!("{answers} have answered").cyan());
            }
            Event::KeySet { owner, entry } => {
                let (key, value) = (printable(entry.key().as_bytes()), printable(entry.value()));
                screen.event(setup.clock.now(), format_args!("{owner} sets {key}: {value}").cyan());
            }
            Event::KeyDeleted { owner, key } => {
                let key = printable(key.as_bytes());
                screen.event(setup.clock.now(), format_args!("{owner} deletes {key}").cyan());
            }
            Event::MapReplaced { owner } => {
                screen.event(setup.clock.now(), format_args!("the map of {owner} begins anew").blue());
            }
            Event::MapGone { owner } => {
                screen.event(setup.clock.now(), format_args!("the map of {owner} is gone").blue());
            }
            event => News::of(event).map_or((), |news| show(&screen, setup.clock.now(), news)),
        });
        match driver.node.phase() {
            Phase::Left => return Ok(()),
            Phase::Idle => {
                return Err(format!("another live node has the id {id}: start this one with another --name"));
            }
            phase => screen.status(status(phase, &driver.node)),
        }
        driver.listen().map_err(|error| format!("the socket failed: {error}"))?;
    }
}

/// Becomes true at the first Ctrl-C; the second ends the program.
fn leave_on_ctrl_c() -> Result<Arc<AtomicBool>, String> {
    let leaving = Arc::new(AtomicBool::new(false));
    let pressed = leaving.clone();
    let handler = move || {
        if pressed.swap(true, Ordering::Relaxed) {
            process::exit(INTERRUPTED);
        }
    };
    ctrlc::set_handler(handler).map_err(|error| format!("cannot watch for Ctrl-C: {error}"))?;
    Ok(leaving)
}

/// The first address of a host that a socket bound to `bind` can send to.
fn resolve(seed: &str, bind: SocketAddr) -> Result<SocketAddr, String> {
    let mut found = seed.to_socket_addrs().map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => format!("--join {seed}: expected a host and a port, such as db-1.example:7001"),
        _ => format!("--join {seed}: cannot find this host: {error}"),
    })?;
    let family = if bind.is_ipv4() { "IPv4" } else { "IPv6" };
    found
        .find(|addr| addr.is_ipv4() == bind.is_ipv4())
        .ok_or_else(|| format!("--join {seed}: no {family} address, and a socket at --bind {bind} sends to no other"))
}

/// What to tell others as this node's address.
fn reachable(bound: SocketAddr, advertise: Option<SocketAddr>) -> Result<SocketAddr, String> {
    let addr = advertise.unwrap_or(bound);
    if addr.is_ipv4() != bound.is_ipv4() {
        return Err(format!("--advertise {addr} and --bind {bound} must both be IPv4, or both IPv6"));
    }
    match (addr.is_reachable(), advertise) {
        (true, _) => Ok(addr),
        (false, None) => Err(format!("nobody can send to {addr}: say with --advertise where others reach this node")),
        (false, Some(_)) => Err(format!("nobody can send to {addr}: --advertise needs a real address and port")),
    }
}

fn show(screen: &Screen, at: Instant, News { what, about }: News) {
    let subject = about.map_or("this node".to_string(), |member| format!("{} at {}", member.id(), member.addr()));
    screen.event(at, what.of(&subject, false).style(what.style()));
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_string(), value.to_string()))
        .ok_or("expected a key and a value, such as load=0.7".to_string())
}

/// A text without what could move the cursor or change colours.
fn printable(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).replace(char::is_control, " ")
}

fn status(phase: Phase, node: &HeapNode) -> String {
    let doing = match phase {
        Phase::Leaving => return "leaving; Ctrl-C again to exit at once".to_string(),
        Phase::Joining => "asking to join",
        Phase::Isolated => "isolated",
        _ => "member",
    };
    let count = |status| node.members().filter(|member| member.status() == status).count();
    let [alive, silent, down] = [Status::Alive, Status::Suspect, Status::Down].map(count);
    format!("{doing}: {alive} alive, {silent} silent, {down} down")
}
