//! What a record from elsewhere changes: whom to believe about whom.

use heapless::Vec;

use super::Node;
use super::weigh::{Heard, Hearing, Ruling, weigh};
use crate::detector::{Accusation, Said};
use crate::event::Phase;
use crate::gossip;
use crate::map::Map;
use crate::member::{Address, Certificate, Liveness, MAX_JUMP, NodeId, Record};
use crate::members::{Index, MYSELF};
use crate::rival::Witness;
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::tree::PARCEL;
use crate::wire::{Origin, Reader, Told, UNSAID, Word};

/// How many living members others may have let in at one address.
const MOST_AT_ONE_ADDRESS: usize = 4;

/// Where a record comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// From the member that it is about.
    Owner,
    /// Told as news, so it is fresh.
    News,
    /// The same, on its way to everybody: whoever takes it passes it on.
    Relay,
    /// Found by anti-entropy with this peer, so it may be old.
    Sync(NodeId),
}

/// How what is adopted is told to others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// Nobody else knows: to everybody, down the relay tree.
    Tree,
    /// Some or most know: by gossip, as if so many copies had been sent.
    Gossip(u8),
}

/// How many of the dead are forgotten at a time.
const MOST_FORGOTTEN: usize = 8;
/// Of which secret it hangs which slots are looked at for those at an address.
const CROWD: u64 = 0x63_726f_7764;

/// How many records are looked up before the first of them is weighed.
const BATCH: usize = 8;

impl<A: Address, S: Storage> Node<A, S> {
    /// What a stranger's news says of itself: the record of the very life that it speaks as. Of nodes that start together
    /// many hear of each other at first hand before anybody could introduce them.
    pub(super) fn introduction(mut records: Reader<'_>, sender: NodeId, tag: u32) -> Option<Record<A>> {
        let own = |record: &Record<A>| record.id == sender && record.tag() == tag && record.liveness == Liveness::Alive;
        core::iter::from_fn(|| records.record::<A>()).find(own)
    }

    /// Learns records until the first that makes no sense, or is more than a parcel holds.
    pub(super) fn learn_all(&mut self, mut records: Reader<'_>, source: Source, teller: NodeId) {
        let (mut sound, mut left) = (true, if source == Source::Relay { PARCEL } else { usize::MAX });
        while sound && !records.is_empty() {
            let mut batch = Vec::<(Told<A>, Option<Index>), BATCH>::new();
            while sound && !batch.is_full() && !records.is_empty() {
                sound = records.told().filter(|_| left > 0).is_some_and(|told| batch.push((told, None)).is_ok());
                left = left.saturating_sub(1);
            }
            // The slots of a large table are in no cache. Look-ups that need not wait for each other fetch them together.
            for (told, place) in &mut batch {
                *place = self.core.members.find(told.record.id);
                let known = place.filter(|_| self.keeps_data());
                core::hint::black_box(known.map(|index| self.core.members.position_with(index)));
            }
            for (told, place) in batch {
                let index = self.core.members.find_again(told.record.id, place);
                self.learn_at(told, index, source, teller);
                self.learn_of_messages(&told, teller);
            }
        }
        if !sound {
            self.refuse(DropReason::Malformed);
        }
    }

    /// Takes note of how far the teller has come with a member's broadcasts. For the dead nothing else says it.
    fn learn_of_messages(&mut self, told: &Told<A>, teller: NodeId) {
        let origin = Origin { id: told.record.id, tag: told.record.tag() };
        if told.seen == 0 || told.seen == UNSAID || !self.keeps_data() {
            return;
        }
        if let Some(index) = self.core.members.find_life(origin.id, origin.tag).filter(|index| *index != MYSELF)
            && self.core.members.window(index).seen() < told.seen
        {
            self.hear_of_messages(index, origin, told.seen, teller);
        }
    }

    /// Weighs a record, with what came beside it.
    pub(super) fn learn_told(&mut self, told: Told<A>, source: Source, teller: NodeId) {
        self.learn_at(told, self.core.members.find(told.record.id), source, teller);
    }

    /// Weighs a record of who has this slot, if anybody.
    fn learn_at(&mut self, told: Told<A>, index: Option<Index>, source: Source, teller: NodeId) {
        let Told { record, certificate, .. } = told;
        if record.id == self.id() {
            let accuser = certificate.and_then(|certificate| certificate.accuser());
            return self.learn_of_myself(record, accuser.or(Some(teller)));
        }
        let certificate = certificate.filter(|certificate| certificate.accuser().is_none());
        let Some(index) = index else { return self.learn_of_unknown(told, source) };
        let Some(held) = self.core.members.get(index).copied() else { return };
        // An end that is held already is no news, whatever else is told beside it.
        let record = record.ending(&held);
        let told = Told { record, ..told };
        let ruling = weigh(&record, &held, self.hearing(index, certificate, source));
        let looked_into = match ruling {
            // Whoever tells us has it already: an echo counts like a copy sent.
            Ruling::Stale if record == held => {
                return self.core.members.count_copy(index, gossip::copies(self.core.members.live()));
            }
            Ruling::Stale => return,
            Ruling::Leap => return self.refuse(DropReason::CounterJump),
            // Now and then all the same: whoever cannot reach the member holds it for dead, or for one that has left, until that
            // has been put to it.
            Ruling::Lie if !matches!(source, Source::Sync(_)) || !self.is_one_in_eight() => {
                return self.refuse(DropReason::Contradicted);
            }
            Ruling::Moot if !self.is_one_in_eight() => true,
            Ruling::Lie | Ruling::Moot | Ruling::Try => {
                let claim = Accusation { incarnation: record.incarnation, by: teller };
                self.detector.check_claim(record.id, claim, &mut self.core)
            }
            // Whoever leaves asks nobody any more, and waits for others who leave.
            Ruling::Ask if self.leave.is_none() || record.liveness != Liveness::Left => {
                self.challenge(record, teller, None)
            }
            Ruling::Ask | Ruling::Take => return self.take(index, told, source),
        };
        if !looked_into {
            self.refuse(DropReason::TooManyClaims);
        }
    }

    fn is_one_in_eight(&mut self) -> bool {
        self.core.rng.next_u32().is_multiple_of(8)
    }

    /// What there is to weigh a record about this member by.
    fn hearing(&self, index: Index, certificate: Option<Certificate>, source: Source) -> Hearing {
        let silence = self.core.members.silence(index, self.core.now);
        let heard = match silence {
            _ if silence < self.core.config.probe_period => Heard::Now,
            _ if silence < self.core.config.suspicion - self.core.config.grace() => Heard::Lately,
            _ => Heard::Long,
        };
        Hearing {
            owner: source == Source::Owner,
            fresh: matches!(source, Source::News | Source::Relay),
            certified: self.is_certified(index, certificate),
            heard,
        }
    }

    /// Takes over a record that is believed, with what came beside it.
    fn take(&mut self, index: Index, told: Told<A>, source: Source) {
        let Told { record, certificate, seen } = told;
        let held = self.core.members.get(index).map(|held| held.life);
        self.adopt(index, record, Telling::Gossip(self.copies_sent(source, record.liveness)));
        if held != Some(record.life) {
            self.begin_window(record.id, seen);
        }
        if let Some(certificate) = certificate.filter(|_| record.liveness == Liveness::Down) {
            self.core.members.certify(index, certificate, self.core.now.after(self.core.config.suspicion));
        }
    }

    /// Looks into the claim, by this teller, that a member lives elsewhere or anew, or what else only the member may say; a
    /// join of this number has proved it, if there is one. False if there is no room for it.
    pub(super) fn challenge(&mut self, claim: Record<A>, teller: NodeId, join: Option<u32>) -> bool {
        let unit = self.detector.unit(&self.core.config);
        self.leave.is_none() && self.challenges.open((claim, teller), join, unit, &mut self.core)
    }

    /// Takes over a record that a challenge has confirmed, if it still says anything new.
    pub(super) fn believe(&mut self, record: Record<A>) -> Option<Index> {
        let Some(index) = self.core.members.find(record.id) else {
            return self.welcome_newcomer(record, UNSAID, Telling::Tree);
        };
        self.core.members.get(index).filter(|held| record.supersedes(held))?;
        // Whoever leaves has told everybody, and may be gone before all were reached.
        let telling = if record.liveness == Liveness::Left { Telling::Gossip(0) } else { Telling::Tree };
        self.adopt(index, record, telling);
        Some(index)
    }

    /// Whether a verdict names witnesses who can have borne it.
    fn is_certified(&self, accused: Index, certificate: Option<Certificate>) -> bool {
        let Some(Certificate { jurors: [first, second], .. }) = certificate else { return false };
        // Where many die at once, a witness may be dead by now.
        let witness = |id| self.core.members.find(id).is_some_and(|juror| juror != accused);
        // Of three members there is only one to ask.
        let enough = first != second || self.core.members.others() <= 2;
        enough && witness(first) && witness(second)
    }

    fn learn_of_unknown(&mut self, told: Told<A>, source: Source) {
        let record = told.record;
        if source != Source::Owner && record.jumps(None) {
            return self.refuse(DropReason::CounterJump);
        }
        match (record.liveness, source) {
            // It may be a shadow of the past, if this node has forgotten any of the dead: somebody slept while it died. As
            // long as none was forgotten, they are all known.
            (Liveness::Alive, Source::Sync(teller)) if self.core.members.has_forgotten() => {
                if !self.challenge(record, teller, None) {
                    self.walk.leave_unfinished(teller, self.core.now, 2 * self.core.config.first_retry);
                }
            }
            (Liveness::Alive, _) => {
                let telling = Telling::Gossip(self.copies_sent(source, record.liveness));
                let _ = self.welcome_newcomer(record, told.seen, telling);
            }
            // This node may have forgotten it. Those who have not would have it die once more each time that tables are
            // compared.
            (_, Source::Sync(_)) if self.core.members.has_forgotten() => {}
            // An end that is news to us is worth remembering where there is room for it, and nothing to tell.
            _ => {
                let admitted = self.core.members.admit(record, self.core.now, &mut self.core.stats);
                self.bury();
                if let Some(index) = admitted.ok().filter(|_| self.keeps_data()) {
                    // What it said before, when this node did not know it, is old.
                    self.core.members.begin_window(index, Some(told.seen));
                }
            }
        }
    }

    /// Sets where the broadcasts of a member begin that this node did not know in that life. To a newcomer all before it are
    /// old, and whoever has forgotten members cannot tell; others have missed none but what they are told of.
    fn begin_window(&mut self, id: NodeId, seen: u32) {
        let Some(index) = self.core.members.find(id).filter(|_| self.keeps_data()) else { return };
        if self.core.phase == Phase::Joining || self.walk.by_newcomer() {
            self.core.members.begin_window(index, Some(seen));
        } else if self.core.members.has_forgotten() && seen > 0 {
            self.core.members.begin_window(index, None);
        }
    }

    /// Forgets some of the dead whose time is over. What all know of them goes at about the same time everywhere; until it has
    /// gone somewhere, what is said of them there is not believed here.
    pub(super) fn forget_outdated(&mut self) {
        let least = self.core.config.suspicion.saturating_mul(4);
        let kept = (self.core.config.dead_retention.max(least), self.core.config.left_retention.max(least));
        for _ in 0..MOST_FORGOTTEN {
            let Some(index) = self.core.members.outdated(&mut self.core.rng, kept, self.core.now) else { return };
            self.forget_member(index);
        }
    }

    /// Forgets one of the dead, with all that hangs on it.
    pub(super) fn forget_member(&mut self, index: Index) {
        let Some(record) = self.core.members.get(index) else { return };
        let origin = Origin { id: record.id, tag: record.tag() };
        if self.keeps_messages() {
            self.broadcasts.bury(origin, &mut self.core);
        }
        self.core.members.forget(index, &mut self.core.stats);
        self.bury();
    }

    /// Removes the map of whom the table has forgotten.
    fn bury(&mut self) {
        if self.keeps_maps() {
            self.state.bury(&mut self.core.members);
        } else if self.keeps_data() {
            self.core.members.take_evicted();
        }
    }

    /// Whether an address has brought in as many members as it may. One that answers there under many ids shall neither fill
    /// the table, nor have all members tell each other of arrivals and deaths without end. An address is a socket's: another
    /// process at the same host has another.
    ///
    /// So this node itself lets in one only where none lives and none has crashed in the last half minute. Who leaves counts
    /// for nothing, and who comes back under its id is not new. Of what others have let in more is believed, or tables would
    /// stay unequal.
    ///
    /// Of a large table it looks at some slots: at others for each datagram, but for all records of one at the same, which are in
    /// the cache then. They are nobody's guess.
    pub(super) fn is_crowded(&self, addr: A, hearsay: bool) -> bool {
        let start =
            self.core.members.look_from(self.core.rng.keyed(CROWD, &self.core.stats.datagrams_in.to_le_bytes()));
        let most = if hearsay { MOST_AT_ONE_ADDRESS } else { 1 };
        self.core.members.count_at(addr, start, !hearsay, self.core.now) >= most
    }

    /// Adds a living member, with whose broadcasts another has come so far; `None` if there is no room.
    pub(super) fn welcome_newcomer(&mut self, newcomer: Record<A>, seen: u32, telling: Telling) -> Option<Index> {
        // Who finds no room anyway need not be looked for.
        if !self.core.members.is_full() && self.is_crowded(newcomer.addr, telling != Telling::Tree) {
            self.refuse(DropReason::TableFull);
            return None;
        }
        let admitted = self.core.members.admit(newcomer, self.core.now, &mut self.core.stats);
        self.bury();
        match admitted {
            Ok(index) => {
                self.begin_window(newcomer.id, seen);
                self.tell_of(index, telling);
                Some(index)
            }
            Err(crate::members::Full) => {
                self.refuse(DropReason::TableFull);
                None
            }
        }
    }

    /// Takes over a record that supersedes what is held, and has others told.
    pub(super) fn adopt(&mut self, index: Index, record: Record<A>, telling: Telling) {
        let held = self.core.members.get(index).copied();
        // Its end is not the member's own word: it says nothing of where the member was, nor how patient.
        let record = held.map_or(record, |held| record.ending(&held));
        debug_assert!(held.is_none_or(|held| record.supersedes(&held)), "what is held only grows");
        let held = held.filter(|held| held.life != record.life && index != MYSELF);
        let origin = held.map(|held| Origin { id: held.id, tag: held.tag() });
        if let Some(origin) = origin.filter(|_| self.keeps_messages()) {
            self.broadcasts.bury(origin, &mut self.core);
        }
        if origin.is_some() && self.keeps_maps() {
            self.state.drop_map(index, &mut self.core.members);
        } else if origin.is_some() && self.keeps_data() {
            self.core.members.with_map(index, |map| *map = Map::NEW);
        }
        self.core.members.replace(index, record, self.core.now);
        self.tell_of(index, telling);
    }

    pub(super) fn tell_of(&mut self, index: Index, telling: Telling) {
        let tree = !self.detector.isolated && self.core.members.others() > 0;
        let sent = match telling {
            Telling::Gossip(sent) => sent,
            Telling::Tree if tree && self.relays.tell(index, self.core.now, &self.core.config) => {
                gossip::tail(self.core.members.live())
            }
            Telling::Tree => 0,
        };
        self.core.members.announce(index, sent);
    }

    /// How often others are taken to have been told already: what goes down the tree, all will be; what is found missing,
    /// others may miss too; and what a newcomer pulls, all know.
    fn copies_sent(&self, source: Source, liveness: Liveness) -> u8 {
        match source {
            Source::Owner => 0,
            // Whoever leaves is gone before it could tell those whom the tree did not reach.
            Source::News if liveness == Liveness::Left => 0,
            Source::Relay | Source::News => gossip::tail(self.core.members.live()),
            Source::Sync(_) if self.walk.by_newcomer() => crate::members::news::SILENT,
            Source::Sync(_) => gossip::copies(self.core.members.live()) / 2,
        }
    }

    /// Declares a member down that this node's own case has found dead.
    pub(super) fn declare_down(&mut self, index: Index, certificate: Option<Certificate>) {
        let Some(record) = self.core.members.get(index).copied() else { return };
        self.core.stats.declared_down = self.core.stats.declared_down.wrapping_add(1);
        self.adopt(index, record.with(Liveness::Down), Telling::Tree);
        if let Some(certificate) = certificate {
            self.core.members.certify(index, certificate, self.core.now.after(self.core.config.suspicion));
        }
    }

    // What others say about this node.

    /// Somebody else speaks of this node: that member, or as an answer to this node's own question.
    pub(super) fn learn_of_myself(&mut self, record: Record<A>, teller: Option<NodeId>) {
        let Some(myself) = self.core.members.myself().copied() else { return };
        if record.life != myself.life {
            self.learn_of_other_life(record, myself, Witness::Hearsay(None));
            return;
        }
        if record == myself {
            return self.core.members.count_copy(MYSELF, gossip::copies(self.core.members.live()));
        }
        if !speaks_against(&record, &myself) {
            return;
        }
        if record.incarnation.saturating_sub(myself.incarnation) > MAX_JUMP || record.incarnation == u32::MAX {
            return self.refuse(DropReason::CounterJump);
        }
        let noted = record.liveness == Liveness::Down && self.detector.is_accused_of(record.incarnation);
        let Some(teller) = teller.filter(|_| !noted) else { return self.answer_charge(record) };
        // Two words under one incarnation: whoever holds the other one says so when this node joins through it once more.
        if record.liveness == Liveness::Alive && record.incarnation == myself.incarnation {
            let rested = self.seeds.last_visit().is_none_or(|at| self.core.now.since(at) >= self.core.config.suspicion);
            let home = self.core.members.find_record(teller).filter(|_| rested).map(|held| held.addr);
            return home
                .into_iter()
                .for_each(|home| self.seeds.call_on(home, self.core.rng.next_u32() | 1, self.core.now));
        }
        let said = (record.incarnation, record.liveness);
        if !self.detector.charge(teller, said, &mut self.core) {
            self.refuse(DropReason::TooManyClaims);
        }
    }

    /// Somebody does hold what this record says of this node.
    fn answer_charge(&mut self, record: Record<A>) {
        let down = record.liveness == Liveness::Down;
        if !(down && self.detector.accuse(record.incarnation, self.core.now, &self.core.config)) {
            self.contradict(record);
        }
    }

    /// One who said that this node is gone was asked, and says whether it holds that itself.
    pub(super) fn on_charge(&mut self, from: NodeId, question: u32, word: Word) -> bool {
        let Some(held) = self.detector.on_charge(from, question, word, &mut self.core) else { return false };
        if let Some(said) = held {
            self.heed_charge(said);
        }
        true
    }

    /// Takes it that this is held of this node.
    pub(super) fn heed_charge(&mut self, (incarnation, liveness): Said) {
        if let Some(myself) = self.core.members.myself().copied() {
            self.learn_of_myself(Record { incarnation, ..myself.with(liveness) }, None);
        }
    }

    /// Speaks against what is said of this life of this node.
    fn contradict(&mut self, record: Record<A>) {
        let Some(myself) = self.core.members.myself().copied().filter(|myself| speaks_against(&record, myself)) else {
            return;
        };
        // Only the owner moves its incarnation, and this is when.
        self.core.stats.refutations = self.core.stats.refutations.wrapping_add(1);
        if record.liveness == Liveness::Down {
            self.detector.blame(self.core.now, &self.core.config);
        }
        if record.incarnation > MAX_INCARNATION {
            self.outlive(myself.life);
        } else {
            self.adopt(MYSELF, Record { incarnation: record.incarnation + 1, ..myself }, Telling::Tree);
        }
    }

    /// Speaks against its death, if it was told while this node held its tongue and that is over. A seed that asks must be
    /// answered `now`: nobody else may know this node at all.
    pub(super) fn speak_up(&mut self, now: bool) {
        let incarnation = self.detector.release(now, &self.core.config);
        if let Some((incarnation, myself)) = incarnation.zip(self.core.members.myself().copied()) {
            self.contradict(Record { incarnation, ..myself.with(Liveness::Down) });
        }
    }
}

/// Whether a node has to contradict what is said of it: it would replace what the node says of itself, or tells the same
/// word in another way. The smaller of two such is no less a lie, and to be silent about it would confirm it.
fn speaks_against<A: Address>(record: &Record<A>, myself: &Record<A>) -> bool {
    record.supersedes(myself) || record.disputes(myself)
}

/// Beyond this the owner begins a new life, whose incarnations count from zero: it is not left without an answer.
const MAX_INCARNATION: u32 = 1 << 31;
