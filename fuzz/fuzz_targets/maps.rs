//! The lines of `/proc/PID/maps`, and the table of mappings that they make.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_sampler::fuzzing::maps(data);
});
