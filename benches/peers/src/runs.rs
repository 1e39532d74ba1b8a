//! As many runs of an experiment as there is time for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::patience;

/// Time for the runs of one experiment.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// No run is begun that would probably end later than this.
    pub share: Duration,
    /// How long a single run may take; it is ended then, and counts as not made.
    pub longest: Duration,
}

struct State<T> {
    next: u64,
    longest: Duration,
    done: Vec<(u64, T)>,
    failure: Option<String>,
}

/// Makes runs with the seeds 1, 2, 3 ... on all cores while there is time, at least one and at most so many; their
/// results in the order of the seeds. None, if already the first took too long.
pub fn while_time<T: Send>(
    most: u64,
    allowance: Allowance,
    progress: &ProgressBar,
    run: impl Fn(u64) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let begun = Instant::now();
    let state = Mutex::new(State { next: 1, longest: Duration::ZERO, done: Vec::new(), failure: None });
    let stop = AtomicBool::new(false);
    let take = || {
        let mut state = state.lock().expect("no run panics while it holds this");
        let late = state.next > 1 && begun.elapsed() + state.longest > allowance.share;
        if late || state.next > most || stop.load(Ordering::Relaxed) {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    };
    let one = |seed: u64| {
        let begun = Instant::now();
        let result = patience::within(allowance.longest, || run(seed));
        let mut state = state.lock().expect("no run panics while it holds this");
        state.longest = state.longest.max(begun.elapsed());
        progress.inc(1);
        match result {
            Some(Ok(result)) => return state.done.push((seed, result)),
            Some(Err(failure)) => state.failure = Some(failure),
            // Another would take as long.
            None => {}
        }
        stop.store(true, Ordering::Relaxed);
    };
    // The first alone: it shows how long a run takes.
    take().into_iter().for_each(one);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| std::iter::from_fn(take).for_each(one));
        }
    });
    let mut state = state.into_inner().expect("all runs are over");
    state.done.sort_by_key(|(seed, _)| *seed);
    state.failure.map_or(Ok(state.done.into_iter().map(|(_, result)| result).collect()), Err)
}
