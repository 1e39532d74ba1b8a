//! What each kind of frame costs that a hostile member can send.
//!
//! The sender is a member that has shown that it is at its address, the node's table is full, and every member has
//! broadcast and written a key, so that what grows with the first of them has grown. Each kind comes in three shapes: alone
//! in a datagram, as often as a datagram holds, and once with as long a body as fits. Each shape comes twice: once it speaks
//! of members and ranges anywhere, so that little of what is looked at is in a cache, and once of members whose ids were
//! chosen to stand in one bucket of the table, and of a range within that. The line of a kind is that of the shape that costs
//! most for a byte; its last column is that of the shape that costs most for a datagram. Time stands still, so that nothing
//! else is due; whatever the node has to send in answer is written, and counts.
//!
//! A ping that is answered and changes nothing is what the others are compared with. No datagram may take longer than
//! [`MOST_PINGS`] of them: 20 us where a ping takes 0.3 us.

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use comfy_table::{CellAlignment, Table, presets};

use crate::bed::{Bed, FULL, chosen_id, record_of};
use crate::forge::{self, KINDS, Sender, varint};

/// How many datagrams follow each other on one copy of the node.
const BATCH: u32 = 32;
/// The same of those that bring messages and keys, one each: so many that what makes room for them, now and then, counts
/// as often as it does in the long run.
const LONG_RUN: u32 = 1_024;
/// How many of those that are refused if they come too soon after others.
const FEW: u32 = 3;
/// How many pings follow each other.
const PINGS: usize = 1_000;
/// The most datagrams that are taken out behind each.
const MOST_OUT: usize = 256;
/// What the bytes of a datagram before its first frame, and those of a frame before its body, take at most.
const BEFORE: usize = 24;

/// The most that a datagram may cost.
pub const MOST_PINGS: f64 = 70.0;
/// How often what seems to cost more is measured again: the machine may have done much else meanwhile.
const AGAIN: usize = 3;

/// What else comes in a frame of this number than what it is called after, and in pieces.
const OTHERS: [(usize, &str); 6] = [
    (14, "hand of a message"),
    (14, "hand of a map"),
    (15, "hand-ack of a map"),
    (14, "hand of a message in pieces"),
    (23, "give in pieces"),
    (25, "direct in pieces"),
];

/// A way to fill a datagram.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Two of them, as one that is not known may be followed by others.
    Alone,
    Many,
    Long,
}

/// Each with the word for it, and whether ids and ranges are chosen.
const SHAPES: [(Shape, &str, bool); 6] = [
    (Shape::Alone, "one", false),
    (Shape::Many, "many", false),
    (Shape::Long, "long", false),
    (Shape::Alone, "one, chosen", true),
    (Shape::Many, "many, chosen", true),
    (Shape::Long, "long, chosen", true),
];

/// Whom frames speak of.
struct Cast {
    others: Vec<Sender>,
    /// Those whose ids were chosen, and whether frames speak of those.
    chosen: Vec<Sender>,
    speaks_of_chosen: bool,
    peer: Sender,
    /// Grows with each question, so that none is known.
    number: u32,
    /// Whose broadcasts a datagram gives, and how many it has given: others' would be refused.
    giver: Vec<u8>,
    given: u8,
}

impl Cast {
    fn next(&mut self) -> u32 {
        self.number = self.number.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
        self.number
    }

    fn other(&mut self) -> Sender {
        let number = self.next() as usize;
        let all = if self.speaks_of_chosen { &self.chosen } else { &self.others };
        all[number % all.len()]
    }

    /// A member that nobody knows.
    fn invented(&mut self) -> Sender {
        let number = self.next();
        let id = if self.speaks_of_chosen { chosen_id(1_000 + u64::from(number)) } else { 1 << 40 | u64::from(number) };
        Sender { id, nonce: number, ..self.peer }
    }

    /// As many records as fill so many bytes, known ones and unknown ones in turn.
    fn records(&mut self, bytes: usize, verdict: u8) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let known = self.other();
            let of = if self.next().is_multiple_of(2) { self.invented() } else { Sender { incarnation: 1, ..known } };
            let record = record_of(of, verdict);
            if !body.is_empty() && body.len() + record.len() > bytes {
                return body;
            }
            body.extend(record);
        }
    }

    fn origin(&mut self) -> Vec<u8> {
        let other = self.other();
        [&other.id.to_le_bytes()[..], &other.tag().to_le_bytes()[..3]].concat()
    }

    /// A range of the id space with no end that anything else begins at, and what it is mixed with.
    fn range(&mut self) -> Vec<u8> {
        if self.speaks_of_chosen {
            // Where those stand, a place or two to each of 32 parts.
            return [1u64.to_le_bytes(), 64u64.to_le_bytes()].concat();
        }
        let low = u64::from(self.next() >> 8);
        let high = u64::MAX - u64::from(self.next() >> 8);
        [low.to_le_bytes(), high.to_le_bytes()].concat()
    }

    /// The body of a frame that is called so, no longer than this if it can be long.
    fn body(&mut self, name: &str, most: usize) -> Vec<u8> {
        let (name, in_pieces) = name.strip_suffix(" in pieces").map_or((name, false), |name| (name, true));
        let number = self.next();
        let [records, message, map] = [1, 2, 3].map(|content| forge::handed(number, content).to_le_bytes());
        let number = number.to_le_bytes();
        let words = |count: usize| vec![0xa5; count];
        let to_all = |number: [u8; 4]| [&number[..], &[0; 4], &[0xff; 4]].concat();
        // Of a payload of two pieces this is the first.
        let form = u8::from(in_pieces) << 1;
        let payload = |before: usize| {
            let payload = words(most.saturating_sub(before));
            let part = [&[0, 2][..], &varint(2 * payload.len() as u32)].concat();
            [if in_pieces { part } else { Vec::new() }, payload].concat()
        };
        match name {
            "ping" => [&number[..], &words(6)].concat(),
            "ack" => [&number[..], &words(6)].concat(),
            "ask" => [&number[..], &self.other().id.to_le_bytes(), &200_000u32.to_le_bytes()].concat(),
            "verdict" => [&number[..], &self.other().id.to_le_bytes(), &[0]].concat(),
            "news" => self.records(most, 0),
            "list" => [&self.range()[..], &number, &words(most.saturating_sub(20) / 4 * 4)].concat(),
            "diff" => [&self.range()[..], &[8], &[0xff; 8], &self.records(most.saturating_sub(25), 0)].concat(),
            "join" => [&number[..], &words(8), &[forge::VERSION; 2], &record_of(self.peer, 0)].concat(),
            "welcome" => [&number[..], &[1], &words(8), &record_of(self.peer, 0)].concat(),
            "introduce" => words(8),
            "claim" => record_of(self.other(), 0),
            "hand" => [&to_all(records)[..], &self.records(most.saturating_sub(12), 0)].concat(),
            "hand-ack" => [&records[..], &[1]].concat(),
            "leave" | "leave-ack" | "fetched" => number.to_vec(),
            // Of one part, and of as many as there may be.
            "sums" => [&[0], &self.range()[..], &number, &words(if most < 200 { 2 } else { 32 })].concat(),
            "parts" => [&self.range()[..], &[5], &[0xff; 4]].concat(),
            "hand of a message" => {
                let piece = [&self.origin()[..], &[2, form], &words(4), &payload(34)].concat();
                [&to_all(message)[..], &piece].concat()
            }
            "give" => {
                self.given = (self.given + 1).min(30);
                [&self.giver[..], &[2 * self.given, form], &words(4), &payload(22)].concat()
            }
            "pull" => [&number[..], &self.origin(), &[1, 0, 0, 0], &[0xff; 8]].concat(),
            "lack" => [&number[..], &self.origin(), &[1, 0, 0, 0], &[0xff; 8], &words(8)].concat(),
            "have" => {
                let mut body = [&self.range()[..], &[0]].concat();
                while body.len() + 16 <= most.min(17 + 64 * 14) {
                    body.extend(self.origin());
                    body.extend([9, 3, 3]);
                }
                body
            }
            "direct" => [&number[..], &[form], &words(4), &payload(13)].concat(),
            "direct-ack" => [&number[..], &[0, 1]].concat(),
            "hand of a map" => [&to_all(map)[..], &self.chunk(most.saturating_sub(12))].concat(),
            "given" => self.chunk(most),
            "hand-ack of a map" => [&map[..], &[1, 3]].concat(),
            "fetch" => {
                let mut body = number.to_vec();
                while body.len() + 14 <= most.clamp(18, 4 + 16 * 14) {
                    body.extend(self.origin());
                    body.extend([0, 0, 0]);
                }
                body
            }
            kind => unreachable!("{kind}"),
        }
    }

    /// Somebody's bulk log behind the first entry: as many short entries as fit, but one.
    fn chunk(&mut self, most: usize) -> Vec<u8> {
        let count = (most.saturating_sub(20) / 9).clamp(1, 32) as u32;
        let mut chunk = self.origin();
        chunk.push(0);
        for number in [1, count, 0, 0, 0] {
            chunk.extend(varint(number));
        }
        for _ in 0..count {
            chunk.extend([1, 4]);
            chunk.extend(self.next().to_le_bytes().map(|byte| b'a' + byte % 26));
            chunk.extend([2, b'a', b'b']);
        }
        chunk
    }

    fn frames(&mut self, (kind, name): (usize, &str), shape: Shape) -> Vec<Vec<u8>> {
        let room = FULL - BEFORE;
        (self.giver, self.given) = (self.origin(), 0);
        let frame = |body: Vec<u8>| forge::frame(kind as u8, &body);
        match shape {
            Shape::Alone => vec![frame(self.body(name, 26))],
            Shape::Long => vec![frame(self.body(name, room - 4))],
            Shape::Many => {
                let (mut frames, mut len) = (Vec::new(), 0);
                loop {
                    let frame = frame(self.body(name, 26));
                    len += frame.len();
                    if len > room {
                        return frames;
                    }
                    frames.push(frame);
                }
            }
        }
    }
}

/// What a datagram costs, in nanoseconds in the best of many batches, and how long it is.
struct Cost {
    time: f64,
    bytes: f64,
}

impl Cost {
    fn each_byte(&self) -> f64 {
        self.time / self.bytes
    }
}

fn measure(bed: &Bed, datagrams: &[Vec<u8>], budget: Duration) -> Cost {
    let (mut times, begun) = (Vec::new(), Clock::now());
    let (mut copy, mut buf, mut out) = (bed.clone(), [0; FULL], [0; FULL]);
    let ping = bed.busy_ping();
    while times.len() < 5 || begun.elapsed() < budget {
        copy.clone_from(bed);
        // What every datagram needs is in the cache; what they speak of is not.
        copy.node.handle_datagram(copy.now, copy.from, &mut ping.clone());
        while copy.node.poll_transmit(&mut out).is_some() {}
        let begun = Clock::now();
        for datagram in datagrams {
            let bytes = &mut buf[..datagram.len()];
            bytes.copy_from_slice(datagram);
            copy.node.handle_datagram(copy.now, copy.from, black_box(bytes));
            let _ = (0..MOST_OUT).take_while(|_| copy.node.poll_transmit(&mut out).is_some()).count();
            let _ = (0..MOST_OUT).take_while(|_| copy.node.poll_event().is_some()).count();
        }
        times.push(begun.elapsed().as_secs_f64() * 1e9 / datagrams.len() as f64);
    }
    times.sort_by(f64::total_cmp);
    let bytes = datagrams.iter().map(Vec::len).sum::<usize>() as f64 / datagrams.len() as f64;
    // Whatever else the machine does only adds to it.
    Cost { time: times[0], bytes }
}

/// What all kinds cost, and what is wrong with that.
pub struct Report {
    pub table: String,
    pub complaints: Vec<String>,
}

/// One line for each kind: its dearest shape, in nanoseconds for each byte and in pings for each datagram.
pub fn report(sizes: &[usize], budget: Duration) -> Report {
    let (mut texts, mut complaints) = (Vec::new(), Vec::new());
    for members in sizes {
        let bed = Bed::talkative(*members);
        // So many that the first of them, for which nothing is in a cache, do not count.
        let ping = measure(&bed, &vec![bed.busy_ping(); PINGS], budget);
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["frame", "shape", "bytes", "ns", "ns a byte", "pings"]);
        let (others, chosen, peer) = (bed.others(), bed.chosen(), bed.peer);
        let mut cast = Cast { others, chosen, speaks_of_chosen: false, peer, number: 7, giver: Vec::new(), given: 0 };
        let mut dearest = (0.0f64, 0.0f64);
        for (kind, name) in (1..).zip(KINDS).chain(OTHERS) {
            let shapes = SHAPES.iter().map(|(shape, word, chosen)| {
                cast.speaks_of_chosen = *chosen;
                let data = name.starts_with("hand of") || name.starts_with("give") || name.starts_with("direct");
                let batch = match name {
                    "sums" => FEW,
                    _ if data && !name.contains("ack") && *shape == Shape::Alone => LONG_RUN,
                    _ => BATCH,
                };
                let datagrams: Vec<Vec<u8>> =
                    (0..batch).map(|_| bed.datagram(&cast.frames((kind, name), *shape).concat())).collect();
                let mut cost = measure(&bed, &datagrams, budget);
                for _ in 0..AGAIN {
                    if cost.time > MOST_PINGS * ping.time {
                        cost.time = cost.time.min(measure(&bed, &datagrams, budget).time);
                    }
                }
                (cost, *word)
            });
            let all: Vec<_> = shapes.collect();
            let most = all.iter().max_by(|a, b| a.0.each_byte().total_cmp(&b.0.each_byte()));
            let (cost, word) = most.expect("there are shapes");
            let (longest, shape) = all.iter().max_by(|a, b| a.0.time.total_cmp(&b.0.time)).expect("there are shapes");
            let pings = longest.time / ping.time;
            if pings > MOST_PINGS {
                complaints.push(format!(
                    "{name} ({shape}), {members} members: a datagram takes {:.0} ns, which is {pings:.0} pings; at most {MOST_PINGS} are allowed",
                    longest.time
                ));
            }
            dearest = (dearest.0.max(cost.each_byte()), dearest.1.max(pings));
            let figures = [cost.bytes, cost.time].map(|figure| format!("{figure:.0}"));
            let [bytes, time] = figures;
            table.add_row([name, word, &bytes, &time, &format!("{:.1}", cost.each_byte()), &format!("{pings:.1}")]);
        }
        table.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        texts.push(format!(
            "{members} members; a ping takes {:.0} ns, {:.1} ns a byte; the dearest takes {:.0} ns a byte, and {:.0} pings a datagram\n{table}",
            ping.time,
            ping.each_byte(),
            dearest.0,
            dearest.1
        ));
    }
    Report { table: texts.join("\n\n"), complaints }
}
