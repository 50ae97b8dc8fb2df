//! A ring as a file of any bytes, up to the profile that comes of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_symbolizer::fuzzing::recording(&pronk_sampler::fuzzing::ring(data));
});
