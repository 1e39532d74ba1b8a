//! Messages in: broadcasts and what they leave to repair, direct messages and answers.

use heapless::Vec;

use super::Node;
use super::hand;
use super::receive::Speaker;
use super::reply::Say;
use crate::broadcast::{At, Give, MOST_GIVEN, Taken};
use crate::budget::Class;
use crate::member::{Address, NodeId};
use crate::members::MYSELF;
use crate::share::{Claim, make_room};
use crate::stats::DropReason;
use crate::storage::{FewOf, Storage, must_fit};
use crate::walk::{MOST_POSITIONS, Range};
use crate::wire::{ANSWER, Lack, MOST_BEFORE_PAYLOAD, Origin, Part, Piece, Position, Pull, Reader};

/// How many members are looked up before the first of what is said of them is taken in.
const BATCH: usize = 8;

impl<A: Address, S: Storage> Node<A, S> {
    // Broadcasts.

    /// Takes a piece of a broadcast that goes down the tree. What came before goes on all the same: the range may be another's
    /// who did not.
    pub(super) fn take_cast(&mut self, piece: &Piece<'_>, teller: NodeId) -> hand::Taken {
        let taken = self.take_piece(piece, teller);
        match taken {
            Taken::Refused(DropReason::Hollow) => hand::Taken::Stays,
            // It comes again, when there may be room for it, or its origin may be known.
            Taken::Refused(_) => hand::Taken::Refused,
            Taken::Never => hand::Taken::Message(None),
            Taken::New(_) | Taken::Known => hand::Taken::Message(self.message_of(taken, piece)),
        }
    }

    /// Where in the log a piece is that is to be passed on, if it is there and fits a datagram of this node's.
    fn message_of(&self, taken: Taken, piece: &Piece<'_>) -> Option<(At, u8)> {
        let fits = piece.part.bytes.len() + MOST_BEFORE_PAYLOAD <= self.core.config.max_datagram();
        let Origin { id, tag } = piece.origin;
        let held = match taken {
            Taken::New(at) => self.broadcasts.log.get(at).map(|entry| (at, entry)),
            _ => self.broadcasts.log.find(id, tag, piece.seq),
        };
        let (at, entry) = held.filter(|_| fits)?;
        let piece = piece.seq.saturating_sub(entry.seq) as u8;
        // Of a message that is not whole, this piece may have gone by.
        let came = entry.came.checked_shr(piece.into()).is_some_and(|came| came & 1 == 1);
        came.then_some((at, piece))
    }

    /// Takes a piece of a broadcast that this member has sent, and sees to those before it that are missing.
    fn take_piece(&mut self, piece: &Piece<'_>, teller: NodeId) -> Taken {
        self.core.stats.casts_in = self.core.stats.casts_in.wrapping_add(1);
        let index = self.core.members.find_life(piece.origin.id, piece.origin.tag);
        let taken = match index {
            None => Taken::Refused(DropReason::UnknownOrigin),
            Some(MYSELF) => Taken::Known,
            Some(index) if !self.keeps_messages() => {
                self.pass_over(index, piece.seq);
                Taken::Never
            }
            Some(index) => self.broadcasts.take(piece, index, &mut self.core),
        };
        match taken {
            Taken::New(_) => {}
            Taken::Never => self.refuse(DropReason::MessageRoom),
            Taken::Known => self.core.stats.duplicates = self.core.stats.duplicates.wrapping_add(1),
            Taken::Refused(reason) => self.refuse(reason),
        }
        if let Some(index) = index.filter(|index| *index != MYSELF) {
            let window = self.core.members.window(index);
            let wanting = matches!(taken, Taken::Refused(DropReason::BeyondWindow | DropReason::Hollow));
            let last = if wanting { window.seen().max(piece.seq) } else { window.seen() };
            if window.missing(last).is_some() {
                self.note_missing(piece.origin, last, teller);
            }
        }
        taken
    }

    /// A node that keeps no messages counts all of them as settled: it is to be as far as others are.
    fn pass_over(&mut self, index: u32, seq: u32) {
        if seq > self.core.members.window(index).seen() {
            self.core.members.begin_window(index, Some(seq));
        }
    }

    /// This member has broadcasts that have not come here. They may be on their way.
    pub(super) fn note_missing(&mut self, origin: Origin, last: u32, teller: NodeId) {
        let wait = 4 * self.detector.hop(&self.core.config);
        self.broadcasts.repairs.note(origin, last, teller, self.core.now, wait);
    }

    // Repair.

    /// A piece that was asked for, or would have been. Nobody is given those of several origins at a time, as each of them
    /// costs a look at what is in no cache, nor more than so many.
    pub(super) fn on_give(&mut self, piece: &Piece<'_>, speaker: &mut Speaker<A>) {
        let (origin, given) = speaker.gives.get_or_insert((piece.origin.id, 0));
        if *origin != piece.origin.id || *given == MOST_GIVEN {
            return self.refuse(DropReason::Busy);
        }
        *given += 1;
        self.take_piece(piece, speaker.head.sender);
    }

    /// A member lacks some of an origin's broadcasts. What it is given goes to where it is known to be.
    pub(super) fn on_pull(&mut self, pull: Pull, speaker: &mut Speaker<A>) {
        let asker = self.core.members.find(speaker.head.sender).filter(|index| self.core.members.is_proved(*index));
        let Some(record) = asker.and_then(|index| self.core.members.get(index)).copied() else {
            return self.respond(speaker, Say::Introduce);
        };
        if !self.may_send(Class::Sync) {
            self.core.stats.held_back = self.core.stats.held_back.wrapping_add(1);
            return;
        }
        let had = self.broadcasts.had(&pull, record.topics);
        let give = Give {
            to: record.id,
            pull,
            left: pull.wanted & had,
            lacking: pull.wanted & !had,
            done: false,
            written: false,
        };
        self.broadcasts.gives.retain(|held| held.to != give.to || held.pull.origin != give.pull.origin);
        let claim = |peer| Claim { peer, addr: None::<()>, rank: 1 };
        let admitted = make_room!(self.broadcasts.gives, |held| claim(held.to), claim(give.to));
        if !admitted || self.broadcasts.gives.push(give).is_err() {
            self.refuse(DropReason::Busy);
        }
    }

    /// One who was asked has not all.
    pub(super) fn on_lack(&mut self, lack: &Lack, speaker: &Speaker<A>) {
        let asked = self.broadcasts.repairs.on_lack(speaker.head.sender, lack, &mut self.core);
        if let Some(Some(last)) = asked {
            self.broadcasts.give_up(lack.pull.origin, (last, true), &mut self.core);
        }
        self.note_answer(asked.is_some(), speaker);
    }

    /// Another member's positions, of all in this range or the latest.
    pub(super) fn on_have(
        &mut self,
        (low, high): Range,
        answer: bool,
        mut positions: Reader<'_>,
        speaker: &mut Speaker<A>,
    ) {
        // Nobody is asked for what it is said to have at an address where it may not be. It is told again from there.
        if !speaker.home {
            return if answer { self.refuse(DropReason::Stranger) } else { self.respond(speaker, Say::Introduce) };
        }
        let (mut count, mut other_life, mut next) = (0, None, high.saturating_add(1));
        while !positions.is_empty() {
            // As with records, look-ups that need not wait for each other come first.
            let mut batch = Vec::<(Origin, Position, Option<u32>), BATCH>::new();
            while !batch.is_full() && !positions.is_empty() {
                count += 1;
                let Some((origin, position)) = positions.position().filter(|_| count <= MOST_POSITIONS) else {
                    return self.refuse(DropReason::Malformed);
                };
                self.core.members.fetch(origin.id);
                must_fit(batch.push((origin, position, None)));
            }
            for (origin, _, index) in &mut batch {
                *index = self.core.members.find(origin.id);
                core::hint::black_box(index.map(|index| self.core.members.position_with(index)));
            }
            for (origin, position, index) in batch {
                let is_it =
                    |index: &u32| self.core.members.get(*index).is_some_and(|record| record.tag() == origin.tag);
                let Some(index) = index.filter(is_it) else {
                    other_life = other_life.or(index.map(|_| origin.id));
                    continue;
                };
                if !self.hear_of_position(index, (origin, position), speaker.head.sender) {
                    // There was no room for it. It is still to be asked for.
                    next = next.min(self.core.members.place(origin.id).max(low));
                }
            }
        }
        // Of the dead nothing else says that one has lived again.
        if let Some(id) = other_life {
            self.respond(speaker, Say::About(id));
        }
        // Where this node has come further is said in turn: the roots differ, and the latest may be what the other lacks.
        if !answer {
            self.respond(speaker, Say::Have { low, high, answer: true });
        }
        let more = Some(next).filter(|next| *next < u64::MAX);
        self.walk.on_have(speaker.head.sender, (low, high), answer, more, self.core.now);
    }

    /// How far another has come with one member; whether there was room to note what is missing of its map.
    fn hear_of_position(&mut self, index: u32, (origin, position): (Origin, Position), teller: NodeId) -> bool {
        let Position { seen, versions } = position;
        self.core.members.mourn(index, self.core.now);
        let noted = self.hear_of_map(index, versions, teller) != Some(false);
        if seen > self.core.members.window(index).seen() && index != MYSELF {
            self.hear_of_messages(index, origin, seen, teller);
        }
        noted
    }

    /// Another has come further with this origin.
    pub(super) fn hear_of_messages(&mut self, index: u32, origin: Origin, seen: u32, teller: NodeId) {
        if !self.keeps_messages() {
            return self.pass_over(index, seen);
        }
        if self.core.members.window(index).is_unknown() {
            self.core.members.begin_window(index, Some(seen));
            return self.broadcasts.note_gap(origin.id, seen, &mut self.core);
        }
        // Whoever told of it first could not say how many are old. Only then: of a member that had said nothing, what it has
        // said by now is new.
        if self.arrives.is_some() && self.core.members.window(index).is_unsaid() {
            return self.core.members.begin_window(index, Some(seen));
        }
        self.note_missing(origin, seen, teller);
    }

    // Direct messages.

    pub(super) fn on_direct(&mut self, number: u32, part: &Part<'_>, speaker: &mut Speaker<A>) {
        let origin = Origin { id: speaker.head.sender, tag: speaker.head.tag };
        let piece = part.piece;
        let acknowledge = |taken| Say::DirectAck { number, piece, taken };
        if self.broadcasts.has_heard(origin, number) {
            return self.respond(speaker, acknowledge(true));
        }
        // An answer that nobody waits for is acknowledged, so that it ends.
        if part.form & ANSWER != 0 && self.broadcasts.questions.are_over() {
            self.refuse(DropReason::Unasked);
            return self.respond(speaker, acknowledge(true));
        }
        let taken = self.broadcasts.take_direct(origin, number, part, &mut self.core);
        match taken {
            Ok(Some(at)) if part.form & ANSWER != 0 => self.take_answer(at, origin),
            Ok(_) => {}
            Err(reason) => self.refuse(reason),
        }
        self.respond(speaker, acknowledge(taken.is_ok()));
    }

    /// An answer is whole: if it is none to an open question, or not the first of this member, it is not told.
    fn take_answer(&mut self, at: At, origin: Origin) {
        let Some(index) = self.core.members.find(origin.id) else { return };
        let question = self.broadcasts.log.payload(at).first_chunk().map_or(0, |number| u32::from_le_bytes(*number));
        let bit = self.broadcasts.questions.bit_of(question);
        let first = bit.is_some_and(|bit| self.core.members.with_window(index, |window| window.note_answer(bit)));
        if first {
            self.broadcasts.questions.count(question);
        } else {
            self.broadcasts.drop_untold(at);
            self.refuse(DropReason::Unasked);
        }
    }

    pub(super) fn on_direct_ack(&mut self, number: u32, piece: u8, taken: bool, speaker: &Speaker<A>) {
        let asked = self.broadcasts.sends.on_ack(speaker.head.sender, number, piece, taken, self.core.now);
        self.note_answer(asked, speaker);
    }
}
