//! Whatever is exchanged, nothing deleted comes back: see `tests/unit/state/script.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| tidings::internals::play_maps(script));
