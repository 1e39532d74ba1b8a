//! What this firmware does in its cluster, and what it wants to have seen before it leaves.

use core::net::SocketAddr;
use core::time::Duration;

use cortex_m_semihosting::hprintln;
use tidings::{Event, Instant, Question, Topic};

use crate::Node;

const TOPIC: Topic = Topic::from_name("demo");
/// The key that this node sets, for all to read.
const OWN_KEY: (&str, &[u8]) = ("temperature", b"21.5");
/// The key that it waits for.
const ORDER: &str = "order";
/// When it has failed.
const DEADLINE: Duration = Duration::from_secs(100);

#[derive(Clone, Copy)]
enum Duty {
    Join,
    Meet,
    Hear,
    Say,
    Answer,
    Obey,
    Mourn,
}

/// What has been done then, in their order.
const ALL: [&str; 7] = [
    "joined",
    "seen all members",
    "heard a broadcast",
    "broadcast",
    "answered a question",
    "read an order",
    "seen a member go down",
];

pub struct Duties {
    /// How many members there are to be, this one included.
    members: usize,
    done: [bool; ALL.len()],
    question: Option<Question>,
}

impl Duties {
    pub fn new(members: usize) -> Duties {
        Duties { members, done: [false; ALL.len()], question: None }
    }

    /// What is said to the node before it starts.
    pub fn begin(&self, now: Instant, node: &mut Node) -> Result<(), &'static str> {
        let (key, value) = OWN_KEY;
        node.subscribe(now, TOPIC).map_err(|_| "more topics than a node listens to")?;
        node.watch(ORDER).map_err(|_| "no room to watch a key")?;
        node.set(now, key, value).map(|_| ()).map_err(|_| "no room for a key")
    }

    /// Prints what has happened, and remembers what is to be done for it.
    pub fn note(&mut self, now: Instant, event: Event<'_, SocketAddr>) {
        hprintln!("{} {}", now, event);
        match event {
            Event::Joined => self.tick(Duty::Join),
            Event::Message { topic: TOPIC, .. } => self.tick(Duty::Hear),
            Event::Question { question, topic: TOPIC, .. } => self.question = Some(question),
            Event::MemberDown(_) => self.tick(Duty::Mourn),
            _ => {}
        }
    }

    /// Does what can be done now. What the node has no room for at the moment is tried again.
    pub fn act(&mut self, now: Instant, node: &mut Node) -> Result<(), &'static str> {
        if !self.has(Duty::Meet) && node.live() == self.members {
            hprintln!("{} sees all {} members", now, self.members);
            self.tick(Duty::Meet);
        }
        if self.has(Duty::Meet) && !self.has(Duty::Say) && node.broadcast(now, TOPIC, b"all are here").is_ok() {
            self.tick(Duty::Say);
        }
        if let Some(question) = self.question.take_if(|question| node.answer(now, *question, b"a Cortex-M3").is_ok()) {
            hprintln!("{} answers {}", now, question.asker());
            self.tick(Duty::Answer);
        }
        if !self.has(Duty::Obey)
            && let Some((owner, order)) = node.values(ORDER).next()
        {
            hprintln!("{} is told by {} to {}", now, owner, order.value().escape_ascii());
            self.tick(Duty::Obey);
        }
        if self.done == [true; ALL.len()] {
            node.leave(now);
        } else if now >= Instant::ZERO + DEADLINE {
            self.print_missing();
            return Err("the time is over");
        }
        Ok(())
    }

    fn has(&self, duty: Duty) -> bool {
        self.done[duty as usize]
    }

    fn tick(&mut self, duty: Duty) {
        self.done[duty as usize] = true;
    }

    fn print_missing(&self) {
        for (what, done) in ALL.iter().zip(self.done) {
            if !done {
                hprintln!("has not {}", what);
            }
        }
    }
}
