//! A command that a user wants to run, and the Python in it: profilers that are modules have to come between the interpreter and
//! the script.

use crate::interpreter::Interpreter;
use crate::measure::display;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A command.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its words, as the user has them.
    given: Vec<OsString>,
    /// Its words, to be run as they are.
    words: Vec<OsString>,
    /// What Python there is in it; or why none is seen.
    pub python: Result<PythonCommand, String>,
}

/// `python [OPTION]... SCRIPT [ARGUMENT]...`, or with `-m MODULE` or `-c CODE` in the script's place.
#[derive(Clone, Debug)]
pub struct PythonCommand {
    /// The interpreter itself: not a script that chooses one.
    pub interpreter: Interpreter,
    /// Its options.
    pub options: Vec<OsString>,
    /// What it runs.
    pub code: Code,
    /// What that is given.
    pub arguments: Vec<OsString>,
}

/// What an interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// A file.
    Script(OsString),
    /// `-m MODULE`
    Module(OsString),
    /// `-c CODE`
    Given(OsString),
}

impl Code {
    fn words(&self) -> Vec<OsString> {
        match self {
            Code::Script(script) => vec![script.clone()],
            Code::Module(module) => vec!["-m".into(), module.clone()],
            Code::Given(code) => vec!["-c".into(), code.clone()],
        }
    }
}

/// What a profiler that is a module can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Files.
    Scripts,
    /// Files, and modules by `-m`.
    ScriptsAndModules,
    /// The same, and code by `-c`.
    All,
}

impl PythonCommand {
    /// The command with a profiler's words before what the interpreter runs.
    ///
    /// # Errors
    /// When the profiler cannot run that, with the reason.
    pub fn under(&self, profiler: &[OsString], runs: Runs) -> Result<Vec<OsString>, String> {
        match (&self.code, runs) {
            (Code::Given(_), Runs::Scripts | Runs::ScriptsAndModules) => {
                Err("it cannot run -c CODE: put it into a file".into())
            }
            (Code::Module(_), Runs::Scripts) => Err("it runs scripts only, and no modules".into()),
            _ => Ok(self.with_options(profiler)),
        }
    }

    /// The command with further words between the interpreter's options and what it runs.
    pub fn with_options(&self, further: &[OsString]) -> Vec<OsString> {
        let interpreter = [self.interpreter.path.clone().into_os_string()];
        [&interpreter[..], &self.options, further, &self.code.words(), &self.arguments].concat()
    }
}

impl Program {
    /// Looks for Python in a command: an interpreter by its name, or a script whose `#!` line has one.
    pub fn of(given: &[OsString]) -> Program {
        let python = python_of(given);
        // Where the interpreter is known, all runs begin with it: a version manager's script before it would be in some runs and
        // not in others.
        let words = python.as_ref().map_or_else(|_| given.to_vec(), |python| python.with_options(&[]));
        Program { given: given.to_vec(), words, python }
    }

    /// A script that is run by the same interpreter with the same options. `None` where there is none.
    pub fn like_this(&self, script: &Path) -> Option<Program> {
        let mut python = self.python.clone().ok()?;
        python.code = Code::Script(script.into());
        python.arguments.clear();
        let words = python.with_options(&[]);
        Some(Program { given: words.clone(), words, python: Ok(python) })
    }

    /// The command as the user has it, for people.
    pub fn display(&self) -> String {
        display(&self.given)
    }

    /// The words to run it by.
    pub fn words(&self) -> &[OsString] {
        &self.words
    }
}

fn python_of(words: &[OsString]) -> Result<PythonCommand, String> {
    let (first, rest) = words.split_first().ok_or("there is no command")?;
    let path = find_program(first).ok_or_else(|| format!("there is no {}", first.display()))?;
    let (interpreter, rest) = if is_named_python(&path) {
        (path, rest.to_vec())
    } else {
        let Some((interpreter, mut given)) = interpreter_of_script(&path) else {
            return Err(format!("{} is neither a Python nor a script of one's", first.display()));
        };
        // The kernel puts the script's path there (execve(2), "Interpreter scripts").
        given.push(path.into());
        given.extend_from_slice(rest);
        (interpreter, given)
    };
    let (options, code, arguments) = split(&rest)?;
    let interpreter = Interpreter::ask(&interpreter).map_err(|error| format!("{error:#}"))?;
    Ok(PythonCommand { interpreter, options, code, arguments })
}

/// The file of a program: as it is named, or where `PATH` has it.
pub fn find_program(name: &OsStr) -> Option<PathBuf> {
    let is_program =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| is_program(path))
}

/// Whether a file has the name of an interpreter: `python`, `python3`, `python3.13`, `python3.13t`.
fn is_named_python(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("python"));
    name.is_some_and(|version| {
        let version = version.trim_end_matches(['t', 'd']);
        version.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

/// The interpreter that a script names, and the options that it gives it.
fn interpreter_of_script(script: &Path) -> Option<(PathBuf, Vec<OsString>)> {
    let bytes = fs::read(script).ok()?;
    let text = String::from_utf8_lossy(bytes.get(..4096).unwrap_or(&bytes)).into_owned();
    let mut lines = text.lines();
    let line = lines.next()?.strip_prefix("#!")?.trim();
    // Where an interpreter's path is too long for a `#!` line, or has a space, installers write a script that is shell and Python
    // at once (pip's distlib, scripts.py): its second line is `'''exec' "/path/python" "$0" "$@"`.
    if line == "/bin/sh" {
        let path = lines.next()?.strip_prefix("'''exec' ")?.strip_suffix(" \"$0\" \"$@\"")?.trim_matches('"');
        return Some(PathBuf::from(path)).filter(|path| is_named_python(path)).map(|path| (path, Vec::new()));
    }
    let mut words = line.split_whitespace();
    let mut interpreter = PathBuf::from(words.next()?);
    if interpreter.file_name()? == "env" {
        interpreter = find_program(OsStr::new(words.find(|word| *word != "-S")?))?;
    }
    is_named_python(&interpreter).then(|| (interpreter, words.map(OsString::from).collect()))
}

/// Takes what follows an interpreter apart: its options, what it runs, and what that is given (CPython's
/// Python/getopt.c, and `python --help`).
fn split(words: &[OsString]) -> Result<(Vec<OsString>, Code, Vec<OsString>), String> {
    let mut options: Vec<OsString> = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let bytes = word.as_bytes();
        if bytes == b"-" || bytes == b"-i" {
            return Err("it reads the program from stdin".to_owned());
        }
        if !bytes.starts_with(b"-") {
            return Ok((options, Code::Script(word.clone()), rest.cloned().collect()));
        }
        if bytes.starts_with(b"--") {
            options.push(word.clone());
            if bytes == b"--check-hash-based-pycs" {
                options.extend(rest.next().cloned());
            }
            continue;
        }
        // A word of single letters, of which the last one may have a value: the rest of the word or the next one.
        let Some(valued) = bytes.iter().skip(1).position(|letter| b"cmWX".contains(letter)).map(|at| at + 1) else {
            options.push(word.clone());
            continue;
        };
        let value = match bytes.get(valued + 1..) {
            Some(value) if !value.is_empty() => OsStr::from_bytes(value).to_owned(),
            _ => rest.next().cloned().ok_or_else(|| format!("{} needs a value", word.display()))?,
        };
        let letter = bytes[valued];
        if b"WX".contains(&letter) {
            options.extend([OsStr::from_bytes(&bytes[..=valued]).to_owned(), value]);
            continue;
        }
        if valued > 1 {
            options.push(OsStr::from_bytes(&bytes[..valued]).to_owned());
        }
        let code = if letter == b'm' { Code::Module(value) } else { Code::Given(value) };
        return Ok((options, code, rest.cloned().collect()));
    }
    Err("it runs no script".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_command_line_of_pythons_is_taken_apart() {
        let of = |words: &[&str]| split(&os(words)).expect("it is one");
        assert_eq!(of(&["a.py", "-m", "b"]), (vec![], Code::Script("a.py".into()), os(&["-m", "b"])));
        assert_eq!(of(&["-Ium", "a.b", "-v"]), (os(&["-Iu"]), Code::Module("a.b".into()), os(&["-v"])));
        assert_eq!(of(&["-cpass"]), (vec![], Code::Given("pass".into()), vec![]));
        assert_eq!(of(&["-OO", "-X", "dev", "-Werror", "a.py"]).0, os(&["-OO", "-X", "dev", "-W", "error"]));
        assert_eq!(of(&["--check-hash-based-pycs", "never", "a.py"]).1, Code::Script("a.py".into()));
        for none in [&[][..], &["-"], &["-i"], &["-V"], &["-m"], &["-X"]] {
            assert!(split(&os(none)).is_err(), "{none:?}");
        }
    }

    #[test]
    fn interpreters_are_told_by_their_names() {
        for name in ["python", "/usr/bin/python3", "python3.13", "a/python3.14t", "python3.15d"] {
            assert!(is_named_python(Path::new(name)), "{name}");
        }
        for name in ["pythonw", "ipython", "python-config", "python3-config", "sh", ""] {
            assert!(!is_named_python(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn scripts_name_their_interpreters() {
        let directory = tempfile::tempdir().expect("a directory");
        let of = |text: &str| {
            let path = directory.path().join("script");
            fs::write(&path, text).expect("a file");
            interpreter_of_script(&path)
        };
        let python = Some((PathBuf::from("/a/python3"), vec![]));
        assert_eq!(of("#!/a/python3\n"), python);
        assert_eq!(of("#! /a/python3 -s \n"), Some((PathBuf::from("/a/python3"), os(&["-s"]))));
        assert_eq!(of("#!/bin/sh\n'''exec' \"/a/python3\" \"$0\" \"$@\"\n' '''\n"), python);
        assert_eq!(of("#!/bin/sh\necho hello\n"), None);
        assert_eq!(of("#!/bin/bash\n"), None);
        assert_eq!(of("\u{7f}ELF"), None);
    }

    #[test]
    fn what_has_no_python_says_why() {
        let program = Program::of(&os(&["/bin/sh", "-c", "python3 a.py"]));
        assert_eq!(program.python.expect_err("a shell"), "/bin/sh is neither a Python nor a script of one's");
        assert_eq!(program.words, os(&["/bin/sh", "-c", "python3 a.py"]));
    }
}
