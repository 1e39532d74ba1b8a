//! Messages out: what the application says, what is owed to others of it, and what it is told.

use core::time::Duration;

use super::Node;
use super::send::{Pending, What, behind};
use crate::broadcast::{self, At, DIRECT, Entry};
use crate::budget::Class;
use crate::event::{BroadcastError, CapacityError, Event, SendError, WakeReason};
use crate::ids::{MessageId, Question};
use crate::member::{Address, NodeId, Record};
use crate::members::MYSELF;
use crate::node_core::Deadline;
use crate::storage::{Storage, must_fit};
use crate::time::{Instant, micros};
use crate::topic::Topic;
use crate::wire::{ANSWER, QUESTION, Writer, kind, write_frame, write_part};

/// What is to be told next of messages.
pub(super) enum News {
    Gap(broadcast::Gap),
    Message(At, Entry),
    Outcome(MessageId, NodeId, bool),
    Over(MessageId, u32),
}

/// The most members that [`Node::spread`] sends to; a [`Narrow`](crate::Narrow) node has no more than 4 direct messages on
/// their way.
pub const MAX_SPREAD: usize = crate::broadcast::MOST_SENDS;

impl<A: Address, S: Storage> Node<A, S> {
    // Commands.

    /// Listens to a topic from now on, or from `start` on: its broadcasts are told as [`Event::Message`] and
    /// [`Event::Question`], in the order in which they come. Others learn of it as of any change of this node's record,
    /// and send it what is on that topic; until they have, some messages may come late.
    ///
    /// An error means that 16 topics (8 in a [`Narrow`](crate::Narrow) node) are listened to already, or that there is no
    /// room for messages at all, and nothing changed.
    pub fn subscribe(&mut self, now: Instant, topic: Topic) -> Result<(), CapacityError> {
        self.listen(now, topic, false)
    }

    /// Listens to a topic, and is told each origin's broadcasts in the order in which they were sent. What comes too early
    /// is held back, in the room that there is for messages, until what is before it has come or is a
    /// [`Gap`](Event::Gap): for up to [`Config::delivery_timeout`](crate::Config::delivery_timeout). Where there is no
    /// room to hold it, it goes as a gap itself.
    ///
    /// An error means that 16 topics (8 in a [`Narrow`](crate::Narrow) node) are listened to already, or that there is no
    /// room for messages at all, and nothing changed.
    pub fn subscribe_in_order(&mut self, now: Instant, topic: Topic) -> Result<(), CapacityError> {
        self.listen(now, topic, true)
    }

    fn listen(&mut self, now: Instant, topic: Topic, ordered: bool) -> Result<(), CapacityError> {
        self.advance(now);
        if !self.keeps_messages() || !self.broadcasts.subscribe(topic, ordered) {
            return Err(CapacityError);
        }
        self.retell_topics();
        Ok(())
    }

    /// Listens to a topic no more. What has come and was not told yet is told still.
    pub fn unsubscribe(&mut self, now: Instant, topic: Topic) {
        self.advance(now);
        self.broadcasts.unsubscribe(topic);
        self.retell_topics();
    }

    fn retell_topics(&mut self) {
        let topics = self.broadcasts.topics();
        self.redescribe(|myself| Record { topics, ..myself });
        self.act();
    }

    /// Sends a payload to all members that listen to `topic`; this node itself is not told of it. It reaches them within a
    /// few network latencies, and whoever it does not reach at first, by repair. Before the node is a member, and while it
    /// is isolated, it waits.
    ///
    /// At most [`max_payload`](Self::max_payload) bytes. An error means that nothing is sent. `WouldBlock` comes when eight
    /// broadcasts (4 in a [`Narrow`](crate::Narrow) node) wait for their turn, or all room is taken by what is still on its way: try again when datagrams have
    /// been handed in.
    pub fn broadcast(&mut self, now: Instant, topic: Topic, payload: &[u8]) -> Result<MessageId, BroadcastError> {
        self.advance(now);
        self.announce_message(topic, None, payload)
    }

    fn announce_message(
        &mut self,
        topic: Topic,
        question: Option<u32>,
        payload: &[u8],
    ) -> Result<MessageId, BroadcastError> {
        let origin = self.speaks().ok_or(BroadcastError::NotRunning)?;
        let prefix = question.map_or(0, |_| 4);
        if !self.broadcasts.can_hold(payload.len().saturating_add(prefix), self.core.config.max_datagram()) {
            return Err(BroadcastError::TooLarge);
        }
        let sent = self.broadcasts.broadcast(topic, question, payload, &mut self.core);
        let seq = sent.map_err(|broadcast::Full| BroadcastError::WouldBlock)?;
        self.core.stats.broadcasts = self.core.stats.broadcasts.wrapping_add(1);
        self.act();
        Ok(MessageId { origin: origin.id, tag: origin.tag, seq })
    }

    /// The longest payload, in bytes, that can be sent: 32 datagrams' worth, or what there is room for.
    pub fn max_payload(&self) -> usize {
        self.broadcasts.most(self.core.config.max_datagram())
    }

    /// Sends a payload to one living member, whether it listens to `topic` or not, again and again until it is
    /// acknowledged. [`Event::Sent`] or [`Event::Unreachable`] tells what became of it.
    ///
    /// At most [`max_payload`](Self::max_payload) bytes, and at most 16 (4 in a [`Narrow`](crate::Narrow) node) on their
    /// way or with an outcome that has not been polled; an error means that nothing is sent.
    pub fn send(&mut self, now: Instant, to: NodeId, topic: Topic, payload: &[u8]) -> Result<MessageId, SendError> {
        self.advance(now);
        self.post(&[to], (topic, 0, false), None, payload)
    }

    /// Sends a payload to some members that listen to `topic`, chosen at random: to `count` of them, or to all if they are
    /// fewer, at most [`MAX_SPREAD`]. Each acknowledges it, as with [`send`](Self::send), and has an event of its own.
    pub fn spread(&mut self, now: Instant, topic: Topic, payload: &[u8], count: usize) -> Result<MessageId, SendError> {
        self.advance(now);
        let mut chosen = heapless::Vec::<NodeId, MAX_SPREAD>::new();
        let bit = topic.bit();
        while chosen.len() < count.min(self.broadcasts.sends.limit()) {
            let fresh = |member: &crate::Member<A>| member.record.topics & bit != 0 && !chosen.contains(&member.id());
            let any =
                self.core.members.random_live(&mut self.core.rng, fresh).and_then(|index| self.core.members.get(index));
            match any.map(|record| record.id) {
                Some(id) => must_fit(chosen.push(id)),
                None => break,
            }
        }
        self.post(&chosen, (topic, 0, false), None, payload)
    }

    /// Asks all members that listen to `topic`. They are told of an [`Event::Question`], and each that answers is told
    /// here as an [`Event::Answer`]. It is over, and told as [`Event::Answered`], when `wanted` have answered or `within` has
    /// passed; what comes later is refused.
    ///
    /// At most [`max_payload`](Self::max_payload) less 4 bytes, and 4 questions (2 in a [`Narrow`](crate::Narrow) node)
    /// at a time; an error means that nothing is asked. That a question reaches everybody is as certain as with [`broadcast`](Self::broadcast), so that whoever
    /// is silent has nothing to say, or is gone.
    pub fn ask(
        &mut self,
        now: Instant,
        topic: Topic,
        payload: &[u8],
        wanted: u32,
        within: Duration,
    ) -> Result<MessageId, BroadcastError> {
        self.advance(now);
        if !self.broadcasts.questions.has_room() {
            return Err(BroadcastError::WouldBlock);
        }
        let undrawn = self.core.rng.clone();
        let number = self.core.rng.next_u32();
        let sent = self.announce_message(topic, Some(number), payload);
        match sent {
            Ok(id) => self.open_question(id, number, wanted, within),
            Err(_) => self.core.rng = undrawn,
        }
        sent
    }

    /// Asks one member, as [`ask`](Self::ask) does all. If it cannot be reached, the question is over when its time is.
    pub fn ask_one(
        &mut self,
        now: Instant,
        to: NodeId,
        topic: Topic,
        payload: &[u8],
        within: Duration,
    ) -> Result<MessageId, SendError> {
        self.advance(now);
        if !self.broadcasts.questions.has_room() {
            return Err(SendError::WouldBlock);
        }
        let undrawn = self.core.rng.clone();
        let number = self.core.rng.next_u32();
        let sent = self.post(&[to], (topic, QUESTION, true), Some(number), payload);
        match sent {
            Ok(id) => self.open_question(id, number, 1, within),
            Err(_) => self.core.rng = undrawn,
        }
        sent
    }

    fn open_question(&mut self, id: MessageId, number: u32, wanted: u32, within: Duration) {
        let until = self.core.now.after(micros(within));
        let bit = self.broadcasts.questions.open(id, number, wanted, until);
        self.core.members.forget_answers(bit);
    }

    /// Answers a question. It is sent until it is acknowledged, and nothing is told of it: whether the asker still waits
    /// is its own affair. Of several answers to one question the first counts.
    ///
    /// At most [`max_payload`](Self::max_payload) less 4 bytes; an error means that nothing is sent.
    pub fn answer(&mut self, now: Instant, question: Question, payload: &[u8]) -> Result<MessageId, SendError> {
        self.advance(now);
        self.post(&[question.asker], (Topic::new(0), ANSWER, true), Some(question.number), payload)
    }

    /// Sends a message to these members.
    fn post(
        &mut self,
        to: &[NodeId],
        (topic, form, quiet): (Topic, u8, bool),
        number: Option<u32>,
        payload: &[u8],
    ) -> Result<MessageId, SendError> {
        let origin = self.speaks().ok_or(SendError::NotRunning)?;
        let lives = |id: &NodeId| {
            self.core.members.find(*id).is_some_and(|index| index != MYSELF && self.core.members.is_live(index))
        };
        if to.is_empty() || !to.iter().all(lives) {
            return Err(SendError::Unknown);
        }
        let prefix = number.map_or(0, |_| 4);
        if !self.broadcasts.can_hold(payload.len().saturating_add(prefix), self.core.config.max_datagram()) {
            return Err(SendError::TooLarge);
        }
        if self.broadcasts.sends.room() < to.len() {
            return Err(SendError::WouldBlock);
        }
        let undrawn = self.core.rng.clone();
        let name = self.core.rng.next_u32() | 1;
        let message = (name, topic, form, DIRECT);
        let composed = self.broadcasts.compose(message, (number, payload), &mut self.core);
        let Some((at, pieces)) = composed else {
            self.core.rng = undrawn;
            return Err(SendError::WouldBlock);
        };
        let until = self.core.now.after(self.core.config.delivery_timeout);
        for id in to {
            let send = broadcast::Send::new(*id, name, (at, pieces), quiet, (self.core.now, until));
            self.broadcasts.sends.push(send);
        }
        self.act();
        Ok(MessageId { origin: origin.id, tag: origin.tag, seq: name })
    }

    /// Who this node is, if it has a say.
    fn speaks(&self) -> Option<crate::wire::Origin> {
        self.core.members.own_origin().filter(|_| self.is_running() && self.leave.is_none())
    }

    // Time.

    /// Whether own broadcasts can be handed out: a newcomer knows too few of those who are to hear them.
    pub(super) fn may_begin_casts(&self) -> bool {
        self.core.phase != crate::Phase::Joining && !self.walk.by_newcomer()
    }

    pub(super) fn messages_due(&self, due: &mut Deadline) {
        if !self.keeps_data() {
            return;
        }
        if self.keeps_messages() {
            due.sooner(self.broadcasts.sends.due(), WakeReason::Message);
            due.sooner(self.broadcasts.questions.due(), WakeReason::Message);
        }
        if self.detector.isolated {
            return;
        }
        if self.keeps_messages() {
            let casts = self.broadcasts.casts_due(self.may_begin_casts(), &self.core.tree, self.core.now);
            self.sooner_if_paid(due, Class::Casts, casts, WakeReason::Message);
            self.sooner_if_paid(due, Class::Sync, self.broadcasts.repairs.due(), WakeReason::Repair);
        }
        // Otherwise it goes out with this very call.
        if self.broadcasts.owed_gives().next().is_some() && !self.may_send(Class::Sync) {
            self.sooner_if_paid(due, Class::Sync, self.core.now, WakeReason::Repair);
        }
    }

    pub(super) fn tick_messages(&mut self) {
        if !self.keeps_data() {
            return;
        }
        if self.core.now >= self.broadcasts.next_mourning {
            self.broadcasts.next_mourning = self.core.now.after(self.core.config.probe_period);
            self.core.members.end_mourning(self.core.now);
        }
        if !self.keeps_messages() {
            return;
        }
        let unit = self.detector.hop(&self.core.config);
        self.broadcasts.sends.tick(unit, &self.core);
        self.broadcasts.questions.tick(self.core.now);
        if self.detector.isolated {
            return;
        }
        if self.may_send(Class::Casts) {
            let may_begin = self.may_begin_casts();
            let given_up = self.broadcasts.tick_casts(may_begin, unit, &mut self.core);
            self.detector.probe_now(given_up, &mut self.core);
        }
        if self.may_send(Class::Sync) {
            while let Some((origin, last)) = self.broadcasts.repairs.tick(unit, &mut self.core) {
                self.broadcasts.give_up(origin, (last, false), &mut self.core);
            }
        }
    }

    // What is owed.

    pub(super) fn owed_message(&self, passed: &mut usize) -> Option<Pending<A>> {
        if self.detector.isolated || !self.keeps_messages() || self.broadcasts.is_quiet() {
            return None;
        }
        if self.may_send(Class::Casts)
            && let Some((at, send)) = behind(self.broadcasts.sends.owed(), passed)
        {
            return Some(self.pays(What::Direct(at), send.to, Class::Casts));
        }
        if !self.may_send(Class::Sync) {
            return None;
        }
        if let Some((at, to)) = behind(self.broadcasts.repairs.owed(&self.core.members), passed) {
            return Some(self.pays(What::Pull(at), to, Class::Sync));
        }
        behind(self.broadcasts.owed_gives(), passed).map(|(at, to)| self.pays(What::Give(at), to, Class::Sync))
    }

    pub(super) fn write_direct(&self, at: usize, writer: &mut Writer<'_>) -> Option<()> {
        let send = self.broadcasts.sends.get(at)?;
        let entry = self.broadcasts.log.get(send.at)?;
        let piece = self.broadcasts.piece_of(send.at, &entry, send.piece, false);
        write_frame(kind::DIRECT, writer, |body| {
            body.u32(send.ask.number)?;
            write_part(&piece.part, body)
        })
    }

    // Telling.

    /// What there is to tell next of messages. One whose payload makes no sense is passed over.
    pub(super) fn next_news(&mut self) -> Option<News> {
        if !self.keeps_messages() {
            return None;
        }
        if let Some(gap) = self.broadcasts.next_gap() {
            return Some(News::Gap(gap));
        }
        while let Some((at, entry)) = self.broadcasts.next_message(&self.core.members, &mut self.core.stats) {
            if self.message_event(at, &entry).is_some() {
                return Some(News::Message(at, entry));
            }
        }
        if let Some(send) = self.broadcasts.sends.next_outcome() {
            let origin = self.core.members.own_origin()?;
            let id = MessageId { origin: origin.id, tag: origin.tag, seq: send.ask.number };
            return Some(News::Outcome(id, send.to, send.has_reached()));
        }
        let over = self.broadcasts.next_over()?;
        Some(News::Over(over.id, over.answers))
    }

    pub(super) fn news_event(&self, news: News) -> Option<Event<'_, A>> {
        Some(match news {
            News::Gap(gap) => Event::Gap { origin: gap.origin, first: gap.first, last: gap.last },
            News::Outcome(id, to, true) => Event::Sent { id, to },
            News::Outcome(id, to, false) => Event::Unreachable { id, to },
            News::Over(id, answers) => Event::Answered { id, answers },
            News::Message(at, entry) => return self.message_event(at, &entry),
        })
    }

    fn message_event(&self, at: At, entry: &Entry) -> Option<Event<'_, A>> {
        let payload = self.broadcasts.log.payload(at);
        let (topic, origin) = (Topic::new(entry.topic), entry.origin);
        let numbered = || payload.split_first_chunk().map(|(number, rest)| (u32::from_le_bytes(*number), rest));
        Some(match entry.form & (QUESTION | ANSWER) {
            0 => {
                let id = MessageId { origin, tag: entry.tag, seq: entry.seq };
                let hops = if entry.is(DIRECT) { 1 } else { entry.hops };
                Event::Message { origin, topic, id, payload, hops }
            }
            QUESTION => {
                let (number, payload) = numbered()?;
                Event::Question { question: Question { asker: origin, number }, topic, payload }
            }
            ANSWER if entry.is(DIRECT) => {
                let (number, payload) = numbered()?;
                Event::Answer { id: self.broadcasts.questions.id_of(number)?, from: origin, payload }
            }
            _ => return None,
        })
    }
}
