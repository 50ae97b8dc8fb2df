//! The records of a ring, whole as writers leave them, up to the profile that comes of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_symbolizer::fuzzing::recording(&pronk_sampler::fuzzing::records(data));
});
