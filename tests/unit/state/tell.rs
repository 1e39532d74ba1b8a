//! What the application is told of others' maps: against what it was told before and what is there.

use std::vec::Vec;

use super::replicas::{Replica, Size, had};
use super::told::Told;
use crate::storage::Heap;
use crate::wire::{Span, Written};

type Node = Replica<Heap>;

fn nodes<const N: usize>() -> [Node; N] {
    core::array::from_fn(|at| Node::new(at as u64 + 1, N as u64, Size { members: 40, bytes: 65_536 }))
}

/// An application that wants to hear of all keys.
fn hear_of_all(reader: &mut Node) -> Told {
    reader.state.watch("", &mut reader.core.members).expect("there is room");
    Told::default()
}

/// All that the first has comes, and is told.
fn hear(told: &mut Told, reader: &mut Node, owner: &mut Node) {
    reader.fetch(owner, &[1]);
    told.poll(reader);
    told.agrees(reader, &[1]);
}

/// Nobody says any more that it was deleted.
fn delete_for_good(key: &str, owner: &mut Node) {
    owner.delete(key).expect("it is there");
    owner.forget_deletions();
    owner.set("last", &[1]).expect("there is room");
}

#[test]
fn what_changes_several_times_is_told_once_as_it_is_then() {
    let [mut owner, mut reader] = nodes();
    let mut told = hear_of_all(&mut reader);
    for value in 1..=5 {
        owner.set("a", &[value]).expect("there is room");
        owner.set_vital("v", &[value]).expect("there is room");
        reader.fetch(&mut owner, &[1]);
    }
    assert_eq!(told.poll(&mut reader), ["1 v [5]", "1 a [5]"], "vital ones first");
    owner.delete("a").expect("it is there");
    owner.set("b", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    owner.set("b", &[2]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(told.poll(&mut reader), ["1 a deleted", "1 b [2]"]);
    assert_eq!(told.poll(&mut reader), [""; 0]);
    told.agrees(&reader, &[1]);
}

#[test]
fn only_what_begins_as_was_asked_is_told_from_then_on() {
    let [mut owner, mut reader] = nodes();
    owner.set("a/old", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    reader.state.watch("a/", &mut reader.core.members).expect("there is room");
    let mut told = Told::default();
    for key in ["a/1", "b/1", "a", "a/2"] {
        owner.set(key, &[1]).expect("there is room");
    }
    reader.fetch(&mut owner, &[1]);
    assert_eq!(told.poll(&mut reader), ["1 a/1 [1]", "1 a/2 [1]"], "and not what was there before");
    reader.state.watch("b/", &mut reader.core.members).expect("there is room");
    reader.state.unwatch("a/");
    for key in ["a/1", "b/1"] {
        owner.set(key, &[2]).expect("there is room");
    }
    reader.fetch(&mut owner, &[1]);
    assert_eq!(told.poll(&mut reader), ["1 b/1 [2]"]);
    reader.state.unwatch("b/");
    owner.set("b/1", &[3]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(told.poll(&mut reader), [""; 0]);
}

#[test]
fn another_life_and_the_end_of_a_map_are_told() {
    let [mut owner, mut reader] = nodes();
    let mut told = hear_of_all(&mut reader);
    owner.set("a", &[1]).expect("there is room");
    hear(&mut told, &mut reader, &mut owner);
    owner.begin_life(1);
    reader.hear_of_life(1, 1);
    reader.fetch(&mut owner, &[1]);
    assert_eq!(told.poll(&mut reader), ["Replaced(NodeId(0000000000000001))", "1 a [1]"]);
    let index = reader.index(1);
    let gone = super::replicas::record(1, 1).with(crate::member::Liveness::Down);
    reader.core.members.replace(index, gone, reader.core.now);
    reader.state.drop_map(index, &mut reader.core.members);
    assert_eq!(told.poll(&mut reader), ["Gone(NodeId(0000000000000001))"]);
    told.agrees(&reader, &[1]);
}

#[test]
fn of_more_owners_than_are_remembered_nothing_is_lost() {
    let mut all: [Node; 40] = nodes();
    let (reader, owners) = all.split_first_mut().expect("there are forty");
    reader.state.watch("", &mut reader.core.members).expect("there is room");
    let (mut told, ids): (_, Vec<u64>) = (Told::default(), (2..=40).collect());
    for round in 1..=3u8 {
        for (id, owner) in (2..).zip(owners.iter_mut()) {
            owner.set("k", &[round]).expect("there is room");
            reader.fetch(owner, &[id]);
            if id % 7 == 0 {
                told.poll_one(reader);
            }
        }
        // They change again while they are told.
        for (id, owner) in (2..).zip(owners.iter_mut()) {
            told.poll_one(reader);
            owner.set("more", &[round]).expect("there is room");
            reader.fetch(owner, &[id]);
        }
        told.poll(reader);
        told.agrees(reader, &ids);
    }
}

#[test]
fn a_deletion_that_was_not_told_yet_is_not_lost_when_the_log_is_read_again() {
    let [mut owner, mut reader] = nodes();
    let mut told = hear_of_all(&mut reader);
    owner.set("k", &[1]).expect("there is room");
    owner.set("stays", &[1]).expect("there is room");
    hear(&mut told, &mut reader, &mut owner);
    owner.delete("k").expect("it is there");
    // It comes, but the application does not ask yet.
    reader.fetch(&mut owner, &[1]);
    owner.set("x", &[1]).expect("there is room");
    owner.delete("x").expect("it is there");
    owner.set("last", &[1]).expect("there is room");
    owner.forget_deletions();
    hear(&mut told, &mut reader, &mut owner);
}

#[test]
fn a_key_that_was_told_and_changed_since_is_not_kept_when_the_log_is_read_again_without_it() {
    let [mut owner, mut reader] = nodes();
    let mut told = hear_of_all(&mut reader);
    owner.set("k", &[1]).expect("there is room");
    hear(&mut told, &mut reader, &mut owner);
    owner.set("k", &[2]).expect("there is room");
    // It comes, but the application does not ask yet.
    reader.fetch(&mut owner, &[1]);
    owner.delete("k").expect("it is there");
    owner.set("last", &[1]).expect("there is room");
    owner.forget_deletions();
    hear(&mut told, &mut reader, &mut owner);
}

#[test]
fn what_was_deleted_stays_known_until_it_has_been_told() {
    let [mut owner, mut reader] = nodes();
    let mut told = hear_of_all(&mut reader);
    owner.set("k", &[1]).expect("there is room");
    hear(&mut told, &mut reader, &mut owner);
    owner.delete("k").expect("it is there");
    reader.fetch(&mut owner, &[1]);
    owner.forget_deletions();
    let index = reader.index(1);
    for datagram in owner.give(2, &[(1, had([1, 0]))]) {
        // The floor comes with it.
        reader.take(1, &datagram);
    }
    owner.set("other", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert!(reader.core.members.map(index).log(0).floor < 2);
    assert_eq!(told.poll(&mut reader), ["1 k deleted", "1 other [1]"]);
    owner.set("other", &[2]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.core.members.map(index).log(0).floor, 2, "it has been told");
    reader.check();
}

#[test]
fn what_is_read_again_after_it_had_to_go_is_told() {
    let [mut owner, mut reader, liar]: [Node; 3] =
        core::array::from_fn(|at| Node::new(at as u64 + 1, 3, Size { members: 8, bytes: 1_024 }));
    let mut told = hear_of_all(&mut reader);
    owner.set("a", &[1]).expect("there is room");
    owner.set("b", &[1]).expect("there is room");
    hear(&mut told, &mut reader, &mut owner);
    // More than there is ever room for takes no room from what is there; as much as its share does.
    let span = Span { from: 0, to: 999, as_of: 1_000, floor: 1_000, sure: true };
    let lie = |len: usize| Written { version: 998, key: b"k", value: Some(&[9; 700][..len]) };
    reader.take(3, &liar.forge(1, span, &[lie(700)]));
    assert_eq!(reader.map_of(1), owner.map_of(1));
    reader.set("own", &[1; 200]).expect("there is room");
    reader.take(3, &liar.forge(1, span, &[lie(285)]));
    told.poll(&mut reader);
    told.agrees(&reader, &[1]);
    reader.pass(40_000_000);
    owner.set("c", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.map_of(1), owner.map_of(1));
    told.poll(&mut reader);
    told.agrees(&reader, &[1]);
}

#[test]
fn what_was_read_when_a_map_was_replaced_is_not_kept_when_it_is_gone() {
    let [mut owner, mut reader] = nodes();
    let mut told = hear_of_all(&mut reader);
    owner.set("k", &[1]).expect("there is room");
    hear(&mut told, &mut reader, &mut owner);
    owner.begin_life(1);
    reader.hear_of_life(1, 1);
    reader.fetch(&mut owner, &[1]);
    // It hears that the map was replaced, looks at it, and asks no further for now.
    assert!(told.poll_one(&mut reader));
    delete_for_good("k", &mut owner);
    hear(&mut told, &mut reader, &mut owner);
}

#[test]
fn a_key_that_was_told_of_in_place_of_a_deleted_one_is_not_kept_when_it_is_gone() {
    let [mut owner, mut reader] = nodes();
    let mut told = hear_of_all(&mut reader);
    owner.set_vital("k", &[1]).expect("there is room");
    hear(&mut told, &mut reader, &mut owner);
    owner.set("k", &[2]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    // The deletion of the vital one is told as the other's being there.
    assert!(told.poll_one(&mut reader));
    delete_for_good("k", &mut owner);
    hear(&mut told, &mut reader, &mut owner);
}
