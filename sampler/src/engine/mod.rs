//! Ways to take samples.

pub(crate) mod perf;
