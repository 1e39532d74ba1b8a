//! The whole at one moment, and what can happen to it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tidings::Instant;

use crate::account::{Account, End};
use crate::config::{ANY_ORDER, Faults, HOSTS};
use crate::host::{Host, id_of};

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// The hosts; `None` for a crashed one.
    pub hosts: [Option<Arc<Host>>; HOSTS],
    /// How many lives each host has begun.
    pub lives: [u32; HOSTS],
    /// What is on its way, in order.
    pub flight: Vec<Datagram>,
    /// The time.
    pub clock: Instant,
    /// The faults that may still happen.
    pub left: Faults,
    /// The host that is cut off from the others.
    pub cut: Option<Cut>,
    /// The host that stands still.
    pub stalled: Option<usize>,
    /// The latest that each id has ever said of itself.
    pub said: [((u32, u32), u32); HOSTS],
    /// The most that each host has held of each in its present life.
    pub held: [[Option<Account>; HOSTS]; HOSTS],
    /// Hosts that had a fault of their own: crashed, cut off or stalled.
    pub harmed: [bool; HOSTS],
    /// What was broken by the last step.
    pub breach: Option<Breach>,
    /// From which seed it came.
    pub seed: u64,
}

/// A datagram on its way. The derived order decides in which order equal actions are listed, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datagram {
    /// The place that it goes to.
    pub to: usize,
    /// The place that it comes from.
    pub from: usize,
    /// When it was sent; before the present time only if it is delayed.
    pub sent: Instant,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
}

/// A host that is cut off, one way or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Its place.
    pub place: usize,
    /// What is sent to it is lost.
    pub deaf: bool,
    /// What it sends is lost.
    pub mute: bool,
}

impl Cut {
    fn takes(self, datagram: &Datagram) -> bool {
        self.deaf && datagram.to == self.place || self.mute && datagram.from == self.place
    }
}

/// A rule that a step has broken: which host broke it, and about which member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// It holds less of the member than it did.
    WentBack(usize, usize),
    /// It holds or was told more of the member than the member ever said.
    NotItsOwn(usize, usize),
    /// It holds the member dead, and neither was told so nor asked anybody.
    Groundless(usize, usize),
    /// It holds a member dead that had no fault of its own.
    Condemned(usize, usize),
    /// Called when it was due, it wants to be called again at once.
    Restless(usize),
    /// Left alone, hosts have sent each other datagrams without end.
    Endless,
}

impl World {
    /// The earliest deadline of the hosts that run.
    pub fn deadline(&self) -> Instant {
        self.awake().map(|(_, host)| host.node.poll_timeout()).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// Hosts whose deadline has come.
    pub fn due(&self) -> impl Iterator<Item = usize> {
        self.awake().filter(|(_, host)| host.node.poll_timeout() <= self.clock).map(|(place, _)| place)
    }

    /// Hosts that have not crashed.
    pub fn living(&self) -> impl Iterator<Item = (usize, &Host)> {
        self.hosts.iter().enumerate().filter_map(|(place, host)| Some((place, host.as_deref()?)))
    }

    fn awake(&self) -> impl Iterator<Item = (usize, &Host)> {
        self.living().filter(|(place, _)| self.stalled != Some(*place))
    }

    /// Whether this one can arrive now.
    pub fn arrives(&self, datagram: &Datagram) -> bool {
        self.stalled != Some(datagram.to)
    }

    /// Whether another that was sent before this one, and at this same time, could arrive.
    pub fn out_of_turn(&self, at: usize) -> bool {
        let now = |datagram: &&Datagram| self.arrives(datagram) && datagram.sent == self.clock;
        self.flight[..at].iter().any(|before| now(&before))
    }

    /// How many datagrams would be delayed by letting time pass.
    pub fn punctual(&self) -> usize {
        self.flight.iter().filter(|datagram| datagram.sent == self.clock && self.arrives(datagram)).count()
    }

    /// Whether none that can arrive has been on its way for longer than that at `then`.
    pub fn none_later(&self, then: Instant, latest: Duration) -> bool {
        let mut delayed = self.flight.iter().filter(|datagram| self.arrives(datagram));
        delayed.all(|datagram| then.duration_since(datagram.sent) <= latest)
    }

    // What can happen.

    /// Takes the datagram at this place in the flight to its host, and keeps it there too if it is to arrive twice.
    pub fn deliver(&mut self, at: usize, keep: bool) {
        let datagram = if keep { self.flight[at].clone() } else { self.flight.remove(at) };
        let Some(mut host) = self.hosts[datagram.to].as_deref().cloned() else { return };
        if let Some(reading) = host.read(&datagram.bytes) {
            for told in &reading.records {
                self.check_counters(datagram.to, told.id, Account::from(told));
            }
            host.hear(&reading);
        }
        self.call(datagram.to, host, |host, now| {
            host.node.handle_datagram(now, id_of(datagram.from) as u16, &mut datagram.bytes.to_vec());
        });
    }

    /// Serves the deadline of a host.
    pub fn serve(&mut self, place: usize) {
        let Some(host) = self.hosts[place].as_deref().cloned() else { return };
        self.call(place, host, |host, now| host.node.handle_timeout(now));
        let restless = self.living().any(|(other, host)| other == place && host.node.poll_timeout() <= self.clock);
        if restless {
            self.break_rule(Breach::Restless(place));
        }
    }

    /// Stops a host. What is on its way to it stays so only if it may come back.
    pub fn crash(&mut self, place: usize) {
        self.hosts[place] = None;
        self.harmed[place] = true;
        if self.left.restarts == 0 {
            self.flight.retain(|datagram| datagram.to != place);
        }
    }

    /// Begins the next life of a crashed host.
    pub fn restart(&mut self, place: usize) {
        self.lives[place] += 1;
        self.held[place] = Default::default();
        let host = Host::start(place, self.lives[place], self.seed, self.clock);
        self.call(place, host, |_, _| {});
    }

    /// Cuts a host off: what it has sent or is sent is lost, until it is healed.
    pub fn cut(&mut self, cut: Cut) {
        self.cut = Some(cut);
        self.harmed[cut.place] = true;
        self.flight.retain(|datagram| !cut.takes(datagram));
    }

    /// Lets a host stand still.
    pub fn stall(&mut self, place: usize) {
        self.stalled = Some(place);
        self.harmed[place] = true;
    }

    /// Lets it go on; what has come meanwhile waits in its socket.
    pub fn wake(&mut self) {
        for datagram in self.flight.iter_mut().filter(|datagram| self.stalled == Some(datagram.to)) {
            datagram.sent = self.clock;
        }
        self.line_up();
        self.stalled = None;
    }

    // How a host changes.

    fn call(&mut self, place: usize, mut host: Host, call: impl FnOnce(&mut Host, Instant)) {
        let declared = host.node.stats().declared_down;
        call(&mut host, self.clock);
        let sent = host.drain();
        host.settle();
        let own = host.node.stats().declared_down != declared;
        self.said[place] = self.said[place].max(host.myself().counters());
        for about in 0..HOSTS {
            self.check_member(place, about, &host, own);
        }
        self.hosts[place] = Some(Arc::new(host));
        for (to, bytes) in sent {
            self.send(Datagram { to, from: place, sent: self.clock, bytes: bytes.into() });
        }
        self.line_up();
    }

    /// Where they arrive in any order, the same ones are the same state.
    fn line_up(&mut self) {
        if self.left.swaps == ANY_ORDER {
            self.flight.sort();
        }
    }

    fn send(&mut self, datagram: Datagram) {
        let nobody = self.hosts[datagram.to].is_none() && self.left.restarts == 0;
        let cut = self.cut.is_some_and(|cut| cut.takes(&datagram));
        if !nobody && !cut {
            self.flight.push(datagram);
        }
    }

    // What must hold.

    /// Checks what a host has come to hold of one member, against what it held before.
    fn check_member(&mut self, place: usize, about: usize, host: &Host, own: bool) {
        let now = host.holds(about);
        let before = std::mem::replace(&mut self.held[place][about], now);
        // What it knows, it does not forget: its table has room for all.
        if before > now {
            self.break_rule(Breach::WentBack(place, about));
        }
        let Some(now) = now else { return };
        self.check_counters(place, id_of(about), now);
        if now.end != End::Down || about == place {
            return;
        }
        if before != Some(now) && !host.grounds[about].entitle(now, own) {
            self.break_rule(Breach::Groundless(place, about));
        }
        if !self.harmed[about] {
            self.break_rule(Breach::Condemned(place, about));
        }
    }

    fn check_counters(&mut self, place: usize, about: u64, account: Account) {
        match crate::host::place_of(about) {
            Some(about) if account.counters() <= self.said[about] => {}
            Some(about) => self.break_rule(Breach::NotItsOwn(place, about)),
            None => self.break_rule(Breach::NotItsOwn(place, HOSTS)),
        }
    }

    pub(crate) fn break_rule(&mut self, breach: Breach) {
        self.breach.get_or_insert(breach);
    }

    /// What all comparisons go by.
    fn key(&self) -> impl Hash + PartialEq {
        let hosts = self.hosts.each_ref().map(|host| host.as_ref().map(|host| host.digest));
        let faults = (self.left, self.cut, self.stalled, self.harmed, self.breach);
        (hosts, self.lives, self.clock, faults, self.said, self.held, self.seed)
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.flight == other.flight
    }
}

impl Eq for World {}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
        self.flight.hash(state);
    }
}
