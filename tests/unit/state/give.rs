//! What a node gives of maps: in shares, whole where it fits, and in pieces.

use super::replicas::{Replica, Size, had};
use crate::Config;
use crate::storage::Heap;

type Node = Replica<Heap>;

fn nodes<const N: usize>(datagram: usize) -> [Node; N] {
    core::array::from_fn(|at| {
        let mut node = Node::new(at as u64 + 1, N as u64, Size { members: 8, bytes: 65_536 });
        node.core.config = Config::LAN.with_push_back(false).with_max_datagram(datagram);
        node
    })
}

#[test]
fn a_value_longer_than_half_a_datagram_is_given_while_others_wait() {
    for (datagram, len) in [(1_200, 900), (1_200, 600), (300, 150), (96, 1)] {
        let [mut first, mut second, mut holder, mut reader] = nodes(datagram);
        for (id, owner) in (1..).zip([&mut first, &mut second]) {
            owner.set("key", &std::vec![7; len]).expect("there is room");
            holder.fetch(owner, &[id]);
        }
        reader.fetch(&mut holder, &[1, 2]);
        for id in [1, 2] {
            assert_eq!(reader.map_of(id), holder.map_of(id), "values of {len} in datagrams of {datagram}");
            assert_eq!(reader.map_of(id).len(), 1);
        }
    }
}

#[test]
fn what_was_written_when_datagrams_could_be_longer_still_goes_out() {
    let [mut owner, mut reader] = nodes(1_200);
    owner.set("long", &[1; 600]).expect("there is room");
    owner.set("longer", &[1; 3_000]).expect("there is room");
    owner.set("short", &[1]).expect("there is room");
    for node in [&mut owner, &mut reader] {
        node.core.config = node.core.config.with_max_datagram(300);
    }
    reader.fetch(&mut owner, &[1]);
    assert_eq!(reader.map_of(1), owner.map_of(1));
}

#[test]
fn vital_keys_of_all_are_given_before_anything_of_the_bulk() {
    let [mut first, mut second, mut holder, mut reader] = nodes(300);
    for (id, owner) in (1..).zip([&mut first, &mut second]) {
        for key in ["a", "b", "c", "d", "e"] {
            owner.set(key, &[1; 50]).expect("there is room");
            owner.set_vital(&std::format!("vital {key}"), &[2; 50]).expect("there is room");
        }
        owner.set("large", &[3; 1_000]).expect("there is room");
        holder.fetch(owner, &[id]);
    }
    let given = holder.give(4, &[(1, had([0, 0])), (2, had([0, 0]))]);
    let (mut all_vital, mut any_bulk) = (false, false);
    for datagram in &given {
        reader.take(3, datagram);
        any_bulk |= [1, 2].iter().any(|id| reader.versions(*id)[0] > 0);
        all_vital |= [1, 2].iter().all(|id| reader.versions(*id)[1] == 5);
        assert!(all_vital || !any_bulk, "{:?}, {:?}", reader.versions(1), reader.versions(2));
    }
    reader.fetch(&mut holder, &[1, 2]);
    for id in [1, 2] {
        assert_eq!(reader.map_of(id), holder.map_of(id));
    }
}

#[test]
fn values_in_pieces_of_both_logs_go_side_by_side() {
    // Two pieces fit one datagram.
    for (datagram, len) in [(96, 13), (1_200, 1_115)] {
        let [mut owner, mut reader] = nodes(datagram);
        owner.set("a", &std::vec![1; len]).expect("there is room");
        owner.set_vital("v", &std::vec![2; len]).expect("there is room");
        reader.fetch(&mut owner, &[1]);
        assert_eq!(reader.map_of(1), owner.map_of(1), "in datagrams of {datagram}");
    }
}
