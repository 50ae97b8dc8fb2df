//! Gives names to samples, merges native and Python frames, and holds the profile.
//!
//! - [`symbolize`] turns a recording, the registries of its session and the ELF files into a [`profile::Profile`].
//! - [`mod@file`] writes and reads the `.pronk` file.
//! - [`along_awaits`] puts tasks on top of the tasks that await them.
//! - [`view`] shows a profile: which frames are visible, what they are called, and how often each was seen.
//!
//! Nothing that is read (ELF and DWARF, registries, `/proc/kallsyms`, profiles) is trusted: what is damaged costs names
//! and never the profile. Files are read and never mapped, since a mapped file that is truncated kills its reader.

mod awaits;
mod counts;
pub mod file;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod lines;
pub mod live;
mod machinery;
mod merge;
mod names;
mod native;
mod part;
pub mod profile;
mod registry;
mod tables;
mod validate;
pub mod view;

pub use awaits::along_awaits;
pub use merge::symbolize;
pub use validate::OutOfRange;

#[cfg(test)]
mod testing;
