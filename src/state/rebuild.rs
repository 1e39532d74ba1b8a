//! A log that is read again from its beginning (`map.rs` says which chunks may be part of that).
//!
//! What comes is put *ahead*: its version is above the log's, so nobody sees it and it is given to nobody. What was there
//! stays beside it, *confirmed* as far as it is listed again. At the end all changes at once: what was not confirmed goes, and the
//! log's version passes what is ahead. If the end does not come, what is ahead goes. So whoever begins to tell something
//! and stops, or lies, leaves nothing behind, and no key is seen to go back to an earlier version or to come back.
//!
//! Only for want of room does what is not confirmed go before the end: then the log is hollow.

use super::map::Rebuild;
use super::store::{CONFIRMED, DELETED, Head};
use super::take::{Mode, Stop, Took, has_place};
use super::{At, Rebuilding, State, mark_of};
use crate::context::Context;
use crate::member::Address;
use crate::members::{Index, Members};
use crate::storage::{FewOf, Storage};
use crate::wire::Chunk;

/// A log: whose it is, and which.
type Of = (Index, usize);

impl<S: Storage> State<S> {
    pub(super) fn rebuild_of(&self, (owner, log): Of) -> Option<&Rebuilding> {
        self.rebuilds.iter().find(|held| held.owner == owner && usize::from(held.log) == log)
    }

    /// Takes the next part of a log that is read again, or some of it.
    pub(super) fn rebuild<A: Address>(
        &mut self,
        chunk: &Chunk<'_>,
        of: Of,
        (first, rebuild): (bool, Rebuild),
        cx: &mut Context<'_, A, S>,
    ) -> Took {
        if first {
            self.give_up_rebuild(of, cx.members);
            // A place here comes before one for pieces: no two can wait for each other.
            if !has_place(&self.rebuilds, of.1) && (chunk.head.piece || !rebuild.is_done()) {
                return Took::Unfit;
            }
            self.begin_rebuild(of, cx.members);
        }
        if chunk.head.piece {
            let mut took = self.take_piece(chunk.body, of, (&chunk.head, Mode::Rebuild), cx);
            if took == Err(Took::Refused) && self.drop_unconfirmed(of, cx.members) {
                took = self.take_piece(chunk.body, of, (&chunk.head, Mode::Rebuild), cx);
            }
            match took {
                Ok(true) => {}
                Ok(false) => {
                    let held = self.rebuild_of(of).map_or(rebuild.before_any(), |held| held.rebuild);
                    self.note_rebuild(of, held, cx);
                    return Took::New;
                }
                Err(why) => {
                    if why == Took::Refused {
                        self.give_up_rebuild(of, cx.members);
                    }
                    return why;
                }
            }
        }
        let mut stopped = self.put_all(chunk, of, Mode::Rebuild, cx).1;
        if stopped.is_some() && self.drop_unconfirmed(of, cx.members) {
            stopped = self.put_all(chunk, of, Mode::Rebuild, cx).1;
        }
        if stopped.is_none() && !self.will_fit(of, rebuild.is_done(), cx.members) {
            stopped = Some(Stop::Share);
        }
        if let Some(why) = stopped {
            self.note_refused(of, why, cx.members);
            self.give_up_rebuild(of, cx.members);
            return Took::Refused;
        }
        match rebuild.is_done() {
            true => self.finish_rebuild(of, &rebuild, cx.members),
            false => self.note_rebuild(of, rebuild, cx),
        }
        Took::New
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

    fn note_rebuild<A: Address>(&mut self, of: Of, rebuild: Rebuild, cx: &Context<'_, A, S>) {
        self.end_rebuild(of);
        let (owner, log) = of;
        let _ = self.rebuilds.push(Rebuilding { owner, log: log as u8, rebuild, since: cx.now });
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
            self.note_lost(of, members);
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

    /// Whether there is this version of a key, or a later one, which is confirmed then.
    pub(super) fn confirm<A: Address>(&mut self, of: Of, key: &[u8], version: u32, members: &Members<A, S>) -> bool {
        let [here, ahead] = self.find_both(of, key, members);
        let as_late = |at: &At| self.store.get(*at).is_some_and(|head| head.version >= version);
        // One that is ahead is later than any that is seen.
        let found = ahead.or(here).filter(as_late);
        if let Some(at) = found {
            self.mark_confirmed(at, true);
        }
        found.is_some()
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
        let share = self.share();
        let map = members.map(owner);
        let (used, held) = (map.used as usize, *map.log(log));
        if used <= share {
            return true;
        }
        let (mut stays, mut comes, mut goes) = (0, 0, 0);
        for head in self.back_from(held.last).filter_map(|at| self.store.get(at)) {
            let sum = match head.is(CONFIRMED) {
                true if head.version > held.version => &mut comes,
                true => &mut stays,
                false => &mut goes,
            };
            *sum += head.size();
        }
        stays + comes <= share && (!is_done || comes <= goes || used - goes <= share)
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
            self.note_lost((owner, log), members);
        }
        any
    }

    /// Keys are gone of which that cannot be told one by one, as nothing stands for them.
    fn note_lost<A: Address>(&mut self, (owner, log): Of, members: &mut Members<A, S>) {
        if members.map(owner).log(log).told > 0 && self.watches.any() {
            members.with_map(owner, |map| map.replaced = true);
            self.note_change(owner);
        }
    }
}
