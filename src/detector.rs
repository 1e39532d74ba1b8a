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
//! | whoever hears of a death believes it | if the verdict names two jurors, and not against its own ears; else the accused is probed and told who says so, and if it is silent others are asked | a claim that nobody bears witness to is a rumour, and one that outlives the member's own word is a lie |
//! | three are asked | three at first, and twelve more about a silence that lasts; all but one who answer must be silent, eleven in all and one more for every four who do not answer, or twenty-four against that one; fewer, if there are not so many members | between zones that do not reach each other, those whom a node reaches are deaf where it is: with three jurors three zones cut one from another report 14, 87, 3,700 and 16,000 deaths of the living in ten minutes at 9, 15, 60 and 128 nodes, now none, but where zones are cut apart ten seconds after a cluster began: one member in each twentieth cluster of 60; a real crash is known after 4 to 7 s in the median, and 10 s at worst |
//! | | of twelve who are asked again every third may be one that was never heard | a node that has heard few would else ask the same again and again |
//! | | a second juror who hears a member settles it, be it to a later question | the same one may lie each time |
//! | all judge alike | a node that lately did not reach a member whom others heard asks 24 | it is on one side of a cut that others are on neither side of; those find the crash in the usual time |
//! | all who are silent are judged alike | where three are, and a juror finds each of them silent too, three jurors are enough; a silence that nobody has confirmed is no part of such a crowd | to ask twelve about each of many would drown those who are left, and a node may be cut off from many |
//! | all members are asked about alike | about one that has not shown that it is where it is said to be, three are asked at half of the time, each asks it once for a question, and the question is not repeated before its answer is due | others may have made it up, and the address may want none of it; a real one is still judged by as many |
//! | jurors are chosen at random | the first is whom the accused probes every second period | behind a filter that lets in only what was sent to, that one is heard, and few others are |
//! | a relay that has no time says nothing | it says so, at once | or silence for want of room would look like being cut off |
//! | | a try that the host does not take was not made, and what was tried before keeps its age | with a fifth of the sends refused at every host a crash was never found, as each refusal began the case anew; now in the usual time |
//! | timeouts grow when nacks are missing | and when a tick is late: what came since the one before does not count as silence before it has been read, and after a stall the open cases begin anew | a stalled node has nothing to say about others, and a loop that comes round every two seconds judges a tick later, not never |
//! | | a node that nobody answers is *isolated* and judges nobody | the cut-off side of a partition does not condemn the rest |
//! | | the last other member is declared dead by its silence alone, after three times as long | one of a pair is to take over from the other; nobody is left to be told, and nobody is told it as certain |
//! | whoever is accused refutes at once | it first asks who says so whether it holds that itself; one that does not answer counts once in sixteen suspicions | a refutation goes to everybody, and mere talk shall not cost a liar's victims that; across a cut nobody can be asked |
//! | | one that was isolated first waits for unbroken contact, the longer the oftener it was | a link that comes and goes is one death, not a death and a return to everybody each time |
//! | every member may be asked for its word | only members that were heard themselves and do not sleep are jurors, count for isolation, and have every second successor's turn to themselves | members that somebody has invented answer nobody: they would silence the jury and stand before the others |

mod begin;
mod case;
mod charge;
mod claim;
mod errand;
mod hold;
mod isolation;
mod jury;
mod owed;
mod round_trip;
mod verdict;

use heapless::Vec;

pub(crate) use case::Accusation;
use case::{Case, Tries, allowed, patience, suspect_after};
use charge::Charges;
pub(crate) use charge::Said;
use errand::Errand;
use errand::errand_time;
pub(crate) use errand::{Asked, Asker};
use hold::Hold;
use isolation::taken;
use jury::is_last;
pub(crate) use owed::{MOST_OWED, Seat};
use round_trip::RoundTrip;

use crate::config::Config;
use crate::event::WakeReason;
use crate::member::{Address, Certificate, NodeId, Record};
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::node_core::Deadline;
use crate::storage::{Few, FewOf, Storage};
use crate::time::Instant;

/// The most members probed at once.
pub(crate) const CASES: usize = 12;
const FEW_CASES: usize = 4;
/// The most probes on behalf of others at once.
const ERRANDS: usize = 8;
const FEW_ERRANDS: usize = 3;
/// How many are asked at first, and how many who do not answer make a node isolated.
const JURORS: usize = 3;
/// The greatest patience that is believed of a member which this node has never heard, as a power of two of seconds: that
/// of [`Config::LOW_POWER`]. A liar may hide a crash from newcomers for so long. For a member that sleeps longer those
/// vouch who have heard it.
const HEARSAY: u8 = 7;
/// How many are asked about a silence that lasts.
const PANEL: usize = 12;
/// So many who are silent at once, or have just been found dead, are a crowd.
const CROWD: usize = 3;
/// After so many tries of which the host took none an errand is given up.
const MOST_REFUSED: u8 = 8;
/// The worst own health; timeouts are then nine times as long.
const WORST_HEALTH: u32 = 8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Detector<A: Address, S: Storage> {
    next_probe: Instant,
    /// The turn of the last probe: of the successor, of the ring, of the heard successor, of the ring.
    turn: u8,
    ring: (u32, u64),
    cases: Few<S, Case, CASES, FEW_CASES>,
    errands: Few<S, Errand<A>, ERRANDS, FEW_ERRANDS>,
    charges: Charges<S>,
    round_trip: RoundTrip,
    health: u32,
    next_blame: Instant,
    /// Members that were asked and have not answered, since anybody last did.
    unanswered: Vec<NodeId, JURORS>,
    pub(crate) isolated: bool,
    /// It is, and goes on trying the last other member.
    tries_last: bool,
    /// The caller came late: until when all that came has surely been read, and until when there is time to read the rest.
    behind: Option<(Instant, Instant)>,
    /// Since when the host has refused sends while nobody answered, and how many it had taken before.
    refusing: Option<(Instant, u64)>,
    /// When this node last took note of a member that it does not reach, and others do.
    unreached: Option<Instant>,
    hold: Hold,
}

impl<A: Address, S: Storage> Detector<A, S> {
    /// The next deadline and what it is for.
    pub(crate) fn due(&self, members: &Members<A, S>) -> Deadline {
        let mut due = Deadline::NEVER;
        if members.others() > 0 {
            due.sooner(self.next_probe, WakeReason::Probe);
        }
        if !self.isolated {
            for case in self.cases.iter() {
                due.sooner(case.tries.ask.next.min(case.next_jury), WakeReason::Retry);
            }
        } else if self.tries_last {
            self.cases.iter().for_each(|case| due.sooner(case.tries.ask.next, WakeReason::Retry));
        }
        for errand in self.errands.iter() {
            // Nothing is silent before what waits has been read.
            let read = self.behind.map_or(Instant::ZERO, |(_, read)| read);
            due.sooner(errand.due(read), WakeReason::Errand);
        }
        due.sooner(self.charges.due(), WakeReason::Errand);
        due
    }

    /// The caller came late by this much: what seemed silence may wait in its socket (law 3). After a little lateness
    /// nothing that came after the caller was here `before` counts as silence until there was time to read what waits, so
    /// that a coarse loop judges a tick later than others. After more, every open case begins anew, questions of others are
    /// dropped, and the own health worsens.
    pub(crate) fn forgive(&mut self, late: u64, before: Instant, now: Instant, config: &Config) {
        let unit = self.unit(config);
        self.charges.postpone(now.after(config.grace()));
        if late < config.suspicion / 4 {
            self.behind = Some((before, now.after(config.grace())));
            return;
        }
        self.behind = None;
        for case in self.cases.iter_mut() {
            case.rearm(unit, now);
        }
        self.errands.clear();
        self.unanswered.clear();
        self.refusing = None;
        self.worsen();
    }

    /// The host did not take the latest try towards this address: it was not made. What was tried before keeps its age; a
    /// silence counts from the first try that was made. The next comes when it would have come anyway.
    pub(crate) fn not_sent(&mut self, to: A, core: &mut Core<A, S>) {
        self.refusing.get_or_insert((core.now, taken(&core.stats)));
        let there = |id: NodeId| core.members.find_record(id).is_some_and(|record| record.addr == to);
        self.charges.not_sent(there);
        for case in self.cases.iter_mut().filter(|case| there(case.target)) {
            if case.tries.not_sent() {
                case.opened = case.tries.ask.next;
            }
        }
        for errand in self.errands.iter_mut().filter(|errand| there(errand.target)) {
            errand.not_sent();
        }
        // The last of many: its asker has long asked others.
        self.errands.retain(|errand| errand.tries.made() > 0 || errand.tries.ask.tries < MOST_REFUSED);
    }

    /// The settings have changed: what is pending is judged by the new ones.
    pub(crate) fn hurry(&mut self, now: Instant, config: &Config) {
        self.next_probe = self.next_probe.min(now.after(config.probe_period));
        let unit = self.unit(config);
        for case in self.cases.iter_mut() {
            case.rearm(unit, now);
        }
        self.errands.clear();
    }

    fn worsen(&mut self) {
        self.health = (self.health + 1).min(WORST_HEALTH);
    }

    /// Others have held this node for dead: perhaps it is slow. Honest members take a suspicion for it, and then all know
    /// it at once, so it counts no more than once in that time.
    pub(crate) fn blame(&mut self, now: Instant, config: &Config) {
        if now >= self.next_blame {
            self.next_blame = now.after(config.suspicion);
            self.worsen();
        }
    }

    /// The first gap between tries: the measured round trip with its spread, longer while the own health is bad.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn unit(&self, config: &Config) -> u64 {
        let unit = config.first_retry.max(self.round_trip.timeout());
        (unit * u64::from(1 + self.health)).min(config.probe_period / 4)
    }

    /// How long an acknowledgement of a message is waited for at first: a little more than a round trip, once that has been
    /// measured. Whoever is a little late is sent it twice, which costs less than to wait.
    pub(crate) fn hop(&self, config: &Config) -> u64 {
        match self.round_trip.timeout() {
            0 => self.unit(config),
            timeout => (timeout + timeout / 4).max(config.gossip_gap).min(self.unit(config)),
        }
    }

    /// Until when all that came has been read: silence counts as far.
    fn read_until(&self, now: Instant) -> Instant {
        self.behind.filter(|(_, read)| now < *read).map_or(now, |(before, _)| before)
    }

    /// How far apart the latest ticks of a caller are who comes late each time; others have none.
    fn lag(&self, now: Instant) -> u64 {
        let lag = self.behind.map_or((0, Instant::ZERO), |(before, read)| (read.since(before), read));
        if now < lag.1.after(2 * lag.0) { lag.0 } else { 0 }
    }

    /// How long a case is open before a verdict, at this node's present health.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn allowed(&self, config: &Config) -> u64 {
        allowed(config, self.health)
    }

    // What time brings.

    /// Does what is due. Returns a member to declare dead, if there is one, and what that rests on besides its silence; call
    /// again until there is none.
    pub(crate) fn tick(&mut self, core: &mut Core<A, S>) -> Option<(Index, Option<Certificate>)> {
        if core.now >= self.next_probe {
            self.begin_probe(core);
        }
        if !self.errands.is_empty() {
            self.tick_errands(core);
        }
        if core.now >= self.charges.due() {
            self.charges.tick(self.unit(&core.config), core.config.suspicion, core.now);
        }
        // With nobody left there is nobody to be cut off from.
        self.isolated &= core.members.others() > 0;
        if self.isolated {
            return self.last_verdict(core);
        }
        // Most of the time nobody is being probed.
        if self.cases.is_empty() {
            self.judge_isolation(core);
            return None;
        }
        self.close_settled(core);
        // Whoever is cut off asks nobody any more.
        self.judge_isolation(core);
        if self.isolated {
            return self.last_verdict(core);
        }
        let unit = self.unit(&core.config);
        for at in 0..self.cases.len() {
            self.tick_case(at, unit, core);
        }
        self.let_sleep(core);
        self.verdict(core)
    }

    fn begin_probe(&mut self, core: &mut Core<A, S>) {
        // A late tick is not caught up with.
        let next = self.next_probe.after(core.config.probe_period);
        self.next_probe = if next > core.now { next } else { core.now.after(core.config.probe_period) };
        if self.isolated && !is_last(&core.members, &core.config) {
            self.drop_cases(core);
        }
        let Some(target) = self.next_target(core) else { return };
        core.stats.probes = core.stats.probes.wrapping_add(1);
        self.open_case(target, None, core);
        if self.isolated {
            // One ping a period, and no more: nobody else is bothered by a node that is cut off.
            for case in self.cases.iter_mut() {
                case.tries.tick(core.now, core.config.probe_period, &core.config);
            }
        }
    }

    /// Probes a member at once that did not acknowledge what others were told: it may live, and roots that differ then show it
    /// what it lacks. Not while anybody else is being probed, nor at an address that nobody has proved: that has had all the
    /// bytes that it may be sent unasked.
    pub(crate) fn probe_now(&mut self, member: Option<NodeId>, core: &mut Core<A, S>) {
        let free = self.cases.is_empty() && !self.isolated && !self.is_accused();
        let there = |index: Index| core.members.is_live(index) && core.members.is_proved(index);
        let Some(member) = member.filter(|id| free && core.members.find(*id).is_some_and(there)) else { return };
        core.stats.probes = core.stats.probes.wrapping_add(1);
        self.open_case(member, None, core);
        self.tick_case(0, self.unit(&core.config), core);
    }

    /// Gives up the cases that have had their time; their targets are suspected, and not more, until they are heard.
    fn drop_cases(&mut self, core: &mut Core<A, S>) {
        self.close_settled(core);
        let allowed = self.allowed(&core.config);
        self.cases.retain(|case| {
            let Some(index) = core.members.find(case.target) else { return false };
            let young = core.now.since(case.opened) < suspect_after(allowed);
            if !young {
                core.members.suspect(index, true);
            }
            young
        });
    }

    /// Alternately this node's successor in id order, so that everybody is probed every second period by its
    /// predecessor at least, and the next of a ring that is shuffled anew each time round. Members with an open case
    /// are passed over. Every second successor is the next that was ever heard and does not sleep, so that neither those
    /// whom somebody has invented nor sleepers stand before the others.
    fn next_target(&mut self, core: &mut Core<A, S>) -> Option<NodeId> {
        self.turn = self.turn.wrapping_add(1) % 64;
        if self.turn == 0 {
            // Who was refused may be gone by now, and the table comparable again.
            core.members.forget_refusal();
        }
        let mut place = core.members.myself().map_or(0, |myself| core.members.place(myself.id));
        for _ in 0..=CASES {
            let index = match self.turn % 4 {
                1 => core.members.next_live(place),
                3 => core.members.next_heard(place).or_else(|| core.members.next_live(place)),
                _ => self.next_of_ring(core),
            };
            let id = index.and_then(|index| core.members.get(index)).map(|record| record.id)?;
            if !self.doubts(id) {
                return Some(id);
            }
            place = core.members.place(id);
        }
        None
    }

    fn next_of_ring(&mut self, core: &mut Core<A, S>) -> Option<Index> {
        for _ in 0..4 {
            if self.ring.0 >= core.members.ring_len() {
                self.ring = (0, core.rng.next_u64());
            }
            let (found, next) = core.members.next_shuffled(self.ring.0, self.ring.1);
            self.ring.0 = next;
            if found.is_some() {
                return found;
            }
        }
        core.members.random_live(&mut core.rng, |_| true)
    }

    fn open_case(&mut self, target: NodeId, claim: Option<Accusation>, core: &mut Core<A, S>) -> bool {
        let Some(index) = core.members.find(target) else { return false };
        let Some(tag) = core.members.get(index).map(Record::tag) else { return false };
        let tries = Tries::begin(core.rng.next_u32(), core.now);
        let patience = match claim {
            // Of a claim half the silence is enough, so that jurors have less time for it: they are asked sooner, or one lost
            // datagram would cost a second jury.
            Some(_) => 2 * self.unit(&core.config),
            None if core.members.is_proved(index) => 6 * self.unit(&core.config),
            // A member that others have only named may be made up, and each question costs datagrams to where it is said to be:
            // the first three are asked so late that their answers are there when many would be.
            None => self.allowed(&core.config) / 2,
        };
        let case = Case {
            target,
            tag,
            opened: core.now,
            tries,
            question: 0,
            asked: core.now,
            jurors: Vec::new(),
            silent: 0,
            missing: 0,
            heard_by: None,
            vouched: false,
            // The target is pinged before others are asked, also where somebody claims that it is dead.
            next_jury: core.now.after(patience),
            claim,
        };
        self.cases.push(case).is_ok()
    }

    fn tick_case(&mut self, at: usize, unit: u64, core: &mut Core<A, S>) {
        let (allowed, accused) = (self.allowed(&core.config), self.is_accused());
        let (around, read) = (self.around(core), self.read_until(core.now));
        let Some(case) = self.cases.get_mut(at) else { return };
        let Some(index) = core.members.find(case.target) else { return };
        if case.tries.tick(core.now, unit, &core.config) {
            let proved = core.members.is_proved(index);
            // Every second of the later pings is left out where the address is not proved, as whoever is there may not want any,
            // and where others have found silence too: most likely nobody is there.
            let likely = proved && usize::from(case.silent) < JURORS;
            case.tries.ask.owed &= likely || case.tries.ask.tries <= 4 || case.tries.ask.tries.is_multiple_of(2);
            core.stats.retries = core.stats.retries.wrapping_add(u64::from(case.tries.count > 1));
            // Every second time, and not at once: a juror takes longer to answer than its target. When its answer is due, every
            // time; about a member that may be made up not before, as each question costs that address a ping.
            let asked = core.now.since(case.asked);
            let due = asked >= errand_time(&core.config, case.asks_many()) + unit;
            let early = proved && case.tries.ask.tries.is_multiple_of(2) && asked >= 2 * core.config.first_retry;
            let again = early || due && (case.asks_many() || !proved);
            for juror in case.jurors.iter_mut().filter(|juror| again && juror.word.is_none()) {
                // Not who has fallen silent itself.
                juror.owed = !core.members.find(juror.id).is_some_and(|index| core.members.is_excused(index));
            }
            case.meet_verdict(allowed, core.now);
        }
        if case.vouched {
            return;
        }
        if core.now >= case.next_jury && accused {
            // Whoever may be cut off again in a moment bothers nobody.
            case.next_jury = core.now.after(core.config.probe_period);
        } else if core.now >= case.next_jury {
            case.ask_others(allowed, around, core);
        }
        let silent = read.since(case.opened) >= suspect_after(allowed);
        if silent && !may_sleep(index, core) && core.members.suspect(index, true) {
            core.stats.suspicions = core.stats.suspicions.wrapping_add(1);
        }
    }

    // What others say.

    /// Takes an answer to a ping; false if there was none to answer. It answers all who wait for this member, whichever of
    /// them asked: of several answers to one peer a busy node sends the last.
    pub(crate) fn on_ack(&mut self, from: NodeId, number: u32, core: &mut Core<A, S>) -> bool {
        let asked = |target: NodeId, tries: &Tries| target == from && tries.asked(number);
        let for_others = self.errands.iter().any(|errand| asked(errand.target, &errand.tries));
        let own = self.cases.iter().any(|case| asked(case.target, &case.tries));
        if !own && !for_others {
            return false;
        }
        if let Some(at) = self.cases.iter().position(|case| case.target == from) {
            let case = self.cases.swap_take(at);
            if let Some(case) = case.filter(|_| own) {
                if let Some(micros) = case.tries.round_trip(number, case.opened, core.now) {
                    self.round_trip.sample(micros);
                }
                self.health = self.health.saturating_sub(1);
            }
        }
        self.errands
            .iter_mut()
            .filter(|errand| errand.target == from)
            .for_each(|errand| errand.conclude(true, core.now));
        self.hears(from, core);
        true
    }

    fn hears(&mut self, member: NodeId, core: &mut Core<A, S>) {
        if let Some(index) = core.members.find(member) {
            core.members.suspect(index, false);
        }
        self.answered(core);
    }

    /// Whether there is nobody to ask, nor to answer.
    pub(crate) fn is_idle(&self) -> bool {
        self.cases.is_empty() && self.errands.is_empty() && self.charges.due() == Instant::FAR_FUTURE
    }

    /// Whether it does nothing before it is due again. It judges silences, its own among them, whenever it is asked.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_idle() && !self.isolated && self.refusing.is_none()
    }
}

/// Whether a member is allowed a longer silence than it has kept.
fn may_sleep<A: Address, S: Storage>(index: Index, core: &Core<A, S>) -> bool {
    let may = core.members.get(index).map_or(0, |record| patience(record.patience));
    let may = if core.members.was_heard(index) { may } else { may.min(patience(HEARSAY)) };
    may > 0 && core.members.quiet(index, core.now) < may
}

/// A random part of a time.
pub(crate) fn scaled(micros: u64, random: u32) -> u64 {
    (micros >> 8).saturating_mul(u64::from(random >> 8)) >> 16
}
