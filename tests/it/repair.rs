//! What was not delivered at first: it comes, or is told as a gap, and neither costs without end nor keeps anything else
//! from coming.

use std::time::Duration;

use crate::common::app::{App, Heard, Listener};
use crate::common::cluster::{SECOND, settled};
use tidings::sim::{Conditions, Forger, Sim};
use tidings::{BroadcastError, Config, DropReason, HeapNode, Instant, Limits, Topic};

const NEWS: Topic = Topic::from_name("news");
const ROOM: usize = 256 << 10;

/// A node that listens to the news, with tables of so many members and room for messages of so many bytes.
fn listener(config: Config, members: usize, room: usize) -> App {
    let limits = Limits::DEFAULT.with_members(members).with_broadcast_bytes(room);
    let mut node = HeapNode::new(config, limits);
    let listens = node.subscribe(Instant::ZERO, NEWS);
    assert_eq!(listens.is_ok(), room > 0, "whoever has room listens");
    App::new(node, Listener::default())
}

fn cluster(nodes: usize, seed: u64, make: impl Fn(usize) -> App) -> Sim<App> {
    settled(Sim::new(seed, Conditions::LAN), (nodes, seed), 60 * SECOND, make)
}

fn app(sim: &Sim<App>, host: usize) -> &App {
    sim.machine(host).expect("it runs")
}

fn say(sim: &mut Sim<App>, host: usize, payload: &[u8]) -> bool {
    let mut taken = false;
    sim.with(host, |app, now| taken = app.node.broadcast(now, NEWS, payload).is_ok());
    taken
}

/// How many numbers a host was told to be lost.
fn lost(sim: &Sim<App>, host: usize) -> u32 {
    app(sim, host).app.heard.iter().fold(0, |sum, (_, heard)| match heard {
        Heard::Gap { first, last, .. } => sum + (last - first) + 1,
        _ => sum,
    })
}

#[test]
fn what_one_member_can_never_hold_is_a_gap_there_and_costs_no_more_than_elsewhere() {
    let bytes = |room: usize| {
        let mut sim = cluster(3, 3, |host| listener(Config::LAN, 50, if host == 2 { room } else { ROOM }));
        let before = sim.total_traffic().bytes;
        assert!(say(&mut sim, 0, &[7; 30_000]));
        sim.run_for(600 * SECOND);
        let sent = sim.total_traffic().bytes - before;
        for number in 0..200u32 {
            assert!(say(&mut sim, 0, &number.to_le_bytes()));
            sim.run_for(SECOND / 20);
        }
        sim.run_for(5 * SECOND);
        let told = app(&sim, 2).app.payloads().len();
        let few = room < 30_000;
        assert_eq!((told, lost(&sim, 2)), if few { (200, 27) } else { (201, 0) }, "room for {room}");
        sent
    };
    let (much, little) = (bytes(ROOM), bytes(1 << 10));
    assert!(little <= much + much / 2, "{little} bytes where one has no room, {much} where all have");
}

#[test]
fn a_node_without_room_for_messages_refuses_its_own_and_asks_for_none() {
    let mut sim = cluster(3, 12, |host| listener(Config::LAN, 50, if host == 2 { 0 } else { ROOM }));
    sim.with(2, |app, now| {
        assert_eq!(app.node.max_payload(), 0);
        assert_eq!(app.node.broadcast(now, NEWS, b""), Err(BroadcastError::TooLarge));
    });
    for number in 0..20u8 {
        assert!(say(&mut sim, 0, &[number; 1_000]));
        sim.run_for(SECOND / 10);
    }
    sim.run_for(100 * SECOND);
    // It does not listen, so that it misses nothing; what comes by is counted.
    assert_eq!((app(&sim, 2).app.payloads().len(), lost(&sim, 2)), (0, 0));
    let stats = app(&sim, 2).node.stats();
    assert_eq!((stats.pulls, stats.dropped(DropReason::MessageRoom)), (0, 20));
}

#[test]
fn a_direct_message_whose_sender_died_leaves_its_room() {
    let mut sim = cluster(3, 1, |_| listener(Config::LAN, 50, 40 << 10));
    let to = sim.id(1);
    sim.with(0, |app, now| _ = app.node.send(now, to, NEWS, &[7; 36_000]).expect("there is room"));
    sim.run_for(Duration::from_millis(40));
    sim.crash(0);
    sim.run_for(60 * SECOND);
    assert!(app(&sim, 1).app.heard.is_empty(), "it did not come");
    assert!(say(&mut sim, 1, &[1; 6_000]));
}

#[test]
fn whoever_begins_to_listen_amid_a_long_message_hears_those_behind_it() {
    for millis in 2..6 {
        let mut sim = cluster(2, 2, |host| {
            let mut app = listener(Config::LAN, 50, ROOM);
            if host == 1 {
                app.node.unsubscribe(Instant::ZERO, NEWS);
            }
            app
        });
        assert!(say(&mut sim, 0, &[7; 30_000]));
        sim.run_for(Duration::from_millis(millis));
        sim.with(1, |app, now| app.node.subscribe_in_order(now, NEWS).expect("there is room"));
        sim.run_for(5 * SECOND);
        for number in 0..20u8 {
            assert!(say(&mut sim, 0, &[number]));
            sim.run_for(SECOND / 10);
        }
        sim.run_for(SECOND);
        let short = app(&sim, 1).app.payloads().iter().filter(|payload| payload.len() == 1).count();
        assert_eq!(short, 20, "{millis} ms in");
    }
}

#[test]
fn who_was_cut_off_for_longer_than_messages_are_tried_is_given_what_peers_still_have() {
    for seed in 0..5 {
        let mut sim = cluster(5, seed, |_| listener(Config::LAN, 50, ROOM));
        sim.set_conditions(Conditions::LAN.with_loss(0.4));
        for number in 0..40u8 {
            // Under such loss the places for handoffs run out at times: the sender waits for one.
            let said = (0..20).any(|_| {
                let said = say(&mut sim, 1, &[number]);
                sim.run_for(Duration::from_millis(5));
                said
            });
            assert!(said, "seed {seed}: message {number} finds no place within 100 ms");
        }
        sim.set_plugged(4, false);
        sim.set_conditions(Conditions::LAN);
        sim.run_for(15 * SECOND);
        sim.set_plugged(4, true);
        sim.run_for(60 * SECOND);
        assert_eq!((app(&sim, 4).app.payloads().len(), lost(&sim, 4)), (40, 0), "seed {seed}");
    }
}

#[test]
fn a_stalled_sender_holds_it_against_nobody() {
    let mut sim = cluster(5, 5, |_| listener(Config::LAN, 50, ROOM));
    let to = sim.id(2);
    sim.with(4, |app, now| _ = app.node.send(now, to, NEWS, &[1; 36_000]).expect("there is room"));
    sim.run_for(Duration::from_millis(20));
    sim.stop(4);
    sim.run_for(11 * SECOND);
    sim.resume(4);
    sim.run_for(20 * SECOND);
    assert_eq!(app(&sim, 4).app.count(|heard| matches!(heard, Heard::Sent(..))), 1);
    assert_eq!(app(&sim, 2).app.payloads().len(), 1);
}

#[test]
fn small_tables_tell_no_direct_message_twice() {
    for members in [2, 3, 8] {
        let mut sim = cluster(2, 4, |_| listener(Config::LAN, members, 4 << 10));
        sim.set_conditions(Conditions::LAN.with_loss(0.3));
        let to = sim.id(1);
        for number in 0..16u8 {
            sim.with(0, |app, now| _ = app.node.send(now, to, NEWS, &[number]).expect("there is room"));
        }
        sim.run_for(15 * SECOND);
        let mut told = app(&sim, 1).app.payloads();
        told.sort();
        assert_eq!(told, (0..16u8).map(|number| vec![number]).collect::<Vec<_>>(), "tables of {members}");
    }
}

#[test]
fn with_the_smallest_datagrams_many_origins_are_repaired() {
    let config = Config::LAN.with_max_datagram(96);
    let mut sim = cluster(24, 6, |_| listener(config, 50, 64 << 10));
    sim.set_plugged(23, false);
    sim.run_for(SECOND);
    for host in 0..22 {
        assert!(say(&mut sim, host, &[host as u8]));
        sim.run_for(SECOND / 10);
    }
    sim.run_for(10 * SECOND);
    sim.set_plugged(23, true);
    sim.run_for(120 * SECOND);
    assert_eq!((app(&sim, 23).app.payloads().len(), lost(&sim, 23)), (22, 0));
}

#[test]
fn no_lie_about_a_member_that_was_forgotten_makes_others_deaf_to_it() {
    for lie in 0..2 {
        let fresh = || listener(Config::LAN, 5, 16 << 10);
        let mut sim = cluster(4, 7, |_| fresh());
        // Two die and others come, so that tables of five have to forget somebody.
        for _ in 0..2 {
            sim.crash(sim.hosts() - 1);
            sim.run_for(30 * SECOND);
            let newcomer = sim.add(fresh());
            sim.start(newcomer, &[0]);
            sim.run_for(10 * SECOND);
        }
        let origin = sim.hosts() - 1;
        let forger = Forger::new(&app(&sim, 1).node, &app(&sim, 2).node).expect("they run");
        let bytes = match lie {
            0 => forger.progress(&app(&sim, origin).node, u32::MAX),
            _ => forger.broadcast(&app(&sim, origin).node, u32::MAX, b"!"),
        };
        sim.inject(2, 1, &bytes);
        sim.run_for(10 * SECOND);
        for number in 0..100u8 {
            assert!(say(&mut sim, origin, &[number; 2]));
            sim.run_for(SECOND);
        }
        for host in 0..3 {
            let told = app(&sim, host).app.payloads().iter().filter(|payload| payload.len() == 2).count();
            assert!(told >= 98, "lie {lie}: host {host} is told {told} of 100");
        }
    }
}

#[test]
fn a_leaver_is_told_what_became_of_its_messages() {
    let mut sim = cluster(3, 10, |_| listener(Config::LAN, 50, 4 << 10));
    let to = sim.id(2);
    sim.set_plugged(2, false);
    sim.with(0, |app, now| {
        _ = app.node.send(now, to, NEWS, &[1]).expect("there is room");
        app.node.leave(now);
    });
    sim.run_for(10 * SECOND);
    assert_eq!(app(&sim, 0).app.count(|heard| matches!(heard, Heard::Unreachable(_, id) if *id == to)), 1);
}
