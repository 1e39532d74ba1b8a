//! Tests of the parts that only the crate itself can reach. `src/lib.rs` includes them.

#[path = "../common/forge.rs"]
mod forge;
#[path = "../common/property.rs"]
mod property;

mod budget;
mod direct;
mod gossip;
mod log;
mod member;
mod members;
mod message;
mod pieces;
mod relay;
mod repair;
mod sync;
mod table_model;
mod time;
mod window;
mod wire;
