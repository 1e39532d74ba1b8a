//! Law 6 on a microcontroller: makes the recorded calls of five nodes again, life after life in the same static memory,
//! and compares every datagram and every deadline. The exit status is 0 only if all are equal.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use static_cell::StaticCell;
use tidings::{Config, FixedNode};

#[path = "../../../../tests/it/common/recording.rs"]
mod recording;

/// As many members, and the settings, as those who were recorded.
type StoryNode = FixedNode<8, u16>;

static RECORDING: &[u8] = include_bytes!("../../../../tests/golden/five_nodes.calls");
/// Copied from flash to its place. One that is made at run time, or cloned, takes as much of the stack again, or twice.
const FRESH: StoryNode = StoryNode::new(Config::LAN);
/// Not initialised before it is used, so that its contents are not in flash a second time.
static NODE: StaticCell<StoryNode> = StaticCell::new();
static BUF: StaticCell<[u8; Config::LAN.max_datagram()]> = StaticCell::new();

#[entry]
fn main() -> ! {
    let node = NODE.init_with(|| FRESH);
    let buf = BUF.init_with(|| [0; Config::LAN.max_datagram()]);
    match recording::replay(RECORDING, node, |node| *node = FRESH, buf) {
        Ok(tally) => {
            hprintln!(
                "{} lives of a node of {} bytes, {} calls: all {} datagrams ({} bytes) and {} deadlines are equal",
                tally.lives,
                size_of::<StoryNode>(),
                tally.calls,
                tally.datagrams,
                tally.bytes,
                tally.deadlines
            );
            debug::exit(debug::EXIT_SUCCESS);
        }
        Err(failure) => {
            hprintln!("{}", failure);
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}
