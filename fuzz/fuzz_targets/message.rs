#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stocktake::fuzzed::message(bytes));
