//! Whether to believe a record: a pure function of the record, of what is held, and of how it came.
//!
//! What two records come to is a lattice join (see [`Record::supersedes`]), and this decides when to make it. Only an owner
//! moves its life, its address, its patience, its topics and, but for a verdict's, its incarnation. So a record that
//! others tell and that differs in one of those is a question to the owner, and the owner's answer is what is joined. A
//! refuted lie ends in a later incarnation, which all join alike.

use crate::member::{Address, Liveness, Record};

/// The incarnation under which a member leaves that never spoke anew in its life.
pub(super) const UNCONTESTED: u32 = 1;

/// The greatest patience that others may give a member or take from it, as a power of two of seconds. It may hide a crash for
/// so long.
const DOZE: u8 = 4;

/// How many words of a living member others may say it has spoken since: a farewell that was not its own, and what it said
/// against that.
const STEPS: u32 = 2;

/// How lately the member itself was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Within a turn of probing.
    Now,
    /// Within what its death would take.
    Lately,
    /// Longer ago, or never.
    Long,
}

/// How a record came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing {
    /// From the member itself, in answer to a question of this node's.
    pub(super) owner: bool,
    /// Told as news, and not dug up by anti-entropy, which may have been refuted long since.
    pub(super) fresh: bool,
    /// It names two known members who bear witness.
    pub(super) certified: bool,
    pub(super) heard: Heard,
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// What is held is as late, or later.
    Stale,
    /// It moves a counter further than others may.
    Leap,
    /// No owner ever says this.
    Lie,
    /// The member was heard only now, and may hold its tongue: to ask again each time would never end.
    Moot,
    /// A death that is put to the member and to two others.
    Try,
    /// A question to the member.
    Ask,
    Take,
}

pub(super) fn weigh<A: Address>(record: &Record<A>, held: &Record<A>, hearing: Hearing) -> Ruling {
    if !record.supersedes(held) {
        return Ruling::Stale;
    }
    if !hearing.owner && record.jumps(Some(held)) {
        return Ruling::Leap;
    }
    let (lives, of_this_life) = (held.liveness == Liveness::Alive, record.life == held.life);
    let moved = record.incarnation != held.incarnation && (record.addr, record.patience) != (held.addr, held.patience);
    match record.liveness {
        // Whoever answers where the member is known to be is the member; from elsewhere it may be anybody.
        Liveness::Alive if hearing.owner && (!lives || record.addr == held.addr) => Ruling::Take,
        // Its topics may change with each subscription, and nothing but a message hangs on them; nor does much on a short
        // sleep. They are believed under the next incarnation, for then the owner hears of it and may contradict. To ask
        // each time would cost as much again as to tell all. Whoever has missed words of a living member asks it.
        Liveness::Alive if of_this_life && record.incarnation != held.incarnation => {
            let leaps = lives && record.incarnation > held.incarnation.saturating_add(STEPS);
            let sleeps = record.patience != held.patience && record.patience.max(held.patience) > DOZE;
            if record.addr != held.addr || sleeps || leaps { Ruling::Ask } else { Ruling::Take }
        }
        Liveness::Alive => Ruling::Ask,
        // The end of a life that this node does not know of: the member, if it lives, must begin one above it.
        _ if !of_this_life && lives => Ruling::Ask,
        // Nobody is there to be asked: one step, which its next life is told of by its seed.
        _ if !of_this_life && record.life.generation > held.life.generation.saturating_add(1) => Ruling::Leap,
        _ if !lives => Ruling::Take,
        // Beside its end it tells of a later word of the member, which this node has not heard.
        Liveness::Down if moved => weigh_death(Hearing { certified: false, ..hearing }),
        Liveness::Left if moved => Ruling::Ask,
        Liveness::Down => weigh_death(hearing),
        Liveness::Left => weigh_farewell(record, held, hearing.heard),
    }
}

/// A death is believed at once if two other known members bear witness, and not against this node's own ears: who was
/// heard less than a suspicion ago was alive when the others say that it was silent.
fn weigh_death(hearing: Hearing) -> Ruling {
    match hearing.heard {
        // What bears witness comes only as often as it is news. And what was heard may be an old datagram, sent again.
        Heard::Now if !(hearing.fresh && hearing.certified) => Ruling::Moot,
        Heard::Long if hearing.fresh && hearing.certified => Ruling::Take,
        _ => Ruling::Try,
    }
}

/// A farewell is an owner's word too, said under an incarnation of its own. It is believed at once of a member that was
/// not heard lately and has never spoken anew in this life: the first one that is forged is taken back by the member
/// under the next incarnation, and from then on each is put to it.
fn weigh_farewell<A: Address>(record: &Record<A>, held: &Record<A>, heard: Heard) -> Ruling {
    if record.incarnation == held.incarnation {
        return Ruling::Lie;
    }
    if heard == Heard::Long && record.incarnation <= UNCONTESTED { Ruling::Take } else { Ruling::Ask }
}

#[cfg(test)]
mod tests {
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
}
