//! For whom a program works, as it says itself: programs in Rust, and interpreters that embed this crate.
//!
//! - [`Key`]: the key of a label. Two keys with one name are two keys.
//! - [`Scope`]: one level of labels.
//! - [`Context`]: a stack of scopes, and the task that it belongs to. It is immutable once it is shared, so a snapshot is a
//!   pointer, whatever it holds.
//!
//! Each thread has a current context. [`push`] puts a scope on it and [`switch`] exchanges it, both until their [`Guard`]
//! goes; [`Key::set`], [`Key::with`] and [`Key::save`] are about its labels; [`snapshot`] is what another thread, or the
//! same one later, switches to.
//!
//! ```
//! use pronk_trampolines::context::stack::{self, Key, Scope};
//!
//! static REQUEST: Key = Key::new("request");
//! static STEP: Key = Key::new("step");
//!
//! let _request = stack::push(Scope::new().with(&REQUEST, "checkout"));
//! {
//!     let _step = stack::push(Scope::new().with(&STEP, "payment"));
//!     assert_eq!(REQUEST.get().as_deref(), Some("checkout"));
//!     assert_eq!(STEP.get().as_deref(), Some("payment"));
//! }
//! assert_eq!(STEP.get(), None);
//!
//! // Work that is handed on takes along for whom it is done.
//! let handed_on = stack::snapshot().for_task("mail");
//! std::thread::spawn(move || {
//!     let _mail = stack::switch(handed_on);
//!     assert_eq!(REQUEST.get().as_deref(), Some("checkout"));
//!     assert_eq!(stack::snapshot().task(), Some("mail"));
//! })
//! .join()
//! .unwrap();
//! ```
//!
//! Samples are not joined with these contexts yet: they are the program's own.
//!
//! These modules use `std` and allocate, so the agent is built without them.

mod cache;
mod current;
mod key;
mod levels;
mod scope;
#[cfg(test)]
mod tests;
mod trie;

pub use current::{Guard, Saved, push, snapshot, switch};
pub use key::Key;
pub use levels::Context;
pub use scope::Scope;
