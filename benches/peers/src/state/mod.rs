//! Replicated state: what each member says of itself under a key, until all others have it; and what that costs.
//!
//! foca and iroh-gossip have nothing of the kind. Behind the feature `chitchat`, ours is compared with chitchat's.

#[cfg(feature = "chitchat")]
mod chitchat;
mod day;
mod ours;
mod rows;

use comfy_table::Table;
use indicatif::ProgressBar;

pub use rows::{Plan, all};

use self::day::{Found, Replicas};
use crate::figures::Figure;
use crate::report;
use crate::rows::Row;
use crate::trial::Value;

/// What is to be known about the table.
pub const NOTES: &[&str] = &[
    "\
State is one key at each member, with 64 random letters as its value; all have it when every member has the last value
of all who set one. Times are the median and, in brackets, the longest; bytes are the mean of the UDP payload. Those for
each write and member are what is sent above the mean of just before and just after, when nothing is set. A run has
several samples of what is soon over. What is shown of tidings repeats exactly.",
    #[cfg(feature = "chitchat")]
    "\
Members of chitchat draw whom they gossip with from the operating system's randomness, which takes no seed: their
figures, of at most two runs, differ a little from one time to the next. They gossip once a second, as in Quickwit, and
compress their digests; by default they do not, and send four or five times as much when nothing is set. A value waits
for the next gossip: if it came more often, values would spread faster, and those bytes would grow as much. A datagram of
theirs takes 1, 2, 3, 4 or 5 ms, as tokio's timers know no parts of one.",
];

/// How many runs these plans take, if ours makes this many of each.
pub fn runs(plans: &[Plan], seeds: u64) -> u64 {
    (seeds + peer_runs(seeds)) * plans.len() as u64
}

/// Runs of chitchat: each takes long, and holds many writes.
fn peer_runs(seeds: u64) -> u64 {
    if cfg!(feature = "chitchat") { seeds.min(2) } else { 0 }
}

/// Makes the runs; the rows that are wanted, side by side if there is a peer.
pub fn table(
    plans: &[Plan],
    seeds: u64,
    wanted: impl Fn(&Row) -> bool,
    progress: &ProgressBar,
) -> Result<Table, String> {
    progress.set_message("state");
    let ours = days::<ours::Cluster>(plans, seeds, progress)?;
    #[cfg(feature = "chitchat")]
    let theirs = days::<chitchat::Cluster>(plans, peer_runs(seeds), progress)?;
    #[cfg(not(feature = "chitchat"))]
    let theirs: Vec<Vec<Found>> = Vec::new();
    let head = ["", "tidings", "samples", "chitchat 0.13.0", "samples", "chitchat / tidings"];
    let mut table = report::table(&head[..columns()]);
    for (place, plan) in plans.iter().enumerate() {
        let of = |days: &[Vec<Found>]| days.get(place).cloned().unwrap_or_default();
        let (ours, theirs) = (of(&ours), of(&theirs));
        for row in plan.rows.iter().filter(|row| wanted(row)) {
            table.add_row(line(row, &ours, &theirs).into_iter().take(columns()));
        }
    }
    Ok(table)
}

/// So many runs of each plan, all side by side: there are few of each, and each takes long.
fn days<C: Replicas>(plans: &[Plan], seeds: u64, progress: &ProgressBar) -> Result<Vec<Vec<Found>>, String> {
    let all = report::in_parallel(seeds * plans.len() as u64, progress, |number| {
        let (plan, seed) = ((number - 1) / seeds, (number - 1) % seeds + 1);
        plans[plan as usize].day.run::<C>(seed)
    })?;
    Ok(all.chunks(seeds as usize).map(<[Found]>::to_vec).collect())
}

/// How many columns there are.
fn columns() -> usize {
    if cfg!(feature = "chitchat") { 6 } else { 3 }
}

fn line(row: &Row, ours: &[Found], theirs: &[Found]) -> Vec<String> {
    let of = |runs: &[Found]| {
        let samples: Vec<Value> = runs.iter().flat_map(|found| found[row.value].iter().copied()).collect();
        Figure::of(&samples)
    };
    let (ours, theirs) = (of(ours), of(theirs));
    let shown = |figure: &Option<Figure>| figure.as_ref().map_or("–".into(), |figure| figure.text(row.target));
    let samples = |figure: &Option<Figure>| figure.as_ref().map_or(0, Figure::runs).to_string();
    let ratio = ours.as_ref().zip(theirs.as_ref()).map(|(ours, theirs)| ours.ratio(theirs, row.limit));
    let ratio = ratio.unwrap_or("–".into());
    vec![row.name.clone(), shown(&ours), samples(&ours), shown(&theirs), samples(&theirs), ratio]
}
