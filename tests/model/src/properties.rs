//! What must hold in every state, and what must be found in some, so that the exploration is known to have gone where
//! it should.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

use stateright::{Model, Property};
use tidings::Phase;

use crate::account::End;
use crate::config::Faults;
use crate::model::Network;
use crate::world::{Breach, Cut, World};

/// The properties of all trials, and the findings that those faults must lead to.
pub fn of(faults: &Faults) -> Vec<Property<Network>> {
    let mut all = vec![
        Property::always("what is held of a member only moves up", |_, world: &World| {
            !matches!(world.breach, Some(Breach::WentBack(..)))
        }),
        Property::always("only its owner moves a member's counters", |_, world: &World| {
            !matches!(world.breach, Some(Breach::NotItsOwn(..)))
        }),
        Property::always("nobody is held dead without grounds", |_, world: &World| {
            !matches!(world.breach, Some(Breach::Groundless(..)))
        }),
        Property::always("nobody is held dead who had no fault", |_, world: &World| {
            !matches!(world.breach, Some(Breach::Condemned(..)))
        }),
        Property::always("a call serves all that is due", |_, world: &World| {
            !matches!(world.breach, Some(Breach::Restless(_)))
        }),
        Property::always("left alone, all come to agree", comes_to_agree),
    ];
    if faults.losses == 0 && faults.delays == 0 {
        all.push(Property::always("nobody whom another answers seems cut off to itself", is_not_isolated));
    }
    let findings = [
        (faults.crashes > 0, Property::sometimes("all find a crash", all_find_a_crash)),
        (faults.losses > 0, Property::sometimes("losses are made good", losses_are_made_good)),
        (
            faults.copies > 0,
            Property::sometimes("copies do no harm", |network, world: &World| {
                world.left.copies == 0 && is_well_at_the_end(network, world)
            }),
        ),
        (
            faults.delays > 0,
            Property::sometimes("delays do no harm", |network, world: &World| {
                world.left.delays == 0 && is_well_at_the_end(network, world)
            }),
        ),
        (faults.restarts > 0, Property::sometimes("a later life is known to all", later_life_is_known)),
        (faults.cuts > 0, Property::sometimes("the cut-off side judges nobody", cut_off_judges_nobody)),
        (faults.cuts > 0, Property::sometimes("who was cut off speaks against its death", speaks_against_death)),
        (faults.stalls > 0, Property::sometimes("who stood still speaks against its death", speaks_against_death)),
    ];
    all.extend(findings.into_iter().filter(|(possible, _)| *possible).map(|(_, finding)| finding));
    all
}

/// Of some states only, chosen by their hash: that all living hosts agree soon enough once the faults have ended.
fn comes_to_agree(network: &Network, world: &World) -> bool {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    if world.breach.is_some() || !hasher.finish().is_multiple_of(network.trial.sample) {
        return true;
    }
    let took = world.left_alone();
    network.alone.fetch_add(1, Ordering::Relaxed);
    network.longest.fetch_max(took.map_or(0, |took| took.as_micros() as u64), Ordering::Relaxed);
    took.is_some()
}

/// Where nothing is lost, a host without a fault is not isolated while there is another.
fn is_not_isolated(_: &Network, world: &World) -> bool {
    let sound = || world.living().filter(|(place, _)| !world.harmed[*place]);
    sound().count() < 2 || sound().all(|(_, host)| host.node.phase() != Phase::Isolated)
}

fn all_find_a_crash(_: &Network, world: &World) -> bool {
    let mut crashed = (0..world.hosts.len()).filter(|place| world.hosts[*place].is_none());
    crashed.any(|dead| world.living().all(|(_, host)| host.holds(dead).is_some_and(|held| held.end == End::Down)))
}

/// Time is over, nobody has crashed, and all is as it should be.
fn is_well_at_the_end(network: &Network, world: &World) -> bool {
    let whole = world.living().count() == world.hosts.len() && world.flight.is_empty();
    let mut steps = Vec::new();
    let mut over = || {
        network.actions(world, &mut steps);
        steps.is_empty()
    };
    whole && world.agrees() && over()
}

fn losses_are_made_good(network: &Network, world: &World) -> bool {
    let retries = |world: &World| world.living().map(|(_, host)| host.node.stats().retries).sum::<u64>();
    let retried = retries(world) > retries(network.origin(world));
    world.left.losses == 0 && retried && is_well_at_the_end(network, world)
}

fn later_life_is_known(network: &Network, world: &World) -> bool {
    let origin = network.origin(world);
    let anew = (0..world.hosts.len()).any(|place| world.lives[place] > origin.lives[place]);
    anew && world.living().count() == world.hosts.len() && world.agrees()
}

fn cut_off_judges_nobody(_: &Network, world: &World) -> bool {
    let Some(Cut { place: cut, deaf: true, mute: true }) = world.cut else { return false };
    let alone = |host: &crate::host::Host| host.node.phase() == Phase::Isolated && host.node.live() == 3;
    let dead = |host: &crate::host::Host| host.holds(cut).is_some_and(|held| held.end == End::Down);
    world.living().all(|(place, host)| if place == cut { alone(host) } else { dead(host) })
}

/// It was held dead, has a later incarnation for it, and all know.
fn speaks_against_death(network: &Network, world: &World) -> bool {
    let origin = network.origin(world);
    let spoke = (0..world.hosts.len()).any(|place| world.said[place].1 > origin.said[place].1);
    spoke && world.agrees()
}
