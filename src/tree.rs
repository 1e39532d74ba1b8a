//! The tree down which something goes to all: the order of the ids is the tree, so that there is none to maintain.
//!
//! The holder of a *job* cuts the range of the id space that it answers for at itself, divides the rest among a few
//! members that stand in it, and hands each its part. Whoever takes a part passes the job on in the same manner. Each
//! member receives it once, after a number of hops that is logarithmic in the cluster. No part contains one of those
//! who have it already, since each has cut at itself.
//!
//! Each hop is acknowledged. A delegate is tried three times before another in its range is asked, and one that cannot
//! pass the job on says so. One that was silent is passed over for a while by all that this node hands out: where many
//! die at once, not every job should have to find it out anew. Where there is no other in a range, silence ends in a
//! probe: whoever lives and lost every copy is found by its answer, and not by chance.
//!
//! There is one tree for news of members, messages and maps, with one table of what is handed out. A part of the table is
//! reserved for each of them, so that none keeps another waiting; what is left is for whoever needs more. Which bytes belong
//! to a job, and what follows when it is done, is decided by its service: `relay.rs`, `broadcast.rs` or `state.rs`.

mod cut;
mod delegate;
mod job;

use crate::ask::{Ask, Schedule, earliest};
use crate::member::{Address, NodeId, Status};
use crate::members::Members;
use crate::recent::Recent;
use crate::rng::Rng;
use crate::storage::{Few, FewOf, FewShared, Storage};
use crate::time::Instant;
use crate::wire::numbered;
use cut::cut;
use delegate::{Preference, choose};
use job::Held;

pub(crate) use cut::{LOOK, Range32, WAYS, live_in};
pub(crate) use job::{Delta, Job, Kind, Message, PARCEL, Parcel};

/// The most parts that wait for an acknowledgement.
pub(crate) const HANDOFFS: usize = 64;
const FEW_HANDOFFS: usize = 20;
const BARE_HANDOFFS: usize = RESERVED_FEW[0];
/// How many of them are reserved for each [`Kind`].
const RESERVED: [usize; 3] = [20, 16, 12];
const RESERVED_FEW: [usize; 3] = [8, 4, 4];
/// Of how many of the latest jobs it is known that they have come before.
const TAKEN: usize = 80;
const FEW_TAKEN: usize = 28;
const BARE_TAKEN: usize = 8;
/// With less room than this a range is not worth dividing: it waits for more.
const MIN_ROOM: usize = 4;
/// How often one delegate is tried.
const TRIES: u8 = 3;
/// What a part may cost before it is given up.
const MAX_COST: u8 = 30;
/// What a delegate costs that does not answer.
const SILENT: u8 = 5;
/// What one costs that answers that it cannot pass the job on. It has it, at least.
const UNABLE: u8 = 1;
/// How many delegates in a row are chosen by preference. If so many could not pass the job on, somebody else may be able to.
const PREFERRED: u8 = 4;
/// How many silent delegates are kept in mind.
const UNRESPONSIVE: usize = 8;
const FEW_UNRESPONSIVE: usize = 3;
/// For how many times the first wait they are.
const UNRESPONSIVE_FOR: u64 = 128;

/// One who did not answer, and until when that is kept in mind.
type Unresponsive = (NodeId, Instant);

/// A part that was handed to a delegate, who has not acknowledged it yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Handoff<H> {
    job: H,
    pub(crate) range: Range32,
    pub(crate) delegate: NodeId,
    /// With this delegate.
    pub(crate) ask: Ask,
    /// Of the delegates before, and how many they were.
    cost: u8,
    changes: u8,
}

/// What has been handed out, and what has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tree<S: Storage> {
    handoffs: FewShared<S, Handoff<Held<S>>, HANDOFFS, FEW_HANDOFFS, BARE_HANDOFFS>,
    unresponsive: Few<S, Unresponsive, UNRESPONSIVE, FEW_UNRESPONSIVE>,
    /// The numbers under which jobs came, the latest overwriting the oldest.
    taken: Recent<FewShared<S, u32, TAKEN, FEW_TAKEN, BARE_TAKEN>>,
}

/// What a choice of delegates depends on.
pub(crate) struct Context<'c, A: Address, S: Storage> {
    pub(crate) members: &'c Members<A, S>,
    pub(crate) rng: &'c mut Rng,
    pub(crate) now: Instant,
}

impl<A: Address, S: Storage> Context<'_, A, S> {
    /// A number for this job that nobody can guess. It says what kind of job it is, and is not 0.
    fn number(&mut self, job: Job) -> u32 {
        numbered(self.rng.next_u32(), job.kind().content())
    }
}

impl<S: Storage> Tree<S> {
    pub(crate) const NONE: Self = Tree { handoffs: FewOf::EMPTY, unresponsive: FewOf::EMPTY, taken: Recent::NONE };

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (usize, &Handoff<Held<S>>)> {
        self.handoffs.iter().enumerate().filter(move |(_, handoff)| handoff.kind() == kind)
    }

    /// Whether nothing of this kind is under way.
    pub(crate) fn is_empty(&self, kind: Kind) -> bool {
        self.of_kind(kind).next().is_none()
    }

    /// How many more parts of this kind it can hold.
    pub(crate) fn room(&self, kind: Kind) -> usize {
        let unused = |kind: &Kind| self.reserved_for(*kind).saturating_sub(self.of_kind(*kind).count());
        let others: usize = Kind::ALL.iter().filter(|other| **other != kind).map(unused).sum();
        self.handoffs.room().saturating_sub(others)
    }

    /// Among how many a range can be divided now, as its cut at this node's place makes up to two parts more; `None` without
    /// room for so many.
    pub(crate) fn ways(&self, kind: Kind) -> Option<usize> {
        let room = self.room(kind);
        (room >= MIN_ROOM).then(|| (room - 2).min(WAYS))
    }

    /// How many parts of this kind it can hold, whatever else is under way.
    pub(crate) fn reserved_for(&self, kind: Kind) -> usize {
        self.reserved().get(kind as usize).copied().unwrap_or_default()
    }

    fn reserved(&self) -> [usize; 3] {
        match self.handoffs.len() + self.handoffs.room() {
            HANDOFFS => RESERVED,
            FEW_HANDOFFS => RESERVED_FEW,
            all => [all, 0, 0],
        }
    }

    /// What is under way.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = Job> {
        self.handoffs.iter().map(Handoff::job)
    }

    /// Changes the names of jobs.
    pub(crate) fn rename(&mut self, rename: impl Fn(Job) -> Job) {
        for handoff in self.handoffs.iter_mut() {
            handoff.rename(rename(handoff.job()));
        }
    }

    /// When the next try of this kind is due.
    pub(crate) fn due(&self, kind: Kind) -> Instant {
        earliest(self.of_kind(kind).map(|(_, handoff)| &handoff.ask))
    }

    /// Tries again where no acknowledgement came, and gives up what has cost too much. Returns who was tried in vain then,
    /// one of them if they are several.
    pub(crate) fn tick<A: Address>(
        &mut self,
        kind: Kind,
        parcels: &[Parcel],
        unit: u64,
        context: &mut Context<'_, A, S>,
    ) -> Option<NodeId> {
        if context.now < self.due(kind) {
            return None;
        }
        let now = context.now;
        self.unresponsive.retain(|(_, until)| now < *until);
        for handoff in self.handoffs.iter_mut().filter(|handoff| handoff.kind() == kind) {
            handoff.tick(parcels, unit, &mut self.unresponsive, context);
        }
        let given_up = self.handoffs.iter().find(|handoff| handoff.is_given_up()).map(|handoff| handoff.delegate);
        self.handoffs.retain(|handoff| !handoff.is_given_up());
        given_up
    }

    /// Hands this range to delegates in up to so many parts, all but this node's own place; as far as there is room. A parcel
    /// is one of these.
    pub(crate) fn hand_out<A: Address>(
        &mut self,
        job: Job,
        (range, ways): (Range32, usize),
        parcels: &[Parcel],
        unit: u64,
        context: &mut Context<'_, A, S>,
    ) {
        self.hand_out_or_join(job, (range, ways), parcels, |_| None, unit, context);
    }

    /// The same, but where a job is still on its way in such a part that the new one joins, one in place of both goes
    /// again.
    pub(crate) fn hand_out_or_join<A: Address>(
        &mut self,
        job: Job,
        (range, ways): (Range32, usize),
        parcels: &[Parcel],
        join: impl Fn(Job) -> Option<Job>,
        unit: u64,
        context: &mut Context<'_, A, S>,
    ) {
        for range in cut(range, ways.clamp(2, WAYS), context.members) {
            let mut held = self.handoffs.iter_mut().filter(|handoff| handoff.range == range);
            if let Some((handoff, both)) = held.find_map(|handoff| join(handoff.job()).map(|both| (handoff, both))) {
                handoff.rename(both);
                // An answer to what went before is no answer to this.
                handoff.ask = Ask::new(context.number(job), context.now);
                handoff.tick(parcels, unit, &mut self.unresponsive, context);
                continue;
            }
            let Some(delegate) = choose(range, None, Preference::of(job, parcels), &self.unresponsive, context) else {
                continue;
            };
            let ask = Ask::new(context.number(job), context.now);
            let Ok(job) = Held::<S>::try_from(job) else { return };
            let mut handoff = Handoff { job, range, delegate, ask, cost: self.cost_of(delegate, context), changes: 0 };
            handoff.tick(parcels, unit, &mut self.unresponsive, context);
            if self.room(handoff.kind()) > 0 {
                let _ = self.handoffs.push(handoff);
            }
        }
    }

    /// What a part costs with its first delegate. An unresponsive one is chosen where there is no other alone. If it is
    /// suspected as well it is most likely dead; else it may have lost all that it was tried with, where many datagrams are
    /// lost, and must not lose all of these too.
    fn cost_of<A: Address>(&self, delegate: NodeId, context: &Context<'_, A, S>) -> u8 {
        if !self.unresponsive.iter().any(|(id, _)| *id == delegate) {
            return 0;
        }
        let member = context.members.find(delegate).and_then(|index| context.members.member(index));
        let suspect = member.is_some_and(|member| member.status() == Status::Suspect);
        MAX_COST - if suspect { 2 } else { 4 } * SILENT
    }

    /// Gives up everything of this kind: nobody answers.
    pub(crate) fn clear(&mut self, kind: Kind) {
        self.handoffs.retain(|handoff| handoff.kind() != kind);
    }

    /// The caller came late: a delegate is not passed over for a silence that may wait in the socket.
    pub(crate) fn postpone(&mut self, read: Instant) {
        self.handoffs.iter_mut().for_each(|handoff| handoff.ask.postpone(TRIES, read));
    }

    /// The host did not take what was sent to a delegate that is there: that one has not been asked.
    pub(crate) fn not_sent(&mut self, there: impl Fn(NodeId) -> bool) {
        self.handoffs.iter_mut().filter(|handoff| there(handoff.delegate)).for_each(|handoff| handoff.ask.not_sent());
    }

    // What comes.

    /// Whether a job has been taken before under this number.
    pub(crate) fn has_taken(&self, number: u32) -> bool {
        self.taken.contains(number)
    }

    pub(crate) fn note_taken(&mut self, number: u32) {
        self.taken.note(number);
    }

    /// Takes a delegate's acknowledgement; one who cannot pass the job on is replaced. False if it is none.
    pub(crate) fn on_ack<A: Address>(
        &mut self,
        (from, number): (NodeId, u32),
        passes_on: bool,
        parcels: &[Parcel],
        context: &mut Context<'_, A, S>,
    ) -> bool {
        let asked = |handoff: &Handoff<Held<S>>| handoff.ask.number == number && handoff.delegate == from;
        if !self.handoffs.iter().any(asked) {
            return false;
        }
        self.unresponsive.retain(|(id, _)| *id != from);
        if passes_on {
            self.handoffs.retain(|handoff| !asked(handoff));
        } else {
            self.replace(asked, parcels, context);
        }
        true
    }

    /// This member knows the parcels that it was handed, and cannot be asked to pass them on.
    pub(crate) fn do_without<A: Address>(
        &mut self,
        delegate: NodeId,
        parcels: &[Parcel],
        context: &mut Context<'_, A, S>,
    ) {
        let its = |handoff: &Handoff<Held<S>>| handoff.delegate == delegate && handoff.kind() == Kind::Parcel;
        self.replace(its, parcels, context);
    }

    /// Hands these parts to other delegates, and gives up those for which there is none.
    fn replace<A: Address>(
        &mut self,
        which: impl Fn(&Handoff<Held<S>>) -> bool,
        parcels: &[Parcel],
        context: &mut Context<'_, A, S>,
    ) {
        for handoff in self.handoffs.iter_mut().filter(|handoff| which(handoff)) {
            let before = handoff.delegate;
            handoff.replace(UNABLE, parcels, &self.unresponsive, context);
            if handoff.delegate == before {
                handoff.cost = MAX_COST;
            }
        }
        self.handoffs.retain(|handoff| !handoff.is_given_up());
    }

    /// The delegate has answered that it needs another job in place of this one, and is sent it at once.
    pub(crate) fn change_job<A: Address>(
        &mut self,
        number: u32,
        job: Job,
        unit: u64,
        context: &mut Context<'_, A, S>,
    ) -> bool {
        let Some(handoff) = self.handoffs.iter_mut().find(|handoff| handoff.ask.number == number) else { return false };
        handoff.rename(job);
        handoff.ask = Ask::new(context.number(job), context.now);
        handoff.cost = handoff.cost.saturating_add(UNABLE);
        handoff.tick(&[], unit, &mut self.unresponsive, context);
        true
    }

    // What is to be sent.

    /// What of this kind is to be sent, the urgent first.
    pub(crate) fn owed(&self, kind: Kind) -> impl Iterator<Item = (usize, &Handoff<Held<S>>)> {
        let owed = move |urgent: bool| {
            self.of_kind(kind).filter(move |(_, held)| held.ask.owed && held.job().is_urgent() == urgent)
        };
        owed(true).chain(owed(false))
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Handoff<Held<S>>> {
        self.handoffs.get(at)
    }

    /// What went to this delegate under this number.
    pub(crate) fn find(&self, delegate: NodeId, number: u32) -> Option<&Handoff<Held<S>>> {
        self.handoffs.iter().find(|handoff| handoff.ask.number == number && handoff.delegate == delegate)
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.handoffs.get_mut(at).is_some_and(|handoff| handoff.ask.sent())
    }
}

impl<H: Copy + Into<Job> + TryFrom<Job>> Handoff<H> {
    pub(crate) fn job(&self) -> Job {
        self.job.into()
    }

    fn kind(&self) -> Kind {
        self.job().kind()
    }

    /// Another job of the same kind takes the place of this one.
    fn rename(&mut self, job: Job) {
        self.job = job.try_into().unwrap_or(self.job);
    }

    fn is_given_up(&self) -> bool {
        self.cost >= MAX_COST
    }

    /// Tries the delegate again at gaps that double, and after the third time another one.
    fn tick<A: Address, S: Storage>(
        &mut self,
        parcels: &[Parcel],
        unit: u64,
        unresponsive: &mut impl FewOf<Unresponsive>,
        context: &mut Context<'_, A, S>,
    ) {
        if !self.ask.is_due(context.now) {
            return;
        }
        let lives = context.members.find(self.delegate).is_some_and(|index| context.members.is_live(index));
        if self.ask.tries >= TRIES {
            unresponsive.retain(|(id, _)| *id != self.delegate);
            if unresponsive.is_full() {
                unresponsive.take_first();
            }
            let _ = unresponsive.push((self.delegate, context.now.after(UNRESPONSIVE_FOR * unit)));
        }
        if self.ask.tries >= TRIES || !lives {
            self.replace(SILENT, parcels, unresponsive, context);
        }
        self.ask.repeat(Schedule::handoff(unit), context.now);
        self.ask.owed = !self.is_given_up();
    }

    /// Hands the part to the next delegate in its range, or to the same if there is no other.
    fn replace<A: Address, S: Storage>(
        &mut self,
        cost: u8,
        parcels: &[Parcel],
        unresponsive: &[Unresponsive],
        context: &mut Context<'_, A, S>,
    ) {
        self.cost = self.cost.saturating_add(cost);
        self.changes = self.changes.saturating_add(1);
        self.ask.restart(context.now);
        let preference = if self.changes < PREFERRED { Preference::of(self.job(), parcels) } else { Preference::Any };
        match choose(self.range, Some(self.delegate), preference, unresponsive, context) {
            Some(delegate) if delegate != self.delegate => {
                (self.delegate, self.ask.number) = (delegate, context.number(self.job()));
            }
            // There is no other, and what it does not take, a comparison finds. Where nobody may be, it is tried twice at most.
            Some(delegate) => {
                let proved = context.members.find(delegate).is_some_and(|index| context.members.is_proved(index));
                self.cost = self.cost.saturating_add(if proved { cost } else { MAX_COST / 2 });
            }
            None => self.cost = MAX_COST,
        }
    }
}
