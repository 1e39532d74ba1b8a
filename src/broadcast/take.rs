//! What comes: pieces into their messages, what will not come any more, and the room for both.

use heapless::Vec;

use super::log::{At, DIRECT, DONE, Entry, ORDERED, UNTOLD};
use super::{Broadcasts, OUTBOX, direct, is_under_way};
use crate::config::Config;
use crate::hash;
use crate::member::{Address, NodeId};
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::stats::{DropReason, Stats};
use crate::storage::{FewOf, List, Storage, must_fit};
use crate::time::Instant;
use crate::tree::{HANDOFFS, Job, Message};
use crate::window::{Place, Window};
use crate::wire::{HOLLOW, HOPS, Origin, PART, Part, Piece};

/// How many direct messages are known again when they come twice, at most.
const DIRECTS: usize = 1_024;
/// How many direct messages of one sender may be under way in pieces: more than it has places for on its way.
const MOST_TORN: u32 = 64;

/// Broadcasts that will not come any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gap {
    pub(crate) origin: NodeId,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    New(At),
    /// It came before.
    Known,
    /// Its message can never be whole here: it is settled, and nobody can be given it from here.
    Never,
    Refused(DropReason),
}

impl<S: Storage> Broadcasts<S> {
    /// Takes a piece of a broadcast of the member in this slot.
    pub(crate) fn take<A: Address>(&mut self, piece: &Piece<'_>, index: Index, core: &mut Core<A, S>) -> Taken {
        match core.members.window(index).place(piece.seq) {
            Place::Settled => return Taken::Known,
            Place::Beyond => return Taken::Refused(DropReason::BeyondWindow),
            Place::Missing => {}
        }
        let unknown = core.members.window(index).is_unknown();
        let listens = self.listens(piece.part.topic);
        let hollow = piece.part.form & HOLLOW != 0;
        if hollow && listens.is_some() {
            // It was sent by one who did not know yet that this node listens. It is asked for.
            return Taken::Refused(DropReason::Hollow);
        }
        let marks = match listens {
            Some(ordered) => UNTOLD | if ordered { ORDERED } else { 0 },
            None => 0,
        };
        let number = piece.seq - u32::from(piece.part.piece);
        let never_whole = listens.is_some() && self.is_torn(piece, number, core.members.window(index));
        if never_whole || !self.log.can_hold(piece.part.len as usize) {
            let last = number.saturating_add(u32::from(piece.part.pieces) - 1);
            let settled = core.members.with_window(index, |window| window.take_all(number, last));
            self.quiet = false;
            if let Some((first, last)) = settled.filter(|_| listens.is_some()) {
                note_gap(&mut self.gaps, Gap { origin: piece.origin.id, first, last }, &mut core.stats);
            }
            return Taken::Never;
        }
        let at = match self.store(piece.origin, number, &piece.part, marks, core) {
            Ok(at) => at,
            Err(reason) => return Taken::Refused(reason),
        };
        if unknown {
            self.note_gap(piece.origin.id, piece.seq - 1, core);
        }
        core.members.with_window(index, |window| window.take(piece.seq));
        self.quiet = false;
        self.repairs.note_progress(piece.origin, core.now);
        Taken::New(at)
    }

    /// Whether other pieces of this message are settled that are not here: they were given up, or went by hollow.
    fn is_torn(&self, piece: &Piece<'_>, number: u32, window: &Window) -> bool {
        let Origin { id, tag } = piece.origin;
        let others = (number..number.saturating_add(piece.part.pieces.into())).filter(|seq| *seq != piece.seq);
        let settled = { others }.any(|seq| window.place(seq) == Place::Settled);
        settled && !self.log.of_origin(id, tag, (number, number)).any(|(_, entry)| entry.seq == number)
    }

    /// Puts a piece where the others of its message are, or begins its message.
    fn store<A: Address>(
        &mut self,
        origin: Origin,
        seq: u32,
        part: &Part<'_>,
        marks: u8,
        core: &mut Core<A, S>,
    ) -> Result<At, DropReason> {
        let Part { form, topic, piece, pieces, len, bytes } = *part;
        let (form, hops) = (form & 0xf & !PART, form >> HOPS);
        let of_message = |(_, entry): &(At, Entry)| entry.seq == seq && entry.pieces == pieces;
        let held = match pieces {
            0..=1 => None,
            _ if marks & DIRECT != 0 => self.log.torn_directs(origin.id, origin.tag).find(of_message),
            _ => self.log.of_origin(origin.id, origin.tag, (seq, seq)).filter(of_message).max_by_key(|(at, _)| *at),
        };
        let (at, entry) = match held {
            Some((_, entry)) if entry.len != len || entry.topic != topic || entry.form != form => {
                return Err(DropReason::Malformed);
            }
            Some(held) => held,
            None => {
                let (origin, tag) = (origin.id, origin.tag);
                let entry = Entry { origin, tag, seq, topic, len, came: 0, pieces, form, marks, hops };
                (self.add(entry, core).ok_or(DropReason::MessageRoom)?, entry)
            }
        };
        self.log.fill(at, entry.range(piece), bytes);
        self.log.set(at, Entry { came: entry.came | 1 << (piece & 31), hops: entry.hops.max(hops), ..entry });
        Ok(at)
    }

    /// Adds a message in place of old ones; `None`, and nothing changed, if there is no room.
    pub(super) fn add<A: Address>(&mut self, entry: Entry, core: &mut Core<A, S>) -> Option<At> {
        let len = entry.len as usize;
        if !self.log.has_room(len) && !self.make_room(len, core) {
            return None;
        }
        self.log.push(entry)
    }

    fn make_room<A: Address>(&mut self, len: usize, core: &mut Core<A, S>) -> bool {
        let Broadcasts { log, outbox, sends, gaps, topics, .. } = self;
        let tree = &mut core.tree;
        let used = |at: At| is_under_way(tree, at) || outbox.iter().any(|(own, _)| *own == at) || sends.uses(at);
        let stays = |at: At, entry: &Entry| {
            let direct = entry.is(UNTOLD) && entry.is(DIRECT);
            used(at) || direct && (entry.is_complete() || !is_over(entry, core.now, &core.config))
        };
        let members = &mut core.members;
        let stats = &mut core.stats;
        let lost = |entry: Entry| {
            if entry.is(DIRECT) {
                return;
            }
            // None of its other pieces is of use any more. Those that the window does not reach are a gap when they come, or are
            // given up.
            let index = members.find_life(entry.origin, entry.tag);
            let settle = |window: &mut Window| window.settle(entry.seq, entry.last());
            let last = index.map_or(entry.last(), |index| members.with_window(index, settle));
            if !topics.is_empty() {
                note_gap(gaps, Gap { origin: entry.origin, first: entry.seq, last }, stats);
            }
        };
        let mut moves = Vec::<(At, At), { HANDOFFS + OUTBOX + direct::SENDS }>::new();
        let made = log.make_room(len, stays, lost, |from, to| {
            if from != to && used(from) {
                must_fit(moves.push((from, to)));
            }
        });
        let new = |at: At| moves.iter().find(|(from, _)| *from == at).map_or(at, |(_, to)| *to);
        tree.rename(|job| match job {
            Job::Message(message) => Job::Message(Message { at: new(message.at), ..message }),
            job => job,
        });
        outbox.iter_mut().for_each(|(at, _)| *at = new(*at));
        sends.rename(new);
        made
    }

    /// Gives up the broadcasts of this origin that are missing up to that one: it says so itself, or nobody has them.
    pub(crate) fn give_up<A: Address>(
        &mut self,
        origin: Origin,
        (last, by_origin): (u32, bool),
        core: &mut Core<A, S>,
    ) {
        let Some(index) = core.members.find_life(origin.id, origin.tag) else { return };
        let give_up = |window: &mut Window| {
            if last > window.seen() && !by_origin { window.give_up_hearsay(last) } else { window.give_up(last) }
        };
        while let Some((first, last)) = core.members.with_window(index, give_up) {
            let gap = self.widen(Gap { origin: origin.id, first, last }, (origin, index), &mut core.members);
            self.quiet = false;
            if !self.topics.is_empty() {
                note_gap(&mut self.gaps, gap, &mut core.stats);
            }
        }
    }

    /// A message that lacks a piece is lost whole.
    fn widen<A: Address>(&mut self, gap: Gap, (origin, index): (Origin, Index), members: &mut Members<A, S>) -> Gap {
        let mut wide = gap;
        let torn = |(_, entry): &(At, Entry)| !entry.is(DONE) && !entry.is_complete();
        while let Some((at, entry)) = { self.log.of_origin(origin.id, origin.tag, (gap.first, gap.last)).find(torn) } {
            self.log.set(at, Entry { marks: entry.marks & !UNTOLD | DONE, ..entry });
            wide.first = wide.first.min(entry.seq);
            wide.last = wide.last.max(members.with_window(index, |window| window.settle(entry.seq, entry.last())));
        }
        wide
    }

    /// This life of a member is over, as it has begun another: what is missing of it never comes.
    pub(crate) fn bury<A: Address>(&mut self, origin: Origin, core: &mut Core<A, S>) {
        let seen = core.members.find_life(origin.id, origin.tag).map_or(0, |index| core.members.window(index).seen());
        let last = self.repairs.last_of(origin).max(seen);
        self.give_up(origin, (last, false), core);
        self.quiet = false;
    }

    /// A member is known again whose broadcasts may have come before or not: none of them is told any more.
    pub(crate) fn note_gap<A: Address>(&mut self, origin: NodeId, last: u32, core: &mut Core<A, S>) {
        if !self.topics.is_empty() && last > 0 {
            note_gap(&mut self.gaps, Gap { origin, first: 1, last }, &mut core.stats);
        }
    }

    // Direct messages.

    /// Whether this direct message has been taken whole.
    pub(crate) fn has_heard(&self, origin: Origin, number: u32) -> bool {
        let name = direct_name(origin, number);
        self.latest_directs.contains(name) || self.directs.all().contains(&name)
    }

    /// Takes a piece of a direct message; where that is, if it is whole now.
    pub(crate) fn take_direct<A: Address>(
        &mut self,
        origin: Origin,
        number: u32,
        part: &Part<'_>,
        core: &mut Core<A, S>,
    ) -> Result<Option<At>, DropReason> {
        if part.pieces > 1 && !self.has_share(origin, number, part) {
            return Err(DropReason::MessageRoom);
        }
        let at = self.store(origin, number, part, DIRECT | UNTOLD, core)?;
        let Some(entry) = self.log.get(at) else { return Ok(None) };
        self.log.set(at, Entry { hops: stamp(core.now, &core.config), ..entry });
        let whole = entry.is_complete();
        if whole {
            self.note_heard(direct_name(origin, number));
            self.quiet = false;
        }
        Ok(whole.then_some(at))
    }

    /// Whether there is room for another message of this sender that is not whole: together they may have a quarter of all,
    /// so that one who never ends leaves some for others, and are no more than a look at all of them takes no time.
    fn has_share(&self, origin: Origin, number: u32, part: &Part<'_>) -> bool {
        let (mut count, mut bytes) = (0, 0);
        for (_, entry) in self.log.torn_directs(origin.id, origin.tag) {
            if entry.seq == number {
                return true;
            }
            count += 1;
            bytes += entry.len as usize;
        }
        count == 0 || count < MOST_TORN && bytes + part.len as usize <= self.log.most() / 4
    }

    fn note_heard(&mut self, name: u32) {
        let Some(name) = self.latest_directs.note(name) else { return };
        let most = self.directs.limit().min(DIRECTS) as u32;
        if (self.directs.all().len() as u32) < most && self.directs.push(name) {
            return;
        }
        if let Some(place) = self.directs.all_mut().get_mut(self.next_direct as usize) {
            *place = name;
        }
        self.next_direct = (self.next_direct + 1) % most.max(1);
    }
}

/// Notes a gap, with one that it adjoins if it can; what there is no room for is counted.
pub(super) fn note_gap(gaps: &mut impl FewOf<Gap>, gap: Gap, stats: &mut Stats) {
    let lost = u64::from(gap.last - gap.first) + 1;
    stats.messages_lost = stats.messages_lost.wrapping_add(lost);
    let adjoins = |held: &&mut Gap| held.origin == gap.origin && held.last.checked_add(1) == Some(gap.first);
    if let Some(held) = gaps.iter_mut().find(adjoins) {
        held.last = gap.last;
        return;
    }
    let _ = gaps.push(gap);
}

/// When something of a direct message came last: in units of which the delivery timeout has 32 to 64, wrapping.
fn stamp(now: Instant, config: &Config) -> u8 {
    let shift = config.delivery_timeout.max(64).ilog2() - 5;
    (now.as_micros() >> shift) as u8
}

/// Whether so much time has passed since that nothing more will come.
fn is_over(entry: &Entry, now: Instant, config: &Config) -> bool {
    stamp(now, config).wrapping_sub(entry.hops) > 64
}

fn direct_name(origin: Origin, number: u32) -> u32 {
    (hash::mix(origin.id.get() ^ hash::mix(u64::from(origin.tag) << 32 | u64::from(number))) >> 32) as u32
}
