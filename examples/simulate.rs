//! The simulator's face: experiments with whole clusters in simulated time, and the replay of failures.
//!
//! Every figure repeats exactly for the same arguments, on every machine.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Parser, Subcommand};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use tidings::sim::{Conditions, Report, Scenario, Sim};
use tidings::{Config, HeapNode, Limits, Status};

/// Experiments with simulated clusters. The same arguments give the same figures, on every machine.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Subcommand)]
enum Experiment {
    /// Crash one node of a settled cluster: how long until all others know.
    Crash(Crash),
    /// Run random scenarios with every check on, or the saved one of a failure.
    Replay(Replay),
}

#[derive(clap::Args)]
struct Crash {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 128], value_parser = clap::value_parser!(u32).range(3..=10_000))]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 5], value_parser = clap::value_parser!(u32).range(0..=60))]
    loss: Vec<u32>,
    /// How many runs of each, with the seeds 1, 2, 3 ...
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,
}

#[derive(clap::Args)]
struct Replay {
    /// The scenario that a failure printed.
    file: Option<PathBuf>,
    /// Without a file: how many random scenarios, with the seeds 1, 2, 3 ...
    #[arg(long, default_value_t = 1_000, conflicts_with = "file")]
    seeds: u64,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().experiment {
        Experiment::Crash(crash) => crash.run(),
        Experiment::Replay(replay) => replay.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            anstream::eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

/// What one crash showed.
struct Crashed {
    first: Duration,
    all: Duration,
    false_alarms: usize,
}

impl Crash {
    fn run(&self) -> Result<(), String> {
        let cells: Vec<(u32, u32)> =
            self.nodes.iter().flat_map(|nodes| self.loss.iter().map(|loss| (*nodes, *loss))).collect();
        let progress = progress(cells.len() as u64 * self.seeds);
        let mut table =
            table(&["nodes", "loss", "runs", "first knows", "all know: median", "max", "healthy declared down"]);
        for (nodes, loss) in cells {
            progress.set_message(format!("{nodes} nodes, {loss} % loss"));
            let mut runs = in_parallel(self.seeds, &progress, |seed| crash(nodes, loss, seed))?;
            runs.sort_by_key(|run| run.all);
            let mut firsts: Vec<Duration> = runs.iter().map(|run| run.first).collect();
            firsts.sort();
            table.add_row([
                nodes.to_string(),
                format!("{loss} %"),
                runs.len().to_string(),
                seconds(median(&firsts)),
                seconds(runs[runs.len() / 2].all),
                seconds(runs[runs.len() - 1].all),
                runs.iter().map(|run| run.false_alarms).sum::<usize>().to_string(),
            ]);
        }
        progress.finish_and_clear();
        anstream::println!("{table}");
        Ok(())
    }
}

/// Lets a cluster settle, crashes one node and waits until all others have reported it down.
fn crash(nodes: u32, loss: u32, seed: u64) -> Result<Crashed, String> {
    let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN);
    for host in 0..nodes as usize {
        sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(2 * nodes as usize)));
        sim.start(host, &[0]);
    }
    let settle = Duration::from_secs(60);
    sim.run_until_agreed(Duration::from_millis(100), settle)
        .ok_or(format!("{nodes} nodes (seed {seed}) did not form a cluster within {settle:?}"))?;
    sim.set_conditions(Conditions::LAN.with_loss(f64::from(loss) / 100.0));
    sim.run_for(Duration::from_secs(5));
    let victim = 1 + seed as usize % (nodes as usize - 1);
    sim.take_reports();
    sim.crash(victim);
    let limit = Duration::from_secs(120);
    wait_for_all(&mut sim, victim, limit)
        .ok_or(format!("{nodes} nodes, {loss} % loss, seed {seed}: not all knew within {limit:?}"))
}

/// Runs until every other host has reported the victim down.
fn wait_for_all(sim: &mut Sim<HeapNode<u32>>, victim: usize, limit: Duration) -> Option<Crashed> {
    let (begun, id) = (sim.now(), sim.id(victim));
    let mut waiting: HashSet<usize> = sim.running().collect();
    let (mut first, mut false_alarms) = (None, 0);
    while sim.step() && sim.now() < begun + limit {
        for reported in sim.take_reports() {
            match reported.report {
                Report::Member(of, Status::Down) if of == id => waiting.remove(&reported.host),
                Report::Member(_, Status::Down) => {
                    false_alarms += 1;
                    continue;
                }
                _ => continue,
            };
            let all = reported.at.duration_since(begun);
            let first = *first.get_or_insert(all);
            if waiting.is_empty() {
                return Some(Crashed { first, all, false_alarms });
            }
        }
    }
    None
}

impl Replay {
    fn run(&self) -> Result<(), String> {
        if let Some(file) = &self.file {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let scenario: Scenario = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
            let summary = scenario.run().map_err(|failure| failure.to_string())?;
            anstream::println!("all agreed {} after the last fault", seconds(summary.agreed_after));
            return Ok(());
        }
        let progress = progress(self.seeds);
        let mut times = in_parallel(self.seeds, &progress, |seed| {
            let summary = Scenario::from_seed(seed).run().map_err(|failure| format!("seed {seed}: {failure}"))?;
            Ok(summary.agreed_after)
        })?;
        progress.finish_and_clear();
        times.sort();
        let most = times.last().copied().unwrap_or_default();
        anstream::println!(
            "{} scenarios; all agreed after the last fault within {} (median), {} (most)",
            times.len(),
            seconds(median(&times)),
            seconds(most)
        );
        Ok(())
    }
}

/// Runs one experiment for each seed on all cores; the results in the order of the seeds, or the first failure.
fn in_parallel<T: Send>(
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
fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left  {msg}");
    ProgressBar::new(length).with_style(style.expect("the template is right"))
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(head.to_vec());
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
