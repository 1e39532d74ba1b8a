//! How much a hostile member can make a node do. That no frame takes long, whatever the size of the table, is measured
//! by `cargo bench --bench node -- --frames`; here it is shown that what takes longer than a ping is not done at any
//! rate that others choose.

use tidings::internals::forge::{self, Sender, kind};
use tidings::sim::SimRng;
use tidings::{Config, DropReason, HeapNode, Instant, Limits, NodeId};

/// A node that knows members 2 and up, each at the address of its number, and has had them prove that they are there.
struct Victim {
    node: HeapNode<u32>,
    now: Instant,
}

impl Victim {
    fn new(members: u32) -> Self {
        let mut node = HeapNode::new(Config::LAN, Limits::DEFAULT);
        let now = Instant::from_millis(1_000);
        node.start(now, NodeId::new(1), 1, &mut SimRng::new(1)).unwrap();
        let mut victim = Victim { node, now };
        for member in 2..=members {
            let mut cookie = 0;
            for _ in 0..2 {
                let record = forge::record_at(0, sender(member), &forge::varint(member));
                let answers = victim.hear(member, member, &[forge::join(1, cookie, &record)]);
                cookie = answers.iter().find_map(|bytes| forge::cookie(bytes)).unwrap_or(cookie);
            }
        }
        assert_eq!(victim.node.live(), members as usize, "all have joined");
        victim
    }

    /// Hears this of a member, from an address, and gives what is sent there in return.
    fn hear(&mut self, member: u32, from: u32, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let life = self.node.member(self.node.id()).expect("it was started").life();
        let tag = forge::tag(1, life.generation(), life.nonce());
        let mut datagram = forge::datagram(forge::cluster(""), forge::VERSION, tag, sender(member), frames);
        self.node.handle_datagram(self.now, from, &mut datagram);
        let (mut buf, mut answers) = ([0; 1_200], Vec::new());
        while let Some(transmit) = self.node.poll_transmit(&mut buf) {
            if transmit.to == from {
                answers.push(transmit.payload.to_vec());
            }
        }
        answers
    }

    fn refused(&self) -> u64 {
        self.node.stats().dropped(DropReason::Busy)
    }

    /// Hears a question for sums each millisecond for a second, of these members in turn; how many were refused.
    fn flood(&mut self, of: u8, members: std::ops::Range<u32>, from: impl Fn(u32) -> u32) -> u64 {
        let before = self.refused();
        for member in members.cycle().take(1_000) {
            self.now = Instant::from_micros(self.now.as_micros() + 1_000);
            self.hear(member, from(member), &[sums(of)]);
        }
        self.refused() - before
    }
}

fn sender(member: u32) -> Sender {
    Sender { id: member.into(), generation: 0, nonce: member, incarnation: 0 }
}

/// A question about all of the table, in one part.
fn sums(of: u8) -> Vec<u8> {
    forge::frame(kind::SUMS, &[&[of][..], &[0; 8], &[0xff; 8], &[7; 4], &[9; 2]].concat())
}

#[test]
fn a_member_has_sums_of_a_table_compared_eight_times_at_once_and_then_every_fifty_milliseconds() {
    for of in [0, 1] {
        let mut victim = Victim::new(8);
        let refused = victim.flood(of, 2..3, |member| member);
        assert_eq!(1_000 - refused, 8 + 1_000 / 50 - 1, "answered, of a thousand about {of}; the rest is counted");
        assert_eq!(victim.hear(3, 3, &[sums(of)]).len(), 1, "another member is answered meanwhile");
    }
}

#[test]
fn one_who_speaks_in_the_name_of_many_leaves_the_sums_to_those_who_are_where_they_say() {
    let mut victim = Victim::new(60);
    let refused = victim.flood(0, 2..50, |_| 9_999);
    assert!(refused > 600, "{refused} of a thousand are refused, and counted");
    let before = victim.refused();
    for member in 50..56 {
        assert_eq!(victim.hear(member, member, &[sums(0)]).len(), 1, "{member} is answered at home");
    }
    assert_eq!(victim.refused(), before);
}
