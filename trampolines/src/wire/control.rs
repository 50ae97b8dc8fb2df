//! How a profiler and the agent in a process that it has attached to agree about the session: a page that both have mapped.
//!
//! The profiler makes the file in the session's directory, and an empty one for a reason, before the agent is called. The
//! agent's thread in the process is the only one that changes [`Control::state`]; the profiler changes the rest. Neither
//! waits for the other without a limit: the agent leaves when the heartbeat stands still, and the profiler when the process
//! has ended.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// The file's name in the session's directory.
pub const CONTROL_FILE: &str = "control";
/// The first eight bytes of the file.
pub const CONTROL_MAGIC: [u8; 8] = *b"PRONKCTL";
/// The version of the format that this crate reads and writes.
pub const CONTROL_VERSION: u32 = 1;
/// The name of the file, beside that, that takes the reason why the session cannot be.
pub const REASON_FILE: &str = "reason";
/// The most bytes of a reason that are read.
pub const LONGEST_REASON: usize = 1024;
/// The function of the agent that begins a session: it is given the path of the session's directory, zero-terminated.
pub const ATTACH_FUNCTION: &str = "pronk_attach";
/// How long the heartbeat may stand still before the agent takes the profiler for dead, in nanoseconds of its own time.
pub const LONGEST_SILENCE_NS: u64 = 3_000_000_000;

/// What became of a session in a process: the values of [`Control::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum AttachState {
    /// The agent has not been called.
    Waiting = 0,
    /// It has, and its thread waits for the interpreter's lock.
    Begun = 1,
    /// Threads are sampled.
    Sampling = 2,
    /// It cannot be done: the reason is in its file, and nothing is left.
    Refused = 3,
    /// The session is over, and nothing of it is left in the process.
    Left = 4,
}

impl AttachState {
    /// The state that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<AttachState> {
        match raw {
            0 => Some(AttachState::Waiting),
            1 => Some(AttachState::Begun),
            2 => Some(AttachState::Sampling),
            3 => Some(AttachState::Refused),
            4 => Some(AttachState::Left),
            _ => None,
        }
    }
}

/// [`Control::command`]: go on.
pub const GO_ON: u32 = 0;
/// [`Control::command`]: leave the process.
pub const LEAVE: u32 = 1;

/// The page.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Control {
    /// [`CONTROL_MAGIC`].
    pub magic: [u8; 8],
    /// [`CONTROL_VERSION`].
    pub version: u32,
    /// What the profiler wants: [`GO_ON`] or [`LEAVE`]. A futex (futex(2)), so that the agent need not look for it.
    pub command: AtomicU32,
    /// Rises as long as the profiler lives.
    pub heartbeat: AtomicU64,
    /// An [`AttachState`]. A futex as well.
    pub state: AtomicU32,
    /// Threads that did not leave in time, since they hold signals back: what they kept stays.
    pub left_behind: AtomicU32,
}

const _: () = {
    assert!(size_of::<Control>() == 64);
    assert!(offset_of!(Control, heartbeat) == 16);
    assert!(offset_of!(Control, left_behind) == 28);
};

impl Control {
    /// A page for a new session.
    pub const fn new() -> Control {
        Control {
            magic: CONTROL_MAGIC,
            version: CONTROL_VERSION,
            command: AtomicU32::new(GO_ON),
            heartbeat: AtomicU64::new(0),
            state: AtomicU32::new(AttachState::Waiting as u32),
            left_behind: AtomicU32::new(0),
        }
    }
}

impl Default for Control {
    fn default() -> Control {
        Control::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back() {
        for raw in 0..5 {
            assert_eq!(AttachState::from_raw(raw).unwrap() as u32, raw);
        }
        assert_eq!(AttachState::from_raw(5), None);
    }
}
