//! What the application puts into its map, and what it reads of others'.

use core::fmt;
use core::time::Duration;

use crate::member::Life;

/// When a key was written: the owner's life, and the place among all that it wrote in it. Later is greater, for one owner;
/// no clock is in it. Keys of the vital class are counted apart from the others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub(crate) life: Life,
    pub(crate) number: u32,
}

impl Version {
    /// The life in which the owner wrote it.
    pub const fn life(self) -> Life {
        self.life
    }

    /// The place among the owner's writes in that life, from 1 on. There are gaps where keys were written again.
    pub const fn number(self) -> u32 {
        self.number
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.life.generation(), self.number)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Version {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}.{}", self.life.generation(), self.number);
    }
}

/// How soon a key goes out to others, and whether it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Class {
    /// To all members.
    #[default]
    Bulk,
    /// To all members, and before anything of the bulk: addresses and health, and what else is small and must be early.
    Vital,
    /// To nobody: only this node itself reads it.
    Local,
}

/// How a key is kept; see [`Node::set_with`](crate::Node::set_with).
///
/// ```
/// use core::time::Duration;
/// use tidings::{Class, SetOptions};
/// const HEALTH: SetOptions = SetOptions::DEFAULT.with_class(Class::Vital).with_ttl(Duration::from_secs(30));
/// assert_eq!(HEALTH.class(), Class::Vital);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a setter gives a new value and changes nothing"]
pub struct SetOptions {
    class: Class,
    ttl: Option<Duration>,
}

impl SetOptions {
    /// [`Class::Bulk`], for ever.
    pub const DEFAULT: SetOptions = SetOptions { class: Class::Bulk, ttl: None };

    /// Which class the key is of. One that has been of another is deleted there; until both have come, others may
    /// miss it, or read what it was.
    pub const fn with_class(self, class: Class) -> Self {
        SetOptions { class, ..self }
    }

    /// The key is deleted after this time, as by [`Node::delete`](crate::Node::delete): by the owner, at its own time, so
    /// that all agree. What an owner has that crashes lasts as long as its map. To within 70 ms, at most four years, and only
    /// while the node runs.
    pub const fn with_ttl(self, ttl: Duration) -> Self {
        SetOptions { ttl: Some(ttl), ..self }
    }

    /// Which class the key is of.
    pub const fn class(self) -> Class {
        self.class
    }

    /// After which time it is deleted; `None` if never.
    pub const fn ttl(self) -> Option<Duration> {
        self.ttl
    }
}

impl Default for SetOptions {
    fn default() -> Self {
        SetOptions::DEFAULT
    }
}

/// One key of somebody's map, borrowed from the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'n> {
    pub(crate) key: &'n str,
    pub(crate) value: &'n [u8],
    pub(crate) version: Version,
    pub(crate) class: Class,
}

impl<'n> Entry<'n> {
    /// The key.
    pub const fn key(&self) -> &'n str {
        self.key
    }

    /// The value.
    pub const fn value(&self) -> &'n [u8] {
        self.value
    }

    /// When it was written.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Which class it is of.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The value as postcard reads it; see [`Node::set_typed`](crate::Node::set_typed). An error means that it is not of
    /// that type.
    pub fn typed<T: serde::Deserialize<'n>>(&self) -> Result<T, StateError> {
        match postcard::take_from_bytes(self.value) {
            Ok((value, [])) => Ok(value),
            _ => Err(StateError::Type),
        }
    }
}

/// Why a key could not be written or read. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StateError {
    /// The key is empty, or longer than [`Node::max_key`](crate::Node::max_key).
    Key,
    /// The value is longer than [`Node::max_value`](crate::Node::max_value).
    TooLarge,
    /// No room: a node's map takes at most a quarter of the bytes set aside for state, here and elsewhere.
    Full,
    /// There is no such key.
    Unknown,
    /// Others lag too far behind what has been written: try again in a while. See
    /// [`Config::with_push_back`](crate::Config::with_push_back).
    WouldBlock,
    /// The value cannot be encoded, or is not of the type that is asked for.
    Type,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateError::Key => "the key is empty or too long",
            StateError::TooLarge => "the value is too large",
            StateError::Full => "the map has no room",
            StateError::Unknown => "there is no such key",
            StateError::WouldBlock => "others lag too far behind",
            StateError::Type => "the value is not of that type",
        })
    }
}

impl core::error::Error for StateError {}
