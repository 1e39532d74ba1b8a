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
//! form       bits 0-3  wire version, 2
//!            bit 4     OPEN: for whoever is at this address; the check value is seeded with tag 0
//!            bit 5     FULL: the sender has refused members for want of room; do not compare tables with it. To another
//!                       that has the sender's id: members whom the sender asked hold it to be that id
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
//!            bit 6     an extension follows: topics 4, and how far the sender has come with the member's broadcasts,
//!                       varint, if at all, 2^32 - 1 if it cannot say; what is behind those, this version skips
//!            bit 7     a certificate follows: two juror ids 8 + 8, question 4; if that is 0, it names twice who says so
//!                       without witnesses
//! ```
//!
//! | kind | frame | body |
//! |---|---|---|
//! | 1 | ping | number 4, membership root 4, root of positions 2 |
//! | 2 | ack | number 4, then both roots if the sender's differ |
//! | 3 | ask | question 4, target id 8, microseconds 4: probe it for me, and answer within that time; about the sender: do you hold me for gone? |
//! | 4 | verdict | question 4, target id 8, word 1: silent 0, heard 1, too busy to probe it 2 |
//! | 5 | news | records |
//! | 6 | list | low 8, high 8, salt 4, short ids 4 of all the sender's records in that range of the id space, in order |
//! | 7 | diff | low 8, high 8, how many bytes 1, bits: which of the list that began there the sender lacks; all records in that range which the list of the other side lacks. Where records answer what was wanted, low and high are the last place |
//! | 8 | join | number 4, cookie 8, oldest and newest wire version 1 + 1, the sender's record. In a visit to one of the dead bit 7 of the oldest version is set, and the id of that one is in place of the cookie until there is one: only who knows that id answers |
//! | 9 | welcome | number 4, answer 1, cookie 8, the sender's record or the one that stands in the way |
//! | 10 | leave | number 4; behind news that the sender has left |
//! | 11 | leave ack | number 4 |
//! | 12 | introduce | cookie 8: I do not know you, join with this |
//! | 13 | claim | record: this is said of you, and I do not believe it while you answer. Who does not say this in its life acknowledges the ping before it under the number whose lowest bit is another |
//! | 14 | hand | number 4, low 4, high 4, then by the two lowest bits of the number records, 24 at most (1), a piece (2) or a chunk (3): pass it on to all between, in units of 2^32 of the id space |
//! | 15 | hand ack | number 4, passes it on 1 (no 0, yes 1, it does not reach back to what is here 2), of a chunk the version that is here, varint |
//! | 16 | sums | of what 1 (records 0, positions 1), low 8, high 8, salt 4, sums 2 of as many equal parts of that range: a power of two, at most 16 |
//! | 17 | given | a chunk that was asked for |
//! | 18 | fetched | number 4: that is all for now |
//! | 19 | parts | low 8, high 8, logarithm of how many parts 1, bits 4: which of the sums of the records in that range differ |
//! | 20 | have | low 8, high 8, answer 1, positions, 48 at most: those of all in that range; the latest, if it is 0 to 0. Each is id 8, tag 3, three varints: how far the sender has come with that member's broadcasts, the bulk and the vital log |
//! | 21 | fetch | number 4, then id 8, tag 3, flags 1, and for both logs, bulk and vital: version varint; if its flag is set, of which value there are pieces, varint, and bits 8 for those: what the sender has of 16 maps at most |
//! | 22 | pull | number 4, origin 8, tag 3, first 4, bits 8: which broadcasts from there on the sender lacks |
//! | 23 | give | a piece that was pulled; in one datagram those of one origin, 16 at most |
//! | 24 | lack | number 4, origin 8, tag 3, first 4, bits 8: which of those the sender has not; oldest 4, newest 4: what there is, from the origin itself |
//! | 25 | direct | number 4, form 1, topic 4, part, payload |
//! | 26 | direct ack | number 4, piece 1, taken 1 |
//!
//! ```text
//! piece      +--------+-----+--------+------+-------+------+---------
//!            | origin | tag | number | form | topic | part | payload
//!            +--------+-----+--------+------+-------+------+---------
//!            8        3     varint   1      4       if form bit 1 is set: piece 1, pieces 1, length of the whole varint
//!
//! form       bit 0     HOLLOW: without its part and its payload, for members that do not listen to the topic
//!            bit 1     PART: one of several pieces, no more than there are bytes, of equal length but for the last
//!            bit 2     QUESTION: the payload begins with a number 4 for the answers
//!            bit 3     ANSWER: the payload begins with the question's number 4
//!            bits 4-7  how many nodes it went through, 15 for more
//! ```
//!
//! ```text
//! chunk      +-------+-----+-------+------+----+-------+--------+-------+---------
//!            | owner | tag | flags | from | to | as of | newest | floor | entries
//!            +-------+-----+-------+------+----+-------+--------+-------+---------
//!            8        3     1       varint, what `to` is above it, what the next two are above `to`, varint: see `map.rs`
//!            flags: bit 0 the vital log, bit 1 one piece of the value of version `to` in place of entries, bit 2 sure
//!
//! At most 32 entries.
//!
//! entry      version varint, above that before it or `from`; length of the key 1, bit 7 if it was deleted; key; if it
//!            was not, length varint and value
//! piece      length of the key 1; key; length of the whole value varint; pieces 1; piece 1; bytes to the end
//!
//! flags of a fetch: bits 0 and 1 the bulk or the vital log is being read again, up to that version; bits 2 and 3 there
//! are pieces of a value
//! ```
//!
//! Whoever gets a datagram of 48 bytes or more for whoever is at its address and cannot take it, as it is of another cluster,
//! of another version or corrupted, says so in 7 bytes: its own version with OPEN, and bytes 1 to 6 of what came. All get the
//! same, so that it says nothing of its own cluster, not even whether a guess of the name came close.
//!
//! The roots in pings and acks are mixed with the number, so that a collision does not last. A ping takes 31 bytes and
//! an ack 25 while the incarnation is below 128.

mod hand;
mod message;
mod reader;
mod state;
mod writer;

pub(crate) use hand::{CHUNK, Content, PIECE, Passing, RECORDS, content_of, numbered};
pub(crate) use message::{
    ANSWER, Foreign, HOLLOW, HOPS, Lack, MOST_BEFORE_PAYLOAD, MOST_PIECES, Origin, PART, Part, Piece, Pull, QUESTION,
    write_frame, write_part, write_piece,
};
pub(crate) use reader::Reader;
pub(crate) use state::{
    Chunk, ChunkHead, Had, HadOf, MAX_KEY, MOST_BEFORE_ENTRIES, MOST_BEFORE_KEY, MOST_BEFORE_VALUE, MOST_ENTRIES,
    MOST_OF_SPAN, MOST_VALUE, MOST_VERSION, Span, ValuePiece, Written, written_len,
};
pub(crate) use writer::{Writer, write_verdict};

use crate::hash::{Sip, mix};
use crate::member::{Address, Certificate, NodeId, Record};
use crate::stats::DropReason;

pub(crate) const VERSION: u8 = 2;
const OPEN: u8 = 1 << 4;
const FULL: u8 = 1 << 5;
const NEWCOMER: u8 = 1 << 6;
const SEALED: u8 = 1 << 7;
/// With the oldest version of a join: what is in place of the cookie is the id of the one whom it looks for.
pub(crate) const SEEKS: u8 = 1 << 7;
/// In place of how far one has come with a member's broadcasts: it keeps none itself. No broadcast has this number.
pub(crate) const UNSAID: u32 = u32::MAX;
/// The tag of "whoever is at this address".
pub(crate) const ANYONE: u32 = 0;

/// The longest address, so that every frame with one record fits the smallest datagram.
pub(crate) const MAX_ADDR: usize = 28;
/// The most bytes before the records that are handed out, the head included.
pub(crate) const MOST_BEFORE_RECORDS: usize = 23 + 4 + 12;
const HEAD_BEFORE_CHECK: usize = 3;
const HEAD_WITH_CHECK: usize = 7;
/// How short a datagram may be and still be a join. What is sent back to others is shorter, and never answered itself.
const LEAST_JOIN: usize = 48;

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
    pub(crate) const HAND: u8 = 14;
    pub(crate) const HAND_ACK: u8 = 15;
    pub(crate) const SUMS: u8 = 16;
    pub(crate) const GIVEN: u8 = 17;
    pub(crate) const FETCHED: u8 = 18;
    pub(crate) const PARTS: u8 = 19;
    pub(crate) const HAVE: u8 = 20;
    pub(crate) const FETCH: u8 = 21;
    pub(crate) const PULL: u8 = 22;
    pub(crate) const GIVE: u8 = 23;
    pub(crate) const LACK: u8 = 24;
    pub(crate) const DIRECT: u8 = 25;
    pub(crate) const DIRECT_ACK: u8 = 26;
}

/// The most bytes that a record takes, with its extension and its certificate.
pub(crate) const fn most_of_record<A: Address>() -> usize {
    1 + 8 + 5 + 4 + 5 + A::MAX_LEN + 10 + 20
}

/// Both roots, mixed with the number of the ping that they ride in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Roots {
    pub(crate) membership: u32,
    /// 0 of a node that keeps neither messages nor maps, and has nothing to compare.
    pub(crate) positions: u16,
}

impl Roots {
    pub(crate) fn of(membership: u64, positions: Option<u64>, number: u32) -> Self {
        let salt = u64::from(number) << 32;
        let positions = positions.map_or(0, |positions| ((mix(positions ^ !salt) >> 48) as u16).max(1));
        Roots { membership: (mix(membership ^ salt) >> 32) as u32, positions }
    }

    /// Whether two have come equally far, or one of them does not go there.
    pub(crate) fn same_positions(self, other: Self) -> bool {
        self.positions == other.positions || self.positions == 0 || other.positions == 0
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Records = 0,
    Positions = 1,
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

/// A record from elsewhere, with what came beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<A> {
    pub(crate) record: Record<A>,
    /// How far the sender has come with the member's broadcasts, or [`UNSAID`].
    pub(crate) seen: u32,
    /// What it rests on, if it is a verdict that says so.
    pub(crate) certificate: Option<Certificate>,
}

/// How far a node has come with what one member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The last of its broadcasts.
    pub(crate) seen: u32,
    /// Of both logs of its map: bulk and vital.
    pub(crate) versions: [u32; 2],
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
    Diff { low: u64, high: u64, wanted: u64, records: Reader<'d> },
    Join { number: u32, cookie: u64, sought: Option<NodeId>, speaks: bool, record: Reader<'d> },
    Welcome { number: u32, answer: Answer, record: Reader<'d> },
    Leave { number: u32 },
    LeaveAck { number: u32 },
    Introduce { cookie: u64 },
    Claim(Reader<'d>),
    Hand { number: u32, low: u32, high: u32, content: Content<'d> },
    HandAck { number: u32, passing: Passing, have: u32 },
    Sums { what: What, low: u64, high: u64, salt: u32, sums: Reader<'d> },
    Parts(Parts),
    Pull(Pull),
    Give(Piece<'d>),
    Lack(Lack),
    Have { low: u64, high: u64, answer: bool, positions: Reader<'d> },
    Direct { number: u32, part: Part<'d> },
    DirectAck { number: u32, piece: u8, taken: bool },
    Fetch { number: u32, wants: Reader<'d> },
    Given(Chunk<'d>),
    Fetched { number: u32 },
    Foreign(Foreign),
}

/// Makes sense of a frame's body.
pub(crate) fn decode(kind: u8, body: Reader<'_>) -> Result<Frame<'_>, DropReason> {
    decode_for::<true>(kind, body)
}

/// The same, and without `DATA` no more of what is about messages and maps than it takes to decline it.
pub(crate) fn decode_for<const DATA: bool>(kind: u8, body: Reader<'_>) -> Result<Frame<'_>, DropReason> {
    if !(kind::PING..=kind::DIRECT_ACK).contains(&kind) {
        return Err(DropReason::UnknownFrame);
    }
    decode_known::<DATA>(kind, body).ok_or(DropReason::Malformed)
}

fn decode_known<const DATA: bool>(kind: u8, mut body: Reader<'_>) -> Option<Frame<'_>> {
    Some(match kind {
        kind::GIVEN | kind::FETCHED | kind::HAVE..=kind::DIRECT_ACK if !DATA => {
            Frame::Foreign(message::foreign(kind, body)?)
        }
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
        kind::LIST | kind::DIFF | kind::SUMS | kind::PARTS | kind::HAVE => {
            let what = if kind == kind::SUMS && body.bool()? { What::Positions } else { What::Records };
            let (low, high) = (body.u64()?, body.u64()?);
            if low > high {
                return None;
            }
            match kind {
                kind::LIST => Frame::List { low, high, salt: body.u32()?, shorts: body },
                kind::SUMS => Frame::Sums { what, low, high, salt: body.u32()?, sums: body },
                kind::HAVE => Frame::Have { low, high, answer: body.bool()?, positions: body },
                kind::PARTS => Frame::Parts(Parts { low, high, log: body.u8()?, meant: body.u32()? }),
                _ => Frame::Diff { low, high, wanted: body.bits()?, records: body },
            }
        }
        kind::JOIN => {
            let (number, cookie, oldest) = (body.u32()?, body.u64()?, body.u8()?);
            let speaks = (oldest & !SEEKS..=body.u8()?).contains(&VERSION);
            let sought = (oldest & SEEKS != 0).then_some(NodeId::new(cookie));
            Frame::Join { number, cookie: if sought.is_some() { 0 } else { cookie }, sought, speaks, record: body }
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
        kind::HAND => return hand::decode::<DATA>(body),
        kind::HAND_ACK => return hand::decode_ack(body),
        kind::PULL..=kind::DIRECT_ACK if DATA => return message::decode(kind, body),
        _ if DATA => return state::decode(kind, body),
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

/// What is repeated to whoever sent this to anyone at this address, and was not understood.
pub(crate) fn misdirected(datagram: &[u8]) -> Option<[u8; HEAD_WITH_CHECK - 1]> {
    let (form, rest) = datagram.split_first().filter(|_| datagram.len() >= LEAST_JOIN)?;
    rest.first_chunk().filter(|_| form & OPEN != 0).copied()
}

/// Writes that this has come to the wrong place; how long that is.
pub(crate) fn write_elsewhere(repeated: [u8; HEAD_WITH_CHECK - 1], buf: &mut [u8]) -> Option<usize> {
    let (form, rest) = buf.split_first_mut()?;
    *form = VERSION | OPEN;
    *rest.first_chunk_mut()? = repeated;
    Some(HEAD_WITH_CHECK)
}

/// Reads that what was sent with this check value has come to the wrong place, and whether the version there is this one.
pub(crate) fn elsewhere(datagram: &[u8]) -> Option<([u8; 4], bool)> {
    let [form, _, _, check @ ..]: &[u8; HEAD_WITH_CHECK] = datagram.try_into().ok()?;
    (form & OPEN != 0).then_some((*check, form & 0xf == VERSION))
}

/// The check value of a datagram.
pub(crate) fn check_of(datagram: &[u8]) -> [u8; 4] {
    datagram.get(HEAD_BEFORE_CHECK..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
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
