//! What the detector has to send, and in which order.

use super::case::{Accusation, Case};
use super::errand::{Asker, Errand};
use super::{CASES, Detector, ERRANDS, PANEL, charge};
use crate::member::{Address, NodeId};
use crate::storage::Storage;
use crate::wire::Word;

/// The most that can be to be sent at once.
pub(crate) const MOST_OWED: usize = CASES * (1 + PANEL) + charge::CHARGES + ERRANDS * 2;

/// Where something to send stands, so that what was sent is what is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// The ping of this case.
    Case(usize),
    /// The question of this case to this one of its jurors.
    Juror(usize, usize),
    /// The question of this charge.
    Charge(usize),
    /// The ping of this errand.
    Errand(usize),
    /// The answer of this errand.
    Answer(usize),
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe<A> {
    /// A ping, with the accusation if there is one.
    Ping { target: NodeId, number: u32, claim: Option<Accusation> },
    /// A question to a juror, one of many or of few, or without a target to one who says that this node is dead.
    Ask { juror: NodeId, question: u32, target: Option<NodeId>, many: bool },
    /// An answer to somebody who asked us.
    Verdict { asker: NodeId, to: A, tag: u32, question: u32, target: NodeId, word: Word },
}

impl<A: Address, S: Storage> Detector<A, S> {
    /// All that is to be sent, in order of urgency; [`sent`](Self::sent) takes it off.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (Seat, Probe<A>)> {
        let of_cases = self.cases.iter().enumerate().flat_map(|(at, case)| {
            let &Case { target, question, claim, .. } = case;
            // Told three times it has heard it, or nothing at all.
            let claim = claim.filter(|_| case.tries.step <= 3);
            let ping = Probe::Ping { target, number: case.tries.current(), claim };
            let asked = case.jurors.iter().enumerate().filter(|(_, juror)| juror.owed);
            let many = case.asks_many();
            let asks = asked.map(move |(place, juror)| {
                (Seat::Juror(at, place), Probe::Ask { juror: juror.id, question, target: Some(target), many })
            });
            case.tries.owed.then_some((Seat::Case(at), ping)).into_iter().chain(asks)
        });
        let of_errands = self.errands.iter().enumerate().flat_map(|(at, errand)| {
            let Errand { asker: Asker { id: asker, addr: to, tag, .. }, question, target, .. } = *errand;
            let ping = Probe::Ping { target, number: errand.tries.current(), claim: None };
            let verdict = errand.heard.filter(|_| errand.owed).map(|heard| {
                let word = if heard { Word::Heard } else { Word::Silent };
                (Seat::Answer(at), Probe::Verdict { asker, to, tag, question, target, word })
            });
            errand.tries.owed.then_some((Seat::Errand(at), ping)).into_iter().chain(verdict)
        });
        let of_charges = self.charges.owed();
        let of_charges = of_charges
            .map(|(at, juror, question)| (Seat::Charge(at), Probe::Ask { juror, question, target: None, many: false }));
        of_cases.chain(of_charges).chain(of_errands)
    }

    /// Takes off what stands there; whether it was to be sent.
    pub(crate) fn sent(&mut self, seat: Seat) -> bool {
        let owed = match seat {
            Seat::Case(at) => self.cases.get_mut(at).map(|case| &mut case.tries.owed),
            Seat::Juror(at, place) => {
                let juror = self.cases.get_mut(at).and_then(|case| case.jurors.get_mut(place));
                juror.map(|juror| &mut juror.owed)
            }
            Seat::Charge(at) => return self.charges.sent(at),
            Seat::Errand(at) => self.errands.get_mut(at).map(|errand| &mut errand.tries.owed),
            Seat::Answer(at) => self.errands.get_mut(at).map(|errand| &mut errand.owed),
        };
        owed.is_some_and(core::mem::take)
    }
}
