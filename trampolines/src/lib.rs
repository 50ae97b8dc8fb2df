//! What runs inside the profiled program.
//!
//! Each function of an interpreter runs through a native *stub* of its own, so that a plain native stack sample holds
//! one address per function, and the *registry* says what each address is called.
//!
//! - [`stub`]: the machine code of stubs, the memory they live in, and their unwind information.
//! - [`functions`]: gives each function its stub, and names it in the registry, a file that is shared with the profiler.
//! - [`context`]: labels, and the frames that they belong to; what programs in Rust say themselves of for whom they work.
//! - [`wire`]: the format of what is shared.
//! - [`attach`]: a session that begins while the process runs.
//! - [`execute`]: programs that the process executes belong to the session as well.
//! - [`perf_event`]: what signals a thread each time that it has run for a while.
//! - [`ring`]: how samples go from a signal handler in the process to the profiler.
//! - [`python`]: CPython's side: finding it in the process, its layouts, and the frame evaluation hook.
//!
//! `stub`, `functions`, `context` and `wire` know nothing of CPython: any interpreter can use them.
//!
//! But for [`context::stack`](context), the crate is `no_std` and allocates nothing from the program's heap. The library that
//! is loaded into a target (the *agent*, built with the feature `agent`, without that module) fails to link if it contains a
//! path to a panic.
#![no_std]

#[cfg(any(test, not(feature = "agent")))]
extern crate std;

#[cfg(feature = "agent")]
mod agent;
pub mod attach;
pub mod capture;
pub mod context;
mod counts;
pub mod execute;
pub mod functions;
mod lock;
pub mod python;
mod registry;
pub mod ring;
pub mod stub;
mod sys;
pub mod wire;

pub use sys::{Refused, perf_event};
