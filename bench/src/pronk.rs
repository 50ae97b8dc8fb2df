//! Finds `pronk`, and says how it is asked to record.

use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A `pronk` that can be run.
#[derive(Clone, Debug)]
pub struct Pronk {
    path: PathBuf,
    /// What it says of its own version.
    pub version: String,
}

/// How a recording is made.
#[derive(Clone, Debug)]
pub struct Recording<'a> {
    /// The file to write.
    pub output: &'a Path,
    /// Samples per second of CPU time.
    pub frequency: u32,
    /// Further options of `pronk record`.
    pub options: &'a [OsString],
}

impl Pronk {
    /// Finds pronk: at the path that is given, else beside this program, where cargo puts both.
    ///
    /// # Errors
    /// When there is none, or it does not say its version.
    pub fn find(given: Option<&Path>) -> Result<Pronk> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => {
                let own = env::current_exe().context("the path of pronk-bench is not known")?;
                let beside = own.with_file_name("pronk");
                if !beside.is_file() {
                    bail!(
                        "there is no pronk at {}: build it (cargo build --release -p pronk), or name it with --pronk PATH",
                        beside.display()
                    );
                }
                beside
            }
        };
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .with_context(|| format!("{} does not start", path.display()))?;
        if !output.status.success() {
            bail!("{} --version ended with {}", path.display(), output.status);
        }
        Ok(Pronk { path, version: String::from_utf8_lossy(&output.stdout).trim().to_owned() })
    }

    /// The words that go before a command to record it.
    pub fn record(&self, recording: &Recording<'_>) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![self.path.clone().into(), "record".into()];
        words.extend(["-o".into(), recording.output.into(), "-F".into(), recording.frequency.to_string().into()]);
        words.extend_from_slice(recording.options);
        words.push("--".into());
        words
    }

    /// The command that reports on a profile, as JSON.
    pub fn report(&self, profile: &Path) -> Vec<OsString> {
        vec![self.path.clone().into(), "report".into(), profile.into(), "--json".into()]
    }
}
