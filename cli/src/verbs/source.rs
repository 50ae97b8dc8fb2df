//! Which file of a profile is meant by a name, and its text.

use crate::export::Source;
use anyhow::{Result, bail};
use pronk_symbolizer::profile::{Profile, StringId};
use pronk_symbolizer::view::View;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The longest source that is read, in bytes.
const LONGEST_SOURCE: u64 = 64 << 20;

/// Finds a file by the end of its path.
///
/// # Errors
/// When no file that was seen, or more than one, is called so; and when none of its lines is known.
pub fn find(profile: &Profile, view: &View<'_>, wanted: &Path) -> Result<Source> {
    let files: Vec<StringId> = view.files().iter().map(|count| count.file).collect();
    let file = match matching(profile, &files, wanted).as_slice() {
        [file] => *file,
        [] => bail!("no sample is in {}; there are samples in: {}", wanted.display(), names(profile, &files)),
        several => bail!("{} can be each of: {}; give more of the path", wanted.display(), names(profile, several)),
    };
    if !view.knows_lines() && view.source(file).lines.is_empty() {
        bail!("{}", super::no_lines(profile));
    }
    let path = Path::new(&profile.strings[file.index()]);
    Ok(match read(path).or_else(|error| read(wanted).map_err(|_| error)) {
        Ok((text, modified)) => {
            let changed = modified > profile.meta.started_at_unix;
            let remark =
                changed.then(|| "the file was changed after the profile was begun: lines may be off".to_owned());
            Source { file, text: Some(text), remark }
        }
        Err(error) => {
            let remark = format!("it cannot be read here ({error}): only the lines with samples are shown");
            Source { file, text: None, remark: Some(remark) }
        }
    })
}

/// The files that are meant: the one that is called exactly so, or those whose paths end so.
fn matching(profile: &Profile, files: &[StringId], wanted: &Path) -> Vec<StringId> {
    let path = |file: &StringId| Path::new(profile.strings[file.index()].as_str());
    let absolute = fs::canonicalize(wanted).ok();
    let exact = |file: &&StringId| path(file) == wanted || Some(path(file)) == absolute.as_deref();
    if let Some(&file) = files.iter().find(exact) {
        return vec![file];
    }
    let end: PathBuf = wanted.strip_prefix(".").unwrap_or(wanted).to_owned();
    files.iter().copied().filter(|file| path(file).ends_with(&end)).collect()
}

fn names(profile: &Profile, files: &[StringId]) -> String {
    match files {
        [] => "no file".to_owned(),
        files => super::candidates(files.iter().map(|file| profile.strings[file.index()].as_str())),
    }
}

/// The lines of a file, and when it was last written, in seconds since 1970.
fn read(path: &Path) -> io::Result<(Vec<String>, u64)> {
    let file = fs::File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_SOURCE).read_to_end(&mut bytes)?;
    let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let lines = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
    Ok((lines, modified.map_or(0, |since| since.as_secs())))
}
