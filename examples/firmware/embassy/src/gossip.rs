//! What drives a node over embassy-net. Copy it: nothing in it is about the machine that it runs on.

use core::net::SocketAddrV4;

use embassy_futures::select::{Either, select};
use embassy_net::udp::{PacketMetadata, UdpMetadata, UdpSocket};
use embassy_net::{IpAddress, Stack};
use embassy_time::{Duration, TICK_HZ, Timer, with_timeout};
use tidings::{Config, Event, FixedNode, Instant, SendFailure};

pub type Member = FixedNode<32, SocketAddrV4>;

pub const CONFIG: Config = Config::LAN.with_cluster("embassy");
const LONGEST: usize = CONFIG.max_datagram();
/// How many datagrams may wait to be read.
const BACKLOG: usize = 8;
/// How long a datagram may wait in the socket to be sent: some round trips of ARP, all within one building.
const STUCK: Duration = Duration::from_millis(20);

/// Carries a started node's datagrams for ever.
///
/// embassy-net keeps a datagram until ARP has found where to send it, and sends nothing else from that socket meanwhile.
/// A member that is switched off is never found, so the socket with the datagram in it is thrown away, with what was
/// received and not read yet: to the protocol that is loss as any other.
pub async fn gossip(
    node: &mut Member,
    stack: Stack<'_>,
    port: u16,
    mut tell: impl FnMut(Event<'_, SocketAddrV4>),
) -> ! {
    let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; BACKLOG], [PacketMetadata::EMPTY; 2]);
    let (mut rx, mut tx) = ([0; BACKLOG * LONGEST], [0; LONGEST]);
    loop {
        let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
        socket.bind(port).expect("a new socket is bound to no other port");
        let unreachable = carry(node, &mut socket, &mut tell).await;
        node.handle_send_error(now(), unreachable, SendFailure::Unreachable);
    }
}

/// The loop itself. Ends with where a datagram is stuck on its way to.
async fn carry(
    node: &mut Member,
    socket: &mut UdpSocket<'_>,
    tell: &mut impl FnMut(Event<'_, SocketAddrV4>),
) -> SocketAddrV4 {
    let mut buf = [0; LONGEST];
    loop {
        while let Some(datagram) = node.poll_transmit(&mut buf) {
            match with_timeout(STUCK, send(socket, datagram.payload, datagram.to)).await {
                Ok(true) => {}
                Ok(false) => node.handle_send_error(now(), datagram.to, SendFailure::Local),
                Err(_) => return datagram.to,
            }
        }
        while let Some(event) = node.poll_event() {
            tell(event);
        }
        match select(socket.recv_from(&mut buf), Timer::at(alarm(node.poll_timeout()))).await {
            Either::First(Ok((len, from))) => node.handle_datagram(now(), sender(from), &mut buf[..len]),
            // One that is longer than any of this cluster, or nothing in time.
            Either::First(Err(_)) | Either::Second(()) => node.handle_timeout(now()),
        }
    }
}

/// Until it is on the wire; false if it never will be.
async fn send(socket: &mut UdpSocket<'_>, payload: &[u8], to: SocketAddrV4) -> bool {
    let sent = socket.send_to(payload, to).await;
    socket.flush().await;
    sent.is_ok()
}

/// With embassy-net's `proto-ipv6` there are others; the node then has addresses of the type `SocketAddr`.
fn sender(from: UdpMetadata) -> SocketAddrV4 {
    let IpAddress::Ipv4(addr) = from.endpoint.addr;
    SocketAddrV4::new(addr, from.endpoint.port)
}

/// The present time, as the node is told it.
pub fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// The first tick that is no earlier than the deadline. Rounded down, as embassy would, it would find nothing due, again
/// and again until the deadline.
fn alarm(deadline: Instant) -> embassy_time::Instant {
    let ticks = (u128::from(deadline.as_micros()) * u128::from(TICK_HZ)).div_ceil(1_000_000);
    embassy_time::Instant::from_ticks(ticks.try_into().unwrap_or(u64::MAX))
}
