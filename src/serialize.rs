//! Public types as serde values, for logs, pages and settings in files.
//!
//! Field names and words are part of the interface: they do not change within a major version.

use core::time::Duration;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::config::{Config, ConfigError};
use crate::event::{Phase, Trouble};
use crate::member::{Member, NodeId, Status};
use crate::stats::{DropReason, Stats};

/// As its 16 hexadecimal digits where people read it, and else as a number.
impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.get()) }
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(NodeId::new);
        }
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = NodeId;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("an id of 16 hexadecimal digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<NodeId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

/// The word that `Display` writes.
impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The word that `Display` writes.
impl Serialize for Phase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The words that `Display` writes.
impl Serialize for Trouble {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `id`, `addr`, `status`, `generation` of its life, and `incarnation`.
impl<A: Serialize + Copy> Serialize for Member<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Member", 5)?;
        fields.serialize_field("id", &self.id())?;
        fields.serialize_field("addr", &self.addr())?;
        fields.serialize_field("status", &self.status())?;
        fields.serialize_field("generation", &self.life().generation())?;
        fields.serialize_field("incarnation", &self.incarnation())?;
        fields.end()
    }
}

/// Every counter by its name, and `refused`, which has a counter for each reason.
impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Refused<'s>(&'s Stats);
        impl Serialize for Refused<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let counts = DropReason::ALL.map(|reason| (reason.name(), self.0.dropped(reason)));
                serializer.collect_map(counts)
            }
        }
        let mut fields = serializer.serialize_map(Some(self.iter().count() + 1))?;
        for (name, count) in self.iter() {
            fields.serialize_entry(name, &count)?;
        }
        fields.serialize_entry("refused", &Refused(self))?;
        fields.end()
    }
}

/// The settings by the names of their setters, times in microseconds; of the cluster's name only its hash. What is left
/// out is that of [`Config::LAN`].
#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    cluster: u64,
    max_datagram: usize,
    probe_period: u64,
    first_retry: u64,
    suspicion: u64,
    gossip_gap: u64,
    fanout: u8,
    patience: u64,
    dead_probe_period: u64,
    byte_budget: u32,
    leave_timeout: u64,
    delivery_timeout: u64,
    state_retention: u64,
    dead_retention: u64,
    left_retention: u64,
    push_back: bool,
    last_verdict: bool,
}

impl Default for Settings {
    fn default() -> Self {
        (&Config::LAN).into()
    }
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Settings {
            cluster: config.cluster,
            max_datagram: config.max_datagram(),
            probe_period: config.probe_period,
            first_retry: config.first_retry,
            suspicion: config.suspicion,
            gossip_gap: config.gossip_gap,
            fanout: config.fanout,
            patience: crate::time::micros(config.patience()),
            dead_probe_period: config.dead_probe_period,
            byte_budget: config.byte_budget,
            leave_timeout: config.leave_timeout,
            delivery_timeout: config.delivery_timeout,
            state_retention: config.state_retention,
            dead_retention: config.dead_retention,
            left_retention: config.left_retention,
            push_back: config.push_back,
            last_verdict: config.last_verdict,
        }
    }
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    fn try_from(settings: Settings) -> Result<Config, ConfigError> {
        let preset = Config { cluster: settings.cluster, ..Config::LAN };
        Config::builder(preset)
            .max_datagram(settings.max_datagram)
            .probe_period(Duration::from_micros(settings.probe_period))
            .first_retry(Duration::from_micros(settings.first_retry))
            .suspicion(Duration::from_micros(settings.suspicion))
            .gossip_gap(Duration::from_micros(settings.gossip_gap))
            .fanout(settings.fanout)
            .patience(Duration::from_micros(settings.patience))
            .dead_probe_period(Duration::from_micros(settings.dead_probe_period))
            .byte_budget(settings.byte_budget)
            .leave_timeout(Duration::from_micros(settings.leave_timeout))
            .delivery_timeout(Duration::from_micros(settings.delivery_timeout))
            .state_retention(Duration::from_micros(settings.state_retention))
            .dead_retention(Duration::from_micros(settings.dead_retention))
            .left_retention(Duration::from_micros(settings.left_retention))
            .push_back(settings.push_back)
            .last_verdict(settings.last_verdict)
            .build()
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Settings::from(self).serialize(serializer)
    }
}

/// Settings that break a rule of [`ConfigError`] are refused.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Settings::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}
