//! What each takes of a processor. Batches of the two alternate, so that whatever else the machine does befalls both.

use std::hint::black_box;
use std::time::{Duration, Instant};

use foca::{AccumulatingRuntime, Config, Foca, Member, NoCustomBroadcast, PostcardCodec, Timer};
use tidings::sim::{Conditions, Sim, SimRng};

use crate::Ours;
use crate::bed::{Bed, FULL};
use crate::experiments::{SECOND, Subject};
use crate::figures::Target;
use crate::peer::{Name, Peer};
use crate::rows::{Cause, Row};
use crate::trial::Value;

/// Something whose time is taken.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// A ping comes in and an ack goes out, at a node that knows so many members.
    Ping { members: u32 },
    /// A second of a whole cluster, under this loss.
    Cluster { nodes: u32, loss: f64 },
}

/// A task and its line.
#[derive(Debug)]
pub struct Plan {
    pub task: Task,
    pub row: Row,
    pub quick: bool,
}

/// All of them.
pub fn all() -> Vec<Plan> {
    let mut plans = Vec::new();
    for (members, shown) in [(10, "10"), (100, "100"), (1_000, "1,000"), (10_000, "10,000")] {
        let row = Row::new(format!("CPU, ping in to ack out, {shown} members"), 0, Target::AtMost(250.0, " ns"));
        plans.push(Plan { task: Task::Ping { members }, row, quick: members <= 1_000 });
    }
    for (percent, most) in [(0, 5.0), (20, 8.0)] {
        let name = format!("CPU per simulated second, cluster of 1,024, {percent} % loss, with the simulator's");
        let row = Row::new(name, 0, Target::AtMost(most, " ms"));
        let row = if percent > 0 { row.from(Cause::Gossiped) } else { row };
        let task = Task::Cluster { nodes: 1_024, loss: f64::from(percent) / 100.0 };
        plans.push(Plan { task, row, quick: false });
    }
    plans
}

impl Task {
    /// The medians of the batches of each.
    pub fn measure(self) -> Result<[Value; 2], String> {
        Ok(match self {
            Task::Ping { members } => {
                let (mut ours, mut theirs) =
                    (Pinged::new(members), FocaPinged::new(members).map_err(|error| error.to_string())?);
                alternate(25, 1e9 / f64::from(PINGS), || ours.run(), || theirs.run())
            }
            Task::Cluster { nodes, loss } => {
                let (mut ours, mut theirs) = (settled::<Ours>(nodes, loss)?, settled::<Peer>(nodes, loss)?);
                let part = 2;
                alternate(5, 1e3 / f64::from(part), || ours.run_for(SECOND * part), || theirs.run_for(SECOND * part))
            }
        })
    }
}

/// Times so many batches of each in turn; the medians, in parts of a second of which there are so many.
fn alternate(batches: usize, scale: f64, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> [Value; 2] {
    let time = |batch: &mut dyn FnMut()| {
        let begun = Instant::now();
        batch();
        begun.elapsed()
    };
    let pairs: Vec<(Duration, Duration)> = (0..batches).map(|_| (time(&mut ours), time(&mut theirs))).collect();
    let median = |mut times: Vec<Duration>| {
        times.sort();
        Value::Amount(times[times.len() / 2].as_secs_f64() * scale)
    };
    [median(pairs.iter().map(|pair| pair.0).collect()), median(pairs.iter().map(|pair| pair.1).collect())]
}

/// A cluster that has been in this loss for a while.
fn settled<M: Subject>(nodes: u32, loss: f64) -> Result<Sim<M>, String> {
    let mut sim = M::cluster(nodes, 1)?;
    sim.set_conditions(Conditions::LAN.with_loss(loss));
    sim.run_for(SECOND * 15);
    Ok(sim)
}

/// How many pings are a batch.
const PINGS: u32 = 1_000;

struct Pinged {
    bed: Bed,
    ping: Vec<u8>,
}

impl Pinged {
    fn new(members: u32) -> Self {
        let bed = Bed::new(members as usize);
        Pinged { ping: bed.ping(), bed }
    }

    fn run(&mut self) {
        let (mut buf, mut out) = ([0; FULL], [0; FULL]);
        for _ in 0..PINGS {
            let datagram = &mut buf[..self.ping.len()];
            datagram.copy_from_slice(&self.ping);
            self.bed.node.handle_datagram(self.bed.now, self.bed.from, black_box(datagram));
            let ack = self.bed.node.poll_transmit(&mut out).expect("a ping is answered");
            black_box(ack.payload);
        }
    }
}

/// How many members take turns to ping: where the one that pings is in foca's list makes a difference.
const ASKERS: u32 = 50;

/// foca alone, as whoever wants no broadcasts has it.
type Inner = Foca<Name, PostcardCodec, SimRng, NoCustomBroadcast>;

struct FocaPinged {
    inner: Inner,
    runtime: AccumulatingRuntime<Name>,
    pings: Vec<Vec<u8>>,
}

impl FocaPinged {
    /// A node that knows this many members, itself among them.
    fn new(members: u32) -> Result<Self, foca::Error> {
        let (mut inner, mut runtime) = (instance(0, members), AccumulatingRuntime::new());
        let others = (1..members).map(|host| Member::alive(Name::of_host(host)));
        inner.apply_many(others, false, &mut runtime)?;
        while runtime.to_schedule().is_some() || runtime.to_notify().is_some() {}
        let askers = (0..ASKERS).map(|at| 1 + (u64::from(at) * u64::from(members - 1) / u64::from(ASKERS)) as u32);
        let pings = askers.map(|host| ping(host, members)).collect::<Result<_, _>>()?;
        Ok(FocaPinged { inner, runtime, pings })
    }

    fn run(&mut self) {
        for ping in self.pings.iter().cycle().take(PINGS as usize) {
            self.inner.handle_data(black_box(ping), &mut self.runtime).expect("it knows who asks");
            black_box(self.runtime.to_send()).expect("a ping is answered");
        }
    }
}

/// What this host sends to host 0 when it knows nobody else and its first probe is due.
fn ping(host: u32, members: u32) -> Result<Vec<u8>, foca::Error> {
    let (mut asker, mut runtime) = (instance(host, members), AccumulatingRuntime::new());
    asker.apply_many([Member::alive(Name::of_host(0))].into_iter(), false, &mut runtime)?;
    let mut timers = std::iter::from_fn(|| runtime.to_schedule()).map(|(_, timer)| timer);
    let probe = timers.find(|timer| matches!(timer, Timer::ProbeRandomMember(_))).expect("it probes whom it knows");
    asker.handle_timer(probe, &mut runtime)?;
    let (_, ping) = runtime.to_send().expect("a probe is a datagram");
    Ok(ping.to_vec())
}

fn instance(host: u32, members: u32) -> Inner {
    let size = members.try_into().expect("there are members");
    Foca::new(Name::of_host(host), Config::new_lan(size), SimRng::new(u64::from(host)), PostcardCodec)
}
