//! What a node counts, and why it refuses something.

use core::fmt;

/// Why something from outside was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum DropReason {
    /// The node is idle or has left.
    NotRunning,
    /// Shorter than the head of a datagram, or a frame longer than what is left of it.
    Truncated,
    /// A wire version that this node does not speak.
    WireVersion,
    /// The sealed form, which this version does not know.
    Sealed,
    /// Another cluster's name.
    OtherCluster,
    /// The check value is wrong: corrupted, or meant for another instance at this address.
    Check,
    /// A frame whose fields make no sense.
    Malformed,
    /// A frame of a kind that this version does not know; it was skipped.
    UnknownFrame,
    /// From a sender that is not a member and may not say this.
    Stranger,
    /// An answer to a question that was not asked, or no longer stands.
    Unasked,
    /// A cookie that this node did not give out for that address.
    Cookie,
    /// The table is full of living members: this node's own, or that of the seed that it asked. Or it has two at the
    /// newcomer's address.
    TableFull,
    /// A counter further ahead than any owner would have moved it at once: by more than 2^16.
    CounterJump,
    /// More to answer or to pass on than there is room for, than a peer may ask in that time, or than the byte budget
    /// allows.
    Busy,
    /// A claim that a member is dead, lives elsewhere or lives anew, when too many such claims are being checked.
    TooManyClaims,
    /// A claim that a member lives elsewhere or anew, which the member itself contradicts.
    Contradicted,
    /// A datagram that claims to come from this very node, or the claim that another has its id. A member looks into it, and
    /// goes on unless others hold the other alive.
    OwnId,
    /// The caller's buffer was too small for something that was due, which was kept; what fits goes before it.
    SmallBuffer,
    /// A broadcast of somebody who is no member in that life.
    UnknownOrigin,
    /// A broadcast too far ahead of others of its origin that are missing: by more than 64.
    BeyondWindow,
    /// A broadcast without its payload, on a topic that this node listens to.
    Hollow,
    /// A message for which there is no room, as all that is kept is still needed or the message is larger than the room; or
    /// of which other pieces went by.
    MessageRoom,
    /// A part of a map of somebody who is no member in that life.
    UnknownOwner,
    /// A part of a map for which there is no room, here or within the quarter that one member may take.
    StateRoom,
}

impl DropReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [DropReason; 24] = [
        DropReason::NotRunning,
        DropReason::Truncated,
        DropReason::WireVersion,
        DropReason::Sealed,
        DropReason::OtherCluster,
        DropReason::Check,
        DropReason::Malformed,
        DropReason::UnknownFrame,
        DropReason::Stranger,
        DropReason::Unasked,
        DropReason::Cookie,
        DropReason::TableFull,
        DropReason::CounterJump,
        DropReason::Busy,
        DropReason::TooManyClaims,
        DropReason::Contradicted,
        DropReason::OwnId,
        DropReason::SmallBuffer,
        DropReason::UnknownOrigin,
        DropReason::BeyondWindow,
        DropReason::Hollow,
        DropReason::MessageRoom,
        DropReason::UnknownOwner,
        DropReason::StateRoom,
    ];
}

impl DropReason {
    /// Whether a refusal for this reason is told as [`Event::Refused`](crate::Event::Refused), and not only counted.
    ///
    /// Not told is what also happens where nothing is wrong: answers that come late, members that hear of a newcomer after
    /// they hear it, more questions than are answered at a time, and datagrams for an instance that has restarted.
    pub const fn is_told(self) -> bool {
        use DropReason::*;
        !matches!(
            self,
            NotRunning
                | Check
                | Stranger
                | Unasked
                | Cookie
                | Busy
                | TooManyClaims
                | Contradicted
                | UnknownOrigin
                | BeyondWindow
                | UnknownOwner
        )
    }

    /// A name for metrics: lower case, words joined by underscores. It stays the same in later versions.
    pub const fn name(self) -> &'static str {
        match self {
            DropReason::NotRunning => "not_running",
            DropReason::Truncated => "truncated",
            DropReason::WireVersion => "wire_version",
            DropReason::Sealed => "sealed",
            DropReason::OtherCluster => "other_cluster",
            DropReason::Check => "check",
            DropReason::Malformed => "malformed",
            DropReason::UnknownFrame => "unknown_frame",
            DropReason::Stranger => "stranger",
            DropReason::Unasked => "unasked",
            DropReason::Cookie => "cookie",
            DropReason::TableFull => "table_full",
            DropReason::CounterJump => "counter_jump",
            DropReason::Busy => "busy",
            DropReason::TooManyClaims => "too_many_claims",
            DropReason::Contradicted => "contradicted",
            DropReason::OwnId => "own_id",
            DropReason::SmallBuffer => "small_buffer",
            DropReason::UnknownOrigin => "unknown_origin",
            DropReason::BeyondWindow => "beyond_window",
            DropReason::Hollow => "hollow",
            DropReason::MessageRoom => "message_room",
            DropReason::UnknownOwner => "unknown_owner",
            DropReason::StateRoom => "state_room",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            DropReason::NotRunning => "not running",
            DropReason::Truncated => "truncated",
            DropReason::WireVersion => "unknown wire version",
            DropReason::Sealed => "sealed datagram",
            DropReason::OtherCluster => "another cluster's",
            DropReason::Check => "wrong check value",
            DropReason::Malformed => "malformed frame",
            DropReason::UnknownFrame => "unknown kind of frame",
            DropReason::Stranger => "sender is no member",
            DropReason::Unasked => "answer to no question",
            DropReason::Cookie => "wrong cookie",
            DropReason::TableFull => "table full",
            DropReason::CounterJump => "counter too far ahead",
            DropReason::Busy => "too many answers owed",
            DropReason::TooManyClaims => "too many claims to check",
            DropReason::Contradicted => "contradicted by the member",
            DropReason::OwnId => "sender has this node's id",
            DropReason::SmallBuffer => "buffer too small",
            DropReason::UnknownOrigin => "broadcast of no member",
            DropReason::BeyondWindow => "broadcast too far ahead",
            DropReason::Hollow => "broadcast without its payload",
            DropReason::MessageRoom => "no room for the message",
            DropReason::UnknownOwner => "map of no member",
            DropReason::StateRoom => "no room for the map",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Counters since the node was made. They wrap at 2^64.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams handed in, refused ones included.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams handed out.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Probes begun.
    pub probes: u64,
    /// Further tries of probes that were not answered at once.
    pub retries: u64,
    /// Questions to other members whether they can reach a silent one.
    pub questions: u64,
    /// Members that this node suspected.
    pub suspicions: u64,
    /// Members that this node declared down.
    pub declared_down: u64,
    /// Times that this node spoke against what others said of it, most often that it is dead.
    pub refutations: u64,
    /// Ticks so late that the node put off its open cases, or after a long stall began them anew and blamed itself.
    pub late_ticks: u64,
    /// Records sent as news.
    pub news_out: u64,
    /// Steps of anti-entropy asked for.
    pub syncs: u64,
    /// The dead that were forgotten: to make room, as their time was over, or as the caller wished.
    pub forgotten: u64,
    /// Sends that the caller reported as failed.
    pub send_errors: u64,
    /// Tables that were not compared because the byte budget was spent ([`Config::with_byte_budget`](crate::Config)).
    pub held_back: u64,
    /// Own broadcasts, questions among them.
    pub broadcasts: u64,
    /// Pieces of others' broadcasts that came, hollow ones and repeated ones included.
    pub casts_in: u64,
    /// Those of them that had come before.
    pub duplicates: u64,
    /// Questions for broadcasts that were missing.
    pub pulls: u64,
    /// Broadcasts that this node cannot be given any more, or that it let go before the application had read them.
    pub messages_lost: u64,
    /// Parts of others' maps that came, repeated ones included.
    pub chunks_in: u64,
    /// Members with a map that were forgotten without [`Event::MapGone`](crate::Event::MapGone), as too many were at once.
    pub maps_lost: u64,
    pub(crate) drops: [u64; DropReason::ALL.len()],
}

impl Stats {
    pub(crate) const NONE: Stats = Stats {
        datagrams_in: 0,
        bytes_in: 0,
        datagrams_out: 0,
        bytes_out: 0,
        probes: 0,
        retries: 0,
        questions: 0,
        suspicions: 0,
        declared_down: 0,
        refutations: 0,
        late_ticks: 0,
        news_out: 0,
        syncs: 0,
        forgotten: 0,
        send_errors: 0,
        held_back: 0,
        broadcasts: 0,
        casts_in: 0,
        duplicates: 0,
        pulls: 0,
        chunks_in: 0,
        maps_lost: 0,
        messages_lost: 0,
        drops: [0; DropReason::ALL.len()],
    };

    pub(crate) fn count(&mut self, reason: DropReason) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count = count.wrapping_add(1);
        }
    }

    /// Every counter but those of refusals, by its name and in a fixed order; later versions may have more. For refusals see
    /// [`dropped`](Self::dropped).
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("datagrams_in", self.datagrams_in),
            ("bytes_in", self.bytes_in),
            ("datagrams_out", self.datagrams_out),
            ("bytes_out", self.bytes_out),
            ("probes", self.probes),
            ("retries", self.retries),
            ("questions", self.questions),
            ("suspicions", self.suspicions),
            ("declared_down", self.declared_down),
            ("refutations", self.refutations),
            ("late_ticks", self.late_ticks),
            ("news_out", self.news_out),
            ("syncs", self.syncs),
            ("forgotten", self.forgotten),
            ("send_errors", self.send_errors),
            ("held_back", self.held_back),
            ("broadcasts", self.broadcasts),
            ("casts_in", self.casts_in),
            ("duplicates", self.duplicates),
            ("pulls", self.pulls),
            ("messages_lost", self.messages_lost),
            ("chunks_in", self.chunks_in),
            ("maps_lost", self.maps_lost),
        ]
        .into_iter()
    }

    /// How often something was refused for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// How often anything was refused.
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}
