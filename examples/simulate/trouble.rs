//! The tables about nodes in trouble among healthy ones.

use std::time::Duration;

use clap::value_parser;
use tidings::HeapNode;

use crate::desk::Desk;
use crate::experiments::SECOND;
use crate::experiments::flapping::{self, Troubled, Way};
use crate::plot::{Drawing, Scale};
use crate::report::mean;
use crate::sheet::{Cell, Column, Form, column, key};
use crate::tables::{NODES, RUNS, bytes, nodes, product, runs, size, tabulate};

type Node = HeapNode<u32>;

/// What all of them show.
const TROUBLED: [Column; 4] = [
    column("healthy_down_by_healthy", "healthy\ndown by\nhealthy"),
    column("healthy_down_by_troubled", "by\ntroubled"),
    column("troubled_down", "troubled\ndown"),
    column("bytes_per_node_s", "B/node/s"),
];
/// What nodes in trouble cost all.
const BYTES: Drawing = Drawing {
    file: "",
    title: "",
    x: None,
    x_label: "",
    scale: Scale::Doubling,
    y: &[("bytes_per_node_s", "")],
    y_label: "bytes of a node and second",
    by: &[],
};

fn troubled(runs: &[Troubled]) -> Vec<Cell> {
    let sum = |count: fn(&Troubled) -> usize| Cell::count(runs.iter().map(count).sum());
    vec![
        sum(|run| run.slander.by_healthy),
        sum(|run| run.slander.by_troubled),
        sum(|run| run.slander.of_troubled),
        bytes(mean(runs.iter().map(|run| run.bytes))),
    ]
}

fn fewer(some: &[u32], nodes: u32) -> Result<(), String> {
    if some.iter().all(|count| *count < nodes) {
        return Ok(());
    }
    Err(format!("fewer than all {nodes} nodes can be in trouble"))
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        fewer(&self.stopped, self.nodes)?;
        let form = Form {
            name: "pause",
            columns: [&[NODES, key("stopped", "stopped"), key("gap_s", "gap"), RUNS][..], &TROUBLED].concat(),
            cut: None,
            drawings: vec![Drawing {
                file: "pause",
                title: "Processes stop for half a second to three, again and again",
                x: Some("stopped"),
                x_label: "processes that stop",
                by: &[("gap_s", " between")],
                ..BYTES
            }],
        };
        tabulate(
            desk,
            form,
            product(&self.stopped, &self.gap),
            self.seeds,
            |(stopped, gap)| vec![nodes(self.nodes), nodes(*stopped), Cell::Span(Duration::from_millis(*gap))],
            |(stopped, gap), seed| flapping::pause::<Node>(self.nodes, *stopped, Duration::from_millis(*gap), seed),
            |_, runs| troubled(&runs),
        )
    }
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        fewer(&self.cut, self.nodes)?;
        let gap = Duration::from_millis(self.gap);
        let keys = [NODES, key("cut_off", "cut off"), key("for_s", "for"), key("gap_s", "gap"), RUNS];
        let form = Form {
            name: "cutoff",
            columns: [&keys[..], &TROUBLED].concat(),
            cut: None,
            drawings: vec![Drawing {
                file: "cutoff",
                title: "Nodes lose their network again and again",
                x: Some("for_s"),
                x_label: "seconds without the network",
                by: &[("cut_off", " cut off")],
                ..BYTES
            }],
        };
        tabulate(
            desk,
            form,
            product(&self.cut, &self.seconds),
            self.seeds,
            |(cut, lasts)| vec![nodes(self.nodes), nodes(*cut), Cell::Span(*lasts * SECOND), Cell::Span(gap)],
            |(cut, lasts), seed| flapping::cut_off::<Node>(self.nodes, *cut, *lasts * SECOND, gap, seed),
            |_, runs| troubled(&runs),
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
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let keys = [NODES, key("one_node", "one node"), RUNS];
        let form = Form {
            name: "oneway",
            columns: [&keys[..], &TROUBLED, &[column("flips", "flips in\nthe last\nminute")]].concat(),
            cut: None,
            drawings: vec![Drawing {
                file: "oneway",
                title: "One node hears others badly, or is heard badly",
                x: Some("one_node"),
                x_label: "what the node suffers",
                scale: Scale::Words,
                ..BYTES
            }],
        };
        let kinds =
            [("80 % lost in", Some(Way::Inwards)), ("80 % lost out", Some(Way::Outwards)), ("deaf by turns", None)];
        tabulate(
            desk,
            form,
            kinds,
            self.seeds,
            |(name, _)| vec![nodes(self.nodes), Cell::Word(name.to_string())],
            |(_, way), seed| match way {
                Some(way) => flapping::one_way::<Node>(self.nodes, *way, 0.8, seed),
                None => flapping::half_deaf_by_turns::<Node>(self.nodes, seed),
            },
            |_, runs| {
                let flips = Cell::count(runs.iter().map(|run| run.flips).sum());
                troubled(&runs).into_iter().chain([flips]).collect()
            },
        )
    }
}
