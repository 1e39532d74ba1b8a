//! A handle for tokio programs on a [`tidings`] node: who is alive in a cluster, messages to all of them, and what each
//! of them publishes.
//!
//! ```no_run
//! use tidings_tokio::{Cluster, Topic};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::builder("orders")
//!     .name("db-7")
//!     .bind("0.0.0.0:7946")
//!     .seeds(["gossip.internal:7946"])
//!     .start()
//!     .await?;
//! cluster.joined().await?;
//! cluster.set("load", "0.7").await?;
//! let mut alarms = cluster.subscribe(Topic::from_name("alarms")).await?;
//! while let Some(alarm) = alarms.recv().await {
//!     println!("{alarm:?} among {} members", cluster.live().len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Cluster`] is the handle: clone it into every task that needs it. One task owns the node and its socket; there is no
//! protocol in this crate, and no lock. Dropping the last handle leaves the cluster.
//!
//! Where the application has logic of its own that is worth testing, write it as an [`App`]: the simulator of `tidings`
//! runs it in tests, [`Builder::app`] in production.

#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub)]

mod builder;
mod change;
mod cluster;
mod core;
mod driver;
mod error;
mod feed;
mod messages;
mod observe;
mod seeds;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;

pub use builder::Builder;
pub use change::Change;
pub use cluster::Cluster;
pub use error::{Error, StartError, Stopped};
pub use feed::{Feed, Missed};
pub use messages::{Answer, Asked, Message};
pub use tidings;
pub use tidings::{
    App, Class, Config, HeapNode, Limits, MessageId, NodeId, OwnedEntry, Phase, Question, SetOptions, Stats, Status,
    Topic, Version,
};

/// Something that has happened at a node.
pub type Event = tidings::OwnedEvent<SocketAddr>;
/// A member, as a node knows it.
pub type Member = tidings::Member<SocketAddr>;
/// All members that a node knows, in order of their ids.
pub type Members = Arc<[Member]>;

/// The key under which a node publishes its name, if it has one.
pub const NAME: &str = "name";
