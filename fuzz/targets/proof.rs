//! libFuzzer over `carethread_fuzz::proof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| carethread_fuzz::proof(input));
