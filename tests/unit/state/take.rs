//! What a node takes of others' maps: values in pieces, logs that are read again, and where there is little room.

use super::replicas::{Replica, Size, had};
use crate::Config;
use crate::map::BULK;
use crate::state::Took;
use crate::storage::Heap;
use crate::wire::Span;
use crate::wire::Written;

type Node = Replica<Heap>;

/// So many nodes with this much room for maps, and datagrams of this size.
fn nodes<const N: usize>(bytes: usize, datagram: usize) -> [Node; N] {
    core::array::from_fn(|at| {
        let mut node = Node::new(at as u64 + 1, N as u64, Size { members: 8, bytes });
        node.core.config = Config::LAN.with_push_back(false).with_max_datagram(datagram);
        node
    })
}

/// One that asks the owner for all from its own version on, and takes what comes in this order of places.
fn take_some(reader: &mut Node, owner: &mut Node, places: &[usize]) {
    let question = reader.ask(owner, &[1]).expect("it lacks something");
    let given = owner.answer(2, &question);
    places.iter().for_each(|at| drop(reader.take(1, &given[*at])));
}

#[test]
fn a_value_that_comes_in_pieces_takes_the_place_of_the_one_before() {
    let [mut owner, mut reader] = nodes(16_384, 200);
    for turn in 1..=3 {
        owner.set("large", &[turn; 400]).expect("there is room");
        reader.fetch(&mut owner, &[1]);
        assert_eq!(reader.get(1, "large"), Some(&[turn; 400][..]));
        assert_eq!(reader.map_of(1), owner.map_of(1), "once, after {turn} turns");
        reader.check();
    }
    owner.delete("large").expect("it is there");
    reader.fetch(&mut owner, &[1]);
    owner.forget_deletions();
    owner.set("other", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.get(1, "large"), None, "and what was deleted stays so");
}

#[test]
fn whatever_the_owner_has_room_for_others_have_when_it_changes() {
    // A large value, in pieces or whole, in place of another as large: together they are more than a quarter of all.
    for datagram in [96, 1_200] {
        let [mut owner, mut reader] = nodes(1_024, datagram);
        for turn in 1..=3 {
            owner.set("k", &[turn; 180]).expect("there is room");
            reader.fetch(&mut owner, &[1]);
            assert_eq!(reader.map_of(1), owner.map_of(1), "in datagrams of {datagram} bytes, after {turn} turns");
        }
    }
}

#[test]
fn a_map_that_was_refused_is_wanted_again_after_a_while_though_its_owner_writes_nothing() {
    let [mut first, mut second, mut third, mut fourth, mut reader] = nodes(1_000, 1_200);
    let mut all = [&mut first, &mut second, &mut third, &mut fourth];
    for owner in &mut all {
        owner.set("k", &[1; 200]).expect("there is room");
    }
    for (id, owner) in (1..).zip(&mut all) {
        reader.fetch(owner, &[id]);
    }
    let refused = |reader: &Node| reader.core.members.map(reader.index(4)).log(BULK).refused;
    assert!(refused(&reader) && reader.get(4, "k").is_none(), "three quarters are full");
    all[0].delete("k").expect("it is there");
    reader.fetch(all[0], &[1]);
    assert!(refused(&reader), "nobody has looked");
    reader.pass(33_000_000);
    assert!(!refused(&reader));
    reader.fetch(all[3], &[4]);
    assert_eq!(reader.get(4, "k"), Some(&[1; 200][..]), "there is room now");
}

#[test]
fn a_rebuild_goes_on_for_as_long_as_pieces_of_a_value_come() {
    let [mut owner, mut reader] = nodes(16_384, 200);
    owner.set("first", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    owner.set("second", &[2; 100]).expect("there is room");
    owner.set("large", &[3; 700]).expect("there is room");
    owner.delete("first").expect("it is there");
    owner.forget_deletions();
    // Only the owner's clock went on so far: to the reader all of it comes piece by piece.
    let question = reader.ask(&owner, &[1]).expect("it lacks something");
    let given = owner.answer(2, &question);
    assert!(given.len() > 6, "{} datagrams", given.len());
    for datagram in &given {
        reader.take(1, datagram);
        reader.pass(1_000_000);
    }
    let question = reader.ask(&owner, &[1]).expect("it has not read what is behind the value");
    let rest = owner.answer(2, &question);
    assert_eq!(rest.len(), 1, "nothing else is lacking, as slowly as it came");
    reader.take(1, &rest[0]);
    assert_eq!(reader.map_of(1), owner.map_of(1));
}

#[test]
fn no_key_is_seen_to_change_until_the_log_has_been_read_again_to_its_end() {
    // Three who hold earlier and later states of one owner's log, whose floor is above where the reader is.
    let [mut owner, mut reader, mut earlier] = nodes(16_384, 200);
    for (key, value) in [("a", 1), ("gone", 1), ("k", 1)] {
        owner.set(key, &[value; 60]).expect("there is room");
    }
    reader.fetch(&mut owner, &[1]);
    owner.delete("gone").expect("it is there");
    owner.set("b", &[1; 60]).expect("there is room");
    owner.set("k", &[2; 60]).expect("there is room");
    owner.forget_deletions();
    earlier.fetch(&mut owner, &[1]);
    owner.set("k", &[3; 60]).expect("there is room");
    owner.set("c", &[1; 60]).expect("there is room");
    owner.set("d", &[1; 60]).expect("there is room");
    // The reader begins with the owner's state, gets the later value, and nothing more for a while.
    let before = reader.map_of(1);
    take_some(&mut reader, &mut owner, &[0, 1]);
    assert_eq!(reader.map_of(1), before, "two entries of each datagram are not seen");
    reader.pass(10_000_000);
    assert_eq!(reader.map_of(1), before, "nor is it that they are given up");
    reader.fetch(&mut earlier, &[1]);
    assert_eq!(reader.map_of(1), earlier.map_of(1), "the whole of an earlier state, which is later than what was here");
    reader.pass(10_000_000);
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.map_of(1), owner.map_of(1));
}

#[test]
fn what_has_come_of_a_rebuild_is_neither_seen_nor_given_on_before_the_rest_has() {
    let [mut owner, mut reader, mut third] = nodes(16_384, 200);
    owner.set("gone", &[1; 60]).expect("there is room");
    for replica in [&mut reader, &mut third] {
        replica.fetch(&mut owner, &[1]);
    }
    owner.set("large", &[1; 300]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    owner.delete("gone").expect("it is there");
    owner.forget_deletions();
    owner.set("large", &[2; 300]).expect("there is room");
    owner.set("end", &[3; 60]).expect("there is room");
    // The reader reads up to the large value, and then no more.
    let before = reader.map_of(1);
    let question = reader.ask(&owner, &[1]).expect("it lacks something");
    for datagram in owner.answer(2, &question) {
        reader.take(1, &datagram);
    }
    assert_eq!((reader.map_of(1), reader.versions(1)[BULK]), (before, 2), "in the middle of it");
    for datagram in reader.give(3, &[(1, had([1, 0]))]) {
        third.take(2, &datagram);
    }
    assert_eq!(third.map_of(1), reader.map_of(1), "it has what it would have been given before");
    reader.pass(10_000_000);
    assert_eq!(third.map_of(1), reader.map_of(1), "which is there still when the rest does not come");
    third.fetch(&mut owner, &[1]);
    assert_eq!(third.map_of(1), owner.map_of(1));
}

#[test]
fn a_liar_who_begins_a_rebuild_shuts_no_key_of_the_owner_out() {
    let [mut owner, mut reader, liar] = nodes(16_384, 1_200);
    owner.set("k", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    // It says that there is a version far beyond all, that the floor is there, and that there is still more.
    let far = 1_000_000;
    let span = Span { from: 0, to: far - 1, as_of: far, floor: far, sure: true };
    let lie = Written { version: far - 1, key: b"k", value: Some(&[9]) };
    let forged = liar.forge(1, span, &[lie]);
    assert_eq!(reader.take(3, &forged).0, [Took::New], "nobody can tell yet");
    reader.pass(10_000_000);
    owner.set("k", &[2]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.get(1, "k"), Some(&[2][..]), "what the owner says");
}

#[test]
fn a_map_of_more_than_half_its_share_is_read_again_in_place_of_itself() {
    let [mut owner, mut reader] = nodes(1_024, 1_200);
    owner.set("old", &[1; 120]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    owner.delete("old").expect("it is there");
    owner.forget_deletions();
    owner.set("new", &[1; 120]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.map_of(1), owner.map_of(1));
}

/// What a liar says of a log that it says was written a thousand times.
fn lie(liar: &Node, version: u32, key: &str) -> std::vec::Vec<u8> {
    let span = Span { from: 0, to: 999, as_of: 1_000, floor: 1_000, sure: true };
    liar.forge(1, span, &[Written { version, key: key.as_bytes(), value: Some(&[9]) }])
}

#[test]
fn a_lie_about_what_is_known_already_is_neither_seen_nor_stays() {
    let [mut owner, mut reader, liar] = nodes(16_384, 1_200);
    owner.set("k", &[1]).expect("there is room");
    owner.set("x", &[1]).expect("there is room");
    owner.set("x", &[2]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    // A later version of a key, one of a key that there is not, and one that is another key's.
    for (version, key) in [(2, "k"), (2, "y"), (3, "y")] {
        assert_eq!(reader.take(3, &lie(&liar, version, key)).0, [Took::Unfit], "{version} of {key}");
        reader.check();
        assert_eq!(reader.map_of(1), owner.map_of(1), "{version} of {key}");
    }
    owner.set("y", &[2]).expect("there is room");
    owner.delete("y").expect("it is there");
    owner.forget_deletions();
    owner.set("z", &[3]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.map_of(1), owner.map_of(1));
}

#[test]
fn what_finds_room_when_something_else_has_gone_is_not_refused() {
    let [mut owner, mut two, mut three, mut reader] = nodes(8_192, 130);
    for (id, other) in [(2, &mut two), (3, &mut three)] {
        other.set("filler", &[1; 1_950]).expect("there is room");
        reader.fetch(other, &[id]);
    }
    owner.set("old", &[1; 1_500]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.map_of(1), owner.map_of(1));
    owner.delete("old").expect("it is there");
    owner.forget_deletions();
    owner.set("new", &[2; 1_500]).expect("there is room");
    reader.pass(1_000);
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.map_of(1), owner.map_of(1), "at once, not when it asks again");
}
