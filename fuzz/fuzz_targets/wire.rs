//! Any bytes are read as the tables say, and survive being written: see `tests/unit/wire/script.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings::internals::read_twice(bytes));
