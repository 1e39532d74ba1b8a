//! One host: the real node, and what it has been told that could be grounds for holding somebody dead.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use tidings::internals::reading::{self, Reading};
use tidings::sim::SimRng;
use tidings::{FixedNode, Instant, NodeId};

use crate::account::{Account, End};
use crate::config::{CLUSTER, CONFIG, HOSTS};

/// The node under test.
pub type Node = FixedNode<4, u16>;

/// The id of the host at this place, as a number. Its address is the same number.
pub fn id_of(host: usize) -> u64 {
    host as u64 + 1
}

/// The place of the host with this id or address, if there is one.
pub fn place_of(id: u64) -> Option<usize> {
    (1..=HOSTS as u64).contains(&id).then(|| id as usize - 1)
}

/// A running host.
#[derive(Clone, Debug)]
pub struct Host {
    /// The real thing.
    pub node: Node,
    /// What it may hold others dead for.
    pub grounds: [Grounds; HOSTS],
    /// Stands for both in comparisons.
    pub digest: u64,
}

/// What a host has been told about one member that could be grounds for holding it dead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grounds {
    /// Its deaths, as datagrams that this host accepted told them: with the names of those who bear witness, or before
    /// this host knew anything of it.
    told: Vec<Account>,
    /// The last question that this host put to others about it, and to whom.
    asked: Option<(u32, Vec<u64>)>,
    /// Those who were asked that, and said that they do not hear it either.
    silent: Vec<u64>,
}

impl Grounds {
    /// Whether they suffice for holding the member dead as `account` says; `own` if the host itself has declared it, for
    /// which others must have answered its own question.
    pub fn entitle(&self, account: Account, own: bool) -> bool {
        if own { !self.silent.is_empty() } else { self.told.contains(&account) }
    }

    fn hear(&mut self, account: Account) {
        if account.end == End::Down && !self.told.contains(&account) {
            self.told.push(account);
            self.told.sort();
        }
    }
}

impl Host {
    /// Begins the life of this number, joining through the two others.
    pub fn start(place: usize, life: u32, seed: u64, now: Instant) -> Self {
        let mut node = Node::new(CONFIG);
        for other in (0..HOSTS).filter(|other| *other != place) {
            node.join(now, id_of(other) as u16).expect("any number is an address");
        }
        let mut rng = SimRng::new(seed << 16 | (place as u64) << 8 | u64::from(life));
        node.start(now, NodeId::new(id_of(place)), id_of(place) as u16, &mut rng).unwrap();
        Host { node, grounds: Default::default(), digest: 0 }
    }

    /// What it holds of the host at this place.
    pub fn holds(&self, place: usize) -> Option<Account> {
        self.node.member(NodeId::new(id_of(place))).map(Account::from)
    }

    /// What it says of itself.
    pub fn myself(&self) -> Account {
        self.node.member(self.node.id()).map(Account::from).expect("a started node holds itself")
    }

    /// A datagram as it would read it.
    pub fn read(&self, datagram: &[u8]) -> Option<Reading> {
        reading::read::<u16>(datagram, CLUSTER, reading::tag(self.node.id().get(), self.myself().life))
    }

    /// Remembers what a datagram that it accepts tells it.
    pub fn hear(&mut self, reading: &Reading) {
        for told in &reading.records {
            let (about, account, jurors) = (told.id, Account::from(told), told.jurors);
            let Some(place) = place_of(about) else { continue };
            // The witnesses are members, and not the accused.
            let certified =
                jurors.is_some_and(|jurors| jurors.iter().all(|juror| *juror != about && place_of(*juror).is_some()));
            if certified || self.holds(place).is_none() {
                self.grounds[place].hear(account);
            }
        }
        for (question, about, heard) in &reading.verdicts {
            let Some(grounds) = place_of(*about).map(|place| &mut self.grounds[place]) else { continue };
            let asked = grounds.asked.as_ref();
            let answers = asked.is_some_and(|(asked, jurors)| asked == question && jurors.contains(&reading.sender));
            if answers && !heard && !grounds.silent.contains(&reading.sender) {
                grounds.silent.push(reading.sender);
            }
        }
    }

    /// Remembers what it asks others. What was answered to an earlier question counts no more.
    fn ask(&mut self, to: usize, datagram: &[u8]) {
        let Some(account) = self.holds(to) else { return };
        let Some(reading) = reading::read::<u16>(datagram, CLUSTER, reading::tag(id_of(to), account.life)) else {
            return;
        };
        for (question, about) in reading.asks {
            let Some(grounds) = place_of(about).map(|place| &mut self.grounds[place]) else { continue };
            let again = grounds.asked.take().filter(|(asked, _)| *asked == question);
            if again.is_none() {
                grounds.silent.clear();
            }
            let mut jurors = again.map_or(Vec::new(), |(_, jurors)| jurors);
            if !jurors.contains(&id_of(to)) {
                jurors.push(id_of(to));
            }
            grounds.asked = Some((question, jurors));
        }
    }

    /// Takes out all that it has to send and to tell.
    pub fn drain(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut buf = [0; CONFIG.max_datagram()];
        let mut sent = Vec::new();
        while let Some(transmit) = self.node.poll_transmit(&mut buf) {
            let to = place_of(transmit.to.into()).expect("a node sends to addresses that it was told");
            sent.push((to, transmit.payload.to_vec()));
        }
        while self.node.poll_event().is_some() {}
        for (to, datagram) in &sent {
            self.ask(*to, datagram);
        }
        sent
    }

    /// To be called when it has changed, before it is compared.
    pub fn settle(&mut self) {
        let mut hasher = DefaultHasher::new();
        hasher.write(&without_counters(&self.node));
        self.grounds.hash(&mut hasher);
        self.digest = hasher.finish();
    }
}

/// All that a node hashes, but for its statistics: they decide nothing, and nodes that differ in nothing else behave
/// the same. They are left out only as long as they are the last thing that a node hashes.
fn without_counters(node: &Node) -> Vec<u8> {
    let (mut all, mut counters) = (Written::default(), Written::default());
    node.hash(&mut all);
    node.stats().hash(&mut counters);
    if all.0.ends_with(&counters.0) {
        all.0.truncate(all.0.len() - counters.0.len());
    }
    all.0
}

/// Keeps what is written to it.
#[derive(Default)]
struct Written(Vec<u8>);

impl Hasher for Written {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_differ_in_their_counters_alone_are_one() {
        let mut one = Host::start(0, 0, 1, Instant::ZERO);
        one.drain();
        let mut other = one.clone();
        // Counted once, and told the application the first time.
        other.node.handle_datagram(Instant::ZERO, 9, &mut []);
        other.drain();
        let mut third = other.clone();
        third.node.handle_datagram(Instant::ZERO, 9, &mut []);
        third.drain();
        [&mut one, &mut other, &mut third].into_iter().for_each(Host::settle);
        assert!(other.node != third.node && other.digest == third.digest);
        assert_ne!(one.digest, other.digest);
    }
}
