//! Time and allocations of an operation.

use std::time::{Duration, Instant};

use crate::counting;
use crate::operations::Operation;

/// However long they take.
const FEWEST_BATCHES: usize = 15;

/// What the batches of one operation took.
pub struct Cost {
    /// Nanoseconds of each batch for doing it once, in order.
    times: Vec<f64>,
    /// All together.
    pub allocations: u64,
}

impl Cost {
    /// The median and, in brackets, the least, in nanoseconds.
    pub fn time(&self) -> String {
        let (median, least) = (self.times[self.times.len() / 2], self.times[0]);
        let digits = usize::from(median < 100.0);
        format!("{median:.digits$} ({least:.digits$})")
    }
}

/// Runs batches for about this long.
pub fn measure(operation: &mut dyn Operation, budget: Duration) -> Cost {
    let (mut times, mut allocations) = (Vec::new(), 0);
    let begun = Instant::now();
    while times.len() < FEWEST_BATCHES || begun.elapsed() < budget {
        operation.prepare();
        let (allocated, begun) = (counting::allocations(), Instant::now());
        operation.run();
        let (elapsed, allocated) = (begun.elapsed(), counting::allocations() - allocated);
        times.push(elapsed.as_secs_f64() * 1e9 / operation.count() as f64);
        allocations += allocated;
    }
    operation.check();
    times.sort_by(f64::total_cmp);
    Cost { times, allocations }
}
