//! Takes stack samples of a process tree. It knows addresses, and no names.
pub mod recording;
