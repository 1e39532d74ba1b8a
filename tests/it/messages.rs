//! Broadcasts, direct messages and questions, as an application sees them.
//!
//! Of the scenarios of SWIM's family (Serf's user events and queries):
//!
//! | scenario | tests |
//! |---|---|
//! | 39, event sizes | `a_payload_of_many_datagrams_arrives_whole`, `what_is_too_large_is_refused_and_changes_nothing` |
//! | 39, ordering | `who_listens_in_order_is_told_in_order_and_of_gaps_in_their_place` |
//! | 39, dedup, equal contents | `equal_payloads_are_different_messages` |
//! | 39, ignore-old on join, no replay after restart | `a_newcomer_is_told_nothing_that_was_said_before` |
//! | 40, response loss, dedup | `every_member_answers_once_under_half_loss` |
//! | 40, late responses | `a_late_answer_is_refused` |
//! | 40, filters | `only_those_who_listen_are_asked`, `one_member_is_asked_alone` |
//!
//! Not applicable: ordering by Lamport time across origins, and answers relayed by others, in place of which each is
//! repeated until it is acknowledged.

use std::time::Duration;

use crate::common::app::{App, Heard, Listener};
use crate::common::cluster::{SECOND, settled};
use tidings::sim::{Conditions, Sim};
use tidings::{BroadcastError, Config, DropReason, HeapNode, Instant, Limits, NodeId, Phase, SendError, Topic};

const NEWS: Topic = Topic::from_name("news");
const OTHER: Topic = Topic::from_name("other");

/// A node that listens to the news.
fn listener(broadcast_bytes: usize) -> App {
    let limits = Limits::DEFAULT.with_members(1_100).with_broadcast_bytes(broadcast_bytes);
    let mut node = HeapNode::new(Config::LAN, limits);
    node.subscribe(Instant::ZERO, NEWS).expect("it listens to nothing yet");
    App::new(node, Listener::default())
}

/// A settled cluster of such as `make` gives.
fn cluster_of(nodes: usize, seed: u64, make: impl Fn(usize) -> App) -> Sim<App> {
    settled(Sim::new(seed, Conditions::LAN), (nodes, seed), 20 * SECOND, make)
}

fn cluster(nodes: usize, seed: u64) -> Sim<App> {
    cluster_of(nodes, seed, |_| listener(64 << 10))
}

fn say(sim: &mut Sim<App>, host: usize, payload: &[u8]) {
    sim.with(host, |app, now| _ = app.node.broadcast(now, NEWS, payload).expect("there is room"));
}

fn app(sim: &Sim<App>, host: usize) -> &App {
    sim.machine(host).expect("it runs")
}

/// How many payload datagrams came to all.
fn casts(sim: &Sim<App>) -> u64 {
    sim.running().map(|host| app(sim, host).node.stats().casts_in).sum()
}

// Broadcasts.

#[test]
fn a_broadcast_reaches_all_of_128_within_20_ms_and_each_once() {
    let mut sim = cluster(128, 1);
    let before = casts(&sim);
    say(&mut sim, 5, b"news");
    sim.run_for(Duration::from_millis(20));
    for host in (0..128).filter(|host| *host != 5) {
        assert_eq!(app(&sim, host).app.payloads(), [b"news"], "host {host}");
    }
    assert!(app(&sim, 5).app.payloads().is_empty(), "whoever says it is not told");
    sim.run_for(5 * SECOND);
    assert_eq!(casts(&sim) - before, 127, "one datagram with the payload for each member");
}

#[test]
fn all_of_a_stream_arrives_under_20_percent_loss_at_a_third_more() {
    for nodes in [16, 128] {
        let mut sim = cluster(nodes, 2);
        sim.set_conditions(Conditions::LAN.with_loss(0.2));
        let before = casts(&sim);
        for number in 0..30u8 {
            say(&mut sim, usize::from(number) * 7 % nodes, &[number; 64]);
            sim.run_for(SECOND);
        }
        sim.run_for(10 * SECOND);
        let told: usize = (0..nodes).map(|host| app(&sim, host).app.payloads().len()).sum();
        assert_eq!(told, 30 * (nodes - 1), "N = {nodes}");
        let copies = (casts(&sim) - before) as f64 / told as f64;
        assert!(copies < 1.4, "N = {nodes}: {copies} copies a member");
    }
}

#[test]
fn equal_payloads_are_different_messages() {
    let mut sim = cluster(5, 3);
    say(&mut sim, 1, b"same");
    say(&mut sim, 1, b"same");
    say(&mut sim, 2, b"same");
    sim.run_for(SECOND);
    assert_eq!(app(&sim, 0).app.payloads(), [b"same"; 3]);
    assert_eq!(app(&sim, 1).app.payloads(), [b"same"; 1]);
    let mut ids: Vec<_> = app(&sim, 0).app.heard.iter().map(|(_, heard)| heard.clone()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has an id of its own");
}

#[test]
fn a_newcomer_is_told_nothing_that_was_said_before() {
    let mut sim = cluster(9, 4);
    for number in 0..5u8 {
        say(&mut sim, 2, &[number]);
    }
    sim.run_for(5 * SECOND);
    let newcomer = sim.add(listener(1 << 10));
    sim.start(newcomer, &[0]);
    sim.restart(7, listener(1 << 10), &[0]);
    sim.run_for(10 * SECOND);
    assert_eq!(app(&sim, newcomer).app.payloads().len() + app(&sim, 7).app.payloads().len(), 0);
    say(&mut sim, 2, b"now");
    sim.run_for(SECOND);
    assert_eq!(app(&sim, newcomer).app.payloads(), [b"now"]);
    assert_eq!(app(&sim, 7).app.payloads(), [b"now"]);
}

/// Until a host knows this one. A millisecond is less than any datagram takes.
fn run_until_known(sim: &mut Sim<App>, by: usize, host: usize) {
    let (id, pace) = (sim.id(host), Duration::from_millis(1));
    let knows = |sim: &Sim<App>| app(sim, by).node.member(id).is_some();
    assert!(sim.run_until_true(knows, pace, 60 * SECOND).is_some(), "host {by} hears of host {host}");
}

#[test]
fn a_newcomer_that_is_found_by_a_member_is_told_what_that_says_from_then_on_and_nothing_before() {
    // As many as a window has numbers, and more.
    for said in [3, 200] {
        let mut sim = cluster(3, 8);
        for number in 0..said {
            say(&mut sim, 1, &[number]);
            sim.run_for(SECOND / 10);
        }
        sim.crash(0);
        sim.crash(2);
        sim.run_for(20 * SECOND);
        assert_eq!(app(&sim, 1).node.phase(), Phase::Isolated, "it looks for its seed again");
        // Its own seed does not answer.
        sim.restart(0, listener(64 << 10), &[2]);
        run_until_known(&mut sim, 0, 1);
        say(&mut sim, 1, b"now");
        sim.run_for(10 * SECOND);
        assert_eq!(app(&sim, 0).app.payloads(), [b"now"], "after {said}");
        assert_eq!(app(&sim, 0).app.count(|heard| matches!(heard, Heard::Gap { .. })), 0, "after {said}");
    }
}

#[test]
fn the_first_that_a_member_says_reaches_whoever_has_come_to_know_it_whatever_is_lost() {
    for seed in 0..200 {
        let mut sim = cluster(3, 1_000 + seed);
        sim.set_conditions(Conditions::LAN.with_loss(0.4));
        let newcomer = sim.add(listener(1 << 10));
        sim.start(newcomer, &[0]);
        run_until_known(&mut sim, newcomer, 2);
        say(&mut sim, 2, b"first");
        sim.run_for(2 * SECOND);
        sim.set_conditions(Conditions::LAN);
        sim.run_for(20 * SECOND);
        for host in [0, 1, newcomer] {
            assert_eq!(app(&sim, host).app.payloads(), [b"first"], "seed {seed}, host {host}");
        }
    }
}

#[test]
fn those_who_have_just_come_or_come_back_are_heard_at_once() {
    let mut sim = cluster(9, 5);
    let newcomer = sim.add(listener(1 << 10));
    sim.start(newcomer, &[0]);
    sim.restart(7, listener(1 << 10), &[0]);
    // They do not know anybody yet: what they say waits until they do.
    say(&mut sim, newcomer, b"hello");
    say(&mut sim, 7, b"back");
    sim.run_for(SECOND);
    for host in 0..7 {
        let mut payloads = app(&sim, host).app.payloads();
        payloads.sort();
        assert_eq!(payloads, [&b"back"[..], b"hello"], "host {host}");
    }
}

#[test]
fn both_sides_of_a_partition_are_told_afterwards_what_the_other_said() {
    let mut sim = cluster(16, 6);
    (0..3).for_each(|host| sim.set_side(host, 1));
    sim.run_for(10 * SECOND);
    say(&mut sim, 1, b"small side");
    say(&mut sim, 9, b"large side");
    sim.run_for(20 * SECOND);
    sim.heal();
    sim.run_for(30 * SECOND);
    for host in 0..16 {
        let mut payloads = app(&sim, host).app.payloads();
        payloads.sort();
        let all = [&b"large side"[..], b"small side"];
        let wanted: Vec<&[u8]> =
            all.into_iter().filter(|said| (host, *said) != (1, all[1]) && (host, *said) != (9, all[0])).collect();
        assert_eq!(payloads, wanted, "host {host}");
    }
}

#[test]
fn what_nobody_has_any_more_is_a_gap() {
    // Room for some ten messages each.
    let mut sim = cluster_of(5, 7, |_| listener(1 << 10));
    sim.set_plugged(4, false);
    for number in 0..100u8 {
        say(&mut sim, 1, &[number; 64]);
        sim.run_for(SECOND / 10);
    }
    sim.set_plugged(4, true);
    sim.run_for(60 * SECOND);
    let missed: u32 = app(&sim, 4).app.heard.iter().fold(0, |sum, (_, heard)| match heard {
        Heard::Gap { origin, first, last } if *origin == NodeId::new(2) => sum + last - first + 1,
        _ => sum,
    });
    let told = app(&sim, 4).app.payloads().len() as u32;
    assert_eq!(missed + told, 100, "{told} told");
    assert!(told >= 5, "the latest are still there: {told}");
    assert_eq!(app(&sim, 4).app.payloads().last(), Some(&&[99; 64][..]));
}

#[test]
fn who_listens_in_order_is_told_in_order_and_of_gaps_in_their_place() {
    let mut sim = cluster_of(8, 8, |_| {
        let mut app = listener(8 << 10);
        app.node.subscribe_in_order(Instant::ZERO, NEWS).expect("it replaces the other");
        app
    });
    let mut weather = Conditions::LAN.with_loss(0.3);
    weather.reorder = 0.5;
    sim.set_conditions(weather);
    for number in 0..200u8 {
        // It is told to wait now and then: so much is on its way under such a loss.
        let mut said = false;
        while !said {
            sim.with(3, |app, now| said = app.node.broadcast(now, NEWS, &[number; 32]).is_ok());
            sim.run_for(Duration::from_millis(10));
        }
    }
    sim.run_for(20 * SECOND);
    for host in (0..8).filter(|host| *host != 3) {
        let mut next = 0u32;
        for (_, heard) in &app(&sim, host).app.heard {
            match heard {
                Heard::Message { payload, .. } => {
                    assert_eq!(u32::from(payload[0]), next, "host {host}");
                    next += 1;
                }
                Heard::Gap { first, last, .. } => {
                    assert_eq!(first - 1, next, "host {host}");
                    next = *last;
                }
                _ => {}
            }
        }
        assert_eq!(next, 200, "host {host}");
    }
}

#[test]
fn those_who_do_not_listen_are_spared_the_payload() {
    let with_listeners = |count: usize| {
        let mut sim = cluster_of(32, 9, |host| {
            let mut app = listener(64 << 10);
            if host >= count {
                app.node.unsubscribe(Instant::ZERO, NEWS);
                app.node.subscribe(Instant::ZERO, OTHER).expect("it listens to nothing else");
            }
            app
        });
        let before = sim.total_traffic().bytes;
        say(&mut sim, 0, &[7; 1_000]);
        sim.run_for(Duration::from_millis(300));
        for host in 1..32 {
            assert_eq!(app(&sim, host).app.payloads().len(), usize::from(host < count), "host {host}");
        }
        sim.total_traffic().bytes - before
    };
    let (all, few) = (with_listeners(32), with_listeners(4));
    assert!(few < all / 3, "{few} bytes for 4 who listen, {all} for 32");
}

#[test]
fn a_payload_of_many_datagrams_arrives_whole() {
    let mut sim = cluster(16, 10);
    sim.set_conditions(Conditions::LAN.with_loss(0.2));
    let payload: Vec<u8> = (0..30_000u32).map(|at| ((at * at) >> 3) as u8).collect();
    say(&mut sim, 0, &payload);
    sim.run_for(10 * SECOND);
    for host in 1..16 {
        assert_eq!(app(&sim, host).app.payloads(), [&payload[..]], "host {host}");
    }
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let mut sim = cluster_of(3, 11, |_| listener(2 << 10));
    sim.with(0, |app, now| {
        let most = app.node.max_payload();
        assert_eq!(most, (2 << 10) - 40, "what there is room for");
        app.node.handle_timeout(now);
        let before = app.node.clone();
        assert_eq!(app.node.broadcast(now, NEWS, &vec![0; most + 1]), Err(BroadcastError::TooLarge));
        assert_eq!(app.node.send(now, NodeId::new(2), NEWS, &vec![0; most + 1]), Err(SendError::TooLarge));
        assert_eq!(app.node, before);
        assert!(app.node.broadcast(now, NEWS, &vec![1; most]).is_ok());
    });
    sim.run_for(5 * SECOND);
    assert_eq!(app(&sim, 1).app.payloads().len() + app(&sim, 2).app.payloads().len(), 2);
}

#[test]
fn who_says_too_much_is_told_so_and_loses_nothing_of_what_was_taken() {
    let mut sim = cluster(9, 12);
    let mut taken = 0;
    sim.with(2, |app, now| {
        let refused = loop {
            match app.node.broadcast(now, NEWS, &[taken; 100]) {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, BroadcastError::WouldBlock);
    });
    assert!((8..64).contains(&taken), "{taken} at once");
    sim.run_for(5 * SECOND);
    let wanted: Vec<Vec<u8>> = (0..taken).map(|number| vec![number; 100]).collect();
    for host in (0..9).filter(|host| *host != 2) {
        let mut payloads = app(&sim, host).app.payloads();
        payloads.sort();
        assert_eq!(payloads, wanted, "host {host}");
    }
    sim.with(2, |app, now| assert!(app.node.broadcast(now, NEWS, b"again").is_ok()));
}

#[test]
fn a_hundred_messages_a_second_and_members_of_1000_that_come_and_go_do_not_starve_each_other() {
    const STABLE: usize = 980;
    let mut sim = cluster(1_000, 13);
    sim.set_conditions(Conditions::LAN.with_loss(0.02));
    for number in 0..500usize {
        // Each of twenty crashes, one after the other.
        if number % 25 == 0 {
            sim.crash(STABLE + number / 25);
        }
        say(&mut sim, number * 37 % STABLE, &(number as u32).to_le_bytes());
        sim.run_for(Duration::from_millis(10));
    }
    let down = sim.run_until_true(
        |sim| (0..STABLE).all(|host| app(sim, host).node.live() == STABLE),
        SECOND / 10,
        10 * SECOND,
    );
    assert!(down.is_some(), "all crashes are known to all");
    (STABLE..1_000).for_each(|host| sim.restart(host, listener(64 << 10), &[0]));
    for number in 500..700usize {
        say(&mut sim, number * 37 % STABLE, &(number as u32).to_le_bytes());
        sim.run_for(Duration::from_millis(10));
    }
    let all_told = |sim: &Sim<App>| {
        (0..STABLE).all(|host| {
            let own = (0..700).filter(|number| number * 37 % STABLE == host).count();
            app(sim, host).app.payloads().len() == 700 - own
        })
    };
    let told = sim.run_until_true(all_told, SECOND, 10 * SECOND);
    assert!(told.is_some(), "all have all that others said");
    assert!(sim.agrees(), "all see who is there");
}

// Direct messages.

#[test]
fn a_direct_message_is_acknowledged_and_told_once_under_half_loss() {
    let mut sim = cluster(8, 14);
    let mut weather = Conditions::LAN.with_loss(0.5);
    weather.duplicate = 0.3;
    sim.set_conditions(weather);
    let payload = vec![3; 5_000];
    for to in 1..8 {
        let to = NodeId::new(to + 1);
        sim.with(0, |app, now| _ = app.node.send(now, to, OTHER, &payload).expect("there is room"));
    }
    sim.run_for(12 * SECOND);
    assert_eq!(app(&sim, 0).app.count(|heard| matches!(heard, Heard::Sent(..))), 7);
    for host in 1..8 {
        assert_eq!(app(&sim, host).app.payloads(), [&payload[..]], "host {host}, who does not listen to that topic");
    }
}

#[test]
fn who_is_gone_is_unreachable() {
    let mut sim = cluster(8, 15);
    sim.crash(5);
    sim.with(0, |app, now| {
        assert!(app.node.send(now, NodeId::new(6), NEWS, b"are you there").is_ok());
        assert_eq!(app.node.send(now, NodeId::new(77), NEWS, b"who"), Err(SendError::Unknown));
        assert_eq!(app.node.send(now, NodeId::new(1), NEWS, b"myself"), Err(SendError::Unknown));
    });
    sim.run_for(12 * SECOND);
    let lost = |heard: &Heard| matches!(heard, Heard::Unreachable(_, to) if *to == NodeId::new(6));
    assert_eq!(app(&sim, 0).app.count(lost), 1);
}

#[test]
fn so_many_of_those_who_listen_are_told_as_was_asked_for() {
    let mut sim = cluster(32, 16);
    sim.with(0, |app, now| _ = app.node.spread(now, NEWS, b"some of you", 5).expect("there is room"));
    sim.run_for(2 * SECOND);
    let told = (1..32).filter(|host| app(&sim, *host).app.payloads() == [b"some of you"]).count();
    assert_eq!((told, app(&sim, 0).app.count(|heard| matches!(heard, Heard::Sent(..)))), (5, 5));
    sim.with(0, |app, now| assert_eq!(app.node.spread(now, OTHER, b"nobody", 5), Err(SendError::Unknown)));
}

// Questions.

fn answering(mut app: App, times: usize) -> App {
    app.app.answers = Some((b"yes".to_vec(), times));
    app
}

fn ask(sim: &mut Sim<App>, host: usize, wanted: u32, within: Duration) {
    sim.with(host, |app, now| _ = app.node.ask(now, NEWS, b"well?", wanted, within).expect("there is room"));
}

#[test]
fn every_member_answers_once_under_half_loss() {
    let mut sim = cluster_of(16, 17, |_| answering(listener(64 << 10), 2));
    let mut weather = Conditions::LAN.with_loss(0.5);
    weather.duplicate = 0.3;
    sim.set_conditions(weather);
    ask(&mut sim, 3, 15, 20 * SECOND);
    sim.run_for(15 * SECOND);
    let mut from: Vec<NodeId> = Vec::new();
    for (_, heard) in &app(&sim, 3).app.heard {
        match heard {
            Heard::Answer(_, member, payload) => {
                assert_eq!(payload, b"yes");
                from.push(*member);
            }
            Heard::Answered(_, answers) => assert_eq!((*answers, from.len()), (15, 15), "told when all are there"),
            _ => {}
        }
    }
    from.sort();
    from.dedup();
    assert_eq!(from.len(), 15, "of each one answer, though each gave two");
    assert_eq!(app(&sim, 3).app.count(|heard| matches!(heard, Heard::Answered(..))), 1);
}

#[test]
fn a_question_is_over_when_enough_have_answered_or_its_time_has_passed() {
    let mut sim = cluster_of(9, 18, |host| answering(listener(64 << 10), usize::from(host % 2 == 0)));
    ask(&mut sim, 1, 3, 5 * SECOND);
    sim.run_for(SECOND);
    assert_eq!(app(&sim, 1).app.count(|heard| matches!(heard, Heard::Answer(..))), 3);
    assert_eq!(app(&sim, 1).app.count(|heard| matches!(heard, Heard::Answered(_, 3))), 1);
    ask(&mut sim, 1, 8, 5 * SECOND);
    sim.run_for(4 * SECOND);
    assert_eq!(app(&sim, 1).app.count(|heard| matches!(heard, Heard::Answered(..))), 1, "three do not answer");
    sim.run_for(2 * SECOND);
    assert_eq!(app(&sim, 1).app.count(|heard| matches!(heard, Heard::Answered(_, 5))), 1);
}

#[test]
fn a_late_answer_is_refused() {
    let mut sim = cluster(3, 19);
    ask(&mut sim, 0, 2, SECOND);
    sim.run_for(2 * SECOND);
    assert_eq!(app(&sim, 0).app.count(|heard| matches!(heard, Heard::Answered(_, 0))), 1);
    let asked = app(&sim, 1).app.heard.iter().find_map(|(_, heard)| match heard {
        Heard::Question(question, payload) => Some((*question, payload.clone())),
        _ => None,
    });
    let (question, payload) = asked.expect("it was asked");
    assert_eq!((question.asker(), &payload[..]), (NodeId::new(1), &b"well?"[..]));
    sim.with(1, |app, now| _ = app.node.answer(now, question, b"late").expect("there is room"));
    let before = app(&sim, 0).node.stats().dropped(DropReason::Unasked);
    sim.run_for(SECOND);
    assert_eq!(app(&sim, 0).app.count(|heard| matches!(heard, Heard::Answer(..))), 0);
    assert_eq!(app(&sim, 0).node.stats().dropped(DropReason::Unasked), before + 1, "refused once: it is not repeated");
}

#[test]
fn only_those_who_listen_are_asked() {
    let mut sim = cluster_of(9, 20, |host| {
        let mut app = answering(listener(64 << 10), 1);
        if host > 3 {
            app.node.unsubscribe(Instant::ZERO, NEWS);
        }
        app
    });
    ask(&mut sim, 8, u32::MAX, 2 * SECOND);
    sim.run_for(3 * SECOND);
    assert_eq!(app(&sim, 8).app.count(|heard| matches!(heard, Heard::Answered(_, 4))), 1);
}

#[test]
fn one_member_is_asked_alone() {
    let mut sim = cluster_of(9, 21, |_| answering(listener(64 << 10), 1));
    let to = NodeId::new(5);
    sim.with(0, |app, now| _ = app.node.ask_one(now, to, NEWS, b"you?", SECOND).expect("there is room"));
    sim.run_for(2 * SECOND);
    assert_eq!(app(&sim, 0).app.count(|heard| matches!(heard, Heard::Answer(_, from, _) if *from == to)), 1);
    assert_eq!(app(&sim, 0).app.count(|heard| matches!(heard, Heard::Answered(_, 1))), 1);
    let asked: usize = (1..9).map(|host| app(&sim, host).app.count(|heard| matches!(heard, Heard::Question(..)))).sum();
    assert_eq!(asked, 1);
}
