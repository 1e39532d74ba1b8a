//! Arrival: seeds and cookies.

use heapless::Vec;

use crate::ask::{Ask, Schedule, earliest};
use crate::config::Config;
use crate::event::Trouble;
use crate::member::{Address, NodeId};
use crate::members::{Index, MYSELF, Members};
use crate::node_core::Core;
use crate::rng::Rng;
use crate::storage::{Storage, must_fit};
use crate::time::Instant;
use crate::wire::{ANYONE, SEEKS, VERSION, Writer, kind};

/// How many addresses [`Node::join`](crate::Node::join) keeps; another takes the place of the one that has been silent for
/// longest.
pub const MAX_SEEDS: usize = 8;
/// For how many probe periods seeds are asked in vain before that is told, and how often that gap is doubled at most.
const TOLD_AFTER: u64 = 3;
const MOST_DOUBLINGS: u8 = 10;
/// How many visits come sooner than others: half a probe period after this node has joined, then after one, two, four and
/// eight.
const EAGER: u8 = 4;
/// How often a cookie is returned before another is asked for.
const PROOFS: u8 = 3;
/// The most that can be to be sent at once.
pub(crate) const MOST_OWED: usize = MAX_SEEDS + 1;

/// An address to join through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seed<A> {
    pub(crate) addr: A,
    /// Its number is 0 before it is asked.
    ask: Ask,
    /// What the seed gave us to prove our address with, the tag of its life, and where it said so: behind one address there
    /// may be several that take turns.
    pub(crate) proof: Option<(u64, u32, A)>,
    /// How often to try that before asking anew: another instance may be there by then.
    proofs: u8,
    /// When it was given, or has answered since.
    heard: Instant,
    /// It holds this node's id to be another's.
    taken: bool,
    /// What it was sent last is known by this.
    check: [u8; 4],
    /// What came of asking it, as far as that is known.
    pub(crate) trouble: Trouble,
}

/// Whom to ask for admission: the seeds that the caller gave and, so that what was torn apart grows together without
/// them, now and then one who is held for dead. Whoever is at that address by now answers a join; a ping would reach
/// only the life that is dead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seeds<A> {
    seeds: Vec<Seed<A>, MAX_SEEDS>,
    visit: Option<Seed<A>>,
    /// How often seeds were asked without success, when that is told next, and how often it was told.
    tries: u32,
    next_telling: Instant,
    tellings: u8,
    next_visit: Instant,
    /// How many visits to seeds come sooner than others: whoever has just joined through an address at which several take turns
    /// may have others to find there.
    eager: u8,
    /// Who of the dead is visited.
    sought: Option<NodeId>,
    turn: usize,
    visited: Index,
}

impl<A: Address> Seeds<A> {
    pub(crate) const NONE: Self = Seeds {
        seeds: Vec::new(),
        visit: None,
        tries: 0,
        next_telling: Instant::ZERO,
        tellings: 0,
        next_visit: Instant::ZERO,
        eager: 0,
        sought: None,
        turn: 0,
        visited: 0,
    };

    /// Keeps an address; one that is kept already is asked anew. If there is no room, in place of the one that has been silent
    /// for longest, of those at which no member lives if there are any: a name may stand for others by now.
    pub(crate) fn add<S: Storage>(&mut self, addr: A, now: Instant, members: &Members<A, S>) {
        let seed = Seed::new(addr, now);
        let full = self.seeds.is_full();
        let silent = |kept: &&mut Seed<A>| (members.lives_at(kept.addr), kept.heard);
        let kept = match self.seeds.iter().position(|seed| seed.addr == addr) {
            Some(at) => self.seeds.get_mut(at),
            None => self.seeds.iter_mut().filter(|_| full).min_by_key(silent),
        };
        match kept {
            Some(kept) => *kept = seed,
            None => must_fit(self.seeds.push(seed)),
        }
    }

    /// The addresses that are kept.
    pub(crate) fn addrs(&self) -> impl Iterator<Item = A> {
        self.seeds.iter().map(|seed| seed.addr)
    }

    /// Keeps an address no longer; whether it was.
    pub(crate) fn forget(&mut self, addr: A) -> bool {
        let before = self.seeds.len();
        self.seeds.retain(|seed| seed.addr != addr);
        self.seeds.len() < before
    }

    /// Asks all of them at once, without what an earlier life knew of them.
    pub(crate) fn restart(&mut self, now: Instant, first_visit: Instant) {
        self.next_visit = first_visit;
        for seed in &mut self.seeds {
            *seed = Seed::new(seed.addr, now);
        }
        self.visit = None;
        self.tries = 0;
    }

    /// The settings have changed: no deadline of the old ones is longer than the new.
    pub(crate) fn hurry(&mut self, now: Instant, config: &Config) {
        self.next_visit = self.next_visit.min(now.after(config.dead_probe_period));
        for seed in &mut self.seeds {
            seed.ask.next = seed.ask.next.min(now.after(config.probe_period));
        }
    }

    /// Whether there is anybody to ask but the node itself.
    pub(crate) fn any_but(&self, addr: A) -> bool {
        self.seeds.iter().any(|seed| seed.addr != addr)
    }

    /// When to ask next: all of them if `wanted`, else only those that were never asked.
    pub(crate) fn due(&self, wanted: bool) -> Instant {
        let seeds = self.seeds.iter().filter(|seed| wanted || seed.ask.number == 0);
        earliest(seeds.map(|seed| &seed.ask))
    }

    /// Asks the seeds whose time has come, at gaps that double up to a probe period.
    pub(crate) fn tick<S: Storage>(&mut self, wanted: bool, myself: A, core: &mut Core<A, S>) {
        for seed in &mut self.seeds {
            if !seed.ask.is_due(core.now) || !(wanted || seed.ask.number == 0) {
                continue;
            }
            seed.ask.repeat(Schedule::join(&core.config), core.now);
            if seed.ask.number == 0 {
                seed.ask.number = core.rng.next_u32() | 1;
            }
            if seed.addr == myself {
                seed.ask.owed = false;
                continue;
            }
            if self.tries == 0 {
                (self.tellings, self.next_telling) = (0, core.now.after(TOLD_AFTER * core.config.probe_period));
            }
            self.tries = self.tries.saturating_add(1);
            seed.proof = seed.proof.filter(|_| seed.proofs > 0);
            seed.proofs = seed.proofs.saturating_sub(1);
        }
    }

    /// Whether it is time to tell that no seed lets this node in: after some probe periods, and at gaps that double.
    pub(crate) fn tell_failing(&mut self, now: Instant, config: &Config) -> bool {
        let time = self.tries > 0 && now >= self.next_telling;
        if time {
            self.tellings = (self.tellings + 1).min(MOST_DOUBLINGS);
            self.next_telling = now.after((TOLD_AFTER * config.probe_period) << self.tellings);
        }
        time
    }

    /// How often seeds were asked in vain, and the one of which most is known why.
    pub(crate) fn failing(&self, myself: A) -> Option<(u32, A, Trouble)> {
        let asked = self.seeds.iter().filter(|seed| seed.addr != myself);
        let (seed, trouble) = asked.map(|seed| (seed, seed.trouble())).max_by_key(|(_, trouble)| *trouble as u8)?;
        Some((self.tries, seed.addr, trouble))
    }

    /// Takes note of the check value of what was sent to this seed.
    pub(crate) fn note_check(&mut self, at: usize, check: [u8; 4]) {
        if let Some(seed) = self.all_mut().nth(at) {
            seed.check = check;
        }
    }

    /// What was sent with this check value has come to the wrong place. False if nothing was.
    pub(crate) fn note_elsewhere(&mut self, check: [u8; 4], same_version: bool) -> bool {
        let seed = self.all_mut().find(|seed| seed.ask.number != 0 && seed.check == check);
        let trouble = if same_version { Trouble::OtherCluster } else { Trouble::OtherVersion };
        seed.map(|seed| seed.trouble = trouble).is_some()
    }

    /// When the next visit is due, if there may be anybody to visit.
    pub(crate) fn visit_due<S: Storage>(&self, members: &Members<A, S>, isolated: bool) -> Instant {
        let anybody = !self.seeds.is_empty() || members.dead() > 0 || isolated;
        if anybody { self.next_visit.min(self.unfinished()) } else { Instant::FAR_FUTURE }
    }

    /// When to try the visit again whose other half may be lost, as it has been answered, or which the host did not take.
    fn unfinished(&self) -> Instant {
        let visit = self.visit.as_ref().filter(|visit| visit.proofs > 0);
        visit.map_or(Instant::FAR_FUTURE, |visit| visit.ask.next)
    }

    /// The host did not take what was sent there. It is tried again soon, and not only when its time comes: a host that
    /// refuses sends at regular times may refuse each one that comes at regular times.
    pub(crate) fn not_sent(&mut self, to: A, now: Instant, config: &Config) {
        let soon = now.after(least_gap(config));
        let asked = |seed: &&mut Seed<A>| seed.to().0 == to && seed.ask.number != 0 && !seed.ask.is_unsendable();
        for seed in self.all_mut().filter(asked) {
            seed.ask.not_sent();
            seed.proofs = seed.proofs.max(1);
            seed.ask.next = if seed.ask.is_due(now) { soon } else { seed.ask.next.min(soon) };
        }
    }

    /// Chooses somebody to visit when it is time: by turns one of the dead, and a seed that no living member is at.
    pub(crate) fn tick_visit<S: Storage>(&mut self, isolated: bool, core: &mut Core<A, S>) {
        if core.now < self.visit_due(&core.members, isolated) {
            return;
        }
        if let Some(visit) = self.visit.as_mut().filter(|_| core.now < self.next_visit) {
            visit.proofs = visit.proofs.saturating_sub(1);
            return visit.ask.repeat(Schedule::join(&core.config), core.now);
        }
        let most = core.config.dead_probe_period;
        let gap = if self.eager > 0 { (core.config.probe_period << (EAGER - self.eager)).min(most) } else { most };
        self.next_visit = core.now.after(gap);
        self.turn = if self.eager > 0 { self.turn | 1 } else { self.turn }.wrapping_add(1);
        self.eager = self.eager.saturating_sub(1);
        let seed = self.stray_seed(&core.members).filter(|_| self.turn.is_multiple_of(2));
        // To an isolated node the living are as good as dead.
        let dead = core.members.next_lost(self.visited, isolated).filter(|_| seed.is_none());
        self.visited = dead.unwrap_or(self.visited);
        let lost = dead.and_then(|dead| core.members.get(dead));
        self.sought = lost.map(|lost| lost.id);
        let addr = seed.or(lost.map(|lost| lost.addr));
        self.visit = addr.map(|addr| {
            let number = core.rng.next_u32() | 1;
            Seed::asked(addr, number, core.now)
        });
    }

    /// The next seed, if no living member is at its address.
    fn stray_seed<S: Storage>(&self, members: &Members<A, S>) -> Option<A> {
        let seed = self.seeds.get(self.turn / 2 % self.seeds.len().max(1))?;
        (!members.lives_at(seed.addr)).then_some(seed.addr)
    }

    /// Calls on a member under this number: whoever is there says which life of this node's id it holds.
    pub(crate) fn call_on(&mut self, addr: A, number: u32, now: Instant) {
        self.sought = None;
        self.visit = Some(Seed::asked(addr, number, now));
    }

    /// When somebody was last visited or called on.
    pub(crate) fn last_visit(&self) -> Option<Instant> {
        self.visit.as_ref().map(|visit| visit.ask.next)
    }

    /// The same, under the number of the call before it if that was to the same address: its answer may be on its way.
    pub(crate) fn call_again(&mut self, addr: A, number: u32, now: Instant) {
        match &mut self.visit {
            Some(visit) if visit.addr == addr => visit.ask.owed = true,
            _ => self.call_on(addr, number, now),
        }
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Seed<A>> {
        self.seeds.iter_mut().chain(self.visit.as_mut())
    }

    fn all(&self) -> impl Iterator<Item = &Seed<A>> {
        self.seeds.iter().chain(self.visit.as_ref())
    }

    /// Which of them are to be asked.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, &Seed<A>)> {
        self.all().enumerate().filter(|(_, seed)| seed.ask.owed)
    }

    /// Writes the join that stands there. A visit to one of the dead says whom it is about.
    pub(crate) fn write<S: Storage>(&self, at: usize, core: &Core<A, S>, writer: &mut Writer<'_>) -> Option<()> {
        let seed = self.all().nth(at)?;
        let cookie = seed.proof.map_or(0, |(cookie, ..)| cookie);
        let sought = self.sought.filter(|_| at == self.seeds.len());
        write_join((seed.ask.number, cookie), sought, core, writer)
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.all_mut().nth(at).is_some_and(|seed| seed.ask.sent())
    }

    /// The seed that was asked under this number, which has answered now.
    pub(crate) fn answered(&mut self, number: u32, now: Instant) -> Option<&mut Seed<A>> {
        if let Some(visit) = self.visit.as_mut().filter(|visit| visit.ask.number == number) {
            visit.proofs = 0;
        }
        let seed = self.asked(number)?;
        seed.heard = now;
        Some(seed)
    }

    /// The seed that was asked under this number.
    pub(crate) fn asked(&mut self, number: u32) -> Option<&mut Seed<A>> {
        self.all_mut().find(|seed| seed.ask.number == number && number != 0)
    }

    /// What was asked under this number is answered; whatever is asked there next is asked under another.
    pub(crate) fn renumber(&mut self, number: u32, next: u32) {
        if let Some(seed) = self.asked(number) {
            seed.ask.number = next;
        }
    }

    /// Asks again at once those that have answered: this node's record has changed.
    pub(crate) fn again(&mut self) {
        for seed in self.seeds.iter_mut().filter(|seed| seed.proof.is_some()) {
            (seed.ask.owed, seed.ask.tries, seed.taken) = (true, 0, false);
        }
    }

    /// The seed that was asked under this number says that another has this node's id.
    pub(crate) fn note_taken(&mut self, number: u32) {
        if let Some(seed) = self.asked(number) {
            seed.taken = true;
        }
    }

    /// Whether all seeds but this node itself say so, or all that have `answered`.
    pub(crate) fn all_say_taken(&self, myself: A, answered: bool) -> bool {
        self.seeds.iter().all(|seed| seed.taken || seed.addr == myself || answered && seed.proof.is_none())
    }

    /// Whether a seed has said that it has no room, or not for another at this address.
    pub(crate) fn any_full(&self) -> bool {
        self.seeds.iter().any(|seed| seed.trouble == Trouble::Full)
    }

    /// Whether a seed may be about to admit this node.
    pub(crate) fn any_proved(&self) -> bool {
        self.seeds.iter().any(|seed| seed.proof.is_some())
    }

    /// Nobody needs to be asked any more.
    pub(crate) fn rest(&mut self) {
        self.all_mut().for_each(|seed| seed.ask.owed = false);
        self.tries = 0;
    }

    /// Others may have come through the same seeds and found each other alone.
    pub(crate) fn look_around(&mut self, now: Instant, config: &Config) {
        self.eager = EAGER;
        self.next_visit = self.next_visit.min(now.after(config.probe_period / 2));
    }
}

impl<A: Address> Seed<A> {
    /// Where it is asked, and for which life: for any until it has answered.
    pub(crate) fn to(&self) -> (A, u32) {
        self.proof.map_or((self.addr, ANYONE), |(_, tag, from)| (from, tag))
    }

    fn new(addr: A, now: Instant) -> Self {
        Seed {
            addr,
            ask: Ask::new(0, now),
            proof: None,
            proofs: 0,
            heard: now,
            taken: false,
            check: [0; 4],
            trouble: Trouble::NoAnswer,
        }
    }

    /// The same, to be asked under this number at once.
    fn asked(addr: A, number: u32, now: Instant) -> Self {
        let mut seed = Seed::new(addr, now);
        (seed.ask.number, seed.ask.owed) = (number, true);
        seed
    }

    /// What came of asking it: one that has answered and then no more is one that does not answer.
    fn trouble(&self) -> Trouble {
        if self.proof.is_some() && self.trouble == Trouble::NoAnswer { Trouble::Unfinished } else { self.trouble }
    }

    /// Answers the seed's question whether the address is ours, at once. Now that it is known to be there, it is asked
    /// again soon if this is lost.
    pub(crate) fn prove(&mut self, (cookie, tag, from): (u64, u32, A), now: Instant, config: &Config) {
        // Only the seed can have sent it there; it is not to send much.
        let proofs = if from == self.addr { PROOFS } else { 1 };
        (self.proof, self.proofs) = (Some((cookie, tag, from)), proofs);
        self.ask.restart(now.after(least_gap(config)));
        self.ask.owed = true;
    }
}

/// Writes the question to be admitted under this number, with what proves the address if there is anything.
pub(crate) fn write_join<A: Address, S: Storage>(
    (number, cookie): (u32, u64),
    sought: Option<NodeId>,
    core: &Core<A, S>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    writer.frame(kind::JOIN, |body| {
        body.u32(number)?;
        let sought = sought.filter(|_| cookie == 0);
        body.u64(sought.map_or(cookie, NodeId::get))?;
        body.u8(if sought.is_some() { VERSION | SEEKS } else { VERSION })?;
        body.u8(VERSION)?;
        // Whoever is asked may be newer than this node, and is to know from where on it is told.
        core.members.describe(MYSELF, true, body)
    })
}

/// Writes what a node at this address is to introduce itself with.
pub(crate) fn write_introduce<A: Address, S: Storage>(to: A, core: &Core<A, S>, writer: &mut Writer<'_>) -> Option<()> {
    let cookie = cookie(&core.rng, to, core.now, &core.config);
    writer.frame(kind::INTRODUCE, |body| body.u64(cookie))
}

/// The first gap between joins.
pub(crate) fn least_gap(config: &Config) -> u64 {
    Schedule::join(config).first
}

/// The cookie that proves an address: only this node can compute it, and it need not be remembered. It names the epoch of
/// this node's time, so that a join that somebody has recorded is worth nothing soon after.
pub(crate) fn cookie<A: Address>(rng: &Rng, addr: A, now: Instant, config: &Config) -> u64 {
    cookie_of(rng, addr, epoch(now, config))
}

/// Whether a cookie was given out for this address in this epoch or in the last.
pub(crate) fn is_cookie<A: Address>(rng: &Rng, addr: A, now: Instant, config: &Config, cookie: u64) -> bool {
    let epoch = epoch(now, config);
    cookie_of(rng, addr, epoch) == cookie || epoch > 0 && cookie_of(rng, addr, epoch - 1) == cookie
}

fn cookie_of<A: Address>(rng: &Rng, addr: A, epoch: u64) -> u64 {
    let mut scratch = [0; 8 + crate::wire::MAX_ADDR];
    let (first, rest) = scratch.split_at_mut(8);
    first.copy_from_slice(&epoch.to_le_bytes());
    let len = 8 + addr.encode_into(rest).unwrap_or(0);
    rng.keyed(0x636f_6f6b_6965, scratch.get(..len).unwrap_or(&[]))
}

/// The number of the epoch: a power of two of microseconds, about ten seconds, or some round trips where those are longer.
fn epoch(now: Instant, config: &Config) -> u64 {
    let least = config.first_retry.saturating_mul(8).max(8_000_000);
    now.as_micros() >> (u64::BITS - least.leading_zeros()).min(u64::BITS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_address_in_its_epoch_and_the_next() {
        let (rng, second) = (Rng::UNSEEDED, 1_000_000);
        for (config, good_for, bad_after) in [(&Config::LAN, 8, 17), (&Config::LOW_POWER, 8, 600)] {
            for at in [0, 5, 10, 15, 100, 86_400, u64::from(u32::MAX)] {
                let given = Instant::from_micros(at * second);
                let proof = cookie(&rng, 7u16, given, config);
                let good = |addr: u16, by: u64| is_cookie(&rng, addr, given.after(by * second), config, proof);
                assert!((0..=good_for).all(|by| good(7, by)), "given at {given:?}");
                assert!([bad_after, 3_600, 86_400].iter().all(|by| !good(7, *by)), "given at {given:?}");
                assert!(!good(8, 0), "another address");
            }
        }
    }
}
