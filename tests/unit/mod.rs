//! Tests of the parts that only the crate itself can reach. `src/lib.rs` includes them.

#[path = "../common/property.rs"]
mod property;

mod gossip;
mod members;
mod table_model;
