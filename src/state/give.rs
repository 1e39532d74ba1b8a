//! What others are given: a log from some version on, as much of it as a datagram holds.

use super::State;
use super::fetch::{FEW_WANTS, WANTS};
use super::store::{DELETED, Head};
use crate::config::Config;
use crate::map::Log;
use crate::map::{At, BULK, LOGS, VITAL_LOG};
use crate::member::{Address, NodeId};
use crate::members::{Index, Members};
use crate::storage::{FewData, FewOf, Storage, must_fit};
use crate::wire::{
    ChunkHead, Had, HadOf, MOST_ENTRIES, MOST_OF_SPAN, Origin, Span, ValuePiece, Writer, Written, kind, written_len,
};

/// The most datagrams that one question brings.
const CREDIT: u8 = 16;

/// What another member is being given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Give<S: Storage> {
    to: NodeId,
    number: u32,
    left: FewData<S, Left, WANTS, FEW_WANTS>,
    credit: u8,
    /// The present datagram has something of it, or says that it is all.
    written: bool,
    done: bool,
}

/// What it has by then of one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    owner: Index,
    from: [u32; LOGS],
    /// Of which value of either log it has pieces, and which.
    partial: [Option<(u32, u64)>; LOGS],
}

impl<S: Storage> State<S> {
    // Writing.

    /// Up to which version a log fits so many bytes from this one on: all of it, or to an entry that fits whole. One
    /// that can only go in pieces is behind where it ends.
    pub(super) fn reach<A: Address>(
        &self,
        (owner, log): (Index, usize),
        from: u32,
        room: usize,
        members: &Members<A, S>,
    ) -> u32 {
        let log = *members.map(owner).log(log);
        let reach = self.reach_of(&log, from, room);
        // Of what cannot go whole is said that it is there.
        let first = self.first_behind(log.last, from).map_or(log.version, |(_, head)| head.version).min(log.version);
        if reach > from { reach } else { first }
    }

    pub(super) fn reach_of(&self, log: &Log, from: u32, room: usize) -> u32 {
        let (mut reach, mut left, mut at) = (from, room, self.first_behind(log.last, from));
        let mut count = 0;
        while let Some((_, head)) = at.filter(|(_, head)| head.version <= log.version) {
            let value = (!head.is(DELETED)).then_some(head.len as usize);
            let size = written_len(reach, head.version, head.key_len.into(), value);
            count += 1;
            if head.pieces > 1 || size > left || count > MOST_ENTRIES {
                // Nothing else is between.
                return (head.version - 1).max(reach);
            }
            (reach, left) = (head.version, left - size);
            at = self.store.get(head.newer).map(|newer| (head.newer, newer));
        }
        log.version.max(from)
    }

    /// Writes what is behind `from` up to `most`, as much as fits so many bytes, as a chunk without its frame. Up to where
    /// that was.
    pub(super) fn write_entries<A: Address>(
        &self,
        (owner, log): (Index, usize),
        (from, most, newest): (u32, u32, u32),
        limit: usize,
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<u32> {
        let record = members.get(owner)?;
        let held = *members.map(owner).log(log);
        let Some(room) = writer.room().min(limit).checked_sub(MOST_OF_SPAN) else { return writer.no_room() };
        let to = self.reach_of(&held, from, room).min(most.max(from));
        let (as_of, sure) = (held.version.max(held.exposed).max(to), held.exposed <= held.version);
        let span = Span { from, to, as_of, floor: held.floor, sure };
        let origin = Origin { id: record.id, tag: record.tag() };
        let newest = newest.max(held.version).max(to);
        writer.chunk_head(&ChunkHead { origin, vital: log == VITAL_LOG, piece: false, span, newest })?;
        let (mut before, mut at) = (from, self.first_behind(held.last, from));
        while let Some((here, head)) = at.filter(|(_, head)| head.version <= to) {
            writer.written(before, &self.written(here, &head))?;
            before = head.version;
            at = self.store.get(head.newer).map(|newer| (head.newer, newer));
        }
        Some(to)
    }

    fn written(&self, at: At, head: &Head) -> Written<'_> {
        let value = (!head.is(DELETED)).then(|| self.store.value(at));
        Written { version: head.version, key: self.store.key(at), value }
    }

    /// Writes one piece of the value behind `from`, as a chunk without its frame.
    fn write_piece<A: Address>(
        &self,
        (owner, log): (Index, usize),
        (from, piece, pieces): (u32, u8, u8),
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let record = members.get(owner)?;
        let held = *members.map(owner).log(log);
        let (at, head) = self.first_behind(held.last, from)?;
        let (as_of, sure) = (held.version.max(held.exposed), held.exposed <= held.version);
        let span = Span { from, to: head.version, as_of, floor: held.floor, sure };
        let origin = Origin { id: record.id, tag: record.tag() };
        writer.chunk_head(&ChunkHead { origin, vital: log == VITAL_LOG, piece: true, span, newest: held.version })?;
        let bytes = self.store.value(at).get(ValuePiece::range(head.len, pieces, piece))?;
        let key = self.store.key(at);
        writer.value_piece(&ValuePiece { key, len: head.len, pieces, piece, bytes })
    }

    // Giving.

    /// Begins to give a member what it fetches; false if there is no room.
    pub(crate) fn begin_give(&mut self, to: NodeId, number: u32) -> bool {
        self.gives.retain(|held| held.to != to);
        let give = Give { to, number, left: FewOf::EMPTY, credit: CREDIT, written: false, done: false };
        self.gives.push(give).is_ok()
    }

    /// The one who has just asked has so much of this member's map.
    pub(crate) fn add_to_give<A: Address>(&mut self, had: &Had, owner: Index, members: &Members<A, S>) {
        let map = members.map(owner);
        let mut left = Left { owner, from: [0; LOGS], partial: had.logs.map(|log| log.partial) };
        for (log, (from, HadOf { version, rebuilds, .. })) in left.from.iter_mut().zip(had.logs).enumerate() {
            *from = if rebuilds || version >= map.log(log).floor { version } else { 0 };
        }
        if let Some(give) = self.gives.last_mut() {
            must_fit(give.left.push(left));
        }
    }

    /// Who is to be given something.
    pub(crate) fn owed_gives(&self) -> impl Iterator<Item = (usize, NodeId)> {
        self.gives.iter().map(|give| give.to).enumerate()
    }

    /// Writes as much as fits of what this asker is to be given. None has more than half of a datagram while others
    /// wait, and all have their vital logs before anyone has of the bulk.
    pub(crate) fn write_give<A: Address>(
        &mut self,
        at: usize,
        config: &Config,
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let mut give = self.gives.get(at)?.clone();
        let before = writer.len();
        members.own_origin()?;
        for log in [VITAL_LOG, BULK] {
            let waiting = give.left.iter().filter(|left| self.lacks(left, log, members)).count();
            let share = if waiting > 1 { writer.room() / 2 } else { usize::MAX };
            for left in give.left.iter_mut().filter(|left| self.lacks(left, log, members)) {
                // What takes more than its part goes when it is the first, as each is in its turn.
                let gave = self.give_some(left, log, (share, config), members, writer);
                if gave.is_none() && writer.len() == before {
                    let _ = self.give_some(left, log, (usize::MAX, config), members, writer);
                }
            }
        }
        give.written = writer.len() > before;
        if !give.written && writer.is_short() && writer.capacity() < config.max_datagram() {
            return None;
        }
        give.credit = give.credit.saturating_sub(u8::from(give.written));
        // Who got some goes behind those who got none.
        let turn = 1.min(give.left.len());
        give.left.rotate_left(turn);
        let any_left = give.left.iter().any(|left| [VITAL_LOG, BULK].iter().any(|log| self.lacks(left, *log, members)));
        if !any_left || give.credit == 0 || !give.written {
            let number = give.number;
            give.done = writer.frame(kind::FETCHED, |body| body.u32(number)).is_some();
        }
        let wrote = writer.len() > before;
        if let Some(held) = self.gives.get_mut(at).filter(|_| wrote) {
            *held = give;
        }
        wrote.then_some(())
    }

    fn lacks<A: Address>(&self, left: &Left, log: usize, members: &Members<A, S>) -> bool {
        let from = if log == BULK { left.from[BULK] } else { left.from[VITAL_LOG] };
        let held = *members.map(left.owner).log(log);
        held.version > from && !held.hollow
    }

    /// Gives of one log what fits. `None` if nothing more fits this datagram.
    fn give_some<A: Address>(
        &self,
        left: &mut Left,
        log: usize,
        (share, config): (usize, &Config),
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let held = *members.map(left.owner).log(log);
        let from = left.from.get(log).copied()?;
        // What is ahead of the log is no part of it yet.
        let next = self.first_behind(held.last, from).filter(|(_, head)| head.version <= held.version);
        let cut = next.map(|(_, head)| (head, super::own::pieces_of(&head, config)));
        let Some((head, pieces)) = cut.filter(|(_, pieces)| *pieces > 1) else {
            let frame = writer.begin(kind::GIVEN)?;
            let limit = share.min(writer.room());
            let to = self.write_entries((left.owner, log), (from, u32::MAX, 0), limit, members, writer);
            return match to.filter(|to| *to > from) {
                Some(to) => {
                    if let Some(place) = left.from.get_mut(log) {
                        *place = to;
                    }
                    writer.end(frame)
                }
                None => writer.cancel(frame),
            };
        };
        self.give_piece(left, (log, from), &Head { pieces, ..head }, members, writer)
    }

    fn give_piece<A: Address>(
        &self,
        left: &mut Left,
        (log, from): (usize, u32),
        head: &Head,
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let held = left.partial.get(log).copied().flatten().filter(|(version, _)| *version == head.version);
        let mut came = held.map_or(0, |(_, came)| came);
        let piece = came.trailing_ones() as u8;
        if piece >= head.pieces {
            // All pieces have been sent. What is behind the value must wait until it is known to have come.
            if let Some(place) = left.from.get_mut(log) {
                *place = u32::MAX;
            }
            return Some(());
        }
        let frame = writer.begin(kind::GIVEN)?;
        match self.write_piece((left.owner, log), (from, piece, head.pieces), members, writer) {
            Some(()) => {
                came |= 1u64.checked_shl(piece.into()).unwrap_or(0);
                if let Some(partial) = left.partial.get_mut(log) {
                    *partial = Some((head.version, came));
                }
                writer.end(frame)
            }
            None => writer.cancel(frame),
        }
    }

    /// One datagram has gone to this asker, whose turn comes again behind the others'; or it is gone itself. Whether there
    /// was one.
    pub(crate) fn settle_give(&mut self, at: usize) -> bool {
        let Some(mut give) = self.gives.take(at) else { return false };
        if core::mem::take(&mut give.written) && !give.done {
            must_fit(self.gives.push(give));
        }
        true
    }
}
