//! Three kinds of event loop in one cluster: the examples `cluster`, `tokio` and `poll` as processes on loopback. And
//! why no loop need fear for the timer when datagrams pour in.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tidings::{Clock, Config, HeapNode, Instant, Limits, NodeId, Status};

/// For everything together; it takes some ten seconds. As in `agent.rs`, it only says when to give up waiting.
const DEADLINE: Duration = Duration::from_secs(90);
/// Of which there are nodes in `poll`.
const MANY: usize = 3;
/// So many datagrams are sent at once to each target, and then nothing for a millisecond, for three seconds and more.
const BURST: usize = 20;
const BURSTS: usize = 3_000;

/// A process that does not outlive the test.
struct Process {
    name: &'static str,
    child: Child,
    /// The addresses of its nodes.
    nodes: Vec<SocketAddr>,
    ended: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one node said of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Up,
    Down,
    Left,
}

/// All that runs, and all that was said.
struct Stage {
    processes: Vec<Process>,
    /// A line of the process of that number; `None` when it has closed its output.
    printer: Sender<(usize, Option<String>)>,
    lines: Receiver<(usize, Option<String>)>,
    transcript: Vec<String>,
    /// Observer, subject and what was said, in the order of hearing.
    said: Vec<(SocketAddr, SocketAddr, Said)>,
    clock: Clock,
}

impl Stage {
    fn new() -> Stage {
        let (printer, lines) = channel();
        let (processes, transcript, said) = (Vec::new(), Vec::new(), Vec::new());
        Stage { processes, printer, lines, transcript, said, clock: Clock::start() }
    }

    /// Starts an example with so many nodes, and returns its number once they have told their addresses.
    fn start(&mut self, name: &'static str, nodes: usize, seed: Option<SocketAddr>) -> usize {
        self.start_with(name, nodes, seed, &[])
    }

    /// The same with further options.
    fn start_with(&mut self, name: &'static str, nodes: usize, seed: Option<SocketAddr>, options: &[&str]) -> usize {
        let mut command = Command::new(crate::example(name));
        command.args(["--bind", "127.0.0.1:0", "--preset", "local"]).args(options);
        command.args(seed.iter().flat_map(|seed| ["--join".to_string(), seed.to_string()]));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("an example can be run");
        let output = child.stdout.take().expect("its output is a pipe");
        let number = self.processes.len();
        self.processes.push(Process { name, child, nodes: Vec::new(), ended: false });
        let printer = self.printer.clone();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            // When the test has failed, nobody listens.
            lines.map(Some).chain([None]).try_for_each(|line| printer.send((number, line)))
        });
        self.wait("told its addresses", |stage| stage.processes[number].nodes.len() == nodes);
        number
    }

    /// Takes in a line, if there is one within that time.
    fn listen(&mut self, patience: Duration) {
        let Ok((number, line)) = self.lines.recv_timeout(patience) else { return };
        let process = &mut self.processes[number];
        let Some(line) = line else { return process.ended = true };
        let words: Vec<&str> = line.split_whitespace().collect();
        let address = |word: &str| word.parse::<SocketAddr>().ok();
        let subject = words.windows(2).find_map(|pair| if pair[0] == "at" { address(pair[1]) } else { None });
        if words.first() == Some(&"node") {
            process.nodes.extend(subject);
        }
        // Where there are several nodes, each line begins with the time and the address of the one that speaks.
        let observer = words.get(1).and_then(|word| address(word)).or(process.nodes.first().copied());
        let said = match words.last() {
            Some(&"up") => Some(Said::Up),
            Some(&"down") => Some(Said::Down),
            Some(&"left") => Some(Said::Left),
            _ => None,
        };
        if let (Some(observer), Some(subject), Some(said)) = (observer, subject, said) {
            self.said.push((observer, subject, said));
        }
        self.transcript.push(format!("{:>8}: {line}", process.name));
    }

    fn wait(&mut self, what: &str, is_so: impl Fn(&Stage) -> bool) {
        while !is_so(self) {
            let left = (Instant::ZERO + DEADLINE).duration_since(self.clock.now());
            assert!(!left.is_zero(), "not {what} in time:\n{self}");
            self.listen(left);
        }
    }

    /// Waits until each of the observers has said this, last of all, of the subject.
    fn wait_for(&mut self, said: Said, subject: SocketAddr, observers: &[SocketAddr]) {
        let last = |stage: &Stage, observer| {
            let about = |(who, whom, _): &&(SocketAddr, SocketAddr, Said)| (*who, *whom) == (observer, subject);
            stage.said.iter().rfind(about).map(|(_, _, said)| *said)
        };
        let others = || observers.iter().filter(|observer| **observer != subject);
        let what = format!("seen by all: {subject} {said:?}");
        self.wait(&what, |stage| others().all(|observer| last(stage, *observer) == Some(said)));
    }

    /// Everybody of whom this was ever said.
    fn ever(&self, said: Said) -> BTreeSet<SocketAddr> {
        self.said.iter().filter(|(_, _, heard)| *heard == said).map(|(_, subject, _)| *subject).collect()
    }

    /// The nodes of some processes.
    fn nodes(&self, numbers: &[usize]) -> Vec<SocketAddr> {
        numbers.iter().flat_map(|number| self.processes[*number].nodes.clone()).collect()
    }

    /// Sends junk to all targets for some seconds, listening meanwhile.
    fn flood(&mut self, targets: &[SocketAddr]) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let head = plausible_head();
        let mut rng = StdRng::seed_from_u64(1);
        let mut buf = [0; 1_400];
        for _ in 0..BURSTS {
            for number in 0..BURST {
                let len = rng.random_range(1..buf.len());
                let datagram = &mut buf[..len];
                rng.fill_bytes(datagram);
                // Every other begins as if it were from this very cluster.
                let known = if number % 2 == 0 { len.min(head.len()) } else { 0 };
                datagram[..known].copy_from_slice(&head[..known]);
                for target in targets {
                    // What the system does not take is as good as lost on the way.
                    let _ = socket.send_to(datagram, target);
                }
            }
            self.listen(Duration::from_millis(1));
        }
    }

    /// Does to a process what Ctrl-C does.
    fn interrupt(&self, number: usize) {
        // Every shell has this command in itself.
        let order = format!("kill -INT {}", self.processes[number].child.id());
        let status = Command::new("sh").args(["-c", &order]).status().expect("there is a shell");
        assert!(status.success(), "cannot interrupt {}: {status}", self.processes[number].name);
    }

    /// Waits until a process that has been interrupted is gone, as one that has done what it was asked to.
    fn see_off(&mut self, number: usize) {
        self.wait("ended after Ctrl-C", |stage| stage.processes[number].ended);
        let status = self.processes[number].child.wait().expect("a child can be waited for");
        assert!(status.success(), "{} ended with {status}:\n{self}", self.processes[number].name);
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.transcript.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The first three bytes of a datagram, which say the version of the wire and the cluster.
fn plausible_head() -> Vec<u8> {
    let mut node = newcomer(Config::LOCAL.with_cluster("demo"), 1, 2);
    let mut buf = [0; tidings::MAX_DATAGRAM];
    node.poll_transmit(&mut buf).expect("a seed is asked at once").payload[..3].to_vec()
}

/// A node that is started at the beginning of time.
fn newcomer(config: Config, number: u16, seed: u16) -> HeapNode<u16> {
    let mut node = HeapNode::new(config, Limits::DEFAULT);
    node.join(Instant::ZERO, seed).expect("any number is an address");
    let mut rng = StdRng::seed_from_u64(number.into());
    node.start(Instant::ZERO, NodeId::new(number.into()), number, &mut rng).unwrap();
    node
}

/// When a node sends in six seconds, if `serve` alone tells it the time and its only peer dies after five.
fn sends(serve: impl Fn(&mut HeapNode<u16>, Instant)) -> Vec<Instant> {
    let (mut node, mut peer) = (newcomer(Config::LAN, 1, 2), newcomer(Config::LAN, 2, 1));
    let mut buf = [0; tidings::MAX_DATAGRAM];
    let mut sent = Vec::new();
    for millis in 0..6_000 {
        let now = Instant::from_millis(millis);
        let alive = millis < 5_000;
        serve(&mut node, now);
        while let Some(datagram) = node.poll_transmit(&mut buf) {
            sent.push(now);
            let mut payload = datagram.payload.to_vec();
            peer.handle_datagram(now, 1, &mut payload);
        }
        peer.handle_timeout(now);
        while let Some(datagram) = peer.poll_transmit(&mut buf).filter(|_| alive) {
            let mut payload = datagram.payload.to_vec();
            node.handle_datagram(now, 2, &mut payload);
        }
    }
    let held = node.member(NodeId::new(2)).map(|member| member.status());
    assert_eq!(held, Some(Status::Suspect), "it has probed its peer in vain");
    sent
}

#[test]
fn datagrams_alone_junk_that_they_are_keep_the_deadlines_as_ticks_do() {
    let ticked = sends(|node, now| node.handle_timeout(now));
    let flooded = sends(|node, now| node.handle_datagram(now, 9, &mut [1; 40]));
    assert_eq!(ticked, flooded);
}

#[test]
fn nodes_in_three_kinds_of_loop_agree_through_a_flood_a_death_and_departures() {
    let mut stage = Stage::new();
    let cluster = stage.start("cluster", 1, None);
    let seed = stage.processes[cluster].nodes[0];
    let tokio = stage.start("tokio", 1, Some(seed));
    let poll = stage.start("poll", MANY, Some(seed));
    let victim = stage.start("tokio", 1, Some(seed));
    let everybody = stage.nodes(&[cluster, tokio, poll, victim]);
    for node in &everybody {
        stage.wait_for(Said::Up, *node, &everybody);
    }

    // One node of those that share a thread must not pay for the others either.
    let flooded = [stage.nodes(&[tokio])[0], stage.nodes(&[poll])[0]];
    stage.flood(&flooded);
    let refusals = |stage: &Stage| stage.transcript.iter().filter(|line| line.ends_with("refused: truncated")).count();
    stage.wait("both flooded", |stage| refusals(stage) == flooded.len());
    assert_eq!(stage.ever(Said::Down), BTreeSet::new(), "nobody has died:\n{stage}");

    stage.processes[victim].child.kill().expect("a child can be killed");
    let dead = stage.nodes(&[victim])[0];
    stage.wait_for(Said::Down, dead, &stage.nodes(&[cluster, tokio, poll]));

    for (leaver, others) in [(cluster, vec![tokio, poll]), (tokio, vec![poll])] {
        stage.interrupt(leaver);
        stage.wait_for(Said::Left, stage.nodes(&[leaver])[0], &stage.nodes(&others));
        stage.see_off(leaver);
    }
    assert_eq!(stage.ever(Said::Left), BTreeSet::from_iter(stage.nodes(&[cluster, tokio])), "{stage}");
    stage.interrupt(poll);
    stage.see_off(poll);
    assert_eq!(stage.ever(Said::Down), BTreeSet::from([dead]), "only one has died:\n{stage}");
}

#[test]
fn a_key_that_one_sets_is_shown_by_those_that_are_there_and_by_one_that_comes_later() {
    let mut stage = Stage::new();
    let early = stage.start_with("cluster", 1, None, &["--watch"]);
    let seed = stage.processes[early].nodes[0];
    stage.start_with("cluster", 1, Some(seed), &["--set", "load=0.7", "--set", "rack=r1"]);
    let shown = |stage: &Stage, what| stage.transcript.iter().filter(|line| line.ends_with(what)).count();
    stage.wait("shown", |stage| shown(stage, " sets load: 0.7") == 1 && shown(stage, " sets rack: r1") == 1);
    stage.start_with("cluster", 1, Some(seed), &["--watch", "ra"]);
    stage.wait("shown later", |stage| shown(stage, " sets rack: r1") == 2);
    assert_eq!(shown(&stage, " sets load: 0.7"), 1, "nobody else has asked for it:\n{stage}");
}
