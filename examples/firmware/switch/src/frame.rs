//! Frames as they are read and written.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol,
    Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

const HOPS: u8 = 64;

/// What the switch makes of a frame that is for it.
pub enum Content<'a> {
    /// Somebody asks for the Ethernet address of `target`.
    Question {
        asker: (EthernetAddress, Ipv4Addr),
        target: Ipv4Addr,
    },
    Datagram {
        from: SocketAddrV4,
        to: SocketAddrV4,
        payload: &'a [u8],
    },
}

/// Whom a frame is for; `None` if it is none.
pub fn destination(frame: &[u8]) -> Option<EthernetAddress> {
    EthernetFrame::new_checked(frame).ok().map(|frame| frame.dst_addr())
}

/// `None` for a frame that is broken, or neither a question nor a datagram.
pub fn content(frame: &[u8]) -> Option<Content<'_>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Arp => question(frame.payload()),
        EthernetProtocol::Ipv4 => datagram(frame.payload()),
        _ => None,
    }
}

fn question(packet: &[u8]) -> Option<Content<'_>> {
    let ArpRepr::EthernetIpv4 { operation, source_hardware_addr, source_protocol_addr, target_protocol_addr, .. } =
        ArpRepr::parse(&ArpPacket::new_checked(packet).ok()?).ok()?
    else {
        return None;
    };
    let asker = (source_hardware_addr, source_protocol_addr);
    (operation == ArpOperation::Request).then_some(Content::Question { asker, target: target_protocol_addr })
}

fn datagram(packet: &[u8]) -> Option<Content<'_>> {
    let checks = ChecksumCapabilities::default();
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let ip = Ipv4Repr::parse(&packet, &checks).ok()?;
    if ip.next_header != IpProtocol::Udp {
        return None;
    }
    let packet = UdpPacket::new_checked(packet.payload()).ok()?;
    let udp = UdpRepr::parse(&packet, &ip.src_addr.into(), &ip.dst_addr.into(), &checks).ok()?;
    let from = SocketAddrV4::new(ip.src_addr, udp.src_port);
    Some(Content::Datagram { from, to: SocketAddrV4::new(ip.dst_addr, udp.dst_port), payload: packet.payload() })
}

/// The frame that tells the asker that `target` is at the Ethernet address `hardware`.
pub fn answer(asker: (EthernetAddress, Ipv4Addr), target: Ipv4Addr, hardware: EthernetAddress) -> Vec<u8> {
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: hardware,
        source_protocol_addr: target,
        target_hardware_addr: asker.0,
        target_protocol_addr: asker.1,
    };
    let head = EthernetRepr { src_addr: hardware, dst_addr: asker.0, ethertype: EthernetProtocol::Arp };
    frame(head, arp.buffer_len(), |payload| arp.emit(&mut ArpPacket::new_unchecked(payload)))
}

/// The frame in which the datagram travels between these Ethernet addresses.
pub fn wrap(
    (src_addr, from): (EthernetAddress, SocketAddrV4),
    (dst_addr, to): (EthernetAddress, SocketAddrV4),
    datagram: &[u8],
) -> Vec<u8> {
    let udp = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let ip = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: *to.ip(),
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + datagram.len(),
        hop_limit: HOPS,
    };
    let head = EthernetRepr { src_addr, dst_addr, ethertype: EthernetProtocol::Ipv4 };
    frame(head, ip.buffer_len() + ip.payload_len, |packet| {
        let checks = ChecksumCapabilities::default();
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut *packet), &checks);
        let mut inner = UdpPacket::new_unchecked(&mut packet[ip.buffer_len()..]);
        let ends = (&ip.src_addr.into(), &ip.dst_addr.into());
        udp.emit(&mut inner, ends.0, ends.1, datagram.len(), |payload| payload.copy_from_slice(datagram), &checks);
    })
}

fn frame(head: EthernetRepr, len: usize, write: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = vec![0; EthernetFrame::<&[u8]>::buffer_len(len)];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    head.emit(&mut frame);
    write(frame.payload_mut());
    bytes
}
