//! An application that remembers all that it was told of messages, and what was really said.

use std::collections::{BTreeMap, BTreeSet};

use tidings::{Event, MessageId, NodeId, Question, Topic};

/// What was really said, by whom.
#[derive(Clone, Default)]
pub struct Said {
    /// By what it says, which is said once.
    payloads: BTreeMap<Vec<u8>, What>,
    /// The tags of each node's lives.
    lives: BTreeMap<u64, BTreeSet<u32>>,
    /// In whose name something was forged.
    forged: BTreeSet<u64>,
    count: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Message(u64, Topic, MessageId),
    Question(u64, Topic),
    Answer(u64),
}

fn id_of(at: usize) -> u64 {
    at as u64 + 1
}

impl Said {
    /// A payload of about this length that was never said before.
    pub fn payload(&mut self, len: usize) -> Vec<u8> {
        self.count += 1;
        let front = self.count.to_le_bytes();
        front.into_iter().chain((0..len).map(|place| place as u8)).collect()
    }

    pub fn note_life(&mut self, at: usize, tag: u32) {
        self.lives.entry(id_of(at)).or_default().insert(tag);
    }

    pub fn note_message(&mut self, at: usize, tag: u32, id: MessageId, topic: Topic, payload: Vec<u8>) {
        self.note_life(at, tag);
        assert_eq!(id.origin(), NodeId::new(id_of(at)));
        self.payloads.insert(payload, What::Message(id_of(at), topic, id));
    }

    pub fn note_question(&mut self, at: usize, tag: u32, _: MessageId, topic: Topic, payload: Vec<u8>) {
        self.note_life(at, tag);
        self.payloads.insert(payload, What::Question(id_of(at), topic));
    }

    pub fn note_answer(&mut self, at: usize, payload: Vec<u8>) {
        self.payloads.insert(payload, What::Answer(id_of(at)));
    }

    pub fn note_forgery(&mut self, at: usize) {
        self.forged.insert(id_of(at));
    }

    #[cfg(test)]
    pub fn said(&self) -> usize {
        self.payloads.len()
    }

    fn is_honest(&self, id: NodeId) -> bool {
        !self.forged.contains(&id.get())
    }

    /// Whether all that a node ever said was in one life, and so is numbered once.
    fn had_one_life(&self, id: NodeId) -> bool {
        self.lives.get(&id.get()).is_none_or(|lives| lives.len() <= 1)
    }
}

/// One application, in one life of its node.
#[derive(Clone, Default)]
pub struct Reader {
    messages: BTreeMap<MessageId, Vec<u8>>,
    payloads: BTreeSet<Vec<u8>>,
    /// Broadcasts that will not come, by their origins.
    gaps: Vec<(NodeId, u32, u32)>,
    outcomes: BTreeSet<(MessageId, NodeId)>,
    questions: Vec<Question>,
    /// Its own, and how many have answered each; gone when it is over.
    asked: BTreeMap<MessageId, BTreeSet<NodeId>>,
    /// Topics that were ever listened to, and those that were never but in order.
    topics: BTreeMap<Topic, bool>,
    /// The last broadcast that came in order.
    last: BTreeMap<NodeId, MessageId>,
}

impl Reader {
    /// The node was started again: all is forgotten but what it listens to.
    pub fn begin_anew(&mut self) {
        *self = Reader { topics: std::mem::take(&mut self.topics), ..Reader::default() };
    }

    pub fn note_subscription(&mut self, topic: Topic, ordered: bool) {
        *self.topics.entry(topic).or_insert(true) &= ordered;
    }

    pub fn note_asked(&mut self, id: MessageId) {
        self.asked.insert(id, BTreeSet::new());
    }

    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    #[cfg(test)]
    pub fn told(&self) -> String {
        format!("{} messages, {} questions", self.messages.len(), self.questions.len())
    }

    /// Takes an event of the node at this place, and checks it against all before it and what was really said.
    pub fn take(&mut self, event: &Event<'_, u16>, at: usize, said: &Said) {
        if cfg!(test) {
            println!("node {at}: {event:?}");
        }
        match *event {
            Event::Message { origin, topic, id, payload, hops } => {
                assert!(origin == id.origin() && hops <= 15 && origin != NodeId::new(id_of(at)));
                if said.is_honest(origin) {
                    self.take_message(topic, id, payload, said);
                }
            }
            Event::Question { question, topic, payload } => {
                self.questions.push(question);
                if said.is_honest(question.asker()) {
                    let what = said.payloads.get(payload);
                    assert!(what == Some(&What::Question(question.asker().get(), topic)), "what was asked");
                    let first = self.payloads.insert(payload.to_vec());
                    assert!(first || !said.had_one_life(question.asker()), "a question is told once");
                }
            }
            Event::Answer { id, from, payload } => {
                let all = self.asked.get_mut(&id).expect("an answer to a question that is not over");
                let first = all.insert(from);
                if said.is_honest(from) {
                    assert!(said.payloads.get(payload) == Some(&What::Answer(from.get())), "what was answered");
                    assert!(first || !said.had_one_life(from), "one answer of each");
                }
            }
            Event::Answered { id, answers } => {
                let told = self.asked.remove(&id).expect("a question is over once");
                assert!(
                    answers as usize == told.len()
                        || !said.forged.is_empty()
                        || said.lives.values().any(|lives| lives.len() > 1)
                );
            }
            Event::Sent { id, to } | Event::Unreachable { id, to } => {
                assert_eq!(id.origin(), NodeId::new(id_of(at)), "it sent that");
                assert!(self.outcomes.insert((id, to)), "one outcome of each");
            }
            Event::Gap { origin, first, last } => self.take_gap((origin, first, last), said),
            _ => {}
        }
    }

    fn take_message(&mut self, topic: Topic, id: MessageId, payload: &[u8], said: &Said) {
        let origin = id.origin();
        let Some(What::Message(sender, about, sent)) = said.payloads.get(payload).copied() else {
            panic!("{payload:?} was never sent");
        };
        assert!(sender == origin.get() && about == topic, "by whom and about what it was sent");
        assert!(self.messages.insert(id, payload.to_vec()).is_none(), "each message is told once");
        if !said.had_one_life(origin) {
            return;
        }
        assert_eq!(sent, id, "it is named as its sender named it");
        let in_gap = |gap: &(NodeId, u32, u32)| gap.0 == origin && (gap.1..=gap.2).contains(&id.seq());
        // The number of a direct message is a random one.
        let direct = |seq: u32| seq > 1 << 20;
        assert!(direct(id.seq()) || !self.gaps.iter().any(in_gap), "what will not come does not come");
        if self.topics.get(&topic) == Some(&true) && !direct(id.seq()) {
            let before = self.last.insert(origin, id);
            assert!(before.is_none_or(|before| before.seq() < id.seq()), "{id} behind {before:?}");
        }
    }

    fn take_gap(&mut self, gap: (NodeId, u32, u32), said: &Said) {
        let (origin, first, last) = gap;
        assert!(0 < first && first <= last);
        if said.is_honest(origin) && said.had_one_life(origin) {
            let in_gap = |id: &&MessageId| id.origin() == origin && (first..=last).contains(&id.seq());
            assert_eq!(self.messages.keys().find(in_gap), None, "{first} to {last} are no gap");
            let known = |gap: &&(NodeId, u32, u32)| gap.0 == origin && gap.1 <= last && first <= gap.2;
            assert_eq!(self.gaps.iter().find(known), None, "{first} to {last} are known to be missing");
            self.gaps.push(gap);
        }
    }
}
