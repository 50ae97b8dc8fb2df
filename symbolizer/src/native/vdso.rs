//! The `[vdso]`: code that the kernel puts into every process, and that is in no file. Every process has the same one, so
//! it is read from the profiler's own memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The vdso has a few pages.
const MAX_SIZE: u64 = 1 << 20;

/// The bytes of the vdso, which are an ELF file.
pub fn image() -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let (start, end) = maps.lines().find_map(range)?;
    let size = end.checked_sub(start).filter(|&size| size <= MAX_SIZE)?;
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, start).ok()?;
    Some(bytes)
}

/// Reads a line such as `7ffd1a3f2000-7ffd1a3f4000 r-xp 00000000 00:00 0    [vdso]`.
fn range(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.strip_suffix("[vdso]")?.split_whitespace().next()?.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}
