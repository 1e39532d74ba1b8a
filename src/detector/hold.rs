//! The hold: a member that was cut off does not speak against its own death at once.
//!
//! A link that comes and goes would else have it declared and taken back each time, by everybody, and the bytes for that
//! would grow with the cluster. So it waits for unbroken contact: a second after the first time that it was isolated, and
//! twice as long after each further time of late, up to 32 seconds. Where answers are few because most of the others are
//! gone, or where half of the datagrams are lost, contact is never unbroken. So any contact will do after four times the
//! longest hold, and that long after it was accused any answer, however often it was isolated in between.

use crate::time::Instant;

/// The most doublings.
const MOST: u8 = 6;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hold {
    /// How often this node was isolated of late.
    recent: u8,
    /// Since when somebody has answered; `None` while nobody does.
    contact: Option<Instant>,
    /// Since when somebody has done so without a gap.
    unbroken: Instant,
    /// The last answer.
    last: Instant,
    /// The greatest incarnation at which this node was said to be dead while it held its tongue.
    accused: Option<u32>,
    /// Since when.
    since: Instant,
}

impl Hold {
    pub(super) const NONE: Self = Hold {
        recent: 0,
        contact: None,
        unbroken: Instant::ZERO,
        last: Instant::ZERO,
        accused: None,
        since: Instant::ZERO,
    };

    /// Nobody answers.
    pub(super) fn isolate(&mut self) {
        (self.recent, self.contact) = ((self.recent + 1).min(MOST), None);
    }

    /// Somebody answers. Contact is unbroken if the gap was no longer than two turns of probing.
    pub(super) fn answered(&mut self, now: Instant, period: u64) {
        if self.recent == 0 {
            return;
        }
        if self.contact.is_none() || now.since(self.last) > 2 * period {
            self.unbroken = now;
        }
        (self.contact, self.last) = (self.contact.or(Some(now)), now);
        if now.since(self.unbroken) >= forgotten(period) {
            *self = Hold { accused: self.accused, since: self.since, ..Self::NONE };
        }
    }

    /// Somebody says that this node is dead at this incarnation. False if it is to speak against that at once.
    pub(super) fn accuse(&mut self, incarnation: u32, now: Instant, period: u64) -> bool {
        let holds = self.holds(period);
        if holds {
            self.since = self.accused.map_or(now, |_| self.since);
            self.accused = self.accused.max(Some(incarnation));
        }
        holds
    }

    /// Whether that is so at this incarnation.
    pub(super) fn is_accused_of(&self, incarnation: u32) -> bool {
        self.accused >= Some(incarnation)
    }

    /// Whether this node holds its tongue. Who does was the one that was cut off, and has nothing to say about others.
    pub(super) fn is_accused(&self) -> bool {
        self.accused.is_some()
    }

    /// At which incarnation it is now to speak against its death, or must `now`.
    pub(super) fn release(&mut self, now: bool, period: u64) -> Option<u32> {
        if self.holds(period) && !now { None } else { self.accused.take() }
    }

    /// Whether this node is to keep silent about what is said of it.
    fn holds(&self, period: u64) -> bool {
        // Probes come a period apart, and their answers almost so: else half of the time one more would be waited for.
        let needed = (period << self.recent.saturating_sub(1)) - period / 8;
        let long = |since| self.last.since(since) >= forgotten(period);
        let enough = |contact| {
            self.last.since(self.unbroken) >= needed || long(contact) || self.accused.is_some() && long(self.since)
        };
        self.recent > 0 && !self.contact.is_some_and(enough)
    }
}

/// After how long contact all is forgotten: four times the longest hold.
fn forgotten(period: u64) -> u64 {
    period << (MOST + 1)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Answers twice a second from here on for so many half seconds.
    fn contact(hold: &mut Hold, from: u64, halves: u64) {
        (0..=halves).for_each(|half| hold.answered(Instant::from_micros(from + half * SECOND / 2), SECOND));
    }

    #[test]
    fn it_ends_after_unbroken_contact_that_doubles_with_each_isolation_and_is_forgotten_in_peace() {
        let mut hold = Hold::NONE;
        assert!(!hold.holds(SECOND));
        let mut at = 0;
        for needed in [1, 2, 4, 8, 16, 32, 32] {
            hold.isolate();
            assert!(hold.holds(SECOND), "nobody answers");
            contact(&mut hold, at, 2 * needed - 1);
            assert!(hold.holds(SECOND), "{needed} s are needed");
            contact(&mut hold, at, 2 * needed);
            assert!(!hold.holds(SECOND), "after {needed} s");
            at += 100 * SECOND;
        }
        contact(&mut hold, at, 2 * 128);
        hold.isolate();
        contact(&mut hold, at + 1_000 * SECOND, 2);
        assert!(!hold.holds(SECOND), "it counts from the beginning again");
    }

    #[test]
    fn contact_that_breaks_counts_from_anew() {
        let mut hold = Hold::NONE;
        hold.isolate();
        hold.isolate();
        contact(&mut hold, 0, 3);
        contact(&mut hold, 4 * SECOND, 3);
        assert!(hold.holds(SECOND), "two times a second and a half are not two seconds");
        contact(&mut hold, 4 * SECOND, 4);
        assert!(!hold.holds(SECOND));
    }

    #[test]
    fn few_answers_over_a_long_time_are_contact_too() {
        let mut hold = Hold::NONE;
        hold.isolate();
        hold.accuse(1, Instant::ZERO, SECOND);
        (0..=126).step_by(3).for_each(|at| hold.answered(Instant::from_micros(at * SECOND), SECOND));
        assert!(hold.holds(SECOND), "an answer every third second");
        hold.answered(Instant::from_micros(129 * SECOND), SECOND);
        assert!(!hold.holds(SECOND), "for two minutes");
    }

    #[test]
    fn who_is_isolated_again_and_again_speaks_up_once_in_two_minutes() {
        let mut hold = Hold::NONE;
        let mut spoken = Vec::new();
        for second in 0..400 {
            if second % 10 == 0 {
                hold.isolate();
                hold.accuse(1, Instant::from_micros(second * SECOND), SECOND);
            } else if second % 10 >= 7 {
                hold.answered(Instant::from_micros(second * SECOND), SECOND);
            }
            if second % 10 == 9 && hold.release(false, SECOND).is_some() {
                spoken.push(second);
            }
        }
        assert_eq!(spoken, [9, 19, 149, 279], "two short holds, then contact is never unbroken for long enough");
    }
}
