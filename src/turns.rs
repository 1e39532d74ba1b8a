//! How often each peer may ask for what takes longer to answer than to ask: one question in 50 ms, and up to eight at
//! once, as an asker has up to four ranges under way and repeats what is lost.
//!
//! A peer is kept in mind only until it has paid for what it asked, so that a few places serve any number. Each takes one
//! place at most. A sender that has not shown that it is at its address finds half of them taken: whoever speaks in the
//! name of many leaves the rest to those who are where they say.

use crate::member::NodeId;
use crate::storage::{Few, FewOf, Storage};
use crate::time::Instant;

/// Microseconds that a question takes to be paid for.
const PRICE: u64 = 50_000;
/// How many may be asked at once.
const BURST: u64 = 8;
/// How many peers may have some to pay for.
const PLACES: usize = 32;
const FEW_PLACES: usize = 8;

/// Who has asked, and when it will have paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Turns<S: Storage> {
    debts: Few<S, (NodeId, Instant), PLACES, FEW_PLACES>,
}

impl<S: Storage> Turns<S> {
    pub(crate) const NEW: Self = Turns { debts: FewOf::EMPTY };

    /// Whether this peer may ask now; if so, it counts. `home`: it has shown that it is where this came from.
    pub(crate) fn take(&mut self, peer: NodeId, home: bool, now: Instant) -> bool {
        self.debts.retain(|(_, paid)| *paid > now);
        if let Some((_, paid)) = self.debts.iter_mut().find(|(debtor, _)| *debtor == peer) {
            let may = paid.since(now) <= (BURST - 1) * PRICE;
            *paid = if may { paid.after(PRICE) } else { *paid };
            return may;
        }
        let room = self.debts.room();
        let kept_free = if home { 0 } else { (self.debts.len() + room) / 2 };
        room > kept_free && self.debts.push((peer, now.after(PRICE))).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.debts.len() + self.debts.room()
    }
}
