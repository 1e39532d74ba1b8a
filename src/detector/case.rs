//! A case: a member that has not answered, what is done to get an answer, and what its silence comes to.

use heapless::Vec;

use super::JURORS;
use crate::config::Config;
use crate::context::Context;
use crate::member::{Address, Certificate, Member, NodeId, Status};
use crate::storage::Storage;
use crate::time::Instant;

/// A series of tries to get one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tries {
    /// The number of the first try; the k-th carries this plus k, so that an answer names its try (Karn's problem).
    pub(super) number: u32,
    pub(super) count: u16,
    /// Tries since the schedule was last begun.
    pub(super) step: u8,
    pub(super) last: Instant,
    pub(super) next: Instant,
    /// A ping waits to be sent.
    pub(super) owed: bool,
}

impl Tries {
    pub(super) fn begin(number: u32, now: Instant) -> Self {
        Tries { number, count: 0, step: 0, last: now, next: now, owed: false }
    }

    /// Makes the due try, and sets the time of the next: gaps double from `unit` up to a quarter of the probe period.
    pub(super) fn tick(&mut self, now: Instant, unit: u64, config: &Config) -> bool {
        if now < self.next {
            return false;
        }
        let gap = unit.checked_shl(u32::from(self.step)).unwrap_or(u64::MAX).min(config.probe_period / 4);
        self.next = now.after(gap.max(1));
        self.step = self.step.saturating_add(1).min(32);
        self.last = now;
        self.count = self.count.saturating_add(1);
        self.owed = true;
        true
    }

    /// The number of the latest try.
    pub(super) fn current(&self) -> u32 {
        self.number.wrapping_add(u32::from(self.count).saturating_sub(1))
    }

    pub(super) fn asked(&self, number: u32) -> bool {
        number.wrapping_sub(self.number) < u32::from(self.count)
    }

    /// The round trip that an answer to this number shows, if its try was the last, or the first of those since
    /// `opened`; the times of others are not kept.
    pub(super) fn round_trip(&self, number: u32, opened: Instant, now: Instant) -> Option<u64> {
        if number == self.current() {
            return Some(now.since(self.last));
        }
        let never_rearmed = u16::from(self.step) == self.count;
        (number == self.number && never_rearmed).then(|| now.since(opened))
    }
}

/// A member who was asked for a second opinion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Juror {
    pub(super) id: NodeId,
    pub(super) silent_since: Option<Instant>,
    pub(super) owed: bool,
}

/// A member that has not yet answered its probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Case {
    pub(super) target: NodeId,
    pub(super) tag: u32,
    pub(super) opened: Instant,
    pub(super) tries: Tries,
    pub(super) question: u32,
    pub(super) asked: Instant,
    pub(super) jurors: Vec<Juror, JURORS>,
    pub(super) next_jury: Instant,
    /// Others hold the target dead; it is told, and its silence confirms them.
    pub(super) claim: Option<Accusation>,
}

/// Somebody says that a member is dead at this incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Accusation {
    pub(crate) incarnation: u32,
    pub(crate) by: NodeId,
}

impl Case {
    /// Begins anew at `from`, as if the target had not been asked yet; an answer to what was asked before still counts.
    pub(super) fn rearm(&mut self, unit: u64, from: Instant) {
        self.opened = from;
        (self.tries.step, self.tries.next, self.tries.owed) = (0, from, false);
        self.jurors.clear();
        self.next_jury = from.after(6 * unit);
    }

    /// Counts some of the time as not passed.
    pub(super) fn put_off(&mut self, late: u64) {
        self.opened = self.opened.after(late);
        self.asked = self.asked.after(late);
        self.next_jury = self.next_jury.after(late);
    }

    /// Puts the question to members chosen anew, under a new number. The first time after six gaps, then at five
    /// eighths of what the target is allowed, so that the answers are fresh when it is up, and then every half.
    pub(super) fn ask_others<A: Address, S: Storage>(&mut self, allowed: u64, cx: &mut Context<'_, A, S>) {
        let jury_at = self.opened.after(allowed / 8 * 5);
        self.next_jury = if cx.now < jury_at { jury_at } else { cx.now.after(allowed / 2) };
        // No question has the number 0.
        (self.question, self.asked) = (cx.rng.next_u32() | 1, cx.now);
        self.jurors.clear();
        for _ in 0..JURORS {
            let (target, jurors) = (self.target, &self.jurors);
            let fresh = |member: &Member<A>| {
                member.id() != target && !jurors.iter().any(|juror: &Juror| juror.id == member.id())
            };
            let excused = |member: &Member<A>| {
                let index = cx.members.find(member.id());
                index.is_some_and(|index| cx.members.is_excused(index))
            };
            // Whoever is silent itself, was never heard or may be asleep is a poor witness.
            let sound = |member: &Member<A>| {
                let awake = member.status() == Status::Alive && member.record.patience == 0;
                let heard = || cx.members.find(member.id()).is_some_and(|index| cx.members.is_heard(index));
                awake && fresh(member) && heard() && !excused(member)
            };
            let chosen = cx.members.random_live(cx.rng, sound).or_else(|| cx.members.random_live(cx.rng, fresh));
            let Some(member) = chosen.and_then(|index| cx.members.member(index)) else { return };
            cx.stats.questions = cx.stats.questions.wrapping_add(1);
            let _ = self.jurors.push(Juror { id: member.id(), silent_since: None, owed: true });
        }
    }

    /// The jurors who have not even answered, once they should have: each takes its time, and its answer a round trip.
    pub(super) fn mute_jurors(&self, now: Instant, config: &Config) -> impl Iterator<Item = NodeId> {
        let due = now.since(self.asked) >= config.suspicion / 8 * 3;
        self.jurors.iter().filter(move |juror| due && juror.silent_since.is_none()).map(|juror| juror.id)
    }

    /// Brings the next try forward to the time when a verdict is first due; later verdicts come with the tries.
    pub(super) fn meet_verdict(&mut self, allowed: u64, now: Instant) {
        let verdict = self.opened.after(if self.claim.is_some() { allowed / 2 } else { allowed });
        if verdict > now {
            self.tries.next = self.tries.next.min(verdict);
        }
    }

    pub(super) fn evidence(&self, allowed: u64, now: Instant, bystanders: u32) -> Evidence {
        Evidence {
            silence: now.since(self.opened),
            allowed,
            silent_jurors: self.witnesses(allowed, now).count() as u32,
            bystanders,
            claimed: self.claim.is_some(),
        }
    }

    /// The jurors who say freshly that they hear nothing either.
    fn witnesses(&self, allowed: u64, now: Instant) -> impl Iterator<Item = NodeId> {
        let fresh = move |juror: &&Juror| juror.silent_since.is_some_and(|at| now.since(at) <= allowed / 2);
        self.jurors.iter().filter(fresh).map(|juror| juror.id)
    }

    /// What a verdict rests on: two of the witnesses, or the only one.
    pub(super) fn certificate(&self, allowed: u64, now: Instant) -> Option<Certificate> {
        let mut witnesses = self.witnesses(allowed, now);
        let first = witnesses.next()?;
        Some(Certificate { jurors: [first, witnesses.next().unwrap_or(first)], question: self.question })
    }
}

/// What there is to decide a case by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Since the first unanswered try.
    pub(super) silence: u64,
    /// What the member is allowed.
    pub(super) allowed: u64,
    /// Jurors whose answer to the present question is fresh and says that they hear nothing either.
    pub(super) silent_jurors: u32,
    /// Living members besides this node and the silent one.
    pub(super) bystanders: u32,
    /// Another member holds it dead.
    pub(super) claimed: bool,
}

/// Whether a silent member is dead. With nobody to ask, a crash and a cut look the same, so of two members neither
/// ever declares the other.
pub(super) fn is_dead(evidence: Evidence) -> bool {
    // The silence that another has seen counts too; the witnesses must be this node's own.
    let allowed = if evidence.claimed { evidence.allowed / 2 } else { evidence.allowed };
    // Where most have died, two who answer may not be found: then one is enough, after thrice the silence.
    let enough = if evidence.silence >= 3 * evidence.allowed { 1 } else { 2 };
    let needed = evidence.bystanders.min(enough);
    needed > 0 && evidence.silent_jurors >= needed && evidence.silence >= allowed
}

/// How long a silence makes a member suspect: 0.6 s of the 3.2 s that it is allowed.
pub(super) fn suspect_after(allowed: u64) -> u64 {
    allowed / 16 * 3
}

/// How long a case is open before its target may be declared dead, by a node of this health.
pub(super) fn allowed(config: &Config, health: u32) -> u64 {
    config.suspicion + config.suspicion / 4 * u64::from(health)
}

/// How long a silence a member of this patience may keep, in microseconds; a sleeper is not woken before.
pub(super) fn patience(exponent: u8) -> u64 {
    if exponent == 0 { 0 } else { 1_000_000 << exponent.min(32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: Evidence =
        Evidence { silence: 3_200, allowed: 3_200, silent_jurors: 2, bystanders: 9, claimed: false };

    #[test]
    fn a_member_is_dead_when_it_and_two_who_tried_it_were_silent_long_enough() {
        assert!(is_dead(ENOUGH));
        assert!(!is_dead(Evidence { silence: 3_199, ..ENOUGH }));
        assert!(!is_dead(Evidence { silent_jurors: 1, ..ENOUGH }));
        assert!(!is_dead(Evidence { silent_jurors: 1, silence: 9_599, ..ENOUGH }));
        assert!(is_dead(Evidence { silent_jurors: 1, silence: 9_600, ..ENOUGH }), "where most have died");
        assert!(!is_dead(Evidence { silent_jurors: 0, silence: u64::MAX, ..ENOUGH }), "never on one word");
    }

    #[test]
    fn of_three_one_bystander_suffices_and_of_two_nobody_declares() {
        assert!(is_dead(Evidence { bystanders: 1, silent_jurors: 1, ..ENOUGH }));
        assert!(!is_dead(Evidence { bystanders: 0, silent_jurors: 0, silence: u64::MAX, ..ENOUGH }));
    }

    #[test]
    fn a_claim_of_others_is_confirmed_by_half_the_silence() {
        let claimed = Evidence { claimed: true, ..ENOUGH };
        assert!(is_dead(Evidence { silence: 1_600, ..claimed }));
        assert!(!is_dead(Evidence { silence: 1_599, ..claimed }));
        assert!(!is_dead(Evidence { silence: 3_200, silent_jurors: 1, ..claimed }), "on the word of two, as any");
    }

    #[test]
    fn bad_health_lengthens_what_is_allowed() {
        assert_eq!(allowed(&Config::LAN, 0), 3_200_000);
        assert_eq!(allowed(&Config::LAN, 4), 6_400_000);
        assert_eq!((patience(0), patience(7)), (0, 128_000_000));
    }
}
