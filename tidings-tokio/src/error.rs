//! What can go wrong, in sentences.

use std::io;
use std::net::SocketAddr;

use tidings::{BroadcastError, CapacityError, SendError, StateError};

/// Why a cluster could not be started. Nothing is left running.
///
/// `Debug` writes the same sentence as `Display`: that is what a `main` prints that returns the error.
#[non_exhaustive]
pub enum StartError {
    /// A name or an address that is to be bound or advertised cannot be found.
    Resolve(String, io::Error),
    /// The socket cannot be bound.
    Bind(SocketAddr, io::Error),
    /// Nobody can send to this address: the socket is bound to a wildcard, and no seed that was found shows where others
    /// reach it, or a wildcard is advertised.
    Advertise(SocketAddr),
    /// This seed can never be joined through: it is a wildcard, or has port 0. A name that stands for such an address is passed
    /// over instead, as it may stand for another by and by.
    Seed(SocketAddr),
    /// More keys or a larger value than a node keeps, or what is imported is nothing that was exported.
    State(StateError),
    /// The operating system has no randomness to give.
    Random,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Resolve(name, error) => write!(f, "cannot find {name}: {error}"),
            StartError::Bind(addr, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "cannot bind {addr}: it is in use; port 0 stands for any free one")
            }
            StartError::Bind(addr, error) => write!(f, "cannot bind {addr}: {error}"),
            StartError::Advertise(addr) => {
                write!(f, "nobody can send to {addr}: give advertise() an address at which others reach this node, ")?;
                f.write_str("or seeds() a name that can be found")
            }
            StartError::Seed(addr) => write!(f, "nobody can send to the seed {addr}"),
            StartError::State(error) => write!(f, "cannot publish the first keys: {error}"),
            StartError::Random => f.write_str("the operating system gives no random bytes"),
        }
    }
}

impl std::fmt::Debug for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for StartError {}

/// Why the node of a handle runs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// It has left its cluster: somebody called `leave`, or the last handle was dropped.
    Left,
    /// Another live node has its id, and keeps it. Start with another name.
    IdTaken,
    /// Its socket failed for good; the system's words.
    Socket(String),
    /// Its task has ended with the runtime, or by a panic in a closure that it was given.
    Aborted,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stopped::Left => f.write_str("this node has left the cluster"),
            Stopped::IdTaken => f.write_str("another live node has this node's name"),
            Stopped::Socket(error) => write!(f, "the socket failed: {error}"),
            Stopped::Aborted => f.write_str("the task of this node has ended"),
        }
    }
}

impl std::error::Error for Stopped {}

/// Why something could not be done. Nothing changed, but for [`Unreachable`](Self::Unreachable).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The node runs no more.
    Stopped(Stopped),
    /// A message to all.
    Broadcast(BroadcastError),
    /// A message to one.
    Send(SendError),
    /// Not acknowledged in time. It may have arrived all the same.
    Unreachable,
    /// A key.
    State(StateError),
    /// A table of the node is at its limit.
    Capacity(CapacityError),
}

impl Error {
    /// Whether there is no room at the moment, and waiting helps. Only the methods that begin with `try_` give this.
    pub fn would_block(&self) -> bool {
        matches!(
            self,
            Error::Broadcast(BroadcastError::WouldBlock)
                | Error::Send(SendError::WouldBlock)
                | Error::State(StateError::WouldBlock)
        )
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Stopped(stopped) => stopped.fmt(f),
            Error::Broadcast(error) => error.fmt(f),
            Error::Send(error) => error.fmt(f),
            Error::Unreachable => f.write_str("the member did not acknowledge the message"),
            Error::State(error) => error.fmt(f),
            Error::Capacity(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! from {
    ($($of:ident => $variant:ident),*) => {
        $(impl From<$of> for Error {
            fn from(error: $of) -> Self {
                Error::$variant(error)
            }
        })*
    };
}
from!(Stopped => Stopped, BroadcastError => Broadcast, SendError => Send, StateError => State, CapacityError => Capacity);
