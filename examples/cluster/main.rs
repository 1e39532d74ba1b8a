//! A cluster over real UDP sockets: a demonstration that checks itself, or one node among others until Ctrl-C.
//!
//! `driver.rs` is the part that every program around a node needs. The rest shows what the nodes say.

mod demo;
mod driver;
mod journal;
mod news;
mod screen;
#[path = "../shared/mod.rs"]
mod shared;
mod single;
mod view;

use std::process::ExitCode;

use clap::{Parser, value_parser};
use tidings::Config;

use crate::shared::options::Joining;

const EXAMPLES: &str = "\
Examples, each after `cargo run --release --example cluster --`:
  32 nodes on loopback, and every fifth datagram lost:
    --nodes 32 --loss 20
  Three real nodes, in three terminals:
    --bind 127.0.0.1:7001
    --bind 127.0.0.1:7002 --join 127.0.0.1:7001
    --bind 127.0.0.1:7003 --join 127.0.0.1:7001,127.0.0.1:7002 --say \"hello to you both\"
  Two more, of which one sets keys and the other shows them:
    --bind 127.0.0.1:7004 --join 127.0.0.1:7001 --set load=0.7 --set rack=r1
    --bind 127.0.0.1:7005 --join 127.0.0.1:7001 --watch
  One on a host that others reach at 192.0.2.7:
    --bind 0.0.0.0:7001 --advertise 192.0.2.7:7001 --name db-7 --join db-1.example:7001";

/// Runs a cluster of nodes on loopback and checks what they see; with --bind, runs one node among others until Ctrl-C.
#[derive(Parser)]
#[command(name = "cluster", max_term_width = 80, after_help = EXAMPLES)]
#[command(mut_arg("join", |join| join.requires("bind").help_heading(single::HEADING)))]
#[command(mut_arg("advertise", |advertise| advertise.requires("bind")))]
#[command(mut_arg("name", |name| name.requires("bind")))]
#[command(mut_arg("bind", |bind| bind.help("Run one node with its socket at this address, until Ctrl-C")))]
struct Options {
    /// How many nodes the demonstration has, 3 to 64
    #[arg(long, value_name = "N", default_value_t = 8, conflicts_with = "bind")]
    #[arg(value_parser = value_parser!(u8).range(3..=64))]
    nodes: u8,
    /// Percentage of outgoing datagrams to drop at random on purpose, 0 to 50
    #[arg(long, value_name = "P", default_value_t = 0, value_parser = value_parser!(u8).range(0..=50))]
    loss: u8,
    #[command(flatten)]
    joining: Joining,
    #[command(flatten)]
    single: single::Options,
}

/// What all nodes of this program have in common.
#[derive(Clone, Copy)]
struct Network {
    loss: u8,
    config: Config,
}

fn main() -> ExitCode {
    let Options { nodes, loss, joining, single } = Options::parse();
    let network = Network { loss, config: joining.config() };
    let outcome = match single.place.bind {
        Some(_) => single::run(&single, &joining, network),
        None if joining.preset == Config::LOW_POWER => {
            Err("the demonstration would take hours with --preset low-power, which is for --bind".to_string())
        }
        None => demo::run(u64::from(nodes), network),
    };
    shared::outcome(outcome.map(|()| ExitCode::SUCCESS))
}
