//! Runs of one experiment side by side, and how figures are shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use comfy_table::{CellAlignment, LineStyle, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

/// Runs one experiment for each seed on all cores; the results in the order of the seeds, or the first failure.
pub fn in_parallel<T: Send>(
    seeds: u64,
    progress: &ProgressBar,
    run: impl Fn(u64) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let next = AtomicU64::new(1);
    let work = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds {
                return done;
            }
            done.push((seed, run(seed)));
            progress.inc(1);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut results: Vec<(u64, Result<T, String>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("an experiment panicked")).collect()
    });
    results.sort_by_key(|(seed, _)| *seed);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A bar on the terminal; nothing where the output is none.
pub fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left  {msg}");
    ProgressBar::new(length).with_style(style.expect("the template is right"))
}

/// A table with a rule below its headings and none between its rows.
pub fn table(head: &[&str]) -> Table {
    let style = presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'));
    let mut table = Table::new();
    table.load_style(style).set_header(head.to_vec());
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_padding((u16::from(place > 0), 0));
    }
    table
}

/// Times of which some may never have come, which is longer than any.
pub struct Times(Vec<Option<Duration>>);

impl Times {
    pub fn new(times: impl IntoIterator<Item = Option<Duration>>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
        Times(times)
    }

    pub fn median(&self) -> Option<Duration> {
        self.0.get(self.0.len() / 2).copied().flatten()
    }

    pub fn most(&self) -> Option<Duration> {
        self.0.last().copied().flatten()
    }
}

pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.3} s", duration.as_secs_f64())
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

/// A time that may not have come.
pub fn shown(time: Option<Duration>) -> String {
    time.map_or("never".into(), seconds)
}

pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0u32);
    for value in values {
        (sum, count) = (sum + value, count + 1);
    }
    sum / f64::from(count.max(1))
}

pub fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}
