//! libFuzzer over `carethread_fuzz::import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| carethread_fuzz::import(input));
