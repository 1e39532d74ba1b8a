//! Three bytes for one: a datagram of any kind, from an address that nobody has shown to be a member's, has its receiver send
//! no more than three times its bytes to that address, or to any other that it names, in the half minute that follows. Of what
//! is to be passed on to all, each member that nobody has heard of more than hearsay gets six tries, no more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::common::cluster::{SECOND, watched};
use tidings::HeapNode;
use tidings::internals::forge::{self, Sender};
use tidings::sim::{Sim, Watch};

type Cluster = Sim<HeapNode<u32>>;

/// Where what is said comes from. Nobody is there.
const FROM: u32 = 50_001;
/// An address that is named. Nobody is there either.
const NAMED: u32 = 50_002;
/// A member that there is not, at [`FROM`], and another at [`NAMED`].
const GHOST: Sender = Sender { id: 1_000_001, generation: 0, nonce: 1, incarnation: 0 };
const OTHER: Sender = Sender { id: 1_000_002, generation: 0, nonce: 1, incarnation: 0 };

/// In whose name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Name {
    /// Of one whom the receiver has never heard of.
    Stranger,
    /// Of one that it was told of, and that has not shown that it is there.
    Unproved,
    /// Of a member, whose address is another.
    Member,
}

/// With how many seeds a kind of datagram is tried that brings too much with the first.
const SEEDS: u64 = 16;

/// Counts the bytes that host 0 sends, by address.
#[derive(Clone, Default)]
struct Tally(Rc<RefCell<BTreeMap<u32, usize>>>);

impl Watch<HeapNode<u32>> for Tally {
    fn after_step(&mut self, _: &Cluster, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn on_transmit(&mut self, _: &Cluster, host: usize, to: u32, datagram: &[u8]) -> Result<(), String> {
        if host == 0 {
            *self.0.borrow_mut().entry(to).or_default() += datagram.len();
        }
        Ok(())
    }
}

fn of(sim: &Cluster, host: usize) -> Sender {
    let node = sim.machine(host).unwrap();
    let myself = node.member(node.id()).unwrap();
    let life = myself.life();
    let (generation, nonce) = (life.generation(), life.nonce());
    Sender { id: node.id().get(), generation, nonce, incarnation: myself.incarnation() }
}

fn tell(sim: &mut Cluster, from: u32, sender: Sender, frames: &[Vec<u8>]) -> usize {
    let bytes = forge::datagram(forge::cluster(""), forge::VERSION, of(sim, 0).tag(), sender, frames);
    sim.spoof(from, 0, &bytes);
    bytes.len()
}

fn record(flags: u8, of: Sender, addr: u32) -> Vec<u8> {
    forge::record_at(flags, of, &forge::varint(addr))
}

/// Every kind of frame, some with several contents; `me` is the sender, `member` another, `own` the receiver.
fn frames(me: Sender, member: Sender, member_at: u32, own: Sender) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let (number, all) = (7u32.to_le_bytes(), [[0; 8], [0xff; 8]].concat());
    let [records, message, map] = [1, 2, 3].map(|content| forge::handed(7, content).to_le_bytes());
    let to_all = |number: [u8; 4]| [&number[..], &[0; 4], &[0xff; 4]].concat();
    let join = |parts: &[&[u8]]| parts.concat();
    let id = |of: Sender| of.id.to_le_bytes();
    let origin = |of: Sender| [&of.id.to_le_bytes()[..], &of.tag().to_le_bytes()[..3]].concat();
    let frame = |kind: u8, parts: &[&[u8]]| vec![forge::frame(kind, &join(parts))];
    let later = Sender { incarnation: member.incarnation + 1, ..member };
    let reborn = Sender { generation: member.generation + 1, nonce: 9, incarnation: 0, ..member };
    let twin = Sender { generation: own.generation + 1, nonce: 9, incarnation: 0, ..own };
    let piece = |of: Sender| [&origin(of)[..], &[2, 0], &[1; 4], b"payload"].concat();
    let chunk = |of: Sender| [&origin(of)[..], &[0, 0, 1, 0, 0, 0], &[1, 3], b"key", &[2], b"ab"].concat();
    let pull = |of: Sender| [&number[..], &origin(of), &[1, 0, 0, 0], &[0xff; 8]].concat();
    let mut all_kinds = vec![
        ("ping", frame(1, &[&number, &[5; 6]])),
        ("ack", frame(2, &[&number, &[5; 6]])),
        ("ask about a member", frame(3, &[&number, &id(member), &[0; 2], &[9, 0]])),
        ("ask about a ghost", frame(3, &[&number, &id(OTHER), &[0; 2], &[9, 0]])),
        ("ask about the sender", frame(3, &[&number, &id(me), &[0; 2], &[9, 0]])),
        ("ask about the receiver", frame(3, &[&number, &id(own), &[0; 2], &[9, 0]])),
        ("verdict", frame(4, &[&number, &id(member), &[0]])),
        ("news of the sender", frame(5, &[&record(0, me, FROM)])),
        ("news of a death", frame(5, &[&record(1, member, member_at)])),
        ("news of a farewell", frame(5, &[&record(2, later, member_at)])),
        ("news of a move", frame(5, &[&record(0, later, NAMED)])),
        ("news of a life", frame(5, &[&record(0, reborn, NAMED)])),
        ("news of a twin", frame(5, &[&record(0, twin, NAMED)])),
        ("news of the receiver's death", frame(5, &[&record(1, own, 0)])),
        ("list", frame(6, &[&all, &number])),
        ("diff", frame(7, &[&all, &[8], &[0xff; 8]])),
        ("join", frame(8, &[&number, &[0; 8], &[forge::VERSION; 2], &record(0, me, FROM)])),
        ("join from elsewhere", frame(8, &[&number, &[0; 8], &[forge::VERSION; 2], &record(0, me, NAMED)])),
        ("welcome", frame(9, &[&number, &[1], &[0; 8], &record(0, me, FROM)])),
        ("welcome that asks for proof", frame(9, &[&number, &[0], &[5; 8], &record(0, me, FROM)])),
        ("welcome that is taken", frame(9, &[&[0; 4], &[3], &[0; 8], &record(0, twin, NAMED)])),
        ("leave", [frame(5, &[&record(2, later, member_at)]), frame(10, &[&number])].concat()),
        ("leave alone", frame(10, &[&number])),
        ("leave ack", frame(11, &[&number])),
        ("introduce", frame(12, &[&[5; 8]])),
        ("claim", frame(13, &[&record(1, own, 0)])),
        ("claim of a twin", frame(13, &[&record(0, twin, NAMED)])),
        ("hand of what is known", frame(14, &[&to_all(records), &record(0, member, member_at)])),
        ("hand of a death", frame(14, &[&to_all(records), &record(1, member, member_at)])),
        ("hand ack", frame(15, &[&records, &[0]])),
        ("sums", frame(16, &[&[0], &all, &number, &[1; 32]])),
        ("sums of positions", frame(16, &[&[1], &all, &number, &[1; 32]])),
        ("one sum", frame(16, &[&all, &number, &[1; 4]])),
        ("diff with a record", frame(7, &[&all, &[0], &record(1, member, member_at)])),
        ("parts", frame(19, &[&all, &[5], &[0xff; 4]])),
        ("hand of a message", frame(14, &[&to_all(message), &piece(member)])),
        ("hand of a message of its own", frame(14, &[&to_all(message), &piece(me)])),
        ("hand ack of a message", frame(15, &[&message, &[0]])),
        ("pull", frame(22, &[&pull(member)])),
        ("pull of the receiver's", frame(22, &[&pull(own)])),
        ("give", frame(23, &[&piece(member)])),
        ("give of its own", frame(23, &[&piece(me)])),
        ("lack", frame(24, &[&pull(member), &[1; 8]])),
        ("have", frame(20, &[&all, &[0], &origin(member), &[9, 3, 3]])),
        ("have of its own", frame(20, &[&all, &[0], &origin(me), &[9, 3, 3]])),
        ("have as an answer", frame(20, &[&all, &[1], &origin(member), &[9, 3, 3]])),
        ("direct", frame(25, &[&number, &[0], &[1; 4], b"payload"])),
        ("direct ack", frame(26, &[&number, &[0, 1]])),
        ("hand of a map", frame(14, &[&to_all(map), &chunk(member)])),
        ("hand of a map of its own", frame(14, &[&to_all(map), &chunk(me)])),
        ("hand ack of a map", frame(15, &[&map, &[1, 3]])),
        ("fetch", frame(21, &[&number, &origin(own), &[0, 0, 0]])),
        ("given", frame(17, &[&chunk(member)])),
        ("fetched", frame(18, &[&number])),
    ];
    all_kinds.push(("nothing", Vec::new()));
    all_kinds
}

/// What host 0 sends to [`FROM`] and to [`NAMED`] in the half minute after it heard this many of these, and how many bytes it
/// heard.
fn sent(name: Name, what: usize, times: usize, seed: u64) -> (&'static str, usize, [usize; 2]) {
    let mut sim = watched(4, seed);
    let tally = Tally::default();
    if name == Name::Unproved {
        // It may be told of both.
        let own = of(&sim, 1);
        tell(&mut sim, 1, own, &[forge::frame(5, &[record(0, GHOST, FROM), record(0, OTHER, NAMED)].concat())]);
        sim.run_for(SECOND / 100);
    }
    sim.watch(tally.clone());
    let member = of(&sim, 1);
    let me = if name == Name::Member { member } else { GHOST };
    let (about, frames) = frames(me, of(&sim, 2), 2, of(&sim, 0)).swap_remove(what);
    let mut cost = 0;
    for _ in 0..times {
        cost += tell(&mut sim, FROM, me, &frames);
        sim.run_for(SECOND / 100);
    }
    sim.run_for(30 * SECOND);
    assert_eq!(sim.failure(), None, "{name:?}, {about}");
    let tally = tally.0.borrow();
    (about, cost, [FROM, NAMED].map(|addr| tally.get(&addr).copied().unwrap_or(0)))
}

/// Whether it is to be passed on to all.
fn passes_on(about: &str) -> bool {
    about.starts_with("hand of a message") || about.starts_with("hand of a map")
}

#[test]
fn no_kind_of_datagram_has_more_than_thrice_its_bytes_sent_to_who_proved_nothing() {
    let mut complaints = Vec::new();
    for name in [Name::Stranger, Name::Unproved, Name::Member] {
        // Its own probes of a member that it was told of are nobody's doing, and one that was heard is probed once more: an
        // empty datagram shows how much that is. The order of probes is chance: what looks too much with one seed is judged
        // by the sum of many.
        let empty = frames(GHOST, of(&watched(4, 1), 2), 2, of(&watched(4, 1), 0)).len() - 1;
        let quiets: Vec<[usize; 2]> = (1..=SEEDS).map(|seed| sent(name, empty, 1, seed).2).collect();
        for times in [1, 4] {
            for at in 0.. {
                let (about, cost, brought) = sent(name, at, times, 1);
                // Who is told of a member passes on to it, as to all others, and six times what came is the most for that.
                // Who introduces itself is a member, and is probed as one: with seven pings, before it is held for dead.
                let tries = match name {
                    Name::Unproved if passes_on(about) => 7,
                    Name::Stranger if about == "news of the sender" => 12,
                    _ => 3,
                };
                for (which, addr) in [FROM, NAMED].into_iter().enumerate() {
                    if brought[which].saturating_sub(quiets[0][which]) <= tries * cost {
                        continue;
                    }
                    let sums = (1..=SEEDS).zip(&quiets).map(|(seed, quiet)| {
                        let (_, cost, brought) = sent(name, at, times, seed);
                        (cost, brought[which], quiet[which])
                    });
                    let (cost, brought, quiet) = sums.fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
                    let brought = brought.saturating_sub(quiet);
                    if brought > tries * cost {
                        let runs = format!("{times} times each with {SEEDS} seeds, as {name:?}");
                        complaints.push(format!("{about}, {runs}: {brought} B to {addr} for {cost}"));
                    }
                }
                if about == "nothing" {
                    break;
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
