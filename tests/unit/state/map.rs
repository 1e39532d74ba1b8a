//! What a replica may take of an owner's log: every short history, every part of it, from everybody who holds any.

use std::collections::{BTreeSet, HashSet};
use std::vec::Vec;

use super::replicas::{Replica, Size, had};
use crate::map::{BULK, Log, Rebuild, Verdict, judge};
use crate::storage::Heap;
use crate::wire::Span;

const KEYS: usize = 2;
/// How much happens in a history, at most.
const STEPS: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    Set(usize),
    Delete(usize),
    /// All that is deleted is forgotten.
    Forget,
}

const ALL: [Step; 5] = [Step::Set(0), Step::Set(1), Step::Delete(0), Step::Delete(1), Step::Forget];

/// What there is of a key: its last version, and whether that deleted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Item {
    version: u32,
    deleted: bool,
}

/// What somebody holds of the log, as far as it is given to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Held {
    version: u32,
    floor: u32,
    /// The latest state of which anything has come.
    exposed: u32,
    items: [Option<Item>; KEYS],
}

impl Held {
    const NOTHING: Held = Held { version: 0, floor: 0, exposed: 0, items: [None; KEYS] };

    fn forget(&mut self, floor: u32) {
        self.floor = self.floor.max(floor);
        let floor = self.floor;
        for item in &mut self.items {
            *item = item.filter(|item| !item.deleted || item.version > floor);
        }
    }

    fn living(&self) -> [Option<u32>; KEYS] {
        self.items.map(|item| item.filter(|item| !item.deleted).map(|item| item.version))
    }
}

/// The states that the owner's log goes through; `None` if something is deleted that is not there.
fn history(steps: &[Step]) -> Option<Vec<Held>> {
    let mut states = std::vec![Held::NOTHING];
    for step in steps {
        let mut next = *states.last()?;
        match *step {
            Step::Set(key) => {
                next.version += 1;
                next.items[key] = Some(Item { version: next.version, deleted: false });
            }
            Step::Delete(key) => {
                next.items[key].filter(|item| !item.deleted)?;
                next.version += 1;
                next.items[key] = Some(Item { version: next.version, deleted: true });
            }
            Step::Forget if next.floor < next.version => next.forget(next.version),
            Step::Forget => return None,
        }
        states.push(next);
    }
    Some(states)
}

/// A replica of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Copy {
    held: Held,
    confirmed: [bool; KEYS],
    /// What a rebuild has brought that is not done.
    ahead: [Option<Item>; KEYS],
    rebuild: Option<Rebuild>,
    /// Up to which version it has ever known how it stands with each key.
    knew: [u32; KEYS],
}

impl Copy {
    const NEW: Copy =
        Copy { held: Held::NOTHING, confirmed: [false; KEYS], ahead: [None; KEYS], rebuild: None, knew: [0; KEYS] };

    fn give_up(&mut self) {
        (self.rebuild, self.ahead) = (None, [None; KEYS]);
    }

    fn log(&self) -> Log {
        Log { version: self.held.version, floor: self.held.floor, ..Log::NEW }
    }

    /// Takes a part of what another holds.
    fn take(&mut self, from: &Held, part: (u32, u32)) {
        let version = self.held.version;
        self.take_part(from, part);
        assert!(self.held.version >= version && self.held.floor <= self.held.version, "{self:?}");
        for (key, item) in self.held.items.iter().enumerate() {
            let Some(item) = item else { continue };
            assert!(item.version <= self.held.version, "{item:?} is beyond {self:?}");
            assert!(item.deleted || item.version >= self.knew[key], "{item:?} comes back to {self:?}");
            self.knew[key] = self.knew[key].max(item.version);
        }
    }

    fn take_part(&mut self, from: &Held, (low, high): (u32, u32)) {
        let (as_of, sure) = (from.version.max(from.exposed), from.exposed <= from.version);
        let span = Span { from: low, to: high, as_of, floor: from.floor, sure };
        match judge(&self.log(), self.rebuild.as_ref(), &span) {
            Verdict::Unfit => {}
            Verdict::Old => self.learn_floor(span.floor),
            Verdict::Adds => {
                // What is not there of what came before is there no more.
                let version = self.held.version;
                self.held.version = high;
                self.put(from, (low.max(version), high));
                self.held.exposed = self.held.exposed.max(span.as_of);
                self.learn_floor(span.floor);
            }
            Verdict::Rebuilds { first, rebuild } => {
                if first {
                    self.give_up();
                    self.confirmed = [false; KEYS];
                    self.held.forget(self.held.version);
                }
                self.put(from, (low, high));
                self.rebuild = Some(rebuild).filter(|rebuild| !rebuild.is_done());
                if rebuild.is_done() {
                    self.finish(&rebuild);
                }
            }
        }
    }

    fn put(&mut self, from: &Held, (low, high): (u32, u32)) {
        for (key, item) in from.items.iter().enumerate() {
            let Some(item) = item.filter(|item| low < item.version && item.version <= high) else { continue };
            let held = self.held.items[key];
            if held.is_none() && item.deleted && item.version <= self.held.floor {
                continue;
            }
            let place = if item.version > self.held.version { &mut self.ahead[key] } else { &mut self.held.items[key] };
            if place.is_none_or(|held| held.version < item.version) {
                *place = Some(item);
            }
            self.confirmed[key] = true;
        }
    }

    fn learn_floor(&mut self, floor: u32) {
        self.held.forget(floor.min(self.held.version));
    }

    fn finish(&mut self, rebuild: &Rebuild) {
        assert!(rebuild.cursor >= self.held.version, "it does not go back");
        for key in 0..KEYS {
            if !self.confirmed[key] {
                self.held.items[key] = None;
                self.knew[key] = self.knew[key].max(rebuild.cursor);
            }
            self.held.items[key] = self.ahead[key].or(self.held.items[key]);
        }
        let floor = self.held.floor.max(rebuild.floor()).min(rebuild.cursor);
        (self.held.version, self.held.floor, self.held.exposed) = (rebuild.cursor, floor, rebuild.cursor);
        self.give_up();
    }

    /// Asks somebody for all that is behind what it has, until nothing more comes.
    fn fetch(&mut self, from: &Held) {
        for _ in 0..10 {
            let before = *self;
            let reached = self.rebuild.map_or(self.held.version, |rebuild| rebuild.cursor);
            let low = if self.rebuild.is_some() || reached >= from.floor { reached } else { 0 };
            // As short parts as there can be.
            let next = from.items.iter().flatten().map(|item| item.version).filter(|version| *version > low).min();
            self.take(from, (low, next.unwrap_or(from.version)));
            if *self == before {
                return;
            }
        }
    }
}

/// All parts of what somebody holds that it could send.
fn parts(held: &Held) -> impl Iterator<Item = (u32, u32)> + use<> {
    let version = held.version;
    (0..version).flat_map(move |low| (low + 1..=version).map(move |high| (low, high)))
}

/// Everything that a replica can come to hold, whatever it is sent by the owner, at whatever time, and by other replicas,
/// in whatever order.
fn all_copies(states: &[Held]) -> HashSet<Copy> {
    let mut copies = HashSet::from([Copy::NEW]);
    let mut holders: BTreeSet<Held> = states.iter().copied().collect();
    loop {
        let (count, known) = (copies.len(), holders.len());
        let mut open: Vec<Copy> = copies.iter().copied().collect();
        while let Some(copy) = open.pop() {
            let mut given_up = copy;
            given_up.give_up();
            let after = |(holder, part): (&Held, (u32, u32))| {
                let mut copy = copy;
                copy.take(holder, part);
                copy
            };
            let sent = holders.iter().flat_map(|holder| parts(holder).map(move |part| (holder, part)));
            for next in sent.map(after).chain([given_up]) {
                if copies.insert(next) {
                    open.push(next);
                }
            }
        }
        holders.extend(copies.iter().map(|copy| copy.held));
        if (copies.len(), holders.len()) == (count, known) {
            return copies;
        }
    }
}

fn histories(len: usize) -> Vec<Vec<Step>> {
    let mut all = std::vec![std::vec![]];
    for _ in 0..len {
        let longer = |steps: Vec<Step>| ALL.map(|step| [&steps[..], &[step]].concat());
        all = all.into_iter().flat_map(longer).filter(|steps| history(steps).is_some()).collect();
    }
    all
}

#[test]
fn whatever_is_taken_in_whatever_order_nothing_deleted_comes_back_and_all_maps_become_equal() {
    let mut count = 0;
    // Which key is which makes no difference.
    for steps in histories(STEPS).into_iter().filter(|steps| matches!(steps[0], Step::Set(0))) {
        let states = history(&steps).expect("it is one");
        let end = states.last().expect("there is one");
        for copy in all_copies(&states) {
            count += 1;
            let mut copy = copy;
            let is_whole = |copy: &Copy| copy.held.version == end.version && copy.held.living() == end.living();
            assert!(copy.held.version < end.version || is_whole(&copy), "{copy:?} after {steps:?}");
            copy.fetch(end);
            if !is_whole(&copy) {
                // Half of a rebuild that this one cannot finish is given up after a while.
                assert!(copy.rebuild.is_some(), "{copy:?} after {steps:?}");
                copy.give_up();
                copy.fetch(end);
            }
            assert!(is_whole(&copy), "{copy:?} after {steps:?}");
        }
    }
    assert!(count > 10_000, "{count} copies are too few to show anything");
}

#[test]
fn a_holder_of_an_earlier_state_does_not_revive_what_part_of_a_whole_map_left_out() {
    // At 80 it had a key; the owner wrote that again, deleted it, and forgot it. The reader, who has 80, reads the whole map
    // in parts; between them comes one from a holder who is at 90 and has the key still.
    let [mut owner, mut reader, mut staler] =
        [1, 2, 3].map(|id| Replica::<Heap>::new(id, 3, Size { members: 4, bytes: 65_536 }));
    owner.core.config = owner.core.config.with_max_datagram(300);
    for round in 0..8u8 {
        for key in 0..10 {
            owner.set(&std::format!("{key}"), &[round; 40]).expect("there is room");
        }
    }
    reader.fetch(&mut owner, &[1]);
    for (key, version) in [("3", 81), ("k", 82), ("4", 83), ("5", 84)] {
        assert_eq!(owner.set(key, &[20; 40]), Ok(version));
    }
    staler.fetch(&mut owner, &[1]);
    owner.delete("k").expect("it is there");
    owner.forget_deletions();
    owner.set("6", &[21; 40]).expect("there is room");
    let given = owner.give(2, &[(1, had([80, 0]))]);
    let late = staler.give(2, &[(1, had([80, 0]))]);
    assert!(given.len() > 1 && late.len() == 1);
    for cut in 0..=given.len() {
        let mut reader = reader.clone();
        for (place, datagram) in given.iter().enumerate() {
            if place == cut {
                reader.take(3, &late[0]);
            }
            let knew = reader.versions(1)[BULK] > 84;
            reader.take(1, datagram);
            assert!(!knew || reader.get(1, "k").is_none(), "between {cut} and {place}");
        }
        reader.take(3, &late[0]);
        assert_eq!(reader.get(1, "k"), None, "after the datagram before {cut}");
        reader.pass(10_000_000);
        reader.fetch(&mut owner, &[1]);
        assert_eq!(reader.map_of(1), owner.map_of(1));
        reader.take(3, &late[0]);
        assert_eq!(reader.get(1, "k"), None, "nor later");
    }
}
