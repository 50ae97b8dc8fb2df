//! What a process says of its labels and tasks to who samples from outside, and the timeline of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_sampler::fuzzing::moments(data);
});
