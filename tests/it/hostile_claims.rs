//! Who may say what of whom: peers that know the cluster's name speak in others' names, about others, and for members
//! that are gone. What only an owner may change costs its owner nothing if others say it.

use std::time::Duration;

use crate::common::cluster::{SECOND, fresh, reported, status_of, watched};
use tidings::internals::forge;
use tidings::sim::{Conditions, Forger, Report, Sim, SimRng};
use tidings::{Config, DropReason, HeapNode, Limits, Phase, Status};

type Cluster = Sim<HeapNode<u32>>;

const MILLIS: Duration = Duration::from_millis(1);

/// Tells `victim` what the forger says, as if its neighbour `mask` did; how many bytes that took.
fn tell(sim: &mut Cluster, victim: usize, mask: usize, lie: impl FnOnce(&Cluster, Forger) -> Vec<u8>) -> usize {
    let forger = Forger::new(sim.machine(victim).unwrap(), sim.machine(mask).unwrap()).unwrap();
    let bytes = lie(sim, forger);
    assert!(!bytes.is_empty());
    sim.inject(mask, victim, &bytes);
    bytes.len()
}

/// A process of its own under a member's id and in a greater life, which nobody has admitted: where it is.
fn impostor(sim: &mut Cluster, victim: usize) -> usize {
    let host = sim.add(fresh());
    sim.set_id(host, sim.id(victim));
    sim.start(host, &[]);
    let life = |sim: &Cluster, host: usize| sim.machine(host).unwrap().member(sim.id(victim)).unwrap().life();
    while life(sim, host) <= life(sim, victim) {
        let (id, mut rng) = (sim.id(victim), SimRng::new(7));
        sim.with(host, |node, now| node.start(now, id, host as u32, &mut rng).unwrap());
    }
    host
}

// Lives.

#[test]
fn a_twin_that_nobody_holds_silences_no_member_however_well_it_answers() {
    for (size, seed) in [(2, 1), (3, 2), (8, 3), (8, 4), (32, 5)] {
        let mut sim = watched(size, seed);
        let before = sim.machine(1).unwrap().member(sim.id(1)).unwrap().life();
        let twin = impostor(&mut sim, 1);
        for _ in 0..20 {
            tell(&mut sim, 1, 0, |sim, forger| forger.hearsay(sim.machine(twin).unwrap()));
            sim.run_for(SECOND);
        }
        let phase = sim.machine(1).unwrap().phase();
        assert_eq!(phase, Phase::Member, "{size} members");
        assert_eq!(sim.machine(1).unwrap().member(sim.id(1)).unwrap().life(), before, "{size} members");
        let reports = sim.take_reports();
        assert!(reports.iter().all(|told| told.report != Report::IdTaken), "{size} members");
        assert!((0..size).all(|host| status_of(&sim, host, 1) == Some(Status::Alive)), "{size} members");
        assert_eq!(sim.failure(), None, "{size} members");
    }
}

#[test]
fn a_life_that_nobody_holds_makes_no_member_begin_anew() {
    for seed in 0..5 {
        let mut sim = watched(8, seed);
        let before = sim.machine(3).unwrap().member(sim.id(3)).unwrap().life();
        for turn in 0..10 {
            // At its own address, as its past would be; dead; and where nobody is.
            tell(&mut sim, 3, 1, |sim, forger| match turn % 3 {
                0 => forger.rebirth(sim.machine(3).unwrap(), None),
                1 => forger.obituary(sim.machine(3).unwrap()),
                _ => forger.rebirth(sim.machine(3).unwrap(), Some(50_000)),
            });
            sim.run_for(5 * SECOND);
        }
        let now = sim.machine(3).unwrap().member(sim.id(3)).unwrap().life();
        assert_eq!(now, before, "seed {seed}");
        assert!(sim.agrees(), "seed {seed}");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

#[test]
fn a_dead_member_pushed_to_any_generation_is_let_in_again_when_it_restarts() {
    for (steps, seed) in [(&[65_537, 65_536][..], 1), (&[65_536, 65_536, 65_536], 2), (&[1, 1, 65_535, 1 << 20], 3)] {
        let mut sim = watched(8, seed);
        let gone = sim.machine(5).unwrap().clone();
        sim.crash(5);
        sim.run_until_all_report(5, Status::Down, 20 * SECOND).unwrap();
        sim.run_for(SECOND);
        let mut pushed = 0;
        for by in steps {
            pushed += by;
            for victim in [0, 1, 2, 3] {
                tell(&mut sim, victim, 4, |_, forger| forger.late_obituary(&gone, pushed));
            }
            sim.run_for(SECOND);
        }
        sim.restart(5, fresh(), &[0, 1]);
        let took = sim.run_until_agreed(10 * MILLIS, 30 * SECOND);
        assert!(took.is_some_and(|took| took < SECOND), "pushed by {steps:?}: {took:?}");
        assert_eq!(sim.failure(), None, "pushed by {steps:?}");
    }
}

#[test]
fn a_node_is_no_member_while_nobody_holds_it_alive_whoever_speaks_to_it() {
    let mut sim = watched(4, 1);
    // Its only seed is not there, and what it sends gets nowhere. Somebody speaks to it in a member's name all the same.
    let newcomer = sim.add(fresh());
    (0..4).for_each(|host| sim.set_blocked(newcomer, host, true));
    sim.start(newcomer, &[40]);
    for _ in 0..20 {
        tell(&mut sim, newcomer, 1, |sim, forger| forger.hearsay(sim.machine(1).unwrap()));
        tell(&mut sim, newcomer, 1, |_, forger| forger.ping());
        sim.run_for(100 * MILLIS);
    }
    assert_eq!(sim.machine(newcomer).unwrap().phase(), Phase::Joining);
    assert_eq!(sim.failure(), None);
}

// What only an owner may change.

#[test]
fn no_patience_that_others_give_a_dead_member_hides_its_crash() {
    for (later, seed) in [(0, 1), (0, 2), (1, 3), (1, 4)] {
        let mut sim = watched(8, seed);
        let gone = sim.machine(5).unwrap().clone();
        sim.crash(5);
        sim.run_for(100 * MILLIS);
        for victim in [0, 1, 2, 3, 4, 6, 7] {
            tell(&mut sim, victim, (victim + 1) % 5, |_, forger| forger.lullaby(&gone, 15, later));
        }
        let known = sim.run_until_all_report(5, Status::Down, 120 * SECOND);
        assert!(known.is_some_and(|known| known < 6 * SECOND), "{later} later: {known:?}");
        assert_eq!(sim.failure(), None);
    }
}

#[test]
fn no_patience_that_newcomers_are_told_of_hides_a_crash_for_longer_than_two_minutes() {
    let mut sim = watched(3, 1);
    let gone = sim.machine(2).unwrap().clone();
    (0..3).for_each(|host| sim.crash(host));
    (0..2).for_each(|host| sim.restart(host, fresh(), &[0, 1]));
    sim.run_for(2 * SECOND);
    for victim in 0..2 {
        tell(&mut sim, victim, 1 - victim, |_, forger| forger.lullaby(&gone, 15, 0));
    }
    sim.run_for(SECOND);
    let held = |sim: &Cluster, host: usize| sim.machine(host).unwrap().member(sim.id(2)).map(|member| member.status());
    assert_eq!([held(&sim, 0), held(&sim, 1)], [Some(Status::Alive); 2], "they are told of it");
    let known = sim.run_until_all_report(2, Status::Down, 200 * SECOND);
    assert!(known.is_some_and(|known| known < 140 * SECOND), "{known:?}");
    assert_eq!(sim.failure(), None);
}

#[test]
fn what_others_say_that_a_living_member_has_said_is_put_to_it_and_not_held() {
    for later in [0, 1] {
        let mut sim = watched(8, 1);
        for victim in [0, 1, 2] {
            tell(&mut sim, victim, 4, |sim, forger| forger.lullaby(sim.machine(5).unwrap(), 15, later));
        }
        sim.run_for(2 * SECOND);
        assert!(sim.agrees(), "{later} later");
        sim.crash(5);
        let known = sim.run_until_all_report(5, Status::Down, 60 * SECOND);
        assert!(known.is_some_and(|known| known < 6 * SECOND), "{later} later: {known:?}");
        assert_eq!(sim.failure(), None, "{later} later");
    }
}

/// How much more a cluster of 16 sends for each byte that somebody lies to `victim` about `about`, ten times a second; and how
/// often the one that is spoken of has spoken anew.
fn cost_of(lie: impl Fn(Forger, &HeapNode<u32>) -> Vec<u8>, (victim, about): (usize, usize), seed: u64) -> (u64, u32) {
    let mut sim = watched(16, seed);
    sim.run_for(10 * SECOND);
    let quiet = sim.total_traffic().bytes;
    sim.run_for(30 * SECOND);
    let before = sim.total_traffic().bytes;
    let words = |sim: &Cluster| sim.machine(about).unwrap().member(sim.id(about)).unwrap().incarnation();
    let (first, mut forged) = (words(&sim), 0);
    for _ in 0..300 {
        forged += tell(&mut sim, victim, 1, |sim, forger| lie(forger, sim.machine(about).unwrap()));
        sim.run_for(100 * MILLIS);
    }
    let spent = (sim.total_traffic().bytes - before).saturating_sub(before - quiet);
    let spoken = words(&sim) - first;
    sim.run_for(5 * SECOND);
    assert!(sim.agrees());
    assert_eq!(sim.failure(), None);
    (spent / forged as u64, spoken)
}

#[test]
fn what_others_say_that_a_member_has_said_costs_less_than_thrice_what_it_takes_whoever_is_told() {
    type Lie = fn(Forger, &HeapNode<u32>) -> Vec<u8>;
    let lies: [(&str, Lie); 8] = [
        ("it sleeps long", |forger, about| forger.lullaby(about, 15, 0)),
        ("it sleeps long by now", |forger, about| forger.lullaby(about, 15, 1)),
        ("it spoke three times", |forger, about| forger.leap(about, 3)),
        ("it moved", |forger, about| forger.removal(about, 50_000)),
        ("it left", |forger, about| forger.farewell(about)),
        ("it left without a word", |forger, about| forger.idle_farewell(about)),
        ("did it leave?", |forger, about| forger.doubt(about, 0)),
        ("did it leave by now?", |forger, about| forger.doubt(about, 1)),
    ];
    for (said, lie) in lies {
        for (victim, about) in [(3, 3), (2, 3)] {
            let (each, spoken) = cost_of(lie, (victim, about), 1);
            println!("{said}, to {victim}: {each} B a byte, {spoken} words of its own");
            assert!(each < 3 && spoken <= 3, "{said}, to {victim}: {each} B a byte, {spoken} words of its own");
        }
    }
}

// Farewells.

/// Part of the time, in thousandths, that others hold a member gone while so many farewells of it are told to them in
/// a minute, and the bytes that one such farewell costs the cluster.
fn gone_by_farewells(size: usize, each_minute: u32, seed: u64) -> (usize, u64) {
    let mut sim = watched(size, seed);
    sim.run_for(10 * SECOND);
    let quiet = sim.total_traffic().bytes;
    sim.run_for(60 * SECOND);
    let before = sim.total_traffic().bytes;
    let (mut gone, mut looks, mut forged) = (0, 0, 0);
    let (gap, mut next) = (60_000 / each_minute, 0);
    for at in (0..60_000).step_by(20) {
        if at >= next {
            next += gap;
            let victim = [0, 1, 2, 4, 5, 6, 7][(at / gap) as usize % 7];
            forged += tell(&mut sim, victim, (victim + 1) % 3, |sim, forger| match at / gap % 4 {
                0 => forger.idle_farewell(sim.machine(3).unwrap()),
                _ => forger.farewell(sim.machine(3).unwrap()),
            });
        }
        sim.run_for(20 * MILLIS);
        gone += (0..size).filter(|host| status_of(&sim, *host, 3) == Some(Status::Left)).count();
        looks += size - 1;
    }
    let spent = (sim.total_traffic().bytes - before).saturating_sub(before - quiet);
    sim.run_for(5 * SECOND);
    assert!(sim.agrees());
    assert_eq!(sim.failure(), None);
    (gone * 1_000 / looks, spent / forged as u64)
}

#[test]
fn farewells_in_a_members_name_hide_it_once_at_the_most_and_cost_less_than_thrice_what_they_take() {
    for (size, each_minute) in [(16, 30), (16, 600), (64, 30), (64, 600)] {
        let runs: Vec<(usize, u64)> = (1..=6).map(|seed| gone_by_farewells(size, each_minute, seed)).collect();
        let about =
            format!("{size} members, {each_minute} a minute: per mille of the time, and bytes a byte: {runs:?}");
        let of = |part: &dyn Fn(&(usize, u64)) -> u64| runs.iter().map(part).sum::<u64>();
        // The first may be believed by those who have not heard the member lately, for up to a second of sixty.
        assert!(of(&|run| run.0 as u64) < 6 * 5 && runs.iter().all(|run| run.0 < 18), "{about}");
        // It is told to all, and taken back before all.
        assert!(of(&|run| run.1) < 6 * if each_minute < 100 { 32 } else { 3 }, "{about}");
    }
}

// Joins.

#[test]
fn a_join_that_is_replayed_later_brings_nobody_back() {
    for seed in 0..5 {
        let mut sim = Cluster::new(seed, Conditions::LAN);
        let small = || HeapNode::new(Config::LAN, Limits::DEFAULT.with_members(4));
        for host in 0..3 {
            sim.add(small());
            sim.start(host, &[0]);
        }
        sim.run_for(5 * SECOND);
        let guest = sim.add(small());
        sim.start(guest, &[0]);
        sim.run_for(50 * MILLIS);
        let joins: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
        sim.crash(guest);
        sim.run_for(20 * SECOND);
        // Another takes the place of the dead, who is forgotten, and is gone in its turn.
        let other = sim.add(small());
        sim.start(other, &[0]);
        sim.run_for(2 * SECOND);
        assert_eq!(status_of(&sim, 0, guest), None, "seed {seed}: forgotten");
        sim.crash(other);
        sim.run_for(20 * SECOND);
        sim.take_reports();
        // What the guest has said, joins and news of itself.
        let its_id = sim.id(guest).get().to_le_bytes();
        for bytes in joins.iter().filter(|bytes| bytes[7..15] == its_id) {
            sim.spoof(guest as u32, 0, bytes);
        }
        sim.run_for(SECOND);
        let up = reported(&sim.take_reports(), Status::Alive);
        assert_eq!(up, [], "seed {seed}");
    }
}

#[test]
fn a_seed_that_lies_about_a_newcomers_id_keeps_it_out_of_no_other_seeds_cluster() {
    for seed in 0..20 {
        let mut sim = watched(4, seed);
        let newcomer = sim.add(fresh());
        // Whatever the first seed answers, it says that another has the id and lives.
        sim.set_tamper(
            0,
            Some(Box::new(move |sim: &Cluster, _, to, bytes: &mut Vec<u8>| {
                if to != newcomer || bytes.get(19) != Some(&forge::kind::WELCOME) {
                    return;
                }
                let node = sim.machine(newcomer).unwrap();
                let life = node.member(node.id()).unwrap().life();
                bytes[25] = 4;
                forge::seal(bytes, forge::cluster(""), forge::tag(node.id().get(), life.generation(), life.nonce()));
            })),
        );
        sim.start(newcomer, &[0, 1]);
        sim.run_for(5 * SECOND);
        assert_eq!(sim.machine(newcomer).unwrap().phase(), Phase::Member, "seed {seed}");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

#[test]
fn of_members_that_somebody_invents_at_one_address_four_get_in() {
    for size in [8, 100] {
        let mut sim = watched(size, 1);
        for first in (0..400).step_by(40) {
            let ids = 1_000_000 + first..1_000_000 + first + 40;
            tell(&mut sim, 2, 1, |_, forger| forger.crowd::<u32>(ids, 50_000));
            sim.run_for(MILLIS);
        }
        sim.run_for(20 * MILLIS);
        let crowd = sim.machine(2).unwrap().members().filter(|member| member.addr() == 50_000).count();
        // A look at a part of the slots of a larger table does not see all.
        assert!(crowd <= if size < 32 { 4 } else { 64 }, "{size} members: {crowd} of 400");
        assert!(sim.machine(2).unwrap().stats().dropped(DropReason::TableFull) > 300, "{size} members: {crowd} of 400");
        assert!(sim.run_until_agreed(SECOND, 60 * SECOND).is_some(), "{size} members: {:?}", sim.failure());
    }
}
