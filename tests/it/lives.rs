//! Lives and addresses: members that move, begin anew, or find that another has their id. Every run has the safety
//! checks of the simulator on; a failure names the seed to run again.

use std::time::Duration;

use crate::common::cluster::{SECOND, fresh, reported, status_of, watched};
use tidings::sim::{Conditions, Report, Sim};
use tidings::{HeapNode, Life, NodeId, Phase, Status};

const MILLIS: Duration = Duration::from_millis(1);

fn check(sim: &Sim<HeapNode<u32>>, seed: u64) {
    assert_eq!(sim.failure(), None, "seed {seed}");
}

fn phase(sim: &Sim<HeapNode<u32>>, host: usize) -> Phase {
    sim.machine(host).unwrap().phase()
}

fn life(sim: &Sim<HeapNode<u32>>, host: usize) -> Life {
    sim.machine(host).unwrap().member(sim.id(host)).unwrap().life()
}

/// Gives a host another address and tells its node.
fn relocate(sim: &mut Sim<HeapNode<u32>>, host: usize, place: u32) {
    sim.move_host(host, place);
    sim.with(host, |node, now| node.set_addr(now, place).unwrap());
}

/// Whether all running hosts hold this one to be alive, at this address.
fn followed(sim: &Sim<HeapNode<u32>>, host: usize, place: u32) -> bool {
    sim.running().all(|other| {
        let seen = sim.machine(other).unwrap().member(sim.id(host));
        seen.is_some_and(|seen| (seen.addr(), seen.status()) == (place, Status::Alive))
    })
}

// Moving.

#[test]
fn a_member_that_moves_is_followed_by_all_within_2_seconds_and_stays_up() {
    for (size, loss, seed) in [(2, 0.0, 1), (3, 0.0, 2), (16, 0.0, 3), (16, 0.2, 4), (128, 0.0, 5), (128, 0.05, 6)] {
        let mut sim = watched(size, seed);
        sim.set_conditions(Conditions::LAN.with_loss(loss));
        let before = life(&sim, 1);
        relocate(&mut sim, 1, 9_000);
        let limit = if loss > 0.0 { 5 * SECOND } else { 2 * SECOND };
        let took = sim.run_until_true(|sim| followed(sim, 1, 9_000), 20 * MILLIS, limit);
        assert!(took.is_some(), "{size} nodes, loss {loss}, seed {seed}");
        sim.run_for(30 * SECOND);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "{size} nodes, loss {loss}, seed {seed}");
        assert_eq!(life(&sim, 1), before, "in the same life");
        check(&sim, seed);
    }
}

#[test]
fn two_members_that_change_places_are_told_apart() {
    for seed in 0..10 {
        let mut sim = watched(6, seed);
        for (host, place) in [(2, 100), (4, 2), (2, 4)] {
            relocate(&mut sim, host, place);
        }
        sim.run_for(5 * SECOND);
        assert!(followed(&sim, 2, 4) && followed(&sim, 4, 2), "seed {seed}");
        check(&sim, seed);
    }
}

#[test]
fn a_member_that_moves_again_and_again_is_found_where_it_is_at_last() {
    for seed in 0..10 {
        let mut sim = watched(8, seed);
        for turn in 0..20 {
            relocate(&mut sim, 3, 100 + turn);
            sim.run_for(u32::from(seed as u8 + 1) * 37 * MILLIS);
        }
        sim.run_for(5 * SECOND);
        assert!(followed(&sim, 3, 119), "seed {seed}");
        check(&sim, seed);
    }
}

#[test]
fn a_whole_cluster_that_moves_at_once_finds_together_again_without_seeds() {
    for seed in 0..5 {
        let mut sim = watched(8, seed);
        // They go one after the other, as leases of addresses end.
        for host in 0..8 {
            relocate(&mut sim, host, 200 + host as u32);
            sim.run_for(2 * SECOND);
        }
        sim.run_for(10 * SECOND);
        assert!((0..8).all(|host| followed(&sim, host, 200 + host as u32)), "seed {seed}");
        check(&sim, seed);
    }
}

#[test]
fn a_member_restarted_at_another_address_keeps_its_id_once_the_old_one_is_found_silent() {
    for (seed, away) in [(1, 0), (2, 1), (3, 30)] {
        let mut sim = watched(16, seed);
        let before = life(&sim, 5);
        sim.crash(5);
        sim.run_for(away * SECOND);
        sim.move_host(5, 700);
        sim.restart(5, fresh(), &[0, 1]);
        let limit = 8 * SECOND;
        let took = sim.run_until_true(|sim| followed(sim, 5, 700), 50 * MILLIS, limit);
        assert!(took.is_some(), "seed {seed}, {away} s away");
        assert!(life(&sim, 5) > before);
        check(&sim, seed);
    }
}

// Two with one id.

/// Which of these hosts have kept the id, after all have had time.
fn keepers(sim: &Sim<HeapNode<u32>>, claimants: &[usize]) -> Vec<usize> {
    claimants.iter().copied().filter(|host| phase(sim, *host) == Phase::Member).collect()
}

/// Whether exactly one has kept the id and is held alive by all, and the others are told, once, and silent.
fn one_keeps_it(sim: &mut Sim<HeapNode<u32>>, claimants: &[usize], about: &str) {
    let reports = sim.take_reports();
    let [keeper] = keepers(sim, claimants)[..] else {
        let phases: Vec<Phase> = claimants.iter().map(|host| phase(sim, *host)).collect();
        panic!("{about}: the claimants are {phases:?}");
    };
    for host in claimants.iter().copied().filter(|host| *host != keeper) {
        assert_eq!(phase(sim, host), Phase::Idle, "{about}");
        let told = reports.iter().filter(|told| told.host == host && told.report == Report::IdTaken).count();
        assert_eq!(told, 1, "{about}: host {host} is told once");
        let before = sim.traffic(host);
        sim.run_for(5 * SECOND);
        assert_eq!(sim.traffic(host), before, "{about}: host {host} is silent");
    }
    assert!(sim.agrees(), "{about}: all hold it to be alive");
    assert!(sim.failure().is_none(), "{about}: {:?}", sim.failure());
}

#[test]
fn of_two_claimants_started_together_exactly_one_keeps_the_id() {
    let mut in_all = 0;
    for seed in 0..40 {
        for (loss, seeds) in [(0.0, [0, 0]), (0.0, [0, 1]), (0.2, [0, 1]), (0.2, [1, 1])] {
            let mut sim = watched(4, seed);
            sim.set_conditions(Conditions::LAN.with_loss(loss));
            let claimants = [(); 2].map(|()| sim.add(fresh()));
            for (host, seed) in claimants.into_iter().zip(seeds) {
                sim.set_id(host, NodeId::new(77));
                sim.start(host, &[seed]);
            }
            sim.run_for(30 * SECOND);
            let sent = claimants.map(|host| sim.traffic(host).datagrams).into_iter().min().unwrap();
            let about = format!("seed {seed}, loss {loss}, through {seeds:?}");
            // Where others hold both for members by then, the two ask until all have heard which of them it is.
            assert!(sent < 300, "{about}: the one that gave way has sent {sent} datagrams");
            in_all += sent;
            one_keeps_it(&mut sim, &claimants, &about);
        }
    }
    assert!(in_all / 160 < 15, "those that gave way have sent {in_all} datagrams, seeds 0 to 39");
}

#[test]
fn of_two_claimants_who_have_only_each_other_exactly_one_keeps_the_id() {
    for seed in 0..100 {
        let mut sim = Sim::<HeapNode<u32>>::new(seed, Conditions::LAN.with_loss(0.1));
        for host in 0..2 {
            sim.add(fresh());
            sim.set_id(host, NodeId::new(77));
        }
        (0..2).for_each(|host| sim.start(host, &[1 - host]));
        sim.run_for(20 * SECOND);
        let mut phases = [phase(&sim, 0), phase(&sim, 1)];
        phases.sort_by_key(|phase| *phase != Phase::Idle);
        assert_eq!(phases, [Phase::Idle, Phase::Joining], "seed {seed}: one goes on asking");
    }
}

#[test]
fn of_three_claimants_started_at_odd_moments_exactly_one_keeps_the_id() {
    for seed in 0..30 {
        let mut sim = watched(5, seed);
        let mut claimants = Vec::new();
        for turn in 0..3 {
            let host = sim.add(fresh());
            sim.set_id(host, NodeId::new(77));
            sim.start(host, &[turn]);
            claimants.push(host);
            sim.run_for(u32::from(seed as u8) * MILLIS);
        }
        sim.run_for(30 * SECOND);
        one_keeps_it(&mut sim, &claimants, &format!("seed {seed}"));
    }
}

#[test]
fn of_two_claimants_on_the_sides_of_a_partition_exactly_one_keeps_the_id_when_it_heals() {
    for seed in 0..30 {
        let mut sim = watched(8, seed);
        (4..8).for_each(|host| sim.set_side(host, 1));
        sim.run_for(10 * SECOND);
        let claimants = [(); 2].map(|()| sim.add(fresh()));
        for (host, (side, seed)) in claimants.into_iter().zip([(0, 0), (1, 4)]) {
            sim.set_id(host, NodeId::new(77));
            sim.set_side(host, side);
            sim.start(host, &[seed]);
        }
        sim.run_for(20 * SECOND);
        assert_eq!(keepers(&sim, &claimants).len(), 2, "seed {seed}: either is a member on its side");
        sim.heal();
        sim.run_for(40 * SECOND);
        one_keeps_it(&mut sim, &claimants, &format!("seed {seed}"));
    }
}

#[test]
fn a_claimant_that_cannot_reach_the_incumbent_is_told_by_others() {
    for seed in 0..20 {
        let mut sim = watched(6, seed);
        let before = life(&sim, 3);
        let twin = sim.add(fresh());
        sim.set_id(twin, sim.id(3));
        sim.set_blocked(twin, 3, true);
        sim.set_blocked(3, twin, true);
        sim.start(twin, &[0, 1]);
        sim.run_for(20 * SECOND);
        assert_eq!(life(&sim, 3), before, "seed {seed}: in the same life");
        assert_eq!(keepers(&sim, &[3, twin]), [3], "seed {seed}: the incumbent keeps the id");
        one_keeps_it(&mut sim, &[3, twin], &format!("seed {seed}"));
    }
}

// Beginning anew.

/// Crashes a member of 16 and starts it again without memory after this time; when all know it in its new life.
fn restarted_after(away: Duration, seed: u64) {
    let mut sim = watched(16, seed);
    let before = life(&sim, 5);
    sim.crash(5);
    sim.run_for(away);
    sim.restart(5, fresh(), &[0, 1]);
    let known = |sim: &Sim<HeapNode<u32>>| {
        let now = life(sim, 5);
        now > before && sim.running().all(|host| sim.machine(host).unwrap().member(sim.id(5)).unwrap().life() == now)
    };
    let took = sim.run_until_true(known, 20 * MILLIS, 2 * SECOND);
    assert!(took.is_some() && sim.agrees(), "seed {seed}, {away:?} away");
    sim.take_reports();
    sim.run_for(10 * SECOND);
    assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}, {away:?} away");
    check(&sim, seed);
}

#[test]
fn a_member_restarted_at_once_is_known_in_its_new_life() {
    (0..20).for_each(|seed| restarted_after(Duration::ZERO, seed));
}

#[test]
fn a_member_restarted_within_a_second_is_known_in_its_new_life() {
    (0..20).for_each(|seed| restarted_after(u32::from(seed as u8) * 50 * MILLIS, seed));
}

#[test]
fn a_member_restarted_after_an_hour_is_known_in_its_new_life() {
    (0..2).for_each(|seed| restarted_after(3_600 * SECOND, seed));
}

#[test]
fn a_member_restarted_during_a_partition_is_known_to_both_sides_when_it_heals() {
    for seed in 0..20 {
        let mut sim = watched(8, seed);
        let before = life(&sim, 2);
        (4..8).for_each(|host| sim.set_side(host, 1));
        // One side may not yet have missed it, or hold it for dead since long.
        sim.run_for(u32::from(seed as u8) * SECOND);
        sim.crash(2);
        sim.run_for(SECOND);
        sim.restart(2, fresh(), &[0]);
        sim.run_for(10 * SECOND);
        sim.heal();
        sim.run_for(30 * SECOND);
        let now = life(&sim, 2);
        assert!(now > before, "seed {seed}");
        let seen = |host| sim.machine(host).unwrap().member(sim.id(2)).map(|member| (member.status(), member.life()));
        assert!(sim.running().all(|host| seen(host) == Some((Status::Alive, now))), "seed {seed}");
        check(&sim, seed);
    }
}

#[test]
fn a_cluster_of_128_restarted_node_by_node_loses_nobody() {
    let seed = 3;
    let mut sim = watched(128, seed);
    let before: Vec<Life> = (0..128).map(|host| life(&sim, host)).collect();
    for host in 0..128 {
        sim.restart(host, fresh(), &[(host + 1) % 128, (host + 64) % 128]);
        sim.run_for(SECOND);
    }
    sim.run_for(2 * SECOND);
    assert!(sim.agrees());
    assert!((0..128).all(|host| life(&sim, host) > before[host]), "all live anew");
    assert_eq!(reported(&sim.take_reports(), Status::Down), [], "nobody was taken for dead");
    check(&sim, seed);
}

#[test]
fn a_cluster_of_128_restarted_all_at_once_is_whole_within_5_seconds() {
    for seed in 1..=2 {
        let mut sim = watched(128, seed);
        for host in 0..128 {
            sim.restart(host, fresh(), &[0, 1]);
        }
        let took = sim.run_until_agreed(50 * MILLIS, 5 * SECOND);
        assert!(took.is_some(), "seed {seed}");
        check(&sim, seed);
    }
}

#[test]
fn nothing_of_an_old_life_is_taken_for_the_new_ones() {
    for seed in 0..20 {
        let mut sim = watched(5, seed);
        // It speaks anew about itself, so that its old life has counters to mistake.
        for place in [80, 81, 82, 3] {
            relocate(&mut sim, 3, place);
            sim.run_for(SECOND);
        }
        let old: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
        sim.restart(3, fresh(), &[0, 1]);
        sim.run_for(5 * SECOND);
        let views = |sim: &Sim<HeapNode<u32>>| -> Vec<u64> {
            (0..5).map(|host| sim.machine(host).unwrap().fingerprint()).collect()
        };
        let before = views(&sim);
        let new = sim.machine(0).unwrap().member(sim.id(3)).unwrap();
        assert_eq!(new.incarnation(), 0, "seed {seed}: a new life counts from zero");
        for bytes in &old {
            (0..5).for_each(|host| sim.inject(3, host, bytes));
        }
        sim.run_for(SECOND);
        assert_eq!(views(&sim), before, "seed {seed}: what the old life said changes nothing");
        assert_eq!(sim.machine(0).unwrap().member(sim.id(3)), Some(new), "seed {seed}");
        assert!((0..5).all(|host| status_of(&sim, host, 3) == Some(Status::Alive)), "seed {seed}");
        check(&sim, seed);
    }
}
