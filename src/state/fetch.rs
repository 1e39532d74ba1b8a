//! What this node lacks of others' maps: who is asked for it, and when that is given up.
//!
//! Whoever has more is asked, a little later than it is heard of: it may be on its way. The answers say when that was all;
//! then what is still lacking is asked for again, as long as something comes. All else shows again when roots are
//! compared.

use super::{Partial, Rebuilding, State};
use crate::ask::{Ask, Schedule, earliest};
use crate::config::Config;
use crate::map::LOGS;
use crate::member::{Address, NodeId};
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::storage::{FewData, FewOf, Storage, must_fit};
use crate::time::Instant;
use crate::wire::{Had, HadOf, MOST_VERSION, Origin, Writer};

/// The most that are asked at a time.
pub(crate) const FETCHES: usize = 4;
const FEW_FETCHES: usize = 2;
/// Of how many owners' maps each is asked.
pub(crate) const WANTS: usize = 16;
pub(super) const FEW_WANTS: usize = 6;
/// How often one is asked in vain.
const TRIES: u8 = 4;

/// A map of which another has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Want {
    owner: Index,
    tag: u32,
    /// How far the other has come.
    versions: [u32; LOGS],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Fetch<S: Storage> {
    peer: NodeId,
    wants: FewData<S, Want, WANTS, FEW_WANTS>,
    /// Its number is 0 before it is asked.
    ask: Ask,
    /// Something has come since it was asked.
    came: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fetches<S: Storage>(FewData<S, Fetch<S>, FETCHES, FEW_FETCHES>);

impl<S: Storage> Fetches<S> {
    pub(crate) const NONE: Self = Fetches(FewOf::EMPTY);

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Another has more of a member's map. It is asked in a while, if it has not come by then. False, and nothing noted, if
    /// there is no room.
    pub(crate) fn note(
        &mut self,
        peer: NodeId,
        (owner, tag): (Index, u32),
        versions: [u32; LOGS],
        next: Instant,
    ) -> bool {
        let covers = |want: &Want| {
            let reaches = want.versions.iter().zip(versions).all(|(held, said)| *held >= said);
            want.owner == owner && want.tag == tag && reaches
        };
        let holds = |fetch: &Fetch<S>| fetch.peer == peer || fetch.ask.tries == 0;
        if self.0.iter().any(|fetch| holds(fetch) && fetch.wants.iter().any(covers)) {
            return true;
        }
        let want = Want { owner, tag, versions };
        let mut open = self.0.iter_mut().filter(|fetch| fetch.peer == peer && fetch.ask.number == 0);
        if let Some(held) = open.find_map(|fetch| fetch.wants.iter_mut().find(|held| held.owner == owner)) {
            *held = want;
            return true;
        }
        let mut open = self.0.iter_mut().filter(|fetch| fetch.peer == peer && fetch.ask.number == 0);
        if open.any(|fetch| fetch.wants.push(want).is_ok()) {
            return true;
        }
        let mut wants = FewData::<S, Want, WANTS, FEW_WANTS>::EMPTY;
        must_fit(wants.push(want));
        self.0.push(Fetch { peer, wants, ask: Ask::new(0, next), came: false }).is_ok()
    }

    /// Whether there is room to hear of more that is lacking.
    pub(crate) fn has_room(&self) -> bool {
        !self.0.is_full()
    }

    pub(crate) fn due(&self) -> Instant {
        earliest(self.0.iter().map(|fetch| &fetch.ask))
    }

    /// Which of them are to ask, and whom.
    pub(crate) fn owed(&self) -> impl Iterator<Item = (usize, NodeId)> {
        self.0.iter().enumerate().filter(|(_, fetch)| fetch.ask.owed).map(|(at, fetch)| (at, fetch.peer))
    }

    /// Takes off what [`owed`](Self::owed) has given; whether it was there.
    pub(crate) fn sent(&mut self, at: usize) -> bool {
        self.0.get_mut(at).is_some_and(|fetch| fetch.ask.sent())
    }

    /// The caller came late: silence counts after the last try.
    pub(crate) fn postpone(&mut self, read: Instant) {
        self.0.iter_mut().for_each(|fetch| fetch.ask.postpone(TRIES, read));
    }

    /// The host did not take what was sent there.
    pub(crate) fn not_sent(&mut self, there: impl Fn(NodeId) -> bool) {
        self.0.iter_mut().filter(|fetch| there(fetch.peer)).for_each(|fetch| fetch.ask.not_sent());
        self.0.retain(|fetch| !fetch.ask.is_unsendable());
    }

    /// Whether this member is being asked for anything.
    pub(crate) fn asks(&self, peer: NodeId) -> bool {
        self.0.iter().any(|fetch| fetch.peer == peer)
    }

    /// Something has come from one who was asked: more is on its way.
    pub(crate) fn note_given(&mut self, peer: NodeId, now: Instant, wait: u64) {
        for fetch in self.0.iter_mut().filter(|fetch| fetch.peer == peer && fetch.ask.number != 0) {
            (fetch.came, fetch.ask.next) = (true, fetch.ask.next.max(now.after(wait)));
        }
    }

    /// One who was asked has given all that it will give now; false if it was not asked.
    pub(crate) fn on_fetched(&mut self, peer: NodeId, number: u32, now: Instant, unit: u64) -> bool {
        let asked = |fetch: &Fetch<S>| fetch.peer == peer && fetch.ask.number == number && number != 0;
        if !self.0.iter().any(asked) {
            return false;
        }
        for fetch in self.0.iter_mut().filter(|fetch| asked(fetch)) {
            // In vain: it may still be on its way there.
            let wait = if fetch.came { 0 } else { unit << fetch.ask.tries.min(8) };
            fetch.ask.tries = if fetch.came { 0 } else { fetch.ask.tries };
            (fetch.ask.number, fetch.ask.next) = (0, now.after(wait));
        }
        true
    }
}

impl Want {
    /// Whether there is still something to ask for.
    fn stands<A: Address, S: Storage>(&self, members: &Members<A, S>) -> bool {
        let map = members.map(self.owner);
        let same = members.get(self.owner).is_some_and(|record| record.tag() == self.tag);
        // What there was no room for is asked for later.
        same && map.wants(self.versions)
    }
}

impl<S: Storage> State<S> {
    /// Asks where it is time, and gives up where nothing comes.
    pub(crate) fn tick_fetches<A: Address>(&mut self, unit: u64, core: &mut Core<A, S>) {
        if core.now < self.fetches.due() {
            return;
        }
        for fetch in self.fetches.0.iter_mut().filter(|fetch| fetch.ask.is_due(core.now)) {
            fetch.wants.retain(|want| want.stands(&core.members));
            // What came shows that it is there, even if the end was lost.
            fetch.ask.tries = if fetch.came { 0 } else { fetch.ask.tries };
            let lives = core.members.find(fetch.peer).is_some_and(|index| core.members.is_live(index));
            if fetch.ask.tries >= TRIES || !lives {
                fetch.wants.clear();
            }
            (fetch.ask.number, fetch.came) = (core.rng.next_u32() | 1, false);
            fetch.ask.repeat(Schedule::pull_map(unit), core.now);
        }
        self.fetches.0.retain(|fetch| !fetch.wants.is_empty());
    }

    /// Writes this question: what this node has of the maps that it asks for.
    pub(crate) fn write_fetch<A: Address>(
        &self,
        at: usize,
        members: &Members<A, S>,
        writer: &mut Writer<'_>,
    ) -> Option<()> {
        let fetch = self.fetches.0.get(at)?;
        let frame = writer.begin(crate::wire::kind::FETCH)?;
        let fill = |writer: &mut Writer<'_>| {
            writer.u32(fetch.ask.number)?;
            let mut any = None;
            for want in fetch.wants.iter() {
                let Some(had) = self.had(want.owner, members) else { continue };
                if writer.had(&had).is_none() {
                    break;
                }
                any = Some(());
            }
            any
        };
        match fill(writer) {
            Some(()) => writer.end(frame),
            None => writer.cancel(frame),
        }
    }

    fn had<A: Address>(&self, owner: Index, members: &Members<A, S>) -> Option<Had> {
        let record = members.get(owner)?;
        let mut logs = members.map(owner).versions().map(|version| HadOf { version, ..HadOf::default() });
        for (log, had) in logs.iter_mut().enumerate() {
            let of = |held: &&Rebuilding| held.owner == owner && usize::from(held.log) == log;
            if let Some(held) = self.rebuilds.iter().find(of) {
                (had.version, had.rebuilds) = (held.rebuild.cursor, true);
            } else if members.map(owner).log(log).hollow {
                (had.version, had.rebuilds) = (0, true);
            }
            // What there is no room for is not to be sent.
            if members.map(owner).log(log).refused {
                *had = HadOf { version: MOST_VERSION, ..HadOf::default() };
            }
            let of = |held: &&Partial| held.owner == owner && usize::from(held.log) == log;
            had.partial = self.partials.iter().find(of).map(|held| (held.version, held.came));
        }
        Some(Had { origin: Origin { id: record.id, tag: record.tag() }, logs })
    }

    /// How long one who has more is waited for before it is asked.
    pub(crate) fn patience(unit: u64, config: &Config) -> u64 {
        (4 * unit).max(config.gossip_gap)
    }
}
