//! The fuzz target `jsonl`: what it does is `fuzz::jsonl`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::jsonl(data));
