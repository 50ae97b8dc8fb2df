//! ELF files, and DWARF in them: names, files and lines.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pronk_symbolizer::fuzzing::elf(data);
});
