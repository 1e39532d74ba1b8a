//! The rules that settings keep.

use super::{Config, ConfigError, MAX_DATAGRAM, MAX_PATIENCE, MIN_DATAGRAM, SECOND};

impl Config {
    pub(super) const fn check(&self) -> Result<(), ConfigError> {
        const HOUR: u64 = 3_600 * SECOND;
        if (self.max_datagram as usize) < MIN_DATAGRAM || self.max_datagram as usize > MAX_DATAGRAM {
            return Err(ConfigError::DatagramSize);
        }
        if self.probe_period < 10_000 || self.probe_period > HOUR {
            return Err(ConfigError::ProbePeriod);
        }
        if self.first_retry < 1_000 || self.first_retry > self.probe_period / 4 {
            return Err(ConfigError::FirstRetry);
        }
        if self.suspicion < self.first_retry.saturating_mul(8) || self.suspicion > 24 * HOUR {
            return Err(ConfigError::Suspicion);
        }
        if self.gossip_gap < 1_000 || self.gossip_gap > self.probe_period {
            return Err(ConfigError::GossipGap);
        }
        if self.fanout < 1 || self.fanout > 16 {
            return Err(ConfigError::Fanout);
        }
        if self.patience > MAX_PATIENCE {
            return Err(ConfigError::Patience);
        }
        if self.dead_probe_period < self.probe_period || self.dead_probe_period > 24 * HOUR {
            return Err(ConfigError::DeadProbePeriod);
        }
        if self.leave_timeout < self.first_retry || self.leave_timeout > HOUR {
            return Err(ConfigError::LeaveTimeout);
        }
        if self.delivery_timeout < self.first_retry || self.delivery_timeout > 24 * HOUR {
            return Err(ConfigError::DeliveryTimeout);
        }
        if self.state_retention < SECOND || self.state_retention > 24 * HOUR {
            return Err(ConfigError::StateRetention);
        }
        if self.dead_retention < 60 * SECOND || self.dead_retention > 720 * HOUR {
            return Err(ConfigError::DeadRetention);
        }
        if self.left_retention < 60 * SECOND || self.left_retention > 720 * HOUR {
            return Err(ConfigError::LeftRetention);
        }
        if self.byte_budget != 0 && (self.byte_budget < 16 || self.byte_budget > 1 << 30) {
            return Err(ConfigError::ByteBudget);
        }
        Ok(())
    }

    pub(super) const fn valid(self) -> Self {
        let (sound, sentence) = match self.check() {
            Ok(()) => (true, ""),
            Err(error) => (false, error.sentence()),
        };
        assert!(sound, "{}", sentence);
        self
    }
}
