//! One cluster's story, datagram by datagram: a change of the protocol shows in its difference, and both storages must
//! tell the same.

use std::time::Duration;

use tidings::internals::forge;

use crate::common::golden;
use crate::common::recorder::Lives;
use crate::common::recording::{Failure, Outcome, Tally, replay};
use tidings::sim::{Conditions, Machine, Sim};
use tidings::{Config, FixedNode, Heap, Limits, Narrow, Node, Storage};

const MEMBERS: usize = 8;

fn fixed() -> FixedNode<MEMBERS, u16> {
    FixedNode::new(Config::LAN)
}

fn heap() -> Node<u16, Heap<Narrow>> {
    Node::<u16, Heap<Narrow>>::new(Config::LAN, Limits::DEFAULT.with_members(MEMBERS))
}

/// Five nodes meet, one crashes and comes back without memory, another leaves.
fn story<M: Machine>(make: impl Fn() -> M) -> Sim<M> {
    let mut sim = Sim::new(5, Conditions::LAN);
    sim.record_transcript();
    for host in 0..5 {
        sim.add(make());
        sim.start(host, &[0, 1]);
    }
    sim.run_for(Duration::from_secs(3));
    sim.crash(3);
    sim.run_for(Duration::from_secs(6));
    sim.restart(3, make(), &[0, 1]);
    sim.run_for(Duration::from_secs(2));
    sim.leave(4);
    sim.run_for(Duration::from_secs(2));
    sim
}

/// Its lines with each datagram in words.
fn in_words(transcript: &str) -> String {
    let word = |line: &str| match line.rsplit_once(' ') {
        Some((head, hex)) if line.contains("->") => {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            format!("{head}: {}\n", forge::describe(&bytes))
        }
        _ => format!("{line}\n"),
    };
    transcript.lines().map(word).collect()
}

#[test]
fn five_nodes_live_as_they_did() {
    golden::compare("five_nodes.txt", in_words(story(fixed).transcript()));
}

#[test]
fn fixed_and_heap_of_equal_limits_send_the_same_bytes() {
    let (one, other) = (story(fixed), story(heap));
    assert_eq!(one.transcript(), other.transcript());
    assert!(one.transcript().lines().count() > 200, "it is a story of some length");
}

/// Replays a recording on one node after another in the same place, as a microcontroller does.
fn replayed<'a>(recording: &'a [u8], buf: &'a mut [u8]) -> Result<Tally, Failure<'a>> {
    replay(recording, &mut fixed(), |node| *node = fixed(), buf)
}

#[test]
fn the_recording_replays_on_this_host_to_the_same_bytes() {
    let lives = Lives::default();
    let transcript = story(|| lives.record(fixed())).transcript().to_string();
    assert_eq!(transcript, story(fixed).transcript(), "who is recorded lives no other life");
    let recording = lives.to_bytes();
    golden::compare("five_nodes.calls", &recording);

    let mut buf = [0; Config::LAN.max_datagram()];
    let tally = replayed(&recording, &mut buf).unwrap_or_else(|failure| panic!("{failure}"));
    let sent: Vec<&str> = transcript.lines().filter(|line| line.contains("->")).collect();
    let hex: usize = sent.iter().map(|line| line.rsplit_once(' ').unwrap().1.len()).sum();
    assert_eq!((tally.lives, tally.datagrams as usize, tally.bytes as usize), (6, sent.len(), hex / 2));
    let of_heap = replay(&recording, &mut heap(), |node| *node = heap(), &mut buf);
    assert_eq!(of_heap, Ok(tally));
}

#[test]
fn a_changed_bit_of_any_recorded_datagram_is_found() {
    let lives = Lives::default();
    story(|| lives.record(fixed()));
    let recording = lives.to_bytes();
    let (mut at, mut changed) = (0, 0);
    while at < recording.len() {
        let length = usize::from(u16::from_le_bytes([recording[at], recording[at + 1]]));
        let end = at + 2 + length;
        if recording[at + 2] == b'O' {
            let (mut bad, mut buf) = (recording.clone(), [0; Config::LAN.max_datagram()]);
            bad[end - 1 - changed % (length - 3)] ^= 1 << (changed % 8);
            let failure = replayed(&bad, &mut buf).expect_err("a bit is another");
            let Failure::Difference { expected, found, .. } = failure else { panic!("{failure}") };
            assert!(matches!((expected, found), (Outcome::Datagram { .. }, Outcome::Datagram { .. })), "{failure}");
            changed += 1;
        }
        at = end;
    }
    assert!(changed > 200, "it is a story of some length");
}

#[test]
fn a_recording_that_ends_early_is_replayed_as_far_or_not_readable() {
    let lives = Lives::default();
    story(|| lives.record(fixed()));
    let recording = lives.to_bytes();
    for end in 0..500 {
        let mut buf = [0; Config::LAN.max_datagram()];
        let replayed = replayed(&recording[..end], &mut buf);
        assert!(matches!(replayed, Ok(_) | Err(Failure::Unreadable { .. })), "{replayed:?}");
    }
}

#[test]
fn fixed_and_heap_agree_in_a_storm_with_full_tables() {
    fn storm<S: Storage + 'static>(seed: u64, make: impl Fn() -> Node<u16, S>) -> String {
        let weather = Conditions::LAN.with_loss(0.2);
        let mut sim = Sim::new(seed, weather);
        sim.record_transcript();
        // Twelve nodes and tables for eight.
        for host in 0..12 {
            sim.add(make());
            sim.start(host, &[0, 1]);
        }
        for turn in 0..8 {
            sim.run_for(Duration::from_millis(700));
            match turn % 4 {
                0 => sim.crash(2 + turn),
                1 => (0..12).for_each(|host| sim.set_side(host, host as u32 % 2)),
                2 => (0..12).for_each(|host| sim.set_side(host, 0)),
                _ => sim.restart(turn - 1, make(), &[0, 1]),
            }
        }
        sim.run_for(Duration::from_secs(5));
        sim.transcript().to_string()
    }
    for seed in 0..20 {
        assert_eq!(storm(seed, fixed), storm(seed, heap), "seed {seed}");
    }
}
