//! Where results go: checked before the program runs, written whole or not at all, and never lost for want of space.

use crate::export::Format;
use anyhow::{Context, Result, bail};
use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced: the user named it.
    Replace,
    /// It is kept once, with `.old` before its extension: pronk chose the name.
    KeepAsOld,
}

/// A file that will be written.
#[derive(Clone, Debug)]
pub struct Output<F = Format> {
    path: PathBuf,
    existing: Existing,
    /// What is written, where that matters to who writes it.
    pub format: F,
}

/// Where a file was written.
#[derive(Debug)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Where the file is that had the name before.
    pub previous: Option<PathBuf>,
    /// Why the file is not where it was asked for.
    pub instead_because: Option<anyhow::Error>,
}

impl Output<Format> {
    /// The same with a mark in the file's name, before its extension: `profile.svg` becomes `profile.7.svg`.
    pub fn tagged(&self, tag: &str) -> Output {
        let path = self.path.with_extension(format!("{tag}.{}", self.format.extension()));
        Output { path, ..self.clone() }
    }
}

impl<F> Output<F> {
    /// A file to write, if it can be written: its directory is there and takes new files.
    ///
    /// # Errors
    /// When it cannot be written, with the reason.
    pub fn new(path: &Path, format: F, existing: Existing) -> Result<Self> {
        // A link is followed, so that the file that it points to is replaced and not the link.
        let path = if path.is_symlink() { fs::canonicalize(path).unwrap_or(path.to_owned()) } else { path.to_owned() };
        if path.is_dir() {
            bail!("cannot write {}: it is a directory", path.display());
        }
        let output = Output { path, existing, format };
        output.temporary_in(output.directory()).with_context(|| format!("cannot write {}", output.path.display()))?;
        Ok(output)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file: under another name first, so that it is there whole or not at all. Where that fails (the disk
    /// is full, the directory is gone), the file goes to the first of the usual directories that takes it.
    ///
    /// # Errors
    /// When no directory takes it, or when `write` itself fails for another reason than the file.
    pub fn write(&self, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<Written> {
        let error = match self.write_here(&write) {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        for directory in fallback_directories() {
            if let Ok(path) = self.write_to(&directory, &write).and_then(|file| Ok(file.into_temp_path().keep()?)) {
                return Ok(Written { path, previous: None, instead_because: Some(error) });
            }
        }
        Err(error)
    }

    /// Writes the file where it was asked for, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub fn write_here(&self, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<Written> {
        let previous = self.write_in_place(&write).with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(Written { path: self.path.clone(), previous, instead_because: None })
    }

    fn write_in_place(&self, write: &impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<Option<PathBuf>> {
        let file = self.write_to(self.directory(), write)?;
        let previous = match self.existing {
            Existing::KeepAsOld if self.path.exists() => {
                let old = old_name(&self.path);
                fs::rename(&self.path, &old).with_context(|| format!("cannot keep it as {}", old.display()))?;
                Some(old)
            }
            _ => None,
        };
        file.persist(&self.path)?;
        Ok(previous)
    }

    fn write_to(&self, directory: &Path, write: &impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<NamedTempFile> {
        let file = self.temporary_in(directory)?;
        let mut buffer = BufWriter::new(file);
        write(&mut buffer)?;
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        // Some file systems (NFS, quotas) report a full disk only now.
        file.as_file().sync_data()?;
        Ok(file)
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(directory) if directory.as_os_str().is_empty() => Path::new("."),
            Some(directory) => directory,
            None => Path::new("/"),
        }
    }

    fn temporary_in(&self, directory: &Path) -> io::Result<NamedTempFile> {
        // A file that goes to another directory opens as what it is.
        let extension = self.path.extension().map(|extension| format!(".{}", extension.display())).unwrap_or_default();
        // tempfile's own errors name the file that it tried, which says nothing to the user.
        let reason = Cell::new(None);
        let create = |path: &Path| {
            // As any program creates files: the umask takes away what the user does not want.
            let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(path);
            file.inspect_err(|error| reason.set(error.raw_os_error()))
        };
        let file = tempfile::Builder::new().prefix("pronk-").suffix(&extension).make_in(directory, create);
        file.map_err(|error| {
            let error = reason.get().map_or(error, io::Error::from_raw_os_error);
            io::Error::new(error.kind(), format!("directory {}: {error}", directory.display()))
        })
    }
}

fn fallback_directories() -> impl Iterator<Item = PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    [variable("TMPDIR"), Some(PathBuf::from("/tmp")), variable("HOME")].into_iter().flatten()
}

/// `profile.svg` becomes `profile.old.svg`, so that the old file still opens as what it is.
fn old_name(path: &Path) -> PathBuf {
    match path.extension() {
        Some(extension) => {
            let mut end = std::ffi::OsString::from("old.");
            end.push(extension);
            path.with_extension(end)
        }
        None => path.with_extension("old"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(path: &Path, existing: Existing) -> Output {
        Output::new(path, Format::Folded, existing).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn checking_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        output(&directory.path().join("a.folded"), Existing::Replace);
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_file_of_the_users_name_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.folded");
        fs::write(&path, "before").unwrap();
        let written = output(&path, Existing::Replace).write(|file| file.write_all(b"after")).unwrap();
        assert!(written.previous.is_none() && written.instead_because.is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(names(directory.path()), ["a.folded"]);
    }

    #[test]
    fn a_file_of_our_name_is_kept_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.folded");
        for text in ["1", "2", "3"] {
            output(&path, Existing::KeepAsOld).write(|file| file.write_all(text.as_bytes())).unwrap();
        }
        assert_eq!(names(directory.path()), ["a.folded", "a.old.folded"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "3");
        assert_eq!(fs::read_to_string(directory.path().join("a.old.folded")).unwrap(), "2");
    }

    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("a.folded"), directory.path().join("b.folded"));
        fs::write(&target, "before").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        output(&link, Existing::Replace).write(|file| file.write_all(b"after")).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "after");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_directory_that_went_away_costs_the_place_and_not_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let output = output(&inner.join("a.folded"), Existing::Replace);
        fs::remove_dir(&inner).unwrap();
        let written = output.write(|file| file.write_all(b"text")).unwrap();
        assert!(written.instead_because.is_some());
        assert_eq!(fs::read_to_string(&written.path).unwrap(), "text");
        fs::remove_file(written.path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_said_before() {
        let directory = tempfile::tempdir().unwrap();
        let of = |path: &Path| format!("{:#}", Output::new(path, Format::Svg, Existing::Replace).unwrap_err());
        assert!(of(directory.path()).contains("it is a directory"));
        assert!(of(&directory.path().join("missing/a.svg")).contains("No such file or directory"));
        let reason = io::Error::from_raw_os_error(2);
        assert_eq!(of(Path::new("/proc/a.svg")), format!("cannot write /proc/a.svg: directory /proc: {reason}"));
    }
}
