//! foca as a machine that the simulator can drive: what its documentation asks of an application around it.
//!
//! That is a queue for its timers, an identity that renews itself when the cluster has declared it down, and a first
//! announcement to a seed, made again every second for as long as foca knows nobody (it does not do so itself).
//!
//! Its broadcasts would go out with whatever it sends next, at the latest with the gossip of every 200 ms. What makes
//! them fastest is to call its `broadcast`, which sends them to three members at once, again and again until each has
//! gone out as often as foca finds right for a cluster of this size; both where one is added and where one has come
//! that was new. So it is done here: it takes a hundredth of a second to all of 128 then, and a seventh of one where
//! `broadcast` is called but once and the gossip does the rest. That costs as many copies, and does better under loss,
//! as they are not all sent while somebody is expelled: at 20 %, 29 instead of 18 % of the messages reached all of 128.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddrV4;
use std::num::NonZeroU32;

use foca::{AccumulatingRuntime, Config, Foca, Identity, Member, OwnedNotification, PostcardCodec, Timer};
use serde::{Deserialize, Serialize};
use tidings::sim::{Conditions, HostAddress, Machine, Report, Sim, SimRng};
use tidings::{Instant, NodeId, Status};

use crate::experiments::{SECOND, Subject};
use crate::items::Items;
use crate::patience;

/// Who a member is to foca: its address, and how often it had to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    addr: SocketAddrV4,
    bump: u16,
}

impl Name {
    /// The first name of the host of this number.
    pub fn of_host(host: u32) -> Self {
        Name { addr: SocketAddrV4::of_host(host), bump: 0 }
    }

    /// The number of the host that bears it.
    fn host(self) -> usize {
        (self.addr.ip().to_bits() - SocketAddrV4::of_host(0).ip().to_bits()) as usize
    }
}

impl Identity for Name {
    type Addr = SocketAddrV4;

    fn renew(&self) -> Option<Self> {
        Some(Name { bump: self.bump.checked_add(1)?, ..*self })
    }

    fn addr(&self) -> SocketAddrV4 {
        self.addr
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.bump > adversary.bump
    }
}

/// foca with the simulator's randomness.
type Inner = Foca<Name, PostcardCodec, SimRng, Items>;

thread_local! {
    /// The hosts that had to rejoin, on this thread; a run is on one thread from beginning to end.
    static REJOINS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The hosts that found themselves declared down and rejoined, once for each time, since this was last called on this
/// thread.
pub fn take_rejoins() -> Vec<usize> {
    REJOINS.take()
}

/// A timer, and when it is due; of those due at once, in foca's own order and then in the order they were asked for.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    timer: Timer<Name>,
    order: u64,
}

/// One member.
pub struct Peer {
    config: Config,
    /// How many hosts it knows from the beginning, from number 0 on.
    preloaded: u32,
    seeds: Vec<Name>,
    inner: Option<Inner>,
    host: usize,
    runtime: AccumulatingRuntime<Name>,
    timers: BinaryHeap<Reverse<Due>>,
    order: u64,
    /// When to announce itself again.
    retry: Instant,
    /// What it has told of each host.
    views: Vec<Option<Status>>,
    reports: VecDeque<Report>,
    left: bool,
    items: Items,
}

impl Peer {
    /// Settings for a data centre and a cluster of this size; it will know this many hosts when it starts.
    fn knowing(nodes: u32, preloaded: u32) -> Self {
        Peer {
            config: Config::new_lan(NonZeroU32::new(nodes).unwrap_or(NonZeroU32::MIN)),
            preloaded,
            seeds: Vec::new(),
            inner: None,
            host: 0,
            runtime: AccumulatingRuntime::new(),
            timers: BinaryHeap::new(),
            order: 0,
            retry: Instant::FAR_FUTURE,
            views: Vec::new(),
            reports: VecDeque::new(),
            left: false,
            items: Items::default(),
        }
    }

    /// Calls foca, if it was started, and passes on at once what it has learnt that is new.
    fn call<E>(
        &mut self,
        now: Instant,
        call: impl FnOnce(&mut Inner, &mut AccumulatingRuntime<Name>) -> Result<(), E>,
    ) {
        self.act(now, call);
        let new = self.items.take_new();
        if !new.is_empty() {
            self.reports.extend(new);
            let most = self.config.max_transmissions.get();
            self.act(now, |inner, runtime| (0..most).try_for_each(|_| inner.broadcast(&mut *runtime)));
        }
    }

    /// Calls foca, if it was started, and sees to what it wants. Errors are about single datagrams and late timers, and
    /// foca carries on after them by itself.
    fn act<E>(&mut self, now: Instant, call: impl FnOnce(&mut Inner, &mut AccumulatingRuntime<Name>) -> Result<(), E>) {
        patience::check();
        let Some(inner) = &mut self.inner else { return };
        let _ = call(inner, &mut self.runtime);
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.order += 1;
            self.timers.push(Reverse(Due { at: now + after, timer, order: self.order }));
        }
        while let Some(notification) = self.runtime.to_notify() {
            self.note(now, notification);
        }
    }

    fn note(&mut self, now: Instant, notification: OwnedNotification<Name>) {
        let report = match notification {
            OwnedNotification::MemberUp(name) => self.see(name, Status::Alive),
            OwnedNotification::MemberDown(name) => self.see(name, Status::Down),
            OwnedNotification::Active => {
                self.retry = Instant::FAR_FUTURE;
                Report::Joined
            }
            OwnedNotification::Idle => {
                self.retry = now + SECOND;
                Report::Isolated
            }
            OwnedNotification::Rejoin(_) | OwnedNotification::Defunct => {
                if !self.left {
                    REJOINS.with_borrow_mut(|hosts| hosts.push(self.host));
                }
                Report::Other
            }
            // It lives on under a new name.
            OwnedNotification::Rename(..) => Report::Other,
        };
        self.reports.push_back(report);
    }

    fn see(&mut self, name: Name, status: Status) -> Report {
        let host = name.host();
        if self.views.len() <= host {
            self.views.resize(host + 1, None);
        }
        self.views[host] = Some(status);
        Report::Member(NodeId::new(host as u64 + 1), status)
    }

    fn announce(&mut self, now: Instant) {
        for seed in self.seeds.clone() {
            self.call(now, |inner, runtime| inner.announce(seed, runtime));
        }
        self.retry = now + SECOND;
    }
}

impl Machine for Peer {
    type Addr = SocketAddrV4;

    fn addr_of(host: u32) -> SocketAddrV4 {
        SocketAddrV4::of_host(host)
    }

    fn start(&mut self, now: Instant, _: NodeId, addr: SocketAddrV4, rng: &mut SimRng) {
        let myself = Name { addr, bump: 0 };
        self.host = myself.host();
        self.seeds.retain(|seed| *seed != myself);
        let rng = SimRng::new(rng.draw());
        let items = self.items.clone();
        self.inner = Some(Foca::with_custom_broadcast(myself, self.config.clone(), rng, PostcardCodec, items));
        if self.preloaded == 0 {
            return self.announce(now);
        }
        let others = (0..self.preloaded).map(Name::of_host).filter(|name| *name != myself).map(Member::alive);
        self.call(now, |inner, runtime| inner.apply_many(others, false, runtime));
        self.reports.clear();
    }

    fn join(&mut self, _: Instant, seed: SocketAddrV4) {
        self.seeds.push(Name { addr: seed, bump: 0 });
    }

    fn leave(&mut self, now: Instant) {
        self.left = true;
        self.call(now, |inner, runtime| inner.leave_cluster(runtime));
    }

    fn handle_datagram(&mut self, now: Instant, _: SocketAddrV4, datagram: &mut [u8]) {
        self.call(now, |inner, runtime| inner.handle_data(datagram, runtime));
    }

    fn handle_timeout(&mut self, now: Instant) {
        while self.timers.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(due)) = self.timers.pop() else { break };
            self.call(now, |inner, runtime| inner.handle_timer(due.timer, runtime));
        }
        if self.retry <= now {
            self.announce(now);
        }
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(SocketAddrV4, usize)> {
        let (to, datagram) = self.runtime.to_send()?;
        buf[..datagram.len()].copy_from_slice(&datagram);
        Some((to.addr, datagram.len()))
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    fn poll_timeout(&self) -> Instant {
        self.timers.peek().map_or(self.retry, |Reverse(due)| due.at.min(self.retry))
    }

    fn status(&self, id: NodeId) -> Option<Status> {
        let host = id.get() as usize - 1;
        if host == self.host { Some(Status::Alive) } else { self.views.get(host).copied().flatten() }
    }

    fn live(&self) -> usize {
        self.inner.as_ref().map_or(0, Inner::num_members) + 1
    }

    fn has_left(&self) -> bool {
        self.left
    }

    fn broadcast(&mut self, now: Instant, payload: &[u8]) -> bool {
        let mut added = false;
        self.call(now, |inner, _| {
            added = inner.add_broadcast(payload)?;
            Ok::<(), foca::Error>(())
        });
        added
    }
}

impl Subject for Peer {
    fn new(nodes: u32) -> Self {
        Peer::knowing(nodes, 0)
    }

    fn payloads(&self) -> u64 {
        self.items.received()
    }

    /// foca's own bootstrap takes a quarter of an hour for 1,024 members. Here each is told of all others when it
    /// starts, and they start at moments of their own, so that their periods are not in step.
    fn cluster(nodes: u32, seed: u64) -> Result<Sim<Self>, String> {
        let mut sim = Sim::new(seed, Conditions::LAN);
        let mut rng = SimRng::new(seed);
        let mut starts: Vec<(u64, usize)> = (0..nodes as usize).map(|host| (rng.below(1_000_000), host)).collect();
        starts.sort();
        for _ in 0..nodes {
            sim.add(Peer::knowing(nodes, nodes));
        }
        let begun = sim.now();
        for (micros, host) in starts {
            sim.run_until(begun + core::time::Duration::from_micros(micros));
            sim.start(host, &[0]);
        }
        sim.run_until(begun + 6 * SECOND);
        sim.take_reports();
        if sim.agrees() {
            Ok(sim)
        } else {
            Err(format!("{nodes} members of foca (seed {seed}) do not know each other"))
        }
    }

    fn listening_cluster(nodes: u32, seed: u64) -> Result<Sim<Self>, String> {
        Self::cluster(nodes, seed)
    }
}
