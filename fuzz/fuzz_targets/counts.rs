//! Files of counts, and whose they are.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_symbolizer::fuzzing::counts(data);
});
