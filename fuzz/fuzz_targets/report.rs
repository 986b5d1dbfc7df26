#![no_main]

use std::panic::{set_hook, take_hook};

libfuzzer_sys::fuzz_target!(
    init: {
        // Parquet's reader panics, or lets others, and is caught at it, which libFuzzer's hook would not wait for.
        // What nobody catches ends the fuzzer nevertheless, and so do panics of our own.
        let ends = take_hook();
        set_hook(Box::new(move |panic| {
            let is_foreign = |file: &str| file.contains("/registry/src/") || file.starts_with("/rustc/");
            if panic.location().is_none_or(|place| !is_foreign(place.file())) {
                ends(panic);
            }
        }));
    },
    |bytes: &[u8]| stocktake::fuzzed::report(bytes)
);
