//! Challenges: who says that a member lives elsewhere, or lives anew, is not believed before both have been asked; nor is
//! what only the member itself may say, that it sleeps or leaves, before the member has.
//!
//! To believe it at once would let one forged record turn everything that is meant for a member towards any address,
//! and let a second claimant of an id push the first one out. So the claim waits here, outside the table: the address
//! that it names is asked whether that life is there, and the member as it is known is told of it and asked too. What
//! the member contradicts is refused; what nobody confirms is dropped, and comes again if it was true. Only a farewell is
//! confirmed by silence: whoever has left does not answer for long.

use crate::ask::{Ask, Schedule, earliest};
use crate::member::{Address, Liveness, NodeId, Record};
use crate::members::Members;
use crate::node_core::Core;
use crate::share::{Claim, make_room};
use crate::storage::{Few, FewOf, Storage};
use crate::time::Instant;
use crate::wire::{Writer, kind};

/// The most claims that are looked into at once; what finds no place comes again.
const CHALLENGES: usize = 4;
const FEW_CHALLENGES: usize = 2;
/// The most that can be to be sent at once.
pub(crate) const MOST_OWED: usize = CHALLENGES * 2;
/// How often the member as it is known is asked before a claim is dropped.
const TRIES: u8 = 5;
/// Who is said to be elsewhere is asked at the first and at the third try: two pings are less than three times what even
/// the smallest claims take, and nobody has proved that they want to be there.
const CLAIMED_TRIES: [u8; 2] = [0, 2];
/// After how many tries the silence of the member as it is known confirms a claim that has been proved; and a farewell, which
/// only silence can confirm, and which its process does not wait for.
const HEEDED: u8 = 3;
const FAREWELL_HEEDED: u8 = 2;

/// Whom a challenge asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// Who is said to be there.
    Claimed,
    /// The member as it is known.
    Known,
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding<A> {
    /// It was no answer to a challenge.
    Unasked,
    /// Taken note of.
    Noted,
    /// The owner stands by this record. What it said under that number waits for an acknowledgement.
    Confirmed(Record<A>, Option<u32>),
    /// The member lives where it is known to be and does not say this. A join of that number waits for an answer.
    Contradicted(Record<A>, Option<u32>),
}

/// What there is to decide a claim by.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    /// Whoever is said to be there has answered.
    proved: bool,
    /// It is a farewell: nobody else can prove it.
    farewell: bool,
    /// There is nobody whose word could be against it: the member is held dead, or its own address is taken over.
    unopposed: bool,
    /// How often both were asked.
    tries: u8,
    /// The time for an answer to the last try is over.
    waited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Believe,
    Drop,
    Wait,
}

fn judge(evidence: Evidence) -> Verdict {
    let Evidence { proved, farewell, unopposed, tries, waited } = evidence;
    let heeded = if farewell { FAREWELL_HEEDED } else { HEEDED };
    if (proved || farewell) && (unopposed || tries >= heeded && waited) {
        return Verdict::Believe;
    }
    if tries >= TRIES && waited { Verdict::Drop } else { Verdict::Wait }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Challenge<A> {
    claim: Record<A>,
    /// The number of the claimed side's question.
    claimed: u32,
    /// The known side's question, which sets the time for both. The other one of its pair of numbers is the known side's
    /// answer that it does not say this.
    ask: Ask,
    /// The claimed side's question waits to be sent.
    asks_claimed: bool,
    proved: bool,
    /// Who makes the claim.
    teller: NodeId,
    /// The join that does, or the farewell that waits to be acknowledged.
    join: Option<u32>,
}

/// The claims that are being looked into.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Challenges<A: Address, S: Storage>(Few<S, Challenge<A>, CHALLENGES, FEW_CHALLENGES>);

impl<A: Address, S: Storage> Challenges<A, S> {
    pub(crate) const NONE: Self = Challenges(FewOf::EMPTY);

    /// Looks into a claim of this member; its address is known to be its own if there is the join of that number, which has
    /// shown it. False if too many others are being looked into.
    pub(crate) fn open(
        &mut self,
        (claim, teller): (Record<A>, NodeId),
        join: Option<u32>,
        unit: u64,
        core: &mut Core<A, S>,
    ) -> bool {
        let proved = join.is_some();
        if let Some(open) = self.0.iter_mut().find(|open| open.claim.id == claim.id) {
            if open.claim == claim {
                (open.proved, open.join) = (open.proved | proved, join.or(open.join));
                return true;
            }
            // One that has been proved may be the true one, and is not pushed aside.
            if open.proved || !claim.supersedes(&open.claim) {
                return false;
            }
            self.0.retain(|open| open.claim.id != claim.id);
        }
        let (claimed, ask) = (core.rng.next_u32(), Ask::new(core.rng.next_u32(), core.now));
        let challenge = Challenge { claim, claimed, ask, asks_claimed: false, proved, teller, join };
        let taken = make_room!(self.0, Challenge::claim, challenge.claim()) && self.0.push(challenge).is_ok();
        self.ask(unit, core);
        taken
    }

    /// Notes that whoever is said to leave says so itself, under this number. False if nobody asks it.
    pub(crate) fn note_farewell(&mut self, of: NodeId, number: u32) -> bool {
        let leaves = |open: &&mut Challenge<A>| open.claim.id == of && open.claim.liveness == Liveness::Left;
        self.0.iter_mut().find(leaves).is_some_and(|open| {
            open.join = Some(number);
            true
        })
    }

    pub(crate) fn due(&self) -> Instant {
        earliest(self.0.iter().map(|challenge| &challenge.ask))
    }

    /// The caller came late: silence confirms a claim after any try.
    pub(crate) fn postpone(&mut self, read: Instant) {
        self.0.iter_mut().for_each(|challenge| challenge.ask.postpone(0, read));
    }

    /// The host did not take what was sent to this address: of a challenge that asks there the latest try was not made. One
    /// that cannot be asked about is dropped in the end, and comes again if it was true.
    pub(crate) fn not_sent(&mut self, to: A, core: &Core<A, S>) {
        for challenge in self.0.iter_mut() {
            let known = core.members.find_record(challenge.claim.id).map(|record| record.addr);
            if challenge.claim.addr == to || known == Some(to) {
                challenge.ask.not_sent();
            }
        }
        self.0.retain(|challenge| !challenge.ask.is_unsendable());
    }

    /// Whether nothing is being looked into.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks again where it is time. Returns a record to believe, if there is one; call again until there is none.
    pub(crate) fn tick(&mut self, unit: u64, core: &mut Core<A, S>) -> Option<Record<A>> {
        self.0.retain(|challenge| challenge.verdict(core) != Verdict::Drop);
        if let Some(at) = self.0.iter().position(|challenge| challenge.verdict(core) == Verdict::Believe) {
            return self.0.swap_take(at).map(|held| held.claim);
        }
        self.ask(unit, core);
        None
    }

    /// Asks both sides whose time has come, at gaps that double from `unit`.
    fn ask(&mut self, unit: u64, core: &Core<A, S>) {
        for challenge in self.0.iter_mut().filter(|challenge| challenge.ask.is_due(core.now)) {
            let claim = &challenge.claim;
            let known = core.members.find_record(claim.id).filter(|known| is_alive(*known));
            let known_lives = known.is_some();
            // Of what else the member says of itself only the member as it is known can tell.
            let elsewhere = known.is_none_or(|known| (known.addr, known.life) != (claim.addr, claim.life));
            let ask_claimed = elsewhere && is_alive(claim) && CLAIMED_TRIES.contains(&challenge.ask.tries);
            challenge.asks_claimed = ask_claimed && !challenge.proved;
            challenge.ask.repeat(Schedule::claim(unit), core.now);
            challenge.ask.owed = known_lives;
        }
    }

    /// Takes an answer from `sender`, in the life of this tag and at this incarnation.
    pub(crate) fn on_ack(&mut self, (sender, tag, incarnation): (NodeId, u32, u32), number: u32) -> Finding<A> {
        let mut open = self.0.iter_mut().zip(0..).filter(|(challenge, _)| challenge.claim.id == sender);
        let Some((challenge, at)) = open.next() else { return Finding::Unasked };
        let claim = challenge.claim;
        let stands_by = tag == claim.tag() && incarnation >= claim.incarnation;
        if number == challenge.claimed && stands_by {
            challenge.proved = true;
            return Finding::Noted;
        }
        let denied = number == denial(challenge.ask.number);
        if number != challenge.ask.number && !denied {
            return Finding::Unasked;
        }
        let join = challenge.join;
        self.0.swap_take(at);
        // It has said just this, and still hears what comes to its former address. If it has said something else since, that
        // will come.
        let said_it = stands_by && incarnation == claim.incarnation && !denied;
        if said_it { Finding::Confirmed(claim, join) } else { Finding::Contradicted(claim, join) }
    }

    /// Whether this is the number of a question to who is said to be there, who need not be known.
    pub(crate) fn asked_claimant(&self, number: u32) -> bool {
        self.0.iter().any(|challenge| challenge.claimed == number)
    }

    /// Which challenges are to ask, and whom.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, Side)> {
        self.0.iter().enumerate().flat_map(|(at, challenge)| {
            let sides = [(challenge.asks_claimed, Side::Claimed), (challenge.ask.owed, Side::Known)];
            sides.into_iter().filter(|(owed, _)| *owed).map(move |(_, side)| (at, side))
        })
    }

    /// Where the question to this side goes, and for which life.
    pub(crate) fn to(&self, at: usize, side: Side, members: &Members<A, S>) -> Option<(A, u32)> {
        let claim = &self.0.get(at)?.claim;
        if side == Side::Claimed { Some((claim.addr, claim.tag())) } else { members.whereabouts(claim.id) }
    }

    /// Writes the question to this side. The member as it is known is told what is said of it, so that it can find its twin.
    pub(crate) fn write(&self, at: usize, side: Side, core: &Core<A, S>, writer: &mut Writer<'_>) -> Option<()> {
        let Challenge { claim, claimed, ask, .. } = self.0.get(at)?;
        if side == Side::Claimed {
            return core.write_ping(*claimed, writer);
        }
        core.write_ping(ask.number, writer)?;
        writer.frame(kind::CLAIM, |body| body.record(claim))
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize, side: Side) -> bool {
        self.0.get_mut(at).is_some_and(|challenge| {
            if side == Side::Claimed { core::mem::take(&mut challenge.asks_claimed) } else { challenge.ask.sent() }
        })
    }
}

impl<A: Address> Challenge<A> {
    /// The claim on its place: who has shown that it is where it says comes first.
    fn claim(&self) -> Claim<NodeId, A> {
        Claim { peer: self.teller, addr: Some(self.claim.addr), rank: 1 + u8::from(self.proved) }
    }

    fn verdict<S: Storage>(&self, core: &Core<A, S>) -> Verdict {
        let unopposed = match core.members.find_record(self.claim.id) {
            // There is nobody to contradict that one unknown lives.
            None => true,
            Some(held) if self.claim.supersedes(held) => {
                let taken_over = held.addr == self.claim.addr && held.life != self.claim.life;
                !is_alive(held) || taken_over
            }
            Some(_) => return Verdict::Drop,
        };
        let waited = self.ask.is_due(core.now);
        let farewell = self.claim.liveness == Liveness::Left;
        judge(Evidence { proved: self.proved, farewell, unopposed, tries: self.ask.tries, waited })
    }
}

/// The number under which a member answers a question of this number that it does not say what comes with that.
pub(crate) fn denial(number: u32) -> u32 {
    number ^ 1
}

fn is_alive<A>(record: &Record<A>) -> bool {
    record.liveness == Liveness::Alive
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVED: Evidence = Evidence { proved: true, farewell: false, unopposed: false, tries: HEEDED, waited: true };

    #[test]
    fn a_claim_is_believed_when_it_is_proved_and_the_member_as_it_is_known_is_silent() {
        assert_eq!(judge(PROVED), Verdict::Believe);
        assert_eq!(judge(Evidence { waited: false, ..PROVED }), Verdict::Wait);
        assert_eq!(judge(Evidence { tries: HEEDED - 1, ..PROVED }), Verdict::Wait);
        let at_once = Evidence { unopposed: true, tries: 1, waited: false, ..PROVED };
        assert_eq!(judge(at_once), Verdict::Believe, "with nobody to contradict it");
    }

    #[test]
    fn a_farewell_is_believed_after_two_tries_in_vain() {
        let farewell = Evidence { proved: false, farewell: true, tries: FAREWELL_HEEDED, ..PROVED };
        assert_eq!(judge(farewell), Verdict::Believe);
        assert_eq!(judge(Evidence { waited: false, ..farewell }), Verdict::Wait);
        assert_eq!(judge(Evidence { tries: FAREWELL_HEEDED - 1, ..farewell }), Verdict::Wait);
    }

    #[test]
    fn a_claim_that_nobody_confirms_is_dropped_after_the_last_try() {
        let unproved = Evidence { proved: false, farewell: false, unopposed: true, tries: TRIES, waited: true };
        assert_eq!(judge(unproved), Verdict::Drop);
        assert_eq!(judge(Evidence { waited: false, ..unproved }), Verdict::Wait);
        assert_eq!(judge(Evidence { tries: TRIES - 1, ..unproved }), Verdict::Wait);
    }
}
