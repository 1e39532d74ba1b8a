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

#[cfg(all(test, unit_tests))]
#[path = "../../tests/unit/weigh.rs"]
mod tests;
