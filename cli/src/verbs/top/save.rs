//! Saves what was recorded so far.

use crate::export::Format;
use crate::output::{Existing, Output};
use anyhow::Result;
use pronk_symbolizer::file;
use pronk_symbolizer::profile::Profile;
use std::path::{Path, PathBuf};

/// A name that no file has.
pub fn free_name() -> String {
    let names = (1..).map(|number| if number == 1 { "top.pronk".to_owned() } else { format!("top-{number}.pronk") });
    names.into_iter().find(|name| !is_there(Path::new(name))).unwrap_or_default()
}

/// The file of a name, which ends as those of profiles do.
pub fn path(name: &str) -> PathBuf {
    let path = PathBuf::from(name);
    match Format::of(&path) {
        Some(Format::Pronk) => path,
        _ => PathBuf::from(format!("{name}.{}", Format::Pronk.extension())),
    }
}

/// Whether something of that name is there.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Writes a profile.
///
/// # Errors
/// When it cannot be written there.
pub fn save(profile: &Profile, path: &Path) -> Result<()> {
    let output = Output::new(path, Format::Pronk, Existing::Replace)?;
    output.write_here(|mut to| file::write(profile, &mut to))?;
    Ok(())
}
