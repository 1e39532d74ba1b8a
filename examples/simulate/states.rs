//! The tables about maps.

use std::time::Duration;

use clap::value_parser;

use crate::desk::Desk;
use crate::maps::fill::{self, Filled};
use crate::maps::spread;
use crate::plot::{Drawing, Scale};
use crate::report::{Times, mean};
use crate::sheet::{Cell, Form, column, key};
use crate::tables::{LOSS, NODES, RUNS, bytes, loss, nodes, part, percentage, product, runs, size, tabulate};

#[derive(clap::Args)]
pub struct State {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 128], value_parser = size())]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20], value_parser = percentage())]
    loss: Vec<u32>,
    /// How many keys each member has where maps are filled; each value has 64 bytes.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=100))]
    keys: u32,
    /// How many single writes a run has.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000))]
    writes: u32,
    /// How many writes there are in a second, in the whole cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100], value_parser = value_parser!(u32).range(1..=10_000))]
    rates: Vec<u32>,
    /// How many runs of each.
    #[arg(long, default_value_t = 5, value_parser = runs())]
    seeds: u64,
}

/// A time over the size of the cluster.
const OVER_NODES: Drawing = Drawing {
    file: "",
    title: "",
    x: Some("nodes"),
    x_label: "nodes",
    scale: Scale::Doubling,
    y: &[],
    y_label: "seconds",
    by: &[("loss", " lost")],
};
const READABLE: Drawing = Drawing {
    file: "state-readable",
    title: "Until all can read a key, median",
    y: &[("all_median_s", "")],
    ..OVER_NODES
};
const PRICE: Drawing = Drawing {
    file: "state-bytes",
    title: "Bytes of a write for each member",
    x: Some("writes_per_s"),
    x_label: "writes a second in the whole cluster",
    y: &[("bytes_per_write_member", "")],
    y_label: "bytes",
    by: &[("nodes", " nodes"), ("loss", " lost")],
    ..OVER_NODES
};

impl State {
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        desk.say("One value of 64 bytes is set: until all can read it.");
        self.shots(desk)?;
        desk.say("Bytes of all nodes: idle, and beyond that for each write and member; until all have the last.");
        self.costs(desk)?;
        desk.say(&format!("One joins when each has {} keys: until it has all; bytes of all until then.", self.keys));
        self.filled(desk, "newcomer", "Until a newcomer has all keys, median", fill::newcomer)?;
        desk.say(&format!(
            "All start within a second, each with {} keys: until all have all; bytes of each.",
            self.keys
        ));
        self.filled(desk, "together", "All start at once: until all have all keys, median", fill::together)
    }

    fn shots(&self, desk: &Desk) -> Result<(), String> {
        let form = Form {
            name: "readable",
            columns: vec![
                NODES,
                LOSS,
                RUNS,
                column("all_median_s", "all can read it:\nmedian"),
                column("all_most_s", "most"),
            ],
            cut: None,
            drawings: vec![READABLE],
        };
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent)],
            |(count, percent), seed| spread::shots(*count, self.writes, part(*percent), seed),
            |_, runs| {
                let times = Times::new(runs.into_iter().flatten());
                vec![Cell::Time(times.median()), Cell::Time(times.most())]
            },
        )
    }

    fn costs(&self, desk: &Desk) -> Result<(), String> {
        let form = Form {
            name: "costs",
            columns: vec![
                NODES,
                LOSS,
                key("writes_per_s", "writes\n/s"),
                RUNS,
                column("idle_bytes_without_maps", "idle B/s:\nno maps"),
                column("idle_bytes_with_maps", "filled"),
                column("bytes_per_write_member", "B/write\n/member"),
                column("parts_per_write_member", "parts"),
                column("settled_median_s", "all have all:\nmedian"),
                column("settled_most_s", "most"),
                column("pushed_back", "pushed\nback"),
            ],
            cut: Some(8),
            drawings: vec![PRICE],
        };
        tabulate(
            desk,
            form,
            product(&product(&self.nodes, &self.loss), &self.rates),
            self.seeds,
            |((count, percent), rate)| vec![nodes(*count), loss(*percent), nodes(*rate)],
            |((count, percent), rate), seed| spread::cost(*count, self.keys, *rate, part(*percent), seed),
            |_, runs| {
                let settled = Times::new(runs.iter().map(|run| run.settled));
                vec![
                    bytes(mean(runs.iter().map(|run| run.without))),
                    bytes(mean(runs.iter().map(|run| run.idle))),
                    bytes(mean(runs.iter().map(|run| run.bytes))),
                    Cell::Number(mean(runs.iter().map(|run| run.parts)), 2),
                    Cell::Time(settled.median()),
                    Cell::Time(settled.most()),
                    Cell::Count(runs.iter().map(|run| u64::from(run.refused)).sum()),
                ]
            },
        )
    }

    fn filled(
        &self,
        desk: &Desk,
        name: &'static str,
        title: &'static str,
        run: impl Fn(u32, u32, f64, u64) -> Result<Filled, String> + Sync,
    ) -> Result<(), String> {
        let file = if name == "newcomer" { "state-newcomer" } else { "state-together" };
        let form = Form {
            name,
            columns: vec![
                NODES,
                LOSS,
                RUNS,
                column("members_median_s", "all members:\nmedian"),
                column("maps_median_s", "all maps:\nmedian"),
                column("maps_most_s", "most"),
                column("kilobytes", "kB sent\nuntil then"),
            ],
            cut: None,
            drawings: vec![Drawing { file, title, y: &[("maps_median_s", "")], ..OVER_NODES }],
        };
        let times = |runs: &[Filled], which: fn(&Filled) -> Option<Duration>| Times::new(runs.iter().map(which));
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent)],
            |(count, percent), seed| run(*count, self.keys, part(*percent), seed),
            |_, runs| {
                let (knows, has) = (times(&runs, |run| run.knows), times(&runs, |run| run.has));
                let kilobytes = mean(runs.iter().map(|run| run.bytes / 1e3));
                let times = [knows.median(), has.median(), has.most()].map(Cell::Time);
                times.into_iter().chain([Cell::Number(kilobytes, 1)]).collect()
            },
        )
    }
}
