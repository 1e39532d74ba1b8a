//! Which of one member's broadcasts have come: all up to a floor, and a bit for each of the 64 behind it.
//!
//! Only a payload moves the window, or the decision that one will never come. What others merely say that there is does
//! not: a counter that a liar drove up would shut out all that the member really sends.

/// How far behind the floor messages are taken.
pub(crate) const SPAN: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    /// Up to here all are settled: they came, or never will.
    floor: u32,
    /// The last one that is settled.
    seen: u32,
    /// Which of those behind the floor are settled; the first is not.
    settled: u64,
    /// It is not known which messages of this member came before: those up to the first of which this node hears are old.
    unknown: bool,
    /// On what the floor rests.
    word: Word,
    /// Where the word is another's: up to here it is this node's own.
    sure: u32,
    /// The member is dead, and counts all the same.
    pub(crate) mourned: bool,
    /// One bit for each open question of this node's that the member has answered.
    answered: u8,
}

/// On whose word the floor is where it is. What really comes is stronger than what others say: a liar must not shut out
/// what a member sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Word {
    Own,
    /// Others said that there was so much, and nobody gave it.
    Others,
    /// Others said so when this node came to know the member. What is only a little older is old, and late.
    Newcomer,
    /// Nobody could say so then.
    Nobody,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It came before, or counts as old.
    Settled,
    Missing,
    /// Too far ahead of those that are missing.
    Beyond,
}

impl Window {
    pub(crate) const NEW: Self = Window::behind(0);

    /// That of a member whose messages up to this one are old.
    pub(crate) const fn behind(floor: u32) -> Self {
        Window { floor, seen: floor, settled: 0, unknown: false, word: Word::Own, sure: 0, mourned: false, answered: 0 }
    }

    /// That of a member of whose messages some may have come before, nobody knows which.
    pub(crate) const UNKNOWN: Self = Window { unknown: true, ..Window::NEW };

    /// That of a member of which others say that its messages up to this one are old.
    pub(crate) const fn said_behind(floor: u32) -> Self {
        Window { word: Word::Newcomer, ..Window::behind(floor) }
    }

    /// That of a member of which a newcomer was told by one who could not say how many of its messages are old.
    pub(crate) const UNSAID: Self = Window { word: Word::Nobody, ..Window::NEW };

    /// Whether nobody has said yet how many of this member's messages are old, and nothing of it has come.
    pub(crate) fn is_unsaid(&self) -> bool {
        self.seen == 0 && matches!(self.word, Word::Nobody)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Up to which message all are settled.
    pub(crate) fn floor(&self) -> u32 {
        self.floor
    }

    /// The last message that is settled: how far this node has come with this member.
    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }

    pub(crate) fn place(&self, seq: u32) -> Place {
        // Somebody lied, or it would not come.
        let belies = match self.word {
            Word::Own => false,
            Word::Others => self.sure < seq && seq <= self.floor,
            Word::Newcomer | Word::Nobody => 0 < seq && seq <= self.floor.saturating_sub(SPAN),
        };
        if self.unknown || belies {
            return Place::Missing;
        }
        match seq.checked_sub(self.floor).and_then(|ahead| ahead.checked_sub(1)) {
            None => Place::Settled,
            Some(ahead) if ahead >= SPAN => Place::Beyond,
            Some(ahead) if self.settled >> ahead & 1 == 1 => Place::Settled,
            Some(_) => Place::Missing,
        }
    }

    /// Settles one that was missing; false if it was not.
    pub(crate) fn take(&mut self, seq: u32) -> bool {
        if self.place(seq) != Place::Missing || seq == 0 {
            return false;
        }
        let begins = self.unknown;
        if begins || seq <= self.floor {
            let (answered, mourned) = (self.answered, self.mourned);
            *self = Window { answered, mourned, ..Window::said_behind(seq - 1) };
        }
        // The first may be a lie itself; a second that goes with it is not.
        self.word = if begins { Word::Newcomer } else { Word::Own };
        self.settled |= 1 << (seq - self.floor - 1);
        self.seen = self.seen.max(seq);
        self.rise(self.settled.trailing_ones());
        true
    }

    /// Settles those in this range that are missing: from the first of them to the last.
    pub(crate) fn take_all(&mut self, first: u32, last: u32) -> Option<(u32, u32)> {
        let mut taken = None;
        for seq in first..=last.min(first.saturating_add(SPAN)) {
            if self.take(seq) {
                taken = Some((taken.map_or(seq, |(first, _)| first), seq));
            }
        }
        taken
    }

    /// Settles those in this range that are missing, as far as the window reaches: the last of the range that is settled now.
    pub(crate) fn settle(&mut self, first: u32, last: u32) -> u32 {
        self.take_all(first, last);
        let mut settled = (first..=last.min(first.saturating_add(SPAN))).rev();
        settled.find(|seq| self.place(*seq) == Place::Settled).unwrap_or(first)
    }

    /// Notes that the member has answered the question of this bit; false if it had.
    pub(crate) fn note_answer(&mut self, bit: u8) -> bool {
        let first = self.answered & bit == 0;
        self.answered |= bit;
        first
    }

    /// The answers to these questions are forgotten.
    pub(crate) fn forget_answers(&mut self, bits: u8) {
        self.answered &= !bits;
    }

    /// The member itself says that there is nothing behind this one: what came from there was a lie, as far as the floor
    /// has not risen over it.
    pub(crate) fn retract(&mut self, newest: u32) {
        if newest < self.seen {
            let kept = newest.saturating_sub(self.floor);
            self.settled &= 1u64.checked_shl(kept).map_or(u64::MAX, |bit| bit - 1);
            self.seen = self.floor + (u64::BITS - self.settled.leading_zeros());
        }
    }

    /// The first that is missing of those up to `last`, and a bit for it and each of the 63 behind it that is.
    pub(crate) fn missing(&self, last: u32) -> Option<(u32, u64)> {
        let ahead = last.checked_sub(self.floor).filter(|ahead| *ahead > 0 && !self.unknown)?;
        let wanted = if ahead >= SPAN { u64::MAX } else { (1 << ahead) - 1 };
        Some((self.floor + 1, wanted & !self.settled))
    }

    /// Gives up the first that are missing in a row, of those up to `last`: from where to where. The caller calls it until
    /// there are none.
    pub(crate) fn give_up(&mut self, last: u32) -> Option<(u32, u32)> {
        let ahead = last.checked_sub(self.floor).filter(|ahead| *ahead > 0)?;
        let first = self.floor + 1;
        let run = match self.settled.trailing_zeros() {
            u64::BITS => ahead,
            zeros => zeros.min(ahead),
        };
        let last = self.floor + run;
        self.rise(run);
        self.rise(self.settled.trailing_ones());
        self.seen = self.seen.max(last);
        Some((first, last))
    }

    /// The same for those of which this node has only been told.
    pub(crate) fn give_up_hearsay(&mut self, last: u32) -> Option<(u32, u32)> {
        let sure = if self.word == Word::Others { self.sure } else { self.seen };
        let run = self.give_up(last)?;
        (self.word, self.sure) = (Word::Others, sure);
        Some(run)
    }

    fn rise(&mut self, by: u32) {
        debug_assert!(self.floor.checked_add(by).is_some(), "what is settled only grows");
        self.floor += by;
        self.settled = self.settled.checked_shr(by).unwrap_or(0);
        self.seen = self.seen.max(self.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_taken_once_in_any_order_and_the_floor_follows() {
        let mut window = Window::NEW;
        for seq in [3, 1, 64, 2] {
            assert_eq!(window.place(seq), Place::Missing);
            assert!(window.take(seq) && !window.take(seq), "{seq}");
        }
        assert_eq!((window.floor(), window.seen()), (3, 64));
        assert_eq!(window.missing(window.seen()), Some((4, (1 << 60) - 1)), "4 to 63");
        assert_eq!(
            (window.place(0), window.place(67), window.place(68)),
            (Place::Settled, Place::Missing, Place::Beyond)
        );
        assert_eq!(window.place(u32::MAX), Place::Beyond);
    }

    #[test]
    fn what_is_given_up_is_told_in_runs_and_never_comes_again() {
        let mut window = Window::behind(10);
        assert!(window.take(12) && window.take(15));
        assert_eq!(window.give_up(15), Some((11, 11)));
        assert_eq!(window.give_up(15), Some((13, 14)));
        assert_eq!(window.give_up(15), None);
        assert_eq!((window.floor(), window.missing(15)), (15, None));
        assert_eq!(window.give_up(5_000), Some((16, 5_000)), "beyond the window in one go");
        assert!(!window.take(4_999) && window.take(5_001));
    }

    #[test]
    fn what_the_window_does_not_reach_is_not_settled() {
        let mut window = Window::behind(16);
        assert_eq!(window.settle(71, 82), 80);
        assert_eq!((window.place(80), window.place(81)), (Place::Settled, Place::Beyond));
        assert_eq!(window.settle(17, 20), 20);
        assert_eq!(window.take_all(71, 82), Some((81, 82)), "the rest, when it is in reach");
    }

    #[test]
    fn what_was_given_up_on_hearsay_shuts_out_nothing_that_really_comes() {
        let mut window = Window::behind(5);
        assert_eq!(window.give_up_hearsay(60_000), Some((6, 60_000)));
        assert_eq!((window.place(5), window.place(9)), (Place::Settled, Place::Missing));
        assert!(window.take(9) && !window.take(9) && !window.take(8), "what comes says where the numbers are");
        assert_eq!((window.floor(), window.seen()), (9, 9));
        let mut window = Window::behind(5);
        assert_eq!(window.give_up_hearsay(8), Some((6, 8)));
        assert!(window.take(9) && !window.take(7), "it was true");
    }

    #[test]
    fn the_last_of_all_numbers_overflows_nothing() {
        let mut window = Window::behind(u32::MAX - 1);
        assert!(window.take(u32::MAX) && !window.take(u32::MAX));
        assert_eq!((window.floor(), window.missing(u32::MAX), window.give_up(u32::MAX)), (u32::MAX, None, None));
        let mut window = Window::NEW;
        assert_eq!(window.give_up(u32::MAX), Some((1, u32::MAX)));
    }
}
