//! `co_linetable` of CPython 3.11 and later (PEP 657; InternalDocs/code_objects.md of 3.14, "Format of the locations table"):
//! entries of at least one byte. Only the first byte of an entry has its highest bit set.

use super::Range;

/// The size of a unit of bytecode in bytes (`_Py_CODEUNIT`, Include/cpython/code.h).
const UNIT: u32 = 2;

/// The highest bit.
const BEGIN: u8 = 0x80;

/// The ranges of a table.
pub fn ranges(table: &[u8], first_line: i64) -> impl Iterator<Item = Range> + '_ {
    let mut rest = table;
    let mut line = first_line;
    std::iter::from_fn(move || {
        let (&first, behind) = rest.split_first().filter(|(first, _)| *first & BEGIN != 0)?;
        let size = (u32::from(first & 0x07) + 1) * UNIT;
        // What it is about, and what more it has: columns, which are not wanted here.
        let code = first >> 3 & 0x0f;
        line = line.saturating_add(match code {
            13 | 14 => signed(behind),
            10..=12 => i64::from(code - 10),
            _ => 0,
        });
        let end = behind.iter().position(|byte| byte & BEGIN != 0).unwrap_or(behind.len());
        rest = behind.get(end..).unwrap_or_default();
        Some(Range { size, line: (code != 15).then_some(line) })
    })
}

/// A number of variable length: six bits in each byte, the lowest first, and a bit that says that there are more. The lowest
/// bit of the number is its sign.
fn signed(bytes: &[u8]) -> i64 {
    let mut number = 0_u32;
    for (position, byte) in bytes.iter().enumerate() {
        // CPython's numbers have 32 bits; what would be above them is not there.
        let bits = u32::from(byte & 0x3f);
        number |= bits.checked_shl(position as u32 * 6).unwrap_or(0);
        if byte & 0x40 == 0 {
            break;
        }
    }
    let size = i64::from(number >> 1);
    if number & 1 == 0 { size } else { -size }
}
