//! What a process says in its ring of its labels and tasks, read from copies of its bytes. Nothing in them is believed.

use pronk_trampolines::wire::{
    AS_THE_THREAD, ClosedRecord, EndedRecord, ForgetRecord, InheritsRecord, LONGEST_TASK_NAME, NO_TASK, NOT_RESTORED,
    OpenedRecord, RingRecordKind, TaskRecord,
};
use std::mem::{offset_of, size_of};
use std::rc::Rc;

/// A moment, and when it was: CLOCK_MONOTONIC, nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) time: u64,
    pub(super) what: What,
}

/// What a moment changes. Threads are known by the address of their state, frames by theirs and their function's stub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A scope opens on a frame, which is 0 where it is only inherited.
    Opened { frame: u64, stub: u64, serial: u64, scope: Rc<Scope> },
    /// A scope closes, and the thread's context inherits another one, or none, if it did inherit this one.
    Closed { serial: u64, state: u64, restored: Option<u64> },
    /// Nobody inherits a scope any more.
    Ended { serial: u64 },
    /// A thread goes over to a context that inherits a scope, or none (0).
    Inherits { state: u64, serial: u64 },
    /// A task's coroutine runs. `inherits` is what its context inherits, where that is not what was said of the thread.
    /// Without a name, the frame is no task's any more.
    Task { state: u64, frame: u64, stub: u64, inherits: Option<u64>, name: Option<Rc<str>> },
    /// Moments are missing from here on, up to the next one: what was said before does not hold.
    Forget,
}

/// What is said of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The frame that it was opened on, or 0.
    pub(super) frame: u64,
    /// The scope that contexts inherit with it, or 0.
    pub(super) inherits: u64,
    pub(super) labels: Vec<(Rc<str>, Rc<str>)>,
}

/// Reads a record's contents. `None` when it is not what its kind says, or of no kind that is known here.
pub(super) fn read(kind: u32, bytes: &[u8]) -> Option<Moment> {
    let word = |at: usize| bytes.get(at..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk));
    let what = match RingRecordKind::from_raw(kind)? {
        RingRecordKind::Opened => {
            let (frame, inherits) = (word(offset_of!(OpenedRecord, frame))?, word(offset_of!(OpenedRecord, inherits))?);
            let labels = crate::engine::signal::records::labels(bytes.get(size_of::<OpenedRecord>()..)?);
            What::Opened {
                frame,
                stub: word(offset_of!(OpenedRecord, stub))?,
                serial: word(offset_of!(OpenedRecord, serial))?,
                scope: Rc::new(Scope { frame, inherits, labels }),
            }
        }
        RingRecordKind::Closed => What::Closed {
            serial: word(offset_of!(ClosedRecord, serial))?,
            state: word(offset_of!(ClosedRecord, state))?,
            restored: Some(word(offset_of!(ClosedRecord, restored))?).filter(|serial| *serial != NOT_RESTORED),
        },
        RingRecordKind::Ended => What::Ended { serial: word(offset_of!(EndedRecord, serial))? },
        RingRecordKind::Inherits => What::Inherits {
            state: word(offset_of!(InheritsRecord, state))?,
            serial: word(offset_of!(InheritsRecord, serial))?,
        },
        RingRecordKind::Task => {
            let name = match word(offset_of!(TaskRecord, name_size))? {
                NO_TASK => None,
                size => {
                    let size = usize::try_from(size).ok().filter(|size| *size <= LONGEST_TASK_NAME)?;
                    let name = bytes.get(size_of::<TaskRecord>()..)?.get(..size)?;
                    Some(Rc::from(String::from_utf8_lossy(name)))
                }
            };
            What::Task {
                state: word(offset_of!(TaskRecord, state))?,
                frame: word(offset_of!(TaskRecord, frame))?,
                stub: word(offset_of!(TaskRecord, stub))?,
                inherits: Some(word(offset_of!(TaskRecord, inherits))?).filter(|serial| *serial != AS_THE_THREAD),
                name,
            }
        }
        RingRecordKind::Forget => {
            return Some(Moment { time: word(offset_of!(ForgetRecord, since_ns))?, what: What::Forget });
        }
        _ => return None,
    };
    // Each of the others begins with its time.
    Some(Moment { time: word(0)?, what })
}

const _: () = {
    assert!(offset_of!(OpenedRecord, time_ns) == 0 && offset_of!(ClosedRecord, time_ns) == 0);
    assert!(offset_of!(EndedRecord, time_ns) == 0 && offset_of!(InheritsRecord, time_ns) == 0);
    assert!(offset_of!(TaskRecord, time_ns) == 0);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u64], text: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(text);
        bytes
    }

    #[test]
    fn moments_are_what_was_said() {
        let opened = bytes(&[10, 1, 2, 3, 4], b"job\0nightly\0\0\0\0\0");
        let scope = Scope { frame: 1, inherits: 4, labels: vec![("job".into(), "nightly".into())] };
        let what = What::Opened { frame: 1, stub: 2, serial: 3, scope: scope.into() };
        assert_eq!(read(RingRecordKind::Opened as u32, &opened), Some(Moment { time: 10, what }));
        let task = bytes(&[11, 1, 2, 3, AS_THE_THREAD, 4], b"main\0\0\0\0");
        let what = What::Task { state: 1, frame: 2, stub: 3, inherits: None, name: Some("main".into()) };
        assert_eq!(read(RingRecordKind::Task as u32, &task), Some(Moment { time: 11, what }));
        let none = bytes(&[11, 1, 2, 3, 5, NO_TASK], &[]);
        let what = What::Task { state: 1, frame: 2, stub: 3, inherits: Some(5), name: None };
        assert_eq!(read(RingRecordKind::Task as u32, &none), Some(Moment { time: 11, what }));
        let closed = read(RingRecordKind::Closed as u32, &bytes(&[12, 3, 1, 0], &[])).unwrap();
        assert_eq!(closed.what, What::Closed { serial: 3, state: 1, restored: Some(0) });
        let forget = read(RingRecordKind::Forget as u32, &bytes(&[7], &[]));
        assert_eq!(forget, Some(Moment { time: 7, what: What::Forget }));
    }

    #[test]
    fn records_that_are_too_short_or_claim_too_much_are_none() {
        for kind in [RingRecordKind::Opened, RingRecordKind::Closed, RingRecordKind::Ended, RingRecordKind::Inherits] {
            assert_eq!(read(kind as u32, &[0; 15]), None, "{kind:?}");
        }
        for size in [5, 129, u64::MAX - 1] {
            assert_eq!(read(RingRecordKind::Task as u32, &bytes(&[11, 1, 2, 3, 4, size], b"main")), None);
        }
        assert_eq!(read(RingRecordKind::Forget as u32, &[]), None);
        assert_eq!(read(RingRecordKind::Sample as u32, &[0; 1000]), None);
        assert_eq!(read(99, &[0; 1000]), None);
    }
}
