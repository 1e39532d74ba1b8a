//! One node in a static, and every verb that its application uses, behind a made-up device.
//!
//! Nothing here runs: the image is linked and looked at (`price`). A panic handler that cannot be linked proves that
//! nothing in it panics.

#![no_std]
#![no_main]

use core::hint::black_box;
#[cfg(feature = "ipv4")]
use core::net::SocketAddrV4;
use core::ptr;

#[cfg(not(any(feature = "state", feature = "broadcast")))]
use tidings::Bare;
#[cfg(feature = "broadcast")]
use tidings::Topic;
use tidings::{Config, Fixed, Instant, Node, NodeId, SendFailure};

const STATE: usize = if cfg!(feature = "state") { 1024 } else { 0 };
const BROADCAST: usize = if cfg!(feature = "broadcast") { 1024 } else { 0 };

#[cfg(feature = "ipv4")]
type Addr = SocketAddrV4;
#[cfg(not(feature = "ipv4"))]
type Addr = u16;

#[cfg(any(feature = "state", feature = "broadcast"))]
type Firmware = Node<Addr, Fixed<32, STATE, BROADCAST>>;
#[cfg(not(any(feature = "state", feature = "broadcast")))]
type Firmware = Node<Addr, Fixed<32, STATE, BROADCAST, Bare>>;

static mut NODE: Firmware = Firmware::new(Config::LAN);
static mut BUFFER: [u8; 1200] = [0; 1200];

/// Whatever it reads there, the compiler cannot know.
const DEVICE: *const u32 = 0x4000_0000 as *const u32;

fn device() -> u32 {
    // SAFETY: never run; in a firmware this would be a register of the device.
    unsafe { ptr::read_volatile(DEVICE) }
}

fn now() -> Instant {
    Instant::from_micros(u64::from(device()) << 32 | u64::from(device()))
}

struct Noise;

impl rand_core::TryRng for Noise {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(device())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from(device()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(device() as u8);
        Ok(())
    }
}

unsafe extern "C" {
    /// Exists nowhere.
    fn this_image_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never linked.
    unsafe { this_image_can_panic() }
}

#[cfg(not(feature = "ipv4"))]
fn addr() -> Addr {
    device() as u16
}

#[cfg(feature = "ipv4")]
fn addr() -> Addr {
    SocketAddrV4::new(device().into(), device() as u16)
}

/// A verb with a name that the linked image keeps.
macro_rules! verb {
    ($name:ident, |$node:ident, $buffer:ident| $body:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name($node: &mut Firmware, $buffer: &mut [u8; 1200]) {
            black_box($body);
        }
    };
}

verb!(start, |node, _buffer| node.start(now(), NodeId::new(device().into()), addr(), &mut Noise).is_ok());
verb!(join, |node, _buffer| node.join(now(), addr()).is_ok());
verb!(leave, |node, _buffer| node.leave(now()));
verb!(handle_timeout, |node, _buffer| node.handle_timeout(now()));
verb!(handle_send_error, |node, _buffer| node.handle_send_error(now(), addr(), SendFailure::Local));
verb!(poll_transmit, |node, buffer| node.poll_transmit(buffer).map(|out| (out.to, out.payload.len())));
verb!(poll_event, |node, _buffer| node.poll_event().is_some());
verb!(poll_timeout, |node, _buffer| node.poll_timeout());
verb!(members, |node, _buffer| node.members().filter(|member| member.status().is_live()).count());
verb!(handle_datagram, |node, buffer| {
    if let Some(datagram) = buffer.get_mut(..device() as usize) {
        node.handle_datagram(now(), addr(), datagram);
    }
});
#[cfg(feature = "state")]
verb!(set, |node, buffer| node.set(now(), "temperature", &buffer[..4]).is_ok());
#[cfg(feature = "state")]
verb!(delete, |node, _buffer| node.delete(now(), "temperature").is_ok());
#[cfg(feature = "state")]
verb!(get, |node, _buffer| node.get(NodeId::new(device().into()), "temperature").map(<[u8]>::len));
#[cfg(feature = "broadcast")]
verb!(subscribe, |node, _buffer| node.subscribe(now(), Topic::new(7)).is_ok());
#[cfg(feature = "broadcast")]
verb!(broadcast, |node, buffer| node.broadcast(now(), Topic::new(7), &buffer[..4]).is_ok());
#[cfg(feature = "broadcast")]
verb!(send, |node, buffer| node.send(now(), NodeId::new(device().into()), Topic::new(7), &buffer[..4]).is_ok());

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    // SAFETY: nothing else uses the two.
    let (node, buffer) = unsafe { (&mut *(&raw mut NODE), &mut *(&raw mut BUFFER)) };
    loop {
        match device() {
            0 => start(node, buffer),
            1 => join(node, buffer),
            2 => leave(node, buffer),
            3 => handle_timeout(node, buffer),
            4 => handle_send_error(node, buffer),
            5 => poll_transmit(node, buffer),
            6 => poll_event(node, buffer),
            7 => poll_timeout(node, buffer),
            8 => members(node, buffer),
            9 => handle_datagram(node, buffer),
            #[cfg(feature = "state")]
            10 => set(node, buffer),
            #[cfg(feature = "state")]
            11 => delete(node, buffer),
            #[cfg(feature = "state")]
            12 => get(node, buffer),
            #[cfg(feature = "broadcast")]
            13 => subscribe(node, buffer),
            #[cfg(feature = "broadcast")]
            14 => broadcast(node, buffer),
            #[cfg(feature = "broadcast")]
            15 => send(node, buffer),
            _ => {}
        }
    }
}
