//! The bodies of the fuzz targets, a module each: `run` takes any bytes and panics if something does not hold that
//! always must. Those of `state` and `wire` look into the crate, and are in `tests/unit`.
//!
//! The fuzzer calls them with what it invents (this file is the library of `fuzz/`), and `tests/it/corpus.rs` with what
//! was worth keeping.

pub(crate) use tidings::internals::{forge, script};

#[macro_use]
pub(crate) mod pair;
pub(crate) mod forged;

pub mod bad_days;
pub mod calls;
pub mod datagrams;
pub mod messages;
