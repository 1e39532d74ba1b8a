//! One cluster's story, datagram by datagram: a change of the protocol shows in its difference, and both storages must
//! tell the same.

#[path = "common/forge.rs"]
mod forge;
#[path = "common/golden.rs"]
mod golden;

use std::time::Duration;

use tidings::sim::{Conditions, Sim};
use tidings::{Config, FixedNode, Heap, Limits, Narrow, Node, Storage};

const MEMBERS: usize = 8;

fn fixed() -> FixedNode<MEMBERS, u16> {
    FixedNode::new(Config::LAN)
}

fn heap() -> Node<u16, Heap<Narrow>> {
    Node::<u16, Heap<Narrow>>::new(Config::LAN, Limits::DEFAULT.with_members(MEMBERS))
}

/// Five nodes meet, one crashes and comes back without memory, another leaves.
fn story<S: Storage + 'static>(make: impl Fn() -> Node<u16, S>) -> Sim<Node<u16, S>> {
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
    golden::compare("five_nodes.txt", &in_words(story(fixed).transcript()));
}

#[test]
fn fixed_and_heap_of_equal_limits_send_the_same_bytes() {
    let (one, other) = (story(fixed), story(heap));
    assert_eq!(one.transcript(), other.transcript());
    assert!(one.transcript().lines().count() > 200, "it is a story of some length");
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
