//! An Ethernet switch between machines that QEMU emulates and the loopback of their host. It drops some of the frames.
//!
//! The network is a part of the loopback, say 127.0.7.0/24, so that everybody has the same address on both sides, and
//! no root, no name space and no translation is needed. A program on the host binds an address of that network; so does
//! this switch, for each machine, and a socket there stands for the machine. A machine that asks for the Ethernet
//! address of a program on the host is told that of the switch.

mod frame;
mod switch;

use std::io;
use std::net::SocketAddrV4;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use clap::{Parser, value_parser};

use switch::Switch;

const QEMU: &str = "\
The machine with the address 127.0.7.11:7946 is given to QEMU as
  -nic socket,udp=127.0.7.11:7001,localaddr=127.0.7.11:7002
and has the Ethernet address 02:00:7f:00:07:0b, which is 02:00 and its address.";

/// Carries frames between machines in QEMU and programs on the host until its standard input ends, and drops some.
#[derive(Parser)]
#[command(name = "switch", after_help = QEMU)]
struct Options {
    /// A machine, by the address of its one socket; may be given several times
    #[arg(long, value_name = "ADDR", required = true)]
    machine: Vec<SocketAddrV4>,
    /// Percentage of frames to drop at random, 0 to 50
    #[arg(long, value_name = "P", default_value_t = 10, value_parser = value_parser!(u8).range(0..=50))]
    loss: u8,
    /// Another seed drops other frames
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// End after this many seconds in any case
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let switch = Arc::new(Switch::new(&options.machine, options.loss, options.seed)?);
    let (stop, stopped) = channel();
    for machine in 0..options.machine.len() {
        for listen in [Switch::serve_machine, Switch::serve_host] {
            let (switch, stop) = (switch.clone(), stop.clone());
            thread::spawn(move || {
                stop.send(listen(&switch, machine).map_err(|error| format!("a socket failed: {error}")))
            });
        }
    }
    thread::spawn(move || {
        let end = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.send(end.map(|_| ()).map_err(|error| format!("cannot read the standard input: {error}")))
    });
    println!("ready");
    let outcome = match stopped.recv_timeout(Duration::from_secs(options.seconds)) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
    };
    println!("{switch}");
    outcome
}
