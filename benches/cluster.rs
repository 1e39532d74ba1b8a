//! What a whole cluster costs a processor, per second of its own time.
//!
//! ```sh
//! cargo bench --bench cluster
//! ```
//!
//! A cluster settles in the simulator. Then everything that is handed to its nodes is written down, and replayed on
//! copies of the nodes as they were: datagrams, timeouts, and the polls that follow each, without a simulator between
//! them. Only the replay is timed, and in the end each copy must equal its original. All nodes share one processor
//! and its caches here, so the figure is rather more than what they would take on machines of their own.

use std::cell::RefCell;
use std::hint::black_box;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::{Duration, Instant as Clock};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use tidings::sim::{Conditions, Layer, Sim};
use tidings::{Config, HeapNode, Instant, Limits};

type Node = HeapNode<SocketAddrV4>;

/// What a whole cluster costs a processor, per second of its own time.
#[derive(Parser)]
struct Arguments {
    /// A small cluster and few seconds of it.
    #[arg(long)]
    quick: bool,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let (nodes, seconds, replays) = if arguments.quick { (64, 5, 3) } else { (1_024, 30, 15) };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["nodes", "loss", "datagrams", "time, median", "least", "per datagram"]);
    for loss in [0, 20] {
        let cluster = Cluster::settled(nodes, f64::from(loss) / 100.0);
        let recorded = cluster.record(Duration::from_secs(seconds));
        let mut times: Vec<Duration> = (0..replays).map(|_| recorded.replay()).collect();
        times.sort();
        let per_second = |time: Duration| format!("{:.2} ms/s", time.as_secs_f64() * 1e3 / seconds as f64);
        let (median, datagrams) = (times[times.len() / 2], recorded.datagrams());
        table.add_row([
            nodes.to_string(),
            format!("{loss} %"),
            format!("{:.0} /s", datagrams as f64 / seconds as f64),
            per_second(median),
            per_second(times[0]),
            format!("{:.0} ns", median.as_secs_f64() * 1e9 / datagrams as f64),
        ]);
    }
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    anstream::println!("{table}");
}

/// Something that was handed to a node.
enum Input {
    Datagram { from: SocketAddrV4, bytes: Vec<u8> },
    Timeout,
}

/// To which host, when, and what; nothing is written down before there is a list.
type Log = Rc<RefCell<Option<Vec<(usize, Instant, Input)>>>>;

/// A node that writes down what it is handed.
struct Recorder {
    host: usize,
    node: Node,
    log: Log,
}

impl Recorder {
    fn note(&self, now: Instant, input: Input) {
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.push((self.host, now, input));
        }
    }
}

impl Layer for Recorder {
    type Inner = Node;

    fn inner(&self) -> &Node {
        &self.node
    }

    fn inner_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddrV4, datagram: &mut [u8]) {
        self.note(now, Input::Datagram { from, bytes: datagram.to_vec() });
        self.node.handle_datagram(now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.note(now, Input::Timeout);
        self.node.handle_timeout(now);
    }
}

struct Cluster {
    sim: Sim<Recorder>,
    log: Log,
}

impl Cluster {
    /// A cluster whose nodes have known each other for a while, in this loss.
    fn settled(nodes: usize, loss: f64) -> Self {
        let mut sim = Sim::new(1, Conditions::LAN);
        let log = Log::default();
        for host in 0..nodes {
            let node = Node::new(Config::LAN, Limits::DEFAULT.with_members(2 * nodes));
            sim.add(Recorder { host, node, log: log.clone() });
            sim.start(host, &[0]);
        }
        sim.run_until_agreed(Duration::from_secs(1), Duration::from_secs(60)).expect("they come to agree");
        sim.set_conditions(Conditions::LAN.with_loss(loss));
        sim.run_for(Duration::from_secs(20));
        Cluster { sim, log }
    }

    fn nodes(&self) -> Vec<Node> {
        (0..self.sim.hosts()).map(|host| self.sim.machine(host).expect("it runs").node.clone()).collect()
    }

    /// Lets time pass and writes down what happens.
    fn record(mut self, time: Duration) -> Recorded {
        let before = self.nodes();
        *self.log.borrow_mut() = Some(Vec::new());
        self.sim.run_for(time);
        let all = |node: &Node| node.live() == self.sim.hosts();
        assert!(self.nodes().iter().all(all), "nobody was declared dead meanwhile");
        let inputs = self.log.borrow_mut().take().expect("they were written down");
        Recorded { before, inputs, after: self.nodes() }
    }
}

/// A cluster's time: the nodes before, what they were handed in order, and the nodes after.
struct Recorded {
    before: Vec<Node>,
    inputs: Vec<(usize, Instant, Input)>,
    after: Vec<Node>,
}

impl Recorded {
    fn datagrams(&self) -> usize {
        self.inputs.iter().filter(|(_, _, input)| matches!(input, Input::Datagram { .. })).count()
    }

    /// Hands it all to copies of the nodes again, and polls as a caller would; how long that took.
    fn replay(&self) -> Duration {
        let mut nodes = self.before.clone();
        let (mut buf, mut out) = (vec![0; tidings::MAX_DATAGRAM], [0; 1_200]);
        let begun = Clock::now();
        for (to, now, input) in &self.inputs {
            let node = &mut nodes[*to];
            match input {
                Input::Datagram { from, bytes } => {
                    let datagram = &mut buf[..bytes.len()];
                    datagram.copy_from_slice(bytes);
                    node.handle_datagram(*now, *from, datagram);
                }
                Input::Timeout => node.handle_timeout(*now),
            }
            while let Some(datagram) = node.poll_transmit(&mut out) {
                black_box(datagram.payload);
            }
            while let Some(event) = node.poll_event() {
                black_box(event);
            }
            black_box(node.poll_timeout());
        }
        let elapsed = begun.elapsed();
        assert!(nodes == self.after, "the copies did what the nodes did");
        elapsed
    }
}
