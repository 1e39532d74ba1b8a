//! What the table should be: a sorted map of members, a queue of those to tell of, and one queue per send count.

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use crate::event::Event;
use crate::hash::mix;
use crate::member::{Life, Liveness, Member, NodeId, Record};
use crate::members::news::LISTS;
use crate::members::{Index, MYSELF};
use crate::time::Instant;

/// What the model holds of a member.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) index: Index,
    pub(super) record: Record<u16>,
    pub(super) suspect: bool,
    pub(super) excused: bool,
    pub(super) heard: bool,
    pub(super) proved: bool,
    pub(super) since: Instant,
    /// Its address has changed since the application was told of it.
    moved: bool,
}

impl Known {
    pub(super) fn is_live(&self) -> bool {
        self.record.liveness == Liveness::Alive
    }

    pub(super) fn is_heard(&self) -> bool {
        self.is_live() && self.heard && self.index != MYSELF
    }

    pub(super) fn member(&self) -> Member<u16> {
        Member { record: self.record, suspect: self.suspect }
    }
}

/// What an application that believes every event holds of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Up,
    Suspect,
    Down,
    Left,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    life: Life,
    addr: u16,
    told: Told,
}

impl Shown {
    fn is_up(&self) -> bool {
        matches!(self.told, Told::Up | Told::Suspect)
    }
}

#[derive(Debug)]
pub(super) struct Model {
    key: u64,
    limit: usize,
    /// By place in the id space.
    pub(super) members: BTreeMap<u64, Known>,
    pub(super) refused: bool,
    pub(super) forgotten: u64,
    untold: VecDeque<NodeId>,
    shown: BTreeMap<NodeId, Shown>,
    pub(super) news: Vec<VecDeque<Index>>,
}

impl Model {
    pub(super) fn new(key: u64, limit: usize, myself: Record<u16>) -> Self {
        let mut model = Model {
            key,
            limit,
            members: BTreeMap::new(),
            refused: false,
            forgotten: 0,
            untold: VecDeque::new(),
            shown: BTreeMap::new(),
            news: (0..LISTS).map(|_| VecDeque::new()).collect(),
        };
        model.put(MYSELF, myself, Instant::ZERO);
        model
    }

    pub(super) fn place(&self, id: NodeId) -> u64 {
        mix(id.get() ^ self.key)
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Known> {
        self.members.get(&self.place(id))
    }

    fn get_mut(&mut self, id: NodeId) -> Option<&mut Known> {
        let place = self.place(id);
        self.members.get_mut(&place)
    }

    /// Members in order of their slots, which are numbered without gaps.
    pub(super) fn by_slot(&self) -> Vec<&Known> {
        let mut all: Vec<&Known> = self.members.values().collect();
        all.sort_by_key(|known| known.index);
        all
    }

    pub(super) fn count(&self, wanted: impl Fn(&Known) -> bool) -> u32 {
        self.members.values().filter(|known| wanted(known)).count() as u32
    }

    // What is done to it.

    fn put(&mut self, index: Index, record: Record<u16>, now: Instant) {
        let (suspect, excused, heard, proved, moved) = Default::default();
        let known = Known { index, record, suspect, excused, heard, proved, since: now, moved };
        self.members.insert(self.place(record.id), known);
    }

    /// Puts a newcomer where the table says that it has put it, if that is a place where it may be.
    pub(super) fn admit(&mut self, record: Record<u16>, now: Instant, given: Option<Index>) {
        let alive = record.liveness == Liveness::Alive;
        let full = self.members.len() == self.limit;
        let forgettable =
            |known: &&Known| !known.is_live() && known.index != MYSELF && !self.untold.contains(&known.record.id);
        let longest_dead = self.members.values().filter(forgettable).map(|known| coarse(known.since)).min();
        let room = !full || alive && longest_dead.is_some();
        assert_eq!(given.is_some(), room, "it is admitted if there is room");
        if alive {
            self.refused = given.is_none();
        }
        let Some(index) = given else { return };
        if full {
            let place = *self.members.iter().find(|(_, known)| known.index == index).expect("a slot in use").0;
            let evicted = self.members.remove(&place).expect("it was found");
            assert!(!evicted.is_live() && index != MYSELF, "only the dead are forgotten: {evicted:?}");
            assert!(!self.untold.contains(&evicted.record.id), "none that is yet to be told of: {evicted:?}");
            assert_eq!(Some(coarse(evicted.since)), longest_dead, "the one that has been dead for longest");
            let shown = self.shown.remove(&evicted.record.id);
            assert!(shown.is_none_or(|shown| !shown.is_up()), "the application knows of its end: {evicted:?}");
            self.silence(index);
            self.forgotten += 1;
        } else {
            assert_eq!(index as usize, self.members.len(), "slots are taken in turn");
        }
        self.put(index, record, now);
        if alive {
            self.note_change(record.id);
        } else {
            self.see(record.id, now);
        }
    }

    pub(super) fn replace(&mut self, record: Record<u16>, now: Instant) {
        let Some(known) = self.get_mut(record.id) else { return };
        let alive = record.liveness == Liveness::Alive;
        let (was_alive, other_life) = (known.is_live(), known.record.life != record.life);
        known.moved |= known.record.addr != record.addr;
        known.proved &= known.record.addr == record.addr && !other_life;
        if other_life || alive != was_alive {
            (known.heard, known.since) = (false, now);
        }
        (known.record, known.suspect, known.excused) = (record, false, false);
        if !alive {
            (known.heard, known.since) = (true, now);
        }
        self.refused &= alive || !was_alive;
        self.note_change(record.id);
    }

    pub(super) fn see(&mut self, id: NodeId, now: Instant) {
        if let Some(known) = self.get_mut(id) {
            (known.heard, known.since) = (true, now);
        }
    }

    pub(super) fn prove(&mut self, id: NodeId) {
        if let Some(known) = self.get_mut(id) {
            known.proved = true;
        }
    }

    pub(super) fn suspect(&mut self, id: NodeId, suspect: bool) -> bool {
        let Some(known) = self.get_mut(id) else { return false };
        known.excused &= suspect;
        let changed = core::mem::replace(&mut known.suspect, suspect) != suspect;
        if changed {
            self.note_change(id);
        }
        changed
    }

    pub(super) fn excuse_suspect(&mut self, id: NodeId) {
        if let Some(known) = self.get_mut(id) {
            known.excused |= known.suspect && known.heard;
        }
    }

    pub(super) fn absolve(&mut self, looked_into: impl Fn(NodeId) -> bool) {
        let suspected = |known: &&Known| known.suspect && (!known.excused || !looked_into(known.record.id));
        let absolved: Vec<NodeId> = self.by_slot().into_iter().filter(suspected).map(|known| known.record.id).collect();
        for id in absolved {
            self.suspect(id, false);
            let known = self.get_mut(id).expect("it was found");
            known.excused = known.heard;
        }
    }

    // News.

    fn silence(&mut self, index: Index) -> Option<usize> {
        let sent = self.news.iter().position(|queue| queue.contains(&index))?;
        self.news[sent].retain(|other| *other != index);
        Some(sent)
    }

    pub(super) fn announce(&mut self, index: Index, sent: u8) {
        self.silence(index);
        if let Some(queue) = self.news.get_mut(usize::from(sent)) {
            queue.push_back(index);
        }
    }

    pub(super) fn count_copy(&mut self, index: Index, limit: u8) {
        let Some(sent) = self.silence(index) else { return };
        if sent + 1 < usize::from(limit) && sent + 1 < LISTS {
            self.news[sent + 1].push_back(index);
        }
    }

    // Events.

    fn note_change(&mut self, id: NodeId) {
        let myself = self.get(id).is_some_and(|known| known.index == MYSELF);
        if !myself && !self.untold.contains(&id) {
            self.untold.push_back(id);
        }
    }

    /// An application hears this, or that there is nothing to tell.
    pub(super) fn hear(&mut self, event: Option<Event<'_, u16>>) {
        let about = event.and_then(|event| event.member()).map(|member| member.id());
        // Of those who waited before it there was nothing to tell.
        while let Some(id) = self.untold.front().copied().filter(|id| Some(*id) != about) {
            self.untold.pop_front();
            self.knows(id);
        }
        let Some(event) = event else { return };
        let member = event.member().expect("the table tells of members");
        assert_eq!(self.untold.front(), Some(&member.id()), "it has changed: {event:?}");
        let before = self.shown.get(&member.id()).copied();
        let was_up = before.filter(Shown::is_up);
        let known = self.get_mut(member.id()).expect("it is there");
        let moved = core::mem::take(&mut known.moved);
        let known = known.clone();
        let suspect = match event {
            Event::MemberSuspect(_) => true,
            Event::MemberMoved(_) => was_up.is_some_and(|shown| shown.told == Told::Suspect),
            _ => false,
        };
        let held = Member { suspect, ..known.member() };
        assert_eq!(member, held, "what is told is what is held, and no suspicion before it is told");
        let liveness = match event {
            Event::MemberDown(_) => Liveness::Down,
            Event::MemberLeft(_) => Liveness::Left,
            _ => Liveness::Alive,
        };
        assert_eq!(known.record.liveness, liveness, "{event:?}");
        let (news, told) = match event {
            Event::MemberUp(_) => {
                let recovered = |shown: Shown| shown.told == Told::Suspect && !known.suspect;
                (was_up.is_none_or(|shown| shown.life != member.life() || recovered(shown)), Told::Up)
            }
            Event::MemberMoved(_) => (moved, was_up.expect("it was told of before").told),
            Event::MemberSuspect(_) => {
                (known.suspect && was_up.is_some_and(|shown| shown.told == Told::Up), Told::Suspect)
            }
            Event::MemberDown(_) => (was_up.is_some(), Told::Down),
            Event::MemberLeft(_) => (before.is_some_and(|shown| shown.told != Told::Left), Told::Left),
            other => panic!("not of a member: {other:?}"),
        };
        assert!(news, "told twice: {event:?} after {before:?}");
        self.shown.insert(member.id(), Shown { life: member.life(), addr: member.addr(), told });
    }

    /// Once there is nothing more to tell of a member, the application knows how it is.
    fn knows(&mut self, id: NodeId) {
        let shown = self.shown.get(&id).copied();
        let known = self.get_mut(id).expect("it is there");
        let record = known.record;
        match record.liveness {
            Liveness::Alive => {
                let told = if known.suspect { Told::Suspect } else { Told::Up };
                let shown = shown.expect("it was told of");
                assert_eq!((shown.life, shown.addr, shown.told), (record.life, record.addr, told), "{known:?}");
            }
            // Who was gone before the application heard of it, or died again unseen after it had left, is not told of.
            Liveness::Down => assert!(shown.is_none_or(|shown| !shown.is_up()), "{known:?} {shown:?}"),
            Liveness::Left => assert!(shown.is_none_or(|shown| shown.told == Told::Left), "{known:?} {shown:?}"),
        }
        known.moved &= known.is_live();
    }
}

/// The table keeps time in steps of 1,024 us, which only order by age may rely on.
fn coarse(time: Instant) -> u64 {
    time.as_micros() >> 10
}
