//! The checker can fail: of each thing that is broken on purpose it finds what it breaks.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};
use tidings_model::config::Trial;
use tidings_model::model::Network;
use tidings_model::sabotage::Sabotage;
use tidings_model::trials::{CRASH, CUT};

/// Explores a trial until the property is seen to be broken.
fn breaks(trial: Trial, sabotage: Sabotage, property: &'static str) {
    let trial = Trial { seeds: &[1], ..trial };
    let only = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = Network::sabotaged(trial, sabotage).checker().finish_when(only).spawn_dfs().join();
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed by \"{property}\""));
    println!("{}", checker.model().story(&path));
}

#[test]
fn an_incarnation_that_nobody_had_is_found() {
    breaks(CRASH, Sabotage::Leap, "only its owner moves a member's counters");
}

#[test]
fn a_node_that_forgets_a_death_is_found() {
    breaks(CRASH, Sabotage::Amnesia, "what is held of a member only moves up");
}

#[test]
fn a_death_without_grounds_is_found() {
    breaks(CRASH, Sabotage::DeafClerk, "nobody is held dead without grounds");
}

#[test]
fn a_death_without_a_fault_is_found() {
    breaks(CUT, Sabotage::Whitewash, "nobody is held dead who had no fault");
}

#[test]
fn a_cluster_that_does_not_agree_is_found() {
    breaks(CRASH, Sabotage::Silence, "left alone, all come to agree");
}
