//! What befalls a host: the end and the pauses of its process, and the faults of its network and its clock.

use core::time::Duration;
use std::collections::VecDeque;

use super::host::{HostClock, Process};
use super::machine::Machine;
use super::network::Conditions;
use super::queue::Happening;
use super::world::{Actor, Sim, Tamper};
use crate::config::MAX_DATAGRAM;

impl<M: Machine> Sim<M> {
    /// Ends the host's process without a word.
    pub fn crash(&mut self, host: usize) {
        self.hosts[host].process = Process::Absent;
        self.hosts[host].wake = None;
        self.hosts[host].troubles.forget_inbox();
    }

    /// Puts another machine in the host's place and starts it: the same id and address, no memory.
    pub fn restart(&mut self, host: usize, machine: M, seeds: &[usize]) {
        self.hosts[host].process = Process::Running(machine);
        self.hosts[host].wake = None;
        self.hosts[host].troubles.forget_inbox();
        self.start(host, seeds);
    }

    /// Has the host's machine leave gracefully.
    pub fn leave(&mut self, host: usize) {
        self.with(host, |machine, now| machine.leave(now));
    }

    /// Stops the host's process: no timers, and datagrams wait in its socket, some of them in vain.
    pub fn stop(&mut self, host: usize) {
        let process = core::mem::replace(&mut self.hosts[host].process, Process::Absent);
        self.hosts[host].process = match process {
            Process::Running(machine) => Process::Stopped(machine, VecDeque::new()),
            other => other,
        };
        self.hosts[host].wake = None;
    }

    /// Lets the host's process go on: by chance the timers first, or what waits in its socket.
    pub fn resume(&mut self, host: usize) {
        let process = core::mem::replace(&mut self.hosts[host].process, Process::Absent);
        let Process::Stopped(machine, backlog) = process else {
            self.hosts[host].process = process;
            return;
        };
        self.hosts[host].process = Process::Running(machine);
        if self.rng.chance(0.5) {
            self.with(host, |machine, now| machine.handle_timeout(now));
        }
        for (from, bytes) in backlog {
            self.deliver(host, from, bytes);
        }
        self.settle(host);
    }

    /// Takes the host off the network, or puts it back; its timers run on.
    pub fn set_plugged(&mut self, host: usize, plugged: bool) {
        self.hosts[host].plugged = plugged;
    }

    /// Loses this part of what the host receives, on top of the general loss.
    pub fn set_loss_in(&mut self, host: usize, part: f64) {
        self.hosts[host].loss_in = part;
    }

    /// Loses this part of what the host sends, on top of the general loss.
    pub fn set_loss_out(&mut self, host: usize, part: f64) {
        self.hosts[host].loss_out = part;
    }

    /// Puts the host on a side of a partition: only hosts of the same side reach each other. All begin on side 0.
    pub fn set_side(&mut self, host: usize, side: u32) {
        self.hosts[host].side = side;
    }

    /// Lets the host's clock run this many parts in a million too fast (or too slow), at most a tenth.
    pub fn set_drift(&mut self, host: usize, parts_per_million: i64) {
        let shown = self.local(host);
        let drift_ppm = parts_per_million.clamp(-100_000, 100_000);
        self.hosts[host].clock = HostClock { since: self.now, shown, drift_ppm };
        self.settle(host);
    }

    /// Sets the host's clock forward, as a suspended machine's is when it wakes.
    pub fn jump_clock(&mut self, host: usize, forward: Duration) {
        let clock = &mut self.hosts[host].clock;
        clock.shown = clock.shown + forward;
        self.settle(host);
    }

    /// Puts everything right: no loss, no partition, no fault of a link, filter or loop, everybody plugged in and running,
    /// clocks steady, and nobody who acts from outside.
    pub fn heal(&mut self) {
        self.heal_links();
        self.heal_all_but_links();
    }

    /// Puts everything right but what is wrong with links, zones, filters, refused sends and coarse loops.
    pub fn heal_all_but_links(&mut self) {
        let Conditions { least_latency, most_latency, .. } = self.conditions;
        self.conditions = Conditions { least_latency, most_latency, ..Conditions::LAN };
        self.actors.clear();
        for host in 0..self.hosts.len() {
            self.resume(host);
            self.set_drift(host, 0);
            let host = &mut self.hosts[host];
            (host.plugged, host.loss_in, host.loss_out, host.side) = (true, 0.0, 0.0, 0);
            host.tamper = None;
        }
    }

    /// Puts a datagram on the network as if the host had sent it.
    pub fn inject(&mut self, from: usize, to: usize, datagram: &[u8]) {
        self.dispatch(from, to as u32, datagram);
    }

    /// Puts a datagram on the network that says it comes from the address of this number, where there need be no host.
    pub fn spoof(&mut self, source: u32, to: usize, datagram: &[u8]) {
        self.carry(source, to as u32, datagram, 0);
    }

    /// Gives the host the address of another number. What is sent to its former one is lost from now on; its machine is
    /// to be told.
    pub fn move_host(&mut self, host: usize, place: u32) {
        let former = core::mem::replace(&mut self.hosts[host].place, place);
        // Another may have it by now.
        if self.addresses.get(&M::addr_of(former)) == Some(&(host as u32)) {
            self.addresses.remove(&M::addr_of(former));
        }
        self.addresses.insert(M::addr_of(place), host as u32);
    }

    /// Has everything that the host sends from now on changed by this on its way out, or no longer.
    pub fn set_tamper(&mut self, host: usize, tamper: Option<Tamper<M>>) {
        self.hosts[host].tamper = tamper;
    }

    /// Gives the host's process a buffer of this many bytes to write datagrams into, in place of one for the longest.
    pub fn set_buffer(&mut self, host: usize, bytes: usize) {
        self.hosts[host].buffer = bytes.min(MAX_DATAGRAM);
    }

    /// Has this act on the network from now on, as often as it says, until everything is put right.
    pub fn add_actor(&mut self, actor: Actor<M>) {
        // The number of one that is gone may still be in the queue.
        self.acted += 1;
        self.actors.insert(self.acted, actor);
        self.queue.push(self.now, Happening::Act { actor: self.acted });
    }

    pub(super) fn act(&mut self, number: u32) {
        let Some(mut actor) = self.actors.remove(&number) else { return };
        if let Some(gap) = actor(self) {
            self.actors.insert(number, actor);
            self.queue.push(self.now + gap, Happening::Act { actor: number });
        }
    }
}
