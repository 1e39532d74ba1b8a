//! What a cluster of radios costs: 32 nodes with 16-bit addresses and the datagrams of IEEE 802.15.4, in simulated time.
//! An hour in which nothing happens, one in which a node crashes, and one in which each node writes a key.
//!
//! The same arguments give the same figures, on every machine.

#[path = "simulate/report.rs"]
mod report;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, value_parser};
use owo_colors::OwoColorize;
use report::{Times, in_parallel, mean, most, progress, shown, table};
use tidings::sim::{Conditions, Machine, Report, Reported, Sim};
use tidings::{Config, FixedNode, Status};

/// No allocator is touched by it: in a firmware it would sit in a `static`. 4 KiB hold a few keys of every member.
type RadioNode = FixedNode<32, u16, 4096>;

const HOUR: Duration = Duration::from_secs(3_600);
/// A frame takes up to 4 ms, and waits for its turn.
const LATENCY: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(20)];
const BITS_PER_SECOND: f64 = 250e3;
/// Who crashes: none of those that were joined through.
const CRASHES: usize = 7;
const KEY: &str = "reading";

/// Bytes per hour and airtime of a cluster on IEEE 802.15.4. The same arguments give the same figures, on every machine.
#[derive(Parser)]
#[command(
    name = "radio",
    max_term_width = 80,
    after_help = "Nodes have the settings `Config::LOW_POWER`: a probe a minute each."
)]
struct Options {
    /// How many nodes
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(8..=32))]
    nodes: u32,
    /// Percentage of datagrams lost in the air
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = value_parser!(u8).range(0..=60))]
    loss: u8,
    /// The longest datagram; 116 leaves room for the header and the sum of a frame with short addresses
    #[arg(long, value_name = "BYTES", default_value_t = 127, value_parser = value_parser!(u16).range(96..=127))]
    datagram: u16,
    /// Bytes that go into the air beside each datagram: 6 that announce a frame, 11 of its header and sum
    #[arg(long, value_name = "BYTES", default_value_t = 17, value_parser = value_parser!(u16).range(0..=100))]
    overhead: u16,
    /// Bytes in each value that is written
    #[arg(long, value_name = "BYTES", default_value_t = 8, value_parser = value_parser!(u16).range(1..=32))]
    value: u16,
    /// Hours of each kind, each of another cluster
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=10_000))]
    hours: u64,
}

/// What happens in an hour.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Quiet,
    Crash,
    Keys,
}

/// What an hour showed.
struct Hour {
    /// Of UDP payload, or what is in its place, of each node that was there all the time; of all of them, on average.
    bytes: f64,
    /// The same of the one that sent most.
    most: f64,
    datagrams: f64,
    /// The part of the hour in which somebody sends.
    airtime: f64,
    /// From each thing that happened until all others knew.
    known: Vec<Option<Duration>>,
    /// How often a healthy node was declared down.
    slander: usize,
}

fn main() -> ExitCode {
    let Err(sentence) = Options::parse().run() else { return ExitCode::SUCCESS };
    let _ = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
    ExitCode::FAILURE
}

impl Options {
    fn run(&self) -> Result<(), String> {
        let kinds = [("nothing", Kind::Quiet), ("a crash", Kind::Crash), ("a key each", Kind::Keys)];
        let progress = progress(kinds.len() as u64 * self.hours);
        let mut table = table(&[
            "in the hour",
            "hours",
            "B/node",
            "worst\nnode",
            "data-\ngrams",
            "air\ntaken",
            "known:\nmedian",
            "\nmost",
            "healthy\ndeclared\ndown",
        ]);
        for (name, kind) in kinds {
            progress.set_message(name);
            let hours = in_parallel(self.hours, &progress, |seed| self.hour(kind, seed))?;
            let known = Times::new(hours.iter().flat_map(|hour| hour.known.iter().copied()));
            let time = |time| if kind == Kind::Quiet { "-".into() } else { shown(time) };
            table.add_row([
                name.into(),
                hours.len().to_string(),
                format!("{:.0}", mean(hours.iter().map(|hour| hour.bytes))),
                format!("{:.0}", most(hours.iter().map(|hour| hour.most))),
                format!("{:.0}", mean(hours.iter().map(|hour| hour.datagrams))),
                format!("{:.3} %", 100.0 * mean(hours.iter().map(|hour| hour.airtime))),
                time(known.median()),
                time(known.most()),
                hours.iter().map(|hour| hour.slander).sum::<usize>().to_string(),
            ]);
        }
        progress.finish_and_clear();
        let Options { nodes, loss, datagram, overhead, .. } = self;
        let heading = format!(
            "{nodes} nodes, each of {} bytes of RAM; {loss} % lost; datagrams of up to {datagram} bytes, \
             {overhead} more in the air; 250 kbit/s",
            size_of::<RadioNode>()
        );
        // Nobody reading any more is no reason to fail.
        let _ = writeln!(anstream::stdout(), "{heading}\n{table}");
        Ok(())
    }

    fn hour(&self, kind: Kind, seed: u64) -> Result<Hour, String> {
        let mut sim = self.settled(seed)?;
        let before: Vec<_> = (0..sim.hosts()).map(|host| sim.traffic(host)).collect();
        let (begun, mut known) = (sim.now(), Vec::new());
        match kind {
            Kind::Quiet => {}
            Kind::Crash => sim.crash(CRASHES),
            Kind::Keys => known = self.write(&mut sim, 2)?,
        }
        sim.run_until(begun + HOUR);
        let reports = sim.take_reports();
        if kind == Kind::Crash {
            known = vec![all_know(&sim, &reports).map(|at| at.duration_since(begun))];
        }
        let healthy = |id| kind != Kind::Crash || id != sim.id(CRASHES);
        let is_slander = |it: &&Reported| matches!(it.report, Report::Member(id, Status::Down) if healthy(id));
        let sent: Vec<(f64, f64)> = sim
            .running()
            .map(|host| {
                let (now, then) = (sim.traffic(host), before[host]);
                ((now.bytes - then.bytes) as f64, (now.datagrams - then.datagrams) as f64)
            })
            .collect();
        let on_air: f64 = sent.iter().map(|(bytes, datagrams)| bytes + datagrams * f64::from(self.overhead)).sum();
        Ok(Hour {
            bytes: mean(sent.iter().map(|(bytes, _)| *bytes)),
            most: most(sent.iter().map(|(bytes, _)| *bytes)),
            datagrams: mean(sent.iter().map(|(_, datagrams)| *datagrams)),
            airtime: 8.0 * on_air / BITS_PER_SECOND / HOUR.as_secs_f64(),
            known,
            slander: reports.iter().filter(is_slander).count(),
        })
    }

    /// A cluster in which all know each other, and a key of each, for an hour.
    fn settled(&self, seed: u64) -> Result<Sim<RadioNode>, String> {
        let [least, longest] = LATENCY;
        let weather = Conditions::LAN.with_latency(least, longest).with_loss(f64::from(self.loss) / 100.0);
        let mut sim = Sim::new(seed, weather);
        let config = Config::LOW_POWER.with_cluster("radio").with_max_datagram(self.datagram.into());
        for _ in 0..self.nodes {
            let host = sim.add(RadioNode::new(config));
            sim.start(host, &[0, 1]);
        }
        let formed = sim.run_until_agreed(Duration::from_secs(1), HOUR);
        formed.ok_or(format!("the nodes of seed {seed} did not find each other within an hour"))?;
        self.write(&mut sim, 1)?;
        sim.run_for(HOUR);
        sim.take_reports();
        Ok(sim)
    }

    /// Has each node write its key, one after another over an hour; how long each time until all can read it.
    fn write(&self, sim: &mut Sim<RadioNode>, content: u8) -> Result<Vec<Option<Duration>>, String> {
        let (begun, mut known) = (sim.now(), Vec::new());
        for host in 0..sim.hosts() {
            sim.run_until(begun + HOUR * host as u32 / self.nodes);
            let value = vec![content; self.value.into()];
            let mut written = Ok(());
            sim.with(host, |node, now| written = node.set(now, KEY, &value).map(drop));
            written.map_err(|error| format!("node {host} cannot write: {error}"))?;
            let version = sim.machine(host).and_then(|node| Some(node.entry(node.id(), KEY)?.version()));
            let id = sim.id(host);
            let all_have = |sim: &Sim<RadioNode>| {
                let versions = sim.running().filter_map(|other| sim.machine(other));
                versions.map(|node| node.entry(id, KEY).map(|entry| entry.version())).all(|it| it == version)
            };
            known.push(sim.run_until_true(all_have, Duration::from_millis(10), HOUR / (self.nodes + 1)));
        }
        Ok(known)
    }
}

/// When the last of those who are left declared the crashed one down.
fn all_know<M: Machine>(sim: &Sim<M>, reports: &[Reported]) -> Option<tidings::Instant> {
    let verdict = Report::Member(sim.id(CRASHES), Status::Down);
    let first = |host| reports.iter().find(|it| it.host == host && it.report == verdict).map(|it| it.at);
    let times: Option<Vec<_>> = sim.running().map(first).collect();
    times?.into_iter().max()
}
