//! Whatever is exchanged, nothing deleted comes back: see `tests/unit/maps_script.rs`.
//!
//! The logs are no part of the crate's interface. They are driven from their source, of which this is the root as
//! `src/lib.rs` is.

#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

extern crate alloc;

#[path = "../../src"]
mod src {
    pub(crate) mod broadcast;
    pub(crate) mod budget;
    pub(crate) mod bytes;
    pub(crate) mod challenge;
    pub(crate) mod config;
    pub(crate) mod context;
    pub(crate) mod detector;
    pub(crate) mod event;
    pub(crate) mod gossip;
    pub(crate) mod hash;
    pub(crate) mod join;
    pub(crate) mod member;
    pub(crate) mod members;
    pub(crate) mod news;
    pub(crate) mod node;
    pub(crate) mod progress;
    pub(crate) mod recent;
    pub(crate) mod relay;
    pub(crate) mod rng;
    pub(crate) mod state;
    pub(crate) mod storage;
    pub(crate) mod sync;
    pub(crate) mod time;
    pub(crate) mod tree;
    pub(crate) mod wire;
}

pub(crate) use src::*;

pub use broadcast::{MessageId, Question, Topic};
pub use config::{Config, ConfigBuilder, ConfigError, MAX_DATAGRAM, MIN_DATAGRAM};
pub use event::{
    BroadcastError, CapacityError, DropReason, Event, Phase, SendError, SendFailure, Stats, Transmit, WakeReason,
};
pub use join::MAX_SEEDS;
pub use member::{Address, Life, Member, NodeId, ParseIdError, Status};
pub use node::{HeapNode, Node};
pub use state::{Class, Entry, SetOptions, StateError, Version};
pub use storage::{Bare, Fixed, Heap, Limits, Narrow, Storage, Wide, Width};
pub use time::Instant;

#[path = "../../tests/unit/maps_script.rs"]
mod maps_script;
#[path = "../../tests/unit/replicas.rs"]
mod replicas;
#[path = "../../tests/common/script.rs"]
mod script;
#[path = "../../tests/unit/told.rs"]
mod told;

libfuzzer_sys::fuzz_target!(|script: &[u8]| maps_script::run(script));
