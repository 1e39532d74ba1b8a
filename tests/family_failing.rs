//! Acceptance scenarios that do not hold yet.
//!
//! 24, where there is hardly any room for the gone: one of those who stay has not heard that a member left when the
//! others have forgotten that already. It tells them of the member, which lives again to all, and is then found down.

#[allow(dead_code)]
#[path = "common/cluster.rs"]
mod common;

use std::time::Duration;

use common::reported;
use tidings::sim::{Conditions, Sim};
use tidings::{Config, HeapNode, Limits, NodeId, Phase, Status};

#[test]
fn whoever_has_left_does_not_rise_again_in_tables_with_hardly_any_room_for_the_gone() {
    let small = || HeapNode::<u32>::new(Config::LAN, Limits::DEFAULT.with_members(24));
    let mut risen = Vec::new();
    for seed in 1..=6 {
        let mut sim = Sim::new(seed, Conditions::LAN);
        for host in 0..4 {
            sim.add(small());
            sim.start(host, &[0]);
        }
        let brief: Vec<usize> = (0..10).map(|_| sim.add(small())).collect();
        let mut number = 0;
        for round in 0..1_000 {
            for host in &brief {
                number += 1;
                sim.set_id(*host, NodeId::new(1_000_000 + number));
                sim.restart(*host, small(), &[round % 4]);
            }
            sim.run_for(Duration::from_millis(200));
            brief.iter().for_each(|host| sim.leave(*host));
            let left =
                |sim: &Sim<HeapNode<u32>>| brief.iter().all(|host| sim.machine(*host).unwrap().phase() == Phase::Left);
            let took = sim.run_until_true(left, Duration::from_millis(100), 2 * Config::LAN.leave_timeout());
            assert!(took.is_some(), "seed {seed}, round {round}: all have left");
            let down = reported(&sim.take_reports(), Status::Down);
            risen.extend(down.first().map(|(_, id)| (seed, round, id.get() - 1_000_000, down.len())));
        }
    }
    assert_eq!(risen, [], "seed, round, which newcomer was reported down, and by how many");
}
