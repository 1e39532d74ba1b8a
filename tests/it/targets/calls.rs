//! A script of bytes makes any calls of a few nodes, in any order and with any arguments (law 1), always on both
//! storages at once (law 6).
//!
//! `datagrams.rs` drives its nodes as a caller should, and has a network be bad to them. Here it is the caller that is
//! bad: it polls or forgets to, with a buffer of any size, hands in what was meant for others, and has no clock.

use std::time::Duration;

use tidings::{Class, Config, FixedNode, Instant, NodeId, SendFailure, SetOptions, Topic};

use super::forge;
use super::forged;
use super::pair::{Datagram, MEMBERS, Pair};
use super::script::Script;

const CLUSTER: &str = "fuzz";
const NODES: usize = 3;
/// Calls in one script, so that no script takes long.
const PATIENCE: u32 = 400;
/// What nodes have sent and may be handed in; beyond, the oldest is forgotten.
const SENT: usize = 32;
/// What is said is some of it.
const PAYLOAD: [u8; 1_200] = [0x5a; 1_200];
/// One of them too long, and one empty.
const KEYS: [&str; 6] = ["a", "b", "health", "address/of/somebody", "", LONG];
const LONG: &str = "a key of more bytes than there is room for in any datagram of any size";
const PREFIXES: [&str; 6] = ["", "a", "b", "health", "ad", LONG];
/// So late that deadlines may saturate, and "later than now" is no longer to be had.
const END_OF_TIME: Instant = Instant::from_micros(u64::MAX - (1 << 50));

/// Runs a script.
pub fn run(script: &[u8]) {
    let mut script = Script::new(script);
    let mut caller = Caller::new(&mut script);
    while caller.patience > 0 && !script.is_empty() {
        caller.step(&mut script);
    }
    // Whatever they have been through, once drained they are quiet.
    for pair in &mut caller.nodes {
        settle(pair);
    }
}

/// Drains a node as a caller should. Its next deadline then lies ahead, or whoever waits for it would spin.
fn settle(pair: &mut Pair) -> Vec<Datagram> {
    let now = pair.fixed.now();
    let mut sent = pair.drain();
    if pair.fixed.poll_timeout() <= now {
        both!(pair, node => node.handle_timeout(now));
        sent.extend(pair.drain());
    }
    let due = pair.fixed.poll_timeout();
    assert!(due > now || now >= END_OF_TIME, "due at {due}, but it is {now} and everything has been done");
    sent
}

/// One call, and its arguments but for the time.
#[derive(Clone, Debug)]
enum Call {
    Start {
        id: u64,
        addr: u16,
        seed: u64,
    },
    Join(u16),
    ForgetSeed(u16),
    Leave,
    SetConfig(Config),
    SetAddr(u16),
    HandleDatagram {
        from: u16,
        bytes: Vec<u8>,
    },
    HandleTimeout,
    HandleSendError(u16, SendFailure),
    PollTransmit {
        room: usize,
    },
    /// Has the node polled with buffers of any size from now on, drawn from this, or of the size that is due.
    Cramp(u64),
    PollEvent,
    Settle,
    /// Broadcasts, or asks all.
    Say {
        topic: Topic,
        len: usize,
        asks: bool,
    },
    /// Sends to one, or asks it, or sends to some.
    Send {
        to: u64,
        topic: Topic,
        len: usize,
        how: u8,
    },
    Listen {
        topic: Topic,
        how: u8,
    },
    /// Writes a key of its own map.
    Set {
        key: usize,
        len: usize,
        options: SetOptions,
    },
    Delete {
        key: usize,
    },
    /// Has changes told that begin with this key, or no more.
    Watch {
        prefix: usize,
        how: u8,
    },
    /// Reads all there is of a member's map.
    Read {
        owner: u64,
    },
    /// Writes its map down and brings it back, with a byte of it changed.
    Keep {
        place: u8,
        byte: u8,
    },
}

impl Call {
    /// Makes the call; what was sent.
    fn make(&self, now: Instant, pair: &mut Pair) -> Vec<Datagram> {
        match *self {
            Call::Start { id, addr, seed } => pair.start(now, id, addr, seed),
            Call::Join(seed) => pair.join(now, seed),
            Call::ForgetSeed(seed) => _ = both!(pair, node => node.forget_seed(now, seed)),
            Call::Leave => both!(pair, node => node.leave(now)),
            Call::SetConfig(config) => {
                let before = *pair.fixed.config();
                let taken = both!(pair, node => node.set_config(now, config)).is_ok();
                assert_eq!(*pair.fixed.config(), if taken { config } else { before });
            }
            Call::SetAddr(addr) => both!(pair, node => node.set_addr(now, addr).unwrap()),
            Call::HandleDatagram { from, ref bytes } => {
                both!(pair, node => node.handle_datagram(now, from, &mut bytes.clone()));
            }
            Call::HandleTimeout => both!(pair, node => node.handle_timeout(now)),
            Call::HandleSendError(to, error) => both!(pair, node => node.handle_send_error(now, to, error)),
            Call::Cramp(from) => pair.cramped = (from > 0).then_some(from),
            Call::PollTransmit { room } => return pair.poll_transmit(room).into_iter().collect(),
            Call::PollEvent => _ = pair.poll_event(),
            Call::Settle => return settle(pair),
            Call::Say { topic, len, asks: false } => {
                _ = both!(pair, node => node.broadcast(now, topic, &PAYLOAD[..len]))
            }
            Call::Say { topic, len, asks: true } => {
                _ = both!(pair, node => node.ask(now, topic, &PAYLOAD[..len], 2, Duration::from_millis(len as u64)));
            }
            Call::Send { to, topic, len, how } => {
                _ = match how {
                    0 => both!(pair, node => node.spread(now, topic, &PAYLOAD[..len], to as usize)),
                    1 => {
                        both!(pair, node => node.ask_one(now, NodeId::new(to), topic, &PAYLOAD[..len], Duration::ZERO))
                    }
                    _ => both!(pair, node => node.send(now, NodeId::new(to), topic, &PAYLOAD[..len])),
                }
            }
            Call::Listen { topic, how: 0 } => both!(pair, node => node.unsubscribe(now, topic)),
            Call::Listen { topic, how: 1 } => _ = both!(pair, node => node.subscribe_in_order(now, topic)),
            Call::Listen { topic, .. } => _ = both!(pair, node => node.subscribe(now, topic)),
            ref of_maps => of_maps.make_of_maps(now, pair),
        }
        Vec::new()
    }

    /// The same of those that have to do with maps.
    fn make_of_maps(&self, now: Instant, pair: &mut Pair) {
        match *self {
            Call::Set { key, len, options } => {
                let set = both!(pair, node => node.set_with(now, KEYS[key], &PAYLOAD[..len], options));
                if set.is_ok() && pair.fixed.now() <= now {
                    let held = both!(pair, node => node.get(node.id(), KEYS[key]).map(<[u8]>::to_vec));
                    assert!(held.is_none_or(|held| held == PAYLOAD[..len]), "what was set is there, or has run out");
                }
            }
            Call::Delete { key } => {
                let deleted = both!(pair, node => node.delete(now, KEYS[key]));
                let held = both!(pair, node => node.get(node.id(), KEYS[key]).is_some());
                assert!(!held || deleted.is_err(), "what was deleted is not there");
            }
            Call::Watch { prefix, how: 0 } => both!(pair, node => node.unwatch(PREFIXES[prefix])),
            Call::Watch { prefix, .. } => _ = both!(pair, node => node.watch(PREFIXES[prefix])),
            Call::Read { owner } => {
                let owner = NodeId::new(owner);
                let entries = both!(pair, node => {
                    let entries = node.entries(owner);
                    entries.map(|entry| (entry.key().to_owned(), entry.value().to_vec(), entry.version())).collect::<Vec<_>>()
                });
                for (key, value, version) in &entries {
                    let found = pair.fixed.entry(owner, key).map(|entry| (entry.value(), entry.version()));
                    let moves = entries.iter().filter(|(other, ..)| other == key).count() > 1;
                    assert!(found == Some((value, *version)) || moves, "each key is found, the one that counts");
                }
                both!(pair, node => (node.owners().collect::<Vec<_>>(), node.keys().count()));
            }
            Call::Keep { place, byte } => {
                let kept = both!(pair, node => {
                    let mut buf = vec![0; node.export_len()];
                    assert_eq!(node.export(&mut buf), Some(buf.len()));
                    buf
                });
                assert_eq!(both!(pair, node => node.import(now, &kept)), Ok(0), "all is there");
                let mut changed = kept;
                if let Some(place) = usize::from(place).checked_rem(changed.len()) {
                    changed[place] ^= byte;
                }
                _ = both!(pair, node => node.import(now, &changed));
            }
            ref other => unreachable!("{other:?} has nothing to do with maps"),
        }
    }
}

struct Caller {
    nodes: [Pair; NODES],
    sent: Vec<Datagram>,
    patience: u32,
}

impl Caller {
    /// Nodes that are yet to be started, or that know of the first of them and have been.
    fn new(script: &mut Script<'_>) -> Self {
        let started = script.byte() & 1 == 0;
        let config = any_config(Config::LAN, script).unwrap_or(Config::LAN).with_cluster(CLUSTER);
        let nodes = std::array::from_fn(|_| Pair::new(config));
        let mut caller = Caller { nodes, sent: Vec::new(), patience: PATIENCE };
        for (addr, pair) in (0..).zip(&mut caller.nodes).filter(|_| started) {
            pair.join(Instant::ZERO, 0);
            pair.start(Instant::ZERO, 1 + u64::from(addr), addr, addr.into());
            caller.sent.extend(settle(pair));
        }
        caller
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        let (operation, node) = (choice & 31, usize::from(choice >> 5) % NODES);
        let (at, call) = match operation {
            0..=3 => return self.converse(script.byte() & 15),
            4..=15 => self.any_delivery(node, script),
            _ => (node, self.any_call(operation, node, script)),
        };
        let now = any_time(&self.nodes[at].fixed, script);
        self.perform(at, now, &call);
    }

    fn perform(&mut self, at: usize, now: Instant, call: &Call) {
        if cfg!(test) {
            println!("node {at} at {now}: {call:?}");
        }
        self.patience = self.patience.saturating_sub(1);
        let mut punctual = self.nodes[at].clone();
        let sent = call.make(now, &mut self.nodes[at]);
        call.make(now.max(punctual.fixed.now()), &mut punctual);
        let same = punctual.fixed == self.nodes[at].fixed && punctual.heap == self.nodes[at].heap;
        assert!(same, "law 2: an older now counts as the newest seen");
        self.nodes[at].compare();
        self.sent.extend(sent);
        self.sent.drain(..self.sent.len().saturating_sub(SENT));
    }

    /// Delivers what was sent last, and so on with what that has led to: the way into a cluster, and deep into it.
    fn converse(&mut self, turns: u8) {
        for _ in 0..turns {
            let Some(Datagram { from, to, bytes }) = self.sent.pop() else { return };
            let Some(at) = self.node_at(to) else { continue };
            let now = self.nodes[at].fixed.now();
            self.perform(at, now, &Call::HandleDatagram { from, bytes });
            self.perform(at, now, &Call::Settle);
        }
    }

    fn node_at(&self, addr: u16) -> Option<usize> {
        self.nodes.iter().position(|pair| pair.fixed.addr() == Some(addr))
    }

    fn any_call(&mut self, operation: u8, at: usize, script: &mut Script<'_>) -> Call {
        match operation {
            16 => Call::Start { id: any_id(script), addr: any_addr(script), seed: script.number(2) },
            17 => match script.byte() {
                0xff => Call::Join(script.word()),
                byte @ 0xf0.. => Call::ForgetSeed((byte & 15).into()),
                byte => Call::Join((byte & 15).into()),
            },
            18 => Call::Leave,
            19 => match any_config(*self.nodes[at].fixed.config(), script) {
                Some(config) => Call::SetConfig(config),
                None => Call::HandleTimeout,
            },
            20 => Call::SetAddr(any_addr(script)),
            21 => Call::HandleSendError(any_addr(script), SendFailure::Local),
            22 => Call::HandleSendError(any_addr(script), SendFailure::Unreachable),
            23 => Call::PollTransmit { room: script.byte().into() },
            24 => match script.word() {
                room @ 0..0x8000 => Call::PollTransmit { room: room.into() },
                from => Call::Cramp(u64::from(from & 0xff)),
            },
            25 => Call::PollEvent,
            26 => Call::HandleTimeout,
            27 => any_call_of_maps(script),
            28 => Call::Say { topic: any_topic(script), len: any_len(script), asks: script.byte() & 3 == 0 },
            29 => {
                let (to, topic) = (any_id(script), any_topic(script));
                Call::Send { to, topic, len: any_len(script), how: script.byte() & 3 }
            }
            30 => Call::Listen { topic: any_topic(script), how: script.byte() & 3 },
            _ => Call::Settle,
        }
    }

    /// Something that a node has sent, for whom it was meant or for this node, perhaps changed; or any bytes.
    fn any_delivery(&self, at: usize, script: &mut Script<'_>) -> (usize, Call) {
        let (choice, change) = (usize::from(script.byte()), script.byte());
        if change & 15 == 5 {
            let members: Vec<_> = self.nodes[at].fixed.members().collect();
            let bytes = forged::datagram(CLUSTER, self.nodes[at].tag(), &members, script);
            return (at, Call::HandleDatagram { from: any_addr(script), bytes });
        }
        let sent = self.sent.get(choice % self.sent.len().max(1)).filter(|_| change & 15 != 0);
        let Datagram { mut from, to, mut bytes } = sent.cloned().unwrap_or_else(|| {
            let (from, form) = (any_addr(script), forge::VERSION | script.byte());
            let bytes = forge::sealed(forge::cluster(CLUSTER), form, 0, script.bytes(choice & 63));
            Datagram { from, to: 0, bytes }
        });
        match change & 15 {
            1 => {
                let place = usize::from(script.byte()) % bytes.len();
                bytes[place] ^= script.byte();
            }
            2 => bytes.truncate(script.byte().into()),
            3 => from = any_addr(script),
            _ => {}
        }
        let at = self.node_at(to).filter(|_| change & 0x40 == 0).unwrap_or(at);
        if change & 0x80 != 0 {
            forge::seal(&mut bytes, forge::cluster(CLUSTER), self.nodes[at].tag());
        }
        (at, Call::HandleDatagram { from, bytes })
    }
}

/// A time for the next call: mostly one that makes sense.
fn any_time(node: &FixedNode<MEMBERS, u16>, script: &mut Script<'_>) -> Instant {
    let (now, due) = (node.now().as_micros(), node.poll_timeout());
    Instant::from_micros(match script.byte() & 15 {
        0..=7 => now,
        8..=10 if due < Instant::FAR_FUTURE => due.as_micros(),
        11 if due < Instant::FAR_FUTURE => due.as_micros().saturating_sub(1),
        12 => now.saturating_sub(script.magnitude()),
        13 => script.number(8),
        // Up to some 12 days.
        _ => now.saturating_add(script.magnitude() & 0xff_ffff_ffff),
    })
}

fn any_call_of_maps(script: &mut Script<'_>) -> Call {
    let (choice, key) = (script.byte(), usize::from(script.byte()) % KEYS.len());
    match choice & 7 {
        0..=2 => {
            let class = [Class::Bulk, Class::Bulk, Class::Vital, Class::Local][usize::from(choice >> 3 & 3)];
            let options = SetOptions::DEFAULT.with_class(class);
            let ttl = Duration::from_micros(script.magnitude());
            let options = if choice & 0x80 == 0 { options } else { options.with_ttl(ttl) };
            Call::Set { key, len: any_len(script), options }
        }
        3 => Call::Delete { key },
        4 => Call::Watch { prefix: key % PREFIXES.len(), how: choice >> 3 & 3 },
        5 | 6 => Call::Read { owner: any_id(script) },
        _ => Call::Keep { place: script.byte(), byte: choice >> 3 },
    }
}

fn any_topic(script: &mut Script<'_>) -> Topic {
    Topic::new(u32::from(script.byte() & 0x1f))
}

/// Of a payload: short, of some pieces, or more than any node takes.
fn any_len(script: &mut Script<'_>) -> usize {
    (usize::from(script.word()) % (PAYLOAD.len() + 1)) >> (script.byte() & 7)
}

/// Few, so that nodes meet, and meet others of the same id; 0 is also what a node says before it is started.
fn any_id(script: &mut Script<'_>) -> u64 {
    match script.byte() {
        0xff => script.number(8),
        byte => u64::from(byte & 3),
    }
}

/// Few, so that nodes find each other, but more than the seeds that a node keeps.
fn any_addr(script: &mut Script<'_>) -> u16 {
    match script.byte() {
        0xff => script.word(),
        byte => u16::from(byte & 15),
    }
}

/// Some settings of `config` changed to anything that the builder accepts.
fn any_config(config: Config, script: &mut Script<'_>) -> Option<Config> {
    let (choice, which) = (script.byte(), script.word());
    let preset = [config, config, Config::LAN, Config::LOCAL, Config::WAN, Config::LOW_POWER, config, config];
    let mut builder = Config::builder(preset[usize::from(choice & 7)].with_cluster(CLUSTER));
    let mut time = || Duration::from_micros(script.magnitude());
    let changed = |setting: u16| which & 1 << setting != 0;
    if changed(0) {
        builder = builder.probe_period(time());
    }
    if changed(1) {
        builder = builder.first_retry(time());
    }
    if changed(2) {
        builder = builder.suspicion(time());
    }
    if changed(3) {
        builder = builder.gossip_gap(time());
    }
    if changed(4) {
        builder = builder.dead_probe_period(time());
    }
    if changed(5) {
        builder = builder.leave_timeout(time());
    }
    if changed(6) {
        builder = builder.patience(time());
    }
    if changed(7) {
        builder = builder.fanout(script.byte());
    }
    if changed(8) {
        builder = builder.max_datagram(script.word().into());
    }
    if changed(9) {
        builder = builder.byte_budget(script.magnitude() as u32);
    }
    if choice == 0xff {
        // Which is more than a running node may change.
        builder = builder.cluster("another");
    }
    builder.build().ok()
}
