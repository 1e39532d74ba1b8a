//! Partial connectivity in a scenario: what its actions set, and what must hold while it lasts.

use core::time::Duration;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Action, Scenario};
use crate::config::Config;
use crate::event::Phase;
use crate::member::Status;
use crate::node::HeapNode;
use crate::sim::links::{Link, Refusal};
use crate::sim::world::Sim;

type Net = Sim<HeapNode<u32>>;

/// Into how many zones [`Action::Zones`] puts hosts.
const ZONES: u32 = 3;

impl Action {
    /// An action of this file, if it is one of the kinds set aside for them.
    pub(super) fn of_links(kind: u8, value: u16, nodes: u8) -> Option<Self> {
        let host = (value >> 8) as u8 % nodes;
        Some(match kind {
            192..=203 => Action::Link(host, value as u8 % nodes, kind % 6),
            204..=211 => Action::Zones(value % 512),
            212..=217 => Action::Filter(host, value as u8 % 60),
            218..=223 => Action::Refuse(host, value % 1_500),
            224..=229 => Action::Pace(host, value % 2_048),
            _ => return None,
        })
    }

    /// Does it, if it is an action of this file.
    pub(super) fn apply_to_links(self, sim: &mut Net) {
        match self {
            Action::Link(from, to, what) => {
                let link = match what {
                    0 | 1 => Link::BLOCKED,
                    2 => Link::GOOD.with_loss(0.5),
                    3 => Link::GOOD.with_delay(Duration::from_millis(300)),
                    4 => Link::GOOD.with_longest(300),
                    _ => Link::GOOD,
                };
                sim.set_link(from.into(), to.into(), link);
                if what > 0 {
                    sim.set_link(to.into(), from.into(), link);
                }
            }
            Action::Zones(ways) => {
                (0..sim.hosts()).for_each(|host| sim.set_zone(host, host as u32 % ZONES));
                for way in 0..ZONES * ZONES {
                    let blocked = ways >> way & 1 == 1;
                    let link = if blocked { Link::BLOCKED } else { Link::GOOD };
                    sim.set_zone_link(way / ZONES, way % ZONES, link);
                }
            }
            Action::Filter(host, 0) => sim.set_filter(host.into(), None),
            Action::Filter(host, seconds) => sim.set_filter(host.into(), Some(Duration::from_secs(seconds.into()))),
            Action::Refuse(host, part) => {
                let window = |millis| Refusal::Window { lasts: Duration::from_millis(millis), every: SECOND };
                let refusal = match part {
                    0 => Refusal::Never,
                    1..=999 => Refusal::Chance(f64::from(part) / 1_000.0),
                    _ => window(u64::from(part) - 999),
                };
                sim.set_refusal(host.into(), refusal);
            }
            Action::Pace(host, 0) => sim.set_pace(host.into(), None),
            Action::Pace(host, millis) => sim.set_pace(host.into(), Some(Duration::from_millis(millis.into()))),
            _ => {}
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Lets time pass while only the faults of this file last, until no member that must not be has been held down all
/// along; what is wrong if there is one for as long as the bound. See [`must_not_be_held_down`].
pub(super) fn lull(sim: &mut Net, config: &Config, invented: usize) -> Result<(), String> {
    if !sim.has_partial_faults() {
        return Ok(());
    }
    sim.heal_all_but_links();
    // A member that was cut off waits for unbroken contact before it speaks against its death. These faults may break it
    // again and again, and then it takes four times the longest hold: see `detector/hold.rs`.
    let broken = config.probe_period() * 128;
    let bound = Scenario::bound(config, sim.hosts().max(invented)) + broken;
    let end = sim.now() + bound;
    let mut held: Vec<(usize, usize)> =
        (0..sim.hosts()).flat_map(|observer| (0..sim.hosts()).map(move |subject| (observer, subject))).collect();
    while !held.is_empty() && sim.failure().is_none() {
        if sim.now() >= end {
            return Err(format!(
                "within {bound:?} never held alive, though they can be reached (observer, member): {held:?}"
            ));
        }
        let wrongly = must_not_be_held_down(sim);
        held.retain(|(observer, subject)| {
            let of = |host: usize| sim.machine(host).and_then(|node| node.member(sim.id(*subject)));
            let down = of(*observer).filter(|member| member.status() == Status::Down);
            // That it has moved, or lives anew, is believed only by those whom it answers.
            let same = down
                .zip(of(*subject))
                .is_some_and(|(held, own)| held.life() == own.life() && held.addr() == own.addr());
            // A filter lets nothing in from where the one behind it does not know anybody to be.
            let place = |host: usize| {
                let at = |of: usize| sim.machine(of).and_then(|node| node.member(sim.id(host))).map(|held| held.addr());
                at(host) == at(*subject)
            };
            let same = same && (!sim.is_filtered(*subject) || place(*observer));
            wrongly.contains(&(*observer, *subject)) && same
        });
        sim.run_for(SECOND / 5);
    }
    Ok(())
}

/// Who must not hold whom down for good: a member that a third of the members reach, and it them, lives for all with
/// whom it is connected, be it by way of others.
fn must_not_be_held_down(sim: &Net) -> BTreeSet<(usize, usize)> {
    let is_member = |host: &usize| {
        let phase = sim.machine(*host).filter(|_| sim.is_running(*host)).map(HeapNode::phase);
        matches!(phase, Some(Phase::Member | Phase::Isolated))
    };
    // Of two that have one id it takes both to be reached to tell who keeps it.
    let is_alone = |host: &usize| (0..sim.hosts()).all(|other| other == *host || sim.id(other) != sim.id(*host));
    let members: Vec<usize> = (0..sim.hosts()).filter(is_member).filter(is_alone).collect();
    let taken = |host: usize| match sim.refusal(host) {
        Refusal::Never => 1.0,
        Refusal::Chance(part) => 1.0 - part,
        // A loop that comes round seldom may find it shut each time.
        Refusal::Window { .. } if sim.is_coarse(host) => 0.0,
        Refusal::Window { lasts, every } => 1.0 - lasts.as_secs_f64() / every.as_secs_f64(),
    };
    // Where half is lost each way, three of four questions have no answer.
    let passes = |from: usize, to: usize| {
        let link = sim.link(from, to);
        !link.blocked && taken(from) * (1.0 - link.loss) > 0.5
    };
    let connected = |one: usize, other: usize| one != other && passes(one, other) && passes(other, one);
    let mut pairs = BTreeSet::new();
    for subject in &members {
        let reached = members.iter().filter(|other| connected(*subject, **other)).count();
        if 3 * reached < members.len() {
            continue;
        }
        let mut group = BTreeSet::from([*subject]);
        let mut fresh = std::vec![*subject];
        while let Some(one) = fresh.pop() {
            fresh.extend(members.iter().filter(|other| connected(one, **other) && group.insert(**other)));
        }
        pairs.extend(group.into_iter().map(|observer| (observer, *subject)));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::network::Conditions;
    use crate::storage::Limits;

    #[test]
    fn who_is_reached_by_a_third_must_not_be_held_down_by_those_connected_with_it() {
        let mut sim = Net::new(1, Conditions::LAN);
        for _ in 0..6 {
            let host = sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(8)));
            sim.start(host, &[]);
        }
        assert_eq!(must_not_be_held_down(&sim).len(), 36, "all, of all");
        // Zones of two, of which the first and the second do not reach each other.
        sim.crash(5);
        Action::Zones(0b000_001_010).apply_to_links(&mut sim);
        let pairs = must_not_be_held_down(&sim);
        assert!(pairs.contains(&(1, 0)) && pairs.contains(&(0, 1)), "they are connected by the third zone");
        assert!((0..6).all(|host| !pairs.contains(&(host, 5)) && !pairs.contains(&(5, host))), "it has crashed");
        // Host 0 reaches one of the four others.
        sim.set_link(0, 2, Link::BLOCKED);
        assert!(!must_not_be_held_down(&sim).contains(&(3, 0)), "too few reach it");
        assert!(must_not_be_held_down(&sim).contains(&(0, 3)));
    }
}
