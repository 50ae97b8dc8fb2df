//! The lines of Python's instructions, from the line tables that code objects carry.
//!
//! A table is a list of ranges of bytecode, one behind the other, each with its line. How it is written depends on the
//! version; there is a file for each way. Tables come from the program that was profiled: whatever is in one, reading it
//! ends, and what makes no sense costs lines.

mod lnotab;
mod pep626;
mod pep657;

use pronk_sampler::recording::PythonCode;
use pronk_trampolines::wire::LineTableFormat;

/// Some bytecode that is all on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    /// The size of the bytecode in bytes.
    size: u32,
    /// The line. None for what the compiler has added and that is in no line of the source.
    line: Option<i64>,
}

/// The line of an instruction, by its offset in the bytecode in bytes, as `PyCode_Addr2Line` has it (CPython,
/// Objects/codeobject.c). A function that has yet to execute its first instruction is on the line on which it begins.
pub fn line(code: &PythonCode, instruction: Option<u32>) -> Option<u32> {
    let first = i64::from(code.first_line);
    let Some(instruction) = instruction else { return Some(code.first_line) };
    let line = match code.line_table_format {
        LineTableFormat::None => None,
        LineTableFormat::Lnotab => find(lnotab::ranges(&code.line_table, first), instruction),
        LineTableFormat::Pep626 => find(pep626::ranges(&code.line_table, first), instruction),
        LineTableFormat::Pep657 => find(pep657::ranges(&code.line_table, first), instruction),
    };
    line.and_then(|line| u32::try_from(line).ok())
}

fn find(ranges: impl Iterator<Item = Range>, instruction: u32) -> Option<i64> {
    let mut end = 0_u64;
    for range in ranges {
        end += u64::from(range.size);
        if u64::from(instruction) < end {
            return range.line;
        }
    }
    None
}

#[cfg(test)]
mod tests;
