//! A script of bytes has three nodes with little room send, broadcast, ask and answer, over a network that loses,
//! repeats, reorders and cuts what they say, and with a peer that forges frames of messages in anybody's name. Their
//! applications read what they are told now and then.
//!
//! What must hold of the telling is in `messages/reader.rs`. Here it is that nothing panics, that polling twice changes
//! nothing, and that nobody spins.

mod reader;

use std::collections::VecDeque;
use std::time::Duration;

use tidings::sim::SimRng;
use tidings::{Config, DropReason, FixedNode, HeapNode, Instant, Limits, NodeId, Phase, Question, Topic};

use super::forge;
use super::pair::{Datagram, tag_of};
use super::script::Script;
use reader::{Reader, Said};

const CLUSTER: &str = "fuzz";
const NODES: usize = 3;
const MEMBERS: usize = 8;
const LONGEST_SCRIPT: usize = 400;
/// Events of the simulated network in one script, so that no script takes long.
const PATIENCE: u32 = 3_000;
/// Datagrams on their way at a time; beyond, the network drops the oldest.
const IN_FLIGHT: usize = 64;
/// More datagrams than any one call can make a node send.
const BURST: usize = 512;
/// Few, so that nodes listen to what others say; the last is nobody's.
const TOPICS: [Topic; 4] = [Topic::new(1), Topic::new(2), Topic::new(3), Topic::new(4)];

/// A node with one kind of room or another.
#[derive(Clone, PartialEq)]
enum Any {
    Small(Box<FixedNode<MEMBERS, u16, 0, 256>>),
    Medium(Box<FixedNode<MEMBERS, u16, 0, 512>>),
    Large(Box<HeapNode<u16>>),
}

macro_rules! on {
    ($any:expr, $node:ident => $call:expr) => {
        match $any {
            Any::Small($node) => $call,
            Any::Medium($node) => $call,
            Any::Large($node) => $call,
        }
    };
}

/// A node and the application that it belongs to.
#[derive(Clone)]
struct Host {
    node: Any,
    reader: Reader,
}

#[derive(Clone)]
struct World {
    now: u64,
    hosts: Vec<Host>,
    flight: VecDeque<Datagram>,
    said: Said,
    patience: u32,
    starts: u64,
    /// There is a hostile peer; less can be checked then.
    hostile: bool,
    /// Buffers are of any size now and then; what they are is drawn from this.
    cramped: Option<u64>,
    /// Nodes restart and leave; what they say is numbered anew then.
    unsteady: bool,
}

/// Runs a script.
pub fn run(script: &[u8]) {
    let mut script = Script::new(script);
    let mut world = World::new(script.byte());
    for _ in 0..LONGEST_SCRIPT {
        if script.is_empty() {
            break;
        }
        world.step(&mut script);
    }
    // What is still under way comes or is given up.
    world.run_for(20_000_000);
    for at in 0..NODES {
        world.read(at, usize::MAX);
        world.settle(at);
        world.check_answers(at);
    }
}

impl World {
    fn new(kind: u8) -> Self {
        let most = [96, 127, 300, 1_200][usize::from(kind & 3)];
        let budget = if kind & 4 == 0 { 0 } else { 2_000 };
        let config = Config::LOCAL.with_cluster(CLUSTER).with_max_datagram(most).with_byte_budget(budget);
        let limits = Limits::DEFAULT.with_members(MEMBERS).with_broadcast_bytes(4_096);
        let nodes = [
            Any::Small(Box::new(FixedNode::new(config))),
            Any::Medium(Box::new(FixedNode::new(config))),
            Any::Large(Box::new(HeapNode::new(config, limits))),
        ];
        let hosts = nodes.map(|node| Host { node, reader: Reader::default() }).into();
        let (hostile, unsteady) = (kind & 0xc0 == 0x40, kind & 0xc0 == 0x80);
        let (flight, said) = (VecDeque::new(), Said::default());
        let mut world =
            World { now: 0, hosts, flight, said, patience: PATIENCE, starts: 0, hostile, cramped: None, unsteady };
        for at in 0..NODES {
            on!(&mut world.hosts[at].node, node => node.join(Instant::ZERO, 0)).expect("any number is an address");
            // Before they are members, so that all hear of it with them.
            world.subscribe(at, kind >> (3 + at) & 1, false);
            world.start(at);
        }
        world.run_for(400_000);
        world.patience = PATIENCE;
        world
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn start(&mut self, at: usize) {
        self.starts += 1;
        let (now, id, addr, seed) = (self.now(), NodeId::new(at as u64 + 1), at as u16, self.starts);
        on!(&mut self.hosts[at].node, node => node.start(now, id, addr, &mut SimRng::new(seed)).unwrap());
        self.hosts[at].reader.begin_anew();
        self.said.note_life(at, self.tag(at));
        self.settle(at);
    }

    /// The tag of a node's life.
    fn tag(&self, at: usize) -> u32 {
        on!(&self.hosts[at].node, node => node.member(node.id()).map_or(0, |myself| tag_of(&myself)))
    }

    fn subscribe(&mut self, at: usize, which: u8, ordered: bool) {
        let (now, topic) = (self.now(), TOPICS[usize::from(which) % (TOPICS.len() - 1)]);
        self.hosts[at].reader.note_subscription(topic, ordered);
        let room = on!(&mut self.hosts[at].node, node => match ordered {
            true => node.subscribe_in_order(now, topic),
            false => node.subscribe(now, topic),
        });
        room.expect("there is room for so few topics");
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let byte = script.byte();
        let (operation, at, twist) = (byte & 15, usize::from(byte >> 4 & 3) % NODES, byte & 0x40 != 0);
        match operation {
            0 => self.now += (u64::from(script.byte()) + 1) << if twist { 14 } else { 6 },
            1 => return self.tick_next(),
            2 | 3 => return self.run_for(2_000 * (1 + u64::from(script.byte()))),
            4..=6 => return self.disturb(operation, script),
            7 if self.hostile => self.forge(at, script),
            7 => return self.disturb(5, script),
            8 | 9 => self.broadcast(at, script),
            10 => self.send(at, script),
            11 => self.ask(at, twist, script),
            12 => self.answer(at, script),
            13 if twist => {
                let (now, topic) = (self.now(), TOPICS[usize::from(script.byte()) % TOPICS.len()]);
                on!(&mut self.hosts[at].node, node => node.unsubscribe(now, topic));
            }
            13 => {
                let choice = script.byte();
                self.subscribe(at, choice & 3, choice & 4 != 0);
            }
            14 => self.read(at, if twist { usize::MAX } else { script.byte().into() }),
            _ => self.upset(at, script.byte()),
        }
        self.settle(at);
    }

    /// What happens to a node as a whole.
    fn upset(&mut self, at: usize, choice: u8) {
        let now = self.now();
        match choice {
            0..16 if self.unsteady => self.start(at),
            16..24 if self.unsteady => on!(&mut self.hosts[at].node, node => node.leave(now)),
            24..64 => self.cramped = Some(choice.into()).filter(|_| choice != 24),
            _ => {
                let (most, wait) = ([96, 127, 300, 1_200][usize::from(choice & 3)], 100 << (choice >> 2 & 7));
                let config = on!(&self.hosts[at].node, node => *node.config());
                let config = config.with_max_datagram(most).with_delivery_timeout(Duration::from_millis(wait));
                on!(&mut self.hosts[at].node, node => node.set_config(now, config)).expect("the cluster is the same");
            }
        }
    }

    // What the applications say.

    /// A payload that was never sent before.
    fn payload(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        let choice = usize::from(script.byte());
        // As often short as long, up to more than there is room for.
        self.said.payload(if choice < 128 { choice & 31 } else { (choice - 128) * 12 })
    }

    fn broadcast(&mut self, at: usize, script: &mut Script<'_>) {
        let (now, topic, payload) = (self.now(), any_topic(script), self.payload(script));
        let sent = on!(&mut self.hosts[at].node, node => node.broadcast(now, topic, &payload));
        if let Ok(id) = sent {
            self.said.note_message(at, self.tag(at), id, topic, payload);
        }
    }

    fn send(&mut self, at: usize, script: &mut Script<'_>) {
        let choice = script.byte();
        let (now, topic, payload) = (self.now(), any_topic(script), self.payload(script));
        let sent = on!(&mut self.hosts[at].node, node => match choice {
            0xf0.. => node.spread(now, topic, &payload, usize::from(choice & 3)),
            _ => node.send(now, NodeId::new(1 + u64::from(choice & 3)), topic, &payload),
        });
        if let Ok(id) = sent {
            self.said.note_message(at, self.tag(at), id, topic, payload);
        }
    }

    fn ask(&mut self, at: usize, one: bool, script: &mut Script<'_>) {
        let choice = script.byte();
        let (now, topic, payload) = (self.now(), any_topic(script), self.payload(script));
        let (wanted, within) = (u32::from(choice & 3), Duration::from_millis(1 << (choice >> 4)));
        let id = on!(&mut self.hosts[at].node, node => match one {
            true => node.ask_one(now, NodeId::new(1 + u64::from(choice & 3)), topic, &payload, within).ok(),
            false => node.ask(now, topic, &payload, wanted, within).ok(),
        });
        if let Some(id) = id {
            self.said.note_question(at, self.tag(at), id, topic, payload);
            self.hosts[at].reader.note_asked(id);
        }
    }

    fn answer(&mut self, at: usize, script: &mut Script<'_>) {
        let choice = usize::from(script.byte());
        let (now, payload) = (self.now(), self.payload(script));
        let questions: &[Question] = self.hosts[at].reader.questions();
        let Some(question) = questions.get(choice % questions.len().max(1)).copied() else { return };
        if on!(&mut self.hosts[at].node, node => node.answer(now, question, &payload)).is_ok() {
            self.said.note_answer(at, payload);
        }
    }

    /// Reads so many events.
    fn read(&mut self, at: usize, most: usize) {
        let Host { node, reader } = &mut self.hosts[at];
        // A node that gets another id, or another life for it, numbers anew what is still to go.
        let tag = on!(&*node, node => node.member(node.id()).map_or(0, |myself| tag_of(&myself)));
        self.said.note_life(at, tag);
        for _ in 0..most {
            match on!(&mut *node, node => node.poll_event()) {
                Some(event) => reader.take(&event, at, &self.said),
                None => return,
            }
        }
    }

    // Time.

    fn due(&self, at: usize) -> u64 {
        on!(&self.hosts[at].node, node => node.poll_timeout()).as_micros()
    }

    fn tick_next(&mut self) {
        let Some((due, at)) = (0..NODES).map(|at| (self.due(at), at)).min() else { return };
        if due < u64::MAX {
            self.now = self.now.max(due);
            let now = self.now();
            on!(&mut self.hosts[at].node, node => node.handle_timeout(now));
            self.settle(at);
        }
    }

    /// Runs all nodes as good drivers would, on a network without faults.
    fn run_for(&mut self, time: u64) {
        let end = self.now + time;
        while self.patience > 0 {
            self.patience -= 1;
            if let Some(datagram) = self.flight.pop_front() {
                self.now += 100;
                self.deliver(datagram);
            } else if (0..NODES).all(|at| self.due(at) > end) {
                self.now = self.now.max(end);
                return;
            } else {
                self.tick_next();
            }
        }
    }

    // The network.

    /// Does something to one of the datagrams on their way.
    fn disturb(&mut self, operation: u8, script: &mut Script<'_>) {
        let choice = usize::from(script.byte());
        let which = choice % self.flight.len().max(1);
        let Some(mut datagram) = self.flight.remove(which) else { return };
        match operation {
            4 => return,
            5 => self.flight.push_back(datagram.clone()),
            _ if choice & 0x80 != 0 => datagram.bytes.truncate(script.byte().into()),
            _ => {}
        }
        self.deliver(datagram);
    }

    fn deliver(&mut self, datagram: Datagram) {
        let (now, at) = (self.now(), usize::from(datagram.to) % NODES);
        let Datagram { from, mut bytes, .. } = datagram;
        on!(&mut self.hosts[at].node, node => node.handle_datagram(now, from, &mut bytes));
        self.settle(at);
    }

    /// Takes out what a node has to send until there is no more. It must then be quiet, and its next deadline ahead.
    fn settle(&mut self, at: usize) {
        let now = self.now();
        self.collect(at);
        if self.due(at) <= self.now {
            on!(&mut self.hosts[at].node, node => node.handle_timeout(now));
            self.collect(at);
        }
        let (due, why) = on!(&self.hosts[at].node, node => (node.poll_timeout(), node.wake_reason()));
        assert!(due > now, "{why:?} is due at {due}, but it is {now} and everything has been done");
        let before = self.hosts[at].node.clone();
        self.poll_all(at, on!(&self.hosts[at].node, node => node.config().max_datagram()));
        assert!(before == self.hosts[at].node, "law 1: polling with nothing to do changes nothing");
    }

    fn collect(&mut self, at: usize) {
        // First as far as it goes in buffers of any size, and then in one that suffices.
        if let Some(drawn) = self.cramped {
            for turn in 0..4 {
                let room = forge::mix(drawn.wrapping_add(turn)) as usize % 200;
                self.poll_all(at, room);
            }
            self.cramped = Some(forge::mix(drawn));
        }
        let refused = |world: &Self| on!(&world.hosts[at].node, node => node.stats().dropped(DropReason::SmallBuffer));
        let before = refused(self);
        self.poll_all(at, on!(&self.hosts[at].node, node => node.config().max_datagram()));
        assert_eq!(before, refused(self), "a buffer of max_datagram bytes always suffices");
    }

    /// Whatever a node has been through, it answers a ping, even from one that it has never heard of. With a byte budget the
    /// answer may have to wait.
    fn check_answers(&mut self, at: usize) {
        let now = self.now();
        let runs = on!(&self.hosts[at].node, node => !matches!(node.phase(), Phase::Idle | Phase::Left));
        if !runs || on!(&self.hosts[at].node, node => node.config().byte_budget()) != 0 {
            return;
        }
        let stranger = forge::Sender { id: u64::MAX - 7, generation: 0, nonce: 1, incarnation: 0 };
        let ping = [forge::ping(0x5ca1_ab1e, [0; 6])];
        let mut ping = forge::datagram(forge::cluster(CLUSTER), forge::VERSION, self.tag(at), stranger, &ping);
        on!(&mut self.hosts[at].node, node => node.handle_datagram(now, 0xfff0, &mut ping));
        self.collect(at);
        let answers = |sent: &Datagram| {
            sent.to == 0xfff0 && sent.bytes.windows(4).any(|bytes| bytes == 0x5ca1_ab1e_u32.to_le_bytes())
        };
        assert!(self.flight.iter().any(answers), "a ping is answered");
    }

    fn poll_all(&mut self, at: usize, room: usize) {
        let node = &mut self.hosts[at].node;
        let mut buf = vec![0; room];
        let mut count = 0;
        while let Some(transmit) = on!(&mut *node, node => node.poll_transmit(&mut buf)) {
            count += 1;
            assert!(count <= BURST, "law 5: what one call makes a node send is bounded");
            if self.flight.len() == IN_FLIGHT {
                self.flight.pop_front();
            }
            self.flight.push_back(Datagram { from: at as u16, to: transmit.to, bytes: transmit.payload.to_vec() });
        }
    }

    // A hostile peer that knows the cluster's name.

    /// Hands a node frames about messages, in the name of a member and of any origin.
    fn forge(&mut self, at: usize, script: &mut Script<'_>) {
        let (choice, kind) = (script.byte(), KINDS[usize::from(script.byte() & 7)]);
        let (sender, origin) = (usize::from(choice & 3) % NODES, usize::from(choice >> 2 & 3) % NODES);
        self.said.note_forgery(sender);
        self.said.note_forgery(origin);
        let about = |of: usize| on!(&self.hosts[at].node, node => node.member(NodeId::new(of as u64 + 1)));
        let (Some(sender_record), Some(origin_record)) = (about(sender), about(origin)) else { return };
        let life = |of: &tidings::Member<u16>| forge::Sender {
            id: of.id().get(),
            generation: of.life().generation(),
            nonce: of.life().nonce(),
            incarnation: of.incarnation(),
        };
        let mut origin_bytes = origin_record.id().get().to_le_bytes().to_vec();
        origin_bytes.extend(&tag_of(&origin_record).to_le_bytes()[..3]);
        let body = any_body(kind, &origin_bytes, script);
        let frames = [forge::frame(kind, &body)];
        let (cluster, tag) = (forge::cluster(CLUSTER), self.tag(at));
        let mut bytes = forge::datagram(cluster, forge::VERSION, tag, life(&sender_record), &frames);
        let (now, from) = (self.now(), if choice & 0x40 == 0 { sender as u16 } else { 9 });
        on!(&mut self.hosts[at].node, node => node.handle_datagram(now, from, &mut bytes));
    }
}

fn any_topic(script: &mut Script<'_>) -> Topic {
    TOPICS[usize::from(script.byte() & 3)]
}

/// A number among broadcasts: one of the first, one somewhat later, or any.
fn any_number(script: &mut Script<'_>) -> u32 {
    match script.byte() {
        byte @ 0..0xf0 => byte.into(),
        _ => script.magnitude() as u32,
    }
}

/// A message or a piece of it behind its number: honest in its lengths, mostly.
fn any_part(script: &mut Script<'_>) -> Vec<u8> {
    let (form, shape) = (script.byte(), script.byte());
    let mut bytes = vec![form & 0x1f];
    bytes.extend(u32::from(script.byte() & 3).wrapping_add(1).to_le_bytes());
    let (len, pieces) = (u32::from(shape & 63), 2 + (shape >> 6) * 10);
    if form & 2 != 0 {
        bytes.extend([script.byte() % pieces, pieces]);
        bytes.extend(forge::varint(len * u32::from(pieces)));
    }
    let hollow = form & 1 != 0;
    bytes.extend(vec![0xee; if hollow { 0 } else { len as usize }]);
    bytes
}

/// The frames that are about messages.
const KINDS: [u8; 8] = [14, 15, 22, 23, 24, 20, 25, 26];

/// The body of a frame of this kind, about this origin.
fn any_body(kind: u8, origin: &[u8], script: &mut Script<'_>) -> Vec<u8> {
    // Few, so that different senders come upon the same.
    let number = script.number(2) & 0x103;
    let number = if matches!(kind, 14 | 15) { number << 2 | 2 } else { number }.to_le_bytes()[..4].to_vec();
    let all = [[0; 4], [0xff; 4]].concat();
    let piece = |script: &mut Script<'_>| {
        let seq = forge::varint(any_number(script));
        [origin, &seq, &any_part(script)].concat()
    };
    match kind {
        14 => [&number[..], &all, &piece(script)].concat(),
        23 => piece(script),
        22 | 24 => {
            let first = any_number(script).to_le_bytes();
            let wanted = (script.number(3) * 0x0101_0101).to_le_bytes();
            let bounds = [any_number(script), any_number(script)].map(u32::to_le_bytes).concat();
            let bounds = if kind == 24 { &bounds[..] } else { &[] };
            [&number[..], origin, &first, &wanted, bounds].concat()
        }
        20 => {
            let range = [[0; 8], [0xff; 8]].concat();
            [&range[..], &[script.byte() & 1], origin, &forge::varint(any_number(script))].concat()
        }
        25 => [&number[..], &any_part(script)].concat(),
        // Acknowledgements.
        _ => [&number[..], script.bytes(2)].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_faults_everything_is_told() {
        // All listen to the first topic, with datagrams of 300 bytes.
        let mut world = World::new(2);
        for at in 0..NODES {
            assert_eq!(on!(&world.hosts[at].node, node => node.live()), NODES, "a cluster");
        }
        // A short one, one in pieces for those with room for it, a message, and a question with its answer.
        for bytes in [&[0x28, 0, 20][..], &[0x28, 0, 160], &[0x2a, 1, 0, 9], &[0x2b, 0xe2, 0, 3]] {
            world.step(&mut Script::new(bytes));
            world.run_for(200_000);
            (0..NODES).for_each(|at| world.read(at, usize::MAX));
        }
        world.step(&mut Script::new(&[0x0c, 0, 5]));
        world.run_for(200_000);
        (0..NODES).for_each(|at| world.read(at, usize::MAX));
        let told = |world: &World| world.hosts.iter().map(|host| host.reader.told()).collect::<Vec<_>>();
        assert_eq!(told(&world), ["1 messages, 1 questions", "3 messages, 1 questions", "0 messages, 0 questions"]);
        assert_eq!(world.said.said(), 5, "with the answer");
    }
}
