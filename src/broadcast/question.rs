//! Questions of this node's own, whose answers it still takes.

use crate::ids::MessageId;
use crate::storage::{FewData, FewOf, Storage, must_fit};
use crate::time::Instant;

/// The most questions that are open at once: one bit each in every member's window.
const QUESTIONS: usize = 4;
const FEW_QUESTIONS: usize = 2;

/// A question of this node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Open {
    pub(crate) id: MessageId,
    /// Unpredictable, so that only who was asked can answer.
    pub(crate) number: u32,
    until: Instant,
    wanted: u32,
    pub(crate) answers: u32,
    /// Which bit in the windows says who has answered.
    slot: u8,
    over: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Questions<S: Storage>(FewData<S, Open, QUESTIONS, FEW_QUESTIONS>);

impl<S: Storage> Questions<S> {
    pub(crate) const NONE: Self = Questions(FewOf::EMPTY);

    pub(crate) fn has_room(&self) -> bool {
        !self.0.is_full()
    }

    /// Opens a question; the bit in the windows that is its own from now on. There must be room.
    pub(crate) fn open(&mut self, id: MessageId, number: u32, wanted: u32, until: Instant) -> u8 {
        let free = |slot: &u8| !self.0.iter().any(|open| open.slot == *slot);
        let slot = (0..QUESTIONS as u8).find(free).unwrap_or(0);
        must_fit(self.0.push(Open { id, number, until, wanted, answers: 0, slot, over: false }));
        1 << slot
    }

    /// Whether no answer is waited for.
    pub(crate) fn are_over(&self) -> bool {
        self.0.iter().all(|open| open.over)
    }

    /// The question of this number, if it is open, as its bit in the windows.
    pub(crate) fn bit_of(&self, number: u32) -> Option<u8> {
        self.0.iter().find(|open| open.number == number && !open.over).map(|open| 1 << open.slot)
    }

    pub(crate) fn id_of(&self, number: u32) -> Option<MessageId> {
        self.0.iter().find(|open| open.number == number).map(|open| open.id)
    }

    /// Counts an answer; with the last that is wanted the question is over.
    pub(crate) fn count(&mut self, number: u32) {
        if let Some(open) = self.0.iter_mut().find(|open| open.number == number) {
            open.answers += 1;
            open.over |= open.answers >= open.wanted;
        }
    }

    pub(crate) fn due(&self) -> Instant {
        let open = self.0.iter().filter(|open| !open.over);
        open.map(|open| open.until).min().unwrap_or(Instant::FAR_FUTURE)
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        for open in self.0.iter_mut() {
            open.over |= now >= open.until;
        }
    }

    /// A question that is over, and of which `unread` answers wait no more.
    pub(crate) fn next_over(&mut self, unread: impl Fn(u32) -> bool) -> Option<Open> {
        let over = self.0.iter().position(|open| open.over && !unread(open.number))?;
        self.0.swap_take(over)
    }
}
