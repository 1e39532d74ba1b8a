//! The demonstration: a cluster on loopback that hears what one says and reads what another sets, loses a node, gets it
//! back and hears it too, and sees another leave.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use owo_colors::OwoColorize;
use tidings::{Clock, Instant, Member, NodeId, Stats, Status, Topic};

use crate::Network;
use crate::driver::{Driver, Setup};
use crate::journal::Journal;
use crate::news::{News, What};
use crate::screen::{Screen, name, names};
use crate::view::{Truth, Views};

/// How often the screen is brought up to date while nothing is reported.
const TICK: Duration = Duration::from_millis(50);
const TEXT: &str = "tidings";
const KEY: &str = "colour";
const VALUE: &str = "blue";
const TOPIC: Topic = Topic::from_name("demo");
/// The most mistakes that are listed.
const MISTAKES: usize = 10;
/// How many times the silence that means death a scene may take: with half of the datagrams lost, it takes several.
const SUSPICIONS: u32 = 20;

pub fn run(nodes: u64, network: Network) -> Result<(), String> {
    let mut demo = Demo::new(network);
    let outcome = demo.play(nodes);
    demo.show_views();
    outcome?;
    demo.stop_all()
}

/// Something that one node has to say, and all that it knows of the members at that time.
struct Report {
    at: Instant,
    observer: u64,
    news: Vec<News>,
    members: Vec<Member<SocketAddr>>,
}

enum Order {
    Say,
    Set,
    Leave,
}

/// A node on a thread of its own. Dropping `orders` kills it.
struct Running {
    addr: SocketAddr,
    orders: Sender<Order>,
    thread: JoinHandle<io::Result<Stats>>,
}

struct Demo {
    setup: Setup,
    screen: Screen,
    running: BTreeMap<u64, Running>,
    reporter: Sender<Report>,
    reports: Receiver<Report>,
    journal: Journal,
    /// Everything that was reported in the present scene.
    heard: Vec<(Instant, u64, News)>,
    /// Of the nodes that have been stopped.
    stats: Vec<Stats>,
    views: Views,
    truth: Truth,
}

impl Demo {
    fn new(network: Network) -> Demo {
        let (reporter, reports) = channel();
        Demo {
            setup: Setup { clock: Clock::start(), config: network.config, loss: network.loss, topic: TOPIC },
            screen: Screen::new(),
            running: BTreeMap::new(),
            reporter,
            reports,
            journal: Journal::default(),
            heard: Vec::new(),
            stats: Vec::new(),
            views: Views::default(),
            truth: Truth::new(),
        }
    }

    fn play(&mut self, nodes: u64) -> Result<(), String> {
        let (owner, victim, leaver) = (1, nodes / 2 + 1, nodes);
        self.gather(nodes)?;
        self.broadcast(leaver)?;
        self.set(owner)?;
        self.kill(victim)?;
        self.restart(victim, owner)?;
        self.broadcast(victim)?;
        self.leave(leaver)
    }

    // The scenes.

    fn gather(&mut self, nodes: u64) -> Result<(), String> {
        self.scene(format!("{nodes} nodes start; each is told of the first two"));
        let began = self.setup.clock.now();
        let sockets = (0..nodes).map(|_| bind()).collect::<Result<Vec<_>, _>>()?;
        let seeds: Vec<SocketAddr> = sockets.iter().take(2).map(|(_, addr)| *addr).collect();
        for (socket, number) in sockets.into_iter().zip(1..) {
            self.start(number, socket, &seeds)?;
        }
        self.settle(|_| None)?;
        self.outcome(format!("every node sees all {nodes}, {:.3} s after the start", self.since(began)));
        Ok(())
    }

    fn broadcast(&mut self, origin: u64) -> Result<(), String> {
        self.scene(format!("{} broadcasts", name(origin)));
        self.order(origin, Order::Say);
        let others = self.others(origin);
        self.settle(|demo| {
            let deaf = &others - &demo.who_said(What::Heard(origin));
            (!deaf.is_empty()).then(|| format!("{} did not hear {}", names(&deaf), name(origin)))
        })?;
        let millis = self.millis(What::Broadcast, What::Heard(origin));
        self.outcome(format!("all {} others have it, {millis:.1} ms after it was said", others.len()));
        Ok(())
    }

    fn set(&mut self, owner: u64) -> Result<(), String> {
        self.scene(format!("{} sets a key that all can read: {KEY} = {VALUE}", name(owner)));
        self.order(owner, Order::Set);
        let others = self.others(owner);
        self.settle(|demo| {
            let without = &others - &demo.who_said(What::Read(owner));
            (!without.is_empty()).then(|| format!("{} cannot read the key of {}", names(&without), name(owner)))
        })?;
        let millis = self.millis(What::Set, What::Read(owner));
        self.outcome(format!("all {} others can read it, {millis:.1} ms after it was set", others.len()));
        Ok(())
    }

    fn kill(&mut self, victim: u64) -> Result<(), String> {
        let silence = self.setup.config.suspicion().as_secs_f64();
        self.scene(format!("{} is killed: its socket closes; {silence} s of silence mean death", name(victim)));
        self.stop(victim)?;
        let killed = self.setup.clock.now();
        self.truth.insert(victim, Status::Down);
        self.settle(|_| None)?;
        self.outcome("every survivor has noticed; when, in seconds after the kill:");
        for line in self.who_noticed(victim, killed) {
            self.screen.line(format_args!("            {line}"));
        }
        Ok(())
    }

    fn restart(&mut self, victim: u64, owner: u64) -> Result<(), String> {
        self.scene(format!("{} starts again under its id, without memory, and must be told of the key", name(victim)));
        let past = self.views.own_life(victim);
        self.views.forget(victim);
        let began = self.setup.clock.now();
        let socket = bind()?;
        let seeds: Vec<SocketAddr> = self.running.values().take(2).map(|node| node.addr).collect();
        self.start(victim, socket, &seeds)?;
        self.settle(move |demo| {
            let reborn = demo.views.own_life(victim) > past;
            if !reborn {
                return Some(format!("{} has not begun a later life than the one it lost", name(victim)));
            }
            let reads = demo.who_said(What::Read(owner)).contains(&victim);
            (!reads).then(|| format!("{} cannot read the key of {}", name(victim), name(owner)))
        })?;
        let took = self.since(began);
        self.outcome(format!(
            "every node sees it in its new life, and it can read the key, {took:.3} s after the start"
        ));
        Ok(())
    }

    fn leave(&mut self, leaver: u64) -> Result<(), String> {
        self.scene(format!("{} leaves and says so", name(leaver)));
        let began = self.setup.clock.now();
        self.order(leaver, Order::Leave);
        self.truth.insert(leaver, Status::Left);
        self.settle(move |demo| {
            let gone = demo.heard.iter().any(|(_, observer, news)| *observer == leaver && news.what == What::Gone);
            (!gone).then(|| format!("{} is not done leaving", name(leaver)))
        })?;
        self.outcome(format!("every node knows, {:.3} s after the order", self.since(began)));
        self.stop(leaver)
    }

    // Nodes.

    fn start(&mut self, number: u64, (socket, addr): Bound, seeds: &[SocketAddr]) -> Result<(), String> {
        let mut driver = Driver::start(self.setup, socket, (NodeId::new(number), addr), seeds)?;
        driver.node.watch(KEY).map_err(|error| error.to_string())?;
        let (orders, inbox) = channel();
        let (reporter, clock) = (self.reporter.clone(), self.setup.clock);
        let thread = thread::spawn(move || drive(driver, clock, &inbox, &reporter));
        self.running.insert(number, Running { addr, orders, thread });
        self.truth.insert(number, Status::Alive);
        Ok(())
    }

    fn order(&self, number: u64, order: Order) {
        if let Some(node) = self.running.get(&number) {
            // A thread that has ended is found when it is stopped.
            let _ = node.orders.send(order);
        }
    }

    fn stop(&mut self, number: u64) -> Result<(), String> {
        let Some(Running { orders, thread, .. }) = self.running.remove(&number) else { return Ok(()) };
        drop(orders);
        self.await_end(number, thread)
    }

    fn await_end(&mut self, number: u64, thread: JoinHandle<io::Result<Stats>>) -> Result<(), String> {
        match thread.join() {
            Ok(Ok(stats)) => self.stats.push(stats),
            Ok(Err(error)) => return Err(format!("the socket of {} failed: {error}", name(number))),
            Err(_) => return Err(format!("the thread of {} panicked", name(number))),
        }
        Ok(())
    }

    /// If a node has ended of itself, there was an error.
    fn check_threads(&mut self) -> Result<(), String> {
        let ended = self.running.iter().find(|(_, node)| node.thread.is_finished()).map(|(number, _)| *number);
        ended.map_or(Ok(()), |number| self.stop(number))
    }

    fn stop_all(&mut self) -> Result<(), String> {
        // All are told to stop before the first is waited for.
        let running = std::mem::take(&mut self.running).into_iter();
        let threads: Vec<_> = running.map(|(number, node)| (number, node.thread)).collect();
        threads.into_iter().try_for_each(|(number, thread)| self.await_end(number, thread))?;
        let datagrams: u64 = self.stats.iter().map(|stats| stats.datagrams_out).sum();
        let bytes: u64 = self.stats.iter().map(|stats| stats.bytes_out).sum();
        self.screen.line(format_args!("\nThe nodes sent {datagrams} datagrams, {:.1} kB.", bytes as f64 / 1e3));
        Ok(())
    }

    // Listening to them.

    /// Waits until every node sees everything as it is and nothing else is missing.
    fn settle(&mut self, missing: impl Fn(&Demo) -> Option<String>) -> Result<(), String> {
        let began = self.setup.clock.now();
        let deadline = began + SUSPICIONS * self.setup.config.suspicion();
        loop {
            self.check_threads()?;
            self.hear();
            let now = self.setup.clock.now();
            let mut mistakes = self.views.mistakes(&self.truth);
            mistakes.extend(missing(self));
            if mistakes.is_empty() || now >= deadline {
                self.journal.print(&self.screen);
                return if mistakes.is_empty() { Ok(()) } else { Err(list(&mistakes)) };
            }
            self.journal.print_due(now, &self.screen);
            let (right, all) = (self.views.count_right(&self.truth), self.running.len());
            let status = format!("{right} of {all} nodes see everything as it is ({:.1} s)", self.since(began));
            self.screen.status(status);
        }
    }

    /// Takes in the reports of one tick.
    fn hear(&mut self) {
        let first = self.reports.recv_timeout(TICK);
        for report in first.into_iter().chain(self.reports.try_iter()) {
            for news in report.news {
                self.journal.add(report.at, report.observer, news);
                self.heard.push((report.at, report.observer, news));
            }
            self.views.update(report.observer, report.members);
        }
    }

    fn others(&self, number: u64) -> BTreeSet<u64> {
        self.running.keys().copied().filter(|other| *other != number).collect()
    }

    /// Who has reported this in this scene.
    fn who_said(&self, what: What) -> BTreeSet<u64> {
        let told = self.heard.iter().filter(|(_, _, news)| news.what == what);
        told.map(|(_, observer, _)| *observer).collect()
    }

    /// How long it took from the one until the last reported the other.
    fn millis(&self, cause: What, effect: What) -> f64 {
        let last = |what| self.heard.iter().filter(|(_, _, news)| news.what == what).map(|(at, _, _)| *at).max();
        last(effect).zip(last(cause)).map_or(0.0, |(last, first)| 1e3 * last.duration_since(first).as_secs_f64())
    }

    /// Who reported the victim down, in the order of time, in lines that fit the terminal.
    fn who_noticed(&self, victim: u64, killed: Instant) -> Vec<String> {
        let victim = NodeId::new(victim);
        let is_it = |news: &News| news.what == What::Down && news.about.is_some_and(|member| member.id() == victim);
        let mut told: Vec<_> = self.heard.iter().filter(|(_, _, news)| is_it(news)).collect();
        told.sort_by_key(|(at, _, _)| *at);
        let after = |at: Instant| at.duration_since(killed).as_secs_f64();
        let each: Vec<_> = told.iter().map(|(at, who, _)| format!("{:>3} {:6.3}", name(*who), after(*at))).collect();
        each.chunks(5).map(|line| line.join("  ")).collect()
    }

    // Telling the reader.

    fn scene(&mut self, title: String) {
        self.heard.clear();
        self.screen.line("");
        self.screen.event(self.setup.clock.now(), title.bold());
    }

    fn outcome(&self, text: impl Display) {
        self.screen.event(self.setup.clock.now(), text.bold());
    }

    fn since(&self, earlier: Instant) -> f64 {
        self.setup.clock.now().duration_since(earlier).as_secs_f64()
    }

    fn show_views(&self) {
        self.screen.line("\nWhat each running node (column) sees of each member (row):\n");
        self.screen.line(self.views.table(&self.truth));
        if let Some(legend) = Views::legend(&self.truth) {
            self.screen.line(format_args!("\n {legend}"));
        }
    }
}

/// The life of one node's thread.
fn drive(mut driver: Driver, clock: Clock, orders: &Receiver<Order>, reporter: &Sender<Report>) -> io::Result<Stats> {
    let observer = driver.node.id().get();
    let mut reported = 0;
    loop {
        // What is said is heard before it has been reported.
        let (at, mut news) = (clock.now(), Vec::new());
        match orders.try_recv() {
            Ok(Order::Leave) => driver.leave(),
            // That nothing has been said is found by who waits to hear it.
            Ok(Order::Say) => news.extend(driver.say(TEXT).map(|()| News { what: What::Broadcast, about: None })),
            Ok(Order::Set) => news.extend(driver.set(KEY, VALUE).map(|()| News { what: What::Set, about: None })),
            Err(TryRecvError::Disconnected) => return Ok(driver.node.stats().clone()),
            Err(TryRecvError::Empty) => {}
        }
        driver.speak(|event| news.extend(News::of(event)));
        // A node that moves on to its next life has no event for it, but another fingerprint.
        if !news.is_empty() || driver.node.fingerprint() != reported {
            reported = driver.node.fingerprint();
            let members = driver.node.members().collect();
            // Nobody listens to the last words.
            let _ = reporter.send(Report { at, observer, news, members });
        }
        driver.listen()?;
    }
}

/// A socket and its address.
type Bound = (UdpSocket, SocketAddr);

fn bind() -> Result<Bound, String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let bound = socket.and_then(|socket| socket.local_addr().map(|addr| (socket, addr)));
    bound.map_err(|error| format!("cannot open a UDP socket on loopback: {error}"))
}

fn list(mistakes: &[String]) -> String {
    let mut lines: Vec<_> = mistakes.iter().take(MISTAKES).map(|mistake| format!("\n  {mistake}")).collect();
    if mistakes.len() > MISTAKES {
        lines.push(format!("\n  and {} more", mistakes.len() - MISTAKES));
    }
    format!("not everything is as it should be:{}", lines.concat())
}
