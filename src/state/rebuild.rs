//! A log that is read again from its beginning (`map.rs` says which chunks may be part of that).
//!
//! What comes is put *ahead*: its version is above the log's, so nobody sees it and it is given to nobody. What was there
//! stays beside it, *confirmed* as far as it is listed again. At the end all changes at once: what was not confirmed goes,
//! and the log's version passes what is ahead. If the end does not come, what is ahead goes. So whoever begins to tell
//! something and stops, or lies, leaves nothing behind, and no key is seen to go back to an earlier version or to come back.
//!
//! Only for want of room does what is not confirmed go before the end: then the log is hollow. Of a log that is, or of
//! which it is known that it holds parts of later states (`Log::exposed`), something up to its version can be lacking, and
//! is put in at once when it is listed; of any other log that would be a contradiction, and somebody lies.

use super::store::{CONFIRMED, DELETED, HEADER, Head};
use super::take::{Mode, Piece, Stop, Took, has_place};
use super::{Rebuilding, State, mark_of};
use crate::map::At;
use crate::map::Rebuild;
use crate::member::Address;
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::storage::{FewOf, Storage, must_fit};
use crate::wire::Chunk;

/// A log: whose it is, and which.
type Of = (Index, usize);

/// How many bytes of a log are confirmed, are ahead, and go at the end.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    stays: usize,
    comes: usize,
    goes: usize,
}

impl<S: Storage> State<S> {
    pub(super) fn rebuild_of(&self, (owner, log): Of) -> Option<&Rebuilding> {
        self.rebuilds.iter().find(|held| held.owner == owner && usize::from(held.log) == log)
    }

    /// Takes the next part of a log that is read again, or some of it.
    pub(super) fn rebuild<A: Address>(
        &mut self,
        chunk: &Chunk<'_>,
        (owner, log, by_owner): (Index, usize, bool),
        (first, rebuild): (bool, Rebuild),
        core: &mut Core<A, S>,
    ) -> Took {
        let (of, mode) = ((owner, log), Mode::Rebuild { by_owner });
        if first {
            self.give_up_rebuild(of, &mut core.members);
            // A place here comes before one for pieces: no two can wait for each other.
            if !has_place(&self.rebuilds, log) && (chunk.head.piece || !rebuild.is_done()) {
                return Took::Unfit;
            }
            self.begin_rebuild(of, &mut core.members);
        }
        let mut put = self.put_ahead(chunk, of, mode, core);
        if matches!(put, Piece::Stopped(Stop::Share | Stop::Room))
            && self.could_fit(chunk, of, &core.members)
            && self.drop_unconfirmed(of, &mut core.members)
        {
            put = self.put_ahead(chunk, of, mode, core);
        }
        if put == Piece::Whole && !self.will_fit(of, rebuild.is_done(), &core.members) {
            put = Piece::Stopped(Stop::Share);
        }
        match put {
            Piece::Whole if rebuild.is_done() => self.finish_rebuild(of, &rebuild, &mut core.members),
            Piece::Whole => self.note_rebuild(of, rebuild, core),
            Piece::Part => {
                let held = self.rebuild_of(of).map_or(rebuild.before_any(), |held| held.rebuild);
                self.note_rebuild(of, held, core);
            }
            Piece::Old => return Took::Old,
            Piece::Unfit => return Took::Unfit,
            Piece::Stopped(Stop::Lie) => {
                self.give_up_rebuild(of, &mut core.members);
                return Took::Unfit;
            }
            Piece::Stopped(why) => {
                self.note_refused(of, why, &mut core.members);
                self.give_up_rebuild(of, &mut core.members);
                return Took::Refused;
            }
        }
        Took::New
    }

    /// Puts what a chunk has beside what is there.
    fn put_ahead<A: Address>(&mut self, chunk: &Chunk<'_>, of: Of, mode: Mode, core: &mut Core<A, S>) -> Piece {
        if chunk.head.piece {
            return self.take_piece(chunk.body, of, (&chunk.head, mode), core);
        }
        self.put_all(chunk, of, mode, core).1.map_or(Piece::Whole, Piece::Stopped)
    }

    fn begin_rebuild<A: Address>(&mut self, (owner, log): Of, members: &mut Members<A, S>) {
        let mut at = members.map(owner).log(log).last;
        while let Some(head) = self.store.get(at) {
            self.mark_confirmed(at, false);
            at = head.older;
        }
        // Nobody says any more what was deleted.
        self.learn_floor((owner, log), u32::MAX, members);
    }

    fn note_rebuild<A: Address>(&mut self, of: Of, rebuild: Rebuild, core: &Core<A, S>) {
        self.end_rebuild(of);
        let (owner, log) = of;
        must_fit(self.rebuilds.push(Rebuilding { owner, log: log as u8, rebuild, since: core.now }));
    }

    fn end_rebuild(&mut self, (owner, log): Of) {
        self.rebuilds.retain(|held| held.owner != owner || usize::from(held.log) != log);
    }

    /// Removes what a rebuild has brought that goes no further.
    pub(super) fn give_up_rebuild<A: Address>(&mut self, of: Of, members: &mut Members<A, S>) {
        self.end_rebuild(of);
        let held = *members.map(of.0).log(of.1);
        let (mut at, mut any) = (held.last, false);
        while let Some(head) = self.store.get(at).filter(|head| head.version > held.version) {
            any = true;
            self.remove(at, members);
            at = head.older;
        }
        // What had gone for it was not told of, as it stood for that.
        if any && held.hollow {
            self.note_lost(of.0, members);
        }
    }

    /// Where a key's entry is that is seen, and the one that is ahead of it; the deleted included.
    pub(super) fn find_both<A: Address>(
        &self,
        (owner, log): Of,
        key: &[u8],
        members: &Members<A, S>,
    ) -> [Option<At>; 2] {
        let version = members.map(owner).log(log).version;
        let find =
            |ahead: bool| self.store.find_if(owner, mark_of(log), key, |_, head| (head.version > version) == ahead);
        [find(false), find(true)]
    }

    /// Whether this version of a key is here, which is confirmed then; otherwise it is to be put in.
    ///
    /// Whoever lists a log knows all of it up to a version that is as great as this log's, or greater than that of all that
    /// is ahead. What cannot be so is believed of the owner only.
    pub(super) fn confirm<A: Address>(
        &mut self,
        (owner, log): Of,
        key: &[u8],
        (version, mode): (u32, Mode),
        members: &mut Members<A, S>,
    ) -> Result<bool, Stop> {
        let Mode::Rebuild { by_owner } = mode else { return Ok(false) };
        let [here, ahead] = self.find_both((owner, log), key, members);
        let held = *members.map(owner).log(log);
        let version_of = |at: Option<At>| at.and_then(|at| self.store.get(at)).map_or(0, |head| head.version);
        if let Some(at) = [ahead, here].into_iter().flatten().find(|at| version_of(Some(*at)) == version) {
            self.mark_confirmed(at, true);
            return Ok(true);
        }
        let is_ahead = version > held.version;
        let earlier = version < version_of(ahead) || version < version_of(here);
        let lacks = held.hollow || held.exposed > held.version;
        let taken = self.first_behind(held.last, version - 1).filter(|(_, head)| head.version == version);
        if by_owner {
            let lies = [taken.map(|(at, _)| at), ahead.filter(|at| version_of(Some(*at)) > version)];
            for at in lies.into_iter().flatten() {
                self.remove(at, members);
                self.note_lost(owner, members);
            }
            return Ok(false);
        }
        if earlier || taken.is_some() || !is_ahead && !lacks { Err(Stop::Lie) } else { Ok(false) }
    }

    pub(super) fn mark_confirmed(&mut self, at: At, confirmed: bool) {
        if let Some(head) = self.store.get(at) {
            let marks = if confirmed { head.marks | CONFIRMED } else { head.marks & !CONFIRMED };
            self.store.set(at, Head { marks, ..head });
        }
    }

    /// Whether the map can be within its share when the log has been read, or is if that is all of it. One that gets smaller
    /// by it is welcome: the other log may be what is too large. A scan of the log, made only when that is in doubt.
    fn will_fit<A: Address>(&self, (owner, log): Of, is_done: bool, members: &Members<A, S>) -> bool {
        let (share, used) = (self.share(), members.map(owner).used as usize);
        if used <= share {
            return true;
        }
        let Sums { stays, comes, goes } = self.sums((owner, log), members);
        stays + comes <= share && (!is_done || comes <= goes || used - goes <= share)
    }

    /// Whether there could be room for a chunk if what is not confirmed went.
    fn could_fit<A: Address>(&self, chunk: &Chunk<'_>, (owner, log): Of, members: &Members<A, S>) -> bool {
        let (mut body, mut before, mut new) = (chunk.body, chunk.head.span.from, 0);
        if chunk.head.piece {
            new = body.value_piece().map_or(0, |piece| HEADER + piece.key.len() + piece.len as usize);
        }
        while !chunk.head.piece
            && let Some(written) = body.written(before)
        {
            before = written.version;
            let found = self.find_both((owner, log), written.key, members).into_iter().flatten();
            if !{ found }.any(|at| self.store.get(at).is_some_and(|head| head.version == before)) {
                new += HEADER + written.key.len() + written.value.map_or(0, <[u8]>::len);
            }
        }
        let Sums { stays, comes, .. } = self.sums((owner, log), members);
        stays + comes + new <= self.share()
    }

    fn sums<A: Address>(&self, (owner, log): Of, members: &Members<A, S>) -> Sums {
        let held = *members.map(owner).log(log);
        let mut sums = Sums::default();
        for head in self.back_from(held.last).filter_map(|at| self.store.get(at)) {
            let sum = match head.is(CONFIRMED) {
                true if head.version > held.version => &mut sums.comes,
                true => &mut sums.stays,
                false => &mut sums.goes,
            };
            *sum += head.size();
        }
        sums
    }

    /// All has been read: what was not found is gone.
    fn finish_rebuild<A: Address>(&mut self, (owner, log): Of, rebuild: &Rebuild, members: &mut Members<A, S>) {
        self.end_rebuild((owner, log));
        self.drop_unconfirmed((owner, log), members);
        members.with_map(owner, |map| {
            let log = map.log_mut(log);
            let floor = log.floor.max(rebuild.floor()).min(rebuild.cursor);
            (log.version, log.floor, log.hollow, log.refused) = (rebuild.cursor, floor, false, false);
            log.exposed = rebuild.cursor;
        });
    }

    /// Removes what a rebuild has not found to be there; whether there was anything. The log is hollow until it is read.
    fn drop_unconfirmed<A: Address>(&mut self, (owner, log): Of, members: &mut Members<A, S>) -> bool {
        let held = *members.map(owner).log(log);
        let (mut at, mut any, mut lost) = (held.last, false, false);
        while let Some(head) = self.store.get(at) {
            if !head.is(CONFIRMED) {
                any = true;
                // What changed since something was told stands for what the application knows, and so does what is ahead.
                let [_, ahead] = self.find_both((owner, log), self.store.key(at), members);
                lost |= ahead.is_none() && (!head.is(DELETED) || head.version > held.told);
                self.remove(at, members);
            }
            at = head.older;
        }
        members.with_map(owner, |map| map.log_mut(log).hollow |= any);
        if lost {
            self.note_lost(owner, members);
        }
        any
    }

    /// Keys are gone of which that cannot be told one by one, as nothing stands for them.
    pub(super) fn note_lost<A: Address>(&mut self, owner: Index, members: &mut Members<A, S>) {
        // Also if nothing was told of this log: the application reads what it likes.
        if self.watches.any() {
            members.with_map(owner, |map| map.replaced = true);
            self.note_change(owner);
        }
    }
}
