//! The control page of an attached session, the reason beside it, and a session's settings.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_sampler::fuzzing::control(data);
});
