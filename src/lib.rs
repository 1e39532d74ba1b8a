#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub, clippy::incompatible_msrv)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
// What only the unit tests use is unused where they are not.
#![cfg_attr(all(test, not(unit_tests)), allow(unused))]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "alloc")]
mod app;
mod broadcast;
mod budget;
mod bytes;
mod challenge;
mod config;
mod context;
mod detector;
mod event;
mod gossip;
mod hash;
#[cfg(all(unit_tests, feature = "internals"))]
#[doc(hidden)]
pub mod internals;
mod join;
mod member;
mod members;
mod news;
mod node;
mod progress;
mod recent;
mod relay;
mod rival;
mod rng;
#[cfg(feature = "serde")]
mod serialize;
mod share;
#[cfg(feature = "sim")]
pub mod sim;
mod state;
mod storage;
mod sync;
mod time;
mod tree;
mod turns;
#[cfg(all(unit_tests, any(test, feature = "internals")))]
#[path = "../tests/unit/mod.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod unit;
mod wire;

#[cfg(feature = "alloc")]
pub use app::{App, Hosted};
pub use broadcast::{MessageId, Question, Topic};
pub use config::{Config, ConfigBuilder, ConfigError, MAX_DATAGRAM, MIN_DATAGRAM, ParsePresetError};
#[cfg(feature = "std")]
pub use event::is_transient;
pub use event::{
    BroadcastError, CapacityError, DropReason, Event, ForgetError, Phase, SendError, SendFailure, StartError, Stats,
    Transmit, Trouble, WakeReason,
};
#[cfg(feature = "alloc")]
pub use event::{OwnedEntry, OwnedEvent};
pub use join::MAX_SEEDS;
pub use member::{Address, Life, Member, NodeId, ParseIdError, Status};
#[cfg(feature = "alloc")]
pub use node::HeapNode;
pub use node::{BareNode, FixedNode, MAX_SPREAD, Node};
pub use rand_core;
pub use state::{Class, Entry, SetOptions, StateError, Version};
pub use storage::{Bare, Fixed, Narrow, Storage, Wide, Width};
#[cfg(feature = "alloc")]
pub use storage::{Heap, Limits};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
