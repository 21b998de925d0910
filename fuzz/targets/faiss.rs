//! The fuzz target `faiss`: what it does is `fuzz::faiss`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::faiss(data));
