//! The tables about more writes than the network carries.

use std::time::Duration;

use clap::value_parser;

use crate::desk::Desk;
use crate::maps::stale::{Narrow, Sample};
use crate::plot::{Drawing, Scale};
use crate::report::{in_parallel, mean, progress};
use crate::sheet::{Cell, Column, Form, column, key};
use crate::tables::{part, percentage, runs, size};

/// About what a write of 64 bytes costs a member, acknowledgements included, and what a member sends without any.
const WRITE: f64 = 150.0;
const IDLE: f64 = 60.0;
/// For how many seconds there are few writes at first, and how often one looks.
const BEFORE: u32 = 20;
const EVERY: u32 = 10;

#[derive(clap::Args)]
#[command(after_help = "\
Each node may send --budget bytes a second. What that carries is measured first: random members write random keys, at \
higher and higher rates, until some value has been out of date for more than 5 s after 30 s. Then the rate is half of \
what was carried, for a while twice of it, and half of it again. A write that is pushed back is left out.

A value is stale when its owner has written the key again, and its age is the time since the first of these writes that \
it lacks. To look at all of them would be a million look-ups each time; so only what --observers of the nodes hold is \
looked at.")]
pub struct Staleness {
    /// The size of the cluster.
    #[arg(long, default_value_t = 128, value_parser = size())]
    nodes: u32,
    /// How many keys each member has; each value has 64 bytes.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(1..=100))]
    keys: u32,
    /// How many bytes a node may send in a second.
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u32).range(500..=1_000_000))]
    budget: u32,
    /// Percentage of datagrams lost.
    #[arg(long, default_value_t = 0, value_parser = percentage())]
    loss: u32,
    /// How many of the nodes write [default: all]
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    writers: Option<u32>,
    /// How many writes in a second count as what is carried, in the whole cluster [default: it is measured]
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    capacity: Option<u32>,
    /// For how many seconds there are twice as many.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(5..=3_600))]
    seconds: u32,
    /// For how many seconds there are few again afterwards.
    #[arg(long, default_value_t = 120, value_parser = value_parser!(u32).range(5..=3_600))]
    after: u32,
    /// Of how many nodes is looked what they hold.
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=10_000))]
    observers: u32,
    /// How many runs with push-back, and without; the figures are their means, and the most of the oldest.
    #[arg(long, default_value_t = 1, value_parser = runs())]
    seeds: u64,
}

/// How old values become.
const AGES: Drawing = Drawing {
    file: "staleness-age",
    title: "How long the oldest value has been out of date",
    x: Some("after_s"),
    x_label: "seconds; writes are too many from the 20th on",
    scale: Scale::Even,
    y: &[("without_most_s", "without push-back"), ("push_back_most_s", "with push-back")],
    y_label: "seconds",
    by: &[],
};
const STALE: Drawing = Drawing {
    file: "staleness-part",
    title: "Values that are out of date",
    y: &[("without_stale", "without push-back"), ("push_back_stale", "with push-back")],
    y_label: "% of all values",
    ..AGES
};

impl Staleness {
    pub fn run(&self, desk: &Desk) -> Result<(), String> {
        let capacity = match self.capacity {
            Some(capacity) => f64::from(capacity),
            None => self.measure(desk)?,
        };
        self.step(desk, capacity)
    }

    fn narrow(&self, push_back: bool) -> Narrow {
        let (nodes, keys, budget, observers) = (self.nodes, self.keys, self.budget, self.observers);
        let writers = self.writers.unwrap_or(nodes);
        Narrow { nodes, keys, loss: part(self.loss), budget, writers, push_back, observers }
    }

    /// How many writes a second are carried. Less than a quarter of what the bytes alone would allow is not looked for.
    fn measure(&self, desk: &Desk) -> Result<f64, String> {
        let allowed = (f64::from(self.budget) - IDLE) / WRITE;
        let bar = progress(1);
        let tell = |rate: f64| bar.set_message(format!("whether {rate:.1} writes a second are carried"));
        let columns = [&[key("writes_per_s", "writes/s")][..], &WITHOUT].concat();
        desk.say(&format!("{} nodes of {} bytes a second, after 30 s of writes:", self.nodes, self.budget));
        desk.begin(Form { name: "capacity", columns, cut: None, drawings: Vec::new() }, &bar);
        let samples = in_parallel(1, &bar, |seed| self.narrow(false).capacity(allowed / 4.0, seed, tell))?.concat();
        for sample in &samples {
            desk.add([vec![Cell::Number(sample.wanted, 1)], figures(&[*sample])].concat());
        }
        desk.end()?;
        let [.., carried, _] = samples.as_slice() else {
            return Err(format!("not even {:.1} writes a second are carried; raise --budget", allowed / 4.0));
        };
        desk.say(&format!("{:.1} writes a second are carried, in the whole cluster.", carried.wanted));
        Ok(carried.wanted)
    }

    fn step(&self, desk: &Desk, capacity: f64) -> Result<(), String> {
        let seconds = |count: u32| Duration::from_secs(count.div_ceil(EVERY).into()) * EVERY;
        let few = capacity / 2.0;
        let steps = [(few, seconds(BEFORE)), (2.0 * capacity, seconds(self.seconds)), (few, seconds(self.after))];
        let bar = progress(2 * self.seeds);
        bar.set_message("without push-back, and with");
        let keys = [key("after_s", "after"), key("writes_per_s", "writes/s")];
        let columns = [&keys[..], &WITHOUT, &PUSH_BACK].concat();
        let form = Form { name: "staleness", columns, cut: Some(2 + WITHOUT.len()), drawings: vec![AGES, STALE] };
        desk.say("Half of what is carried, twice of it, and half of it again: without push-back, and with it.");
        desk.begin(form, &bar);
        let mut runs = in_parallel(2 * self.seeds, &bar, |number| {
            let (seed, push_back) = (number.div_ceil(2), number % 2 == 0);
            Ok((push_back, self.narrow(push_back).steps(&steps, seconds(EVERY), seed)?))
        })?;
        runs.sort_by_key(|(push_back, _)| *push_back);
        let (without, with) = runs.split_at(self.seeds as usize);
        for (place, sample) in without[0].1.iter().enumerate() {
            let at = |runs: &[(bool, Vec<Sample>)]| {
                figures(&runs.iter().map(|(_, samples)| samples[place]).collect::<Vec<_>>())
            };
            let head = vec![Cell::Span(Duration::from_secs(sample.at.as_secs())), Cell::Number(sample.wanted, 1)];
            desk.add([head, at(without), at(with)].concat());
        }
        desk.end()
    }
}

const WITHOUT: [Column; 6] = [
    column("without_taken_per_s", "without:\ntaken/s"),
    column("without_stale", "stale"),
    column("without_mean_s", "age:\nmean"),
    column("without_most_s", "most"),
    column("without_bytes_per_node_s", "B/node/s"),
    column("without_parts_per_node_s", "parts\n/node/s"),
];
const PUSH_BACK: [Column; 6] = [
    column("push_back_taken_per_s", "push-back:\ntaken/s"),
    column("push_back_stale", "stale"),
    column("push_back_mean_s", "age:\nmean"),
    column("push_back_most_s", "most"),
    column("push_back_bytes_per_node_s", "B/node/s"),
    column("push_back_parts_per_node_s", "parts\n/node/s"),
];

/// What all tables show of samples that were taken at the same time.
fn figures(samples: &[Sample]) -> Vec<Cell> {
    let ages = || samples.iter().map(|sample| sample.ages);
    vec![
        Cell::Number(mean(samples.iter().map(|sample| sample.taken)), 1),
        Cell::Part(mean(ages().map(|ages| ages.stale)), 2),
        Cell::Time(Some(Duration::from_secs_f64(mean(ages().map(|ages| ages.mean.as_secs_f64()))))),
        Cell::Time(Some(ages().map(|ages| ages.most).max().unwrap_or_default())),
        Cell::Number(mean(samples.iter().map(|sample| sample.bytes)), 0),
        Cell::Number(mean(samples.iter().map(|sample| sample.parts)), 1),
    ]
}
