//! A node of a cluster on a Cortex-M3 (`lm3s6965evb`, which QEMU emulates): no operating system, no heap, and one loop.
//!
//! `run` builds it and proves it among real nodes. What a firmware of your own takes from here: the loop below,
//! `clock.rs` for any Cortex-M with a timer as an alarm, and `network.rs` for anything that smoltcp has a driver for.

#![no_std]
#![no_main]

mod clock;
mod duties;
mod host;
mod network;
mod stellaris;

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use rand_xoshiro::Xoshiro128PlusPlus;
use tidings::rand_core::SeedableRng;
use tidings::{Config, FixedNode, NodeId, Phase, SendFailure};

use clock::Clock;
use duties::Duties;
use host::Arguments;
use network::{Memory, Network, Tables};

/// At most 32 members. All of a cluster have one type of address: here that of the programs on the host, which is not
/// encoded as `SocketAddrV4` would be.
type Node = FixedNode<32>;

const CONFIG: Config = Config::LAN.with_cluster("demo");
/// The machines' network. It is a part of the loopback, so that a program on the host can have an address in it.
const NETWORK: [u8; 3] = [127, 0, 7];
const PORT: u16 = 7946;

#[entry]
fn main() -> ! {
    // The attribute makes these references that live for ever. They are filled before `main`, not copied to the stack.
    static mut NODE: Node = FixedNode::new(CONFIG);
    static mut MEMORY: Memory = Memory::NEW;
    match run(NODE, MEMORY) {
        Ok(()) => debug::exit(debug::EXIT_SUCCESS),
        Err(reason) => {
            hprintln!("failed: {}", reason);
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}

fn run(node: &mut Node, memory: &mut Memory) -> Result<(), &'static str> {
    let peripherals = Peripherals::take().ok_or("the peripherals are taken")?;
    let mut clock = Clock::start(peripherals.SYST);
    let arguments = Arguments::read()?;
    let number: u8 = arguments.number("number")?;
    let [a, b, c] = NETWORK;
    let addr = SocketAddrV4::new(Ipv4Addr::new(a, b, c, number), PORT);
    let mut tables = Tables::NEW;
    let mut network = Network::start(clock.now(), addr, memory, &mut tables)?;
    let mut duties = Duties::new(arguments.number("members")?);

    for seed in arguments.all("seed") {
        let seed = seed.parse().map_err(|_| "a seed is an address and a port")?;
        node.join(clock.now(), seed).map_err(|_| "nobody can send to this seed")?;
    }
    duties.begin(clock.now(), node)?;
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(host::time() << 8 | u64::from(number));
    node.start(clock.now(), NodeId::new(number.into()), SocketAddr::V4(addr), &mut rng)
        .map_err(|_| "nobody can send to this address")?;

    let mut buf = [0; CONFIG.max_datagram()];
    loop {
        network.carry(clock.now());
        while let Some((from, datagram)) = network.receive(&mut buf) {
            node.handle_datagram(clock.now(), from, datagram);
            // Before the next is read: a node remembers only a few answers, and drops what finds no room.
            speak(node, &mut network, &mut clock, &mut buf);
        }
        node.handle_timeout(clock.now());
        while let Some(event) = node.poll_event() {
            duties.note(clock.now(), event);
        }
        duties.act(clock.now(), node)?;
        speak(node, &mut network, &mut clock, &mut buf);
        match node.phase() {
            Phase::Left => return Ok(()),
            Phase::Idle => return Err("another live node has this id"),
            _ => {}
        }
        network.carry(clock.now());
        clock.sleep(node.poll_timeout().min(network.due()));
    }
}

/// Hands over what the node has to send.
fn speak(node: &mut Node, network: &mut Network<'_>, clock: &mut Clock, buf: &mut [u8]) {
    while let Some(datagram) = node.poll_transmit(buf) {
        if !network.send(datagram.to, datagram.payload) {
            node.handle_send_error(clock.now(), datagram.to, SendFailure::Local);
        }
    }
}
