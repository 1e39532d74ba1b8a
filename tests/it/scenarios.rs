//! What happens to a cluster, told in one sentence each.

use std::time::Duration;

use crate::common::cluster::{SECOND, cluster, fresh, reported, said, status_of};
const MILLIS: Duration = Duration::from_millis(1);

use tidings::sim::{Conditions, Forger, Layer, Report, Reported, Scenario, Sim, SimRng};
use tidings::{Config, DropReason, Event, HeapNode, Instant, Limits, NodeId, Phase, SendFailure, Status};

#[test]
fn a_leave_is_seen_as_left_and_never_as_down_by_all_of_128_at_30_percent_loss() {
    for seed in 1..=5 {
        let mut sim = cluster(128, seed);
        sim.set_conditions(Conditions::LAN.with_loss(0.3));
        sim.run_for(2 * SECOND);
        sim.take_reports();
        let leaver = 1 + seed as usize;
        sim.leave(leaver);
        sim.run_for(20 * SECOND);
        let reports = sim.take_reports();
        let left = reported(&reports, Status::Left).len();
        assert_eq!(left, 127, "seed {seed}: all have seen it leave");
        assert_eq!(reported(&reports, Status::Down), [], "seed {seed}");
        assert_eq!(sim.machine(leaver).unwrap().phase(), Phase::Left);
        let others = (0..128).filter(|host| *host != leaver);
        assert!(others.clone().all(|host| status_of(&sim, host, leaver) == Some(Status::Left)));
    }
}

#[test]
fn a_leave_with_nobody_there_ends_at_once_and_with_nobody_answering_at_its_deadline() {
    let mut sim = Sim::new(1, Conditions::LAN);
    sim.add(fresh());
    sim.start(0, &[]);
    sim.leave(0);
    assert_eq!(sim.machine(0).unwrap().phase(), Phase::Left);

    let mut sim = cluster(4, 1);
    sim.set_plugged(2, false);
    sim.leave(2);
    sim.run_for(Config::LAN.leave_timeout() - Duration::from_millis(1));
    assert_eq!(sim.machine(2).unwrap().phase(), Phase::Leaving);
    sim.run_for(Duration::from_millis(2));
    assert_eq!(sim.machine(2).unwrap().phase(), Phase::Left);
}

#[test]
fn a_node_restarted_without_memory_is_known_in_its_new_life_to_all_of_128_within_2_seconds() {
    for (seed, away) in [(1, 0), (2, 0), (3, 1), (4, 30), (5, 30)] {
        let mut sim = cluster(128, seed);
        let past = sim.machine(7).unwrap().member(sim.id(7)).unwrap().life();
        sim.crash(7);
        sim.run_for(away * SECOND);
        sim.restart(7, fresh(), &[0, 3]);
        sim.run_for(2 * SECOND);
        let life = sim.machine(7).unwrap().member(sim.id(7)).unwrap().life();
        assert!(life > past, "seed {seed}: a later life");
        for host in sim.running() {
            let seen = sim.machine(host).unwrap().member(sim.id(7)).map(|member| (member.status(), member.life()));
            assert_eq!(seen, Some((Status::Alive, life)), "seed {seed}: host {host} after {away} s away");
        }
    }
}

#[test]
fn a_node_that_left_is_taken_back_when_it_starts_again() {
    let mut sim = cluster(8, 1);
    sim.leave(3);
    sim.run_for(5 * SECOND);
    assert_eq!(status_of(&sim, 0, 3), Some(Status::Left));
    sim.restart(3, fresh(), &[0]);
    sim.run_for(2 * SECOND);
    assert!(sim.agrees());
}

#[test]
fn a_node_tells_when_it_has_joined_and_when_it_has_left() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for host in 0..3 {
        sim.add(fresh());
        sim.start(host, &[0]);
    }
    sim.run_for(SECOND);
    let joined: Vec<usize> =
        sim.take_reports().iter().filter(|told| told.report == Report::Joined).map(|told| told.host).collect();
    assert_eq!(joined.len(), 2, "the first node had nobody to ask: {joined:?}");
    sim.leave(2);
    sim.run_for(SECOND);
    assert_eq!(said(&mut sim, 2, Report::Left), 1);
    assert_eq!(sim.machine(2).unwrap().poll_timeout(), Instant::FAR_FUTURE, "it is silent from then on");
}

#[test]
fn a_node_that_moves_keeps_its_life_and_is_followed() {
    let mut sim = cluster(6, 1);
    let life = sim.machine(2).unwrap().member(sim.id(2)).unwrap().life();
    // Another host is where it moves to: the first falls silent, and the second goes on as it.
    let moved = sim.machine(2).unwrap().clone();
    sim.crash(2);
    let there = sim.add(moved);
    sim.set_id(there, sim.id(2));
    sim.with(there, |node, now| node.set_addr(now, there as u32).unwrap());
    sim.run_for(2 * SECOND);
    let reports = sim.take_reports();
    let followed = reports.iter().filter(|told| told.report == Report::Moved(sim.id(2))).count();
    assert_eq!(followed, 5, "all five others report it");
    for host in [0, 1, 3, 4, 5] {
        let seen = sim.machine(host).unwrap().member(sim.id(2)).unwrap();
        assert_eq!((seen.addr(), seen.life(), seen.status()), (there as u32, life, Status::Alive), "host {host}");
    }
    sim.run_for(20 * SECOND);
    assert_eq!(reported(&sim.take_reports(), Status::Down), []);
}

#[test]
fn a_seed_given_to_a_running_member_is_asked_at_once_and_two_clusters_become_one() {
    for seed in 0..10 {
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN);
        for host in 0..8 {
            sim.add(fresh());
            sim.start(host, &[host / 4 * 4]);
        }
        sim.run_for(5 * SECOND);
        assert!(!sim.agrees(), "two clusters of four");
        sim.with(2, |node, now| node.join(now, 5).unwrap());
        let one = sim.run_until_agreed(Duration::from_millis(50), 5 * SECOND);
        assert!(one.is_some(), "seed {seed}");
    }
}

#[test]
fn members_that_describe_themselves_anew_do_so_once() {
    for seed in 0..6 {
        let mut sim = cluster(12, 4);
        let mut rng = SimRng::new(seed);
        let mut changes = 0;
        for _ in 0..60 {
            let host = rng.below(12) as usize;
            let patience = Config::LAN.with_patience(rng.below(200) as u32 * SECOND);
            sim.with(host, |node, now| node.set_config(now, patience).unwrap());
            // Elsewhere and back, so that the greater address is not always the later.
            sim.with(host, |node, now| node.set_addr(now, 99).unwrap());
            sim.with(host, |node, now| node.set_addr(now, host as u32).unwrap());
            changes += 3;
            sim.run_for(Duration::from_millis(rng.below(1_500)));
        }
        sim.run_for(20 * SECOND);
        let incarnations = (0..12).map(|host| sim.machine(host).unwrap().member(sim.id(host)).unwrap().incarnation());
        let all: u32 = incarnations.sum();
        assert!(all <= changes, "seed {seed}: {all} incarnations for {changes} changes");
        (0..12).for_each(|host| sim.with(host, |node, now| node.set_config(now, Config::LAN).unwrap()));
        sim.run_for(2 * SECOND);
        assert!(sim.agrees(), "seed {seed}");
        sim.crash(5);
        assert!(sim.run_until_all_report(5, Status::Down, 10 * SECOND).is_some(), "seed {seed}");
    }
}

#[test]
fn a_new_patience_is_told_to_the_others() {
    let mut sim = cluster(5, 1);
    let patient = Config::LAN.with_patience(60 * SECOND);
    sim.with(3, |node, now| node.set_config(now, patient).unwrap());
    sim.run_for(SECOND);
    sim.take_reports();
    sim.set_plugged(3, false);
    sim.run_for(40 * SECOND);
    assert_eq!(reported(&sim.take_reports(), Status::Down), [], "it said that it may be silent for a minute");
    sim.run_for(60 * SECOND);
    assert_eq!(reported(&sim.take_reports(), Status::Down).len(), 4);
}

#[test]
fn a_cluster_that_fills_its_tables_exactly_comes_to_one_view() {
    for seed in 0..5 {
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN.with_loss(0.4));
        for host in 0..16 {
            sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(16)));
            sim.start(host, &[0]);
        }
        sim.run_for(10 * SECOND);
        sim.heal();
        assert!(sim.run_until_agreed(Duration::from_millis(100), 5 * SECOND).is_some(), "seed {seed}");
    }
}

#[test]
fn few_survivors_of_many_come_to_know_it_within_the_bound() {
    for (size, survivors, seed) in [(10, 2, 1), (16, 2, 2), (16, 2, 3), (40, 3, 4)] {
        let mut sim = cluster(size, seed);
        (survivors..size).for_each(|host| sim.crash(host));
        let bound = Scenario::bound(&Config::LAN, size);
        let agreed = sim.run_until_agreed(SECOND, bound);
        assert!(agreed.is_some(), "{survivors} of {size}, seed {seed}: not within {bound:?}");
    }
}

#[test]
fn half_of_64_crash_at_once_and_the_rest_agree_and_blame_no_other() {
    let mut sim = cluster(64, 1);
    (32..64).for_each(|host| sim.crash(host));
    let agreed = sim.run_until_agreed(Duration::from_millis(100), 60 * SECOND);
    assert!(agreed.is_some_and(|took| took < 20 * SECOND), "{agreed:?}");
    let down = reported(&sim.take_reports(), Status::Down);
    assert!(down.iter().all(|(_, id)| id.get() > 32), "{down:?}");
}

#[test]
fn many_sleepers_among_servers_are_let_sleep_and_hide_no_crash() {
    for sleepers in [4, 8, 20] {
        let mut sim = Sim::<HeapNode<u32>>::new(sleepers as u64, Conditions::LAN);
        let patient = Config::LAN.with_patience(1_000 * SECOND);
        for host in 0..4 + sleepers {
            sim.add(HeapNode::new(if host < 4 { Config::LAN } else { patient }, Limits::DEFAULT));
            sim.start(host, &[0]);
        }
        sim.run_for(10 * SECOND);
        (4..4 + sleepers).for_each(|host| sim.set_plugged(host, false));
        sim.run_for(60 * SECOND);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "{sleepers} sleepers");
        sim.crash(3);
        sim.run_for(30 * SECOND);
        let mut known: Vec<usize> = reported(&sim.take_reports(), Status::Down).iter().map(|(host, _)| *host).collect();
        known.retain(|host| *host < 4);
        known.sort();
        assert_eq!(known, [0, 1, 2], "{sleepers} sleepers: the servers know of the crash");
        assert_eq!(sim.machine(0).unwrap().phase(), Phase::Member, "{sleepers} sleepers");
    }
}

#[test]
fn of_mixed_presets_the_fast_are_not_blinded_by_the_slow() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for host in 0..8 {
        sim.add(HeapNode::new(if host < 3 { Config::LAN } else { Config::LOW_POWER }, Limits::DEFAULT));
        sim.start(host, &[0]);
    }
    sim.run_for(30 * SECOND);
    sim.take_reports();
    sim.crash(2);
    let known = |reports: &[Reported]| reported(reports, Status::Down).iter().filter(|(host, _)| *host < 2).count();
    sim.run_for(20 * SECOND);
    let reports = sim.take_reports();
    assert_eq!(known(&reports), 2, "both fast ones know of the crash");
    assert!(!reports.iter().any(|told| told.report == Report::Isolated));
}

#[test]
fn a_loop_as_coarse_as_half_a_second_still_detects() {
    for tick in [200, 300, 500] {
        let mut sim = Sim::<Coarse>::new(tick, Conditions::LAN);
        for host in 0..8 {
            sim.add(Coarse { node: fresh(), tick: 1_000 * tick });
            sim.start(host, &[0]);
        }
        sim.run_for(20 * SECOND);
        sim.crash(5);
        let known = sim.run_until_all_report(5, Status::Down, 60 * SECOND);
        assert!(known.is_some(), "ticks of {tick} ms");
    }
}

/// A node whose caller comes only at full ticks.
struct Coarse {
    node: HeapNode<u32>,
    /// In microseconds.
    tick: u64,
}

impl Layer for Coarse {
    type Inner = HeapNode<u32>;

    fn inner(&self) -> &HeapNode<u32> {
        &self.node
    }

    fn inner_mut(&mut self) -> &mut HeapNode<u32> {
        &mut self.node
    }

    fn poll_timeout(&self) -> Instant {
        match self.node.poll_timeout() {
            Instant::FAR_FUTURE => Instant::FAR_FUTURE,
            due => Instant::from_micros(due.as_micros().next_multiple_of(self.tick)),
        }
    }
}

#[test]
fn a_newcomer_that_stalls_or_is_cut_off_does_not_take_the_id_of_one_that_lives() {
    for seed in 0..40 {
        let mut sim = cluster(5, seed);
        let twin = sim.add(fresh());
        sim.set_id(twin, sim.id(3));
        sim.start(twin, &[0, 1]);
        sim.run_for(Duration::from_micros(4_000 + 400 * seed));
        if seed % 2 == 0 {
            sim.stop(twin)
        } else {
            sim.set_plugged(twin, false)
        }
        sim.run_for(4 * SECOND);
        sim.resume(twin);
        sim.set_plugged(twin, true);
        sim.run_for(20 * SECOND);
        let phases = [3, twin].map(|host| sim.machine(host).unwrap().phase());
        assert_eq!(phases, [Phase::Member, Phase::Idle], "seed {seed}");
    }
}

#[test]
fn one_witness_of_a_leave_does_not_count_twice() {
    for seed in 0..20 {
        let mut sim = cluster(3, seed);
        sim.set_plugged(2, false);
        sim.leave(1);
        sim.run_for(2 * SECOND);
        assert_eq!(sim.machine(1).unwrap().phase(), Phase::Leaving, "seed {seed}: only one of two can acknowledge");
    }
}

#[test]
fn a_newcomer_with_too_small_a_table_asks_now_and_then_whether_it_has_become_large_enough() {
    let mut sim = cluster(100, 1);
    let small = sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(50)));
    sim.start(small, &[0]);
    sim.run_for(10 * SECOND);
    let before = sim.machine(small).unwrap().stats().syncs;
    sim.run_for(300 * SECOND);
    let asked = sim.machine(small).unwrap().stats().syncs - before;
    assert!((1..=24).contains(&asked), "once in 64 probe periods, a few datagrams each time: {asked}");
}

#[test]
fn a_leave_in_the_middle_of_a_join_leaves_nobody_down() {
    for half_millis in 1..40 {
        let mut sim = cluster(5, half_millis);
        let brief = sim.add(fresh());
        sim.start(brief, &[0, 1]);
        sim.run_for(Duration::from_micros(500 * half_millis));
        sim.leave(brief);
        sim.run_for(10 * SECOND);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "after {half_millis} half milliseconds");
        assert_eq!(sim.machine(brief).unwrap().phase(), Phase::Left);
    }
}

#[test]
fn two_clusters_that_reach_each_other_never_merge() {
    let config = |host: usize| Config::LAN.with_cluster(if host.is_multiple_of(2) { "red" } else { "blue" });
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for host in 0..8 {
        sim.add(HeapNode::new(config(host), Limits::DEFAULT));
        // Everybody is given seeds of both.
        sim.start(host, &[0, 1, 2, 3]);
    }
    sim.run_for(60 * SECOND);
    for host in 0..8 {
        let node = sim.machine(host).unwrap();
        let own = |id: NodeId| (id.get() - 1) as usize % 2 == host % 2;
        assert!(node.members().all(|member| own(member.id())), "host {host}");
        assert_eq!(node.live(), 4);
        assert!(host >= 4 || node.stats().dropped(DropReason::OtherCluster) > 0, "host {host} is a seed of both");
    }
}

#[test]
fn another_instance_at_a_reused_address_is_not_taken_for_the_old_one() {
    let mut sim = cluster(6, 1);
    let old = sim.id(3);
    sim.crash(3);
    sim.set_id(3, NodeId::new(99));
    sim.restart(3, fresh(), &[0]);
    sim.run_for(12 * SECOND);
    for host in sim.running() {
        let node = sim.machine(host).unwrap();
        assert_eq!(node.member(NodeId::new(99)).map(|member| member.status()), Some(Status::Alive), "host {host}");
        if host != 3 {
            assert_eq!(node.member(old).map(|member| member.status()), Some(Status::Down), "host {host}");
        }
    }
    let ignored = sim.machine(3).unwrap().stats().dropped(DropReason::Check);
    assert!(ignored > 0, "it was sent what was meant for the old one, and ignored it");
}

#[test]
fn one_reachable_seed_of_several_suffices_even_if_it_comes_late() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for _ in 0..6 {
        sim.add(fresh());
    }
    sim.start(5, &[1, 2, 3, 4]);
    sim.run_for(10 * SECOND);
    assert_eq!(sim.machine(5).unwrap().phase(), Phase::Joining);
    let asked = sim.traffic(5).datagrams;
    assert!((16..60).contains(&asked), "it has asked four seeds {asked} times in 10 s: at growing gaps");
    sim.start(4, &[]);
    sim.run_for(17 * SECOND);
    assert_eq!(sim.machine(5).unwrap().phase(), Phase::Member);
    assert_eq!(status_of(&sim, 5, 4), Some(Status::Alive));
}

#[test]
fn two_started_together_with_each_other_as_seeds_find_each_other() {
    for seed in 0..20 {
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN.with_loss(0.3));
        for host in 0..2 {
            sim.add(fresh());
            sim.start(host, &[0, 1]);
        }
        let found = sim.run_until_agreed(Duration::from_millis(50), 10 * SECOND);
        assert!(found.is_some(), "seed {seed}");
    }
}

#[test]
fn a_crash_is_known_to_all_within_seven_seconds_and_nobody_else_is_blamed() {
    for (size, loss) in [(4, 0.0), (16, 0.05), (16, 0.3), (128, 0.05)] {
        for seed in 1..=5 {
            let mut sim = cluster(size, seed);
            sim.set_conditions(Conditions::LAN.with_loss(loss));
            sim.crash(2);
            sim.run_for(Duration::from_secs(if loss > 0.1 { 10 } else { 7 }));
            let down = reported(&sim.take_reports(), Status::Down);
            assert!(down.iter().all(|(_, id)| *id == sim.id(2)), "{size} nodes, loss {loss}, seed {seed}: {down:?}");
            assert_eq!(down.len(), size - 1, "{size} nodes, loss {loss}, seed {seed}");
        }
    }
}

#[test]
fn at_5_to_30_percent_loss_no_healthy_node_is_declared_down_in_10_minutes() {
    for (loss, seed) in [(0.05, 1), (0.2, 2), (0.2, 3), (0.3, 4), (0.3, 5)] {
        let mut sim = cluster(16, seed);
        sim.set_conditions(Conditions::LAN.with_loss(loss));
        sim.run_for(600 * SECOND);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "loss {loss}, seed {seed}");
    }
}

#[test]
fn with_the_direct_way_blocked_others_vouch_for_a_member() {
    let mut sim = cluster(8, 1);
    sim.set_blocked(2, 5, true);
    sim.set_blocked(5, 2, true);
    sim.run_for(120 * SECOND);
    assert_eq!(reported(&sim.take_reports(), Status::Down), []);
    assert!(sim.machine(2).unwrap().stats().questions > 0, "others were asked");
}

#[test]
fn a_node_that_lost_its_network_is_isolated_and_judges_nobody() {
    for seed in 0..10 {
        let mut sim = cluster(16, seed);
        sim.set_plugged(4, false);
        sim.run_for(10 * SECOND);
        assert_eq!(sim.machine(4).unwrap().phase(), Phase::Isolated, "seed {seed}");
        assert_eq!(said(&mut sim, 4, Report::Isolated), 1, "seed {seed}");
        let before = sim.traffic(4);
        sim.run_for(50 * SECOND);
        let sent = sim.traffic(4).datagrams - before.datagrams;
        assert!(sent <= 70, "seed {seed}: an isolated node keeps quiet, and has sent {sent} datagrams in 50 s");
        let by_it: Vec<_> =
            reported(&sim.take_reports(), Status::Down).into_iter().filter(|(host, _)| *host == 4).collect();
        assert_eq!(by_it, [], "seed {seed}");
        assert_eq!(status_of(&sim, 0, 4), Some(Status::Down), "seed {seed}: the others know that it is gone");
        sim.set_plugged(4, true);
        sim.run_for(20 * SECOND);
        assert!(sim.agrees(), "seed {seed}: it is taken back");
        assert_eq!(sim.machine(4).unwrap().phase(), Phase::Member);
        assert_eq!(said(&mut sim, 4, Report::Reconnected), 1, "seed {seed}");
    }
}

#[test]
fn of_two_nodes_that_want_it_so_the_survivor_is_isolated_and_never_declares() {
    let mut sim = cluster(2, 1);
    let config = Config::LAN.with_last_verdict(false);
    (0..2).for_each(|host| sim.with(host, |node, now| node.set_config(now, config).unwrap()));
    sim.crash(1);
    sim.run_for(60 * SECOND);
    assert_eq!(status_of(&sim, 0, 1), Some(Status::Suspect));
    assert_eq!(sim.machine(0).unwrap().phase(), Phase::Isolated);
    sim.restart(1, fresh(), &[0]);
    sim.run_for(3 * SECOND);
    assert!(sim.agrees());
    assert_eq!(sim.machine(0).unwrap().phase(), Phase::Member);
}

#[test]
fn a_partition_heals_without_seeds_and_nobody_stays_down() {
    for seed in 1..=4 {
        let mut sim = cluster(32, seed);
        (0..32).for_each(|host| sim.set_side(host, u32::from(host < 16)));
        sim.run_for(60 * SECOND);
        assert_eq!(status_of(&sim, 0, 20), Some(Status::Down), "seed {seed}");
        sim.heal();
        let healed = sim.run_until_agreed(Duration::from_millis(100), 10 * SECOND);
        assert!(healed.is_some(), "seed {seed}");
    }
}

#[test]
fn a_second_claimant_of_an_id_is_told_and_falls_silent() {
    for seed in 0..10 {
        let mut sim = cluster(6, seed);
        let twin = sim.add(fresh());
        sim.set_id(twin, sim.id(3));
        let before = sim.machine(3).unwrap().member(sim.id(3)).unwrap().life();
        sim.start(twin, &[0, 1]);
        sim.run_for(20 * SECOND);
        let phases = [3, twin].map(|host| sim.machine(host).unwrap().phase());
        assert_eq!(phases, [Phase::Member, Phase::Idle], "seed {seed}: the incumbent keeps the id");
        for host in 0..6 {
            let seen = sim.machine(host).unwrap().member(sim.id(3)).unwrap();
            assert_eq!((seen.addr(), seen.status()), (3, Status::Alive), "seed {seed}, host {host}");
            assert_eq!(seen.life(), before, "seed {seed}: in the same life");
        }
        assert_eq!(said(&mut sim, twin, Report::IdTaken), 1, "seed {seed}: it is told, once");
        let sent = sim.traffic(twin).datagrams;
        assert!(sent < 40, "seed {seed}: it has sent {sent} datagrams");
    }
}

#[test]
fn a_second_claimant_that_joins_through_its_twin_alone_is_told_too() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for _ in 0..2 {
        let host = sim.add(fresh());
        sim.set_id(host, NodeId::new(7));
    }
    sim.start(0, &[]);
    sim.start(1, &[0]);
    sim.run_for(5 * SECOND);
    assert_eq!([0, 1].map(|host| sim.machine(host).unwrap().phase()), [Phase::Member, Phase::Idle]);
}

#[test]
fn a_link_that_takes_nothing_is_not_tried_without_end_and_condemns_nobody() {
    let mut sim = cluster(4, 1);
    let mut node = sim.machine(1).unwrap().clone();
    let begun = node.now();
    let mut buf = [0; 1_200];
    let mut tried = 0u32;
    while node.now() < begun + 60 * SECOND {
        let due = node.poll_timeout();
        node.handle_timeout(due);
        while let Some(transmit) = node.poll_transmit(&mut buf) {
            let to = transmit.to;
            node.handle_send_error(due, to, SendFailure::Local);
            tried += 1;
            assert!(tried < 10_000, "tried {tried} times in {:?}", node.now().duration_since(begun));
        }
    }
    assert_eq!(node.stats().send_errors, u64::from(tried));
    assert!(node.members().all(|member| member.status() != Status::Down));
    assert_eq!(sim.take_reports().len(), 0);
}

#[test]
fn a_mass_start_of_64_is_complete_within_1_second_and_of_128_within_2() {
    for (size, seed, most) in [(8, 1, 1), (64, 2, 1), (128, 3, 2), (128, 4, 2)] {
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN);
        for host in 0..size {
            sim.add(fresh());
            sim.start(host, &[0, 1]);
        }
        let agreed = sim.run_until_agreed(Duration::from_millis(10), 10 * SECOND);
        assert!(agreed.is_some_and(|took| took < most * SECOND), "{size} nodes: {agreed:?}");
    }
}

#[test]
fn a_whole_cluster_restarted_at_once_finds_together_again() {
    let mut sim = cluster(32, 1);
    for host in 0..32 {
        sim.crash(host);
    }
    sim.run_for(SECOND);
    for host in 0..32 {
        sim.restart(host, fresh(), &[0, 1]);
    }
    assert!(sim.run_until_agreed(Duration::from_millis(100), 10 * SECOND).is_some());
}

#[test]
fn events_tell_a_members_story_and_nothing_twice() {
    let mut sim = cluster(5, 1);
    sim.crash(2);
    sim.run_for(10 * SECOND);
    sim.restart(2, fresh(), &[0]);
    sim.run_for(3 * SECOND);
    sim.leave(2);
    sim.run_for(5 * SECOND);
    let id = sim.id(2);
    let story: Vec<Status> = sim
        .take_reports()
        .iter()
        .filter(|reported| reported.host == 4)
        .filter_map(|reported| match reported.report {
            Report::Member(of, status) if of == id => Some(status),
            _ => None,
        })
        .collect();
    assert_eq!(story.iter().filter(|status| **status != Status::Suspect).count(), 3, "{story:?}");
    assert_eq!(*story.last().unwrap(), Status::Left);
    let mut node = sim.machine(4).unwrap().clone();
    assert_eq!(node.poll_event(), None::<Event<'_, u32>>);
}

#[test]
fn whoever_is_taken_for_a_member_knows_it_even_if_its_seed_is_gone_before_it_could_say_so() {
    for seed in 0..100 {
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN.with_loss(0.05));
        for host in 0..9 {
            sim.add(fresh());
            sim.start(host, &[0]);
        }
        assert!(sim.run_until_agreed(Duration::from_millis(100), 20 * SECOND).is_some(), "seed {seed}");
        sim.crash(0);
        sim.run_for(20 * SECOND);
        for host in 1..9 {
            assert_eq!(sim.machine(host).unwrap().phase(), Phase::Member, "seed {seed}, host {host}");
        }
    }
}

#[test]
fn two_that_leave_at_the_same_moment_acknowledge_each_other() {
    for seed in 0..20 {
        let mut sim = cluster(2, seed);
        sim.leave(0);
        sim.run_for(Duration::from_micros(400 * seed));
        sim.leave(1);
        sim.run_for(SECOND);
        let phases = [0, 1].map(|host| sim.machine(host).unwrap().phase());
        assert_eq!(phases, [Phase::Left; 2], "seed {seed}: neither has to wait for its deadline");
    }
}

#[test]
fn the_end_of_a_life_is_told_last() {
    let sim = cluster(4, 1);
    let (mut node, now) = (sim.machine(1).unwrap().clone(), sim.now());
    let forger = Forger::new(&node, sim.machine(0).unwrap()).unwrap();
    let mut farewell = forger.farewell(sim.machine(2).unwrap());
    node.leave(now);
    node.handle_datagram(now, 0, &mut farewell);
    node.handle_timeout(now + Config::LAN.leave_timeout());
    let mut events = Vec::new();
    while let Some(event) = node.poll_event() {
        events.push(event.to_string());
    }
    assert_eq!(events, ["0000000000000003 at 2 left", "left the cluster"]);
}

#[test]
fn a_table_that_refused_somebody_who_is_gone_is_compared_again() {
    let mut sim = Sim::<HeapNode<u32>>::new(3, Conditions::LAN);
    for host in 0..4 {
        let limits = if host == 0 { Limits::DEFAULT.with_members(4) } else { Limits::DEFAULT };
        sim.add(HeapNode::new(Config::LAN, limits));
        sim.start(host, &[1]);
    }
    sim.run_for(10 * SECOND);
    let fifth = sim.add(fresh());
    sim.start(fifth, &[1]);
    sim.run_for(5 * SECOND);
    assert!(sim.machine(0).unwrap().stats().dropped(DropReason::TableFull) > 0, "there was no room for it");
    sim.leave(fifth);
    sim.run_for(5 * SECOND);
    // Something that the one with the small table misses.
    sim.set_plugged(0, false);
    sim.with(3, |node, now| node.set_config(now, Config::LAN.with_patience(60 * SECOND)).unwrap());
    sim.run_for(2 * SECOND);
    sim.set_plugged(0, true);
    sim.run_for(80 * SECOND);
    let prints: Vec<u64> = (0..4).map(|host| sim.machine(host).unwrap().fingerprint()).collect();
    assert_eq!(prints, [prints[0]; 4], "it has been found");
}

#[test]
fn a_node_that_moves_to_the_address_of_its_only_seed_stops_asking() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    sim.add(fresh());
    sim.start(0, &[5]);
    sim.run_for(SECOND);
    assert_eq!(sim.machine(0).unwrap().phase(), Phase::Joining);
    sim.with(0, |node, now| node.set_addr(now, 5).unwrap());
    assert_eq!(sim.machine(0).unwrap().phase(), Phase::Member);
}

#[test]
fn nothing_is_told_after_the_end_of_a_life() {
    let mut sim = cluster(3, 1);
    sim.leave(1);
    sim.run_for(SECOND);
    sim.take_reports();
    sim.inject(0, 1, b"anything");
    sim.run_for(SECOND);
    assert_eq!(sim.take_reports().iter().filter(|told| told.host == 1).count(), 0);
    assert!(sim.machine(1).unwrap().stats().dropped(DropReason::NotRunning) > 0, "and it is counted");
}

#[test]
fn in_datagrams_of_96_bytes_all_is_told_and_what_was_missed_is_found() {
    let tiny = Config::LAN.with_max_datagram(96);
    for seed in 0..3 {
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN.with_loss(0.1));
        for host in 0..100 {
            sim.add(HeapNode::new(tiny, Limits::DEFAULT));
            sim.start(host, &[0, 1]);
        }
        let whole = sim.run_until_agreed(100 * MILLIS, 20 * SECOND);
        assert!(whole.is_some(), "seed {seed}: a hundred find together");
        // Ten miss what ten others say of themselves.
        (0..10).for_each(|host| sim.set_plugged(host, false));
        for host in 50..60 {
            sim.with(host, |node, now| node.set_config(now, tiny.with_patience(2 * SECOND)).unwrap());
        }
        sim.run_for(SECOND);
        (0..10).for_each(|host| sim.set_plugged(host, true));
        let equal = |sim: &Sim<HeapNode<u32>>| {
            let print = |host: usize| sim.machine(host).unwrap().fingerprint();
            (1..100).all(|host| print(host) == print(0))
        };
        let found = sim.run_until_true(equal, 100 * MILLIS, 20 * SECOND);
        assert!(found.is_some(), "seed {seed}: not found");
        sim.crash(70);
        let known = sim.run_until_all_report(70, Status::Down, 10 * SECOND);
        assert!(known.is_some(), "seed {seed}: the crash is not known to all");
    }
}

#[test]
fn whoever_is_left_alone_is_not_isolated() {
    let mut sim = cluster(2, 1);
    (0..2).for_each(|host| sim.set_plugged(host, false));
    sim.run_for(6 * SECOND);
    assert_eq!(sim.machine(0).unwrap().phase(), Phase::Isolated);
    (0..2).for_each(|host| sim.set_plugged(host, true));
    sim.leave(1);
    sim.run_for(5 * SECOND);
    assert_eq!((sim.machine(0).unwrap().phase(), sim.machine(0).unwrap().live()), (Phase::Member, 1));
}
