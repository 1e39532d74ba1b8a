//! A cluster over real UDP sockets: a demonstration that checks itself, or one node among others until Ctrl-C.
//!
//! `driver.rs` is the part that every program around a node needs. The rest shows what the nodes say.

mod demo;
mod driver;
mod journal;
mod news;
mod screen;
mod single;
mod view;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum, value_parser};
use owo_colors::OwoColorize;
use tidings::Config;

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --example cluster --`:
  32 nodes on loopback, and every fifth datagram lost:
    --nodes 32 --loss 20
  Three real nodes, in three terminals:
    --bind 127.0.0.1:7001
    --bind 127.0.0.1:7002 --join 127.0.0.1:7001
    --bind 127.0.0.1:7003 --join 127.0.0.1:7001 127.0.0.1:7002 --say \"hello to you both\"
  Two more, of which one sets keys and the other shows them:
    --bind 127.0.0.1:7004 --join 127.0.0.1:7001 --set load=0.7 --set rack=r1
    --bind 127.0.0.1:7005 --join 127.0.0.1:7001 --watch
  One on a host that others reach at 192.0.2.7:
    --bind 0.0.0.0:7001 --advertise 192.0.2.7:7001 --name db-7 --join db-1.example:7001";

/// Runs a cluster of nodes on loopback and checks what they see; with --bind, runs one node among others until Ctrl-C.
#[derive(Parser)]
#[command(name = "cluster", after_help = EXAMPLES)]
struct Options {
    /// How many nodes the demonstration has, 3 to 64
    #[arg(long, value_name = "N", default_value_t = 8, conflicts_with = "bind")]
    #[arg(value_parser = value_parser!(u8).range(3..=64))]
    nodes: u8,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    single: single::Options,
}

/// What all nodes have in common.
#[derive(Args)]
struct Network {
    /// Percentage of outgoing datagrams to drop at random on purpose, 0 to 50
    #[arg(long, value_name = "P", default_value_t = 0, value_parser = value_parser!(u8).range(0..=50))]
    loss: u8,
    /// How far apart the nodes are
    #[arg(long, value_enum, default_value_t = Preset::Lan)]
    preset: Preset,
    /// Name of the cluster; nodes of other clusters are ignored
    #[arg(long, value_name = "NAME", default_value = "demo")]
    cluster: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    /// One data centre: a crash is known to all in 4 to 5 s
    Lan,
    /// Several continents: in some 13 s
    Wan,
    /// One host: in some 2 s
    Local,
}

impl Network {
    fn config(&self) -> Config {
        let preset = match self.preset {
            Preset::Lan => Config::LAN,
            Preset::Wan => Config::WAN,
            Preset::Local => Config::LOCAL,
        };
        preset.with_cluster(&self.cluster)
    }
}

fn main() -> ExitCode {
    let Options { nodes, network, single } = Options::parse();
    let outcome = match single.bind {
        Some(bind) => single::run(bind, &single, &network),
        None => demo::run(u64::from(nodes), &network),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(anstream::stderr(), "{} {sentence}", "error:".red().bold());
            ExitCode::FAILURE
        }
    }
}

/// An address and port, with a better sentence than the standard library's if it is not one.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:7001 or [::1]:7001".to_string())
}
