//! Lines on the terminal, with a spinner below them while nothing happens.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use owo_colors::OwoColorize;
use tidings::Instant;

/// The most ranges of names that make one list.
const RANGES: usize = 5;

pub struct Screen {
    spinner: ProgressBar,
}

impl Screen {
    pub fn new() -> Screen {
        let spinner = ProgressBar::new_spinner();
        if io::stdout().is_terminal() {
            spinner.enable_steady_tick(Duration::from_millis(100));
        } else {
            spinner.set_draw_target(ProgressDrawTarget::hidden());
        }
        Screen { spinner }
    }

    /// Prints a line above the spinner. Nobody reading any more is no reason to stop.
    pub fn line(&self, text: impl Display) {
        self.spinner.suspend(|| {
            let _ = writeln!(anstream::stdout(), "{text}");
        });
    }

    /// Prints a line with the time since the start of the program.
    pub fn event(&self, at: Instant, text: impl Display) {
        self.line(format_args!("{} {text}", format_args!("{:8.3} s ", seconds(at)).dimmed()));
    }

    /// Says beside the spinner what is being waited for.
    pub fn status(&self, text: String) {
        self.spinner.set_message(text);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.spinner.finish_and_clear();
    }
}

/// Seconds since the start of the program.
pub fn seconds(at: Instant) -> f64 {
    at.duration_since(Instant::ZERO).as_secs_f64()
}

pub fn name(number: u64) -> String {
    format!("n{number}")
}

/// The names of nodes, neighbours as a range: `n1-n4 n6`; or their number, if that would fill the line.
pub fn names(numbers: &BTreeSet<u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    if ranges.len() > RANGES {
        return format!("{} nodes", numbers.len());
    }
    let named = ranges.iter().map(|(first, last)| match last - first {
        0 => name(*first),
        1 => format!("{} {}", name(*first), name(*last)),
        _ => format!("{}-{}", name(*first), name(*last)),
    });
    named.collect::<Vec<_>>().join(" ")
}
