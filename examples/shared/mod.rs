//! What the programs around real nodes share: their options, and how they speak. Each uses a part of it.
#![allow(dead_code)]

pub mod options;

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use owo_colors::{OwoColorize, Style};
use tidings::Event;

/// What a shell reports of a program that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;
pub const LEAVING_TEXT: &str = "leaving; Ctrl-C ends it at once";
/// Set by Ctrl-C.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// The exit status of a program; why it failed is an error in a sentence.
pub fn outcome(outcome: Result<ExitCode, String>) -> ExitCode {
    outcome.unwrap_or_else(|sentence| {
        complain(sentence);
        ExitCode::FAILURE
    })
}

pub fn complain(sentence: impl Display) {
    let _ = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
}

/// Prints a line. Nobody reading any more is no reason to stop.
pub fn print(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// The time of day in UTC, so that what several programs print can be compared.
pub fn stamp() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let [hours, minutes] = [seconds / 3_600 % 24, seconds / 60 % 60];
    format!("{hours:02}:{minutes:02}:{:02}.{:03}Z", seconds % 60, since.subsec_millis())
}

/// The colours of an event.
pub fn style(event: &Event<'_, SocketAddr>) -> Style {
    match event {
        Event::MemberSuspect(_) => Style::new().yellow(),
        Event::MemberDown(_) | Event::Isolated | Event::IdTaken => Style::new().red(),
        Event::MemberLeft(_) | Event::Left => Style::new().blue(),
        Event::Refused { .. } => Style::new().dimmed(),
        _ => Style::new().green(),
    }
}

/// Whether Ctrl-C has been pressed.
pub fn is_leaving() -> bool {
    LEAVING.load(Ordering::Relaxed)
}

/// As Ctrl-C does; whether it was so already.
pub fn begin_leaving() -> bool {
    LEAVING.swap(true, Ordering::Relaxed)
}

/// At the first Ctrl-C `first` is called; the second ends the program, after `last`.
pub fn leave_on_ctrl_c(first: impl Fn() + Send + 'static, last: impl Fn() + Send + 'static) -> Result<(), String> {
    let handler = move || {
        if begin_leaving() {
            last();
            process::exit(INTERRUPTED.into());
        }
        first();
    };
    ctrlc::set_handler(handler).map_err(|error| format!("cannot watch for Ctrl-C: {error}"))
}
