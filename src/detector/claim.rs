//! What others claim: that a living member is dead.

use super::Detector;
use super::case::Accusation;
use crate::member::{Address, NodeId};
use crate::node_core::Core;
use crate::share::{Admission, Claim, admit};
use crate::storage::{FewOf, Storage};

impl<A: Address, S: Storage> Detector<A, S> {
    /// Somebody says that this living member is dead: it is told so and probed, and the claim is believed if it stays silent. False
    /// if too many such claims are being checked.
    pub(crate) fn check_claim(&mut self, target: NodeId, claim: Accusation, core: &mut Core<A, S>) -> bool {
        if let Some(case) = self.cases.iter_mut().find(|case| case.target == target) {
            case.claim = Some(claim);
            return true;
        }
        if self.isolated
            || self.is_accused()
            || !self.admits_claim(claim.by)
            || !self.open_case(target, Some(claim), core)
        {
            return false;
        }
        let unit = self.unit(&core.config);
        self.tick_case(self.cases.len().saturating_sub(1), unit, core);
        true
    }

    /// Whether there is a place for another claim of this member, one of its own or of others given up for it.
    fn admits_claim(&mut self, by: NodeId) -> bool {
        let claim = |by| Claim { peer: by, addr: None::<()>, rank: 1 };
        let held = self.cases.iter().filter_map(|case| case.claim.map(|held| claim(held.by)));
        // Half of the cases are for what this node finds out itself.
        let most = (self.cases.len() + self.cases.room()) / 2;
        let room = most.saturating_sub(held.clone().count()).min(self.cases.room());
        match admit(held, room, claim(by)) {
            Admission::Free => true,
            Admission::Displace(nth) => {
                let claims = self.cases.iter().zip(0..).filter(|(case, _)| case.claim.is_some());
                let at = { claims }.nth(nth).map(|(_, at)| at);
                at.and_then(|at| self.cases.swap_take(at)).is_some()
            }
            Admission::Refuse => false,
        }
    }
}
