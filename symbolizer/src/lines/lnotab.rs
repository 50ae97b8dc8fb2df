//! `co_lnotab` of CPython 3.9 (Objects/lnotab_notes.txt of 3.9): pairs of bytes, by how much to go on in the bytecode and then,
//! signed, in the lines.

use super::Range;
use std::iter;

/// The ranges of a table. A pair says where its line begins, so the last one goes on without end.
pub fn ranges(table: &[u8], first_line: i64) -> impl Iterator<Item = Range> + '_ {
    let (pairs, _) = table.as_chunks::<2>();
    let mut line = first_line;
    let steps = pairs.iter().map(|&[bytes, lines]| (u32::from(bytes), lines.cast_signed()));
    steps.chain(iter::once((u32::MAX, 0))).map(move |(size, lines)| {
        let range = Range { size, line: Some(line) };
        line += i64::from(lines);
        range
    })
}
