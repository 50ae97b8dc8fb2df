//! `co_linetable` of CPython 3.10 (PEP 626; Objects/lnotab_notes.txt of 3.10): pairs of bytes, the size of a range of bytecode
//! and then, signed, how far its line is from the line before.

use super::Range;

/// Stands for bytecode without a line.
const NO_LINE: i8 = -128;

/// The ranges of a table.
pub fn ranges(table: &[u8], first_line: i64) -> impl Iterator<Item = Range> + '_ {
    let (pairs, _) = table.as_chunks::<2>();
    let mut line = first_line;
    pairs.iter().map(move |&[bytes, lines]| {
        let size = bytes.into();
        match lines.cast_signed() {
            NO_LINE => Range { size, line: None },
            lines => {
                line += i64::from(lines);
                Range { size, line: Some(line) }
            }
        }
    })
}
