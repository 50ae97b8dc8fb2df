//! Registries.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_symbolizer::fuzzing::registry(data);
});
