//! The tables about broadcasts, and what of them is a failure.

use clap::{ValueEnum, value_parser};
use tidings::HeapNode;

use crate::desk::Desk;
use crate::experiments::broadcast::{self, Senders, Shot, Stream, Streamed};
use crate::experiments::ledger::{Delays, Hops, Tally};
use crate::plot::{Drawing, Line, Scale};
use crate::report::{Times, mean};
use crate::sheet::{Cell, Form, column, key};
use crate::tables::{LOSS, NODES, RUNS, bytes, loss, nodes, part, percentage, product, runs, size, tabulate};

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
    refused: std::cell::Cell<usize>,
    silent: std::cell::Cell<usize>,
    excess: std::cell::Cell<usize>,
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

/// How a stream of messages spreads.
const CONVERGENCE: Drawing = Drawing {
    file: "broadcast-convergence",
    title: "How soon members have a broadcast",
    x: None,
    x_label: "milliseconds since it was sent",
    scale: Scale::Doubling,
    y: &[],
    y_label: "members that have it, %",
    by: &[],
};
const SHOTS_DRAWN: Drawing = Drawing {
    file: "broadcast-over-nodes",
    title: "Until all have a broadcast, median",
    x: Some("nodes"),
    x_label: "nodes",
    scale: Scale::Doubling,
    y: &[("all_median_s", "")],
    y_label: "seconds",
    by: &[("loss", " lost")],
};

impl Broadcast {
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        self.shots(desk)?;
        self.streams(desk)
    }

    fn shots(&self, desk: &Desk) -> Result<(), String> {
        let form = Form {
            name: "single",
            columns: vec![
                NODES,
                LOSS,
                RUNS,
                column("all_median_s", "all have it:\nmedian"),
                column("all_most_s", "most"),
                column("copies_per_node", "copies\nper node"),
            ],
            cut: None,
            drawings: vec![SHOTS_DRAWN],
        };
        desk.say("Single messages of 64 bytes.");
        tabulate(
            desk,
            form,
            product(&self.nodes, &self.loss),
            self.seeds,
            |(count, percent)| vec![nodes(*count), loss(*percent)],
            |(count, percent), seed| broadcast::shots::<Node>(*count, SHOTS, part(*percent), seed),
            |_, runs| {
                let shots: Vec<Shot> = runs.into_iter().flatten().collect();
                let all = Times::new(shots.iter().map(|shot| shot.all));
                let copies = mean(shots.iter().map(|shot| shot.copies));
                vec![Cell::Time(all.median()), Cell::Time(all.most()), Cell::Number(copies, 3)]
            },
        )
    }

    fn streams(&self, desk: &Desk) -> Result<(), String> {
        let mut cells = Vec::new();
        for ((nodes, loss), (senders, crash)) in
            product(&product(&self.nodes, &self.loss), &product(&self.senders, &self.crash))
        {
            // Host 0 and another are left, so that there is somebody to send and somebody to receive.
            let crashed = (nodes * crash / 100).min(nodes - 2);
            let senders = senders.senders();
            cells.push(Stream { nodes, loss: part(loss), senders, messages: self.messages, crashed });
        }
        let faults = Faults::default();
        // More lines than these could not be told apart.
        let extremes = [self.loss.iter().min(), self.loss.iter().max()].map(|loss| Some(part(*loss?)));
        desk.say(
            "A message a second. \"Just after\" and \"later\" are those sent within 10 s of the crash, and after that.",
        );
        tabulate(
            desk,
            stream_form(),
            cells,
            self.seeds,
            |cell| {
                let senders = Cell::Word(format!("{:?}", cell.senders).to_lowercase());
                vec![nodes(cell.nodes), Cell::Part(cell.loss, 0), senders, nodes(cell.crashed)]
            },
            |cell, seed| cell.run::<Node>(seed),
            |cell, runs| {
                runs.iter().for_each(|run| faults.add(run));
                if cell.crashed == 0 && cell.senders == Senders::Random && extremes.contains(&Some(cell.loss)) {
                    desk.add_line(CONVERGENCE, convergence(cell, &runs));
                }
                stream_row(&runs)
            },
        )?;
        faults.verdict()
    }
}

fn stream_form() -> Form {
    Form {
        name: "stream",
        columns: vec![
            NODES,
            LOSS,
            key("senders", "sender"),
            key("crashed", "crash"),
            RUNS,
            column("delivered", "delivered"),
            column("delivered_just_after", "just after"),
            column("delivered_later", "later"),
            column("reached_all", "reached\nall"),
            column("gaps", "gaps"),
            column("redundancy", "redun-\ndancy"),
            column("hops_mean", "hops\nmean"),
            column("hops_most", "most"),
            column("bytes_per_message_node", "B/msg\n/node"),
            column("p50_s", "p50"),
            column("p99_s", "p99"),
            column("most_s", "most"),
        ],
        cut: Some(10),
        drawings: vec![CONVERGENCE],
    }
}

/// Which part of the members has a message after what time.
fn convergence(cell: &Stream, runs: &[Streamed]) -> Line {
    let delays = Delays::together(runs.iter().map(|run| &run.delays));
    let reached = (0..=200).map(|step| f64::from(step) / 200.0);
    let points = reached.filter_map(|part| Some((1e3 * delays.within(part)?.as_secs_f64(), 100.0 * part)));
    Line { label: format!("{} nodes, {:.0} % lost", cell.nodes, 100.0 * cell.loss), points: points.collect() }
}

fn stream_row(runs: &[Streamed]) -> Vec<Cell> {
    let delivered = |tally: fn(&Streamed) -> Tally| {
        let tally = sum(runs.iter().map(tally));
        if tally.messages == 0 { Cell::Nothing } else { Cell::Part(tally.delivered(), 3) }
    };
    let mut hops = Hops::default();
    runs.iter().for_each(|run| hops += run.hops);
    let delays = Delays::together(runs.iter().map(|run| &run.delays));
    let gaps: usize = runs.iter().map(|run| run.gaps).sum();
    vec![
        delivered(|run| run.whole),
        delivered(|run| run.confused),
        delivered(|run| run.later),
        Cell::Part(sum(runs.iter().map(|run| run.whole)).complete(), 1),
        Cell::count(gaps),
        known(runs.iter().filter_map(|run| run.redundancy), |mean| Cell::Number(mean, 3)),
        hops.mean().map_or(Cell::Nothing, |mean| Cell::Number(mean, 1)),
        Cell::Count(u64::from(hops.most)),
        known(runs.iter().filter_map(|run| run.bytes), bytes),
        Cell::Time(delays.within(0.5)),
        Cell::Time(delays.within(0.99)),
        Cell::Time(delays.within(1.0)),
    ]
}

fn sum(tallies: impl Iterator<Item = Tally>) -> Tally {
    tallies.fold(Tally::default(), |mut sum, tally| {
        sum += tally;
        sum
    })
}

/// The mean of those that are known, if any is.
fn known(values: impl Iterator<Item = f64>, show: impl Fn(f64) -> Cell) -> Cell {
    let values: Vec<f64> = values.collect();
    if values.is_empty() { Cell::Nothing } else { show(mean(values.into_iter())) }
}
