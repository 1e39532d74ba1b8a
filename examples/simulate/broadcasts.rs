//! The tables about broadcasts, and what of them is a failure.

use std::cell::Cell;

use clap::{ValueEnum, value_parser};
use tidings::HeapNode;

use crate::experiments::broadcast::{self, Senders, Shot, Stream, Streamed};
use crate::experiments::ledger::{Delays, Hops, Tally};
use crate::report::{Times, mean, shown};
use crate::tables::{bytes, part, percentage, product, runs, size, tabulate};

type Node = HeapNode<u32>;

/// How many nodes send one message each in a run of single ones.
const SHOTS: u32 = 5;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Who {
    /// One node sends all messages.
    Single,
    /// Each message is from a random node.
    Random,
}

impl Who {
    fn senders(self) -> Senders {
        match self {
            Who::Single => Senders::Single,
            Who::Random => Senders::Random,
        }
    }
}

#[derive(clap::Args)]
pub struct Broadcast {
    /// Sizes of the cluster.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 128], value_parser = size())]
    nodes: Vec<u32>,
    /// Percentages of datagrams lost.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20], value_parser = percentage())]
    loss: Vec<u32>,
    /// Who sends the stream.
    #[arg(long, value_delimiter = ',', default_values = ["single", "random"])]
    senders: Vec<Who>,
    /// Percentages of the nodes that crash at once, ten seconds into the stream.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 30], value_parser = value_parser!(u32).range(0..=75))]
    crash: Vec<u32>,
    /// How many messages the stream has, one a second.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(1..=3_600))]
    messages: u32,
    /// How many runs of each.
    #[arg(long, default_value_t = 10, value_parser = runs())]
    seeds: u64,
}

/// What the streams of all rows showed that must not be.
#[derive(Default)]
struct Faults {
    refused: Cell<usize>,
    silent: Cell<usize>,
    excess: Cell<usize>,
}

impl Faults {
    fn add(&self, run: &Streamed) {
        self.refused.set(self.refused.get() + run.refused);
        self.silent.set(self.silent.get() + run.whole.silent());
        self.excess.set(self.excess.get() + run.excess);
    }

    fn verdict(&self) -> Result<(), String> {
        let complaints = [
            (self.refused.get(), "messages were not taken"),
            (self.silent.get(), "deliveries failed and no gap was reported"),
            (self.excess.get(), "deliveries were too many"),
        ];
        let complaints: Vec<String> =
            complaints.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
    }
}

impl Broadcast {
    pub fn run(&self) -> Result<(), String> {
        self.shots()?;
        self.streams()
    }

    fn shots(&self) -> Result<(), String> {
        tabulate(
            &["nodes", "loss", "runs", "all have it: median", "max", "copies per node"],
            product(&self.nodes, &self.loss),
            self.seeds,
            |(nodes, loss)| vec![nodes.to_string(), format!("{loss} %")],
            |(nodes, loss), seed| broadcast::shots::<Node>(*nodes, SHOTS, part(*loss), seed),
            |runs| {
                let shots: Vec<Shot> = runs.into_iter().flatten().collect();
                let all = Times::new(shots.iter().map(|shot| shot.all));
                let copies = mean(shots.iter().map(|shot| shot.copies));
                vec![shown(all.median()), shown(all.most()), format!("{copies:.3}")]
            },
        )
    }

    fn streams(&self) -> Result<(), String> {
        let mut cells = Vec::new();
        for ((nodes, loss), (senders, crash)) in
            product(&product(&self.nodes, &self.loss), &product(&self.senders, &self.crash))
        {
            // Host 0 and another are left, so that there is somebody to send and somebody to receive.
            let crashed = (nodes * crash / 100).min(nodes - 2);
            let senders = senders.senders();
            cells.push(Stream { nodes, loss: part(loss), senders, messages: self.messages, crashed });
        }
        let head = ["nodes", "loss", "senders", "crash", "runs", "delivered", "just after", "later", "reached all"];
        let costs = ["gaps", "redundancy", "hops (max)", "B/message/node", "p50", "p99", "max"];
        let faults = Faults::default();
        tabulate(
            &[head.as_slice(), &costs].concat(),
            cells,
            self.seeds,
            |cell| {
                let senders = format!("{:?}", cell.senders).to_lowercase();
                vec![cell.nodes.to_string(), percent(cell.loss, 0), senders, cell.crashed.to_string()]
            },
            |cell, seed| cell.run::<Node>(seed),
            |runs| {
                runs.iter().for_each(|run| faults.add(run));
                stream_row(&runs)
            },
        )?;
        faults.verdict()
    }
}

fn stream_row(runs: &[Streamed]) -> Vec<String> {
    let delivered = |tally: fn(&Streamed) -> Tally| {
        let tally = sum(runs.iter().map(tally));
        if tally.messages == 0 { "–".into() } else { percent(tally.delivered(), 3) }
    };
    let mut hops = Hops::default();
    runs.iter().for_each(|run| hops += run.hops);
    let delays = Delays::together(runs.iter().map(|run| &run.delays));
    let gaps: usize = runs.iter().map(|run| run.gaps).sum();
    vec![
        delivered(|run| run.whole),
        delivered(|run| run.confused),
        delivered(|run| run.later),
        percent(sum(runs.iter().map(|run| run.whole)).complete(), 1),
        gaps.to_string(),
        known(runs.iter().filter_map(|run| run.redundancy), |mean| format!("{mean:.3}")),
        hops.mean().map_or("–".into(), |mean| format!("{mean:.1} ({})", hops.most)),
        known(runs.iter().filter_map(|run| run.bytes), bytes),
        shown(delays.within(0.5)),
        shown(delays.within(0.99)),
        shown(delays.within(1.0)),
    ]
}

fn sum(tallies: impl Iterator<Item = Tally>) -> Tally {
    tallies.fold(Tally::default(), |mut sum, tally| {
        sum += tally;
        sum
    })
}

/// The mean of those that are known, if any is.
fn known(values: impl Iterator<Item = f64>, show: impl Fn(f64) -> String) -> String {
    let values: Vec<f64> = values.collect();
    if values.is_empty() { "–".into() } else { show(mean(values.into_iter())) }
}

fn percent(part: f64, digits: usize) -> String {
    format!("{:.digits$} %", part * 100.0)
}
