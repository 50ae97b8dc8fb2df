//! Memory for generated code.
//!
//! Code is written into a file in memory, the file is sealed against every further write, and only then it is mapped
//! and run. So it is never writable and executable at once, not even through two mappings, and forks share it safely.
//! It is never unmapped: an address in it may be on a stack.

use crate::sys::{File, Refused, Text};
use crate::wire::Token;
use core::ptr::NonNull;

/// Maps `copies` copies of `code`, one behind the other, under the name `<prefix><token>`.
///
/// # Errors
/// When the kernel refuses the file or the mapping.
pub fn map_code(prefix: &str, token: Token, code: &[u8], copies: usize) -> Result<NonNull<u8>, Refused> {
    let name: Text<64> = Text::format(format_args!("{prefix}{token}"));
    let file = File::in_memory(name.as_c())?;
    // Several copies with one system call.
    let mut block = [0; 4096];
    let (mut in_block, mut to) = (0, block.as_mut_slice());
    while let Some((copy, rest)) = to.split_at_mut_checked(code.len()).filter(|_| in_block < copies) {
        copy.copy_from_slice(code);
        (in_block, to) = (in_block + 1, rest);
    }
    let mut left = copies;
    while left > 0 && in_block > 0 {
        let now = in_block.min(left);
        let size = (copies - left) * code.len();
        file.append(size, block.get(..now * code.len()).unwrap_or_default())?;
        left -= now;
    }
    file.seal()?;
    file.map_code(copies * code.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_repeated_and_mapped_to_be_run_not_written() {
        let mapped = map_code("pronk-test-", Token(7), &[1, 2, 3, 4, 5, 6, 7, 8], 1024).unwrap();
        // SAFETY: the mapping is 8192 bytes long and stays.
        let bytes = unsafe { core::slice::from_raw_parts(mapped.as_ptr(), 8192) };
        assert!(bytes.chunks(8).all(|chunk| chunk == [1, 2, 3, 4, 5, 6, 7, 8]));

        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("pronk-test-0000000000000007")).unwrap();
        assert!(line.contains(" r-xp "), "{line}");
    }
}
