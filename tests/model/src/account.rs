//! What is held or said of a member, in the order of the merge rule.

use tidings::{Member, Status};

use crate::member::Liveness;

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
        let end = match member.status() {
            Status::Alive | Status::Suspect => End::Alive,
            Status::Down => End::Down,
            Status::Left => End::Left,
        };
        Account { life, incarnation: member.incarnation(), end }
    }
}

impl From<Liveness> for End {
    fn from(liveness: Liveness) -> Self {
        match liveness {
            Liveness::Alive => End::Alive,
            Liveness::Down => End::Down,
            Liveness::Left => End::Left,
        }
    }
}
