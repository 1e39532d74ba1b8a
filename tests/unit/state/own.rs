//! The own map: what is written, what runs out, what an error leaves as it was, and another life.

use core::time::Duration;
use std::vec::Vec;

use super::replicas::{Replica, Size};
use crate::key::{Class, SetOptions, StateError};
use crate::map::{BULK, VITAL_LOG};
use crate::state::Write;
use crate::storage::{Fixed, Heap};
use crate::time::Instant;
use crate::wire::MOST_VERSION;

type Node = Replica<Heap>;

/// The unit in which times to live are kept.
const UNIT: u64 = 1 << 16;

fn node() -> Node {
    Node::new(1, 2, Size { members: 8, bytes: 16_384 })
}

fn lasting(ttl: Duration) -> SetOptions {
    SetOptions::DEFAULT.with_ttl(ttl)
}

#[test]
fn a_key_runs_out_no_sooner_than_was_said_and_within_a_unit() {
    for began in [0, 1, UNIT - 1, UNIT, 1_000_003] {
        for ttl in [0, 1, UNIT - 1, UNIT, 3 * UNIT + 7, 30_000_000] {
            let mut node = node();
            node.core.now = Instant::from_micros(began);
            node.set_with("k", &[1], lasting(Duration::from_micros(ttl))).expect("there is room");
            let due = node.state.own_due();
            let lasted = due.as_micros() - began;
            assert!((ttl..=ttl + UNIT).contains(&lasted), "{lasted} of {ttl}");
            node.pass(lasted - 1);
            assert!(node.get(1, "k").is_some(), "it is there until then");
            node.pass(1);
            assert_eq!((node.get(1, "k"), node.versions(1)), (None, [2, 0]), "it was deleted");
        }
    }
}

#[test]
fn the_longest_time_to_live_is_long() {
    for ttl in [Duration::MAX, Duration::from_secs(4 * 365 * 86_400), Duration::from_secs(86_400)] {
        for began in [0, 1, UNIT, 1 << 40] {
            let mut node = node();
            node.core.now = Instant::from_micros(began);
            node.set_with("k", &[1], lasting(ttl)).expect("there is room");
            node.pass(1);
            assert!(node.get(1, "k").is_some(), "{ttl:?} from {began} us on have not passed at once");
            node.pass(3_600_000_000);
            assert!(node.get(1, "k").is_some(), "{ttl:?} from {began} us on have not passed");
        }
    }
}

#[test]
fn to_write_what_is_there_costs_nothing_and_gives_its_version() {
    let mut node = node();
    let first = node.set("k", &[1, 2]).expect("there is room");
    node.set("other", &[1]).expect("there is room");
    let before = node.state.clone();
    assert_eq!(node.set("k", &[1, 2]), Ok(first));
    assert_eq!((node.versions(1), node.state.used()), ([2, 0], before.used()));
    assert_eq!(node.set("k", &[1, 3]), Ok(3), "another value is another version");
    let lasts = lasting(Duration::from_secs(60));
    assert_eq!(node.set_with("k", &[1, 3], lasts), Ok(4), "as is another time to live");
    assert_eq!(node.set_with("k", &[1, 3], lasts), Ok(5), "which begins anew");
    assert_eq!(node.set("k", &[1, 3]), Ok(6), "or ends");
    node.delete("k").expect("it is there");
    assert_eq!(node.set("k", &[1, 3]), Ok(8), "it was not there");
    node.check();
}

#[test]
fn a_key_is_of_one_class_at_a_time() {
    let mut node = node();
    for (class, versions) in [
        (Class::Bulk, [1, 0]),
        (Class::Vital, [2, 1]),
        (Class::Local, [2, 2]),
        (Class::Bulk, [3, 2]),
        (Class::Local, [4, 2]),
        (Class::Vital, [4, 3]),
    ] {
        node.set_with("k", &[7], SetOptions::DEFAULT.with_class(class)).expect("there is room");
        let index = node.index(1);
        let classes: Vec<Class> = node.state.entries_of(index, &node.core.members).map(|entry| entry.class()).collect();
        assert_eq!((classes, node.versions(1)), (std::vec![class], versions));
        node.check();
    }
    node.delete("k").expect("it is there");
    assert_eq!((node.delete("k"), node.versions(1)), (Err(StateError::Unknown), [4, 4]));
}

/// Everything that an application or another member could tell.
fn seen<S: super::replicas::Empty>(node: &Replica<S>) -> (Vec<super::replicas::Kept>, [u32; 2], usize, Instant) {
    (node.map_of(1), node.versions(1), node.state.used(), node.state.own_due())
}

#[test]
fn an_error_changes_nothing() {
    let mut node = Replica::<Fixed<4, 1_024, 0>>::new(1, 2, Size { members: 0, bytes: 0 });
    node.set("k", &[1; 100]).expect("there is room");
    node.set_vital("v", &[1; 30]).expect("there is room");
    let before = seen(&node);
    let long = "k".repeat(64);
    for (key, len, error) in [
        ("", 1, StateError::Key),
        (&long, 1, StateError::Key),
        ("k", 224, StateError::TooLarge),
        ("other", 80, StateError::Full),
        ("k", 190, StateError::Full),
    ] {
        assert_eq!(node.set(key, &std::vec![2; len]), Err(error), "{key} of {len}");
        assert_eq!(seen(&node), before);
    }
    assert_eq!(node.delete("unknown"), Err(StateError::Unknown));
    let write = Write { key: "k", options: SetOptions::DEFAULT };
    let refused = node.with(|state, core| state.set(write, 50, |_| Err(StateError::Type), core));
    assert_eq!((refused, seen(&node)), (Err(StateError::Type), before), "what cannot be encoded");
    node.check();
}

#[test]
fn what_cannot_be_encoded_after_all_deletes_the_key_for_everybody_where_there_is_no_room_beside_it() {
    let count = 4;
    let mut all: Vec<Node> = (1..=count).map(|id| Node::new(id, count, Size { members: 8, bytes: 1_024 })).collect();
    for node in &mut all {
        node.set("k", &[1; 223]).expect("there is room");
    }
    let (node, others) = all.split_first_mut().expect("there are four");
    for (id, other) in (2..).zip(&mut *others) {
        node.fetch(other, &[id]);
        other.fetch(node, &[1]);
        assert!(other.get(1, "k").is_some(), "each has it");
    }
    assert!(node.state.used() > 990, "full, as the maps of all are as large as they may be");
    let write = Write { key: "k", options: SetOptions::DEFAULT };
    let refused = node.with(|state, core| state.set(write, 223, |_| Err(StateError::Type), core));
    assert_eq!((refused, node.get(1, "k")), (Err(StateError::Type), None));
    node.check();
    for other in others {
        other.fetch(node, &[1]);
        assert_eq!(other.get(1, "k"), None);
    }
    node.set("k", &[3; 223]).expect("there is room");
}

#[test]
fn nobody_takes_more_than_a_quarter_and_what_is_deleted_makes_room() {
    let mut node = Replica::<Fixed<4, 1_024, 0>>::new(1, 2, Size { members: 0, bytes: 0 });
    let mut count = 0;
    while node.set(&std::format!("{count:03}"), &[7; 5]).is_ok() {
        count += 1;
    }
    assert_eq!(count, 256 / 32);
    node.delete("000").expect("it is there");
    assert_eq!(node.set("new", &[7; 5]), Err(StateError::Full), "what stands for the deletion takes nearly as much");
    node.forget_deletions();
    node.set("new", &[7; 5]).expect("it is forgotten");
    node.check();
}

#[test]
fn another_life_begins_with_the_same_keys_and_with_nothing_deleted() {
    let mut node = node();
    for key in ["a", "b", "c", "d"] {
        node.set(key, &[1]).expect("there is room");
        node.set_vital(&key.repeat(2), &[1]).expect("there is room");
    }
    for _ in 0..20 {
        node.delete("b").expect("it is there");
        node.set("b", &[2]).expect("there is room");
    }
    node.delete("a").expect("it is there");
    node.begin_life(1);
    let keys: Vec<(Vec<u8>, u32)> = node.map_of(1).into_iter().map(|(_, key, version, _)| (key, version)).collect();
    let expected = [("b", 3), ("c", 1), ("d", 2), ("aa", 1), ("bb", 2), ("cc", 3), ("dd", 4)];
    assert_eq!(keys, expected.map(|(key, version)| (key.as_bytes().to_vec(), version)));
    assert_eq!(node.versions(1), [3, 4]);
    // What was to be forgotten in the life before is no matter of this one.
    node.forget_deletions();
    for log in [BULK, VITAL_LOG] {
        let log = *node.core.members.map(0).log(log);
        assert!(log.floor <= log.version, "{log:?}");
    }
    let mut reader = Node::new(2, 2, Size { members: 8, bytes: 16_384 });
    reader.hear_of_life(1, 1);
    reader.fetch(&mut node, &[1]);
    assert_eq!(reader.map_of(1), node.map_of(1));
}

#[test]
fn above_what_a_liar_claims_all_is_written_anew_and_everybody_reads_it() {
    let (mut node, mut reader) = (node(), Node::new(2, 2, Size { members: 8, bytes: 16_384 }));
    node.set("a", &[1]).expect("there is room");
    node.set("b", &[1]).expect("there is room");
    node.delete("a").expect("it is there");
    reader.fetch(&mut node, &[1]);
    node.state.note_claim([1_000, 0], [3, 0]);
    assert!(node.state.is_doubted() && node.with(|state, core| state.write_anew(core)));
    assert!(!node.state.is_doubted() && node.versions(1)[BULK] > 1_000);
    node.set("c", &[1]).expect("there is room");
    reader.fetch(&mut node, &[1]);
    assert_eq!(reader.map_of(1), node.map_of(1));
    assert_eq!(reader.map_of(1).len(), 2);
    node.forget_deletions();
    node.check();
}

#[test]
fn whoever_has_no_versions_left_begins_another_life() {
    let mut node = node();
    node.set("a", &[1]).expect("there is room");
    node.state.note_claim([MOST_VERSION - 3, 0], [1, 0]);
    let mut lives = 0;
    for turn in 0..10 {
        node.pass(1_000_000);
        // As a node does at every look.
        let used_up = node.versions(1).contains(&MOST_VERSION);
        if used_up || node.state.is_doubted() && !node.with(|state, core| state.write_anew(core)) {
            lives += 1;
            node.begin_life(lives);
        }
        let _ = node.set("a", &[turn]);
    }
    assert!(lives > 0 && node.set("b", &[1]).is_ok(), "else it could never write again");
}
