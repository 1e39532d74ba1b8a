//! A member's window against a set of all the numbers that are settled.

use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::unit::property::check;
use crate::window::{Place, SPAN, Window};

/// What the window stands for, without its limits.
#[derive(Clone, Debug)]
struct Model {
    /// All up to here are settled.
    floor: u32,
    settled: BTreeSet<u32>,
    unknown: bool,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A number this far behind the floor.
    Take(u32),
    TakeAll(u32, u32),
    /// All up to this far behind the floor.
    GiveUp(u32),
    /// The origin says that there is nothing beyond this, counted from so much below the floor.
    Retract(u32),
    Missing(u32),
    NoteAnswer(u8),
    ForgetAnswers(u8),
}

impl Model {
    fn rise(&mut self) {
        while self.settled.remove(&(self.floor + 1)) {
            self.floor += 1;
        }
    }

    fn seen(&self) -> u32 {
        self.settled.last().copied().unwrap_or(0).max(self.floor)
    }

    fn place(&self, seq: u32) -> Place {
        match seq {
            _ if self.unknown => Place::Missing,
            seq if seq <= self.floor || self.settled.contains(&seq) => Place::Settled,
            seq if seq > self.floor + SPAN => Place::Beyond,
            _ => Place::Missing,
        }
    }

    fn take(&mut self, seq: u32) -> bool {
        if seq == 0 || self.place(seq) != Place::Missing {
            return false;
        }
        if self.unknown {
            *self = Model { floor: seq - 1, settled: BTreeSet::new(), unknown: false };
        }
        self.settled.insert(seq);
        self.rise();
        true
    }

    fn missing(&self, last: u32) -> Vec<u32> {
        (self.floor + 1..=last.min(self.floor + SPAN)).filter(|seq| !self.settled.contains(seq)).collect()
    }

    /// The runs that are given up, in order.
    fn give_up(&mut self, last: u32) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for seq in (self.floor + 1..=last).filter(|seq| !self.settled.contains(seq)).collect::<Vec<_>>() {
            match runs.last_mut() {
                Some((_, end)) if *end + 1 == seq => *end = seq,
                _ => runs.push((seq, seq)),
            }
            self.settled.insert(seq);
        }
        self.rise();
        runs
    }

    fn retract(&mut self, newest: u32) {
        self.settled.retain(|seq| *seq <= newest);
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let near = || prop_oneof![4 => 0..8u32, 3 => 0..70u32, 1 => 0..300u32];
    let op = prop_oneof![
        8 => near().prop_map(Op::Take),
        1 => (near(), near()).prop_map(|(from, len)| Op::TakeAll(from, len)),
        2 => near().prop_map(Op::GiveUp),
        2 => (0..100u32).prop_map(Op::Retract),
        2 => near().prop_map(Op::Missing),
        1 => (0..4u8).prop_map(|slot| Op::NoteAnswer(1 << slot)),
        1 => (0..16u8).prop_map(Op::ForgetAnswers),
    ];
    vec(op, 1..120)
}

/// Gives up until there is nothing more to give up.
fn give_up(window: &mut Window, last: u32) -> Vec<(u32, u32)> {
    core::iter::from_fn(|| window.give_up(last)).collect()
}

fn play(window: &mut Window, model: &mut Model, op: Op, answered: &mut BTreeSet<u8>) {
    let floor = model.floor;
    match op {
        // One below the floor, too.
        Op::Take(ahead) => assert_eq!(window.take((floor + ahead).max(1) - 1), model.take((floor + ahead).max(1) - 1)),
        Op::TakeAll(from, len) => {
            let (first, last) = (floor + from, floor + from + len);
            window.take_all(first, last);
            // No message has more pieces than the window has places.
            for seq in first..=last.min(first + SPAN) {
                model.take(seq);
            }
        }
        // It is known by then which messages are missing at all.
        Op::GiveUp(_) if model.unknown => {}
        Op::GiveUp(ahead) => assert_eq!(give_up(window, floor + ahead), model.give_up(floor + ahead)),
        Op::Retract(place) => {
            let newest = (floor + place).saturating_sub(20);
            window.retract(newest);
            model.retract(newest);
        }
        Op::Missing(_) if model.unknown => {}
        Op::Missing(ahead) => {
            let (first, wanted) = window.missing(floor + ahead).unwrap_or((floor + 1, 0));
            assert_eq!(first, floor + 1, "counted from the first that is missing");
            let missing: Vec<u32> =
                (0..u64::BITS).filter(|bit| wanted >> bit & 1 == 1).map(|bit| first + bit).collect();
            assert_eq!(missing, model.missing(floor + ahead));
        }
        Op::NoteAnswer(bit) => assert_eq!(window.note_answer(bit), answered.insert(bit)),
        Op::ForgetAnswers(bits) => {
            window.forget_answers(bits);
            answered.retain(|bit| bits & bit == 0);
        }
    }
}

#[test]
fn a_window_settles_gives_up_and_takes_back_what_a_set_of_numbers_does() {
    let begun = prop_oneof![Just(None), (0..5u32).prop_map(Some), (0..1u32 << 20).prop_map(Some)];
    check(1_000, (begun, ops()), |(begun, ops)| {
        let mut window = begun.map_or(Window::UNKNOWN, Window::behind);
        let mut model = Model { floor: begun.unwrap_or(0), settled: BTreeSet::new(), unknown: begun.is_none() };
        let mut answered = BTreeSet::new();
        for op in ops {
            play(&mut window, &mut model, op, &mut answered);
            assert_eq!(window.is_unknown(), model.unknown, "{op:?}");
            assert_eq!((window.floor(), window.seen()), (model.floor, model.seen()), "{op:?}");
            let floor = model.floor;
            for seq in floor.saturating_sub(3)..floor + SPAN + 3 {
                assert_eq!(window.place(seq), model.place(seq), "{seq} after {op:?}");
            }
        }
    });
}

#[test]
fn whoever_knows_no_number_of_a_member_takes_the_first_that_comes_and_none_before_it() {
    let mut window = Window::UNKNOWN;
    assert!(!window.take(0), "there is no such number");
    assert!(window.note_answer(2), "an answer is no broadcast");
    assert!(window.is_unknown() && window.take(1_000));
    assert_eq!((window.floor(), window.seen(), window.place(999)), (1_000, 1_000, Place::Settled));
    assert!(!window.note_answer(2), "who has answered is not forgotten");
    assert!(!window.is_unknown() && window.take(1_002) && !window.take(1_000));
}

#[test]
fn what_a_member_takes_back_may_come_after_all_but_not_what_was_settled_in_a_row() {
    let mut window = Window::NEW;
    for seq in [1, 2, 4, 60] {
        assert!(window.take(seq));
    }
    window.retract(100);
    assert_eq!(window.seen(), 60, "it says nothing of what came");
    window.retract(4);
    assert_eq!((window.floor(), window.seen(), window.place(60)), (2, 4, Place::Missing));
    window.retract(1);
    assert_eq!((window.floor(), window.seen(), window.place(2)), (2, 2, Place::Settled));
    assert!(!window.take(2) && window.take(4) && window.take(60));
}
