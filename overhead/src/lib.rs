//! Measures what profilers cost a program.
//!
//! - [`program`]: the command that a user wants to run, and the Python in it.
//! - [`profilers`]: what it can be run under; [`choice`]: which of these are there.
//! - [`measure`]: runs it once, and measures the target apart from the profiler; [`interrupts`] end a run.
//! - [`rounds`]: runs all, interleaved; [`results`]: what that says; [`statistics`]: how sure it is.
//! - [`campaign`]: all of it for a command.
//! - [`machine`]: what it was measured on.

pub mod campaign;
pub mod choice;
pub mod interpreter;
pub mod interrupts;
pub mod machine;
pub mod measure;
pub mod profilers;
pub mod program;
pub mod results;
pub mod rounds;
pub mod statistics;
mod wait;
