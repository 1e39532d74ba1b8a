//! Settings that are known only at run time: checked together, or read by the name of a preset.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::{Config, datagram_size, patience};
use crate::time::micros;

/// Collects settings that are known only at run time and checks them together.
///
/// ```
/// use core::time::Duration;
/// use tidings::{Config, ConfigError};
/// let refused = Config::builder(Config::LAN).max_datagram(64).build();
/// assert_eq!(refused, Err(ConfigError::DatagramSize));
/// let config = Config::builder(Config::WAN).cluster("orders").fanout(4).build()?;
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ConfigBuilder {
    pub(super) config: Config,
}

impl ConfigBuilder {
    /// See [`Config::with_cluster`].
    pub const fn cluster(mut self, name: &str) -> Self {
        self.config = self.config.with_cluster(name);
        self
    }

    /// See [`Config::with_max_datagram`].
    pub const fn max_datagram(mut self, bytes: usize) -> Self {
        self.config.max_datagram = datagram_size(bytes);
        self
    }

    /// See [`Config::with_probe_period`].
    pub const fn probe_period(mut self, period: Duration) -> Self {
        self.config.probe_period = micros(period);
        self
    }

    /// See [`Config::with_first_retry`].
    pub const fn first_retry(mut self, wait: Duration) -> Self {
        self.config.first_retry = micros(wait);
        self
    }

    /// See [`Config::with_suspicion`].
    pub const fn suspicion(mut self, silence: Duration) -> Self {
        self.config.suspicion = micros(silence);
        self
    }

    /// See [`Config::with_gossip_gap`].
    pub const fn gossip_gap(mut self, gap: Duration) -> Self {
        self.config.gossip_gap = micros(gap);
        self
    }

    /// See [`Config::with_fanout`].
    pub const fn fanout(mut self, members: u8) -> Self {
        self.config.fanout = members;
        self
    }

    /// See [`Config::with_patience`].
    pub const fn patience(mut self, silence: Duration) -> Self {
        self.config.patience = patience(silence);
        self
    }

    /// See [`Config::with_dead_probe_period`].
    pub const fn dead_probe_period(mut self, period: Duration) -> Self {
        self.config.dead_probe_period = micros(period);
        self
    }

    /// See [`Config::with_byte_budget`].
    pub const fn byte_budget(mut self, bytes_per_second: u32) -> Self {
        self.config.byte_budget = bytes_per_second;
        self
    }

    /// See [`Config::with_leave_timeout`].
    pub const fn leave_timeout(mut self, wait: Duration) -> Self {
        self.config.leave_timeout = micros(wait);
        self
    }

    /// See [`Config::with_delivery_timeout`].
    pub const fn delivery_timeout(mut self, wait: Duration) -> Self {
        self.config.delivery_timeout = micros(wait);
        self
    }

    /// See [`Config::with_state_retention`].
    pub const fn state_retention(mut self, wait: Duration) -> Self {
        self.config.state_retention = micros(wait);
        self
    }

    /// See [`Config::with_dead_retention`].
    pub const fn dead_retention(mut self, wait: Duration) -> Self {
        self.config.dead_retention = micros(wait);
        self
    }

    /// See [`Config::with_left_retention`].
    pub const fn left_retention(mut self, wait: Duration) -> Self {
        self.config.left_retention = micros(wait);
        self
    }

    /// See [`Config::with_push_back`].
    pub const fn push_back(mut self, push_back: bool) -> Self {
        self.config.push_back = push_back;
        self
    }

    /// See [`Config::with_last_verdict`].
    pub const fn last_verdict(mut self, last_verdict: bool) -> Self {
        self.config.last_verdict = last_verdict;
        self
    }

    /// The settings, or the first rule that they break.
    pub const fn build(self) -> Result<Config, ConfigError> {
        match self.config.check() {
            Ok(()) => Ok(self.config),
            Err(error) => Err(error),
        }
    }
}

/// The rule that a setting breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The largest datagram is outside 96 to 65,507 bytes.
    DatagramSize,
    /// The probe period is outside 10 ms to 1 h.
    ProbePeriod,
    /// The first retry is outside 1 ms to a quarter of the probe period.
    FirstRetry,
    /// The suspicion is outside eight first retries to 24 h.
    Suspicion,
    /// The gossip gap is outside 1 ms to the probe period.
    GossipGap,
    /// The fanout is outside 1 to 16.
    Fanout,
    /// The patience is longer than 2^14 seconds.
    Patience,
    /// The period of probing the dead is outside the probe period to 24 h.
    DeadProbePeriod,
    /// The leave timeout is outside the first retry to 1 h.
    LeaveTimeout,
    /// The delivery timeout is outside the first retry to 24 h.
    DeliveryTimeout,
    /// The retention of state is outside 1 s to 24 h.
    StateRetention,
    /// The retention of members that are down is outside 1 min to 30 days.
    DeadRetention,
    /// The retention of members that have left is outside 1 min to 30 days.
    LeftRetention,
    /// The byte budget is neither 0 nor 16 to 2^30 bytes a second.
    ByteBudget,
    /// A node cannot change the name of its cluster; make another. From `Node::set_config` alone.
    ClusterChanged,
}

impl ConfigError {
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            ConfigError::DatagramSize => "the largest datagram must be 96 to 65,507 bytes",
            ConfigError::ProbePeriod => "the probe period must be 10 ms to 1 h",
            ConfigError::FirstRetry => "the first retry must be 1 ms to a quarter of the probe period",
            ConfigError::Suspicion => "the suspicion must be eight first retries to 24 h",
            ConfigError::GossipGap => "the gossip gap must be 1 ms to the probe period",
            ConfigError::Fanout => "the fanout must be 1 to 16 members",
            ConfigError::Patience => "the patience must be at most 2^14 seconds",
            ConfigError::DeadProbePeriod => "the period of probing the dead must be the probe period to 24 h",
            ConfigError::LeaveTimeout => "the leave timeout must be the first retry to 1 h",
            ConfigError::DeliveryTimeout => "the delivery timeout must be the first retry to 24 h",
            ConfigError::StateRetention => "the retention of state must be 1 s to 24 h",
            ConfigError::DeadRetention => "the retention of members that are down must be 1 min to 30 days",
            ConfigError::LeftRetention => "the retention of members that have left must be 1 min to 30 days",
            ConfigError::ByteBudget => "the byte budget must be 0 for none, or 16 to 2^30 bytes a second",
            ConfigError::ClusterChanged => "a node cannot change the name of its cluster",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl core::error::Error for ConfigError {}

/// A preset by its name: `lan`, `wan`, `local` or `low-power`.
impl FromStr for Config {
    type Err = ParsePresetError;

    fn from_str(name: &str) -> Result<Config, ParsePresetError> {
        match name {
            "lan" => Ok(Config::LAN),
            "wan" => Ok(Config::WAN),
            "local" => Ok(Config::LOCAL),
            "low-power" => Ok(Config::LOW_POWER),
            _ => Err(ParsePresetError),
        }
    }
}

/// No preset of [`Config`] has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct ParsePresetError;

impl fmt::Display for ParsePresetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected lan (one data centre), wan (several continents), local (one host) or low-power (radios)")
    }
}

impl core::error::Error for ParsePresetError {}
