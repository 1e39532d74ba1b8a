//! The tables about membership in a healthy cluster, or one that grows, crashes or falls apart.

use std::time::Duration;

use clap::value_parser;
use tidings::HeapNode;

use crate::desk::Desk;
use crate::experiments::{SECOND, crash, growth, steady};
use crate::plot::{Drawing, Scale};
use crate::report::{Times, mean, most};
use crate::sheet::{Cell, Form, column, key};
use crate::tables::{LOSS, NODES, RUNS, bytes, loss, nodes, part, percentage, product, runs, size, tabulate};

type Node = HeapNode<u32>;

const BY_LOSS: &[(&str, &str)] = &[("loss", " lost")];
const BY_NODES: &[(&str, &str)] = &[("nodes", " nodes")];

/// A figure over the size of the cluster.
const OVER_NODES: Drawing = Drawing {
    file: "",
    title: "",
    x: Some("nodes"),
    x_label: "nodes",
    scale: Scale::Doubling,
    y: &[],
    y_label: "seconds",
    by: BY_LOSS,
};
/// A figure over the loss.
const OVER_LOSS: Drawing =
    Drawing { x: Some("loss"), x_label: "datagrams lost, %", scale: Scale::Even, by: BY_NODES, ..OVER_NODES };

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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        if self.nodes.iter().any(|nodes| *nodes < self.crashed + 2) {
            return Err(format!("of {} crashed nodes two others must be left to know", self.crashed));
        }
        let (title, y) = ("Until all know of a crash, median", &[("all_median_s", "")]);
        let form = Form {
            name: "crash",
            columns: vec![
                NODES,
                LOSS,
                key("crashed", "crashed"),
                RUNS,
                column("first_median_s", "first knows:\nmedian"),
                column("all_median_s", "all know:\nmedian"),
                column("all_most_s", "most"),
                column("healthy_declared_down", "healthy\ndeclared down"),
            ],
            cut: None,
            drawings: vec![
                Drawing { file: "crash-over-nodes", title, y, ..OVER_NODES },
                Drawing { file: "crash-over-loss", title, y, ..OVER_LOSS },
            ],
        };
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent), Cell::Count(self.crashed.into())],
            |(count, percent), seed| crash::run::<Node>(*count, self.crashed, part(*percent), seed),
            |_, runs| {
                let first = Times::new(runs.iter().map(|run| Some(run.first)));
                let all = Times::new(runs.iter().map(|run| run.all));
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                let times = [first.median(), all.median(), all.most()].map(Cell::Time);
                times.into_iter().chain([Cell::count(slandered)]).collect()
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let (title, y, y_label) = ("Bytes of a node in a quiet cluster", &[("bytes_per_node_s", "")], "bytes a second");
        let form = Form {
            name: "steady",
            columns: vec![
                NODES,
                LOSS,
                RUNS,
                column("bytes_per_node_s", "B/node/s"),
                column("bytes_of_busiest_s", "busiest\nnode"),
                column("datagrams_per_node_s", "datagrams\n/node/s"),
                column("healthy_declared_down", "healthy\ndeclared down"),
            ],
            cut: None,
            drawings: vec![
                Drawing { file: "steady-over-nodes", title, y, y_label, ..OVER_NODES },
                Drawing { file: "steady-over-loss", title, y, y_label, ..OVER_LOSS },
            ],
        };
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent)],
            |(count, percent), seed| steady::run::<Node>(*count, part(*percent), self.seconds * SECOND, seed),
            |_, runs| {
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                vec![
                    bytes(mean(runs.iter().map(|run| run.bytes))),
                    bytes(most(runs.iter().map(|run| run.most))),
                    Cell::Number(mean(runs.iter().map(|run| run.datagrams)), 2),
                    Cell::count(slandered),
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let y = &[("known_median_s", "all know it"), ("knows_median_s", "it knows all")];
        let form = Form {
            name: "join",
            columns: vec![
                NODES,
                LOSS,
                RUNS,
                column("known_median_s", "known by all:\nmedian"),
                column("known_most_s", "most"),
                column("knows_median_s", "knows all:\nmedian"),
                column("knows_most_s", "most"),
                column("bytes_until_then", "bytes\nuntil then"),
            ],
            cut: None,
            drawings: vec![Drawing { file: "join", title: "A newcomer, median", y, ..OVER_NODES }],
        };
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent)],
            |(count, percent), seed| growth::join::<Node>(*count, part(*percent), 60 * SECOND, seed),
            |_, runs| {
                let known = Times::new(runs.iter().map(|run| run.known));
                let knows = Times::new(runs.iter().map(|run| run.knows));
                let times = [known.median(), known.most(), knows.median(), knows.most()].map(Cell::Time);
                times.into_iter().chain([Cell::Number(mean(runs.iter().map(|run| run.bytes as f64)), 0)]).collect()
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let y = &[("complete_median_s", "")];
        let form = Form {
            name: "bootstrap",
            columns: vec![
                NODES,
                LOSS,
                RUNS,
                column("complete_median_s", "complete:\nmedian"),
                column("complete_most_s", "most"),
                column("bytes_per_node", "B/node\nuntil then"),
                column("bytes_of_seed", "B of\nthe seed"),
                column("declared_down", "declared\ndown"),
            ],
            cut: None,
            drawings: vec![Drawing {
                file: "bootstrap",
                title: "All join within a second: until all views are complete, median",
                y,
                ..OVER_NODES
            }],
        };
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent)],
            |(count, percent), seed| growth::bootstrap::<Node>(*count, part(*percent), 120 * SECOND, seed),
            |_, runs| {
                let complete = Times::new(runs.iter().map(|run| run.complete));
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                vec![
                    Cell::Time(complete.median()),
                    Cell::Time(complete.most()),
                    Cell::Number(mean(runs.iter().map(|run| run.bytes)), 0),
                    Cell::Number(mean(runs.iter().map(|run| run.seed_bytes as f64)), 0),
                    Cell::count(slandered),
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let y = &[("healed_median_s", "")];
        let form = Form {
            name: "partition",
            columns: vec![
                NODES,
                key("apart_s", "apart"),
                RUNS,
                column("healed_median_s", "one view:\nmedian"),
                column("healed_most_s", "most"),
            ],
            cut: None,
            drawings: vec![Drawing {
                file: "partition",
                title: "From the end of a partition to one whole view, median",
                y,
                by: &[("apart_s", " apart")],
                ..OVER_NODES
            }],
        };
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.apart),
            self.seeds,
            |(count, apart)| vec![nodes(*count), Cell::Span(*apart * SECOND)],
            |(count, apart), seed| growth::partition::<Node>(*count, *apart * SECOND, 120 * SECOND, seed),
            |_, runs| {
                let healed = Times::new(runs);
                vec![Cell::Time(healed.median()), Cell::Time(healed.most())]
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let (every, lasts) = (Duration::from_millis(self.every), self.seconds * SECOND);
        let (y, y_label) = (&[("wrong_entries", "")], "entries that are wrong, %");
        let form = Form {
            name: "churn",
            columns: vec![
                NODES,
                LOSS,
                RUNS,
                column("bytes_per_node_s", "B/node/s"),
                column("wrong_entries", "wrong\nentries"),
                column("healthy_declared_down", "healthy\ndeclared down"),
                column("settled_median_s", "settled:\nmedian"),
                column("settled_most_s", "most"),
            ],
            cut: None,
            drawings: vec![Drawing {
                file: "churn",
                title: "Nodes crash and return all the time",
                y,
                y_label,
                ..OVER_LOSS
            }],
        };
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent)],
            |(count, percent), seed| growth::churn::<Node>(*count, every, part(*percent), lasts, seed),
            |_, runs| {
                let settled = Times::new(runs.iter().map(|run| run.settled));
                let slandered: usize = runs.iter().map(|run| run.slander.of_healthy()).sum();
                vec![
                    bytes(mean(runs.iter().map(|run| run.bytes))),
                    Cell::Part(mean(runs.iter().map(|run| run.wrong)), 2),
                    Cell::count(slandered),
                    Cell::Time(settled.median()),
                    Cell::Time(settled.most()),
                ]
            },
        )
    }
}
