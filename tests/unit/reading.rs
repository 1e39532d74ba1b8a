//! What a datagram says, in plain values, as its addressee would read it.

#![allow(unreachable_pub)]

use std::vec::Vec;

use crate::hash;
use crate::member::{Address, Life, Liveness, NodeId, Status};
use crate::wire::{self, Content, Frame, Reader, Seal, Word};

/// What matters of a datagram to those who look at it from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The sender's id.
    pub sender: u64,
    /// Every record in it, in whatever frame.
    pub records: Vec<Told>,
    /// Questions to a juror: their number, and about whom.
    pub asks: Vec<(u32, u64)>,
    /// A juror's answers: the question's number, about whom, and whether it has heard that member.
    pub verdicts: Vec<(u32, u64, bool)>,
    /// The kinds of its frames, in words.
    pub kinds: Vec<&'static str>,
}

/// A record in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of whom.
    pub id: u64,
    /// Generation and nonce.
    pub life: (u32, u32),
    /// Counted by its owner.
    pub incarnation: u32,
    /// Alive, down or left.
    pub status: Status,
    /// The ids of the jurors by whom it is certified.
    pub jurors: Option<[u64; 2]>,
}

/// Reads a datagram as the life with this tag in this cluster does; `None` if that life refuses it.
pub fn read<A: Address>(datagram: &[u8], cluster: &str, tag: u32) -> Option<Reading> {
    let cluster = hash::name(0x636c, cluster);
    let (head, mut frames) = wire::open(datagram, Seal { cluster, addressee: tag }).ok()?;
    let mut reading = Reading { sender: head.sender.get(), ..Reading::default() };
    while !frames.is_empty() {
        let Ok((kind, body)) = frames.frame() else { break };
        if let Ok(frame) = wire::decode(kind, body) {
            reading.add::<A>(frame);
        }
    }
    Some(reading)
}

/// The tag of the life with this generation and nonce.
pub fn tag(id: u64, (generation, nonce): (u32, u32)) -> u32 {
    Life { generation, nonce }.tag(NodeId::new(id))
}

impl Reading {
    fn add<A: Address>(&mut self, frame: Frame<'_>) {
        let kind = match frame {
            Frame::Ping { .. } => "ping",
            Frame::Ack { .. } => "ack",
            Frame::Ask { question, target, .. } => {
                self.asks.push((question, target.get()));
                "ask"
            }
            Frame::Verdict { word: Word::Busy, .. } => "busy",
            Frame::Verdict { question, target, word } => {
                self.verdicts.push((question, target.get(), word == Word::Heard));
                if word == Word::Heard { "heard" } else { "silent" }
            }
            Frame::News(records) => self.add_records::<A>(records, "news"),
            Frame::Hand { content: Content::Records(records), .. } => self.add_records::<A>(records, "hand"),
            Frame::HandAck { .. } => "hand-ack",
            Frame::Diff { records, .. } => self.add_records::<A>(records, "diff"),
            Frame::Join { record, .. } => self.add_records::<A>(record, "join"),
            Frame::Welcome { record, .. } => self.add_records::<A>(record, "welcome"),
            Frame::Claim(record) => self.add_records::<A>(record, "claim"),
            _ => "other",
        };
        self.kinds.push(kind);
    }

    fn add_records<A: Address>(&mut self, mut records: Reader<'_>, kind: &'static str) -> &'static str {
        while let Some(told) = records.told::<A>() {
            let record = told.record;
            self.records.push(Told {
                id: record.id.get(),
                life: (record.life.generation, record.life.nonce),
                incarnation: record.incarnation,
                status: match record.liveness {
                    Liveness::Alive => Status::Alive,
                    Liveness::Down => Status::Down,
                    Liveness::Left => Status::Left,
                },
                jurors: told.certificate.map(|certificate| certificate.jurors.map(NodeId::get)),
            });
        }
        kind
    }
}
