//! libFuzzer over `carethread_fuzz::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| carethread_fuzz::frame(input));
