//! Three real nodes in every network that a few faults can make.
//!
//! The state is the nodes themselves, the datagrams on their way, a clock, and how many faults are left. From a settled
//! cluster on, every order of arrival and every place for each fault is tried, to the end of a stated time: not some of
//! them at random, as in the simulator, but all. What must hold is checked in every state (`properties.rs`), but for
//! agreement when left alone, which is tried from one state in a hundred.
//!
//! What keeps the space finite, and what that leaves out:
//!
//! * A datagram takes no time: the clock stands still until all have arrived, in any order, and then goes on to the
//!   next deadline of a node. Only a *delayed* datagram, of which there are so many and no more, is on its way while
//!   time passes. So answers come either at once or after deadlines have run out, which is all that a node can tell
//!   apart but for the round trip that it measures.
//! * Where a whole table is exchanged at once, after a cut or a new life, there are too many orders. In these trials
//!   datagrams arrive in the order in which they were sent, but for so many of them (`Faults::swaps`).
//! * All nodes go by one clock. Those that come late are tried as hosts that stand still for a while.
//! * The nodes' own random numbers are those of their seeds: other choices are tried only by other seeds.
//! * States are told apart by 64 bits of a hash. Among ten million, the chance that any two are taken for one is three
//!   in a million.
//! * Nodes are compared without their statistics, which decide nothing.
//! * Faults of a kind are bounded in number, and begin within a stated time.

pub mod account;
pub mod cluster;
pub mod config;
pub mod host;
pub mod model;
pub mod properties;
pub mod sabotage;
pub mod trials;
pub mod world;
