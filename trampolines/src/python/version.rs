//! Which CPython this is.

use core::ffi::CStr;

/// The oldest and the newest minor version of CPython 3 that stubs work on.
pub const SUPPORTED: core::ops::RangeInclusive<u8> = 9..=15;

/// A version, as `Py_GetVersion` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// 2 or 3.
    pub major: u8,
    /// 12 in 3.12.1.
    pub minor: u8,
    /// 1 in 3.12.1.
    pub micro: u8,
    /// Whether it is an alpha, a beta or a release candidate.
    pub pre_release: bool,
    /// Whether the build has no global interpreter lock.
    pub free_threaded: bool,
}

impl Version {
    /// Reads a text such as `3.13.0 experimental free-threading build (main, ...) [GCC 12.2.0]`.
    pub fn parse(text: &CStr) -> Option<Version> {
        let text = text.to_bytes();
        let (major, rest) = number(text)?;
        let (minor, rest) = number(rest.strip_prefix(b".")?)?;
        let (micro, rest) = number(rest.strip_prefix(b".")?)?;
        // "3.15.0a1", and "3.12.1+" for what was built from a repository.
        let pre_release = matches!(rest.first(), Some(b'a' | b'b' | b'r' | b'c'));
        let free_threaded = text.windows(b"free-threading".len()).any(|part| part == b"free-threading");
        Some(Version { major, minor, micro, pre_release, free_threaded })
    }

    /// `PY_VERSION_HEX` (Include/patchlevel.h), with the last byte zero for a pre-release.
    pub fn hex(self) -> u32 {
        let level = if self.pre_release { 0 } else { 0xf0 };
        u32::from_be_bytes([self.major, self.minor, self.micro, level])
    }
}

/// The decimal number that a text begins with, and what comes after it.
fn number(text: &[u8]) -> Option<(u8, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((core::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_interpreters_print_them() {
        let version = |text| Version::parse(text).unwrap();
        let plain = version(c"3.12.1 (main, May  9 2026, 10:00:00) [GCC 12.2.0]");
        assert_eq!((plain.major, plain.minor, plain.micro), (3, 12, 1));
        assert!(!plain.pre_release && !plain.free_threaded);
        assert_eq!(plain.hex(), 0x030c_01f0);
        assert!(version(c"3.13.0 experimental free-threading build (main) [GCC]").free_threaded);
        assert!(version(c"3.15.0a1+ (heads/main) [GCC]").pre_release);
        assert!(version(c"3.14.0rc2 (main) [GCC]").pre_release);
        assert!(!version(c"3.11.0+ (main) [GCC]").pre_release);
        assert_eq!(version(c"2.7.18 (default)").minor, 7);
        assert_eq!(Version::parse(c"unknown"), None);
    }
}
