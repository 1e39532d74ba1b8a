//! What the detector has to send, and in which order.

use super::case::{Accusation, Case};
use super::errand::{Errand, errand_time};
use super::{CASES, Detector, ERRANDS, PANEL, charge};
use crate::member::{Address, Certificate, Liveness, NodeId, Record};
use crate::members::Members;
use crate::node_core::Core;
use crate::storage::Storage;
use crate::wire::{Word, Writer, kind, write_verdict};

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

impl<A: Address, S: Storage> Detector<A, S> {
    /// All that is to be sent, in order of urgency: what it is, where to and for which life, and whether news may ride along.
    /// [`sent`](Self::sent) takes it off.
    pub(crate) fn owed(&self, members: &Members<A, S>) -> impl Iterator<Item = (Seat, Option<(A, u32)>, bool)> {
        let of_cases = self.cases.iter().enumerate().flat_map(move |(at, case)| {
            let asked = case.jurors.iter().enumerate().filter(|(_, juror)| juror.owed);
            let asks = asked.map(move |(place, juror)| (Seat::Juror(at, place), members.whereabouts(juror.id), true));
            let ping = (case.tries.ask.owed).then(|| self.ping(Seat::Case(at), case.target, members));
            ping.into_iter().chain(asks)
        });
        let of_errands = self.errands.iter().enumerate().flat_map(move |(at, errand)| {
            let ping = (errand.tries.ask.owed).then(|| self.ping(Seat::Errand(at), errand.target, members));
            let verdict = (errand.heard.is_some() && errand.owed).then(|| {
                let asker = &errand.asker;
                (Seat::Answer(at), Some((asker.addr, asker.tag)), is_home(asker.id, asker.addr, members))
            });
            ping.into_iter().chain(verdict)
        });
        let of_charges = self.charges.owed().map(move |(at, accuser)| self.ping(Seat::Charge(at), accuser, members));
        of_cases.chain(of_charges).chain(of_errands)
    }

    /// A probe of this member. Somebody else may have brought it about, perhaps at an address where nobody wants news.
    fn ping(&self, seat: Seat, of: NodeId, members: &Members<A, S>) -> (Seat, Option<(A, u32)>, bool) {
        let hears = self.doubts(of) || members.find(of).is_some_and(|index| members.is_proved(index));
        (seat, members.whereabouts(of), hears)
    }

    /// Writes what stands there.
    pub(crate) fn write(&self, seat: Seat, core: &Core<A, S>, writer: &mut Writer<'_>) -> Option<()> {
        match seat {
            Seat::Case(at) => {
                let case = self.cases.get(at)?;
                core.write_ping(case.tries.current(), writer)?;
                // Told three times it has heard it, or nothing at all.
                case.claim
                    .filter(|_| case.tries.ask.tries <= 3)
                    .map_or(Some(()), |claim| write_claim(case, claim, core, writer))
            }
            Seat::Juror(at, place) => {
                let case = self.cases.get(at)?;
                case.jurors.get(place)?;
                write_ask((case.question, case.target), case.asks_many(), core, writer)
            }
            Seat::Charge(at) => write_ask((self.charges.question(at)?, core.members.myself()?.id), false, core, writer),
            Seat::Errand(at) => core.write_ping(self.errands.get(at)?.tries.current(), writer),
            Seat::Answer(at) => {
                let Errand { question, target, heard, .. } = self.errands.get(at)?;
                let word = if *heard == Some(true) { Word::Heard } else { Word::Silent };
                write_verdict(*question, *target, word, writer)
            }
        }
    }

    /// Takes off what stands there; whether it was to be sent.
    pub(crate) fn sent(&mut self, seat: Seat) -> bool {
        let owed = match seat {
            Seat::Case(at) => self.cases.get_mut(at).map(|case| &mut case.tries.ask.owed),
            Seat::Juror(at, place) => {
                let juror = self.cases.get_mut(at).and_then(|case| case.jurors.get_mut(place));
                juror.map(|juror| &mut juror.owed)
            }
            Seat::Charge(at) => return self.charges.sent(at),
            Seat::Errand(at) => self.errands.get_mut(at).map(|errand| &mut errand.tries.ask.owed),
            Seat::Answer(at) => self.errands.get_mut(at).map(|errand| &mut errand.owed),
        };
        owed.is_some_and(core::mem::take)
    }
}

/// Whether a member has shown that it is at this address. The question may have come from anywhere.
fn is_home<A: Address, S: Storage>(id: NodeId, addr: A, members: &Members<A, S>) -> bool {
    let there = |index: &_| members.get(*index).is_some_and(|record| record.addr == addr);
    members.find(id).filter(there).is_some_and(|index| members.is_proved(index))
}

/// Writes what others say of a member, so that it can speak against it at once (Lifeguard's buddy system), and who says so,
/// so that it can ask that one.
fn write_claim<A: Address, S: Storage>(
    case: &Case,
    Accusation { incarnation, by }: Accusation,
    core: &Core<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let record = Record { incarnation, ..core.members.find_record(case.target)?.with(Liveness::Down) };
    let said_by = Certificate::said_by(by);
    // The smallest datagram may have no room for more than the record.
    writer.frame(kind::NEWS, |body| body.told(&record, 0, Some(&said_by)).or_else(|| body.record(&record)))
}

/// Writes the question whether somebody hears this member: to one of many or of few jurors.
fn write_ask<A: Address, S: Storage>(
    (question, target): (u32, NodeId),
    many: bool,
    core: &Core<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    writer.frame(kind::ASK, |body| {
        body.u32(question)?;
        body.id(target)?;
        body.time(errand_time(&core.config, many))
    })
}
