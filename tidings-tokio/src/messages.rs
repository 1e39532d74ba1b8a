//! The handle: messages.

use std::time::Duration;

use tidings::{MessageId, NodeId, Question, Topic};
use tokio::sync::oneshot;

use crate::Event;
use crate::cluster::Cluster;
use crate::core::{Core, Lane};
use crate::error::Error;
use crate::feed::{Feed, Missed, Outlet, Tap};

/// A message that has come: a broadcast, or one that was sent to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Who sent it.
    pub origin: NodeId,
    /// What it is about.
    pub topic: Topic,
    /// Which it is.
    pub id: MessageId,
    /// What it says.
    pub payload: Vec<u8>,
}

/// A question of another member. Answer it with [`Cluster::answer`], or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// What `answer` wants.
    pub question: Question,
    /// Who asks.
    pub asker: NodeId,
    /// What it is about.
    pub topic: Topic,
    /// What it says.
    pub payload: Vec<u8>,
}

/// An answer to a question of this node's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Who answers.
    pub from: NodeId,
    /// What it says.
    pub payload: Vec<u8>,
}

impl Cluster {
    /// The messages on a topic from now on, in the order in which they come: broadcasts of others, and what others send to
    /// this node on it. What was said before is not heard: what a newcomer must know belongs into a key ([`set`](Self::set)).
    pub async fn subscribe(&self, topic: Topic) -> Result<Feed<Message>, Error> {
        self.listen(topic, false).await
    }

    /// The same, with each member's broadcasts in the order in which it sent them.
    pub async fn subscribe_in_order(&self, topic: Topic) -> Result<Feed<Message>, Error> {
        self.listen(topic, true).await
    }

    async fn listen(&self, topic: Topic, in_order: bool) -> Result<Feed<Message>, Error> {
        let (mut outlet, feed) = Outlet::new();
        let see = move |event: &Event| match *event {
            Event::Message { origin, topic: of, id, ref payload, .. } if of == topic => {
                outlet.offer(Ok(Message { origin, topic, id, payload: payload.clone() }))
            }
            Event::Gap { origin, first, last } => outlet.offer(Err(Missed::Gap { origin, first, last })),
            _ => outlet.is_read(),
        };
        self.call(move |core| core.subscribe(topic, in_order, Tap::new(Some(topic), see))).await??;
        Ok(feed)
    }

    /// The questions of others on a topic from now on.
    pub async fn questions(&self, topic: Topic) -> Result<Feed<Asked>, Error> {
        let (mut outlet, feed) = Outlet::new();
        let see = move |event: &Event| match *event {
            Event::Question { question, topic: of, ref payload } if of == topic => {
                let (asker, payload) = (question.asker(), payload.clone());
                outlet.offer(Ok(Asked { question, asker, topic, payload }))
            }
            _ => outlet.is_read(),
        };
        self.call(move |core| core.subscribe(topic, false, Tap::new(Some(topic), see))).await??;
        Ok(feed)
    }

    /// Answers a question. Done when the answer is on its way.
    pub async fn answer(&self, question: Question, payload: impl AsRef<[u8]>) -> Result<MessageId, Error> {
        let payload: Box<[u8]> = payload.as_ref().into();
        let answer = move |core: &mut Core| Ok(core.hosted.node.answer(core.now(), question, &payload)?);
        self.persist(Lane::Direct, answer).await
    }

    /// Sends a payload to all other members that listen to a topic. Waits while too much is on its way; done when it is on
    /// its own way.
    pub async fn broadcast(&self, topic: Topic, payload: impl AsRef<[u8]>) -> Result<MessageId, Error> {
        self.persist(Lane::Broadcast, broadcasting(topic, payload)).await
    }

    /// The same, and fails with [`BroadcastError::WouldBlock`](tidings::BroadcastError::WouldBlock) where it would wait.
    pub async fn try_broadcast(&self, topic: Topic, payload: impl AsRef<[u8]>) -> Result<MessageId, Error> {
        self.call(broadcasting(topic, payload)).await?
    }

    /// Sends a payload to one member. Done when that one has acknowledged it; [`Error::Unreachable`] if it has not in
    /// [`Config::delivery_timeout`](tidings::Config::delivery_timeout), or is gone.
    pub async fn send(&self, to: NodeId, topic: Topic, payload: impl AsRef<[u8]>) -> Result<MessageId, Error> {
        let (outcome, wait) = oneshot::channel();
        let (payload, mut outcome): (Box<[u8]>, _) = (payload.as_ref().into(), Some(outcome));
        let send = move |core: &mut Core| {
            let sent = core.hosted.node.send(core.now(), to, topic, &payload)?;
            let mut outcome = outcome.take();
            core.tap(Tap::new(None, move |event| {
                let reached = match *event {
                    Event::Sent { id, .. } if id == sent => true,
                    Event::Unreachable { id, .. } if id == sent => false,
                    _ => return true,
                };
                if let Some(outcome) = outcome.take() {
                    let _ = outcome.send(reached);
                }
                false
            }));
            Ok(sent)
        };
        let sent = self.persist(Lane::Direct, send).await?;
        match wait.await {
            Ok(true) => Ok(sent),
            Ok(false) => Err(Error::Unreachable),
            Err(_) => Err(self.stopped().await.into()),
        }
    }

    /// Asks all other members that listen to a topic, and waits until `wanted` have answered or `within` has passed. Gives the
    /// answers that came, one of a member.
    pub async fn ask(
        &self,
        topic: Topic,
        payload: impl AsRef<[u8]>,
        wanted: u32,
        within: Duration,
    ) -> Result<Vec<Answer>, Error> {
        let payload: Box<[u8]> = payload.as_ref().into();
        let ask = move |core: &mut Core| Ok(core.hosted.node.ask(core.now(), topic, &payload, wanted, within)?);
        self.question(Lane::Broadcast, ask).await
    }

    /// Asks one member, and waits for its answer for so long. `None` if none came.
    pub async fn ask_one(
        &self,
        to: NodeId,
        topic: Topic,
        payload: impl AsRef<[u8]>,
        within: Duration,
    ) -> Result<Option<Answer>, Error> {
        let payload: Box<[u8]> = payload.as_ref().into();
        let ask = move |core: &mut Core| Ok(core.hosted.node.ask_one(core.now(), to, topic, &payload, within)?);
        Ok(self.question(Lane::Direct, ask).await?.pop())
    }

    async fn question(
        &self,
        lane: Lane,
        mut ask: impl FnMut(&mut Core) -> Result<MessageId, Error> + Send + 'static,
    ) -> Result<Vec<Answer>, Error> {
        let (over, wait) = oneshot::channel();
        let mut over = Some(over);
        let ask = move |core: &mut Core| {
            let asked = ask(core)?;
            let (mut over, mut answers) = (over.take(), Vec::new());
            core.tap(Tap::new(None, move |event| match *event {
                Event::Answer { id, from, ref payload } if id == asked => {
                    answers.push(Answer { from, payload: payload.clone() });
                    true
                }
                Event::Answered { id, .. } if id == asked => {
                    if let Some(over) = over.take() {
                        let _ = over.send(std::mem::take(&mut answers));
                    }
                    false
                }
                _ => true,
            }));
            Ok(())
        };
        self.persist(lane, ask).await?;
        match wait.await {
            Ok(answers) => Ok(answers),
            Err(_) => Err(self.stopped().await.into()),
        }
    }
}

fn broadcasting(
    topic: Topic,
    payload: impl AsRef<[u8]>,
) -> impl FnMut(&mut Core) -> Result<MessageId, Error> + Send + 'static {
    let payload: Box<[u8]> = payload.as_ref().into();
    move |core| Ok(core.hosted.node.broadcast(core.now(), topic, &payload)?)
}
