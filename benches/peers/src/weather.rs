//! Partial connectivity: the experiments `zones` and `filter` of the example `simulate`, for both, in a table of its own.

use std::time::{Duration, Instant};

use comfy_table::Table;
use indicatif::ProgressBar;

use crate::experiments::partial::{self, Partial};
use crate::experiments::{SECOND, Subject};
use crate::peer::{self, Peer};
use crate::report::{self, Times, mean};
use crate::runs::{self, Allowance};

/// What is to be known about the table.
pub const NOTES: &str = "\
zones: nothing passes between the first and the second third of the members for ten minutes; the last third reaches all.
filter: one more member lets in only what comes from an address that it has sent to within the last 30 s. \"down\" is how
often in a run a member reported another down that lived, \"rejoins\" how often a member found itself declared down and
had to join anew, both rounded up. Then one crashes: \"known\" and \"most\" are the median and the longest time until all
others held it for down; some of foca's members may have held it for down before. \"B/s\" are bytes of UDP payload a node
and second. A quick look takes one minute instead of ten.\
";

/// How many members there are, besides the one behind the filter.
const SIZES: [u32; 4] = [9, 15, 60, 128];
/// For how long the filter is open for an address that was sent to.
const OPEN: Duration = Duration::from_secs(30);

/// How long a single run of foca may take.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What is wrong with the network.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Zones,
    Filter,
}

/// One fault in a cluster of one size.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    fault: Fault,
    nodes: u32,
    lasts: Duration,
}

/// What a run showed, and how many had to rejoin in it.
type Found = (Partial, usize);

impl Weather {
    /// All that there are, or those for a quick look.
    pub fn all(quick: bool) -> Vec<Weather> {
        let (sizes, lasts) = if quick { (&SIZES[..2], 60 * SECOND) } else { (&SIZES[..], 600 * SECOND) };
        let of = |fault| sizes.iter().map(move |nodes| Weather { fault, nodes: *nodes, lasts });
        of(Fault::Zones).chain(of(Fault::Filter)).collect()
    }

    /// What is wrong, and for how many.
    pub fn name(self) -> String {
        let fault = match self.fault {
            Fault::Zones => "zones",
            Fault::Filter => "filter",
        };
        format!("{fault} {}", self.nodes)
    }

    /// Does it, on this thread.
    fn run<M: Subject>(self, seed: u64) -> Result<Found, String> {
        peer::take_rejoins();
        let found = match self.fault {
            Fault::Zones => partial::zones::<M>(self.nodes, self.lasts, seed),
            Fault::Filter => partial::filter::<M>(self.nodes, OPEN, self.lasts, seed),
        };
        Ok((found?, peer::take_rejoins().len()))
    }
}

/// Makes so many runs of ours of each, and as many of foca as there is time for, one at least.
pub fn table(all: &[Weather], seeds: u64, peers_time: Duration, progress: &ProgressBar) -> Result<Table, String> {
    let mut table = report::table(&["", "", "runs", "down", "rejoins", "known", "most", "B/s"]);
    let (begun, mut ours_took) = (Instant::now(), Duration::ZERO);
    for (done, weather) in all.iter().enumerate() {
        progress.set_message(weather.name());
        let spent = begun.elapsed() - ours_took;
        let share = peers_time.saturating_sub(spent) / (all.len() - done) as u32;
        let allowance = Allowance { share, longest: LONGEST };
        let theirs = runs::while_time(seeds, allowance, progress, |seed| weather.run::<Peer>(seed))?;
        let before = Instant::now();
        let ours = report::in_parallel(seeds, progress, |seed| weather.run::<super::Ours>(seed))?;
        ours_took += before.elapsed();
        table.add_row(line(&weather.name(), "tidings", &ours));
        table.add_row(line("", "foca", &theirs));
    }
    Ok(table)
}

fn line(name: &str, whose: &str, runs: &[Found]) -> Vec<String> {
    let known = Times::new(runs.iter().map(|(found, _)| found.known));
    let each = |count: fn(&Found) -> f64| mean(runs.iter().map(count));
    vec![
        name.into(),
        whose.into(),
        runs.len().to_string(),
        format!("{:.0}", each(|(found, _)| found.wrong as f64).ceil()),
        format!("{:.0}", each(|(_, rejoins)| *rejoins as f64).ceil()),
        report::shown(known.median()),
        report::shown(known.most()),
        format!("{:.0}", each(|(found, _)| found.bytes)),
    ]
}
