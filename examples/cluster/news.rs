//! The events of a node in a form that can be kept, grouped and printed.

use std::net::SocketAddr;

use owo_colors::Style;
use tidings::{DropReason, Event, Member, Trouble};

use crate::screen::name;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Joined,
    /// It cannot join through this address.
    Failing(SocketAddr, Trouble),
    Up,
    Restarted,
    Suspect,
    Down,
    Left,
    Moved,
    Isolated,
    Reconnected,
    IdTaken,
    Gone,
    Refused(DropReason),
    Broadcast,
    /// A broadcast of the node of that number has come.
    Heard(u64),
    Set,
    /// A key of the node of that number has come.
    Read(u64),
}

/// An event that can outlive the call to the node.
#[derive(Clone, Copy)]
pub struct News {
    pub what: What,
    /// The member that it is about, if not the observer itself.
    pub about: Option<Member<SocketAddr>>,
}

impl News {
    /// `None` for what a later version of the crate may report.
    pub fn of(event: Event<'_, SocketAddr>) -> Option<News> {
        let (what, about) = match event {
            Event::Joined => (What::Joined, None),
            Event::JoinFailing { seed, trouble, .. } => (What::Failing(seed, trouble), None),
            Event::MemberUp(member) if member.life().generation() > 0 => (What::Restarted, Some(member)),
            Event::MemberUp(member) => (What::Up, Some(member)),
            Event::MemberSuspect(member) => (What::Suspect, Some(member)),
            Event::MemberDown(member) => (What::Down, Some(member)),
            Event::MemberLeft(member) => (What::Left, Some(member)),
            Event::MemberMoved(member) => (What::Moved, Some(member)),
            Event::Isolated => (What::Isolated, None),
            Event::Reconnected => (What::Reconnected, None),
            Event::IdTaken => (What::IdTaken, None),
            Event::Left => (What::Gone, None),
            Event::Refused { reason } => (What::Refused(reason), None),
            Event::Message { origin, .. } => (What::Heard(origin.get()), None),
            Event::KeySet { owner, .. } => (What::Read(owner.get()), None),
            _ => return None,
        };
        Some(News { what, about })
    }
}

impl What {
    /// What is said of one or several nodes.
    pub fn of(self, subjects: &str, several: bool) -> String {
        let (is, has, its) = if several { ("are", "have", "their") } else { ("is", "has", "its") };
        match self {
            What::Joined => format!("{subjects} {has} joined"),
            What::Failing(seed, trouble) => format!("{subjects} cannot join: {seed} {trouble}"),
            What::Up => format!("{subjects} {is} up"),
            What::Restarted => format!("{subjects} {is} up in a new life"),
            What::Suspect => format!("{subjects} {is} silent"),
            What::Down => format!("{subjects} {is} down"),
            What::Left => format!("{subjects} {has} left"),
            What::Moved => format!("{subjects} {has} moved"),
            What::Isolated => format!("{subjects} {is} isolated: nobody answers; cut off, or the last one alive"),
            What::Reconnected => format!("{subjects} {is} no longer isolated"),
            What::IdTaken => format!("{subjects} found {its} id taken"),
            What::Gone => format!("{subjects} {has} finished leaving"),
            What::Refused(reason) => format!("{subjects} refused a datagram: {reason}"),
            What::Broadcast => format!("{subjects} {has} broadcast"),
            What::Heard(origin) => format!("{subjects} {has} heard {}", name(origin)),
            What::Set => format!("{subjects} {has} set a key"),
            What::Read(owner) => format!("{subjects} {has} the key of {}", name(owner)),
        }
    }

    pub fn style(self) -> Style {
        match self {
            What::Joined | What::Up | What::Restarted | What::Reconnected | What::Moved => Style::new().green(),
            What::Broadcast | What::Heard(_) | What::Set | What::Read(_) => Style::new().cyan(),
            What::Suspect | What::Failing(..) => Style::new().yellow(),
            What::Down | What::Isolated | What::IdTaken => Style::new().red(),
            What::Left | What::Gone => Style::new().blue(),
            What::Refused(_) => Style::new().dimmed(),
        }
    }
}
