//! Events that borrow nothing.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Event, Trouble};
use crate::ids::{MessageId, Question};
use crate::key::{Class, Entry, StateError, Version};
use crate::member::{Member, NodeId};
use crate::stats::DropReason;
use crate::topic::Topic;

/// An [`Event`] that borrows nothing: it can be kept, sent to another task, or looked at while the node is called.
///
/// [`Event::to_owned`] makes one. Each variant is described there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum OwnedEvent<A> {
    Joined,
    JoinFailing { seed: A, tries: u32, trouble: Trouble },
    MemberUp(Member<A>),
    MemberSuspect(Member<A>),
    MemberDown(Member<A>),
    MemberLeft(Member<A>),
    MemberMoved(Member<A>),
    Isolated,
    Reconnected,
    IdTaken,
    Left,
    Refused { reason: DropReason },
    Message { origin: NodeId, topic: Topic, id: MessageId, payload: Vec<u8>, hops: u8 },
    Gap { origin: NodeId, first: u32, last: u32 },
    Sent { id: MessageId, to: NodeId },
    Unreachable { id: MessageId, to: NodeId },
    Question { question: Question, topic: Topic, payload: Vec<u8> },
    Answer { id: MessageId, from: NodeId, payload: Vec<u8> },
    Answered { id: MessageId, answers: u32 },
    KeySet { owner: NodeId, entry: OwnedEntry },
    KeyDeleted { owner: NodeId, key: String },
    MapReplaced { owner: NodeId },
    MapGone { owner: NodeId },
}

impl<A: Copy> Event<'_, A> {
    /// The same, borrowing nothing. Copies the payload, or the key and its value.
    pub fn to_owned(&self) -> OwnedEvent<A> {
        match *self {
            Event::Joined => OwnedEvent::Joined,
            Event::JoinFailing { seed, tries, trouble } => OwnedEvent::JoinFailing { seed, tries, trouble },
            Event::MemberUp(member) => OwnedEvent::MemberUp(member),
            Event::MemberSuspect(member) => OwnedEvent::MemberSuspect(member),
            Event::MemberDown(member) => OwnedEvent::MemberDown(member),
            Event::MemberLeft(member) => OwnedEvent::MemberLeft(member),
            Event::MemberMoved(member) => OwnedEvent::MemberMoved(member),
            Event::Isolated => OwnedEvent::Isolated,
            Event::Reconnected => OwnedEvent::Reconnected,
            Event::IdTaken => OwnedEvent::IdTaken,
            Event::Left => OwnedEvent::Left,
            Event::Refused { reason } => OwnedEvent::Refused { reason },
            Event::Message { origin, topic, id, payload, hops } => {
                OwnedEvent::Message { origin, topic, id, payload: payload.to_vec(), hops }
            }
            Event::Gap { origin, first, last } => OwnedEvent::Gap { origin, first, last },
            Event::Sent { id, to } => OwnedEvent::Sent { id, to },
            Event::Unreachable { id, to } => OwnedEvent::Unreachable { id, to },
            Event::Question { question, topic, payload } => {
                OwnedEvent::Question { question, topic, payload: payload.to_vec() }
            }
            Event::Answer { id, from, payload } => OwnedEvent::Answer { id, from, payload: payload.to_vec() },
            Event::Answered { id, answers } => OwnedEvent::Answered { id, answers },
            Event::KeySet { owner, entry } => OwnedEvent::KeySet { owner, entry: entry.to_owned() },
            Event::KeyDeleted { owner, key } => OwnedEvent::KeyDeleted { owner, key: key.into() },
            Event::MapReplaced { owner } => OwnedEvent::MapReplaced { owner },
            Event::MapGone { owner } => OwnedEvent::MapGone { owner },
        }
    }
}

impl<A: Copy> OwnedEvent<A> {
    /// The same as an [`Event`], which borrows from this one.
    pub fn as_event(&self) -> Event<'_, A> {
        match *self {
            OwnedEvent::Joined => Event::Joined,
            OwnedEvent::JoinFailing { seed, tries, trouble } => Event::JoinFailing { seed, tries, trouble },
            OwnedEvent::MemberUp(member) => Event::MemberUp(member),
            OwnedEvent::MemberSuspect(member) => Event::MemberSuspect(member),
            OwnedEvent::MemberDown(member) => Event::MemberDown(member),
            OwnedEvent::MemberLeft(member) => Event::MemberLeft(member),
            OwnedEvent::MemberMoved(member) => Event::MemberMoved(member),
            OwnedEvent::Isolated => Event::Isolated,
            OwnedEvent::Reconnected => Event::Reconnected,
            OwnedEvent::IdTaken => Event::IdTaken,
            OwnedEvent::Left => Event::Left,
            OwnedEvent::Refused { reason } => Event::Refused { reason },
            OwnedEvent::Message { origin, topic, id, ref payload, hops } => {
                Event::Message { origin, topic, id, payload, hops }
            }
            OwnedEvent::Gap { origin, first, last } => Event::Gap { origin, first, last },
            OwnedEvent::Sent { id, to } => Event::Sent { id, to },
            OwnedEvent::Unreachable { id, to } => Event::Unreachable { id, to },
            OwnedEvent::Question { question, topic, ref payload } => Event::Question { question, topic, payload },
            OwnedEvent::Answer { id, from, ref payload } => Event::Answer { id, from, payload },
            OwnedEvent::Answered { id, answers } => Event::Answered { id, answers },
            OwnedEvent::KeySet { owner, ref entry } => Event::KeySet { owner, entry: entry.as_entry() },
            OwnedEvent::KeyDeleted { owner, ref key } => Event::KeyDeleted { owner, key },
            OwnedEvent::MapReplaced { owner } => Event::MapReplaced { owner },
            OwnedEvent::MapGone { owner } => Event::MapGone { owner },
        }
    }

    /// The member that this is about, if it is about one.
    pub fn member(&self) -> Option<Member<A>> {
        self.as_event().member()
    }
}

/// A line for a log, as [`Event`] has it.
impl<A: Copy + fmt::Debug> fmt::Display for OwnedEvent<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_event().fmt(f)
    }
}

/// An [`Entry`] that borrows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedEntry {
    key: String,
    value: Vec<u8>,
    version: Version,
    class: Class,
}

impl Entry<'_> {
    /// The same, borrowing nothing. Copies key and value.
    pub fn to_owned(&self) -> OwnedEntry {
        let Entry { key, value, version, class } = *self;
        OwnedEntry { key: key.into(), value: value.to_vec(), version, class }
    }
}

impl OwnedEntry {
    /// The same as an [`Entry`], which borrows from this one.
    pub fn as_entry(&self) -> Entry<'_> {
        Entry { key: &self.key, value: &self.value, version: self.version, class: self.class }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value itself, without a copy.
    pub fn into_value(self) -> Vec<u8> {
        self.value
    }

    /// When it was written.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Which class it is of.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The value as postcard reads it; see [`Node::set_typed`](crate::Node::set_typed). An error means that it is not of
    /// that type.
    pub fn typed<'n, T: serde::Deserialize<'n>>(&'n self) -> Result<T, StateError> {
        self.as_entry().typed()
    }
}
