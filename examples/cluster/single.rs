//! One real node among other processes or hosts, until Ctrl-C.

use std::time::Duration;

use clap::Args;
use owo_colors::OwoColorize;
use tidings::{Clock, Event, HeapNode, Phase, Status, Topic};

use crate::Network;
use crate::driver::{Driver, Setup};
use crate::news::News;
use crate::screen::Screen;
use crate::shared::options::{Joining, Opened, Place};
use crate::shared::{self, LEAVING_TEXT};

pub const HEADING: &str = "One real node";
/// How long others may take to answer a question.
const ANSWERS: Duration = Duration::from_secs(10);

#[derive(Args)]
// Its group would have the name of that of all options.
#[group(skip)]
#[command(next_help_heading = HEADING)]
pub struct Options {
    #[command(flatten)]
    pub place: Place,
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

pub fn run(options: &Options, joining: &Joining, network: Network) -> Result<(), String> {
    let Opened { socket, addr, seeds } = options.place.open(joining)?;
    let id = options.place.id(addr);
    let topic = Topic::from_name(&options.topic);
    let setup = Setup { clock: Clock::start(), config: network.config, loss: network.loss, topic };
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
    shared::leave_on_ctrl_c(|| (), || ())?;

    let screen = Screen::new();
    screen.line(format_args!("node {} at {addr} in cluster \"{}\"; Ctrl-C to leave", id.bold(), joining.cluster));
    loop {
        if shared::is_leaving() {
            driver.leave();
        }
        driver.speak(|event| match event {
            Event::Message { origin, payload, .. } => {
                show(&screen, format_args!("{origin} says: {}", printable(payload)).cyan());
            }
            Event::Answer { from, payload, .. } => {
                show(&screen, format_args!("{from} answers: {}", printable(payload)).cyan());
            }
            Event::Answered { answers, .. } => {
                show(&screen, format_args!("{answers} have answered").cyan());
            }
            Event::KeySet { owner, entry } => {
                let (key, value) = (printable(entry.key().as_bytes()), printable(entry.value()));
                show(&screen, format_args!("{owner} sets {key}: {value}").cyan());
            }
            Event::KeyDeleted { owner, key } => {
                let key = printable(key.as_bytes());
                show(&screen, format_args!("{owner} deletes {key}").cyan());
            }
            Event::MapReplaced { owner } => {
                show(&screen, format_args!("the map of {owner} begins anew").blue());
            }
            Event::MapGone { owner } => {
                show(&screen, format_args!("the map of {owner} is gone").blue());
            }
            event => News::of(event).map_or((), |news| tell(&screen, news)),
        });
        match driver.node.phase() {
            Phase::Left => return Ok(()),
            Phase::Idle => {
                return Err(format!("another live node has the id {id}: choose another --name"));
            }
            phase => screen.status(status(phase, &driver.node)),
        }
        driver.listen().map_err(|error| format!("the socket failed: {error}"))?;
    }
}

/// Prints the time of day, and what happened then.
fn show(screen: &Screen, text: impl std::fmt::Display) {
    screen.line(format_args!("{}  {text}", shared::stamp().dimmed()));
}

fn tell(screen: &Screen, News { what, about }: News) {
    let subject = about.map_or("this node".to_string(), |member| format!("{} at {}", member.id(), member.addr()));
    show(screen, what.of(&subject, false).style(what.style()));
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
        Phase::Leaving => return LEAVING_TEXT.to_string(),
        Phase::Joining => "asking to join",
        Phase::Isolated => "isolated",
        _ => "member",
    };
    let count = |status| node.members().filter(|member| member.status() == status).count();
    let [alive, silent, down] = [Status::Alive, Status::Suspect, Status::Down].map(count);
    format!("{doing}: {alive} alive, {silent} silent, {down} down")
}
