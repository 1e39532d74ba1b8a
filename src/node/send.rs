//! Out: what is owed, in order of urgency, written straight into the caller's buffer.

use super::Node;
use crate::budget::Class;
use crate::challenge::Side;
use crate::context::Context;
use crate::detector::{Probe, errand_time};
use crate::event::{DropReason, Phase, Transmit};
use crate::gossip;
use crate::member::{Address, Liveness, NodeId, Record};
use crate::members::{Index, MYSELF};
use crate::progress;
use crate::storage::{Few, FewOf, Storage};
use crate::sync::{self, Diff};
use crate::wire::{ANYONE, Answer, Head, Parts, Passing, Pull, Roots, Seal, VERSION, Word, Writer, kind};

/// How many answers are remembered until they are sent.
const REPLIES: usize = 16;
const FEW_REPLIES: usize = 8;

/// The answers that are owed, first come first served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Replies<A: Address, S: Storage>(Few<S, Reply<A>, REPLIES, FEW_REPLIES>);

impl<A: Address, S: Storage> Replies<A, S> {
    pub(super) const NONE: Self = Replies(FewOf::EMPTY);
}

/// An answer that waits to be sent, to where the question came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reply<A> {
    pub(super) to: A,
    /// The life that is answered.
    pub(super) tag: u32,
    /// That is a member's, at its address.
    pub(super) home: bool,
    /// How many bytes it may have.
    pub(super) most: usize,
    pub(super) say: Say,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Say {
    /// I live; and here are my roots, if yours differ.
    Ack {
        number: u32,
        differs: bool,
        introduce: bool,
    },
    /// This is what I hold of that member, perhaps you yourself.
    About(NodeId),
    /// I hear nothing of that member, and hold this of it: perhaps its end in an earlier life than you know.
    Gone {
        question: u32,
        target: NodeId,
    },
    /// I cannot probe that member now.
    TooBusy {
        question: u32,
        target: NodeId,
    },
    /// What a join comes to, and the record of this member: our own, or what stands in the way.
    Welcome {
        number: u32,
        answer: Answer,
        about: NodeId,
    },
    /// I do not know who you are by now: introduce yourself.
    Introduce,
    /// I am to introduce myself with this cookie.
    Join {
        cookie: u64,
    },
    Diff(Diff),
    Parts(Parts),
    Wanted {
        low: u64,
        wanted: u64,
    },
    LeaveAck {
        number: u32,
    },
    /// The piece has arrived, and goes on from here or not.
    CastAck {
        number: u32,
        passes_on: bool,
    },
    /// How far I have come with those in that range; and you, if this is not the answer to that already?
    Progress {
        low: u64,
        high: u64,
        answer: bool,
    },
    /// That piece of the message has arrived, and there was room for it or not.
    DirectAck {
        number: u32,
        piece: u8,
        taken: bool,
    },
    /// The part of a map has arrived, and goes on from here or not; what is here of it.
    DeltaAck {
        number: u32,
        passing: Passing,
        have: u32,
    },
    /// The parcel has arrived, and goes on from here or not.
    RelayAck {
        number: u32,
        passes_on: bool,
        introduce: bool,
    },
}

/// Something that is to be sent now.
pub(super) enum Owed<A> {
    Reply(Reply<A>),
    Probe(Probe<A>),
    Rival,
    Challenge {
        side: Side,
        number: u32,
    },
    Seed {
        number: u32,
    },
    Leave(NodeId),
    /// The parcel of this number.
    Relay {
        delegate: NodeId,
        number: u32,
    },
    /// The share of this number.
    Cast {
        delegate: NodeId,
        number: u32,
    },
    Direct {
        to: NodeId,
        number: u32,
    },
    /// A question for broadcasts that are missing.
    Pull(NodeId, Pull),
    /// What the first asker is to be given.
    Give {
        to: NodeId,
    },
    /// The part of a map of this number.
    Delta {
        delegate: NodeId,
        number: u32,
    },
    /// A question for maps of which somebody has more.
    Fetch {
        to: NodeId,
        number: u32,
    },
    /// What the first asker is to be given of maps.
    Maps {
        to: NodeId,
    },
    /// How far this node has come.
    Compare(NodeId),
    /// A question about the range that begins here.
    Sync(NodeId, u64),
    News(Index),
}

/// Why nothing was written.
enum Unsent {
    /// Whom it was for is no longer known.
    Gone,
    /// The buffer is too small.
    Small,
}

impl<A: Address, S: Storage> Node<A, S> {
    /// The next datagram to send, written into `buf`, or `None` if there is nothing to send. Call it until then.
    ///
    /// A buffer of [`Config::max_datagram`](crate::Config::max_datagram) bytes always suffices. If a smaller one does
    /// not, the datagram is kept, `None` is returned, and [`DropReason::SmallBuffer`] is counted.
    pub fn poll_transmit<'b>(&mut self, buf: &'b mut [u8]) -> Option<Transmit<'b, A>> {
        // Everything that is owed is owed once, so this ends; each turn sends it or finds that nobody wants it.
        while let Some(owed) = self.owed() {
            let most = if let Owed::Reply(reply) = &owed { reply.most } else { usize::MAX };
            let room = buf.len().min(self.config.max_datagram()).min(most);
            let space = buf.get_mut(..room)?;
            match self.encode(&owed, space) {
                Ok((to, len, news)) => {
                    let could_wait = match owed {
                        Owed::Sync(..) => (Class::Sync, len),
                        Owed::Reply(Reply { say: Say::Diff(_) | Say::Parts(_) | Say::Wanted { .. }, .. }) => {
                            (self.pays_for_answers().unwrap_or(Class::Sync), len)
                        }
                        Owed::Reply(Reply { say: Say::Progress { .. }, .. }) => (Class::Sync, len),
                        Owed::Pull(..) | Owed::Give { .. } | Owed::Compare(_) => (Class::Sync, len),
                        Owed::Cast { .. } | Owed::Direct { .. } => (Class::Casts, len),
                        Owed::Delta { .. } | Owed::Fetch { .. } | Owed::Maps { .. } => (Class::State, len),
                        Owed::News(_) | Owed::Relay { .. } => (Class::News, len),
                        _ => (Class::News, news),
                    };
                    self.budget.spend(len, could_wait, self.now, &self.config);
                    self.settle(owed);
                    self.stats.datagrams_out = self.stats.datagrams_out.wrapping_add(1);
                    self.stats.bytes_out = self.stats.bytes_out.wrapping_add(len as u64);
                    return Some(Transmit { to, payload: buf.get(..len)? });
                }
                Err(Unsent::Gone) => self.settle(owed),
                // Longer than may be given for what was asked; or, as the largest datagram always suffices, there is
                // nothing left to say.
                Err(Unsent::Small) if room == most || room == self.config.max_datagram() => self.settle(owed),
                Err(Unsent::Small) => {
                    self.refuse(DropReason::SmallBuffer);
                    return None;
                }
            }
        }
        None
    }

    /// Remembers an answer; if there is no room, it is as if the question had been lost.
    pub(super) fn reply(&mut self, reply: Reply<A>) {
        if self.replies.0.push(reply).is_err() {
            self.refuse(DropReason::Busy);
        }
    }

    fn owed(&self) -> Option<Owed<A>> {
        if let Some(reply) = self.replies.0.first() {
            return Some(Owed::Reply(reply.clone()));
        }
        if !self.is_running() {
            return None;
        }
        if let Some(leave) = &self.leave {
            if let Some(witness) = leave.owed() {
                return Some(Owed::Leave(witness));
            }
        } else if let Some(probe) = self.detector.owed() {
            return Some(Owed::Probe(probe));
        }
        if self.rival.as_ref().is_some_and(|rival| rival.owed) {
            return Some(Owed::Rival);
        }
        if let Some((_, side, number)) = self.challenges.owed() {
            return Some(Owed::Challenge { side, number });
        }
        if let Some(seed) = self.seeds.owed() {
            return Some(Owed::Seed { number: seed.number });
        }
        if let Some((delegate, number)) = self.relays.owed().filter(|_| self.may_send(Class::News)) {
            return Some(Owed::Relay { delegate, number });
        }
        if let Some(owed) = self.owed_message().or_else(|| self.owed_state()) {
            return Some(owed);
        }
        if let Some((peer, low)) = self.sync.owed().filter(|_| self.may_send(Class::Sync)) {
            return Some(Owed::Sync(peer, low));
        }
        self.gossip.target(&self.members).filter(|_| self.may_send(Class::News)).map(Owed::News)
    }

    /// What an answer to a comparison may be paid from. Not only from what is set aside for comparing: members that all
    /// spent it on asking would never answer each other.
    pub(super) fn pays_for_answers(&self) -> Option<Class> {
        [Class::Sync, Class::News].into_iter().find(|class| self.may_send(*class))
    }

    /// Whether the byte budget has anything left for what can wait.
    pub(super) fn may_send(&self, class: Class) -> bool {
        self.budget.allows(class, self.now, &self.config)
    }

    /// Takes off the list what was sent, or will never be.
    fn settle(&mut self, owed: Owed<A>) {
        match owed {
            Owed::Reply(_) => drop(self.replies.0.take_first()),
            Owed::Probe(probe) => self.detector.sent(probe),
            Owed::Rival => {
                if let Some(rival) = &mut self.rival {
                    rival.owed = false;
                }
            }
            Owed::Challenge { side, number } => self.challenges.sent(side, number),
            Owed::Seed { number } => self.seeds.sent(number),
            Owed::Leave(witness) => {
                if let Some(leave) = &mut self.leave {
                    leave.sent(witness);
                }
            }
            Owed::Relay { number, .. } => self.relays.sent(number),
            Owed::Sync(peer, low) if self.members.find(peer).is_none() => self.sync.give_up(low),
            Owed::Sync(_, low) => {
                self.sync.sent(low);
                self.stats.syncs = self.stats.syncs.wrapping_add(1);
            }
            Owed::News(index) => self.gossip.sent(index),
            Owed::Compare(_) => self.comparison.sent(self.now, 2 * self.detector.hop(&self.config)),
            Owed::Delta { number, .. } if self.keeps_maps() => self.state.tree.sent(number),
            Owed::Fetch { number, .. } if self.keeps_maps() => self.state.fetches.sent(number),
            Owed::Maps { to } if self.keeps_maps() => self.state.settle_give(to),
            message if self.keeps_messages() => self.settle_message(message),
            _ => {}
        }
    }

    fn settle_message(&mut self, owed: Owed<A>) {
        match owed {
            Owed::Cast { number, .. } => self.broadcasts.tree.sent(number),
            Owed::Direct { to, number } => self.broadcasts.sends.sent(to, number),
            Owed::Pull(_, pull) => {
                self.broadcasts.repairs.sent(pull.number);
                self.stats.pulls = self.stats.pulls.wrapping_add(1);
            }
            Owed::Give { to } => self.broadcasts.settle_give(to),
            _ => {}
        }
    }

    /// Writes one datagram: what is owed, and as much news as there is room for. Where to, its length, and how much of
    /// that is news.
    fn encode(&mut self, owed: &Owed<A>, buf: &mut [u8]) -> Result<(A, usize, usize), Unsent> {
        let (to, tag) = self.addressee(owed).ok_or(Unsent::Gone)?;
        let seal = Seal { cluster: self.config.cluster, addressee: tag };
        let head = self.head(tag == ANYONE).ok_or(Unsent::Gone)?;
        let written = Writer::new(buf, seal, head).and_then(|mut writer| {
            self.write(owed, &mut writer)?;
            // Strangers are told nothing: they may not be who they say, nor where.
            let hears = self.may_hear_news(owed);
            let room = if hears { self.budget.room(Class::News, self.now, &self.config) } else { 0 };
            let news = gossip::pack(&mut writer, room, &mut context!(self));
            // A burst of news without any would be a datagram for nothing.
            if matches!(owed, Owed::News(_)) && news == 0 {
                return None;
            }
            Some((writer.finish(seal)?, news))
        });
        written.map(|(len, news)| (to, len, news)).ok_or(Unsent::Small)
    }

    fn head(&self, open: bool) -> Option<Head> {
        let myself = self.members.myself()?;
        let (sender, tag, incarnation) = (myself.id, myself.tag(), myself.incarnation);
        let (full, newcomer) = (self.members.has_refused(), self.phase == Phase::Joining);
        Some(Head { sender, tag, incarnation, open, full, newcomer })
    }

    /// Where to, and for whom.
    fn addressee(&self, owed: &Owed<A>) -> Option<(A, u32)> {
        let of_member = |id| self.members.find_record(id).map(|record| (record.addr, record.tag()));
        match owed {
            Owed::Reply(reply) => Some((reply.to, reply.tag)),
            Owed::Probe(Probe::Ping { target, .. }) => of_member(*target),
            Owed::Probe(Probe::Ask { juror, .. }) => of_member(*juror),
            Owed::Probe(Probe::Verdict { to, tag, .. }) => Some((*to, *tag)),
            Owed::Rival => self.rival.as_ref().map(|rival| (rival.addr, rival.life.tag(self.id()))),
            Owed::Challenge { side: Side::Claimed, .. } => {
                self.challenges.owed().map(|(claim, ..)| (claim.addr, claim.tag()))
            }
            Owed::Challenge { side: Side::Known, .. } => of_member(self.challenges.owed()?.0.id),
            Owed::Seed { .. } => {
                let seed = self.seeds.owed()?;
                Some((seed.addr, seed.proof.map_or(ANYONE, |(_, tag)| tag)))
            }
            Owed::Leave(id) | Owed::Sync(id, _) | Owed::Relay { delegate: id, .. } => of_member(*id),
            Owed::Cast { delegate: id, .. } | Owed::Direct { to: id, .. } => of_member(*id),
            Owed::Pull(id, _) | Owed::Give { to: id } | Owed::Compare(id) => of_member(*id),
            Owed::Delta { delegate: id, .. } | Owed::Fetch { to: id, .. } | Owed::Maps { to: id } => of_member(*id),
            Owed::News(index) => self.members.get(*index).map(|record| (record.addr, record.tag())),
        }
    }

    /// Whether it goes to a member, and to where that member is known to be.
    fn may_hear_news(&self, owed: &Owed<A>) -> bool {
        match owed {
            Owed::Reply(reply) => reply.home,
            Owed::Rival | Owed::Challenge { .. } | Owed::Seed { .. } => false,
            // The question may have come from anywhere.
            Owed::Probe(Probe::Verdict { asker, to, .. }) => {
                let there = |index: &Index| self.members.get(*index).is_some_and(|record| record.addr == *to);
                self.members.find(*asker).filter(there).is_some_and(|index| self.members.is_proved(index))
            }
            _ => true,
        }
    }

    fn write(&mut self, owed: &Owed<A>, writer: &mut Writer<'_>) -> Option<()> {
        match owed {
            Owed::Reply(reply) => self.write_reply(reply, writer),
            Owed::Probe(probe) => self.write_probe(probe, writer),
            Owed::Rival => {
                self.write_ping(self.rival.as_ref()?.number, writer)?;
                // Of two equals the greater life keeps the id: the other must know which that is.
                let myself = self.members.myself()?;
                writer.frame(kind::NEWS, |body| body.record(myself))
            }
            Owed::Challenge { side, number } => {
                self.write_ping(*number, writer)?;
                let claim = self.challenges.owed()?.0;
                match side {
                    Side::Claimed => Some(()),
                    // What is said of it, so that it can find its twin.
                    Side::Known => writer.frame(kind::CLAIM, |body| body.record(claim)),
                }
            }
            Owed::Seed { .. } => {
                let seed = self.seeds.owed()?;
                let (number, cookie) = (seed.number, seed.proof.map_or(0, |(cookie, _)| cookie));
                self.write_join(number, cookie, writer)
            }
            Owed::Leave(_) => {
                let number = self.leave.as_ref()?.number;
                writer.frame(kind::NEWS, |body| self.members.describe(MYSELF, true, body))?;
                writer.frame(kind::LEAVE, |body| body.u32(number))
            }
            Owed::Relay { number, .. } => self.write_parcel(*number, writer),
            Owed::Sync(_, low) => {
                // Drawn only if it is used: a buffer that is too small changes nothing.
                let mut rng = self.rng.clone();
                let written = self.sync.write(*low, rng.next_u32(), writer, &self.members);
                if written.is_some() {
                    self.rng = rng;
                }
                written
            }
            Owed::News(_) => Some(()),
            Owed::Compare(_) if self.keeps_data() => self.write_comparison(writer),
            Owed::Delta { number, .. } if self.keeps_maps() => self.state.write_delta(*number, &self.members, writer),
            Owed::Fetch { number, .. } if self.keeps_maps() => self.state.write_fetch(*number, &self.members, writer),
            Owed::Maps { .. } if self.keeps_maps() => self.state.write_give(&self.config, &self.members, writer),
            message if self.keeps_messages() => self.write_message(message, writer),
            _ => None,
        }
    }

    /// Writes something of messages.
    fn write_message(&mut self, owed: &Owed<A>, writer: &mut Writer<'_>) -> Option<()> {
        match owed {
            Owed::Cast { number, .. } => self.write_cast(*number, writer),
            Owed::Direct { to, number } => self.write_direct(*to, *number, writer),
            Owed::Pull(_, pull) => writer.frame(kind::PULL, |body| pull.write(body)),
            Owed::Give { .. } => self.broadcasts.write_give(&self.members, writer),
            _ => None,
        }
    }

    /// Writes how far this node has come, or sums of it.
    fn write_comparison(&mut self, writer: &mut Writer<'_>) -> Option<()> {
        // Drawn only if it is used: a buffer that is too small changes nothing.
        let mut rng = self.rng.clone();
        let parts = (&self.broadcasts, &self.state);
        self.comparison.write(rng.next_u32(), parts, &self.members, writer)?;
        self.rng = rng;
        Some(())
    }

    /// Writes as many of a parcel's records as fit; its size was chosen so that all do.
    fn write_parcel(&self, number: u32, writer: &mut Writer<'_>) -> Option<()> {
        let (share, records) = self.relays.content(number)?;
        let frame = writer.begin(kind::RELAY)?;
        let head = |writer: &mut Writer<'_>| {
            writer.u32(number)?;
            writer.u32(share.low)?;
            writer.u32(share.high)
        };
        let written = head(writer).is_some().then(|| {
            let fits = |index: &&Index| self.members.write(**index, self.now, writer).is_some();
            records.iter().take_while(fits).count()
        });
        if written.is_some_and(|count| count > 0) { writer.end(frame) } else { writer.cancel(frame) }
    }

    fn write_ping(&self, number: u32, writer: &mut Writer<'_>) -> Option<()> {
        let roots = self.roots(number);
        writer.frame(kind::PING, |body| {
            body.u32(number)?;
            body.roots(roots)
        })
    }

    fn write_probe(&self, probe: &Probe<A>, writer: &mut Writer<'_>) -> Option<()> {
        match *probe {
            Probe::Ping { target, number, claim } => {
                self.write_ping(number, writer)?;
                // What others say of it, so that it can speak against it at once (Lifeguard's buddy system).
                let Some(incarnation) = claim else { return Some(()) };
                let record = self.members.find_record(target)?.with(Liveness::Down);
                writer.frame(kind::NEWS, |body| body.record(&Record { incarnation, ..record }))
            }
            Probe::Ask { question, target, .. } => writer.frame(kind::ASK, |body| {
                body.u32(question)?;
                body.id(target)?;
                body.time(errand_time(&self.config))
            }),
            Probe::Verdict { question, target, word, .. } => write_verdict(question, target, word, writer),
        }
    }

    fn write_reply(&self, reply: &Reply<A>, writer: &mut Writer<'_>) -> Option<()> {
        match reply.say {
            Say::Ack { number, differs, introduce } => {
                let roots = self.roots(number);
                writer.frame(kind::ACK, |body| {
                    body.u32(number)?;
                    if differs { body.roots(roots) } else { Some(()) }
                })?;
                if !introduce {
                    return Some(());
                }
                self.write_introduce(reply.to, writer)
            }
            Say::Introduce => self.write_introduce(reply.to, writer),
            Say::About(id) => self.write_about(id, writer),
            Say::Gone { question, target } => {
                write_verdict(question, target, Word::Silent, writer)?;
                self.write_about(target, writer)
            }
            Say::TooBusy { question, target } => write_verdict(question, target, Word::Busy, writer),
            Say::Welcome { number, answer, about } => {
                let about = self.members.find(about).unwrap_or(MYSELF);
                let (code, cookie) = match answer {
                    Answer::Prove(cookie) => (0, cookie),
                    Answer::Admitted => (1, 0),
                    Answer::Full => (2, 0),
                    Answer::Taken => (3, 0),
                    Answer::Lives => (4, 0),
                };
                writer.frame(kind::WELCOME, |body| {
                    body.u32(number)?;
                    body.u8(code)?;
                    body.u64(cookie)?;
                    self.members.describe(about, true, body)
                })
            }
            Say::Join { cookie } => self.write_join(0, cookie, writer),
            Say::Diff(diff) => diff.write(writer, &self.members),
            Say::Parts(parts) => parts.write(writer),
            Say::Wanted { low, wanted } => sync::write_wanted(low, wanted, writer, &self.members),
            Say::LeaveAck { number } => writer.frame(kind::LEAVE_ACK, |body| body.u32(number)),
            Say::CastAck { number, passes_on } => writer.frame(kind::CAST_ACK, |body| {
                body.u32(number)?;
                body.u8(u8::from(passes_on))
            }),
            Say::Progress { low, high, answer } if self.keeps_data() => {
                let parts = (&self.broadcasts, &self.state);
                progress::write_range(((low, high), answer), parts, &self.members, writer)
            }
            Say::DeltaAck { number, passing, have } => {
                writer.frame(kind::DELTA_ACK, |body| body.delta_ack(number, passing, have))
            }
            Say::DirectAck { number, piece, taken } => writer.frame(kind::DIRECT_ACK, |body| {
                body.u32(number)?;
                body.u8(piece)?;
                body.u8(u8::from(taken))
            }),
            // Whoever compares nothing does not answer comparisons.
            Say::Progress { .. } => None,
            Say::RelayAck { number, passes_on, introduce } => {
                writer.frame(kind::RELAY_ACK, |body| {
                    body.u32(number)?;
                    body.u8(u8::from(passes_on))
                })?;
                if introduce { self.write_introduce(reply.to, writer) } else { Some(()) }
            }
        }
    }

    fn write_about(&self, id: NodeId, writer: &mut Writer<'_>) -> Option<()> {
        match self.members.find(id) {
            Some(index) => writer.frame(kind::NEWS, |body| self.members.write(index, self.now, body)),
            None => Some(()),
        }
    }

    fn write_introduce(&self, to: A, writer: &mut Writer<'_>) -> Option<()> {
        let cookie = crate::join::cookie(&self.rng, to);
        writer.frame(kind::INTRODUCE, |body| body.u64(cookie))
    }

    fn write_join(&self, number: u32, cookie: u64, writer: &mut Writer<'_>) -> Option<()> {
        writer.frame(kind::JOIN, |body| {
            body.u32(number)?;
            body.u64(cookie)?;
            body.u8(VERSION)?;
            body.u8(VERSION)?;
            // Whoever is asked may be newer than this node, and is to know from where on it is told.
            self.members.describe(MYSELF, true, body)
        })
    }

    /// This node's roots, mixed with a ping's number.
    pub(super) fn roots(&self, number: u32) -> Roots {
        Roots::of(self.members.root(), self.keeps_data().then(|| self.members.progress()), number)
    }
}

fn write_verdict(question: u32, target: NodeId, word: Word, writer: &mut Writer<'_>) -> Option<()> {
    writer.frame(kind::VERDICT, |body| {
        body.u32(question)?;
        body.id(target)?;
        body.u8(match word {
            Word::Silent => 0,
            Word::Heard => 1,
            Word::Busy => 2,
        })
    })
}
