//! Leaving while nobody answers. Every run has the safety checks of the simulator on; a failure names the seed to run again.

use std::time::Duration;

use crate::common::cluster::{SECOND, status_of, watched};
use tidings::sim::{Conditions, Sim};
use tidings::{Config, HeapNode, Phase, Status};

const MILLIS: Duration = Duration::from_millis(1);

fn phase(sim: &Sim<HeapNode<u32>>, host: usize) -> Phase {
    sim.machine(host).unwrap().phase()
}

/// A cluster of which all but host 0 have crashed, and host 0 knows that nobody answers.
fn last_of(size: usize, seed: u64) -> Sim<HeapNode<u32>> {
    let mut sim = watched(size, seed);
    (1..size).for_each(|host| sim.crash(host));
    let isolated = sim.run_until_true(|sim| phase(sim, 0) == Phase::Isolated, 10 * MILLIS, 60 * SECOND);
    assert!(isolated.is_some(), "{size} nodes, seed {seed}");
    sim
}

/// Has host 0 leave: how long that took, and how many datagrams it sent meanwhile.
fn leave(sim: &mut Sim<HeapNode<u32>>) -> (Duration, u64) {
    let before = sim.traffic(0).datagrams;
    sim.leave(0);
    let left = sim.run_until_true(|sim| phase(sim, 0) == Phase::Left, MILLIS, 2 * Config::LAN.leave_timeout());
    (left.expect("it leaves"), sim.traffic(0).datagrams - before)
}

#[test]
fn an_isolated_node_leaves_after_a_few_words_of_farewell() {
    for (size, seed) in [(2, 1), (3, 2), (5, 3), (16, 4), (64, 5)] {
        let mut sim = last_of(size, seed);
        let (took, sent) = leave(&mut sim);
        println!("{size} nodes: {took:?}, {sent} datagrams");
        assert!(took <= 250 * MILLIS, "{size} nodes, seed {seed}: {took:?}");
        assert!((4..=20).contains(&sent), "{size} nodes, seed {seed}: {sent} datagrams");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

#[test]
fn whom_others_hear_again_during_its_farewell_has_left_for_all_of_them() {
    for (size, seed) in [(3, 1), (5, 2), (16, 3), (64, 4)] {
        let mut sim = watched(size, seed);
        sim.set_side(0, 1);
        let isolated = sim.run_until_true(|sim| phase(sim, 0) == Phase::Isolated, 10 * MILLIS, 60 * SECOND);
        assert!(isolated.is_some(), "{size} nodes, seed {seed}");
        sim.leave(0);
        sim.run_for(70 * MILLIS);
        sim.set_side(0, 0);
        sim.run_for(2 * SECOND);
        assert_eq!(phase(&sim, 0), Phase::Left, "{size} nodes, seed {seed}");
        let left = (1..size).filter(|host| status_of(&sim, *host, 0) == Some(Status::Left)).count();
        assert_eq!(left, size - 1, "{size} nodes, seed {seed}");
        assert_eq!(sim.failure(), None, "seed {seed}");
    }
}

#[test]
fn a_node_that_others_answer_still_waits_for_them_at_much_loss() {
    for seed in 0..20 {
        let mut sim = watched(8, seed);
        sim.set_conditions(Conditions::LAN.with_loss(0.5));
        let (took, _) = leave(&mut sim);
        sim.run_for(5 * SECOND);
        let left = (1..8).filter(|host| status_of(&sim, *host, 0) == Some(Status::Left)).count();
        assert_eq!(left, 7, "seed {seed}: after {took:?}");
    }
}
