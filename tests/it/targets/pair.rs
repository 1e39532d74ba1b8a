//! One node that runs twice, on `Fixed` and on `Heap` with equal limits and seeds: the two must never differ (law 6).
//! And all that must hold of a node when nothing is left to poll.

use std::collections::{BTreeMap, BTreeSet};

use tidings::{
    Config, DropReason, FixedNode, Heap, Instant, JoinError, Limits, MAX_SEEDS, Member, Narrow, Node, NodeId, Phase,
    Status, Storage, rand_core,
};

use super::forge;

/// So few that members whom a hostile peer invents soon fill the table.
pub const MEMBERS: usize = 8;
/// For messages, and as many for maps: what a `FixedNode` has unless it is told otherwise.
pub const BYTES: usize = 1_024;
/// More datagrams than any one call can make a node send. Every queue behind them has a fixed size (law 5).
const BURST: usize = 128;

#[derive(Clone)]
pub struct Datagram {
    pub from: u16,
    pub to: u16,
    pub bytes: Vec<u8>,
}

/// Calls the same on both of a pair; both must answer the same.
macro_rules! both {
    ($pair:expr, $node:ident => $call:expr) => {{
        let $node = &mut $pair.fixed;
        let fixed = $call;
        let $node = &mut $pair.heap;
        let heap = $call;
        assert_eq!(fixed, heap, "law 6: Fixed and Heap of equal limits answer the same");
        fixed
    }};
}

/// One node on both storages, and what an application would know that reads its events.
#[derive(Clone)]
pub struct Pair {
    pub fixed: FixedNode<MEMBERS, u16>,
    pub heap: Node<u16, Heap<Narrow>>,
    told: BTreeMap<NodeId, Member<u16>>,
    /// The caller's buffers are of any size now and then; what they are is drawn from this.
    pub cramped: Option<u64>,
}

impl Pair {
    pub fn new(config: Config) -> Self {
        let limits = Limits::DEFAULT.with_members(MEMBERS).with_broadcast_bytes(BYTES).with_state_bytes(BYTES);
        let heap = Node::<u16, Heap<Narrow>>::new(config, limits);
        Pair { fixed: FixedNode::new(config), heap, told: BTreeMap::new(), cramped: None }
    }

    pub fn start(&mut self, now: Instant, id: u64, addr: u16, seed: u64) {
        both!(self, node => node.start(now, NodeId::new(id), addr, &mut Seeded(seed)).unwrap());
        // A new life knows nobody, and does not speak of those whom the last one knew.
        self.told.clear();
    }

    pub fn join(&mut self, now: Instant, seed: u16) {
        let before = self.fixed.seeds().count() + usize::from(!self.fixed.seeds().any(|kept| kept == seed));
        let runs = !matches!(self.fixed.phase(), Phase::Idle | Phase::Left);
        let joined = both!(self, node => node.join(now, seed));
        if runs && self.fixed.addr() == Some(seed) {
            return assert_eq!(joined, Err(JoinError::Myself));
        }
        assert_eq!(joined, Ok(()), "there is always a place for a seed");
        let kept: BTreeSet<u16> = self.fixed.seeds().collect();
        assert!(kept.contains(&seed) && kept.len() == before.min(MAX_SEEDS), "{seed} is one of {kept:?}");
    }

    /// Polls everything out of the pair and checks all that must hold when nothing is left to poll.
    pub fn drain(&mut self) -> Vec<Datagram> {
        let sent = self.transmit();
        self.read_events();
        let (fixed, heap) = (self.fixed.clone(), self.heap.clone());
        assert!(self.transmit().is_empty(), "a drained node has nothing to send");
        self.read_events();
        assert!(fixed == self.fixed && heap == self.heap, "law 1: polling with nothing to do changes nothing");
        self.check();
        self.check_answers();
        sent
    }

    fn transmit(&mut self) -> Vec<Datagram> {
        let mut sent = Vec::new();
        let refused = |pair: &Self| pair.fixed.stats().dropped(DropReason::SmallBuffer);
        loop {
            let most = self.fixed.config().max_datagram();
            let room = self.cramped.map_or(most, |_| self.any_room(most));
            let mut datagram = self.poll_transmit(room);
            if datagram.is_none() && room < most {
                let before = refused(self);
                datagram = self.poll_transmit(most);
                assert_eq!(before, refused(self), "a buffer of max_datagram bytes always suffices");
            }
            match datagram {
                Some(datagram) => sent.push(datagram),
                None => return sent,
            }
            assert!(sent.len() <= BURST, "law 5: what one call makes a node send is bounded");
        }
    }

    /// The size of the next buffer: from 0 up, and most often one that holds something.
    fn any_room(&mut self, most: usize) -> usize {
        let drawn = forge::mix(self.cramped.unwrap_or(0).wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.cramped = Some(drawn);
        let room = drawn as usize % (most + 1);
        if drawn >> 62 == 0 { room } else { room.min(20 + drawn as usize % 130) }
    }

    /// Whatever a node has been through, it answers a ping, even from one that it has never heard of. With a byte budget
    /// the answer may have to wait.
    fn check_answers(&self) {
        let mut node = self.fixed.clone();
        let runs = matches!(node.phase(), Phase::Joining | Phase::Member | Phase::Isolated | Phase::Leaving);
        if !runs || node.config().byte_budget() != 0 {
            return;
        }
        let stranger = forge::Sender { id: u64::MAX - 7, generation: 0, nonce: 1, incarnation: 0 };
        let (number, cluster) = (0x5ca1_ab1e_u32, forge::cluster("fuzz"));
        let mut ping = forge::datagram(cluster, forge::VERSION, self.tag(), stranger, &[forge::ping(number, [0; 6])]);
        node.handle_datagram(self.fixed.now(), 0xfff0, &mut ping);
        let mut buf = vec![0; node.config().max_datagram()];
        let (mut count, mut answered) = (0, false);
        while let Some(transmit) = node.poll_transmit(&mut buf) {
            answered |= transmit.to == 0xfff0 && transmit.payload.windows(4).any(|bytes| bytes == number.to_le_bytes());
            count += 1;
            assert!(count <= BURST, "polling ends");
        }
        assert!(answered, "a ping is answered, in {:?}", node.phase());
    }

    /// Polls one datagram into a buffer of this many bytes.
    pub fn poll_transmit(&mut self, room: usize) -> Option<Datagram> {
        let most = self.fixed.config().max_datagram();
        // What is in the buffers, and how much more they hold than is needed, must not matter.
        let more = if room < most { 0 } else { most };
        let (mut one, mut other) = (vec![0xaa; room], vec![0x55; room + more]);
        let (fixed, heap) = (self.fixed.poll_transmit(&mut one), self.heap.poll_transmit(&mut other));
        assert_eq!(fixed, heap, "law 6: Fixed and Heap of equal limits send the same bytes");
        let datagram = fixed?;
        assert!(datagram.payload.len() <= most, "law 5: no datagram is longer than max_datagram");
        let from = self.fixed.addr().expect("only a started node sends");
        Some(Datagram { from, to: datagram.to, bytes: datagram.payload.to_vec() })
    }

    fn read_events(&mut self) {
        while self.poll_event() {}
    }

    /// Polls one event; whether there was one.
    pub fn poll_event(&mut self) -> bool {
        let (fixed, heap) = (self.fixed.poll_event(), self.heap.poll_event());
        assert_eq!(fixed, heap, "law 6: Fixed and Heap of equal limits tell the same");
        self.told.extend(fixed.and_then(|event| event.member()).map(|member| (member.id(), member)));
        fixed.is_some()
    }

    fn check(&mut self) {
        self.compare();
        let members: Vec<_> = self.fixed.members().collect();
        for member in members.iter().filter(|member| member.id() != self.fixed.id()) {
            self.check_told(member);
        }
    }

    /// Looks at everything that both have to show. Holds at any time, whatever is still to be polled.
    pub fn compare(&mut self) {
        both!(self, node => (node.now(), node.poll_timeout(), node.wake_reason()));
        both!(self, node => (node.phase(), node.id(), node.addr(), node.live(), node.fingerprint()));
        let _ = both!(self, node => (*node.config(), node.stats().clone()));
        let members = both!(self, node => table(node));
        let alive = matches!(self.fixed.phase(), Phase::Joining | Phase::Member | Phase::Isolated);
        let myself = members.iter().find(|member| member.id() == self.fixed.id());
        assert!(!alive || myself.is_some_and(|me| me.status() == Status::Alive), "a running node holds itself alive");
    }

    /// The tag of the node's life, which its datagrams are sealed for; 0 before `start`.
    pub fn tag(&self) -> u32 {
        self.fixed.member(self.fixed.id()).map_or(0, |myself| tag_of(&myself))
    }

    /// What the application was told of a member is what the table holds (law 4).
    fn check_told(&self, member: &Member<u16>) {
        let told = self.told.get(&member.id());
        match member.status() {
            Status::Alive | Status::Suspect => {
                let told = told.expect("law 4: a living member was announced");
                let same = (told.status(), told.life(), told.addr()) == (member.status(), member.life(), member.addr());
                assert!(same, "law 4: told {told:?}, held {member:?}");
            }
            _ => {
                let gone = told.is_none_or(|told| matches!(told.status(), Status::Down | Status::Left));
                assert!(gone, "law 4: told {told:?}, held {member:?}");
            }
        }
    }
}

/// The tag that stands for a member's life.
pub fn tag_of(member: &Member<u16>) -> u32 {
    forge::tag(member.id().get(), member.life().generation(), member.life().nonce())
}

/// A node's table, after checking it against what the node says of it elsewhere.
fn table<S: Storage>(node: &Node<u16, S>) -> Vec<Member<u16>> {
    let members: Vec<_> = node.members().collect();
    assert!(members.len() <= MEMBERS, "law 5: the table keeps to its limit");
    let live = members.iter().filter(|member| matches!(member.status(), Status::Alive | Status::Suspect)).count();
    assert_eq!(live, node.live(), "the living are counted right");
    for (at, member) in members.iter().enumerate() {
        assert_eq!(node.member(member.id()), Some(*member), "a member is found by its id");
        assert!(members[..at].iter().all(|other| other.id() != member.id()), "an id stands in the table once");
    }
    members
}

/// The same seed gives the same numbers (SplitMix64).
struct Seeded(u64);

impl rand_core::TryRng for Seeded {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Ok(forge::mix(self.0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            *byte = self.try_next_u64()? as u8;
        }
        Ok(())
    }
}
