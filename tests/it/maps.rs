//! Everybody's map at everybody, as an application sees it.
//!
//! Of the scenarios of the store that programs like this were first written against:
//!
//! | scenario | tests |
//! |---|---|
//! | S1, an own write replaces the one before and moves forward | `a_key_is_written_again_with_a_greater_version` |
//! | S2, a key in the maps of all who have it | `a_key_is_read_across_all_who_have_it` |
//! | S3, what is known of an owner | `a_key_is_written_again_with_a_greater_version` |
//! | S4, older is replaced, newer kept, unknown members not added | `an_older_state_of_a_map_changes_nothing`, `a_map_of_nobody_is_refused` |
//! | S5, keys | `every_key_is_named_once` |
//! | S6, two exchange everything | `two_who_met_late_have_both_maps` |
//! | S7, what is read cannot be changed | a value is borrowed: the compiler holds to it |
//! | G3, one of three leaves: the others read on | `the_map_of_one_who_left_is_read_for_a_while_and_then_goes` |
//!
//! And of what went wrong elsewhere:
//!
//! | elsewhere | tests |
//! |---|---|
//! | a truncated reset and a third node revive a key | `a_deleted_key_stays_deleted_for_one_who_was_cut_off_and_a_third_who_is_staler` |
//! | digests beyond a datagram | `a_hundred_maps_are_compared_in_small_datagrams` |
//! | the dead circle for ever | `the_dead_do_not_circle` |
//! | a large map delays small ones | `a_large_map_does_not_hold_up_small_ones` |
//! | a value too large is accepted and never sent | `what_is_too_large_is_refused_and_changes_nothing` |

use std::time::Duration;

use crate::common::maps::{SECOND, Told, Watcher, cluster, cluster_of, equal, has, map, node, set, watcher};
use tidings::sim::{Conditions, Forger, Sim};
use tidings::{Class, Config, DropReason, FixedNode, Instant, Limits, NodeId, SetOptions, StateError};

const LIMIT: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(20);

// Writing and reading.

#[test]
fn a_key_is_visible_everywhere_within_20_ms_and_costs_each_one_datagram() {
    let mut sim = cluster(128, 1);
    let chunks = |sim: &Sim<Watcher>| sim.running().map(|host| node(sim, host).stats().chunks_in).sum::<u64>();
    let before = chunks(&sim);
    set(&mut sim, 5, "key", b"value");
    sim.run_for(Duration::from_millis(20));
    assert!((0..128).all(|host| has(&sim, host, 5, "key", b"value")));
    sim.run_for(5 * SECOND);
    assert_eq!(chunks(&sim) - before, 127, "each has had it once");
}

/// Milliseconds from each of so many writes, each of another member, until all can read it. The next comes up to a second later.
fn waits(sim: &mut Sim<Watcher>, count: usize, mut at_write: impl FnMut(&mut Sim<Watcher>)) -> Vec<usize> {
    let mut waits = Vec::new();
    for number in 0..count {
        sim.run_for(SECOND + Duration::from_millis(number as u64 * 377 % 1_000));
        let (owner, value) = (number * 61 % sim.hosts(), number.to_le_bytes());
        set(sim, owner, "key", &value);
        at_write(sim);
        let mut missing: Vec<usize> = (0..sim.hosts()).collect();
        let took = (0..20_000).find(|_| {
            sim.run_for(Duration::from_millis(1));
            while missing.pop_if(|host| has(sim, *host, owner, "key", &value)).is_some() {}
            missing.is_empty()
        });
        waits.push(took.expect("it comes in the end"));
    }
    waits
}

#[test]
fn the_last_to_read_a_key_does_so_within_600_ms_under_30_percent_loss() {
    let lossy = Conditions::LAN.with_loss(0.3);
    let mut sim = cluster_of(128, 22, lossy, |_| watcher(Config::LAN, Limits::DEFAULT));
    let waits = waits(&mut sim, 300, |_| {});
    let late: Vec<_> = waits.iter().enumerate().filter(|(_, took)| **took > 600).collect();
    assert!(late.is_empty(), "seed 22: these writes took so many milliseconds: {late:?}");
}

#[test]
fn who_was_cut_off_when_a_key_was_written_is_told_as_soon_as_it_is_back() {
    let mut sim = cluster(2, 23);
    let cut = Duration::from_millis(500);
    let waits = waits(&mut sim, 40, |sim| {
        sim.set_conditions(Conditions::LAN.with_loss(1.0));
        sim.run_for(cut);
        sim.set_conditions(Conditions::LAN);
    });
    let late: Vec<_> = waits.iter().enumerate().filter(|(_, took)| **took > 300).collect();
    assert!(late.is_empty(), "seed 23: these writes took so many milliseconds after the cut: {late:?}");
}

#[test]
fn a_key_is_written_again_with_a_greater_version() {
    let mut sim = cluster(3, 2);
    let mut versions = Vec::new();
    for value in [&b"one"[..], b"two", b"two", b""] {
        sim.with(0, |it, now| versions.push(it.node.set(now, "key", value).expect("there is room")));
        sim.run_for(SECOND);
    }
    assert!(versions[0] < versions[1] && versions[1] == versions[2] && versions[2] < versions[3], "{versions:?}");
    let entry = node(&sim, 1).entry(sim.id(0), "key").expect("it is there");
    assert_eq!((entry.value(), entry.version(), entry.class()), (&b""[..], versions[3], Class::Bulk));
    let owner = node(&sim, 1).member(sim.id(0)).expect("it is known");
    assert_eq!(entry.version().life(), owner.life());
}

#[test]
fn a_key_is_read_across_all_who_have_it() {
    let mut sim = cluster(6, 3);
    for host in [1, 3, 5] {
        set(&mut sim, host, "cpu", &[host as u8]);
    }
    sim.run_for(SECOND);
    for reader in 0..6 {
        let mut found: Vec<(NodeId, Vec<u8>)> =
            node(&sim, reader).values("cpu").map(|(owner, entry)| (owner, entry.value().to_vec())).collect();
        found.sort();
        let mut expected: Vec<(NodeId, Vec<u8>)> = [1, 3, 5].map(|host| (sim.id(host), vec![host as u8])).to_vec();
        expected.sort();
        assert_eq!(found, expected, "host {reader}");
    }
    assert_eq!(node(&sim, 0).values("disk").count(), 0);
}

#[test]
fn every_key_is_named_once() {
    let mut sim = cluster(10, 4);
    assert_eq!(node(&sim, 0).keys().count(), 0);
    for host in 0..10 {
        set(&mut sim, host, "a", b"1");
        set(&mut sim, host, "b", b"2");
    }
    sim.run_for(SECOND);
    let mut keys: Vec<&str> = node(&sim, 7).keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(node(&sim, 7).owners().count(), 10);
}

#[test]
fn two_who_met_late_have_both_maps() {
    let mut sim: Sim<Watcher> = Sim::new(5, Conditions::LAN.with_loss(0.2));
    for host in 0..2 {
        let mut watcher = watcher(Config::LAN, Limits::DEFAULT);
        for key in 0..40 {
            watcher.node.set(Instant::ZERO, &format!("key {key}"), &[host as u8; 100]).expect("before the start");
        }
        sim.add(watcher);
        sim.start(host, &[0]);
    }
    assert!(sim.run_until_true(equal, PACE, LIMIT).is_some());
    assert_eq!(map(&sim, 0, 1).len(), 40);
}

#[test]
fn what_was_written_before_the_start_is_everywhere_after_it() {
    let mut sim = cluster_of(16, 6, Conditions::LAN, |host| {
        let mut watcher = watcher(Config::LAN, Limits::DEFAULT);
        watcher.node.set(Instant::ZERO, "name", format!("node {host}").as_bytes()).expect("there is room");
        watcher
    });
    assert!(sim.run_until_true(equal, PACE, LIMIT).is_some());
    assert!(has(&sim, 3, 9, "name", b"node 9"));
}

#[test]
fn a_typed_value_is_read_as_what_it_was() {
    let mut sim = cluster(2, 7);
    let load = (17u32, 0.5f32, Some("idle"));
    sim.with(0, |it, now| _ = it.node.set_typed(now, "load", &load, SetOptions::DEFAULT).expect("there is room"));
    sim.run_for(SECOND);
    assert_eq!(node(&sim, 1).get_typed::<(u32, f32, Option<&str>)>(sim.id(0), "load"), Ok(load));
    assert_eq!(node(&sim, 1).get_typed::<u32>(sim.id(0), "none"), Err(StateError::Unknown));
    assert_eq!(node(&sim, 1).get_typed::<u32>(sim.id(0), "load"), Err(StateError::Type));
}

#[test]
fn a_local_key_never_leaves_its_node() {
    let mut sim = cluster(4, 8);
    let options = SetOptions::DEFAULT.with_class(Class::Local);
    let sent = |sim: &Sim<Watcher>| sim.running().map(|host| node(sim, host).stats().chunks_in).sum::<u64>();
    let before = sent(&sim);
    sim.with(0, |it, now| _ = it.node.set_with(now, "secret", b"42", options).expect("there is room"));
    sim.run_for(5 * SECOND);
    assert_eq!(node(&sim, 0).get(sim.id(0), "secret"), Some(&b"42"[..]));
    assert!((1..4).all(|host| node(&sim, host).get(sim.id(0), "secret").is_none()));
    assert_eq!(sent(&sim), before, "nothing was sent");
}

#[test]
fn a_key_that_changes_its_class_is_there_once() {
    let mut sim = cluster(4, 9);
    for class in [Class::Bulk, Class::Vital, Class::Bulk, Class::Local] {
        let options = SetOptions::DEFAULT.with_class(class);
        sim.with(0, |it, now| _ = it.node.set_with(now, "key", b"same", options).expect("there is room"));
        sim.run_for(SECOND);
        let there = usize::from(class != Class::Local);
        assert!((1..4).all(|host| node(&sim, host).entries(sim.id(0)).count() == there), "{class:?}");
    }
}

#[test]
fn a_value_of_64_kib_arrives_whole_through_loss() {
    for loss in [0.0, 0.2] {
        let mut sim = cluster_of(8, 10, Conditions::LAN.with_loss(loss), |_| watcher(Config::LAN, Limits::DEFAULT));
        let most = node(&sim, 0).max_value(3);
        assert_eq!(most, 1 << 16);
        let value: Vec<u8> = (0..most).map(|at| (at * 7 / 3) as u8).collect();
        set(&mut sim, 0, "old", b"short");
        set(&mut sim, 0, "old", &value);
        set(&mut sim, 0, "new", b"behind it");
        assert!(sim.run_until_true(equal, PACE, LIMIT).is_some(), "at a loss of {loss}");
        assert!(has(&sim, 7, 0, "old", &value) && has(&sim, 7, 0, "new", b"behind it"));
    }
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let mut node = FixedNode::<4, u16, 1024>::new(Config::LAN);
    let (most, now) = (node.max_value(3), Instant::ZERO);
    assert_eq!(node.set(now, "key", &vec![1; most + 1]), Err(StateError::TooLarge));
    assert_eq!(node.set(now, "", b"value"), Err(StateError::Key));
    assert_eq!(node.set(now, &"k".repeat(64), b"value"), Err(StateError::Key));
    assert_eq!(node.delete(now, "key"), Err(StateError::Unknown));
    assert_eq!(node.entries(node.id()).count(), 0);
    node.set(now, "key", &vec![1; most]).expect("it just fits");
    assert_eq!(node.set(now, "two", b"2"), Err(StateError::Full));
    assert_eq!(node.get(node.id(), "key"), Some(&vec![1; most][..]));
    node.set(now, "key", &vec![2; most]).expect("in the place of the other");
    node.delete(now, "key").expect("it is there");
    node.set(now, "two", b"2").expect("there is room again");
}

// Deleting.

#[test]
fn a_key_runs_out_everywhere_when_its_owner_says_so() {
    let mut sim = cluster(8, 11);
    let ttl = Duration::from_secs(3);
    sim.with(0, |it, now| _ = it.node.set_with_ttl(now, "lease", b"held", ttl).expect("there is room"));
    sim.run_for(Duration::from_millis(2_900));
    assert!((0..8).all(|host| has(&sim, host, 0, "lease", b"held")));
    sim.run_for(Duration::from_millis(300));
    assert!((0..8).all(|host| node(&sim, host).get(sim.id(0), "lease").is_none()));
}

#[test]
fn a_deleted_key_is_gone_for_one_who_was_cut_off_until_nobody_remembers_it() {
    let mut sim = cluster(6, 12);
    set(&mut sim, 0, "gone", b"soon");
    set(&mut sim, 0, "kept", b"for ever");
    sim.run_for(SECOND);
    sim.set_plugged(5, false);
    sim.with(0, |it, now| _ = it.node.delete(now, "gone").expect("it is there"));
    // So long that the owner has moved its floor, and others have heard of that by the next write.
    sim.run_for(Duration::from_secs(200));
    set(&mut sim, 0, "late", b"news");
    sim.run_for(SECOND);
    assert!(has(&sim, 5, 0, "gone", b"soon"), "it cannot know");
    sim.set_plugged(5, true);
    assert!(sim.run_until_true(equal, PACE, 2 * LIMIT).is_some());
    assert!(node(&sim, 5).get(sim.id(0), "gone").is_none() && has(&sim, 5, 0, "kept", b"for ever"));
    assert_eq!(
        sim.machine(5).expect("it runs").app.told.last(),
        Some(&Told::Set(sim.id(0), "late".into(), b"news".to_vec()))
    );
    assert!(
        sim.machine(5).expect("it runs").app.told.contains(&Told::Replaced(sim.id(0))),
        "which keys went is not known"
    );
}

/// One reads a map again from the beginning, in many datagrams of which most are lost, while the owner writes on; a third
/// that was cut off earlier, and has the deleted key still, offers what it has.
#[test]
fn a_deleted_key_stays_deleted_for_one_who_was_cut_off_and_a_third_who_is_staler() {
    for seed in 0..12 {
        let config = Config::LAN.with_push_back(false);
        let mut sim = cluster_of(5, 100 + seed, Conditions::LAN, |_| watcher(config, Limits::DEFAULT));
        for key in 0..60 {
            set(&mut sim, 0, &format!("key {key}"), &[1; 90]);
        }
        sim.run_for(2 * SECOND);
        sim.set_plugged(4, false);
        for key in 0..60 {
            set(&mut sim, 0, &format!("key {key}"), &[2; 90]);
        }
        sim.run_for(2 * SECOND);
        sim.set_plugged(3, false);
        for key in (0..60).step_by(2) {
            sim.with(0, |it, now| _ = it.node.delete(now, &format!("key {key}")).expect("it is there"));
        }
        sim.run_for(Duration::from_secs(200));
        set(&mut sim, 0, "late", b"news");
        sim.run_for(SECOND);
        let mut weather = Conditions::LAN.with_loss(0.4);
        (weather.reorder, weather.duplicate) = (0.3, 0.2);
        sim.set_conditions(weather);
        sim.set_plugged(3, true);
        sim.set_plugged(4, true);
        let mut gone = Vec::new();
        for round in 0..400 {
            set(&mut sim, 0, "busy", &[round as u8]);
            sim.run_for(Duration::from_millis(25));
            for host in 1..5 {
                for key in (0..60).step_by(2) {
                    let there = node(&sim, host).get(sim.id(0), &format!("key {key}")).is_some();
                    assert!(!there || !gone.contains(&(host, key)), "seed {seed}: key {key} is back at host {host}");
                    if !there {
                        gone.push((host, key));
                    }
                }
            }
        }
        sim.set_conditions(Conditions::LAN);
        assert!(sim.run_until_true(equal, PACE, LIMIT).is_some(), "seed {seed}");
    }
}

#[test]
fn an_older_state_of_a_map_changes_nothing() {
    let mut sim = cluster(4, 13);
    set(&mut sim, 0, "key", b"old");
    sim.run_for(SECOND);
    let overheard: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
    set(&mut sim, 0, "key", b"new");
    sim.with(0, |it, now| _ = it.node.set(now, "other", b"1").expect("there is room"));
    sim.run_for(SECOND);
    for datagram in &overheard {
        for host in 1..4 {
            sim.inject(0, host, datagram);
        }
    }
    sim.run_for(SECOND);
    assert!((1..4).all(|host| has(&sim, host, 0, "key", b"new") && has(&sim, host, 0, "other", b"1")));
    assert!(equal(&sim));
}

// Lives and deaths.

#[test]
fn a_new_life_replaces_the_old_map_at_once() {
    let mut sim = cluster(5, 14);
    set(&mut sim, 2, "old", b"1");
    sim.run_for(SECOND);
    sim.restart(2, watcher(Config::LAN, Limits::DEFAULT), &[0]);
    let reborn = |sim: &Sim<Watcher>| {
        let life = |host: usize| node(sim, host).member(sim.id(2)).map(|member| member.life());
        life(2).is_some() && (0..5).all(|host| life(host) == life(2))
    };
    assert!(sim.run_until_true(reborn, PACE, LIMIT).is_some());
    assert!((0..5).all(|host| node(&sim, host).get(sim.id(2), "old").is_none()));
    set(&mut sim, 2, "new", b"2");
    sim.run_for(SECOND);
    assert!((0..5).all(|host| has(&sim, host, 2, "new", b"2")));
    let told = &sim.machine(0).expect("it runs").app.told;
    let expected = [
        Told::Set(sim.id(2), "old".into(), b"1".to_vec()),
        Told::Replaced(sim.id(2)),
        Told::Set(sim.id(2), "new".into(), b"2".to_vec()),
    ];
    assert_eq!(told[..], expected);
}

#[test]
fn the_map_of_one_who_left_is_read_for_a_while_and_then_goes() {
    let config = Config::LAN.with_state_retention(Duration::from_secs(30));
    let mut sim = cluster_of(3, 15, Conditions::LAN, |_| watcher(config, Limits::DEFAULT));
    for host in 0..3 {
        set(&mut sim, host, "key", &[host as u8]);
    }
    sim.run_for(SECOND);
    sim.leave(0);
    sim.run_for(Duration::from_secs(20));
    assert!((1..3).all(|host| has(&sim, host, 0, "key", &[0])), "it can still be read");
    sim.run_for(Duration::from_secs(20));
    assert!((1..3).all(|host| node(&sim, host).get(sim.id(0), "key").is_none()));
    assert!((1..3).all(|host| sim.machine(host).expect("it runs").app.told.contains(&Told::Gone(sim.id(0)))));
    assert!(has(&sim, 1, 2, "key", &[2]) && has(&sim, 2, 1, "key", &[1]));
}

/// Whoever comes when one is dead is not given its map, and whoever has dropped it does not take it again from one who has
/// not.
#[test]
fn the_dead_do_not_circle() {
    let short = Config::LAN.with_state_retention(Duration::from_secs(20));
    let long = Config::LAN.with_state_retention(Duration::from_secs(3_600));
    let mut sim =
        cluster_of(4, 16, Conditions::LAN, |host| watcher(if host == 1 { long } else { short }, Limits::DEFAULT));
    set(&mut sim, 3, "key", b"of the dead");
    sim.run_for(SECOND);
    sim.crash(3);
    sim.run_for(Duration::from_secs(60));
    let late = sim.add(watcher(short, Limits::DEFAULT));
    sim.start(late, &[0]);
    for _ in 0..60 {
        sim.run_for(SECOND);
        assert!([0, 2, late].iter().all(|host| node(&sim, *host).get(sim.id(3), "key").is_none()));
    }
    assert!(has(&sim, 1, 3, "key", b"of the dead"));
    sim.run_for(Duration::from_secs(600));
    let bytes = |sim: &Sim<Watcher>| node(sim, 0).stats().bytes_out;
    let before = bytes(&sim);
    sim.run_for(Duration::from_secs(60));
    assert!(bytes(&sim) - before < 60 * 70, "{} bytes in a minute", bytes(&sim) - before);
}

// Room.

#[test]
fn a_map_of_nobody_is_refused() {
    let mut sim = cluster(3, 17);
    let stranger = {
        let mut other = cluster(2, 18);
        set(&mut other, 0, "key", b"value");
        other
    };
    let mask = node(&sim, 1);
    let forged = Forger::new(node(&sim, 0), mask).expect("both run").key(node(&stranger, 0), 1, "key", b"value");
    sim.inject(1, 0, &forged);
    sim.run_for(SECOND);
    assert_eq!(node(&sim, 0).owners().count(), 0);
    assert_eq!(node(&sim, 0).stats().dropped(DropReason::UnknownOwner), 1);
}

#[test]
fn one_who_overfills_another_is_refused_and_the_rest_are_unharmed() {
    let small = Limits::DEFAULT.with_state_bytes(4 << 10);
    let mut sim = cluster_of(5, 19, Conditions::LAN, |host| {
        watcher(Config::LAN, if host == 4 { small } else { Limits::DEFAULT })
    });
    for key in 0..40 {
        set(&mut sim, 0, &format!("key {key}"), &[7; 100]);
    }
    sim.run_for(2 * SECOND);
    for host in 1..4 {
        set(&mut sim, host, "mine", &[host as u8; 100]);
    }
    sim.run_for(5 * SECOND);
    assert!(node(&sim, 4).stats().dropped(DropReason::StateRoom) > 0);
    let had = map(&sim, 4, 0).len();
    assert!((1..=10).contains(&had), "a quarter of the room and a little more, and it was {had} keys");
    assert!((1..4).all(|host| has(&sim, 4, host, "mine", &[host as u8; 100])));
    set(&mut sim, 4, "own", &[4; 100]);
    sim.run_for(SECOND);
    assert!((0..4).all(|host| has(&sim, host, 4, "own", &[4; 100])));
    // When there is room again, the rest is asked for.
    for key in 0..40 {
        sim.with(0, |it, now| _ = it.node.delete(now, &format!("key {key}")).expect("it is there"));
    }
    set(&mut sim, 0, "few", b"now");
    let whole = sim.run_until_true(equal, PACE, 6 * LIMIT);
    assert!(whole.is_some());
}

#[test]
fn a_large_map_does_not_hold_up_small_ones() {
    let mut sim = cluster(12, 20);
    for key in 0..3_000 {
        let value = [key as u8; 200];
        sim.with(0, |it, now| _ = it.node.set(now, &format!("key {key}"), &value).expect("there is room"));
        if key % 100 == 0 {
            sim.run_for(Duration::from_millis(20));
        }
    }
    for host in 1..12 {
        set(&mut sim, host, "small", &[host as u8]);
    }
    assert!(sim.run_until_true(equal, PACE, LIMIT).is_some());
    let late = sim.add(watcher(Config::LAN, Limits::DEFAULT));
    sim.start(late, &[0]);
    let small = |sim: &Sim<Watcher>| (1..12).all(|host| has(sim, late, host, "small", &[host as u8]));
    let begun = sim.now();
    assert!(sim.run_until_true(small, Duration::from_millis(5), LIMIT).is_some());
    let small_after = sim.now().duration_since(begun);
    let large = map(&sim, late, 0).len();
    assert!(large < 1_500, "when it has all small maps, it has {large} of 3,000 keys of the large one");
    assert!(small_after < SECOND, "{small_after:?}");
    assert!(sim.run_until_true(equal, PACE, LIMIT).is_some());
}

#[test]
fn vital_keys_go_first() {
    let mut sim = cluster(6, 21);
    for key in 0..2_000 {
        sim.with(0, |it, now| _ = it.node.set(now, &format!("key {key}"), &[1; 200]).expect("there is room"));
    }
    let vital = SetOptions::DEFAULT.with_class(Class::Vital);
    sim.with(0, |it, now| _ = it.node.set_with(now, "health", b"good", vital).expect("there is room"));
    sim.run_for(Duration::from_millis(50));
    assert!((0..6).all(|host| has(&sim, host, 0, "health", b"good")));
    assert!((1..6).all(|host| map(&sim, host, 0).len() < 2_000), "the bulk is still on its way");
    assert!(sim.run_until_true(equal, PACE, LIMIT).is_some());
}

#[test]
fn a_hundred_maps_are_compared_in_small_datagrams() {
    let config = Config::LAN.with_max_datagram(128);
    let mut sim = cluster_of(100, 22, Conditions::LAN, |_| watcher(config, Limits::DEFAULT));
    sim.set_conditions(Conditions::LAN.with_loss(0.3));
    for host in 0..100 {
        set(&mut sim, host, "key", &[host as u8; 20]);
    }
    assert!(sim.run_until_true(equal, Duration::from_millis(200), 2 * LIMIT).is_some());
}

// Keeping, and being told.

#[test]
fn an_exported_map_comes_back_in_another_process() {
    let mut sim = cluster(4, 23);
    let vital = SetOptions::DEFAULT.with_class(Class::Vital);
    set(&mut sim, 1, "a", b"1");
    sim.with(1, |it, now| _ = it.node.set_with(now, "b", b"2", vital).expect("there is room"));
    sim.run_for(SECOND);
    let mut kept = vec![0; node(&sim, 1).export_len()];
    assert_eq!(node(&sim, 1).export(&mut kept), Some(kept.len()));
    assert_eq!(node(&sim, 1).export(&mut vec![0; kept.len() - 1]), None);
    let mut fresh = watcher(Config::LAN, Limits::DEFAULT);
    fresh.node.set(Instant::ZERO, "a", b"newer").expect("there is room");
    assert_eq!(fresh.node.import(Instant::ZERO, &kept), Ok(1), "what is there stays");
    assert_eq!(fresh.node.import(Instant::ZERO, &kept[1..]), Err(StateError::Type));
    sim.crash(1);
    sim.restart(1, fresh, &[0]);
    let back = |sim: &Sim<Watcher>| (0..4).all(|host| has(sim, host, 1, "a", b"newer") && has(sim, host, 1, "b", b"2"));
    assert!(sim.run_until_true(back, PACE, LIMIT).is_some());
    assert_eq!(node(&sim, 0).entry(sim.id(1), "b").map(|entry| entry.class()), Some(Class::Vital));
}

#[test]
fn what_is_watched_is_told_as_it_is_and_what_is_not_is_not() {
    let mut sim = cluster(3, 24);
    sim.with(1, |it, _| {
        it.node.unwatch("");
        it.node.watch("cpu/").expect("there is room");
    });
    sim.with(0, |it, now| {
        for round in 0..3 {
            it.node.set(now, "cpu/0", &[round]).expect("there is room");
            it.node.set(now, "disk", &[round]).expect("there is room");
        }
    });
    sim.run_for(SECOND);
    sim.with(0, |it, now| _ = it.node.delete(now, "cpu/0").expect("it is there"));
    sim.run_for(SECOND);
    let owner = sim.id(0);
    let expected = [Told::Set(owner, "cpu/0".into(), vec![2]), Told::Deleted(owner, "cpu/0".into())];
    assert_eq!(sim.machine(1).expect("it runs").app.told[..], expected);
    assert!(sim.machine(0).expect("it runs").app.told.is_empty(), "its own writes it knows");
}

#[test]
fn who_lags_makes_the_owner_wait_unless_that_is_off() {
    for push_back in [true, false] {
        let config = Config::LAN.with_byte_budget(2_000).with_push_back(push_back);
        let mut sim = cluster_of(16, 25, Conditions::LAN, |_| watcher(config, Limits::DEFAULT));
        let mut refused = 0;
        for round in 0..2_000u32 {
            sim.with(3, |it, now| {
                let set = it.node.set(now, &format!("key {}", round % 40), &[round as u8; 200]);
                refused += u32::from(set == Err(StateError::WouldBlock));
            });
            sim.run_for(Duration::from_millis(10));
        }
        assert_eq!(refused > 500, push_back, "{refused} of 2,000 were refused");
        sim.run_for(Duration::from_secs(60));
        let free = |it: &mut Watcher, now| (0..20).all(|round| it.node.set(now, "free", &[round]).is_ok());
        let mut again = false;
        for _ in 0..60 {
            sim.with(3, |it, now| again = free(it, now));
            sim.run_for(SECOND);
        }
        assert!(again, "when nobody lags any more, it may write as it likes");
    }
}

// Lies.

#[test]
fn a_version_that_a_liar_invented_does_not_shut_the_owner_out() {
    let mut sim = cluster(6, 26);
    set(&mut sim, 0, "key", b"true");
    sim.run_for(SECOND);
    for version in [1_000, 1 << 30, (1 << 31) - 1, 1 << 31, u32::MAX] {
        let forger = Forger::new(node(&sim, 2), node(&sim, 1)).expect("both run");
        let lies = [forger.key(node(&sim, 0), version, "key", b"lie"), forger.map_progress(node(&sim, 0), version)];
        lies.iter().for_each(|lie| sim.inject(1, 2, lie));
        sim.run_for(SECOND);
        set(&mut sim, 0, "key", format!("true after {version}").as_bytes());
        assert!(sim.run_until_true(equal, PACE, 2 * LIMIT).is_some(), "after {version}");
        assert!(has(&sim, 2, 0, "key", format!("true after {version}").as_bytes()));
    }
}

#[test]
fn what_is_fetched_in_one_datagram_many_times_is_given_once() {
    let mut sim = cluster(3, 27);
    for key in 0..100 {
        set(&mut sim, 0, &format!("key {key}"), &[1; 200]);
    }
    sim.run_for(5 * SECOND);
    let forged = Forger::new(node(&sim, 2), node(&sim, 1)).expect("both run").fetches(node(&sim, 0), 30);
    let before = node(&sim, 2).stats().bytes_out;
    sim.inject(1, 2, &forged);
    sim.run_for(SECOND / 2);
    let sent = node(&sim, 2).stats().bytes_out - before;
    assert!(sent < 25_000, "{sent} bytes for one datagram of {}", forged.len());
}

#[test]
fn whoever_is_alone_leaves_at_once_whatever_it_has_written() {
    let mut sim = cluster(1, 28);
    set(&mut sim, 0, "key", b"value");
    sim.leave(0);
    sim.run_for(Duration::from_millis(10));
    assert_eq!(node(&sim, 0).phase(), tidings::Phase::Left);
}

#[test]
fn what_was_written_just_before_leaving_is_read_by_all_who_stay() {
    for seed in 0..20 {
        let mut sim =
            cluster_of(12, 200 + seed, Conditions::LAN.with_loss(0.1), |_| watcher(Config::LAN, Limits::DEFAULT));
        set(&mut sim, 3, "first", b"so that there is a map");
        sim.run_for(SECOND);
        set(&mut sim, 3, "last", b"words");
        sim.leave(3);
        sim.run_for(Duration::from_secs(20));
        let heard = |host: &usize| has(&sim, *host, 3, "last", b"words");
        assert!((0..12).filter(|host| *host != 3).all(|host| heard(&host)), "seed {seed}");
    }
}

#[test]
fn the_first_that_one_writes_who_leaves_at_once_is_read_by_all_who_stay() {
    for seed in 0..20 {
        let mut sim =
            cluster_of(12, 400 + seed, Conditions::LAN.with_loss(0.1), |_| watcher(Config::LAN, Limits::DEFAULT));
        set(&mut sim, 3, "first", b"and last");
        sim.leave(3);
        sim.run_for(Duration::from_secs(20));
        let heard = |host: &usize| has(&sim, *host, 3, "first", b"and last");
        assert!((0..12).filter(|host| *host != 3).all(|host| heard(&host)), "seed {seed}");
    }
}

// What a reader of the code tried.

#[test]
fn values_in_pieces_of_both_classes_come_whole_side_by_side() {
    let vital = SetOptions::DEFAULT.with_class(Class::Vital);
    for (datagram, len) in
        [(96, 12), (96, 30), (96, 100), (1_200, 1_100), (1_200, 1_116), (1_200, 1_124), (1_200, 9_000)]
    {
        let config = Config::LAN.with_max_datagram(datagram);
        let mut sim: Sim<Watcher> = Sim::new(29, Conditions::LAN);
        let mut first = watcher(config, Limits::DEFAULT);
        first.node.set(Instant::ZERO, "b", &vec![1; len]).expect("there is room");
        first.node.set_with(Instant::ZERO, "v", &vec![2; len], vital).expect("there is room");
        sim.add(first);
        sim.start(0, &[]);
        sim.run_for(SECOND);
        sim.add(watcher(config, Limits::DEFAULT));
        sim.start(1, &[0]);
        let both = |sim: &Sim<Watcher>| has(sim, 1, 0, "b", &vec![1; len]) && has(sim, 1, 0, "v", &vec![2; len]);
        assert!(sim.run_until_true(both, PACE, LIMIT).is_some(), "{len} bytes in datagrams of {datagram}");
        assert!(node(&sim, 1).stats().chunks_in < 100, "{} chunks", node(&sim, 1).stats().chunks_in);
    }
}

#[test]
fn a_second_life_of_the_same_node_is_read_after_its_first_had_deleted_something() {
    let mut sim = cluster(3, 30);
    for round in 0..50 {
        set(&mut sim, 0, "a", &[round]);
    }
    set(&mut sim, 0, "b", b"soon gone");
    sim.with(0, |it, now| _ = it.node.delete(now, "b").expect("it is there"));
    sim.run_for(SECOND);
    let (id, addr) = (sim.id(0), node(&sim, 0).addr().expect("it runs"));
    sim.with(0, |it, now| it.node.start(now, id, addr, &mut tidings::sim::SimRng::new(9)).unwrap());
    sim.run_for(Duration::from_secs(150));
    set(&mut sim, 0, "new", b"life");
    assert!(sim.run_until_true(equal, PACE, 2 * LIMIT).is_some());
    assert_eq!(node(&sim, 1).stats().dropped(DropReason::Malformed), 0);
}

#[test]
fn a_large_value_is_replaced_by_another_where_there_is_room_for_little_more_than_one() {
    let mut sim =
        cluster_of(3, 31, Conditions::LAN, |_| watcher(Config::LAN, Limits::DEFAULT.with_state_bytes(100_000)));
    for value in 1..4 {
        set(&mut sim, 0, "k", &[value; 20_000]);
        assert!(sim.run_until_true(|sim| has(sim, 2, 0, "k", &[value; 20_000]), PACE, LIMIT).is_some(), "{value}");
    }
}

#[test]
fn a_map_that_shrinks_later_than_it_grows_is_read_whole_if_it_fits_in_the_end() {
    let mut sim =
        cluster_of(3, 32, Conditions::LAN, |_| watcher(Config::LAN, Limits::DEFAULT.with_state_bytes(16_384)));
    for key in ["a", "b", "c"] {
        set(&mut sim, 0, key, &[1; 1_000]);
    }
    sim.run_for(SECOND);
    sim.with(0, |it, now| {
        for (keys, len) in [(["a", "b", "c"], 1), (["d", "e", "f"], 1_000), (["a", "b", "c"], 2)] {
            keys.iter().for_each(|key| _ = it.node.set(now, key, &vec![len as u8; len]).expect("there is room"));
        }
    });
    assert!(sim.run_until_true(equal, PACE, 2 * LIMIT).is_some());
}

#[test]
fn whoever_has_no_room_for_a_map_does_not_ask_for_it_at_each_write() {
    let small = Limits::DEFAULT.with_state_bytes(20_000);
    let mut sim = cluster_of(3, 33, Conditions::LAN, |host| {
        watcher(Config::LAN, if host == 2 { small } else { Limits::DEFAULT })
    });
    for key in 0..40 {
        set(&mut sim, 0, &format!("key {key}"), &[1; 1_000]);
    }
    sim.run_for(Duration::from_secs(10));
    let bytes = |sim: &Sim<Watcher>| sim.running().map(|host| node(sim, host).stats().bytes_out).sum::<u64>();
    let before = bytes(&sim);
    for round in 0..20 {
        set(&mut sim, 0, "busy", &[round]);
        sim.run_for(SECOND);
    }
    let sent = bytes(&sim) - before;
    assert!(sent < 150_000, "{sent} bytes in 20 s");
}

#[test]
fn a_value_goes_on_in_pieces_where_datagrams_have_become_smaller() {
    let mut sim = cluster(3, 34);
    set(&mut sim, 0, "k", &[1; 600]);
    sim.run_for(SECOND);
    let small = Config::LAN.with_max_datagram(400);
    for host in 0..3 {
        sim.with(host, |it, now| it.node.set_config(now, small).expect("it is valid"));
    }
    set(&mut sim, 0, "l", b"behind it");
    let late = sim.add(watcher(small, Limits::DEFAULT));
    sim.start(late, &[0]);
    assert!(sim.run_until_true(equal, PACE, LIMIT).is_some());
    assert!(has(&sim, late, 0, "k", &[1; 600]));
}

#[test]
fn keys_from_before_the_start_hold_back_no_write_of_this_life() {
    for kept in [0, 1, 20] {
        let mut sim = cluster_of(16, 1, Conditions::LAN, |_| {
            let mut it = watcher(Config::LAN, Limits::DEFAULT);
            for key in 0..kept {
                it.node.set(Instant::ZERO, &format!("kept/{key}"), b"from before").expect("there is room");
            }
            it
        });
        for number in 0..300u32 {
            sim.run_for(SECOND / 50);
            sim.with(0, |it, now| {
                let set = it.node.set(now, "hot", &number.to_le_bytes());
                assert!(set.is_ok(), "{kept} kept, write {number}: {set:?}");
            });
        }
        sim.run_for(SECOND);
        assert!((1..16).all(|host| has(&sim, host, 0, "hot", &299u32.to_le_bytes())), "{kept} kept");
    }
}

#[test]
fn the_longest_time_to_live_is_years() {
    let mut sim = cluster(1, 35);
    sim.with(0, |it, now| _ = it.node.set_with_ttl(now, "k", b"v", Duration::MAX).expect("there is room"));
    sim.run_for(Duration::from_secs(100));
    assert!(has(&sim, 0, 0, "k", b"v"));
}

#[test]
fn a_forged_state_far_ahead_keeps_an_owner_out_for_seconds_at_most() {
    let mut sim = cluster(4, 36);
    set(&mut sim, 0, "k", b"0");
    sim.run_for(SECOND);
    for version in [5, 1 << 20, 1 << 31] {
        let forged = Forger::new(node(&sim, 2), node(&sim, 1)).expect("both run").beginning(node(&sim, 0), version);
        sim.inject(1, 2, &forged);
        set(&mut sim, 0, "k", &version.to_le_bytes());
        assert!(
            sim.run_until_true(|sim| has(sim, 2, 0, "k", &version.to_le_bytes()), PACE, LIMIT).is_some(),
            "{version}"
        );
    }
}
