//! Members that a liar has made up and for which it answers.

use std::vec::Vec;

use super::{FORGED, Forger, HostAddress};
use crate::member::{Life, Liveness, NodeId, Record};
use crate::wire::{self, ANYONE, Answer, Frame, Head, Seal, VERSION, kind};

/// The addresses from this number on are a liar's own: what is sent there it hears.
pub(super) const LAIRS: u32 = 61_000;
/// How many it has.
pub(super) const MOST_LAIRS: u32 = 8;
/// How many members it plays at most.
const MOST_PUPPETS: usize = 48;

#[derive(Clone, Copy, Debug)]
pub(super) struct Puppet<A> {
    /// The number of its address.
    pub(super) place: u32,
    pub(super) record: Record<A>,
    /// It answers pings; else it only proves its address.
    pub(super) answers: bool,
}

/// The latest of them.
#[derive(Debug)]
pub(super) struct Puppets<A> {
    all: Vec<Puppet<A>>,
    made: u64,
    /// The joins with which some have proved their addresses: to whom, from which place, and what was said.
    joins: Vec<(NodeId, u32, Vec<u8>)>,
}

impl<A: HostAddress> Puppets<A> {
    pub(super) fn none() -> Self {
        Puppets { all: Vec::new(), made: 0, joins: Vec::new() }
    }

    /// A new one, under this id or one that nobody has.
    pub(super) fn make(&mut self, id: Option<NodeId>, life: Life, answers: bool) -> Puppet<A> {
        self.made += 1;
        let place = LAIRS + (self.made % u64::from(MOST_LAIRS)) as u32;
        let record = Record {
            id: id.unwrap_or(NodeId::new(4_000_000 + self.made)),
            life,
            incarnation: 0,
            liveness: Liveness::Alive,
            addr: A::of_host(place),
            patience: 0,
            topics: 0,
        };
        let puppet = Puppet { place, record, answers };
        // The oldest make room.
        self.all.retain(|held| held.record.id != record.id || held.record.life != life);
        let surplus = (self.all.len() + 1).saturating_sub(MOST_PUPPETS);
        self.all.drain(..surplus);
        self.all.push(puppet);
        puppet
    }

    pub(super) fn newcomer(&mut self, answers: bool) -> Puppet<A> {
        self.make(None, Life { generation: 0, nonce: FORGED }, answers)
    }

    /// What those at this place say to a datagram from the node of this record.
    pub(super) fn answer(&mut self, cluster: u64, place: u32, from: &Record<A>, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        for puppet in self.all.iter().filter(|puppet| puppet.place == place) {
            let seal = Seal { cluster, addressee: puppet.record.tag() };
            let Ok((_, mut frames)) = wire::open(datagram, seal) else { continue };
            while let Ok((kind, body)) = frames.frame() {
                match wire::decode(kind, body) {
                    Ok(Frame::Ping { number, .. }) if puppet.answers => said.push(puppet.ack(cluster, from, number)),
                    Ok(Frame::Welcome { number, answer: Answer::Prove(cookie), .. }) => {
                        let join = puppet.join(cluster, number, cookie);
                        self.joins.push((from.id, place, join.clone()));
                        said.push(join);
                    }
                    _ => {}
                }
            }
        }
        said
    }

    /// From where, and with which datagram, one of them was last admitted by this member.
    pub(super) fn last_join(&self, by: NodeId) -> Option<(u32, Vec<u8>)> {
        let join = self.joins.iter().rev().find(|(seed, ..)| *seed == by);
        join.map(|(_, place, bytes)| (*place, bytes.clone()))
    }
}

impl<A: HostAddress> Puppet<A> {
    fn head(&self, open: bool) -> Head {
        let Record { id, incarnation, .. } = self.record;
        Head { sender: id, tag: self.record.tag(), incarnation, open, full: false, newcomer: open }
    }

    /// It lives, it says.
    fn ack(&self, cluster: u64, to: &Record<A>, number: u32) -> Vec<u8> {
        // To one whose id it has taken: others hold it, it says.
        let head = Head { full: self.record.id == to.id, ..self.head(false) };
        let forger = Forger { seal: Seal { cluster, addressee: to.tag() }, head };
        forger.write(|writer| writer.frame(kind::ACK, |body| body.u32(number)))
    }

    /// It would like to be a member.
    pub(super) fn join(&self, cluster: u64, number: u32, cookie: u64) -> Vec<u8> {
        let forger = Forger { seal: Seal { cluster, addressee: ANYONE }, head: self.head(true) };
        forger.write(|writer| {
            let frame = writer.begin(kind::JOIN)?;
            writer.u32(number).and(writer.u64(cookie))?;
            writer.u8(VERSION).and(writer.u8(VERSION))?;
            writer.record(&self.record)?;
            writer.end(frame)
        })
    }
}
