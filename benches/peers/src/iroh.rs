//! The protocol of iroh-gossip (HyParView and Plumtree) as a machine that the simulator can drive, for broadcasts only.
//!
//! It is made for QUIC, whose streams lose nothing and keep the order; here each of its messages is a datagram, which
//! nobody sends again. So what it shows under loss is outside of what it was made for, and not what a user of it would
//! see: there, a lost packet costs a retransmission and time. Its bytes are those of its messages, each with one byte
//! of frame; what QUIC would add is not counted, neither headers nor acknowledgements. The topic is left out, as its
//! network names it once for each stream. Its members are named by 32 bytes, as by the keys that they have there.
//!
//! It leaves it to QUIC to find out that a member has crashed; nothing here does, so a crash is never known. That a
//! member closes a connection travels with the last message on it.
//!
//! Each knows only its neighbours, so there is no moment when all know each other: a cluster is what has formed some
//! time after all have joined.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use iroh_gossip::proto::state::MessageKind;
use iroh_gossip::proto::{
    Command, Config, DeliveryScope, Event, InEvent, Message, OutEvent, PeerData, Scope, State, Timer, TopicId,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidings::sim::{Conditions, HostAddress, Machine, Report, Sim, SimRng, number_of};
use tidings::{Instant, NodeId, Status};

use crate::experiments::ledger::{origin_of, payload};
use crate::experiments::{SECOND, Subject};

/// What a member is named by: its host's number, and what a key would have more.
type Key = [u8; 32];

fn key_of(host: u32) -> Key {
    let mut key = [0xc3; 32];
    key[..4].copy_from_slice(&host.to_le_bytes());
    key
}

fn host_of(key: Key) -> u32 {
    u32::from_le_bytes([key[0], key[1], key[2], key[3]])
}

fn host_at(addr: SocketAddrV4) -> u32 {
    addr.ip().to_bits() - SocketAddrV4::of_host(0).ip().to_bits()
}

/// The only topic.
const TOPIC: [u8; 32] = [0x74; 32];

/// The frame of a message on a connection that stays.
const OPEN: u8 = 0;
/// That of the last message on a connection, or of none.
const CLOSED: u8 = 1;

/// The longest message; more does not fit into a datagram.
const LONGEST: usize = 1_400;
/// How long after each other members join.
const PACE: Duration = Duration::from_millis(10);
/// How long a cluster is left alone after that: each member exchanges what it knows of others once a minute.
const SETTLE: Duration = Duration::from_secs(130);
/// How many messages are sent before any counts: they make its links a tree.
const PRUNING: usize = 20;

/// One member.
pub struct Iroh {
    state: Option<State<Key, StdRng>>,
    seeds: Vec<Key>,
    /// The beginning of its time, which must be the standard library's.
    epoch: std::time::Instant,
    timers: BTreeMap<(Instant, u64), Timer<Key>>,
    order: u64,
    neighbours: BTreeSet<Key>,
    outgoing: VecDeque<(Key, Vec<u8>)>,
    reports: VecDeque<Report>,
    payloads: u64,
    left: bool,
}

impl Iroh {
    fn handle(&mut self, now: Instant, event: InEvent<Key>) {
        let Some(state) = &mut self.state else { return };
        let time = self.epoch + now.duration_since(Instant::ZERO);
        let first = self.outgoing.len();
        for out in state.handle(event, time.into(), None) {
            match out {
                OutEvent::SendMessage(to, message) => self.outgoing.push_back((to, encode(&message))),
                OutEvent::ScheduleTimer(after, timer) => {
                    self.order += 1;
                    self.timers.insert((now + after, self.order), timer);
                }
                OutEvent::DisconnectPeer(peer) => {
                    let last = self.outgoing.iter_mut().skip(first).rev().find(|(to, _)| *to == peer);
                    match last {
                        Some((_, datagram)) => datagram[0] = CLOSED,
                        None => self.outgoing.push_back((peer, vec![CLOSED])),
                    }
                }
                OutEvent::EmitEvent(_, event) => self.reports.extend(note(&mut self.neighbours, event)),
                OutEvent::PeerData(..) => {}
            }
        }
    }

    fn command(&mut self, now: Instant, command: Command<Key>) {
        self.handle(now, InEvent::Command(TopicId::from_bytes(TOPIC), command));
    }
}

fn note(neighbours: &mut BTreeSet<Key>, event: Event<Key>) -> Option<Report> {
    match event {
        Event::NeighborUp(peer) => {
            neighbours.insert(peer);
            None
        }
        Event::NeighborDown(peer) => {
            neighbours.remove(&peer);
            None
        }
        Event::Received(event) => {
            let number = number_of(&event.content);
            let hops = match event.scope {
                // It counts from 0 on how often a message was passed on.
                DeliveryScope::Swarm(round) => {
                    1 + (0..254).find(|hops| round <= u16::from(*hops).into()).unwrap_or(254)
                }
                DeliveryScope::Neighbors => 1,
            };
            Some(Report::Message { origin: origin_of(number), seq: 0, number, hops })
        }
    }
}

/// A frame, and the message but its topic.
fn encode(message: &Message<Key>) -> Vec<u8> {
    let mut bytes = [0; TOPIC.len() + LONGEST];
    let encoded = postcard::to_slice(message, &mut bytes).expect("its messages are shorter than a datagram");
    [&[OPEN], &encoded[TOPIC.len()..]].concat()
}

fn decode(bytes: &[u8]) -> Option<Message<Key>> {
    postcard::from_bytes(&[&TOPIC, bytes].concat()).ok()
}

impl Machine for Iroh {
    type Addr = SocketAddrV4;

    fn addr_of(host: u32) -> SocketAddrV4 {
        SocketAddrV4::of_host(host)
    }

    fn start(&mut self, now: Instant, _: NodeId, addr: SocketAddrV4, rng: &mut SimRng) {
        let myself = key_of(host_at(addr));
        let config = Config { max_message_size: LONGEST, ..Config::default() };
        let rng = StdRng::seed_from_u64(rng.draw());
        self.state = Some(State::new(myself, PeerData::default(), config, rng));
        let seeds = self.seeds.iter().copied().filter(|seed| *seed != myself).collect();
        self.command(now, Command::Join(seeds));
    }

    fn join(&mut self, _: Instant, seed: SocketAddrV4) {
        self.seeds.push(key_of(host_at(seed)));
    }

    fn leave(&mut self, now: Instant) {
        self.left = true;
        self.command(now, Command::Quit);
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddrV4, datagram: &mut [u8]) {
        let from = key_of(host_at(from));
        let Some((frame, bytes)) = datagram.split_first() else { return };
        if let Some(message) = decode(bytes) {
            self.payloads += u64::from(matches!(message.kind(), MessageKind::Data));
            self.handle(now, InEvent::RecvMessage(from, message));
        }
        if *frame == CLOSED {
            self.handle(now, InEvent::PeerDisconnected(from));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) {
            let timer = entry.remove();
            self.handle(now, InEvent::TimerExpired(timer));
        }
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(SocketAddrV4, usize)> {
        let (to, datagram) = self.outgoing.pop_front()?;
        buf[..datagram.len()].copy_from_slice(&datagram);
        Some((SocketAddrV4::of_host(host_of(to)), datagram.len()))
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    fn poll_timeout(&self) -> Instant {
        self.timers.first_key_value().map_or(Instant::FAR_FUTURE, |((at, _), _)| *at)
    }

    /// Of its neighbours only.
    fn status(&self, id: NodeId) -> Option<Status> {
        let neighbour = self.neighbours.contains(&key_of(id.get() as u32 - 1));
        neighbour.then_some(Status::Alive)
    }

    fn live(&self) -> usize {
        self.neighbours.len() + 1
    }

    fn has_left(&self) -> bool {
        self.left
    }

    fn broadcast(&mut self, now: Instant, payload: &[u8]) -> bool {
        self.command(now, Command::Broadcast(payload.to_vec().into(), Scope::Swarm));
        true
    }
}

impl Subject for Iroh {
    fn new(_: u32) -> Self {
        Iroh {
            state: None,
            seeds: Vec::new(),
            epoch: std::time::Instant::now(),
            timers: BTreeMap::new(),
            order: 0,
            neighbours: BTreeSet::new(),
            outgoing: VecDeque::new(),
            reports: VecDeque::new(),
            payloads: 0,
            left: false,
        }
    }

    fn payloads(&self) -> u64 {
        self.payloads
    }

    /// All join through the first, one after the other, on paths that keep the order.
    fn cluster(nodes: u32, seed: u64) -> Result<Sim<Self>, String> {
        let latency = Duration::from_millis(3);
        let mut sim = Sim::new(seed, Conditions::LAN.with_latency(latency, latency));
        for host in 0..nodes as usize {
            sim.add(Self::new(nodes));
            sim.start(host, &[0]);
            sim.run_for(PACE);
        }
        sim.run_for(SETTLE);
        sim.take_reports();
        sim.set_conditions(Conditions::LAN);
        let alone = sim.running().find(|host| sim.machine(*host).is_none_or(|it| it.neighbours.is_empty()));
        alone.map_or(Ok(sim), |host| Err(format!("member {host} of {nodes} of iroh-gossip (seed {seed}) is alone")))
    }

    fn listening_cluster(nodes: u32, seed: u64) -> Result<Sim<Self>, String> {
        let mut sim = Self::cluster(nodes, seed)?;
        for place in 1..=PRUNING {
            // From nobody, so that it is none of those that count.
            let payload = payload(NodeId::new(0), place);
            sim.with(place % nodes as usize, |machine, now| {
                machine.broadcast(now, &payload);
            });
            sim.run_for(SECOND);
        }
        sim.take_reports();
        Ok(sim)
    }
}
