//! The datagram: its layout, how it is written into the caller's buffer and read by borrowing from it.
//!
//! Numbers are little-endian. `varint` is LEB128 of at most 32 bits, as in postcard; addresses are in postcard.
//!
//! ```text
//! datagram   0      1        3       7           15      18            ..
//!            +------+--------+-------+-----------+-------+-------------+--------+--------+--
//!            | form | cluster| check | sender id | tag   | incarnation | frame  | frame  | ..
//!            +------+--------+-------+-----------+-------+-------------+--------+--------+--
//!            1      2        4       8           3       varint
//!
//! form       bits 0-3  wire version, 1
//!            bit 4     OPEN: for whoever is at this address; the check value is seeded with tag 0
//!            bit 5     FULL: the sender has refused members for want of room; do not compare tables with it
//!            bit 6     NEWCOMER: the sender has not yet been admitted by anybody
//!            bit 7     SEALED: reserved for an authenticated form with 28 bytes more; refused by this version
//! cluster    the low half of the cluster's 32-bit tag, so that foreign datagrams are told from corrupted ones
//! check      SipHash-1-3 of everything else, keyed with the cluster and seeded with the addressee's life
//! tag        stands for the sender's life
//!
//! frame      +------+--------+---- ..        an unknown kind is skipped and counted
//!            | kind | length | body
//!            +------+--------+---- ..
//!            1      varint   length
//!
//! record     +-------+----+------------+-------+-------------+---------+-------------------+-------------+
//!            | flags | id | generation | nonce | incarnation | address | length, extension | certificate |
//!            +-------+----+------------+-------+-------------+---------+-------------------+-------------+
//!            1       8    varint       4       varint        A         if flag 6 is set    if flag 7 is set
//!
//! flags      bits 0-1  alive 0, down 1, left 2        bits 2-5  patience
//!            bit 6     an extension follows, which this version skips: the place of topics and versions
//!            bit 7     a certificate follows: two juror ids 8 + 8, question 4
//! ```
//!
//! | kind | frame | body |
//! |---|---|---|
//! | 1 | ping | number 4, membership root 4, progress root 2 |
//! | 2 | ack | number 4, then both roots if the sender's differ |
//! | 3 | ask | question 4, target id 8, microseconds 4: probe it for me, and answer within that time |
//! | 4 | verdict | question 4, target id 8, word 1: silent 0, heard 1, too busy to probe it 2 |
//! | 5 | news | records |
//! | 6 | list | low 8, high 8, salt 4, short ids 4 of all the sender's records in that range of the id space, in order |
//! | 7 | diff | low 8, high 8, all records in that range which the list of the other side lacks |
//! | 8 | join | number 4, cookie 8, oldest and newest wire version 1 + 1, the sender's record |
//! | 9 | welcome | number 4, answer 1, cookie 8, the sender's record or the one that stands in the way |
//! | 10 | leave | number 4; behind news that the sender has left |
//! | 11 | leave ack | number 4 |
//! | 12 | introduce | cookie 8: I do not know you, join with this |
//! | 13 | claim | record: this is said of you, and I do not believe it while you answer |
//! | 14 | relay | number 4, low 4, high 4, records: pass these on to all between, in units of 2^32 of the id space |
//! | 15 | relay ack | number 4, passes it on 1 |
//! | 16 | sums | low 8, high 8, salt 4, sums 4 of as many equal parts of that range: a power of two, at most 32 |
//! | 17 | want | low 8, bits 8: which of the list that began there the sender lacks |
//! | 18 | records | records that were wanted |
//! | 19 | parts | low 8, high 8, logarithm of how many parts 1, bits 4: which of the sums of that range differ |
//!
//! The roots in pings and acks are mixed with the number, so that a collision does not last. A ping takes 31 bytes and
//! an ack 25 while the incarnation is below 128.

use crate::event::DropReason;
use crate::hash::{Sip, mix};
use crate::member::{Address, Certificate, Life, Liveness, NodeId, Record};

pub(crate) const VERSION: u8 = 1;
const OPEN: u8 = 1 << 4;
const FULL: u8 = 1 << 5;
const NEWCOMER: u8 = 1 << 6;
const SEALED: u8 = 1 << 7;
/// The tag of "whoever is at this address".
pub(crate) const ANYONE: u32 = 0;

/// The longest address, so that every frame with one record fits the smallest datagram.
pub(crate) const MAX_ADDR: usize = 31;
/// The most bytes before the records of a relay, the head included.
pub(crate) const MOST_BEFORE_RECORDS: usize = 23 + 4 + 12;
const HEAD_BEFORE_CHECK: usize = 3;
const HEAD_WITH_CHECK: usize = 7;

pub(crate) mod kind {
    pub(crate) const PING: u8 = 1;
    pub(crate) const ACK: u8 = 2;
    pub(crate) const ASK: u8 = 3;
    pub(crate) const VERDICT: u8 = 4;
    pub(crate) const NEWS: u8 = 5;
    pub(crate) const LIST: u8 = 6;
    pub(crate) const DIFF: u8 = 7;
    pub(crate) const JOIN: u8 = 8;
    pub(crate) const WELCOME: u8 = 9;
    pub(crate) const LEAVE: u8 = 10;
    pub(crate) const LEAVE_ACK: u8 = 11;
    pub(crate) const INTRODUCE: u8 = 12;
    pub(crate) const CLAIM: u8 = 13;
    pub(crate) const RELAY: u8 = 14;
    pub(crate) const RELAY_ACK: u8 = 15;
    pub(crate) const SUMS: u8 = 16;
    pub(crate) const WANT: u8 = 17;
    pub(crate) const RECORDS: u8 = 18;
    pub(crate) const PARTS: u8 = 19;
}

/// The most bytes that a record takes, with its certificate.
pub(crate) const fn most_of_record<A: Address>() -> usize {
    1 + 8 + 5 + 4 + 5 + A::MAX_LEN + 20
}

/// Both roots, mixed with the number of the ping that they ride in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Roots {
    pub(crate) membership: u32,
    pub(crate) progress: u16,
}

impl Roots {
    pub(crate) fn of(membership: u64, progress: u64, number: u32) -> Self {
        let salt = u64::from(number) << 32;
        Roots { membership: (mix(membership ^ salt) >> 32) as u32, progress: (mix(progress ^ !salt) >> 48) as u16 }
    }
}

/// A range cut into equal parts, and which of them are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Parts {
    pub(crate) low: u64,
    pub(crate) high: u64,
    /// How many parts there are, as a logarithm.
    pub(crate) log: u8,
    pub(crate) meant: u32,
}

/// What a juror says of the member that it was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    Silent,
    Heard,
    /// It has too many others to probe.
    Busy,
}

/// What a seed says to a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// Say it again with this cookie, so that the address is known to be yours.
    Prove(u64),
    /// You are a member.
    Admitted,
    /// No room.
    Full,
    /// Another record of your id stands in the way, of another life or later than yours: it follows.
    Taken,
    /// That other life has been asked since, and has answered.
    Lives,
}

/// The first bytes of every datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sender: NodeId,
    pub(crate) tag: u32,
    pub(crate) incarnation: u32,
    /// Not seeded with this node's life: anyone could have sent it, meant for anyone.
    pub(crate) open: bool,
    pub(crate) full: bool,
    pub(crate) newcomer: bool,
}

/// A frame, borrowing from its datagram.
#[derive(Debug)]
pub(crate) enum Frame<'d> {
    Ping { number: u32, roots: Roots },
    Ack { number: u32, roots: Option<Roots> },
    Ask { question: u32, target: NodeId, within: u64 },
    Verdict { question: u32, target: NodeId, word: Word },
    News(Reader<'d>),
    List { low: u64, high: u64, salt: u32, shorts: Reader<'d> },
    Diff { low: u64, high: u64, records: Reader<'d> },
    Join { number: u32, cookie: u64, speaks: bool, record: Reader<'d> },
    Welcome { number: u32, answer: Answer, record: Reader<'d> },
    Leave { number: u32 },
    LeaveAck { number: u32 },
    Introduce { cookie: u64 },
    Claim(Reader<'d>),
    Relay { number: u32, low: u32, high: u32, records: Reader<'d> },
    RelayAck { number: u32, passes_on: bool },
    Sums { low: u64, high: u64, salt: u32, sums: Reader<'d> },
    Want { low: u64, wanted: u64 },
    Records(Reader<'d>),
    Parts(Parts),
}

/// Reads fields off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'d> {
    bytes: &'d [u8],
}

impl<'d> Reader<'d> {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn id(&mut self) -> Option<NodeId> {
        self.u64().map(NodeId::new)
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            let bits = u32::from(byte & 0x7f);
            // The fifth byte has room for four bits only.
            if shift == 28 && bits > 0xf {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn roots(&mut self) -> Option<Roots> {
        Some(Roots { membership: self.u32()?, progress: self.u16()? })
    }

    /// The next record; `None` if what is left is none.
    pub(crate) fn record<A: Address>(&mut self) -> Option<Record<A>> {
        self.certified().map(|(record, _)| record)
    }

    /// The next record, and what it rests on if it is a verdict that says so.
    pub(crate) fn certified<A: Address>(&mut self) -> Option<(Record<A>, Option<Certificate>)> {
        let flags = self.u8()?;
        let id = self.id()?;
        let generation = self.varint()?;
        let life = Life { generation, nonce: self.u32()? };
        let incarnation = self.varint()?;
        let (addr, rest) = postcard::take_from_bytes::<A>(self.bytes).ok()?;
        self.bytes = rest;
        if flags & 1 << 6 != 0 {
            let extension = self.varint()?;
            self.take(extension as usize)?;
        }
        let certificate = if flags & 1 << 7 != 0 {
            let jurors = [self.id()?, self.id()?];
            Some(Certificate { jurors, question: self.u32()? })
        } else {
            None
        };
        let liveness = match flags & 3 {
            0 => Liveness::Alive,
            1 => Liveness::Down,
            2 => Liveness::Left,
            _ => return None,
        };
        Some((Record { id, life, incarnation, liveness, addr, patience: flags >> 2 & 0xf }, certificate))
    }

    /// The next frame: its kind and its body.
    pub(crate) fn frame(&mut self) -> Result<(u8, Reader<'d>), DropReason> {
        let frame = |reader: &mut Self| {
            let kind = reader.u8()?;
            let len = reader.varint()?;
            Some((kind, Reader { bytes: reader.take(len as usize)? }))
        };
        frame(self).ok_or(DropReason::Truncated)
    }
}

/// Makes sense of a frame's body.
pub(crate) fn decode(kind: u8, body: Reader<'_>) -> Result<Frame<'_>, DropReason> {
    if !(kind::PING..=kind::PARTS).contains(&kind) {
        return Err(DropReason::UnknownFrame);
    }
    decode_known(kind, body).ok_or(DropReason::Malformed)
}

fn decode_known(kind: u8, mut body: Reader<'_>) -> Option<Frame<'_>> {
    Some(match kind {
        kind::PING => Frame::Ping { number: body.u32()?, roots: body.roots()? },
        kind::ACK => {
            let number = body.u32()?;
            Frame::Ack { number, roots: if body.is_empty() { None } else { Some(body.roots()?) } }
        }
        kind::ASK => {
            let (question, target) = (body.u32()?, body.id()?);
            Frame::Ask { question, target, within: u64::from(body.u32()?) }
        }
        kind::VERDICT => {
            let (question, target) = (body.u32()?, body.id()?);
            let word = match body.u8()? {
                0 => Word::Silent,
                1 => Word::Heard,
                2 => Word::Busy,
                _ => return None,
            };
            Frame::Verdict { question, target, word }
        }
        kind::NEWS => Frame::News(body),
        kind::LIST | kind::DIFF | kind::SUMS | kind::PARTS => {
            let (low, high) = (body.u64()?, body.u64()?);
            if low > high {
                return None;
            }
            match kind {
                kind::LIST => Frame::List { low, high, salt: body.u32()?, shorts: body },
                kind::SUMS => Frame::Sums { low, high, salt: body.u32()?, sums: body },
                kind::PARTS => Frame::Parts(Parts { low, high, log: body.u8()?, meant: body.u32()? }),
                _ => Frame::Diff { low, high, records: body },
            }
        }
        kind::WANT => Frame::Want { low: body.u64()?, wanted: body.u64()? },
        kind::RECORDS => Frame::Records(body),
        kind::JOIN => {
            let (number, cookie) = (body.u32()?, body.u64()?);
            let speaks = (body.u8()?..=body.u8()?).contains(&VERSION);
            Frame::Join { number, cookie, speaks, record: body }
        }
        kind::WELCOME => {
            let (number, answer, cookie) = (body.u32()?, body.u8()?, body.u64()?);
            let answer = match answer {
                0 => Answer::Prove(cookie),
                1 => Answer::Admitted,
                2 => Answer::Full,
                3 => Answer::Taken,
                4 => Answer::Lives,
                _ => return None,
            };
            Frame::Welcome { number, answer, record: body }
        }
        kind::LEAVE => Frame::Leave { number: body.u32()? },
        kind::LEAVE_ACK => Frame::LeaveAck { number: body.u32()? },
        kind::INTRODUCE => Frame::Introduce { cookie: body.u64()? },
        kind::CLAIM => Frame::Claim(body),
        kind::RELAY => {
            let (number, low, high) = (body.u32()?, body.u32()?, body.u32()?);
            if low > high {
                return None;
            }
            Frame::Relay { number, low, high, records: body }
        }
        kind::RELAY_ACK => Frame::RelayAck { number: body.u32()?, passes_on: body.bool()? },
        _ => return None,
    })
}

/// What a datagram is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal {
    pub(crate) cluster: u64,
    /// The addressee's life, or [`ANYONE`].
    pub(crate) addressee: u32,
}

impl Seal {
    fn check(self, before: [u8; HEAD_BEFORE_CHECK], after: &[u8]) -> [u8; 4] {
        let [form, low, high] = before;
        let front = u64::from(u32::from_le_bytes([form, low, high, 0])) << 24 | u64::from(self.addressee);
        (Sip::new(self.cluster, front).bytes(after).finish() as u32).to_le_bytes()
    }

    fn cluster_tag(self) -> [u8; 2] {
        (mix(self.cluster) as u16).to_le_bytes()
    }
}

/// Checks a datagram's head for a node of this life and gives the frames behind it.
pub(crate) fn open(datagram: &[u8], seal: Seal) -> Result<(Head, Reader<'_>), DropReason> {
    let mut head = Reader { bytes: datagram };
    let before: [u8; HEAD_BEFORE_CHECK] = head.array().ok_or(DropReason::Truncated)?;
    let [form, low, high] = before;
    if form & 0xf != VERSION {
        return Err(DropReason::WireVersion);
    }
    if [low, high] != seal.cluster_tag() {
        return Err(DropReason::OtherCluster);
    }
    if form & SEALED != 0 {
        return Err(DropReason::Sealed);
    }
    let check: [u8; 4] = head.array().ok_or(DropReason::Truncated)?;
    let open = form & OPEN != 0;
    let seal = if open { Seal { addressee: ANYONE, ..seal } } else { seal };
    if seal.check(before, head.bytes) != check {
        return Err(DropReason::Check);
    }
    let mut fields = || Some((head.id()?, head.u24()?, head.varint()?));
    let (sender, tag, incarnation) = fields().ok_or(DropReason::Truncated)?;
    Ok((Head { sender, tag, incarnation, open, full: form & FULL != 0, newcomer: form & NEWCOMER != 0 }, head))
}

/// Writes one datagram into a buffer. Every method gives `None` if it does not fit; after a [`frame`](Self::frame) or a
/// [`record`](Self::record) that did not, the datagram is as before the call.
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
}

/// An unfinished frame.
pub(crate) struct Open {
    start: usize,
    body: usize,
}

impl<'b> Writer<'b> {
    /// Begins a datagram; [`finish`](Self::finish) seals it.
    pub(crate) fn new(buf: &'b mut [u8], seal: Seal, head: Head) -> Option<Self> {
        let mut writer = Writer { buf, len: 0 };
        let open = if head.open { OPEN } else { 0 };
        let full = if head.full { FULL } else { 0 };
        let newcomer = if head.newcomer { NEWCOMER } else { 0 };
        writer.put(&[VERSION | open | full | newcomer])?;
        writer.put(&seal.cluster_tag())?;
        writer.put(&[0; 4])?;
        writer.id(head.sender)?;
        writer.u24(head.tag)?;
        writer.varint(head.incarnation)?;
        Some(writer)
    }

    /// How many bytes it has so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many more fit.
    pub(crate) fn room(&self) -> usize {
        self.buf.len().saturating_sub(self.len)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.buf.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    pub(crate) fn u8(&mut self, value: u8) -> Option<()> {
        self.put(&[value])
    }

    fn u24(&mut self, value: u32) -> Option<()> {
        let [a, b, c, _] = value.to_le_bytes();
        self.put(&[a, b, c])
    }

    /// A time of at most 71 minutes; a longer one counts as that.
    pub(crate) fn time(&mut self, micros: u64) -> Option<()> {
        self.u32(micros.min(u64::from(u32::MAX)) as u32)
    }

    pub(crate) fn u32(&mut self, value: u32) -> Option<()> {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> Option<()> {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn id(&mut self, id: NodeId) -> Option<()> {
        self.u64(id.get())
    }

    fn varint(&mut self, mut value: u32) -> Option<()> {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80)?;
            value >>= 7;
        }
        self.u8(value as u8)
    }

    pub(crate) fn roots(&mut self, roots: Roots) -> Option<()> {
        self.u32(roots.membership)?;
        self.put(&roots.progress.to_le_bytes())
    }

    /// Adds a record, or nothing.
    pub(crate) fn record<A: Address>(&mut self, record: &Record<A>) -> Option<()> {
        self.certified(record, None)
    }

    /// Adds a record and what it rests on, or nothing.
    pub(crate) fn certified<A: Address>(
        &mut self,
        record: &Record<A>,
        certificate: Option<&Certificate>,
    ) -> Option<()> {
        let start = self.len;
        let done = self.try_record(record, certificate);
        if done.is_none() {
            self.len = start;
        }
        done
    }

    fn try_record<A: Address>(&mut self, record: &Record<A>, certificate: Option<&Certificate>) -> Option<()> {
        let liveness = match record.liveness {
            Liveness::Alive => 0,
            Liveness::Down => 1,
            Liveness::Left => 2,
        };
        let certified = u8::from(certificate.is_some()) << 7;
        self.u8(liveness | (record.patience & 0xf) << 2 | certified)?;
        self.id(record.id)?;
        self.varint(record.life.generation)?;
        self.u32(record.life.nonce)?;
        self.varint(record.incarnation)?;
        let written = postcard::to_slice(&record.addr, self.buf.get_mut(self.len..)?).ok()?.len();
        self.len = self.len.checked_add(written)?;
        let Some(Certificate { jurors: [first, second], question }) = certificate else { return Some(()) };
        self.id(*first)?;
        self.id(*second)?;
        self.u32(*question)
    }

    /// Adds a whole frame with a body of at most 127 bytes, or nothing.
    pub(crate) fn frame(&mut self, kind: u8, body: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let open = self.begin_with(&[kind, 0])?;
        let done = body(self).filter(|()| self.len - open.body < 0x80);
        if done.is_some() { self.end(open) } else { self.cancel(open) }
    }

    /// Begins a list whose length is not yet known, and which may fill the buffer: its length takes as many bytes as
    /// that could need.
    pub(crate) fn begin(&mut self, kind: u8) -> Option<Open> {
        match self.buf.len().saturating_sub(self.len) {
            0..=129 => self.begin_with(&[kind, 0]),
            130..=16_386 => self.begin_with(&[kind, 0x80, 0]),
            _ => self.begin_with(&[kind, 0x80, 0x80, 0]),
        }
    }

    fn begin_with(&mut self, kind_and_holes: &[u8]) -> Option<Open> {
        let start = self.len;
        self.put(kind_and_holes)?;
        Some(Open { start, body: self.len })
    }

    /// Gives up a frame. Always `None`, for the caller to return.
    pub(crate) fn cancel(&mut self, open: Open) -> Option<()> {
        self.len = open.start;
        None
    }

    /// Fills in a frame's length.
    pub(crate) fn end(&mut self, open: Open) -> Option<()> {
        let len = self.len.checked_sub(open.body)?;
        // Padded: each byte but the last keeps its continuation bit, whatever the length turns out to be.
        for (place, hole) in self.buf.get_mut(open.start + 1..open.body)?.iter_mut().enumerate() {
            *hole |= (len >> (7 * place)) as u8 & 0x7f;
        }
        Some(())
    }

    /// Fills in the check value; the length of the datagram.
    pub(crate) fn finish(self, seal: Seal) -> Option<usize> {
        let datagram = self.buf.get_mut(..self.len)?;
        let (before, rest) = datagram.split_first_chunk_mut::<HEAD_BEFORE_CHECK>()?;
        let (check, after) = rest.split_first_chunk_mut::<{ HEAD_WITH_CHECK - HEAD_BEFORE_CHECK }>()?;
        *check = seal.check(*before, after);
        Some(self.len)
    }
}

/// A number to be filled in when it is known.
pub(crate) struct Hole(usize);

impl Writer<'_> {
    pub(crate) fn hole(&mut self) -> Option<Hole> {
        let at = self.len;
        self.u64(0)?;
        Some(Hole(at))
    }

    pub(crate) fn fill(&mut self, hole: Hole, value: u64) -> Option<()> {
        let end = hole.0.checked_add(8)?;
        self.buf.get_mut(hole.0..end)?.copy_from_slice(&value.to_le_bytes());
        Some(())
    }
}
