//! What both go through: an experiment with its parameters, and what is taken from a run of it.

use std::time::Duration;

use crate::experiments::broadcast::{self, Senders, Stream, TAIL};
use crate::experiments::flapping::{self, Troubled, Way};
use crate::experiments::{SECOND, Slander, Subject, crash, growth, some, steady};
use crate::peer;

/// The size of the cluster where no other is named.
const NODES: u32 = 128;

/// An experiment.
#[derive(Clone, Copy, Debug)]
pub enum Trial {
    /// So many of a settled cluster crash at once, under this loss.
    Crash { nodes: u32, crashed: u32, loss: f64 },
    /// Nothing happens but loss, for so long.
    Steady { nodes: u32, loss: f64, lasts: Duration },
    /// So many of 128 are cut off for so long, again and again.
    CutOff { cut: u32, lasts: Duration, gap: Duration },
    /// The processes of so many of 128 stop, again and again.
    Pause { stopped: u32, gap: Duration },
    /// One of 128 loses four fifths of what goes this way.
    OneWay(Way),
    /// One of 128 hears nothing for 20 s of every 40 s.
    HalfDeaf,
    /// One more joins a settled cluster.
    Join { nodes: u32 },
    /// All join through one seed within a second.
    Bootstrap { nodes: u32, loss: f64 },
    /// Halves of 128 are apart for so long.
    Partition { apart: Duration },
    /// A member sends a message to all.
    Shot { nodes: u32 },
    /// Random members send a message to all every second, for a minute, under this loss; so many crash at once meanwhile.
    Stream { nodes: u32, loss: f64, crashed: u32 },
}

/// A figure of one run.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// How long something took, if it ever came.
    Time(Option<Duration>),
    /// Bytes, or a number of times; not a number if that is not known.
    Amount(f64),
    /// How often members that should not have been were declared down by others, and how often such members found
    /// themselves declared down and had to rejoin.
    Expelled { declared: usize, rejoins: usize },
}

/// How long a newcomer's own view is waited for: foca's takes a quarter of an hour.
pub const JOIN_LIMIT: Duration = Duration::from_secs(1_200);
/// How long one view is waited for after a partition: foca looks for those it has declared down every 65 s.
pub const PARTITION_LIMIT: Duration = Duration::from_secs(300);
/// How long all views of a bootstrap are waited for.
pub const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(120);
/// How long single messages are waited for, and the last of a stream.
pub const MESSAGE_LIMITS: [Duration; 2] = [broadcast::LIMIT, TAIL];

impl Trial {
    /// The size of its cluster.
    pub fn nodes(self) -> u32 {
        match self {
            Trial::Crash { nodes, .. }
            | Trial::Steady { nodes, .. }
            | Trial::Join { nodes }
            | Trial::Shot { nodes }
            | Trial::Stream { nodes, .. }
            | Trial::Bootstrap { nodes, .. } => nodes,
            _ => NODES,
        }
    }

    /// Whether a protocol that knows neither all members nor of crashes can go through it.
    #[cfg(feature = "iroh")]
    pub fn is_of_broadcasts(self) -> bool {
        matches!(self, Trial::Shot { .. } | Trial::Stream { crashed: 0, .. })
    }

    /// Does it, on this thread; its figures in the order that the rows count them.
    pub fn run<M: Subject>(self, seed: u64) -> Result<Vec<Value>, String> {
        peer::take_rejoins();
        Ok(match self {
            Trial::Crash { nodes, crashed, loss } => {
                let run = crash::run::<M>(nodes, crashed, loss, seed)?;
                vec![Value::Time(run.all), expelled(run.slander.of_healthy(), &[])]
            }
            Trial::Steady { nodes, loss, lasts } => {
                let run = steady::run::<M>(nodes, loss, lasts, seed)?;
                vec![Value::Amount(run.bytes), expelled(run.slander.of_healthy(), &[])]
            }
            Trial::CutOff { cut, lasts, gap } => {
                let run = flapping::cut_off::<M>(NODES, cut, lasts, gap, seed)?;
                vec![expelled(run.slander.by_healthy, &some(cut, NODES, seed)), Value::Amount(run.bytes)]
            }
            Trial::Pause { stopped, gap } => {
                let run = flapping::pause::<M>(NODES, stopped, gap, seed)?;
                vec![expelled(everybody(run.slander), &[]), Value::Amount(run.bytes)]
            }
            Trial::OneWay(way) => one(flapping::one_way::<M>(NODES, way, 0.8, seed)?, seed),
            Trial::HalfDeaf => one(flapping::half_deaf_by_turns::<M>(NODES, seed)?, seed),
            Trial::Join { nodes } => {
                let run = growth::join::<M>(nodes, 0.0, JOIN_LIMIT, seed)?;
                vec![Value::Time(run.known), Value::Time(run.knows)]
            }
            Trial::Bootstrap { nodes, loss } => {
                let run = growth::bootstrap::<M>(nodes, loss, BOOTSTRAP_LIMIT, seed)?;
                vec![Value::Time(run.complete), Value::Amount(run.bytes / 1e3)]
            }
            Trial::Partition { apart } => {
                vec![Value::Time(growth::partition::<M>(NODES, apart, PARTITION_LIMIT, seed)?)]
            }
            Trial::Shot { nodes } => {
                let shots = broadcast::shots::<M>(nodes, 1, 0.0, seed)?;
                shots.first().map(|shot| vec![Value::Time(shot.all), Value::Amount(shot.copies)]).unwrap_or_default()
            }
            Trial::Stream { nodes, loss, crashed } => stream::<M>(nodes, loss, crashed, seed)?,
        })
    }
}

/// A minute of messages: the part that all had, needless copies for each that was needed, the time within which 99 % of
/// the deliveries were made, and bytes; then the part of the deliveries that were made just after a crash, and later.
fn stream<M: Subject>(nodes: u32, loss: f64, crashed: u32, seed: u64) -> Result<Vec<Value>, String> {
    let stream = Stream { nodes, loss, senders: Senders::Random, messages: 60, crashed };
    let run = stream.run::<M>(seed)?;
    Ok(vec![
        Value::Amount(100.0 * run.whole.complete()),
        Value::Amount(run.redundancy.unwrap_or(f64::NAN)),
        Value::Time(run.delays.within(0.99)),
        Value::Amount(run.bytes.unwrap_or(f64::NAN)),
        Value::Amount(100.0 * run.confused.delivered()),
        Value::Amount(100.0 * run.later.delivered()),
    ])
}

/// What one in trouble did to others, by others' word and by its own; and how it looked to them.
fn one(run: Troubled, seed: u64) -> Vec<Value> {
    let by_itself = Value::Expelled { declared: run.slander.by_troubled, rejoins: 0 };
    let healthy = expelled(run.slander.by_healthy, &some(1, NODES, seed));
    vec![healthy, by_itself, Value::Amount(run.flips as f64)]
}

fn everybody(slander: Slander) -> usize {
    slander.of_healthy() + slander.of_troubled
}

/// So many declared down, and those but these that had to rejoin in this run.
fn expelled(declared: usize, but: &[usize]) -> Value {
    let rejoins = peer::take_rejoins().iter().filter(|host| !but.contains(host)).count();
    Value::Expelled { declared, rejoins }
}

/// Seconds as a duration.
pub fn seconds(count: u32) -> Duration {
    SECOND * count
}
