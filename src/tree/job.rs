//! What goes down the tree.
//!
//! A job says which bytes go to a delegate, and no more than that: they are read from the service that they belong to when
//! a datagram is written.

use heapless::Vec;

use crate::member::NodeId;
use crate::members::Index;
use crate::storage::Either;
use crate::wire::{CHUNK, PIECE, RECORDS};

/// The services whose jobs the tree carries. Each has places of its own in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// News of members (`relay.rs`).
    Parcel,
    /// Messages (`broadcast.rs`).
    Message,
    /// Maps (`state.rs`).
    Delta,
}

impl Kind {
    pub(super) const ALL: [Kind; 3] = [Kind::Parcel, Kind::Message, Kind::Delta];

    /// What jobs of this kind are on the wire.
    pub(super) fn content(self) -> u32 {
        match self {
            Kind::Parcel => RECORDS,
            Kind::Message => PIECE,
            Kind::Delta => CHUNK,
        }
    }
}

/// Something on its way to all members of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    /// Records, by the name of their parcel.
    Parcel(u32),
    Message(Message),
    Delta(Delta),
}

/// The most records in a parcel.
pub(crate) const PARCEL: usize = 24;

/// News of members that goes down the tree together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Parcel {
    pub(crate) name: u32,
    /// Who handed it to this node, or itself; `None` if that is not known.
    pub(crate) from: Option<NodeId>,
    pub(crate) records: Vec<Index, PARCEL>,
}

/// One piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    /// Where the message is in the log.
    pub(crate) at: u32,
    pub(crate) piece: u8,
    /// Its topic, as a bit in the records of members that listen to it.
    pub(crate) topics: u32,
}

/// A part of one log of a map: what is behind `from` up to `to`, as it is when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Delta {
    pub(crate) owner: Index,
    pub(crate) tag: u32,
    pub(crate) vital: bool,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Job {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Job::Parcel(_) => Kind::Parcel,
            Job::Message(_) => Kind::Message,
            Job::Delta(_) => Kind::Delta,
        }
    }

    /// Whether it is sent before others of its kind: the vital log of a map.
    pub(super) fn is_urgent(self) -> bool {
        matches!(self, Job::Delta(Delta { vital: true, .. }))
    }

    pub(crate) fn message(self) -> Option<Message> {
        if let Job::Message(message) = self { Some(message) } else { None }
    }

    pub(crate) fn delta(self) -> Option<Delta> {
        if let Job::Delta(delta) = self { Some(delta) } else { None }
    }
}

/// A job as the table holds it: a node without messages and maps has parcels alone, which take a fifth of the room.
pub(super) type Held<S> = Either<S, Job, ParcelOnly>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParcelOnly(u32);

impl From<ParcelOnly> for Job {
    fn from(ParcelOnly(name): ParcelOnly) -> Job {
        Job::Parcel(name)
    }
}

impl TryFrom<Job> for ParcelOnly {
    type Error = ();

    fn try_from(job: Job) -> Result<Self, ()> {
        if let Job::Parcel(name) = job { Ok(ParcelOnly(name)) } else { Err(()) }
    }
}
