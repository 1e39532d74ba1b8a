//! What waits for an outcome, what has been asked, and what is told of it all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use owo_colors::{OwoColorize, Style};
use tidings::{Event, Instant, Member, MessageId, NodeId, Question, Topic};

use crate::command::Command;
use crate::console::Console;
use crate::names::{self, NAMES};
use crate::shared;
use crate::show;

/// What is said to one member alone has no topic of its own.
pub const DIRECT: Topic = Topic::new(0);
/// How long a newcomer may take to say its name before it is told of without.
const INTRODUCTION: Duration = Duration::from_millis(300);
/// How many of the latest questions can still be answered.
const QUESTIONS: usize = 100;

/// A command that is not done.
pub struct Job {
    pub command: Command,
    pub since: Instant,
    /// The message whose outcome is the command's.
    pub awaits: Option<MessageId>,
}

pub struct Desk {
    pub console: Console,
    /// A single command, whose outcome is all that is to be seen.
    pub terse: bool,
    pub jobs: VecDeque<Job>,
    /// Whether a command has failed.
    pub failed: bool,
    /// What every question is answered with.
    pub auto: Option<String>,
    /// The latest others' questions, their numbers, and when they came.
    questions: VecDeque<(u32, Question, Instant)>,
    asked: u32,
    names: BTreeMap<NodeId, String>,
    /// The question for everybody's name.
    pub roll_call: Option<MessageId>,
    /// Who is to be asked for the names of others, and the question.
    pub elder: Option<NodeId>,
    pub memories: Option<MessageId>,
    /// Those who have asked for names, and whether for others' too.
    pub curious: Vec<(Question, bool)>,
    topics: BTreeMap<Topic, String>,
    /// The beginnings of keys that are watched.
    pub watched: BTreeSet<String>,
    /// Whether this node has been admitted by another.
    pub joined: bool,
    /// Whether that has been told. Before, members are not told one by one.
    pub arrived: bool,
    /// When the last member was heard of.
    pub heard: Instant,
    /// Those that have come and not said their names yet, and until when that is waited for.
    strangers: Vec<(Member<SocketAddr>, Instant)>,
}

impl Desk {
    pub fn new(console: Console, auto: Option<String>) -> Desk {
        Desk {
            console,
            terse: false,
            jobs: VecDeque::new(),
            failed: false,
            auto,
            questions: VecDeque::new(),
            asked: 0,
            names: BTreeMap::new(),
            roll_call: None,
            elder: None,
            memories: None,
            curious: Vec::new(),
            topics: BTreeMap::new(),
            watched: BTreeSet::new(),
            joined: false,
            arrived: false,
            heard: Instant::ZERO,
            strangers: Vec::new(),
        }
    }

    // Names.

    /// A name that is known, even if its bearer is not called by it.
    pub fn learn_name_as(&mut self, name: &str, called: String) -> NodeId {
        let id = NodeId::from_name(name);
        self.names.insert(id, called);
        id
    }

    pub fn learn_name(&mut self, name: &str) -> NodeId {
        self.learn_name_as(name, name.to_string())
    }

    /// What somebody says to be called, if it is true.
    fn introduce(&mut self, id: NodeId, payload: &[u8]) {
        let name = String::from_utf8_lossy(payload);
        if NodeId::from_name(&name) != id || self.names.contains_key(&id) {
            return;
        }
        let name = show::text(payload);
        self.names.insert(id, name.clone());
        let waits = |(member, _): &(Member<SocketAddr>, Instant)| member.id() == id;
        match self.strangers.iter().position(waits) {
            Some(at) => {
                let (member, _) = self.strangers.remove(at);
                self.welcome(&member);
            }
            None if self.arrived && !self.is_silent() => self.tell(format_args!("{id} is {name}").green()),
            None => {}
        }
    }

    /// Tells of those that keep their names to themselves.
    pub fn welcome_strangers(&mut self, now: Instant) {
        let is_late = |(_, until): &(Member<SocketAddr>, Instant)| *until <= now;
        while let Some(at) = self.strangers.iter().position(is_late) {
            let (member, _) = self.strangers.remove(at);
            self.welcome(&member);
        }
    }

    /// When the next of them is to be told of.
    pub fn due(&self) -> Instant {
        self.strangers.iter().map(|(_, until)| *until).min().unwrap_or(Instant::FAR_FUTURE)
    }

    fn welcome(&mut self, member: &Member<SocketAddr>) {
        let what = if member.life().generation() > 0 { "is up in a new life" } else { "is up" };
        self.tell(self.described(member, what).green());
    }

    fn described(&self, member: &Member<SocketAddr>, what: &str) -> String {
        let (who, addr) = (self.who(member.id()), member.addr().to_string());
        if who == addr { format!("{addr} {what}") } else { format!("{who} at {addr} {what}") }
    }

    /// Names of others, who may be gone.
    fn remember(&mut self, payload: &[u8]) {
        for name in String::from_utf8_lossy(payload).lines() {
            self.names.entry(NodeId::from_name(name)).or_insert(show::text(name.as_bytes()));
        }
    }

    pub fn learn_topic(&mut self, name: &str) -> Topic {
        let topic = Topic::from_name(name);
        self.topics.insert(topic, name.to_string());
        topic
    }

    pub fn topics(&self) -> Vec<String> {
        self.topics.values().cloned().collect()
    }

    pub fn name(&self, id: NodeId) -> Option<String> {
        self.names.get(&id).cloned()
    }

    /// The name of a member, or its id.
    pub fn who(&self, id: NodeId) -> String {
        self.name(id).unwrap_or_else(|| id.to_string())
    }

    fn addressed(&self, topic: Topic) -> String {
        match self.topics.get(&topic) {
            Some(name) => format!("on {name}"),
            None if topic == DIRECT => "to you".to_string(),
            None => format!("on topic {topic}"),
        }
    }

    // Telling.

    /// Whether only the outcome of a single command is to be seen.
    pub fn is_silent(&self) -> bool {
        self.terse && !self.console.is_full()
    }

    /// Prints what happened, and when.
    pub fn tell(&mut self, text: impl Display) {
        if self.is_silent() {
            return self.console.line(text);
        }
        self.console.line(format_args!("{}  {text}", shared::stamp().dimmed()));
    }

    /// Prints what the outcome of a command is.
    pub fn conclude(&mut self, outcome: Result<Option<String>, String>) {
        match outcome {
            Ok(Some(text)) => self.tell(text.green()),
            Ok(None) => {}
            Err(sentence) => {
                self.failed = true;
                self.console.error(sentence);
            }
        }
    }

    // Questions.

    /// A question by its number, or the latest.
    pub fn question(&self, number: Option<u32>) -> Result<(Question, Instant), String> {
        let found = match number {
            Some(number) => self.questions.iter().find(|(known, ..)| *known == number),
            None => self.questions.back(),
        };
        found.map(|(_, question, at)| (*question, *at)).ok_or_else(|| match (self.questions.back(), number) {
            (Some((latest, ..)), Some(number)) => {
                format!("there is no question {number}; if it is a text: answer {latest} {number} ..")
            }
            _ => "nobody has asked anything yet".to_string(),
        })
    }

    fn note(&mut self, at: Instant, question: Question) -> u32 {
        self.asked += 1;
        self.questions.push_back((self.asked, question, at));
        if self.questions.len() > QUESTIONS {
            self.questions.pop_front();
        }
        if let Some(text) = self.auto.clone() {
            let command = Command::Answer { number: Some(self.asked), text };
            self.jobs.push_back(Job { command, since: at, awaits: None });
        }
        self.asked
    }

    // Events.

    /// Takes in an event. Nothing of it is borrowed for longer.
    pub fn react(&mut self, at: Instant, event: Event<'_, SocketAddr>, within: Duration) {
        match event {
            Event::Message { origin, topic, payload, .. } => {
                let said = format!("{} {}:", self.who(origin), self.addressed(topic));
                self.tell(format_args!("{} {}", said.cyan().bold(), show::text(payload)));
            }
            Event::Question { question, topic: NAMES, payload } => {
                self.introduce(question.asker(), payload);
                self.curious.push((question, payload.is_empty()));
            }
            Event::Answer { id, from, payload } if self.roll_call == Some(id) => {
                self.introduce(from, payload);
                if self.memories.is_none() {
                    self.elder = self.elder.or(Some(from));
                }
            }
            Event::Answer { id, payload, .. } if self.memories == Some(id) => self.remember(payload),
            Event::Question { question, topic, payload } => {
                let number = self.note(at, question);
                let (who, addressed) = (self.who(question.asker()), self.addressed(topic));
                let asks = format!("{who} asks {}, question {number}:", addressed.replace("to you", "you"));
                self.tell(format_args!("{} {}", asks.magenta().bold(), show::text(payload)));
            }
            Event::Answer { from, payload, .. } => {
                let answers = format!("{} answers:", self.who(from));
                self.tell(format_args!("{} {}", answers.magenta(), show::text(payload)));
            }
            Event::Answered { id, answers } => self.end_of_question(id, answers, within),
            Event::Sent { id, to } => self.finish(id, Ok(Some(format!("{} has it", self.who(to))))),
            Event::Unreachable { id, to } => {
                let sentence = format!("{} is unreachable; it may have got it all the same", self.who(to));
                self.finish(id, Err(sentence));
            }
            Event::Gap { origin, first, last } => {
                let count = u64::from(last.wrapping_sub(first)) + 1;
                let (messages, are) = if count == 1 { ("message", "is") } else { ("messages", "are") };
                let lost = format!("{count} {messages} of {} {are} lost: nobody has them any more", self.who(origin));
                self.tell(lost.yellow());
            }
            Event::KeySet { owner, entry } => {
                let sets = format!("{} sets {}:", self.who(owner), show::text(entry.key().as_bytes()));
                self.tell(format_args!("{} {}", sets.cyan(), show::text(entry.value())));
            }
            Event::KeyDeleted { owner, key } => {
                let key = show::text(key.as_bytes());
                self.tell(format_args!("{} deletes {key}", self.who(owner)).cyan());
            }
            Event::MapReplaced { owner } => {
                self.tell(format_args!("the map of {} begins anew", self.who(owner)).blue());
            }
            Event::MapGone { owner } => self.tell(format_args!("the map of {} is gone", self.who(owner)).blue()),
            _ => self.member_news(at, &event),
        }
    }

    fn end_of_question(&mut self, id: MessageId, answers: u32, within: Duration) {
        let seconds = within.as_secs_f64();
        let whom = self.jobs.iter().find(|job| job.awaits == Some(id)).map(|job| &job.command);
        let outcome = match (answers, whom) {
            (0, Some(Command::AskOne { to, .. })) => Err(format!("{to} did not answer within {seconds} s")),
            (0, Some(Command::Ask { text, .. })) => Err(format!("nobody answered \"{text}\" within {seconds} s")),
            (0, _) => Err(format!("nobody answered within {seconds} s")),
            (_, Some(Command::AskOne { .. })) => Ok(None),
            (1, _) => Ok(Some("1 answer".to_string())),
            (several, _) => Ok(Some(format!("{several} answers"))),
        };
        self.finish(id, outcome);
    }

    /// The outcome of a message is that of the command that sent it.
    fn finish(&mut self, id: MessageId, outcome: Result<Option<String>, String>) {
        if let Some(index) = self.jobs.iter().position(|job| job.awaits == Some(id)) {
            self.jobs.remove(index);
            self.conclude(outcome);
        }
    }

    fn member_news(&mut self, at: Instant, event: &Event<'_, SocketAddr>) {
        if let Event::Joined = event {
            self.joined = true;
        }
        if matches!(event, Event::Joined | Event::MemberUp(_)) {
            self.heard = at;
        }
        if let Event::MemberUp(member) = event
            && let Some(addr) = names::unnamed(member)
        {
            self.names.insert(member.id(), addr);
        }
        if let Event::JoinFailing { seed, trouble, .. } = event {
            let text = format!("cannot join yet: {seed} {trouble}");
            return self.tell(text.style(Style::new().yellow()));
        }
        if self.is_silent() || !self.arrived || event.member().as_ref().is_some_and(names::is_passing) {
            return;
        }
        if let Event::MemberUp(member) = event {
            if self.name(member.id()).is_some() {
                return self.welcome(member);
            }
            self.strangers.retain(|(other, _)| other.id() != member.id());
            return self.strangers.push((*member, at + INTRODUCTION));
        }
        let member = |member: &Member<SocketAddr>, what: &str| self.described(member, what);
        let (text, style) = match event {
            Event::MemberMoved(about) => (member(about, "has moved there"), Style::new().green()),
            Event::MemberSuspect(about) => (member(about, "is silent"), Style::new().yellow()),
            Event::MemberDown(about) => (member(about, "is down"), Style::new().red()),
            Event::MemberLeft(about) => (member(about, "has left"), Style::new().blue()),
            Event::Isolated => {
                ("isolated: nobody answers; cut off, or the last one alive".to_string(), Style::new().red())
            }
            Event::Reconnected => ("no longer isolated".to_string(), Style::new().green()),
            // Refusals are counted, and seldom a reason to worry; the last events of a life are told by who ends it.
            _ => return,
        };
        self.tell(text.style(style));
    }
}
