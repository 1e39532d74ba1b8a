//! The model: which steps there are from each state.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stateright::{Model, Property};
use tidings::Instant;
use tidings::internals::reading::Reading;

use crate::account::Account;
use crate::cluster;
use crate::config::{ANY_ORDER, HOSTS, Trial};
use crate::host::place_of;
use crate::properties;
use crate::sabotage::Sabotage;
use crate::world::{Cut, Datagram, World};

/// One trial, as a model.
pub struct Network {
    /// What may happen.
    pub trial: Trial,
    /// What is done to the model itself, to see that it finds what is wrong.
    pub sabotage: Option<Sabotage>,
    initial: Vec<World>,
    /// When the clock was started.
    begun: Vec<Instant>,
    /// How many states were left alone, and the longest that they took to agree, in microseconds.
    pub(crate) alone: AtomicU64,
    pub(crate) longest: AtomicU64,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The datagram at this place of the flight arrives.
    Deliver(usize),
    /// It is lost.
    Lose(usize),
    /// It arrives, and will arrive again.
    Copy(usize),
    /// Time passes to the next deadline.
    Pass,
    /// A host whose deadline has come is called.
    Serve(usize),
    /// A host stops.
    Crash(usize),
    /// A crashed host begins a new life.
    Restart(usize),
    /// A host is cut off.
    Cut(Cut),
    /// It no longer is.
    Heal,
    /// A host stands still.
    Stall(usize),
    /// It goes on.
    Wake,
}

impl Network {
    /// The model of a trial.
    pub fn new(trial: Trial) -> Self {
        let initial: Vec<World> = trial.seeds.iter().map(|seed| cluster::settled(*seed, trial.faults)).collect();
        let begun = initial.iter().map(|world| world.clock).collect();
        let (alone, longest) = (AtomicU64::new(0), AtomicU64::new(0));
        Network { trial, sabotage: None, initial, begun, alone, longest }
    }

    /// The same with something broken on purpose.
    pub fn sabotaged(trial: Trial, sabotage: Sabotage) -> Self {
        let mut network = Network { sabotage: Some(sabotage), ..Network::new(trial) };
        network.initial.iter_mut().for_each(|world| sabotage.begin(world));
        network
    }

    /// Where a state came from.
    pub fn origin(&self, world: &World) -> &World {
        &self.initial[self.seed(world)]
    }

    fn seed(&self, world: &World) -> usize {
        self.trial.seeds.iter().position(|seed| *seed == world.seed).expect("no state changes its seed")
    }

    /// How long ago a state's clock was started.
    pub fn age(&self, world: &World) -> Duration {
        world.clock.duration_since(self.begun[self.seed(world)])
    }

    /// How many states were left alone, and the longest that it took them to agree.
    pub fn left_alone(&self) -> (u64, Duration) {
        (self.alone.load(Ordering::Relaxed), Duration::from_micros(self.longest.load(Ordering::Relaxed)))
    }

    fn of_datagrams(&self, world: &World, steps: &mut Vec<Step>) {
        for (at, datagram) in world.flight.iter().enumerate() {
            if world.flight[..at].contains(datagram) || !world.arrives(datagram) {
                continue;
            }
            if world.left.swaps == 0 && world.out_of_turn(at) {
                break;
            }
            steps.push(Step::Deliver(at));
            if world.hosts[datagram.to].is_none() {
                continue;
            }
            if world.left.losses > 0 {
                steps.push(Step::Lose(at));
            }
            if world.left.copies > 0 {
                steps.push(Step::Copy(at));
            }
        }
    }

    fn of_time(&self, world: &World, steps: &mut Vec<Step>) {
        let due: Vec<usize> = world.due().collect();
        steps.extend(due.iter().map(|place| Step::Serve(*place)));
        let next = world.deadline();
        let end = self.begun[self.seed(world)] + self.trial.horizon;
        let on_time = world.punctual() <= usize::from(world.left.delays) && world.none_later(next, self.trial.latest);
        if due.is_empty() && on_time && next <= end {
            steps.push(Step::Pass);
        }
    }

    fn of_hosts(&self, world: &World, steps: &mut Vec<Step>) {
        if self.age(world) <= self.trial.window {
            for (place, _) in world.living() {
                let whole = world.cut.is_none() && world.stalled.is_none();
                let cut = |deaf, mute| (world.left.cuts > 0 && whole, Step::Cut(Cut { place, deaf, mute }));
                let faults = [
                    (world.left.crashes > 0, Step::Crash(place)),
                    cut(true, true),
                    cut(true, false),
                    cut(false, true),
                    (world.left.stalls > 0 && whole, Step::Stall(place)),
                ];
                steps.extend(faults.into_iter().filter(|(may, _)| *may).map(|(_, step)| step));
            }
        }
        let crashed = (0..HOSTS).filter(|place| world.hosts[*place].is_none() && world.left.restarts > 0);
        steps.extend(crashed.map(Step::Restart));
        steps.extend(world.cut.map(|_| Step::Heal));
        steps.extend(world.stalled.map(|_| Step::Wake));
    }

    /// The way to a state, a line for each step.
    pub fn story(&self, path: &stateright::Path<World, Step>) -> String {
        let mut story = String::new();
        for (world, step) in path.clone().into_vec() {
            let Some(step) = step else { break };
            let millis = self.age(&world).as_micros() as f64 / 1_000.0;
            story.push_str(&format!("{millis:10.3} ms  {}\n", Telling { step, world: &world }));
        }
        let last = path.last_state();
        for (place, host) in last.living() {
            let held: Vec<_> = (0..HOSTS).map(|about| host.holds(about)).collect();
            story.push_str(&format!("host {place} ({}): {held:?}\n", host.node.phase()));
        }
        story + &format!("broken: {:?}\n", last.breach)
    }
}

impl Model for Network {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        self.initial.clone()
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.breach.is_some() {
            return;
        }
        self.of_datagrams(world, steps);
        self.of_time(world, steps);
        self.of_hosts(world, steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut world = world.clone();
        if let Step::Deliver(at) | Step::Copy(at) = step {
            world.left.swaps -= u8::from(world.left.swaps != ANY_ORDER && world.out_of_turn(at));
        }
        match step {
            Step::Deliver(at) => world.deliver(at, false),
            Step::Lose(at) => {
                world.left.losses -= 1;
                world.flight.remove(at);
            }
            Step::Copy(at) => {
                world.left.copies -= 1;
                world.deliver(at, true);
            }
            Step::Pass => {
                world.left.delays -= world.punctual() as u8;
                world.clock = world.deadline();
            }
            Step::Serve(place) => world.serve(place),
            Step::Crash(place) => {
                world.left.crashes -= 1;
                world.crash(place);
            }
            Step::Restart(place) => {
                world.left.restarts -= 1;
                world.restart(place);
            }
            Step::Cut(cut) => {
                world.left.cuts -= 1;
                world.cut(cut);
            }
            Step::Heal => world.cut = None,
            Step::Stall(place) => {
                world.left.stalls -= 1;
                world.stall(place);
            }
            Step::Wake => world.wake(),
        }
        if let Some(sabotage) = self.sabotage {
            sabotage.meddle(self.origin(&world), &mut world);
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.trial.faults)
    }
}

/// A step in words.
struct Telling<'w> {
    step: Step,
    world: &'w World,
}

impl fmt::Display for Telling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, what) = match self.step {
            Step::Deliver(at) => (at, "arrives"),
            Step::Lose(at) => (at, "is lost"),
            Step::Copy(at) => (at, "arrives, and will again"),
            step => return write!(f, "{step:?}"),
        };
        let Datagram { from, to, sent, bytes } = &self.world.flight[at];
        let reading: Option<Reading> = self.world.hosts[*to].as_ref().and_then(|host| host.read(bytes));
        let Some(reading) = reading else { return write!(f, "{from} -> {to} {what}, unread") };
        write!(f, "{from} -> {to} {what}: {}", reading.kinds.join(" + "))?;
        for told in &reading.records {
            let account = Account::from(told);
            let ((generation, nonce), incarnation) = account.counters();
            let place = place_of(told.id).map_or("?".into(), |place| place.to_string());
            write!(f, ", {place} {:?} {generation}-{nonce:08x}/{incarnation}", account.end)?;
        }
        if *sent < self.world.clock { write!(f, ", sent at {sent}") } else { Ok(()) }
    }
}
