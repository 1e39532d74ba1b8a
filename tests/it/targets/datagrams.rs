//! A script of bytes drives four real nodes through a bad network, bad clocks and a hostile peer; whatever the script,
//! everything that must always hold is checked after every step.
//!
//! What is checked stands in `pair.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use tidings::{Config, DropReason, FixedNode, Instant, Member, SendFailure};

use super::forge;
use super::forged;
use super::pair::{Datagram, MEMBERS, Pair, tag_of};
use super::script::Script;

const CLUSTER: &str = "fuzz";
const NODES: usize = 4;
const LONGEST_SCRIPT: usize = 512;
/// Events of the simulated network in one script, so that no script takes long.
const PATIENCE: u32 = 2_000;
/// Datagrams on their way at a time; beyond, the network drops the oldest.
const IN_FLIGHT: usize = 64;
/// Close to the end of time deadlines saturate, and "later than now" is no longer to be had.
const END_OF_TIME: u64 = u64::MAX - (1 << 50);

/// Runs a script.
pub fn run(script: &[u8]) {
    let mut script = Script::new(script);
    let mut world = World::new(script.byte());
    for _ in 0..LONGEST_SCRIPT {
        if script.is_empty() {
            return;
        }
        world.step(&mut script);
    }
}

struct World {
    now: u64,
    nodes: Vec<Pair>,
    flight: VecDeque<Datagram>,
    patience: u32,
    starts: u64,
}

/// What one step of the script does, apart from its operands.
#[derive(Clone, Copy)]
struct Step {
    operation: u8,
    node: usize,
    /// Leave what the node has to say inside it for now.
    hold: bool,
    /// A second form of the operation.
    twist: bool,
}

impl Step {
    fn from_byte(byte: u8) -> Self {
        let node = usize::from(byte >> 4) % NODES;
        Step { operation: byte & 0xf, node, hold: byte & 0x40 != 0, twist: byte & 0x80 != 0 }
    }
}

impl World {
    fn new(kind: u8) -> Self {
        let preset = [Config::LAN, Config::LOCAL, Config::WAN, Config::LOW_POWER][usize::from(kind & 3)];
        let most = [96, 127, 300, 1_200][usize::from(kind >> 2 & 3)];
        let config = preset.with_cluster(CLUSTER).with_max_datagram(most);
        let nodes = (0..NODES).map(|_| Pair::new(config)).collect();
        let mut world = World { now: 0, nodes, flight: VecDeque::new(), patience: PATIENCE, starts: 0 };
        for at in 0..NODES {
            world.nodes[at].join(Instant::ZERO, 0);
            if kind & 0x80 == 0 {
                world.start(at, at as u64 + 1, at as u16);
                world.collect(at);
            }
        }
        world
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn start(&mut self, at: usize, id: u64, addr: u16) {
        self.starts += 1;
        let (now, seed) = (self.now(), self.starts);
        self.nodes[at].start(now, id, addr, seed);
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let step = Step::from_byte(script.byte());
        let at = step.node;
        match step.operation {
            0 => return self.pass_time(script, step.twist),
            1 => self.tick(at, script, step.twist),
            2 => return self.tick_next(),
            3 => return self.run_until(self.now.saturating_add(50_000 * (1 + u64::from(script.byte())))),
            4..=8 => return self.disturb(step, script),
            9 => {
                let (from, len) = (script.word(), usize::from(script.byte()));
                let bytes = script.bytes(len).to_vec();
                self.hand_in(at, from, bytes);
            }
            10 => self.forge(step, script),
            11 => {
                let (now, seed) = (self.now(), u16::from(script.byte() & 15));
                self.nodes[at].join(now, seed);
            }
            12 => {
                let now = self.now();
                both!(self.nodes[at], node => node.leave(now));
            }
            13 => {
                let (now, choice) = (self.now(), script.byte());
                // One of the four addresses that this node has.
                let addr = at as u16 | u16::from(choice >> 6) << 2;
                if step.twist {
                    both!(self.nodes[at], node => node.set_addr(now, addr).unwrap());
                } else {
                    // Perhaps with the id of another.
                    self.start(at, 1 + u64::from(choice & 7), addr);
                }
            }
            14 => {
                let (now, to) = (self.now(), u16::from(script.byte() & 15));
                let error = if step.twist { SendFailure::Local } else { SendFailure::Unreachable };
                both!(self.nodes[at], node => node.handle_send_error(now, to, error));
            }
            _ if step.twist => self.change_settings(at, script),
            _ if step.hold => {
                let from = u64::from(script.byte());
                self.nodes[at].cramped = (from > 0).then_some(from);
            }
            _ => self.poll_with_small_buffer(at, usize::from(script.byte())),
        }
        if !step.hold {
            self.settle(at);
        }
    }

    // Time.

    fn pass_time(&mut self, script: &mut Script<'_>, leap: bool) {
        let by = script.byte();
        let step = if leap { 1 << (by & 63) } else { (u64::from(by & 15) + 1) << (6 + (by >> 4)) };
        self.now = self.now.saturating_add(step);
    }

    /// Lets a node see the time, or a time that has passed already (law 2).
    fn tick(&mut self, at: usize, script: &mut Script<'_>, backwards: bool) {
        let now = self.now();
        both!(self.nodes[at], node => node.handle_timeout(now));
        if !backwards {
            return;
        }
        let older = Instant::from_micros(self.now.saturating_sub(u64::from(script.word()) << 8));
        let (mut newest, mut old) = (self.nodes[at].fixed.clone(), self.nodes[at].fixed.clone());
        newest.handle_timeout(now);
        old.handle_timeout(older);
        assert!(newest == old, "law 2: an older now counts as the newest seen");
        both!(self.nodes[at], node => node.handle_timeout(older));
    }

    fn tick_next(&mut self) {
        let due = |pair: &Pair| pair.fixed.poll_timeout().as_micros();
        let Some((due, at)) = self.nodes.iter().map(due).zip(0..).min() else { return };
        if due < END_OF_TIME {
            self.now = self.now.max(due);
            self.tick(at, &mut Script::new(&[]), false);
            self.settle(at);
        }
    }

    /// Runs all nodes as good drivers would, on a network without faults.
    fn run_until(&mut self, end: u64) {
        while self.patience > 0 {
            self.patience -= 1;
            if let Some(datagram) = self.flight.pop_front() {
                self.now = self.now.saturating_add(500);
                self.deliver(datagram);
                continue;
            }
            let due = self.nodes.iter().map(|pair| pair.fixed.poll_timeout().as_micros()).min().unwrap_or(u64::MAX);
            if due > end {
                self.now = self.now.max(end);
                return;
            }
            self.tick_next();
        }
    }

    // The network.

    /// Does something to one of the datagrams on their way.
    fn disturb(&mut self, step: Step, script: &mut Script<'_>) {
        let choice = usize::from(script.byte());
        if self.flight.is_empty() {
            return;
        }
        let choice = choice % self.flight.len();
        let Some(mut datagram) = self.flight.remove(choice) else { return };
        match step.operation {
            4 if step.twist => self.flight.push_back(datagram.clone()),
            4 => {}
            5 => return,
            6 => {
                let (place, flips) = (usize::from(script.byte()), script.byte());
                let place = place % datagram.bytes.len();
                datagram.bytes[place] ^= flips;
            }
            7 => datagram.bytes.truncate(usize::from(script.byte())),
            _ => {
                datagram.from = u16::from(script.byte());
                datagram.to = step.node as u16;
            }
        }
        if step.operation > 5 && step.twist {
            let addressee = self.nodes[usize::from(datagram.to) % NODES].tag();
            forge::seal(&mut datagram.bytes, forge::cluster(CLUSTER), addressee);
        }
        self.deliver(datagram);
    }

    fn deliver(&mut self, datagram: Datagram) {
        let at = usize::from(datagram.to) % NODES;
        // Nobody is behind the addresses that were made up.
        if datagram.to < 16 {
            self.hand_in(at, datagram.from, datagram.bytes);
            self.settle(at);
        }
    }

    fn hand_in(&mut self, at: usize, from: u16, bytes: Vec<u8>) {
        let now = self.now();
        both!(self.nodes[at], node => node.handle_datagram(now, from, &mut bytes.clone()));
    }

    /// Takes out what a node has to send, and puts it on its way.
    fn collect(&mut self, at: usize) {
        for datagram in self.nodes[at].drain() {
            if self.flight.len() == IN_FLIGHT {
                self.flight.pop_front();
            }
            self.flight.push_back(datagram);
        }
    }

    /// Drains a node that has just seen the present time. Its next deadline must then lie ahead: a driver that waits
    /// for it would otherwise spin.
    fn settle(&mut self, at: usize) {
        self.collect(at);
        let now = self.now();
        if self.now >= END_OF_TIME {
            return;
        }
        if self.nodes[at].fixed.poll_timeout() <= now {
            both!(self.nodes[at], node => node.handle_timeout(now));
            self.collect(at);
        }
        let (due, why) = (self.nodes[at].fixed.poll_timeout(), self.nodes[at].fixed.wake_reason());
        assert!(due > now, "{why:?} is due at {due}, but it is {now} and everything has been done");
    }

    // A hostile peer that knows the cluster's name.

    /// Hands a node a well-sealed datagram with frames of the script's making, in the name of a member or of nobody.
    fn forge(&mut self, step: Step, script: &mut Script<'_>) {
        // Few addresses, so that different senders come upon the same.
        let (choice, from) = (script.byte(), u16::from(script.byte() & 31));
        let members: Vec<_> = self.nodes[step.node].fixed.members().collect();
        if choice & 4 != 0 {
            let addressee = self.nodes[step.node].tag();
            let datagram = forged::datagram(CLUSTER, addressee, &members, script);
            return self.hand_in(step.node, from, datagram);
        }
        let pick = |choice: u8| members.get(usize::from(choice) % members.len().max(1));
        let mut bytes = Vec::new();
        match pick(choice).filter(|_| choice & 8 == 0) {
            Some(sender) => {
                bytes.extend(sender.id().get().to_le_bytes());
                bytes.extend(&tag_of(sender).to_le_bytes()[..3]);
                bytes.extend(forge::varint(sender.incarnation()));
            }
            None => bytes.extend(script.bytes(12)),
        }
        if step.twist {
            let (kind, whom) = (script.byte(), script.byte());
            if let Some(subject) = pick(whom) {
                bytes.extend(record_frame(kind, subject, script));
            }
        } else {
            let len = usize::from(script.byte());
            bytes.extend(script.bytes(len));
        }
        let addressee = self.nodes[step.node].tag();
        let datagram = forge::sealed(forge::cluster(CLUSTER), forge::VERSION | choice & 0xf0, addressee, &bytes);
        self.hand_in(step.node, from, datagram);
    }

    // The caller.

    fn change_settings(&mut self, at: usize, script: &mut Script<'_>) {
        let (now, choice) = (self.now(), script.byte());
        let period = Duration::from_millis(250 << (choice & 7));
        let most = 96 + 8 * usize::from(choice >> 3);
        let config = Config::builder(*self.nodes[at].fixed.config()).probe_period(period).max_datagram(most).build();
        if let Ok(config) = config {
            both!(self.nodes[at], node => node.set_config(now, config)).expect("the cluster is the same");
        }
    }

    /// A datagram that does not fit is kept, and comes out unchanged when there is room.
    fn poll_with_small_buffer(&mut self, at: usize, len: usize) {
        let before = self.nodes[at].fixed.clone();
        let refused = |node: &FixedNode<MEMBERS, u16>| node.stats().dropped(DropReason::SmallBuffer);
        if let Some(datagram) = self.nodes[at].poll_transmit(len) {
            self.flight.push_back(datagram);
            self.flight.truncate(IN_FLIGHT);
        } else if refused(&before) != refused(&self.nodes[at].fixed) {
            let (mut kept, mut untouched) = (self.nodes[at].fixed.clone(), before);
            assert!(kept.poll_timeout() == untouched.poll_timeout(), "a small buffer moves no deadline");
            let (mut one, mut other) = (vec![0; kept.config().max_datagram()], [0; 2_048]);
            let (late, soon) = (kept.poll_transmit(&mut one), untouched.poll_transmit(&mut other));
            assert!(late.is_some() && late == soon, "law 4: what did not fit is kept as it was");
        }
    }
}

/// A frame that tells of one member what the script wants it to.
fn record_frame(kind: u8, subject: &Member<u16>, script: &mut Script<'_>) -> Vec<u8> {
    let (change, flags) = (script.byte(), script.byte());
    let further = |counter: u32, by: u8| match by & 3 {
        3 => counter.wrapping_add(1 << 16),
        by => counter.wrapping_add(u32::from(by)),
    };
    let of = forge::Sender {
        // Somebody who does not exist, if the upper three bits of `kind` are not zero.
        id: subject.id().get().wrapping_add(u64::from(kind >> 5) << 8),
        generation: further(subject.life().generation(), change),
        nonce: subject.life().nonce().wrapping_add(u32::from(change >> 2 & 1)),
        incarnation: further(subject.incarnation(), change >> 3),
    };
    let addr = if change & 0x80 == 0 { subject.addr() } else { u16::from(script.byte()) };
    let front: &[u8] = match kind & 31 {
        // Anti-entropy over the whole id space; the record is short ids or sums, or what of a list is wanted.
        16 => &[0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4],
        7 => &[0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0xff],
        6 => &[0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4],
        19 => &[0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
        // The numbers and the cookie of a join, a welcome.
        8 => &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, forge::VERSION, forge::VERSION],
        9 => &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        // The number of a parcel, which is for everybody.
        14 => &[change & !3 | 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255],
        _ => &[],
    };
    let record = forge::record(flags, of, addr);
    // What a certificate says is taken from the script: jurors who may be members, and any question.
    let certificate = if flags & 1 << 7 == 0 {
        Vec::new()
    } else {
        forge::certificate([0; 2].map(|_: u64| u64::from(script.byte() & 7)), u32::from(script.byte()))
    };
    forge::frame(kind & 31, &[front, &record, &certificate].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealing_a_real_datagram_again_leaves_it_as_it_was() {
        let world = World::new(0);
        let datagram = world.flight.front().expect("a newcomer asks its seed");
        let mut again = datagram.bytes.clone();
        again[3..7].fill(0);
        forge::seal(&mut again, forge::cluster(CLUSTER), 0);
        assert_eq!(again, datagram.bytes, "the fuzzer seals as src/wire/ does");
    }

    #[test]
    fn a_script_of_patience_alone_makes_a_cluster() {
        let mut world = World::new(0xc);
        world.run_until(1_000_000);
        assert!(world.patience > 0, "it settles within the script's patience");
        for pair in &world.nodes {
            assert_eq!(pair.fixed.live(), NODES);
        }
    }
}
