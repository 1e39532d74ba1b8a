//! The simulator's face: experiments with whole clusters in simulated time, and the replay of failures.
//!
//! Every figure repeats exactly for the same arguments, on every machine.

mod broadcasts;
mod desk;
mod experiments;
mod maps;
mod members;
mod partials;
mod plot;
mod report;
mod sheet;
mod staleness;
mod states;
mod tables;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use desk::{Desk, Output};
use experiments::Subject;
use report::{Times, in_parallel, progress, seconds, shown};
use tidings::sim::{Scenario, TOPIC};
use tidings::{Config, HeapNode, Instant, Limits};

/// Experiments with simulated clusters. The same arguments give the same figures, on every machine.
///
/// The network takes 1 to 5 ms each way; nodes have the settings `Config::LAN`; bytes are UDP payload. Where several
/// values can be given, separate them by commas: each combination is a row. Runs take the seeds 1, 2, 3 ...
#[derive(Parser)]
#[command(version, max_term_width = 80, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    experiment: Experiment,
    #[command(flatten)]
    output: Output,
}

#[derive(Subcommand)]
enum Experiment {
    /// Crash nodes of a settled cluster: how long until all others know.
    Crash(members::Crash),
    /// Leave a settled cluster alone under loss: bytes, and whether anybody is declared down.
    Steady(members::Steady),
    /// Add a node to a settled cluster: how long until all know it, and it knows all.
    Join(members::Join),
    /// Let all join through one seed within a second: how long until all views are complete.
    Bootstrap(members::Bootstrap),
    /// Hold the halves of a cluster apart: how long until one whole view after the heal, without seeds.
    Partition(members::Partition),
    /// Stop processes for half a second to three, again and again, for two minutes.
    Pause(trouble::Pause),
    /// Take nodes off the network, again and again, for two minutes; their timers run on.
    Cutoff(trouble::Cutoff),
    /// Make one node half deaf or half mute, for five minutes.
    Oneway(trouble::Oneway),
    /// Block all ways between two of three zones for ten minutes, then crash a member: who is declared down wrongly.
    Zones(partials::Zones),
    /// Put a stateful filter before one more member for ten minutes, then crash it.
    Filter(partials::Filter),
    /// Crash and restart nodes all the time.
    Churn(members::Churn),
    /// Broadcast to a settled cluster, once and then every second: who gets it, when, and what that costs.
    Broadcast(broadcasts::Broadcast),
    /// Write into maps: how soon all can read it, what that costs, and how soon newcomers have all maps.
    State(states::State),
    /// Write more than byte budgets carry: how old what others read becomes, with push-back and without.
    Staleness(staleness::Staleness),
    /// Run random scenarios with every check on, or the saved one of a failure.
    Replay(Replay),
}

#[derive(clap::Args)]
struct Replay {
    /// The scenario that a failure printed.
    file: Option<PathBuf>,
    /// Without a file: how many random scenarios, with the seeds 1, 2, 3 ...
    #[arg(long, default_value_t = 1_000, conflicts_with = "file")]
    seeds: u64,
}

impl Subject for HeapNode<u32> {
    fn new(nodes: u32) -> Self {
        HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(2 * nodes as usize))
    }

    fn listening(nodes: u32) -> Self {
        let mut node = <Self as Subject>::new(nodes);
        node.subscribe(Instant::ZERO, TOPIC).expect("it listens to nothing yet");
        node
    }

    fn payloads(&self) -> u64 {
        self.stats().casts_in
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.experiment {
        Experiment::Replay(replay) => replay.run(),
        experiment => experiment.run(arguments.output),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            anstream::eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

impl Experiment {
    fn run(&self, output: Output) -> Result<(), String> {
        let desk = Desk::new(output)?;
        match self {
            Experiment::Crash(crash) => crash.run(&desk),
            Experiment::Steady(steady) => steady.run(&desk),
            Experiment::Join(join) => join.run(&desk),
            Experiment::Bootstrap(bootstrap) => bootstrap.run(&desk),
            Experiment::Partition(partition) => partition.run(&desk),
            Experiment::Pause(pause) => pause.run(&desk),
            Experiment::Cutoff(cutoff) => cutoff.run(&desk),
            Experiment::Oneway(oneway) => oneway.run(&desk),
            Experiment::Zones(zones) => zones.run(&desk),
            Experiment::Filter(filter) => filter.run(&desk),
            Experiment::Churn(churn) => churn.run(&desk),
            Experiment::Broadcast(broadcast) => broadcast.run(&desk),
            Experiment::State(state) => state.run(&desk),
            Experiment::Staleness(staleness) => staleness.run(&desk),
            Experiment::Replay(replay) => return replay.run(),
        }?;
        desk.finish()
    }
}

impl Replay {
    fn run(&self) -> Result<(), String> {
        if let Some(file) = &self.file {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let scenario: Scenario = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
            let summary = scenario.run().map_err(|failure| failure.to_string())?;
            anstream::println!("all agreed {} after the last fault", seconds(summary.agreed_after));
            return Ok(());
        }
        let progress = progress(self.seeds);
        let times = in_parallel(self.seeds, &progress, |seed| {
            let summary = Scenario::from_seed(seed).run().map_err(|failure| format!("seed {seed}: {failure}"))?;
            Ok(Some(summary.agreed_after))
        })?;
        progress.finish_and_clear();
        let (count, times) = (times.len(), Times::new(times));
        anstream::println!(
            "{count} scenarios; all agreed after the last fault within {} (median), {} (most)",
            shown(times.median()),
            shown(times.most())
        );
        Ok(())
    }
}
