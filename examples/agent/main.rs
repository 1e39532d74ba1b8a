//! A node with a prompt: say something to all who listen, tell one member, ask, answer. Or a single command from a
//! script, with an exit status that says what became of it.
//!
//! `agent.rs` is the loop around the node, `carry.rs` carries out the commands of `command.rs`, `map.rs` those about the
//! maps of members, and `desk.rs` keeps what waits for an outcome and tells what happens. `console.rs` and `editor.rs` are
//! the prompt, `top.rs` is the live table, and `names.rs` says how members come to be called by their names.

mod agent;
mod carry;
mod command;
mod console;
mod desk;
mod editor;
mod job_control;
mod map;
mod names;
#[path = "../shared/mod.rs"]
mod shared;
mod show;
mod top;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidings::Config;

use crate::agent::Agent;
use crate::command::Command;
use crate::shared::options::{Joining, Place};

const AFTER_HELP: &str = "\
Commands, at the prompt, one a line in the input, or one after the options:
{commands}

At a terminal there is a prompt, and whatever happens is printed above it;
Tab completes what is typed.
From a file or a pipe each command waits for the outcome of the one before,
and at the end the agent leaves.
On the command line a command needs --join; the agent waits for its outcome
and leaves. Only watch and top go on until Ctrl-C. With --for, the agent stays
longer after any command, so that others can read what it sets.

The exit status is 0 if all went well, 1 if a command failed, an address
cannot be used or nobody answered, 2 if an option is unknown or its value
is not understood.

Examples, each after `cargo run --release --example agent --`:
  Two, in two terminals:
    --bind 127.0.0.1:7001 --name ann --listen alarms
    --bind 127.0.0.1:7002 --name bob --listen alarms --join 127.0.0.1:7001
  From a script:
    --join 127.0.0.1:7001 say alarms \"fire in hall 2\"
    --join 127.0.0.1:7001 tell bob come home
    --join 127.0.0.1:7001 ask alarms \"who is on duty?\"
    --join 127.0.0.1:7001 get bob load
    --join 127.0.0.1:7001 watch load
  All members, live:
    --join 127.0.0.1:7001 top
  One whose load all can read for a minute:
    --join 127.0.0.1:7001 --name carol --for 60 set load 0.7
  One that answers for a minute:
    --join 127.0.0.1:7001 --listen alarms --answer \"I am\" --for 60";

/// Runs one node of a cluster on a real socket, with commands to talk to the others.
#[derive(Parser)]
#[command(name = "agent", max_term_width = 80, after_help = AFTER_HELP.replace("{commands}", command::HELP))]
struct Options {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    joining: Joining,
    /// Show what is said and asked on this topic; may be given several times, for 15 topics
    #[arg(long, value_name = "TOPIC")]
    listen: Vec<String>,
    /// Answer every question with this text
    #[arg(long, value_name = "TEXT")]
    answer: Option<String>,
    /// Leave after so long, and not before because the input has ended or the command is done
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    stay: Option<Duration>,
    /// How long a command may take: to find somebody to join, to reach a member, to get answers
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    within: Duration,
    /// One command, instead of those in the input
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<String>,
}

impl Options {
    fn config(&self) -> Result<Config, String> {
        let builder = Config::builder(self.joining.config()).delivery_timeout(self.within);
        builder.build().map_err(|error| format!("--within {:?}: {error}", self.within))
    }

    /// The command that was given after the options.
    fn command(&self) -> Result<Option<Command>, String> {
        let command = Command::parse(&self.command.join(" ")).map_err(|error| self.reordered(error))?;
        if self.joining.join.is_empty() && command.as_ref().is_some_and(Command::needs_others) {
            let error = format!("nobody to join: \"{}\" needs --join with the address of a node", self.command[0]);
            return Err(self.reordered(error));
        }
        Ok(command)
    }

    /// What is behind the command is its text, even where it looks like an option.
    fn reordered(&self, error: String) -> String {
        match self.command.iter().find(|word| word.starts_with("--")) {
            Some(option) => format!("{error}; options such as {option} go before the command"),
            None => error,
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    shared::outcome(Agent::start(&options).and_then(Agent::run))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed.filter(|span| !span.is_zero()).ok_or("expected a number of seconds above 0, such as 10 or 0.5".to_string())
}
