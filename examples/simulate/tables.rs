//! One table for each experiment: its arguments, and how its figures are shown.

use std::time::Duration;

use clap::value_parser;
use tidings::HeapNode;

use crate::experiments::flapping::{self, Troubled, Way};
use crate::experiments::{SECOND, crash, growth, steady};
use crate::report::{Times, in_parallel, mean, most, progress, shown, table};

type Node = HeapNode<u32>;

/// Percentages that are lost; beyond 60 nothing is left of any protocol.
pub fn percentage() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(0..=60)
}

pub fn size() -> clap::builder::RangedI64ValueParser<u32> {
    value_parser!(u32).range(4..=10_000)
}

pub fn runs() -> clap::builder::RangedU64ValueParser {
    value_parser!(u64).range(1..=100_000)
}

pub fn part(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

pub fn bytes(figure: f64) -> String {
    format!("{figure:.1}")
}

/// Prints a row for each of `cells`: its first columns, and what `row` makes of its runs.
pub fn tabulate<C, T: Send>(
    head: &[&str],
    cells: impl IntoIterator<Item = C>,
    seeds: u64,
    label: impl Fn(&C) -> Vec<String>,
    run: impl Fn(&C, u64) -> Result<T, String> + Sync,
    row: impl Fn(Vec<T>) -> Vec<String>,
) -> Result<(), String>
where
    C: Sync,
{
    let cells: Vec<C> = cells.into_iter().collect();
    let progress = progress(cells.len() as u64 * seeds);
    let mut table = table(head);
    for cell in &cells {
        let mut columns = label(cell);
        progress.set_message(columns.join(", "));
        let runs = in_parallel(seeds, &progress, |seed| run(cell, seed))?;
        columns.push(runs.len().to_string());
        columns.extend(row(runs));
        table.add_row(columns);
    }
    progress.finish_and_clear();
    anstream::println!("{table}");
    Ok(())
}

/// Every combination.
pub fn product<A: Copy, B: Copy>(left: &[A], right: &[B]) -> Vec<(A, B)> {
    left.iter().flat_map(|left| right.iter().map(|right| (*left, *right))).collect()
}

#[derive(clap::Args)]
pub struct Crash {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 128], value_parser = size())]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 5], value_parser = percentage())]
    loss: Vec<u32>,
    /// How many crash at once; fewer than there are.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    crashed: u32,
    /// How many runs of each.
    #[arg(long, default_value_t = 20, value_parser = runs())]
    seeds: u64,
}

impl Crash {
    pub fn run(&self) -> Result<(), String> {
        if self.nodes.iter().any(|nodes| *nodes < self.crashed + 2) {
            return Err(format!("of {} crashed nodes two others must be left to know", self.crashed));
        }
        tabulate(
            &["nodes", "loss", "crashed", "runs", "first knows", "all know: median", "max", "healthy declared down"],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %"), self.crashed.to_string()],
            |(nodes, loss), seed| crash::run::<Node>(*nodes, self.crashed, part(*loss), seed),
            |runs| {
                let first = Times::new(runs.iter().map(|run| Some(run.first)));
                let all = Times::new(runs.iter().map(|run| run.all));
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                vec![shown(first.median()), shown(all.median()), shown(all.most()), slandered.to_string()]
            },
        )
    }
}

#[derive(clap::Args)]
pub struct Steady {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 128], value_parser = size())]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 5, 20, 30], value_parser = percentage())]
    loss: Vec<u32>,
    /// How many seconds of simulated time.
    #[arg(long, default_value_t = 600, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How many runs of each.
    #[arg(long, default_value_t = 20, value_parser = runs())]
    seeds: u64,
}

impl Steady {
    pub fn run(&self) -> Result<(), String> {
        tabulate(
            &["nodes", "loss", "runs", "B/node/s", "worst node", "datagrams/node/s", "healthy declared down"],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %")],
            |(nodes, loss), seed| steady::run::<Node>(*nodes, part(*loss), self.seconds * SECOND, seed),
            |runs| {
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                vec![
                    bytes(mean(runs.iter().map(|run| run.bytes))),
                    bytes(most(runs.iter().map(|run| run.most))),
                    format!("{:.2}", mean(runs.iter().map(|run| run.datagrams))),
                    slandered.to_string(),
                ]
            },
        )
    }
}

#[derive(clap::Args)]
pub struct Join {
    /// Sizes of the cluster before.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 128, 1_024], value_parser = size())]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20], value_parser = percentage())]
    loss: Vec<u32>,
    /// How many runs of each.
    #[arg(long, default_value_t = 20, value_parser = runs())]
    seeds: u64,
}

impl Join {
    pub fn run(&self) -> Result<(), String> {
        tabulate(
            &["nodes", "loss", "runs", "known by all: median", "max", "knows all: median", "max", "bytes until then"],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %")],
            |(nodes, loss), seed| growth::join::<Node>(*nodes, part(*loss), 60 * SECOND, seed),
            |runs| {
                let known = Times::new(runs.iter().map(|run| run.known));
                let knows = Times::new(runs.iter().map(|run| run.knows));
                vec![
                    shown(known.median()),
                    shown(known.most()),
                    shown(knows.median()),
                    shown(knows.most()),
                    format!("{:.0}", mean(runs.iter().map(|run| run.bytes as f64))),
                ]
            },
        )
    }
}

#[derive(clap::Args)]
pub struct Bootstrap {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512], value_parser = size())]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20], value_parser = percentage())]
    loss: Vec<u32>,
    /// How many runs of each.
    #[arg(long, default_value_t = 5, value_parser = runs())]
    seeds: u64,
}

impl Bootstrap {
    pub fn run(&self) -> Result<(), String> {
        tabulate(
            &[
                "nodes",
                "loss",
                "runs",
                "complete: median",
                "max",
                "B/node until then",
                "B of the seed",
                "declared down",
            ],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %")],
            |(nodes, loss), seed| growth::bootstrap::<Node>(*nodes, part(*loss), 120 * SECOND, seed),
            |runs| {
                let complete = Times::new(runs.iter().map(|run| run.complete));
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                vec![
                    shown(complete.median()),
                    shown(complete.most()),
                    format!("{:.0}", mean(runs.iter().map(|run| run.bytes))),
                    format!("{:.0}", mean(runs.iter().map(|run| run.seed_bytes as f64))),
                    slandered.to_string(),
                ]
            },
        )
    }
}

#[derive(clap::Args)]
pub struct Partition {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 128], value_parser = size())]
    nodes: Vec<u32>,
    /// How many seconds the halves are apart.
    #[arg(long, value_delimiter = ',', default_values_t = [60, 600], value_parser = value_parser!(u32).range(1..=86_400))]
    apart: Vec<u32>,
    /// How many runs of each.
    #[arg(long, default_value_t = 20, value_parser = runs())]
    seeds: u64,
}

impl Partition {
    pub fn run(&self) -> Result<(), String> {
        tabulate(
            &["nodes", "apart", "runs", "one view: median", "max"],
            product(&self.nodes, &self.apart),
            self.seeds,
            |(nodes, apart)| vec![nodes.to_string(), format!("{apart} s")],
            |(nodes, apart), seed| growth::partition::<Node>(*nodes, *apart * SECOND, 120 * SECOND, seed),
            |runs| {
                let healed = Times::new(runs);
                vec![shown(healed.median()), shown(healed.most())]
            },
        )
    }
}

/// What all tables about trouble show.
const TROUBLED: [&str; 4] = ["healthy declared down: by healthy", "by troubled", "troubled declared down", "B/node/s"];

fn troubled(runs: &[Troubled]) -> Vec<String> {
    let sum = |count: fn(&Troubled) -> usize| runs.iter().map(count).sum::<usize>().to_string();
    vec![
        sum(|run| run.slander.by_healthy),
        sum(|run| run.slander.by_troubled),
        sum(|run| run.slander.of_troubled),
        bytes(mean(runs.iter().map(|run| run.bytes))),
    ]
}

#[derive(clap::Args)]
pub struct Pause {
    /// The size of the cluster.
    #[arg(long, default_value_t = 128, value_parser = size())]
    nodes: u32,
    /// How many processes stop.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32], value_parser = value_parser!(u32).range(1..))]
    stopped: Vec<u32>,
    /// For how many milliseconds they run between two stops.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1_000], value_parser = value_parser!(u64).range(1..=60_000))]
    gap: Vec<u64>,
    /// How many runs of each.
    #[arg(long, default_value_t = 20, value_parser = runs())]
    seeds: u64,
}

impl Pause {
    pub fn run(&self) -> Result<(), String> {
        fewer(&self.stopped, self.nodes)?;
        let head = [["nodes", "stopped", "gap", "runs"], TROUBLED].concat();
        tabulate(
            &head,
            product(&self.stopped, &self.gap),
            self.seeds,
            |(stopped, gap)| vec![self.nodes.to_string(), stopped.to_string(), format!("{gap} ms")],
            |(stopped, gap), seed| flapping::pause::<Node>(self.nodes, *stopped, Duration::from_millis(*gap), seed),
            |runs| troubled(&runs),
        )
    }
}

fn fewer(some: &[u32], nodes: u32) -> Result<(), String> {
    if some.iter().all(|count| *count < nodes) {
        return Ok(());
    }
    Err(format!("fewer than all {nodes} nodes can be in trouble"))
}

#[derive(clap::Args)]
pub struct Cutoff {
    /// The size of the cluster.
    #[arg(long, default_value_t = 128, value_parser = size())]
    nodes: u32,
    /// How many are cut off.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32], value_parser = value_parser!(u32).range(1..))]
    cut: Vec<u32>,
    /// For how many seconds.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 8, 32], value_parser = value_parser!(u32).range(1..=600))]
    seconds: Vec<u32>,
    /// For how many milliseconds they are back between.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u64).range(1..=60_000))]
    gap: u64,
    /// How many runs of each.
    #[arg(long, default_value_t = 20, value_parser = runs())]
    seeds: u64,
}

impl Cutoff {
    pub fn run(&self) -> Result<(), String> {
        fewer(&self.cut, self.nodes)?;
        let gap = Duration::from_millis(self.gap);
        let head = [["nodes", "cut off", "for", "gap"].as_slice(), &["runs"], &TROUBLED].concat();
        tabulate(
            &head,
            product(&self.cut, &self.seconds),
            self.seeds,
            |(cut, lasts)| {
                vec![self.nodes.to_string(), cut.to_string(), format!("{lasts} s"), format!("{} ms", self.gap)]
            },
            |(cut, lasts), seed| flapping::cut_off::<Node>(self.nodes, *cut, *lasts * SECOND, gap, seed),
            |runs| troubled(&runs),
        )
    }
}

#[derive(clap::Args)]
pub struct Oneway {
    /// The size of the cluster.
    #[arg(long, default_value_t = 128, value_parser = size())]
    nodes: u32,
    /// How many runs of each.
    #[arg(long, default_value_t = 20, value_parser = runs())]
    seeds: u64,
}

impl Oneway {
    pub fn run(&self) -> Result<(), String> {
        let head = [["nodes", "one node", "runs"].as_slice(), &TROUBLED, &["flips in the last minute"]].concat();
        let kinds = [
            ("loses 80 % inwards", Some(Way::Inwards)),
            ("loses 80 % outwards", Some(Way::Outwards)),
            ("deaf 20 s of every 40 s", None),
        ];
        tabulate(
            &head,
            kinds,
            self.seeds,
            |(name, _)| vec![self.nodes.to_string(), name.to_string()],
            |(_, way), seed| match way {
                Some(way) => flapping::one_way::<Node>(self.nodes, *way, 0.8, seed),
                None => flapping::half_deaf_by_turns::<Node>(self.nodes, seed),
            },
            |runs| {
                let flips: usize = runs.iter().map(|run| run.flips).sum();
                troubled(&runs).into_iter().chain([flips.to_string()]).collect()
            },
        )
    }
}

#[derive(clap::Args)]
pub struct Churn {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [128], value_parser = size())]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20], value_parser = percentage())]
    loss: Vec<u32>,
    /// A node crashes, and one comes back, every so many milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u64).range(10..=60_000))]
    every: u64,
    /// For how many seconds.
    #[arg(long, default_value_t = 120, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How many runs of each.
    #[arg(long, default_value_t = 10, value_parser = runs())]
    seeds: u64,
}

impl Churn {
    pub fn run(&self) -> Result<(), String> {
        let (every, lasts) = (Duration::from_millis(self.every), self.seconds * SECOND);
        tabulate(
            &["nodes", "loss", "runs", "B/node/s", "wrong entries", "healthy declared down", "settled: median", "max"],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %")],
            |(nodes, loss), seed| growth::churn::<Node>(*nodes, every, part(*loss), lasts, seed),
            |runs| {
                let settled = Times::new(runs.iter().map(|run| run.settled));
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                vec![
                    bytes(mean(runs.iter().map(|run| run.bytes))),
                    format!("{:.2} %", 100.0 * mean(runs.iter().map(|run| run.wrong))),
                    slandered.to_string(),
                    shown(settled.median()),
                    shown(settled.most()),
                ]
            },
        )
    }
}
