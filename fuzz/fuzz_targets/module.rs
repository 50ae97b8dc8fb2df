//! ELF files, and unwinding by the call frame information in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_sampler::fuzzing::module(data);
});
