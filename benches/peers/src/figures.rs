//! What the runs of one row come to, and how it is shown and compared.

use std::time::Duration;

use crate::report::{Times, mean, shown};
use crate::trial::Value;

/// What is wanted of ours.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// Seconds: the median, and the longest.
    Within { median: Option<f64>, most: Option<f64> },
    /// On average, in this unit.
    AtMost(f64, &'static str),
    /// The same, the other way round.
    AtLeast(f64, &'static str),
    /// Nobody is expelled.
    Nobody,
    /// Nothing is asked; the figure is for comparison.
    Nothing(&'static str),
}

impl Target {
    fn unit(self) -> &'static str {
        match self {
            Target::AtMost(_, unit) | Target::AtLeast(_, unit) | Target::Nothing(unit) => unit,
            _ => "",
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Target::Within { median: Some(median), most: Some(most) } => write!(out, "≤ {median} s (max {most})"),
            Target::Within { median: Some(median), .. } => write!(out, "≤ {median} s"),
            Target::Within { most: Some(most), .. } => write!(out, "max ≤ {most} s"),
            Target::AtMost(most, unit) => write!(out, "≤ {most}{unit}"),
            Target::AtLeast(least, unit) => write!(out, "≥ {least}{unit}"),
            Target::Nobody => write!(out, "0"),
            Target::Within { .. } | Target::Nothing(_) => write!(out, "–"),
        }
    }
}

/// All runs of one row.
pub enum Figure {
    Times { times: Times, never: usize, runs: usize },
    Amount { mean: f64, runs: usize },
    Expelled { declared: usize, rejoins: usize, runs: usize },
}

impl Figure {
    /// Of the same value of each run; nothing of no runs.
    pub fn of(values: &[Value]) -> Option<Self> {
        let runs = values.len();
        Some(match *values.first()? {
            Value::Time(_) => {
                let times = values.iter().map(|value| if let Value::Time(time) = value { *time } else { None });
                Figure::Times { never: times.clone().filter(Option::is_none).count(), times: Times::new(times), runs }
            }
            Value::Amount(_) => {
                let amount = |value: &Value| if let Value::Amount(amount) = value { *amount } else { 0.0 };
                Figure::Amount { mean: mean(values.iter().map(amount)), runs }
            }
            Value::Expelled { .. } => {
                let (mut sum, mut rejoined) = (0, 0);
                for value in values {
                    if let Value::Expelled { declared, rejoins } = value {
                        (sum, rejoined) = (sum + declared, rejoined + rejoins);
                    }
                }
                Figure::Expelled { declared: sum, rejoins: rejoined, runs }
            }
        })
    }

    /// How many runs.
    pub fn runs(&self) -> usize {
        match self {
            Figure::Times { runs, .. } | Figure::Amount { runs, .. } | Figure::Expelled { runs, .. } => *runs,
        }
    }

    /// The median and, in brackets, the longest time; or the mean; or how many were declared down and rejoined.
    pub fn text(&self, target: Target) -> String {
        match self {
            Figure::Times { times, never, runs } => {
                let median = shown(times.median());
                match never {
                    0 if *runs > 1 => format!("{median} ({})", shown(times.most())),
                    _ if *never > 0 && never < runs => format!("{median} (never in {never})"),
                    _ => median,
                }
            }
            Figure::Amount { mean, .. } if mean.is_nan() => "–".into(),
            Figure::Amount { mean, .. } => format!("{}{}", number(*mean), target.unit()),
            Figure::Expelled { declared: 0, rejoins: 0, .. } => "0".into(),
            Figure::Expelled { declared, rejoins, runs } => {
                let each = |count: usize| number(count as f64 / *runs as f64);
                format!("{} + {}", each(*declared), each(*rejoins))
            }
        }
    }

    /// Whether it is as wanted; `None` if nothing is.
    pub fn meets(&self, target: Target) -> Option<bool> {
        let within = |time: Option<Duration>, wanted: Option<f64>| {
            wanted.is_none_or(|wanted| time.is_some_and(|time| time.as_secs_f64() <= wanted))
        };
        match (self, target) {
            // One run has no median to speak of.
            (Figure::Times { times, runs: 1, .. }, Target::Within { median, most }) => {
                Some(within(times.most(), most.or(median)))
            }
            (Figure::Times { times, .. }, Target::Within { median, most }) => {
                Some(within(times.median(), median) && within(times.most(), most))
            }
            (Figure::Amount { mean, .. }, Target::AtMost(most, _)) => Some(*mean <= most),
            (Figure::Amount { mean, .. }, Target::AtLeast(least, _)) => Some(*mean >= least),
            (Figure::Expelled { declared, rejoins, .. }, Target::Nobody) => Some(declared + rejoins == 0),
            (_, Target::Nothing(_)) => None,
            _ => Some(false),
        }
    }

    /// How many times as much another's is: of the medians, the means, or of all expulsions in a run.
    pub fn ratio(&self, other: &Figure, limit: Duration) -> String {
        match (self, other) {
            (Figure::Times { times: ours, .. }, Figure::Times { times: theirs, .. }) => {
                match (ours.median(), theirs.median()) {
                    (Some(ours), Some(theirs)) => times_as_much(ours.as_secs_f64(), theirs.as_secs_f64()),
                    (Some(ours), None) => format!("> {}", times_as_much(ours.as_secs_f64(), limit.as_secs_f64())),
                    _ => "–".into(),
                }
            }
            (Figure::Amount { mean: ours, .. }, Figure::Amount { mean: theirs, .. }) => times_as_much(*ours, *theirs),
            (Figure::Expelled { .. }, Figure::Expelled { .. }) => times_as_much(self.expelled(), other.expelled()),
            _ => "–".into(),
        }
    }

    fn expelled(&self) -> f64 {
        match self {
            Figure::Expelled { declared, rejoins, runs } => (declared + rejoins) as f64 / *runs as f64,
            _ => 0.0,
        }
    }
}

fn times_as_much(ours: f64, theirs: f64) -> String {
    match (ours == 0.0, theirs == 0.0) {
        _ if ours.is_nan() || theirs.is_nan() => "–".into(),
        (true, true) => "–".into(),
        (true, false) => "∞".into(),
        _ => format!("{} ×", number(theirs / ours)),
    }
}

/// With as many digits as are worth it.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
