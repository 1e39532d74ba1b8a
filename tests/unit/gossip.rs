//! What rides on a datagram: least-sent first, all that fits, and nothing more often than it should.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::Config;
use crate::gossip::{copies, pack};
use crate::member::{Life, Liveness, NodeId, Record};
use crate::members::news::{LISTS, SILENT};
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::stats::Stats;
use crate::storage::{Heap, Limited};
use crate::time::Instant;
use crate::unit::property::check;
use crate::wire::{Frame, Head, Seal, Writer, decode, open};

const SEAL: Seal = Seal { cluster: 7, addressee: 9 };
const HEAD: Head = Head { sender: NodeId::new(0), tag: 5, incarnation: 0, open: false, full: false, newcomer: false };

struct Teller {
    core: Core<u32, Heap>,
}

impl Teller {
    /// This node and as many others; their addresses and counters take one to five bytes each.
    fn new(others: u64) -> Self {
        let (mut members, mut stats) =
            (Members::new(Limited::new(600), Limited::new(600), Limited::new(600), Limited::new(600)), Stats::NONE);
        members.reset(3, record(0), &mut stats);
        for id in 1..=others {
            members.admit(record(id), Instant::ZERO, &mut stats).expect("there is room");
        }
        Teller { core: Core { stats, ..Core::new(Config::LAN, members) } }
    }

    /// Packs into a buffer of this size: how many bytes `pack` says that it took, and the records in the datagram.
    fn pack(&mut self, size: usize) -> (usize, Vec<Record<u32>>) {
        self.pack_within(size, usize::MAX)
    }

    /// The same with so many bytes left of the budget.
    fn pack_within(&mut self, size: usize, room: usize) -> (usize, Vec<Record<u32>>) {
        let mut buf = std::vec![0; size];
        let mut writer = Writer::new(&mut buf, SEAL, HEAD).expect("the head fits");
        let before = writer.len();
        let told = pack(&mut writer, room, &mut self.core);
        let len = writer.finish(SEAL).expect("it was begun");
        assert_eq!(told, len - before, "it says how many bytes it took");
        let (_, mut frames) = open(&buf[..len], SEAL).expect("it is sound");
        if frames.is_empty() {
            return (told, Vec::new());
        }
        let (kind, body) = frames.frame().expect("there is a frame");
        assert!(frames.is_empty(), "there is one frame");
        let Ok(Frame::News(mut records)) = decode(kind, body) else { panic!("it is one of news") };
        let records: Vec<Record<u32>> = core::iter::from_fn(|| records.record()).collect();
        assert!(!records.is_empty(), "a frame holds something");
        (told, records)
    }

    /// What is to be told, in order, with the number of copies sent.
    fn queued(&self) -> Vec<(u8, Index)> {
        let mut members = self.core.members.clone();
        let next = core::iter::from_fn(|| {
            let sent = members.news().lowest()?;
            let first = members.news().first(sent)?;
            members.count_copy(first, 0);
            Some((sent, first))
        });
        next.take(self.core.members.all().count()).collect()
    }
}

fn record(id: u64) -> Record<u32> {
    let scattered = crate::hash::mix(id);
    let short = |shift: u32| (scattered >> shift) as u32 >> (scattered >> 5 & 31);
    let life = Life { generation: short(0), nonce: 1 };
    let id = NodeId::new(id);
    Record { id, life, incarnation: short(16), liveness: Liveness::Alive, addr: short(32), patience: 0, topics: 0 }
}

fn encoded(record: &Record<u32>) -> usize {
    let mut buf = [0; 200];
    let empty = Writer::new(&mut buf, SEAL, HEAD).and_then(|writer| writer.finish(SEAL)).expect("it fits");
    let mut writer = Writer::new(&mut buf, SEAL, HEAD).expect("it fits");
    writer.record(record).expect("it fits");
    writer.finish(SEAL).expect("it fits") - empty
}

/// Members, what was announced of them, and sizes of datagrams.
fn tellings() -> impl Strategy<Value = (u64, Vec<(u64, u8)>, Vec<usize>)> {
    let size = prop_oneof![3 => 19..150usize, 2 => 150..1_500usize, 1 => 16_000..18_000usize];
    (0..500u64).prop_flat_map(move |others| {
        let announced = vec((0..=others, 0..LISTS as u8), 0..(others as usize + 2).min(300));
        (Just(others), announced, vec(size.clone(), 1..20))
    })
}

#[test]
fn a_datagram_takes_the_least_sent_first_and_all_that_fits() {
    check(200, tellings(), |(others, announced, sizes)| {
        let mut teller = Teller::new(others);
        announced.iter().for_each(|(id, sent)| teller.core.members.announce(*id as Index, *sent));
        let limit = copies(teller.core.members.live());
        for size in sizes {
            let queued = teller.queued();
            let before = teller.core.stats.news_out;
            let (told, packed) = teller.pack(size);
            assert_eq!(teller.core.stats.news_out - before, packed.len() as u64, "the records sent are counted");
            assert_eq!(told > 0, !packed.is_empty());
            let due: Vec<Record<u32>> =
                queued.iter().map(|(_, index)| *teller.core.members.get(*index).expect("it is there")).collect();
            assert_eq!(packed, due[..packed.len()], "least-sent first, and the longest waiting among them");
            // Kind and length take two bytes of what there is behind the head, three or four in large datagrams.
            let room = size - 19;
            let lengths = if room < 130 {
                2
            } else if room < 16_387 {
                3
            } else {
                4
            };
            let left = room.saturating_sub(lengths + packed.iter().map(encoded).sum::<usize>());
            if let Some(next) = due.get(packed.len()) {
                assert!(encoded(next) > left, "there were {left} bytes left for {next:?}");
            }
            // Each was counted once: it waits behind those that were sent as often, or is no longer news.
            let (sent, unsent) = queued.split_at(packed.len());
            let counted = sent.iter().map(|(copies, index)| (copies + 1, *index)).filter(|(sent, _)| *sent < limit);
            let mut expected: Vec<_> = unsent.iter().copied().chain(counted).collect();
            expected.sort_by_key(|(sent, _)| *sent);
            assert_eq!(teller.queued(), expected, "the order of the next datagram");
        }
    });
}

#[test]
fn no_record_is_sent_more_often_than_its_copies_and_without_echoes_not_less_often() {
    let inputs = (0..200u64, vec((0..=200u64, 0..5u8), 1..40), vec(0..=200u64, 0..60), 60..1_500usize);
    check(100, inputs, |(others, announced, echoes, size)| {
        let mut teller = Teller::new(others);
        let limit = u32::from(copies(teller.core.members.live()));
        let mut owed = BTreeMap::new();
        for (id, sent) in announced.into_iter().filter(|(id, _)| *id <= others) {
            teller.core.members.announce(id as Index, sent);
            owed.insert(NodeId::new(id), limit - u32::from(sent));
        }
        let (mut echoes, mut echoed) = (echoes.into_iter(), false);
        let mut times: BTreeMap<NodeId, u32> = BTreeMap::new();
        for _ in 0..10_000 {
            if let Some(id) = echoes.next().filter(|id| *id <= others) {
                teller.core.members.count_copy(id as Index, limit as u8);
                echoed = true;
            }
            for record in teller.pack(size).1 {
                *times.entry(record.id).or_default() += 1;
            }
        }
        assert_eq!(teller.core.members.news().lowest(), None, "it ends");
        for (id, times) in &times {
            assert!(*times <= owed[id], "{id} was sent {times} times, not at most {}", owed[id]);
        }
        if !echoed {
            assert_eq!(times, owed, "each as often as it should be");
        }
    });
}

#[test]
fn a_record_is_told_the_logarithm_of_the_cluster_and_four_times_more() {
    let expected = [(1, 5), (2, 6), (3, 6), (4, 7), (7, 7), (8, 8), (128, 12), (1_024, 15), (10_000, 18)];
    for (live, times) in expected {
        assert_eq!(copies(live), times, "of {live}");
    }
    assert_eq!(usize::from(copies(1 << 24)), LISTS, "in the greatest cluster as often as can be counted");
    assert!(SILENT as usize >= LISTS);
}

#[test]
fn without_room_for_a_frame_nothing_is_packed_and_nothing_counted() {
    let mut teller = Teller::new(3);
    assert_eq!(teller.pack(19), (0, Vec::new()), "there is no news");
    teller.core.members.announce(MYSELF, 0);
    for size in 19..19 + 2 + encoded(&record(0)) {
        assert_eq!(teller.pack(size), (0, Vec::new()), "{size} bytes");
    }
    assert_eq!((teller.queued(), teller.core.stats.news_out), (std::vec![(0, MYSELF)], 0));
    let least = 2 + encoded(&record(0));
    assert_eq!(teller.pack(19 + least), (least, std::vec![record(0)]));
}

#[test]
fn news_stops_with_the_record_that_takes_the_last_byte_of_the_budget() {
    check(100, (1..60u64, 0..1_500usize), |(others, room)| {
        let mut teller = Teller::new(others);
        (0..=others).for_each(|id| teller.core.members.announce(id as Index, 0));
        let (told, packed) = teller.pack_within(2_000, room);
        assert_eq!(packed.is_empty(), room == 0, "what is left is enough for one");
        let last = packed.last().map_or(0, encoded);
        assert!(told < room + last || packed.len() <= 1, "{told} bytes of {room}");
        assert!(told >= room || packed.len() as u64 == others + 1 || packed.is_empty(), "no more was to be told");
    });
}
