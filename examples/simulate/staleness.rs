//! The tables about more writes than the network carries.

use std::time::Duration;

use clap::value_parser;

use crate::maps::stale::{Narrow, Sample};
use crate::report::{in_parallel, mean, progress, table};
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

impl Staleness {
    pub fn run(&self) -> Result<(), String> {
        let capacity = match self.capacity {
            Some(capacity) => f64::from(capacity),
            None => self.measure()?,
        };
        self.step(capacity)
    }

    fn narrow(&self, push_back: bool) -> Narrow {
        let (nodes, keys, budget, observers) = (self.nodes, self.keys, self.budget, self.observers);
        let writers = self.writers.unwrap_or(nodes);
        Narrow { nodes, keys, loss: part(self.loss), budget, writers, push_back, observers }
    }

    /// How many writes a second are carried. Less than a quarter of what the bytes alone would allow is not looked for.
    fn measure(&self) -> Result<f64, String> {
        let allowed = (f64::from(self.budget) - IDLE) / WRITE;
        let bar = progress(1);
        let tell = |rate: f64| bar.set_message(format!("whether {rate:.1} writes a second are carried"));
        let samples = in_parallel(1, &bar, |seed| self.narrow(false).capacity(allowed / 4.0, seed, tell))?.concat();
        bar.finish_and_clear();
        let mut table = table(&[["writes/s"].as_slice(), &FIGURES].concat());
        for sample in &samples {
            table.add_row([vec![format!("{:.1}", sample.wanted)], figures(&[*sample])].concat());
        }
        anstream::println!("{} nodes of {} bytes a second, after 30 s of writes:\n{table}", self.nodes, self.budget);
        let [.., carried, _] = samples.as_slice() else {
            return Err(format!("not even {:.1} writes a second are carried; raise --budget", allowed / 4.0));
        };
        anstream::println!("{:.1} writes a second are carried, in the whole cluster.\n", carried.wanted);
        Ok(carried.wanted)
    }

    fn step(&self, capacity: f64) -> Result<(), String> {
        let seconds = |count: u32| Duration::from_secs(count.div_ceil(EVERY).into()) * EVERY;
        let few = capacity / 2.0;
        let steps = [(few, seconds(BEFORE)), (2.0 * capacity, seconds(self.seconds)), (few, seconds(self.after))];
        let bar = progress(2 * self.seeds);
        bar.set_message("without push-back, and with");
        let mut runs = in_parallel(2 * self.seeds, &bar, |number| {
            let (seed, push_back) = (number.div_ceil(2), number % 2 == 0);
            Ok((push_back, self.narrow(push_back).steps(&steps, seconds(EVERY), seed)?))
        })?;
        bar.finish_and_clear();
        runs.sort_by_key(|(push_back, _)| *push_back);
        let (without, with) = runs.split_at(self.seeds as usize);
        let heads = ["without", "push-back"].map(|way| FIGURES.map(|figure| format!("{way}:\n{figure}")));
        let heads: Vec<&str> = heads.iter().flatten().map(String::as_str).collect();
        let mut table = table(&[["after", "writes/s"].as_slice(), &heads].concat());
        for (place, sample) in without[0].1.iter().enumerate() {
            let at = |runs: &[(bool, Vec<Sample>)]| {
                figures(&runs.iter().map(|(_, samples)| samples[place]).collect::<Vec<_>>())
            };
            let head = vec![format!("{} s", sample.at.as_secs()), format!("{:.1}", sample.wanted)];
            table.add_row([head, at(without), at(with)].concat());
        }
        anstream::println!("{table}");
        Ok(())
    }
}

const FIGURES: [&str; 6] = ["taken/s", "stale", "age: mean", "most", "B/node/s", "parts/node/s"];

/// What all tables show of samples that were taken at the same time.
fn figures(samples: &[Sample]) -> Vec<String> {
    let ages = || samples.iter().map(|sample| sample.ages);
    let most = ages().map(|ages| ages.most).max().unwrap_or_default();
    vec![
        format!("{:.1}", mean(samples.iter().map(|sample| sample.taken))),
        format!("{:.2} %", 100.0 * mean(ages().map(|ages| ages.stale))),
        format!("{:.1} s", mean(ages().map(|ages| ages.mean.as_secs_f64()))),
        format!("{:.1} s", most.as_secs_f64()),
        format!("{:.0}", mean(samples.iter().map(|sample| sample.bytes))),
        format!("{:.1}", mean(samples.iter().map(|sample| sample.parts))),
    ]
}
