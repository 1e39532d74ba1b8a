//! A reader of datagrams that knows the layout in PROTOCOL.md and nothing of the crate but what frames are called: it writes down each field.
//!
//! Addresses are socket addresses of IPv4. Whatever the layout does not allow is a panic that says where.

use tidings::internals::forge::KINDS;

/// What a kind of frame is called.
pub fn name(kind: u8) -> &'static str {
    KINDS[usize::from(kind) - 1]
}

/// A kind of frame, and of one of the tree what it is about: the two lowest bits of its number.
pub type Kind = (u8, u8);

/// All of them.
pub fn kinds() -> Vec<Kind> {
    let contents = |kind: u8| if name(kind).starts_with("hand") { 1..=3 } else { 0..=0 };
    (1..=KINDS.len() as u8).flat_map(|kind| contents(kind).map(move |content| (kind, content))).collect()
}

/// What such a frame is called in full.
pub fn title((kind, content): Kind) -> String {
    let content = ["", " of records", " of a message", " of a map"][usize::from(content)];
    format!("{}{content}", name(kind))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

pub struct Scan<'d> {
    rest: &'d [u8],
    /// The bytes and the words of the line that is being written.
    line: (Vec<String>, Vec<String>),
    lines: Vec<(String, String)>,
}

impl<'d> Scan<'d> {
    fn new(rest: &'d [u8]) -> Self {
        Scan { rest, line: (Vec::new(), Vec::new()), lines: Vec::new() }
    }

    /// A datagram as lines: the bytes of some fields, and what they say.
    pub fn words(datagram: &[u8]) -> String {
        let mut scan = Scan::new(datagram);
        scan.head();
        while !scan.rest.is_empty() {
            scan.frame();
        }
        let lines: Vec<String> = scan.lines.iter().map(|(bytes, words)| format!("{bytes}\n    {words}")).collect();
        lines.join("\n")
    }

    /// The kinds of its frames, what each of the tree is about, and how long each is.
    pub fn frames(datagram: &'d [u8]) -> impl Iterator<Item = (Kind, usize)> {
        let mut scan = Scan::new(datagram);
        scan.head();
        std::iter::from_fn(move || {
            let kind = *scan.rest.first()?;
            scan.rest = &scan.rest[1..];
            let (len, _) = scan.varint();
            let (body, rest) = scan.rest.split_at(len as usize);
            scan.rest = rest;
            let content = if name(kind).starts_with("hand") { body[0] & 3 } else { 0 };
            Some(((kind, content), len as usize))
        })
    }

    fn take(&mut self, count: usize) -> &'d [u8] {
        assert!(
            count <= self.rest.len(),
            "{count} bytes are asked for and {} left, after {:?}",
            self.rest.len(),
            self.lines
        );
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    fn varint(&mut self) -> (u32, &'d [u8]) {
        let len = 1 + self.rest.iter().take_while(|byte| **byte >= 0x80).count();
        let bytes = self.take(len);
        (bytes.iter().rev().fold(0, |sum, byte| sum << 7 | u32::from(byte & 0x7f)), bytes)
    }

    /// Adds a field to the line.
    fn note(&mut self, bytes: &[u8], words: String) {
        self.line.0.push(hex(bytes));
        self.line.1.push(words);
    }

    fn end(&mut self) {
        let (bytes, words) = std::mem::take(&mut self.line);
        if !bytes.is_empty() {
            self.lines.push((bytes.join(" "), words.join(", ")));
        }
    }

    /// A field of so many bytes whose digits speak for themselves.
    fn raw(&mut self, count: usize, name: &str) -> u64 {
        let bytes = self.take(count);
        self.note(bytes, name.to_string());
        number(bytes)
    }

    /// A small number of so many bytes.
    fn small(&mut self, count: usize, name: &str) -> u64 {
        let bytes = self.take(count);
        self.note(bytes, format!("{name} {}", number(bytes)));
        number(bytes)
    }

    fn count(&mut self, name: &str) -> u32 {
        let (value, bytes) = self.varint();
        self.note(bytes, format!("{name} {value}"));
        value
    }

    fn text(&mut self, count: usize, name: &str) {
        let bytes = self.take(count);
        self.note(bytes, format!("{name} {:?}", String::from_utf8_lossy(bytes)));
    }

    fn head(&mut self) {
        self.raw(1, "form");
        self.raw(2, "cluster");
        self.raw(4, "check");
        self.small(8, "sender");
        self.raw(3, "tag");
        self.count("incarnation");
        self.end();
    }

    fn frame(&mut self) {
        let kind = self.take(1)[0];
        self.note(&[kind], name(kind).to_string());
        let len = self.count("length") as usize;
        self.end();
        let behind = &self.rest[len..];
        self.rest = &self.rest[..len];
        self.body(kind);
        self.end();
        assert!(self.rest.is_empty(), "{} bytes are left of a {}", self.rest.len(), name(kind));
        self.rest = behind;
    }

    fn body(&mut self, kind: u8) {
        match name(kind) {
            "ping" => self.roots(),
            "ack" if self.rest.len() == 4 => {
                self.raw(4, "number");
            }
            "ack" => self.roots(),
            "ask" => {
                self.raw(4, "question");
                self.small(8, "target");
                self.small(4, "microseconds");
            }
            "verdict" => {
                self.raw(4, "question");
                self.small(8, "target");
                self.small(1, "word");
            }
            "news" | "claim" => self.records(),
            "list" => self.sums(4, "short id"),
            "sums" => {
                self.small(1, "of what");
                self.sums(2, "sum");
            }
            "diff" => {
                self.range();
                let len = self.small(1, "bytes of bits");
                self.raw(len as usize, "bits");
                self.records();
            }
            "join" => {
                self.raw(4, "number");
                self.raw(8, "cookie");
                self.small(1, "oldest version");
                self.small(1, "newest");
                self.records();
            }
            "welcome" => {
                self.raw(4, "number");
                self.small(1, "answer");
                self.raw(8, "cookie");
                self.records();
            }
            "leave" | "leave-ack" | "fetched" => {
                self.raw(4, "number");
            }
            "introduce" => {
                self.raw(8, "cookie");
            }
            "hand" => {
                let number = self.raw(4, "number");
                self.raw(4, "low");
                self.raw(4, "high");
                match number & 3 {
                    1 => self.records(),
                    2 => self.piece(),
                    3 => self.chunk(),
                    other => panic!("nothing of kind {other} is handed out"),
                }
            }
            "hand-ack" => {
                let number = self.raw(4, "number");
                self.small(1, "passes it on");
                if number & 3 == 3 {
                    self.count("version here");
                }
            }
            "parts" => {
                self.range();
                self.small(1, "logarithm of the parts");
                self.raw(4, "bits");
            }
            other => self.body_of_a_log(other),
        }
    }

    fn body_of_a_log(&mut self, kind: &str) {
        match kind {
            "give" => self.piece(),
            "pull" => self.pull(),
            "lack" => {
                self.pull();
                self.small(4, "oldest");
                self.small(4, "newest");
            }
            "have" => {
                self.range();
                self.small(1, "answer");
                while !self.rest.is_empty() {
                    self.end();
                    self.origin("id");
                    for name in ["broadcasts", "bulk", "vital"] {
                        self.count(name);
                    }
                }
            }
            "direct" => {
                self.raw(4, "number");
                self.part();
            }
            "direct-ack" => {
                self.raw(4, "number");
                self.small(1, "piece");
                self.small(1, "taken");
            }
            "fetch" => self.fetch(),
            "given" => self.chunk(),
            other => panic!("no layout of {other}"),
        }
    }

    fn roots(&mut self) {
        self.raw(4, "number");
        self.raw(4, "membership root");
        self.raw(2, "progress root");
    }

    fn range(&mut self) {
        self.raw(8, "low");
        self.raw(8, "high");
    }

    fn sums(&mut self, size: usize, name: &str) {
        self.range();
        self.raw(4, "salt");
        self.end();
        while !self.rest.is_empty() {
            self.raw(size, name);
        }
    }

    fn records(&mut self) {
        while !self.rest.is_empty() {
            self.end();
            self.record();
        }
    }

    fn record(&mut self) {
        let flags = self.take(1)[0];
        let status = ["alive", "down", "left"][usize::from(flags & 3)];
        self.note(&[flags], format!("record: {status}, patience {}", flags >> 2 & 0xf));
        self.small(8, "id");
        self.count("generation");
        self.raw(4, "nonce");
        self.count("incarnation");
        let (variant, first) = self.varint();
        assert_eq!(variant, 0, "an address of IPv4");
        let ip = self.take(4);
        let (port, last) = self.varint();
        self.note(&[first, ip, last].concat(), format!("{}.{}.{}.{}:{port}", ip[0], ip[1], ip[2], ip[3]));
        if flags & 1 << 6 != 0 {
            let len = self.count("extension");
            let behind = &self.rest[len as usize..];
            self.rest = &self.rest[..len as usize];
            self.raw(4, "topics");
            if !self.rest.is_empty() {
                self.count("broadcasts");
            }
            assert!(self.rest.is_empty(), "this version says no more");
            self.rest = behind;
        }
        if flags & 1 << 7 != 0 {
            self.small(8, "juror");
            self.small(8, "juror");
            self.raw(4, "question");
        }
    }

    fn origin(&mut self, name: &str) {
        self.small(8, name);
        self.raw(3, "tag");
    }

    fn pull(&mut self) {
        self.raw(4, "number");
        self.origin("origin");
        self.small(4, "first");
        self.raw(8, "bits");
    }

    fn piece(&mut self) {
        self.end();
        self.origin("origin");
        self.count("number");
        self.part();
    }

    fn part(&mut self) {
        let form = self.raw(1, "form");
        self.raw(4, "topic");
        if form & 2 != 0 {
            self.small(1, "piece");
            self.small(1, "pieces");
            self.count("length of the whole");
        }
        self.text(self.rest.len(), "payload");
    }

    fn chunk(&mut self) {
        self.end();
        self.origin("owner");
        let flags = self.raw(1, "flags");
        let from = self.count("from");
        for name in ["to: from +", "as of: to +", "newest: to +", "floor"] {
            self.count(name);
        }
        self.end();
        let mut version = from;
        while !self.rest.is_empty() {
            if flags & 2 != 0 {
                let len = self.small(1, "length of the key");
                self.text(len as usize, "key");
                self.count("length of the whole");
                self.small(1, "pieces");
                self.small(1, "piece");
                return self.text(self.rest.len(), "bytes");
            }
            let (above, bytes) = self.varint();
            version += above;
            self.note(bytes, format!("version {version}"));
            let first = self.raw(1, "length of the key");
            self.text(first as usize & 0x7f, "key");
            if first & 0x80 == 0 {
                let len = self.count("length");
                self.text(len as usize, "value");
            }
            self.end();
        }
    }

    fn fetch(&mut self) {
        self.raw(4, "number");
        while !self.rest.is_empty() {
            self.end();
            self.origin("id");
            let flags = self.raw(1, "flags");
            for (log, name) in ["bulk", "vital"].into_iter().enumerate() {
                self.count(name);
                if flags >> (2 + log) & 1 != 0 {
                    self.count("pieces of version");
                    self.raw(8, "bits");
                }
            }
        }
    }
}
