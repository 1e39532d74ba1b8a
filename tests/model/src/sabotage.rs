//! What is broken on purpose, to see that the checker finds it.

use std::sync::Arc;

use tidings::internals::forge::{self, Sender};
use tidings::internals::reading;

use crate::account::{Account, End};
use crate::config::{CLUSTER, HOSTS};
use crate::host::{Host, id_of};
use crate::world::{Datagram, World};

/// One thing that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Somebody tells host 0, as if it were host 2, of an incarnation of host 1 that it never had.
    Leap,
    /// Host 0 has only to hold somebody dead, and it is as it was at the start.
    Amnesia,
    /// What jurors say to host 0 is not written down.
    DeafClerk,
    /// Nobody remembers who had a fault.
    Whitewash,
    /// Host 0 leaves, and is taken for a member all the same.
    Silence,
}

impl Sabotage {
    /// Before the first step.
    pub(crate) fn begin(self, world: &mut World) {
        if self == Sabotage::Leap {
            world.flight.push(leap(world));
        }
    }

    /// After each step.
    pub(crate) fn meddle(self, origin: &World, world: &mut World) {
        let [Some(first), ..] = &world.hosts else { return };
        match self {
            Sabotage::Leap => {}
            Sabotage::Amnesia => {
                let dead = |place: usize| first.holds(place).is_some_and(|held| held.end == End::Down);
                if (0..HOSTS).any(dead) {
                    world.hosts[0] = origin.hosts[0].clone();
                }
            }
            Sabotage::DeafClerk => {
                let mut host = Host::clone(first);
                host.grounds = Default::default();
                world.hosts[0] = Some(Arc::new(host));
            }
            Sabotage::Whitewash => world.harmed = [false; HOSTS],
            Sabotage::Silence => {
                let mut host = Host::clone(first);
                host.node.leave(world.clock);
                world.hosts[0] = Some(Arc::new(host));
            }
        }
    }
}

/// News of host 1 that host 1 never told.
fn leap(world: &World) -> Datagram {
    let account = |place: usize| {
        let held = world.hosts[place].as_ref().map(|host| host.myself());
        held.expect("no host has crashed before the start")
    };
    let sender = |place: usize, Account { life: (generation, nonce), incarnation, .. }: Account| Sender {
        id: id_of(place),
        generation,
        nonce,
        incarnation,
    };
    let leapt = Sender { incarnation: account(1).incarnation + 1, ..sender(1, account(1)) };
    let news = forge::frame(forge::kind::NEWS, &forge::record(0, leapt, id_of(1) as u16));
    let addressee = reading::tag(id_of(0), account(0).life);
    let bytes = forge::datagram(forge::cluster(CLUSTER), forge::VERSION, addressee, sender(2, account(2)), &[news]);
    Datagram { to: 0, from: 2, sent: world.clock, bytes: bytes.into() }
}
