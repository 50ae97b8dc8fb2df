//! The profiler's side of a session's control page ([`pronk_trampolines::wire::Control`]).
//!
//! # Safety
//! `unsafe` is needed to map the page, which the process has mapped as well, and may change at any moment: it is only ever
//! reached through atomics, and what is read is validated. What happens when the file is cut off is [`SharedMemory`]'s; that it
//! was is noticed by the file's size.

use crate::error::Error;
use crate::shared_memory::SharedMemory;
use pronk_trampolines::wire::{AttachState, CONTROL_FILE, Control, LEAVE, LONGEST_REASON, REASON_FILE};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A control page that is mapped.
#[derive(Debug)]
pub(super) struct ControlPage {
    memory: SharedMemory,
    file: File,
    reason: File,
}

impl ControlPage {
    /// Makes the page, and the file for a reason, in a session's directory.
    ///
    /// # Errors
    /// When the files cannot be made or mapped.
    pub(super) fn create(directory: &Path) -> Result<ControlPage, Error> {
        let create = |name: &str| {
            let path = directory.join(name);
            let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
            options.map_err(|source| Error::File { action: "make", path, source })
        };
        let mut file = create(CONTROL_FILE)?;
        let reason = create(REASON_FILE)?;
        let control = Control::new();
        // SAFETY: the structure is plain data without padding: its fields are as its size says.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const control).cast::<u8>(), size_of::<Control>()) };
        file.write_all(bytes).map_err(Error::system("write"))?;
        let memory = SharedMemory::map(&file, size_of::<Control>()).map_err(Error::system("mmap"))?;
        Ok(ControlPage { memory, file, reason })
    }

    /// The page, unless its file was cut off.
    fn control(&self) -> Option<&Control> {
        let is_whole = self.file.metadata().is_ok_and(|metadata| metadata.len() >= size_of::<Control>() as u64);
        if !is_whole {
            return None;
        }
        // SAFETY: the page is mapped as long as this value lives, and its fields are atomics.
        Some(unsafe { self.memory.base().cast().as_ref() })
    }

    /// What became of the session in the process; `None` where it says what there is not.
    pub(super) fn state(&self) -> Option<AttachState> {
        AttachState::from_raw(self.control()?.state.load(Ordering::Acquire))
    }

    /// Waits until the state may be another one than this, or a time is over.
    pub(super) fn wait_for_change(&self, was: AttachState, longest: Duration) {
        let Some(control) = self.control() else { return std::thread::sleep(longest) };
        let timeout =
            libc::timespec { tv_sec: longest.as_secs() as libc::time_t, tv_nsec: longest.subsec_nanos().into() };
        let word = control.state.as_ptr();
        // SAFETY: the word is valid, and so is the time (futex(2)).
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, was as u32, &raw const timeout) };
    }

    /// The inode of the page's file.
    pub(super) fn inode(&self) -> Option<u64> {
        self.file.metadata().ok().map(|metadata| metadata.ino())
    }

    /// Says that the profiler lives.
    pub(super) fn beat(&self) {
        if let Some(control) = self.control() {
            control.heartbeat.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the agent to leave.
    pub(super) fn tell_to_leave(&self) {
        if let Some(control) = self.control() {
            control.command.store(LEAVE, Ordering::Release);
            // SAFETY: the word is valid (futex(2)).
            unsafe { libc::syscall(libc::SYS_futex, control.command.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
        }
    }

    /// How many threads did not leave.
    pub(super) fn left_behind(&self) -> u32 {
        self.control().map_or(0, |control| control.left_behind.load(Ordering::Relaxed))
    }

    /// Why there can be no session, if that was said: one line.
    pub(super) fn reason(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let reader = &mut self.reason;
        io::Seek::rewind(reader).ok()?;
        reader.take(LONGEST_REASON as u64).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

/// Reads a page and a reason that have these bytes: whether the state is one.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) -> usize {
    let Ok(directory) = tempfile::tempdir() else { return 0 };
    let Ok(mut page) = ControlPage::create(directory.path()) else { return 0 };
    let (control, reason) = data.split_at_checked(size_of::<Control>()).unwrap_or((data, &[]));
    for (name, bytes) in [(CONTROL_FILE, control), (REASON_FILE, reason)] {
        // What cannot be written is not read.
        let _ = std::fs::write(directory.path().join(name), bytes);
    }
    let reason = page.reason();
    assert!(reason.is_none_or(|reason| reason.len() <= 3 * LONGEST_REASON && !reason.contains(char::is_control)));
    page.beat();
    page.tell_to_leave();
    let _ = page.left_behind();
    usize::from(page.state().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_whole_or_nothing_is_read_from_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut page = ControlPage::create(directory.path()).unwrap();
        assert_eq!((page.state(), page.reason()), (Some(AttachState::Waiting), None));
        page.beat();
        page.tell_to_leave();
        let path = directory.path().join(CONTROL_FILE);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes[12], bytes[16]), (1, 1));
        std::fs::write(directory.path().join(REASON_FILE), "no\nroom\n").unwrap();
        assert_eq!(page.reason().as_deref(), Some("no room"));
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        page.beat();
        assert_eq!((page.state(), page.left_behind()), (None, 0));
    }
}
