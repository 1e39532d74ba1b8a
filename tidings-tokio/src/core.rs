//! The node, and those who wait for it: no sockets and nothing to await, so that all of this is plain calls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings::{App, Clock, HeapNode, Hosted, Instant, MAX_SEEDS, NodeId, OwnedEntry, Phase, Topic};
use tokio::sync::watch;

use crate::error::{Error, StartError, Stopped};
use crate::feed::Tap;
use crate::observe::Meters;
use crate::socket::Socket;
use crate::{Change, Event, Member};

/// How often whoever waits to write a key tries again. How much may be written grows with time alone, and of that the node
/// has no deadline.
const PACE: Duration = Duration::from_millis(10);

/// What a handle has the task do.
pub(crate) type Command = Box<dyn FnOnce(&mut Core) + Send>;

/// Something that is tried again until it can be done.
pub(crate) trait Attempt: Send {
    /// Whether anybody still waits for it.
    fn is_wanted(&self) -> bool;
    /// Tries it. False if there was no room.
    fn attempt(&mut self, core: &mut Core) -> bool;
}

/// What has room of its own in the node: who waits for one of these does not wait for the others.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    Broadcast,
    Direct,
    State,
}

/// What a handle reads without asking the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) phase: Phase,
    pub(crate) joined: bool,
    pub(crate) stopped: Option<Stopped>,
}

impl Standing {
    pub(crate) const IDLE: Self = Standing { phase: Phase::Idle, joined: false, stopped: None };
}

pub(crate) struct Core {
    pub(crate) hosted: Hosted<Box<dyn App + Send>>,
    pub(crate) clock: Clock,
    /// The application may have subscribed and watched itself, and keeps that.
    has_app: bool,
    /// None of the names of its seeds has been found yet, and nobody has joined through it: it is a member of a cluster of
    /// one for want of somebody to ask, and passes for one that is joining.
    nameless: bool,
    taps: Vec<Tap>,
    /// Who reads of changed keys: those of others come as events, own ones from where they are written.
    watchers: Vec<Watcher>,
    lanes: [VecDeque<Box<dyn Attempt>>; 3],
    /// Own keys that run out, and when.
    fading: Vec<(Instant, String)>,
    standing: watch::Sender<Standing>,
    members: watch::Sender<Arc<[Member]>>,
    members_changed: bool,
    meters: Meters,
}

type Watcher = Box<dyn FnMut(&Change) -> bool + Send>;

impl Core {
    pub(crate) fn new(
        node: HeapNode,
        app: Option<Box<dyn App + Send>>,
        has_seeds: bool,
        standing: watch::Sender<Standing>,
        members: watch::Sender<Arc<[Member]>>,
    ) -> Self {
        Core {
            has_app: app.is_some(),
            hosted: Hosted::new(node, app.unwrap_or(Box::new(()))),
            clock: Clock::start(),
            nameless: has_seeds,
            taps: Vec::new(),
            watchers: Vec::new(),
            lanes: Default::default(),
            fading: Vec::new(),
            standing,
            members,
            members_changed: true,
            meters: Meters::new(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn start(&mut self, id: NodeId, addr: SocketAddr, seed: [u8; 16]) -> Result<(), StartError> {
        let now = self.now();
        self.hosted.start_with_seed(now, id, addr, seed).map_err(|_| StartError::Advertise(addr))?;
        self.publish(None);
        Ok(())
    }

    /// Joins through those of these that the socket can reach. Where they are more than a node keeps, they take the places of
    /// those that their names stood for before.
    pub(crate) fn join(&mut self, socket: &Socket, found: &[SocketAddr]) {
        let now = self.now();
        self.nameless &= found.is_empty();
        if self.hosted.node.phase() != Phase::Leaving {
            // By an address of its own it would make others give way for nothing.
            let own = self.hosted.node.addr();
            for seed in found.iter().filter(|seed| socket.reaches(**seed) && own != Some(**seed)) {
                self.join_through(now, *seed, found);
            }
        }
    }

    fn join_through(&mut self, now: Instant, seed: SocketAddr, found: &[SocketAddr]) {
        let node = &mut self.hosted.node;
        if node.seeds().any(|kept| kept == seed) {
            return;
        }
        if node.seeds().count() == MAX_SEEDS {
            // Of those that the names stand for now none gives way to another of them.
            let Some(former) = node.seeds().find(|kept| !found.contains(kept)) else { return };
            node.forget_seed(now, former);
        }
        let joined = node.join(now, seed);
        debug_assert!(joined.is_ok(), "such an address is never refused: {joined:?}");
    }

    /// When time is to be handed in next.
    pub(crate) fn due(&self) -> Instant {
        let fading = self.fading.iter().map(|(at, _)| *at).min();
        let waits = !self.lanes[Lane::State as usize].is_empty();
        let retry = if waits { self.now() + PACE } else { Instant::FAR_FUTURE };
        fading.unwrap_or(Instant::FAR_FUTURE).min(retry).min(self.hosted.poll_timeout())
    }

    pub(crate) fn handle_timeout(&mut self) {
        let now = self.now();
        self.hosted.handle_timeout(now);
        self.tell_faded(now);
    }

    // Events.

    /// Shows all that happened to the application and to those who read of it. How the node's life ended, if it did.
    ///
    /// What handles read is made known first: whoever reads of an event and then asks a handle must not find what was before.
    pub(crate) fn tell(&mut self) -> Option<Stopped> {
        let mut stopped = None;
        let events: Vec<Event> = std::iter::from_fn(|| self.hosted.poll_event()).collect();
        for event in &events {
            crate::observe::event(event);
            match event {
                Event::Left => stopped = Some(Stopped::Left),
                Event::IdTaken => stopped = Some(Stopped::IdTaken),
                _ => self.members_changed |= event.member().is_some(),
            }
        }
        if !events.is_empty() {
            self.publish(None);
        }
        events.iter().for_each(|event| self.show(event));
        stopped
    }

    fn show(&mut self, event: &Event) {
        let mut unread = Vec::new();
        self.taps.retain_mut(|tap| {
            let stays = tap.see(event);
            unread.extend(tap.topic.filter(|_| !stays));
            stays
        });
        for topic in unread {
            self.unsubscribe(topic);
        }
        if let Some(change) = Change::of(event) {
            self.change(&change);
        }
    }

    fn change(&mut self, change: &Change) {
        let were_any = !self.watchers.is_empty();
        self.watchers.retain_mut(|see| see(change));
        if were_any && self.watchers.is_empty() && !self.has_app {
            self.hosted.node.unwatch("");
        }
    }

    /// Hands out what handles read without asking.
    pub(crate) fn publish(&mut self, stopped: Option<Stopped>) {
        self.nameless &= self.hosted.node.live() <= 1;
        let phase = match self.hosted.node.phase() {
            Phase::Member if self.nameless => Phase::Joining,
            phase => phase,
        };
        self.meters.update(&self.hosted.node, phase, stopped.is_some());
        if std::mem::take(&mut self.members_changed) {
            let mut members: Vec<Member> = self.hosted.node.members().collect();
            members.sort_unstable_by_key(|member| member.id());
            self.members.send_replace(members.into());
        }
        let joined = matches!(phase, Phase::Member | Phase::Isolated);
        let standing = Standing { phase, joined, stopped };
        self.standing.send_if_modified(|held| std::mem::replace(held, standing.clone()) != standing);
    }

    // Readers.

    pub(crate) fn tap(&mut self, tap: Tap) {
        self.taps.push(tap);
    }

    /// Adds one for which the node listens to a topic.
    pub(crate) fn subscribe(&mut self, topic: Topic, in_order: bool, tap: Tap) -> Result<(), Error> {
        let now = self.now();
        if in_order {
            self.hosted.node.subscribe_in_order(now, topic)?;
        } else if !self.taps.iter().any(|tap| tap.topic == Some(topic)) {
            self.hosted.node.subscribe(now, topic)?;
        }
        self.taps.push(tap);
        Ok(())
    }

    /// Listens no more to a topic of which nobody reads.
    fn unsubscribe(&mut self, topic: Topic) {
        if !self.has_app && !self.taps.iter().any(|tap| tap.topic == Some(topic)) {
            self.hosted.node.unsubscribe(self.clock.now(), topic);
        }
    }

    /// Adds one that reads of changed keys, which this closure is shown until it gives false.
    pub(crate) fn watch(&mut self, see: impl FnMut(&Change) -> bool + Send + 'static) -> Result<(), Error> {
        if self.watchers.is_empty() {
            self.hosted.node.watch("")?;
        }
        self.watchers.push(Box::new(see));
        Ok(())
    }

    // Own keys.

    /// An own key has been written, to run out then if ever.
    pub(crate) fn has_set(&mut self, key: &str, runs_out: Option<Instant>) {
        let owner = self.hosted.node.id();
        self.fading.retain(|(_, held)| held != key);
        self.fading.extend(runs_out.map(|at| (at, key.to_owned())));
        let entry = self.hosted.node.entry(owner, key).map(|entry| entry.to_owned());
        if let Some(entry) = entry {
            self.change(&Change::Set { owner, entry });
        }
    }

    /// An own key is gone.
    pub(crate) fn has_deleted(&mut self, key: &str) {
        self.fading.retain(|(_, held)| held != key);
        let owner = self.hosted.node.id();
        self.change(&Change::Deleted { owner, key: key.to_owned() });
    }

    fn tell_faded(&mut self, now: Instant) {
        let over: Vec<String> = self.fading.extract_if(.., |(at, _)| *at <= now).map(|(_, key)| key).collect();
        for key in over {
            if self.hosted.node.get(self.hosted.node.id(), &key).is_none() {
                self.has_deleted(&key);
            } else {
                // The node's own deadline is a little later.
                self.fading.push((now + Duration::from_millis(100), key));
            }
        }
    }

    // Those who wait for room.

    pub(crate) fn submit(&mut self, lane: Lane, mut attempt: Box<dyn Attempt>) {
        let waiting = &mut self.lanes[lane as usize];
        if waiting.len() == waiting.capacity() {
            waiting.retain(|attempt| attempt.is_wanted());
        }
        if !waiting.is_empty() || !attempt.attempt(self) {
            self.lanes[lane as usize].push_back(attempt);
        }
    }

    /// Goes on with those who wait for room, first come first served.
    pub(crate) fn resume(&mut self) {
        for lane in 0..self.lanes.len() {
            while let Some(mut first) = self.lanes[lane].pop_front() {
                if first.is_wanted() && !first.attempt(self) {
                    self.lanes[lane].push_front(first);
                    break;
                }
            }
        }
    }
}

/// All keys of this member that begin so.
pub(crate) fn entries(node: &HeapNode, owner: NodeId, prefix: &str) -> Vec<OwnedEntry> {
    node.entries(owner).filter(|entry| entry.key().starts_with(prefix)).map(|entry| entry.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use tidings::sim::HostAddress;
    use tidings::{Config, Limits};

    use super::*;

    fn core() -> Core {
        let node = HeapNode::new(Config::LAN, Limits::DEFAULT);
        let (standing, members) = (watch::channel(Standing::IDLE).0, watch::channel(Arc::from([])).0);
        Core::new(node, None, true, standing, members)
    }

    /// Finds room when it has tried so often.
    struct Tries(u32);

    impl Attempt for Tries {
        fn is_wanted(&self) -> bool {
            true
        }

        fn attempt(&mut self, _: &mut Core) -> bool {
            self.0 -= 1;
            self.0 == 0
        }
    }

    #[test]
    fn whoever_waits_to_write_tries_again_soon_though_nothing_comes() {
        let mut core = core();
        assert_eq!(core.due(), Instant::FAR_FUTURE);
        core.submit(Lane::State, Box::new(Tries(2)));
        assert!(core.due() <= core.now() + PACE);
        core.resume();
        assert_eq!(core.due(), Instant::FAR_FUTURE, "there was room");
    }

    #[test]
    fn whoever_is_shown_an_event_reads_no_older_members_from_a_handle() {
        let mut cores = [core(), core()];
        let addr = |at: usize| SocketAddr::of_host(at as u32);
        cores[1].hosted.node.join(Instant::ZERO, addr(0)).unwrap();
        let shown = Arc::new(AtomicUsize::new(0));
        for (at, core) in cores.iter_mut().enumerate() {
            let (members, standing, shown) = (core.members.subscribe(), core.standing.subscribe(), shown.clone());
            core.tap(Tap::new(None, move |event| {
                if let Event::MemberUp(member) = event {
                    assert!(members.borrow().contains(member), "{member} is up, and not among the members");
                    shown.fetch_add(1, Relaxed);
                }
                assert!(*event != Event::Joined || standing.borrow().phase == Phase::Member);
                true
            }));
            core.start(NodeId::new(at as u64 + 1), addr(at), [at as u8; 16]).unwrap();
        }
        let mut buf = [0; tidings::MAX_DATAGRAM];
        for millis in 0..2_000 {
            let now = Instant::from_micros(millis * 1_000);
            for at in [0, 1] {
                cores[at].hosted.handle_timeout(now);
                while let Some(sent) = cores[at].hosted.node.poll_transmit(&mut buf) {
                    let len = sent.payload.len();
                    cores[1 - at].hosted.handle_datagram(now, addr(at), &mut buf[..len]);
                }
                assert_eq!(cores[at].tell(), None);
            }
        }
        assert_eq!(shown.load(Relaxed), 2, "each has seen the other come");
    }

    #[tokio::test]
    async fn where_names_stand_for_other_addresses_than_before_those_are_asked() {
        let mut core = core();
        let socket = Socket::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let hosts = |from: usize| (from..from + MAX_SEEDS).map(|host| SocketAddr::of_host(host as u32)).collect();
        for found in [hosts(0), hosts(0), hosts(100), hosts(103)] {
            let mut found: Vec<SocketAddr> = found;
            found.push(SocketAddr::of_host(9_999));
            core.join(&socket, &found);
            let mut kept: Vec<SocketAddr> = core.hosted.node.seeds().collect();
            kept.sort_unstable();
            assert_eq!(kept, found[..MAX_SEEDS], "the last of them finds no room");
        }
        core.join(&socket, &[]);
        assert_eq!(core.hosted.node.seeds().count(), MAX_SEEDS, "what nobody finds is kept");
        core.join(&socket, &["[::1]:7".parse().unwrap()]);
        assert!(core.hosted.node.seeds().all(|seed| seed.is_ipv4()), "a socket of IPv4 reaches no other");
    }
}
