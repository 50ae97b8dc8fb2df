//! Names of native code: of mapped files, of the vdso and of the kernel.

mod debug_files;
mod demangle;
mod dwarf;
mod elf;
mod kernel;
mod module;
mod symbols;
mod units;
mod vdso;

pub use debug_files::DEBUG_ROOT;
pub use kernel::{KALLSYMS, KERNEL, Kernel};
pub use module::{Module, Place};

/// A symbol's name as the source has it.
#[cfg(any(test, feature = "fuzzing"))]
pub fn demangled(symbol: &str) -> String {
    demangle::demangle(symbol, None)
}

#[cfg(test)]
mod tests;
