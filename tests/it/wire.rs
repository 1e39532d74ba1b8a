//! The bytes on the wire: golden datagrams, sizes that the documentation states, and what is skipped or refused.

use tidings::internals::forge::{self, Sender};
use tidings::internals::reading;

use crate::common::golden;
use std::time::Duration;

use tidings::sim::{Conditions, Sim, SimRng};
use tidings::{Config, DropReason, Event, HeapNode, Instant, Limits, NodeId, Status};

const CONFIG: Config = Config::LAN.with_cluster("golden");

fn node(id: u64, addr: u16) -> HeapNode<u16> {
    let mut node = HeapNode::new(CONFIG, Limits::DEFAULT);
    node.start(Instant::ZERO, NodeId::new(id), addr, &mut SimRng::new(id)).unwrap();
    node
}

fn of(node: &HeapNode<u16>) -> Sender {
    let myself = node.member(node.id()).unwrap();
    let life = myself.life();
    let (generation, nonce) = (life.generation(), life.nonce());
    Sender { id: node.id().get(), generation, nonce, incarnation: myself.incarnation() }
}

fn sent(node: &mut HeapNode<u16>) -> Vec<(u16, Vec<u8>)> {
    let mut buf = [0; 1_200];
    std::iter::from_fn(|| node.poll_transmit(&mut buf).map(|transmit| (transmit.to, transmit.payload.to_vec())))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A stranger who knows the cluster's name, and a node that it talks to.
struct Talk {
    node: HeapNode<u16>,
    stranger: Sender,
    now: Instant,
}

const STRANGER_ADDR: u16 = 0x1ff;

impl Talk {
    fn new() -> Self {
        let stranger = Sender { id: 77, generation: 0, nonce: 0x0102_0304, incarnation: 0 };
        Talk { node: node(1, 10), stranger, now: Instant::from_millis(5) }
    }

    fn say(&mut self, form: u8, addressee: u32, frames: &[Vec<u8>]) -> Vec<(u16, Vec<u8>)> {
        let mut datagram = forge::datagram(forge::cluster("golden"), form, addressee, self.stranger, frames);
        self.node.handle_datagram(self.now, STRANGER_ADDR, &mut datagram);
        sent(&mut self.node)
    }

    /// Says something to the node's present life.
    fn tell(&mut self, frames: &[Vec<u8>]) -> Vec<(u16, Vec<u8>)> {
        let tag = of(&self.node).tag();
        self.say(forge::VERSION, tag, frames)
    }

    /// Joins as an honest newcomer would.
    fn join(mut self) -> Self {
        let record = forge::record(0, self.stranger, STRANGER_ADDR);
        let asked = self.say(0x10 | forge::VERSION, 0, &[forge::join(9, 0, &record)]);
        let cookie = forge::cookie(&asked[0].1).expect("it asks for proof");
        self.tell(&[forge::join(9, cookie, &record)]);
        assert_eq!(self.node.member(NodeId::new(77)).map(|member| member.status()), Some(Status::Alive));
        self
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.node.stats().dropped(reason)
    }
}

#[test]
fn a_join_and_its_answers_have_these_bytes() {
    let (mut seed, mut newcomer) = (node(1, 10), node(2, 11));
    newcomer.join(Instant::ZERO, 10).unwrap();
    let mut lines = String::new();
    for turn in 0..6 {
        let now = Instant::from_millis(turn);
        for from_newcomer in [true, false] {
            let (one, other) = if from_newcomer { (&mut newcomer, &mut seed) } else { (&mut seed, &mut newcomer) };
            let from = one.addr().unwrap();
            for (to, mut bytes) in sent(one) {
                lines.push_str(&format!("{turn} ms {from} -> {to} {}\n", hex(&bytes)));
                other.handle_datagram(now, from, &mut bytes);
            }
        }
    }
    golden::compare("join.txt", &lines);
}

#[test]
fn a_ping_takes_31_bytes_and_an_ack_25_while_nothing_is_new() {
    let mut talk = Talk::new().join();
    // Let what is new be told.
    for _ in 0..50 {
        talk.now = talk.node.poll_timeout().max(talk.now);
        talk.node.handle_timeout(talk.now);
        let pings: Vec<_> =
            sent(&mut talk.node).into_iter().filter(|(_, bytes)| bytes[19] == forge::kind::PING).collect();
        let Some((_, ping)) = pings.last() else { continue };
        if ping.len() > 31 {
            continue;
        }
        assert_eq!(ping.len(), 31);
        // The same roots under the same number: nothing differs.
        let number = u32::from_le_bytes(ping[21..25].try_into().unwrap());
        let roots: [u8; 6] = ping[25..31].try_into().unwrap();
        let acks = talk.tell(&[forge::ping(number, roots)]);
        assert_eq!(acks.len(), 1);
        assert_eq!((acks[0].0, acks[0].1.len()), (STRANGER_ADDR, 25));
        let differing = talk.tell(&[forge::ping(number, [0; 6])]);
        assert_eq!(differing[0].1.len(), 31, "an ack whose roots differ says so");
        return;
    }
    panic!("no ping without news was seen");
}

#[test]
fn an_unknown_kind_of_frame_is_skipped_and_counted() {
    let mut talk = Talk::new().join();
    let answers = talk.tell(&[forge::frame(200, b"from the future"), forge::ping(5, [0; 6])]);
    assert_eq!(talk.dropped(DropReason::UnknownFrame), 1);
    assert!(answers.iter().any(|(_, bytes)| bytes[19] == forge::kind::ACK), "the frame behind it was served");
}

#[test]
fn what_a_later_version_adds_to_a_record_is_skipped() {
    let mut talk = Talk::new().join();
    let friend = Sender { id: 500, generation: 0, nonce: 9, incarnation: 3 };
    let mut extended = forge::record(1 << 6, friend, 44);
    // Behind the topics and how far the sender has come.
    let extension = forge::extension(0x80, 300);
    extended.extend([&[extension[0] + 3], &extension[1..], &[0xaa, 0xbb, 0xcc]].concat());
    let after = forge::record(0, Sender { id: 501, ..friend }, 45);
    talk.tell(&[forge::frame(forge::kind::NEWS, &[extended, after].concat())]);
    for id in [500, 501] {
        assert_eq!(talk.node.member(NodeId::new(id)).map(|member| member.incarnation()), Some(3), "{id}");
    }
    assert_eq!(talk.dropped(DropReason::Malformed), 0);
}

#[test]
fn behind_a_record_with_a_certificate_the_next_is_understood() {
    let mut talk = Talk::new().join();
    let friend = Sender { id: 500, generation: 0, nonce: 9, incarnation: 3 };
    let certified = forge::certified(0, friend, &forge::varint(44), [77, 1], 5);
    let after = forge::record(0, Sender { id: 501, ..friend }, 45);
    talk.tell(&[forge::frame(forge::kind::NEWS, &[certified, after].concat())]);
    for id in [500, 501] {
        assert_eq!(talk.node.member(NodeId::new(id)).map(|member| member.incarnation()), Some(3), "{id}");
    }
    assert_eq!(talk.dropped(DropReason::Malformed), 0);
}

#[test]
fn what_cannot_be_read_is_refused_by_its_reason() {
    let mut talk = Talk::new().join();
    let tag = of(&talk.node).tag();
    let ping = [forge::ping(5, [0; 6])];
    talk.say(forge::VERSION + 1, tag, &ping);
    assert_eq!(talk.dropped(DropReason::WireVersion), 1, "another wire version");
    talk.say(0x80 | forge::VERSION, tag, &ping);
    assert_eq!(talk.dropped(DropReason::Sealed), 1, "the sealed form");
    talk.say(forge::VERSION, tag ^ 1, &ping);
    assert_eq!(talk.dropped(DropReason::Check), 1, "meant for another life at this address");
    let mut foreign = forge::datagram(forge::cluster("other"), forge::VERSION, tag, talk.stranger, &ping);
    talk.node.handle_datagram(talk.now, STRANGER_ADDR, &mut foreign);
    assert_eq!(talk.dropped(DropReason::OtherCluster), 1, "another cluster");
    talk.node.handle_datagram(talk.now, STRANGER_ADDR, &mut [1]);
    assert_eq!(talk.dropped(DropReason::Truncated), 1, "hardly anything");
    talk.tell(&[vec![forge::kind::PING, 200, 1, 2]]);
    assert_eq!(talk.dropped(DropReason::Truncated), 2, "a frame longer than its datagram");
    talk.tell(&[forge::frame(forge::kind::PING, &[1, 2])]);
    assert_eq!(talk.dropped(DropReason::Malformed), 1, "a ping too short");
    for (count, number) in [0, 3, 33, 64].into_iter().zip(2..) {
        let sums = [&[0; 9][..], &[0xff; 8], &[0; 4], &vec![0; 2 * count]].concat();
        assert_eq!(talk.tell(&[forge::frame(forge::kind::SUMS, &sums)]), [], "{count} sums");
        assert_eq!(talk.dropped(DropReason::Malformed), number, "{count} sums");
    }
    let nobody = Sender { id: 88, generation: 0, nonce: 1, incarnation: 0 };
    let mut news =
        forge::datagram(forge::cluster("golden"), forge::VERSION, tag, nobody, &[forge::frame(forge::kind::NEWS, &[])]);
    talk.node.handle_datagram(talk.now, 5, &mut news);
    assert_eq!(talk.dropped(DropReason::Stranger), 1, "news from no member");
    let mut idle: HeapNode<u16> = HeapNode::new(CONFIG, Limits::DEFAULT);
    idle.handle_datagram(talk.now, 5, &mut [1, 2, 3]);
    assert_eq!(idle.stats().dropped(DropReason::NotRunning), 1, "before start");
}

#[test]
fn a_corrupted_datagram_is_refused_whichever_bit_it_is() {
    let mut talk = Talk::new().join();
    let tag = of(&talk.node).tag();
    let intact =
        forge::datagram(forge::cluster("golden"), forge::VERSION, tag, talk.stranger, &[forge::ping(5, [0; 6])]);
    for bit in 0..8 * intact.len() {
        let mut corrupted = intact.clone();
        corrupted[bit / 8] ^= 1 << (bit % 8);
        talk.node.handle_datagram(talk.now, STRANGER_ADDR, &mut corrupted);
        assert_eq!(sent(&mut talk.node), [], "bit {bit} was flipped and it was answered");
    }
    assert_eq!(talk.node.stats().dropped_in_all(), 8 * intact.len() as u64);
}

#[test]
fn counters_that_leap_to_the_maximum_are_not_believed() {
    let mut talk = Talk::new().join();
    let member = Sender { id: 500, generation: 3, nonce: 9, incarnation: 3 };
    talk.tell(&[forge::frame(forge::kind::NEWS, &forge::record(0, member, 44))]);
    for forged in [
        Sender { incarnation: u32::MAX, ..member },
        Sender { generation: u32::MAX, ..member },
        Sender { id: 501, incarnation: u32::MAX, ..member },
    ] {
        talk.tell(&[forge::frame(forge::kind::NEWS, &forge::record(1, forged, 44))]);
    }
    let me = of(&talk.node);
    let about_me = forge::record(1, Sender { incarnation: u32::MAX, ..me }, 10);
    talk.tell(&[forge::frame(forge::kind::NEWS, &about_me)]);
    assert_eq!(talk.dropped(DropReason::CounterJump), 4);
    assert_eq!(talk.node.member(NodeId::new(500)).unwrap().incarnation(), 3);
    assert_eq!(of(&talk.node).incarnation, 0);
    let refuses = |event: Event<'_, u16>| event == Event::Refused { reason: DropReason::CounterJump };
    let mut told = 0;
    while let Some(event) = talk.node.poll_event() {
        told += u32::from(refuses(event));
    }
    assert_eq!(told, 1, "the first of its kind is told, the rest are counted");
}

#[test]
fn answers_to_no_question_and_wrong_cookies_are_counted() {
    let mut talk = Talk::new().join();
    talk.tell(&[forge::frame(forge::kind::ACK, &[1, 2, 3, 4])]);
    assert_eq!(talk.dropped(DropReason::Unasked), 1, "an ack");
    talk.tell(&[forge::frame(4, &[[9; 12].as_slice(), &[1]].concat())]);
    assert_eq!(talk.dropped(DropReason::Unasked), 2, "a verdict");
    let range = [[0; 8], [0xff; 8]].concat();
    talk.tell(&[forge::frame(11, &[1, 2, 3, 4])]);
    assert_eq!(talk.dropped(DropReason::Unasked), 3, "a leave's ack");
    talk.tell(&[forge::frame(15, &[1, 2, 3, 4, 1])]);
    assert_eq!(talk.dropped(DropReason::Unasked), 4, "a hand's ack");
    talk.tell(&[forge::frame(19, &[&range[..], &[2, 0xff, 0, 0, 0]].concat())]);
    assert_eq!(talk.dropped(DropReason::Unasked), 5, "the parts that differ");
    talk.tell(&[forge::join(9, 12_345, &forge::record(0, talk.stranger, STRANGER_ADDR))]);
    assert_eq!(talk.dropped(DropReason::Cookie), 1);
}

#[test]
fn a_diff_is_believed_no_more_than_any_hearsay_asked_for_or_not() {
    let mut talk = Talk::new().join();
    let known = Sender { id: 500, generation: 0, nonce: 1, incarnation: 0 };
    talk.tell(&[forge::frame(forge::kind::NEWS, &forge::record(0, known, 50))]);
    let invented = forge::record(0, Sender { id: 600, ..talk.stranger }, 60);
    let certified = forge::certified(1, known, &forge::varint(50), [77, 1], 5);
    let range = [[0; 8], [0xff; 8]].concat();
    talk.tell(&[forge::frame(forge::kind::DIFF, &[range, vec![0], invented, certified].concat())]);
    let status = |id| talk.node.member(NodeId::new(id)).map(|member| member.status());
    assert_eq!(status(600), Some(Status::Alive), "who is said to live may be asked");
    assert_ne!(status(500), Some(Status::Down), "what is dug up kills nobody, whoever is said to witness it");
}

#[test]
fn whoever_wants_nothing_that_there_is_gets_other_answers_all_the_same() {
    for wanted in [0u64, 1 << 63] {
        let mut talk = Talk::new().join();
        talk.tell(&[forge::frame(forge::kind::DIFF, &[&[0; 8][..], &[0xff; 8], &[8], &wanted.to_le_bytes()].concat())]);
        let answers = talk.tell(&[forge::ping(5, [0; 6])]);
        assert!(answers.iter().any(|(_, bytes)| bytes[19] == forge::kind::ACK), "{wanted:x}");
        assert_eq!(talk.dropped(DropReason::SmallBuffer), 0);
    }
}

#[test]
fn a_head_whose_incarnation_leaps_is_refused_with_all_that_follows_it_and_asked_to_introduce_itself() {
    let mut talk = Talk::new().join();
    talk.stranger.incarnation = 1 << 20;
    let answers = talk.tell(&[forge::ping(5, [0; 6])]);
    assert_eq!((answers.len(), talk.dropped(DropReason::CounterJump)), (1, 1));
    assert!(answers[0].1.len() < 30, "an introduce and no more");
}

#[test]
fn claims_and_answers_beyond_what_there_is_room_for_are_counted() {
    let mut talk = Talk::new().join();
    let members: Vec<Sender> = (500..510).map(|id| Sender { id, generation: 0, nonce: 1, incarnation: 0 }).collect();
    let all = |flags| members.iter().flat_map(|of| forge::record(flags, *of, of.id as u16)).collect::<Vec<u8>>();
    talk.tell(&[forge::frame(forge::kind::NEWS, &all(0))]);
    let found = [&[0; 8][..], &[0xff; 8], &[0], &all(1)].concat();
    talk.tell(&[forge::frame(forge::kind::DIFF, &found)]);
    assert_eq!(talk.dropped(DropReason::TooManyClaims), 4, "six of ten are looked into");
    assert!(talk.node.members().all(|member| member.status() != Status::Down), "and none is believed at once");
    let tag = of(&talk.node).tag();
    for number in 0..20 {
        let frames = [forge::ping(number, [0; 6])];
        let mut ping = forge::datagram(forge::cluster("golden"), forge::VERSION, tag, talk.stranger, &frames);
        talk.node.handle_datagram(talk.now, STRANGER_ADDR, &mut ping);
    }
    assert_eq!(talk.dropped(DropReason::Busy), 4, "sixteen answers are remembered until they are sent");
}

#[test]
fn a_node_that_hears_itself_says_so() {
    let mut talk = Talk::new();
    talk.stranger = of(&talk.node);
    assert_eq!(talk.tell(&[forge::ping(5, [0; 6])]), []);
    assert_eq!(talk.dropped(DropReason::OwnId), 1);
}

/// The longest address that there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Longest([u8; 28]);

impl serde::Serialize for Longest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'d> serde::Deserialize<'d> for Longest {
    fn deserialize<D: serde::Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 28]>::deserialize(deserializer).map(Longest)
    }
}

impl tidings::Address for Longest {
    const MAX_LEN: usize = 28;
}

impl tidings::sim::HostAddress for Longest {
    fn of_host(host: u32) -> Self {
        let mut bytes = [0xff; 28];
        bytes[..4].copy_from_slice(&host.to_le_bytes());
        Longest(bytes)
    }
}

#[test]
fn every_datagram_fits_the_smallest_size_with_the_longest_address() {
    let config = Config::LAN.with_max_datagram(tidings::MIN_DATAGRAM);
    let fresh = || HeapNode::<Longest>::new(config, Limits::DEFAULT.with_members(12));
    for seed in 0..20 {
        let mut sim = Sim::new(seed, Conditions::LAN.with_loss(0.1));
        for host in 0..8 {
            sim.add(fresh());
            sim.start(host, &[0, 1]);
        }
        // A second claimant of an id, a crash, a restart, a partition and its healing.
        let twin = sim.add(fresh());
        sim.set_id(twin, sim.id(3));
        sim.run_for(Duration::from_secs(3));
        sim.start(twin, &[0, 1]);
        sim.crash(5);
        sim.run_for(Duration::from_secs(8));
        sim.restart(5, fresh(), &[0]);
        (0..8).for_each(|host| sim.set_side(host, host as u32 % 2));
        sim.run_for(Duration::from_secs(30));
        sim.heal();
        sim.run_for(Duration::from_secs(30));
        for host in 0..8 {
            let node = sim.machine(host).unwrap();
            assert_eq!(node.stats().dropped(DropReason::SmallBuffer), 0, "seed {seed}, host {host}");
            assert_eq!(node.live(), 8, "seed {seed}, host {host}");
        }
    }
}

#[test]
fn an_address_that_proved_nothing_gets_three_bytes_for_one_at_the_most() {
    const SPOOFED: u16 = 0xeee;
    let fresh = || {
        let mut talk = Talk::new().join();
        // News to tell, which could make answers large.
        let many: Vec<u8> =
            (500..520u64).flat_map(|id| forge::record(0, Sender { id, ..talk.stranger }, id as u16)).collect();
        talk.tell(&[forge::frame(forge::kind::NEWS, &many)]);
        talk
    };
    let ping = || forge::ping(5, [0; 6]);
    let introduce = || forge::frame(12, &[0; 8]);
    let leave = || forge::frame(10, &[0; 4]);
    let join = || forge::join(9, 0, &forge::record(0, Sender { id: 88, ..Talk::new().stranger }, SPOOFED));
    let list = |count: usize| forge::list(5, &vec![9; count]);
    let all = [[0; 8], [0xff; 8]].concat();
    let sums =
        |count: usize| forge::frame(forge::kind::SUMS, &[&[0][..], &all[..], &[0; 4], &vec![1; 2 * count]].concat());
    let want = || forge::frame(forge::kind::DIFF, &[&all[..], &[8], &[0xff; 8]].concat());
    let news = forge::record(0, Sender { id: 600, ..Talk::new().stranger }, 60);
    let hand = |number: u32| {
        let number = forge::handed(number, 1).to_le_bytes();
        forge::frame(forge::kind::HAND, &[&number[..], &[0; 4], &[0xff; 4], &news].concat())
    };
    let floods = [
        vec![ping()],
        (0..16).map(|_| ping()).collect(),
        (0..16).map(|_| introduce()).collect(),
        (0..16).map(|_| leave()).collect(),
        (0..16).map(|_| join()).collect(),
        vec![list(0)],
        vec![list(64)],
        (0..16).map(|_| list(0)).collect(),
        (0..16).map(|_| list(20)).collect(),
        vec![sums(1)],
        (0..16).map(|_| sums(16)).collect(),
        vec![want()],
        (0..16).map(|_| want()).collect(),
        vec![hand(1)],
        (0..16).map(hand).collect(),
    ];
    for (number, frames) in floods.iter().enumerate() {
        for who in ["a member", "a stranger", "a twin"] {
            let mut talk = fresh();
            let me = of(&talk.node);
            let sender = match who {
                "a member" => talk.stranger,
                "a stranger" => Sender { id: 88, ..talk.stranger },
                _ => Sender { nonce: me.nonce ^ 1, ..me },
            };
            let mut datagram = forge::datagram(forge::cluster("golden"), forge::VERSION, me.tag(), sender, frames);
            let bytes_in = datagram.len();
            talk.node.handle_datagram(talk.now, SPOOFED, &mut datagram);
            let out = sent(&mut talk.node).into_iter().filter(|(to, _)| *to == SPOOFED);
            let bytes_out: usize = out.map(|(_, bytes)| bytes.len()).sum();
            assert!(bytes_out <= 3 * bytes_in, "flood {number} by {who}: {bytes_out} bytes for {bytes_in}");
        }
    }
}

#[test]
fn any_bytes_from_anyone_are_survived_and_counted() {
    let mut talk = Talk::new().join();
    let mut rng = SimRng::new(1);
    let tag = of(&talk.node).tag();
    for turn in 0..20_000u64 {
        let body: Vec<u8> = (0..rng.below(60)).map(|_| rng.draw() as u8).collect();
        // A third is noise, a third has a valid head and check, a third valid frames with random bodies.
        let mut bytes = match turn % 3 {
            0 => body,
            1 => forge::datagram(forge::cluster("golden"), forge::VERSION, tag, talk.stranger, &[body]),
            _ => {
                let kind = rng.below(29) as u8;
                forge::datagram(
                    forge::cluster("golden"),
                    forge::VERSION,
                    tag,
                    talk.stranger,
                    &[forge::frame(kind, &body)],
                )
            }
        };
        talk.now = Instant::from_millis(5 + turn);
        talk.node.handle_datagram(talk.now, STRANGER_ADDR, &mut bytes);
        sent(&mut talk.node);
    }
    assert!(talk.node.members().count() <= Limits::DEFAULT.members());
    assert!(talk.node.stats().dropped_in_all() > 10_000, "{:?}", talk.node.stats());
}

#[test]
fn a_juror_that_does_not_know_the_member_says_that_it_hears_nothing_of_it() {
    const ASK: u8 = 3;
    let mut talk = Talk::new().join();
    let (question, unknown, within) = (5u32, 4_711u64, 200_000u32);
    let body = [&question.to_le_bytes()[..], &unknown.to_le_bytes(), &within.to_le_bytes()].concat();
    let answers = talk.tell(&[forge::frame(ASK, &body)]);
    let read = |(_, bytes): &(u16, Vec<u8>)| reading::read::<u16>(bytes, "golden", talk.stranger.tag());
    let verdicts: Vec<_> = answers.iter().filter_map(read).flat_map(|reading| reading.verdicts).collect();
    assert_eq!(verdicts, [(question, unknown, false)]);
}
