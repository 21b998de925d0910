//! The fuzz target `metadata`: what it does is `fuzz::metadata`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::metadata(data));
