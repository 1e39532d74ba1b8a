//! Tests of the parts that only the crate itself can reach. `src/lib.rs` includes them.

#[path = "../common/forge.rs"]
mod forge;
#[path = "../common/property.rs"]
mod property;
#[path = "../common/script.rs"]
#[allow(dead_code, unreachable_pub)]
mod script;

mod budget;
mod direct;
mod give;
mod gossip;
mod keep;
mod log;
mod map;
mod maps;
mod maps_script;
mod member;
mod members;
mod message;
mod own;
mod pace;
mod pieces;
mod relay;
mod repair;
mod replicas;
mod store;
mod sync;
mod table_model;
mod take;
mod tell;
mod time;
mod told;
mod window;
mod wire;
mod wire_state;
