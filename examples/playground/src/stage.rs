//! The cluster on its circle, and what can be done to it.

use std::collections::VecDeque;
use std::time::Duration;

use tidings::sim::{Conditions, Machine, Sim, TOPIC};
use tidings::{Config, HeapNode, Instant, Limits, Status};

use crate::ledger::{Flight, Happening, KEY, Ledger, Node, What, Witness};

/// How often the plots get a point, and how many they have.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
const SAMPLES: usize = 120;
/// Rates are of the last two samples: one second.
const RATE_OVER: usize = 2;

/// What a click does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Ends its process without a word, or starts another in its place.
    Kill,
    /// Stops its process, or lets it go on.
    Pause,
    /// Has it leave, or starts another in its place.
    Leave,
    /// Moves it to the other side of a cut.
    Side,
    /// Has it broadcast.
    Say,
    /// Has it write its key.
    Write,
}

impl Act {
    /// As the page counts them.
    pub const ALL: [Act; 6] = [Act::Kill, Act::Pause, Act::Leave, Act::Side, Act::Say, Act::Write];
}

/// How a node's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    Running,
    Paused,
    Killed,
    Left,
}

/// The network.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// How long a datagram takes on average, in microseconds.
    pub latency: u64,
    /// How many of a thousand are lost.
    pub lost: u32,
}

/// What the plots show of one moment: of the running nodes, how many each holds to be alive, and what each sends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub running: usize,
    pub least: usize,
    pub median: usize,
    pub most: usize,
    /// Bytes a node and second.
    pub mean_rate: f32,
    pub most_rate: f32,
}

/// A cluster, and what is known of it.
pub struct Stage {
    sim: Sim<Node>,
    witness: Witness,
    config: Config,
    paused: Vec<bool>,
    next_sample: Instant,
    samples: VecDeque<Sample>,
    /// What each node had sent at the last samples, the latest first.
    sent: VecDeque<Vec<u64>>,
    words: u64,
}

impl Stage {
    /// That many nodes, which all start at once.
    pub fn new(nodes: usize, seed: u64) -> Self {
        let mut sim = Sim::new(seed, Conditions::LAN);
        let witness = Witness::default();
        sim.watch(witness.clone());
        let config = Config::LAN;
        for _ in 0..nodes {
            sim.add(machine(config));
        }
        let mut stage = Stage {
            sim,
            witness,
            config,
            paused: vec![false; nodes],
            next_sample: Instant::ZERO + SAMPLE_EVERY,
            samples: VecDeque::new(),
            sent: VecDeque::new(),
            words: 0,
        };
        stage.ledger(|ledger, _| ledger.sides = vec![0; nodes]);
        for host in 0..nodes {
            stage.sim.start(host, &stage.seeds());
        }
        stage.ledger(|ledger, sim| ledger.note(sim, What::Begun, 0));
        stage
    }

    /// Lets simulated time pass.
    pub fn advance(&mut self, micros: u64) {
        let end = self.sim.now() + Duration::from_micros(micros);
        while self.next_sample <= end {
            self.sim.run_until(self.next_sample);
            self.sample();
            self.next_sample = self.next_sample + SAMPLE_EVERY;
        }
        self.sim.run_until(end);
        // The witness has seen them all.
        self.sim.take_reports();
    }

    pub fn now(&self) -> Instant {
        self.sim.now()
    }

    /// Datagrams take half as long to half as long again.
    pub fn set_weather(&mut self, weather: Weather) {
        let Weather { latency, lost } = weather;
        let [least, most] = [latency / 2, latency + latency / 2].map(Duration::from_micros);
        self.sim.set_conditions(Conditions::LAN.with_latency(least, most).with_loss(f64::from(lost) / 1_000.0));
    }

    /// How long it takes until a datagram has arrived or is lost.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.sim.conditions().most_latency + 1)
    }

    /// The longest datagram that any node sends from now on.
    pub fn set_datagram(&mut self, bytes: usize) {
        self.config = self.config.with_max_datagram(bytes.clamp(tidings::MIN_DATAGRAM, tidings::MAX_DATAGRAM));
        for host in 0..self.sim.hosts() {
            self.configure(host);
        }
    }

    /// Whether it could be done.
    pub fn act(&mut self, act: Act, host: usize) -> bool {
        if host >= self.sim.hosts() {
            return false;
        }
        match (act, self.state(host)) {
            (Act::Kill, State::Running | State::Paused) => self.kill(host),
            (Act::Kill | Act::Leave, State::Killed | State::Left) => self.restart(host),
            (Act::Leave, State::Running) => self.leave(host),
            (Act::Pause, State::Running) => self.pause(host),
            (Act::Pause, State::Paused) => self.resume(host),
            (Act::Side, _) => self.change_sides(|other, side| if other == host { 1 - side } else { side }),
            (Act::Say, State::Running) => return self.say(host),
            (Act::Write, State::Running) => return self.write(host),
            _ => return false,
        }
        true
    }

    /// Cuts the circle in two halves.
    pub fn split(&mut self) {
        let half = self.sim.hosts() / 2;
        self.change_sides(|host, _| u32::from(host < half));
    }

    /// Puts all nodes on one side.
    pub fn heal(&mut self) {
        self.change_sides(|_, _| 0);
    }

    // Looking.

    pub fn hosts(&self) -> usize {
        self.sim.hosts()
    }

    pub fn state(&self, host: usize) -> State {
        match self.sim.machine(host) {
            None => State::Killed,
            Some(machine) if machine.has_left() => State::Left,
            Some(_) if self.paused[host] => State::Paused,
            Some(_) => State::Running,
        }
    }

    pub fn side(&self, host: usize) -> u32 {
        self.witness.0.borrow().sides[host]
    }

    /// How many nodes it holds to be alive.
    pub fn live(&self, host: usize) -> usize {
        self.sim.machine(host).map_or(0, |node| node.live())
    }

    /// What one node holds another to be; `None` if it does not know it or does not run.
    pub fn view(&self, observer: usize, subject: usize) -> Option<Status> {
        let node = self.sim.machine(observer).filter(|machine| !machine.has_left())?;
        node.status(self.sim.id(subject))
    }

    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }

    /// What happened, the latest first.
    pub fn happenings<T>(&self, look: impl FnMut(&Happening) -> T) -> Vec<T> {
        self.witness.0.borrow().happenings.iter().map(look).collect()
    }

    /// The datagrams of which it has become known since this was last called whether they arrive.
    pub fn take_flights(&mut self) -> Vec<Flight> {
        let lost_before = self.sim.now() - self.delay();
        self.ledger(|ledger, _| ledger.landed(lost_before))
    }

    // Acts.

    fn kill(&mut self, host: usize) {
        self.sim.crash(host);
        self.paused[host] = false;
        self.note_end(What::Killed, host);
    }

    fn leave(&mut self, host: usize) {
        self.note_end(What::Left, host);
        self.sim.leave(host);
    }

    fn restart(&mut self, host: usize) {
        self.sim.restart(host, machine(self.config), &self.seeds());
        self.ledger(|ledger, sim| ledger.note(sim, What::Restarted, host));
    }

    fn pause(&mut self, host: usize) {
        self.sim.stop(host);
        self.paused[host] = true;
        self.ledger(|ledger, sim| ledger.note(sim, What::Paused, host));
    }

    fn resume(&mut self, host: usize) {
        self.ledger(|ledger, sim| ledger.note(sim, What::Resumed, host));
        self.paused[host] = false;
        self.sim.resume(host);
        self.configure(host);
    }

    fn change_sides(&mut self, new: impl Fn(usize, u32) -> u32) {
        let now: Vec<u32> = (0..self.hosts()).map(|host| new(host, self.side(host))).collect();
        let what = if now.iter().all(|side| *side == now[0]) { What::Healed } else { What::Parted };
        for (host, side) in now.iter().enumerate() {
            self.sim.set_side(host, *side);
        }
        self.ledger(|ledger, sim| {
            ledger.sides = now;
            ledger.note(sim, what, 0);
        });
    }

    fn say(&mut self, host: usize) -> bool {
        self.words += 1;
        let (word, mut said) = (self.words.to_le_bytes(), None);
        self.sim.with(host, |node, now| said = node.broadcast(now, TOPIC, &word).ok());
        let Some(id) = said else { return false };
        self.ledger(|ledger, sim| ledger.note(sim, What::Said(id.seq()), host));
        true
    }

    fn write(&mut self, host: usize) -> bool {
        self.words += 1;
        let (word, mut written) = (self.words.to_string(), None);
        self.sim.with(host, |node, now| written = node.set(now, KEY, word.as_bytes()).ok());
        let Some(version) = written else { return false };
        self.ledger(|ledger, sim| ledger.note(sim, What::Wrote(version), host));
        true
    }

    // Inside.

    fn ledger<T>(&mut self, call: impl FnOnce(&mut Ledger, &Sim<Node>) -> T) -> T {
        call(&mut self.witness.0.borrow_mut(), &self.sim)
    }

    fn note_end(&mut self, what: What, host: usize) {
        self.ledger(|ledger, sim| {
            ledger.release(host);
            ledger.note(sim, what, host);
        });
    }

    /// Three of them, around the circle.
    fn seeds(&self) -> Vec<usize> {
        let nodes = self.sim.hosts();
        vec![0, nodes / 3, 2 * nodes / 3]
    }

    fn configure(&mut self, host: usize) {
        let config = self.config;
        self.sim.with(host, |node, now| {
            let changed = node.set_config(now, config);
            debug_assert!(changed.is_ok(), "the cluster's name is the same");
        });
    }

    fn sample(&mut self) {
        let running: Vec<usize> = self.sim.running().collect();
        let mut live: Vec<usize> = running.iter().map(|host| self.live(*host)).collect();
        live.sort_unstable();
        let sent: Vec<u64> = (0..self.hosts()).map(|host| self.sim.traffic(host).bytes).collect();
        let before = self.sent.back().unwrap_or(&sent);
        let seconds = SAMPLE_EVERY.as_secs_f32() * self.sent.len().max(1) as f32;
        let rates: Vec<f32> = running.iter().map(|host| (sent[*host] - before[*host]) as f32 / seconds).collect();
        let sample = Sample {
            running: running.len(),
            least: live.first().copied().unwrap_or(0),
            median: live.get(live.len() / 2).copied().unwrap_or(0),
            most: live.last().copied().unwrap_or(0),
            mean_rate: rates.iter().sum::<f32>() / rates.len().max(1) as f32,
            most_rate: rates.iter().copied().fold(0.0, f32::max),
        };
        self.sent.push_front(sent);
        self.sent.truncate(RATE_OVER);
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }
}

fn machine(config: Config) -> Node {
    let mut node = HeapNode::new(config, Limits::DEFAULT);
    let listens = node.subscribe(Instant::ZERO, TOPIC);
    debug_assert!(listens.is_ok(), "a new node has room for a topic");
    node
}
