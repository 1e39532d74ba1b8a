//! What a message is about.

use core::fmt;

use crate::hash;

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
        1 << (hash::mix(self.0.into()) >> 59)
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
