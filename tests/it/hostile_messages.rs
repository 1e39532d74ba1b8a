//! Hostile peers and messages: what is forged in others' names, numbers that leap, and questions without end. As in
//! `hostile.rs`, the safety checks of the simulator are on.
//!
//! Nobody can tell a forged broadcast from a real one who trusts all that know the cluster's name. What is asked for
//! here is that the real ones arrive all the same.

use std::time::Duration;

use tidings::sim::{Conditions, Forger, Report, Safety, Sim, TOPIC};
use tidings::{Config, DropReason, HeapNode, Instant, Limits, NodeId};

type Cluster = Sim<HeapNode<u32>>;

const SECOND: Duration = Duration::from_secs(1);
const ROOM: usize = 4 << 10;
/// Where nobody is and of which nobody speaks: the safety checks see to it that it gets three bytes for one at the most.
const NOBODY: u32 = 65_000;

fn cluster(nodes: usize, seed: u64) -> Cluster {
    let mut sim = Sim::new(seed, Conditions::LAN);
    sim.watch(Safety::new(32));
    for host in 0..nodes {
        let limits = Limits::DEFAULT.with_members(32).with_broadcast_bytes(ROOM);
        let mut node = HeapNode::new(Config::LAN, limits);
        node.subscribe(Instant::ZERO, TOPIC).expect("it listens to nothing yet");
        sim.add(node);
        sim.start(host, &[0]);
    }
    assert!(sim.run_until_agreed(SECOND / 10, 20 * SECOND).is_some());
    sim.run_for(3 * SECOND);
    sim.take_reports();
    sim
}

/// Tells `victim` what the forger says, as if its neighbour `mask` did.
fn tell(sim: &mut Cluster, victim: usize, mask: usize, lie: impl FnOnce(&Cluster, Forger) -> Vec<u8>) {
    let machine = |host| sim.machine(host).expect("it runs");
    let forger = Forger::new(machine(victim), machine(mask)).expect("they run");
    let bytes = lie(sim, forger);
    assert!(!bytes.is_empty());
    sim.inject(mask, victim, &bytes);
}

fn say(sim: &mut Cluster, host: usize, payload: &[u8]) {
    sim.with(host, |node, now| _ = node.broadcast(now, TOPIC, payload).expect("there is room"));
}

fn dropped(sim: &Cluster, host: usize, reason: DropReason) -> u64 {
    sim.machine(host).expect("it runs").stats().dropped(reason)
}

/// What each host was told of this origin's broadcasts since it was last asked: the payloads' first bytes.
fn told(sim: &mut Cluster, origin: usize) -> Vec<Vec<u8>> {
    let mut told = vec![Vec::new(); sim.hosts()];
    for reported in sim.take_reports() {
        match reported.report {
            Report::Message { origin: of, number, .. } if of == sim.id(origin) => {
                told[reported.host].push(number as u8)
            }
            Report::Gap { origin: of, .. } if of == sim.id(origin) => told[reported.host].push(u8::MAX),
            _ => {}
        }
    }
    assert_eq!(sim.failure(), None);
    told
}

#[test]
fn a_number_that_leaps_moves_nothing_and_is_counted() {
    let mut sim = cluster(6, 1);
    for seq in [u32::MAX, u32::MAX - 1, 1 << 20, 66] {
        tell(&mut sim, 1, 2, |sim, forger| forger.broadcast(sim.machine(3).unwrap(), seq, b"!"));
    }
    sim.run_for(SECOND / 10);
    assert_eq!(dropped(&sim, 1, DropReason::BeyondWindow), 4);
    say(&mut sim, 3, &[1]);
    sim.run_for(20 * SECOND);
    say(&mut sim, 3, &[2]);
    sim.run_for(20 * SECOND);
    for (host, told) in told(&mut sim, 3).into_iter().enumerate().filter(|(host, _)| *host != 3) {
        assert_eq!(told, [1, 2], "host {host}");
    }
}

#[test]
fn what_others_say_that_there_is_shuts_nothing_out() {
    let mut sim = cluster(6, 2);
    say(&mut sim, 3, &[1]);
    sim.run_for(SECOND);
    for seen in [u32::MAX, 1_000, 60] {
        tell(&mut sim, 1, 2, |sim, forger| forger.progress(sim.machine(3).unwrap(), seen));
        sim.run_for(15 * SECOND);
    }
    for number in 2..70 {
        say(&mut sim, 3, &[number]);
        sim.run_for(SECOND / 10);
    }
    sim.run_for(10 * SECOND);
    assert_eq!(told(&mut sim, 3)[1], (1..70).collect::<Vec<u8>>(), "and no gap is told");
}

#[test]
fn numbers_taken_in_advance_are_given_back_when_the_origin_is_asked() {
    let mut sim = cluster(6, 3);
    // The places 5, 9 and 40 are taken by a forger; what is before them seems to be missing.
    for seq in [5, 9, 40] {
        tell(&mut sim, 1, 2, |sim, forger| forger.broadcast(sim.machine(3).unwrap(), seq, &[200 + seq as u8]));
    }
    sim.run_for(15 * SECOND);
    sim.take_reports();
    for number in 1..50 {
        say(&mut sim, 3, &[number]);
        sim.run_for(SECOND / 10);
    }
    sim.run_for(10 * SECOND);
    for (host, told) in told(&mut sim, 3).into_iter().enumerate().filter(|(host, _)| *host != 3) {
        assert_eq!(told, (1..50).collect::<Vec<u8>>(), "host {host}");
    }
}

#[test]
fn a_message_that_is_replayed_is_told_once() {
    let mut sim = cluster(6, 4);
    for number in 0..20 {
        say(&mut sim, 3, &[number]);
        sim.run_for(SECOND / 100);
    }
    sim.run_for(SECOND);
    let overheard: Vec<Vec<u8>> = sim.overheard().map(<[u8]>::to_vec).collect();
    for bytes in overheard.iter().cycle().take(5_000) {
        for host in 0..6 {
            sim.inject((host + 1) % 6, host, bytes);
        }
    }
    sim.run_for(5 * SECOND);
    for (host, mut told) in told(&mut sim, 3).into_iter().enumerate().filter(|(host, _)| *host != 3) {
        told.sort();
        assert_eq!(told, (0..20).collect::<Vec<u8>>(), "host {host}");
    }
}

#[test]
fn an_endless_stream_of_new_origins_is_refused_and_keeps_nobody_from_being_heard() {
    let mut sim = cluster(6, 5);
    for id in 0..20_000 {
        tell(&mut sim, 1, 2, |_, forger| forger.broadcast_of_nobody(1_000 + id, 1, &[9; 500]));
    }
    sim.run_for(SECOND / 10);
    assert_eq!(dropped(&sim, 1, DropReason::UnknownOrigin), 20_000);
    say(&mut sim, 3, &[1]);
    sim.run_for(SECOND);
    assert_eq!(told(&mut sim, 3)[1], [1]);
}

#[test]
fn a_member_that_floods_pushes_out_only_what_has_been_told() {
    let mut sim = cluster(6, 6);
    // Four times as much as there is room for, in the name of one member; others go on meanwhile.
    for number in 0..60u8 {
        tell(&mut sim, 1, 2, |sim, forger| forger.broadcast(sim.machine(4).unwrap(), u32::from(number) + 1, &[9; 250]));
        say(&mut sim, 3, &[number]);
        sim.run_for(SECOND / 50);
    }
    sim.run_for(5 * SECOND);
    assert_eq!(told(&mut sim, 3)[1], (0..60).collect::<Vec<u8>>());
}

#[test]
fn whoever_has_proved_nothing_is_given_no_payloads() {
    let mut sim = cluster(6, 7);
    for _ in 0..5 {
        say(&mut sim, 3, &[7; 500]);
        sim.run_for(SECOND);
    }
    // From where no member is, in a member's name: the payloads go to the member, if to anybody.
    for _ in 0..100 {
        let forger = Forger::new(sim.machine(3).unwrap(), sim.machine(2).unwrap()).unwrap();
        let bytes = forger.pulls(sim.machine(3).unwrap(), 1);
        sim.spoof(NOBODY, 3, &bytes);
        sim.run_for(SECOND / 100);
    }
    assert_eq!(sim.failure(), None, "three bytes for one at the most");
}

#[test]
fn a_flood_of_pulls_is_answered_within_bounds() {
    let mut sim = cluster(6, 8);
    for _ in 0..5 {
        say(&mut sim, 3, &[7; 500]);
        sim.run_for(SECOND);
    }
    let before = sim.traffic(3).datagrams;
    for _ in 0..1_000 {
        tell(&mut sim, 3, 2, |sim, forger| forger.pulls(sim.machine(3).unwrap(), 1));
    }
    sim.run_for(SECOND);
    let sent = sim.traffic(3).datagrams - before;
    assert!(sent <= 1_000 * 4 + 20, "{sent} datagrams for 1,000: five messages of 500 bytes and what is lacking");
    say(&mut sim, 3, &[1]);
    sim.run_for(SECOND);
    let ids: Vec<NodeId> = (0..6).map(|host| sim.id(host)).collect();
    assert_eq!(ids.len(), told(&mut sim, 3).into_iter().filter(|told| told.last() == Some(&1)).count() + 1);
}

#[test]
fn a_datagram_that_asks_for_much_work_gets_the_first_of_it_done() {
    let mut sim = cluster(6, 9);
    say(&mut sim, 3, &[7; 500]);
    sim.run_for(SECOND);
    let before = dropped(&sim, 3, DropReason::Busy);
    tell(&mut sim, 3, 2, |sim, forger| forger.pulls(sim.machine(3).unwrap(), 30));
    sim.run_for(SECOND);
    assert_eq!(dropped(&sim, 3, DropReason::Busy) - before, 29);
}
