//! `.pronk` files, and all views of what they hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_symbolizer::fuzzing::profile(data);
});
