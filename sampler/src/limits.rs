//! What the kernel's settings and this process's limits allow.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// A setting in `/proc/sys/kernel`, as a number.
pub(crate) fn number(setting: &str) -> Option<i64> {
    std::fs::read_to_string(format!("/proc/sys/kernel/{setting}")).ok()?.trim().parse().ok()
}

/// A setting in `/proc/sys/kernel`, for a message.
pub(crate) fn text(setting: &str) -> String {
    number(setting).map_or_else(|| "not readable".into(), |number| number.to_string())
}

/// The processors that are online.
pub(crate) fn online_cpus() -> Vec<usize> {
    let listed = std::fs::read_to_string("/sys/devices/system/cpu/online").ok().and_then(|list| parse_cpus(&list));
    listed.unwrap_or_else(|| {
        // SAFETY: the call takes and returns a number.
        let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        (0..usize::try_from(count).unwrap_or(1).max(1)).collect()
    })
}

/// Reads a list such as `0-3,6` (Documentation/admin-guide/cputopology.rst).
fn parse_cpus(list: &str) -> Option<Vec<usize>> {
    // The kernel can be built for 8,192 processors at most.
    const MOST: usize = 1 << 16;
    let mut cpus = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    (!cpus.is_empty()).then_some(cpus)
}

/// The soft limit for open files.
pub(crate) fn open_files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

/// The soft limit for locked memory in bytes; `None` when there is none.
pub(crate) fn memlock() -> Option<u64> {
    getrlimit(Resource::RLIMIT_MEMLOCK).ok().map(|(soft, _)| soft).filter(|&soft| soft != RLIM_INFINITY)
}

/// The same, for a message.
pub(crate) fn memlock_text() -> String {
    memlock().map_or_else(|| "unlimited".into(), |bytes| format!("{bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_cpus("0-3,6\n"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(parse_cpus("0\n"), Some(vec![0]));
        assert_eq!(parse_cpus(""), None);
        assert_eq!(parse_cpus("0-99999999999"), None);
        assert!(!online_cpus().is_empty());
    }
}
