//! An errand: a juror's own probe of a member, on behalf of one who asked.

use super::case::Tries;
use crate::config::Config;
use crate::member::NodeId;
use crate::time::Instant;

/// A probe on behalf of another member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Errand<A> {
    pub(super) asker: NodeId,
    pub(super) asker_tag: u32,
    pub(super) asker_addr: A,
    pub(super) question: u32,
    pub(super) target: NodeId,
    pub(super) begun: Instant,
    /// How long the asker waits for an answer.
    pub(super) within: u64,
    pub(super) tries: Tries,
    pub(super) heard: Option<bool>,
    pub(super) owed: bool,
}

impl<A> Errand<A> {
    pub(super) fn due(&self) -> Instant {
        match self.heard {
            None => self.tries.next.min(self.begun.after(self.within)),
            Some(_) => self.kept_until(),
        }
    }

    /// Makes the due try, or gives up and answers.
    pub(super) fn tick(&mut self, unit: u64, now: Instant, config: &Config) {
        if self.heard.is_some() {
            return;
        }
        if now >= self.begun.after(self.within) {
            self.conclude(false);
        } else {
            self.tries.tick(now, unit, config);
        }
    }

    /// Answers the asker; the first answer stands.
    pub(super) fn conclude(&mut self, heard: bool) {
        if self.heard.is_none() {
            (self.heard, self.owed, self.tries.owed) = (Some(heard), true, false);
        }
    }

    /// Whether the asker may still ask again.
    pub(super) fn is_current(&self, now: Instant) -> bool {
        now < self.kept_until()
    }

    /// As long again as the asker waits, and a little for a caller who comes late to a short time.
    fn kept_until(&self) -> Instant {
        self.begun.after(2 * self.within + 100_000)
    }
}

/// How long a juror is to try before it says "silent": 0.9 s of a suspicion of 3.2 s, so that the answer is there in
/// time. The asker says so, as the juror's own settings may be another's.
pub(crate) fn errand_time(config: &Config) -> u64 {
    config.suspicion / 32 * 9
}
