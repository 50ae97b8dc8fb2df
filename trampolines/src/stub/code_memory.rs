//! Memory for generated code.
//!
//! Code is written into a file in memory, the file is sealed against every further write, and only then it is mapped
//! and run. So it is never writable and executable at once, not even through two mappings, and forks share it safely.
//! It is never unmapped: an address in it may be on a stack.

use crate::sys::{File, Refused, Text};
use crate::wire::Token;
use core::ptr::NonNull;

/// How many bytes are written at once, and so the size of the largest piece.
const BLOCK: usize = 4096;

/// Maps so many pieces of code of one size, one behind the other, under the name `<prefix><token>`. `code` makes each of
/// them.
///
/// # Errors
/// When the kernel refuses the file or the mapping.
pub fn map_code<const SIZE: usize>(
    prefix: &str,
    token: Token,
    pieces: usize,
    mut code: impl FnMut(usize) -> [u8; SIZE],
) -> Result<NonNull<u8>, Refused> {
    let name: Text<64> = Text::format(format_args!("{prefix}{token}"));
    let file = File::in_memory(name.as_c())?;
    // Several pieces with one system call.
    let mut block = [0; BLOCK];
    let mut made = 0;
    while made < pieces {
        let before = made;
        for (to, index) in block.as_chunks_mut().0.iter_mut().zip(before..pieces) {
            *to = code(index);
            made += 1;
        }
        let bytes = block.get(..(made - before) * SIZE).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or(Refused { what: "a piece of code", errno: libc::E2BIG })?;
        file.append(before * SIZE, bytes)?;
    }
    file.seal()?;
    file.map_code(pieces * SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_mapped_to_be_run_not_written() {
        let mapped = map_code("pronk-test-", Token(7), 1100, usize::to_ne_bytes).unwrap();
        // SAFETY: the mapping is 8800 bytes long and stays.
        let words = unsafe { core::slice::from_raw_parts(mapped.cast::<usize>().as_ptr(), 1100) };
        assert!(words.iter().copied().eq(0..1100));

        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("pronk-test-0000000000000007")).unwrap();
        assert!(line.contains(" r-xp "), "{line}");
    }
}
