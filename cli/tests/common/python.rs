//! What the tests with real Pythons share: the interpreters, programs to run, and the stacks that come out.

use super::{Place, text};
use pronk_bench::interpreter::{Interpreter, interpreters_for_tests};
use pronk_symbolizer::file;
use pronk_symbolizer::profile::{Profile, StackId};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// One interpreter of each version that this machine has. `None`, said loudly, where nothing can be recorded.
pub fn interpreters() -> Option<&'static [Interpreter]> {
    static INTERPRETERS: OnceLock<Vec<Interpreter>> = OnceLock::new();
    Place::for_recording()?;
    Some(INTERPRETERS.get_or_init(interpreters_for_tests))
}

/// A file of these tests, such as `loading/program.py`.
pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// A file of the repository's examples.
pub fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path).canonicalize().unwrap()
}

impl Place {
    /// `pronk record -o FILE OPTION... -- COMMAND...`, about to run here.
    pub fn record_to(
        &self,
        file: &str,
        options: &[&str],
        command: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut pronk = self.pronk(["record", "-o", file].iter().chain(options).chain(&["--"]));
        pronk.args(command);
        pronk
    }

    /// The collapsed stacks in a file here.
    pub fn folded(&self, name: &str) -> Folded {
        Folded::read(&std::fs::read_to_string(self.file(name)).unwrap())
    }

    /// The profile in a file here.
    pub fn read_profile(&self, name: &str) -> Profile {
        file::read(&std::fs::read(self.file(name)).unwrap()).unwrap()
    }
}

/// Collapsed stacks: frames from the root, and the number of samples.
#[derive(Debug)]
pub struct Folded(pub Vec<(Vec<String>, u64)>);

impl Folded {
    fn read(lines: &str) -> Folded {
        let line = |line: &str| {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            (stack.split(';').map(str::to_owned).collect(), count.parse().unwrap())
        };
        Folded(lines.lines().map(line).collect())
    }

    /// The samples of the stacks that are wanted.
    pub fn samples(&self, wanted: impl Fn(&[String]) -> bool) -> u64 {
        self.0.iter().filter(|(stack, _)| wanted(stack)).map(|(_, count)| count).sum()
    }

    /// The samples that a Python function is in. It is named without its module.
    pub fn of(&self, function: &str) -> u64 {
        self.samples(|stack| stack.iter().any(|frame| is_function(frame, function)))
    }
}

/// Whether a frame, such as `module.Class.method (file.py:3)`, is of a function, such as `Class.method`.
pub fn is_function(frame: &str, function: &str) -> bool {
    let name = frame.split_once(" (").map_or(frame, |(name, _)| name);
    name.strip_suffix(function).is_some_and(|module| module.is_empty() || module.ends_with('.'))
}

/// The names of a stack's functions, from the root. Every native frame is among them.
pub fn names(profile: &Profile, stack: Option<StackId>) -> Vec<&str> {
    let mut names = Vec::new();
    let mut next = stack;
    while let Some(id) = next {
        let stack = &profile.stacks[id.index()];
        let function = &profile.functions[profile.frames[stack.frame.index()].function.index()];
        names.push(profile.strings[function.name.index()].as_str());
        next = stack.below;
    }
    names.reverse();
    names
}

/// What a command said on stderr, without pronk's own lines.
pub fn said_by_program(output: &Output) -> String {
    text(&output.stderr).lines().filter(|line| !line.starts_with("pronk: ")).map(|line| format!("{line}\n")).collect()
}
