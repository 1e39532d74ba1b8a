//! A case: a member that has not answered, what is done to get an answer, and what its silence comes to.

use heapless::Vec;

use super::{JURORS, PANEL};
use crate::config::Config;
use crate::context::Context;
use crate::member::{Address, Certificate, Member, NodeId, Status};
use crate::rng::Rng;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::Word;

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
    /// How many of the tries the host did not take, or were made before the schedule was last begun.
    void: u16,
    /// The last of those that the host did not take.
    refused: u16,
}

impl Tries {
    pub(super) fn begin(number: u32, now: Instant) -> Self {
        Tries { number, count: 0, step: 0, last: now, next: now, owed: false, void: 0, refused: 0 }
    }

    /// Begins the schedule anew at `from`, as if nothing had been tried.
    fn rearm(&mut self, from: Instant) {
        (self.step, self.next, self.owed, self.void) = (0, from, false, self.count);
    }

    /// The host did not take the latest try. Whether none has been made then.
    pub(super) fn not_sent(&mut self) -> bool {
        if self.refused != self.count {
            (self.refused, self.void) = (self.count, self.void.saturating_add(1));
        }
        self.made() == 0
    }

    /// How many tries have been made.
    pub(super) fn made(&self) -> u16 {
        self.count.saturating_sub(self.void)
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
    /// What it says.
    pub(super) word: Option<Word>,
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
    pub(super) jurors: Vec<Juror, PANEL>,
    /// How many jurors have said so far that they hear nothing either, to this question and to those before.
    pub(super) silent: u8,
    /// One of many who were asked has heard it, and no other: it may lie.
    pub(super) contested: bool,
    /// Others hear the target. It lives; what remains to be seen is whether it answers this node too.
    pub(super) vouched: bool,
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
        self.tries.rearm(from);
        self.jurors.clear();
        (self.silent, self.contested, self.vouched) = (0, false, false);
        self.next_jury = from.after(6 * unit);
    }

    /// Puts the question to members chosen anew, under a new number: the first time to three, after six gaps. Then at five
    /// eighths of what the target is allowed, so that the answers are there when it is up: to many, if the silence is to be
    /// looked into widely, and else to three again. A node that does not reach everybody begins a little earlier, as it needs
    /// the answers of two such juries.
    pub(super) fn ask_others<A: Address, S: Storage>(
        &mut self,
        allowed: u64,
        around: Around,
        cx: &mut Context<'_, A, S>,
    ) {
        // What others claim is settled at half of the time, by the first three.
        let widely = !around.crowd && self.claim.is_none();
        let (begin, gap) = match around {
            _ if !widely => (allowed / 8 * 5, allowed / 2),
            Around { partial: true, .. } => (allowed / 2, allowed / 8 * 3),
            _ => (allowed / 4 * 3, allowed / 4 * 3),
        };
        let later = self.opened.after(begin);
        let first = cx.now < later;
        self.next_jury = if first { later } else { cx.now.after(gap + around.slack) };
        // No question has the number 0.
        (self.question, self.asked) = (cx.rng.next_u32() | 1, cx.now);
        self.jurors.clear();
        let count = if widely && !first { PANEL } else { JURORS };
        // Whom the target probes every second period, and so has heard it if anybody has; the others at random.
        let successor = cx.members.next_live(cx.members.place(self.target));
        for at in 0..count {
            let (target, jurors) = (self.target, &self.jurors);
            let fresh = |member: &Member<A>| {
                member.id() != target && !jurors.iter().any(|juror: &Juror| juror.id == member.id())
            };
            let excused = |member: &Member<A>| {
                let index = cx.members.find(member.id());
                index.is_some_and(|index| cx.members.is_excused(index))
            };
            // Whoever is silent itself, was never heard or may be asleep is a poor witness.
            let awake = |member: &Member<A>| {
                let awake = member.status() == Status::Alive && member.record.patience == 0;
                awake && fresh(member) && !excused(member)
            };
            let sound = |member: &Member<A>| {
                let heard = || cx.members.find(member.id()).is_some_and(|index| cx.members.is_heard(index));
                awake(member) && heard()
            };
            let next = successor.filter(|index| at == 0 && cx.members.member(*index).is_some_and(|it| awake(&it)));
            let chosen = next.or_else(|| cx.members.random_live(cx.rng, sound));
            // What the first three are is chosen at random even where nobody is a good witness; more of those prove nothing.
            let any = |rng: &mut Rng| if at < JURORS { cx.members.random_live(rng, fresh) } else { None };
            let chosen = chosen.or_else(|| any(cx.rng));
            let Some(member) = chosen.and_then(|index| cx.members.member(index)) else { return };
            cx.stats.questions = cx.stats.questions.wrapping_add(1);
            let _ = self.jurors.push(Juror { id: member.id(), word: None, owed: true });
        }
    }

    /// Whether its target has not even been silent for long enough to be suspected.
    pub(super) fn is_young(&self, allowed: u64, now: Instant) -> bool {
        now.since(self.opened) < suspect_after(allowed)
    }

    /// Takes note of what a juror says.
    pub(super) fn note(&mut self, place: usize, word: Word) {
        let Some(juror) = self.jurors.get_mut(place) else { return };
        juror.owed = false;
        if word == Word::Silent && juror.word.is_none() {
            self.silent = self.silent.saturating_add(1);
        }
        // Who has heard it has heard it, whatever else it says.
        if juror.word != Some(Word::Heard) {
            juror.word = Some(word);
        }
        self.contested |= word == Word::Heard;
    }

    /// Whether the question is put to many.
    pub(super) fn asks_many(&self) -> bool {
        self.jurors.len() > JURORS
    }

    /// Whether jurors hear the target. Of many two must, or the first: with twelve of sixteen asked about each crash, one liar
    /// would hide them all.
    pub(super) fn is_heard(&self) -> bool {
        let mut heard = self.jurors.iter().map(|juror| juror.word == Some(Word::Heard));
        let enough = if self.asks_many() { 2 } else { 1 };
        heard.next() == Some(true) || heard.filter(|heard| *heard).count() >= enough
    }

    /// The jurors who have not even answered, once they should have: each takes its time, and its answer a round trip. Nobody,
    /// if one has answered: what the others said was lost.
    pub(super) fn mute_jurors(&self, now: Instant, config: &Config) -> impl Iterator<Item = NodeId> {
        let due = now.since(self.asked) >= config.suspicion / 8 * 3;
        let none = !self.jurors.iter().any(|juror| juror.word.is_some());
        self.jurors.iter().filter(move |_| due && none).map(|juror| juror.id)
    }

    /// Brings the next try forward to the time when a verdict is first due; later verdicts come with the tries.
    pub(super) fn meet_verdict(&mut self, allowed: u64, now: Instant) {
        let verdict = self.opened.after(if self.claim.is_some() { allowed / 2 } else { allowed });
        if verdict > now {
            self.tries.next = self.tries.next.min(verdict);
        }
    }

    pub(super) fn evidence(&self, allowed: u64, now: Instant, around: Around) -> Evidence {
        Evidence {
            silence: now.since(self.opened),
            allowed,
            silent_jurors: self.witnesses(allowed + around.slack, now).count() as u32,
            silent_so_far: self.silent.into(),
            contested: self.contested,
            around,
            claimed: self.claim.is_some(),
        }
    }

    /// The jurors who say freshly that they hear nothing either.
    fn witnesses(&self, allowed: u64, now: Instant) -> impl Iterator<Item = NodeId> {
        let fresh = now.since(self.asked) <= allowed / 4 * 3;
        self.jurors.iter().filter(move |juror| fresh && juror.word == Some(Word::Silent)).map(|juror| juror.id)
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
    /// The same of all questions of this case.
    pub(super) silent_so_far: u32,
    /// A single juror of many has heard it.
    pub(super) contested: bool,
    pub(super) around: Around,
    /// Another member holds it dead.
    pub(super) claimed: bool,
}

/// What else weighs in a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Around {
    /// Living members besides this node and the silent one.
    pub(super) bystanders: u32,
    /// How many of them this node has heard itself: others, who may be made up, are no witnesses.
    pub(super) jurors: u32,
    /// Many are silent at once: to ask many about each would drown those who are left.
    pub(super) crowd: bool,
    /// Others have lately heard members whom this node could not reach.
    pub(super) partial: bool,
    /// How much longer answers take where callers come round slowly.
    pub(super) slack: u64,
}

/// How many silent answers a verdict takes in all, where not too many are silent at once: most of the fifteen whom a case asks.
const MANY: u32 = 11;
/// The same for a node that is known not to reach everybody.
const PARTIAL: u32 = 24;

/// Whether a silent member is dead. With nobody to ask, a crash and a cut look the same: of the last two members that is not
/// decided here.
///
/// Two silent jurors may stand where this node stands, on this side of a link that is cut, so nearly all who are asked in the
/// time must be silent, and they are many. That nobody of fifteen hears a member whom a third of the network reaches, and
/// eleven say so, comes to pass once in ten thousand times; a node that could not reach members whom others heard asks still
/// more. A single one of many who hears it may lie: it takes more to outvote it.
pub(super) fn is_dead(evidence: Evidence) -> bool {
    let Evidence { silence, allowed, contested, around, .. } = evidence;
    // The silence that another has seen counts too; the witnesses must be this node's own.
    let least = if evidence.claimed { allowed / 2 } else { allowed };
    let long = if around.partial { 12 } else { 3 };
    // Where most have died, two who answer may not be found: then one is enough, after thrice the silence.
    let most_died = silence >= long * allowed;
    let needed = around.bystanders.min(if most_died { 1 } else { 2 });
    let in_all = match around {
        _ if most_died || evidence.claimed => 0,
        Around { crowd: true, .. } => 0,
        // In a small cluster one who hears it is soon found.
        Around { partial, jurors, .. } => (jurors + 1).min(if partial || contested { PARTIAL } else { MANY }),
    };
    needed > 0 && evidence.silent_jurors >= needed && evidence.silent_so_far >= in_all && silence >= least
}

/// How long a member that others hear is tried, before this node takes note that it does not reach it: 1.6 s of 3.2 s.
pub(super) fn unreached_after(allowed: u64) -> u64 {
    allowed / 2
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

    const AROUND: Around = Around { bystanders: 40, jurors: 40, crowd: false, partial: false, slack: 0 };
    const ENOUGH: Evidence = Evidence {
        silence: 3_200,
        allowed: 3_200,
        silent_jurors: 7,
        silent_so_far: 11,
        contested: false,
        around: AROUND,
        claimed: false,
    };

    #[test]
    fn a_member_is_dead_when_it_and_all_who_tried_it_were_silent_long_enough() {
        assert!(is_dead(ENOUGH));
        assert!(!is_dead(Evidence { silence: 3_199, ..ENOUGH }));
        assert!(!is_dead(Evidence { silent_so_far: 10, ..ENOUGH }));
        assert!(!is_dead(Evidence { silent_jurors: 1, ..ENOUGH }), "those before are no witnesses");
        assert!(!is_dead(Evidence { silent_jurors: 1, silence: 9_599, ..ENOUGH }));
        let few = Evidence { silent_jurors: 1, silent_so_far: 1, silence: 9_600, ..ENOUGH };
        assert!(is_dead(few), "where most have died");
        assert!(!is_dead(Evidence { silent_jurors: 0, silence: u64::MAX, ..ENOUGH }), "never on one word");
    }

    #[test]
    fn a_node_that_does_not_reach_everybody_asks_more_and_one_among_many_dead_asks_less() {
        let partial = Evidence { around: Around { partial: true, ..AROUND }, ..ENOUGH };
        assert!(!is_dead(Evidence { silent_so_far: 23, ..partial }));
        assert!(is_dead(Evidence { silent_so_far: 24, ..partial }));
        assert!(!is_dead(Evidence { silence: 38_399, ..partial }));
        assert!(is_dead(Evidence { silence: 38_400, ..partial }));
        let crowd = Evidence { around: Around { crowd: true, ..AROUND }, ..ENOUGH };
        assert!(is_dead(Evidence { silent_jurors: 2, silent_so_far: 2, ..crowd }));
        assert!(!is_dead(Evidence { silent_jurors: 1, silent_so_far: 2, ..crowd }));
    }

    #[test]
    fn one_of_many_who_hears_a_member_takes_another_jury_to_outvote() {
        let contested = Evidence { contested: true, ..ENOUGH };
        assert!(!is_dead(Evidence { silent_so_far: 23, ..contested }));
        assert!(is_dead(Evidence { silent_so_far: 24, ..contested }));
    }

    fn jury(words: &[Option<Word>]) -> Case {
        let juror = |(id, word): (u64, &Option<Word>)| Juror { id: NodeId::new(id), word: *word, owed: false };
        let jurors = (1..).zip(words).map(juror).collect();
        let (now, target) = (Instant::ZERO, NodeId::new(100));
        Case {
            target,
            tag: 0,
            opened: now,
            tries: Tries::begin(0, now),
            question: 1,
            asked: now,
            jurors,
            silent: 0,
            contested: false,
            vouched: false,
            next_jury: now,
            claim: None,
        }
    }

    #[test]
    fn a_member_is_heard_by_one_of_few_or_by_two_of_many_or_by_the_first_of_all() {
        let heard = Some(Word::Heard);
        assert!(!jury(&[None; JURORS]).is_heard());
        assert!(jury(&[None, None, heard]).is_heard());
        let mut many = [Some(Word::Silent); PANEL];
        many[PANEL - 1] = heard;
        assert!(!jury(&many).is_heard(), "it may lie");
        many[4] = heard;
        assert!(jury(&many).is_heard());
        let mut first = [None; PANEL];
        first[0] = heard;
        assert!(jury(&first).is_heard(), "whom the target itself probes");
    }

    #[test]
    fn a_juror_that_says_the_same_twice_counts_once() {
        let mut case = jury(&[None; PANEL]);
        (0..3).for_each(|_| case.note(2, Word::Silent));
        assert_eq!(case.silent, 1);
        case.note(2, Word::Heard);
        assert!(case.contested);
    }

    #[test]
    fn of_three_one_bystander_suffices_and_of_two_nobody_declares() {
        let around = Around { bystanders: 1, jurors: 1, ..AROUND };
        assert!(is_dead(Evidence { around, silent_jurors: 1, silent_so_far: 2, ..ENOUGH }));
        let around = Around { bystanders: 0, jurors: 0, ..AROUND };
        assert!(!is_dead(Evidence { around, silent_jurors: 0, silence: u64::MAX, ..ENOUGH }));
    }

    #[test]
    fn a_claim_of_others_is_confirmed_by_half_the_silence() {
        let claimed = Evidence { claimed: true, silent_jurors: 2, silent_so_far: 2, ..ENOUGH };
        assert!(is_dead(Evidence { silence: 1_600, ..claimed }));
        assert!(!is_dead(Evidence { silence: 1_599, ..claimed }));
        assert!(!is_dead(Evidence { silence: 3_200, silent_jurors: 1, ..claimed }), "on the word of two, as any");
    }

    #[test]
    fn a_verdict_takes_no_more_answers_than_there_are_members_to_give_them_and_one() {
        let around = Around { bystanders: 40, jurors: 5, ..AROUND };
        assert!(is_dead(Evidence { around, silent_jurors: 5, silent_so_far: 6, ..ENOUGH }));
        assert!(!is_dead(Evidence { around, silent_jurors: 5, silent_so_far: 5, ..ENOUGH }));
    }

    #[test]
    fn bad_health_lengthens_what_is_allowed() {
        assert_eq!(allowed(&Config::LAN, 0), 3_200_000);
        assert_eq!(allowed(&Config::LAN, 4), 6_400_000);
        assert_eq!((patience(0), patience(7)), (0, 128_000_000));
    }
}
