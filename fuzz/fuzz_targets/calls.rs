//! Any calls in any order keep the laws: see `tests/it/targets/calls.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| tidings_fuzz::calls::run(script));
