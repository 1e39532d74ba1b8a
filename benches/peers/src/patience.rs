//! How long a run may take, by the clock on the wall: some of foca's would take hours.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// How many calls are made between two looks at the clock.
const CALLS: u32 = 64;

thread_local! {
    static END: Cell<Option<Instant>> = const { Cell::new(None) };
    static CALLED: Cell<u32> = const { Cell::new(0) };
}

/// What unwinds a run that took too long.
struct TooLong;

/// Makes a run on this thread; `None` if it was ended as it took longer.
pub fn within<T>(longest: Duration, run: impl FnOnce() -> T) -> Option<T> {
    END.set(Some(Instant::now() + longest));
    // What the run leaves behind half done is its own simulation, which nobody sees again.
    let outcome = catch_unwind(AssertUnwindSafe(run));
    END.set(None);
    match outcome {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<TooLong>() => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// Ends the run on this thread if its time is over; called by whatever takes the time.
pub fn check() {
    let called = CALLED.get().wrapping_add(1);
    CALLED.set(called);
    if called.is_multiple_of(CALLS) && END.get().is_some_and(|end| Instant::now() > end) {
        resume_unwind(Box::new(TooLong));
    }
}
