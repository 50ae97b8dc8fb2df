//! CPython in another process, by its memory alone: no code of the process is run.
//!
//! What CPython's structures look like is in `pronk_trampolines::python::layout`, and so are those who read them in the process
//! itself, wherever they can be used here: they go by a `Memory`, and a [`snapshot::Snapshot`] is one. Every loop here has an end
//! whatever the process has in its memory, and every list of what was found a bound.

pub(crate) mod code;
pub(crate) mod find;
pub(crate) mod locals;
mod names;
pub(crate) mod snapshot;
pub(crate) mod tasks;
pub(crate) mod threads;
mod values;

#[cfg(test)]
mod tests;
