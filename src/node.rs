//! The node: its verbs and queries, and how they wire the parts together.
//!
//! What begins, changes and ends a life is in `life.rs`. A datagram comes in through `receive.rs` (who comes and who goes:
//! `arrive.rs`), what it says about members is weighed in `weigh.rs` and learned in `learn.rs`, who else has this node's id
//! is settled in `contest.rs`, and what is owed to others goes out through `send.rs`. Messages come in through `hear.rs` and
//! go out through `talk.rs`, maps are written and read in `publish.rs` and replicated in `replicate.rs`. Nothing is queued
//! for sending but answers: everything else that is due is read off the state of the parts when the caller asks for it.

mod arrive;
mod build;
mod contest;
mod excuse;
mod hand;
mod hear;
mod learn;
mod life;
mod publish;
mod receive;
mod replicate;
mod reply;
mod send;
mod spread;
mod talk;
mod tick;
mod weigh;

use core::fmt;

use crate::broadcast::Broadcasts;
use crate::challenge::Challenges;
use crate::config::Config;
use crate::detector::Detector;
use crate::event::{Event, Phase, SendFailure, WakeReason};
use crate::gossip::Gossip;
use crate::join::Seeds;
use crate::leave::Leave;
use crate::member::{Address, Member, NodeId};
use crate::node_core::Core;
use crate::relay::Relays;
use crate::rival::{Begun, Rival};
use crate::state::State;
use crate::stats::{DropReason, Stats};
use crate::storage::{Bare, Breadth, Fixed, Storage};
use crate::time::Instant;
use crate::turns::Turns;
use crate::walk::Walk;

use reply::Replies;
pub use talk::MAX_SPREAD;
use tick::Idle;

#[cfg(feature = "alloc")]
use crate::storage::Heap;

/// One member of a cluster, as a pure state machine: datagrams and time go in, datagrams and events come out.
///
/// Use it by one of its two aliases: [`FixedNode`], which keeps everything in itself, or `HeapNode` (feature
/// `alloc`), which grows up to a limit. Both run the same code, and send the same bytes if their limits and their
/// [`Width`](crate::Width) are equal.
///
/// Drive it with five verbs, in any order and as often as you like: hand in what arrives
/// ([`handle_datagram`](Self::handle_datagram)) and the passing of time ([`handle_timeout`](Self::handle_timeout)),
/// take out what is to be sent ([`poll_transmit`](Self::poll_transmit)), what happened
/// ([`poll_event`](Self::poll_event)) and when to come back ([`poll_timeout`](Self::poll_timeout)). After handing
/// something in or giving a command, poll until both give `None`; polling with nothing to do is cheap and changes
/// nothing.
///
/// A clone behaves exactly as the original would. `Debug` gives a few lines; for members and counters, ask for them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Node<A: Address, S: Storage> {
    detector: Detector<A, S>,
    gossip: Gossip,
    relays: Relays<S>,
    walk: Walk,
    broadcasts: Broadcasts<S>,
    state: State<S>,
    turns: Turns<S>,
    seeds: Seeds<A>,
    challenges: Challenges<A, S>,
    rival: Option<Rival<A>>,
    /// While it joins, since when a seed has stood in its way without being believed; of a member, until when it looks into no other
    /// life of its id that anybody names.
    hearsay: Option<Instant>,
    /// A seed has let this node in, and `Joined` waits until then at most for what the cluster knows.
    arrives: Option<Instant>,
    /// When this node last began anew because others held another life of its id.
    began: Option<Begun>,
    leave: Option<Leave>,
    replies: Replies<A, S>,
    idle: Idle,
    /// The last, as its counters are the last thing that a node hashes: the model of three nodes leaves them out.
    core: Core<A, S>,
}

impl<A: Address, S: Storage> fmt::Debug for Node<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("addr", &self.addr())
            .field("phase", &self.phase())
            .field("live", &self.live())
            .field("now", &self.core.now)
            .finish_non_exhaustive()
    }
}

/// A node that keeps everything in itself and touches no allocator: for firmware, and for a `static`.
///
/// `MEMBERS` counts the node itself and the dead that it remembers; at least 2. What the last two parameters are for is
/// said at [`Fixed`]; leave them out. Its constructor is [`new`](FixedNode::new), its methods are those of [`Node`].
pub type FixedNode<
    const MEMBERS: usize,
    A = core::net::SocketAddr,
    const STATE_BYTES: usize = 1024,
    const BROADCAST_BYTES: usize = 1024,
> = Node<A, Fixed<MEMBERS, STATE_BYTES, BROADCAST_BYTES>>;

/// A node that keeps members and nothing else, in itself: the smallest there is. See [`Bare`].
pub type BareNode<const MEMBERS: usize, A = core::net::SocketAddr> = Node<A, Fixed<MEMBERS, 0, 0, Bare>>;

/// A node whose tables grow on the heap, up to the limits given to [`new`](HeapNode::new). Its methods are those of
/// [`Node`].
#[cfg(feature = "alloc")]
pub type HeapNode<A = core::net::SocketAddr> = Node<A, Heap>;

impl<A: Address, S: Storage> Node<A, S> {
    // In.

    /// Takes a datagram that arrived from `from` at `now`. Never fails: what cannot be used is counted by reason
    /// ([`Stats::dropped`]). The contents of `datagram` are unspecified afterwards.
    ///
    /// Deadlines that have passed are served first, so that a flood of datagrams does not hold up the timers.
    pub fn handle_datagram(&mut self, now: Instant, from: A, datagram: &mut [u8]) {
        let idle = self.is_idle_at(now);
        if idle {
            self.tell_time(now);
        } else {
            self.advance(now);
        }
        if self.receive(from, datagram) || !idle {
            self.act();
        }
    }

    /// Does what is due at `now`. Calling it early or more often than needed changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// Takes note that a datagram to `to` could not be sent. Local trouble is not held against the peer: what it was to be
    /// asked with that counts as not asked, and is asked again in its time. If the host takes nothing for as long as
    /// [`Config::suspicion`](crate::Config::suspicion) and nobody answers, this node is isolated.
    pub fn handle_send_error(&mut self, now: Instant, to: A, error: SendFailure) {
        self.advance(now);
        self.core.stats.send_errors = self.core.stats.send_errors.wrapping_add(1);
        if error == SendFailure::Local {
            self.not_sent(to);
            self.act();
        }
    }

    // Out.

    /// What the application should know, or `None` when it has been told everything.
    pub fn poll_event(&mut self) -> Option<Event<'_, A>> {
        if self.core.notices.take_join_failing()
            && let Some((tries, seed, trouble)) = self.join_failing()
        {
            return Some(Event::JoinFailing { seed, tries, trouble });
        }
        let of_members = self.core.notices.poll().or_else(|| self.core.members.next_event());
        if let Some(event) = of_members.or_else(|| self.core.notices.poll_joined()) {
            return Some(event);
        }
        while self.keeps_maps()
            && let Some(news) = self.state.next_news(&mut self.core.members, &mut self.core.stats)
        {
            if self.state_event(news).is_some() {
                return self.state_event(news);
            }
        }
        match self.next_news() {
            Some(news) => self.news_event(news),
            None => self.core.notices.poll_last(),
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; [`Instant::FAR_FUTURE`] if never. It may change
    /// with every call that takes `&mut self`: where another thread calls [`leave`](Self::leave) or the like while the
    /// loop waits, wake the loop, or let it wait only so long.
    pub fn poll_timeout(&self) -> Instant {
        self.due().at
    }

    /// What the next deadline is for. Ask before [`handle_timeout`](Self::handle_timeout) serves it: afterwards the
    /// next one is another.
    pub fn wake_reason(&self) -> WakeReason {
        self.due().reason
    }

    // Looking.

    /// This node's id; the id 0 before `start`.
    pub fn id(&self) -> NodeId {
        self.core.members.myself().map_or(NodeId::new(0), |myself| myself.id)
    }

    /// Where this node is reached; `None` before `start`, as not every type of address has a value for nowhere.
    pub fn addr(&self) -> Option<A> {
        self.core.members.myself().map(|myself| myself.addr)
    }

    /// Where this node stands in its life.
    pub fn phase(&self) -> Phase {
        match self.core.phase {
            Phase::Member if self.detector.isolated => Phase::Isolated,
            Phase::Member if self.arrives.is_some() => Phase::Joining,
            phase => phase,
        }
    }

    /// Every known member, this node and the remembered dead included, in no particular order. This node's own entry is
    /// also `member(self.id())`.
    ///
    /// To act on the living ones, filter by [`Status::is_live`](crate::Status::is_live). Say that the smallest of them
    /// is to lead:
    ///
    /// ```
    /// use tidings::{Address, Node, NodeId, Phase, Storage};
    ///
    /// fn leader<A: Address, S: Storage>(node: &Node<A, S>) -> Option<NodeId> {
    ///     if node.phase() != Phase::Member {
    ///         return None; // not yet or no longer among others: it would only ever find itself
    ///     }
    ///     let living = node.members().filter(|member| member.status().is_live());
    ///     living.map(|member| member.id()).min()
    /// }
    /// # use tidings::{Config, FixedNode, Instant};
    /// # let mut node = FixedNode::<2, u16>::new(Config::LAN);
    /// # assert_eq!(leader(&node), None);
    /// # node.start(Instant::ZERO, NodeId::new(7), 7, &mut rand::rng()).unwrap();
    /// # assert_eq!(leader(&node), Some(NodeId::new(7)));
    /// ```
    ///
    /// This is no lock. In a partition each side has a leader of its own, after a crash there is none until it has been
    /// noticed, and one that was stopped for a while believes all along that it leads. It suits work that two may do at
    /// once without harm.
    pub fn members(&self) -> impl Iterator<Item = Member<A>> {
        self.core.members.all()
    }

    /// What is known of one member, in constant time.
    pub fn member(&self, id: NodeId) -> Option<Member<A>> {
        self.core.members.find(id).and_then(|index| self.core.members.member(index))
    }

    /// How many members are alive or suspect, this node included unless it is leaving or has left.
    pub fn live(&self) -> usize {
        self.core.members.live() as usize
    }

    /// A fingerprint of all living members, suspects among them: two nodes with equal fingerprints have the same view,
    /// but for a chance of 1 in 2^64.
    pub fn fingerprint(&self) -> u64 {
        self.core.members.root()
    }

    /// The newest time that this node has been told.
    pub fn now(&self) -> Instant {
        self.core.now
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// How far this node has come with a member's map.
    #[cfg(feature = "sim")]
    pub(crate) fn map_versions(&self, owner: NodeId) -> [u32; 2] {
        self.core.members.find(owner).map_or([0; 2], |index| self.core.members.map(index).versions())
    }

    /// What this node says of itself.
    #[cfg(feature = "sim")]
    pub(crate) fn own_record(&self) -> Option<&crate::member::Record<A>> {
        self.core.members.myself()
    }

    // Inside.

    fn is_running(&self) -> bool {
        // `Isolated` is how a member without answers looks from outside; it is not kept.
        matches!(self.core.phase, Phase::Joining | Phase::Member | Phase::Leaving)
    }

    /// Whether there is room for any message. A node without costs less: the compiler knows it of a `Fixed` one.
    fn keeps_messages(&self) -> bool {
        <S::Width as Breadth>::KEEPS_DATA && self.broadcasts.log.limit() > 0
    }

    /// Whether there is room for any map.
    fn keeps_maps(&self) -> bool {
        <S::Width as Breadth>::KEEPS_DATA && self.state.limit() > 0
    }

    fn keeps_data(&self) -> bool {
        self.keeps_messages() || self.keeps_maps()
    }

    fn refuse(&mut self, reason: DropReason) {
        self.core.refuse(reason);
    }
}
