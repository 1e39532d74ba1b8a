//! Explores every trial to its end and says what there was. `MODEL_DEPTH=2` (or more) allows more faults of the
//! network; an argument explores only the trials whose names contain it. The clock is read for the report alone:
//! nothing is judged by it.

use std::process::ExitCode;
use std::time::Instant;

use stateright::{Checker, DiscoveryClassification, Expectation, HasDiscoveries, Model};
use tidings_model::config::Trial;
use tidings_model::model::Network;
use tidings_model::trials::TRIALS;

fn main() -> ExitCode {
    let depth = std::env::var("MODEL_DEPTH").map_or(1, |depth| depth.parse().expect("MODEL_DEPTH is a small number"));
    // Options are cargo's, for harnesses of tests.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |trial: &&Trial| wanted.is_empty() || wanted.iter().any(|part| trial.name.contains(part));
    let begun = Instant::now();
    let (mut states, mut sound) = (0, true);
    for trial in TRIALS.iter().filter(wanted) {
        let (count, well) = explore(trial.at_depth(depth));
        states += count;
        sound &= well;
    }
    println!("{states} states in all; {:.1} s", begun.elapsed().as_secs_f64());
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many states there were, and whether all is well.
fn explore(trial: Trial) -> (usize, bool) {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let builder = Network::new(trial).checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    // Depth first: every path ends by itself, and far fewer states wait for their turn.
    let checker = builder.spawn_dfs().join();
    let (alone, longest) = checker.model().left_alone();
    println!(
        "{}: {} states, {} steps, at most {} deep; {alone} left alone, which agreed within {:.2} s; {:.1} s",
        trial.name,
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        longest.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    let mut sound = true;
    for (name, path) in checker.discoveries() {
        if matches!(checker.discovery_classification(name), DiscoveryClassification::Counterexample) {
            println!("FAILED: {name}\n{}", checker.model().story(&path));
            sound = false;
        }
    }
    for property in checker.model().properties() {
        if property.expectation == Expectation::Sometimes && checker.discovery(property.name).is_none() {
            println!("FAILED: nowhere found that {}", property.name);
            sound = false;
        }
    }
    let enough = checker.unique_state_count() >= trial.least && alone > 0;
    if sound && !enough {
        println!("FAILED: fewer states than there must be: {}", trial.least);
    }
    (checker.unique_state_count(), sound && enough)
}
