//! The fuzz target `npy`: what it does is `fuzz::npy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::npy(data));
