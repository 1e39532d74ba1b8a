//! Nodes reduced to their maps: each with its own and what it has of others', and with nothing of the network between
//! them.

use std::vec::Vec;

use crate::config::Config;
use crate::key::{Class, SetOptions, StateError};
use crate::map::LOGS;
use crate::member::{Life, Liveness, NodeId, Record};
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::rng::Rng;
use crate::state::{State, Took, Write};
use crate::stats::Stats;
use crate::storage::{Fixed, Heap, Limited, Storage, Width};
use crate::time::Instant;
use crate::wire::Span;
use crate::wire::{ChunkHead, Content, Frame, Had, HadOf, Head, Origin, Seal, Writer, Written, decode, kind, open};

/// What stands for a wait of the network, in microseconds.
const UNIT: u64 = 1_000;
const SEAL: Seal = Seal { cluster: 5, addressee: 6 };

/// How much there is room for; what is fixed has its own limits.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) members: usize,
    pub(crate) bytes: usize,
}

pub(crate) trait Empty: Storage {
    fn empty(size: Size) -> (State<Self>, Members<u16, Self>);
}

impl<const M: usize, const B: usize> Empty for Fixed<M, B, 0> {
    fn empty(_: Size) -> (State<Self>, Members<u16, Self>) {
        let members =
            Members::new(heapless::Vec::new(), heapless::Vec::new(), heapless::Vec::new(), heapless::Vec::new());
        (State::new(heapless::Vec::new(), heapless::Vec::new()), members)
    }
}

impl<W: Width> Empty for Heap<W> {
    fn empty(Size { members, bytes }: Size) -> (State<Self>, Members<u16, Self>) {
        let table =
            Members::new(Limited::new(members), Limited::new(members), Limited::new(members), Limited::new(members));
        (State::new(Limited::new(bytes), Limited::new(members)), table)
    }
}

/// A key as somebody has it: whether it is vital, its version and its value; without one it was deleted.
pub(crate) type Kept = (bool, Vec<u8>, u32, Vec<u8>);

/// One node's maps, and what they rest on.
#[derive(Clone)]
pub(crate) struct Replica<S: Storage> {
    pub(crate) state: State<S>,
    pub(crate) core: Core<u16, S>,
}

pub(crate) fn record(id: u64, generation: u32) -> Record<u16> {
    let life = Life { generation, nonce: 1 };
    Record { id: NodeId::new(id), life, incarnation: 0, liveness: Liveness::Alive, addr: 9, patience: 0, topics: 0 }
}

impl<S: Empty> Replica<S> {
    /// Number `id` of a cluster of so many, all of whom it knows.
    pub(crate) fn new(id: u64, count: u64, size: Size) -> Self {
        let (state, mut members) = S::empty(size);
        let mut stats = Stats::NONE;
        members.reset(3, record(id, 0), &mut stats);
        for other in (1..=count).filter(|other| *other != id) {
            members.admit(record(other, 0), Instant::ZERO, &mut stats).expect("there is room");
        }
        let config = Config::LAN.with_push_back(false);
        let now = Instant::from_millis(1_000);
        Replica { state, core: Core { now, rng: Rng::default(), stats, ..Core::new(config, members) } }
    }

    pub(crate) fn with<T>(&mut self, act: impl FnOnce(&mut State<S>, &mut Core<u16, S>) -> T) -> T {
        act(&mut self.state, &mut self.core)
    }

    pub(crate) fn id(&self) -> NodeId {
        self.core.members.myself().expect("it has a record").id
    }

    pub(crate) fn index(&self, id: u64) -> Index {
        self.core.members.find(NodeId::new(id)).expect("all know each other")
    }

    pub(crate) fn versions(&self, owner: u64) -> [u32; LOGS] {
        self.core.members.map(self.index(owner)).versions()
    }

    // What the application does.

    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> Result<u32, StateError> {
        self.set_with(key, value, SetOptions::DEFAULT)
    }

    pub(crate) fn set_vital(&mut self, key: &str, value: &[u8]) -> Result<u32, StateError> {
        self.set_with(key, value, SetOptions::DEFAULT.with_class(Class::Vital))
    }

    pub(crate) fn set_with(&mut self, key: &str, value: &[u8], options: SetOptions) -> Result<u32, StateError> {
        let fill = |place: &mut [u8]| {
            place.copy_from_slice(value);
            Ok(())
        };
        self.with(|state, core| state.set(Write { key, options }, value.len(), fill, core))
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<u32, StateError> {
        self.with(|state, core| state.delete(key, core))
    }

    pub(crate) fn get(&self, owner: u64, key: &str) -> Option<&[u8]> {
        let at = self.state.find(self.index(owner), key.as_bytes(), &self.core.members)?;
        self.state.entry(at, &self.core.members).map(|entry| entry.value())
    }

    /// All that is there of an owner's for others: in order of class and key.
    pub(crate) fn map_of(&self, owner: u64) -> Vec<Kept> {
        let entries = self.state.entries_of(self.index(owner), &self.core.members);
        let shared = entries.filter(|entry| entry.class() != Class::Local);
        let kept = |entry: crate::key::Entry<'_>| {
            let vital = entry.class() == Class::Vital;
            (vital, entry.key().as_bytes().to_vec(), entry.version().number(), entry.value().to_vec())
        };
        let mut all: Vec<Kept> = shared.map(kept).collect();
        all.sort();
        all
    }

    /// Lets time pass, and does what is due by then of its own.
    pub(crate) fn pass(&mut self, micros: u64) {
        self.core.now = self.core.now.after(micros);
        self.with(|state, core| {
            state.tick_own(core);
            state.tick_taking(core);
        });
    }

    /// Lets time pass until deletions are forgotten that were made before.
    pub(crate) fn forget_deletions(&mut self) {
        for _ in 0..2 {
            let period = self.core.config.probe_period().as_micros() as u64;
            self.pass(70 * period);
        }
    }

    /// The owner begins another life, of which it knows itself.
    pub(crate) fn begin_life(&mut self, generation: u32) {
        let record = record(self.id().get(), generation);
        self.core.members.replace(MYSELF, record, self.core.now);
        self.with(|state, core| state.renew(core));
    }

    /// Another has begun another life.
    pub(crate) fn hear_of_life(&mut self, id: u64, generation: u32) {
        let index = self.index(id);
        self.state.drop_map(index, &mut self.core.members);
        self.core.members.replace(index, record(id, generation), self.core.now);
    }

    // Datagrams, sealed for everybody.

    fn datagram(&self, fill: impl FnOnce(&mut Writer<'_>) -> Option<()>) -> Option<Vec<u8>> {
        let myself = self.core.members.myself()?;
        let (sender, tag) = (myself.id, myself.tag());
        let head = Head { sender, tag, incarnation: 0, open: false, full: false, newcomer: false };
        let mut buf = std::vec![0; self.core.config.max_datagram()];
        let mut writer = Writer::new(&mut buf, SEAL, head)?;
        fill(&mut writer)?;
        let len = writer.finish(SEAL)?;
        buf.truncate(len);
        Some(buf)
    }

    /// What another is given that has so much of these owners' maps.
    pub(crate) fn give(&mut self, to: u64, hads: &[(u64, [HadOf; LOGS])]) -> Vec<Vec<u8>> {
        assert!(self.state.begin_give(NodeId::new(to), 1), "nobody else is being given anything");
        for (owner, logs) in hads {
            let index = self.index(*owner);
            let record = self.core.members.get(index).expect("it is a member");
            let had = Had { origin: Origin { id: record.id, tag: record.tag() }, logs: *logs };
            self.state.add_to_give(&had, index, &self.core.members);
        }
        self.written()
    }

    /// What a liar may say of an owner's bulk.
    pub(crate) fn forge(&self, owner: u64, span: Span, entries: &[Written<'_>]) -> Vec<u8> {
        let record = self.core.members.get(self.index(owner)).expect("it is a member");
        let origin = Origin { id: record.id, tag: record.tag() };
        let head = ChunkHead { origin, vital: false, piece: false, span, newest: span.as_of };
        let fill = |writer: &mut Writer<'_>| {
            let frame = writer.begin(kind::GIVEN)?;
            writer.chunk_head(&head)?;
            let mut before = span.from;
            for entry in entries {
                writer.written(before, entry)?;
                before = entry.version;
            }
            writer.end(frame)
        };
        self.datagram(fill).expect("it fits")
    }

    /// All datagrams of what is being given.
    fn written(&mut self) -> Vec<Vec<u8>> {
        let mut given = Vec::new();
        while let Some((at, _)) = { self.state.owed_gives().next() } {
            let mut state = self.state.clone();
            given.extend(self.datagram(|writer| state.write_give(at, &self.core.config, &self.core.members, writer)));
            self.state = state;
            assert!(self.state.settle_give(at));
            assert!(given.len() < 40, "no question brings more than a few datagrams");
        }
        given
    }

    /// Takes what a datagram has of others' maps, what becomes of each chunk, and whether that was all.
    pub(crate) fn take(&mut self, from: u64, datagram: &[u8]) -> (Vec<Took>, bool) {
        let (mut took, mut all) = (Vec::new(), false);
        let Ok((_, mut frames)) = open(datagram, SEAL) else { return (took, all) };
        while let Ok((kind, body)) = frames.frame() {
            match decode(kind, body) {
                Ok(Frame::Given(chunk) | Frame::Hand { content: Content::Chunk(chunk), .. }) => {
                    let origin = chunk.head.origin;
                    let Some(owner) = self.core.members.find_life(origin.id, origin.tag) else { continue };
                    if owner == MYSELF {
                        continue;
                    }
                    let outcome = self.with(|state, core| state.take(&chunk, (owner, from == origin.id.get()), core));
                    if outcome == Took::New {
                        self.state.fetches.note_given(NodeId::new(from), self.core.now, 4 * UNIT);
                    }
                    took.push(outcome);
                }
                Ok(Frame::Fetched { number }) => {
                    self.state.fetches.on_fetched(NodeId::new(from), number, self.core.now, UNIT);
                    all = true;
                }
                Ok(_) => {}
                Err(error) => panic!("it was written by one who knows how, but {error}"),
            }
        }
        (took, all)
    }

    /// The question for what another has beyond this one.
    pub(crate) fn ask(&mut self, other: &Self, owners: &[u64]) -> Option<Vec<u8>> {
        for owner in owners {
            let (index, said) = (self.index(*owner), other.versions(*owner));
            let (id, theirs) = (NodeId::new(*owner), other.core.members.get(other.index(*owner)));
            let tag = self.core.members.get(index).map(|record| record.tag());
            let more = self.versions(*owner).iter().zip(said).any(|(own, said)| *own < said);
            if self.id() != id && more && tag == theirs.map(|record| record.tag()) {
                let wanted = (index, tag.expect("it is a member"));
                self.state.fetches.note(other.id(), wanted, said, self.core.now);
            }
        }
        self.with(|state, core| state.tick_fetches(UNIT, core));
        let mut asked = None;
        while let Some((at, peer)) = { self.state.fetches.owed().next() } {
            if peer == other.id() {
                asked = self.datagram(|writer| self.state.write_fetch(at, &self.core.members, writer));
            }
            assert!(self.state.fetches.sent(at));
        }
        asked
    }

    /// The answers to a question.
    pub(crate) fn answer(&mut self, from: u64, question: &[u8]) -> Vec<Vec<u8>> {
        let Ok((_, mut frames)) = open(question, SEAL) else { return Vec::new() };
        while let Ok((kind, body)) = frames.frame() {
            let Ok(Frame::Fetch { number, mut wants }) = decode(kind, body) else { continue };
            assert!(self.state.begin_give(NodeId::new(from), number), "nobody else is being given anything");
            while !wants.is_empty() {
                let had = wants.had().expect("it was written by one who knows how");
                if let Some(owner) = self.core.members.find_life(had.origin.id, had.origin.tag) {
                    self.state.add_to_give(&had, owner, &self.core.members);
                }
            }
        }
        self.written()
    }

    /// Asks another for these owners' maps, and takes what it gives, until nothing more comes.
    pub(crate) fn fetch(&mut self, other: &mut Self, owners: &[u64]) {
        for _ in 0..60 {
            let Some(question) = self.ask(other, owners) else { return };
            let answers = other.answer(self.id().get(), &question);
            let mut any = false;
            for answer in answers {
                any |= self.take(other.id().get(), &answer).0.contains(&Took::New);
            }
            if !any {
                return;
            }
        }
        panic!("it comes to an end");
    }

    /// What counts of the bytes, the lists and the maps agrees with what is there.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let maps = 0..self.core.members.map_slots();
        maps.clone().for_each(|owner| self.state.check(owner, &self.core.members));
        let used: usize = maps.map(|index| self.core.members.map(index).used as usize).sum();
        assert_eq!(used, self.state.used(), "every byte is somebody's");
    }
}

/// What one has that has all up to these versions.
pub(crate) fn had(versions: [u32; LOGS]) -> [HadOf; LOGS] {
    versions.map(|version| HadOf { version, ..HadOf::default() })
}
