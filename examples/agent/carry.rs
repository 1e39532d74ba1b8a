//! How commands are carried out.

use std::net::SocketAddr;

use tidings::{BroadcastError, Instant, Member, MessageId, NodeId, SendError, Status};

use crate::agent::Agent;
use crate::command::{self, Command};
use crate::console;
use crate::desk::{DIRECT, Job};
use crate::show;

/// How much shorter than other messages questions and answers must be.
const QUESTION: usize = 4;

/// What came of trying to carry out a command.
pub enum Attempt {
    Done(Option<String>),
    /// An event will tell.
    Awaits,
    /// There is no room at present.
    Later,
    Failed(String),
}

impl Agent {
    pub fn carry_out(&mut self, job: &mut Job, now: Instant) -> Attempt {
        let said = match &job.command {
            Command::Say { topic, text } => self.say(topic, text, now),
            Command::Tell { to, text } => {
                self.post(to, text, 0, |agent, to| agent.node.send(now, to, DIRECT, text.as_bytes()))
            }
            Command::Ask { topic, text } => self.ask(topic, text, now),
            Command::AskOne { to, text } => self.post(to, text, QUESTION, |agent, to| {
                agent.node.ask_one(now, to, DIRECT, text.as_bytes(), agent.within)
            }),
            Command::Answer { number, text } => self.answer(*number, text, now),
            Command::Listen(topic) => match self.node.subscribe(now, self.desk.learn_topic(topic)) {
                Ok(()) => Err(Attempt::Done(Some(format!("listening to {topic}")))),
                Err(_) => Err(Attempt::Failed("15 topics are listened to already; unlisten one first".to_string())),
            },
            Command::Unlisten(topic) => {
                self.node.unsubscribe(now, self.desk.learn_topic(topic));
                Err(Attempt::Done(Some(format!("listening to {topic} no more"))))
            }
            Command::Set { key, value } => Err(self.set(key, value, now)),
            Command::Delete(key) => Err(self.delete(key, now)),
            Command::Get { owner: None, key } => Err(self.get_from_all(key)),
            Command::Get { owner: Some(owner), key } => Err(self.get(owner, key)),
            Command::Keys(owner) => Err(self.keys(owner.as_deref())),
            Command::Watch(prefix) => Err(self.watch(prefix)),
            Command::Unwatch(prefix) => Err(self.unwatch(prefix.as_deref())),
            Command::Members => Err(self.show(show::members(&self.node, self.columns(), |id| self.desk.name(id)))),
            Command::Top => Err(self.open_top(now)),
            Command::Stats => Err(self.show(show::stats(&self.node))),
            Command::Help => Err(self.show(command::HELP)),
            // Its time has come when it is read.
            Command::Leave => Err(Attempt::Done(None)),
        };
        match said {
            Ok(id) => {
                job.awaits = Some(id);
                Attempt::Awaits
            }
            Err(attempt) => attempt,
        }
    }

    /// How wide a table may be.
    fn columns(&self) -> usize {
        if self.desk.console.has_prompt() { console::size().0 } else { usize::MAX }
    }

    pub fn show(&mut self, text: impl std::fmt::Display) -> Attempt {
        self.desk.console.line(text);
        Attempt::Done(None)
    }

    /// Nothing tells that a broadcast has come to all, nor does the node leave before it has handed it on.
    fn say(&mut self, topic: &str, text: &str, now: Instant) -> Result<MessageId, Attempt> {
        self.expect_others()?;
        let subject = self.desk.learn_topic(topic);
        let said = self.node.broadcast(now, subject, text.as_bytes());
        said.map_err(|error| self.not_broadcast(error, text, 0))?;
        let listens = |member: &Member<SocketAddr>| {
            member.id() != self.node.id() && member.status().is_live() && member.may_listen(subject)
        };
        let listeners = match self.node.members().filter(listens).count() {
            0 => "nobody listens to it now".to_string(),
            1 => "1 listens".to_string(),
            several => format!("{several} listen"),
        };
        Err(Attempt::Done(Some(format!("said on {topic}: {listeners}"))))
    }

    /// As many answers are waited for as there are others, whether they listen or not: that is not known.
    fn ask(&mut self, topic: &str, text: &str, now: Instant) -> Result<MessageId, Attempt> {
        self.expect_others()?;
        let others = u32::try_from(self.node.live() - 1).unwrap_or(u32::MAX);
        let asked = self.node.ask(now, self.desk.learn_topic(topic), text.as_bytes(), others, self.within);
        asked.map_err(|error| self.not_broadcast(error, text, QUESTION))
    }

    fn post(
        &mut self,
        to: &str,
        text: &str,
        head: usize,
        send: impl FnOnce(&mut Agent, NodeId) -> Result<MessageId, SendError>,
    ) -> Result<MessageId, Attempt> {
        let member = self.find_other(to).map_err(Attempt::Failed)?;
        if !member.status().is_live() {
            return Err(Attempt::Failed(format!("{to} is unreachable: {}", what(&member))));
        }
        send(self, member.id()).map_err(|error| self.not_sent(error, text, head))
    }

    fn answer(&mut self, number: Option<u32>, text: &str, now: Instant) -> Result<MessageId, Attempt> {
        let (question, asked) = self.desk.question(number).map_err(Attempt::Failed)?;
        let answered = self.node.answer(now, question, text.as_bytes());
        answered.map_err(|error| match error {
            SendError::Unknown => Attempt::Failed("who asked is gone".to_string()),
            error => self.not_sent(error, text, QUESTION),
        })?;
        let (who, late) = (self.desk.who(question.asker()), now - asked);
        // How long others wait is their own affair, but most wait as long as one does oneself.
        Err(if late <= self.within {
            Attempt::Done(Some(format!("answered {who}")))
        } else {
            let (late, within) = (late.as_secs_f64(), self.within.as_secs_f64());
            Attempt::Failed(format!("too late, unless {who} waits longer than {within} s: {late:.0} s have passed"))
        })
    }

    fn expect_others(&self) -> Result<(), Attempt> {
        match self.node.live() {
            0 | 1 => Err(Attempt::Failed("nobody else is here to hear it".to_string())),
            _ => Ok(()),
        }
    }

    // Members.

    /// The member that is meant by a name, an id or the beginning of one, or an address.
    pub fn find(&mut self, text: &str) -> Result<Member<SocketAddr>, String> {
        self.named(text).or_else(|| self.at(text)).map_or_else(|| self.beginning(text), Ok)
    }

    fn find_other(&mut self, text: &str) -> Result<Member<SocketAddr>, String> {
        match self.find(text)? {
            myself if myself.id() == self.node.id() => Err(format!("{text} is this node itself")),
            other => Ok(other),
        }
    }

    fn named(&mut self, text: &str) -> Option<Member<SocketAddr>> {
        let found = self.node.member(NodeId::from_name(text))?;
        self.desk.learn_name(text);
        Some(found)
    }

    /// Several may have been at an address, but only one lives there.
    fn at(&self, text: &str) -> Option<Member<SocketAddr>> {
        let addr: SocketAddr = text.parse().ok()?;
        let there = self.node.members().filter(|member| member.addr() == addr);
        there.max_by_key(|member| member.status().is_live())
    }

    fn beginning(&self, text: &str) -> Result<Member<SocketAddr>, String> {
        let digits = text.to_lowercase();
        let mut matching = self.node.members().filter(|member| member.id().to_string().starts_with(&digits));
        match (matching.next(), matching.count()) {
            (Some(only), 0) => Ok(only),
            (Some(_), more) => Err(format!("{} ids begin with {text}: say more of it", more + 1)),
            (None, _) => Err(format!("there is no member {text}: neither a name, nor an id, nor an address")),
        }
    }

    // Errors.

    fn not_broadcast(&self, error: BroadcastError, text: &str, head: usize) -> Attempt {
        match error {
            BroadcastError::WouldBlock => Attempt::Later,
            BroadcastError::TooLarge => self.too_large(text, head),
            error => Attempt::Failed(error.to_string()),
        }
    }

    fn not_sent(&self, error: SendError, text: &str, head: usize) -> Attempt {
        match error {
            SendError::WouldBlock => Attempt::Later,
            SendError::TooLarge => self.too_large(text, head),
            error => Attempt::Failed(error.to_string()),
        }
    }

    fn too_large(&self, text: &str, head: usize) -> Attempt {
        let most = self.node.max_payload().saturating_sub(head);
        Attempt::Failed(format!("the text has {} bytes; at most {most} can be sent", text.len()))
    }
}

fn what(member: &Member<SocketAddr>) -> &'static str {
    match member.status() {
        Status::Left => "it has left",
        _ => "it is down",
    }
}
