//! Room for a little code in a process: the padding behind the code of a file that it has mapped.
//!
//! A file's code ends somewhere in its last page, and what is mapped of that behind it nobody uses. Writing there makes the
//! page the process's own, as a breakpoint of a debugger's does; the file stays as it is.

use super::call::CODE_SIZE;
use crate::error::Error;
use crate::target::Target;
use crate::target::files::{LoadedFile, regions};
use crate::target::stop::Stopped;
use std::ops::Range;

/// How much of a thread's stack is looked through for addresses in a place, in bytes. What is called from there uses less.
const STACK_LOOKED_THROUGH: u64 = 128 << 10;

/// A place for code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(Range<u64>);

impl Place {
    /// All places of at least some bytes, one in each file that has one.
    pub(super) fn find_all<'a>(
        target: &Target,
        files: impl Iterator<Item = &'a LoadedFile>,
        size: usize,
    ) -> Vec<Place> {
        let mut places = Vec::new();
        for file in files {
            let Some(end) = file.end_of_code() else { continue };
            let Some(region) = file.code.iter().find(|region| (region.range.start..=region.range.end).contains(&end))
            else {
                continue;
            };
            let start = end.next_multiple_of(64);
            let fits = start.checked_add(size as u64).is_some_and(|end| end <= region.range.end);
            // The last page has to be one of the file's, and not behind its end: reading tells.
            if fits && target.read(start, &mut [0; 1]).is_ok() {
                places.push(Place(start..start + size as u64));
            }
        }
        places
    }

    /// Its first address.
    pub(super) fn start(&self) -> u64 {
        self.0.start
    }

    /// Whether there is nothing in it: code that was put there has not been taken away.
    pub(super) fn is_empty(&self, target: &Target) -> bool {
        let mut bytes = vec![1; (self.0.end - self.0.start) as usize];
        target.read(self.0.start, &mut bytes).is_ok() && bytes.iter().all(|byte| *byte == 0)
    }

    /// Whether a stopped thread runs code in it, or will come back to some. A thread that has made a call may have addresses of its
    /// texts on its stack for long: those are none of code.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn is_used_by(&self, target: &Target, thread: &Stopped) -> bool {
        let Ok(registers) = thread.registers() else { return false };
        let code = self.0.start..self.0.start.saturating_add(CODE_SIZE as u64);
        if code.contains(&registers.rip) {
            return true;
        }
        // Of a stack that cannot be read, nothing is certain.
        let Some(region) = regions(target).into_iter().find(|region| region.range.contains(&registers.rsp)) else {
            return true;
        };
        let start = registers.rsp.next_multiple_of(8);
        let size = region.range.end.saturating_sub(start).min(STACK_LOOKED_THROUGH);
        let mut stack = vec![0; size as usize];
        if target.read(start, &mut stack).is_err() {
            return true;
        }
        let mut words = stack.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
        words.any(|word| code.contains(&word))
    }

    /// Puts code there.
    ///
    /// # Errors
    /// When the process has ended, or the kernel refuses.
    pub(super) fn write(&self, target: &Target, code: &[u8]) -> Result<(), Error> {
        target.write(self.0.start, code).map_err(|source| Error::NotPermitted { pid: target.pid(), source })
    }

    /// Takes code away.
    pub(super) fn clear(&self, target: &Target) {
        // A process that has ended has nothing to be taken away.
        let _ = target.write(self.0.start, &vec![0; (self.0.end - self.0.start) as usize]);
    }
}
