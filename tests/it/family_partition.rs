//! Parted, half-deaf and crashing clusters: the acceptance scenarios of the HashiCorp family, Swift's, Rapid's (25-33).
//! Settings are `Config::LAN` as it is.
//!
//! | no. | scenario | test |
//! |---|---|---|
//! | 25 | halves isolated for 1, 10 and 60 min, then healed | `halves_apart_for_a_minute_ten_or_an_hour_grow_together_without_seeds` |
//! | 26 | one node isolated alone | `a_node_that_lost_its_network_is_isolated_and_judges_nobody` in `scenarios.rs` |
//! | 27 | split in three | `three_parts_grow_together_two_at_first_and_then_the_third` |
//! | 27 | two seeds that cannot reach each other at the start | `two_clusters_begun_apart_under_two_seeds_become_one_when_the_way_opens` |
//! | 28 | ingress lost 20 s on, 20 s off, at 1 % | `members_deaf_by_turns_are_missed_each_time_and_drag_nobody_along` |
//! | 29 | 80 % loss of ingress or egress at 1 % | `members_that_lose_four_fifths_of_one_way_drag_nobody_along_and_split_no_views` |
//! | 30 | reachable from one peer only | `a_member_that_only_one_other_reaches_brings_nobody_else_down` |
//! | 31 | ten crashes of 1,000 | `ten_crashes_of_a_thousand_are_all_found_and_nobody_else_is` |
//! | 32 | a random quarter, a random third | `a_quarter_or_a_third_that_crashes_is_found_and_nobody_else_is` |
//! | 33 | 10 of 50 drop their first 100 probes | `ten_of_fifty_deaf_to_their_first_hundred_probes_bring_nobody_else_down_and_come_back` |
//!
//! Not applicable: merging two clusters only if a policy says so (27), as here whoever has the cluster's name belongs
//! to it. Rapid also wants who is deaf by turns (28) to stay removed; here it is taken back whenever it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::ailing::{self, ailing_cluster};
use crate::common::blame::{chosen, slander};
use crate::common::cluster::{SECOND, cluster, fresh, reported, status_of};
use tidings::sim::{Conditions, Reported, Scenario, Sim};
use tidings::{Config, HeapNode, Status};

const MILLIS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

type Cluster = Sim<HeapNode<u32>>;

/// Within which all must agree again.
fn bound(sim: &Cluster) -> Duration {
    Scenario::bound(&Config::LAN, sim.hosts())
}

fn live(sim: &Cluster, host: usize) -> usize {
    sim.machine(host).unwrap().live()
}

/// How many running hosts hold this one to be down.
fn deniers(sim: &Cluster, of: usize) -> usize {
    sim.running().filter(|host| status_of(sim, *host, of) == Some(Status::Down)).count()
}

#[test]
fn halves_apart_for_a_minute_ten_or_an_hour_grow_together_without_seeds() {
    for (minutes, seed) in [(1, 1), (1, 2), (10, 3), (10, 4), (60, 5), (60, 6)] {
        let mut sim = cluster(64, seed);
        chosen(32, 64, seed).iter().for_each(|host| sim.set_side(*host, 1));
        sim.run_for(minutes * MINUTE);
        assert!((0..64).all(|host| live(&sim, host) == 32), "seed {seed}: each half is by itself");
        sim.heal();
        sim.take_reports();
        let healed = sim.run_until_agreed(100 * MILLIS, 30 * SECOND);
        assert!(healed.is_some(), "seed {seed}: no one view after {minutes} min apart");
        sim.run_for(30 * SECOND);
        let reports = sim.take_reports();
        assert_eq!(
            reported(&reports, Status::Down),
            [],
            "seed {seed}: neither believes what the other held of its own"
        );
        assert_eq!(reported(&reports, Status::Alive).len(), 64 * 32, "seed {seed}: everybody back is reported, once");
    }
}

#[test]
fn three_parts_grow_together_two_at_first_and_then_the_third() {
    for seed in 0..8 {
        let mut sim = cluster(30, seed);
        (0..30).for_each(|host| sim.set_side(host, host as u32 % 3));
        sim.run_for(MINUTE);
        assert!((0..30).all(|host| live(&sim, host) == 10), "seed {seed}: each third is by itself");
        (0..30).filter(|host| host % 3 == 2).for_each(|host| sim.set_side(host, 1));
        let two_and_one = |sim: &Cluster| (0..30).all(|host| live(sim, host) == if host % 3 == 0 { 10 } else { 20 });
        let bound = bound(&sim);
        assert!(sim.run_until_true(two_and_one, 100 * MILLIS, bound).is_some(), "seed {seed}: two of three");
        sim.run_for(MINUTE);
        sim.heal();
        assert!(sim.run_until_agreed(100 * MILLIS, bound).is_some(), "seed {seed}: all three");
    }
}

#[test]
fn two_clusters_begun_apart_under_two_seeds_become_one_when_the_way_opens() {
    for seed in 0..10 {
        let mut sim = Cluster::new(seed, Conditions::LAN);
        for host in 0..16 {
            sim.add(fresh());
            sim.set_side(host, host as u32 % 2);
        }
        // Everybody is given both seeds, one of which it cannot reach.
        (0..16).for_each(|host| sim.start(host, &[0, 1]));
        sim.run_for(MINUTE);
        assert!((0..16).all(|host| live(&sim, host) == 8), "seed {seed}: two clusters");
        sim.heal();
        let bound = bound(&sim);
        assert!(sim.run_until_agreed(100 * MILLIS, bound).is_some(), "seed {seed}");
    }
}

#[test]
fn members_deaf_by_turns_are_missed_each_time_and_drag_nobody_along() {
    for (size, seed) in [(100, 1), (100, 2), (400, 3)] {
        let mut sim = cluster(size, seed);
        let deaf = chosen(size / 100, size, seed);
        for cycle in 0..6 {
            deaf.iter().for_each(|host| sim.set_loss_in(*host, 1.0));
            sim.run_for(20 * SECOND);
            for host in &deaf {
                let missed = deniers(&sim, *host);
                assert!(missed >= size - deaf.len(), "seed {seed}, cycle {cycle}: {missed} of {size} miss host {host}");
            }
            deaf.iter().for_each(|host| sim.set_loss_in(*host, 0.0));
            sim.run_for(20 * SECOND);
            let reports = sim.take_reports();
            assert_eq!(slander(&sim, &reports, &deaf), [], "seed {seed}, cycle {cycle}: and nobody else");
            let changes_of_mind = most_often_down(&reports);
            assert!(changes_of_mind <= 1, "seed {seed}, cycle {cycle}: {changes_of_mind} times by one observer");
        }
        let bound = bound(&sim);
        assert!(sim.run_until_agreed(SECOND, bound).is_some(), "seed {seed}: they are taken back");
    }
}

/// How often one observer has reported one member down, at the most.
fn most_often_down(reports: &[Reported]) -> usize {
    let mut times = BTreeMap::new();
    for pair in reported(reports, Status::Down) {
        *times.entry(pair).or_insert(0) += 1;
    }
    times.into_values().max().unwrap_or(0)
}

#[test]
fn members_that_lose_four_fifths_of_one_way_drag_nobody_along_and_split_no_views() {
    for (inwards, size, seed) in [(true, 100, 1), (false, 100, 2), (true, 400, 3), (false, 400, 4)] {
        let mut sim = cluster(size, seed);
        let lossy = chosen(size / 100, size, seed);
        for host in &lossy {
            if inwards { sim.set_loss_in(*host, 0.8) } else { sim.set_loss_out(*host, 0.8) }
        }
        for minute in 0..5 {
            sim.run_for(MINUTE);
            let reports = sim.take_reports();
            assert_eq!(slander(&sim, &reports, &lossy), [], "seed {seed}, minute {minute}");
            for host in &lossy {
                let others = size - lossy.len();
                let down = deniers(&sim, *host);
                assert!(down == 0 || down >= others, "seed {seed}, minute {minute}: {down} of {others} hold it down");
            }
        }
        lossy.iter().for_each(|host| (sim.set_loss_in(*host, 0.0), sim.set_loss_out(*host, 0.0)).1);
        let bound = bound(&sim);
        assert!(sim.run_until_agreed(SECOND, bound).is_some(), "seed {seed}: all is well afterwards");
    }
}

#[test]
fn a_member_that_only_one_other_reaches_brings_nobody_else_down() {
    for (size, seed) in [(4, 1), (5, 2), (8, 3), (24, 4), (24, 5), (100, 6)] {
        let mut sim = cluster(size, seed);
        let [lame, friend] = chosen(2, size, seed)[..] else { unreachable!() };
        for other in (0..size).filter(|other| ![lame, friend].contains(other)) {
            sim.set_blocked(lame, other, true);
            sim.set_blocked(other, lame, true);
        }
        sim.run_for(5 * MINUTE);
        let reports = sim.take_reports();
        assert_eq!(slander(&sim, &reports, &[lame]), [], "seed {seed}: by itself neither");
        sim.heal();
        let bound = bound(&sim);
        assert!(sim.run_until_agreed(SECOND, bound).is_some(), "seed {seed}");
    }
}

#[test]
fn ten_crashes_of_a_thousand_are_all_found_and_nobody_else_is() {
    let seed = 1;
    let mut sim = Cluster::new(seed, Conditions::LAN);
    for host in 0..1_000 {
        sim.add(fresh());
        sim.start(host, &[0]);
    }
    assert!(sim.run_until_agreed(SECOND, 30 * SECOND).is_some(), "seed {seed}");
    sim.take_reports();
    let dead = chosen(10, 1_000, seed);
    dead.iter().for_each(|host| sim.crash(*host));
    let (begun, mut sizes) = (sim.now(), BTreeSet::new());
    while !sim.agrees() {
        assert!(sim.now() < begun + 15 * SECOND, "seed {seed}: not all are found");
        sim.run_for(200 * MILLIS);
        sizes.extend(sim.running().map(|host| live(&sim, host)));
    }
    println!("after {:?}, by way of {sizes:?}", sim.now().duration_since(begun));
    sim.run_for(20 * SECOND);
    let reports = sim.take_reports();
    assert_eq!(slander(&sim, &reports, &dead), [], "seed {seed}");
    assert_eq!(reported(&reports, Status::Down).len(), 990 * 10, "seed {seed}: each by everybody, once");
    assert!(sizes.iter().all(|size| (990..=1_000).contains(size)), "seed {seed}: {sizes:?}");
}

#[test]
fn a_quarter_or_a_third_that_crashes_is_found_and_nobody_else_is() {
    for (size, part, seed) in [(12, 4, 1), (12, 3, 2), (64, 4, 3), (64, 3, 4), (120, 4, 5), (120, 3, 6), (120, 3, 7)] {
        let mut sim = cluster(size, seed);
        let dead = chosen(size / part, size, seed);
        dead.iter().for_each(|host| sim.crash(*host));
        let agreed = sim.run_until_agreed(100 * MILLIS, 20 * SECOND);
        assert!(agreed.is_some(), "{} of {size}, seed {seed}", dead.len());
        sim.run_for(20 * SECOND);
        let reports = sim.take_reports();
        assert_eq!(slander(&sim, &reports, &dead), [], "{} of {size}, seed {seed}", dead.len());
        let found = reported(&reports, Status::Down).len();
        assert_eq!(found, dead.len() * (size - dead.len()), "{} of {size}, seed {seed}: once each", dead.len());
    }
}

#[test]
fn ten_of_fifty_deaf_to_their_first_hundred_probes_bring_nobody_else_down_and_come_back() {
    for seed in 0..8 {
        let mut sim = ailing_cluster(50, seed, |_| Config::LAN);
        let deaf = chosen(10, 50, seed);
        deaf.iter().for_each(|host| sim.with(*host, |machine, _| machine.deaf_to = 100));
        let cured = |sim: &Sim<ailing::Ailing>| deaf.iter().all(|host| sim.machine(*host).unwrap().deaf_to == 0);
        assert!(sim.run_until_true(cured, SECOND, MINUTE).is_some(), "seed {seed}: they are probed until they answer");
        let agreed = sim.run_until_agreed(100 * MILLIS, MINUTE);
        assert!(agreed.is_some(), "seed {seed}: and then all hold them to be alive");
        sim.run_for(30 * SECOND);
        let reports = sim.take_reports();
        assert_eq!(slander(&sim, &reports, &deaf), [], "seed {seed}");
        assert!(!reported(&reports, Status::Suspect).is_empty(), "seed {seed}: their silence was noticed");
    }
}
