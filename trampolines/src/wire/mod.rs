//! What the target and the profiler share: names in the environment, names of memory mappings, the registry file and the
//! file of counts.
//!
//! A session is a private directory that the profiler makes and names in [`SESSION_ENV`]. Each process that runs stubs
//! keeps one registry file in it, `<token>.registry`, where the token is a random number of that process. The memory
//! that holds its stubs is a memfd called `pronk-stubs-<token>`, so whoever sees the mapping (in `/proc/PID/maps` or
//! as an event of the kernel's) knows which registry names its addresses, whatever pid namespace the process is in.

mod control;
mod counts;
mod moments;
mod registry;
mod ring;
mod sample;
mod settings;
mod token;

pub use control::{
    ATTACH_FUNCTION, AttachState, CONTROL_FILE, CONTROL_MAGIC, CONTROL_VERSION, Control, GO_ON, LEAVE, LONGEST_REASON,
    LONGEST_SILENCE_NS, REASON_FILE,
};
pub use counts::{
    COUNTERS, COUNTS_EXTENSION, COUNTS_MAGIC, COUNTS_VERSION, CountsHeader, GROUPS, HEAD_COUNTERS, Head, LANE_SIZE,
    LANES_AT, LaneHead, MOST_LANES, NO_COUNTER, SETTLING, lane_at,
};
pub use moments::{
    AS_THE_THREAD, ClosedRecord, EndedRecord, ForgetRecord, InheritsRecord, NO_TASK, NOT_RESTORED, OpenedRecord,
    TaskRecord,
};
pub use registry::{
    Function, FunctionKind, Header, KINDS, LineTableFormat, ReadError, Reader, Record, RecordHeader, RecordKind, Status,
};
pub use registry::{FunctionRecord, MAGIC, MESSAGE_SIZE, Records, VERSION, read_function};
pub use ring::{RING_DATA, RING_EXTENSION, RING_MAGIC, RING_VERSION, RingHeader, RingLine, RingRecord};
pub use sample::{FrameLink, NO_INSTRUCTION, REGISTERS, RingRecordKind, SampleRecord, ThreadRecord, sample_flags};
pub use sample::{LONGEST_TASK_NAME, MOST_AWAITERS, REMEMBERED_SCOPES, ScopeRecord, TASK_KEY};
pub use settings::{
    ARGUMENTS_SIZE, ArgumentName, DIRECTORY_SIZE, Driver, Followed, MOST_ARGUMENTS, MOST_VARIABLES, Mode,
    SETTINGS_FILE, SETTINGS_MAGIC, SETTINGS_VERSION, Settings, StubsSetting, VARIABLES_SIZE, VariableName,
};
pub use token::{ParseTokenError, Token};

/// The environment variable that names the session's directory to the agent.
pub const SESSION_ENV: &str = "PRONK_SESSION";

/// The name of the agent's library in the session's directory.
pub const LIBRARY_FILE: &str = "libpronk.so";

/// What the name of a mapping that holds stubs begins with, followed by 16 hexadecimal digits of the [`Token`].
///
/// In `/proc/PID/maps` and in `PERF_RECORD_MMAP2` the kernel writes `/memfd:` before it and ` (deleted)` behind.
pub const STUBS_NAME: &str = "pronk-stubs-";

/// What the name of the mapping that holds an interpreter's hook begins with, followed by the same digits.
pub const HOOK_NAME: &str = "pronk-hook-";

/// The extension of a registry file.
pub const REGISTRY_EXTENSION: &str = "registry";

/// Which code of ours a mapping holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeKind {
    /// Stubs, [`crate::stub::STUB_SIZE`] bytes each, from the mapping's first byte on.
    Stubs,
    /// The hook that leads CPython to the stubs.
    Hook,
}

/// Finds what a mapping holds, and the token of its registry, from its name as the kernel shows it.
///
/// Returns `None` for every mapping that is not ours.
pub fn code_of_mapping(name: &[u8]) -> Option<(CodeKind, Token)> {
    let name = name.strip_prefix(b"/memfd:")?;
    let (kind, digits) = match name.strip_prefix(STUBS_NAME.as_bytes()) {
        Some(digits) => (CodeKind::Stubs, digits),
        None => (CodeKind::Hook, name.strip_prefix(HOOK_NAME.as_bytes())?),
    };
    let digits = digits.strip_suffix(b" (deleted)").unwrap_or(digits);
    Some((kind, core::str::from_utf8(digits).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_by_the_name_of_its_mapping() {
        let token = Token(0xdead_beef);
        let deleted = code_of_mapping(b"/memfd:pronk-stubs-00000000deadbeef (deleted)");
        assert_eq!(deleted, Some((CodeKind::Stubs, token)));
        assert_eq!(code_of_mapping(b"/memfd:pronk-hook-00000000deadbeef"), Some((CodeKind::Hook, token)));
        assert_eq!(code_of_mapping(b"/memfd:other-00000000deadbeef (deleted)"), None);
        assert_eq!(code_of_mapping(b"/memfd:pronk-stubs-zz (deleted)"), None);
        assert_eq!(code_of_mapping(b"/usr/lib/libc.so.6"), None);
    }
}
