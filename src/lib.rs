//! Gossip as a pure state machine: cluster membership, broadcasts, direct messages and replicated keys, in the family of
//! SWIM and Lifeguard.
//!
//! One struct, [`Node`], is the whole protocol. You hand it datagrams and the time; it gives datagrams and events. It opens
//! no socket, reads no clock and starts no thread. The repository's README says what it is for and how it compares.
//!
//! # Two nodes
//!
//! Two nodes meet, and one reads a key of the other. A vector is the network, and a node's place in the array is its
//! address:
//!
//! ```
//! use tidings::{Config, Event, FixedNode, Instant, NodeId};
//!
//! type Node = FixedNode<8, u16>; // at most 8 members, with addresses of 16 bits
//!
//! /// Hands on what the nodes send until both are quiet.
//! fn carry(now: Instant, nodes: &mut [Node; 2]) {
//!     let mut buf = [0; 1_200];
//!     loop {
//!         let mut sent = Vec::new();
//!         for (addr, node) in (0..).zip(nodes.iter_mut()) {
//!             while let Some(datagram) = node.poll_transmit(&mut buf) {
//!                 sent.push((addr, datagram.to, datagram.payload.to_vec()));
//!             }
//!         }
//!         if sent.is_empty() {
//!             return;
//!         }
//!         for (from, to, mut payload) in sent {
//!             nodes[usize::from(to)].handle_datagram(now, from, &mut payload);
//!         }
//!     }
//! }
//!
//! const CONFIG: Config = Config::LAN.with_cluster("orders");
//! let mut nodes = [Node::new(CONFIG), Node::new(CONFIG)];
//! let mut now = Instant::ZERO;
//! nodes[1].join(now, 0)?; // the seed's address
//! nodes[0].start(now, NodeId::from_name("ann"), 0, &mut rand::rng())?;
//! nodes[1].start(now, NodeId::from_name("bob"), 1, &mut rand::rng())?;
//! nodes[0].set(now, "role", b"primary")?;
//! for _ in 0..1_000 {
//!     carry(now, &mut nodes);
//!     now = nodes[0].poll_timeout().min(nodes[1].poll_timeout());
//!     nodes.iter_mut().for_each(|node| node.handle_timeout(now));
//! }
//!
//! let mut events = std::iter::from_fn(|| nodes[1].poll_event().map(|event| event.to_string()));
//! assert!(events.next().is_some_and(|event| event.ends_with("up"))); // whom it knows by now
//! assert_eq!(events.next().as_deref(), Some("joined the cluster"));
//! assert_eq!(nodes[1].get(NodeId::from_name("ann"), "role"), Some(&b"primary"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to start
//!
//! | you want | look at |
//! |---|---|
//! | a node in a tokio program | the crate `tidings-tokio`: a handle that all tasks share |
//! | a node in a loop of your own | [`HeapNode`], [`Clock`], and the loop in the README |
//! | a node without an allocator | [`FixedNode`]; [`BareNode`] for membership alone |
//! | to say how it behaves, and how much memory it may take | [`Config`], [`Limits`] |
//! | to know who is there | [`Node::members`], and the member events of [`Event`] |
//! | to tell others something | [`Node::broadcast`], [`Node::send`], [`Node::ask`] |
//! | to publish something, and to read what others publish | [`Node::set`], [`Node::get`], [`Node::watch`] |
//! | to test an application | [`App`], and `tidings::sim` with the feature `sim` |
//! | to know what a node does all day | [`Stats`], [`DropReason`], [`WakeReason`] |
//!
//! # The loop
//!
//! A node needs a loop that carries datagrams:
//!
//! 1. Call [`Node::poll_transmit`] until it gives `None`, and send what it gives.
//! 2. Call [`Node::poll_event`] until it gives `None`.
//! 3. Wait for a datagram, but no longer than until [`Node::poll_timeout`].
//! 4. Call [`Node::handle_datagram`], or [`Node::handle_timeout`] if none came. Begin again.
//!
//! Between these you can call any other method. To leave, call [`Node::leave`] and keep the loop running until
//! [`Event::Left`].
//!
//! # Messages
//!
//! A broadcast reaches every living member that subscribes to its topic, once. A broadcast that can no longer be delivered
//! is reported as [`Event::Gap`]. A direct message is acknowledged, and a question answered:
//!
//! ```
//! use std::time::Duration;
//! use tidings::{Event, FixedNode, Instant, Topic};
//!
//! const ALARMS: Topic = Topic::from_name("alarms");
//!
//! fn run(node: &mut FixedNode<32>, now: Instant) -> Result<(), Box<dyn std::error::Error>> {
//!     node.subscribe(now, ALARMS)?; // `subscribe_in_order` keeps the order of each origin
//!     node.broadcast(now, ALARMS, b"smoke in hall 3")?;
//!     let votes = node.ask(now, ALARMS, b"anybody there?", 5, Duration::from_secs(2))?; // five answers, or two seconds
//!     let mut asked = None;
//!     while let Some(event) = node.poll_event() {
//!         match event {
//!             Event::Message { origin, payload, .. } => println!("{origin}: {payload:?}"),
//!             Event::Gap { origin, first, last } => println!("{origin}: lost {first} to {last}"),
//!             Event::Question { question, .. } => asked = Some(question),
//!             Event::Answer { id, from, .. } if id == votes => println!("{from} is there"),
//!             Event::Answered { id, answers } if id == votes => println!("{answers} answered"),
//!             _ => {}
//!         }
//!     }
//!     if let Some(question) = asked {
//!         node.answer(now, question, b"here")?;
//!     }
//!     Ok(())
//! }
//! # let mut node = FixedNode::<32>::new(tidings::Config::LAN);
//! # node.start(Instant::ZERO, tidings::NodeId::new(1), "10.0.0.1:7946".parse().unwrap(), &mut rand::rng());
//! # run(&mut node, Instant::ZERO).unwrap();
//! ```
//!
//! A payload can be as long as 32 datagrams, if there is room. When too much waits to be sent, a method gives `WouldBlock`
//! and takes nothing.
//!
//! # Keys
//!
//! Each member has a map of keys to values. It alone writes the map, and every member can read it:
//!
//! ```
//! use std::time::Duration;
//! use tidings::{Class, Event, FixedNode, Instant, NodeId, SetOptions};
//!
//! fn run(node: &mut FixedNode<32>, now: Instant, other: NodeId) -> Result<(), Box<dyn std::error::Error>> {
//!     node.set(now, "cpu/load", b"17")?;
//!     node.set_with_ttl(now, "lease", b"hall 3", Duration::from_secs(30))?; // it expires everywhere
//!     let vital = SetOptions::DEFAULT.with_class(Class::Vital); // sent before what is not vital
//!     node.set_typed(now, "health", &(true, 42u32), vital)?; // a serde value, encoded by postcard
//!     node.set_with(now, "secret", b"1234", SetOptions::DEFAULT.with_class(Class::Local))?; // sent to nobody
//!     println!("{:?}", node.get(other, "cpu/load"));
//!     for (owner, entry) in node.values("cpu/load") {
//!         println!("{owner}: {:?}, its write number {}", entry.value(), entry.version().number());
//!     }
//!     node.watch("cpu/")?; // report changes of keys with this prefix
//!     while let Some(event) = node.poll_event() {
//!         match event {
//!             Event::KeySet { owner, entry } => println!("{owner} sets {}", entry.key()),
//!             Event::KeyDeleted { owner, key } => println!("{owner} deletes {key}"),
//!             Event::MapReplaced { owner } => println!("{owner}: read its keys again"),
//!             Event::MapGone { owner } => println!("{owner}: its keys are forgotten"),
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! # let mut node = FixedNode::<32>::new(tidings::Config::LAN);
//! # node.start(Instant::ZERO, NodeId::new(1), "10.0.0.1:7946".parse().unwrap(), &mut rand::rng());
//! # run(&mut node, Instant::ZERO, NodeId::new(2)).unwrap();
//! ```
//!
//! - Every member reads all keys but those of [`Class::Local`]. Whoever can send datagrams to a member and knows the
//!   cluster's name can become one, so do not publish secrets.
//! - A member orders its writes by its life and a version, not by a clock. A restart begins a new life with an empty map;
//!   [`Node::export`] and [`Node::import`] carry a map over a restart.
//! - A deleted key stays deleted, and no key goes back to an earlier version, also for members that were cut off meanwhile.
//! - The keys of a member that is down or has left can be read for [`Config::with_state_retention`] longer.
//! - A value can have 64 KiB, and becomes visible when it is whole. One map takes at most a quarter of the room for state.
//! - [`Node::set`] gives `WouldBlock` while others lag too far behind ([`Config::with_push_back`]).
//!
//! # The laws
//!
//! You can rely on these. `tests/it/laws.rs` has tests of each, by number and name.
//!
//! 1. **Any order.** You can call every method at any time, in any order, as often as you like. No input makes it panic. To
//!    poll when there is nothing to do is cheap and changes nothing. (The one panic is that of a [`Config`] setter whose value
//!    breaks a rule, which is a compile error in a constant.)
//! 2. **Time.** `now` is when the thing happened. A `now` older than the newest so far counts as the newest. Deadlines round
//!    up.
//! 3. **A late tick is this node's own fault.** A node that was stalled, suspended or ticked late accuses no healthy peer
//!    because of it, whether the tick or the datagram comes first afterwards.
//! 4. **Nothing is lost quietly.** What a node refuses, evicts or has no room for is reported or counted, by reason.
//! 5. **Bounded.** Capacities bound the memory, and the work of each call. In a quiet cluster the bytes on the wire do not grow
//!    with the cluster, and what can wait keeps to the byte budget. An address that has proved nothing gets at most three
//!    bytes for one. An idle poll takes constant time. [`HeapNode`] allocates only when a table outgrows its largest size so
//!    far, and [`FixedNode`] never does.
//! 6. **Deterministic.** The same seed and the same calls give the same bytes, on every target, with [`Fixed`] and [`Heap`] of
//!    equal limits and width.
//! 7. **Honest views.** Once the network is whole and quiet, all nodes come to the same view of the members within a bound
//!    that is computed and tested, and without being given a seed again.
//!
//! # Features
//!
//! | feature | default | implies | what it adds |
//! |---|---|---|---|
//! | `std` | yes | `alloc` | [`Clock`]: the standard library's clock as [`Instant`]; what errors of its sockets mean |
//! | `alloc` | with `std` | | [`HeapNode`], whose tables grow up to a limit; [`App`]; events that own their data |
//! | `sim` | no | `std` | `tidings::sim`: the deterministic simulator |
//! | `serde` | no | | ids, members, statuses, counters and settings as serde values |
//! | `defmt` | no | | `defmt::Format` on what firmware logs |
//!
//! A feature only adds; none changes how a node behaves. Without features the crate depends on `serde`, `postcard`,
//! `rand_core` and `heapless` alone.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub, clippy::incompatible_msrv)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
// What only the unit tests use is unused where they are not.
#![cfg_attr(all(test, not(unit_tests)), allow(unused))]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Where the simulator is left out, what points at it points nowhere. What is wrong with links shows with all features.
#![cfg_attr(not(feature = "sim"), allow(rustdoc::broken_intra_doc_links))]

/// The README's programs are compiled with the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "alloc")]
mod app;
mod ask;
mod broadcast;
mod budget;
mod bytes;
mod challenge;
mod config;
mod detector;
mod event;
mod gossip;
mod hash;
mod ids;
#[cfg(all(unit_tests, feature = "internals"))]
#[doc(hidden)]
pub mod internals;
mod join;
mod key;
mod leave;
mod map;
mod member;
mod members;
mod node;
mod node_core;
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
mod stats;
mod storage;
mod time;
mod topic;
mod tree;
mod turns;
#[cfg(all(unit_tests, any(test, feature = "internals")))]
#[path = "../tests/unit/mod.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod unit;
mod walk;
mod window;
mod wire;

#[cfg(feature = "alloc")]
pub use app::{App, Hosted};
pub use config::{Config, ConfigBuilder, ConfigError, MAX_DATAGRAM, MIN_DATAGRAM, ParsePresetError};
#[cfg(feature = "std")]
pub use event::is_transient;
pub use event::{
    BroadcastError, CapacityError, Event, ForgetError, JoinError, Phase, SendError, SendFailure, StartError, Transmit,
    Trouble, WakeReason,
};
#[cfg(feature = "alloc")]
pub use event::{OwnedEntry, OwnedEvent};
pub use ids::{MessageId, Question};
pub use join::MAX_SEEDS;
pub use key::{Class, Entry, SetOptions, StateError, Version};
pub use member::{Address, Life, Member, NodeId, ParseIdError, Status};
#[cfg(feature = "alloc")]
pub use node::HeapNode;
pub use node::{BareNode, FixedNode, MAX_SPREAD, Node};
pub use rand_core;
pub use stats::{DropReason, Stats};
pub use storage::{Bare, Fixed, Narrow, Storage, Wide, Width};
#[cfg(feature = "alloc")]
pub use storage::{Heap, Limits};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
pub use topic::Topic;
