//! Gives names to samples, merges native and Python frames, and holds the profile.
pub mod profile;
