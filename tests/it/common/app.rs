//! An application around a node: it keeps what it is told, and answers questions.

use tidings::sim::{HostAddress, Machine, Report, SimRng};
use tidings::{Event, HeapNode, Instant, MessageId, NodeId, Question, Status, Topic};

/// An event of messages, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Message { origin: NodeId, topic: Topic, id: MessageId, payload: Vec<u8> },
    Gap { origin: NodeId, first: u32, last: u32 },
    Sent(MessageId, NodeId),
    Unreachable(MessageId, NodeId),
    Question(Question, Vec<u8>),
    Answer(MessageId, NodeId, Vec<u8>),
    Answered(MessageId, u32),
}

pub struct App {
    pub node: HeapNode<u32>,
    pub heard: Vec<(Instant, Heard)>,
    /// What it answers to every question, so many times.
    pub answers: Option<(Vec<u8>, usize)>,
    now: Instant,
}

impl App {
    pub fn new(node: HeapNode<u32>) -> Self {
        App { node, heard: Vec::new(), answers: None, now: Instant::ZERO }
    }

    /// The payloads of the messages that it was told, in order.
    pub fn payloads(&self) -> Vec<&[u8]> {
        let payload = |(_, heard): &'_ (Instant, Heard)| matches!(heard, Heard::Message { .. });
        let messages = self.heard.iter().filter(|heard| payload(heard));
        messages
            .filter_map(|(_, heard)| if let Heard::Message { payload, .. } = heard { Some(&payload[..]) } else { None })
            .collect()
    }

    /// What it was told that satisfies this.
    pub fn count(&self, wanted: impl Fn(&Heard) -> bool) -> usize {
        self.heard.iter().filter(|(_, heard)| wanted(heard)).count()
    }

    fn keep(&mut self, heard: Heard) {
        self.heard.push((self.now, heard));
    }
}

impl Machine for App {
    type Addr = u32;

    fn addr_of(host: u32) -> u32 {
        u32::of_host(host)
    }

    fn start(&mut self, now: Instant, id: NodeId, addr: u32, rng: &mut SimRng) {
        self.now = now;
        self.node.start(now, id, addr, rng);
    }

    fn join(&mut self, now: Instant, seed: u32) {
        self.node.join(now, seed).expect("there is room for the seed");
    }

    fn leave(&mut self, now: Instant) {
        self.node.leave(now);
    }

    fn handle_datagram(&mut self, now: Instant, from: u32, datagram: &mut [u8]) {
        self.now = now;
        self.node.handle_datagram(now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.node.handle_timeout(now);
    }

    fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<(u32, usize)> {
        Machine::poll_transmit(&mut self.node, buf)
    }

    fn poll_report(&mut self) -> Option<Report> {
        let heard = match self.node.poll_event()? {
            Event::Message { origin, topic, id, payload, .. } => {
                Heard::Message { origin, topic, id, payload: payload.to_vec() }
            }
            Event::Gap { origin, first, last } => Heard::Gap { origin, first, last },
            Event::Sent { id, to } => Heard::Sent(id, to),
            Event::Unreachable { id, to } => Heard::Unreachable(id, to),
            Event::Question { question, payload, .. } => Heard::Question(question, payload.to_vec()),
            Event::Answer { id, from, payload } => Heard::Answer(id, from, payload.to_vec()),
            Event::Answered { id, answers } => Heard::Answered(id, answers),
            _ => return Some(Report::Other),
        };
        if let (Heard::Question(question, _), Some((answer, times))) = (&heard, &self.answers) {
            for _ in 0..*times {
                self.node.answer(self.now, *question, answer).expect("there is room for an answer");
            }
        }
        self.keep(heard);
        Some(Report::Other)
    }

    fn poll_timeout(&self) -> Instant {
        self.node.poll_timeout()
    }

    fn status(&self, id: NodeId) -> Option<Status> {
        Machine::status(&self.node, id)
    }

    fn live(&self) -> usize {
        self.node.live()
    }

    fn has_left(&self) -> bool {
        Machine::has_left(&self.node)
    }
}
