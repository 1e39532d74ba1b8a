//! The node: its verbs, commands and queries, and how they wire the parts together.
//!
//! A datagram comes in through `receive.rs` (who comes and who goes: `arrive.rs`), what it says about members is weighed
//! in `weigh.rs` and learned in `learn.rs`, who else has this node's id is settled in `contest.rs`, and what is owed to others goes out through `send.rs`. Messages come in through `hear.rs` and go out
//! through `talk.rs`, maps are written and read in `publish.rs` and replicated in `replicate.rs`. Nothing is queued for sending but answers: everything else that is due is read off the state of the
//! parts when the caller asks for it.

/// Lends the shared parts of a node to one of its other parts.
macro_rules! context {
    ($node:ident) => {
        Context {
            now: $node.now,
            config: &$node.config,
            members: &mut $node.members,
            rng: &mut $node.rng,
            stats: &mut $node.stats,
        }
    };
}

mod arrive;
mod build;
mod contest;
mod hear;
mod learn;
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
use crate::budget::Budget;
use crate::challenge::Challenges;
use crate::config::{Config, ConfigError};
use crate::context::Context;
use crate::detector::{Detector, scaled};
use crate::event::{Event, ForgetError, JoinError, Notices, Phase, SendFailure, StartError, Trouble, WakeReason};
use crate::gossip::{self, Gossip};
use crate::join::Seeds;
use crate::leave::Leave;
use crate::member::{Address, Life, Liveness, Member, NodeId, Record};
use crate::members::{MYSELF, Members};
use crate::progress::Comparison;
use crate::relay::Relays;
use crate::rival::{Begun, Rival};
use crate::rng::Rng;
use crate::state::State;
use crate::stats::{DropReason, Stats};
use crate::storage::{Bare, Breadth, Fixed, Storage};
use crate::sync::Sync;
use crate::time::Instant;
use crate::turns::Turns;

use learn::Telling;
use reply::Replies;
pub use talk::MAX_SPREAD;

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
    config: Config,
    now: Instant,
    phase: Phase,
    rng: Rng,
    members: Members<A, S>,
    detector: Detector<A, S>,
    gossip: Gossip,
    relays: Relays<S>,
    sync: Sync,
    broadcasts: Broadcasts<S>,
    state: State<S>,
    comparison: Comparison,
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
    budget: Budget,
    notices: Notices,
    stats: Stats,
}

/// Of which secrets the buckets of messages and of maps are keyed.
const MESSAGES: u64 = 0x6c_6f67;
const MAPS: u64 = 0x6d_6170;

impl<A: Address, S: Storage> fmt::Debug for Node<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id())
            .field("addr", &self.addr())
            .field("phase", &self.phase())
            .field("live", &self.live())
            .field("now", &self.now)
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
    // Commands.

    /// Begins a life: as `id`, reached at `addr`, with randomness from `rng`, of which 16 bytes are drawn. `rng` is any
    /// generator of [`rand_core`](crate::rand_core) 0.10, such as `rand::rng()` of rand 0.10 or a hardware's own.
    ///
    /// `addr` is what others send to. A wildcard or port 0 is refused, and then nothing has changed: see
    /// [`Address::is_reachable`]. Seeds given before are asked at once. On a node that has been started before, everything
    /// that it knew is forgotten but its seeds and its own map, and under the same id its next life begins.
    pub fn start(
        &mut self,
        now: Instant,
        id: NodeId,
        addr: A,
        rng: &mut impl rand_core::Rng,
    ) -> Result<(), StartError> {
        reachable(addr)?;
        self.begin(now, id, addr, Rng::seeded(rng));
        Ok(())
    }

    /// The same with 16 random bytes, wherever they come from. They must differ between any two starts of any two nodes, and
    /// nobody else may be able to guess them.
    pub fn start_with_seed(&mut self, now: Instant, id: NodeId, addr: A, seed: [u8; 16]) -> Result<(), StartError> {
        reachable(addr)?;
        self.begin(now, id, addr, Rng::from_seed(seed));
        Ok(())
    }

    fn begin(&mut self, now: Instant, id: NodeId, addr: A, rng: Rng) {
        self.tell_time(now);
        self.rng = rng;
        let past = self.members.myself().filter(|past| past.id == id);
        let generation = past.map_or(0, |past| past.life.generation.saturating_add(1));
        let life = Life { generation, nonce: self.rng.next_u32() };
        let (patience, topics) = (self.config.patience, self.broadcasts.topics());
        let myself = Record { id, life, incarnation: 0, liveness: Liveness::Alive, addr, patience, topics };
        if self.keeps_maps() {
            self.state.reset(self.rng.keyed(MAPS, &[]), &mut self.members);
        }
        self.members.reset(self.config.cluster, myself, &mut self.stats);
        self.members.keeps_windows = self.keeps_data();
        if self.keeps_maps() {
            self.state.renew(&mut self.members);
        }
        self.members.announce(MYSELF, gossip::tail(1));
        (self.gossip, self.relays, self.sync, self.replies) = (Gossip::NEW, Relays::NONE, Sync::NEW, Replies::NONE);
        self.broadcasts.reset(self.rng.keyed(MESSAGES, &[]));
        self.comparison = Comparison::NEW;
        self.turns = Turns::NEW;
        (self.challenges, self.rival) = (Challenges::NONE, None);
        (self.hearsay, self.arrives, self.began) = (None, None, None);
        (self.leave, self.notices) = (None, Notices::NONE);
        self.budget = Budget::full(self.now, &self.config);
        let visit = scaled(self.config.dead_probe_period, self.rng.next_u32());
        self.seeds.restart(self.now, self.now.after(visit));
        self.phase = if self.seeds.any_but(addr) { Phase::Joining } else { Phase::Member };
        let mut cx = context!(self);
        self.detector.start(&mut cx);
        self.act();
    }

    /// Asks the node at `seed` to be admitted to its cluster: now, or from `start` on. Give several; all are asked,
    /// at growing intervals, until one answers, and again whenever this node knows nobody alive.
    ///
    /// A node without seeds is at once a member of a cluster of one, which others can join. All members can be given the same
    /// list before `start`: the node's own address is then kept, but not asked. A node that runs knows its address, and gives
    /// [`JoinError::Myself`].
    ///
    /// An address that nobody can send to is refused by the rule of [`start`](Self::start), and then nothing has changed.
    ///
    /// [`MAX_SEEDS`](crate::MAX_SEEDS) are kept. One more takes the place of the one that has been silent for longest, of those
    /// at which no member lives if there are any, so that there is always room: whoever resolves a name again and again may
    /// hand on all that it stands for each time.
    pub fn join(&mut self, now: Instant, seed: A) -> Result<(), JoinError> {
        reachable(seed)?;
        if self.is_running() && self.addr() == Some(seed) {
            return Err(JoinError::Myself);
        }
        self.advance(now);
        self.seeds.add(seed, self.now, &self.members);
        if self.phase == Phase::Member && self.members.others() == 0 {
            (self.phase, self.hearsay) = (Phase::Joining, None);
        }
        self.act();
        Ok(())
    }

    /// The addresses given to [`join`](Self::join) that are kept.
    pub fn seeds(&self) -> impl Iterator<Item = A> {
        self.seeds.addrs()
    }

    /// Asks that address no more for admission; whether it was kept. A node that was joining and has no other seed is then a
    /// member of a cluster of one.
    pub fn forget_seed(&mut self, now: Instant, seed: A) -> bool {
        self.advance(now);
        let kept = self.seeds.forget(seed);
        self.found_cluster();
        self.act();
        kept
    }

    fn join_failing(&self) -> Option<(u32, A, Trouble)> {
        let addr = self.addr().filter(|_| self.phase == Phase::Joining)?;
        self.seeds.failing(addr)
    }

    /// A node that has nobody to ask is a member of a cluster of one.
    fn found_cluster(&mut self) {
        if self.phase == Phase::Joining && !self.addr().is_some_and(|addr| self.seeds.any_but(addr)) {
            self.phase = Phase::Member;
        }
    }

    /// Forgets a member that is down or has left, before its time is over
    /// ([`Config::with_dead_retention`](Config::with_dead_retention)), and its map with it. Only here: others go on listing it
    /// until they forget it themselves, and this node does not learn of it from them again. If it lives after all, it is let
    /// in as anybody is.
    pub fn forget(&mut self, now: Instant, id: NodeId) -> Result<(), ForgetError> {
        self.advance(now);
        let index = self.members.find(id).ok_or(ForgetError::Unknown)?;
        if index == MYSELF || self.members.is_live(index) {
            return Err(ForgetError::Lives);
        }
        if !self.members.is_settled(index) {
            return Err(ForgetError::Untold);
        }
        self.forget_member(index);
        self.act();
        Ok(())
    }

    /// Tells peers that this node leaves, until four of them (or all, if fewer) have acknowledged it or
    /// [`Config::leave_timeout`] has passed; [`Event::Left`] then says that it is done. Drive the node until then.
    /// Does nothing on a node that is idle, leaving or gone.
    pub fn leave(&mut self, now: Instant) {
        self.advance(now);
        if !self.is_running() || self.phase == Phase::Leaving {
            return;
        }
        let Some(myself) = self.members.myself().copied() else { return };
        // A word of its own, under an incarnation of its own: an answer that does not reach it contradicts a forged one.
        let incarnation = myself.incarnation.saturating_add(1);
        self.adopt(MYSELF, Record { incarnation, ..myself.with(Liveness::Left) }, Telling::Tree);
        let arriving = self.phase == Phase::Joining && self.seeds.any_proved();
        self.phase = Phase::Leaving;
        (self.challenges, self.rival) = (Challenges::NONE, None);
        self.seeds.rest();
        self.leave = Some(Leave::new(self.rng.next_u32(), arriving, self.now, &self.config));
        self.act();
    }

    /// Changes the settings of a running node; they hold from the next deadline on. The cluster's name cannot be
    /// changed, and if that is asked for, nothing is.
    pub fn set_config(&mut self, now: Instant, config: Config) -> Result<(), ConfigError> {
        self.advance(now);
        if config.cluster != self.config.cluster {
            return Err(ConfigError::ClusterChanged);
        }
        self.config = config;
        let patience = config.patience;
        self.redescribe(|myself| Record { patience, ..myself });
        self.detector.hurry(self.now, &self.config);
        self.challenges.forgive(self.now);
        self.seeds.hurry(self.now, &self.config);
        self.act();
        Ok(())
    }

    /// Moves this node to another address, in the same life: members are told, and report it as
    /// [`Event::MemberMoved`]. Fails as [`start`](Self::start) does. Does nothing before `start`.
    pub fn set_addr(&mut self, now: Instant, addr: A) -> Result<(), StartError> {
        reachable(addr)?;
        self.advance(now);
        self.redescribe(|myself| Record { addr, ..myself });
        self.found_cluster();
        self.act();
        Ok(())
    }

    /// Changes this node's own record, if that is a change, and tells the others; only the owner may, and it does so
    /// under a new incarnation.
    fn redescribe(&mut self, change: impl FnOnce(Record<A>) -> Record<A>) {
        let Some(myself) = self.members.myself().copied() else { return };
        let changed = change(myself);
        if changed != myself {
            // At the maximum nobody could be told; a life does not get there by itself.
            let incarnation = myself.incarnation.saturating_add(1);
            self.adopt(MYSELF, Record { incarnation, ..changed }, Telling::Tree);
        }
    }

    // In.

    /// Takes a datagram that arrived from `from` at `now`. Never fails: what cannot be used is counted by reason
    /// ([`Stats::dropped`]). The contents of `datagram` are unspecified afterwards.
    ///
    /// Deadlines that have passed are served first, so that a flood of datagrams does not hold up the timers.
    pub fn handle_datagram(&mut self, now: Instant, from: A, datagram: &mut [u8]) {
        self.advance(now);
        self.receive(from, datagram);
        self.act();
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
        self.stats.send_errors = self.stats.send_errors.wrapping_add(1);
        if error == SendFailure::Local {
            self.detector.not_sent(to, &mut context!(self));
            self.challenges.not_sent(to, &context!(self));
            self.act();
        }
    }

    // Out.

    /// What the application should know, or `None` when it has been told everything.
    pub fn poll_event(&mut self) -> Option<Event<'_, A>> {
        if self.notices.take_join_failing()
            && let Some((tries, seed, trouble)) = self.join_failing()
        {
            return Some(Event::JoinFailing { seed, tries, trouble });
        }
        let of_members = self.notices.poll().or_else(|| self.members.next_event());
        if let Some(event) = of_members.or_else(|| self.notices.poll_joined()) {
            return Some(event);
        }
        while self.keeps_maps()
            && let Some(news) = self.state.next_news(&mut self.members, &mut self.stats)
        {
            if self.state_event(news).is_some() {
                return self.state_event(news);
            }
        }
        match self.next_news() {
            Some(news) => self.news_event(news),
            None => self.notices.poll_last(),
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
        self.members.myself().map_or(NodeId::new(0), |myself| myself.id)
    }

    /// Where this node is reached; `None` before `start`, as not every type of address has a value for nowhere.
    pub fn addr(&self) -> Option<A> {
        self.members.myself().map(|myself| myself.addr)
    }

    /// Where this node stands in its life.
    pub fn phase(&self) -> Phase {
        match self.phase {
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
        self.members.all()
    }

    /// What is known of one member, in constant time.
    pub fn member(&self, id: NodeId) -> Option<Member<A>> {
        self.members.find(id).and_then(|index| self.members.member(index))
    }

    /// How many members are alive or suspect, this node included unless it is leaving or has left.
    pub fn live(&self) -> usize {
        self.members.live() as usize
    }

    /// A fingerprint of all living members, suspects among them: two nodes with equal fingerprints have the same view,
    /// but for a chance of 1 in 2^64.
    pub fn fingerprint(&self) -> u64 {
        self.members.root()
    }

    /// The newest time that this node has been told.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How far this node has come with a member's map.
    #[cfg(feature = "sim")]
    pub(crate) fn map_versions(&self, owner: NodeId) -> [u32; 2] {
        self.members.find(owner).map_or([0; 2], |index| self.members.map(index).versions())
    }

    /// What this node says of itself.
    #[cfg(feature = "sim")]
    pub(crate) fn own_record(&self) -> Option<&Record<A>> {
        self.members.myself()
    }

    // Inside.

    fn is_running(&self) -> bool {
        // `Isolated` is how a member without answers looks from outside; it is not kept.
        matches!(self.phase, Phase::Joining | Phase::Member | Phase::Leaving)
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

    /// Counts something refused, and tells the application if it is the first of its kind.
    fn refuse(&mut self, reason: DropReason) {
        self.stats.count(reason);
        self.notices.refused(reason);
    }
}

/// The one rule for an address that a caller gives, its own or a seed's.
fn reachable<A: Address>(addr: A) -> Result<(), StartError> {
    if addr.is_reachable() { Ok(()) } else { Err(StartError::Unreachable) }
}
