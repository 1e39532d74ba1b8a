//! What the caller may not do, and what the caller could not.

use core::fmt;

/// Why the caller could not send a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendFailure {
    /// Local trouble: no buffer, an interface that is down, a datagram larger than the link takes. The peer is not
    /// held to have been asked.
    Local,
    /// The peer's side answered that nobody listens or that it cannot be reached. Counts as an unanswered try.
    Unreachable,
}

/// Reads what a socket's `send_to` came to.
#[cfg(feature = "std")]
impl From<&std::io::Error> for SendFailure {
    /// A refusal and an unreachable host are the peer's; anything else, a full buffer of a socket that does not block
    /// included, counts as local trouble, because it must not be held against the peer.
    fn from(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable => SendFailure::Unreachable,
            _ => SendFailure::Local,
        }
    }
}

/// Whether an error of a socket's `recv_from` says nothing about the socket itself: nothing has come (in time), a
/// signal came first, or an earlier datagram did not arrive, which some systems tell the next receiver. Go on as after
/// a timeout then. After any other error the socket is broken, and to try again would be a busy loop.
#[cfg(feature = "std")]
pub fn is_transient(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::*;
    let kind = error.kind();
    let nothing_came = matches!(kind, WouldBlock | TimedOut | Interrupted);
    let undelivered = matches!(kind, ConnectionRefused | ConnectionReset);
    nothing_came || undelivered || matches!(kind, HostUnreachable | NetworkUnreachable | NetworkDown)
}

/// Why a node could not begin a life, or move, at an address. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StartError {
    /// Nobody can send to the address ([`Address::is_reachable`](crate::Address::is_reachable)). Give the one at which others
    /// reach this node, which need not be the one that its socket is bound to.
    Unreachable,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartError::Unreachable => "nobody can send to this address",
        })
    }
}

impl core::error::Error for StartError {}

/// Why a node could not be asked for admission. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum JoinError {
    /// Nobody can send to the address ([`Address::is_reachable`](crate::Address::is_reachable)): a wildcard or port 0.
    Unreachable,
    /// It is this node's own address. Where all members are given the same list of seeds, this is no failure.
    Myself,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Unreachable => StartError::Unreachable.fmt(f),
            JoinError::Myself => f.write_str("a node cannot join through its own address"),
        }
    }
}

impl core::error::Error for JoinError {}

/// What makes an address useless to its node makes it useless as a seed.
impl From<StartError> for JoinError {
    fn from(StartError::Unreachable: StartError) -> Self {
        JoinError::Unreachable
    }
}

/// Why a message could not be sent to all. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BroadcastError {
    /// The node is idle, is leaving or has left.
    NotRunning,
    /// Longer than [`Node::max_payload`](crate::Node::max_payload).
    TooLarge,
    /// Too much is on its way already, or too many questions are open. Try again when the node has been driven on.
    WouldBlock,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BroadcastError::NotRunning => "the node is not running",
            BroadcastError::TooLarge => "the payload is too large",
            BroadcastError::WouldBlock => "too much is on its way",
        })
    }
}

impl core::error::Error for BroadcastError {}

/// Why a message could not be sent to a member, or to some. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// The node is idle, is leaving or has left.
    NotRunning,
    /// There is no such member alive, none who listens, or it is this node itself.
    Unknown,
    /// Longer than [`Node::max_payload`](crate::Node::max_payload).
    TooLarge,
    /// Too much is on its way already, or too many questions are open. Try again when the node has been driven on.
    WouldBlock,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::NotRunning => "the node is not running",
            SendError::Unknown => "no such member is alive",
            SendError::TooLarge => "the payload is too large",
            SendError::WouldBlock => "too much is on its way",
        })
    }
}

impl core::error::Error for SendError {}

/// A table is at its limit; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct CapacityError;

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table is at its limit")
    }
}

impl core::error::Error for CapacityError {}

/// Why a member could not be forgotten. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ForgetError {
    /// There is no such member.
    Unknown,
    /// It is alive or suspect, or it is this node itself.
    Lives,
    /// Its end has not been told yet: poll the events first.
    Untold,
}

impl fmt::Display for ForgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ForgetError::Unknown => "there is no such member",
            ForgetError::Lives => "only those that are down or have left can be forgotten",
            ForgetError::Untold => "its end has not been told yet",
        })
    }
}

impl core::error::Error for ForgetError {}
