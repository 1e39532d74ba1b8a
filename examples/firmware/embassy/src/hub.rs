//! A network in memory: Ethernet devices that are on no chip, and what their cables go to. With a chip, its driver is
//! here instead.

use embassy_futures::select::select_array;
use embassy_net_driver_channel::driver::{HardwareAddress, LinkState};
use embassy_net_driver_channel::{self as channel, Device, RxRunner, State, TxRunner};
use embassy_time::{Duration, Instant};
use static_cell::StaticCell;

/// The longest frame, its header included.
pub const MTU: usize = 1_514;
/// How many frames a device holds each way.
const FRAMES: usize = 8;

pub struct Port {
    rx: RxRunner<'static, MTU>,
    tx: TxRunner<'static, MTU>,
}

/// The device of this number, and where its cable ends.
pub fn device(memory: &'static StaticCell<State<MTU, FRAMES, FRAMES>>, number: u8) -> (Device<'static, MTU>, Port) {
    let state = memory.init_with(State::new);
    let (runner, device) = channel::new(state, HardwareAddress::Ethernet([2, 0, 0, 0, 0, number]));
    let (link, rx, tx) = runner.split();
    link.set_link_state(LinkState::Up);
    (device, Port { rx, tx })
}

/// Repeats each frame to all other ports; after so long, not from and to the last any more.
pub async fn hub<const N: usize>(mut ports: [Port; N], unplugged: Duration) -> ! {
    let mut copy = [0; MTU];
    loop {
        let (frame, from) = select_array(ports.each_mut().map(|port| port.tx.tx_buf())).await;
        let len = frame.len();
        copy[..len].copy_from_slice(frame);
        ports[from].tx.tx_done();
        let plugged = if Instant::now().as_ticks() < unplugged.as_ticks() { N } else { N - 1 };
        let others = ports[..plugged].iter_mut().enumerate().filter(|(to, _)| *to != from && from < plugged);
        for (_, port) in others {
            // A device that has no room for a frame loses it.
            if let Some(room) = port.rx.try_rx_buf() {
                room[..len].copy_from_slice(&copy[..len]);
                port.rx.rx_done(len);
            }
        }
    }
}
