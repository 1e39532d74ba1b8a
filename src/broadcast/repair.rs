//! Broadcasts that are missing: who is asked for them, and when they are given up.
//!
//! One origin at a time is a *repair*. First who is known to have more is asked, then others at random, then the origin;
//! then others and the origin in turn. Each answer says what the one who was asked has not either. What the origin says
//! it has no more is given up; if the origin is gone, what nobody has given in all the time that is allowed.

use crate::ask::{Ask, Schedule, earliest};
use crate::member::{Address, Member, NodeId};
use crate::members::Members;
use crate::node_core::Core;
use crate::share::{Claim, make_room};
use crate::storage::{FewData, FewOf, Storage, must_fit};
use crate::time::Instant;
use crate::wire::{Origin, Pull};

/// The most origins whose broadcasts are asked for at once. Others wait: they show again when the roots are compared.
pub(crate) const REPAIRS: usize = 8;
const FEW_REPAIRS: usize = 3;
/// The most askers that are being given what they lack.
pub(crate) const GIVES: usize = 4;
pub(crate) const FEW_GIVES: usize = 2;
/// How many are asked in vain before the origin is.
const OTHERS: u8 = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Repair {
    origin: Origin,
    /// Up to which broadcast others say that there is something.
    last: u32,
    peer: NodeId,
    /// One try for each peer. Without a number nobody is asked now.
    ask: Ask,
    /// How far this node had come when it asked last.
    seen: u32,
    /// And what it lacked then.
    lacked: Option<(u32, u64)>,
    since: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Repairs<S: Storage>(FewData<S, Repair, REPAIRS, FEW_REPAIRS>);

/// What another member is being given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Give {
    pub(crate) to: NodeId,
    pub(crate) pull: Pull,
    /// What is still to be given, and what is not there.
    pub(crate) left: u64,
    pub(crate) lacking: u64,
    /// The asker has been told what is lacking.
    pub(crate) done: bool,
    /// The present datagram has something of it.
    pub(crate) written: bool,
}

/// What is missing, and up to which number it is to be given up.
pub(crate) type Hopeless = (Origin, u32);

impl<S: Storage> Repairs<S> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) const NONE: Self = Repairs(FewOf::EMPTY);

    /// This member has broadcasts of that origin, up to this one, which this node may lack. It is asked in a while, if
    /// they have not come by then. Without room nothing is noted.
    pub(crate) fn note(&mut self, origin: Origin, last: u32, peer: NodeId, now: Instant, wait: u64) {
        if let Some(held) = self.0.iter_mut().find(|held| held.origin == origin) {
            held.last = held.last.max(last);
            return;
        }
        let claim = |peer| Claim { peer, addr: None::<()>, rank: 1 };
        if !make_room!(self.0, |held| claim(held.peer), claim(peer)) {
            return;
        }
        let ask = Ask::new(0, now.after(wait));
        must_fit(self.0.push(Repair { origin, last, peer, ask, seen: 0, lacked: None, since: now }));
    }

    /// Up to which of this origin's broadcasts others say that there is something.
    pub(crate) fn last_of(&self, origin: Origin) -> u32 {
        self.0.iter().find(|held| held.origin == origin).map_or(0, |held| held.last)
    }

    /// Something of this origin came: there is hope for the rest.
    pub(crate) fn note_progress(&mut self, origin: Origin, now: Instant) {
        if let Some(held) = self.0.iter_mut().find(|held| held.origin == origin) {
            held.since = now;
        }
    }

    /// So long nobody could be asked: it does not count.
    pub(crate) fn forgive(&mut self, late: u64, now: Instant) {
        self.0.iter_mut().for_each(|held| held.since = held.since.after(late).min(now));
    }

    pub(crate) fn due(&self) -> Instant {
        earliest(self.0.iter().map(|held| &held.ask))
    }

    /// Asks where it is time. Gives what is to be given up, if there is anything; call it again until there is not.
    pub(crate) fn tick<A: Address>(&mut self, unit: u64, core: &mut Core<A, S>) -> Option<Hopeless> {
        if core.now < self.due() {
            return None;
        }
        self.0.retain(|held| held.missing(&core.members).is_some());
        let (mut hopeless, now) = (None, core.now);
        for held in self.0.iter_mut().filter(|held| held.ask.is_due(now)) {
            if core.now.since(held.since) >= core.config.delivery_timeout {
                hopeless = Some((held.origin, held.hopeless_up_to(&core.members)));
                // What others only say that there is, they may say again.
                held.last = 0;
                break;
            }
            held.ask_next(unit, core);
        }
        hopeless
    }

    /// Which of them are to ask, and whom.
    pub(crate) fn owed<A: Address>(&self, members: &Members<A, S>) -> impl Iterator<Item = (usize, NodeId)> {
        let asks = self.0.iter().enumerate().filter(|(_, held)| held.ask.owed && held.missing(members).is_some());
        asks.map(|(at, held)| (at, held.peer))
    }

    /// What is asked there.
    pub(crate) fn question<A: Address>(&self, at: usize, members: &Members<A, S>) -> Option<Pull> {
        let held = self.0.get(at)?;
        let (first, wanted) = held.missing(members)?;
        Some(Pull { number: held.ask.number, origin: held.origin, first, wanted })
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.0.get_mut(at).is_some_and(|held| held.ask.sent())
    }

    /// One who was asked has not what is `lacking` from `first` on; if it is the origin, it has nothing before `oldest` and
    /// behind `newest` either. What is to be given up for that; `None` in place of all if it was not asked.
    pub(crate) fn on_lack<A: Address>(
        &mut self,
        from: NodeId,
        lack: &crate::wire::Lack,
        core: &mut Core<A, S>,
    ) -> Option<Option<u32>> {
        // No question has the number 0: what one that was answered is left with.
        let number = Some(lack.pull.number).filter(|number| *number != 0)?;
        let asked = |held: &&mut Repair| held.ask.number == number && held.peer == from && held.ask.tries > 0;
        let held = self.0.iter_mut().find(asked).filter(|held| held.origin == lack.pull.origin)?;
        let gave = lack.pull.wanted == 0;
        // If it had all that was asked for, it may have more; if not, another is asked.
        // What was given and is lacking still, there was no room for: it need not be given again at once.
        let came = held.lacked != held.missing(&core.members);
        held.ask.tries = if gave && came { 0 } else { held.ask.tries };
        let wait = if gave && !came { core.config.probe_period } else { core.config.gossip_gap };
        (held.ask.next, held.ask.number) = (core.now.after(wait), 0);
        if from != lack.pull.origin.id {
            return Some(None);
        }
        held.last = lack.newest;
        let index = core.members.find_life(from, held.origin.tag)?;
        // What came since may be newer than the answer.
        let seen = held.seen;
        core.members.with_window(index, |window| {
            if window.seen() == seen {
                window.retract(lack.newest)
            }
        });
        let floor = core.members.window(index).floor();
        // Those that are lacking in a row from the first on, as it is now.
        let shift = floor.saturating_add(1).saturating_sub(lack.pull.first);
        let lacking = lack.pull.wanted.checked_shr(shift).unwrap_or(0);
        let run = floor.saturating_add(lacking.trailing_ones());
        Some(Some(run.max(lack.oldest.saturating_sub(1)).min(lack.newest)))
    }
}

impl Repair {
    fn missing<A: Address, S: Storage>(&self, members: &Members<A, S>) -> Option<(u32, u64)> {
        let window = members.window(members.find_life(self.origin.id, self.origin.tag)?);
        window.missing(self.last.max(window.seen()))
    }

    /// What really came shows what there is. What others only say that there is counts if the origin cannot speak for
    /// itself.
    fn hopeless_up_to<A: Address, S: Storage>(&self, members: &Members<A, S>) -> u32 {
        let Some(index) = members.find_life(self.origin.id, self.origin.tag) else { return 0 };
        let seen = members.window(index).seen();
        if members.is_live(index) { seen } else { self.last.max(seen) }
    }

    fn ask_next<A: Address, S: Storage>(&mut self, unit: u64, core: &mut Core<A, S>) {
        if self.ask.tries > 0 {
            self.peer = self.other_peer(core);
        }
        self.ask.number = core.rng.next_u32() | 1;
        self.seen = core
            .members
            .find_life(self.origin.id, self.origin.tag)
            .map_or(0, |index| core.members.window(index).seen());
        self.lacked = self.missing(&core.members);
        self.ask.repeat(Schedule::pull(unit, &core.config), core.now);
    }

    /// Whom to ask after the first: others at random, and the origin now and then.
    fn other_peer<A: Address, S: Storage>(&self, core: &mut Core<A, S>) -> NodeId {
        // Better one that is known to be where it is said to be, or somebody may be asked without end who has nothing.
        let proved = |id| core.members.find(id).is_some_and(|index| core.members.is_proved(index));
        let origin = core.members.find_life(self.origin.id, self.origin.tag);
        let lives = origin.is_some_and(|index| core.members.is_live(index) && core.members.is_proved(index));
        if lives && self.ask.tries >= OTHERS && self.ask.tries.is_multiple_of(2) {
            return self.origin.id;
        }
        let other = |member: &Member<A>| member.id() != self.peer;
        let any = core.members.random_live(&mut core.rng, |member| other(member) && proved(member.id()));
        let any = any.or_else(|| core.members.random_live(&mut core.rng, other));
        any.and_then(|index| core.members.get(index)).map_or(self.origin.id, |record| record.id)
    }
}
