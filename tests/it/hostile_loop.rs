//! What hostile peers and small buffers do to what a node sends: every poll ends, nothing stands in the way of what is
//! behind it, what others ask for stays within the budget, and nobody takes all the room there is to pass news on.

use std::collections::BTreeSet;
use std::time::Duration;

use tidings::internals::forge::{self, Sender, kind};
use tidings::sim::{Conditions, Report, Safety, Sim};
use tidings::{Config, DropReason, HeapNode, Instant, Limits, Status};

type Cluster = Sim<HeapNode<u32>>;

const SECOND: Duration = Duration::from_secs(1);
const MILLIS: Duration = Duration::from_millis(1);
/// Where nobody is, so that what goes there answers to a lie.
const GHOST: u32 = 50_000;
/// More datagrams than any one call makes a node send.
const BURST: usize = 300;

/// Members of these settings that have settled, with the safety checks on.
fn settled(config: Config, size: usize, seed: u64) -> Cluster {
    let mut sim = Sim::new(seed, Conditions::LAN);
    sim.watch(Safety::new(size + 64));
    for host in 0..size {
        sim.add(HeapNode::new(config, Limits::DEFAULT));
        sim.start(host, &[0]);
    }
    assert!(sim.run_until_agreed(100 * MILLIS, 60 * SECOND).is_some(), "seed {seed}: a cluster");
    sim.run_for(3 * SECOND);
    sim.take_reports();
    sim
}

fn of(node: &HeapNode<u32>) -> Sender {
    let myself = node.member(node.id()).unwrap();
    let life = myself.life();
    let (generation, nonce) = (life.generation(), life.nonce());
    Sender { id: node.id().get(), generation, nonce, incarnation: myself.incarnation() }
}

/// What `sender` says to a host.
fn said(sim: &Cluster, to: usize, sender: Sender, frames: &[Vec<u8>]) -> Vec<u8> {
    forge::datagram(forge::cluster(""), forge::VERSION, of(sim.machine(to).unwrap()).tag(), sender, frames)
}

/// What is said to a host in another's name.
fn said_as(sim: &Cluster, to: usize, mask: usize, frames: &[Vec<u8>]) -> Vec<u8> {
    said(sim, to, of(sim.machine(mask).unwrap()), frames)
}

fn ask(question: u32, target: u64, within: u32) -> Vec<u8> {
    forge::frame(3, &[&question.to_le_bytes()[..], &target.to_le_bytes(), &within.to_le_bytes()].concat())
}

fn want(low: u64, wanted: u64) -> Vec<u8> {
    forge::frame(kind::DIFF, &[&low.to_le_bytes()[..], &[0xff; 8], &[8], &wanted.to_le_bytes()].concat())
}

fn parcel(number: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let everybody = [[0; 4], [0xff; 4]].concat();
    forge::frame(kind::HAND, &[&forge::handed(number, 1).to_le_bytes()[..], &everybody, &records.concat()].concat())
}

/// A member that there is not.
fn invented(id: u64) -> Sender {
    Sender { id: 1_000_000 + id, generation: 0, nonce: 1, incarnation: 0 }
}

/// Polls until `None`, with a buffer of so many bytes.
fn polled(node: &mut HeapNode<u32>, room: usize) -> Vec<Vec<u8>> {
    let (mut buf, mut sent) = (vec![0; room], Vec::new());
    while let Some(transmit) = node.poll_transmit(&mut buf) {
        sent.push(transmit.payload.to_vec());
        assert!(sent.len() <= BURST, "polling ends");
    }
    sent
}

/// The first frame's kind, of a datagram of a sender with a small incarnation.
fn first_kind(datagram: &[u8]) -> u8 {
    datagram[19]
}

/// Host 0 with nothing left to send, and the time.
fn drained(sim: &Cluster) -> (HeapNode<u32>, Instant) {
    let mut node = sim.machine(0).unwrap().clone();
    polled(&mut node, 1_200);
    (node, sim.now())
}

fn hear(node: &mut HeapNode<u32>, now: Instant, from: u32, datagram: &[u8]) {
    node.handle_datagram(now, from, &mut datagram.to_vec());
}

#[test]
fn two_questions_of_one_number_from_one_address_are_answered_once_each() {
    let sim = settled(Config::LAN, 4, 1);
    for names in [[1, 2], [2, 1], [1, 1]] {
        let (mut node, now) = drained(&sim);
        for mask in names {
            hear(&mut node, now, 1, &said_as(&sim, 0, mask, &[ask(7, sim.id(3).get(), 10_000)]));
        }
        polled(&mut node, 1_200);
        node.handle_timeout(now + 20 * MILLIS);
        let verdicts = polled(&mut node, 1_200).iter().filter(|bytes| first_kind(bytes) == 4).count();
        assert_eq!(verdicts, if names[0] == names[1] { 1 } else { 2 }, "{names:?}");
    }
}

#[test]
fn what_was_asked_for_and_is_gone_stands_before_nothing_in_a_buffer_of_any_size() {
    let sim = settled(Config::LAN, 4, 1);
    for room in [60, 96, 200, 1_199, 1_200] {
        let (mut node, now) = drained(&sim);
        for low in [u64::MAX, u64::MAX - 1] {
            hear(&mut node, now, 1, &said_as(&sim, 0, 1, &[want(low, 1)]));
        }
        assert_eq!(polled(&mut node, room).len(), 0, "{room}: there is nothing to give");
        assert_eq!(node.stats().dropped(DropReason::SmallBuffer), 0, "{room}: nor anything that did not fit");
        hear(&mut node, now, 1, &said_as(&sim, 0, 1, &[forge::ping(5, [0; 6])]));
        let answers = polled(&mut node, room);
        assert!(answers.iter().any(|bytes| first_kind(bytes) == kind::ACK), "{room}: a ping is answered");
    }
}

#[test]
fn what_does_not_fit_a_buffer_is_passed_over_and_kept() {
    let sim = settled(Config::LAN, 4, 1);
    let (mut node, now) = drained(&sim);
    // A record takes more than 60 bytes with its head, and an acknowledgement 25 or 31.
    hear(&mut node, now, 1, &said_as(&sim, 0, 1, &[want(0, u64::MAX)]));
    hear(&mut node, now, 1, &said_as(&sim, 0, 1, &[forge::ping(5, [0; 6])]));
    let first: Vec<_> = polled(&mut node, 32).iter().map(|bytes| first_kind(bytes)).collect();
    assert_eq!(first, [kind::ACK]);
    assert!(node.stats().dropped(DropReason::SmallBuffer) > 0, "it is counted");
    let due = node.poll_timeout();
    let later: Vec<_> = polled(&mut node, 1_200).iter().map(|bytes| first_kind(bytes)).collect();
    assert_eq!((later.first(), node.poll_timeout()), (Some(&kind::DIFF), due));
}

#[test]
fn what_a_small_buffer_cuts_off_a_parcel_is_told_as_other_news_is() {
    let sim = settled(Config::LAN, 4, 1);
    for room in [80, 128, 300, 1_200] {
        let (mut node, mut now) = drained(&sim);
        let records: Vec<_> =
            (0..16).map(|id| forge::record_at(0, invented(id), &forge::varint(GHOST + id as u32))).collect();
        hear(&mut node, now, 1, &said_as(&sim, 0, 1, &[parcel(9, &records)]));
        let (end, mut told) = (now + 100 * MILLIS, BTreeSet::new());
        while now < end {
            for bytes in polled(&mut node, room) {
                let names = |id: &u64| bytes[19..].windows(8).any(|bytes| bytes == invented(*id).id.to_le_bytes());
                told.extend((0..16).filter(names));
            }
            now = node.poll_timeout().max(now);
            node.handle_timeout(now);
        }
        assert_eq!(told.len(), 16, "{room}");
    }
}

/// Has a host of eight flooded with twenty pings a second, 620 bytes, for a minute or ten: what it sends in a second, and
/// how often a member was declared down.
fn flooded(config: Config, seconds: u32, seed: u64, name: impl Fn(u32) -> Option<usize>) -> (u64, usize) {
    let mut sim = settled(config, 8, seed);
    sim.run_for(20 * SECOND);
    sim.take_reports();
    let before = sim.traffic(0).bytes;
    for turn in 0..20 * seconds {
        match name(turn) {
            Some(mask) => {
                let ping = said_as(&sim, 0, mask, &[forge::ping(turn, [0; 6])]);
                sim.inject(mask, 0, &ping);
            }
            None => {
                let ping = said_as(&sim, 0, 3, &[forge::ping(turn, [0; 6])]);
                sim.spoof(GHOST, 0, &ping);
            }
        }
        sim.run_for(50 * MILLIS);
    }
    let is_down = |told: &&tidings::sim::Reported| matches!(told.report, Report::Member(_, Status::Down));
    assert_eq!(sim.failure(), None);
    let down = sim.take_reports().iter().filter(is_down).count();
    ((sim.traffic(0).bytes - before) / u64::from(seconds), down)
}

#[test]
fn a_flood_of_pings_has_a_node_with_a_budget_send_no_more_than_that_and_silences_it_for_nobody() {
    let tight = Config::LAN.with_byte_budget(100);
    let members = |turn: u32| Some(1 + turn as usize % 7);
    for seed in 1..4 {
        // Steady traffic is 56 bytes a second without a flood.
        let (rate, down) = flooded(tight, 60, seed, |_| None);
        assert!(rate < 340 && down == 0, "seed {seed}, from elsewhere: {rate} B/s, {down} declared down");
        let (rate, down) = flooded(Config::LOW_POWER, 600, seed, members);
        assert!(rate < 120 && down == 0, "seed {seed}, in members' names: {rate} B/s, {down} declared down");
        // The twelve answers in a probe period that keep it alive are 384 bytes.
        let (rate, down) = flooded(tight, 60, seed, members);
        assert!(rate < 640 && down == 0, "seed {seed}, in members' names: {rate} B/s, {down} declared down");
    }
}

/// How long it takes until nine tenths of 32 members know a newcomer, each of whom is handed a parcel of hearsay in every
/// 50 ms, 1.2 kB a second.
fn known_after(seed: u64, from: &str) -> Duration {
    let (mut sim, mut number) = (settled(Config::LAN, 32, seed), 0);
    let mut flood = |sim: &mut Cluster| {
        for victim in 0..32 {
            number += 1;
            let liar = (victim + 1 + number as usize % 30) % 32;
            let about = Sender { incarnation: number, ..invented(u64::from(number % 32)) };
            let frames = [parcel(number, &[forge::record_at(0, about, &forge::varint(GHOST + number % 32))])];
            match from {
                "members" => {
                    let bytes = said_as(sim, victim, liar, &frames);
                    sim.inject(liar, victim, &bytes);
                }
                "elsewhere" => {
                    let bytes = said_as(sim, victim, liar, &frames);
                    sim.spoof(GHOST, victim, &bytes);
                }
                _ => {
                    let bytes = said(sim, victim, invented(1_000 + u64::from(number)), &frames);
                    sim.spoof(GHOST, victim, &bytes);
                }
            }
        }
    };
    for _ in 0..60 {
        flood(&mut sim);
        sim.run_for(50 * MILLIS);
    }
    let newcomer = sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT));
    sim.start(newcomer, &[0]);
    let (id, start) = (sim.id(newcomer), sim.now());
    for turn in 0.. {
        let knows = |host: &usize| sim.machine(*host).unwrap().member(id).is_some();
        if (0..32).filter(knows).count() >= 29 {
            break;
        }
        if turn % 10 == 0 {
            flood(&mut sim);
        }
        assert!(turn < 2_000, "seed {seed}, {from}: ten seconds");
        sim.run_for(5 * MILLIS);
    }
    assert_eq!(sim.failure(), None, "seed {seed}, {from}");
    Duration::from_micros(sim.now().as_micros() - start.as_micros())
}

#[test]
fn hearsay_to_pass_on_keeps_no_newcomer_from_being_told_of() {
    for from in ["members", "elsewhere", "strangers"] {
        let mut took: Vec<_> = (0..8).map(|seed| known_after(seed, from)).collect();
        took.sort_unstable();
        assert!(took[4] < 600 * MILLIS, "{from}: {took:?}");
    }
}
