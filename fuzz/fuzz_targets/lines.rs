//! Line tables of code objects, in the formats of CPython 3.9, 3.10 and 3.11 and later.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_symbolizer::fuzzing::lines(data);
});
