//! The settings of the nodes under test, and of which faults there are how many.

use core::time::Duration;

use tidings::Config;

/// How many nodes there are: the fewest of which one can declare another dead.
pub const HOSTS: usize = 3;
/// The cluster's name.
pub const CLUSTER: &str = "model";

/// The slowest retries and the shortest suspicion that the rules allow for a probe period of one second. A verdict then
/// takes a dozen datagrams, and no rule of the protocol is left out.
pub const CONFIG: Config = Config::LAN
    .with_cluster(CLUSTER)
    .with_first_retry(Duration::from_millis(250))
    .with_suspicion(Duration::from_secs(2))
    .with_gossip_gap(Duration::from_millis(500));

/// How many of each fault the network and the hosts may still have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Hosts that stop for ever, or until they are restarted.
    pub crashes: u8,
    /// Crashed hosts that begin anew, under the same id and without memory.
    pub restarts: u8,
    /// Hosts that are cut off from the two others, one way or both, until they no longer are.
    pub cuts: u8,
    /// Hosts that stand still, their socket filling, until they go on.
    pub stalls: u8,
    /// Datagrams that are lost.
    pub losses: u8,
    /// Datagrams that arrive twice.
    pub copies: u8,
    /// Datagrams that are overtaken by time: timers run out while they are on their way.
    pub delays: u8,
    /// Datagrams that arrive out of turn, with no time passing; [`ANY_ORDER`] if all may.
    pub swaps: u8,
}

/// Datagrams arrive in any order, and not only so many of them out of turn.
pub const ANY_ORDER: u8 = u8::MAX;

/// One space of states to be explored to its end.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// What it is called.
    pub name: &'static str,
    /// Seeds of the settled clusters that it starts from: one initial state each.
    pub seeds: &'static [u64],
    /// What may go wrong, at most.
    pub faults: Faults,
    /// For how long, from the start on, faults may begin.
    pub window: Duration,
    /// How long the nodes are watched.
    pub horizon: Duration,
    /// How long a datagram may be on its way, if it may be delayed at all.
    pub latest: Duration,
    /// One state of so many is left alone, to see whether all come to agree.
    pub sample: u64,
    /// The least number of distinct states that there must be.
    pub least: usize,
}
