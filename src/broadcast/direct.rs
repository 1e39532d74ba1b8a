//! Messages to one member, or to a few: sent until they are acknowledged, or given up when the member is gone or too
//! much time has passed.
//!
//! Long ones go a piece at a time. Whoever is sent one tells it once: it keeps the numbers of the latest in mind.

use super::log::At;
use crate::ask::{Ask, Schedule};
use crate::member::{Address, NodeId};
use crate::node_core::Core;
use crate::storage::{FewData, FewOf, Storage, must_fit};
use crate::time::Instant;

/// The most messages on their way, counted by addressee.
pub(crate) const SENDS: usize = 16;
pub(crate) const FEW_SENDS: usize = 4;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Pending,
    Reached,
    /// Its addressee is gone, or did not acknowledge it in time.
    Failed,
}

/// A message to one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Send {
    pub(crate) to: NodeId,
    pub(crate) ask: Ask,
    pub(crate) at: At,
    pub(crate) pieces: u8,
    /// The first piece that has not been acknowledged.
    pub(crate) piece: u8,
    until: Instant,
    outcome: Outcome,
    /// Nobody is to be told what became of it.
    quiet: bool,
}

impl Send {
    pub(crate) fn new(
        to: NodeId,
        number: u32,
        (at, pieces): (At, u8),
        quiet: bool,
        (now, until): (Instant, Instant),
    ) -> Self {
        let (ask, outcome) = (Ask::new(number, now), Outcome::Pending);
        Send { to, ask, at, pieces, piece: 0, until, outcome, quiet }
    }

    fn conclude(&mut self, outcome: Outcome) {
        (self.outcome, self.ask.owed) = (outcome, false);
    }

    fn tick<A: Address, S: Storage>(&mut self, unit: u64, core: &Core<A, S>) {
        if self.outcome != Outcome::Pending {
            return;
        }
        let lives = core.members.find(self.to).is_some_and(|index| core.members.is_live(index));
        if !lives || core.now >= self.until {
            self.conclude(Outcome::Failed);
        } else if self.ask.is_due(core.now) {
            self.ask.repeat(Schedule::direct(unit), core.now);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sends<S: Storage>(FewData<S, Send, SENDS, FEW_SENDS>);

impl<S: Storage> Sends<S> {
    pub(crate) const NONE: Self = Sends(FewOf::EMPTY);

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.0.room()
    }

    /// The most that there is ever room for.
    pub(crate) fn limit(&self) -> usize {
        self.0.len() + self.0.room()
    }

    /// Adds one; there must be room.
    pub(crate) fn push(&mut self, send: Send) {
        must_fit(self.0.push(send));
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.iter().all(|send| send.outcome != Outcome::Pending)
    }

    pub(crate) fn uses(&self, at: At) -> bool {
        self.0.iter().any(|send| send.at == at)
    }

    pub(crate) fn rename(&mut self, new: impl Fn(At) -> At) {
        self.0.iter_mut().for_each(|send| send.at = new(send.at));
    }

    /// So long this node did nothing: it is not held against the addressees.
    pub(crate) fn forgive(&mut self, late: u64) {
        self.0.iter_mut().for_each(|send| send.until = send.until.after(late));
    }

    /// This node is gone: what has not been acknowledged will not be.
    pub(crate) fn conclude(&mut self) {
        let pending = self.0.iter_mut().filter(|send| send.outcome == Outcome::Pending);
        pending.for_each(|send| send.conclude(Outcome::Failed));
        self.forget_quiet();
    }

    pub(crate) fn due(&self) -> Instant {
        let pending = self.0.iter().filter(|send| send.outcome == Outcome::Pending);
        pending.map(|send| send.ask.next.min(send.until)).min().unwrap_or(Instant::FAR_FUTURE)
    }

    pub(crate) fn tick<A: Address>(&mut self, unit: u64, core: &Core<A, S>) {
        if !self.0.is_empty() {
            self.0.iter_mut().for_each(|send| send.tick(unit, core));
            self.forget_quiet();
        }
    }

    fn forget_quiet(&mut self) {
        self.0.retain(|send| !send.quiet || send.outcome == Outcome::Pending);
    }

    /// Takes an acknowledgement of a piece; one that there was no room for is tried again in its time. False if it was
    /// none.
    pub(crate) fn on_ack(&mut self, from: NodeId, number: u32, piece: u8, taken: bool, now: Instant) -> bool {
        let asked = |send: &&mut Send| send.ask.number == number && send.to == from && send.outcome == Outcome::Pending;
        let Some(send) = self.0.iter_mut().find(asked) else { return false };
        if taken && piece == send.piece {
            send.piece = piece + 1;
            send.ask.restart(now);
            if send.piece >= send.pieces {
                send.conclude(Outcome::Reached);
            }
        }
        self.forget_quiet();
        true
    }

    /// Which are to be sent.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, &Send)> {
        self.0.iter().enumerate().filter(|(_, send)| send.ask.owed)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Send> {
        self.0.get(at)
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.0.get_mut(at).is_some_and(|send| send.ask.sent())
    }

    /// The next outcome to tell of.
    pub(crate) fn next_outcome(&mut self) -> Option<Send> {
        let done = self.0.iter().position(|send| send.outcome != Outcome::Pending)?;
        self.0.take(done)
    }
}

impl Send {
    pub(crate) fn has_reached(&self) -> bool {
        self.outcome == Outcome::Reached
    }
}
