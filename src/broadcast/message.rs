//! What a message is called, and what it is about.

use core::fmt;

use crate::hash;
use crate::member::{NodeId, topic_bit};

/// What a message is about: who does not listen to its topic is spared its payload.
///
/// ```
/// use tidings::Topic;
/// const ALARMS: Topic = Topic::from_name("alarms");
/// assert_ne!(ALARMS, Topic::from_name("prices"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Topic(u32);

impl Topic {
    /// The topic with this number.
    pub const fn new(number: u32) -> Self {
        Topic(number)
    }

    /// A 32-bit hash of a name, at compile time for a constant one. Among 100 names the chance that any two collide is 1
    /// in a million; where they did, one would hear what is meant for the other.
    pub const fn from_name(name: &str) -> Self {
        Topic(hash::name(0x746f, name) as u32)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// What stands for it in a member's record.
    pub(crate) fn bit(self) -> u32 {
        topic_bit(self.0)
    }
}

impl From<&str> for Topic {
    /// As [`Topic::from_name`].
    fn from(name: &str) -> Self {
        Topic::from_name(name)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:08x})", self.0)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// One message among all: who sent it, in which life, and a number. Two messages never have the same, whatever their
/// payloads are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    pub(crate) origin: NodeId,
    pub(crate) tag: u32,
    pub(crate) seq: u32,
}

impl MessageId {
    /// Who sent it.
    pub const fn origin(self) -> NodeId {
        self.origin
    }

    /// Of a broadcast, its place among all that the origin has broadcast in its life, from 1 on; a long one takes several
    /// places, and this is the first. Of a direct message or an answer, a random number.
    pub const fn seq(self) -> u32 {
        self.seq
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:06x}-{}", self.origin, self.tag, self.seq)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for MessageId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}-{:06x}-{}", self.origin, self.tag, self.seq);
    }
}
