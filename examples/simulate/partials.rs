//! Tables of partial connectivity.

use clap::value_parser;
use tidings::HeapNode;

use crate::desk::Desk;
use crate::experiments::SECOND;
use crate::experiments::partial::{self, Partial};
use crate::plot::{Drawing, Scale};
use crate::report::{Times, mean};
use crate::sheet::{Cell, Column, Form, column, key};
use crate::tables::{NODES, RUNS, bytes, nodes, runs, size, tabulate};

type Node = HeapNode<u32>;

/// What both show.
const SHOWN: [Column; 5] = [
    column("living_down", "living\nreported\ndown"),
    column("living_down_by_one_most", "by one,\nmost"),
    column("bytes_per_node_s", "B/node/s"),
    column("known_median_s", "crash known:\nmedian"),
    column("known_most_s", "most"),
];

fn drawing(file: &'static str, title: &'static str) -> Drawing {
    Drawing {
        file,
        title,
        x: Some("nodes"),
        x_label: "nodes",
        scale: Scale::Doubling,
        y: &[("known_median_s", "median"), ("known_most_s", "most")],
        y_label: "seconds until a crash is known",
        by: &[],
    }
}

fn row(runs: &[Partial]) -> Vec<Cell> {
    let known = Times::new(runs.iter().map(|run| run.known));
    vec![
        Cell::count(runs.iter().map(|run| run.wrong).sum()),
        Cell::count(runs.iter().map(|run| run.most).max().unwrap_or(0)),
        bytes(mean(runs.iter().map(|run| run.bytes))),
        Cell::Time(known.median()),
        Cell::Time(known.most()),
    ]
}

#[derive(clap::Args)]
pub struct Zones {
    /// Sizes of the cluster, a third of it in each zone.
    #[arg(long, value_delimiter = ',', default_values_t = [9, 15, 60, 128], value_parser = size())]
    nodes: Vec<u32>,
    /// For how many seconds.
    #[arg(long, default_value_t = 600, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How many runs of each.
    #[arg(long, default_value_t = 6, value_parser = runs())]
    seeds: u64,
}

impl Zones {
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let form = Form {
            name: "zones",
            columns: [&[NODES, RUNS][..], &SHOWN].concat(),
            cut: None,
            drawings: vec![drawing("zones", "Two of three zones do not reach each other")],
        };
        tabulate(
            desk,
            form,
            self.nodes.iter().copied(),
            self.seeds,
            |count| vec![nodes(*count)],
            |count, seed| partial::zones::<Node>(*count, self.seconds * SECOND, seed),
            |_, runs| row(&runs),
        )
    }
}

#[derive(clap::Args)]
pub struct Filter {
    /// Sizes of the cluster before the filtered member joins.
    #[arg(long, value_delimiter = ',', default_values_t = [9, 15, 60, 128], value_parser = size())]
    nodes: Vec<u32>,
    /// For how many seconds the filter lets in what comes from an address that was sent to.
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u32).range(1..=86_400))]
    open: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 600, value_parser = value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How many runs of each.
    #[arg(long, default_value_t = 6, value_parser = runs())]
    seeds: u64,
}

impl Filter {
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let form = Form {
            name: "filter",
            columns: [&[NODES, key("open_s", "open for"), RUNS][..], &SHOWN].concat(),
            cut: None,
            drawings: vec![drawing("filter", "One member is behind a stateful filter")],
        };
        let lasts = self.seconds * SECOND;
        tabulate(
            desk,
            form,
            self.nodes.iter().copied(),
            self.seeds,
            |count| vec![nodes(*count), Cell::Span(self.open * SECOND)],
            |count, seed| partial::filter::<Node>(*count, self.open * SECOND, lasts, seed),
            |_, runs| row(&runs),
        )
    }
}
