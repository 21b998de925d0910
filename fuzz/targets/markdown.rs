//! The fuzz target `markdown`: what it does is `fuzz::markdown`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::markdown(data));
