//! One UDP socket of smoltcp over the Ethernet controller, with what it needs to know of time and addresses.

use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::time::Instant as NetworkInstant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use tidings::Instant;

use crate::stellaris::Controller;

/// How many datagrams, and how many bytes of them, may wait in each direction.
const DATAGRAMS: usize = 16;
const BYTES: usize = 4_096;
/// All machines are in one network of 256 addresses.
const PREFIX: u8 = 24;
/// After so long, what waits to be sent is given up. It is more than a second, as smoltcp asks for no more than one
/// Ethernet address a second.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The bytes of frames and datagrams, to be put into a `static`. All are 0, so that they take no room in the flash.
pub struct Memory {
    controller: Controller,
    incoming: [u8; BYTES],
    outgoing: [u8; BYTES],
}

impl Memory {
    pub const NEW: Memory = Memory { controller: Controller::NEW, incoming: [0; BYTES], outgoing: [0; BYTES] };
}

/// What else a network keeps its socket and the datagrams in.
pub struct Tables<'n> {
    sockets: [SocketStorage<'n>; 1],
    incoming: [PacketMetadata; DATAGRAMS],
    outgoing: [PacketMetadata; DATAGRAMS],
}

impl Tables<'_> {
    pub const NEW: Self = Tables {
        sockets: [SocketStorage::EMPTY],
        incoming: [PacketMetadata::EMPTY; DATAGRAMS],
        outgoing: [PacketMetadata::EMPTY; DATAGRAMS],
    };
}

pub struct Network<'n> {
    controller: &'n mut Controller,
    interface: Interface,
    sockets: SocketSet<'n>,
    socket: SocketHandle,
    addr: SocketAddrV4,
    /// When this was last carried on.
    now: NetworkInstant,
    /// When nothing waited to be sent.
    clear: Instant,
}

impl<'n> Network<'n> {
    /// A network whose socket is bound to `addr`.
    pub fn start(
        now: Instant,
        addr: SocketAddrV4,
        memory: &'n mut Memory,
        tables: &'n mut Tables<'n>,
    ) -> Result<Network<'n>, &'static str> {
        let Memory { controller, incoming, outgoing } = memory;
        let [a, b, c, d] = addr.ip().octets();
        // Of those addresses that anybody may give out in a network of their own.
        let hardware = EthernetAddress([0x02, 0, a, b, c, d]);
        controller.start(hardware);
        let mut interface = Interface::new(Config::new(hardware.into()), controller, network_time(now));
        let mut full = false;
        interface.update_ip_addrs(|own| full = own.push(IpCidr::new((*addr.ip()).into(), PREFIX)).is_err());
        let mut sockets = SocketSet::new(&mut tables.sockets[..]);
        let incoming = PacketBuffer::new(&mut tables.incoming[..], &mut incoming[..]);
        let outgoing = PacketBuffer::new(&mut tables.outgoing[..], &mut outgoing[..]);
        let mut socket = Socket::new(incoming, outgoing);
        if full || socket.bind(addr).is_err() {
            return Err("the network does not take its address");
        }
        let socket = sockets.add(socket);
        Ok(Network { controller, interface, sockets, socket, addr, now: network_time(now), clear: now })
    }

    /// Moves what has come in from the controller to the socket, and what is to go out the other way.
    ///
    /// smoltcp sends in order, and keeps a datagram until it knows the Ethernet address to send it to. A machine that
    /// is switched off never tells, and would hold up what goes to all others: so the queue is given up after a while,
    /// as if the network had lost it.
    pub fn carry(&mut self, now: Instant) {
        self.now = network_time(now);
        self.interface.poll(self.now, self.controller, &mut self.sockets);
        let socket = self.sockets.get_mut::<Socket>(self.socket);
        if socket.send_queue() == 0 {
            self.clear = now;
        } else if !socket.can_recv() && now.duration_since(self.clear) >= PATIENCE {
            socket.close();
            // It fails for port 0 and for an open socket.
            let _ = socket.bind(self.addr);
            self.clear = now;
        }
    }

    /// A datagram that has come in, and whom it is from.
    pub fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Option<(SocketAddr, &'b mut [u8])> {
        let socket = self.sockets.get_mut::<Socket>(self.socket);
        loop {
            // One that is longer than the buffer is of no node, and counts as lost.
            let received = if socket.can_recv() { socket.recv_slice(buf) } else { return None };
            if let Ok((len, meta)) = received {
                let IpAddress::Ipv4(ip) = meta.endpoint.addr;
                return Some((SocketAddrV4::new(ip, meta.endpoint.port).into(), &mut buf[..len]));
            }
        }
    }

    /// Whether there was room for the datagram.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        let SocketAddr::V4(to) = to else { return false };
        self.sockets.get_mut::<Socket>(self.socket).send_slice(datagram, to).is_ok()
    }

    /// When [`carry`](Self::carry) has something to do, unless a frame comes in before.
    pub fn due(&mut self) -> Instant {
        let due = self.interface.poll_at(self.now, &self.sockets);
        due.map_or(Instant::FAR_FUTURE, |due| Instant::from_micros(due.total_micros() as u64))
    }
}

fn network_time(now: Instant) -> NetworkInstant {
    NetworkInstant::from_micros(now.as_micros() as i64)
}
