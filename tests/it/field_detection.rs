//! Faults of the field that detection has to stand: zones that do not reach each other, sends that are refused, loops that
//! come round slowly, pairs, filters.

use std::time::Duration;

use tidings::sim::{Conditions, Link, Refusal, Report, Sim};
use tidings::{Config, HeapNode, Limits, Phase, Status};

type Net = Sim<HeapNode<u32>>;

const SECOND: Duration = Duration::from_secs(1);

/// A cluster of such nodes in which all know each other, some seconds old.
fn settled(config: Config, nodes: usize, seed: u64) -> Net {
    let mut sim = Sim::new(seed, Conditions::LAN);
    for host in 0..nodes {
        sim.add(HeapNode::new(config, Limits::DEFAULT.with_members(2 * nodes + 4)));
        sim.start(host, &[0]);
    }
    assert!(sim.run_until_agreed(SECOND / 10, 120 * SECOND).is_some(), "they form a cluster");
    sim.run_for(config.probe_period() * 5);
    sim.take_reports();
    sim
}

/// How often anybody reported somebody down since this was last asked.
fn downs(sim: &mut Net) -> usize {
    let down = |report: &Report| matches!(report, Report::Member(_, Status::Down));
    sim.take_reports().iter().filter(|reported| down(&reported.report)).count()
}

/// Until all that run hold this host down, once it has crashed.
fn crash(sim: &mut Net, victim: usize, limit: Duration) -> Option<Duration> {
    sim.crash(victim);
    let id = sim.id(victim);
    let known = |sim: &Net| {
        let holds = |host: usize| sim.machine(host).and_then(|node| node.member(id)).map(|member| member.status());
        sim.running().all(|host| holds(host) == Some(Status::Down))
    };
    sim.run_until_true(known, SECOND / 100, limit)
}

// Zones.

/// Three zones of this many nodes; nothing passes between the first and the second.
fn zones(each: usize, seed: u64) -> Net {
    let mut sim = settled(Config::LAN, 3 * each, seed);
    (0..3 * each).for_each(|host| sim.set_zone(host, (host / each) as u32));
    sim.set_zone_link(0, 1, Link::BLOCKED);
    sim.set_zone_link(1, 0, Link::BLOCKED);
    sim
}

#[test]
fn nobody_is_declared_down_across_zones_that_do_not_reach_each_other() {
    for (each, seeds) in [(3, 6), (5, 6), (20, 2)] {
        for seed in 0..seeds {
            let mut sim = zones(each, seed);
            sim.run_for(600 * SECOND);
            assert_eq!(downs(&mut sim), 0, "three zones of {each}, seed {seed}");
        }
    }
}

#[test]
fn a_crash_is_known_to_all_zones_though_some_do_not_reach_each_other() {
    for (each, seed) in [(3, 1), (5, 2), (20, 3)] {
        // One of each zone.
        for zone in 0..3 {
            let mut sim = zones(each, seed);
            sim.run_for(30 * SECOND);
            let known = crash(&mut sim, zone * each + 1, 60 * SECOND);
            assert!(known.is_some_and(|known| known <= 10 * SECOND), "zone {zone} of {each}: {known:?}");
            assert_eq!(downs(&mut sim), 3 * each - 1, "and nobody else is declared down");
        }
    }
}

/// How long until all who run hold this host alive.
fn back(sim: &mut Net, host: usize, limit: Duration) -> Option<Duration> {
    let id = sim.id(host);
    let alive = |sim: &Net, at: usize| sim.machine(at).and_then(|node| node.member(id)).map(|held| held.status());
    let whole = |sim: &Net| sim.running().all(|at| alive(sim, at) == Some(Status::Alive));
    sim.run_until_true(whole, SECOND / 10, limit)
}

#[test]
fn a_member_that_was_cut_off_comes_back_though_those_who_hold_it_dead_cannot_be_asked() {
    for (each, seed) in [(3, 1), (3, 2), (5, 3), (5, 4)] {
        let mut sim = zones(each, seed);
        sim.run_for(30 * SECOND);
        sim.set_plugged(1, false);
        sim.run_for(30 * SECOND);
        assert!(downs(&mut sim) >= 3 * each - 1, "zones of {each}, seed {seed}: it is gone");
        sim.set_plugged(1, true);
        let took = back(&mut sim, 1, 90 * SECOND);
        assert!(took.is_some(), "zones of {each}, seed {seed}: it is held dead for good");
    }
}

// Refused sends.

#[test]
fn a_crash_is_known_in_twice_the_usual_time_though_hosts_refuse_sends() {
    let window = Refusal::Window { lasts: Duration::from_millis(300), every: SECOND };
    for refusal in [Refusal::Chance(0.2), window] {
        for seed in 0..6 {
            let mut sim = settled(Config::LAN, 16, seed);
            (0..16).for_each(|host| sim.set_refusal(host, refusal));
            sim.run_for(20 * SECOND);
            assert_eq!(downs(&mut sim), 0, "{refusal:?}, seed {seed}");
            let known = crash(&mut sim, 5, 60 * SECOND);
            assert!(known.is_some_and(|known| known <= 8 * SECOND), "{refusal:?}, seed {seed}: {known:?}");
        }
    }
}

#[test]
fn a_host_that_takes_no_send_makes_its_node_isolated_and_others_see_it_down() {
    let mut sim = settled(Config::LAN, 16, 1);
    sim.set_refusal(5, Refusal::Chance(1.0));
    let begun = sim.now();
    sim.run_for(10 * SECOND);
    let reports = sim.take_reports();
    let isolated = reports.iter().find(|reported| reported.report == Report::Isolated).expect("it says so");
    assert_eq!(isolated.host, 5);
    assert!(isolated.at.duration_since(begun) <= 2 * Config::LAN.suspicion());
    let down =
        |host: usize| reports.iter().any(|it| it.host == host && it.report == Report::Member(sim.id(5), Status::Down));
    assert!((0..16).all(|host| host == 5 || down(host)), "nobody hears of it");
    let blamed = |report: &Report| matches!(report, Report::Member(_, Status::Down));
    assert!(!reports.iter().any(|it| it.host == 5 && blamed(&it.report)), "and it blames nobody");

    sim.heal();
    assert!(sim.run_until_agreed(SECOND / 10, 30 * SECOND).is_some(), "when it can send again all is well");
}

// Coarse loops.

#[test]
fn a_loop_that_reads_all_before_it_sends_every_two_seconds_keeps_its_node_a_member() {
    for seed in 0..4 {
        let mut sim = settled(Config::LAN, 8, seed);
        sim.set_pace(3, Some(2 * SECOND));
        sim.run_for(600 * SECOND);
        assert_eq!(downs(&mut sim), 0, "seed {seed}");
    }
}

#[test]
fn a_coarse_loop_that_was_cut_off_is_back_in_half_a_minute() {
    for seed in 0..4 {
        let mut sim = settled(Config::LAN, 8, seed);
        sim.set_pace(3, Some(2 * SECOND));
        sim.run_for(30 * SECOND);
        sim.set_plugged(3, false);
        sim.run_for(30 * SECOND);
        assert!(downs(&mut sim) >= 7, "seed {seed}: it is gone");
        sim.set_plugged(3, true);
        let took = back(&mut sim, 3, 60 * SECOND);
        assert!(took.is_some_and(|took| took <= 30 * SECOND), "seed {seed}: {took:?}");
    }
}

#[test]
fn coarse_loops_find_a_crash_in_the_suspicion_and_a_few_ticks() {
    let config = Config::LAN.with_suspicion(10 * SECOND);
    for pace in [SECOND, 2 * SECOND] {
        for seed in 0..4 {
            let mut sim = settled(config, 16, seed);
            (0..16).for_each(|host| sim.set_pace(host, Some(pace)));
            sim.run_for(120 * SECOND);
            assert_eq!(downs(&mut sim), 0, "every {pace:?}, seed {seed}");
            let begun = sim.now();
            let known = crash(&mut sim, 5, 120 * SECOND);
            let wanted = Report::Member(sim.id(5), Status::Down);
            let down = |report: &Report| *report == wanted;
            let first = sim.take_reports().iter().find(|it| down(&it.report)).map(|it| it.at.duration_since(begun));
            // It takes a tick to be probed, and one each to ask, to be asked, to answer and to read that.
            let limit = config.suspicion() + 5 * pace;
            assert!(first.is_some_and(|first| first <= limit), "every {pace:?}, seed {seed}: {first:?}");
            // And one for each that passes it on.
            assert!(known.is_some_and(|known| known <= limit + 5 * pace), "every {pace:?}, seed {seed}: {known:?}");
        }
    }
}

// Pairs.

/// The most that the last of a pair waits: to probe, three suspicions, and a try.
const LAST: Duration = Duration::from_millis(3 * 3_200 + 2_500);

#[test]
fn of_a_pair_the_survivor_declares_the_other_down_after_three_suspicions() {
    for seed in 0..6 {
        let mut sim = settled(Config::LAN, 2, seed);
        let known = crash(&mut sim, 1, 60 * SECOND).expect("it is known");
        assert!(known >= 3 * Config::LAN.suspicion() && known <= LAST, "seed {seed}: {known:?}");
        assert_eq!(sim.machine(0).unwrap().phase(), Phase::Member, "seed {seed}: it goes on alone");
        sim.restart(1, HeapNode::new(Config::LAN, Limits::DEFAULT), &[0]);
        assert!(sim.run_until_agreed(SECOND / 10, 3 * SECOND).is_some(), "seed {seed}: the verdict is dropped");
    }
}

#[test]
fn of_three_the_last_declares_both_down_that_die_one_after_the_other() {
    for seed in 0..6 {
        let mut sim = settled(Config::LAN, 3, seed);
        assert!(crash(&mut sim, 1, 60 * SECOND).is_some(), "seed {seed}");
        assert!(crash(&mut sim, 2, LAST).is_some(), "seed {seed}");
    }
}

#[test]
fn a_pair_that_was_cut_apart_is_one_again_at_the_first_contact() {
    for seed in 0..6 {
        let mut sim = settled(Config::LAN, 2, seed);
        sim.set_link_between(0, 1, Link::BLOCKED);
        sim.run_for(60 * SECOND);
        assert_eq!(downs(&mut sim), 2, "seed {seed}: each takes the other for dead");
        sim.heal();
        // One of the dead is tried every ten seconds.
        assert!(sim.run_until_agreed(SECOND / 10, 12 * SECOND).is_some(), "seed {seed}");
    }
}

#[test]
fn of_a_pair_nobody_is_declared_down_for_loss_or_for_the_stall_of_the_judge() {
    for seed in 0..6 {
        let mut sim = settled(Config::LAN, 2, seed);
        sim.set_conditions(Conditions::LAN.with_loss(0.4));
        sim.run_for(600 * SECOND);
        assert_eq!(downs(&mut sim), 0, "seed {seed}: at 40 % loss");
        sim.heal();
        sim.run_for(60 * SECOND);
        for millis in [500, 3_000, 60_000] {
            sim.stop(0);
            sim.run_for(Duration::from_millis(millis));
            sim.resume(0);
            let by_it = sim
                .take_reports()
                .into_iter()
                .any(|it| it.host == 0 && it.report == Report::Member(sim.id(1), Status::Down));
            assert!(!by_it, "seed {seed}: stalled for {millis} ms");
            sim.run_for(20 * SECOND);
            assert!(sim.agrees(), "seed {seed}: stalled for {millis} ms");
        }
    }
}

#[test]
fn a_pair_that_wants_no_such_verdict_has_none() {
    let mut sim = settled(Config::LAN.with_last_verdict(false), 2, 1);
    sim.crash(1);
    sim.run_for(120 * SECOND);
    assert_eq!(downs(&mut sim), 0);
    assert_eq!(sim.machine(0).unwrap().phase(), Phase::Isolated);
}

// Filters.

#[test]
fn a_member_behind_a_stateful_filter_has_one_steady_verdict() {
    for (nodes, seed) in [(8, 1), (32, 2), (128, 3)] {
        let mut sim = settled(Config::LAN, nodes, seed);
        let filtered = sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(2 * nodes + 4)));
        sim.set_filter(filtered, Some(30 * SECOND));
        sim.start(filtered, &[0]);
        sim.run_for(10 * SECOND);
        sim.take_reports();
        sim.run_for(300 * SECOND);
        assert_eq!(downs(&mut sim), 0, "{nodes} nodes: it lives");
        let known = crash(&mut sim, filtered, 60 * SECOND);
        assert!(known.is_some_and(|known| known <= 8 * SECOND), "{nodes} nodes: {known:?}");
    }
}
