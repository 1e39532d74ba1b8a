//! The tables about maps.

use std::time::Duration;

use clap::value_parser;

use crate::maps::fill::{self, Filled};
use crate::maps::spread;
use crate::report::{Times, mean, shown};
use crate::tables::{bytes, part, percentage, product, runs, size, tabulate};

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

impl State {
    pub fn run(&self) -> Result<(), String> {
        anstream::println!("One value of 64 bytes is set: until all can read it.");
        self.shots()?;
        anstream::println!(
            "\nBytes of all nodes: idle, and beyond that for each write and member; until all have the last."
        );
        self.costs()?;
        anstream::println!("\nOne joins when each has {} keys: until it has all; bytes of all until then.", self.keys);
        self.filled(fill::newcomer)?;
        anstream::println!(
            "\nAll start within a second, each with {} keys: until all have all; bytes of each.",
            self.keys
        );
        self.filled(fill::together)
    }

    fn shots(&self) -> Result<(), String> {
        tabulate(
            &["nodes", "loss", "runs", "all can read it: median", "max"],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %")],
            |(nodes, loss), seed| spread::shots(*nodes, self.writes, part(*loss), seed),
            |runs| {
                let times = Times::new(runs.into_iter().flatten());
                vec![shown(times.median()), shown(times.most())]
            },
        )
    }

    fn costs(&self) -> Result<(), String> {
        let head = ["nodes", "loss", "writes/s", "runs", "idle B/node/s: no maps", "maps filled"];
        let busy = ["B/write/member", "parts", "all have all: median", "max", "pushed back"];
        tabulate(
            &[head.as_slice(), &busy].concat(),
            product(&product(&self.nodes, &self.loss), &self.rates),
            self.seeds,
            |((nodes, loss), rate)| vec![nodes.to_string(), format!("{loss} %"), rate.to_string()],
            |((nodes, loss), rate), seed| spread::cost(*nodes, self.keys, *rate, part(*loss), seed),
            |runs| {
                let settled = Times::new(runs.iter().map(|run| run.settled));
                vec![
                    bytes(mean(runs.iter().map(|run| run.without))),
                    bytes(mean(runs.iter().map(|run| run.idle))),
                    bytes(mean(runs.iter().map(|run| run.bytes))),
                    format!("{:.2}", mean(runs.iter().map(|run| run.parts))),
                    shown(settled.median()),
                    shown(settled.most()),
                    runs.iter().map(|run| run.refused).sum::<u32>().to_string(),
                ]
            },
        )
    }

    fn filled(&self, run: impl Fn(u32, u32, f64, u64) -> Result<Filled, String> + Sync) -> Result<(), String> {
        let kilobytes = |runs: &[Filled]| format!("{:.1} kB", mean(runs.iter().map(|run| run.bytes / 1e3)));
        let times = |runs: &[Filled], which: fn(&Filled) -> Option<Duration>| Times::new(runs.iter().map(which));
        tabulate(
            &["nodes", "loss", "runs", "all members known: median", "all maps: median", "max", "sent until then"],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %")],
            |(nodes, loss), seed| run(*nodes, self.keys, part(*loss), seed),
            |runs| {
                let (knows, has) = (times(&runs, |run| run.knows), times(&runs, |run| run.has));
                vec![shown(knows.median()), shown(has.median()), shown(has.most()), kilobytes(&runs)]
            },
        )
    }
}
