//! Any script of a bad network, bad clocks and a hostile peer keeps the laws: see `tests/it/targets/datagrams.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| tidings_fuzz::datagrams::run(script));
