//! What the crate's own tests, fuzz targets, model and benchmarks need of its inside.
//!
//! It is no part of the interface: anything here changes without notice.

use core::net::SocketAddr;

use crate::sim::SimRng;
use crate::{Config, HeapNode, Instant, Limits, NodeId, SendFailure, Topic};

/// Datagrams written by hand.
pub use crate::unit::forge;
/// What a datagram says, in plain values.
pub use crate::unit::reading;
/// A fuzzer's bytes, read as instructions.
pub use crate::unit::script;

/// The fuzz target `state`: plays a script of bytes on the maps of three nodes.
pub fn play_maps(script: &[u8]) {
    crate::unit::state::script::run(script);
}

/// The fuzz target `wire`: reads bytes as a datagram twice, and writes again what they say.
pub fn read_twice(bytes: &[u8]) {
    crate::unit::wire::script::run(bytes);
}

/// Has the node of most programs compiled here, once. Tests are built at opt-level 1, at which other crates use what
/// this one has compiled of a generic type; without this, each example would compile a node of its own.
#[must_use]
pub fn compiled_once(now: Instant, addr: SocketAddr, bytes: &mut [u8], rng: &mut SimRng) -> HeapNode {
    let mut node = HeapNode::new(Config::LAN, Limits::DEFAULT);
    let _ = node.start(now, NodeId::new(1), addr, rng);
    node.handle_datagram(now, addr, bytes);
    node.handle_timeout(now);
    node.handle_send_error(now, addr, SendFailure::Local);
    let _ = node.join(now, addr);
    let _ = node.broadcast(now, Topic::new(1), bytes);
    let _ = node.set(now, "key", bytes);
    node.leave(now);
    let _ = node.poll_transmit(bytes);
    let _ = node.poll_event();
    node
}
