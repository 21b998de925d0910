//! The fuzz target `pickle`: what it does is `fuzz::pickle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::pickle(data));
