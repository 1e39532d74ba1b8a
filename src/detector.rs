//! Failure detection: whom to probe and when, whom to ask, when silence is death, and whether the silence is ours.
//!
//! SWIM (Das, Gupta, Motivala 2002) with Lifeguard's idea (Dadgar, Phillips, Currey 2018) that one's own health
//! weighs in every verdict. The departures:
//!
//! | the papers | here | because |
//! |---|---|---|
//! | one ping a period, then indirect pings | a ping is repeated at doubling gaps from the measured round trip on before anyone else is asked, and all along | a lost datagram is not a dead member |
//! | members are probed in shuffled order | alternately the prober's successor in id order and the next of a shuffled ring | the shuffled order alone has an exponential tail to the first probe of a dead member |
//! | a relay forwards a ping | a *juror* probes for itself, repeatedly, and answers "heard" at once or "silent" in time | one mechanism for indirect pings, nacks and second opinions |
//! | suspicion is gossiped, and members wait for a refutation | suspicion is local; what travels is Down | bytes for published suspicion grow with the cluster |
//! | a suspected member is declared dead after a time that grows with log n | after a fixed silence, if jurors who tried for themselves were silent too | a verdict rests on answers to the prober's own question, not on the lack of a rumour |
//! | timeouts grow when nacks are missing | and when a tick is late: the open cases then begin anew | a stalled node has nothing to say about others |
//! | | a node that nobody answers is *isolated* and judges nobody | the cut-off side of a partition does not condemn the rest |

use heapless::Vec;

use crate::config::Config;
use crate::context::Context;
use crate::event::{DropReason, WakeReason};
use crate::member::{Address, Liveness, Member, NodeId, Record, Status};
use crate::members::{Index, Members};
use crate::storage::Storage;
use crate::time::Instant;

/// The most members probed at once.
pub(crate) const CASES: usize = 8;
/// The most of them that may be opened because of what others claim.
const CLAIMS: usize = CASES / 2;
/// The most probes on behalf of others at once.
const ERRANDS: usize = 8;
/// How many are asked at a time.
const JURORS: usize = 3;
/// The worst own health; timeouts are then nine times as long.
const WORST_HEALTH: u32 = 8;

/// A series of tries to get one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tries {
    /// The number of the first try; the k-th carries this plus k, so that an answer names its try (Karn's problem).
    number: u32,
    count: u16,
    /// Tries since the schedule was last begun.
    step: u8,
    last: Instant,
    next: Instant,
    /// A ping waits to be sent.
    owed: bool,
}

impl Tries {
    fn begin(number: u32, now: Instant) -> Self {
        Tries { number, count: 0, step: 0, last: now, next: now, owed: false }
    }

    /// Makes the due try, and sets the time of the next: gaps double from `unit` up to a quarter of the probe period.
    fn tick(&mut self, now: Instant, unit: u64, config: &Config) -> bool {
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
    fn current(&self) -> u32 {
        self.number.wrapping_add(u32::from(self.count).saturating_sub(1))
    }

    fn asked(&self, number: u32) -> bool {
        number.wrapping_sub(self.number) < u32::from(self.count)
    }

    /// The round trip that an answer to this number shows, if its try was the last, or the first of those since
    /// `opened`; the times of others are not kept.
    fn round_trip(&self, number: u32, opened: Instant, now: Instant) -> Option<u64> {
        if number == self.current() {
            return Some(now.since(self.last));
        }
        let never_rearmed = u16::from(self.step) == self.count;
        (number == self.number && never_rearmed).then(|| now.since(opened))
    }
}

/// A member who was asked for a second opinion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Juror {
    id: NodeId,
    silent_since: Option<Instant>,
    owed: bool,
}

/// A member that has not yet answered its probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Case {
    target: NodeId,
    tag: u32,
    opened: Instant,
    tries: Tries,
    question: u32,
    asked: Instant,
    jurors: Vec<Juror, JURORS>,
    next_jury: Instant,
    /// Others hold the target dead at this incarnation; it is told, and its silence confirms them.
    claim: Option<u32>,
}

/// A probe on behalf of another member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Errand<A> {
    asker: NodeId,
    asker_tag: u32,
    asker_addr: A,
    question: u32,
    target: NodeId,
    begun: Instant,
    tries: Tries,
    heard: Option<bool>,
    owed: bool,
}

/// What there is to decide a case by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    /// Since the first unanswered try.
    pub(crate) silence: u64,
    /// What the member is allowed.
    pub(crate) allowed: u64,
    /// Jurors whose answer to the present question is fresh and says that they hear nothing either.
    pub(crate) silent_jurors: u32,
    /// Living members besides this node and the silent one.
    pub(crate) bystanders: u32,
    /// Another member holds it dead.
    pub(crate) claimed: bool,
}

/// Whether a silent member is dead. With nobody to ask, a crash and a cut look the same, so of two members neither
/// ever declares the other.
pub(crate) fn is_dead(evidence: Evidence) -> bool {
    if evidence.claimed && evidence.silence >= evidence.allowed / 2 {
        return true;
    }
    // Where most have died, two who answer may not be found: then one is enough, after thrice the silence.
    let enough = if evidence.silence >= 3 * evidence.allowed { 1 } else { 2 };
    let needed = evidence.bystanders.min(enough);
    needed > 0 && evidence.silent_jurors >= needed && evidence.silence >= evidence.allowed
}

/// The smoothed round trip over all members, in microseconds (Jacobson 1988).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct RoundTrip {
    smoothed: u32,
    deviation: u32,
}

impl RoundTrip {
    fn sample(&mut self, micros: u64) {
        // An hour is the longest that can be asked for; the sums below stay far from overflowing.
        let sample = micros.min(1 << 28) as u32;
        if self.smoothed == 0 {
            (self.smoothed, self.deviation) = (sample, sample / 2);
            return;
        }
        self.deviation = self.deviation - self.deviation / 4 + self.smoothed.abs_diff(sample) / 4;
        self.smoothed = self.smoothed - self.smoothed / 8 + sample / 8;
    }

    fn timeout(&self) -> u64 {
        u64::from(self.smoothed) + 4 * u64::from(self.deviation)
    }
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe<A> {
    /// A ping, with the accusation if there is one.
    Ping { target: NodeId, number: u32, claim: Option<u32> },
    /// A question to a juror.
    Ask { juror: NodeId, question: u32, target: NodeId },
    /// An answer to somebody who asked us.
    Verdict { to: A, tag: u32, question: u32, target: NodeId, heard: bool },
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Yes,
    Unasked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Detector<A> {
    next_probe: Instant,
    /// Whether the last probe was of the successor.
    successor: bool,
    ring: (u32, u64),
    cases: Vec<Case, CASES>,
    errands: Vec<Errand<A>, ERRANDS>,
    round_trip: RoundTrip,
    health: u32,
    /// Members that were asked and have not answered, since anybody last did.
    unanswered: Vec<NodeId, JURORS>,
    pub(crate) isolated: bool,
}

impl<A: Address> Detector<A> {
    pub(crate) const NEW: Self = Detector {
        next_probe: Instant::ZERO,
        successor: false,
        ring: (u32::MAX, 0),
        cases: Vec::new(),
        errands: Vec::new(),
        round_trip: RoundTrip { smoothed: 0, deviation: 0 },
        health: 0,
        unanswered: Vec::new(),
        isolated: false,
    };

    /// Begins a life; the first probe comes at a random part of the period, so that nodes started together do not
    /// probe together.
    pub(crate) fn start<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) {
        *self = Self::NEW;
        self.next_probe = cx.now.after(scaled(cx.config.probe_period, cx.rng.next_u32()));
    }

    /// The next deadline and what it is for.
    pub(crate) fn due<S: Storage>(&self, members: &Members<A, S>, config: &Config) -> (Instant, WakeReason) {
        let mut due = (Instant::FAR_FUTURE, WakeReason::Idle);
        let mut sooner = |at: Instant, reason| {
            if at < due.0 {
                due = (at, reason);
            }
        };
        if members.others() > 0 {
            sooner(self.next_probe, WakeReason::Probe);
        }
        if !self.isolated {
            for case in &self.cases {
                sooner(case.tries.next.min(case.next_jury), WakeReason::Retry);
            }
        }
        for errand in &self.errands {
            sooner(errand.due(config), WakeReason::Errand);
        }
        due
    }

    /// The caller came late: what seemed silence may wait in its socket. Every open case begins anew, questions of
    /// others are dropped, and the own health worsens (law 3).
    pub(crate) fn forgive(&mut self, now: Instant) {
        for case in &mut self.cases {
            case.rearm(now);
        }
        self.errands.clear();
        self.unanswered.clear();
        self.worsen();
    }

    /// The tries towards this address were not really made.
    pub(crate) fn not_sent<S: Storage>(&mut self, to: A, now: Instant, members: &Members<A, S>) {
        for case in &mut self.cases {
            if members.find_record(case.target).is_some_and(|record| record.addr == to) {
                case.rearm(now);
            }
        }
        let there = |id: NodeId| members.find_record(id).is_some_and(|record| record.addr == to);
        self.errands.retain(|errand| !there(errand.target));
    }

    /// The settings have changed: no deadline of the old ones is longer than the new.
    pub(crate) fn hurry(&mut self, now: Instant, config: &Config) {
        self.next_probe = self.next_probe.min(now.after(config.probe_period));
    }

    pub(crate) fn worsen(&mut self) {
        self.health = (self.health + 1).min(WORST_HEALTH);
    }

    /// The first gap between tries: the measured round trip with its spread, longer while the own health is bad.
    fn unit(&self, config: &Config) -> u64 {
        let unit = config.first_retry.max(self.round_trip.timeout());
        (unit * u64::from(1 + self.health)).min(config.probe_period / 4)
    }

    /// How long a silence a member is allowed at this node's present health.
    fn allowed_for<S: Storage>(&self, target: NodeId, members: &Members<A, S>, config: &Config) -> u64 {
        let patience = members.find_record(target).map_or(0, |record| record.patience);
        allowed(config, patience, self.health)
    }

    // What time brings.

    /// Does what is due. Returns a member to declare dead, if there is one; call again until there is none.
    pub(crate) fn tick<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) -> Option<Index> {
        if cx.now >= self.next_probe {
            self.begin_probe(cx);
        }
        self.tick_errands(cx);
        if self.isolated {
            return None;
        }
        self.close_settled(cx);
        let unit = self.unit(cx.config);
        for at in 0..self.cases.len() {
            self.tick_case(at, unit, cx);
        }
        self.judge_isolation(cx);
        self.verdict(cx)
    }

    fn begin_probe<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) {
        // A late tick is not caught up with.
        let next = self.next_probe.after(cx.config.probe_period);
        self.next_probe = if next > cx.now { next } else { cx.now.after(cx.config.probe_period) };
        if self.isolated {
            self.drop_cases(cx);
        }
        let Some(target) = self.next_target(cx) else { return };
        cx.stats.probes = cx.stats.probes.wrapping_add(1);
        self.open_case(target, None, cx);
        if self.isolated {
            // One ping a period, and no more: nobody else is bothered by a node that is cut off.
            for case in &mut self.cases {
                case.tries.tick(cx.now, cx.config.probe_period, cx.config);
            }
        }
    }

    /// Gives up the cases that have had their time; their targets are suspected, and not more, until they are heard.
    fn drop_cases<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) {
        self.close_settled(cx);
        let health = self.health;
        self.cases.retain(|case| {
            let Some(index) = cx.members.find(case.target) else { return false };
            let patience = cx.members.get(index).map_or(0, |record| record.patience);
            let young = cx.now.since(case.opened) < suspect_after(allowed(cx.config, patience, health));
            if !young {
                cx.members.suspect(index, true);
            }
            young
        });
    }

    /// Alternately this node's successor in id order, so that everybody is probed every second period by its
    /// predecessor at least, and the next of a ring that is shuffled anew each time round. Members with an open case
    /// are passed over.
    fn next_target<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) -> Option<NodeId> {
        self.successor = !self.successor;
        let mut place = cx.members.myself().map_or(0, |myself| cx.members.place(myself.id));
        for _ in 0..=CASES {
            let index = if self.successor { cx.members.next_live(place) } else { self.next_of_ring(cx) };
            let id = index.and_then(|index| cx.members.get(index)).map(|record| record.id)?;
            if !self.doubts(id) {
                return Some(id);
            }
            place = cx.members.place(id);
        }
        None
    }

    fn next_of_ring<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) -> Option<Index> {
        for _ in 0..4 {
            if self.ring.0 >= cx.members.ring_len() {
                self.ring = (0, cx.rng.next_u64());
            }
            let (found, next) = cx.members.next_shuffled(self.ring.0, self.ring.1);
            self.ring.0 = next;
            if found.is_some() {
                return found;
            }
        }
        cx.members.random_live(cx.rng, |_| true)
    }

    fn open_case<S: Storage>(&mut self, target: NodeId, claim: Option<u32>, cx: &mut Context<'_, A, S>) -> bool {
        let Some(tag) = cx.members.find_record(target).map(Record::tag) else { return false };
        let tries = Tries::begin(cx.rng.next_u32(), cx.now);
        let case = Case {
            target,
            tag,
            opened: cx.now,
            tries,
            question: 0,
            asked: cx.now,
            jurors: Vec::new(),
            next_jury: cx.now.after(6 * self.unit(cx.config)),
            claim,
        };
        self.cases.push(case).is_ok()
    }

    fn tick_case<S: Storage>(&mut self, at: usize, unit: u64, cx: &mut Context<'_, A, S>) {
        let allowed = self.cases.get(at).map_or(0, |case| self.allowed_for(case.target, cx.members, cx.config));
        let Some(case) = self.cases.get_mut(at) else { return };
        if case.tries.tick(cx.now, unit, cx.config) {
            cx.stats.retries = cx.stats.retries.wrapping_add(u64::from(case.tries.count > 1));
            for juror in case.jurors.iter_mut().filter(|juror| juror.silent_since.is_none()) {
                juror.owed = true;
            }
            case.meet_verdict(allowed, cx.now);
        }
        if cx.now >= case.next_jury {
            case.ask_others(allowed, cx);
        }
        if cx.now.since(case.opened) >= suspect_after(allowed)
            && let Some(index) = cx.members.find(case.target)
            && cx.members.suspect(index, true)
        {
            cx.stats.suspicions = cx.stats.suspicions.wrapping_add(1);
        }
    }

    fn verdict<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) -> Option<Index> {
        let dead = self.cases.iter().position(|case| {
            let allowed = self.allowed_for(case.target, cx.members, cx.config);
            is_dead(case.evidence(allowed, cx.now, cx.members.others().saturating_sub(1)))
        })?;
        let case = self.cases.swap_remove(dead);
        cx.members.find(case.target)
    }

    /// Drops the cases that what was learned meanwhile has settled.
    fn close_settled<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) {
        self.cases.retain(|case| {
            let record = cx.members.find_record(case.target);
            record.is_some_and(|record| record.liveness == Liveness::Alive && record.tag() == case.tag)
        });
    }

    // Isolation.

    /// Adds those who were asked in vain to those who do not answer, and holds this node for isolated if they are
    /// three, or all there are. Mere silence proves nothing: nobody need have had reason to speak. Nor does that of
    /// members who were silent already while others answered.
    fn judge_isolation<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) {
        for case in &self.cases {
            if cx.now.since(case.opened) < self.allowed_for(case.target, cx.members, cx.config) / 2 {
                continue;
            }
            // A juror takes its time, and its answer a round trip.
            let answers_due = cx.now.since(case.asked) >= cx.config.suspicion / 8 * 3;
            let mute = |juror: &&Juror| answers_due && juror.silent_since.is_none();
            let mute = case.jurors.iter().filter(mute).map(|juror| juror.id);
            for id in core::iter::once(case.target).chain(mute) {
                let excused = cx.members.find(id).is_some_and(|index| cx.members.is_excused(index));
                if !excused && !self.unanswered.contains(&id) {
                    // Full means three, which is enough.
                    let _ = self.unanswered.push(id);
                }
            }
        }
        // If all were silent already, and the last who answered has left, nobody is expected to.
        let others = cx.members.others();
        let expected = others.saturating_sub(cx.members.excused()) as usize;
        if others > 0 && self.unanswered.len() >= expected.min(JURORS) {
            self.isolated = true;
        }
    }

    /// Whether a member's answer is being waited for.
    pub(crate) fn doubts(&self, id: NodeId) -> bool {
        self.cases.iter().any(|case| case.target == id)
    }

    /// Somebody has answered: whoever is silent now is so for itself.
    pub(crate) fn answered<S: Storage>(&mut self, members: &mut Members<A, S>) {
        self.unanswered.clear();
        if core::mem::take(&mut self.isolated) {
            members.absolve();
        }
        for case in &self.cases {
            if let Some(index) = members.find(case.target) {
                members.excuse(index);
            }
        }
    }

    // What others say.

    /// Takes an answer to a ping.
    pub(crate) fn on_ack<S: Storage>(&mut self, from: NodeId, number: u32, cx: &mut Context<'_, A, S>) -> Answered {
        if let Some(at) = self.cases.iter().position(|case| case.target == from && case.tries.asked(number)) {
            let case = self.cases.swap_remove(at);
            if let Some(micros) = case.tries.round_trip(number, case.opened, cx.now) {
                self.round_trip.sample(micros);
            }
            self.health = self.health.saturating_sub(1);
            self.hears(from, cx);
            return Answered::Yes;
        }
        let mut errands = self.errands.iter_mut();
        let Some(errand) = errands.find(|errand| errand.target == from && errand.tries.asked(number)) else {
            return Answered::Unasked;
        };
        if errand.heard.is_none() {
            (errand.heard, errand.owed) = (Some(true), true);
            errand.tries.owed = false;
        }
        self.answered(cx.members);
        Answered::Yes
    }

    fn hears<S: Storage>(&mut self, member: NodeId, cx: &mut Context<'_, A, S>) {
        if let Some(index) = cx.members.find(member) {
            cx.members.suspect(index, false);
        }
        self.answered(cx.members);
    }

    /// Takes a request to probe `target`. False if there is no room for it.
    pub(crate) fn on_ask<S: Storage>(
        &mut self,
        asker: (NodeId, u32, A),
        question: u32,
        target: NodeId,
        cx: &mut Context<'_, A, S>,
    ) -> bool {
        let (asker, asker_tag, asker_addr) = asker;
        let same = |errand: &&mut Errand<A>| errand.asker == asker && errand.question == question;
        if let Some(errand) = self.errands.iter_mut().find(same) {
            errand.owed |= errand.heard.is_some();
            return true;
        }
        let tries = Tries::begin(cx.rng.next_u32(), cx.now);
        let errand =
            Errand { asker, asker_tag, asker_addr, question, target, begun: cx.now, tries, heard: None, owed: false };
        let taken = self.errands.push(errand).is_ok();
        self.tick_errands(cx);
        taken
    }

    fn tick_errands<S: Storage>(&mut self, cx: &mut Context<'_, A, S>) {
        let unit = self.unit(cx.config);
        for errand in &mut self.errands {
            if errand.heard.is_some() {
                continue;
            }
            if cx.now >= errand.begun.after(errand_time(cx.config)) {
                (errand.heard, errand.owed) = (Some(false), true);
                errand.tries.owed = false;
            } else {
                errand.tries.tick(cx.now, unit, cx.config);
            }
        }
        self.errands.retain(|errand| cx.now < errand.begun.after(cx.config.suspicion / 2));
    }

    /// Takes a juror's answer. Only an answer to the present question of the case counts.
    pub(crate) fn on_verdict<S: Storage>(
        &mut self,
        from: NodeId,
        question: u32,
        target: NodeId,
        heard: bool,
        cx: &mut Context<'_, A, S>,
    ) -> Answered {
        let of_question = |case: &Case| case.target == target && case.question == question;
        let Some(at) = self.cases.iter().position(of_question) else { return Answered::Unasked };
        let Some(case) = self.cases.get_mut(at) else { return Answered::Unasked };
        let Some(juror) = case.jurors.iter_mut().find(|juror| juror.id == from) else { return Answered::Unasked };
        juror.owed = false;
        if heard {
            self.cases.swap_remove(at);
            self.hears(target, cx);
        } else {
            juror.silent_since.get_or_insert(cx.now);
            self.answered(cx.members);
        }
        Answered::Yes
    }

    /// Others hold this living member dead at this incarnation: it is told so and probed, and the claim is believed if
    /// it stays silent. False if too many such claims are being checked.
    pub(crate) fn check_claim<S: Storage>(
        &mut self,
        target: NodeId,
        incarnation: u32,
        cx: &mut Context<'_, A, S>,
    ) -> bool {
        if let Some(case) = self.cases.iter_mut().find(|case| case.target == target) {
            case.claim = Some(incarnation);
            return true;
        }
        let claims = self.cases.iter().filter(|case| case.claim.is_some()).count();
        if self.isolated || claims >= CLAIMS || !self.open_case(target, Some(incarnation), cx) {
            return false;
        }
        let unit = self.unit(cx.config);
        self.tick_case(self.cases.len().saturating_sub(1), unit, cx);
        true
    }

    // What is to be sent.

    /// The next thing to send; [`sent`](Self::sent) takes it off the list.
    pub(crate) fn owed(&self) -> Option<Probe<A>> {
        for case in &self.cases {
            if case.tries.owed {
                return Some(Probe::Ping { target: case.target, number: case.tries.current(), claim: case.claim });
            }
            if let Some(juror) = case.jurors.iter().find(|juror| juror.owed) {
                return Some(Probe::Ask { juror: juror.id, question: case.question, target: case.target });
            }
        }
        for errand in &self.errands {
            if errand.tries.owed {
                return Some(Probe::Ping { target: errand.target, number: errand.tries.current(), claim: None });
            }
            if let Some(heard) = errand.heard.filter(|_| errand.owed) {
                let Errand { asker_addr: to, asker_tag: tag, question, target, .. } = *errand;
                return Some(Probe::Verdict { to, tag, question, target, heard });
            }
        }
        None
    }

    pub(crate) fn sent(&mut self, probe: Probe<A>) {
        match probe {
            Probe::Ping { target, number, .. } => {
                let of_cases = self.cases.iter_mut().map(|case| (case.target, &mut case.tries));
                let of_errands = self.errands.iter_mut().map(|errand| (errand.target, &mut errand.tries));
                let mut all = of_cases.chain(of_errands);
                if let Some((_, tries)) = all.find(|(id, tries)| *id == target && tries.current() == number) {
                    tries.owed = false;
                }
            }
            Probe::Ask { juror, question, .. } => {
                let cases = self.cases.iter_mut().filter(|case| case.question == question);
                for asked in cases.flat_map(|case| &mut case.jurors).filter(|asked| asked.id == juror) {
                    asked.owed = false;
                }
            }
            Probe::Verdict { to, question, .. } => {
                let same = |errand: &&mut Errand<A>| errand.asker_addr == to && errand.question == question;
                if let Some(errand) = self.errands.iter_mut().find(same) {
                    errand.owed = false;
                }
            }
        }
    }
}

impl Case {
    fn rearm(&mut self, now: Instant) {
        self.opened = now;
        self.tries.step = 0;
        self.tries.next = now;
        self.jurors.clear();
        self.next_jury = now.after(self.next_jury.since(self.tries.last).max(1));
    }

    /// Puts the question to members chosen anew, under a new number. The first time after six gaps, then at five
    /// eighths of what the target is allowed, so that the answers are fresh when it is up, and then every half.
    fn ask_others<A: Address, S: Storage>(&mut self, allowed: u64, cx: &mut Context<'_, A, S>) {
        let jury_at = self.opened.after(allowed / 8 * 5);
        self.next_jury = if cx.now < jury_at { jury_at } else { cx.now.after(allowed / 2) };
        (self.question, self.asked) = (cx.rng.next_u32(), cx.now);
        self.jurors.clear();
        for _ in 0..JURORS {
            let (target, jurors) = (self.target, &self.jurors);
            let fresh = |member: &Member<A>| {
                member.id() != target && !jurors.iter().any(|juror: &Juror| juror.id == member.id())
            };
            let sound = |member: &Member<A>| fresh(member) && member.status() == Status::Alive;
            let chosen = cx.members.random_live(cx.rng, sound).or_else(|| cx.members.random_live(cx.rng, fresh));
            let Some(member) = chosen.and_then(|index| cx.members.member(index)) else { return };
            cx.stats.questions = cx.stats.questions.wrapping_add(1);
            let _ = self.jurors.push(Juror { id: member.id(), silent_since: None, owed: true });
        }
    }

    /// Brings the next try forward to the time when a verdict is first due; later verdicts come with the tries.
    fn meet_verdict(&mut self, allowed: u64, now: Instant) {
        let verdict = self.opened.after(if self.claim.is_some() { allowed / 2 } else { allowed });
        if verdict > now {
            self.tries.next = self.tries.next.min(verdict);
        }
    }

    fn evidence(&self, allowed: u64, now: Instant, bystanders: u32) -> Evidence {
        let fresh = |juror: &&Juror| juror.silent_since.is_some_and(|at| now.since(at) <= allowed / 2);
        Evidence {
            silence: now.since(self.opened),
            allowed,
            silent_jurors: self.jurors.iter().filter(fresh).count() as u32,
            bystanders,
            claimed: self.claim.is_some(),
        }
    }
}

impl<A> Errand<A> {
    fn due(&self, config: &Config) -> Instant {
        match self.heard {
            None => self.tries.next.min(self.begun.after(errand_time(config))),
            Some(_) => self.begun.after(config.suspicion / 2),
        }
    }
}

/// How long a juror tries before it says "silent": 0.9 s of a suspicion of 3.2 s, so that the answer is there in time.
fn errand_time(config: &Config) -> u64 {
    config.suspicion / 32 * 9
}

/// How long a silence makes a member suspect: 0.6 s of the 3.2 s that it is allowed.
fn suspect_after(allowed: u64) -> u64 {
    allowed / 16 * 3
}

/// How long a silence is allowed to a member of this patience, judged by a node of this health.
pub(crate) fn allowed(config: &Config, patience: u8, health: u32) -> u64 {
    let patience = if patience == 0 { 0 } else { 1_000_000u64 << patience.min(32) };
    let suspicion = config.suspicion.max(patience);
    suspicion + suspicion / 4 * u64::from(health)
}

/// A random part of a time.
pub(crate) fn scaled(micros: u64, random: u32) -> u64 {
    (micros >> 8).saturating_mul(u64::from(random >> 8)) >> 16
}

/// Why an answer was not taken.
impl Answered {
    pub(crate) fn refusal(self) -> Option<DropReason> {
        (self == Answered::Unasked).then_some(DropReason::Unasked)
    }
}
