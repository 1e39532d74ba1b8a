//! What every part of the protocol works with.

use crate::config::Config;
use crate::event::WakeReason;
use crate::member::Address;
use crate::members::Members;
use crate::rng::Rng;
use crate::stats::Stats;
use crate::storage::Storage;
use crate::time::Instant;

/// The present time and what is shared: borrowed from the node for the length of one call.
pub(crate) struct Context<'n, A: Address, S: Storage> {
    pub(crate) now: Instant,
    pub(crate) config: &'n Config,
    pub(crate) members: &'n mut Members<A, S>,
    pub(crate) rng: &'n mut Rng,
    pub(crate) stats: &'n mut Stats,
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
