//! One module per verb: each takes its arguments and returns how pronk is to end.

pub mod doctor;
pub mod flamegraph;
pub mod record;
pub mod report;
mod source;
mod summary;

use crate::args::Selection;
use anyhow::{Context, Result, bail};
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::ViewOptions;
use std::collections::BTreeSet;
use std::path::Path;

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

/// Why lines cannot be told apart, where none is known, and what to do.
fn no_lines(profile: &Profile) -> String {
    format!(
        "the profile has no lines of these functions: it was recorded by the engine {}; `pronk record --engine signal` \
         has the lines of Python functions",
        profile.meta.engine
    )
}

/// What to show of a profile.
fn options(selection: Selection, profile: &Profile) -> Result<ViewOptions> {
    if let Some(name) = &selection.thread {
        let names: BTreeSet<&str> =
            profile.threads.iter().map(|thread| profile.strings[thread.name.index()].as_str()).collect();
        let is_id = profile.threads.iter().any(|thread| thread.tid.to_string() == *name);
        if !names.contains(name.as_str()) && !is_id {
            let names: Vec<_> = names.into_iter().collect();
            bail!("the profile has no thread named {name}; its threads are named: {}", names.join(", "));
        }
    }
    Ok(ViewOptions { native: selection.native.map(Into::into), thread: selection.thread, lines: false })
}
