//! PROTOCOL.md: its layout is that of `src/wire/mod.rs`, and its vectors are datagrams that nodes send.
//!
//! `BLESS=1 cargo test --test it protocol::` writes both again. A vector is read here by a reader of its own, written from the
//! layout and from nothing else of the crate, which must come to the end of every frame; and by the crate's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use tidings::internals::{forge, reading};
use tidings::sim::{Conditions, Sim};
use tidings::{Config, HeapNode, Instant, Limits, NodeId, Topic};

use crate::common::golden::{bless, checkout};
use crate::common::scan::{self, Scan, hex};

const CLUSTER: &str = "example";
const TOPIC: Topic = Topic::from_name("alarms");
/// More than are listed at once.
const MANY: usize = 90;
const MILLIS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Cluster = Sim<HeapNode<SocketAddr>>;

/// The part of PROTOCOL.md between two lines must be this text.
fn compare(part: &str, text: &str) {
    let path = checkout("PROTOCOL.md");
    let page = fs::read_to_string(&path).expect("PROTOCOL.md can be read");
    let (begin, end) = (format!("<!-- {part}: written by a test -->\n"), format!("<!-- end of {part} -->"));
    let (head, rest) = page.split_once(&begin).expect("the part begins");
    let (held, tail) = rest.split_once(&end).expect("the part ends");
    let text = format!("\n{}\n\n", text.trim_end());
    if held != text && bless() {
        return fs::write(&path, format!("{head}{begin}{text}{end}{tail}")).expect("PROTOCOL.md can be written");
    }
    let first = held.lines().zip(text.lines()).find(|(held, now)| held != now);
    assert!(held == text, "{part} of PROTOCOL.md: {first:?}; if that is meant, run the test with BLESS=1");
}

#[test]
fn the_layout_in_the_protocol_is_that_of_the_code() {
    let source = fs::read_to_string(checkout("src/wire/mod.rs")).expect("the source can be read");
    let header = source.lines().map_while(|line| line.strip_prefix("//!")).skip(2);
    let layout: String = header.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
    compare("layout", &layout);
}

#[test]
fn the_hashes_in_the_protocol_are_those_of_the_crate() {
    let (name, topic, cluster) = ("db-7", "alarms", forge::cluster(CLUSTER));
    assert_eq!(forge::id(name), NodeId::from_name(name).get());
    let tag = forge::tag(forge::id(name), 3, 0x0102_0304);
    assert_eq!(tag, reading::tag(forge::id(name), (3, 0x0102_0304)));
    let rows = [
        ("`mix(1)`".into(), format!("{:016x}", forge::mix(1))),
        (format!("the key of the cluster `{CLUSTER}`"), format!("{cluster:016x}")),
        ("the same in a datagram".into(), hex(&forge::cluster_tag(cluster))),
        (format!("the id of the name `{name}`"), NodeId::from_name(name).to_string()),
        (format!("the topic of the name `{topic}`"), format!("{:08x}", TOPIC.get())),
        (format!("the tag of `{name}`, generation 3, nonce 01020304"), format!("{tag:06x}")),
        ("the roots in a ping of number 7: fingerprint of members 5, of progress 0".into(), hex(&forge::roots(5, 7))),
    ];
    let rows: String = rows.iter().map(|(what, value)| format!("| {what} | `{value}` |\n")).collect();
    compare("hashes", &format!("| value | hexadecimal |\n|---|---|\n{rows}"));
}

fn node(host: usize, config: Config) -> HeapNode<SocketAddr> {
    let limits = Limits::DEFAULT.with_members(2 * MANY).with_broadcast_bytes(8 << 10).with_state_bytes(64 << 10);
    let mut node = HeapNode::new(config.with_cluster(CLUSTER), limits);
    if host > 0 {
        node.subscribe(Instant::ZERO, TOPIC).expect("it listens to nothing yet");
    }
    node
}

/// A story in which every kind of frame is sent, and the tags of all lives in it.
struct Story {
    sim: Cluster,
    tags: BTreeSet<u32>,
}

impl Story {
    fn run(&mut self, time: Duration) {
        let end = self.sim.now() + time;
        while self.sim.now() < end {
            self.sim.run_for(time.min(20 * MILLIS));
            for host in 0..self.sim.hosts() {
                let node = self.sim.machine(host);
                let myself = node.and_then(|node| node.member(node.id()));
                let tag = |id: NodeId, life: tidings::Life| forge::tag(id.get(), life.generation(), life.nonce());
                self.tags.extend(myself.map(|myself| tag(myself.id(), myself.life())));
            }
        }
    }

    fn say(&mut self, host: usize, count: u8) {
        for number in 0..count {
            self.sim.with(host, |node, now| {
                let _ = node.broadcast(now, TOPIC, &[b'a' + number % 26]);
                let _ = node.set(now, "k", &[b'a' + number % 26]);
            });
            self.run(20 * MILLIS);
        }
    }

    fn begun(seed: u64, hosts: usize, gap: Duration, config: Config) -> Story {
        let mut sim = Sim::new(seed, Conditions::LAN);
        sim.record_transcript();
        let mut story = Story { sim, tags: BTreeSet::from([0]) };
        for host in 0..hosts {
            story.sim.add(node(host, config));
            story.sim.start(host, &[0, 1]);
            story.run(gap);
        }
        story.run(3 * SECOND);
        story
    }

    /// So many members that two tables are compared by sums before they are listed: they differ by what happened on the
    /// other side of a partition.
    fn of_large_tables() -> Story {
        let mut story = Story::begun(7, MANY, MILLIS, Config::LAN);
        (0..8).for_each(|host| story.sim.set_side(host, 1));
        story.run(5 * SECOND);
        story.sim.heal();
        story.run(4 * SECOND);
        story
    }

    fn told(seed: u64) -> Story {
        let mut story = Story::begun(seed, 6, 200 * MILLIS, Config::LAN);
        story.say(1, 2);
        let id = story.sim.id(2);
        story.sim.with(1, |node, now| {
            let _ = node.send(now, id, TOPIC, b"hello");
        });
        story.run(SECOND);
        story.sim.set_conditions(Conditions::LAN.with_loss(0.3));
        story.say(1, 60);
        story.sim.set_conditions(Conditions::LAN);
        story.sim.set_side(4, 1);
        story.sim.set_side(5, 1);
        story.say(2, 40);
        story.run(8 * SECOND);
        story.sim.heal();
        story.run(15 * SECOND);
        story.sim.crash(3);
        story.run(6 * SECOND);
        story.sim.restart(3, node(3, Config::LAN), &[0, 1]);
        story.run(2 * SECOND);
        story.sim.with(5, |node, now| node.set_addr(now, "10.0.0.99:7400".parse().unwrap()).unwrap());
        story.run(SECOND);
        story.sim.leave(4);
        story.run(2 * SECOND);
        story
    }

    fn datagrams(&self) -> impl Iterator<Item = Vec<u8>> {
        let sent = self.sim.transcript().lines().filter(|line| line.contains("->"));
        let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        sent.map(move |line| line.rsplit(' ').next().unwrap().as_bytes().chunks(2).map(byte).collect())
    }
}

/// How long a frame is that has something in it: a list of nothing says little.
fn least(kind: &str) -> usize {
    match kind {
        "list" => 24,
        "diff" => 18,
        _ => 0,
    }
}

/// The shortest datagram with each kind of frame, as alone as may be, and in which story it is.
fn shortest(stories: &[Story]) -> BTreeMap<scan::Kind, (usize, Vec<u8>)> {
    let rank = |bytes: &[u8]| (Scan::frames(bytes).count(), bytes.len());
    let mut found: BTreeMap<scan::Kind, (usize, Vec<u8>)> = BTreeMap::new();
    for (at, story) in stories.iter().enumerate() {
        for datagram in story.datagrams() {
            for (kind, _) in Scan::frames(&datagram).filter(|(kind, len)| *len >= least(scan::name(kind.0))) {
                if found.get(&kind).is_none_or(|(_, held)| rank(&datagram) < rank(held)) {
                    found.insert(kind, (at, datagram.clone()));
                }
            }
        }
    }
    found
}

#[test]
fn the_vectors_in_the_protocol_are_what_nodes_send_and_read() {
    let stories: Vec<Story> = (1..=3).map(Story::told).chain([Story::of_large_tables()]).collect();
    let found = shortest(&stories);
    let missing: Vec<String> =
        scan::kinds().into_iter().filter(|kind| !found.contains_key(kind)).map(scan::title).collect();
    assert!(missing.is_empty(), "nobody sends these: {missing:?}");
    let (cluster, mut text) = (forge::cluster(CLUSTER), String::new());
    for (kind, (at, datagram)) in &found {
        let sealed_for = |tag: &&u32| {
            let mut sealed = datagram.clone();
            forge::seal(&mut sealed, cluster, **tag);
            sealed == *datagram
        };
        let tag = *stories[*at].tags.iter().find(sealed_for).expect("it is sealed for one of the lives, or for anyone");
        let name = scan::title(*kind);
        let whom = if tag == 0 { "anyone".into() } else { format!("the life with tag {tag:06x}") };
        let _ = write!(text, "**{name}**, sealed for {whom}:\n\n```text\n{}\n```\n\n", Scan::words(datagram));
        let read = reading::read::<SocketAddr>(datagram, CLUSTER, tag).expect("a node takes it");
        let kinds: Vec<&str> = Scan::frames(datagram).map(|((kind, _), _)| scan::name(kind)).collect();
        assert_eq!(read.kinds.len(), kinds.len(), "{name}: {:?} and {kinds:?}", read.kinds);
        let alike =
            |(ours, theirs): (&&str, &&str)| ours == theirs || ["other", "heard", "silent", "busy"].contains(ours);
        assert!(read.kinds.iter().zip(&kinds).all(alike), "{name}: {:?} and {kinds:?}", read.kinds);
    }
    compare("vectors", &text);
}
