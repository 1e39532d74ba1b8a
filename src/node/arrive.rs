//! Arrival and departure: who joins through this node, what became of its own joins, who leaves, and others who say that
//! they are this node.

use super::Node;
use super::learn::{Source, Telling};
use super::receive::Speaker;
use super::reply::{Reply, Say};
use crate::event::{Notice, Phase, Trouble};
use crate::join::{cookie, is_cookie};
use crate::member::{Address, Liveness, NodeId, Record};
use crate::members::Index;
use crate::rival::Witness;
use crate::stats::DropReason;
use crate::storage::Storage;
use crate::wire::{ANYONE, Answer, Frame, Head, Reader, Told};

impl<A: Address, S: Storage> Node<A, S> {
    /// A join. It is first sent to the address that it names to prove that it is there; the proof costs us no memory.
    pub(super) fn on_join(&mut self, number: u32, proof: u64, mut record: Reader<'_>, speaker: &mut Speaker<A>) {
        let head = speaker.head;
        let told = record.told::<A>().filter(|Told { record, .. }| {
            let own = record.id == head.sender && record.tag() == head.tag;
            own && record.liveness == Liveness::Alive && record.incarnation == head.incarnation
        });
        let Some(Told { record: newcomer, seen, .. }) = told else { return self.refuse(DropReason::Malformed) };
        let proved = is_cookie(&self.core.rng, newcomer.addr, self.core.now, &self.core.config, proof);
        // One answer a datagram while nobody has proved that this is where it says.
        if core::mem::replace(&mut speaker.answered, true) && !proved {
            return self.refuse(DropReason::Stranger);
        }
        let answer = if proved {
            self.detector.answered(&mut self.core);
            self.admit((newcomer, seen), number, speaker)
        } else {
            if proof != 0 {
                self.refuse(DropReason::Cookie);
            }
            Answer::Prove(cookie(&self.core.rng, newcomer.addr, self.core.now, &self.core.config))
        };
        let about = if answer == Answer::Taken { newcomer.id } else { self.id() };
        let home = answer == Answer::Admitted;
        self.reply(Reply {
            to: newcomer.addr,
            tag: head.tag,
            home,
            most: usize::MAX,
            say: Say::Welcome { number, answer, about },
        });
    }

    /// Whether a visit to this member, who may be dead, is answered here: by whoever knows it, and by one whom a seed does not let
    /// in as another lives at this address, or did of late.
    pub(super) fn may_answer_for(&self, id: NodeId) -> bool {
        self.core.members.find(id).is_some() || self.core.phase == Phase::Joining && self.seeds.any_full()
    }

    fn admit(&mut self, (newcomer, seen): (Record<A>, u32), number: u32, speaker: &mut Speaker<A>) -> Answer {
        let held = self.core.members.find(newcomer.id);
        match held.and_then(|index| self.core.members.get(index).copied().map(|held| (index, held))) {
            // It does not know what is said of it; it is told, and speaks against it.
            Some((_, held)) if held.life == newcomer.life && held.supersedes(&newcomer) => return Answer::Taken,
            Some((index, held)) if held.life == newcomer.life => {
                let moved = held.liveness == Liveness::Alive && held.addr != newcomer.addr;
                if newcomer.supersedes(&held) && moved {
                    // Refused for want of room, it comes again.
                    let _ = self.challenge(newcomer, newcomer.id, Some(number));
                } else if newcomer.supersedes(&held) {
                    self.adopt(index, newcomer, Telling::Tree);
                }
                speaker.known = Some(index);
            }
            // Whoever lives elsewhere under this id keeps it, unless the newcomer has asked it in vain and raised its
            // generation above; and then it is asked once more from here.
            Some((index, held)) => {
                let elsewhere = held.liveness == Liveness::Alive && held.addr != newcomer.addr;
                let raised = newcomer.life.generation > held.life.generation;
                // Its incarnations are its own affair. Above such a generation nobody could raise his.
                if !newcomer.life.may_follow(held.life) {
                    self.refuse(DropReason::CounterJump);
                    return Answer::Taken;
                }
                // Of two that are members, the one as it is known may have to give way: it must hear of the other.
                let equal = !speaker.head.newcomer && newcomer.supersedes(&held);
                if elsewhere && (raised || equal) {
                    let _ = self.challenge(newcomer, newcomer.id, Some(number));
                }
                if elsewhere || !newcomer.supersedes(&held) {
                    return Answer::Taken;
                }
                self.adopt(index, newcomer, Telling::Tree);
                speaker.known = Some(index);
            }
            // One that looks for its seeds again may have said much in this life, and it may be this node that is new.
            None => match self.welcome_newcomer(newcomer, seen, Telling::Tree) {
                Some(index) => speaker.known = Some(index),
                None => return Answer::Full,
            },
        }
        if let Some(index) = speaker.known {
            self.core.members.see(index, self.core.now);
            self.core.members.suspect(index, false);
            if self.core.members.get(index).is_some_and(|held| held.addr == newcomer.addr) {
                self.core.members.prove(index);
            }
        }
        // Whoever joins through this node holds it alive from now on. While its own seeds name another life of its id, that
        // other may be what the rest holds.
        if self.core.phase == Phase::Joining && self.rival.is_none() && self.hearsay.is_none() {
            self.become_member();
            // It may be the one that was asked, and know the others: its own answer was lost.
            if !speaker.head.newcomer {
                self.walk.pull(newcomer.id, true, self.core.now);
            }
        }
        Answer::Admitted
    }

    pub(super) fn become_member(&mut self) {
        (self.core.phase, self.hearsay) = (Phase::Member, None);
        self.seeds.rest();
        self.seeds.look_around(self.core.now, &self.core.config);
        self.arrives = Some(self.core.now.after(self.core.config.suspicion));
    }

    /// Tells that this node has joined, once it knows whom the cluster has and how far each has come, or has waited for that
    /// long enough. What is learned from then on is no longer taken for old.
    pub(super) fn settle_in(&mut self) {
        let Some(until) = self.arrives.filter(|_| self.core.phase == Phase::Member) else { return };
        let knows = !self.walk.by_newcomer() && (!self.keeps_data() || self.walk.is_answered());
        if knows || self.core.now >= until {
            self.arrives = None;
            self.walk.settle();
            self.core.notices.raise(Notice::Joined);
        }
    }

    /// A seed's answer to our join, known by the number that only it was sent.
    pub(super) fn on_welcome(&mut self, number: u32, answer: Answer, mut record: Reader<'_>, speaker: &mut Speaker<A>) {
        let tag = speaker.head.tag;
        let introduced = number == 0 && speaker.known.is_some();
        let Some(seed) = self.seeds.answered(number, self.core.now) else {
            // The answer to an introduction carries no number.
            return match answer {
                // Anybody may have said so in its name.
                Answer::Taken if introduced => {
                    self.on_taken(record.record(), Witness::Hearsay(Some(speaker.head.sender)));
                }
                Answer::Admitted if introduced && self.keeps_data() => {
                    self.walk.note_introduced(speaker.head.sender, self.core.now);
                }
                _ => self.refuse_unless_asked(introduced),
            };
        };
        match answer {
            // Even if another seed was quicker: it may know others.
            Answer::Prove(cookie) if self.leave.is_none() => {
                seed.prove((cookie, tag, speaker.addr), self.core.now, &self.core.config);
            }
            Answer::Prove(_) => {}
            Answer::Full => {
                seed.trouble = Trouble::Full;
                self.refuse(DropReason::TableFull);
            }
            Answer::Taken => {
                self.seeds.note_taken(number);
                let told = record.record::<A>().filter(|record| record.id == self.id());
                let from = (speaker.head.sender, speaker.addr);
                let noted = told.is_some_and(|held| self.note_life_held(number, from, held));
                self.on_taken(told, if noted { Witness::Asked } else { Witness::Seed });
            }
            // It has been asked, and answered; to us it may be out of reach. A member settles it with the other itself, if there
            // is anybody whom it can ask besides its seeds.
            Answer::Lives => {
                self.seeds.note_taken(number);
                if self.is_joining() && self.is_shut_out() {
                    self.give_up_id();
                }
            }
            Answer::Admitted => {
                let host = record.told::<A>();
                let host = host.filter(|host| host.record.id == speaker.head.sender && host.record.tag() == tag);
                let Some(host) = host else { return self.refuse(DropReason::Malformed) };
                self.learn_told(host, Source::Owner, speaker.head.sender);
                let host = host.record;
                speaker.known = self.core.members.find_life(host.id, tag);
                let there = |index: &Index| self.core.members.get(*index).is_some_and(|held| held.addr == speaker.addr);
                if let Some(index) = speaker.known.filter(there) {
                    self.core.members.prove(index);
                }
                self.detector.answered(&mut self.core);
                let newcomer = self.core.phase == Phase::Joining;
                if newcomer {
                    self.become_member();
                }
                let own = self.core.members.myself().copied();
                let noted = own.is_some_and(|own| self.note_life_held(number, (host.id, speaker.addr), own));
                if self.leave.is_none() && !noted {
                    self.walk.pull(host.id, newcomer, self.core.now);
                }
                // The same again is no answer, or whoever recorded it could have tables compared with each copy.
                self.seeds.renumber(number, self.core.rng.next_u32() | 1);
            }
        }
    }

    /// Another life of our id, or what is said of ours, stands in the way of our join: this is its record. A seed was asked
    /// for it, another member only says so.
    fn on_taken(&mut self, other: Option<Record<A>>, witness: Witness) {
        match other.filter(|other| other.id == self.id()) {
            Some(other) => match self.core.members.myself().copied() {
                Some(myself) if myself.life != other.life => self.learn_of_other_life(other, myself, witness),
                _ => {
                    let teller = if let Witness::Hearsay(from) = witness { from } else { None };
                    self.learn_of_myself(other, teller);
                    self.speak_up(!matches!(witness, Witness::Hearsay(_)));
                }
            },
            None => self.refuse(DropReason::Malformed),
        }
    }

    pub(super) fn on_leave(&mut self, number: u32, speaker: &mut Speaker<A>) {
        // Its record has come before this in the datagram, and may have changed the table.
        let known = self.core.members.find_life(speaker.head.sender, speaker.head.tag);
        match known.and_then(|index| self.core.members.get(index)).map(|record| record.liveness) {
            Some(Liveness::Left) => self.respond(speaker, Say::LeaveAck { number }),
            // It is acknowledged when the member has confirmed it.
            Some(_) if self.challenges.note_farewell(speaker.head.sender, number) => {}
            Some(_) => self.refuse(DropReason::Malformed),
            None => self.refuse(DropReason::Stranger),
        }
    }

    /// A witness knows that this node leaves, and cannot be asked to pass that on.
    pub(super) fn on_leave_ack(&mut self, number: u32, speaker: &Speaker<A>) {
        let asked = self.leave.as_mut().is_some_and(|leave| leave.on_ack(speaker.head.sender, number));
        self.refuse_unless_asked(asked);
        if asked {
            let (tree, mut context) = self.core.tree();
            tree.do_without(speaker.head.sender, &self.relays.parcels, &mut context);
            self.relays.forget_done(&self.core.tree);
        }
    }

    // Others who say that they are this node.

    pub(super) fn hear_own_id(&mut self, from: A, head: Head, mut frames: Reader<'_>, own_tag: u32) {
        let rival = self.rival.as_ref().map(|rival| (rival.ask.number, rival.life.tag(head.sender)));
        let of_sender =
            |record: Option<Record<A>>| record.filter(|record| record.id == head.sender && record.tag() == head.tag);
        let frame = frames.frame().and_then(|(kind, body)| Self::decode(kind, body));
        match frame {
            // It asks whether we live; it may have to know.
            Ok(Frame::Ping { number, .. }) if head.tag != own_tag && head.tag != ANYONE && !head.open => {
                let claimant = frames.frame().and_then(|(kind, body)| Self::decode(kind, body));
                let other = match claimant {
                    Ok(Frame::News(mut records)) => records.record::<A>(),
                    _ => None,
                };
                if !of_sender(other).is_some_and(|other| self.stands_up_to(other, head)) {
                    return;
                }
                let say = Say::Twin { number };
                self.reply(Reply { to: from, tag: head.tag, home: false, most: usize::MAX, say });
            }
            Ok(Frame::Ack { number, .. }) if rival == Some((number, head.tag)) => self.meet_twin(head),
            // It joins through us, of all nodes. Our own record tells it where to ask whether we live.
            Ok(Frame::Join { number, mut record, .. }) if head.tag != own_tag => {
                if let Some(other) = of_sender(record.record()) {
                    // It means its table by that flag here.
                    self.stands_up_to(other, Head { full: false, ..head });
                }
                let say = Say::Welcome { number, answer: Answer::Taken, about: head.sender };
                self.reply(Reply { to: from, tag: head.tag, home: false, most: usize::MAX, say });
            }
            Ok(Frame::Welcome { number, answer: Answer::Taken, mut record }) if self.seeds.asked(number).is_some() => {
                self.seeds.note_taken(number);
                self.on_taken(record.record(), Witness::Seed);
            }
            // What it sent itself comes back from an address at which several take turns.
            _ if head.tag == own_tag => self.core.stats.count(DropReason::OwnId),
            _ => self.refuse(DropReason::OwnId),
        }
    }
}
