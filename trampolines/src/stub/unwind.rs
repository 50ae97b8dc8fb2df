//! How to unwind through generated code, said once: the `.eh_frame` of the code is made from it, and the profiler's own
//! unwinder reads it directly.

/// How the canonical frame address (the stack pointer before the call, DWARF 5 section 6.4) is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cfa {
    /// The stack pointer plus so many bytes.
    StackPointer(u8),
    /// The frame pointer plus so many bytes.
    FramePointer(u8),
}

/// Where a register's value in the caller is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// In the register itself.
    InRegister,
    /// In memory, so many bytes below the canonical frame address.
    BelowCfa(u8),
}

/// How to get from an instruction to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwindRow {
    /// The canonical frame address: the caller's stack pointer.
    pub cfa: Cfa,
    /// The caller's frame pointer (x86-64 `rbp`, aarch64 `x29`).
    pub frame_pointer: Saved,
    /// The return address. `InRegister` means the link register, and happens on aarch64 only.
    pub return_address: Saved,
}

/// A row, and the offset in the code from which on it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwindEntry {
    /// The offset of the first instruction for which the row is true.
    pub from: u16,
    /// The row.
    pub row: UnwindRow,
}

/// The row of a table that is true at an offset: the last one that begins at or before it.
pub fn row_at(table: &[UnwindEntry], offset: u64) -> Option<UnwindRow> {
    table.iter().rev().find(|entry| u64::from(entry.from) <= offset).map(|entry| entry.row)
}
