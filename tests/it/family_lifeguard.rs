//! Slow, blocked, starved and suspended members: the acceptance scenarios of the HashiCorp family, Swift's, Rapid's
//! (35-38), among them the experiments of the Lifeguard paper in small. Settings are `Config::LAN` as it is.
//!
//! | no. | scenario | test |
//! |---|---|---|
//! | 35 | grid (C, D): so many blocked at once for so long | `members_blocked_once_accuse_no_healthy_one_and_are_found_if_it_lasts` |
//! | 35 | grid (C, D, I): again and again, with gaps | `members_blocked_again_and_again_bring_no_healthy_one_down` |
//! | 36 | CPU starvation of 1 to 32 of 100 | `starved_members_bring_no_healthy_one_down_and_are_not_taken_for_dead` |
//! | 37 | suspended for an hour, and its clock jumps | `members_suspended_for_an_hour_accuse_nobody_when_they_wake`, and the three of `law_3` in `laws.rs` |
//! | 38 | slow node: 2 s until it reads what arrives | `a_member_that_reads_everything_two_seconds_late_accuses_nobody_and_stays_up` |
//! | 38 | the same, and a crash | `among_members_that_read_late_a_crash_is_found_by_all_who_do_not` |
//!
//! Blocked members are those of the paper: nothing gets in or out, all of it waits and then goes on in a burst, and the
//! clock runs. Of the paper's 128 members there are 64 in the second grid, and of the values of each axis and the
//! repetitions only some.

use std::time::Duration;

use crate::common::ailing::{Ailing, ailing_cluster};
use crate::common::blame::{chosen, slander};
use crate::common::cluster::{SECOND, cluster, reported};
use tidings::sim::{Machine, Scenario, Sim, SimRng};
use tidings::{Config, HeapNode, Instant, Status};

const MILLIS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn set_blocked(sim: &mut Sim<Ailing>, hosts: &[usize], blocked: bool) {
    hosts.iter().for_each(|host| sim.with(*host, |machine, now| machine.set_blocked(now, blocked)));
}

/// Lets the trouble be over, and all agree in time.
fn recovers<M: Machine>(sim: &mut Sim<M>, about: &str) {
    let bound = Scenario::bound(&Config::LAN, sim.hosts());
    assert!(sim.run_until_agreed(SECOND, bound).is_some(), "{about}: no one view within {bound:?}");
}

#[test]
fn members_blocked_once_accuse_no_healthy_one_and_are_found_if_it_lasts() {
    const SIZE: usize = 128;
    for count in [1, 4, 16, 32] {
        for millis in [128, 512, 2_048, 8_192, 32_768] {
            let seed = count as u64 + millis;
            let about = format!("{count} blocked for {millis} ms, seed {seed}");
            let mut sim = ailing_cluster(SIZE, seed, |_| Config::LAN);
            let blocked = chosen(count, SIZE, seed);
            set_blocked(&mut sim, &blocked, true);
            sim.run_for(millis as u32 * MILLIS);
            let mut reports = sim.take_reports();
            let found =
                reported(&reports, Status::Down).into_iter().filter(|(host, _)| !blocked.contains(host)).count();
            if millis == 32_768 {
                assert_eq!(found, count * (SIZE - count), "{about}: each is found by all the others");
            }
            set_blocked(&mut sim, &blocked, false);
            sim.run_for(20 * SECOND);
            reports.extend(sim.take_reports());
            assert_eq!(slander(&sim, &reports, &blocked), [], "{about}");
            if millis < 3_000 {
                assert_eq!(reported(&reports, Status::Down), [], "{about}: so much is forgiven");
            }
            recovers(&mut sim, &about);
        }
    }
}

#[test]
fn members_blocked_again_and_again_bring_no_healthy_one_down() {
    const SIZE: usize = 64;
    for count in [1, 4, 16] {
        for millis in [512, 2_048, 16_384] {
            for gap in [1, 64, 1_024, 16_384] {
                let seed = count as u64 + millis + gap;
                let about = format!("{count} blocked for {millis} ms with gaps of {gap} ms, seed {seed}");
                let mut sim = ailing_cluster(SIZE, seed, |_| Config::LAN);
                let blocked = chosen(count, SIZE, seed);
                let end = sim.now() + 2 * MINUTE;
                while sim.now() < end {
                    set_blocked(&mut sim, &blocked, true);
                    sim.run_for(millis as u32 * MILLIS);
                    set_blocked(&mut sim, &blocked, false);
                    sim.run_for(gap as u32 * MILLIS);
                }
                let reports = sim.take_reports();
                assert_eq!(slander(&sim, &reports, &blocked), [], "{about}");
                recovers(&mut sim, &about);
            }
        }
    }
}

#[test]
fn starved_members_bring_no_healthy_one_down_and_are_not_taken_for_dead() {
    const SIZE: usize = 100;
    for count in [1, 2, 4, 8, 16, 32] {
        let seed = count as u64;
        let mut sim = cluster(SIZE, seed);
        let starved = chosen(count, SIZE, seed);
        let mut rng = SimRng::new(seed);
        let mut turns: Vec<(Instant, bool)> = vec![(sim.now(), false); count];
        let end = sim.now() + 5 * MINUTE;
        while sim.now() < end {
            let now = sim.now();
            for ((at, stopped), host) in turns.iter_mut().zip(&starved).filter(|((at, _), _)| *at <= now) {
                if *stopped {
                    sim.resume(*host)
                } else {
                    sim.stop(*host)
                }
                *stopped = !*stopped;
                // It gets a hundredth of the time.
                let micros = if *stopped { 50_000 + rng.below(1_450_000) } else { 1_000 + rng.below(14_000) };
                *at = now + Duration::from_micros(micros);
            }
            let next = turns.iter().map(|(at, _)| *at).min().unwrap();
            sim.run_until(next);
        }
        let reports = sim.take_reports();
        assert_eq!(slander(&sim, &reports, &starved), [], "{count} starved, seed {seed}");
        assert_eq!(reported(&reports, Status::Down), [], "{count} starved, seed {seed}");
        starved.iter().for_each(|host| sim.resume(*host));
        recovers(&mut sim, &format!("{count} starved, seed {seed}"));
    }
}

#[test]
fn members_suspended_for_an_hour_accuse_nobody_when_they_wake() {
    for (size, count, seed) in [(8, 1, 1), (8, 2, 2), (24, 6, 3), (24, 6, 4), (24, 12, 5)] {
        let mut sim = cluster(size, seed);
        let suspended = chosen(count, size, seed);
        suspended.iter().for_each(|host| sim.stop(*host));
        sim.run_for(60 * MINUTE);
        let before = sim.take_reports();
        let mut missed = reported(&before, Status::Down);
        missed.retain(|(host, _)| !suspended.contains(host));
        assert_eq!(missed.len(), count * (size - count), "seed {seed}: they were missed");
        let verdicts = |sim: &Sim<HeapNode<u32>>| -> Vec<u64> {
            suspended.iter().map(|host| sim.machine(*host).unwrap().stats().declared_down).collect()
        };
        let passed_before = verdicts(&sim);
        // Their clocks have run; those of every other one jump another hour when they wake.
        for host in suspended.iter().step_by(2) {
            sim.jump_clock(*host, 60 * MINUTE);
        }
        suspended.iter().for_each(|host| sim.resume(*host));
        sim.run_for(20 * SECOND);
        let reports = sim.take_reports();
        // Of each other they are told that they were missed.
        assert_eq!(slander(&sim, &reports, &suspended), [], "seed {seed}");
        assert_eq!(verdicts(&sim), passed_before, "seed {seed}: they have judged nobody");
        recovers(&mut sim, &format!("seed {seed}"));
    }
}

#[test]
fn a_member_that_reads_everything_two_seconds_late_accuses_nobody_and_stays_up() {
    for (size, seed) in [(3, 1), (8, 2), (8, 3), (32, 4), (128, 5)] {
        let mut sim = ailing_cluster(size, seed, |_| Config::LAN);
        let slow = chosen(1, size, seed)[0];
        sim.with(slow, |machine, _| machine.lag = 2 * SECOND);
        sim.run_for(10 * MINUTE);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "{size} nodes, seed {seed}");
        sim.with(slow, |machine, _| machine.lag = Duration::ZERO);
        recovers(&mut sim, &format!("{size} nodes, seed {seed}"));
    }
}

#[test]
fn among_members_that_read_late_a_crash_is_found_by_all_who_do_not() {
    for (size, slow, seed) in [(8, 1, 1), (8, 3, 2), (32, 8, 3), (32, 8, 4)] {
        let mut sim = ailing_cluster(size, seed, |_| Config::LAN);
        let hosts = chosen(slow + 1, size, seed);
        for host in &hosts[1..] {
            sim.with(*host, |machine, _| machine.lag = 2 * SECOND);
        }
        sim.run_for(MINUTE);
        sim.take_reports();
        sim.crash(hosts[0]);
        sim.run_for(30 * SECOND);
        let down = reported(&sim.take_reports(), Status::Down);
        assert!(down.iter().all(|(_, id)| *id == sim.id(hosts[0])), "seed {seed}: nobody else: {down:?}");
        // Answers that are read two seconds late are none: a slow one that the tree did not reach cannot find out itself.
        let late = |host: usize| hosts.contains(&host);
        let known = down.iter().filter(|(by, _)| !late(*by)).count();
        assert_eq!(known, size - 1 - slow, "seed {seed}: everybody knows who reads in time");
        assert!(down.len() - known >= slow / 2, "seed {seed}: and most of those who do not");
    }
}
