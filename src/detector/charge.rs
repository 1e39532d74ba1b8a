//! A charge: somebody says that this node is dead, or has left, and is asked whether it holds that itself.
//!
//! A new incarnation goes to everybody. If mere talk called for one, a liar could have the whole cluster spend bytes with
//! each datagram. So this node first asks who says so for its word about this node, as it would ask a juror. Who holds
//! this node for gone answers that it hears nothing of it, under a number that only it was sent.
//!
//! One that does not answer is believed as well, but only once in sixteen suspicions: across a link that is cut nobody can
//! be asked, and whoever is held dead there would be for good. Any condition beside the time is one that some cut link does
//! not meet: a node that hears the accuser, that holds it alive by the word of others, or that is too late to know whom it
//! does not reach. A liar gains nothing by silence, as it could answer that it does hold this node dead.

use crate::ask::{Ask, Schedule, earliest};
use crate::member::{Address, Liveness, NodeId};
use crate::node_core::Core;
use crate::share::{Claim, make_room};
use crate::storage::{Few, FewOf, Storage, must_fit};
use crate::time::Instant;
use crate::wire::Word;

/// The most that are looked into at once; others come again.
pub(super) const CHARGES: usize = 2;
const FEW_CHARGES: usize = 1;
/// How often one who says so is asked. One who has not proved its address is asked once less: a question takes as many bytes
/// as the smallest charge, and thrice those of the charge are all that may go to such an address.
const TRIES: u8 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Charge {
    accuser: NodeId,
    /// What is said: at which incarnation this node is down, or left.
    said: Said,
    ask: Ask,
}

/// At which incarnation this node is said to be gone, and how.
pub(crate) type Said = (u32, Liveness);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Charges<S: Storage> {
    open: Few<S, Charge, CHARGES, FEW_CHARGES>,
    /// None is looked into before.
    rests: Instant,
    /// Who did not answer, and what it has said.
    unanswered: Option<(NodeId, Said)>,
    /// It counts for nothing before.
    doubts: Instant,
}

impl<S: Storage> Charges<S> {
    pub(super) const NONE: Self =
        Charges { open: FewOf::EMPTY, rests: Instant::ZERO, unanswered: None, doubts: Instant::ZERO };

    /// Looks into what this member says. False if there is no room for it.
    pub(super) fn open<A: Address>(&mut self, accuser: NodeId, said: Said, core: &mut Core<A, S>) -> bool {
        if let Some(held) = self.open.iter_mut().find(|charge| charge.accuser == accuser) {
            held.said = held.said.max(said);
            return true;
        }
        let proved = |id| core.members.find(id).is_some_and(|index| core.members.is_proved(index));
        let rank = |id| Claim { peer: id, addr: None::<()>, rank: 1 + u8::from(proved(id)) };
        let free = core.now >= self.rests && make_room!(self.open, |held| rank(held.accuser), rank(accuser));
        if free {
            let mut ask = Ask::new(core.rng.next_u32(), core.now);
            ask.tries = u8::from(!proved(accuser));
            must_fit(self.open.push(Charge { accuser, said, ask }));
        }
        free
    }

    pub(super) fn due(&self) -> Instant {
        earliest(self.open.iter().map(|charge| &charge.ask))
    }

    /// Asks again where no answer came, at gaps that double, and gives up so long after the last: the accuser's loop may come
    /// round seldom.
    pub(super) fn tick(&mut self, unit: u64, patience: u64, now: Instant) {
        let is_over = |charge: &Charge| charge.ask.is_in_vain(TRIES, now);
        let over = self.open.iter().find(|charge| is_over(charge));
        self.unanswered = over.map(|charge| (charge.accuser, charge.said)).or(self.unanswered);
        self.open.retain(|charge| !is_over(charge));
        for charge in self.open.iter_mut().filter(|charge| charge.ask.is_due(now)) {
            charge.ask.repeat(Schedule::charge(unit), now);
            if charge.ask.tries >= TRIES {
                charge.ask.next = now.after(patience);
            }
        }
    }

    /// Who does not answer, and what it has said.
    pub(super) fn take_unanswered(&mut self) -> Option<(NodeId, Said)> {
        self.unanswered.take()
    }

    /// Whether that is to be heeded now: once in `rest`.
    pub(super) fn heed(&mut self, now: Instant, rest: u64) -> bool {
        let heeded = now >= self.doubts;
        if heeded {
            self.doubts = now.after(rest);
        }
        heeded
    }

    /// Whether what nobody is known to hold has been told for so long, and is to be heeded now: once in `rest`.
    pub(super) fn persists(&mut self, now: Instant, rest: u64) -> bool {
        let told = self.doubts != Instant::ZERO && now < self.doubts.after(rest);
        self.heed(now, rest) && told
    }

    /// Where in the table those stand that are to be asked, and who they are.
    pub(super) fn owed(&self) -> impl Iterator<Item = (usize, NodeId)> {
        let owed = self.open.iter().enumerate().filter(|(_, charge)| charge.ask.owed);
        owed.map(|(at, charge)| (at, charge.accuser))
    }

    /// The number of the question that stands there.
    pub(super) fn question(&self, at: usize) -> Option<u32> {
        self.open.get(at).map(|charge| charge.ask.number)
    }

    /// Takes off what stands there; whether it was to be sent.
    pub(super) fn sent(&mut self, at: usize) -> bool {
        self.open.get_mut(at).is_some_and(|charge| charge.ask.sent())
    }

    /// Takes an answer; `None` if it is none. What the accuser holds, if that is what it said; then none is looked into for
    /// a while: nobody has this node speak up more often than once in `rest`.
    pub(super) fn on_verdict(
        &mut self,
        from: NodeId,
        question: u32,
        word: Word,
        (now, rest): (Instant, u64),
    ) -> Option<Option<Said>> {
        let asked = |charge: &Charge| charge.accuser == from && charge.ask.number == question && charge.ask.tries > 0;
        let at = self.open.iter().position(asked)?;
        let charge = self.open.swap_take(at)?;
        let holds = word == Word::Silent;
        if holds {
            self.open.clear();
            self.rests = now.after(rest);
        }
        Some(holds.then_some(charge.said))
    }

    pub(super) fn postpone(&mut self, read: Instant) {
        self.open.iter_mut().for_each(|charge| charge.ask.postpone(TRIES, read));
    }

    /// The host did not take what was sent to an accuser: that one has not been asked.
    pub(super) fn not_sent(&mut self, to: impl Fn(NodeId) -> bool) {
        self.open.iter_mut().filter(|charge| to(charge.accuser)).for_each(|charge| charge.ask.not_sent());
        self.open.retain(|charge| !charge.ask.is_unsendable());
    }
}
