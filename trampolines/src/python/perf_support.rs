//! Whether CPython's own support for perf is asked for, which sets a frame evaluator while the interpreter starts.

use super::version::Version;
use crate::sys;
use core::ffi::CStr;

/// The variables that ask for it (documentation of CPython, "Command line and environment"), if they are not empty.
const VARIABLES: [&CStr; 2] = [c"PYTHONPERFSUPPORT", c"PYTHON_PERF_JIT_SUPPORT"];

/// Whether this interpreter sets perf's evaluator, and bears no other one before it: 3.12 to 3.14 (3.15 calls an earlier
/// one; Python/perf_trampoline.c).
pub fn comes_first(version: Version) -> bool {
    (12..=14).contains(&version.minor) && is_asked_for()
}

/// Looks at the environment and at the process's arguments. What is meant for the program, and not for the interpreter,
/// may look the same: the hook then comes a little later, and nothing is lost.
fn is_asked_for() -> bool {
    let set = |name: &&CStr| sys::environment(name).is_some_and(|value| !value.as_bytes().is_empty());
    let mut arguments = [0; 4096];
    VARIABLES.iter().any(set) || sys::read(c"/proc/self/cmdline", &mut arguments).is_ok_and(is_among)
}

/// Whether `-X perf` or `-X perf_jit` is among arguments that end with zeros each.
fn is_among(arguments: &[u8]) -> bool {
    let mut after_x = false;
    arguments.split(|byte| *byte == 0).any(|argument| {
        let value = if after_x { Some(argument) } else { argument.strip_prefix(b"-X") };
        after_x = argument == b"-X";
        matches!(value, Some(b"perf" | b"perf_jit"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perf_is_found_among_arguments() {
        assert!(is_among(b"python3\0-X\0perf\0app.py\0"));
        assert!(is_among(b"python3\0-Xperf_jit\0"));
        assert!(!is_among(b"python3\0-X\0dev\0perf\0"));
        assert!(!is_among(b"python3\0-Xperfect\0"));
        assert!(!is_among(b""));
    }
}
