//! Many nodes in one process, on sockets of this machine: what a broadcast, a key and a call take, what is sent and what
//! memory is held, while one socket is flooded and members come and go. First with handles, then in bare loops, which have
//! no tasks to wait for: what the second column does better is the price of a handle.

use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use tidings_tokio::tidings::{Clock, Event, MAX_DATAGRAM, SendFailure, is_transient};
use tidings_tokio::{Change, Cluster, Config, HeapNode, Limits, NodeId, Topic};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TOPIC: Topic = Topic::from_name("load");
const KEY: &str = "load";
/// How long the nodes are left alone when all know each other: maps and topics are known then.
const SETTLE: Duration = Duration::from_secs(3);
/// What takes longer than that never ends.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures many handles, then as many bare loops, in one process.
#[derive(Parser)]
#[command(
    name = "load",
    after_help = "Each after `cargo run --release --example load --`; each takes twice --seconds and some seconds more:
  --nodes 64 --seconds 20                    handles, then bare loops
  --nodes 64 --seconds 20 --flood --churn    garbage at one of them, and one leaves and one comes each second"
)]
struct Options {
    /// How many nodes
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(4..=256))]
    nodes: u16,
    /// How long each of the two is measured, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Broadcasts a second, and as many changes of a key
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rate: u64,
    /// Send garbage to one of the nodes, as fast as one thread can
    #[arg(long)]
    flood: bool,
    /// Have one node leave and another come each second; handles only
    #[arg(long)]
    churn: bool,
}

fn main() -> ExitCode {
    let options = Arc::new(Options::parse());
    match run(&options) {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            complaints.iter().for_each(|complaint| eprintln!("error: {complaint}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Arc<Options>) -> Result<Vec<String>, Failure> {
    let limit = 2 * LIMIT + Duration::from_secs(options.seconds);
    let late = || format!("not done after {limit:?}");
    let (handles, loops) = (Arc::new(Measured::new()), Arc::new(Measured::new()));
    // Each has a runtime of its own, so that nothing of the first is left in the second.
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime()?.block_on(async { timeout(limit, with_handles(options, &handles)).await }).map_err(|_| late())??;
    runtime()?.block_on(async { timeout(limit, with_loops(options, &loops)).await }).map_err(|_| late())??;
    print(options, &handles, &loops);
    Ok([(&handles, "handles"), (&loops, "bare loops")].iter().filter_map(|(it, who)| it.starved(who)).collect())
}

// What is measured.

struct Measured {
    began: Instant,
    /// Only what is written from then on counts.
    begin: AtomicU64,
    whole: AtomicU64,
    broadcasts: Mutex<Vec<u64>>,
    keys: Mutex<Vec<u64>>,
    calls: Mutex<Vec<u64>>,
    flooded_calls: Mutex<Vec<u64>>,
    said: AtomicU64,
    listeners: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
    downs: AtomicU64,
    flood: AtomicU64,
    held: [AtomicU64; 2],
}

impl Measured {
    fn new() -> Self {
        Measured {
            began: Instant::now(),
            begin: AtomicU64::new(u64::MAX),
            whole: AtomicU64::new(0),
            broadcasts: Mutex::default(),
            keys: Mutex::default(),
            calls: Mutex::default(),
            flooded_calls: Mutex::default(),
            said: AtomicU64::new(0),
            listeners: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            downs: AtomicU64::new(0),
            flood: AtomicU64::new(0),
            held: Default::default(),
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn begins(&self) {
        self.begin.store(self.now(), Relaxed);
        self.held[0].store(held(), Relaxed);
    }

    /// What is written now.
    fn time(&self) -> [u8; 8] {
        self.now().to_le_bytes()
    }

    /// How long ago that was, as it is read now.
    fn note(&self, list: &Mutex<Vec<u64>>, written: &[u8]) {
        let Ok(written) = written.try_into().map(u64::from_le_bytes) else { return };
        if written >= self.begin.load(Relaxed) {
            list.lock().expect("nobody panics with it").push(self.now().saturating_sub(written));
        }
    }

    /// What keeps a cluster from working, if it does.
    fn starved(&self, who: &str) -> Option<String> {
        let (said, heard) = (self.said.load(Relaxed), self.broadcasts.lock().expect("nobody panics with it").len());
        let (listeners, downs) = (self.listeners.load(Relaxed), self.downs.load(Relaxed));
        let wanted = said * listeners;
        (said == 0 || (heard as u64) < wanted * 99 / 100 || downs > 0).then(|| {
            format!("{who}: {heard} of {wanted} broadcasts were heard, {downs} times a living member was held dead")
        })
    }
}

/// What this process holds of memory, in KiB; 0 where the system does not tell.
fn held() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn print(options: &Options, handles: &Measured, loops: &Measured) {
    let row = |what: &str, show: &dyn Fn(&Measured) -> String| {
        println!("{what:<38}{:>10}{:>12}", show(handles), show(loops));
    };
    println!("{:<38}{:>10}{:>12}", format!("{} nodes, {} s", options.nodes, options.seconds), "handles", "bare loops");
    row("all see all after, s", &|it| format!("{:.2}", it.whole.load(Relaxed) as f64 / 1e6));
    let latencies = |what: &str, list: &dyn Fn(&Measured) -> &Mutex<Vec<u64>>| {
        for (name, part) in [("half", 0.5), ("99 %", 0.99), ("most", 1.0)] {
            row(&format!("{what}, ms, {name}"), &|it| part_of(&list(it).lock().expect("nobody panics with it"), part));
        }
    };
    latencies("a broadcast is heard", &|it| &it.broadcasts);
    latencies("a key is read", &|it| &it.keys);
    latencies("a call of a handle", &|it| &it.calls);
    if options.flood {
        latencies("a call at the flooded node", &|it| &it.flooded_calls);
        row("garbage a second", &|it| (it.flood.load(Relaxed) / options.seconds).to_string());
    }
    row("broadcasts heard", &|it| it.broadcasts.lock().expect("nobody panics with it").len().to_string());
    row("keys read", &|it| it.keys.lock().expect("nobody panics with it").len().to_string());
    row("gaps", &|it| it.gaps.load(Relaxed).to_string());
    row("bytes a second and node", &|it| {
        (it.bytes.load(Relaxed) / options.seconds / u64::from(options.nodes)).to_string()
    });
    row("memory held at first, MiB", &|it| mebibytes(&it.held[0]));
    row("memory held at last, MiB", &|it| mebibytes(&it.held[1]));
}

fn mebibytes(kibibytes: &AtomicU64) -> String {
    format!("{:.1}", kibibytes.load(Relaxed) as f64 / 1024.0)
}

/// The value that this part of them does not exceed, in milliseconds.
fn part_of(list: &[u64], part: f64) -> String {
    let mut list = list.to_vec();
    list.sort_unstable();
    let at = ((list.len() as f64 * part) as usize).min(list.len().saturating_sub(1));
    list.get(at).map_or("-".to_owned(), |micros| format!("{:.2}", *micros as f64 / 1e3))
}

/// Sends garbage there until it is dropped.
struct Flood {
    over: Arc<AtomicBool>,
}

impl Flood {
    fn at(target: SocketAddr, measured: &Arc<Measured>) -> std::io::Result<Self> {
        let (socket, over) = (UdpSocket::bind("127.0.0.1:0")?, Arc::new(AtomicBool::new(false)));
        let (ended, measured) = (over.clone(), measured.clone());
        std::thread::spawn(move || {
            while !ended.load(Relaxed) {
                let sent = socket.send_to(&[7; 64], target).is_ok();
                measured.flood.fetch_add(sent.into(), Relaxed);
            }
        });
        Ok(Flood { over })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

// With handles.

async fn start(name: &str, seed: Option<SocketAddr>) -> Result<Cluster, Failure> {
    let seeds = seed.map(|seed| seed.to_string());
    Ok(Cluster::builder("load").name(name).bind("127.0.0.1:0").config(Config::LAN).seeds(seeds).start().await?)
}

async fn with_handles(options: &Options, measured: &Arc<Measured>) -> Result<(), Failure> {
    let (began, count) = (measured.now(), usize::from(options.nodes));
    let mut nodes = vec![start("n0", None).await?];
    let seed = Some(nodes[0].addr());
    for at in 1..count {
        nodes.push(start(&format!("n{at}"), seed).await?);
    }
    for node in &nodes {
        let live = |members: &tidings_tokio::Members| members.iter().filter(|it| it.status().is_live()).count();
        let mut members = node.watch_members();
        timeout(LIMIT, members.wait_for(|members| live(members) == count))
            .await
            .map_err(|_| "they find no others")??;
    }
    measured.whole.store(measured.now() - began, Relaxed);
    for node in &nodes[1..] {
        listen(node, measured).await?;
    }
    sleep(SETTLE).await;
    let flood = options.flood.then(|| Flood::at(nodes[1].addr(), measured)).transpose()?;
    let before = sent(&nodes).await?;
    measured.begins();
    measured.listeners.store(count as u64 - 1, Relaxed);
    let speaker = tokio::spawn(speak(nodes[0].clone(), options.rate, options.seconds, measured.clone()));
    for second in 0..options.seconds {
        let called = measured.time();
        nodes[1].set("beat", called).await?;
        measured.note(&measured.flooded_calls, &called);
        if options.churn {
            let gone = nodes.pop().expect("there are four at least");
            tokio::spawn(async move { gone.leave().await });
            let come = start(&format!("late{second}"), seed).await?;
            listen(&come, measured).await?;
            nodes.insert(2, come);
        }
        sleep(Duration::from_secs(1)).await;
    }
    speaker.await??;
    drop(flood);
    measured.bytes.store(sent(&nodes).await?.saturating_sub(before), Relaxed);
    // The last of them is on its way for a moment.
    sleep(Duration::from_millis(500)).await;
    measured.held[1].store(held(), Relaxed);
    Ok(())
}

async fn sent(nodes: &[Cluster]) -> Result<u64, tidings_tokio::Error> {
    let mut bytes = 0;
    for node in nodes {
        bytes += node.stats().await?.bytes_out;
    }
    Ok(bytes)
}

/// Says the time on a topic and under a key, so often a second.
async fn speak(node: Cluster, rate: u64, seconds: u64, measured: Arc<Measured>) -> Result<(), tidings_tokio::Error> {
    let mut ticks = ticks(rate);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        ticks.tick().await;
        let called = measured.time();
        node.broadcast(TOPIC, called).await?;
        measured.note(&measured.calls, &called);
        measured.said.fetch_add(1, Relaxed);
        let called = measured.time();
        node.set(KEY, called).await?;
        measured.note(&measured.calls, &called);
    }
    Ok(())
}

fn ticks(rate: u64) -> tokio::time::Interval {
    let mut ticks = interval(Duration::from_micros(1_000_000 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Has a node note what it hears and reads, until it stops.
async fn listen(node: &Cluster, measured: &Arc<Measured>) -> Result<(), tidings_tokio::Error> {
    let (mut heard, mut read) = (node.subscribe(TOPIC).await?, node.watch(KEY).await?);
    let (mut events, by_key, by_event) = (node.events().await?, measured.clone(), measured.clone());
    let (measured, read_since) = (measured.clone(), measured.now());
    tokio::spawn(async move {
        while let Some(change) = read.recv().await {
            let Ok(Change::Set { entry, .. }) = change else { continue };
            // What a newcomer finds there is as old as it is.
            if entry.value().try_into().is_ok_and(|written| u64::from_le_bytes(written) >= read_since) {
                by_key.note(&by_key.keys, entry.value());
            }
        }
    });
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            let died = matches!(event, Ok(tidings_tokio::Event::MemberDown(_)));
            by_event.downs.fetch_add(died.into(), Relaxed);
        }
    });
    tokio::spawn(async move {
        while let Some(message) = heard.recv().await {
            match message {
                Ok(message) => measured.note(&measured.broadcasts, &message.payload),
                Err(_) => drop(measured.gaps.fetch_add(1, Relaxed)),
            }
        }
    });
    Ok(())
}

// Without handles.

async fn with_loops(options: &Arc<Options>, measured: &Arc<Measured>) -> Result<(), Failure> {
    let (began, count) = (measured.now(), usize::from(options.nodes));
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(tokio::net::UdpSocket::bind("127.0.0.1:0").await?);
    }
    let (seed, flooded) = (sockets[0].local_addr()?, sockets[1].local_addr()?);
    let (complete, mut completed) = tokio::sync::mpsc::channel(count);
    let mut tasks = Vec::new();
    for (at, socket) in sockets.into_iter().enumerate() {
        let (options, measured, complete) = (options.clone(), measured.clone(), complete.clone());
        let bare = Bare { at, socket, seed, options, measured, complete: Some(complete), sent_before: None };
        tasks.push(tokio::spawn(bare.run()));
    }
    drop(complete);
    // Each says so once.
    timeout(LIMIT, async { while completed.recv().await.is_some() {} }).await.map_err(|_| "they find no others")?;
    measured.whole.store(measured.now() - began, Relaxed);
    sleep(SETTLE).await;
    let flood = options.flood.then(|| Flood::at(flooded, measured)).transpose()?;
    measured.listeners.store(count as u64 - 1, Relaxed);
    measured.begins();
    for task in tasks {
        task.await??;
    }
    drop(flood);
    measured.held[1].store(held(), Relaxed);
    Ok(())
}

/// A node in a loop of its own.
struct Bare {
    at: usize,
    socket: tokio::net::UdpSocket,
    seed: SocketAddr,
    options: Arc<Options>,
    measured: Arc<Measured>,
    /// Until it sees all.
    complete: Option<tokio::sync::mpsc::Sender<()>>,
    /// What it had sent when measuring began.
    sent_before: Option<u64>,
}

impl Bare {
    fn node(&self, clock: Clock, addr: SocketAddr) -> Result<HeapNode, Failure> {
        let mut node = HeapNode::new(Config::LAN.with_cluster("bare"), Limits::DEFAULT);
        let name = format!("n{}", self.at);
        node.join(clock.now(), self.seed)?;
        node.subscribe(clock.now(), TOPIC)?;
        node.watch(KEY)?;
        // As a handle's node does.
        node.set(clock.now(), tidings_tokio::NAME, name.as_bytes())?;
        let mut seed = [0; 16];
        getrandom::fill(&mut seed)?;
        node.start_with_seed(clock.now(), NodeId::from_name(&name), addr, seed)?;
        Ok(node)
    }

    async fn run(mut self) -> Result<(), Failure> {
        let clock = Clock::start();
        let mut node = self.node(clock, self.socket.local_addr()?)?;
        let (mut ticks, mut buf) = (ticks(self.options.rate), vec![0; MAX_DATAGRAM]);
        loop {
            while let Some(datagram) = node.poll_transmit(&mut buf) {
                if let Err(error) = self.socket.send_to(datagram.payload, datagram.to).await {
                    node.handle_send_error(clock.now(), datagram.to, SendFailure::from(&error));
                }
            }
            while let Some(event) = node.poll_event() {
                self.note(event);
            }
            if self.complete.is_some() && node.live() == usize::from(self.options.nodes) {
                self.complete = None;
            }
            let elapsed = self.measured.now().checked_sub(self.measured.begin.load(Relaxed));
            let over = elapsed.is_some_and(|micros| micros > 1_000_000 * self.options.seconds);
            match (elapsed, self.sent_before) {
                (Some(_), None) => self.sent_before = Some(node.stats().bytes_out),
                // The last of what is said is on its way for a moment.
                (Some(micros), Some(before)) if micros > 1_000_000 * self.options.seconds + 500_000 => {
                    self.measured.bytes.fetch_add(node.stats().bytes_out - before, Relaxed);
                    return Ok(());
                }
                _ => {}
            }
            let speaks = self.at == 0 && elapsed.is_some() && !over;
            let wait = clock.until(node.poll_timeout()).min(Duration::from_millis(100));
            tokio::select! {
                received = self.socket.recv_from(&mut buf) => match received {
                    Ok((len, from)) => node.handle_datagram(clock.now(), from, &mut buf[..len]),
                    Err(error) if is_transient(&error) => {}
                    Err(error) => return Err(error.into()),
                },
                () = sleep(wait) => node.handle_timeout(clock.now()),
                _ = ticks.tick(), if speaks => {
                    self.measured.said.fetch_add(1, Relaxed);
                    node.broadcast(clock.now(), TOPIC, &self.measured.time())?;
                    node.set(clock.now(), KEY, &self.measured.time())?;
                }
            }
        }
    }

    fn note(&self, event: Event<'_, SocketAddr>) {
        let measured = &self.measured;
        match event {
            Event::Message { payload, .. } => measured.note(&measured.broadcasts, payload),
            Event::KeySet { entry, .. } if entry.key() == KEY => measured.note(&measured.keys, entry.value()),
            Event::Gap { .. } => drop(measured.gaps.fetch_add(1, Relaxed)),
            Event::MemberDown(_) => drop(measured.downs.fetch_add(1, Relaxed)),
            _ => {}
        }
    }
}
