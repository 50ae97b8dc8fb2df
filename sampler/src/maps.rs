//! The mappings of a process as `/proc/PID/maps` has them (proc_pid_maps(5)).
//!
//! The kernel announces mappings by itself. This is for when it had to drop records, and for processes that run already.
//! Paths are bytes, as a process chooses them.

use crate::files::FileId;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::str;

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapsLine {
    pub(crate) range: Range<u64>,
    pub(crate) offset: u64,
    pub(crate) file: FileId,
}

/// Reads the executable mappings of a process that still runs.
pub(crate) fn read(pid: u32) -> Vec<MapsLine> {
    let text = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    lines(&text).filter_map(parse).collect()
}

/// The lines of a text.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// Reads a line; `None` when it is not of an executable mapping.
pub(crate) fn parse(line: &[u8]) -> Option<MapsLine> {
    parse_any(line).filter(|(_, executable)| *executable).map(|(line, _)| line)
}

/// Reads a line, and whether it is of an executable mapping.
pub(crate) fn parse_any(line: &[u8]) -> Option<(MapsLine, bool)> {
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let number = |text| u32::from_str_radix(text, 16).ok();
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut text = || str::from_utf8(fields.next()?).ok();
    let (start, end) = text()?.split_once('-')?;
    let executable = text()?.as_bytes().get(2) == Some(&b'x');
    let offset = hex(text()?)?;
    let (major, minor) = text()?.split_once(':')?;
    let inode = text()?.parse().ok()?;
    // What has no name here has this one where the kernel announces it (kernel/events/core.c, Linux 6.1).
    let path = match fields.next().unwrap_or_default().trim_ascii_start() {
        b"" => b"//anon",
        path => path,
    };
    let path = OsStr::from_bytes(path).into();
    let file = FileId { path, major: number(major)?, minor: number(minor)?, inode, generation: 0 };
    Some((MapsLine { range: hex(start)?..hex(end)?, offset, file }, executable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_mappings_are_read() {
        let line = "7f00-7f10 r-xp 00002000 fd:10 77                         /lib/a b.so (deleted)";
        let file = FileId { path: "/lib/a b.so (deleted)".into(), major: 0xfd, minor: 0x10, inode: 77, generation: 0 };
        assert_eq!(parse(line.as_bytes()), Some(MapsLine { range: 0x7f00..0x7f10, offset: 0x2000, file }));
        assert_eq!(parse(b"7f00-7f10 rw-p 00002000 fd:10 77 /lib/a.so"), None);
        assert_eq!(parse(b"7f00-7f10 rwxp 00000000 00:00 0 ").unwrap().file.path.to_str(), Some("//anon"));
        for broken in ["", "7f00", "7f00-7f10 r-xp", "7f00-zz r-xp 0 0:0 0 x", "1-2 r-xp 0 00 0"] {
            assert_eq!(parse(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_path_is_bytes_and_costs_no_other_line() {
        let text = b"1000-2000 r-xp 0 0:0 7 /lib/\xff.so\n3000-4000 r-xp 0 0:0 8 /lib/b.so\n";
        let paths: Vec<_> = lines(text).filter_map(parse).map(|line| line.file.path.into_os_string()).collect();
        assert_eq!(paths, [OsStr::from_bytes(b"/lib/\xff.so"), OsStr::new("/lib/b.so")]);
    }

    #[test]
    fn this_process_has_executable_mappings() {
        let here = executable_mappings_are_read as *const () as u64;
        assert!(read(std::process::id()).iter().any(|line| line.range.contains(&here)));
    }
}
