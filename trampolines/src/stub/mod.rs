//! Stubs: their code, the memory they live in, and how to unwind through them.

pub mod record;
mod unwind;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
use x86_64 as native;

pub use native::{RETURN_OFFSET, STUB_SIZE, UNWIND_TABLE};
pub use unwind::{Cfa, Saved, UnwindEntry, UnwindRow, row_at};
