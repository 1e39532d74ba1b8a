//! Old word and new word, restarts, and how news travels and ends: the acceptance scenarios of the HashiCorp family,
//! Swift's, Rapid's (15-19). Settings are `Config::LAN` as it is.
//!
//! | no. | scenario | test |
//! |---|---|---|
//! | 15 | which of two accounts is the later | `merge_is_a_lattice_join_over_the_whole_small_space` in `src/member.rs` |
//! | 15 | old accounts are ignored | `accusations_of_what_it_was_before_need_no_answer`, `nothing_of_an_old_life_is_taken_for_the_new_ones` in `lives.rs`, `replays_of_all_that_was_said_change_nothing` in `hostile.rs` |
//! | 15 | dead, then a replayed alive | `the_dead_do_not_rise_on_what_they_said_when_they_lived` |
//! | 15 | dead twice, one event | `a_death_that_is_told_again_is_reported_once` |
//! | 15 | self refutes | `forged_deaths..`, `a_forged_death_or_farewell..` in `hostile.rs`, `a_member_held_dead_is_told_at_its_first_word_and_is_back_at_once` in `family_probing.rs` |
//! | 15 | self refutes another account at equal incarnation | `an_account_with_another_address_at_the_same_incarnation_is_spoken_against` |
//! | 15 | left and dead distinguished | `whoever_left_is_never_found_dead_and_whoever_died_never_said_to_have_left` |
//! | 15 | join during leave | `a_join_during_a_leave_does_not_keep_the_leaver` |
//! | 16 | restart at a lower incarnation | `one_held_dead_at_a_high_incarnation_is_back_within_seconds_at_a_low_one` |
//! | 16 | rolling restart | `a_rolling_restart_of_256_in_waves_loses_nobody`, `a_cluster_of_128_restarted_node_by_node_loses_nobody` in `lives.rs` |
//! | 16 | simultaneous restart | `a_cluster_of_512_that_was_dead_to_itself_is_whole_within_seconds_of_its_restart`, `a_cluster_of_128_restarted_all_at_once_is_whole_within_5_seconds` in `lives.rs` |
//! | 17 | same identity, new address | `a_member_restarted_at_another_address_keeps_its_id_once_the_old_one_is_found_silent` and the claimants in `lives.rs`, `a_second_claimant_of_an_id_is_told_and_falls_silent` in `scenarios.rs` |
//! | 18 | newer supersedes, retransmits are counted, order of news | `tests/unit/gossip.rs`, `tests/unit/members.rs` |
//! | 18 | bounded under the worst churn | `law_5_a_byte_budget_bounds_a_storm_of_news..` in `laws.rs`, and `family_membership.rs` (24) |
//! | 18 | never over the datagram's size | the simulator's `Safety` and `tests/it/targets/pair.rs`, in all their runs |
//! | 18 | more than 255 parts | `a_datagram_of_three_hundred_parts_is_read_to_its_end` |
//! | 18 | truncation | `a_flood_of_random_truncated_and_oversized_datagrams..` in `hostile.rs`, `tests/unit/wire.rs` |
//! | 19 | gossip to the recently dead stops | `the_dead_are_visited_now_and_then_and_sent_nothing_else` |
//!
//! Of 4,500 nodes that restart, 512 are affordable here. Not applicable: fairness between system and user traffic (18),
//! as there are no user messages yet; what has a share of its own is in `tests/unit/budget.rs`. The keeper of an id is
//! not told of the other claimant (17), only the one that gives way.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tidings::internals::forge;

use crate::common::blame::chosen;
use crate::common::cluster::{SECOND, cluster, fresh, reported, status_of};
use tidings::sim::{Forger, Report, Reported, Sim, Watch};
use tidings::{Config, HeapNode, Member, Phase, Status};

type Cluster = Sim<HeapNode<u32>>;

const MILLIS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
/// A datagram to one life of one node.
const CLOSED: u8 = forge::VERSION;

fn own(sim: &Cluster, host: usize) -> Member<u32> {
    sim.machine(host).unwrap().member(sim.id(host)).unwrap()
}

/// Has a member speak anew about itself this often: it goes elsewhere and comes back.
fn age(sim: &mut Cluster, host: usize, times: u32) {
    for turn in 0..times {
        let place = if turn % 2 == 0 { 9_000 } else { host as u32 };
        sim.move_host(host, place);
        sim.with(host, |node, now| node.set_addr(now, place).unwrap());
        sim.run_for(SECOND);
    }
}

/// What was reported of a member, by anybody.
fn told_of(sim: &Cluster, reports: &[Reported], of: usize) -> Vec<(usize, Report)> {
    let about = |report: &Report| matches!(report, Report::Member(id, _) | Report::Moved(id) if *id == sim.id(of));
    reports.iter().filter(|told| about(&told.report)).map(|told| (told.host, told.report)).collect()
}

fn overheard(sim: &Cluster) -> Vec<Vec<u8>> {
    sim.overheard().map(<[u8]>::to_vec).collect()
}

#[test]
fn accusations_of_what_it_was_before_need_no_answer() {
    for seed in 0..10 {
        let mut sim = cluster(6, seed);
        let old: Vec<(usize, Vec<u8>)> = (0..6)
            .map(|to| {
                let mask = sim.machine((to + 1) % 6).unwrap();
                let forger = Forger::new(sim.machine(to).unwrap(), mask).unwrap();
                let accused = sim.machine(3).unwrap();
                (to, if seed % 2 == 0 { forger.accusation(accused) } else { forger.farewell(accused) })
            })
            .collect();
        age(&mut sim, 3, 2);
        sim.take_reports();
        let before = (own(&sim, 3), sim.machine(3).unwrap().stats().refutations);
        for (to, accusation) in &old {
            sim.inject((to + 1) % 6, *to, accusation);
        }
        sim.run_for(10 * SECOND);
        assert_eq!((own(&sim, 3), sim.machine(3).unwrap().stats().refutations), before, "seed {seed}");
        let reports = sim.take_reports();
        assert_eq!(told_of(&sim, &reports, 3), [], "seed {seed}");
    }
}

#[test]
fn the_dead_do_not_rise_on_what_they_said_when_they_lived() {
    for seed in 0..10 {
        let mut sim = cluster(6, seed);
        age(&mut sim, 3, 2);
        let said = overheard(&sim);
        sim.crash(3);
        assert!(sim.run_until_all_report(3, Status::Down, 30 * SECOND).is_some(), "seed {seed}");
        sim.take_reports();
        for bytes in &said {
            (0..6).filter(|to| *to != 3).for_each(|to| sim.inject(3, to, bytes));
        }
        sim.run_for(20 * SECOND);
        let reports = sim.take_reports();
        assert_eq!(told_of(&sim, &reports, 3), [], "seed {seed}");
        assert!(sim.running().all(|host| status_of(&sim, host, 3) == Some(Status::Down)), "seed {seed}");
    }
}

#[test]
fn a_death_that_is_told_again_is_reported_once() {
    for seed in 0..10 {
        let mut sim = cluster(8, seed);
        sim.crash(3);
        sim.run_for(9 * SECOND);
        let first = reported(&sim.take_reports(), Status::Down);
        assert_eq!(first.len(), 7, "seed {seed}");
        let news = overheard(&sim);
        for bytes in &news {
            (0..8).for_each(|to| sim.inject((to + 1) % 8, to, bytes));
        }
        sim.run_for(MINUTE);
        let reports = sim.take_reports();
        assert_eq!(told_of(&sim, &reports, 3), [], "seed {seed}");
    }
}

#[test]
fn an_account_with_another_address_at_the_same_incarnation_changes_nothing_whoever_is_told() {
    let cluster_key = forge::cluster("");
    for seed in 0..12 {
        let mut sim = cluster(6, seed);
        let sender = |member: Member<u32>| forge::Sender {
            id: member.id().get(),
            generation: member.life().generation(),
            nonce: member.life().nonce(),
            incarnation: member.incarnation(),
        };
        // To its owner itself, or to another.
        let (to, mask) = if seed % 2 == 0 { (3, 1) } else { (0, 1) };
        let owner = sender(own(&sim, 3));
        let record = forge::record_at(0, owner, &forge::varint(8_000));
        let news = forge::frame(forge::kind::NEWS, &record);
        let datagram =
            forge::datagram(cluster_key, CLOSED, sender(own(&sim, to)).tag(), sender(own(&sim, mask)), &[news]);
        sim.inject(mask, to, &datagram);
        sim.run_for(5 * SECOND);
        assert!(sim.agrees(), "seed {seed}");
        assert!((0..6).all(|host| sim.machine(host).unwrap().member(sim.id(3)) == Some(own(&sim, 3))), "seed {seed}");
        assert_eq!(own(&sim, 3).addr(), 3, "seed {seed}");
        assert_eq!(
            own(&sim, 3).incarnation(),
            owner.incarnation,
            "seed {seed}: nobody holds it, as who was asked says"
        );
        let reports = sim.take_reports();
        assert_eq!(told_of(&sim, &reports, 3), [], "seed {seed}: nobody has followed it anywhere");
    }
}

#[test]
fn whoever_left_is_never_found_dead_and_whoever_died_never_said_to_have_left() {
    for seed in 0..8 {
        let mut sim = cluster(16, seed);
        sim.leave(3);
        sim.run_for(Duration::from_millis(100 * seed));
        sim.crash(5);
        sim.crash(3);
        sim.run_for(MINUTE);
        // A newcomer hears of both, or of neither.
        let newcomer = sim.add(fresh());
        sim.start(newcomer, &[0]);
        sim.run_for(MINUTE);
        let reports = sim.take_reports();
        let of = |host: usize, status| {
            let told = reported(&reports, status);
            told.into_iter().filter(|(by, id)| *id == sim.id(host) && ![3, 5, newcomer].contains(by)).count()
        };
        assert_eq!((of(3, Status::Left), of(3, Status::Down)), (14, 0), "seed {seed}");
        assert_eq!((of(5, Status::Left), of(5, Status::Down)), (0, 14), "seed {seed}");
        let seen = [3, 5].map(|host| status_of(&sim, newcomer, host));
        assert!(
            matches!(seen[0], None | Some(Status::Left)) && matches!(seen[1], None | Some(Status::Down)),
            "{seen:?}"
        );
    }
}

#[test]
fn a_join_during_a_leave_does_not_keep_the_leaver() {
    for seed in 0..20 {
        let mut sim = cluster(8, seed);
        sim.leave(3);
        sim.run_for(Duration::from_micros(400 * seed));
        sim.with(3, |node, now| node.join(now, 0).unwrap());
        sim.run_for(20 * SECOND);
        assert_eq!(sim.machine(3).unwrap().phase(), Phase::Left, "seed {seed}");
        let reports = sim.take_reports();
        assert_eq!(reported(&reports, Status::Left).len(), 7, "seed {seed}: once each");
        assert_eq!(reported(&reports, Status::Alive), [], "seed {seed}");
        assert!(sim.running().all(|host| status_of(&sim, host, 3) == Some(Status::Left)), "seed {seed}");
    }
}

#[test]
fn one_held_dead_at_a_high_incarnation_is_back_within_seconds_at_a_low_one() {
    for (away, seed) in [(8, 1), (8, 2), (60, 3), (600, 4)] {
        let mut sim = cluster(64, seed);
        age(&mut sim, 7, 40);
        let high = own(&sim, 7);
        assert!(high.incarnation() >= 40, "seed {seed}");
        sim.crash(7);
        sim.run_for(away * SECOND);
        assert_eq!(status_of(&sim, 0, 7), Some(Status::Down), "seed {seed}");
        sim.restart(7, fresh(), &[0]);
        let back = sim.run_until_agreed(50 * MILLIS, 2 * SECOND);
        assert!(back.is_some(), "seed {seed}: after {away} s away");
        let low = own(&sim, 7);
        assert!(low.incarnation() < 3 && low.life() > high.life(), "seed {seed}: {low:?} after {high:?}");
        sim.take_reports();
        sim.run_for(MINUTE);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}: and it stays");
    }
}

#[test]
fn a_rolling_restart_of_256_in_waves_loses_nobody() {
    for (wave, pause, seed) in [(8, 2, 1), (32, 5, 2)] {
        let mut sim = cluster(256, seed);
        let before: Vec<_> = (0..256).map(|host| own(&sim, host).life()).collect();
        for first in (0..256).step_by(wave) {
            (first..first + wave).for_each(|host| sim.crash(host));
            sim.run_for(SECOND);
            // Through one before and one after, which run just now.
            let seeds = [(first + 255) % 256, (first + wave) % 256];
            (first..first + wave).for_each(|host| sim.restart(host, fresh(), &seeds));
            sim.run_for(pause * SECOND);
        }
        let agreed = sim.run_until_agreed(50 * MILLIS, 5 * SECOND);
        assert!(agreed.is_some(), "seed {seed}: waves of {wave}");
        assert!((0..256).all(|host| own(&sim, host).life() > before[host]), "seed {seed}: all live anew");
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}: nobody was away for so long");
    }
}

#[test]
fn a_cluster_of_512_that_was_dead_to_itself_is_whole_within_seconds_of_its_restart() {
    let seed = 1;
    let mut sim = cluster(512, seed);
    // Some have spoken against their death before, so that their last lives end at high counters.
    chosen(20, 512, seed).iter().for_each(|host| age(&mut sim, *host, 2));
    // One survives to remember all the others as dead, and so is a seed with a memory.
    (1..512).for_each(|host| sim.crash(host));
    sim.run_for(30 * MINUTE);
    (1..512).for_each(|host| sim.restart(host, fresh(), &[0]));
    let agreed = sim.run_until_agreed(100 * MILLIS, 10 * SECOND);
    assert!(agreed.is_some(), "seed {seed}");
    sim.take_reports();
    sim.run_for(MINUTE);
    assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}: nobody is missed");
    assert!(sim.agrees(), "seed {seed}");
}

#[test]
fn a_datagram_of_three_hundred_parts_is_read_to_its_end() {
    for seed in 0..3 {
        let mut sim = cluster(3, seed);
        let [victim, mask] = [0, 1].map(|host| {
            let member = own(&sim, host);
            let (life, incarnation) = (member.life(), member.incarnation());
            let (generation, nonce) = (life.generation(), life.nonce());
            forge::Sender { id: member.id().get(), generation, nonce, incarnation }
        });
        let part = |number: u64| {
            let newcomer = forge::Sender { id: 7_000 + number, generation: 0, nonce: 7, incarnation: 0 };
            forge::frame(forge::kind::NEWS, &forge::record_at(0, newcomer, &forge::varint(50_000 + number as u32)))
        };
        let parts: Vec<Vec<u8>> = (0..300).map(part).collect();
        let datagram = forge::datagram(forge::cluster(""), CLOSED, victim.tag(), mask, &parts);
        sim.inject(1, 0, &datagram);
        sim.run_for(20 * MILLIS);
        let known = sim.machine(0).unwrap().members().filter(|member| member.id().get() >= 7_000).count();
        assert_eq!(known, 300, "seed {seed}");
    }
}

/// Counts what is sent to addresses from this number on.
struct SentTo(u32, Rc<Cell<u64>>);

impl Watch<HeapNode<u32>> for SentTo {
    fn after_step(&mut self, _: &Cluster, _: usize) -> Result<(), String> {
        Ok(())
    }
    fn on_transmit(&mut self, _: &Cluster, _: usize, to: u32, _: &[u8]) -> Result<(), String> {
        self.1.set(self.1.get() + u64::from(to >= self.0));
        Ok(())
    }
}

#[test]
fn the_dead_are_visited_now_and_then_and_sent_nothing_else() {
    for (size, dead, seed) in [(8, 1, 1), (8, 4, 2), (32, 8, 3), (32, 16, 4)] {
        let mut sim = cluster(size, seed);
        let sent = Rc::new(Cell::new(0));
        sim.watch(SentTo((size - dead) as u32, sent.clone()));
        (size - dead..size).for_each(|host| sim.crash(host));
        assert!(sim.run_until_agreed(SECOND, MINUTE).is_some(), "seed {seed}");
        sim.run_for(20 * SECOND);
        let settled = sent.take();
        assert!(settled > 0, "seed {seed}: they were probed");
        sim.run_for(10 * MINUTE);
        // Each of the living visits one of them, or a seed, in each of these.
        let visits = (size - dead) as u64 * 600 / Config::LAN.dead_probe_period().as_secs();
        assert!((1..=visits + 40).contains(&sent.get()), "seed {seed}: {} datagrams, {visits} visits", sent.get());
        let news =
            |sim: &Cluster| -> u64 { sim.running().map(|host| sim.machine(host).unwrap().stats().news_out).sum() };
        let before = news(&sim);
        sim.run_for(10 * MINUTE);
        assert_eq!(news(&sim), before, "seed {seed}: there is no news of them any more");
    }
}
