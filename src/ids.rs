//! What messages and questions are called.

use core::fmt;

use crate::member::NodeId;

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

/// A question that another member has asked, to be answered with [`Node::answer`](crate::Node::answer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Question {
    pub(crate) asker: NodeId,
    pub(crate) number: u32,
}

impl Question {
    /// Who asks.
    pub const fn asker(self) -> NodeId {
        self.asker
    }
}
