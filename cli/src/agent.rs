//! The library that is loaded into the profiled program. It travels within this one.

/// The shared library's bytes, built by `build.rs`.
pub const LIBRARY: &[u8] = include_bytes!(env!("PRONK_AGENT_LIBRARY"));
