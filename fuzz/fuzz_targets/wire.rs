//! Any bytes are read as the tables say, and survive being written: see `tests/common/wire.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_fuzz::wire::run(bytes));
