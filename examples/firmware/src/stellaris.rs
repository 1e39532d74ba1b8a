//! Two devices of the LM3S6965: its Ethernet controller, polled, as a device of smoltcp, and a timer as an alarm.

use cortex_m::asm;
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

/// A register of 32 bits, by its address.
#[derive(Clone, Copy)]
struct Register(usize);

impl Register {
    fn read(self) -> u32 {
        // SAFETY: there are no registers but those below, which are of devices that nobody else touches.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as above; none of them makes a device access memory.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}

/// The Ethernet controller.
mod ethernet {
    use super::Register;

    /// Which interrupts there are; writing takes them back.
    pub const INTERRUPTS: Register = Register(0x4004_8000);
    pub const INTERRUPT_MASK: Register = Register(0x4004_8004);
    pub const RECEIVE_CONTROL: Register = Register(0x4004_8008);
    pub const SEND_CONTROL: Register = Register(0x4004_800c);
    /// The ends of both queues.
    pub const DATA: Register = Register(0x4004_8010);
    pub const ADDRESS_LOW: Register = Register(0x4004_8014);
    pub const ADDRESS_HIGH: Register = Register(0x4004_8018);
    /// How many frames wait to be read.
    pub const WAITING: Register = Register(0x4004_8034);
    /// Writing sends the frame in the queue; reads as 1 until that has been done.
    pub const REQUEST: Register = Register(0x4004_8038);
}

/// The first of the timers.
mod timer {
    use super::Register;

    /// 0 for 32 bits.
    pub const WIDTH: Register = Register(0x4003_0000);
    pub const MODE: Register = Register(0x4003_0004);
    pub const CONTROL: Register = Register(0x4003_000c);
    pub const INTERRUPT_MASK: Register = Register(0x4003_0018);
    /// Writing takes interrupts back.
    pub const CLEAR: Register = Register(0x4003_0024);
    /// How many cycles to count.
    pub const CYCLES: Register = Register(0x4003_0028);
}

/// Which devices have a clock. The emulated ones always do.
mod power {
    use super::Register;

    pub const TIMERS: Register = Register(0x400f_e104);
    pub const ETHERNET: Register = Register(0x400f_e108);
    pub const FIRST_TIMER: u32 = 1 << 16;
    /// The controller and what drives its cable.
    pub const CONTROLLER: u32 = 1 << 28 | 1 << 30;
}

/// The lines of the interrupt controller.
#[derive(Clone, Copy)]
enum Line {
    Timer = 19,
    Ethernet = 42,
}

// SAFETY: the numbers are the data sheet's, and no others.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        self as u16
    }
}

impl Line {
    fn unmask(self) {
        // SAFETY: interrupts are masked in the processor (`clock.rs`), so that no critical section is broken.
        unsafe { NVIC::unmask(self) }
    }
}

/// A timer that wakes the processor from its sleep.
pub struct Alarm(());

impl Alarm {
    const ONCE: u32 = 1;
    const ON: u32 = 1 << 0;
    const OVER: u32 = 1 << 0;

    pub fn start() -> Alarm {
        power::TIMERS.write(power::TIMERS.read() | power::FIRST_TIMER);
        // It takes some cycles until a device has its clock.
        asm::delay(8);
        timer::WIDTH.write(0);
        timer::MODE.write(Self::ONCE);
        timer::INTERRUPT_MASK.write(Self::OVER);
        Line::Timer.unmask();
        Alarm(())
    }

    /// Wakes the processor after so many cycles, and not for what was set before.
    pub fn set(&mut self, cycles: u32) {
        timer::CONTROL.write(0);
        timer::CLEAR.write(Self::OVER);
        NVIC::unpend(Line::Timer);
        timer::CYCLES.write(cycles);
        timer::CONTROL.write(Self::ON);
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
        power::ETHERNET.write(power::ETHERNET.read() | power::CONTROLLER);
        asm::delay(8);
        let [a, b, c, d, e, f] = address.0;
        ethernet::ADDRESS_LOW.write(u32::from_le_bytes([a, b, c, d]));
        ethernet::ADDRESS_HIGH.write(u32::from_le_bytes([e, f, 0, 0]));
        ethernet::RECEIVE_CONTROL.write(RECEIVE);
        ethernet::SEND_CONTROL.write(SEND);
        ethernet::INTERRUPT_MASK.write(RECEIVED);
        Line::Ethernet.unmask();
    }

    /// Reads a frame from the queue and gives its length. What is too short or too long to be one is thrown away.
    fn read_frame(&mut self) -> Option<usize> {
        while ethernet::WAITING.read() != 0 {
            let len = self.read_next().checked_sub(LENGTH + CHECK_SUM).filter(|len| *len <= LONGEST_FRAME);
            if len.is_some() {
                return len;
            }
        }
        None
    }

    /// Reads the next frame from the queue, and gives the length that stands before it.
    fn read_next(&mut self) -> usize {
        let first = ethernet::DATA.read();
        let len = (first & 0xffff) as usize;
        let mut words = self.incoming.chunks_exact_mut(WORD);
        for index in 0..len.div_ceil(WORD) {
            let word = if index == 0 { first } else { ethernet::DATA.read() };
            if let Some(place) = words.next() {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        len
    }
}

impl Device for Controller {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        // What comes in from here on raises the interrupt anew.
        ethernet::INTERRUPTS.write(RECEIVED);
        NVIC::unpend(Line::Ethernet);
        let len = self.read_frame()?;
        let frame = self.incoming.get(LENGTH..LENGTH + len)?;
        Some((Incoming(frame), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        (ethernet::REQUEST.read() & NEW == 0).then_some(Outgoing(&mut self.outgoing))
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
        while ethernet::REQUEST.read() & NEW != 0 {}
        for word in self.0.chunks_exact(WORD).take((LENGTH + len).div_ceil(WORD)) {
            ethernet::DATA.write(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        ethernet::REQUEST.write(NEW);
        result
    }
}
