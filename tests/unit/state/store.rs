//! The store of maps' entries against a list of them, on both storages.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::map::{At, NOWHERE};
use crate::state::parts::{DELETED, Head, LOCAL, PARTIAL, Store, VITAL};
use crate::storage::{Fixed, Heap, Limited, Storage};
use crate::unit::property::check;

/// So little that most scripts fill it many times.
const BYTES: usize = 640;
/// So few that most buckets hold several.
const BUCKETS: usize = 3;
const CLASSES: [u8; 3] = [0, VITAL, LOCAL];

/// An entry as the model holds it: nothing of where it lies but its handle, which the store names anew when it moves.
#[derive(Clone, Debug)]
struct Kept {
    at: At,
    owner: u32,
    class: u8,
    version: u32,
    /// `DELETED`, `PARTIAL` or nothing.
    mark: u8,
    key: Vec<u8>,
    value: Vec<u8>,
    expires: u32,
    pieces: u8,
}

impl Kept {
    fn size(&self) -> usize {
        24 + if self.expires != 0 || self.pieces > 1 { 8 } else { 0 } + self.key.len() + self.value.len()
    }

    fn list(&self) -> (u32, u8) {
        (self.owner, self.class)
    }

    fn is_whole(&self) -> bool {
        self.mark != PARTIAL
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Writes a key: whose and in which class, its version, the length of the value, and what more there is of it.
    Push {
        owner: u32,
        class: usize,
        key: u8,
        version: u32,
        len: usize,
        more: u8,
    },
    /// One that is not whole is whole now.
    Complete(u8),
    Remove(u8),
    /// Changes a value and the version within what its neighbours allow.
    Fill(u8, u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let len = prop_oneof![6 => 0..30usize, 1 => 0..BYTES];
    let push = (0..2u32, 0..3usize, 0..6u8, 1..60u32, len, any::<u8>());
    let op = prop_oneof![
        8 => push.prop_map(|(owner, class, key, version, len, more)| Op::Push { owner, class, key, version, len, more }),
        2 => any::<u8>().prop_map(Op::Complete),
        5 => any::<u8>().prop_map(Op::Remove),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(which, byte)| Op::Fill(which, byte)),
    ];
    vec(op, 1..120)
}

/// Keys of different lengths, so that entries are of any size.
fn key_of(number: u8) -> Vec<u8> {
    std::vec![b'a' + number; 1 + usize::from(number) * 3]
}

struct Both<S: Storage> {
    store: Store<S>,
    kept: Vec<Kept>,
    /// The last entry of each list.
    lasts: BTreeMap<(u32, u8), At>,
}

impl<S: Storage> Both<S> {
    fn new(bytes: S::State, buckets: S::DataPerMember<At>) -> Self {
        Both { store: Store::new(bytes, buckets), kept: Vec::new(), lasts: BTreeMap::new() }
    }

    fn used(&self) -> usize {
        self.kept.iter().map(Kept::size).sum()
    }

    fn last(&self, list: (u32, u8)) -> At {
        self.lasts.get(&list).copied().unwrap_or(NOWHERE)
    }

    fn play(&mut self, op: &Op) {
        let which = |choice: u8| usize::from(choice) % self.kept.len().max(1);
        match *op {
            Op::Push { owner, class, key, version, len, more } => {
                let class = CLASSES[class];
                let mark = [0, 0, 0, DELETED, PARTIAL, 0, 0, 0][usize::from(more & 7)];
                let expires = if more & 0x10 != 0 && class == LOCAL { 7 } else { 0 };
                let pieces = if mark == PARTIAL || more & 0x20 != 0 { 2 + (more >> 6) } else { 1 };
                let (key, value) = (key_of(key), std::vec![0; if mark == DELETED { 0 } else { len }]);
                self.push(Kept { at: NOWHERE, owner, class, version, mark, key, value, expires, pieces });
            }
            Op::Complete(choice) => self.complete(which(choice)),
            Op::Remove(choice) if !self.kept.is_empty() => self.remove(which(choice)),
            Op::Remove(_) => {}
            Op::Fill(choice, byte) => {
                let which = which(choice);
                let Some(kept) = self.kept.get_mut(which) else { return };
                kept.value.fill(byte);
                self.store.value_mut(kept.at).fill(byte);
            }
        }
    }

    /// Adds an entry and removes the one of the same key that it replaces, as a node does.
    fn push(&mut self, mut new: Kept) {
        let same = |held: &Kept| held.list() == new.list() && held.is_whole();
        if self.kept.iter().any(|held| held.list() == new.list() && held.version == new.version) {
            return;
        }
        let replaced = self.kept.iter().position(|held| same(held) && held.key == new.key && new.is_whole());
        let (size, before) = (new.size(), self.store.clone());
        let fits = self.used() + size <= BYTES;
        assert_eq!(self.store.has_room(size), fits);
        let head = Head::new(new.owner, new.version, new.class | new.mark, new.value.len());
        let head = Head { expires: new.expires, pieces: new.pieces, ..head };
        let mut moved = Vec::new();
        let at = self.store.push(head, &new.key, |head, from, to| moved.push((head.version, from, to)));
        assert_eq!(at.is_some(), fits, "it is added if there is room");
        let Some(at) = at else {
            assert!(self.store == before && moved.is_empty(), "a refusal changes nothing");
            return;
        };
        self.follow(&moved);
        new.at = at;
        if new.is_whole() {
            let last = self.store.link(at, self.last(new.list()));
            self.lasts.insert(new.list(), last);
        }
        let (list, key) = (new.list(), new.key.clone());
        self.kept.push(new);
        if let Some(replaced) = replaced {
            let old = self.kept[replaced].at;
            assert_eq!(self.store.find_other(list.0, list.1, &key, at), Some(old), "the other of the same key");
            self.remove(replaced);
        }
    }

    /// Entries have moved up: all that are there, in order, and none twice.
    fn follow(&mut self, moved: &[(u32, At, At)]) {
        assert!(moved.is_sorted_by(|one, next| one.1 < next.1 && one.2 < next.2), "{moved:?}");
        assert!(moved.is_empty() || moved.len() == self.kept.len(), "all are named");
        for (version, from, to) in moved {
            assert!(to <= from);
            // No entry that is still to be found here has moved to where another was before.
            let kept = self.kept.iter_mut().find(|kept| kept.at == *from).expect("there was one");
            assert_eq!(kept.version, *version);
            kept.at = *to;
            self.lasts.values_mut().filter(|last| **last == *from).for_each(|last| *last = *to);
        }
    }

    /// A value that came in pieces takes the place of what there was, as a node has it.
    fn complete(&mut self, which: usize) {
        let Some(kept) = self.kept.get(which).filter(|kept| !kept.is_whole()).cloned() else { return };
        let head = self.store.get(kept.at).expect("it is there");
        self.store.set(kept.at, Head { marks: kept.class, ..head });
        let replaced =
            self.kept.iter().position(|held| held.list() == kept.list() && held.is_whole() && held.key == kept.key);
        if let Some(replaced) = replaced {
            assert_eq!(self.store.find(kept.owner, kept.class, &kept.key), Some(self.kept[replaced].at));
            self.remove(replaced);
        }
        let last = self.store.link(kept.at, self.last(kept.list()));
        self.lasts.insert(kept.list(), last);
        let place = self.kept.iter_mut().find(|held| held.at == kept.at).expect("it is there");
        place.mark = 0;
    }

    fn remove(&mut self, which: usize) {
        let kept = self.kept.remove(which);
        let last = self.store.remove(kept.at, self.last(kept.list()));
        self.lasts.insert(kept.list(), last);
    }

    fn compare(&self) {
        assert_eq!((self.store.used(), self.store.limit()), (self.used(), BYTES), "no byte is lost");
        for kept in &self.kept {
            let head = self.store.get(kept.at).expect("it is there");
            assert_eq!((head.owner, head.version, head.len as usize), (kept.owner, kept.version, kept.value.len()));
            assert_eq!((head.expires, head.pieces, head.size()), (kept.expires, kept.pieces, kept.size()));
            assert!([DELETED, PARTIAL].iter().all(|mark| head.is(*mark) == (kept.mark == *mark)));
            assert_eq!((self.store.key(kept.at), self.store.value(kept.at)), (&kept.key[..], &kept.value[..]));
        }
        for owner in 0..2 {
            for class in CLASSES {
                self.compare_list((owner, class));
            }
        }
    }

    fn compare_list(&self, list: (u32, u8)) {
        let mut expected: Vec<&Kept> = self.kept.iter().filter(|kept| kept.list() == list && kept.is_whole()).collect();
        expected.sort_by_key(|kept| core::cmp::Reverse(kept.version));
        let (mut at, mut newer) = (self.last(list), NOWHERE);
        for kept in &expected {
            assert_eq!(at, kept.at, "from the last to the oldest");
            let head = self.store.get(at).expect("it is there");
            assert_eq!(head.newer, newer, "and back");
            (newer, at) = (at, head.older);
        }
        assert_eq!(at, NOWHERE, "there are no more");
        for number in 0..6 {
            let key = key_of(number);
            let held = expected.iter().find(|kept| kept.key == key).map(|kept| kept.at);
            assert_eq!(self.store.find(list.0, list.1, &key), held, "by its key");
        }
    }
}

fn play<S: Storage>(mut both: Both<S>, ops: &[Op]) -> Vec<(At, Head, u32)> {
    for op in ops {
        both.play(op);
        both.compare();
    }
    let head = |kept: &Kept| (kept.at, both.store.get(kept.at).expect("it is there"), both.store.moves());
    both.kept.iter().map(head).collect()
}

#[test]
fn the_store_holds_what_a_list_of_entries_does_on_both_storages() {
    check(600, ops(), |ops| {
        let fixed = Both::<Fixed<BUCKETS, BYTES, 0>>::new(heapless::Vec::new(), heapless::Vec::new());
        let heap = Both::<Heap>::new(Limited::new(BYTES), Limited::new(BUCKETS));
        assert_eq!(play(fixed, &ops), play(heap, &ops));
    });
}

#[test]
fn a_store_without_room_holds_nothing() {
    let mut store = Store::<Fixed<2, 0, 0>>::new(heapless::Vec::new(), heapless::Vec::new());
    let before = store.clone();
    assert_eq!(store.push(Head::new(0, 1, 0, 0), b"k", |_, _, _| panic!("nothing moves")), None);
    assert_eq!((store.find(0, 0, b"k"), store.get(0), store.used()), (None, None, 0));
    assert!(store == before && !store.has_room(1) && store.has_room(0));
}

#[test]
fn holes_are_closed_when_there_is_no_other_room_and_when_they_are_many() {
    let mut store = Store::<Heap>::new(Limited::new(10_000), Limited::new(4));
    let mut last = NOWHERE;
    let push = |store: &mut Store<Heap>, version: u32, last: &mut At| {
        let mut moved = 0;
        let at = store.push(Head::new(0, version, 0, 73), b"key", |_, from, to| {
            moved += 1;
            *last = if *last == from { to } else { *last };
        });
        *last = store.link(at.expect("there is room"), *last);
        moved
    };
    // One key that is written again and again takes its own room many times.
    let mut moved = 0;
    for version in 1..=1_000 {
        let before = last;
        moved += push(&mut store, version, &mut last);
        if before != NOWHERE {
            let older = store.get(last).expect("it is there").older;
            last = store.remove(older, last);
        }
        assert_eq!(store.used(), 100);
    }
    assert!((100..1_000).contains(&moved), "each byte moves a few times in its life, but {moved} times");
}

#[test]
fn keys_that_an_owner_has_chosen_for_one_bucket_stand_in_many_under_another_secret() {
    let mut store = Store::<Heap>::new(Limited::new(1 << 20), Limited::new(64));
    store.rekey(1);
    let (mut last, mut chosen) = (NOWHERE, 0u32);
    for number in 0..20_000u32 {
        let at =
            store.push(Head::new(1, number + 1, 0, 0), &number.to_le_bytes(), |_, _, _| {}).expect("there is room");
        let before = store.chains().next();
        last = store.link(at, last);
        if store.chains().next() == before {
            last = store.remove(at, last);
        } else {
            chosen += 1;
        }
    }
    assert!(chosen > 200, "{chosen} keys in one bucket");
    assert_eq!(store.chains().sum::<usize>(), chosen as usize, "and none in another");
    store.rekey(2);
    assert_eq!(store.chains().sum::<usize>(), chosen as usize, "all are there still");
    assert!(store.chains().max() < Some(20), "but no more than {:?} in one", store.chains().max());
    assert!(
        (0..20_000u32).filter(|number| store.find(1, 0, &number.to_le_bytes()).is_some()).count() == chosen as usize
    );
}
