//! What every part of the protocol works with.

use crate::budget::Budget;
use crate::config::Config;
use crate::event::{Notices, Phase, WakeReason};
use crate::member::Address;
use crate::members::Members;
use crate::rng::Rng;
use crate::stats::{DropReason, Stats};
use crate::storage::{Breadth, Storage};
use crate::time::Instant;
use crate::tree::{Context, Tree};
use crate::wire::{Roots, Writer, kind};

/// What all services of a node share. It is one field of the node, so that a service and the core can be borrowed side by
/// side.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Core<A: Address, S: Storage> {
    /// The newest time that the caller has told.
    pub(crate) now: Instant,
    pub(crate) config: Config,
    pub(crate) phase: Phase,
    pub(crate) members: Members<A, S>,
    pub(crate) tree: Tree<S>,
    pub(crate) rng: Rng,
    pub(crate) budget: Budget,
    pub(crate) notices: Notices,
    pub(crate) stats: Stats,
}

impl<A: Address, S: Storage> Core<A, S> {
    pub(crate) const fn new(config: Config, members: Members<A, S>) -> Self {
        Core {
            now: Instant::ZERO,
            config,
            phase: Phase::Idle,
            members,
            tree: Tree::NONE,
            rng: Rng::UNSEEDED,
            budget: Budget::EMPTY,
            notices: Notices::NONE,
            stats: Stats::NONE,
        }
    }

    /// The tree, and what its choices depend on.
    pub(crate) fn tree(&mut self) -> (&mut Tree<S>, Context<'_, A, S>) {
        (&mut self.tree, Context { members: &self.members, rng: &mut self.rng, now: self.now })
    }

    /// This node's roots, mixed with a ping's number.
    pub(crate) fn roots(&self, number: u32) -> Roots {
        let compares = <S::Width as Breadth>::KEEPS_DATA && self.members.keeps_windows;
        Roots::of(self.members.root(), compares.then(|| self.members.positions()), number)
    }

    pub(crate) fn write_ping(&self, number: u32, writer: &mut Writer<'_>) -> Option<()> {
        let roots = self.roots(number);
        writer.frame(kind::PING, |body| {
            body.u32(number)?;
            body.roots(roots)
        })
    }

    /// Counts something refused, and tells the application if it is the first of its kind.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn refuse(&mut self, reason: DropReason) {
        self.stats.count(reason);
        self.notices.refused(reason);
    }
}

/// The next time to be called, and what for.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) reason: WakeReason,
}

impl Deadline {
    pub(crate) const NEVER: Deadline = Deadline { at: Instant::FAR_FUTURE, reason: WakeReason::Idle };

    pub(crate) fn sooner(&mut self, at: Instant, reason: WakeReason) {
        if at < self.at {
            *self = Deadline { at, reason };
        }
    }
}
