//! What is believed, over a small space of records and of ways in which they come.

use std::vec::Vec;

use super::*;
use crate::member::{Life, MAX_JUMP, NodeId};

const SAID: Record<u16> = Record {
    id: NodeId::new(1),
    life: Life { generation: 5, nonce: 5 },
    incarnation: 3,
    liveness: Liveness::Alive,
    addr: 7,
    patience: 0,
    topics: 0,
};
const NEWS: Hearing = Hearing { owner: false, fresh: true, certified: true, heard: Heard::Long };

/// Every record of one id over four lives, three incarnations, all verdicts, two addresses, patiences and topics.
fn small_space() -> Vec<Record<u16>> {
    let mut space = Vec::new();
    for bits in 0..4 * 3 * 3 * 8u32 {
        let (fields, rest) = (bits % 8, bits / 8);
        let (incarnation, rest) = (rest % 3, rest / 3);
        space.push(Record {
            life: Life { generation: [5, 5, 6, 8][rest as usize / 3], nonce: [5, 6, 0, 0][rest as usize / 3] },
            incarnation,
            liveness: [Liveness::Alive, Liveness::Down, Liveness::Left][rest as usize % 3],
            addr: (fields & 1) as u16,
            patience: (fields >> 1 & 1) as u8 * (DOZE + 1),
            topics: fields >> 2,
            ..SAID
        });
    }
    space
}

fn hearings() -> impl Iterator<Item = Hearing> {
    (0..24).map(|bits| Hearing {
        owner: bits & 1 != 0,
        fresh: bits & 2 != 0,
        certified: bits & 4 != 0,
        heard: [Heard::Now, Heard::Lately, Heard::Long][bits / 8],
    })
}

/// Runs through all pairs of the small space and all ways to hear of the one when the other is held.
fn all(mut check: impl FnMut(Record<u16>, Record<u16>, Hearing, Ruling)) {
    let space = small_space();
    assert_eq!(space.len(), 288);
    for held in &space {
        for record in &space {
            hearings().for_each(|hearing| check(*record, *held, hearing, weigh(record, held, hearing)));
        }
    }
}

#[test]
fn nothing_is_taken_but_what_the_merge_would_make_of_it() {
    all(|record, held, hearing, ruling| {
        let stale = !record.supersedes(&held);
        assert_eq!(ruling == Ruling::Stale, stale, "{record:?} after {held:?}, {hearing:?}");
    });
}

#[test]
fn of_a_living_member_others_move_neither_life_nor_address_nor_patience_nor_say_its_word_anew() {
    all(|record, held, hearing, ruling| {
        if ruling != Ruling::Take || hearing.owner || held.liveness != Liveness::Alive {
            return;
        }
        let taken = record.ending(&held);
        assert_eq!((taken.life, taken.addr, taken.patience), (held.life, held.addr, held.patience));
        if taken.incarnation == held.incarnation {
            assert_eq!((taken.liveness, taken.topics), (Liveness::Down, held.topics), "only that it is dead");
        }
    });
}

#[test]
fn of_a_dead_member_others_move_the_life_by_one_step_at_the_most_and_never_to_a_living_one() {
    all(|record, held, hearing, ruling| {
        if ruling == Ruling::Take && !hearing.owner && record.life != held.life {
            assert!(held.liveness != Liveness::Alive && record.liveness != Liveness::Alive);
            assert!(record.life.generation <= held.life.generation + 1);
        }
    });
    let dead = SAID.with(Liveness::Down);
    let ended = |by| Record { life: Life { generation: 5 + by, nonce: 0 }, ..dead };
    let rulings = [1, 2, MAX_JUMP, MAX_JUMP + 1].map(|by| weigh(&ended(by), &dead, NEWS));
    assert_eq!(rulings, [Ruling::Take, Ruling::Leap, Ruling::Leap, Ruling::Leap]);
}

#[test]
fn what_an_owner_answers_of_itself_is_taken_where_it_is_known_to_be_or_dead() {
    all(|record, held, hearing, ruling| {
        if !hearing.owner || record.liveness != Liveness::Alive || ruling == Ruling::Stale {
            return;
        }
        let elsewhere = held.liveness == Liveness::Alive && record.addr != held.addr;
        assert_eq!(ruling, if elsewhere { Ruling::Ask } else { Ruling::Take }, "{record:?} after {held:?}");
    });
}

#[test]
fn a_refutation_is_taken_from_anybody() {
    let refuted = Record { incarnation: 4, ..SAID };
    for held in [SAID, SAID.with(Liveness::Down), SAID.with(Liveness::Left)] {
        hearings().for_each(|hearing| assert_eq!(weigh(&refuted, &held, hearing), Ruling::Take));
    }
}

#[test]
fn a_living_member_is_asked_when_others_say_that_it_has_spoken_more_than_twice() {
    let later = |by| Record { incarnation: SAID.incarnation + by, ..SAID };
    assert_eq!(
        [2, 3, MAX_JUMP, MAX_JUMP + 1].map(|by| weigh(&later(by), &SAID, NEWS)),
        [Ruling::Take, Ruling::Ask, Ruling::Ask, Ruling::Leap]
    );
    assert_eq!(weigh(&later(3), &SAID.with(Liveness::Down), NEWS), Ruling::Take, "it is not dead, at least");
}

#[test]
fn a_death_is_believed_with_witnesses_and_not_against_this_nodes_own_ears() {
    let dead = SAID.with(Liveness::Down);
    let weighed = |hearing| weigh(&dead, &SAID, hearing);
    assert_eq!(weighed(NEWS), Ruling::Take);
    assert_eq!(weighed(Hearing { heard: Heard::Lately, ..NEWS }), Ruling::Try);
    assert_eq!(weighed(Hearing { heard: Heard::Now, ..NEWS }), Ruling::Try);
    assert_eq!(weighed(Hearing { heard: Heard::Now, certified: false, ..NEWS }), Ruling::Moot);
    assert_eq!(weighed(Hearing { certified: false, ..NEWS }), Ruling::Try);
    assert_eq!(weighed(Hearing { fresh: false, ..NEWS }), Ruling::Try);
}

#[test]
fn a_farewell_is_believed_at_once_only_of_who_was_not_heard_lately_and_never_spoke_anew() {
    let young = Record { incarnation: 0, ..SAID };
    let left = |incarnation| Record { incarnation, ..SAID.with(Liveness::Left) };
    assert_eq!(weigh(&left(1), &young, NEWS), Ruling::Take);
    assert_eq!(weigh(&left(0), &young, NEWS), Ruling::Lie, "no owner says two things under one incarnation");
    for heard in [Heard::Now, Heard::Lately] {
        assert_eq!(weigh(&left(1), &young, Hearing { heard, ..NEWS }), Ruling::Ask);
    }
    assert_eq!(weigh(&left(2), &young, NEWS), Ruling::Ask);
    assert_eq!(weigh(&left(4), &SAID, NEWS), Ruling::Ask);
    assert_eq!(weigh(&left(4), &SAID.with(Liveness::Down), NEWS), Ruling::Take, "it is gone anyway");
}

#[test]
fn honest_records_of_a_life_come_to_the_same_in_any_order() {
    // What an owner says in three words, and the verdicts of others on each; whoever is asked answers its last word.
    let words =
        [SAID, Record { incarnation: 4, addr: 8, ..SAID }, Record { incarnation: 5, addr: 8, patience: 1, ..SAID }];
    let last = words[2];
    let mut told: Vec<Record<u16>> = words.to_vec();
    told.extend(words[..2].iter().map(|word| word.with(Liveness::Down)));
    let mut orders = 0;
    permute(&mut told, 0, &mut |order| {
        orders += 1;
        let come_to = order.iter().chain([&last]).fold(words[0], |held, record| match weigh(record, &held, NEWS) {
            Ruling::Take => record.ending(&held),
            Ruling::Ask | Ruling::Try => last,
            _ => held,
        });
        assert_eq!(come_to, last);
    });
    assert_eq!(orders, 120);
}

fn permute(told: &mut Vec<Record<u16>>, from: usize, check: &mut impl FnMut(&[Record<u16>])) {
    if from == told.len() {
        return check(told);
    }
    for at in from..told.len() {
        told.swap(from, at);
        permute(told, from + 1, check);
        told.swap(from, at);
    }
}
