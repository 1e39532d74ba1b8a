//! The log against a list of messages, on both storages.

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::broadcast::{At, DIRECT, DONE, Entry, HEADER, Log, ORDERED, UNTOLD};
use crate::member::NodeId;
use crate::storage::{Fixed, Heap, Limited, Storage};
use crate::unit::property::check;

/// So little that most scripts fill it many times.
const BYTES: usize = 512;

/// A message as the model holds it: nothing of where it lies.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    entry: Entry,
    payload: Vec<u8>,
    /// It must not go.
    pinned: bool,
}

impl Kept {
    fn size(&self) -> usize {
        HEADER + self.payload.len()
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Adds a message if there is room; whose it is, its number, its length and its marks.
    Push(u8, u8, usize, u8),
    /// Fills a part of the payload of one of the messages.
    Fill(u8, usize, Vec<u8>),
    /// Changes the marks of one, and how many pieces have come.
    Set(u8, u8, u32),
    /// Makes one stay, or lets it go.
    Pin(u8, bool),
    MakeRoom(usize),
    /// Looks for a message of a number.
    Find(u8, u8),
    Clear,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let lens = || prop_oneof![4 => 0..60usize, 1 => 0..BYTES];
    let marks = || prop_oneof![Just(0), Just(UNTOLD), Just(UNTOLD | ORDERED), Just(DIRECT), Just(UNTOLD | DIRECT)];
    let op = prop_oneof![
        8 => (0..3u8, 0..40u8, lens(), marks()).prop_map(|(who, seq, len, marks)| Op::Push(who, seq, len, marks)),
        4 => (any::<u8>(), 0..60usize, vec(any::<u8>(), 0..40)).prop_map(|(which, at, bytes)| Op::Fill(which, at, bytes)),
        3 => (any::<u8>(), prop_oneof![marks(), Just(DONE)], any::<u32>())
            .prop_map(|(which, marks, came)| Op::Set(which, marks, came)),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(which, pinned)| Op::Pin(which, pinned)),
        5 => lens().prop_map(Op::MakeRoom),
        2 => (0..3u8, 0..40u8).prop_map(|(who, seq)| Op::Find(who, seq)),
        1 => Just(Op::Clear),
    ];
    vec(op, 1..150)
}

fn entry(who: u8, seq: u8, len: usize, marks: u8) -> Entry {
    let (origin, tag) = (NodeId::new(who.into()), u32::from(who) + 7);
    let pieces = 1 + seq % 4;
    let (topic, form, hops) = (u32::from(seq) << 8, seq & 4, who);
    Entry { origin, tag, seq: seq.into(), topic, len: len as u32, came: 0, pieces, form, marks, hops }
}

/// A log, the same as a list, and where the log says that each of them lies.
struct Both<S: Storage> {
    log: Log<S>,
    kept: Vec<Kept>,
    places: Vec<At>,
}

impl<S: Storage> Both<S> {
    fn new(bytes: S::Bytes, buckets: S::DataPerMember<At>) -> Self {
        Both { log: Log::new(bytes, buckets), kept: Vec::new(), places: Vec::new() }
    }

    fn free(&self) -> usize {
        BYTES - self.kept.iter().map(Kept::size).sum::<usize>()
    }

    fn play(&mut self, op: Op) {
        let which = |choice: u8| usize::from(choice) % self.kept.len().max(1);
        match op {
            Op::Push(who, seq, len, marks) => {
                let (entry, fits) = (entry(who, seq, len, marks), self.free() >= HEADER + len);
                assert_eq!(self.log.has_room(len), fits);
                let at = self.log.push(entry);
                assert_eq!(at.is_some(), fits, "it is added if there is room");
                if let Some(at) = at {
                    self.kept.push(Kept { entry, payload: std::vec![0; len], pinned: false });
                    self.places.push(at);
                }
            }
            Op::Fill(choice, start, bytes) => {
                let which = which(choice);
                let Some((kept, at)) = self.kept.get_mut(which).zip(self.places.get(which)) else { return };
                let range = start..start + bytes.len();
                let place = kept.payload.get_mut(range.clone());
                assert_eq!(self.log.fill(*at, range.clone(), &bytes), place.is_some());
                assert!(!self.log.fill(*at, range.start..range.end + 1, &bytes), "bytes of another length");
                place.into_iter().for_each(|place| place.copy_from_slice(&bytes));
            }
            Op::Set(choice, marks, came) => {
                let which = which(choice);
                let Some((kept, at)) = self.kept.get_mut(which).zip(self.places.get(which)) else { return };
                kept.entry = Entry { marks, came, ..kept.entry };
                // Its length is what it was, whatever is said.
                self.log.set(*at, Entry { len: 9_999, ..kept.entry });
            }
            Op::Pin(choice, pinned) => {
                let which = which(choice);
                self.kept.get_mut(which).into_iter().for_each(|kept| kept.pinned = pinned);
            }
            Op::MakeRoom(len) => self.make_room(len),
            Op::Find(who, seq) => self.find(who, seq),
            Op::Clear => {
                self.log.clear(7);
                (self.kept, self.places) = (Vec::new(), Vec::new());
            }
        }
    }

    /// Those that go are the oldest that may: of what the application knows, and only if that is too little, of the rest.
    fn make_room(&mut self, len: usize) {
        let needed = (HEADER + len).saturating_sub(self.free());
        let sizes = |untold: bool| {
            let may_go = self.kept.iter().filter(|kept| kept.entry.is(UNTOLD) == untold && !kept.pinned);
            may_go.map(Kept::size).sum::<usize>()
        };
        let (told, untold) = (sizes(false), sizes(true));
        let possible = told + untold >= needed;
        let mut quotas = [needed.max(BYTES / 8).min(told), needed.saturating_sub(told)];
        if needed == 0 || !possible {
            quotas = [0, 0];
        }
        let (mut stays, mut went) = (Vec::new(), Vec::new());
        for (kept, at) in self.kept.drain(..).zip(self.places.drain(..)) {
            let quota = &mut quotas[usize::from(kept.entry.is(UNTOLD))];
            if *quota > 0 && !kept.pinned {
                *quota = quota.saturating_sub(kept.size());
                went.push(kept.entry);
            } else {
                stays.push((kept, at));
            }
        }
        let (mut lost, mut moved) = (Vec::new(), Vec::new());
        let pinned: Vec<At> = stays.iter().filter(|(kept, _)| kept.pinned).map(|(_, at)| *at).collect();
        let made = self.log.make_room(
            len,
            |at, _| pinned.contains(&at),
            |entry| lost.push(entry),
            |from, to| moved.push((from, to)),
        );
        assert_eq!(made, possible);
        went.retain(|entry| entry.is(UNTOLD));
        assert_eq!(lost, went, "each that the application never knew is named, and no other");
        if needed > 0 && possible {
            assert!(moved.iter().map(|(from, _)| *from).eq(stays.iter().map(|(_, at)| *at)), "all that stay, in order");
            assert!(moved.iter().all(|(from, to)| to <= from), "they move up");
        }
        let new = |at: At| moved.iter().find(|(from, _)| *from == at).map_or(at, |(_, to)| *to);
        (self.kept, self.places) = stays.into_iter().map(|(kept, at)| (kept, new(at))).unzip();
        assert!(!made || self.free() >= HEADER + len, "there is room now");
    }

    fn find(&self, who: u8, seq: u8) {
        let (origin, tag) = (NodeId::new(who.into()), u32::from(who) + 7);
        let all = || self.kept.iter().zip(&self.places).rev();
        let place = |found: Option<(&Kept, &At)>| found.map(|(kept, at)| (*at, kept.entry));
        let seq = u32::from(seq);
        let has = |entry: &Entry| {
            let behind = seq.checked_sub(entry.seq);
            entry.origin == origin && behind.is_some_and(|behind| behind < entry.pieces.into())
        };
        let newest = place(all().find(|(kept, _)| has(&kept.entry) && !kept.entry.is(DIRECT)));
        assert_eq!(self.log.find(origin, tag, seq), newest, "the newest that has this number, or a piece that has it");
        assert_eq!(self.log.find(origin, tag + 1, seq), None, "of another life");
        let sorted = |found: &mut dyn Iterator<Item = (At, Entry)>| {
            let mut found: Vec<(At, Entry)> = found.collect();
            found.sort_by_key(|(at, _)| *at);
            found
        };
        let held = |wanted: &dyn Fn(&Entry) -> bool| {
            let of_origin = |entry: &Entry| entry.origin == origin && wanted(entry);
            sorted(&mut all().map(|(kept, at)| (*at, kept.entry)).filter(|(_, entry)| of_origin(entry)))
        };
        let torn = held(&|entry| entry.is(DIRECT) && !entry.is_complete());
        assert_eq!(sorted(&mut self.log.torn_directs(origin, tag)), torn, "those of a sender that are not whole");
        for range in [(seq, seq), (seq, seq + 5), (0, seq), (seq, u32::MAX)] {
            let among = held(&|entry| !entry.is(DIRECT) && entry.seq <= range.1 && range.0 <= entry.last());
            assert_eq!(sorted(&mut self.log.of_origin(origin, tag, range)), among, "of {range:?}");
        }
        let asked = held(&|entry| !entry.is(DIRECT) && entry.last() >= seq).into_iter().map(|(at, _)| at);
        assert!(self.log.asked(origin, tag, seq).iter().copied().eq(asked), "the oldest first");
    }

    fn compare(&self) {
        let said: Vec<(At, Entry)> = self.log.all().collect();
        let held: Vec<(At, Entry)> = self.places.iter().zip(&self.kept).map(|(at, kept)| (*at, kept.entry)).collect();
        assert_eq!(said, held, "the oldest first");
        let mut newest: Vec<(At, Entry)> = self.log.newest().collect();
        newest.reverse();
        assert_eq!(newest, held, "the newest first");
        for (at, kept) in self.places.iter().zip(&self.kept) {
            assert_eq!(self.log.get(*at), Some(kept.entry));
            assert_eq!(self.log.payload(*at), kept.payload);
        }
        assert_eq!(self.log.has_untold(), self.kept.iter().any(|kept| kept.entry.is(UNTOLD)));
        assert_eq!(self.log.most(), BYTES - HEADER);
    }
}

fn play<S: Storage>(bytes: S::Bytes, buckets: S::DataPerMember<At>, ops: &[Op]) -> Vec<(At, Entry)> {
    let mut both = Both::<S>::new(bytes, buckets);
    for op in ops {
        both.play(op.clone());
        both.compare();
    }
    both.log.all().collect()
}

#[test]
fn the_log_holds_what_a_list_of_messages_does_on_both_storages() {
    check(400, ops(), |ops| {
        let fixed = play::<Fixed<2, 0, BYTES>>(heapless::Vec::new(), heapless::Vec::new(), &ops);
        assert_eq!(fixed, play::<Heap>(Limited::new(BYTES), Limited::new(2), &ops));
    });
}

#[test]
fn what_the_application_has_not_read_goes_only_where_nothing_else_would_make_room() {
    let mut log = Log::<Heap>::new(Limited::new(4 * (HEADER + 10)), Limited::new(2));
    for (seq, marks) in [(1, UNTOLD), (2, 0), (3, UNTOLD), (4, 0)] {
        log.push(entry(1, seq, 10, marks)).expect("there is room for four");
    }
    let mut lost = Vec::new();
    let seqs = |log: &Log<Heap>| log.all().map(|(_, entry)| entry.seq).collect::<Vec<_>>();
    assert!(log.make_room(10, |_, _| false, |entry| lost.push(entry.seq), |_, _| {}));
    assert_eq!((seqs(&log), lost.len()), (std::vec![1, 3, 4], 0), "the older of the two that were read");
    log.push(entry(1, 5, 10, UNTOLD)).expect("there is room again");
    assert!(log.make_room(HEADER + 20, |_, _| false, |entry| lost.push(entry.seq), |_, _| {}));
    assert_eq!((seqs(&log), lost), (std::vec![3, 5], std::vec![1]), "both that it takes, the unread one named");
}

#[test]
fn a_log_without_room_holds_nothing_and_one_that_is_pinned_changes_nothing() {
    let mut none = Log::<Fixed<2, 0, 0>>::new(heapless::Vec::new(), heapless::Vec::new());
    assert_eq!((none.most(), none.push(entry(1, 1, 0, 0))), (0, None));
    assert!(!none.make_room(0, |_, _| false, |_| {}, |_, _| {}));
    assert_eq!((none.all().count(), none.newest().count()), (0, 0));
    let mut log = Log::<Fixed<2, 0, 100>>::new(heapless::Vec::new(), heapless::Vec::new());
    assert_eq!((log.push(entry(1, 1, 61, UNTOLD)), log.push(entry(1, 1, 60, UNTOLD))), (None, Some(0)));
    let before = log.clone();
    assert!(!log.make_room(60, |_, _| true, |_| panic!("it stays"), |_, _| panic!("where it is")));
    assert!(!log.make_room(61, |_, _| false, |_| panic!("it would not do"), |_, _| panic!("to let it go")));
    assert_eq!(log, before);
    assert!(log.make_room(60, |_, _| false, |_| {}, |_, _| {}));
    assert_eq!((log.all().count(), log.has_untold()), (0, false));
}

/// Bounds the work and not the time: how many messages stand in one bucket, of whatever numbers a hostile one chose.
#[test]
fn a_message_is_found_in_a_full_log_by_a_look_at_few() {
    let mut log = Log::<Heap>::new(Limited::new(256 << 10), Limited::new(4_096));
    log.clear(0x5ec_2e7);
    let mut count = 0u32;
    while log.push(Entry { pieces: 2, seq: count / 200 * 2 + 1, ..entry((count % 200) as u8, 0, 0, 0) }).is_some() {
        count += 1;
    }
    assert!(count > 6_000, "{count} messages of 200 origins");
    assert!(log.longest_chain() <= 100, "of them {} in one bucket", log.longest_chain());
}
