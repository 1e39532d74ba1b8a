//! The attacks that a liar knows, who can mount them, and how often each strikes.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::wire::kind;

/// Who mounts an attack. None of them has a secret of its own: the name of a cluster is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stance {
    /// A member gone bad: from its own address, under its own name half the time, and else under another's.
    Member,
    /// Somebody who knows the cluster's name: under the name of any member, from the address of any or from one of its own.
    Stranger,
    /// Somebody who records what members send, and sends the same again, from any address.
    Eavesdropper,
}

/// What a liar does, again and again, to members chosen at random. Numbers, addresses and ids come again in what it says under
/// different names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attack {
    /// Two questions of one number, from one address, in two names: who answers the one must not think that it was the other.
    OneNumber,
    /// A member is told of a greater life of its own id at another address, from where that life answers.
    Twin,
    /// A member is told of a life of its own id that is as far above its own as is believed.
    Generation,
    /// Records are asked for that are not there.
    Nothing,
    /// A member may keep a long silence, it is said, at the incarnation that it has.
    Patience,
    /// More questions about others than a member has places for.
    Questions,
    /// Sums of the whole table and of all progress.
    Sums,
    /// Questions about a member that was made up, at an address that nobody has proved.
    Unproved,
    /// A member has left, it is said.
    Farewell,
    /// A member is dead, it is said, and nobody is named who bears witness.
    Accusation,
    /// Members that were made up join from a few addresses, and answer.
    Newcomers,
    /// Parcels to be passed on to a share of all.
    Relays,
    /// A few members are told, again and again, that they are dead.
    Blame,
    /// Pings, of which each says that the tables differ.
    Pings,
    /// The join of a member that was made up and is gone, once more.
    OldJoin,
}

impl Stance {
    /// All of them.
    pub const ALL: [Stance; 3] = [Stance::Member, Stance::Stranger, Stance::Eavesdropper];

    fn name(self) -> &'static str {
        match self {
            Stance::Member => "member",
            Stance::Stranger => "stranger",
            Stance::Eavesdropper => "eavesdropper",
        }
    }
}

impl Attack {
    /// All of them.
    pub const ALL: [Attack; 15] = [
        Attack::OneNumber,
        Attack::Twin,
        Attack::Generation,
        Attack::Nothing,
        Attack::Patience,
        Attack::Questions,
        Attack::Sums,
        Attack::Unproved,
        Attack::Farewell,
        Attack::Accusation,
        Attack::Newcomers,
        Attack::Relays,
        Attack::Blame,
        Attack::Pings,
        Attack::OldJoin,
    ];

    /// How it is written, how many milliseconds there are between two blows, and what an eavesdropper records for it.
    fn traits(self) -> (&'static str, u64, &'static [u8]) {
        match self {
            Attack::OneNumber => ("one-number", 500, &[kind::ASK, kind::VERDICT]),
            Attack::Twin => ("twin", 500, &[kind::NEWS, kind::CLAIM]),
            Attack::Generation => ("generation", 5_000, &[kind::NEWS, kind::CLAIM]),
            Attack::Nothing => ("nothing", 300, &[kind::LIST, kind::DIFF]),
            Attack::Patience => ("patience", 500, &[kind::NEWS, kind::DIFF]),
            Attack::Questions => ("questions", 400, &[kind::ASK]),
            Attack::Sums => ("sums", 300, &[kind::SUMS, kind::PARTS]),
            Attack::Unproved => ("unproved", 2_000, &[kind::ASK, kind::NEWS]),
            Attack::Farewell => ("farewell", 300, &[kind::NEWS, kind::LEAVE]),
            Attack::Accusation => ("accusation", 1_000, &[kind::NEWS, kind::HAND]),
            Attack::Newcomers => ("newcomers", 500, &[kind::JOIN, kind::WELCOME]),
            Attack::Relays => ("relays", 500, &[kind::HAND]),
            Attack::Blame => ("blame", 500, &[kind::NEWS]),
            Attack::Pings => ("pings", 50, &[kind::PING, kind::ACK]),
            Attack::OldJoin => ("old-join", 2_000, &[kind::JOIN]),
        }
    }

    pub(super) fn gap(self) -> Duration {
        Duration::from_millis(self.traits().1)
    }

    pub(super) fn kinds(self) -> &'static [u8] {
        self.traits().2
    }

    /// Whether it makes up members, so that those who hold them have to find out one by one that they are not there.
    pub(in crate::sim) fn invents(self) -> bool {
        matches!(self, Attack::Unproved | Attack::Newcomers | Attack::Relays | Attack::OldJoin)
    }
}

/// What stands in the text of a scenario is neither an attack nor one who mounts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownName;

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no attack, and nobody who mounts one, has this name")
    }
}

impl core::error::Error for UnknownName {}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.traits().0)
    }
}

impl FromStr for Attack {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Attack::ALL.into_iter().find(|attack| attack.traits().0 == text).ok_or(UnknownName)
    }
}

impl fmt::Display for Stance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stance {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Stance::ALL.into_iter().find(|stance| stance.name() == text).ok_or(UnknownName)
    }
}
