//! One member's place in the table, and what of it the application has been told.

use super::{Index, MYSELF, NONE, coarse};
use crate::event::Event;
use crate::member::{Address, Liveness, Member, Record};
use crate::time::Instant;

/// What the application was last told of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
    Nothing,
    Up,
    Suspect,
    Down,
    Left,
}

/// The slot is in the list of free ones.
pub(super) const FREE: u8 = 1 << 0;
/// This node suspects the member.
pub(super) const SUSPECT: u8 = 1 << 1;
/// The slot is in the queue of those to tell the application about.
pub(super) const UNTOLD: u8 = 1 << 2;
/// The member has begun another life since the application was told.
pub(super) const REBORN: u8 = 1 << 3;
/// The member has another address than the application was told.
pub(super) const MOVED: u8 = 1 << 4;
/// The member itself was heard in its present life, or its end was learned of.
pub(super) const SEEN: u8 = 1 << 5;
/// The member was silent while others answered: it is suspected with reason, not because this node was cut off.
pub(super) const EXCUSED: u8 = 1 << 6;
/// The member has answered a question that went to its present address: it is there.
pub(super) const PROVED: u8 = 1 << 7;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot<A> {
    pub(super) record: Record<A>,
    /// When this node last heard the member itself, or else when it learned of its life or its end; in units of
    /// 1,024 us, wrapping.
    pub(super) seen: u32,
    /// The next slot of the bucket, or of the free list.
    pub(super) chain: Index,
    /// The next slot that the application has not been told of.
    pub(super) next_untold: Index,
    /// Neighbours in the list of this send count.
    pub(crate) before: Index,
    pub(crate) behind: Index,
    /// How often the record was sent as news; `news::SILENT` if it is none.
    pub(crate) sent: u8,
    pub(super) told: Told,
    pub(super) marks: u8,
}

impl<A: Address> Slot<A> {
    pub(super) fn new(record: Record<A>, seen: u32) -> Self {
        Slot {
            record,
            seen,
            chain: NONE,
            next_untold: NONE,
            before: NONE,
            behind: NONE,
            sent: crate::members::news::SILENT,
            told: Told::Nothing,
            marks: 0,
        }
    }

    /// Whether this slot, of this number, is one of the dead of whose end the application knows.
    pub(super) fn is_settled(&self, index: Index) -> bool {
        self.marks & (FREE | UNTOLD) == 0 && self.record.liveness != Liveness::Alive && index != MYSELF
    }

    /// How long ago it was heard or learned of, in milliseconds or so.
    pub(super) fn age(&self, now: Instant) -> u32 {
        coarse(now).wrapping_sub(self.seen)
    }

    pub(super) fn member(&self) -> Member<A> {
        Member { record: self.record, suspect: self.marks & SUSPECT != 0 }
    }

    /// The next thing to tell of this slot, which then counts as told. It shows no suspicion that has not been told: if
    /// that were over before its own event, nothing would take it back.
    pub(super) fn tell<'n>(&mut self) -> Option<Event<'n, A>> {
        let member = self.member();
        let known_up = matches!(self.told, Told::Up | Told::Suspect);
        match self.record.liveness {
            Liveness::Alive => {
                let suspect = self.marks & SUSPECT != 0;
                let reborn = self.marks & REBORN != 0;
                let recovered = self.told == Told::Suspect && !suspect;
                if !known_up || reborn || recovered {
                    self.marks &= !(REBORN | MOVED);
                    self.told = Told::Up;
                    return Some(Event::MemberUp(Member { suspect: false, ..member }));
                }
                if self.marks & MOVED != 0 {
                    self.marks &= !MOVED;
                    return Some(Event::MemberMoved(Member { suspect: self.told == Told::Suspect, ..member }));
                }
                let newly = suspect && self.told == Told::Up;
                self.told = if newly { Told::Suspect } else { self.told };
                newly.then_some(Event::MemberSuspect(member))
            }
            // Of a member that the application never saw alive there is nothing to tell.
            Liveness::Down => {
                self.marks &= !(REBORN | MOVED);
                self.told = if known_up { Told::Down } else { self.told };
                known_up.then_some(Event::MemberDown(member))
            }
            Liveness::Left => {
                self.marks &= !(REBORN | MOVED);
                let told = known_up || self.told == Told::Down;
                self.told = if told { Told::Left } else { self.told };
                told.then_some(Event::MemberLeft(member))
            }
        }
    }
}
