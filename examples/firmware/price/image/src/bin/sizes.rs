//! Variables as large as a node of each kind, and as what an application holds of it: their sizes are read off the image.

#![no_std]
#![no_main]

use core::mem::size_of;
use core::net::SocketAddrV4;

use tidings::{Bare, Config, Event, Fixed, Instant, Member, Node, NodeId, Stats, Transmit};

type Bared<const MEMBERS: usize, A> = Node<A, Fixed<MEMBERS, 0, 0, Bare>>;
type Whole<const MEMBERS: usize, A> = Node<A, Fixed<MEMBERS, 1024, 1024>>;

macro_rules! sizes {
    ($($name:literal: $kind:ty,)*) => { $(
        const _: () = {
            #[used]
            #[unsafe(export_name = $name)]
            static SIZE: [u8; size_of::<$kind>()] = [1; size_of::<$kind>()];
        };
    )* };
}

sizes! {
    "node/membership/u16/8": Bared<8, u16>,
    "node/membership/u16/32": Bared<32, u16>,
    "node/membership/u16/128": Bared<128, u16>,
    "node/membership/SocketAddrV4/8": Bared<8, SocketAddrV4>,
    "node/membership/SocketAddrV4/32": Bared<32, SocketAddrV4>,
    "node/membership/SocketAddrV4/128": Bared<128, SocketAddrV4>,
    "node/all/u16/8": Whole<8, u16>,
    "node/all/u16/32": Whole<32, u16>,
    "node/all/u16/128": Whole<128, u16>,
    "node/all/SocketAddrV4/8": Whole<8, SocketAddrV4>,
    "node/all/SocketAddrV4/32": Whole<32, SocketAddrV4>,
    "node/all/SocketAddrV4/128": Whole<128, SocketAddrV4>,
    "type/Config": Config,
    "type/Event": Event<'static, u16>,
    "type/Instant": Instant,
    "type/Member": Member<u16>,
    "type/NodeId": NodeId,
    "type/Stats": Stats,
    "type/Transmit": Transmit<'static, u16>,
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    loop {}
}
