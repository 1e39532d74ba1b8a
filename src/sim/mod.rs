//! A deterministic network of nodes in one process, with every fault a datagram network has.
//!
//! Discrete events, microseconds of simulated time, one seed: the same seed gives the same run, on every machine. Use
//! it to test your settings, your application, or another implementation in the same network: [`Sim`] drives anything
//! that implements [`Machine`], and [`Node`](crate::Node) does. To test an application, write it as an
//! [`App`](crate::App) and put it around a node by [`Hosted`](crate::Hosted), as the example of `App` does.
//!
//! ```
//! use std::time::Duration;
//! use tidings::sim::{Conditions, Sim};
//! use tidings::{Config, HeapNode, Limits, Status};
//!
//! let mut sim = Sim::<HeapNode<u32>>::new(7, Conditions::LAN.with_loss(0.05));
//! for _ in 0..16 {
//!     let host = sim.add(HeapNode::new(Config::LAN, Limits::DEFAULT));
//!     sim.start(host, &[0]);
//! }
//! sim.run_for(Duration::from_secs(5));
//! assert!(sim.agrees(), "everybody knows everybody");
//!
//! sim.crash(3);
//! let known = sim.run_until_all_report(3, Status::Down, Duration::from_secs(10));
//! assert!(known.is_some_and(|after| after < Duration::from_secs(9)));
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod check;
mod delivery;
mod faults;
mod host;
mod hostile;
mod layer;
mod links;
mod machine;
mod network;
mod queue;
mod replicas;
mod scenario;
mod world;

pub use check::Safety;
pub use delivery::Deliveries;
pub use hostile::{Attack, Forger, Stance, UnknownName, liar};
pub use layer::Layer;
pub use links::{Link, Refusal};
pub use machine::{HostAddress, Machine, Report, TOPIC, number_of};
pub use network::{Conditions, SimRng};
pub use replicas::Replicas;
pub use scenario::{Action, Failure, ParseScenarioError, Scenario, Summary};
pub use world::{Actor, Reported, Sim, Tamper, Traffic, Watch};
