//! The numbers under which things came last, so that what comes twice is known again.

use crate::storage::FewOf;

/// The latest of them, each overwriting the oldest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Recent<L: FewOf<u32>> {
    numbers: L,
    next: u8,
}

impl<L: FewOf<u32>> Recent<L> {
    pub(crate) const NONE: Self = Recent { numbers: FewOf::EMPTY, next: 0 };

    pub(crate) fn contains(&self, number: u32) -> bool {
        has(&self.numbers, number)
    }

    /// Takes note of a number. Gives the one that it pushes out.
    pub(crate) fn note(&mut self, number: u32) -> Option<u32> {
        if self.numbers.push(number).is_ok() {
            return None;
        }
        let at = usize::from(self.next);
        self.next = if at + 1 < self.numbers.len() { self.next + 1 } else { 0 };
        self.numbers.get_mut(at).map(|oldest| core::mem::replace(oldest, number))
    }
}

/// One for lists of all lengths.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn has(numbers: &[u32], number: u32) -> bool {
    numbers.contains(&number)
}
