//! What each kind of frame costs that a hostile member can send.
//!
//! The sender is a member that has shown that it is at its address, the node's table is full, and every member has
//! broadcast. Each kind comes in up to three shapes: alone in a datagram, as often as a datagram holds, and once with
//! as long a body as fits. The line of a kind is that of the shape that costs most for a byte; its last column is that of
//! the shape that costs most for a datagram. Time stands still, so that nothing else is due; whatever the node has to
//! send in answer is written, and counts. A ping that is answered and changes nothing is what the others are compared
//! with, measured in the same manner.

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use comfy_table::{CellAlignment, Table, presets};

use crate::bed::{Bed, FULL, record_of};
use crate::forge::{self, Sender, varint};

/// How many datagrams follow each other on one copy of the node.
const BATCH: u32 = 32;
/// How many of those that are refused if they come too soon after others.
const FEW: u32 = 3;
/// The most datagrams that are taken out behind each.
const MOST_OUT: usize = 256;
/// What the bytes of a datagram before its first frame, and those of a frame before its body, take at most.
const BEFORE: usize = 24;

/// All kinds, by number from 1 on.
const KINDS: [&str; 33] = [
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
    "leave ack",
    "introduce",
    "claim",
    "relay",
    "relay ack",
    "sums",
    "want",
    "records",
    "parts",
    "cast",
    "cast ack",
    "pull",
    "give",
    "lack",
    "progress",
    "direct",
    "direct ack",
    "delta",
    "delta ack",
    "fetch",
    "given",
    "fetched",
    "steps",
];

/// A way to fill a datagram.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// Two of them, as one that is not known may be followed by others.
    Alone,
    Many,
    Long,
}

const SHAPES: [(Shape, &str); 3] = [(Shape::Alone, "one"), (Shape::Many, "many"), (Shape::Long, "long")];

/// Whom frames speak of.
struct Cast {
    others: Vec<Sender>,
    peer: Sender,
    /// Grows with each question, so that none is known.
    number: u32,
}

impl Cast {
    fn next(&mut self) -> u32 {
        self.number = self.number.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
        self.number
    }

    fn other(&mut self) -> Sender {
        let at = self.next() as usize % self.others.len();
        self.others[at]
    }

    /// A member that nobody knows.
    fn invented(&mut self) -> Sender {
        let number = self.next();
        Sender { id: 1 << 40 | u64::from(number), nonce: number, ..self.peer }
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
        let low = u64::from(self.next() >> 8);
        let high = u64::MAX - u64::from(self.next() >> 8);
        [low.to_le_bytes(), high.to_le_bytes()].concat()
    }

    /// One body of this kind, no longer than this if it can be long.
    fn body(&mut self, kind: usize, most: usize) -> Vec<u8> {
        let number = self.next().to_le_bytes();
        let words = |count: usize| vec![0xa5; count];
        let shares = [&number[..], &[0; 4], &[0xff; 4]].concat();
        match KINDS[kind - 1] {
            "ping" => [&number[..], &words(6)].concat(),
            "ack" => [&number[..], &words(6)].concat(),
            "ask" => [&number[..], &self.other().id.to_le_bytes(), &200_000u32.to_le_bytes()].concat(),
            "verdict" => [&number[..], &self.other().id.to_le_bytes(), &[0]].concat(),
            "news" | "records" => self.records(most, 0),
            "list" => [&self.range()[..], &number, &words(most.saturating_sub(20) / 4 * 4)].concat(),
            "diff" => [&self.range()[..], &self.records(most.saturating_sub(16), 0)].concat(),
            "join" => [&number[..], &words(8), &[1, 1], &record_of(self.peer, 0)].concat(),
            "welcome" => [&number[..], &[1], &words(8), &record_of(self.peer, 0)].concat(),
            "introduce" => words(8),
            "claim" => record_of(self.other(), 0),
            "relay" => [&shares[..], &self.records(most.saturating_sub(12), 0)].concat(),
            "relay ack" | "cast ack" => [&number[..], &[1]].concat(),
            "leave" | "leave ack" | "fetched" => number.to_vec(),
            // Of one part, and of as many as there may be.
            "sums" => [&self.range()[..], &number, &words(if most < 200 { 4 } else { 128 })].concat(),
            // None of them differs, as far as it depends on the sender, so that all must be looked at.
            "steps" => [&self.range()[..], &number, &words(if most < 200 { 2 } else { 64 })].concat(),
            "want" => [&self.range()[..8], &[0xff; 8]].concat(),
            "parts" => [&self.range()[..], &[5], &[0xff; 4]].concat(),
            "cast" => {
                let piece = [&self.origin()[..], &[2, 0], &words(4), &words(most.saturating_sub(30))].concat();
                [&shares[..], &piece].concat()
            }
            "give" => [&self.origin()[..], &[2, 0], &words(4), &words(most.saturating_sub(18))].concat(),
            "pull" => [&number[..], &self.origin(), &[1, 0, 0, 0], &[0xff; 8]].concat(),
            "lack" => [&number[..], &self.origin(), &[1, 0, 0, 0], &[0xff; 8], &words(8)].concat(),
            "progress" => {
                let mut body = [&self.range()[..], &[0]].concat();
                while body.len() + 16 <= most {
                    body.extend(self.origin());
                    body.extend([9, 3, 3]);
                }
                body
            }
            "direct" => [&number[..], &[0], &words(4), &words(most.saturating_sub(9))].concat(),
            "direct ack" => [&number[..], &[0, 1]].concat(),
            "delta" => [&shares[..], &self.chunk()].concat(),
            "given" => self.chunk(),
            "delta ack" => [&number[..], &[1, 3]].concat(),
            "fetch" => {
                let mut body = number.to_vec();
                while body.len() + 14 <= most.max(18) {
                    body.extend(self.origin());
                    body.extend([0, 0, 0]);
                }
                body
            }
            kind => unreachable!("{kind}"),
        }
    }

    /// One short entry of somebody's bulk log.
    fn chunk(&mut self) -> Vec<u8> {
        let mut chunk = self.origin();
        chunk.push(0);
        for number in [0, 1, 0, 0, 0] {
            chunk.extend(varint(number));
        }
        [&chunk[..], &[1, 3], b"key", &[2], b"ab"].concat()
    }

    fn frames(&mut self, kind: usize, shape: Shape) -> Vec<Vec<u8>> {
        let room = FULL - BEFORE;
        let frame = |body: Vec<u8>| forge::frame(kind as u8, &body);
        match shape {
            Shape::Alone => vec![frame(self.body(kind, 26))],
            Shape::Long => vec![frame(self.body(kind, room - 4))],
            Shape::Many => {
                let (mut frames, mut len) = (Vec::new(), 0);
                loop {
                    let frame = frame(self.body(kind, 26));
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

/// What a datagram costs, in nanoseconds, and how long it is.
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
    while times.len() < 5 || begun.elapsed() < budget {
        copy.clone_from(bed);
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
    Cost { time: times[times.len() / 2], bytes }
}

/// One line for each kind: its dearest shape, in nanoseconds for each byte and in pings for each datagram.
pub fn report(sizes: &[usize], budget: Duration) -> String {
    let mut texts = Vec::new();
    for members in sizes {
        let bed = Bed::talkative(*members);
        let ping = measure(&bed, &vec![bed.quiet_ping(); BATCH as usize], budget);
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["frame", "shape", "bytes", "ns", "ns a byte", "pings"]);
        let mut cast = Cast { others: bed.others(), peer: bed.peer, number: 7 };
        let mut dearest = (0.0f64, 0.0f64);
        for (kind, name) in (1..).zip(KINDS) {
            let shapes = SHAPES.iter().map(|(shape, word)| {
                let batch = if matches!(name, "sums" | "steps") { FEW } else { BATCH };
                let datagrams: Vec<Vec<u8>> =
                    (0..batch).map(|_| bed.datagram(&cast.frames(kind, *shape).concat())).collect();
                (measure(&bed, &datagrams, budget), *word)
            });
            let all: Vec<_> = shapes.collect();
            let most = all.iter().max_by(|a, b| a.0.each_byte().total_cmp(&b.0.each_byte()));
            let (cost, word) = most.expect("there are shapes");
            let pings = all.iter().map(|(cost, _)| cost.time / ping.time).fold(0.0, f64::max);
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
    texts.join("\n\n")
}
