//! Texts that the kernel writes of a process (proc(5)).
//!
//! There are names in them that the process has chosen, of any bytes (PR_SET_NAME of prctl(2)): what is not UTF-8 costs the
//! name, and not what stands beside it.

use std::io;
use std::path::Path;

/// Reads a text.
///
/// # Errors
/// When it cannot be read: mostly since the process has ended.
pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<String> {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_may_be_called_anything() {
        let named = std::thread::spawn(|| {
            let name = c"a\xff";
            // SAFETY: the name is a text that ends with a zero.
            unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
            ["comm", "status"].map(|file| read(format!("/proc/thread-self/{file}")).unwrap())
        });
        let [name, status] = named.join().unwrap();
        assert_eq!(name, "a\u{fffd}\n");
        assert!(status.contains(&format!("\nTgid:\t{}\n", std::process::id())), "{status}");
    }
}
