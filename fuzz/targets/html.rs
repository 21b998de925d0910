//! The fuzz target `html`: what it does is `fuzz::html`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::html(data));
