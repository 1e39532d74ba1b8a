//! Asks: whatever a node repeats until it is answered.
//!
//! A probe, a join, a claim, a walk, a handoff and a direct message have one thing in common: a datagram under a number goes
//! out, goes out again at gaps that grow, and counts as in vain at last. That is an [`Ask`], and all of them are repeated by
//! it. The gaps stand in one table:
//!
//! | ask | first gap | longest gap | tries | then |
//! |---|---|---|---|---|
//! | probe, indirect probe | unit | a quarter of the probe period | until a verdict | `detector.rs` |
//! | charge (who says that this node is gone) | unit | 4 units, then a suspicion | 3 | it counts once in a while |
//! | claim (who is said to have moved, to live anew or to leave) | unit | 32 units | 5 | believed or dropped |
//! | rival (another life of this node's id) | a 16th of a suspicion | the same | as often as somebody names it | who keeps the id |
//! | join, visit | 4 first retries | probe period | without end; 3 | the next visit |
//! | leave | first retry | a quarter of the probe period | 4 for each witness | another witness |
//! | handoff of news | unit | 4 units | 3 for each delegate | another delegate |
//! | handoff of messages and of maps | hop | 4 hops | 3 for each delegate | another delegate |
//! | walk | 2 first retries | 32 first retries | 5 for each peer | another peer |
//! | pull of messages | 2 hops | 32 hops, or the probe period | one for each peer | another peer |
//! | pull of maps | 2 hops | 256 hops | 4 | found again by a walk |
//! | direct message | hop | 16 hops | until a deadline | told as unreachable |
//!
//! The *unit* is the measured round trip with its spread, longer while this node's own health is bad; a *hop* is a little
//! more than a round trip (`detector.rs`).
//!
//! An ask lies in the entry that it asks for, and not in a table of all asks. An entry and its ask begin and end together, so
//! there is no handle between two tables that could point to what is gone; and the bound of each service's own table keeps a
//! place for its asks, so that no service takes another's.
//!
//! Two things are nobody's fault. A caller that comes late has not read the answers yet: what would end in vain waits until
//! they are read, once for each try, as a loop may always be late ([`Ask::postpone`]). A try that the host did not take was not
//! made ([`Ask::not_sent`]). Probes and indirect probes do both for themselves, as their silence is evidence, and as each of
//! their tries has a number of its own (`detector/case.rs`). What ends by a deadline alone needs neither.

use crate::config::Config;
use crate::time::Instant;

/// So many tries that the host did not take count as not made.
const MOST_UNSENT: u8 = 12;
/// Beside their count: the host did not take the latest try.
const REFUSED: u8 = 1 << 7;
/// Gaps double no more often.
const MOST_DOUBLINGS: u8 = 16;

/// The gaps between tries: they double from the first to the longest, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) first: u64,
    pub(crate) most: u64,
}

impl Schedule {
    pub(crate) fn probe(unit: u64, config: &Config) -> Self {
        Schedule { first: unit, most: config.probe_period / 4 }
    }

    pub(crate) fn charge(unit: u64) -> Self {
        Schedule { first: unit, most: 4 * unit }
    }

    pub(crate) fn claim(unit: u64) -> Self {
        Schedule { first: unit, most: 32 * unit }
    }

    pub(crate) fn rival(config: &Config) -> Self {
        Schedule { first: config.suspicion / 16, most: config.suspicion / 16 }
    }

    pub(crate) fn join(config: &Config) -> Self {
        let first = config.first_retry.saturating_mul(4);
        Schedule { first, most: config.probe_period.max(first) }
    }

    pub(crate) fn leave(config: &Config) -> Self {
        Schedule { first: config.first_retry, most: config.probe_period / 4 }
    }

    pub(crate) fn handoff(unit: u64) -> Self {
        Schedule { first: unit, most: 4 * unit }
    }

    pub(crate) fn walk(gap: u64) -> Self {
        Schedule { first: 2 * gap, most: 32 * gap }
    }

    pub(crate) fn pull(hop: u64, config: &Config) -> Self {
        Schedule { first: 2 * hop, most: (32 * hop).min(config.probe_period) }
    }

    pub(crate) fn pull_map(hop: u64) -> Self {
        Schedule { first: 2 * hop, most: 256 * hop }
    }

    pub(crate) fn direct(hop: u64) -> Self {
        Schedule { first: hop, most: 16 * hop }
    }

    /// The gap after so many tries before this one.
    fn gap(self, tries: u8) -> u64 {
        // As far as no bit is lost.
        let doublings = u32::from(tries.min(MOST_DOUBLINGS)).min(self.first.leading_zeros());
        (self.first << doublings).min(self.most).max(1)
    }
}

/// A question that is repeated until it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    /// When the next try is due, or the last one is in vain.
    pub(crate) next: Instant,
    /// Unpredictable, so that only who was asked can answer.
    pub(crate) number: u32,
    /// How many tries have been made: of more than 255 only whether it is odd, and that they are many.
    pub(crate) tries: u8,
    /// How many tries the host did not take, and whether the latest is one of them ([`REFUSED`]).
    unsent: u8,
    /// A try waits to be sent.
    pub(crate) owed: bool,
    /// The caller came late after the latest try.
    postponed: bool,
}

impl Ask {
    /// The first try is due at `next`.
    pub(crate) fn new(number: u32, next: Instant) -> Self {
        Ask { next, number, tries: 0, unsent: 0, owed: false, postponed: false }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Makes a try, and sets the time of the next.
    pub(crate) fn repeat(&mut self, schedule: Schedule, now: Instant) {
        self.next = now.after(schedule.gap(self.tries));
        self.tries = self.tries.checked_add(1).unwrap_or(u8::MAX / 2 + 1);
        (self.owed, self.postponed) = (true, false);
        self.unsent &= !REFUSED;
    }

    /// Begins the gaps anew at `next`, as if nothing had been tried.
    pub(crate) fn restart(&mut self, next: Instant) {
        *self = Ask::new(self.number, next);
    }

    /// Takes off a try that has been sent; whether one waited.
    pub(crate) fn sent(&mut self) -> bool {
        core::mem::take(&mut self.owed)
    }

    /// Whether so many tries were in vain.
    pub(crate) fn is_in_vain(&self, tries: u8, now: Instant) -> bool {
        self.tries >= tries && self.is_due(now)
    }

    /// The caller came late: what came meanwhile will have been read at `read`. After `tries` tries the silence would count.
    pub(crate) fn postpone(&mut self, tries: u8, read: Instant) {
        if self.tries >= tries && !self.postponed {
            (self.postponed, self.next) = (true, self.next.max(read));
        }
    }

    /// The host did not take something that was sent where this ask goes: the latest try was not made, whatever else the host
    /// refuses before the next. That comes when it would have come anyway. After [`MOST_UNSENT`] of them tries count as made
    /// all the same, so that there is an end.
    pub(crate) fn not_sent(&mut self) {
        let counts = self.tries > 0 && self.unsent & REFUSED == 0 && !self.is_unsendable();
        if counts {
            self.tries -= 1;
            self.unsent = (self.unsent + 1) | REFUSED;
        }
    }

    /// Whether the host has refused so many tries that there is no use in more.
    pub(crate) fn is_unsendable(&self) -> bool {
        self.unsent & !REFUSED >= MOST_UNSENT
    }
}

/// The earliest deadline of several.
pub(crate) fn earliest<'a>(asks: impl Iterator<Item = &'a Ask>) -> Instant {
    asks.map(|ask| ask.next).min().unwrap_or(Instant::FAR_FUTURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAPS: Schedule = Schedule { first: 10, most: 45 };

    #[test]
    fn gaps_double_from_the_first_to_the_longest() {
        let (mut ask, mut now, mut gaps) = (Ask::new(7, Instant::ZERO), Instant::ZERO, std::vec::Vec::new());
        for _ in 0..5 {
            ask.repeat(GAPS, now);
            gaps.push(ask.next.since(now));
            now = ask.next;
        }
        assert_eq!(gaps, [10, 20, 40, 45, 45]);
        let longest = Schedule { first: 1 << 60, most: u64::MAX };
        assert_eq!(longest.gap(200), 1 << 63, "no bit is lost");
    }

    #[test]
    fn an_ask_that_never_ends_goes_on_counting() {
        let mut ask = Ask::new(7, Instant::ZERO);
        for tries in 1..2_000u32 {
            ask.repeat(GAPS, Instant::ZERO);
            assert_eq!(u32::from(ask.tries) % 2, tries % 2, "after {tries}");
            assert!(u32::from(ask.tries) >= tries.min(128), "after {tries}");
        }
    }

    #[test]
    fn silence_counts_once_what_came_before_a_late_caller_is_read() {
        let at = Instant::from_micros;
        let mut ask = Ask::new(7, at(0));
        ask.repeat(GAPS, at(0));
        ask.postpone(2, at(100));
        assert_eq!(ask.next, at(10), "another try follows");
        ask.postpone(1, at(100));
        assert!(!ask.is_in_vain(1, at(99)) && ask.is_in_vain(1, at(100)));
        ask.postpone(1, at(200));
        assert_eq!(ask.next, at(100), "a loop may always be late");
    }

    #[test]
    fn what_the_host_did_not_take_was_not_tried() {
        let mut ask = Ask::new(7, Instant::ZERO);
        for refused in 0..MOST_UNSENT {
            assert!(!ask.is_unsendable(), "after {refused}");
            ask.repeat(GAPS, Instant::ZERO);
            ask.repeat(GAPS, Instant::ZERO);
            ask.not_sent();
            ask.not_sent();
            assert_eq!(ask.tries, 1, "one try at a time");
            ask.tries = 0;
        }
        assert!(ask.is_unsendable());
        ask.repeat(GAPS, Instant::ZERO);
        ask.not_sent();
        assert_eq!(ask.tries, 1, "there is an end");
    }
}
