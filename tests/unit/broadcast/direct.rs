//! Messages to one member, and questions: how long they are tried, and what comes of them.

use std::vec::Vec;

use crate::broadcast::{MOST_SENDS, Questions, Send, Sends};
use crate::config::Config;
use crate::ids::MessageId;
use crate::member::{Life, Liveness, NodeId, Record};
use crate::members::Members;
use crate::node_core::Core;
use crate::stats::Stats;
use crate::storage::{Heap, Limited};
use crate::time::Instant;

const UNIT: u64 = 1_000;
const TIMEOUT: u64 = 100 * UNIT;
const PEER: NodeId = NodeId::new(10);
const START: Instant = Instant::from_millis(1_000);

fn record(id: u64) -> Record<u16> {
    let life = Life { generation: 0, nonce: 1 };
    Record { id: NodeId::new(id), life, incarnation: 0, liveness: Liveness::Alive, addr: 9, patience: 0, topics: 0 }
}

/// A member among five others, with what it sends to them.
struct Bed {
    core: Core<u16, Heap>,
    sends: Sends<Heap>,
}

impl Bed {
    fn new() -> Self {
        let (mut members, mut stats) =
            (Members::new(Limited::new(40), Limited::new(40), Limited::new(40), Limited::new(40)), Stats::NONE);
        members.reset(3, record(1), &mut stats);
        for id in 10..15 {
            members.admit(record(id), Instant::ZERO, &mut stats).expect("there is room");
        }
        Bed { core: Core { now: START, stats, ..Core::new(Config::LAN, members) }, sends: Sends::NONE }
    }

    /// Sends a message of so many pieces, which lies at 40.
    fn send(&mut self, number: u32, pieces: u8, quiet: bool) {
        let until = self.core.now.after(TIMEOUT);
        self.sends.push(Send::new(PEER, number, (40, pieces), quiet, (self.core.now, until)));
    }

    fn tick(&mut self) {
        self.sends.tick(UNIT, &self.core);
    }

    /// Lets time pass until something is due, and gives the number and the piece of what is sent then.
    fn next(&mut self) -> Option<(u32, u8)> {
        self.core.now = self.sends.due().max(self.core.now);
        self.tick();
        let (at, number, piece) = self.sends.owed().map(|(at, send)| (at, send.ask.number, send.piece)).next()?;
        assert!(self.sends.sent(at));
        assert!(self.sends.owed().next().is_none(), "it is sent once a time");
        Some((number, piece))
    }

    fn ack(&mut self, number: u32, piece: u8, taken: bool) -> bool {
        self.sends.on_ack(PEER, number, piece, taken, self.core.now)
    }

    fn outcome(&mut self) -> Option<(u32, bool)> {
        self.sends.next_outcome().map(|send| (send.ask.number, send.has_reached()))
    }
}

#[test]
fn a_message_is_tried_at_gaps_that_grow_until_its_time_is_over() {
    let mut bed = Bed::new();
    bed.send(7, 1, false);
    let mut tries = Vec::new();
    while let Some(sent) = bed.next() {
        assert_eq!((sent, bed.outcome(), bed.sends.is_done()), ((7, 0), None, false));
        tries.push(bed.core.now.since(START) / UNIT);
    }
    assert_eq!(tries, [0, 1, 3, 7, 15, 31, 47, 63, 79, 95], "each gap twice the last, and 16 at the most");
    assert_eq!(bed.core.now, START.after(TIMEOUT));
    assert_eq!((bed.sends.is_done(), bed.sends.due()), (true, Instant::FAR_FUTURE));
    assert!(bed.sends.uses(40), "it stays until its outcome is told");
    assert!(!bed.ack(7, 0, true), "too late");
    assert_eq!((bed.outcome(), bed.outcome()), (Some((7, false)), None));
    assert!(!bed.sends.uses(40));
}

#[test]
fn a_message_to_one_who_dies_ends_with_its_next_try() {
    let mut bed = Bed::new();
    bed.send(7, 1, false);
    assert_eq!(bed.next(), Some((7, 0)));
    let index = bed.core.members.find(PEER).expect("it is a member");
    bed.core.members.replace(index, record(10).with(Liveness::Down), bed.core.now);
    assert_eq!((bed.next(), bed.core.now), (None, START.after(UNIT)));
    assert_eq!(bed.outcome(), Some((7, false)));
}

#[test]
fn pieces_go_one_behind_the_other_as_they_are_acknowledged() {
    let mut bed = Bed::new();
    bed.send(7, 3, false);
    for piece in 0..3 {
        assert_eq!((bed.next(), bed.core.now), (Some((7, piece)), START.after(u64::from(piece) * UNIT)));
        assert!(bed.ack(7, piece + 1, true) && bed.outcome().is_none(), "not the one that was sent");
        assert_eq!(bed.next(), Some((7, piece)), "it is tried again");
        assert!(bed.ack(7, piece, true));
        assert_eq!(bed.sends.due(), if piece < 2 { bed.core.now } else { Instant::FAR_FUTURE }, "the next at once");
    }
    assert_eq!(bed.outcome(), Some((7, true)));
}

#[test]
fn one_for_which_there_is_no_room_is_tried_again_in_its_time_and_what_was_not_asked_changes_nothing() {
    let mut bed = Bed::new();
    bed.send(7, 1, false);
    assert_eq!(bed.next(), Some((7, 0)));
    let due = bed.sends.due();
    assert!(bed.ack(7, 0, false));
    assert_eq!((bed.sends.due(), bed.outcome()), (due, None));
    assert!(!bed.ack(8, 0, true), "no such message");
    assert!(!bed.sends.on_ack(NodeId::new(11), 7, 0, true, bed.core.now), "not its addressee");
    assert_eq!(bed.next(), Some((7, 0)));
    assert!(bed.ack(7, 0, true) && !bed.ack(7, 0, true), "once");
}

#[test]
fn what_nobody_asks_about_leaves_no_outcome_and_its_place_when_it_is_over() {
    let mut bed = Bed::new();
    bed.send(7, 1, true);
    assert!(bed.next().is_some() && bed.ack(7, 0, true));
    assert_eq!((bed.sends.room(), bed.outcome()), (MOST_SENDS, None));
    bed.send(8, 1, true);
    assert_eq!(bed.sends.room(), MOST_SENDS - 1);
    while bed.next().is_some() {}
    assert_eq!((bed.sends.room(), bed.outcome()), (MOST_SENDS, None));
}

#[test]
fn one_that_moves_is_found_where_it_is() {
    let mut bed = Bed::new();
    bed.send(7, 1, false);
    bed.sends.rename(|at| at + 100);
    assert!(bed.sends.uses(140) && !bed.sends.uses(40));
    assert_eq!(bed.sends.get(0).map(|send| (send.to, send.ask.number, send.at)), Some((PEER, 7, 140)));
    assert!(bed.sends.get(1).is_none());
}

// Questions.

fn id(seq: u32) -> MessageId {
    MessageId { origin: NodeId::new(1), tag: 2, seq }
}

#[test]
fn a_question_is_over_with_the_last_answer_that_is_wanted_or_when_its_time_is() {
    let mut questions = Questions::<Heap>::NONE;
    assert!(questions.are_over() && questions.due() == Instant::FAR_FUTURE);
    let (soon, late) = (START.after(10), START.after(20));
    let bits = [questions.open(id(1), 11, 2, late), questions.open(id(2), 12, u32::MAX, soon)];
    assert_eq!((bits[0] & bits[1], questions.due(), questions.are_over()), (0, soon, false));
    assert_eq!([11, 12, 13].map(|number| questions.bit_of(number)), [Some(bits[0]), Some(bits[1]), None]);
    questions.count(11);
    questions.count(13);
    questions.tick(START.after(9));
    assert!(questions.next_over(|_| false).is_none());
    questions.count(11);
    assert_eq!((questions.bit_of(11), questions.id_of(11)), (None, Some(id(1))), "no more answers are taken");
    assert!(questions.next_over(|number| number == 11).is_none(), "while there are answers to be read");
    let over = questions.next_over(|_| false).expect("two have answered");
    assert_eq!((over.id, over.answers, questions.id_of(11)), (id(1), 2, None));
    questions.tick(soon);
    assert_eq!((questions.are_over(), questions.due()), (true, Instant::FAR_FUTURE));
    let over = questions.next_over(|_| false).expect("its time is over");
    assert_eq!((over.id, over.answers), (id(2), 0));
}

#[test]
fn four_questions_are_open_at_a_time_each_with_a_bit_of_its_own() {
    let mut questions = Questions::<Heap>::NONE;
    let open = |questions: &mut Questions<Heap>, number| questions.open(id(number), number, 1, START);
    let all = (1..=4).fold(0, |all, number| all | open(&mut questions, number));
    assert_eq!((all, questions.has_room()), (0b1111, false));
    let second = questions.bit_of(2).expect("it is open");
    questions.count(2);
    assert!(!questions.has_room(), "until it is told");
    assert!(questions.next_over(|_| false).is_some() && questions.has_room());
    assert_eq!(open(&mut questions, 9), second, "the bit that is free");
}
