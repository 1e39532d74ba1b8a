//! A node with a full table, and the member that tells it of all others.
//!
//! Only the node under test is real; what arrives is written by hand (`tests/unit/forge.rs`). A stranger introduces
//! itself by its own record among its news, then tells of everybody else, as often as it takes until none of it is
//! news any more: an echo counts like a copy sent. Meanwhile time stands still, so nobody is probed and none is missed.

use std::net::{Ipv4Addr, SocketAddrV4};

use tidings::internals::forge::{self, Sender};
use tidings::sim::SimRng;
use tidings::{Config, HeapNode, Instant, Limits, Member, NodeId, Status};

pub type Node = HeapNode<SocketAddrV4>;

/// The default maximum of a datagram.
pub const FULL: usize = 1_200;
/// More than any record is told.
const ECHOES: usize = 24;
/// The length of a datagram without frames: its sender's incarnation is below 128.
const HEAD: usize = 19;
/// The longest kind and length of a frame of news.
const FRAME: usize = 3;
/// How many ids a hostile one has chosen.
const CHOSEN: usize = 48;

#[derive(Clone)]
pub struct Bed {
    pub node: Node,
    pub now: Instant,
    /// The member that tells, and where it is.
    pub peer: Sender,
    pub from: SocketAddrV4,
}

impl Bed {
    /// A node that knows this many members, itself and the peer among them, and has no room for another.
    pub fn new(members: usize) -> Self {
        Bed::with(members, 0)
    }

    /// The same, of whom so many have chosen their ids so as to stand in one bucket of the table.
    fn with(members: usize, chosen: usize) -> Self {
        let (id, from) = (NodeId::new(1), address(2));
        let now = Instant::from_millis(1_000);
        let mut node = Node::new(Config::LAN, Limits::DEFAULT.with_members(members).with_state_bytes(1 << 30));
        node.start(now, id, address(1), &mut SimRng::new(1)).unwrap();
        let peer = Sender { id: 2, generation: 0, nonce: 2, incarnation: 0 };
        let mut bed = Bed { node, now, peer, from };
        let ids = (2..=(members - chosen) as u64).chain((1..=chosen as u64).map(chosen_id));
        let others = ids.map(|id| Sender { id, nonce: id as u32, ..peer });
        // The node has news too: that it is there.
        let all: Vec<Sender> = others.chain([bed.myself()]).collect();
        let (datagrams, _) = bed.news(&all);
        for datagram in datagrams.iter().cycle().take(datagrams.len() * ECHOES) {
            bed.hand_in(datagram);
        }
        bed.check(members);
        bed
    }

    /// The same, of members who have all broadcast something and written a key, some of them with ids that were chosen;
    /// and the peer has shown that it is at its address.
    pub fn talkative(members: usize) -> Self {
        let mut bed = Bed::with(members, CHOSEN.min(members / 4));
        let own = record_of(bed.peer, 0);
        let (mut cookie, mut buf) = (0, [0; FULL]);
        for _ in 0..2 {
            let mut join = bed.datagram(&forge::join(1, cookie, &own));
            bed.node.handle_datagram(bed.now, bed.from, &mut join);
            while let Some(answer) = bed.node.poll_transmit(&mut buf) {
                cookie = forge::cookie(answer.payload).unwrap_or(cookie);
            }
        }
        assert!(cookie != 0, "the peer was asked to prove its address");
        // The first broadcast of each, hollow, on a topic that the node does not listen to.
        let everybody: Vec<Sender> = bed.others().into_iter().chain([bed.peer]).collect();
        for of in &everybody {
            let tag = of.tag().to_le_bytes();
            let give = [&of.id.to_le_bytes()[..], &tag[..3], &[1, 1], &[7, 0, 0, 0]].concat();
            bed.hand_in(&bed.datagram(&forge::frame(23, &give)));
        }
        // The first key of each, of which nobody else is to be told.
        let nobody = [0xff; 8];
        for (number, of) in (0u32..).zip(&everybody) {
            let (tag, number) = (of.tag().to_le_bytes(), forge::handed(number, 3).to_le_bytes());
            let chunk = [&of.id.to_le_bytes()[..], &tag[..3], &[0, 0, 1, 0, 0, 0], &[1, 1, b'k', 1, b'v']].concat();
            let delta = forge::frame(forge::kind::HAND, &[&number[..], &nobody, &chunk].concat());
            bed.hand_in(&bed.datagram(&delta));
        }
        assert_eq!(bed.node.stats().dropped_in_all(), 0, "everybody has broadcast, and written");
        bed
    }

    /// Those whose ids were chosen.
    pub fn chosen(&self) -> Vec<Sender> {
        let is_chosen = |member: &Sender| (1..=CHOSEN as u64).any(|place| chosen_id(place) == member.id);
        self.others().into_iter().filter(is_chosen).collect()
    }

    fn hand_in(&mut self, datagram: &[u8]) {
        self.node.handle_datagram(self.now, self.from, &mut datagram.to_vec());
        let mut buf = [0; FULL];
        while self.node.poll_transmit(&mut buf).is_some() {}
        while self.node.poll_event().is_some() {}
    }

    fn check(&self, members: usize) {
        let node = &self.node;
        assert_eq!(node.live(), members, "all were admitted");
        assert!(node.members().all(|member| member.status() == Status::Alive));
        assert_eq!(node.stats().dropped_in_all(), 0, "nothing was refused");
        assert!(node.poll_timeout() > self.now, "nothing is due");
    }

    /// The records of all others in the node's table, but for the peer's, in no order that the table could know.
    pub fn others(&self) -> Vec<Sender> {
        let strangers =
            |member: &Member<SocketAddrV4>| member.id() != self.node.id() && member.id().get() != self.peer.id;
        let mut others: Vec<Sender> = self.node.members().filter(strangers).map(sender).collect();
        let mut rng = SimRng::new(7);
        for at in (1..others.len()).rev() {
            others.swap(at, rng.below(at as u64 + 1) as usize);
        }
        others
    }

    /// The peer's news of these members, as many to a datagram as it holds; and how many records that are.
    pub fn news(&self, members: &[Sender]) -> (Vec<Vec<u8>>, usize) {
        self.list(forge::kind::NEWS, members)
    }

    /// The same as found by anti-entropy: others may have missed them too, so the node gossips about them.
    pub fn found(&self, members: &[Sender]) -> Vec<Vec<u8>> {
        self.list(forge::kind::DIFF, members).0
    }

    fn list(&self, kind: u8, members: &[Sender]) -> (Vec<Vec<u8>>, usize) {
        // Of all of the id space, and nothing is wanted.
        let head = if kind == forge::kind::DIFF { [&[0; 8][..], &[0xff; 8], &[0]].concat() } else { Vec::new() };
        let (mut datagrams, mut body) = (Vec::new(), head.clone());
        for member in members {
            let record = record(*member);
            if HEAD + FRAME + body.len() + record.len() > FULL {
                datagrams.push(self.datagram(&forge::frame(kind, &body)));
                body.clone_from(&head);
            }
            body.extend(record);
        }
        datagrams.push(self.datagram(&forge::frame(kind, &body)));
        (datagrams, members.len())
    }

    /// A ping from the peer, whose view is the same.
    pub fn ping(&self) -> Vec<u8> {
        let number = 0x0bad_cafe;
        self.datagram(&forge::ping(number, forge::roots(self.node.fingerprint(), number)))
    }

    /// A ping from the peer, which compares nothing but members, with news of nobody: after a ping alone the node would not
    /// look what it has to do, as it does after all other datagrams.
    pub fn busy_ping(&self) -> Vec<u8> {
        let number = 0x0bad_cafe;
        let mut roots = forge::roots(self.node.fingerprint(), number);
        roots[4..].fill(0);
        self.datagram(&[forge::ping(number, roots), forge::frame(forge::kind::NEWS, &[])].concat())
    }

    /// A datagram of the peer's with this frame.
    pub fn datagram(&self, frame: &[u8]) -> Vec<u8> {
        forge::datagram(forge::cluster(""), forge::VERSION, self.myself().tag(), self.peer, &[frame.to_vec()])
    }

    fn myself(&self) -> Sender {
        sender(self.node.member(self.node.id()).expect("it was started"))
    }
}

fn address(id: u64) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000_u32.wrapping_add(id as u32)), 7946)
}

/// The id that stands at this place of the id space. The least places are all in the first bucket.
pub fn chosen_id(place: u64) -> u64 {
    forge::unmix(place) ^ forge::cluster("")
}

fn sender(member: Member<SocketAddrV4>) -> Sender {
    let life = member.life();
    let (generation, nonce) = (life.generation(), life.nonce());
    Sender { id: member.id().get(), generation, nonce, incarnation: member.incarnation() }
}

fn record(member: Sender) -> Vec<u8> {
    record_of(member, 0)
}

/// A member's record with these flags.
pub fn record_of(member: Sender, flags: u8) -> Vec<u8> {
    let addr = address(member.id);
    forge::record_at(flags, member, &[&addr.ip().octets()[..], &forge::varint(addr.port().into())].concat())
}
