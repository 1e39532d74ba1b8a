//! Probing, own health and suspicion: the acceptance scenarios of the HashiCorp family, Swift's, Rapid's (1-14).
//! Settings are `Config::LAN` as it is: a verdict comes in its default time, and so must the relays' answers.
//!
//! | no. | scenario | test |
//! |---|---|---|
//! | 1 | target silent, relays reach it | `with_the_direct_way_blocked_others_vouch_for_a_member` in `scenarios.rs` |
//! | 2 | target dead, relays answer nack: own health unchanged | `crash_after_crash_is_judged_as_soon_as_the_first` |
//! | 3 | some nacks missing | `a_node_that_some_relays_do_not_answer_still_finds_the_dead_and_blames_nobody_else` |
//! | 4 | no relays available | `of_two_nodes_that_want_it_so_the_survivor_is_isolated_and_never_declares` in `scenarios.rs` |
//! | 5 | success recovers | `a_verdict_is_put_off_by_stalls_and_those_after_it_come_as_soon_as_before` |
//! | 7 | ping to the wrong instance | `another_instance_at_a_reused_address_is_not_taken_for_the_old_one` in `scenarios.rs` |
//! | 8 | the suspect hears the accusation with the probe, and refutes | `a_member_held_dead_is_told_at_its_first_word_and_is_back_at_once` |
//! | 9 | a send error counts as a failed probe | `a_crash_that_the_network_tells_of_is_found_as_any_other` |
//! | 10 | a datagram too long for the own link | `a_link_that_takes_no_long_datagrams_condemns_nobody` |
//! | 11 | timer table | the unit tests of `detector/case.rs` |
//! | 12 | second suspicion after a refutation | `silences_that_are_forgiven_never_add_up` |
//! | 13 | independent accusers | `several_who_judge_the_same_member_are_one_death_to_everybody` |
//! | 14 | anti-entropy and confirmations | `what_the_other_half_held_of_its_absent_members_confirms_nobodys_death` |
//!
//! Translated: a missing nack lowers no health here, as a verdict rests on the jurors who do answer (3); suspicion is
//! local and has one fixed time, so there is no table of it (11), and what travels is the verdict (13, 14). Not
//! applicable: a fallback over TCP that reports the member as degraded (6), as there are datagrams alone.

use std::time::Duration;

use crate::common::ailing::{Ailing, ailing_cluster};
use crate::common::blame::chosen;
use crate::common::cluster::{SECOND, cluster, fresh, reported};
use tidings::sim::{Conditions, Report, Sim};
use tidings::{Config, HeapNode, NodeId, Status};

const MILLIS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

type Cluster = Sim<HeapNode<u32>>;

/// Crashes a host; how long the first who suspects it then takes to declare it down. `meanwhile` is done while it does.
fn from_suspect_to_down(sim: &mut Cluster, of: usize, about: &str, meanwhile: impl FnOnce(&mut Cluster)) -> Duration {
    let limit = sim.now() + MINUTE;
    let run_until_told = |sim: &mut Cluster, status| {
        let wanted = Report::Member(sim.id(of), status);
        while !sim.take_reports().iter().any(|told| told.report == wanted) {
            assert!(sim.now() < limit && sim.step(), "{about}: host {of} is not reported {status}");
        }
        sim.now()
    };
    sim.crash(of);
    let suspected = run_until_told(sim, Status::Suspect);
    meanwhile(sim);
    let resumed = sim.now().max(suspected);
    run_until_told(sim, Status::Down).duration_since(resumed)
}

#[test]
fn crash_after_crash_is_judged_as_soon_as_the_first() {
    for seed in 0..6 {
        let about = format!("seed {seed}");
        let mut sim = cluster(24, seed);
        let first = from_suspect_to_down(&mut sim, 1, &about, |_| {});
        for host in 2..12 {
            let next = from_suspect_to_down(&mut sim, host, &about, |_| {});
            // Had a silent target cost anybody a part of its health, it would take its time.
            assert!(next < first + 300 * MILLIS, "{about}: host {host} is judged after {next:?}, the first {first:?}");
        }
        let questions: u64 = sim.running().map(|host| sim.machine(host).unwrap().stats().questions).sum();
        assert!(questions >= 11 * 2, "{about}: {questions} questions to relays, who had to answer");
    }
}

#[test]
fn a_node_that_some_relays_do_not_answer_still_finds_the_dead_and_blames_nobody_else() {
    let mut soon = 0;
    for seed in 0..40 {
        // The others judge so late that whatever is judged is judged by host 0.
        let late = Config::LAN.with_suspicion(2 * MINUTE);
        let mut sim = ailing_cluster(12, seed, |host| if host == 0 { Config::LAN } else { late });
        let unheard = chosen(4, 12, seed);
        // They hear it, but what they answer is lost.
        unheard.iter().for_each(|other| sim.set_blocked(*other, 0, true));
        sim.run_for(2 * MINUTE);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}: the other relays hear those");
        let dead = (1..12).find(|host| !unheard.contains(host)).unwrap();
        sim.crash(dead);
        let mut by_it = Vec::new();
        for minute in 0..4 {
            sim.run_for(MINUTE);
            by_it.extend(reported(&sim.take_reports(), Status::Down).into_iter().filter(|(host, _)| *host == 0));
            soon += usize::from(minute == 0 && !by_it.is_empty());
        }
        assert_eq!(by_it, [(0, sim.id(dead))], "seed {seed}: the word of those who answer is enough");
        assert_eq!(sim.machine(0).unwrap().node.stats().declared_down, 1, "seed {seed}: it has found out itself");
    }
    // Where all three jurors are of those who are not heard, it seems to be cut off itself, and looks again a turn later.
    assert!(soon >= 36, "{soon} of 40 in a minute");
}

#[test]
fn a_verdict_is_put_off_by_stalls_and_those_after_it_come_as_soon_as_before() {
    for (size, seed) in [(3, 1), (3, 2), (8, 3), (8, 4), (32, 5)] {
        let about = format!("{size} nodes, seed {seed}");
        let mut sim = cluster(size, seed);
        let mut crash = |of: usize, stalls: u32| {
            let took = from_suspect_to_down(&mut sim, of, &about, |sim| {
                let others: Vec<usize> = sim.running().collect();
                for _ in 0..stalls {
                    others.iter().for_each(|host| sim.stop(*host));
                    sim.run_for(1_200 * MILLIS);
                    others.iter().for_each(|host| sim.resume(*host));
                    sim.run_for(20 * MILLIS);
                }
            });
            sim.restart(of, fresh(), &[0]);
            sim.run_for(20 * SECOND);
            took
        };
        let [usual, stalled, later] = [(2, 0), (2, 4), (1, 0)].map(|(of, stalls)| crash(of, stalls));
        // From the last stall on the whole time is waited, not what was left of it.
        assert!(stalled > usual + 400 * MILLIS, "{about}: {stalled:?}, usually {usual:?}");
        assert!(later < usual + 300 * MILLIS, "{about}: {later:?} when the stalls are over, before them {usual:?}");
    }
}

#[test]
fn a_member_held_dead_is_told_at_its_first_word_and_is_back_at_once() {
    for (size, seed) in [(5, 1), (16, 2), (16, 3), (128, 4), (128, 5)] {
        let mut sim = cluster(size, seed);
        sim.set_plugged(3, false);
        assert!(sim.run_until_all_report(3, Status::Down, 30 * SECOND).is_some(), "seed {seed}");
        sim.set_plugged(3, true);
        // It speaks once in a probe period, at least.
        let back = sim.run_until_all_report(3, Status::Alive, 3 * Config::LAN.probe_period());
        assert!(back.is_some(), "{size} nodes, seed {seed}");
        let refuted = sim.machine(3).unwrap().stats().refutations;
        assert!(refuted > 0, "{size} nodes, seed {seed}: it has spoken against its death");
    }
}

#[test]
fn a_crash_that_the_network_tells_of_is_found_as_any_other() {
    for (size, seed) in [(4, 1), (16, 2), (16, 3), (64, 4)] {
        let mut sim = ailing_cluster(size, seed, |_| Config::LAN);
        let dead = chosen(1, size, seed)[0];
        sim.crash(dead);
        for host in (0..size).filter(|host| *host != dead) {
            sim.with(host, |machine, _| machine.unreachable = Some(dead as u32));
        }
        let known = sim.run_until_all_report(dead, Status::Down, 8 * SECOND);
        assert!(known.is_some(), "{size} nodes, seed {seed}");
        let errors: u64 = sim.running().map(|host| sim.machine(host).unwrap().node.stats().send_errors).sum();
        assert!(errors > 0, "{size} nodes, seed {seed}: the sockets said so");
    }
}

#[test]
fn a_link_that_takes_no_long_datagrams_condemns_nobody() {
    for seed in 0..6 {
        let mut sim = Sim::<Ailing>::new(seed, Conditions::LAN);
        for host in 0..48 {
            sim.add(Ailing::new(Config::LAN));
            sim.with(host, |machine, _| machine.link_takes = if host == 5 { 250 } else { usize::MAX });
            sim.start(host, &[0]);
        }
        assert!(sim.run_until_agreed(100 * MILLIS, MINUTE).is_some(), "seed {seed}");
        sim.take_reports();
        // Enough news to fill datagrams, again and again.
        for turn in 0..60 {
            let patience = Config::LAN.with_patience(if turn % 2 == 0 { 4 * SECOND } else { Duration::ZERO });
            (0..48).for_each(|host| sim.with(host, |machine, now| machine.node.set_config(now, patience).unwrap()));
            sim.run_for(2 * SECOND);
        }
        let refused = sim.machine(5).unwrap().node.stats().send_errors;
        assert!(refused > 0, "seed {seed}: the link has refused some");
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}: {refused} refused");
        assert!(sim.run_until_agreed(100 * MILLIS, MINUTE).is_some(), "seed {seed}");
    }
}

#[test]
fn silences_that_are_forgiven_never_add_up() {
    for (size, seed) in [(3, 1), (6, 2), (6, 3), (16, 4), (16, 5), (64, 6)] {
        let mut sim = cluster(size, seed);
        for _ in 0..40 {
            sim.stop(2);
            sim.run_for(2_500 * MILLIS);
            sim.resume(2);
            sim.run_for(800 * MILLIS);
        }
        let reports = sim.take_reports();
        assert_eq!(reported(&reports, Status::Down), [], "{size} nodes, seed {seed}");
        assert!(!reported(&reports, Status::Suspect).is_empty(), "{size} nodes, seed {seed}: it was suspected");
    }
}

/// Who was declared down by how many of their own accord.
fn verdicts(sim: &Sim<HeapNode<u32>>) -> u64 {
    sim.running().map(|host| sim.machine(host).unwrap().stats().declared_down).sum()
}

#[test]
fn several_who_judge_the_same_member_are_one_death_to_everybody() {
    let mut by_several = 0;
    for seed in 0..10 {
        let mut sim = cluster(48, seed);
        // So slow that news of the verdict comes too late for some.
        sim.set_conditions(Conditions::LAN.with_loss(0.2).with_latency(80 * MILLIS, 200 * MILLIS));
        let dead = chosen(3, 48, seed);
        dead.iter().for_each(|host| sim.crash(*host));
        sim.run_for(40 * SECOND);
        let mut down = reported(&sim.take_reports(), Status::Down);
        down.sort();
        let mut expected: Vec<(usize, NodeId)> = Vec::new();
        sim.running().for_each(|host| expected.extend(dead.iter().map(|dead| (host, sim.id(*dead)))));
        expected.sort();
        assert_eq!(down, expected, "seed {seed}: each by everybody and once");
        by_several += u64::from(verdicts(&sim) > 3);
    }
    assert!(by_several > 0, "in some of these runs two were quick to judge the same one");
}

#[test]
fn what_the_other_half_held_of_its_absent_members_confirms_nobodys_death() {
    for (size, away, seed) in [(8, 4, 1), (16, 8, 2), (16, 3, 3), (64, 32, 4), (64, 20, 5)] {
        let mut sim = cluster(size, seed);
        chosen(away, size, seed).iter().for_each(|host| sim.set_side(*host, 1));
        sim.run_for(MINUTE);
        sim.heal();
        // While the tables are compared, it is also hard to answer.
        sim.set_conditions(Conditions::LAN.with_loss(0.2));
        sim.take_reports();
        let before = verdicts(&sim);
        sim.run_for(2 * MINUTE);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "{away} of {size} were away, seed {seed}");
        assert_eq!(verdicts(&sim), before, "{away} of {size} were away, seed {seed}");
        assert!(sim.machine(0).unwrap().live() == size, "{away} of {size} were away, seed {seed}");
    }
}
