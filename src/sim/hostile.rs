//! A peer that lies: it knows the cluster's name and whatever it overhears, and speaks as whom it likes.

use std::vec::Vec;

use super::machine::HostAddress;
use crate::member::{Life, Liveness, NodeId, Record};
use crate::node::Node;
use crate::storage::Storage;
use crate::wire::{Head, Seal, Writer, kind};

/// Writes datagrams that a node takes for a member's: the head and the check value are right, the news is a lie.
///
/// Inject what it gives with [`Sim::inject`](super::Sim::inject).
#[derive(Clone, Copy, Debug)]
pub struct Forger {
    seal: Seal,
    head: Head,
}

impl Forger {
    /// Speaks to `victim` as the node `mask`; `None` if either is not started.
    pub fn new<A: HostAddress, S: Storage>(victim: &Node<A, S>, mask: &Node<A, S>) -> Option<Self> {
        let addressee = victim.own_record()?.tag();
        let mask = mask.own_record()?;
        let head = Head { sender: mask.id, tag: mask.tag(), incarnation: mask.incarnation, open: false, full: false };
        Some(Forger { seal: Seal { cluster: victim.config().cluster, addressee }, head })
    }

    /// A member is dead, it says, which may well live.
    pub fn accusation<A: HostAddress, S: Storage>(&self, accused: &Node<A, S>) -> Vec<u8> {
        accused.own_record().map_or(Vec::new(), |record| self.news(&[record.with(Liveness::Down)]))
    }

    /// Members that there are not, at addresses where nobody is.
    pub fn invention<A: HostAddress>(&self, ids: impl Iterator<Item = u64>) -> Vec<u8> {
        let invent = |id: u64| Record {
            id: NodeId::new(id),
            life: Life { generation: 0, nonce: id as u32 },
            incarnation: 0,
            liveness: Liveness::Alive,
            addr: A::of_host(50_000 + (id % 10_000) as u32),
            patience: 0,
        };
        self.news(&ids.map(invent).collect::<Vec<Record<A>>>())
    }

    fn news<A: HostAddress>(&self, records: &[Record<A>]) -> Vec<u8> {
        let mut buf = std::vec![0; 1_200];
        let written = Writer::new(&mut buf, self.seal, self.head).and_then(|mut writer| {
            let frame = writer.begin(kind::NEWS)?;
            // What does not fit is left out.
            records.iter().try_for_each(|record| writer.record(record));
            writer.end(frame)?;
            writer.finish(self.seal)
        });
        buf.truncate(written.unwrap_or(0));
        buf
    }
}
