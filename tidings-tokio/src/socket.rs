//! The socket: both families of addresses where the system can, and what others are told to send to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Type};
use tidings::Address;
use tokio::net::{UdpSocket, lookup_host};

use crate::error::StartError;

/// A UDP socket. One that is bound to IPv6 reaches IPv4 peers too, and the node sees their addresses as IPv4.
pub(crate) struct Socket {
    udp: UdpSocket,
    v6: bool,
    local: SocketAddr,
}

impl Socket {
    pub(crate) fn bind(addr: SocketAddr) -> Result<Self, StartError> {
        let v6 = addr.is_ipv6();
        let bound = || {
            let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
            if v6 && addr.ip().is_unspecified() {
                socket.set_only_v6(false)?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&addr.into())?;
            let udp = UdpSocket::from_std(socket.into())?;
            Ok((udp.local_addr()?, udp))
        };
        let (local, udp) = bound().map_err(|error| StartError::Bind(addr, error))?;
        Ok(Socket { udp, v6, local })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether datagrams can be sent to such an address at all.
    pub(crate) fn reaches(&self, addr: SocketAddr) -> bool {
        addr.is_reachable() && (self.v6 || addr.is_ipv4())
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.udp.readable().await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.udp.writable().await
    }

    /// The next datagram that has come, if one has.
    pub(crate) fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from) = self.udp.try_recv_from(buf)?;
        Ok((len, SocketAddr::new(from.ip().to_canonical(), from.port())))
    }

    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let to = match to {
            SocketAddr::V4(to) if self.v6 => SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port()),
            SocketAddr::V6(_) if !self.v6 => return Err(io::ErrorKind::Unsupported.into()),
            to => to,
        };
        self.udp.try_send_to(datagram, to).map(drop)
    }
}

/// All addresses of a host name with a port, or the address that it is.
pub(crate) async fn resolve(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host(name).await?.collect())
}

/// The address at which others reach a socket that is bound there. Where that is a wildcard: the one from which this host
/// sends to the first of these peers, which sends nothing.
pub(crate) fn own_address(bound: SocketAddr, peers: &[SocketAddr]) -> Option<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return Some(bound);
    }
    let seen_by = |peer: &SocketAddr| {
        let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let probe = std::net::UdpSocket::bind((any, 0)).ok()?;
        probe.connect(peer).ok()?;
        Some(probe.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
    };
    let fits = |peer: &&SocketAddr| bound.is_ipv6() || peer.is_ipv4();
    peers.iter().filter(fits).find_map(seen_by).map(|ip| SocketAddr::new(ip, bound.port()))
}
