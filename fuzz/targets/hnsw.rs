//! The fuzz target `hnsw`: what it does is `fuzz::hnsw`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::hnsw(data));
