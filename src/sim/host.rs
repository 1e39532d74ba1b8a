//! A host: its process, its place in the network, and its clock.

use std::collections::VecDeque;
use std::vec::Vec;

use super::links::Troubles;
use super::machine::Machine;
use super::world::{Tamper, Traffic};
use crate::config::MAX_DATAGRAM;
use crate::member::NodeId;
use crate::time::Instant;

pub(super) enum Process<M> {
    /// Not there.
    Absent,
    Running(M),
    /// There, but not scheduled: datagrams wait in its socket.
    Stopped(M, VecDeque<(u32, Vec<u8>)>),
}

pub(super) struct Host<M: Machine> {
    pub(super) id: NodeId,
    /// The number of its address.
    pub(super) place: u32,
    pub(super) process: Process<M>,
    pub(super) plugged: bool,
    pub(super) loss_in: f64,
    pub(super) loss_out: f64,
    pub(super) side: u32,
    pub(super) clock: HostClock,
    pub(super) wake: Option<Instant>,
    pub(super) lives: u64,
    pub(super) traffic: Traffic,
    pub(super) tamper: Option<Tamper<M>>,
    /// How long a datagram its process has room for.
    pub(super) buffer: usize,
    pub(super) troubles: Troubles<M::Addr>,
}

/// A clock that need not be right.
pub(super) struct HostClock {
    /// When it was last set, in the simulator's time, and what it showed then.
    pub(super) since: Instant,
    pub(super) shown: Instant,
    pub(super) drift_ppm: i64,
}

impl HostClock {
    pub(super) fn local(&self, now: Instant) -> Instant {
        let passed = i128::from(now.since(self.since)) * i128::from(1_000_000 + self.drift_ppm) / 1_000_000;
        self.shown.after(passed as u64)
    }

    /// When it will show this, rounded up.
    pub(super) fn global(&self, local: Instant) -> Instant {
        let rate = i128::from(1_000_000 + self.drift_ppm);
        let passed = (i128::from(local.since(self.shown)) * 1_000_000 + rate - 1) / rate;
        self.since.after(passed.min(i128::from(u64::MAX)) as u64)
    }
}

impl<M: Machine> Host<M> {
    pub(super) fn new(id: NodeId, place: u32, machine: M) -> Self {
        Host {
            id,
            place,
            process: Process::Running(machine),
            plugged: true,
            loss_in: 0.0,
            loss_out: 0.0,
            side: 0,
            clock: HostClock { since: Instant::ZERO, shown: Instant::ZERO, drift_ppm: 0 },
            wake: None,
            lives: 0,
            traffic: Traffic::default(),
            tamper: None,
            buffer: MAX_DATAGRAM,
            troubles: Troubles::none(),
        }
    }
}
