//! What a ring says where samples are taken by somebody outside: for whom each moment is.
//!
//! A sample from outside has the stack with its stub records, and so the addresses of its frames, and of the thread's state.
//! The moments, in the order of time, say what holds for those. A moment is written before what it says can be seen: a
//! reader that looks at the ring when it has a sample finds all moments that came before that.
//!
//! All times are on CLOCK_MONOTONIC, in nanoseconds.

use core::mem::size_of;

/// A scope was opened. Behind it come its labels, as behind a [`super::ScopeRecord`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct OpenedRecord {
    /// When.
    pub time_ns: u64,
    /// The frame that it is open on; 0 where it is only inherited.
    pub frame: u64,
    /// The stub of the frame's function: tells the frame from another one that comes to lie at the same address.
    pub stub: u64,
    /// Its serial number, which is not 0.
    pub serial: u64,
    /// The scope that was around it, for contexts that inherit both; or 0.
    pub inherits: u64,
}

/// A scope is open on its frame no more. Contexts may go on to inherit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct ClosedRecord {
    /// When.
    pub time_ns: u64,
    /// Its serial number.
    pub serial: u64,
    /// The state of the thread that has closed it.
    pub state: u64,
    /// What the thread's context inherits again from now on, if that was this scope; [`NOT_RESTORED`] if it was not.
    pub restored: u64,
}

/// See [`ClosedRecord::restored`].
pub const NOT_RESTORED: u64 = u64::MAX;

/// A scope is neither open nor inherited any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct EndedRecord {
    /// When.
    pub time_ns: u64,
    /// Its serial number.
    pub serial: u64,
}

/// A thread goes over to a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct InheritsRecord {
    /// When.
    pub time_ns: u64,
    /// The thread's state.
    pub state: u64,
    /// The scope that the context inherits, or 0.
    pub serial: u64,
}

/// The coroutine of a task is entered or resumed. Behind it come `name_size` bytes of the task's name in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct TaskRecord {
    /// When.
    pub time_ns: u64,
    /// The state of the thread that runs it.
    pub state: u64,
    /// The coroutine's frame.
    pub frame: u64,
    /// The stub of the coroutine's function.
    pub stub: u64,
    /// The scope that its context inherits, where that is not the one that was said of the thread; else [`AS_THE_THREAD`].
    pub inherits: u64,
    /// The bytes of the name; [`NO_TASK`] where the frame, which once was a task's, is none any more.
    pub name_size: u64,
}

/// See [`TaskRecord::inherits`].
pub const AS_THE_THREAD: u64 = u64::MAX;
/// See [`TaskRecord::name_size`].
pub const NO_TASK: u64 = u64::MAX;

/// There was no room for a moment, and there may have been more since: nothing that was said before holds. Until this is
/// written, [`super::RingHeader::unsaid_since`] has the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct ForgetRecord {
    /// When the first moment found no room.
    pub since_ns: u64,
}

const _: () = {
    assert!(size_of::<OpenedRecord>() == 40);
    assert!(size_of::<ClosedRecord>() == 32);
    assert!(size_of::<EndedRecord>() == 16);
    assert!(size_of::<InheritsRecord>() == 24);
    assert!(size_of::<TaskRecord>() == 48);
    assert!(size_of::<ForgetRecord>() == 8);
};
