//! One module per verb: each takes its arguments and returns how pronk is to end.

pub mod doctor;
pub mod dump;
pub mod flamegraph;
pub mod overhead;
pub mod record;
pub mod report;
mod sampling;
mod selection;
mod source;
mod summary;
pub mod timeline;
pub mod top;

use anyhow::{Context, Result, bail};
use pronk_symbolizer::along_awaits;
use pronk_symbolizer::profile::Profile;
use std::path::Path;

/// How many names are given for somebody to choose from.
const MOST_CANDIDATES: usize = 10;

/// Reads a profile.
fn read(path: &Path) -> Result<Profile> {
    let cannot_read = || format!("cannot read {}", path.display());
    // A device could have no end.
    if !std::fs::metadata(path).with_context(cannot_read)?.is_file() {
        bail!("{}: it is not a file", cannot_read());
    }
    let bytes = std::fs::read(path).with_context(cannot_read)?;
    pronk_symbolizer::file::read(&bytes).with_context(|| format!("cannot use {}", path.display()))
}

/// Reads a profile, with tasks on top of what awaits them if that is asked for.
fn read_along(path: &Path, await_chains: bool) -> Result<Profile> {
    let profile = read(path)?;
    match (await_chains, profile.meta.await_chains) {
        (false, _) => Ok(profile),
        (true, true) => Ok(along_awaits(&profile)),
        (true, false) => {
            bail!("{} does not say what awaits each task: record it with `pronk record --await-chains`", path.display())
        }
    }
}

/// Why lines cannot be told apart, where none is known, and what to do.
fn no_lines(profile: &Profile) -> String {
    format!(
        "the profile has no lines of these functions: it was recorded by the engine {}; `pronk record --engine signal` \
         has the lines of Python functions",
        profile.meta.engine
    )
}

/// What there is to choose from, the first ones of it.
fn candidates<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let named: Vec<&str> = names.by_ref().take(MOST_CANDIDATES).collect();
    match names.count() {
        0 => named.join(", "),
        more => format!("{}, and {more} more", named.join(", ")),
    }
}
