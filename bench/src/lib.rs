//! Measures what pronk costs and how right it is.
//!
//! - [`overhead`]: a command is run plain and under `pronk record`, in pairs, by what `pronk overhead` measures with.
//! - [`accuracy`]: `examples/known_answer.py` is profiled, and the profile compared with what the program says of itself.
//! - [`sampling`]: the examples and a recursion are profiled: the samples that are lost, and what each took.
//!
//! What is measured is written as data and as a table, with the machine that it was measured on ([`output`]).
#![forbid(unsafe_code)]

pub mod accuracy;
pub mod corpus;
pub mod interpreter;
pub mod output;
pub mod overhead;
pub mod pronk;
pub mod sampling;
