//! The Ethernet controller of the LM3S6965, polled, as a device of smoltcp.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

/// Of an Ethernet frame, its head included and its check sum not.
const LONGEST_FRAME: usize = 1_514;
const HEAD: usize = 14;
/// Both queues of the controller put a length before the frame, so that what follows the head is aligned to words.
const LENGTH: usize = 2;
const WORD: usize = 4;
const CHECK_SUM: usize = 4;
/// A frame, the length before it, and a check sum, in whole words.
const BUFFER: usize = (LENGTH + LONGEST_FRAME + CHECK_SUM).next_multiple_of(WORD);

/// Receive on; drop frames whose check sum is wrong; empty the queue.
const RECEIVE: u32 = 1 << 0 | 1 << 3 | 1 << 4;
/// Send on; pad short frames; add the check sum; both directions at once.
const SEND: u32 = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4;
const RECEIVED: u32 = 1 << 0;
const NEW: u32 = 1 << 0;

/// A register, by its offset.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Register {
    /// Which interrupts there are; writing takes them back.
    Interrupts = 0x00,
    InterruptMask = 0x04,
    ReceiveControl = 0x08,
    SendControl = 0x0c,
    /// The ends of both queues.
    Data = 0x10,
    AddressLow = 0x14,
    AddressHigh = 0x18,
    /// How many frames wait to be read.
    Waiting = 0x34,
    /// Writing sends the frame in the queue; reads as 1 until that has been done.
    Request = 0x38,
}

impl Register {
    const BASE: usize = 0x4004_8000;

    fn read(self) -> u32 {
        // SAFETY: every offset is that of a register of 32 bits, which nobody else touches.
        unsafe { ((Self::BASE + self as usize) as *const u32).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as above; none of them makes the controller access memory.
        unsafe { ((Self::BASE + self as usize) as *mut u32).write_volatile(value) }
    }
}

/// The line of the interrupt controller that a received frame raises.
#[derive(Clone, Copy)]
struct Line;

// SAFETY: the number is the data sheet's, and no other.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        42
    }
}

/// The controller, with room for one frame each way.
pub struct Controller {
    incoming: [u8; BUFFER],
    outgoing: [u8; BUFFER],
}

impl Controller {
    pub const NEW: Controller = Controller { incoming: [0; BUFFER], outgoing: [0; BUFFER] };

    /// Lets frames in and out. One that comes in wakes the processor from its sleep.
    pub fn start(&mut self, address: EthernetAddress) {
        let [a, b, c, d, e, f] = address.0;
        Register::AddressLow.write(u32::from_le_bytes([a, b, c, d]));
        Register::AddressHigh.write(u32::from_le_bytes([e, f, 0, 0]));
        Register::ReceiveControl.write(RECEIVE);
        Register::SendControl.write(SEND);
        Register::InterruptMask.write(RECEIVED);
        // SAFETY: interrupts are masked in the processor (`clock.rs`), so that no critical section is broken.
        unsafe { NVIC::unmask(Line) };
    }

    /// Reads a frame from the queue and gives its length. A frame that is too long to be one is thrown away.
    fn read_frame(&mut self) -> Option<usize> {
        if Register::Waiting.read() == 0 {
            return None;
        }
        let first = Register::Data.read();
        let len = (first & 0xffff) as usize;
        let mut words = self.incoming.chunks_exact_mut(WORD);
        for index in 0..len.div_ceil(WORD) {
            let word = if index == 0 { first } else { Register::Data.read() };
            if let Some(place) = words.next() {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        len.checked_sub(LENGTH + CHECK_SUM).filter(|len| *len <= LONGEST_FRAME)
    }
}

impl Device for Controller {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        // What comes in from here on raises the interrupt anew.
        Register::Interrupts.write(RECEIVED);
        NVIC::unpend(Line);
        let len = self.read_frame()?;
        let frame = self.incoming.get(LENGTH..LENGTH + len)?;
        Some((Incoming(frame), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        (Register::Request.read() & NEW == 0).then_some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST_FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }
}

/// A frame that has come in.
pub struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

/// Room for a frame that is to go out.
pub struct Outgoing<'a>(&'a mut [u8; BUFFER]);

impl TxToken for Outgoing<'_> {
    /// smoltcp keeps to [`LONGEST_FRAME`].
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let (length, frame) = self.0.split_at_mut(LENGTH);
        length.copy_from_slice(&(len.saturating_sub(HEAD) as u16).to_le_bytes());
        let result = write(&mut frame[..len]);
        // An answer to a frame that has come in does not ask first whether the one before it is out.
        while Register::Request.read() & NEW != 0 {}
        for word in self.0.chunks_exact(WORD).take((LENGTH + len).div_ceil(WORD)) {
            Register::Data.write(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        Register::Request.write(NEW);
        result
    }
}
