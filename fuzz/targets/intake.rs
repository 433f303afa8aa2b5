//! libFuzzer over `carethread_fuzz::intake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| carethread_fuzz::intake(input));
