//! One node that runs twice, on `Fixed` and on `Heap` with equal limits and seeds: the two must never differ (law 6).
//! And all that must hold of a node when nothing is left to poll.

use std::collections::BTreeMap;

use tidings::{
    Config, DropReason, Event, FixedNode, HeapNode, Instant, Limits, Member, Node, NodeId, Phase, Status, Storage,
    rand_core,
};

use super::hash;

/// So few that members whom a hostile peer invents soon fill the table.
pub const MEMBERS: usize = 8;
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
pub struct Pair {
    pub fixed: FixedNode<MEMBERS, u16>,
    pub heap: HeapNode<u16>,
    told: BTreeMap<NodeId, Member<u16>>,
}

impl Pair {
    pub fn new(config: Config) -> Self {
        let heap = HeapNode::new(config, Limits::DEFAULT.with_members(MEMBERS));
        Pair { fixed: FixedNode::new(config), heap, told: BTreeMap::new() }
    }

    pub fn start(&mut self, now: Instant, id: u64, addr: u16, seed: u64) {
        both!(self, node => node.start(now, NodeId::new(id), addr, &mut Seeded(seed)));
        // A new life knows nobody, and does not speak of those whom the last one knew.
        self.told.clear();
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
        sent
    }

    fn transmit(&mut self) -> Vec<Datagram> {
        let mut sent = Vec::new();
        let most = self.fixed.config().max_datagram();
        // What is in the buffers, and how much more they hold than is needed, must not matter.
        let (mut one, mut other) = (vec![0xaa; most], vec![0x55; 2 * most]);
        loop {
            let before = self.fixed.stats().dropped(DropReason::SmallBuffer);
            let (fixed, heap) = (self.fixed.poll_transmit(&mut one), self.heap.poll_transmit(&mut other));
            assert_eq!(fixed, heap, "law 6: Fixed and Heap of equal limits send the same bytes");
            let Some(datagram) = fixed else {
                let after = self.fixed.stats().dropped(DropReason::SmallBuffer);
                assert_eq!(before, after, "a buffer of max_datagram bytes always suffices");
                return sent;
            };
            let from = self.fixed.addr().expect("only a started node sends");
            assert!(datagram.payload.len() <= most, "law 5: no datagram is longer than max_datagram");
            sent.push(Datagram { from, to: datagram.to, bytes: datagram.payload.to_vec() });
            assert!(sent.len() <= BURST, "law 5: what one call makes a node send is bounded");
        }
    }

    fn read_events(&mut self) {
        loop {
            let (fixed, heap) = (self.fixed.poll_event(), self.heap.poll_event());
            assert_eq!(fixed, heap, "law 6: Fixed and Heap of equal limits tell the same");
            match fixed {
                None => return,
                Some(
                    Event::MemberUp(member)
                    | Event::MemberSuspect(member)
                    | Event::MemberDown(member)
                    | Event::MemberLeft(member)
                    | Event::MemberMoved(member),
                ) => drop(self.told.insert(member.id(), member)),
                Some(_) => {}
            }
        }
    }

    fn check(&mut self) {
        both!(self, node => node.poll_timeout());
        both!(self, node => node.wake_reason());
        both!(self, node => node.stats().clone());
        both!(self, node => (node.phase(), node.id(), node.addr(), node.live(), node.fingerprint()));
        let members = both!(self, node => table(node));
        for member in members.iter().filter(|member| member.id() != self.fixed.id()) {
            self.check_told(member);
        }
        let alive = matches!(self.fixed.phase(), Phase::Joining | Phase::Member | Phase::Isolated);
        let myself = members.iter().find(|member| member.id() == self.fixed.id());
        assert!(!alive || myself.is_some_and(|me| me.status() == Status::Alive), "a running node holds itself alive");
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
            Status::Down | Status::Left => {
                let gone = told.is_none_or(|told| matches!(told.status(), Status::Down | Status::Left));
                assert!(gone, "law 4: told {told:?}, held {member:?}");
            }
        }
    }
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
        Ok(hash::mix(self.0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            *byte = self.try_next_u64()? as u8;
        }
        Ok(())
    }
}
