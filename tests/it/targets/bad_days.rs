//! Any bytes are a bad day of a simulated cluster (see `tidings::sim::Scenario`), hostile peers included. Every check is
//! on: safety after each step, and agreement in time when the faults have ended.

use tidings::sim::Scenario;

pub fn run(bytes: &[u8]) {
    let scenario = Scenario::from_bytes(bytes);
    if cfg!(test) {
        // A panic inside the run does not say what was run.
        println!("{scenario}");
    }
    if let Err(failure) = scenario.run() {
        panic!("{failure}");
    }
}
