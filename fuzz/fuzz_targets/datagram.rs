//! Any script of bytes keeps the laws: see `tests/common/datagrams.rs`, which also says what a script can do.

#![no_main]

#[path = "../../tests/common/datagrams.rs"]
mod datagrams;

libfuzzer_sys::fuzz_target!(|script: &[u8]| datagrams::run(script));
