//! Datagrams written by hand, from the byte diagram in `src/wire/mod.rs` and from nothing else of the crate: if the two
//! disagree, a test fails. It is also what a hostile peer who knows the cluster's name can send.

#![allow(dead_code, unreachable_pub)]

// Part of the crate's own tests too, which have no prelude of the standard library.
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// The wire version, and the form of a datagram for one life without any flag.
pub const VERSION: u8 = 2;

/// SipHash-1-3 over 64-bit words, as the check value and the names use it.
fn sip(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573];
    let round = |v: &mut [u64; 4]| {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    };
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len() / 8 * 8 + 8, 0);
    let words = padded.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    for word in words.chain([bytes.len() as u64]) {
        v[3] ^= word;
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    (0..3).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

pub fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d049bb133111eb);
    x ^ x >> 31
}

/// What [`mix`] makes this of: whoever knows the cluster's name can choose where in the id space an id stands.
pub fn unmix(mut x: u64) -> u64 {
    x = (x ^ x >> 31 ^ x >> 62).wrapping_mul(0x319642b2d24d8ec3);
    x = (x ^ x >> 27 ^ x >> 54).wrapping_mul(0x96de1b173f119089);
    x ^ x >> 30 ^ x >> 60
}

/// The cluster's key, from its name.
pub fn cluster(name: &str) -> u64 {
    sip(0x636c, 0, name.as_bytes())
}

/// A member's id, from its name.
pub fn id(name: &str) -> u64 {
    sip(0x6964, 0, name.as_bytes())
}

/// What stands for a life in a head, and seeds the check value.
pub fn tag(id: u64, generation: u32, nonce: u32) -> u32 {
    ((mix(id ^ mix(u64::from(generation) << 32 | u64::from(nonce))) >> 40) as u32).max(1)
}

/// Who a datagram says that it is from.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub id: u64,
    pub generation: u32,
    pub nonce: u32,
    pub incarnation: u32,
}

impl Sender {
    pub fn tag(&self) -> u32 {
        tag(self.id, self.generation, self.nonce)
    }
}

/// A datagram: `form` is the first byte, `addressee` the tag of the life that it is for (0: anyone), `frames` come
/// from [`frame`].
pub fn datagram(cluster: u64, form: u8, addressee: u32, sender: Sender, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut after = sender.id.to_le_bytes().to_vec();
    after.extend(&sender.tag().to_le_bytes()[..3]);
    after.extend(varint(sender.incarnation));
    after.extend(frames.concat());
    sealed(cluster, form, addressee, &after)
}

/// A datagram with a right check value over whatever is behind it.
pub fn sealed(cluster: u64, form: u8, addressee: u32, after: &[u8]) -> Vec<u8> {
    let mut bytes = vec![form];
    bytes.extend(cluster_tag(cluster));
    bytes.extend([0; 4]);
    bytes.extend(after);
    seal(&mut bytes, cluster, addressee);
    bytes
}

/// What stands for the cluster in a datagram.
pub fn cluster_tag(cluster: u64) -> [u8; 2] {
    (mix(cluster) as u16).to_le_bytes()
}

/// Makes the check value of a datagram right. An OPEN one is for anyone, whatever the addressee.
pub fn seal(datagram: &mut [u8], cluster: u64, addressee: u32) {
    let Some((front, after)) = datagram.split_first_chunk_mut::<7>() else { return };
    let addressee = if front[0] & 0x10 == 0 { addressee } else { 0 };
    let key = u64::from(u32::from_le_bytes([front[0], front[1], front[2], 0])) << 24 | u64::from(addressee);
    front[3..].copy_from_slice(&(sip(cluster, key, after) as u32).to_le_bytes());
}

pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &varint(body.len() as u32)[..], body].concat()
}

pub fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A record of a member at a `u16` address. `flags`: 0 alive, 1 down, 2 left.
pub fn record(flags: u8, of: Sender, addr: u16) -> Vec<u8> {
    record_at(flags, of, &varint(addr.into()))
}

/// A record of a member at an address of any type, encoded.
pub fn record_at(flags: u8, of: Sender, addr: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flags];
    bytes.extend(of.id.to_le_bytes());
    bytes.extend(varint(of.generation));
    bytes.extend(of.nonce.to_le_bytes());
    bytes.extend(varint(of.incarnation));
    bytes.extend(addr);
    bytes
}

/// A record that says whom it rests on: the jurors, and what they were asked.
pub fn certified(flags: u8, of: Sender, addr: &[u8], jurors: [u64; 2], question: u32) -> Vec<u8> {
    let mut bytes = record_at(flags | 1 << 7, of, addr);
    bytes.extend(certificate(jurors, question));
    bytes
}

/// What stands behind the address if flag 6 is set: topics, and how far the sender has come with the member's
/// broadcasts, if it has any.
pub fn extension(topics: u32, seen: u32) -> Vec<u8> {
    let mut bytes = topics.to_le_bytes().to_vec();
    if seen > 0 {
        bytes.extend(varint(seen));
    }
    [varint(bytes.len() as u32), bytes].concat()
}

pub fn certificate([first, second]: [u64; 2], question: u32) -> Vec<u8> {
    [&first.to_le_bytes()[..], &second.to_le_bytes(), &question.to_le_bytes()].concat()
}

pub mod kind {
    pub const PING: u8 = 1;
    pub const ACK: u8 = 2;
    pub const NEWS: u8 = 5;
    pub const LIST: u8 = 6;
    pub const DIFF: u8 = 7;
    pub const JOIN: u8 = 8;
    pub const WELCOME: u8 = 9;
    pub const HAND: u8 = 14;
    pub const SUMS: u8 = 16;
}

pub fn ping(number: u32, roots: [u8; 6]) -> Vec<u8> {
    frame(kind::PING, &[&number.to_le_bytes()[..], &roots].concat())
}

/// The roots in the ping of this number from a node whose living members have this fingerprint.
pub fn roots(fingerprint: u64, number: u32) -> [u8; 6] {
    let salt = u64::from(number) << 32;
    let (membership, progress) = ((mix(fingerprint ^ salt) >> 32) as u32, (mix(!salt) >> 48) as u16);
    let mut roots = [0; 6];
    roots[..4].copy_from_slice(&membership.to_le_bytes());
    roots[4..].copy_from_slice(&progress.to_le_bytes());
    roots
}

/// A list of all that its sender holds, mixed with this salt.
pub fn list(salt: u32, shorts: &[u32]) -> Vec<u8> {
    let shorts: Vec<u8> = shorts.iter().flat_map(|short| short.to_le_bytes()).collect();
    frame(kind::LIST, &[&[0; 8][..], &[0xff; 8], &salt.to_le_bytes(), &shorts].concat())
}

pub fn join(number: u32, cookie: u64, record: &[u8]) -> Vec<u8> {
    frame(kind::JOIN, &[&number.to_le_bytes()[..], &cookie.to_le_bytes(), &[VERSION, VERSION], record].concat())
}

/// The cookie of a welcome that asks for proof, if a datagram (with an incarnation below 128) is one.
pub fn cookie(datagram: &[u8]) -> Option<u64> {
    let welcome = datagram.get(19..)?;
    (welcome[0] == kind::WELCOME && welcome[6] == 0).then(|| u64::from_le_bytes(welcome[7..15].try_into().unwrap()))
}

/// The number of records, of a message or of a part of a map that are handed out: its two lowest bits say which.
pub fn handed(number: u32, content: u32) -> u32 {
    number << 2 | content
}

/// All kinds of frames, by number from 1 on.
pub const KINDS: [&str; 26] = [
    "ping",
    "ack",
    "ask",
    "verdict",
    "news",
    "list",
    "diff",
    "join",
    "welcome",
    "leave",
    "leave-ack",
    "introduce",
    "claim",
    "hand",
    "hand-ack",
    "sums",
    "given",
    "fetched",
    "parts",
    "have",
    "fetch",
    "pull",
    "give",
    "lack",
    "direct",
    "direct-ack",
];

/// A datagram in words: the kinds of its frames, and its length.
pub fn describe(datagram: &[u8]) -> String {
    let mut at = 18;
    let number = |at: &mut usize| {
        let mut value = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = datagram[*at];
            *at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    };
    number(&mut at);
    let mut words = Vec::new();
    while at < datagram.len() {
        let kind = usize::from(datagram[at]).checked_sub(1).and_then(|at| KINDS.get(at)).copied().unwrap_or("?");
        at += 1;
        let len = number(&mut at);
        let content = ["", " of records", " of a message", " of a map"]
            [usize::from(datagram[at..].first().map_or(0, |first| first & 3))];
        at += len;
        // All records in these transcripts are of one length but for their counters; 18 is the least.
        words.push(match kind {
            "news" => format!("news of {}", len / 18),
            "hand" | "hand-ack" => format!("{kind}{content}"),
            _ => kind.to_string(),
        });
    }
    format!("{} ({} B)", words.join(" + "), datagram.len())
}
