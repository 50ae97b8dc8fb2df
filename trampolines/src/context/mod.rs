//! Scopes: the labels of a block of code, and to which frame each block belongs.
//!
//! A label belongs to the frame whose code has opened it. So nothing needs to be put back when a frame is suspended, resumed,
//! or thrown away with an exception: a sample has the labels of the frames that are on its stack. A scope may also
//! *inherit*: what was around when a task was made goes on to hold for it, although its frames are of the past.
//!
//! - [`Scopes`]: those that are open, found by the address of their frame. They can be looked up in a signal handler.
//! - `stack`: contexts that programs in Rust keep themselves.
//! - `table`: from an address to a number, without a lock for who reads.
//! - `pairs`: keys and values as text.
//!
//! Nothing here knows of CPython: a frame is whatever has an address as long as it lives.

mod pairs;
mod scopes;
#[cfg(not(feature = "agent"))]
pub mod stack;
mod table;

pub use pairs::{PAIRS_SIZE, Pairs};
pub use scopes::{MOST_SCOPES, Opened, Said, ScopeNumber, Scopes};
