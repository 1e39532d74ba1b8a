//! A script of bytes makes three nodes write, delete and forget, and give each other parts of everybody's map, which are
//! lost, come twice, late, in another order or cut short. Nothing that was deleted comes back, no key goes back to an
//! earlier version, every value is what its owner wrote, and the application that hears of all this now and then is not told
//! less; and when all has been exchanged, all have the same. On both storages at once.
//!
//! The fuzzer calls this (`fuzz/fuzz_targets/state.rs`), and `cargo test` with every file of `tests/corpus/state`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::vec::Vec;

use super::replicas::{Empty, Kept, Replica, Size};
use super::told::Told;
use crate::Config;
use crate::key::{Class, SetOptions};
use crate::storage::{Fixed, Heap, Narrow};
use crate::unit::script::Script;

const NODES: usize = 3;
const BYTES: usize = 1_024;
/// What one script does at most, so that none takes long.
const PATIENCE: u32 = 250;
/// Datagrams under way; beyond, the oldest is lost.
const IN_FLIGHT: usize = 48;
const KEYS: [&str; 4] = ["a", "b", "key", "longer"];

/// Runs a script.
pub(crate) fn run(bytes: &[u8]) {
    let fixed = play::<Fixed<4, BYTES, 0>>(bytes);
    assert!(fixed == play::<Heap<Narrow>>(bytes), "law 6: the storage makes no difference");
}

/// What all have of all in the end.
fn play<S: Empty>(bytes: &[u8]) -> Vec<Vec<Kept>> {
    let mut script = Script::new(bytes);
    let mut world = World::<S>::new(&mut script);
    let mut patience = PATIENCE;
    while patience > 0 && !script.is_empty() {
        patience -= 1;
        world.step(&mut script);
    }
    world.settle();
    let all = (0..NODES).flat_map(|at| (0..NODES).map(move |of| (at, of)));
    all.map(|(at, of)| world.nodes[at].map_of(id_of(of))).collect()
}

struct Datagram {
    from: usize,
    to: usize,
    bytes: Vec<u8>,
}

/// What one node has seen of a key: the greatest version, and whether it was gone later.
type Seen = BTreeMap<(bool, Vec<u8>), (u32, bool)>;

/// By log and version: a key and its value.
type Written = BTreeMap<(bool, u32), (Vec<u8>, Vec<u8>)>;

struct World<S: Empty> {
    nodes: [Replica<S>; NODES],
    /// By owner, the values that it wrote in its present life: by log and version.
    written: [Written; NODES],
    /// By reader and owner.
    seen: [[Seen; NODES]; NODES],
    /// The life that each is in, and which one others know of.
    lives: [u32; NODES],
    known: [[u32; NODES]; NODES],
    flight: Vec<Datagram>,
    count: u8,
    /// What each one's application knows.
    told: [Told; NODES],
    steps: usize,
}

fn id_of(at: usize) -> u64 {
    at as u64 + 1
}

impl<S: Empty> World<S> {
    fn new(script: &mut Script<'_>) -> Self {
        let datagram = [96, 130, 250, 1_200][usize::from(script.byte() & 3)];
        let node = |at: usize| {
            let mut node = Replica::new(id_of(at), NODES as u64, Size { members: 4, bytes: BYTES });
            node.core.config = Config::LAN.with_push_back(false).with_max_datagram(datagram);
            node.state.watch("", &mut node.core.members).expect("there is room");
            node
        };
        World {
            nodes: core::array::from_fn(node),
            written: Default::default(),
            seen: Default::default(),
            lives: [0; NODES],
            known: [[0; NODES]; NODES],
            flight: Vec::new(),
            count: 0,
            told: Default::default(),
            steps: 0,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        let (at, other) = (usize::from(choice >> 4) % NODES, usize::from(choice >> 6) % NODES);
        match choice & 15 {
            0 | 1 => self.set(at, SetOptions::DEFAULT, script),
            2 => self.set(at, SetOptions::DEFAULT.with_class(Class::Vital), script),
            3 => self.set(at, SetOptions::DEFAULT.with_ttl(Duration::from_millis(script.byte().into())), script),
            4 => drop(self.nodes[at].delete(any_key(script))),
            5 => self.nodes[at].pass(u64::from(script.byte()) * 100_000),
            6 => self.nodes[at].forget_deletions(),
            7..=9 => self.ask(at, other),
            10..=12 => self.deliver(script),
            13 => self.fetch(at, other),
            14 => self.begin_life(at),
            _ => self.hear_of_lives(at),
        }
        self.note_written(at);
        self.look(at);
        self.steps += 1;
        self.tell(at, choice);
    }

    /// One's application hears of one thing, or of all, or does not ask.
    fn tell(&mut self, at: usize, choice: u8) {
        let (told, node) = (&mut self.told[at], &mut self.nodes[at]);
        match (self.steps * 31 + usize::from(choice)) % 11 {
            0 | 1 => drop(told.poll_one(node)),
            2 => self.hear_all(at),
            _ => {}
        }
    }

    fn hear_all(&mut self, at: usize) {
        let (told, node) = (&mut self.told[at], &mut self.nodes[at]);
        told.poll(node);
        told.agrees(node, &[1, 2, 3]);
    }

    fn set(&mut self, at: usize, options: SetOptions, script: &mut Script<'_>) {
        let (key, len) = (any_key(script), script.byte());
        self.count = self.count.wrapping_add(1);
        let value = std::vec![self.count; len.into()];
        let _ = self.nodes[at].set_with(key, &value, options);
    }

    fn note_written(&mut self, at: usize) {
        for (vital, key, version, value) in self.nodes[at].map_of(id_of(at)) {
            self.written[at].insert((vital, version), (key, value));
        }
    }

    fn knows(&self, at: usize, of: usize) -> bool {
        at == of || self.known[at][of] == self.lives[of]
    }

    /// One asks another; the answers are under way then.
    fn ask(&mut self, at: usize, other: usize) {
        if at == other {
            return;
        }
        let [reader, giver] = self.nodes.get_disjoint_mut([at, other]).expect("they are two");
        let Some(question) = reader.ask(giver, &[1, 2, 3]) else { return };
        for bytes in giver.answer(id_of(at), &question) {
            if self.flight.len() == IN_FLIGHT {
                self.flight.remove(0);
            }
            self.flight.push(Datagram { from: other, to: at, bytes });
        }
    }

    /// Something that is under way comes, is lost, or comes and will come again.
    fn deliver(&mut self, script: &mut Script<'_>) {
        let (which, how) = (usize::from(script.byte()), script.byte());
        let Some(which) = which.checked_rem(self.flight.len()) else { return };
        let Datagram { from, to, bytes } = self.flight.remove(which);
        if how & 3 == 1 {
            return;
        }
        self.nodes[to].take(id_of(from), &bytes);
        self.look(to);
        if how & 3 == 2 {
            self.flight.push(Datagram { from, to, bytes });
        }
    }

    fn fetch(&mut self, at: usize, other: usize) {
        if at != other {
            let [reader, giver] = self.nodes.get_disjoint_mut([at, other]).expect("they are two");
            reader.fetch(giver, &[1, 2, 3]);
        }
    }

    fn begin_life(&mut self, at: usize) {
        self.lives[at] += 1;
        self.written[at].clear();
        self.nodes[at].begin_life(self.lives[at]);
        self.note_written(at);
    }

    fn hear_of_lives(&mut self, at: usize) {
        for of in (0..NODES).filter(|of| *of != at) {
            if !self.knows(at, of) {
                self.known[at][of] = self.lives[of];
                self.nodes[at].hear_of_life(id_of(of), self.lives[of]);
                self.seen[at][of].clear();
            }
        }
    }

    /// Checks what a node has of the others that it knows in their present lives.
    fn look(&mut self, at: usize) {
        #[cfg(test)]
        self.nodes[at].check();
        for of in (0..NODES).filter(|of| *of != at) {
            if !self.knows(at, of) {
                continue;
            }
            let there = self.nodes[at].map_of(id_of(of));
            let seen = &mut self.seen[at][of];
            for (vital, key, version, value) in &there {
                let wrote = self.written[of].get(&(*vital, *version));
                assert_eq!(wrote, Some(&(key.clone(), value.clone())), "as node {of} wrote it, at node {at}");
                let held = seen.entry((*vital, key.clone())).or_insert((*version, false));
                let (before, gone) = *held;
                assert!(*version > before || *version == before && !gone, "{key:?} of {of} comes back to {at}");
                *held = (*version, false);
            }
            let hollow = self.nodes[at].core.members.map(self.nodes[at].index(id_of(of))).logs.map(|log| log.hollow);
            // What had to make room until the log is whole again is no deletion.
            for ((vital, key), (_, gone)) in seen.iter_mut() {
                let absent = !there.iter().any(|(log, held, ..)| log == vital && held == key);
                *gone |= absent && !hollow[usize::from(*vital)];
            }
        }
    }

    /// So much time passes, and all ask all.
    fn exchange(&mut self, micros: u64) {
        for at in 0..NODES {
            self.nodes[at].pass(micros);
            self.note_written(at);
            self.hear_of_lives(at);
            for other in 0..NODES {
                self.fetch(at, other);
                self.look(at);
            }
        }
    }

    /// Everything is exchanged in the end, and all have the same.
    fn settle(&mut self) {
        // What there was no room for is asked for again every half a minute or so. Whoever is asked in vain, as it has no
        // more itself, is asked four times before somebody else is.
        for _ in 0..8 {
            self.exchange(35_000_000);
            for _ in 0..5 {
                self.exchange(100_000);
            }
        }
        for at in 0..NODES {
            self.hear_all(at);
            for of in 0..NODES {
                let (own, there) = (&self.nodes[of], &self.nodes[at]);
                assert_eq!(there.versions(id_of(of)), own.versions(id_of(of)), "of {of} at {at}");
                assert_eq!(there.map_of(id_of(of)), own.map_of(id_of(of)), "of {of} at {at}");
            }
        }
    }
}

fn any_key(script: &mut Script<'_>) -> &'static str {
    KEYS[usize::from(script.byte() & 3)]
}
