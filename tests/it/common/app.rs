//! An application around a node: it keeps what it is told, and answers questions.

use tidings::{HeapNode, Hosted, Instant, MessageId, NodeId, OwnedEvent, Question, Topic};

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

/// Keeps what it is told.
#[derive(Default)]
pub struct Listener {
    pub heard: Vec<(Instant, Heard)>,
    /// What it answers to every question, so many times.
    pub answers: Option<(Vec<u8>, usize)>,
}

/// A node with such an application.
pub type App = Hosted<Listener, u32>;

impl Listener {
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
}

impl tidings::App<u32> for Listener {
    fn on_event(&mut self, node: &mut HeapNode<u32>, event: &OwnedEvent<u32>) {
        let heard = match event.clone() {
            OwnedEvent::Message { origin, topic, id, payload, .. } => Heard::Message { origin, topic, id, payload },
            OwnedEvent::Gap { origin, first, last } => Heard::Gap { origin, first, last },
            OwnedEvent::Sent { id, to } => Heard::Sent(id, to),
            OwnedEvent::Unreachable { id, to } => Heard::Unreachable(id, to),
            OwnedEvent::Question { question, payload, .. } => Heard::Question(question, payload),
            OwnedEvent::Answer { id, from, payload } => Heard::Answer(id, from, payload),
            OwnedEvent::Answered { id, answers } => Heard::Answered(id, answers),
            _ => return,
        };
        if let (Heard::Question(question, _), Some((answer, times))) = (&heard, &self.answers) {
            for _ in 0..*times {
                node.answer(node.now(), *question, answer).expect("there is room for an answer");
            }
        }
        self.heard.push((node.now(), heard));
    }
}
