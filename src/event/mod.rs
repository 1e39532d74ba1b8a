//! Everything that the application reads: events and phases, and below counters and errors.

mod error;
#[cfg(feature = "alloc")]
mod owned;

#[cfg(feature = "std")]
pub use error::is_transient;
pub use error::{BroadcastError, CapacityError, ForgetError, JoinError, SendError, SendFailure, StartError};
#[cfg(feature = "alloc")]
pub use owned::{OwnedEntry, OwnedEvent};

use crate::ids::{MessageId, Question};
use crate::key::Entry;
use crate::member::{Member, NodeId};
use crate::stats::DropReason;
use crate::topic::Topic;
use core::fmt;

/// Something that the application may want to know.
///
/// Member events are the difference between what the node knows and what it last told: they coalesce, cannot overflow
/// and are never lost. A member that went down and came back between two polls is not reported at all, unless it came
/// back in another life. Copy what you need before you call the node again. The node itself is borrowed while an event
/// is held: to look at all members after each, poll them all first.
///
/// A payload is borrowed from the node. Copy it, or make of it what you need, before you call the node again.
///
/// `Display` gives a line for a log, such as `00000000000000a7 at 10.0.0.7:7946 down`. Payloads and values may be secret, so
/// it gives their lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'n, A> {
    /// This node was asking seeds, is a member by now, and knows the cluster: all members that whom it asked knew have been
    /// told, and whatever is broadcast from now on is told or is a [`Gap`](Self::Gap). If it cannot learn all that within
    /// [`Config::suspicion`](crate::Config::suspicion), it is told all the same. A node that has no seeds but itself asks nobody,
    /// is a member from its start, and is not told this.
    Joined,
    /// No seed has let this node in yet. Told after a few tries, and then at gaps that double from six probe periods to an
    /// hour or so, while it goes on asking.
    JoinFailing {
        /// The seed of which most is known. All are in [`Node::seeds`](crate::Node::seeds).
        seed: A,
        /// How often seeds have been asked, all together.
        tries: u32,
        /// What came of asking that one.
        trouble: Trouble,
    },
    /// A member is alive: new, back, no longer suspected, or restarted (its life then differs from the one before).
    MemberUp(Member<A>),
    /// A member does not answer this node. Most recover; nothing has been told to others.
    MemberSuspect(Member<A>),
    /// A member was declared dead. Not told of those that fall silent when nobody at all answers any more: see
    /// [`Isolated`](Self::Isolated).
    MemberDown(Member<A>),
    /// A member left of its own accord.
    MemberLeft(Member<A>),
    /// A member has told that it moved to another address, in the same life.
    MemberMoved(Member<A>),
    /// Nobody of those asked has answered for a while: this node, not the others, seems to be cut off. It judges
    /// nobody until somebody answers.
    ///
    /// The last one alive cannot tell a crash of the last other from being cut off: it is isolated first, and declares the
    /// other down after three suspicions, unless [`Config::with_last_verdict`](crate::Config::with_last_verdict) says
    /// otherwise.
    Isolated,
    /// This node is no longer isolated: a member answers again, or the last other is declared down, so that nobody is left
    /// who could answer.
    Reconnected,
    /// Another live node has this node's id and keeps it. This node has fallen silent and is idle; `start` it with
    /// another id. The last event of this life.
    IdTaken,
    /// Leaving is done: peers acknowledged it, or the deadline passed. This node is silent but for what it still owes
    /// others who leave. The last event of this life.
    Left,
    /// Something was refused for this reason, the first time since `start`, and somebody may want to mend the cause: see
    /// [`DropReason::is_told`]. [`Stats`](crate::Stats) counts all refusals, those of a healthy cluster among them.
    Refused {
        /// Why.
        reason: DropReason,
    },
    /// A message has come: a broadcast on a topic that this node listens to, or one that was sent to this node. Each is
    /// told once.
    Message {
        /// Who sent it.
        origin: NodeId,
        /// What it is about.
        topic: Topic,
        /// Which it is.
        id: MessageId,
        /// What it says.
        payload: &'n [u8],
        /// How many nodes it went through, the origin included; 15 for more.
        hops: u8,
    },
    /// Broadcasts that this node cannot be given any more, or only ones that came before: neither this node nor whom it
    /// asked has them. They need not have been on a topic that it listens to. While 16 wait to be polled, others are only
    /// counted, in [`Stats::messages_lost`](crate::Stats::messages_lost).
    Gap {
        /// Who broadcast them.
        origin: NodeId,
        /// The number of the first, as in [`MessageId::seq`].
        first: u32,
        /// The number of the last.
        last: u32,
    },
    /// A direct message has been acknowledged by this member: it is there, and is told or will be.
    Sent {
        /// Which message.
        id: MessageId,
        /// Its addressee.
        to: NodeId,
    },
    /// A direct message was not acknowledged by this member in [`Config::delivery_timeout`](crate::Config), or the member
    /// is gone. It may have come all the same.
    Unreachable {
        /// Which message.
        id: MessageId,
        /// Its addressee.
        to: NodeId,
    },
    /// Another member asks. Answer with [`Node::answer`](crate::Node::answer), or not.
    Question {
        /// To be handed to `answer`.
        question: Question,
        /// What it is about.
        topic: Topic,
        /// What it says.
        payload: &'n [u8],
    },
    /// An answer to a question of this node's, one for each member that answers.
    Answer {
        /// Which question.
        id: MessageId,
        /// Who answers.
        from: NodeId,
        /// What it says.
        payload: &'n [u8],
    },
    /// A question of this node's is over: as many have answered as were wanted, or its time is. Later answers are refused.
    Answered {
        /// Which question.
        id: MessageId,
        /// How many answered.
        answers: u32,
    },
    /// Another member has written a key that is watched: what it holds now. Told once, however often it was written since
    /// the last time.
    KeySet {
        /// Whose it is.
        owner: NodeId,
        /// The key, its value and its version.
        entry: Entry<'n>,
    },
    /// Another member has deleted a key that is watched, or the key has run out.
    KeyDeleted {
        /// Whose it was.
        owner: NodeId,
        /// The key.
        key: &'n str,
    },
    /// What was told of this member's map, or read of it, may hold no more: it has begun another life, with an empty map, or
    /// keys were deleted while this node was out of reach, or had to make room, and it is not known which. What it has can be
    /// read, and what it writes is told.
    MapReplaced {
        /// Whose it is.
        owner: NodeId,
    },
    /// A member that is down or has left is no longer kept, and nothing can be read of it.
    MapGone {
        /// Whose it was.
        owner: NodeId,
    },
}

impl<A: Copy> Event<'_, A> {
    /// The member that this is about, if it is about one.
    pub fn member(&self) -> Option<Member<A>> {
        match self {
            Event::MemberUp(member)
            | Event::MemberSuspect(member)
            | Event::MemberDown(member)
            | Event::MemberLeft(member)
            | Event::MemberMoved(member) => Some(*member),
            _ => None,
        }
    }
}

impl<A: Copy + fmt::Debug> fmt::Display for Event<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (member, what) = match self {
            Event::Joined => return f.write_str("joined the cluster"),
            Event::JoinFailing { seed, tries, trouble } => {
                return write!(f, "cannot join after {tries} tries: {seed:?} {trouble}");
            }
            Event::Isolated => return f.write_str("isolated: nobody answers; cut off, or the last one alive"),
            Event::Reconnected => return f.write_str("no longer isolated"),
            Event::IdTaken => return f.write_str("silent: another live node has this id"),
            Event::Left => return f.write_str("left the cluster"),
            Event::Refused { reason } => return write!(f, "refused: {reason}"),
            Event::MemberUp(member) => (member, "up"),
            Event::MemberSuspect(member) => (member, "suspect"),
            Event::MemberDown(member) => (member, "down"),
            Event::MemberLeft(member) => (member, "left"),
            Event::MemberMoved(member) => (member, "moved"),
            Event::Message { origin, topic, payload, .. } => {
                return write!(f, "{origin} says {} bytes on {topic}", payload.len());
            }
            Event::Gap { origin, first, last } => return write!(f, "{origin}: lost {first} to {last}"),
            Event::Sent { id, to } => return write!(f, "{id} sent to {to}"),
            Event::Unreachable { id, to } => return write!(f, "{id} did not reach {to}"),
            Event::Question { question, topic, payload } => {
                return write!(f, "{} asks {} bytes on {topic}", question.asker(), payload.len());
            }
            Event::Answer { from, payload, .. } => return write!(f, "{from} answers {} bytes", payload.len()),
            Event::Answered { id, answers } => return write!(f, "{id} answered by {answers}"),
            Event::KeySet { owner, entry } => {
                return write!(f, "{owner} sets {} to {} bytes", entry.key(), entry.value().len());
            }
            Event::KeyDeleted { owner, key } => return write!(f, "{owner} deletes {key}"),
            Event::MapReplaced { owner } => return write!(f, "{owner}: its map begins anew"),
            Event::MapGone { owner } => return write!(f, "{owner}: its map is gone"),
        };
        write!(f, "{} at {:?} {what}", member.id(), member.addr())
    }
}

/// Why a seed has not let this node in, as far as this node knows. Later ones say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Trouble {
    /// It does not answer: nobody is there, or datagrams do not come through, or it runs a version from before it would say
    /// that it is of another cluster.
    NoAnswer,
    /// It has answered, but not let this node in yet. What is larger than a first answer may not come through, or another
    /// member has this node's id.
    Unfinished,
    /// It has no room for another member, or another lives at this node's address.
    Full,
    /// It is of a cluster of another name. It says that to whoever asks, and not what its own is.
    OtherCluster,
    /// It speaks another version of the protocol.
    OtherVersion,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Trouble::NoAnswer => "does not answer",
            Trouble::Unfinished => "answers, but does not let this node in",
            Trouble::Full => "has no room",
            Trouble::OtherCluster => "is of a cluster of another name",
            Trouble::OtherVersion => "speaks another version of the protocol",
        })
    }
}

/// Where a node stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Phase {
    /// Not started, or silent because its id is taken.
    Idle,
    /// Asking its seeds, or admitted by one and still learning whom the cluster has: [`Event::Joined`] has not been told. It
    /// may know members already, and be known to them.
    Joining,
    /// A member of a cluster, be it of one.
    Member,
    /// A member that nobody answers: cut off, or the last one alive.
    Isolated,
    /// Telling peers that it leaves.
    Leaving,
    /// Gone and silent, until `start`.
    Left,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Idle => "idle",
            Phase::Joining => "joining",
            Phase::Member => "member",
            Phase::Isolated => "isolated",
            Phase::Leaving => "leaving",
            Phase::Left => "left",
        })
    }
}

/// What the next deadline is for: readable logs, and an account of what wakes a battery-powered node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WakeReason {
    /// Nothing is due.
    Idle,
    /// The next member's probe.
    Probe,
    /// A probe that has not been answered: another try, another question to others, or a verdict.
    Retry,
    /// A probe on behalf of another member.
    Errand,
    /// One of the dead, or a seed that nobody is known to be at, is visited, if there is one.
    Visit,
    /// News waits for its next burst.
    Gossip,
    /// A step of anti-entropy waits for an answer.
    Sync,
    /// A seed is asked again.
    Join,
    /// Peers are told again that this node leaves.
    Leave,
    /// A message waits for room, for an acknowledgement, or for a question's end.
    Message,
    /// Broadcasts that are missing are asked for.
    Repair,
    /// A part of a map waits for room, for an acknowledgement or for who lacks it, or a key runs out.
    State,
    /// A claimant of this node's id is asked whether it lives.
    Rival,
    /// A member is said to live elsewhere or anew, and both addresses are asked.
    Challenge,
    /// Answers wait until the byte budget has something left for them.
    Answer,
}

impl fmt::Display for WakeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            WakeReason::Idle => "idle",
            WakeReason::Probe => "probe",
            WakeReason::Retry => "retry",
            WakeReason::Errand => "errand",
            WakeReason::Visit => "visit",
            WakeReason::Gossip => "gossip",
            WakeReason::Sync => "sync",
            WakeReason::Join => "join",
            WakeReason::Leave => "leave",
            WakeReason::Message => "message",
            WakeReason::Repair => "repair",
            WakeReason::State => "state",
            WakeReason::Rival => "rival",
            WakeReason::Challenge => "challenge",
            WakeReason::Answer => "answer",
        })
    }
}

/// What the node has to tell about itself, apart from its members: a set of flags, so that it cannot overflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Notices {
    pending: u8,
    refused_pending: u32,
    refused_ever: u32,
}

/// One bit of [`Notices::pending`], in the order in which they are told.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Notice {
    Joined,
    Isolated,
    Reconnected,
    IdTaken,
    Left,
    JoinFailing,
}

impl Notices {
    pub(crate) const NONE: Notices = Notices { pending: 0, refused_pending: 0, refused_ever: 0 };

    pub(crate) fn raise(&mut self, notice: Notice) {
        // Each of these two takes back what the other would have told.
        let taken_back = match notice {
            Notice::Isolated => self.take_bit(Notice::Reconnected),
            Notice::Reconnected => self.take_bit(Notice::Isolated),
            _ => false,
        };
        if taken_back {
            return;
        }
        self.pending |= 1 << notice as u8;
    }

    pub(crate) fn refused(&mut self, reason: DropReason) {
        let bit = u32::from(reason.is_told()) << reason as u8;
        self.refused_pending |= bit & !self.refused_ever;
        self.refused_ever |= bit;
    }

    fn take_bit(&mut self, notice: Notice) -> bool {
        let bit = 1 << notice as u8;
        let was = self.pending & bit != 0;
        self.pending &= !bit;
        was
    }

    pub(crate) fn poll<'n, A>(&mut self) -> Option<Event<'n, A>> {
        let told = [(Notice::Isolated, Event::Isolated), (Notice::Reconnected, Event::Reconnected)];
        if let Some(event) = self.take_first(told) {
            return Some(event);
        }
        let reason = *DropReason::ALL.get(self.refused_pending.trailing_zeros() as usize)?;
        self.refused_pending &= self.refused_pending - 1;
        Some(Event::Refused { reason })
    }

    /// To be told behind all members: an application acts on those that it knows by then.
    pub(crate) fn poll_joined<'n, A>(&mut self) -> Option<Event<'n, A>> {
        self.take_first([(Notice::Joined, Event::Joined)])
    }

    /// What is told of it is looked up.
    pub(crate) fn take_join_failing(&mut self) -> bool {
        self.take_bit(Notice::JoinFailing)
    }

    /// What ends a life, to be told when there is nothing else to tell: an application may look no further.
    pub(crate) fn poll_last<'n, A>(&mut self) -> Option<Event<'n, A>> {
        self.take_first([(Notice::IdTaken, Event::IdTaken), (Notice::Left, Event::Left)])
    }

    fn take_first<'n, A, const N: usize>(&mut self, told: [(Notice, Event<'n, A>); N]) -> Option<Event<'n, A>> {
        told.into_iter().find(|(notice, _)| self.take_bit(*notice)).map(|(_, event)| event)
    }
}

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transmit<'b, A> {
    /// Where to.
    pub to: A,
    /// The bytes, in the buffer that was handed in.
    pub payload: &'b [u8],
}
