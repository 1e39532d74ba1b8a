//! What a datagram says, as its addressee would read it: by `src/wire/` itself.

use crate::account::Account;
use crate::codec::{self, Frame, Reader, Seal, Word};
use crate::config::CLUSTER;
use crate::member::{NodeId, Record};

/// What matters of a datagram here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The number of the sender's id.
    pub sender: u64,
    /// Every record in it, in whatever frame, and the ids of the jurors by whom it is certified.
    pub records: Vec<(u64, Account, Option<[u64; 2]>)>,
    /// Questions to a juror: their number, and about whom.
    pub asks: Vec<(u32, u64)>,
    /// A juror's answers: the question's number, about whom, and whether it has heard that member.
    pub verdicts: Vec<(u32, u64, bool)>,
    /// The kinds of its frames, in words.
    pub kinds: Vec<&'static str>,
}

/// Reads a datagram as the life with this tag does; `None` if that life refuses it.
pub fn read(datagram: &[u8], tag: u32) -> Option<Reading> {
    let cluster = crate::hash::name(0x636c, CLUSTER);
    let (head, mut frames) = codec::open(datagram, Seal { cluster, addressee: tag }).ok()?;
    let mut reading = Reading { sender: head.sender.get(), ..Reading::default() };
    while !frames.is_empty() {
        let Ok((kind, body)) = frames.frame() else { break };
        if let Ok(frame) = codec::decode(kind, body) {
            reading.add(frame);
        }
    }
    Some(reading)
}

/// The tag of the life that an account is of.
pub fn tag(id: u64, account: Account) -> u32 {
    let (generation, nonce) = account.life;
    crate::member::Life { generation, nonce }.tag(NodeId::new(id))
}

impl Reading {
    fn add(&mut self, frame: Frame<'_>) {
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
            Frame::News(records) => self.add_records(records, "news"),
            Frame::Relay { records, .. } => self.add_records(records, "relay"),
            Frame::RelayAck { .. } => "relay-ack",
            Frame::Records(records) => self.add_records(records, "records"),
            Frame::Diff { records, .. } => self.add_records(records, "diff"),
            Frame::Join { record, .. } => self.add_records(record, "join"),
            Frame::Welcome { record, .. } => self.add_records(record, "welcome"),
            Frame::Claim(record) => self.add_records(record, "claim"),
            _ => "other",
        };
        self.kinds.push(kind);
    }

    fn add_records(&mut self, mut records: Reader<'_>, kind: &'static str) -> &'static str {
        while let Some(told) = records.told::<u16>() {
            let jurors = told.certificate.map(|certificate| certificate.jurors.map(|juror| juror.get()));
            self.records.push((told.record.id.get(), account_of(&told.record), jurors));
        }
        kind
    }
}

fn account_of(record: &Record<u16>) -> Account {
    Account {
        life: (record.life.generation, record.life.nonce),
        incarnation: record.incarnation,
        end: record.liveness.into(),
    }
}
