//! What an action does to a running simulation.

use core::time::Duration;
use std::vec::Vec;

use super::Action;
use crate::config::MAX_DATAGRAM;
use crate::node::HeapNode;
use crate::sim::delivery::Deliveries;
use crate::sim::hostile::{Forger, GHOSTS, NOBODY, liar};
use crate::sim::machine::TOPIC;
use crate::sim::network::{Conditions, SimRng};
use crate::sim::replicas::Replicas;
use crate::sim::world::Sim;

/// The accounts that are kept of what nodes say and write.
pub(super) struct Accounts {
    pub(super) deliveries: Deliveries,
    pub(super) replicas: Replicas,
}

impl Action {
    /// Does it to a running simulation, keeping account of what is said.
    pub(super) fn apply_with(
        self,
        sim: &mut Sim<HeapNode<u32>>,
        fresh: impl FnOnce() -> HeapNode<u32>,
        accounts: &Accounts,
    ) {
        let Accounts { deliveries, replicas } = accounts;
        match self {
            Action::Set(host, what) => drop(replicas.set(sim, host.into(), what.into())),
            Action::Write(host, count) => {
                for what in 0..count {
                    replicas.set(sim, host.into(), (what * 7).into());
                    sim.run_for(Duration::from_millis(10));
                }
            }
            Action::Delete(host, key) => drop(replicas.delete(sim, host.into(), key.into())),
            Action::Say(host, len) => drop(deliveries.say(sim, host.into(), len.into())),
            Action::Burst(host, count) => {
                for _ in 0..count {
                    deliveries.say(sim, host.into(), 64);
                    sim.run_for(Duration::from_millis(20));
                }
            }
            Action::Lie(_) => {
                deliveries.expect_lies();
                replicas.expect_lies();
                self.apply(sim, fresh);
            }
            _ => self.apply(sim, fresh),
        }
    }

    /// Does it to a running simulation. `fresh` makes the machine of a restarted host.
    pub fn apply(self, sim: &mut Sim<HeapNode<u32>>, fresh: impl FnOnce() -> HeapNode<u32>) {
        let part = |thousandths: u16| f64::from(thousandths) / 1_000.0;
        let weather = sim.conditions();
        match self {
            Action::Loss(loss) => sim.set_conditions(Conditions { loss: part(loss), ..weather }),
            Action::Duplicate(twice) => sim.set_conditions(Conditions { duplicate: part(twice), ..weather }),
            Action::Reorder(late) => sim.set_conditions(Conditions { reorder: part(late), ..weather }),
            Action::Corrupt(bad) => sim.set_conditions(Conditions { corrupt: part(bad), ..weather }),
            Action::Truncate(short) => sim.set_conditions(Conditions { truncate: part(short), ..weather }),
            Action::LossIn(host, loss) => sim.set_loss_in(host.into(), part(loss)),
            Action::LossOut(host, loss) => sim.set_loss_out(host.into(), part(loss)),
            Action::Partition(sides) => {
                (0..sim.hosts()).for_each(|host| sim.set_side(host, u32::from(sides >> (host % 16) & 1)));
            }
            Action::Crash(host) => sim.crash(host.into()),
            Action::Restart(host) => sim.restart(host.into(), fresh(), &[0, 1]),
            Action::Stop(host) => sim.stop(host.into()),
            Action::Resume(host) => sim.resume(host.into()),
            Action::Unplug(host) => sim.set_plugged(host.into(), false),
            Action::Plug(host) => sim.set_plugged(host.into(), true),
            Action::Leave(host) => sim.leave(host.into()),
            Action::Drift(host, thousandths) => sim.set_drift(host.into(), i64::from(thousandths) * 100),
            Action::Jump(host, seconds) => sim.jump_clock(host.into(), Duration::from_secs(seconds.into())),
            Action::Flood(host, count) => flood(sim, host.into(), count),
            Action::Replay(host, count) => replay(sim, host.into(), count),
            Action::Slander(host, accused) => slander(sim, host.into(), accused.into()),
            Action::Invent(host, count) => invent(sim, host.into(), count),
            Action::Forge(host, what) => forge(sim, host.into(), what),
            // No attack makes up what a member says or writes. So what is not delivered must be told all the same, and what is
            // read must have been written: all accounts are kept.
            Action::Attack(host, attack, stance) => sim.mount(host.into(), attack, stance, Action::ATTACK),
            Action::Lie(host) => sim.set_tamper(host.into(), Some(liar(sim.steps()))),
            // A process that is stopped could not be told.
            Action::Move(host) if !sim.is_running(host.into()) => {}
            Action::Move(host) => {
                // A place of its own: hosts and places do not overlap.
                let place = 1_000 * (1 + u32::from(host)) + sim.steps() as u32 % 1_000;
                sim.move_host(host.into(), place);
                sim.with(host.into(), |node, now| node.set_addr(now, place).expect("a number is an address"));
            }
            // Without an account.
            Action::Say(host, len) => {
                sim.with(host.into(), |node, now| _ = node.broadcast(now, TOPIC, &std::vec![0x5a; len.into()]));
            }
            Action::Burst(host, count) => {
                for _ in 0..count {
                    sim.with(host.into(), |node, now| _ = node.broadcast(now, TOPIC, &[0x5a; 64]));
                    sim.run_for(Duration::from_millis(20));
                }
            }
            Action::Set(host, what) => {
                sim.with(host.into(), |node, now| _ = node.set(now, "key", &what.to_le_bytes()));
            }
            Action::Write(host, count) => {
                for what in 0..count {
                    sim.with(host.into(), |node, now| _ = node.set(now, "key", &what.to_le_bytes()));
                    sim.run_for(Duration::from_millis(10));
                }
            }
            Action::Delete(host, _) => sim.with(host.into(), |node, now| _ = node.delete(now, "key")),
            Action::Tell(host, other) => {
                let to = sim.id(other.into());
                sim.with(host.into(), |node, now| _ = node.send(now, to, TOPIC, b"a word with you"));
            }
            Action::Link(..) | Action::Zones(_) | Action::Filter(..) | Action::Refuse(..) | Action::Pace(..) => {
                self.apply_to_links(sim);
            }
            Action::Twin(host) => {
                let twin = sim.add(fresh());
                sim.set_id(twin, sim.id(host.into()));
                sim.start(twin, &[0, 1]);
            }
        }
    }
}

/// Random bytes, half of them with a plausible head, and now and then as many as a datagram holds.
fn flood(sim: &mut Sim<HeapNode<u32>>, to: usize, count: u16) {
    let mut rng = SimRng::new(sim.steps());
    for _ in 0..count {
        let most = if rng.chance(0.02) { MAX_DATAGRAM as u64 } else { 200 };
        let mut bytes: Vec<u8> = (0..rng.below(most)).map(|_| rng.draw() as u8).collect();
        if let Some(form) = bytes.first_mut().filter(|_| rng.chance(0.5)) {
            *form = 1;
        }
        inject_from_anywhere(sim, &mut rng, to, &bytes);
    }
}

/// What was overheard, half of it with a bit flipped or its end lost, from anywhere.
fn replay(sim: &mut Sim<HeapNode<u32>>, to: usize, count: u16) {
    let mut rng = SimRng::new(sim.steps());
    let overheard: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
    for _ in 0..count {
        let Some(mut bytes) = overheard.get(rng.below(overheard.len().max(1) as u64) as usize).cloned() else { return };
        if rng.chance(0.25) {
            bytes[0] ^= 1 << rng.below(8);
        } else if rng.chance(0.25) {
            bytes.truncate(rng.below(bytes.len() as u64) as usize);
        }
        inject_from_anywhere(sim, &mut rng, to, &bytes);
    }
}

/// As if one of the hosts had sent it, or nobody.
fn inject_from_anywhere(sim: &mut Sim<HeapNode<u32>>, rng: &mut SimRng, to: usize, bytes: &[u8]) {
    if rng.chance(0.5) {
        return sim.spoof(NOBODY, to, bytes);
    }
    let from = rng.below(sim.hosts() as u64) as usize;
    sim.inject(from, to, bytes);
}

/// A forger who speaks to a host as its neighbour.
fn forger(sim: &Sim<HeapNode<u32>>, victim: usize) -> Option<(Forger, usize)> {
    let mask = (victim + 1) % sim.hosts();
    Forger::new(sim.machine(victim)?, sim.machine(mask)?).map(|forger| (forger, mask))
}

fn slander(sim: &mut Sim<HeapNode<u32>>, victim: usize, accused: usize) {
    let lie = forger(sim, victim).and_then(|(forger, mask)| Some((mask, forger.accusation(sim.machine(accused)?))));
    if let Some((mask, bytes)) = lie {
        sim.inject(mask, victim, &bytes);
    }
}

fn invent(sim: &mut Sim<HeapNode<u32>>, victim: usize, count: u8) {
    if let Some((forger, mask)) = forger(sim, victim) {
        let first = 1_000_000 + sim.steps();
        let bytes = forger.invention::<u32>(first..first + u64::from(count));
        sim.inject(mask, victim, &bytes);
    }
}

fn forge(sim: &mut Sim<HeapNode<u32>>, victim: usize, what: u8) {
    let about = (victim + 2) % sim.hosts();
    let Some(((forger, mask), member)) = forger(sim, victim).zip(sim.machine(about)) else { return };
    let bytes = match what {
        0 => forger.removal(member, GHOSTS),
        1 => forger.rebirth(member, Some(GHOSTS)),
        2 => forger.rebirth(member, None),
        _ => forger.leap(member, u32::MAX),
    };
    // What it hears of itself, it has to believe.
    if about != victim {
        sim.inject(mask, victim, &bytes);
    }
}
