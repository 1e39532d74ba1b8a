//! Answers: what others have asked, until it is sent.
//!
//! Every sender can fill this table, so `share.rs` divides it among addresses. An answer that gives way is counted. To the
//! peer that asked it is as if its question had been lost: it asks again.
//!
//! Answers wait for nothing but the byte budget (`budget.rs`). They are sent in the order of their questions.

use super::Node;
use crate::challenge::denial;
use crate::join::{write_introduce, write_join};
use crate::member::{Address, NodeId};
use crate::members::{Index, MYSELF};
use crate::share::{Claim, make_room};
use crate::stats::DropReason;
use crate::storage::{Few, FewOf, Storage, must_fit};
use crate::time::Instant;
use crate::walk::{self, Diff};
use crate::wire::{Answer, Parts, Passing, Word, Writer, kind, write_verdict};

/// How many answers are remembered until they are sent.
pub(super) const REPLIES: usize = 16;
const FEW_REPLIES: usize = 8;

/// The answers that are owed, first come first served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Replies<A: Address, S: Storage>(Few<S, Reply<A>, REPLIES, FEW_REPLIES>);

impl<A: Address, S: Storage> Replies<A, S> {
    pub(super) const NONE: Self = Replies(FewOf::EMPTY);

    pub(super) fn get(&self, at: usize) -> Option<&Reply<A>> {
        self.0.get(at)
    }

    /// Takes one off; whether it was there.
    pub(super) fn take(&mut self, at: usize) -> bool {
        self.0.take(at).is_some()
    }

    /// The first answer to which there is a later one of its kind, to the same peer, be it `new`.
    fn outdated(&self, new: &Reply<A>) -> Option<usize> {
        let later = |at: usize| self.0.iter().skip(at + 1).chain([new]);
        self.0.iter().zip(0..).find(|(reply, at)| later(*at).any(|later| later.is_like(reply))).map(|(_, at)| at)
    }
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
    /// I live, too, and have your id.
    Twin {
        number: u32,
    },
    /// This is what I hold of that member, perhaps you yourself.
    About(NodeId),
    /// I hear nothing of that member, and hold this of it: perhaps its end in an earlier life than you know.
    Gone {
        question: u32,
        target: NodeId,
    },
    /// This is what I know of that member already, or I cannot probe it now.
    Verdict {
        question: u32,
        target: NodeId,
        word: Word,
    },
    /// What a join comes to, and the record of this member: our own, or what stands in the way.
    Welcome {
        number: u32,
        answer: Answer,
        about: NodeId,
    },
    /// What began like this has come to the wrong place.
    Elsewhere([u8; 6]),
    /// I do not know who you are by now: introduce yourself.
    Introduce,
    /// I am to introduce myself with this cookie.
    Join {
        cookie: u64,
    },
    Diff(Diff),
    Parts(Parts),
    LeaveAck {
        number: u32,
    },
    /// What I was handed has arrived, and goes on from here or not; what is here of it.
    HandAck {
        number: u32,
        passing: Passing,
        have: u32,
        introduce: bool,
    },
    /// My positions in that range; and yours, if this is not the answer to that already?
    Have {
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
}

impl<A: Address> Reply<A> {
    /// The claim on its place: a member at its address comes first.
    fn claim(&self) -> Claim<A, ()> {
        Claim { peer: self.to, addr: None, rank: 1 + u8::from(self.home) }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.to == other.to && core::mem::discriminant(&self.say) == core::mem::discriminant(&other.say)
    }
}

impl Say {
    /// Whether it is a step of a comparison of tables, which can wait, as whoever asked asks again.
    pub(super) fn is_comparison(&self) -> bool {
        matches!(self, Say::Diff(_) | Say::Parts(_) | Say::Have { .. })
    }
}

impl<A: Address, S: Storage> Node<A, S> {
    /// Remembers an answer. What finds no room, or gives way, is as if its question had been lost. First the older of two
    /// answers of one kind to one peer gives way: the later says as much, and a caller who reads all that waits before it
    /// sends has room for all peers.
    pub(super) fn reply(&mut self, reply: Reply<A>) {
        if self.replies.0.is_full() {
            self.refuse(DropReason::Busy);
            if let Some(outdated) = self.replies.outdated(&reply) {
                self.replies.take(outdated);
            }
        }
        if make_room!(self.replies.0, Reply::claim, reply.claim()) {
            must_fit(self.replies.0.push(reply));
        }
    }

    /// A claim comes behind a ping from there that this node does not stand by: the answer says so.
    pub(super) fn deny(&mut self, to: A) {
        let of_ping = |reply: &&mut Reply<A>| reply.to == to && matches!(reply.say, Say::Ack { .. });
        if let Some(Reply { say: Say::Ack { number, .. }, .. }) = self.replies.0.iter_mut().filter(of_ping).last() {
            *number = denial(*number);
        }
    }

    /// The answers that may be sent now.
    pub(super) fn owed_replies(&self) -> impl Iterator<Item = (usize, &Reply<A>)> {
        self.replies.0.iter().enumerate().filter(|(_, reply)| self.answer_ready(reply) <= self.core.now)
    }

    /// When the first of those that may not be sent now may; the others go out with this very call.
    pub(super) fn answers_due(&self) -> Instant {
        let waiting =
            self.replies.0.iter().map(|reply| self.answer_ready(reply)).filter(|ready| *ready > self.core.now);
        waiting.min().unwrap_or(Instant::FAR_FUTURE)
    }

    fn answer_ready(&self, reply: &Reply<A>) -> Instant {
        match reply.say {
            // These are paid for as comparisons are.
            ref say if say.is_comparison() => self.core.now,
            _ if !self.is_running() => self.core.now,
            _ => self.core.budget.answer_ready(reply.home, self.core.now, &self.core.config),
        }
    }

    pub(super) fn write_reply(&self, reply: &Reply<A>, writer: &mut Writer<'_>) -> Option<()> {
        match reply.say {
            Say::Ack { number, differs, introduce } => {
                let roots = self.core.roots(number);
                writer.frame(kind::ACK, |body| {
                    body.u32(number)?;
                    if differs { body.roots(roots) } else { Some(()) }
                })?;
                if !introduce {
                    return Some(());
                }
                write_introduce(reply.to, &self.core, writer)
            }
            Say::Twin { number } => writer.frame(kind::ACK, |body| body.u32(number)),
            Say::Introduce => write_introduce(reply.to, &self.core, writer),
            // Unless it was forgotten since.
            Say::About(id) => self.core.members.find(id).and_then(|index| self.write_about(index, writer)),
            Say::Gone { question, target } => {
                write_verdict(question, target, Word::Silent, writer)?;
                // Of whom it knows nothing, it has no more to say.
                self.core.members.find(target).map_or(Some(()), |index| self.write_about(index, writer))
            }
            Say::Verdict { question, target, word } => write_verdict(question, target, word, writer),
            Say::Welcome { number, answer, about } => {
                let about = self.core.members.find(about).unwrap_or(MYSELF);
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
                    self.core.members.describe(about, true, body)
                })
            }
            // Whoever leaves has itself introduced to nobody any more.
            Say::Join { .. } if self.leave.is_some() => None,
            Say::Join { cookie } => write_join((0, cookie), None, &self.core, writer),
            // It is no datagram of this cluster.
            Say::Elsewhere(_) => None,
            Say::Diff(diff) => diff.write(writer, &self.core.members),
            Say::Parts(parts) => parts.write(writer),
            Say::LeaveAck { number } => writer.frame(kind::LEAVE_ACK, |body| body.u32(number)),
            Say::Have { low, high, answer } if self.keeps_data() => {
                walk::write_have((low, high), answer, (&self.broadcasts, &self.state), &self.core.members, writer)
            }
            Say::DirectAck { number, piece, taken } => writer.frame(kind::DIRECT_ACK, |body| {
                body.u32(number)?;
                body.u8(piece)?;
                body.u8(u8::from(taken))
            }),
            // Whoever compares nothing does not answer comparisons.
            Say::Have { .. } => None,
            Say::HandAck { number, passing, have, introduce } => {
                writer.frame(kind::HAND_ACK, |body| body.hand_ack(number, passing, have))?;
                if introduce { write_introduce(reply.to, &self.core, writer) } else { Some(()) }
            }
        }
    }

    fn write_about(&self, index: Index, writer: &mut Writer<'_>) -> Option<()> {
        writer.frame(kind::NEWS, |body| self.core.members.write(index, self.core.now, body))
    }
}
