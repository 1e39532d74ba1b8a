//! Who is connected to the switch, and where a frame goes.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use smoltcp::wire::EthernetAddress;

use crate::frame::{self, Content};

/// The ports of the two ends of a machine's cable. QEMU sends each frame in a datagram.
const SWITCH_END: u16 = 7_001;
const MACHINE_END: u16 = 7_002;
/// The longest datagram.
const BUFFER: usize = 65_536;
/// The longest datagram that fits one frame.
const LONGEST: usize = 1_472;
/// The Ethernet address of all programs on the host.
const HOST: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0]);

/// A machine, by what it is connected with.
struct Machine {
    addr: SocketAddrV4,
    hardware: EthernetAddress,
    cable: UdpSocket,
    /// On the host, the machine itself.
    socket: UdpSocket,
}

#[derive(Clone, Copy)]
enum Way {
    MachineToMachine,
    MachineToHost,
    HostToMachine,
}

const WAYS: [(Way, &str); 3] = [
    (Way::MachineToMachine, "machine to machine"),
    (Way::MachineToHost, "machine to host"),
    (Way::HostToMachine, "host to machine"),
];

#[derive(Default)]
struct Count {
    carried: AtomicU64,
    dropped: AtomicU64,
}

pub struct Switch {
    machines: Vec<Machine>,
    loss: u8,
    luck: Mutex<StdRng>,
    counts: [Count; WAYS.len()],
}

impl Switch {
    pub fn new(machines: &[SocketAddrV4], loss: u8, seed: u64) -> Result<Switch, String> {
        let machines = machines.iter().map(|addr| Machine::connect(*addr)).collect::<Result<_, _>>()?;
        let luck = Mutex::new(StdRng::seed_from_u64(seed));
        Ok(Switch { machines, loss, luck, counts: Default::default() })
    }

    /// Carries what comes from a machine, until its cable fails.
    pub fn serve_machine(&self, machine: usize) -> io::Result<()> {
        let from = &self.machines[machine];
        let mut buf = [0; BUFFER];
        loop {
            let (len, _) = from.cable.recv_from(&mut buf)?;
            let frame = &buf[..len];
            let Some(destination) = frame::destination(frame) else { continue };
            let all = destination.is_broadcast();
            if all || destination == HOST {
                self.tell_host(from, frame);
            }
            for to in self.machines.iter().filter(|to| to.addr != from.addr) {
                if all || to.hardware == destination {
                    self.carry(Way::MachineToMachine, || to.give(frame));
                }
            }
        }
    }

    /// Carries what programs on the host send to a machine, until the socket that stands for it fails.
    pub fn serve_host(&self, machine: usize) -> io::Result<()> {
        let to = &self.machines[machine];
        let mut buf = [0; BUFFER];
        loop {
            let (len, from) = to.socket.recv_from(&mut buf)?;
            let SocketAddr::V4(from) = from else { continue };
            if len > LONGEST {
                eprintln!("{from} sends {len} bytes to {}, which no frame holds", to.addr);
                continue;
            }
            let frame = frame::wrap((HOST, from), (to.hardware, to.addr), &buf[..len]);
            self.carry(Way::HostToMachine, || to.give(&frame));
        }
    }

    fn tell_host(&self, machine: &Machine, frame: &[u8]) {
        match frame::content(frame) {
            // A machine answers for itself.
            Some(Content::Question { target, .. }) if self.machines.iter().any(|other| other.addr.ip() == &target) => {}
            Some(Content::Question { asker, target }) => {
                let answer = frame::answer(asker, target, HOST);
                self.carry(Way::HostToMachine, || machine.give(&answer));
            }
            Some(Content::Datagram { from, to, payload }) if from == machine.addr => {
                self.carry(Way::MachineToHost, || {
                    // That nobody is there is nothing that a datagram's sender is told.
                    let _ = machine.socket.send_to(payload, to);
                });
            }
            _ => eprintln!("a frame of {} is no datagram of its own", machine.addr),
        }
    }

    fn carry(&self, way: Way, give: impl FnOnce()) {
        let lost = self.luck.lock().unwrap_or_else(PoisonError::into_inner).random_ratio(self.loss.into(), 100);
        let count = &self.counts[way as usize];
        if lost {
            count.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            count.carried.fetch_add(1, Ordering::Relaxed);
            give();
        }
    }
}

impl Machine {
    fn connect(addr: SocketAddrV4) -> Result<Machine, String> {
        let bind = |addr| UdpSocket::bind(addr).map_err(|error| format!("cannot bind {addr}: {error}"));
        let [a, b, c, d] = addr.ip().octets();
        let hardware = EthernetAddress([0x02, 0, a, b, c, d]);
        let cable = bind(SocketAddrV4::new(*addr.ip(), SWITCH_END))?;
        Ok(Machine { addr, hardware, cable, socket: bind(addr)? })
    }

    fn give(&self, frame: &[u8]) {
        let ip: Ipv4Addr = *self.addr.ip();
        // A machine that is off takes no frames.
        let _ = self.cable.send_to(frame, (ip, MACHINE_END));
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = WAYS.iter().map(|(way, name)| (name, &self.counts[*way as usize]));
        for (index, (name, Count { carried, dropped })) in counts.enumerate() {
            let (carried, dropped) = (carried.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed));
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{name}: {carried} frames carried, {dropped} dropped")?;
        }
        Ok(())
    }
}
