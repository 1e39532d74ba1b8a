//! A life: how it begins, whom it joins, what may change in it, and how it ends.

use super::Node;
use super::learn::Telling;
use super::reply::Replies;
use crate::budget::Budget;
use crate::challenge::Challenges;
use crate::config::{Config, ConfigError};
use crate::detector::scaled;
use crate::event::{ForgetError, JoinError, Notices, Phase, StartError, Trouble};
use crate::gossip::{self, Gossip};
use crate::leave::Leave;
use crate::member::{Address, Life, Liveness, NodeId, Record};
use crate::members::MYSELF;
use crate::relay::Relays;
use crate::rng::Rng;
use crate::storage::Storage;
use crate::time::Instant;
use crate::tree::Tree;
use crate::turns::Turns;
use crate::walk::Walk;

/// Of which secrets the buckets of messages and of maps are keyed.
const MESSAGES: u64 = 0x6c_6f67;
const MAPS: u64 = 0x6d_6170;

impl<A: Address, S: Storage> Node<A, S> {
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
        self.core.rng = rng;
        let past = self.core.members.myself().filter(|past| past.id == id);
        let generation = past.map_or(0, |past| past.life.generation.saturating_add(1));
        let life = Life { generation, nonce: self.core.rng.next_u32() };
        let (patience, topics) = (self.core.config.patience, self.broadcasts.topics());
        let myself = Record { id, life, incarnation: 0, liveness: Liveness::Alive, addr, patience, topics };
        if self.keeps_maps() {
            self.state.reset(self.core.rng.keyed(MAPS, &[]), &mut self.core.members);
        }
        self.core.members.reset(self.core.config.cluster, myself, &mut self.core.stats);
        self.core.members.keeps_windows = self.keeps_data();
        if self.keeps_maps() {
            self.state.renew(&mut self.core);
        }
        self.core.members.announce(MYSELF, gossip::tail(1));
        self.core.tree = Tree::NONE;
        (self.gossip, self.relays, self.walk, self.replies) = (Gossip::NEW, Relays::NONE, Walk::NEW, Replies::NONE);
        self.broadcasts.reset(self.core.rng.keyed(MESSAGES, &[]));
        self.turns = Turns::NEW;
        (self.challenges, self.rival) = (Challenges::NONE, None);
        (self.hearsay, self.arrives, self.began) = (None, None, None);
        (self.leave, self.core.notices) = (None, Notices::NONE);
        self.core.budget = Budget::full(self.core.now, &self.core.config);
        let visit = scaled(self.core.config.dead_probe_period, self.core.rng.next_u32());
        self.seeds.restart(self.core.now, self.core.now.after(visit));
        self.core.phase = if self.seeds.any_but(addr) { Phase::Joining } else { Phase::Member };
        self.detector.start(&mut self.core);
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
        self.seeds.add(seed, self.core.now, &self.core.members);
        if self.core.phase == Phase::Member && self.core.members.others() == 0 {
            (self.core.phase, self.hearsay) = (Phase::Joining, None);
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

    pub(super) fn join_failing(&self) -> Option<(u32, A, Trouble)> {
        let addr = self.addr().filter(|_| self.core.phase == Phase::Joining)?;
        self.seeds.failing(addr)
    }

    /// A node that has nobody to ask is a member of a cluster of one.
    pub(super) fn found_cluster(&mut self) {
        if self.core.phase == Phase::Joining && !self.addr().is_some_and(|addr| self.seeds.any_but(addr)) {
            self.core.phase = Phase::Member;
        }
    }

    /// Forgets a member that is down or has left, before its time is over
    /// ([`Config::with_dead_retention`](Config::with_dead_retention)), and its map with it. Only here: others go on listing it
    /// until they forget it themselves, and this node does not learn of it from them again. If it lives after all, it is let
    /// in as anybody is.
    pub fn forget(&mut self, now: Instant, id: NodeId) -> Result<(), ForgetError> {
        self.advance(now);
        let index = self.core.members.find(id).ok_or(ForgetError::Unknown)?;
        if index == MYSELF || self.core.members.is_live(index) {
            return Err(ForgetError::Lives);
        }
        if !self.core.members.is_settled(index) {
            return Err(ForgetError::Untold);
        }
        self.forget_member(index);
        self.act();
        Ok(())
    }

    /// Tells peers that this node leaves, until four of them (or all, if fewer) have acknowledged it or
    /// [`Config::leave_timeout`] has passed; [`Event::Left`](crate::Event::Left) then says that it is done. Drive the node until
    /// then. A node that is [isolated](Phase::Isolated) says it four times, and does not wait longer if nobody answers. Does
    /// nothing on a node that is idle, leaving or gone.
    pub fn leave(&mut self, now: Instant) {
        self.advance(now);
        if !self.is_running() || self.core.phase == Phase::Leaving {
            return;
        }
        let Some(myself) = self.core.members.myself().copied() else { return };
        // A word of its own, under an incarnation of its own: an answer that does not reach it contradicts a forged one.
        let incarnation = myself.incarnation.saturating_add(1);
        self.adopt(MYSELF, Record { incarnation, ..myself.with(Liveness::Left) }, Telling::Tree);
        let arriving = self.core.phase == Phase::Joining && self.seeds.any_proved();
        self.core.phase = Phase::Leaving;
        (self.challenges, self.rival) = (Challenges::NONE, None);
        self.seeds.rest();
        self.leave = Some(Leave::new(self.core.rng.next_u32(), arriving, self.core.now, &self.core.config));
        self.act();
    }

    /// Changes the settings of a running node; they hold from the next deadline on. The cluster's name cannot be
    /// changed, and if that is asked for, nothing is.
    pub fn set_config(&mut self, now: Instant, config: Config) -> Result<(), ConfigError> {
        self.advance(now);
        if config.cluster != self.core.config.cluster {
            return Err(ConfigError::ClusterChanged);
        }
        self.core.config = config;
        let patience = config.patience;
        self.redescribe(|myself| Record { patience, ..myself });
        self.detector.hurry(self.core.now, &self.core.config);
        self.seeds.hurry(self.core.now, &self.core.config);
        self.act();
        Ok(())
    }

    /// Moves this node to another address, in the same life: members are told, and report it as
    /// [`Event::MemberMoved`](crate::Event::MemberMoved). Fails as [`start`](Self::start) does. Does nothing before `start`.
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
    pub(super) fn redescribe(&mut self, change: impl FnOnce(Record<A>) -> Record<A>) {
        let Some(myself) = self.core.members.myself().copied() else { return };
        let changed = change(myself);
        if changed != myself {
            // At the maximum nobody could be told; a life does not get there by itself.
            let incarnation = myself.incarnation.saturating_add(1);
            self.adopt(MYSELF, Record { incarnation, ..changed }, Telling::Tree);
        }
    }
}

/// The one rule for an address that a caller gives, its own or a seed's.
fn reachable<A: Address>(addr: A) -> Result<(), StartError> {
    if addr.is_reachable() { Ok(()) } else { Err(StartError::Unreachable) }
}
