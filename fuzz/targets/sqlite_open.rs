//! The fuzz target `sqlite_open`: what it does is `fuzz::sqlite_open`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::sqlite_open(data));
