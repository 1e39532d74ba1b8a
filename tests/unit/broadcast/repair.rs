//! Repair: who is asked for what is missing, and when it is given up.

use std::vec::Vec;

use crate::broadcast::Repairs;
use crate::config::Config;
use crate::member::{Life, Liveness, NodeId, Record};
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::rng::Rng;
use crate::sim::SimRng;
use crate::stats::Stats;
use crate::storage::{Heap, Limited};
use crate::time::Instant;
use crate::wire::{Lack, Origin, Pull};

const UNIT: u64 = 1_000;
const ORIGIN: u64 = 100;
const WAIT: u64 = 4 * UNIT;

fn record(id: u64) -> Record<u16> {
    let life = Life { generation: 0, nonce: 1 };
    Record { id: NodeId::new(id), life, incarnation: 0, liveness: Liveness::Alive, addr: 9, patience: 0, topics: 0 }
}

fn origin(id: u64) -> Origin {
    Origin { id: NodeId::new(id), tag: record(id).tag() }
}

/// A member with what it has to ask for.
struct Bed {
    core: Core<u16, Heap>,
    repairs: Repairs<Heap>,
}

impl Bed {
    /// Among ten others, and an origin.
    fn new(seed: u64) -> Self {
        let (mut members, mut stats) =
            (Members::new(Limited::new(40), Limited::new(40), Limited::new(40), Limited::new(40)), Stats::NONE);
        members.reset(3, record(1), &mut stats);
        for id in (10..20).chain([ORIGIN]) {
            let index = members.admit(record(id), Instant::ZERO, &mut stats).expect("there is room");
            members.prove(index);
        }
        let (rng, now) = (Rng::seeded(&mut SimRng::new(seed)), Instant::from_millis(1_000));
        Bed { core: Core { now, rng, stats, ..Core::new(Config::LAN, members) }, repairs: Repairs::NONE }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Repairs<Heap>, &mut Core<u16, Heap>) -> T) -> T {
        act(&mut self.repairs, &mut self.core)
    }

    fn index(&self) -> Index {
        self.core.members.find(NodeId::new(ORIGIN)).expect("it is a member")
    }

    /// Some of the origin's broadcasts come.
    fn take(&mut self, seqs: &[u32]) {
        let index = self.index();
        seqs.iter()
            .for_each(|seq| assert!(self.core.members.with_window(index, |window| window.take(*seq)), "{seq} is new"));
    }

    fn note(&mut self, last: u32, peer: u64) {
        self.repairs.note(origin(ORIGIN), last, NodeId::new(peer), self.core.now, WAIT);
    }

    /// Gives up what is hopeless now, as a node does, and says up to where that was.
    fn tick(&mut self) -> Vec<u32> {
        let mut hopeless = Vec::new();
        while let Some((of, last)) = self.with(|repairs, core| repairs.tick(UNIT, core)) {
            assert_eq!(of, origin(ORIGIN));
            let index = self.index();
            while self.core.members.with_window(index, |window| window.give_up(last)).is_some() {}
            hopeless.push(last);
            assert!(hopeless.len() < 10, "it comes to an end");
        }
        hopeless
    }

    /// Lets time pass until somebody is asked, or something is given up.
    fn next(&mut self) -> Result<(NodeId, Pull), Vec<u32>> {
        loop {
            assert!(self.repairs.due() < Instant::FAR_FUTURE, "something is still missing");
            self.core.now = self.repairs.due().max(self.core.now);
            let hopeless = self.tick();
            if !hopeless.is_empty() {
                return Err(hopeless);
            }
            let owed = self.owed();
            if let Some((at, peer, pull)) = owed {
                assert!(self.repairs.sent(at));
                assert_eq!(self.repairs.owed(&self.core.members).next(), None, "it is asked once a time");
                return Ok((peer, pull));
            }
        }
    }

    /// Who is to be asked next, for what, and where that stands.
    fn owed(&self) -> Option<(usize, NodeId, Pull)> {
        let (at, peer) = self.repairs.owed(&self.core.members).next()?;
        Some((at, peer, self.repairs.question(at, &self.core.members)?))
    }

    /// All who are asked before it is given up, each with when that was, and what is given up.
    fn ask_in_vain(&mut self) -> (Vec<(NodeId, Pull, Instant)>, Vec<u32>) {
        let mut asked = Vec::new();
        loop {
            match self.next() {
                Ok((peer, pull)) => asked.push((peer, pull, self.core.now)),
                Err(hopeless) => return (asked, hopeless),
            }
        }
    }

    fn on_lack(&mut self, from: u64, lack: &Lack) -> Option<Option<u32>> {
        self.with(|repairs, core| repairs.on_lack(NodeId::new(from), lack, core))
    }
}

fn lack(pull: Pull, wanted: u64, oldest: u32, newest: u32) -> Lack {
    Lack { pull: Pull { wanted, ..pull }, oldest, newest }
}

#[test]
fn first_who_has_it_is_asked_then_others_then_the_origin_in_turn_with_them() {
    for seed in 0..20 {
        let mut bed = Bed::new(seed);
        bed.take(&[1, 3]);
        let noted = bed.core.now;
        bed.note(6, 10);
        assert_eq!(
            (bed.tick(), bed.repairs.owed(&bed.core.members).next()),
            (Vec::new(), None),
            "it may be on its way"
        );
        let (asked, _) = bed.ask_in_vain();
        assert_eq!((asked[0].0, asked[0].2), (NodeId::new(10), noted.after(WAIT)));
        let peers: Vec<u64> = asked.iter().map(|(peer, ..)| peer.get()).collect();
        assert!(peers.len() > 8, "{peers:?}");
        for (place, pair) in peers.windows(2).enumerate() {
            let turn = place + 1;
            assert!(turn < 4 || turn % 2 == 1 || pair[1] == ORIGIN, "turn {turn} of {peers:?} is the origin's");
            // By chance it may be the origin before its turn.
            assert!(pair[0] != pair[1] || pair[1] == ORIGIN, "nobody else is asked twice in a row: {peers:?}");
            assert_ne!(pair[1], 1, "nobody asks itself");
        }
        let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1].2.since(pair[0].2)).collect();
        assert!(gaps.starts_with(&[2 * UNIT, 4 * UNIT, 8 * UNIT, 16 * UNIT, 32 * UNIT, 32 * UNIT]), "{gaps:?}");
        for (_, pull, _) in &asked {
            assert_eq!((pull.origin, pull.first, pull.wanted), (origin(ORIGIN), 2, 0b11101), "all but 1 and 3");
            assert_ne!(pull.number, 0);
        }
    }
}

#[test]
fn it_is_given_up_when_its_time_has_passed_since_anything_came_and_no_sooner() {
    let timeout = Config::LAN.delivery_timeout;
    let mut bed = Bed::new(1);
    bed.take(&[2]);
    let noted = bed.core.now;
    bed.note(2, 10);
    while bed.core.now.since(noted) < timeout / 2 {
        assert!(bed.next().is_ok());
    }
    bed.take(&[4]);
    let progress = bed.core.now;
    bed.repairs.note_progress(origin(ORIGIN), progress);
    let (_, hopeless) = bed.ask_in_vain();
    assert_eq!(hopeless, [4]);
    let waited = bed.core.now.since(progress);
    assert!((timeout..timeout + 32 * UNIT).contains(&waited), "after {waited} of {timeout}");
    assert_eq!(bed.repairs.due(), Instant::FAR_FUTURE, "nothing is missing any more");
}

#[test]
fn what_others_only_say_that_there_is_shuts_out_nothing_that_a_living_origin_sends() {
    for (came, expected) in [(&[][..], 0), (&[3, 10], 10)] {
        let mut bed = Bed::new(1);
        bed.take(came);
        bed.note(u32::MAX, 10);
        let (asked, hopeless) = bed.ask_in_vain();
        assert_eq!(asked[0].1.wanted.count_ones() as usize, 64 - came.len(), "it is asked for all the same");
        assert_eq!(hopeless, [expected], "up to what really came");
        assert_eq!(bed.repairs.due(), Instant::FAR_FUTURE, "and then no more");
        bed.take(&[expected + 1]);
    }
}

#[test]
fn of_an_origin_that_is_gone_all_that_others_know_of_is_given_up() {
    for (said, expected) in [(7, 7), (u32::MAX, u32::MAX)] {
        let mut bed = Bed::new(1);
        bed.take(&[3]);
        bed.note(said, 10);
        let index = bed.index();
        let gone = record(ORIGIN).with(Liveness::Down);
        bed.core.members.replace(index, gone, bed.core.now);
        let (asked, hopeless) = bed.ask_in_vain();
        assert!(asked.iter().all(|(peer, ..)| peer.get() != ORIGIN), "nobody asks the dead");
        assert_eq!(hopeless, [expected]);
    }
}

#[test]
fn what_the_origin_says_that_it_lacks_is_given_up_at_once_and_nothing_else() {
    // What it says of those from 2 on and of how much there is, and up to where that is hopeless.
    let said = [
        (0b11, 1, 9, 3, "2 and 3"),
        (0b10, 1, 9, 1, "3, but it has 2"),
        (0b1, 6, 9, 5, "nothing before 6"),
        (u64::MAX, 1, 4, 4, "there is no more than 4"),
        (0b1, u32::MAX, 9, 9, "it is said that all are old"),
    ];
    for (lacking, oldest, newest, expected, what) in said {
        let mut bed = Bed::new(1);
        bed.take(&[1, 9]);
        bed.note(9, ORIGIN);
        let (peer, pull) = bed.next().expect("nothing is hopeless yet");
        assert_eq!((peer.get(), pull.first), (ORIGIN, 2));
        assert_eq!(bed.on_lack(ORIGIN, &lack(pull, lacking, oldest, newest)), Some(Some(expected)), "{what}");
    }
    let mut bed = Bed::new(1);
    bed.take(&[1, 9]);
    bed.note(9, ORIGIN);
    let (_, pull) = bed.next().expect("nothing is hopeless yet");
    bed.take(&[2, 3]);
    assert_eq!(bed.on_lack(ORIGIN, &lack(pull, 0b1111, 1, 9)), Some(Some(5)), "what came meanwhile is not asked for");
}

#[test]
fn an_origin_that_takes_back_what_came_under_its_name_is_believed() {
    let mut bed = Bed::new(1);
    bed.take(&[1, 60]);
    bed.note(60, ORIGIN);
    let (_, pull) = bed.next().expect("nothing is hopeless yet");
    assert_eq!(bed.on_lack(ORIGIN, &lack(pull, u64::MAX, 1, 1)), Some(Some(1)));
    let window = bed.core.members.window(bed.index());
    assert_eq!((window.floor(), window.seen()), (1, 1), "the 60 was a lie");
    bed.take(&[2]);
}

#[test]
fn only_who_was_asked_may_say_what_it_lacks_once_and_another_than_the_origin_makes_nothing_hopeless() {
    let mut bed = Bed::new(1);
    bed.take(&[1, 9]);
    bed.note(9, 10);
    let early = Pull { number: 0, origin: origin(ORIGIN), first: 2, wanted: 1 };
    assert_eq!(bed.on_lack(10, &lack(early, 1, 0, 0)), None, "nobody has been asked");
    let (peer, pull) = bed.next().expect("nothing is hopeless yet");
    assert_eq!(peer.get(), 10);
    assert_eq!(bed.on_lack(11, &lack(pull, 1, 0, 0)), None, "it was not asked");
    assert_eq!(bed.on_lack(10, &lack(Pull { number: pull.number ^ 2, ..pull }, 1, 0, 0)), None, "that was not it");
    assert_eq!(bed.on_lack(10, &lack(Pull { origin: origin(11), ..pull }, 1, 0, 0)), None, "nor that");
    assert_eq!(bed.on_lack(10, &lack(pull, 1, u32::MAX, 0)), Some(None));
    assert_eq!(bed.core.members.window(bed.index()).seen(), 9, "it does not speak for the origin");
    assert_eq!(bed.on_lack(10, &lack(pull, 1, 0, 0)), None, "it has said so");
    assert_eq!(bed.on_lack(10, &lack(early, 1, 0, 0)), None, "under no number either");
    let asked = bed.core.now;
    let (next, _) = bed.next().expect("nothing is hopeless yet");
    assert!(next != peer && bed.core.now.since(asked) <= Config::LAN.gossip_gap, "another is asked soon");
    bed.core.now = bed.core.now.after(UNIT);
}

#[test]
fn who_gave_all_that_it_was_asked_for_is_asked_for_the_rest() {
    let mut bed = Bed::new(1);
    bed.note(200, 10);
    for round in 0..3 {
        let (peer, pull) = bed.next().expect("nothing is hopeless yet");
        assert_eq!((peer.get(), pull.first), (10, 64 * round + 1));
        bed.take(&(pull.first..pull.first + 64).collect::<Vec<_>>());
        assert_eq!(bed.on_lack(10, &lack(pull, 0, 0, 0)), Some(None));
    }
}

#[test]
fn eight_origins_are_asked_for_at_a_time_and_one_that_has_come_makes_room() {
    let mut bed = Bed::new(1);
    for id in (10..18).chain([ORIGIN]) {
        bed.repairs.note(origin(id), 1, NodeId::new(19), bed.core.now, WAIT);
    }
    bed.core.now = bed.core.now.after(WAIT);
    assert_eq!(bed.tick(), []);
    let mut asked = Vec::new();
    while let Some((at, peer, pull)) = bed.owed() {
        assert_eq!(peer.get(), 19);
        asked.push(pull.origin.id.get());
        assert!(bed.repairs.sent(at));
    }
    assert_eq!(asked, (10..18).collect::<Vec<_>>(), "there is no room for a ninth");
    let index = bed.core.members.find(NodeId::new(12)).expect("it is a member");
    bed.core.members.with_window(index, |window| window.take(1));
    bed.core.now = bed.core.now.after(2 * UNIT);
    bed.tick();
    bed.note(1, 19);
    bed.core.now = bed.core.now.after(WAIT);
    bed.tick();
    let asks: Vec<u64> = core::iter::from_fn(|| {
        let (at, _, pull) = bed.owed()?;
        assert!(bed.repairs.sent(at));
        Some(pull.origin.id.get())
    })
    .collect();
    assert!(asks.contains(&ORIGIN) && !asks.contains(&12), "{asks:?}");
}
