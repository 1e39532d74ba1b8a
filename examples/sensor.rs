//! A sensor on a battery, over a made-up radio in simulated time. Between its deadlines it sleeps with the radio off, and
//! whatever is sent to it meanwhile is lost; its patience tells the others to wait.
//!
//! The same arguments give the same figures, on every machine.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, value_parser};
use owo_colors::OwoColorize;
use tidings::sim::SimRng;
use tidings::{Config, FixedNode, Instant, NodeId, Status};

/// No allocator is touched by it: in a firmware it would sit in a `static`.
type HouseNode = FixedNode<8, u16>;

const GATEWAY: u16 = 1;
const SENSOR: u16 = 7;
/// The gateway and two lamps are always on; the sensor comes last.
const STATIONS: [u16; 4] = [GATEWAY, 2, 3, SENSOR];
const MAINS: Config = Config::LOW_POWER.with_cluster("house");
/// How long a datagram is in the air.
const FLIGHT: Duration = Duration::from_millis(8);
/// How long the sensor listens each time it has woken or sent something: two flights and some leisure.
const LISTEN: Duration = Duration::from_millis(50);
const HOUR: Duration = Duration::from_secs(3_600);

/// Runs a sensor that sleeps, among nodes that do not, in simulated time. Then its battery is empty.
#[derive(Parser)]
#[command(
    name = "sensor",
    max_term_width = 80,
    after_help = "Try --patience 0: the others take a sleeper for dead, again and again."
)]
struct Options {
    /// Seconds between two probes, which the sensor sleeps through
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = value_parser!(u64).range(8..=3_600))]
    sleep: u64,
    /// Seconds of silence that the sensor asks others to allow; 0 for their own usual
    #[arg(long, value_name = "SECONDS", default_value_t = 2_048, value_parser = value_parser!(u64).range(0..=16_384))]
    patience: u64,
    /// Percentage of datagrams lost in the air
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = value_parser!(u8).range(0..=60))]
    loss: u8,
    /// Hours until the battery is empty
    #[arg(long, value_name = "HOURS", default_value_t = 6, value_parser = value_parser!(u32).range(1..=1_000))]
    hours: u32,
}

struct Frame {
    from: u16,
    to: u16,
    payload: Vec<u8>,
}

struct House {
    now: Instant,
    nodes: Vec<HouseNode>,
    /// What is in the air, by when it arrives; numbered, so that no two have one key.
    air: BTreeMap<(Instant, u64), Frame>,
    frames: u64,
    rng: SimRng,
    loss: f64,
    /// The sensor hears nothing after this.
    listens_until: Instant,
    diary: Diary,
}

/// What is written down of the sensor in one hour.
#[derive(Default)]
struct Diary {
    woken_for: BTreeMap<String, u32>,
    bytes: usize,
    missed: u32,
    /// What the gateway came to think of it.
    verdicts: BTreeMap<String, u32>,
}

fn main() -> ExitCode {
    let Err(sentence) = run(&Options::parse()) else { return ExitCode::SUCCESS };
    let _ = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
    ExitCode::FAILURE
}

fn run(options: &Options) -> Result<(), String> {
    let sleep = Duration::from_secs(options.sleep);
    // The others look for the lost often enough; the sensor does not wake for that more than once an hour.
    let settings = Config::builder(MAINS).probe_period(sleep).dead_probe_period(sleep.max(HOUR));
    let battery = settings.patience(Duration::from_secs(options.patience)).build();
    let battery = battery.map_err(|error| format!("these settings do not suit a node: {error}"))?;
    let mut house = House::new(battery, f64::from(options.loss) / 100.0);
    print(format_args!("the sensor is a node of {} bytes", size_of::<HouseNode>().bold()));
    for hour in 1..=options.hours {
        house.run_until(Instant::ZERO + HOUR * hour);
        print(format_args!("hour {hour}: {}", std::mem::take(&mut house.diary)));
    }
    house.nodes.pop();
    let empty = house.now;
    let holds_it_live = |house: &House| house.status().is_some_and(Status::is_live);
    while holds_it_live(&house) && house.now < empty + 24 * HOUR {
        house.step();
    }
    let took = house.now.duration_since(empty).as_secs();
    let known = if holds_it_live(&house) { "still has not noticed" } else { "knows" };
    print(format_args!("the battery is empty: after {took} s the gateway {known}"));
    Ok(())
}

impl House {
    fn new(battery: Config, loss: f64) -> House {
        let (now, mut rng) = (Instant::ZERO, SimRng::new(1));
        let start = |addr| {
            let mut node = HouseNode::new(if addr == SENSOR { battery } else { MAINS });
            node.join(now, GATEWAY).expect("any number is an address");
            node.start(now, NodeId::new(u64::from(addr)), addr, &mut rng).expect("any number is an address");
            node
        };
        let nodes = STATIONS.map(start).into();
        let (air, diary) = (BTreeMap::new(), Diary::default());
        House { now, nodes, air, frames: 0, rng, loss, listens_until: now + LISTEN, diary }
    }

    fn run_until(&mut self, end: Instant) {
        while self.now < end {
            self.step();
        }
    }

    /// Lets the next thing happen: a datagram arrives, or a deadline passes.
    fn step(&mut self) {
        for addr in STATIONS {
            self.speak(addr);
        }
        let deadlines = self.nodes.iter().map(|node| node.poll_timeout());
        let tick = deadlines.min().unwrap_or(Instant::FAR_FUTURE);
        match self.air.first_entry() {
            Some(next) if next.key().0 <= tick => {
                self.now = next.key().0;
                let frame = next.remove();
                self.deliver(frame);
            }
            _ => {
                self.now = tick;
                self.wake();
            }
        }
    }

    fn deliver(&mut self, mut frame: Frame) {
        if frame.to == SENSOR && self.now > self.listens_until {
            self.diary.missed += 1;
        } else if let Some(node) = node(&mut self.nodes, frame.to) {
            node.handle_datagram(self.now, frame.from, &mut frame.payload);
        }
    }

    fn wake(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.poll_timeout() <= self.now) {
            if node.addr() == Some(SENSOR) {
                // Asked before it is served: afterwards the next deadline is another.
                *self.diary.woken_for.entry(node.wake_reason().to_string()).or_default() += 1;
                self.listens_until = self.now + LISTEN;
            }
            node.handle_timeout(self.now);
        }
    }

    /// Puts on the air what a station has to send, and writes down what the gateway tells of the sensor.
    fn speak(&mut self, from: u16) {
        let Some(node) = node(&mut self.nodes, from) else { return };
        let mut buf = [0; MAINS.max_datagram()];
        while let Some(datagram) = node.poll_transmit(&mut buf) {
            if from == SENSOR {
                self.diary.bytes += datagram.payload.len();
                self.listens_until = self.now + LISTEN;
            }
            if !self.rng.chance(self.loss) {
                self.frames += 1;
                let frame = Frame { from, to: datagram.to, payload: datagram.payload.to_vec() };
                self.air.insert((self.now + FLIGHT, self.frames), frame);
            }
        }
        while let Some(event) = node.poll_event() {
            if let Some(member) = event.member().filter(|member| from == GATEWAY && member.addr() == SENSOR) {
                *self.diary.verdicts.entry(member.status().to_string()).or_default() += 1;
            }
        }
    }

    /// What the gateway holds the sensor to be.
    fn status(&self) -> Option<Status> {
        let member = self.nodes.first()?.member(NodeId::new(u64::from(SENSOR)))?;
        Some(member.status())
    }
}

fn node(nodes: &mut [HouseNode], addr: u16) -> Option<&mut HouseNode> {
    nodes.iter_mut().find(|node| node.addr() == Some(addr))
}

impl Display for Diary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |counts: &BTreeMap<String, u32>| {
            let words: Vec<String> = counts.iter().map(|(word, count)| format!("{count} x {word}")).collect();
            if words.is_empty() { "nothing new".to_string() } else { words.join(", ") }
        };
        let Diary { woken_for, bytes, missed, verdicts } = self;
        write!(f, "woke for {}; sent {bytes} bytes; missed {missed} datagrams; ", list(woken_for))?;
        write!(f, "the gateway reports {}", list(verdicts))
    }
}

/// Prints a line. Nobody reading any more is no reason to stop.
fn print(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}
