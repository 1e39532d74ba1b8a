//! A case: a member that has not answered, what is done to get an answer, and what its silence comes to.

use heapless::Vec;

use super::verdict::{Around, Evidence};
use super::{JURORS, PANEL};
use crate::ask::{Ask, Schedule};
use crate::config::Config;
use crate::member::{Address, Certificate, Member, NodeId, Status};
use crate::members::Members;
use crate::node_core::Core;
use crate::rng::Rng;
use crate::storage::{Storage, must_fit};
use crate::time::Instant;
use crate::wire::Word;

/// A series of tries to get one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tries {
    /// Its number is that of the first try; the k-th carries this plus k, so that an answer names its try (Karn's problem).
    pub(super) ask: Ask,
    pub(super) count: u16,
    pub(super) last: Instant,
    /// How many of the tries the host did not take, or were made before the schedule was last begun.
    void: u16,
    /// The last of those that the host did not take.
    refused: u16,
}

impl Tries {
    pub(super) fn begin(number: u32, now: Instant) -> Self {
        Tries { ask: Ask::new(number, now), count: 0, last: now, void: 0, refused: 0 }
    }

    /// Begins the schedule anew at `from`, as if nothing had been tried.
    fn rearm(&mut self, from: Instant) {
        self.ask.restart(from);
        self.void = self.count;
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

    /// Makes the due try, and sets the time of the next.
    pub(super) fn tick(&mut self, now: Instant, unit: u64, config: &Config) -> bool {
        let due = self.ask.is_due(now);
        if due {
            self.ask.repeat(Schedule::probe(unit, config), now);
            (self.last, self.count) = (now, self.count.saturating_add(1));
        }
        due
    }

    /// The number of the latest try.
    pub(super) fn current(&self) -> u32 {
        self.ask.number.wrapping_add(u32::from(self.count).saturating_sub(1))
    }

    pub(super) fn asked(&self, number: u32) -> bool {
        number.wrapping_sub(self.ask.number) < u32::from(self.count)
    }

    /// The round trip that an answer to this number shows, if its try was the last, or the first of those since
    /// `opened`; the times of others are not kept.
    pub(super) fn round_trip(&self, number: u32, opened: Instant, now: Instant) -> Option<u64> {
        if number == self.current() {
            return Some(now.since(self.last));
        }
        let never_rearmed = u16::from(self.ask.tries) == self.count;
        (number == self.ask.number && never_rearmed).then(|| now.since(opened))
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
    /// How many have not answered the questions before this, though they live.
    pub(super) missing: u8,
    /// The first juror who has heard it, be it to this question or to one before: a single one may lie.
    pub(super) heard_by: Option<NodeId>,
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
        (self.silent, self.missing, self.heard_by, self.vouched) = (0, 0, None, false);
        self.next_jury = from.after(6 * unit);
    }

    /// Puts the question to members chosen anew, under a new number: the first time to three, after six gaps. Then at five
    /// eighths of what the target is allowed, so that the answers are there when it is up: to many, if the silence is to be
    /// looked into widely, and else to three again. A node that does not reach everybody begins a little earlier, as it needs
    /// the answers of two such juries.
    pub(super) fn ask_others<A: Address, S: Storage>(&mut self, allowed: u64, around: Around, core: &mut Core<A, S>) {
        // What others claim is settled at half of the time, by three.
        let widely = !around.crowd && self.claim.is_none();
        let (begin, gap) = match around {
            // Sooner, or one lost datagram would put it off by a suspicion.
            _ if self.claim.is_some() => (allowed / 4, allowed / 4),
            _ if !widely => (allowed / 8 * 5, allowed / 2),
            Around { partial: true, .. } => (allowed / 2, allowed / 8 * 3),
            _ => (allowed / 4 * 3, allowed / 4 * 3),
        };
        let later = self.opened.after(begin);
        let first = core.now < later;
        self.next_jury = if first { later } else { core.now.after(gap + around.slack) };
        if self.claim.is_some() && self.witnesses(allowed, core.now).count() >= 2 {
            // They are enough, once the time has come.
            return;
        }
        self.missing = self.missing_so_far(&core.members) as u8;
        // No question has the number 0.
        (self.question, self.asked) = (core.rng.next_u32() | 1, core.now);
        self.jurors.clear();
        let again = core.now.since(self.opened) >= allowed;
        let count = if widely && !first { PANEL } else { JURORS };
        // Whom the target probes every second period, and so has heard it if anybody has; the others at random.
        let successor = core.members.next_live(core.members.place(self.target));
        for at in 0..count {
            let (target, jurors) = (self.target, &self.jurors);
            let fresh = |member: &Member<A>| {
                member.id() != target && !jurors.iter().any(|juror: &Juror| juror.id == member.id())
            };
            let awake = |member: &Member<A>| fresh(member) && is_awake(member, &core.members);
            // Asked again, every third of many need never have been heard: a node that has heard few yet has few to choose from,
            // and the same ones have no more to say. Those whom somebody has invented take no more places than these.
            let any_awake = again && at > JURORS && at % 3 == 2;
            let sound = |member: &Member<A>| awake(member) && (any_awake || is_heard(member, &core.members));
            let next = successor.filter(|index| at == 0 && core.members.member(*index).is_some_and(|it| awake(&it)));
            let chosen = next.or_else(|| core.members.random_live(&mut core.rng, sound));
            // What the first three are is chosen at random even where nobody is a good witness; more of those prove nothing.
            let any = |rng: &mut Rng| if at < JURORS { core.members.random_live(rng, fresh) } else { None };
            let chosen = chosen.or_else(|| any(&mut core.rng));
            let Some(member) = chosen.and_then(|index| core.members.member(index)) else { return };
            core.stats.questions = core.stats.questions.wrapping_add(1);
            must_fit(self.jurors.push(Juror { id: member.id(), word: None, owed: true }));
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
        if word == Word::Heard {
            self.heard_by.get_or_insert(juror.id);
        }
    }

    /// Whether the question is put to many.
    pub(super) fn asks_many(&self) -> bool {
        self.jurors.len() > JURORS
    }

    /// Whether jurors hear the target. Of many two must, be it to one question or to two, or the first: with twelve of sixteen
    /// asked about each crash, one liar would hide them all.
    pub(super) fn is_heard(&self) -> bool {
        let mut heard = self.jurors.iter().filter(|juror| juror.word == Some(Word::Heard)).map(|juror| juror.id);
        let first = self.jurors.first().map(|juror| juror.id);
        heard.any(|id| !self.asks_many() || first == Some(id) || self.heard_by != Some(id))
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
            self.tries.ask.next = self.tries.ask.next.min(verdict);
        }
    }

    /// How many jurors who live have answered neither this question nor, so often, those before. Nothing is expected of
    /// whoever may be made up, or is silent itself.
    fn missing_so_far<A: Address, S: Storage>(&self, members: &Members<A, S>) -> u32 {
        let expected = |id| {
            let member = members.find(id).and_then(|index| members.member(index));
            member.is_some_and(|member| is_awake(&member, members) && is_heard(&member, members))
        };
        let mute = self.jurors.iter().filter(|juror| juror.word.is_none() && expected(juror.id));
        u32::from(self.missing) + mute.count() as u32
    }

    pub(super) fn evidence<A: Address, S: Storage>(
        &self,
        allowed: u64,
        now: Instant,
        around: Around,
        members: &Members<A, S>,
    ) -> Evidence {
        Evidence {
            silence: now.since(self.opened),
            allowed,
            silent_jurors: self.witnesses(allowed + around.slack, now).count() as u32,
            silent_so_far: self.silent.into(),
            missing: self.missing_so_far(members),
            contested: self.heard_by.is_some(),
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

/// Whether a member can bear witness now: whoever is silent itself or may be asleep is a poor one.
fn is_awake<A: Address, S: Storage>(member: &Member<A>, members: &Members<A, S>) -> bool {
    let excused = members.find(member.id()).is_some_and(|index| members.is_excused(index));
    member.status() == Status::Alive && member.record.patience == 0 && !excused
}

/// Whether this node has heard it: others may have made it up.
fn is_heard<A: Address, S: Storage>(member: &Member<A>, members: &Members<A, S>) -> bool {
    members.find(member.id()).is_some_and(|index| members.is_heard(index))
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
            missing: 0,
            heard_by: None,
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
        let mut many = jury(&[None; PANEL]);
        many.note(PANEL - 1, Word::Heard);
        assert!(!many.is_heard(), "it may lie");
        let mut again = many.clone();
        again.jurors.iter_mut().for_each(|juror| juror.word = None);
        again.note(PANEL - 1, Word::Heard);
        assert!(!again.is_heard(), "it has only said it twice");
        again.note(4, Word::Heard);
        assert!(again.is_heard(), "another says so later");
        many.note(4, Word::Heard);
        assert!(many.is_heard());
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
        assert_eq!(case.heard_by, Some(NodeId::new(3)));
    }

    #[test]
    fn bad_health_lengthens_what_is_allowed() {
        assert_eq!(allowed(&Config::LAN, 0), 3_200_000);
        assert_eq!(allowed(&Config::LAN, 4), 6_400_000);
        assert_eq!((patience(0), patience(7)), (0, 128_000_000));
    }
}
