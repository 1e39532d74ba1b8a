//! After any bad day a simulated cluster agrees: see `tests/it/targets/bad_days.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidings_fuzz::bad_days::run(bytes));
