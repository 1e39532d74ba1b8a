//! The loop around the node: datagrams, deadlines and commands, whichever comes first.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use owo_colors::OwoColorize;
use tidings::{Clock, HeapNode, Instant, Limits, MAX_DATAGRAM, Phase, SendFailure};

use crate::Options;
use crate::carry::Attempt;
use crate::command::{self, Command, Known};
use crate::console::{self, Console, Input};
use crate::desk::{Desk, Job};
use crate::names::{self, NAMES};
use crate::shared::options::Opened;
use crate::shared::{self, INTERRUPTED, LEAVING_TEXT};
use crate::top::Top;

/// How soon a command is tried again for which there was no room.
const RETRY: Duration = Duration::from_millis(20);
/// How often it is looked whether the prompt still has its terminal. Going on wakes the loop too, but only if that waited
/// when it was stopped.
const GLANCE: Duration = Duration::from_secs(1);
/// The most bytes of names that are told to whoever asks who is gone.
const MEMORIES: usize = 1_000;
/// The most others that are greeted by name.
const GREETED: usize = 8;

pub struct Agent {
    pub node: HeapNode,
    socket: UdpSocket,
    buf: Vec<u8>,
    /// There may be a datagram to read. The system tells once, and again only after all have been read.
    ready: bool,
    /// Waits for the socket and for whoever hands over a line, both at once and without looking every so often: a
    /// datagram to oneself would wake the loop too, but can be lost or forged.
    poll: Poll,
    clock: Clock,
    pub desk: Desk,
    /// The live table, while it has the screen.
    pub top: Option<Top>,
    seeds: Vec<SocketAddr>,
    pub within: Duration,
    /// When to leave in any case, and until when not to leave because there is nothing more to do.
    stay: Option<Instant>,
    /// How many parts of others' maps had come, and when that was last more.
    read: (u64, Instant),
    /// No more commands will come.
    over: bool,
    /// That nobody can be joined has been told.
    warned: bool,
    /// Ctrl-C has been pressed twice at the prompt.
    interrupted: bool,
}

impl Agent {
    pub fn start(options: &Options) -> Result<Agent, String> {
        let (clock, command) = (Clock::start(), options.command()?);
        let Opened { socket, addr, seeds } = options.place.open(&options.joining)?;
        let failed = |error: io::Error| format!("cannot wait for a socket: {error}");
        socket.set_nonblocking(true).map_err(failed)?;
        let mut socket = UdpSocket::from_std(socket);
        let poll = Poll::new().map_err(failed)?;
        poll.registry().register(&mut socket, Token(0), Interest::READABLE).map_err(failed)?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(1)).map_err(failed)?);
        leave_on_ctrl_c(waker.clone())?;

        let mut node = HeapNode::new(options.config()?, Limits::DEFAULT);
        for seed in &seeds {
            node.join(clock.now(), *seed).map_err(|error| format!("--join {seed}: {error}"))?;
        }
        let terse = command.is_some();
        let on_screen = !terse || (command == Some(Command::Top) && console::is_terminal());
        let console = if on_screen { Console::open(waker).map_err(failed)? } else { Console::closed() };
        let mut desk = Desk::new(console, options.answer.clone());
        desk.terse = terse;
        let id = match &options.place.name {
            Some(name) => desk.learn_name(name),
            None if terse => desk.learn_name_as(&names::passing(addr), addr.to_string()),
            None => desk.learn_name(&addr.to_string()),
        };
        // One of the 16 that a node can listen to; there is room.
        let _ = node.subscribe(clock.now(), NAMES);
        for topic in &options.listen {
            let listened = node.subscribe(clock.now(), desk.learn_topic(topic));
            listened.map_err(|_| "--listen names more topics than an agent can listen to, which is 15")?;
        }
        node.start(clock.now(), id, addr, &mut rand::rng()).map_err(|error| format!("{addr}: {error}"))?;
        desk.jobs.extend(command.map(|command| Job { command, since: clock.now(), awaits: None }));
        (desk.heard, desk.joined) = (clock.now(), seeds.is_empty());
        if !terse {
            let (cluster, asking) = (&options.joining.cluster, options.joining.asking());
            let called = options.place.name.as_ref().map_or(String::new(), |name| format!(", {name},"));
            desk.console.line(format_args!("node {}{called} at {addr} in cluster \"{cluster}\"{asking}", id.bold()));
            if desk.console.has_prompt() {
                desk.console.line("help lists the commands".dimmed());
            }
        }
        let (within, stay) = (options.within, options.stay.map(|stay| clock.now() + stay));
        let (ready, over, warned, interrupted, read) = (false, terse, false, false, (0, clock.now()));
        let (buf, top) = (vec![0; MAX_DATAGRAM], None);
        Ok(Agent {
            node,
            socket,
            buf,
            ready,
            poll,
            clock,
            desk,
            top,
            seeds,
            within,
            stay,
            read,
            over,
            warned,
            interrupted,
        })
    }

    /// Until the node has left. Whether all commands went well is the exit status.
    pub fn run(mut self) -> Result<ExitCode, String> {
        let failed = |error: io::Error| format!("cannot wait for a socket: {error}");
        let mut events = Events::with_capacity(8);
        loop {
            self.hear()?;
            loop {
                self.speak();
                self.tell();
                if !self.work() {
                    break;
                }
            }
            match self.node.phase() {
                // At a prompt whoever saw a command fail has done about it what there was to do.
                Phase::Left if self.desk.failed && !self.desk.console.has_prompt() => return Ok(ExitCode::FAILURE),
                Phase::Left => return Ok(ExitCode::SUCCESS),
                Phase::Idle => return Err("another live node has this name: choose another with --name".to_string()),
                _ if self.interrupted => return Ok(ExitCode::from(INTERRUPTED)),
                _ => {}
            }
            self.draw_top(self.clock.now());
            let wait = if self.ready { Duration::ZERO } else { self.clock.until(self.due()) };
            let wait = if self.desk.console.has_prompt() { wait.min(GLANCE) } else { wait };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && !tidings::is_transient(&error)
            {
                return Err(failed(error));
            }
            self.ready |= events.iter().any(|event| event.token() == Token(0));
            if self.desk.console.mend() {
                self.top.iter_mut().for_each(Top::soil);
            }
        }
    }

    // The node.

    /// Reads one datagram at most, so that a flood keeps nobody from the commands.
    fn hear(&mut self) -> Result<(), String> {
        if self.ready {
            match self.socket.recv_from(&mut self.buf) {
                Ok((len, from)) => {
                    self.top.iter_mut().for_each(|top| top.came(from, len));
                    self.node.handle_datagram(self.clock.now(), from, &mut self.buf[..len]);
                }
                Err(error) if tidings::is_transient(&error) => self.ready = error.kind() != ErrorKind::WouldBlock,
                Err(error) => return Err(format!("the socket failed: {error}")),
            }
        }
        self.node.handle_timeout(self.clock.now());
        Ok(())
    }

    fn speak(&mut self) {
        while let Some(datagram) = self.node.poll_transmit(&mut self.buf) {
            self.top.iter_mut().for_each(|top| top.went(datagram.to, datagram.payload.len()));
            if let Err(error) = self.socket.send_to(datagram.payload, datagram.to) {
                self.node.handle_send_error(self.clock.now(), datagram.to, SendFailure::from(&error));
            }
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.node.poll_event() {
            self.top.iter_mut().for_each(Top::soil);
            self.desk.react(self.clock.now(), event, self.within);
        }
    }

    /// When there is something to do even if nothing comes.
    fn due(&self) -> Instant {
        let mut due = self.node.poll_timeout().min(self.stay.unwrap_or(Instant::FAR_FUTURE));
        match (self.desk.joined, self.desk.arrived) {
            (true, false) => due = due.min(self.settled()),
            (false, _) if !self.warned => due = due.min(Instant::ZERO + self.within),
            _ => {}
        }
        due = due.min(self.desk.due()).min(self.top.as_ref().map_or(Instant::FAR_FUTURE, Top::due));
        let tries = self.desk.arrived && self.desk.jobs.iter().any(|job| job.awaits.is_none());
        if tries { due.min(self.clock.now() + RETRY) } else { due }
    }

    /// When a newcomer has probably been told of everybody: nobody has been heard of for a while.
    fn settled(&self) -> Instant {
        self.desk.heard + self.pause()
    }

    fn pause(&self) -> Duration {
        if self.seeds.is_empty() { Duration::ZERO } else { self.node.config().probe_period() / 2 }
    }

    /// Whether a newcomer has probably read all maps. Where something is written all the time, no pause shows that.
    fn has_read(&mut self, now: Instant) -> bool {
        let parts = self.node.stats().chunks_in;
        if parts > self.read.0 {
            self.read = (parts, now);
        }
        now >= (self.read.1 + self.pause()).min(Instant::ZERO + self.within)
    }

    // What is to be done.

    /// Does what can be done; whether the node has been given anything.
    fn work(&mut self) -> bool {
        let now = self.clock.now();
        self.arrive(now);
        self.desk.welcome_strangers(now);
        let worked = self.introduce(now) | self.try_jobs(now) | self.take_input(now);
        let watches = self.desk.terse && !self.desk.watched.is_empty();
        let done = self.over && self.desk.jobs.is_empty() && self.stay.is_none() && !watches && self.top.is_none();
        if done || shared::is_leaving() || self.stay.is_some_and(|stay| now >= stay) {
            return self.leave(now) || worked;
        }
        worked
    }

    /// Tells once that this node is among others, and once that it cannot find any.
    fn arrive(&mut self, now: Instant) {
        if self.desk.joined && !self.desk.arrived && now >= self.settled() {
            self.desk.arrived = true;
            if !self.desk.is_silent() && !self.seeds.is_empty() {
                let text = self.greeting();
                self.desk.tell(text.green());
            }
        }
        if !self.desk.joined && !self.warned && now >= Instant::ZERO + self.within {
            self.warned = true;
            if !self.desk.is_silent() {
                self.desk.console.error(format_args!("{}; still asking", self.nobody()));
            }
        }
    }

    fn greeting(&self) -> String {
        let is_other = |member: &tidings::Member<SocketAddr>| {
            member.id() != self.node.id() && member.status().is_live() && !names::is_passing(member)
        };
        let mut others: Vec<_> =
            self.node.members().filter(is_other).map(|member| self.desk.who(member.id())).collect();
        others.sort();
        match others.len() {
            1..=GREETED => format!("joined {}", others.join(", ")),
            many => format!("joined {many} others"),
        }
    }

    /// Asks all for their names, once it has been admitted, and tells whoever asks its own.
    fn introduce(&mut self, now: Instant) -> bool {
        let name = self.desk.who(self.node.id());
        let curious = std::mem::take(&mut self.desk.curious);
        for (question, of_others) in &curious {
            let text = if *of_others { self.memories() } else { name.clone() };
            // Who is gone needs no answer.
            let _ = self.node.answer(now, *question, text.as_bytes());
        }
        if let Some(elder) = self.desk.elder.take() {
            self.desk.memories = self.node.ask_one(now, elder, NAMES, b"", self.within).ok();
        }
        if !self.desk.joined || self.seeds.is_empty() || self.desk.roll_call.is_some() {
            return !curious.is_empty();
        }
        self.desk.roll_call = self.node.ask(now, NAMES, name.as_bytes(), u32::MAX, self.within).ok();
        true
    }

    /// The names of other members, one a line: first of those that can no longer tell them.
    fn memories(&self) -> String {
        let mut others: Vec<_> = self.node.members().filter(|member| !names::is_passing(member)).collect();
        others.sort_by_key(|member| member.status().is_live());
        let mut text = String::new();
        for name in others.iter().filter_map(|member| self.desk.name(member.id())) {
            if text.len() + name.len() < MEMORIES {
                text.push_str(&name);
                text.push('\n');
            }
        }
        text
    }

    fn nobody(&self) -> String {
        let seeds: Vec<_> = self.seeds.iter().map(SocketAddr::to_string).collect();
        format!("nobody to join: no answer from {}", seeds.join(", "))
    }

    /// Carries out what waits, if now is the time.
    fn try_jobs(&mut self, now: Instant) -> bool {
        let mut worked = false;
        let has_read = self.has_read(now);
        for mut job in std::mem::take(&mut self.desk.jobs) {
            if job.awaits.is_some() {
                self.desk.jobs.push_back(job);
                continue;
            }
            let patient = !self.desk.console.has_prompt();
            let lonely = patient && job.command.needs_others() && !self.desk.arrived;
            let unread = patient && job.command.needs_maps() && !has_read;
            let attempt = match lonely {
                true if self.warned && !self.desk.joined => Attempt::Failed(self.nobody()),
                true => Attempt::Later,
                false if unread => Attempt::Later,
                false => self.carry_out(&mut job, now),
            };
            worked |= !matches!(attempt, Attempt::Later);
            match attempt {
                Attempt::Later if !lonely && !unread && now >= job.since + self.within => {
                    self.desk.conclude(Err("too much is on its way already; try again in a moment".to_string()));
                }
                Attempt::Later | Attempt::Awaits => self.desk.jobs.push_back(job),
                Attempt::Done(text) => self.desk.conclude(Ok(text)),
                Attempt::Failed(sentence) => self.desk.conclude(Err(sentence)),
            }
        }
        worked
    }

    /// Takes commands: each at once from a prompt, and otherwise each when the one before is done.
    fn take_input(&mut self, now: Instant) -> bool {
        let mut worked = false;
        while self.desk.console.has_prompt() || self.desk.jobs.is_empty() {
            match self.desk.console.input() {
                None => break,
                Some(Input::End) => self.over = true,
                Some(Input::Interrupt) => self.interrupted = shared::begin_leaving(),
                Some(Input::Key(key)) => self.press(key),
                Some(Input::Resized) => self.top.iter_mut().for_each(Top::soil),
                Some(Input::Complete(begun)) => {
                    let (begun, words) = command::completions(&begun, &self.known());
                    self.desk.console.complete(begun, &words);
                }
                Some(Input::Line(_)) if self.node.phase() == Phase::Leaving => {}
                Some(Input::Line(line)) => match Command::parse(&line) {
                    Ok(None) => {}
                    Ok(Some(Command::Leave)) => _ = shared::begin_leaving(),
                    Ok(Some(command)) => {
                        self.desk.jobs.push_back(Job { command, since: now, awaits: None });
                        worked |= self.try_jobs(now);
                    }
                    Err(sentence) => self.desk.conclude(Err(sentence)),
                },
            }
        }
        worked
    }

    /// What could be typed after a command.
    fn known(&self) -> Known {
        let others = self.node.members().filter(|member| member.id() != self.node.id() && !names::is_passing(member));
        Known {
            topics: self.desk.topics(),
            members: others.filter_map(|member| self.desk.name(member.id())).collect(),
            keys: self.node.keys().map(str::to_string).collect(),
        }
    }

    /// Leaves, unless that has begun. What is not done then has failed, and so has joining if there was time for it.
    fn leave(&mut self, now: Instant) -> bool {
        if matches!(self.node.phase(), Phase::Leaving | Phase::Left | Phase::Idle) {
            return false;
        }
        self.node.leave(now);
        let undone = std::mem::take(&mut self.desk.jobs);
        if self.desk.console.has_prompt() {
            self.desk.console.line(LEAVING_TEXT.dimmed());
        } else if !self.desk.joined && (self.warned || self.stay.is_some()) {
            self.desk.failed = true;
            if !self.warned {
                self.desk.console.error(self.nobody());
            }
        } else if !undone.is_empty() {
            self.desk.conclude(Err("the command was not done when it was time to leave".to_string()));
        }
        true
    }
}

/// At a prompt Ctrl-C is a key, and this is for whoever sends the signal.
fn leave_on_ctrl_c(waker: Arc<Waker>) -> Result<(), String> {
    let wake = move || {
        // If it cannot be woken, it leaves at its next deadline.
        let _ = waker.wake();
    };
    shared::leave_on_ctrl_c(wake, || console::restore(true))
}
