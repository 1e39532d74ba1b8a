//! Where a cluster comes from, and what becomes of it when it is left alone.

use std::sync::Arc;
use std::time::Duration;

use tidings::sim::Scenario;
use tidings::{Instant, Phase};

use crate::account::End;
use crate::config::{CONFIG, Faults, HOSTS};
use crate::world::{Breach, World};

/// How long a cluster has lived before its first state: every member has been probed by every other, and all news has
/// been told.
const SETTLED: Duration = Duration::from_secs(20);
/// More datagrams than any honest exchange takes in which no time passes.
const STORM: usize = 1_000;

/// Three members that know each other and have nothing to tell; they may then have these faults.
pub fn settled(seed: u64, faults: Faults) -> World {
    let mut world = World {
        hosts: [None, None, None],
        lives: [0; HOSTS],
        flight: Vec::new(),
        clock: Instant::ZERO,
        left: Faults { restarts: HOSTS as u8, ..Faults::default() },
        cut: None,
        stalled: None,
        said: Default::default(),
        held: Default::default(),
        harmed: [false; HOSTS],
        breach: None,
        seed,
    };
    (0..HOSTS).for_each(|place| world.restart(place));
    world.run(SETTLED, |_| false);
    assert!(world.agrees(), "seed {seed}: three nodes did not form a cluster");
    // The rest is as if this had been so from the beginning.
    for host in world.hosts.iter_mut().flatten() {
        let host = Arc::make_mut(host);
        host.grounds = Default::default();
        host.settle();
    }
    world.left = faults;
    world
}

/// How soon after the last fault all must agree: what the protocol promises.
pub fn bound() -> Duration {
    Scenario::bound(&CONFIG, HOSTS)
}

impl World {
    /// Whether all living hosts hold the same, and what is so.
    pub fn agrees(&self) -> bool {
        self.living().all(|(_, host)| {
            host.node.phase() == Phase::Member
                && self.hosts.iter().enumerate().all(|(about, other)| {
                    let held = host.holds(about);
                    match other {
                        Some(other) => held == Some(other.myself()),
                        None => held.is_none_or(|account| account.end != End::Alive),
                    }
                })
        })
    }

    /// Ends all faults but crashes, and runs on without any until all agree; how long that took, or `None` if they do
    /// not within the bound. One that breaks a rule on the way does not agree.
    pub fn left_alone(&self) -> Option<Duration> {
        let mut world = self.clone();
        world.wake();
        (world.cut, world.left) = (None, Faults::default());
        world.flight.retain(|datagram| self.hosts[datagram.to].is_some());
        world.run(bound(), World::agrees);
        (world.breach.is_none() && world.agrees()).then(|| world.clock.duration_since(self.clock))
    }

    /// Runs for so long, or until this is so and nothing is on its way.
    fn run(&mut self, span: Duration, until: impl Fn(&World) -> bool) {
        let end = self.clock + span;
        let mut served = 0;
        while self.breach.is_none() {
            served += 1;
            let due = self.due().next();
            if !self.flight.is_empty() {
                self.deliver(0, false);
            } else if let Some(place) = due {
                self.serve(place);
            } else if until(self) || self.deadline() > end {
                return;
            } else {
                (self.clock, served) = (self.deadline(), 0);
            }
            if served > STORM {
                self.break_rule(Breach::Endless);
            }
        }
    }
}
