//! What is held or said of a member, in the order of the merge rule.

use tidings::internals::reading::Told;
use tidings::{Member, Status};

/// How a member is said to have ended; the order is that of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Not at all.
    Alive,
    /// Declared dead.
    Down,
    /// It left.
    Left,
}

/// A record without its address. The derived order is the protocol's: life, incarnation, end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Generation and nonce.
    pub life: (u32, u32),
    /// Counted by its owner alone.
    pub incarnation: u32,
    /// Whether it lives.
    pub end: End,
}

impl Account {
    /// What only its owner may move on.
    pub fn counters(self) -> ((u32, u32), u32) {
        (self.life, self.incarnation)
    }
}

impl From<Member<u16>> for Account {
    fn from(member: Member<u16>) -> Self {
        let life = (member.life().generation(), member.life().nonce());
        Account { life, incarnation: member.incarnation(), end: member.status().into() }
    }
}

impl From<&Told> for Account {
    fn from(told: &Told) -> Self {
        Account { life: told.life, incarnation: told.incarnation, end: told.status.into() }
    }
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        match status {
            Status::Alive | Status::Suspect => End::Alive,
            Status::Down => End::Down,
            _ => End::Left,
        }
    }
}
