//! In: from the bytes of a datagram, frame by frame, to what it changes.

use super::Node;
use super::reply::{Reply, Say};
use crate::challenge::Finding;
use crate::detector::{Asked, Asker};
use crate::event::Phase;
use crate::member::{Address, Liveness, MAX_JUMP, NodeId};
use crate::members::{Index, MYSELF};
use crate::node::weigh::UNCONTESTED;
use crate::rival::Witness;
use crate::stats::DropReason;
use crate::storage::{Breadth, Storage};
use crate::tree::Range32;
use crate::walk;
use crate::wire::{
    self, ANYONE, Answer, CHUNK, Content, Foreign, Frame, Head, Passing, Reader, Roots, Seal, What, Word, content_of,
    kind,
};

/// Who a datagram is from.
#[derive(Clone, Copy)]
pub(super) struct Speaker<A> {
    pub(super) addr: A,
    pub(super) head: Head,
    /// Its slot, if the table has it in this life.
    pub(super) known: Option<Index>,
    /// It is a member, has shown that it is at its address, and this came from there.
    pub(super) home: bool,
    /// Something may be to be done, beside an answer.
    pub(super) eventful: bool,
    /// It has been given an answer. Elsewhere than at home it gets one a datagram: it may not be where it says.
    pub(super) answered: bool,
    /// It has asked for something that takes a look at a whole table, or brought what does: one a datagram, as our own have.
    pub(super) busied: bool,
    /// Whose broadcasts it gives this node, and how many so far.
    pub(super) gives: Option<(NodeId, usize)>,
    /// How many bytes came.
    pub(super) len: usize,
}

impl<A: Address, S: Storage> Node<A, S> {
    /// Takes in a datagram. Whether anything may be to be done now, beside an answer: not after a ping of a member that is
    /// known to be well, and whose view is the same. Of all datagrams most are such pings.
    pub(super) fn receive(&mut self, from: A, datagram: &[u8]) -> bool {
        self.core.stats.datagrams_in = self.core.stats.datagrams_in.wrapping_add(1);
        self.core.stats.bytes_in = self.core.stats.bytes_in.wrapping_add(datagram.len() as u64);
        if !self.is_running() {
            self.receive_no_more(from, datagram);
            return true;
        }
        let Some(myself) = self.core.members.myself().copied() else { return true };
        let seal = Seal { cluster: self.core.config.cluster, addressee: myself.tag() };
        let (head, frames) = match wire::open(datagram, seal) {
            Ok(opened) => opened,
            Err(reason) => {
                self.turn_away(from, datagram, reason);
                return true;
            }
        };
        let was_isolated = self.detector.isolated;
        let eventful = if head.sender == myself.id {
            self.hear_own_id(from, head, frames, myself.tag());
            true
        } else {
            self.hear(from, head, frames, datagram.len())
        };
        self.note_isolation(was_isolated);
        eventful || was_isolated
    }

    /// Something that this node cannot take. Whoever sent it to anyone at this address may join in vain: it is told in less
    /// bytes than it sent, and no more of this node than that it is there.
    fn turn_away(&mut self, from: A, datagram: &[u8], reason: DropReason) {
        if let Some((check, same_version)) = wire::elsewhere(datagram) {
            let asked = self.seeds.note_elsewhere(check, same_version);
            return self.refuse_unless_asked(asked);
        }
        self.refuse(reason);
        if let Some(repeated) = wire::misdirected(datagram) {
            let say = Say::Elsewhere(repeated);
            self.reply(Reply { to: from, tag: ANYONE, home: false, most: datagram.len(), say });
        }
    }

    /// Whoever has left still acknowledges that another leaves: it may have heard of that before it was told itself.
    /// All else is counted and not told: the application has been told that this life is over.
    fn receive_no_more(&mut self, from: A, datagram: &[u8]) {
        self.core.stats.count(DropReason::NotRunning);
        let Some(myself) = self.core.members.myself().filter(|_| self.core.phase == Phase::Left) else { return };
        let seal = Seal { cluster: self.core.config.cluster, addressee: myself.tag() };
        let Ok((head, mut frames)) = wire::open(datagram, seal) else { return };
        let all = core::iter::from_fn(|| frames.frame().ok());
        let mut leaves = all.filter_map(|(kind, body)| match Self::decode(kind, body) {
            Ok(Frame::Leave { number }) => Some(number),
            _ => None,
        });
        if let Some(number) = leaves.next().filter(|_| !head.open) {
            let say = Say::LeaveAck { number };
            self.reply(Reply { to: from, tag: head.tag, home: false, most: usize::MAX, say });
        }
    }

    /// Takes in what another says; whether anything may be to be done now, beside an answer.
    fn hear(&mut self, from: A, head: Head, mut frames: Reader<'_>, len: usize) -> bool {
        if let Some(rival) = self.rival.as_mut().filter(|_| !head.open) {
            rival.note_contact(self.core.now);
        }
        let known = self.core.members.find_life(head.sender, head.tag);
        let held = known.and_then(|index| self.core.members.get(index));
        let kind = { frames }.frame().map_or(0, |(kind, _)| kind);
        // No owner leaps, unless others have pushed it; what it then says of itself, with our cookie, is believed.
        let leaps = held.is_some_and(|record| head.incarnation.saturating_sub(record.incarnation) > MAX_JUMP);
        if leaps && kind != kind::JOIN {
            self.refuse(DropReason::CounterJump);
            // Two that leap for each other must not ask each other without end.
            let introduce = frames.frame().and_then(|(kind, body)| Self::decode(kind, body));
            let say =
                if let Ok(Frame::Introduce { cookie }) = introduce { Say::Join { cookie } } else { Say::Introduce };
            if kind != 0 && !head.open {
                self.reply(Reply { to: from, tag: head.tag, home: false, most: 3 * len, say });
            }
            return true;
        }
        let (known, held) = if leaps { (None, None) } else { (known, held) };
        let there = held.is_some_and(|record| record.addr == from);
        let home = there && known.is_some_and(|index| self.core.members.is_proved(index));
        let eventful = self.rival.is_some() || !there;
        let mut speaker =
            Speaker { addr: from, head, known, home, eventful, answered: false, busied: false, gives: None, len };
        // Whoever sends to "anyone" has not shown that it is where it says: it is no evidence of life.
        if let Some(index) = known.filter(|_| !head.open) {
            self.first_hand(index, kind, &mut speaker);
        }
        while !frames.is_empty() {
            let body = frames.frame().and_then(|(kind, body)| Self::decode(kind, body));
            match body {
                Ok(frame) => self.on_frame(frame, &mut speaker),
                Err(reason) => {
                    self.refuse(reason);
                    speaker.eventful = true;
                    // Behind a broken length there is nothing to find.
                    if reason == DropReason::Truncated {
                        return true;
                    }
                }
            }
        }
        speaker.eventful
    }

    /// A datagram from a member itself, which begins with this kind of frame, meant for this life of ours: it lives.
    fn first_hand(&mut self, index: Index, kind: u8, speaker: &mut Speaker<A>) {
        let head = speaker.head;
        let Some(record) = self.core.members.get(index).copied() else { return };
        match record.liveness {
            // What is answered with a record anyway, of the one or of the other, needs no other answer, and news is such an
            // answer: two who ask each other to introduce themselves, or hold each other for dead, would never end.
            Liveness::Down if matches!(kind, 0 | kind::JOIN | kind::INTRODUCE | kind::NEWS) => {}
            // It has spoken anew about itself since. Only it knows what it said: a record made up from its incarnation and
            // what is known of it would be a lie that it had to speak against.
            Liveness::Down if head.incarnation > record.incarnation => self.respond(speaker, Say::Introduce),
            // From elsewhere it may be somebody else.
            Liveness::Alive if record.addr != speaker.addr => {}
            Liveness::Alive => {
                speaker.eventful |= !self.core.members.is_well(index);
                self.core.members.see(index, self.core.now);
                // Left over from when this node was cut off. Where a case is open, only an answer closes it.
                if !self.detector.doubts(head.sender) {
                    self.core.members.suspect(index, false);
                }
            }
            // From elsewhere it gets one answer, and may wait for just this one: to know this node at all, or to be told under
            // the number of its question that it is held for dead or has left.
            Liveness::Down | Liveness::Left if matches!(kind, kind::PING | kind::ASK) && !speaker.home => {}
            // It does not know that it is held for dead, or it would have spoken against it.
            Liveness::Down => self.respond(speaker, Say::About(head.sender)),
            // Whoever leaves probes nobody: this one has not.
            Liveness::Left if kind == kind::PING => self.respond(speaker, Say::About(head.sender)),
            Liveness::Left => {}
        }
    }

    /// A node without messages and maps has no more of them in its program than it takes to decline them.
    pub(super) fn decode(kind: u8, body: Reader<'_>) -> Result<Frame<'_>, DropReason> {
        if <S::Width as Breadth>::KEEPS_DATA { wire::decode(kind, body) } else { wire::decode_for::<false>(kind, body) }
    }

    fn on_frame(&mut self, frame: Frame<'_>, speaker: &mut Speaker<A>) {
        speaker.eventful |= !matches!(frame, Frame::Ping { .. });
        match frame {
            // It looks for one who was here, and is of another cluster that has the same name.
            Frame::Join { sought: Some(id), .. } if !self.may_answer_for(id) => self.refuse(DropReason::Stranger),
            Frame::Join { number, cookie, speaks, record, .. } if speaks => {
                self.on_join(number, cookie, record, speaker);
            }
            Frame::Join { .. } => self.refuse(DropReason::WireVersion),
            // All else must be meant for this life of ours.
            _ if speaker.head.open => self.refuse(DropReason::Stranger),
            Frame::Ping { number, roots } => self.on_ping(number, roots, speaker),
            Frame::Welcome { number, answer, record } => self.on_welcome(number, answer, record, speaker),
            Frame::News(records) => self.on_news(records, speaker),
            Frame::Ack { number, .. } if self.challenges.asked_claimant(number) => self.on_claimant(number, speaker),
            // Who passes news on may be news itself that has not come here yet.
            Frame::Hand { number, low, high, content: records @ Content::Records(_) } => {
                self.on_hand(number, Range32 { low, high }, records, speaker);
            }
            _ if speaker.known.is_none() => self.refuse(DropReason::Stranger),
            _ if is_laborious(&frame) && core::mem::replace(&mut speaker.busied, true) => self.refuse(DropReason::Busy),
            Frame::Ack { number, roots } => self.on_ack(number, roots, speaker),
            Frame::Ask { question, target, within } => self.on_ask(question, target, within, speaker),
            Frame::Verdict { question, target, word } => {
                let from = speaker.head.sender;
                let taken = if target == self.id() {
                    self.on_charge(from, question, word)
                } else {
                    self.detector.on_verdict(from, question, target, word, &mut self.core)
                };
                self.note_answer(taken, speaker);
            }
            Frame::List { low, high, salt, shorts } => {
                let diff = walk::compare(&self.core.members, (low, high), salt, shorts);
                self.answer_comparison(Say::Diff(diff), speaker);
            }
            Frame::Sums { what, low, high, salt, sums } if what == What::Records || self.keeps_data() => {
                self.on_sums(what, (low, high), salt, sums, speaker);
            }
            Frame::Diff { low, high, wanted, records } => self.on_diff((low, high), wanted, records, speaker),
            Frame::Parts(parts) => {
                let asked = self.walk.on_parts(speaker.head.sender, &parts, self.core.now);
                self.refuse_unless_asked(asked);
            }
            Frame::Leave { number } => self.on_leave(number, speaker),
            Frame::LeaveAck { number } => self.on_leave_ack(number, speaker),
            Frame::Claim(record) => self.on_claim(record, speaker.addr),
            Frame::HandAck { number, passing, have } => self.on_hand_ack(number, passing, have, speaker),
            Frame::Introduce { cookie } => self.respond(speaker, Say::Join { cookie }),
            Frame::Have { low, high, answer, positions } if self.keeps_data() => {
                self.on_have((low, high), answer, positions, speaker);
            }
            Frame::Hand { number, low, high, content } if self.keeps_data() => {
                self.on_hand(number, Range32 { low, high }, content, speaker);
            }
            Frame::Fetch { .. } | Frame::Given(_) | Frame::Fetched { .. } if self.keeps_maps() => {
                self.on_map(frame, speaker);
            }
            Frame::Foreign(foreign) => self.decline(foreign, speaker),
            _ if !<S::Width as Breadth>::KEEPS_DATA => {}
            _ if self.keeps_messages() => self.on_message(frame, speaker),
            frame => self.decline(frame.foreign(), speaker),
        }
    }

    fn on_map(&mut self, frame: Frame<'_>, speaker: &mut Speaker<A>) {
        match frame {
            Frame::Fetch { number, wants } => self.on_fetch(number, wants, speaker),
            Frame::Given(chunk) => self.on_given(&chunk, speaker),
            Frame::Fetched { number } => self.on_fetched(number, speaker),
            _ => {}
        }
    }

    fn on_message(&mut self, frame: Frame<'_>, speaker: &mut Speaker<A>) {
        match frame {
            Frame::Pull(pull) => self.on_pull(pull, speaker),
            Frame::Give(piece) => self.on_give(&piece, speaker),
            Frame::Lack(lack) => self.on_lack(&lack, speaker),
            Frame::Direct { number, part } => self.on_direct(number, &part, speaker),
            Frame::DirectAck { number, piece, taken } => self.on_direct_ack(number, piece, taken, speaker),
            // Maps of others than this node's kind.
            _ => self.decline(frame.foreign(), speaker),
        }
    }

    /// Something that this node does not keep: it says so to whoever waits for an acknowledgement, so that another passes it
    /// on.
    fn decline(&mut self, Foreign { kind, number, piece }: Foreign, speaker: &mut Speaker<A>) {
        let of_maps = match kind {
            kind::HAND => content_of(number) == CHUNK,
            kind => matches!(kind, kind::FETCH | kind::GIVEN | kind::FETCHED),
        };
        self.refuse(if of_maps { DropReason::StateRoom } else { DropReason::MessageRoom });
        match kind {
            kind::HAND => {
                self.respond(speaker, Say::HandAck { number, passing: Passing::No, have: 0, introduce: false });
            }
            kind::DIRECT => self.respond(speaker, Say::DirectAck { number, piece, taken: false }),
            _ => {}
        }
    }

    /// Answers to where a datagram came from.
    pub(super) fn respond(&mut self, speaker: &mut Speaker<A>, say: Say) {
        if speaker.answered && !speaker.home {
            return self.refuse(DropReason::Stranger);
        }
        speaker.answered = true;
        let most = if speaker.home { usize::MAX } else { 3 * speaker.len };
        self.reply(Reply { to: speaker.addr, tag: speaker.head.tag, home: speaker.home, most, say });
    }

    /// Counts an answer to no question. Another, from where the member is known to be, shows that it is there: only it
    /// was sent the number.
    pub(super) fn note_answer(&mut self, asked: bool, speaker: &Speaker<A>) {
        self.refuse_unless_asked(asked);
        let there = |index: &Index| self.core.members.get(*index).is_some_and(|record| record.addr == speaker.addr);
        if let Some(index) = speaker.known.filter(|_| asked).filter(there) {
            self.core.members.prove(index);
        }
    }

    /// Counts an answer to no question.
    pub(super) fn refuse_unless_asked(&mut self, asked: bool) {
        if !asked {
            self.refuse(DropReason::Unasked);
        }
    }

    // Probes.

    fn on_ping(&mut self, number: u32, roots: Roots, speaker: &mut Speaker<A>) {
        let own = self.core.roots(number);
        let same_members = roots.membership == own.membership;
        let differs = !same_members || !roots.same_positions(own);
        let lives = speaker.known.is_some_and(|index| self.core.members.is_live(index));
        let introduce = speaker.known.is_none() || !lives && !speaker.home;
        // A member probes it: it may have admitted this node, and the word of it was lost. Anybody may have sent this ping, so
        // the member is asked, where it is known to be.
        let asks = !introduce && !speaker.head.newcomer && self.core.phase == Phase::Joining;
        speaker.eventful |= differs || introduce || asks;
        if let Some(home) = speaker.known.filter(|_| asks).and_then(|index| self.core.members.get(index)) {
            self.seeds.call_again(home.addr, self.core.rng.next_u32() | 1, self.core.now);
        }
        let comparable = !speaker.head.full && !self.core.members.has_refused();
        // Whoever has not shown that it is there, or speaks from elsewhere, is told that the roots differ, and may ask.
        if lives && comparable && speaker.home {
            self.compare(speaker.head.sender, same_members);
        }
        self.respond(speaker, Say::Ack { number, differs, introduce });
    }

    fn on_ack(&mut self, number: u32, roots: Option<Roots>, speaker: &Speaker<A>) {
        let from = speaker.head.sender;
        let answered = self.detector.on_ack(from, number, &mut self.core);
        if !answered {
            return self.on_claimant(number, speaker);
        }
        self.note_answer(true, speaker);
        // A node that had to refuse members cannot become equal, and need not be asked.
        if !speaker.head.full && !self.core.members.has_refused() {
            let own = self.core.roots(number);
            self.compare(from, roots.is_none_or(|roots| roots.membership == own.membership));
            if self.keeps_data() {
                let equal = roots.is_none_or(|roots| roots.same_positions(own));
                self.walk.note_roots(from, equal, self.state.refuses, self.core.now);
            }
        }
    }

    /// Looks into unequal roots. A member that is held for dead and does not speak up yet has roots that differ from
    /// everybody's: it does so now and then, so as not to miss everything.
    fn compare(&mut self, peer: NodeId, equal: bool) {
        // Whoever leaves differs by that from all who do not know it yet.
        if self.leave.is_some() {
            return;
        }
        let period = self.core.config.probe_period;
        let gap = if self.detector.is_accused() { 4 * period } else { period / 8 };
        self.walk.compare(peer, equal, self.core.members.root(), self.core.now, (gap, 4 * period));
    }

    /// An answer to the question whether a member has moved, or lives anew: from the one or from the other.
    fn on_claimant(&mut self, number: u32, speaker: &Speaker<A>) {
        let Head { sender, tag, incarnation, .. } = speaker.head;
        match self.challenges.on_ack((sender, tag, incarnation), number) {
            Finding::Unasked => self.refuse(DropReason::Unasked),
            Finding::Noted => {}
            Finding::Confirmed(record, number) => {
                let _ = self.believe(record);
                if let Some(number) = number.filter(|_| record.liveness == Liveness::Left) {
                    let say = Say::LeaveAck { number };
                    self.reply(Reply { to: record.addr, tag, home: false, most: usize::MAX, say });
                }
            }
            Finding::Contradicted(claim, join) => {
                self.refuse(DropReason::Contradicted);
                if let Some(number) = join {
                    let say = Say::Welcome { number, answer: Answer::Lives, about: sender };
                    self.reply(Reply { to: claim.addr, tag: claim.tag(), home: false, most: usize::MAX, say });
                }
            }
        }
    }

    /// Somebody asks whether it is this node that lives elsewhere, or anew.
    fn on_claim(&mut self, mut record: Reader<'_>, addr: A) {
        let about = record.record::<A>().filter(|record| record.id == self.id());
        match about.zip(self.core.members.myself().copied()) {
            Some((record, myself)) if record.life != myself.life => {
                self.learn_of_other_life(record, myself, Witness::Hearsay(None));
            }
            // The first farewell: whoever was not told so by all believes it, and only a later word of ours ends that. It makes
            // all others contested, so that none of those does more than to ask. But two who hold each other for left never
            // speak to each other again, and nobody visits one who has left: only others ask about it. So a later farewell is
            // heeded if the questions go on.
            Some((record, myself))
                if record.liveness == Liveness::Left
                    && (myself.incarnation <= UNCONTESTED
                        || record.supersedes(&myself)
                            && self.detector.rumour_persists(self.core.now, &self.core.config)) =>
            {
                self.learn_of_myself(record, None);
            }
            // Who asks does not believe it, and whoever does will say so as well.
            Some((record, myself)) if record != myself => self.deny(addr),
            Some(_) => {}
            None => self.refuse(DropReason::Malformed),
        }
    }

    fn on_ask(&mut self, question: u32, target: NodeId, within: u64, speaker: &mut Speaker<A>) {
        let Speaker { addr, home, head: Head { sender: id, tag, .. }, .. } = *speaker;
        match self.core.members.find(target) {
            // It asks whether it is held for dead, or to have said more than it has, as somebody says: it is not.
            Some(index) if self.core.members.is_live(index) && target == id && self.is_up_to(index, speaker) => {
                self.respond(speaker, Say::Verdict { question, target, word: Word::Heard });
            }
            Some(index) if self.core.members.is_live(index) && index != MYSELF && target != id => {
                let asker = Asker { id, tag, addr, home };
                match self.detector.on_ask(asker, question, target, within, &mut self.core) {
                    Asked::Taken => {}
                    Asked::Silent => self.respond(speaker, Say::Verdict { question, target, word: Word::Silent }),
                    Asked::Busy => {
                        self.refuse(DropReason::Busy);
                        self.respond(speaker, Say::Verdict { question, target, word: Word::Busy });
                    }
                }
            }
            Some(MYSELF) => self.respond(speaker, Say::About(target)),
            // Of whom this node knows nothing it hears nothing. Without a word, one whom only the asker remembers would never
            // be found dead.
            Some(_) | None => self.respond(speaker, Say::Gone { question, target }),
        }
    }

    /// Whether the speaker itself says no less than is held of it.
    fn is_up_to(&self, index: Index, speaker: &Speaker<A>) -> bool {
        self.core.members.get(index).is_some_and(|held| held.incarnation <= speaker.head.incarnation)
    }
}

/// Whether a frame calls for a look at all members, or at all messages, or for pings to another.
fn is_laborious(frame: &Frame<'_>) -> bool {
    let wants = matches!(frame, Frame::Diff { wanted: 1.., .. });
    let tables = wants || matches!(frame, Frame::List { .. } | Frame::Sums { .. } | Frame::Have { .. });
    let data = matches!(frame, Frame::Hand { .. } | Frame::Pull(_) | Frame::Direct { .. } | Frame::Fetch { .. });
    let foreign = matches!(
        frame,
        Frame::Foreign(Foreign { kind: kind::HAND | kind::HAVE | kind::FETCH | kind::PULL | kind::DIRECT, .. })
    );
    // It has others sent pings: a datagram pays for one.
    let probes = matches!(frame, Frame::Ask { .. });
    tables || data || foreign || probes
}
