//! What the application is told of others' maps: against what it was told before and what is there.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use super::replicas::{Replica, Size, had};
use crate::state::StateNews;
use crate::storage::Heap;

type Node = Replica<Heap>;

fn nodes<const N: usize>() -> [Node; N] {
    core::array::from_fn(|at| Node::new(at as u64 + 1, N as u64, Size { members: 40, bytes: 65_536 }))
}

/// An application that knows of others' maps only what it is told.
#[derive(Default)]
struct Told {
    keys: BTreeMap<(u64, String), Vec<u8>>,
    news: Vec<String>,
}

impl Told {
    fn poll_one(&mut self, node: &mut Node) -> bool {
        let Some(news) = node.state.next_news(&mut node.members, &mut node.stats) else { return false };
        let of = |at| {
            let (index, key) = node.state.owner_and_key(at).expect("it is there");
            (node.members.get(index).expect("it is a member").id.get(), key.to_string())
        };
        let note = match news {
            StateNews::Set(at) => {
                let (owner, key) = of(at);
                let value = node.get(owner, &key).expect("it is there").to_vec();
                let note = std::format!("{owner} {key} {value:?}");
                self.keys.insert((owner, key), value);
                note
            }
            StateNews::Deleted(at) => {
                let (owner, key) = of(at);
                let note = std::format!("{owner} {key} deleted");
                self.keys.remove(&(owner, key));
                note
            }
            StateNews::Replaced(owner) | StateNews::Gone(owner) => {
                self.keys.retain(|(of, _), _| *of != owner.get());
                let index = node.members.find(owner);
                // Whoever hears that looks at what there is.
                for entry in index.into_iter().flat_map(|index| node.state.entries_of(index, &node.members)) {
                    self.keys.insert((owner.get(), entry.key().to_string()), entry.value().to_vec());
                }
                std::format!("{news:?}")
            }
        };
        self.news.push(note);
        true
    }

    fn poll(&mut self, node: &mut Node) -> Vec<String> {
        while self.poll_one(node) {}
        core::mem::take(&mut self.news)
    }

    fn agrees(&self, node: &Node, owners: &[u64]) {
        let there = owners.iter().flat_map(|owner| {
            node.map_of(*owner)
                .into_iter()
                .map(move |(_, key, _, value)| ((*owner, String::from_utf8(key).expect("a key is text")), value))
        });
        assert_eq!(self.keys, there.collect(), "what was told is what is there");
    }
}

#[test]
fn what_changes_several_times_is_told_once_as_it_is_then() {
    let [mut owner, mut reader] = nodes();
    reader.state.watch("", &mut reader.members).expect("there is room");
    let mut told = Told::default();
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
    reader.state.watch("a/", &mut reader.members).expect("there is room");
    let mut told = Told::default();
    for key in ["a/1", "b/1", "a", "a/2"] {
        owner.set(key, &[1]).expect("there is room");
    }
    reader.fetch(&mut owner, &[1]);
    assert_eq!(told.poll(&mut reader), ["1 a/1 [1]", "1 a/2 [1]"], "and not what was there before");
    reader.state.watch("b/", &mut reader.members).expect("there is room");
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
    reader.state.watch("", &mut reader.members).expect("there is room");
    let mut told = Told::default();
    owner.set("a", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    told.poll(&mut reader);
    owner.begin_life(1);
    reader.hear_of_life(1, 1);
    reader.fetch(&mut owner, &[1]);
    assert_eq!(told.poll(&mut reader), ["Replaced(NodeId(0000000000000001))", "1 a [1]"]);
    let index = reader.index(1);
    let gone = super::replicas::record(1, 1).with(crate::member::Liveness::Down);
    reader.members.replace(index, gone, reader.now);
    reader.state.drop_map(index, &mut reader.members);
    assert_eq!(told.poll(&mut reader), ["Gone(NodeId(0000000000000001))"]);
    told.agrees(&reader, &[1]);
}

#[test]
fn of_more_owners_than_are_remembered_nothing_is_lost() {
    let mut all: [Node; 40] = nodes();
    let (reader, owners) = all.split_first_mut().expect("there are forty");
    reader.state.watch("", &mut reader.members).expect("there is room");
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
    reader.state.watch("", &mut reader.members).expect("there is room");
    let mut told = Told::default();
    owner.set("k", &[1]).expect("there is room");
    owner.set("stays", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    told.poll(&mut reader);
    owner.delete("k").expect("it is there");
    // It comes, but the application does not ask yet.
    reader.fetch(&mut owner, &[1]);
    owner.set("x", &[1]).expect("there is room");
    owner.delete("x").expect("it is there");
    owner.set("last", &[1]).expect("there is room");
    owner.forget_deletions();
    reader.fetch(&mut owner, &[1]);
    told.poll(&mut reader);
    told.agrees(&reader, &[1]);
}

#[test]
fn a_key_that_was_told_and_changed_since_is_not_kept_when_the_log_is_read_again_without_it() {
    let [mut owner, mut reader] = nodes();
    reader.state.watch("", &mut reader.members).expect("there is room");
    let mut told = Told::default();
    owner.set("k", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    told.poll(&mut reader);
    owner.set("k", &[2]).expect("there is room");
    // It comes, but the application does not ask yet.
    reader.fetch(&mut owner, &[1]);
    owner.delete("k").expect("it is there");
    owner.set("last", &[1]).expect("there is room");
    owner.forget_deletions();
    reader.fetch(&mut owner, &[1]);
    told.poll(&mut reader);
    told.agrees(&reader, &[1]);
}

#[test]
fn what_was_deleted_stays_known_until_it_has_been_told() {
    let [mut owner, mut reader] = nodes();
    reader.state.watch("", &mut reader.members).expect("there is room");
    let mut told = Told::default();
    owner.set("k", &[1]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    told.poll(&mut reader);
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
    assert!(reader.members.map(index).log(0).floor < 2);
    assert_eq!(told.poll(&mut reader), ["1 k deleted", "1 other [1]"]);
    owner.set("other", &[2]).expect("there is room");
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.members.map(index).log(0).floor, 2, "it has been told");
    reader.check();
}
