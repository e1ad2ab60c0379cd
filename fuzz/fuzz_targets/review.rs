//! See `targets::review`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::review(input));
