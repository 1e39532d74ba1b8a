//! What others send of their maps: whole chunks, pieces of values, and the room for both.

use super::store::{CONFIRMED, DELETED, Head, PARTIAL, VITAL};
use super::{Partial, State, log_of, mark_of};
use crate::bytes::copy;
use crate::map::{At, BULK, VITAL_LOG};
use crate::map::{Verdict, judge};
use crate::member::Address;
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::storage::{FewOf, Storage, must_fit};
use crate::wire::{Chunk, ChunkHead, Reader, ValuePiece, Written};

/// For how many probe periods a rebuild or a value may stand still before it is begun anew.
const PATIENCE: u64 = 4;
/// After how many probe periods what there was no room for is asked for again.
const RETRY: u64 = 32;

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// All or some of it was new.
    New,
    /// It was all here.
    Old,
    /// It does not go on from where this node is.
    Unfit,
    /// There is no room.
    Refused,
}

/// Why an entry could not be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It contradicts what is here: somebody lies.
    Lie,
    /// It is beyond the quarter that one owner may take.
    Share,
    /// Others and this node's own take what there is.
    Room,
}

/// What becomes of what is there of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is replaced.
    Add,
    /// It stays until the log has been read again to its end.
    Rebuild { by_owner: bool },
}

/// What became of a piece of a value, or of a chunk of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The value is whole, and has been put in; or all entries have.
    Whole,
    /// Others are lacking still.
    Part,
    /// It has come before.
    Old,
    Unfit,
    Stopped(Stop),
}

/// Whether one more of this log may be under way in a table of those that are. The last place is for *vital* ones: bulk
/// comes after them, and must not hold what they wait for.
pub(super) fn has_place<T>(table: &impl FewOf<T>, log: usize) -> bool {
    let kept = if log == VITAL_LOG { 0 } else { 1 };
    table.room() > kept
}

impl<S: Storage> State<S> {
    /// Takes a chunk of another member's map, as far as it is new and there is room.
    pub(crate) fn take<A: Address>(
        &mut self,
        chunk: &Chunk<'_>,
        (owner, by_owner): (Index, bool),
        core: &mut Core<A, S>,
    ) -> Took {
        let head = &chunk.head;
        let log = if head.vital { VITAL_LOG } else { BULK };
        let rebuild = self.rebuild_of((owner, log)).map(|held| held.rebuild);
        let held = *core.members.map(owner).log(log);
        let mut verdict = judge(&held, rebuild.as_ref(), &head.span);
        if by_owner && verdict == Verdict::Unfit && rebuild.is_some() {
            // Whatever others have begun, the owner knows better.
            verdict = judge(&held, None, &head.span);
            if verdict != Verdict::Unfit {
                self.give_up_rebuild((owner, log), &mut core.members);
            }
        }
        let took = match verdict {
            Verdict::Old => {
                self.learn_floor((owner, log), head.span.floor, &mut core.members);
                Took::Old
            }
            Verdict::Unfit => Took::Unfit,
            Verdict::Adds => self.add_chunk(chunk, (owner, log), by_owner, core),
            Verdict::Rebuilds { first, rebuild } => self.rebuild(chunk, (owner, log, by_owner), (first, rebuild), core),
        };
        if took == Took::New {
            self.note_change(owner);
        }
        took
    }

    /// Adds entries behind all that there is.
    fn add_chunk<A: Address>(
        &mut self,
        chunk: &Chunk<'_>,
        (owner, log): (Index, usize),
        by_owner: bool,
        core: &mut Core<A, S>,
    ) -> Took {
        let span = chunk.head.span;
        // What the owner has forgotten makes room.
        self.learn_floor((owner, log), span.floor, &mut core.members);
        if chunk.head.piece {
            match self.take_piece(chunk.body, (owner, log), (&chunk.head, Mode::Add), core) {
                Piece::Whole => {}
                Piece::Part => return Took::New,
                Piece::Old => return Took::Old,
                Piece::Unfit => return Took::Unfit,
                Piece::Stopped(why) => {
                    self.note_refused((owner, log), why, &mut core.members);
                    return Took::Refused;
                }
            }
        }
        let before = core.members.map(owner).log(log).version;
        // What is not there of what came before is there no more.
        let (reached, stopped) = self.put_all(chunk, (owner, log), Mode::Add, core);
        core.members.with_map(owner, |map| {
            let log = map.log_mut(log);
            log.version = log.version.max(reached);
            // The owner's word ends what others have said.
            log.exposed = if by_owner { span.as_of } else { log.exposed.max(span.as_of) };
        });
        if let Some(why) = stopped {
            self.note_refused((owner, log), why, &mut core.members);
        }
        self.learn_floor((owner, log), span.floor, &mut core.members);
        if reached > before { Took::New } else { Took::Refused }
    }

    /// Puts the entries of a chunk in, and gives the version up to which there was room, and why no further.
    pub(super) fn put_all<A: Address>(
        &mut self,
        chunk: &Chunk<'_>,
        (owner, log): (Index, usize),
        mode: Mode,
        core: &mut Core<A, S>,
    ) -> (u32, Option<Stop>) {
        let span = chunk.head.span;
        let (mut entries, mut before) = (chunk.body, span.from);
        if chunk.head.piece {
            // Its last piece has put it in.
            return (span.to, None);
        }
        let above = if mode == Mode::Add { core.members.map(owner).log(log).version } else { 0 };
        while let Some(written) = entries.written(before) {
            if written.version > above {
                let mut put = self.put(&written, (owner, log), mode, core);
                if let Err(why) = put
                    && self.forget_for(why, (owner, log), &mut core.members)
                {
                    put = self.put(&written, (owner, log), mode, core);
                }
                if let Err(why) = put {
                    // What came before it stands.
                    return (before, Some(why));
                }
            }
            before = written.version;
        }
        (span.to, None)
    }

    /// Puts an entry in, if it is later than what there is of its key.
    fn put<A: Address>(
        &mut self,
        written: &Written<'_>,
        (owner, log): (Index, usize),
        mode: Mode,
        core: &mut Core<A, S>,
    ) -> Result<(), Stop> {
        let (key, version) = (written.key, written.version);
        let floor = core.members.map(owner).log(log).floor;
        if written.value.is_none() && version <= floor && self.store.find(owner, mark_of(log), key).is_none() {
            // There is nothing to delete, and nobody here can have it from before.
            return Ok(());
        }
        if self.confirm((owner, log), key, (version, mode), &mut core.members)? {
            return Ok(());
        }
        let deleted = if written.value.is_none() { DELETED } else { 0 };
        let value = written.value.unwrap_or(&[]);
        let head = Head::new(owner, version, mark_of(log) | deleted | CONFIRMED, value.len());
        let found = match mode {
            Mode::Add => [self.store.find(owner, mark_of(log), key), None],
            Mode::Rebuild { .. } => self.find_both((owner, log), key, &core.members),
        };
        let displaced = self.displace(found, (owner, log), (version, mode), &mut core.members);
        let replaced = displaced.and_then(|at| self.store.get(at)).map_or(0, |head| head.size());
        let size = Head { key_len: key.len() as u8, ..head }.size();
        if !self.is_within_share(size, replaced, (owner, mode), &core.members) {
            return Err(Stop::Share);
        }
        if !self.find_room(size, replaced, owner, &mut core.members) {
            return Err(Stop::Room);
        }
        if let Some(at) = displaced {
            self.remove(at, &mut core.members);
        }
        let at = self.add(head, key, &mut core.members).ok_or(Stop::Room)?;
        if let Some(place) = self.store.value_mut(at).get_mut(..value.len()) {
            copy(place, value);
        }
        Ok(())
    }

    /// Which of those that were found gives way at once to this version. One that is only to go when the log has been read is
    /// no longer confirmed.
    fn displace<A: Address>(
        &mut self,
        [here, ahead]: [Option<At>; 2],
        (owner, log): (Index, usize),
        (version, mode): (u32, Mode),
        members: &mut Members<A, S>,
    ) -> Option<At> {
        let held = *members.map(owner).log(log);
        if mode == Mode::Add || version <= held.version {
            if version <= held.told {
                self.note_lost(owner, members);
            }
            return ahead.or(here);
        }
        if let Some(here) = here {
            self.mark_confirmed(here, false);
        }
        ahead
    }

    /// The quarter of all that is each one's, and a sixteenth more: what was deleted takes room here for longer than at its
    /// owner.
    pub(super) fn share(&self) -> usize {
        self.store.limit() / 4 + self.store.limit() / 16
    }

    /// Whether so many bytes of another's, in place of so many, are still within its share. While a log is read again, what is
    /// to go is here beside what comes.
    fn is_within_share<A: Address>(
        &self,
        size: usize,
        replaced: usize,
        (owner, mode): (Index, Mode),
        members: &Members<A, S>,
    ) -> bool {
        let most = if mode == Mode::Add { self.share() } else { 2 * self.share() };
        members.map(owner).used as usize + size <= most + replaced
    }

    /// Whether there is room for so many bytes of another's, in place of so many: others together take no more than three
    /// quarters, so that nobody's map is in the way of this node's own. Those of the dead give way.
    fn find_room<A: Address>(
        &mut self,
        size: usize,
        replaced: usize,
        owner: Index,
        members: &mut Members<A, S>,
    ) -> bool {
        let limit = self.store.limit();
        loop {
            let own = members.map(MYSELF).used as usize;
            let others = self.store.used().saturating_sub(own) + size;
            if others <= limit - limit / 4 + replaced && self.store.has_room(size.saturating_sub(replaced)) {
                return true;
            }
            if !(members.is_live(owner) && self.drop_some_dead(members)) {
                return false;
            }
        }
    }

    /// Drops the map of one who is dead; false if there is none. A scan of the table, made only when there is no room.
    pub(super) fn drop_some_dead<A: Address>(&mut self, members: &mut Members<A, S>) -> bool {
        let dead = (1..members.map_slots()).find(|index| !members.is_live(*index) && members.map(*index).used > 0);
        if let Some(index) = dead {
            self.drop_map(index, members);
        }
        dead.is_some()
    }

    /// Forgets what is deleted, of the map that is beyond its share or of all, to make room; whether there was any. Whoever
    /// has not heard of it must read the log again. Not when a try in vain was noted already: each is a scan.
    fn forget_for<A: Address>(&mut self, why: Stop, (owner, log): (Index, usize), members: &mut Members<A, S>) -> bool {
        let (tried, maps) = match why {
            Stop::Share => (members.map(owner).log(log).refused, owner..owner + 1),
            Stop::Room => (self.refuses, 1..members.map_slots()),
            Stop::Lie => return false,
        };
        let used = self.store.used();
        if !tried {
            for (owner, log) in maps.flat_map(|owner| [(owner, BULK), (owner, VITAL_LOG)]) {
                self.learn_floor((owner, log), u32::MAX, members);
            }
        }
        self.store.used() < used
    }

    /// There was no room for all of a log: this node's roots differ from others' from now on. What is held of a map that is
    /// beyond its share, in either log, may be shorter or gone by now, or deleted for so long that its owner has forgotten
    /// it: that gives way when all is read again.
    pub(super) fn note_refused<A: Address>(
        &mut self,
        (owner, log): (Index, usize),
        why: Stop,
        members: &mut Members<A, S>,
    ) {
        self.refuses = true;
        members.with_map(owner, |map| {
            map.log_mut(log).refused = true;
            map.logs.iter_mut().for_each(|log| log.hollow |= why == Stop::Share && log.version > 0);
        });
    }

    /// The owner has moved its floor, or nobody says any more what was deleted. What the application has not been told yet
    /// stays.
    pub(super) fn learn_floor<A: Address>(
        &mut self,
        (owner, log): (Index, usize),
        floor: u32,
        members: &mut Members<A, S>,
    ) {
        let held = *members.map(owner).log(log);
        let told = if self.watches.any() { held.told } else { held.version };
        let floor = floor.min(held.version).min(told);
        if floor > held.floor {
            members.with_map(owner, |map| map.log_mut(log).floor = floor);
            self.forget_deleted(owner, log, floor, members);
        }
    }

    // Values in pieces.

    /// Takes one piece of a value.
    pub(super) fn take_piece<A: Address>(
        &mut self,
        mut body: Reader<'_>,
        (owner, log): (Index, usize),
        (head, mode): (&ChunkHead, Mode),
        core: &mut Core<A, S>,
    ) -> Piece {
        let Some(piece) = body.value_piece() else { return Piece::Unfit };
        let version = head.span.to;
        match self.confirm((owner, log), piece.key, (version, mode), &mut core.members) {
            Ok(true) => return Piece::Whole,
            Ok(false) => {}
            Err(why) => return Piece::Stopped(why),
        }
        let at = match self.partial_of(owner, log, version) {
            Some(held) if self.is_of(held.at, &piece) => held.at,
            Some(held) => {
                // Somebody lies. The next is believed.
                self.drop_partial(held.at, &mut core.members);
                return Piece::Unfit;
            }
            None => match self.begin_partial((owner, log, version), (&piece, mode), core) {
                Ok(Some(at)) => at,
                Ok(None) => return Piece::Unfit,
                Err(why) => return Piece::Stopped(why),
            },
        };
        let range = ValuePiece::range(piece.len, piece.pieces, piece.piece);
        if let Some(place) = self.store.value_mut(at).get_mut(range).filter(|place| place.len() == piece.bytes.len()) {
            copy(place, piece.bytes);
        }
        let Some(partial) = self.partials.iter_mut().find(|partial| partial.at == at) else { return Piece::Unfit };
        // What comes again is no progress: it must not keep others waiting.
        let bit = 1 << (piece.piece & 63);
        if partial.came & bit != 0 {
            return Piece::Old;
        }
        partial.came |= bit;
        partial.since = core.now;
        if partial.came.count_ones() < u32::from(piece.pieces) {
            return Piece::Part;
        }
        self.partials.retain(|partial| partial.at != at);
        self.complete(at, mode, &mut core.members);
        Piece::Whole
    }

    fn is_of(&self, at: At, piece: &ValuePiece<'_>) -> bool {
        let same = |head: Head| head.len == piece.len && head.pieces == piece.pieces;
        self.store.get(at).is_some_and(same) && self.store.key(at) == piece.key
    }

    fn partial_of(&self, owner: Index, log: usize, version: u32) -> Option<&Partial> {
        self.partials.iter().find(|it| it.owner == owner && usize::from(it.log) == log && it.version == version)
    }

    /// Begins to put a value together; `None` if too many others are.
    fn begin_partial<A: Address>(
        &mut self,
        (owner, log, version): (Index, usize, u32),
        (piece, mode): (&ValuePiece<'_>, Mode),
        core: &mut Core<A, S>,
    ) -> Result<Option<At>, Stop> {
        // Of one log only one value is put together at a time.
        let other = |it: &&Partial| it.owner == owner && usize::from(it.log) == log;
        if let Some(held) = self.partials.iter().find(other).copied() {
            self.drop_partial(held.at, &mut core.members);
        }
        if !has_place(&self.partials, log) {
            return Ok(None);
        }
        let head = Head::new(owner, version, mark_of(log) | PARTIAL, piece.len as usize);
        let head = Head { pieces: piece.pieces, ..head };
        let size = Head { key_len: piece.key.len() as u8, ..head }.size();
        let mut found = self.find_room_beside(size, (owner, log), (piece.key, mode), &mut core.members);
        if let Err(why) = found
            && self.forget_for(why, (owner, log), &mut core.members)
        {
            found = self.find_room_beside(size, (owner, log), (piece.key, mode), &mut core.members);
        }
        found?;
        let at = self.add(head, piece.key, &mut core.members).ok_or(Stop::Room)?;
        must_fit(self.partials.push(Partial { owner, log: log as u8, version, at, came: 0, since: core.now }));
        Ok(Some(at))
    }

    /// Finds room for a value beside the one that it replaces. For a while both are here, but only one of them is the owner's.
    fn find_room_beside<A: Address>(
        &mut self,
        size: usize,
        (owner, log): (Index, usize),
        (key, mode): (&[u8], Mode),
        members: &mut Members<A, S>,
    ) -> Result<(), Stop> {
        let held = self.store.find(owner, mark_of(log), key).filter(|_| mode == Mode::Add);
        let held = held.and_then(|at| self.store.get(at)).map_or(0, |held| held.size());
        if !self.is_within_share(size, held, (owner, mode), members) {
            return Err(Stop::Share);
        }
        if self.find_room(size, 0, owner, members) { Ok(()) } else { Err(Stop::Room) }
    }

    /// Puts a value in that is whole.
    fn complete<A: Address>(&mut self, at: At, mode: Mode, members: &mut Members<A, S>) {
        let Some(head) = self.store.get(at) else { return };
        let of = (head.owner, log_of(&head));
        let found = self.find_both(of, self.store.key(at), members);
        let displaced = self.displace(found, of, (head.version, mode), members);
        let head = Head { marks: head.marks & VITAL | CONFIRMED, ..head };
        self.store.set(at, head);
        if let Some(displaced) = displaced {
            self.remove(displaced, members);
        }
        self.link(at, &head, members);
    }

    // Time.

    /// Begins anew what stands still, and asks now and then again for what there was no room for.
    pub(crate) fn tick_taking<A: Address>(&mut self, core: &mut Core<A, S>) {
        let patience = PATIENCE * core.config.probe_period;
        let now = core.now;
        while let Some(held) = self.rebuilds.iter().find(|held| now.since(held.since) >= patience).copied() {
            self.give_up_rebuild((held.owner, held.log.into()), &mut core.members);
        }
        while let Some(held) = self.partials.iter().find(|held| now.since(held.since) >= patience).copied() {
            self.drop_partial(held.at, &mut core.members);
        }
        self.drop_long_dead(core);
        if core.now >= self.next_retry {
            self.next_retry = core.now.after(RETRY * core.config.probe_period);
            self.refuses = false;
            for index in 1..core.members.map_slots() {
                core.members.with_map(index, |map| map.logs.iter_mut().for_each(|log| log.refused = false));
            }
        }
    }

    /// Drops the maps of those who have been dead for longer than they are kept: looks at a few, and at others the next
    /// time.
    fn drop_long_dead<A: Address>(&mut self, core: &mut Core<A, S>) {
        const LOOK: u32 = 64;
        for _ in 0..LOOK {
            self.next_dead = if self.next_dead + 1 < core.members.map_slots() { self.next_dead + 1 } else { 1 };
            let index = self.next_dead;
            if core.members.map(index).has_any()
                && !core.members.is_live(index)
                && core.members.quiet(index, core.now) >= core.config.state_retention
            {
                self.drop_map(index, &mut core.members);
            }
        }
    }
}
