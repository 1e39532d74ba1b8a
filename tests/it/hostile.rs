//! Hostile peers: they know the cluster's name and all that is said in it. Whatever they do costs bounded bytes and
//! memory, is counted by reason, and brings nobody down. Every run has the safety checks of the simulator on; a failure
//! names the seed to run again.

use std::time::Duration;

use crate::common::cluster::{SECOND, fresh, reported, status_of, watched};
use tidings::internals::forge;
use tidings::sim::{Conditions, Forger, Report, Sim, SimRng, liar};
use tidings::{DropReason, HeapNode, Limits, MAX_DATAGRAM, Phase, Status};

type Cluster = Sim<HeapNode<u32>>;

const MILLIS: Duration = Duration::from_millis(1);
/// Where nobody is.
const GHOST: u32 = 50_000;
/// Where nobody is and of which nobody speaks: the safety checks see to it that it gets three bytes for one at the most.
const NOBODY: u32 = 65_000;

/// Tells `victim` what the forger says, as if its neighbour `mask` did.
fn tell(sim: &mut Cluster, victim: usize, mask: usize, lie: impl FnOnce(&Cluster, Forger) -> Vec<u8>) {
    let forger = Forger::new(sim.machine(victim).unwrap(), sim.machine(mask).unwrap()).unwrap();
    let bytes = lie(sim, forger);
    assert!(!bytes.is_empty());
    sim.inject(mask, victim, &bytes);
}

fn dropped(sim: &Cluster, host: usize, reason: DropReason) -> u64 {
    sim.machine(host).unwrap().stats().dropped(reason)
}

/// Whether nothing came of it: nobody was reported down, gone or moved, and all agree.
fn is_harmless(sim: &mut Cluster, about: &str) {
    let reports = sim.take_reports();
    for status in [Status::Down, Status::Left] {
        assert_eq!(reported(&reports, status), [], "{about}");
    }
    let moved = reports.iter().filter(|told| matches!(told.report, Report::Moved(_) | Report::IdTaken)).count();
    assert_eq!(moved, 0, "{about}");
    assert!(sim.agrees(), "{about}");
    assert!(sim.failure().is_none(), "{about}: {:?}", sim.failure());
}

/// Bytes per host and second since the traffic was `before`.
fn rate(sim: &Cluster, before: u64, seconds: u64) -> u64 {
    (sim.total_traffic().bytes - before) / sim.hosts() as u64 / seconds
}

#[test]
fn a_forged_move_redirects_nobody_and_is_contradicted() {
    for seed in 0..20 {
        let mut sim = watched(8, seed);
        for turn in 0..10 {
            let (victim, mask, accused) = (turn % 8, (turn + 1) % 8, (turn + 3) % 8);
            tell(&mut sim, victim, mask, |sim, forger| forger.removal(sim.machine(accused).unwrap(), GHOST));
            sim.run_for(SECOND);
        }
        let contradicted: u64 = (0..8).map(|host| dropped(&sim, host, DropReason::Contradicted)).sum();
        assert!(contradicted > 0, "seed {seed}: a newer word of the accused may come first, but not always");
        is_harmless(&mut sim, &format!("seed {seed}"));
    }
}

#[test]
fn a_forged_new_life_replaces_nobody_and_nobody_need_begin_anew_unless_it_keeps_coming() {
    for seed in 0..20 {
        let mut sim = watched(8, seed);
        let before = sim.machine(3).unwrap().member(sim.id(3)).unwrap().life();
        for turn in 0..10 {
            let victim = [0, 1, 2, 4, 5][turn % 5];
            let place = [Some(GHOST), None][turn % 2];
            tell(&mut sim, victim, (victim + 1) % 8, |sim, forger| forger.rebirth(sim.machine(3).unwrap(), place));
            sim.run_for(300 * MILLIS);
            assert!(dropped(&sim, victim, DropReason::Contradicted) > 0, "seed {seed}");
        }
        sim.run_for(10 * SECOND);
        let now = sim.machine(3).unwrap().member(sim.id(3)).unwrap().life();
        assert_eq!(now, before, "seed {seed}: it has not had to begin anew either");
        is_harmless(&mut sim, &format!("seed {seed}"));
    }
}

#[test]
fn forged_deaths_of_members_that_were_heard_lately_bring_nobody_down() {
    for seed in 0..20 {
        // In a cluster of four everybody hears everybody within three seconds.
        let mut sim = watched(4, seed);
        for turn in 0..40 {
            let (victim, accused) = (turn % 4, (turn + 2) % 4);
            tell(&mut sim, victim, (turn + 1) % 4, |sim, forger| {
                let accused = sim.machine(accused).unwrap();
                if turn % 2 == 0 { forger.accusation(accused) } else { forger.obituary(accused) }
            });
            sim.run_for(200 * MILLIS);
        }
        sim.run_for(10 * SECOND);
        is_harmless(&mut sim, &format!("seed {seed}"));
    }
}

#[test]
fn a_death_that_names_no_witnesses_brings_nobody_down_heard_lately_or_not() {
    for seed in 0..20 {
        let mut sim = watched(32, seed);
        for turn in 0..40 {
            let (victim, accused) = (turn % 32, (turn + 13) % 32);
            tell(&mut sim, victim, (turn + 1) % 32, |sim, forger| {
                let accused = sim.machine(accused).unwrap();
                // The accused itself and one whom nobody knows are none.
                let jurors = [accused.id(), tidings::NodeId::new(77_777)];
                if turn % 2 == 0 { forger.accusation(accused) } else { forger.verdict(accused, jurors) }
            });
            sim.run_for(200 * MILLIS);
        }
        sim.run_for(10 * SECOND);
        assert_eq!(reported(&sim.take_reports(), Status::Down), [], "seed {seed}");
        is_harmless(&mut sim, &format!("seed {seed}"));
    }
}

#[test]
fn a_parcel_that_comes_again_and_again_is_passed_on_once() {
    let sent = |times: u32| {
        let mut sim = watched(32, 1);
        let forger = Forger::new(sim.machine(0).unwrap(), sim.machine(1).unwrap()).unwrap();
        let parcel = forger.parcel::<u32>(99, 1_000_000);
        let before = sim.total_traffic().datagrams;
        // While it is news, and long after.
        for turn in 0..200 {
            if turn < times {
                sim.inject(1, 0, &parcel);
            }
            sim.run_for(100 * MILLIS);
        }
        assert_eq!(sim.failure(), None);
        sim.total_traffic().datagrams - before
    };
    let (never, once, always) = (sent(0), sent(1), sent(200));
    assert!(once > never + 2 * 31, "all have been told, at first of it and then of its death");
    // Each is acknowledged.
    assert!(always < once + 200 + 100, "{always} datagrams, and {once} if it comes once");
}

#[test]
fn a_forged_death_or_farewell_of_any_member_is_taken_back_by_it_within_two_seconds() {
    for seed in 0..40 {
        let mut sim = watched(16, seed);
        tell(&mut sim, 0, 1, |sim, forger| {
            let accused = sim.machine(3).unwrap();
            let jurors = [sim.id(5), sim.id(6)];
            if seed % 2 == 0 { forger.farewell(accused) } else { forger.verdict(accused, jurors) }
        });
        sim.run_for(2 * SECOND);
        assert_eq!(sim.machine(3).unwrap().phase(), Phase::Member, "seed {seed}");
        assert!(sim.agrees(), "seed {seed}: it stays, and all know it");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

#[test]
fn counters_that_leap_are_refused_and_counters_pushed_to_the_end_leave_the_owner_an_answer() {
    let seed = 1;
    let mut sim = watched(6, seed);
    for by in [u32::MAX, u32::MAX / 2, 1 << 17] {
        tell(&mut sim, 0, 1, |sim, forger| forger.leap(sim.machine(3).unwrap(), by));
    }
    sim.run_for(SECOND);
    assert_eq!(dropped(&sim, 0, DropReason::CounterJump), 3);
    is_harmless(&mut sim, "leaps");
    // What nobody holds who is asked moves nothing.
    let own = |sim: &Cluster| sim.machine(3).unwrap().member(sim.id(3)).unwrap();
    let before = own(&sim);
    for _ in 0..200 {
        tell(&mut sim, 3, 1, |sim, forger| forger.leap(sim.machine(3).unwrap(), 1 << 16));
        sim.run_for(20 * MILLIS);
    }
    assert_eq!((own(&sim).life(), own(&sim).incarnation()), (before.life(), before.incarnation()));
    // A member gone bad says that it does, as far as it goes.
    sim.set_tamper(
        1,
        Some(Box::new(|sim: &Cluster, _, to, bytes: &mut Vec<u8>| {
            // A verdict, whose last byte is the word.
            if to == 3 && bytes.get(19) == Some(&4) {
                let life = sim.machine(3).unwrap().member(sim.id(3)).unwrap().life();
                bytes[33] = 0;
                let tag = forge::tag(sim.id(3).get(), life.generation(), life.nonce());
                forge::seal(bytes, forge::cluster(""), tag);
            }
        })),
    );
    let mut pushes = 0;
    while own(&sim).life() == before.life() {
        tell(&mut sim, 3, 1, |sim, forger| forger.leap(sim.machine(3).unwrap(), 1 << 16));
        sim.run_for(SECOND + 50 * MILLIS);
        pushes += 1;
        assert!(pushes < 40_000, "it begins a new life before it has nothing more to say");
    }
    sim.run_for(5 * SECOND);
    assert!(sim.agrees(), "and all have followed it: {:?}", sim.failure());
}

#[test]
fn replays_of_all_that_was_said_change_nothing() {
    for seed in 0..10 {
        let mut sim = watched(8, seed);
        let mut rng = SimRng::new(seed);
        let before: Vec<u64> = (0..8).map(|host| sim.machine(host).unwrap().fingerprint()).collect();
        for _ in 0..20 {
            let overheard: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
            for bytes in &overheard {
                let to = rng.below(8) as usize;
                match rng.below(3) {
                    0 => sim.spoof(NOBODY, to, bytes),
                    _ => sim.inject(rng.below(8) as usize, to, bytes),
                }
            }
            sim.run_for(500 * MILLIS);
        }
        let after: Vec<u64> = (0..8).map(|host| sim.machine(host).unwrap().fingerprint()).collect();
        assert_eq!(after, before, "seed {seed}");
        assert!((0..8).any(|host| dropped(&sim, host, DropReason::Unasked) > 0), "seed {seed}: they are counted");
        is_harmless(&mut sim, &format!("seed {seed}"));
    }
}

/// Sends a host this many datagrams a second for ten seconds, from a host, a ghost or nobody.
fn flood(sim: &mut Cluster, to: usize, each_second: u32, mut datagram: impl FnMut(&mut SimRng) -> Vec<u8>) {
    let mut rng = SimRng::new(each_second.into());
    for turn in 0..10 * each_second {
        let bytes = datagram(&mut rng);
        match turn % 3 {
            0 => sim.spoof(NOBODY, to, &bytes),
            1 => sim.spoof(GHOST, to, &bytes),
            _ => sim.inject((to + 1) % sim.hosts(), to, &bytes),
        }
        sim.run_for(SECOND / each_second);
    }
}

#[test]
fn a_flood_of_random_truncated_and_oversized_datagrams_hides_no_crash_and_slows_no_timer() {
    let seed = 1;
    let mut sim = watched(8, seed);
    let overheard: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
    let probes = sim.machine(2).unwrap().stats().probes;
    sim.crash(5);
    flood(&mut sim, 2, 2_000, |rng| match rng.below(20) {
        0 => vec![rng.draw() as u8; MAX_DATAGRAM + 20],
        1..10 => (0..rng.below(300)).map(|_| rng.draw() as u8).collect(),
        _ => {
            let mut bytes = overheard[rng.below(overheard.len() as u64) as usize].clone();
            bytes.truncate(rng.below(bytes.len() as u64) as usize);
            bytes
        }
    });
    let probes = sim.machine(2).unwrap().stats().probes - probes;
    assert!((9..=11).contains(&probes), "{probes} probes in 10 s, at one a second");
    let reports = sim.take_reports();
    let down = reported(&reports, Status::Down);
    assert_eq!(down.len(), 7, "all know of the crash: {down:?}");
    assert!(down.iter().all(|(_, id)| *id == sim.id(5)), "and of no other: {down:?}");
    let counted = [DropReason::Truncated, DropReason::Check, DropReason::WireVersion, DropReason::OtherCluster];
    for reason in counted {
        assert!(dropped(&sim, 2, reason) > 0, "{reason} is counted");
    }
    assert_eq!(sim.failure(), None);
}

#[test]
fn a_flood_of_joins_from_addresses_that_never_answer_fills_no_table() {
    let seed = 2;
    let mut sim = watched(8, seed);
    // What a newcomer sends, with another id each time.
    let newcomer = sim.add(fresh());
    sim.start(newcomer, &[3]);
    sim.crash(newcomer);
    let joins: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
    let join = joins.last().unwrap().clone();
    let before = sim.total_traffic().bytes;
    flood(&mut sim, 2, 2_000, |_| join.clone());
    assert_eq!(sim.machine(2).unwrap().live(), 8, "nobody was let in");
    assert!(rate(&sim, before, 10) < 30_000, "{} bytes per host and second", rate(&sim, before, 10));
    is_harmless(&mut sim, "joins");
}

#[test]
fn a_peer_that_answers_everything_wrongly_harms_only_itself() {
    for (size, loss) in [(5, 0.0), (8, 0.0), (8, 0.05), (16, 0.0)] {
        for seed in 0..6 {
            let mut sim = watched(size, seed);
            sim.set_conditions(Conditions::LAN.with_loss(loss));
            let before = sim.total_traffic().bytes;
            sim.set_tamper(2, Some(liar(seed)));
            sim.run_for(60 * SECOND);
            let about = format!("{size} nodes, loss {loss}, seed {seed}");
            let down = reported(&sim.take_reports(), Status::Down);
            let others: Vec<_> = down.iter().filter(|(host, id)| *host != 2 && *id != sim.id(2)).collect();
            assert!(others.is_empty(), "{about}: {others:?}");
            let bytes = rate(&sim, before, 60);
            assert!(bytes < 2_000, "{about}: {bytes} bytes per host and second");
            let refused: u64 = (0..size).map(|host| sim.machine(host).unwrap().stats().dropped_in_all()).sum();
            assert!(refused > 0, "{about}: it is counted");
            // It comes to its senses, and all agree again.
            sim.set_tamper(2, None);
            let agreed = sim.run_until_agreed(100 * MILLIS, 60 * SECOND);
            assert!(agreed.is_some(), "{about}: {:?}", sim.failure());
            assert_eq!(sim.failure(), None, "{about}");
        }
    }
}

#[test]
fn a_peer_that_answers_wrongly_does_not_hide_a_crash_from_the_others() {
    for seed in 0..10 {
        let mut sim = watched(8, seed);
        sim.set_tamper(2, Some(liar(seed)));
        sim.crash(5);
        sim.run_for(40 * SECOND);
        let knows = |host: &usize| status_of(&sim, *host, 5) == Some(Status::Down);
        let known = [0, 1, 3, 4, 6, 7].iter().filter(|host| knows(host)).count();
        assert_eq!(known, 6, "seed {seed}");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

/// Tells a host of a thousand members that there are not, forty in a datagram.
fn invent_a_thousand(sim: &mut Cluster, victim: usize) {
    for first in (0..1_000).step_by(40) {
        let ids = 1_000_000 + first..1_000_000 + first + 40;
        tell(sim, victim, (victim + 1) % 8, |_, forger| forger.invention::<u32>(ids));
        sim.run_for(10 * MILLIS);
    }
}

/// Eight members with room for this many, of whom one is told of a thousand that there are not.
fn with_a_thousand_invented(limit: usize, seed: u64) -> Cluster {
    let mut sim = Sim::new(seed, Conditions::LAN);
    sim.watch(tidings::sim::Safety::new(limit));
    for host in 0..8 {
        sim.add(HeapNode::new(tidings::Config::LAN, Limits::DEFAULT.with_members(limit)));
        sim.start(host, &[0]);
    }
    sim.run_for(5 * SECOND);
    sim.take_reports();
    invent_a_thousand(&mut sim, 2);
    sim
}

#[test]
fn a_thousand_invented_members_are_found_out_and_forgotten_and_cost_no_real_one() {
    for (limit, seed) in [(2_048, 1), (64, 2)] {
        let mut sim = with_a_thousand_invented(limit, seed);
        let before = sim.total_traffic().bytes;
        sim.run_for(10 * SECOND);
        let bytes = rate(&sim, before, 10);
        assert!(bytes < 60_000, "limit {limit}: {bytes} bytes per host and second at first");
        assert!(limit > 1_000 || dropped(&sim, 2, DropReason::TableFull) > 0, "limit {limit}: counted");
        let took = sim.run_until_agreed(SECOND, 400 * SECOND);
        assert!(took.is_some(), "limit {limit}: {:?}; {} live", sim.failure(), sim.machine(0).unwrap().live());
        let down = reported(&sim.take_reports(), Status::Down);
        assert!(down.iter().all(|(_, id)| id.get() >= 1_000_000), "limit {limit}: of the real ones nobody was accused");
        let before = sim.total_traffic().bytes;
        sim.run_for(30 * SECOND);
        assert!(rate(&sim, before, 30) < 70, "limit {limit}: and then it is quiet again");
        assert_eq!(sim.failure(), None, "limit {limit}");
    }
}

#[test]
fn among_a_thousand_invented_members_a_crash_is_still_found_and_a_newcomer_still_let_in() {
    let mut known: Vec<Duration> = Vec::new();
    for seed in 0..9 {
        let mut sim = with_a_thousand_invented(2_048, seed);
        sim.crash(5);
        let down = sim.run_until_all_report(5, Status::Down, 120 * SECOND);
        assert!(down.is_some(), "seed {seed}: {:?}", sim.failure());
        let newcomer = sim.add(HeapNode::new(tidings::Config::LAN, Limits::DEFAULT.with_members(2_048)));
        sim.start(newcomer, &[0]);
        let began = sim.now();
        while ![0, 1, 2, 3].iter().all(|host| status_of(&sim, *host, newcomer) == Some(Status::Alive)) {
            sim.run_for(100 * MILLIS);
            assert!(sim.now().duration_since(began) < 10 * SECOND, "seed {seed}: four still do not know the newcomer");
        }
        known.push(sim.now().duration_since(began));
        // It waits for its tables to be compared, but no longer than a suspicion.
        sim.run_for(tidings::Config::LAN.suspicion());
        assert_eq!(sim.machine(newcomer).unwrap().phase(), Phase::Member, "seed {seed}");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
    known.sort();
    // What a thousand that are not there delay is chance: of many runs, half take no longer than this.
    assert!(known[known.len() / 2] < 5 * SECOND, "{known:?}");
}

#[test]
fn a_counter_pushed_as_far_as_is_believed_shuts_no_member_out() {
    for pushes in [&[1 << 16][..], &[40_000, 80_000], &[65_535, 65_536, 65_537]] {
        let mut sim = watched(6, 1);
        for by in pushes {
            // One after the other, before the owner could tell the others of its answer.
            tell(&mut sim, 3, 1, |sim, forger| forger.leap(sim.machine(3).unwrap(), *by));
        }
        let agreed = sim.run_until_agreed(100 * MILLIS, 60 * SECOND);
        assert!(agreed.is_some(), "pushed by {pushes:?}: {:?}", sim.failure());
        // A newcomer has never heard of it at any lower one.
        let newcomer = sim.add(fresh());
        sim.start(newcomer, &[0]);
        let agreed = sim.run_until_agreed(100 * MILLIS, 60 * SECOND);
        assert!(agreed.is_some(), "pushed by {pushes:?}, with a newcomer: {:?}", sim.failure());
        assert_eq!(sim.failure(), None, "pushed by {pushes:?}");
    }
}

#[test]
fn a_newcomer_that_is_told_of_a_claimant_by_anyone_asks_it_twice_and_not_without_end() {
    let mut sim = Sim::<HeapNode<u32>>::new(1, Conditions::LAN);
    for host in 0..2 {
        sim.add(fresh());
        sim.set_id(host, tidings::NodeId::new(7));
    }
    // It asks a seed that is not there, and the other, under the same id, joins through it from nowhere.
    sim.start(0, &[5]);
    sim.start(1, &[0]);
    let join = sim.overheard().last().unwrap().to_vec();
    sim.crash(1);
    sim.run_for(5 * SECOND);
    let before = sim.traffic(0).bytes;
    sim.spoof(NOBODY, 0, &join);
    sim.run_for(60 * SECOND);
    // Its own joins, one a second, are 52 bytes each.
    let sent = sim.traffic(0).bytes - before;
    assert!(sent < 62 * 52 + 3 * join.len() as u64, "{sent} bytes for {}", join.len());
}
