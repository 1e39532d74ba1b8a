//! The bodies of the fuzz targets, a module each: `run` takes any bytes and panics if something does not hold that
//! always must.
//!
//! The fuzzer calls them with what it invents (this file is the library of `fuzz/`), and `tests/corpus.rs` with what
//! was worth keeping.

mod forge;
#[macro_use]
mod pair;
mod script;

pub mod bad_days;
pub mod calls;
pub mod datagrams;
pub mod messages;
pub mod wire;

// The wire format is no part of the crate's interface. `wire` is tested from its source, which looks for these in the
// root of its crate.
pub(crate) mod broadcast {
    // Events borrow from it; its types are the crate's own.
    pub(crate) use tidings::{MessageId, Question, Topic};
}
#[path = "../../src/bytes.rs"]
#[allow(dead_code)]
pub(crate) mod bytes;
#[path = "../../src/event/mod.rs"]
#[allow(dead_code, unused_imports)]
pub(crate) mod event;
#[path = "../../src/hash.rs"]
#[allow(dead_code)]
pub(crate) mod hash;
#[path = "../../src/member.rs"]
#[allow(dead_code)]
pub(crate) mod member;
pub(crate) mod state {
    // Events borrow from it; its types are the crate's own.
    pub(crate) use tidings::Entry;
}
