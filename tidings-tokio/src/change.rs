//! Changes of keys.

use tidings::{NodeId, OwnedEntry};

use crate::Event;

/// What has become of a key, or of all keys of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The owner has written it, or it was there when the watch began.
    Set {
        /// Whose it is.
        owner: NodeId,
        /// The key and what it holds.
        entry: OwnedEntry,
    },
    /// The owner has deleted it, or it has run out.
    Deleted {
        /// Whose it was.
        owner: NodeId,
        /// The key.
        key: String,
    },
    /// What was told of this member's keys may hold no more. Those that it has are told anew.
    Replaced {
        /// Whose they are.
        owner: NodeId,
    },
    /// All keys of this member are gone: it is down, or has left, for longer than they are kept.
    Gone {
        /// Whose they were.
        owner: NodeId,
    },
}

impl Change {
    /// Whose keys have changed.
    pub fn owner(&self) -> NodeId {
        match *self {
            Change::Set { owner, .. }
            | Change::Deleted { owner, .. }
            | Change::Replaced { owner }
            | Change::Gone { owner } => owner,
        }
    }

    /// The key, if it is about a single one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Change::Set { entry, .. } => Some(entry.key()),
            Change::Deleted { key, .. } => Some(key),
            _ => None,
        }
    }

    pub(crate) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::KeySet { owner, entry } => Some(Change::Set { owner: *owner, entry: entry.clone() }),
            Event::KeyDeleted { owner, key } => Some(Change::Deleted { owner: *owner, key: key.clone() }),
            Event::MapReplaced { owner } => Some(Change::Replaced { owner: *owner }),
            Event::MapGone { owner } => Some(Change::Gone { owner: *owner }),
            _ => None,
        }
    }
}
