//! Whatever is sent is told once and as it was sent: see `tests/it/targets/messages.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| tidings_fuzz::messages::run(script));
