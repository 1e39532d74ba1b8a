//! A node before its life: what it needs is reserved, and nothing of it is used.

use super::Node;
use super::reply::Replies;
use super::tick::Idle;
use crate::broadcast::Broadcasts;
use crate::challenge::Challenges;
use crate::config::Config;
use crate::detector::Detector;
use crate::gossip::Gossip;
use crate::join::Seeds;
use crate::member::Address;
use crate::members::Members;
use crate::node_core::Core;
use crate::relay::Relays;
use crate::state::State;
use crate::storage::{Empty, Fixed, Storage, Width};
use crate::turns::Turns;
use crate::walk::Walk;

#[cfg(feature = "alloc")]
use crate::storage::{Heap, Limited, Limits};

impl<A: Address, const MEMBERS: usize, const STATE_BYTES: usize, const BROADCAST_BYTES: usize, W: Width>
    Node<A, Fixed<MEMBERS, STATE_BYTES, BROADCAST_BYTES, W>>
{
    /// An idle node. Only reserves memory, so it can initialise a `static`; [`start`](Self::start) begins its life.
    pub const fn new(config: Config) -> Self {
        const { assert!(MEMBERS >= 2 && MEMBERS <= 1 << 24, "a table holds 2 to 2^24 members") };
        const { assert!(W::KEEPS_DATA || STATE_BYTES + BROADCAST_BYTES == 0, "a bare node keeps no messages and no maps") };
        let members = Members::new(heapless::Vec::new(), heapless::Vec::new(), Empty::EMPTY, Empty::EMPTY);
        let broadcasts = Broadcasts::new(heapless::Vec::new(), Empty::EMPTY, Empty::EMPTY);
        Self::with_tables(config, members, broadcasts, State::new(heapless::Vec::new(), Empty::EMPTY))
    }
}

#[cfg(feature = "alloc")]
impl<A: Address, W: Width> Node<A, Heap<W>> {
    /// An idle node whose tables grow up to `limits` and then refuse, as a `FixedNode`'s do.
    pub const fn new(config: Config, limits: Limits) -> Self {
        let members = limits.members();
        let (bytes, state_bytes) =
            if W::KEEPS_DATA { (limits.broadcast_bytes(), limits.state_bytes()) } else { (0, 0) };
        let broadcasts = Broadcasts::new(Limited::new(bytes), Limited::new(members), Limited::new(members));
        let state = State::new(Limited::new(state_bytes), Limited::new(members));
        let [slots, heads] = [members; 2];
        let [windows, maps] = [members; 2];
        let members = Members::new(Limited::new(slots), Limited::new(heads), Limited::new(windows), Limited::new(maps));
        Self::with_tables(config, members, broadcasts, state)
    }
}

impl<A: Address, S: Storage> Node<A, S> {
    pub(super) const fn with_tables(
        config: Config,
        members: Members<A, S>,
        broadcasts: Broadcasts<S>,
        state: State<S>,
    ) -> Self {
        const { assert!(A::MAX_LEN <= crate::wire::MAX_ADDR, "an address is encoded in at most 28 bytes") };
        Node {
            core: Core::new(config, members),
            detector: Detector::NEW,
            gossip: Gossip::NEW,
            relays: Relays::NONE,
            walk: Walk::NEW,
            broadcasts,
            state,
            turns: Turns::NEW,
            seeds: Seeds::NONE,
            challenges: Challenges::NONE,
            rival: None,
            hearsay: None,
            arrives: None,
            began: None,
            leave: None,
            replies: Replies::NONE,
            idle: Idle::UNKNOWN,
        }
    }
}
