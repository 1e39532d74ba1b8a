//! Dissemination: when news leaves, how often it is told, and what rides on the next datagram.
//!
//! What a node is the first to know goes down the relay tree (`relay.rs`). What it learned on some other way, others
//! may have missed too: that leaves in bursts to a few random members, and fills what room every other datagram has.
//! The least-sent record goes first. A copy that is heard counts like a copy that was sent, so that what everybody
//! tells stops by itself; what nobody heard is found by anti-entropy (`walk.rs`).

use crate::config::Config;
use crate::member::Address;
use crate::members::{Index, Members};
use crate::node_core::Core;
use crate::storage::Storage;
use crate::time::Instant;
use crate::wire::{Writer, kind};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gossip {
    last_burst: Instant,
    /// How many members of the present burst are still to be sent to.
    burst: u8,
    /// None of them has been sent to yet.
    first: bool,
    /// The slot that was sent to last: a burst begins at a random one, so that it goes to distinct members.
    at: Index,
}

/// How often a record is told: the logarithm of the cluster and four more. An epidemic in which each of n members
/// tells c others misses a share e^-c of them (Demers et al. 1987); lost datagrams and echoes take their part.
pub(crate) fn copies(live: u32) -> u8 {
    (u32::BITS - live.leading_zeros() + 4).min(crate::members::news::LISTS as u32) as u8
}

/// From how many copies on a record only rides on what is sent anyway: where those begin that went down the tree.
pub(crate) fn tail(live: u32) -> u8 {
    copies(live) - 2
}

impl Gossip {
    pub(crate) const NEW: Self = Gossip { last_burst: Instant::ZERO, burst: 0, first: false, at: 0 };

    /// When the next burst is due: the gap after the last one, doubled for news that most have heard already.
    pub(crate) fn due<A: Address, S: Storage>(&self, members: &Members<A, S>, config: &Config) -> Instant {
        let Some(lowest) = members.news().lowest().filter(|lowest| is_pressing(*lowest, members)) else {
            return Instant::FAR_FUTURE;
        };
        let rounds = u32::from(lowest / config.fanout.max(1)).min(5);
        self.last_burst.after(config.gossip_gap << rounds)
    }

    pub(crate) fn tick<A: Address, S: Storage>(&mut self, core: &mut Core<A, S>) {
        if core.now < self.due(&core.members, &core.config) {
            return;
        }
        self.last_burst = core.now;
        self.burst = u32::from(core.config.fanout).min(core.members.others()) as u8;
        self.first = true;
        self.at = core.members.random_slot(&mut core.rng);
    }

    /// Whom the present burst goes to next.
    pub(crate) fn target<A: Address, S: Storage>(&self, members: &Members<A, S>) -> Option<Index> {
        if self.burst == 0 || members.news().lowest().is_none_or(|lowest| !is_pressing(lowest, members)) {
            return None;
        }
        // Some of the members may be an invention. The first of a burst goes to one that was heard.
        let heard = if self.first { members.next_heard_slot(self.at) } else { None };
        heard.or_else(|| members.next_live_slot(self.at))
    }

    /// One of the burst has been sent to; whether there was one.
    pub(crate) fn sent(&mut self, to: Index) -> bool {
        let any = self.burst > 0;
        (self.burst, self.first, self.at) = (self.burst.saturating_sub(1), false, to);
        any
    }

    /// There is nothing to tell: the burst is over. Whether there was one.
    pub(crate) fn stop(&mut self) -> bool {
        core::mem::take(&mut self.burst) > 0
    }
}

/// Whether news that was sent so often is worth a datagram of its own.
fn is_pressing<A: Address, S: Storage>(sent: u8, members: &Members<A, S>) -> bool {
    members.others() > 0 && sent < tail(members.live())
}

/// Fills the rest of a datagram with news, least-sent first, and counts the copies: as much as fits, and about as many
/// bytes as the budget has room for. How many bytes it came to.
pub(crate) fn pack<A: Address, S: Storage>(writer: &mut Writer<'_>, room: usize, core: &mut Core<A, S>) -> usize {
    if room == 0 || core.members.news().lowest().is_none() {
        return 0;
    }
    let start = writer.len();
    let Some(frame) = writer.begin(kind::NEWS) else { return 0 };
    let limit = copies(core.members.live());
    let mut packed = 0u64;
    // How many were sent so often before this datagram: those sent now join the end of the next queue.
    let counts: [u32; crate::members::news::LISTS] = core::array::from_fn(|sent| core.members.news().count(sent as u8));
    'full: for (count, sent) in counts.into_iter().zip(0..) {
        for _ in 0..count {
            let Some(index) = core.members.news().first(sent) else { break };
            let spent = packed > 0 && writer.len() - start >= room;
            if spent || core.members.write(index, core.now, writer).is_none() {
                break 'full;
            }
            core.members.count_copy(index, limit);
            packed += 1;
        }
    }
    let _ = if packed == 0 { writer.cancel(frame) } else { writer.end(frame) };
    core.stats.news_out = core.stats.news_out.wrapping_add(packed);
    writer.len() - start
}
