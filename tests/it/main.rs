//! Tests of whole nodes through the public interface, in one binary: it is compiled and optimised once.
//!
//! `cargo test --test it laws::` runs one module of it, and `cargo test --test it -- --list` names all.

mod common;
#[path = "../unit/property.rs"]
mod property;
#[macro_use]
mod targets;

mod campaign;
mod config;
mod corpus;
mod documents;
mod family_lifeguard;
mod family_membership;
mod family_ordering;
mod family_partition;
mod family_probing;
mod field_detection;
mod field_joining;
mod field_membership;
mod hostile;
mod hostile_claims;
mod hostile_liar;
mod hostile_loop;
mod hostile_messages;
mod hostile_shares;
mod hostile_thrice;
mod hostile_work;
mod laws;
mod leaving;
mod lives;
mod maps;
mod messages;
mod protocol;
mod reading;
mod repair;
mod scenarios;
mod simulator;
mod starts;
mod transcript;
mod udp;
mod widths;
mod wire;
