//! A CPython interpreter, and what it says of itself.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What an interpreter says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The version, such as `3.13.0`.
    pub version: String,
    /// The version's middle number.
    pub minor: u32,
    /// The version's last number.
    pub micro: u32,
    /// `cpython` or another implementation.
    pub implementation: String,
    /// The compiler that built it.
    pub compiler: String,
    /// Whether it uses a shared libpython.
    pub shared: bool,
    /// Whether it is built without the global lock.
    pub free_threaded: bool,
}

/// An interpreter that can be run.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// The program.
    pub path: PathBuf,
    /// What it says of itself.
    pub python: Python,
}

#[derive(Deserialize)]
struct Answer {
    /// The program itself: what was asked may be a version manager's script.
    executable: PathBuf,
    #[serde(flatten)]
    python: Python,
}

const DESCRIBE: &str = "\
import json, platform, sys, sysconfig
maps = open('/proc/self/maps').read()
print(json.dumps({
    'executable': sys.executable,
    'version': platform.python_version(),
    'minor': sys.version_info[1],
    'micro': sys.version_info[2],
    'implementation': sys.implementation.name,
    'compiler': platform.python_compiler(),
    'shared': 'libpython3' in maps,
    'free_threaded': bool(sysconfig.get_config_var('Py_GIL_DISABLED')),
}))";

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPython {} ({})", self.python.version, self.path.display())
    }
}

impl Interpreter {
    /// Asks a program what it is.
    ///
    /// # Errors
    /// When it does not start, or does not answer as a Python does.
    pub fn ask(path: &Path) -> Result<Interpreter> {
        let output = Command::new(path)
            .args(["-I", "-c", DESCRIBE])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{} does not start", path.display()))?;
        if !output.status.success() {
            bail!("{} ended with {}: it is not a Python that works", path.display(), output.status);
        }
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} does not answer as Python 3 does", path.display()))?;
        Ok(Interpreter { path: answer.executable, python: answer.python })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_python_is_told() {
        let error = Interpreter::ask(Path::new("/bin/true")).expect_err("true is not Python").to_string();
        assert!(error.contains("/bin/true"), "{error}");
    }
}
