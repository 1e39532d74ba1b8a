//! The settings of a node: presets, const setters, and a checked builder for values that are known only at run time.

mod builder;
mod rules;

use core::fmt;
use core::time::Duration;

pub use builder::{ConfigBuilder, ConfigError, ParsePresetError};

use crate::hash;
use crate::time::micros;

/// The smallest [`Config::max_datagram`]: what a frame of IEEE 802.15.4 or LoRa carries.
pub const MIN_DATAGRAM: usize = 96;
/// The greatest [`Config::max_datagram`]: the payload of the largest UDP datagram over IPv4.
pub const MAX_DATAGRAM: usize = 65_507;

const SECOND: u64 = 1_000_000;

/// The settings of a node. Valid by construction: whatever you can build runs.
///
/// Start from a preset and change what you need. The setters are `const`; a bad value in a `const` is a compile error
/// with a sentence, and at run time the one documented panic of this crate. For values from a file or a command line
/// use [`Config::builder`], which returns an error instead.
///
/// ```
/// use core::time::Duration;
/// use tidings::Config;
/// const CONFIG: Config = Config::LAN.with_cluster("orders").with_probe_period(Duration::from_millis(500));
/// assert_eq!(CONFIG.probe_period(), Duration::from_millis(500));
/// ```
///
/// The rules between settings are checked after each setter, so that their order can matter: lower the first retry
/// before the probe period. The builder checks once, at the end.
///
/// Members of one cluster may run with different settings, except for the cluster name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a setter gives a new value and changes nothing"]
pub struct Config {
    pub(crate) cluster: u64,
    pub(crate) max_datagram: u16,
    pub(crate) fanout: u8,
    pub(crate) patience: u8,
    pub(crate) probe_period: u64,
    pub(crate) first_retry: u64,
    pub(crate) suspicion: u64,
    pub(crate) gossip_gap: u64,
    pub(crate) dead_probe_period: u64,
    pub(crate) leave_timeout: u64,
    pub(crate) delivery_timeout: u64,
    pub(crate) state_retention: u64,
    pub(crate) dead_retention: u64,
    pub(crate) left_retention: u64,
    pub(crate) push_back: bool,
    pub(crate) last_verdict: bool,
    pub(crate) byte_budget: u32,
}

impl Config {
    /// Members in one data centre: a crash is known to all in about 4 seconds (6 in the worst of 20 simulated runs of
    /// 128 members).
    pub const LAN: Config = Config {
        cluster: hash::name(0x636c, ""),
        max_datagram: 1_200,
        fanout: 3,
        patience: 0,
        probe_period: SECOND,
        first_retry: 25_000,
        suspicion: 3_200_000,
        gossip_gap: 5_000,
        dead_probe_period: 10 * SECOND,
        leave_timeout: 5 * SECOND,
        delivery_timeout: 10 * SECOND,
        state_retention: 600 * SECOND,
        dead_retention: 24 * 3_600 * SECOND,
        left_retention: 3_600 * SECOND,
        push_back: true,
        last_verdict: true,
        byte_budget: 0,
    };

    /// Members on several continents: round trips up to a second are nothing unusual.
    pub const WAN: Config = Config {
        probe_period: 2 * SECOND,
        first_retry: 250_000,
        suspicion: 10 * SECOND,
        gossip_gap: 20_000,
        leave_timeout: 15 * SECOND,
        delivery_timeout: 30 * SECOND,
        ..Config::LAN
    };

    /// Processes on one host, and tests on loopback.
    pub const LOCAL: Config = Config {
        probe_period: SECOND / 2,
        first_retry: 15_000,
        suspicion: 1_600_000,
        gossip_gap: 2_000,
        dead_probe_period: 2 * SECOND,
        leave_timeout: 2 * SECOND,
        delivery_timeout: 5 * SECOND,
        ..Config::LAN
    };

    /// Radios and batteries: small datagrams, a probe a minute, and 2 minutes of silence allowed.
    pub const LOW_POWER: Config = Config {
        max_datagram: 127,
        fanout: 2,
        patience: 7,
        probe_period: 60 * SECOND,
        first_retry: 2 * SECOND,
        suspicion: 120 * SECOND,
        gossip_gap: 100_000,
        dead_probe_period: 600 * SECOND,
        leave_timeout: 30 * SECOND,
        delivery_timeout: 600 * SECOND,
        byte_budget: 100,
        ..Config::LAN
    };

    /// A builder that starts from `preset`, for values that are known only at run time.
    pub const fn builder(preset: Config) -> ConfigBuilder {
        ConfigBuilder { config: preset }
    }

    /// The cluster's name. Nodes of differently named clusters ignore each other's datagrams, so that two clusters
    /// which reach each other never merge. Not a secret. Default: the empty name.
    pub const fn with_cluster(mut self, name: &str) -> Self {
        self.cluster = hash::name(0x636c, name);
        self
    }

    /// The largest datagram that this node sends, [`MIN_DATAGRAM`] to [`MAX_DATAGRAM`] bytes of UDP payload; it
    /// receives any size. LAN default: 1,200. Raise it only where no path fragments or drops larger ones.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_max_datagram(mut self, bytes: usize) -> Self {
        self.max_datagram = datagram_size(bytes);
        self.valid()
    }

    /// One member is probed each period, 10 ms to an hour; LAN default 1 s. Shorter finds a crash sooner and costs
    /// 56 bytes per period each way.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_probe_period(mut self, period: Duration) -> Self {
        self.probe_period = micros(period);
        self.valid()
    }

    /// How long after the first try a probe is repeated until the round trip has been measured, and at least
    /// afterwards: 1 ms to a quarter of the probe period. LAN default 25 ms. If unsure, take twice the usual round
    /// trip.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_first_retry(mut self, wait: Duration) -> Self {
        self.first_retry = micros(wait);
        self.valid()
    }

    /// How long a member must have been silent, counted from the first unanswered try, before it is declared down:
    /// eight first retries to a day; LAN default 3.2 s. It is also the longest stall that peers forgive.
    /// A caller who comes a quarter of it late again and again blames itself each time and never sees a crash.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_suspicion(mut self, silence: Duration) -> Self {
        self.suspicion = micros(silence);
        self.valid()
    }

    /// The shortest gap between parcels or bursts of news, 1 ms to the probe period; LAN default 5 ms.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_gossip_gap(mut self, gap: Duration) -> Self {
        self.gossip_gap = micros(gap);
        self.valid()
    }

    /// Among how many members a node divides those who are to be told news of members (at least 2 and at most 8, or 4 in
    /// a [`Narrow`](crate::Narrow) node; messages always 8, or 6), and to how many a burst of gossip goes, 1 to 16; LAN default 3.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_fanout(mut self, members: u8) -> Self {
        self.fanout = members;
        self.valid()
    }

    /// How long a silence this node itself may keep without being declared down, rounded up to a power of two
    /// seconds, at most 2^14 (4.5 h); zero for the peers' usual. For nodes that sleep.
    ///
    /// A node that hears nothing between its own probes is silent for a probe period at a time, or two if an answer is
    /// lost: allow two periods or more. A crash of this node is then noticed that much later. The example `sensor`
    /// shows both.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_patience(mut self, silence: Duration) -> Self {
        self.patience = patience(silence);
        self.valid()
    }

    /// How often one of the dead is visited, so that partitions heal: the probe period to a day; LAN default 10 s.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_dead_probe_period(mut self, period: Duration) -> Self {
        self.dead_probe_period = micros(period);
        self.valid()
    }

    /// How many bytes this node may send in a second, 16 to 2^30, or 0 for no limit; counted as UDP payload. LAN default
    /// 0, and [`LOW_POWER`](Self::LOW_POWER) 100.
    ///
    /// News, messages, maps and comparisons of tables wait for it, each with a share of its own, and go faster after a quiet time.
    /// Probes and joins do not wait, as a node that is late is taken for dead, but count. Answers have the whole rate to
    /// themselves, and beyond it wait or are dropped as [`DropReason::Busy`](crate::DropReason::Busy), but for twelve in a
    /// probe period to members and two to anybody else: in a flood, 448 bytes in each period may come on top.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_byte_budget(mut self, bytes_per_second: u32) -> Self {
        self.byte_budget = bytes_per_second;
        self.valid()
    }

    /// How long `leave` waits at most for peers to acknowledge, first retry to an hour; LAN default 5 s.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_leave_timeout(mut self, wait: Duration) -> Self {
        self.leave_timeout = micros(wait);
        self.valid()
    }

    /// How long a message is tried, the first retry to a day; LAN default 10 s. A direct message that is not
    /// acknowledged by then is [`Event::Unreachable`](crate::Event::Unreachable); a broadcast that is missing and that
    /// nobody has given by then is an [`Event::Gap`](crate::Event::Gap).
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_delivery_timeout(mut self, wait: Duration) -> Self {
        self.delivery_timeout = micros(wait);
        self.valid()
    }

    /// How long the map of a member that is down or has left can still be read, a second to a day; LAN default 10
    /// minutes. It goes earlier where the living need the room, or when the table forgets the member.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_state_retention(mut self, wait: Duration) -> Self {
        self.state_retention = micros(wait);
        self.valid()
    }

    /// How long a member that was declared down is listed and visited before it is forgotten, a minute to 30 days, and four
    /// suspicions at the least; default a day. A table that is full forgets earlier.
    ///
    /// A partition that outlasts it heals through seeds alone.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_dead_retention(mut self, wait: Duration) -> Self {
        self.dead_retention = micros(wait);
        self.valid()
    }

    /// How long a member that has left is listed before it is forgotten, as
    /// [`with_dead_retention`](Self::with_dead_retention) says for those that are down; default an hour.
    ///
    /// # Panics
    ///
    /// If the settings then break a rule of [`ConfigError`]; at compile time in a constant.
    pub const fn with_left_retention(mut self, wait: Duration) -> Self {
        self.left_retention = micros(wait);
        self.valid()
    }

    /// Whether [`Node::set`](crate::Node::set) pushes back when others lag behind what this node has written, by two probe
    /// periods or more; default yes. The rate is then halved, and grows again while nobody lags.
    pub const fn with_push_back(mut self, push_back: bool) -> Self {
        self.push_back = push_back;
        self
    }

    /// Whether this node declares the last other member down that it knows, with nobody left to ask, when that has been silent
    /// for three suspicions; default yes. A crash and a cut then look the same: of two that are cut off from each other each
    /// declares the other down, until they meet again. Without, the other stays suspect and this node isolated.
    pub const fn with_last_verdict(mut self, last_verdict: bool) -> Self {
        self.last_verdict = last_verdict;
        self
    }

    /// The largest datagram that this node sends, in bytes.
    pub const fn max_datagram(&self) -> usize {
        self.max_datagram as usize
    }

    /// See [`with_probe_period`](Self::with_probe_period).
    pub const fn probe_period(&self) -> Duration {
        Duration::from_micros(self.probe_period)
    }

    /// See [`with_first_retry`](Self::with_first_retry).
    pub const fn first_retry(&self) -> Duration {
        Duration::from_micros(self.first_retry)
    }

    /// See [`with_suspicion`](Self::with_suspicion).
    pub const fn suspicion(&self) -> Duration {
        Duration::from_micros(self.suspicion)
    }

    /// See [`with_gossip_gap`](Self::with_gossip_gap).
    pub const fn gossip_gap(&self) -> Duration {
        Duration::from_micros(self.gossip_gap)
    }

    /// See [`with_fanout`](Self::with_fanout).
    pub const fn fanout(&self) -> u8 {
        self.fanout
    }

    /// See [`with_patience`](Self::with_patience).
    pub const fn patience(&self) -> Duration {
        if self.patience == 0 { Duration::ZERO } else { Duration::from_secs(1 << self.patience) }
    }

    /// See [`with_dead_probe_period`](Self::with_dead_probe_period).
    pub const fn dead_probe_period(&self) -> Duration {
        Duration::from_micros(self.dead_probe_period)
    }

    /// See [`with_byte_budget`](Self::with_byte_budget).
    pub const fn byte_budget(&self) -> u32 {
        self.byte_budget
    }

    /// See [`with_leave_timeout`](Self::with_leave_timeout).
    pub const fn leave_timeout(&self) -> Duration {
        Duration::from_micros(self.leave_timeout)
    }

    /// See [`with_delivery_timeout`](Self::with_delivery_timeout).
    pub const fn delivery_timeout(&self) -> Duration {
        Duration::from_micros(self.delivery_timeout)
    }

    /// See [`with_state_retention`](Self::with_state_retention).
    pub const fn state_retention(&self) -> Duration {
        Duration::from_micros(self.state_retention)
    }

    /// See [`with_dead_retention`](Self::with_dead_retention).
    pub const fn dead_retention(&self) -> Duration {
        Duration::from_micros(self.dead_retention)
    }

    /// See [`with_left_retention`](Self::with_left_retention).
    pub const fn left_retention(&self) -> Duration {
        Duration::from_micros(self.left_retention)
    }

    /// See [`with_push_back`](Self::with_push_back).
    pub const fn push_back(&self) -> bool {
        self.push_back
    }

    /// See [`with_last_verdict`](Self::with_last_verdict).
    pub const fn last_verdict(&self) -> bool {
        self.last_verdict
    }

    /// By how much a tick may be late before what was asked counts as asked later (law 3): a sixteenth of the suspicion.
    pub(crate) const fn grace(&self) -> u64 {
        self.suspicion >> 4
    }
}

impl Default for Config {
    /// [`Config::LAN`].
    fn default() -> Self {
        Config::LAN
    }
}

/// In the units of the setters; of the cluster's name only the hash is kept.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cluster", &format_args!("{:016x}", self.cluster))
            .field("max_datagram", &self.max_datagram())
            .field("probe_period", &self.probe_period())
            .field("first_retry", &self.first_retry())
            .field("suspicion", &self.suspicion())
            .field("gossip_gap", &self.gossip_gap())
            .field("fanout", &self.fanout())
            .field("patience", &self.patience())
            .field("dead_probe_period", &self.dead_probe_period())
            .field("leave_timeout", &self.leave_timeout())
            .field("delivery_timeout", &self.delivery_timeout())
            .field("state_retention", &self.state_retention())
            .field("dead_retention", &self.dead_retention())
            .field("left_retention", &self.left_retention())
            .field("push_back", &self.push_back)
            .field("last_verdict", &self.last_verdict)
            .field("byte_budget", &self.byte_budget)
            .finish()
    }
}

/// The greatest exponent that fits the record's four bits, one value kept in reserve.
const MAX_PATIENCE: u8 = 14;

/// A size beyond 16 bits becomes 0, which no rule accepts.
const fn datagram_size(bytes: usize) -> u16 {
    if bytes > u16::MAX as usize { 0 } else { bytes as u16 }
}

/// The least exponent whose power of two seconds is at least `silence`; 0 for none. At least 2 s otherwise.
const fn patience(silence: Duration) -> u8 {
    if silence.is_zero() {
        return 0;
    }
    let mut exponent = 1;
    while exponent <= MAX_PATIENCE && Duration::from_secs(1 << exponent).as_secs() < micros(silence).div_ceil(SECOND) {
        exponent += 1;
    }
    exponent
}
