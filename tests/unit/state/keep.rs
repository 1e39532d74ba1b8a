//! A map as it is kept from one process to the next.

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::key::{Class, SetOptions, StateError};
use crate::state::Kept;
use crate::unit::property::check;
use crate::{Config, HeapNode, Instant, Limits, NodeId};

const CLASSES: [Class; 3] = [Class::Bulk, Class::Vital, Class::Local];

fn node() -> HeapNode<u16> {
    HeapNode::new(Config::LAN, Limits::DEFAULT.with_state_bytes(65_536))
}

/// Key, value and class of all that there is, in order.
fn map(node: &HeapNode<u16>) -> Vec<(Vec<u8>, Vec<u8>, u8)> {
    let class = |class: Class| CLASSES.iter().position(|held| *held == class).expect("there are three") as u8;
    let entries = node.entries(node.id());
    let mut all: Vec<_> =
        entries.map(|entry| (entry.key().as_bytes().to_vec(), entry.value().to_vec(), class(entry.class()))).collect();
    all.sort();
    all
}

fn exported(node: &HeapNode<u16>) -> Vec<u8> {
    let mut buf = std::vec![0; node.export_len()];
    assert_eq!(node.export(&mut buf), Some(buf.len()));
    buf
}

#[test]
fn what_is_exported_is_imported_key_by_key_whatever_it_is() {
    let key = "[a-z]{1,63}";
    let entries = vec((key, vec(any::<u8>(), 0..80), 0..3usize), 0..20);
    check(100, entries, |entries| {
        let mut first = node();
        for (key, value, class) in &entries {
            let options = SetOptions::DEFAULT.with_class(CLASSES[*class]);
            first.set_with(Instant::ZERO, key, value, options).expect("there is room");
        }
        let kept = exported(&first);
        let mut second = node();
        assert_eq!(second.import(Instant::ZERO, &kept), Ok(map(&first).len()));
        assert_eq!(map(&second), map(&first));
        assert_eq!(second.import(Instant::ZERO, &kept), Ok(0), "all is there");
        if let Some(short) = kept.len().checked_sub(1) {
            assert_eq!(first.export(&mut std::vec![0; short]), None, "one byte too few");
            let outcome = node().import(Instant::ZERO, &kept[..short]);
            assert_eq!(outcome, Err(StateError::Type), "one byte is missing");
        }
    });
}

#[test]
fn what_is_there_stays_and_what_is_not_is_added() {
    let mut first = node();
    first.set(Instant::ZERO, "a", &[1]).expect("there is room");
    first.set(Instant::ZERO, "b", &[1]).expect("there is room");
    let kept = exported(&first);
    let mut second = node();
    second.set_with(Instant::ZERO, "a", &[2], SetOptions::DEFAULT.with_class(Class::Vital)).expect("there is room");
    assert_eq!(second.import(Instant::ZERO, &kept), Ok(1));
    assert_eq!(second.get(NodeId::new(0), "a"), Some(&[2][..]));
    assert_eq!(second.get(NodeId::new(0), "b"), Some(&[1][..]));
}

#[test]
fn any_bytes_are_a_map_or_refused_and_what_is_read_is_as_long_as_it_says() {
    let sound = Kept { key: "key", value: b"value", class: Class::Vital };
    let mut buf = std::vec![0; sound.len()];
    assert_eq!(sound.write(&mut buf), Some(6 + 3 + 5));
    check(500, (vec(any::<u8>(), 0..60), 0..20usize, any::<u8>()), |(bytes, place, byte)| {
        let mut changed = buf.clone();
        changed.extend(&bytes);
        changed[place % buf.len()] = byte;
        for bytes in [&bytes, &changed] {
            if let Some((kept, rest)) = Kept::read(bytes) {
                assert_eq!(kept.len() + rest.len(), bytes.len());
                let mut again = std::vec![0; kept.len()];
                assert_eq!(kept.write(&mut again), Some(again.len()));
                assert_eq!(again, bytes[..kept.len()]);
            }
            let _ = node().import(Instant::ZERO, bytes);
        }
    });
    for (what, bytes) in [
        ("another class", &[1, 3, 0, 0, 0, 0, b'k'][..]),
        ("a longer key than there are bytes", &[2, 0, 0, 0, 0, 0, b'k']),
        ("a longer value", &[1, 0, 1, 0, 0, 0, b'k']),
        ("a value of 4 GiB", &[1, 0, 255, 255, 255, 255, b'k']),
        ("a key that is no text", &[1, 0, 0, 0, 0, 0, 0xff]),
        ("half of a head", &[1, 0, 0]),
    ] {
        assert!(Kept::read(bytes).is_none(), "{what}");
        assert_eq!(node().import(Instant::ZERO, bytes), Err(StateError::Type), "{what}");
    }
}
