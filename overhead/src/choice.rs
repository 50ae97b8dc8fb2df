//! Which profilers there are for a program, and which are left out, with the reasons.

use crate::profilers::{ALL, Needs, Profiler};
use crate::program::{Program, PythonCommand, find_program};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A profiler that is there.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The profiler.
    pub profiler: &'static Profiler,
    /// Its version, where that is known.
    pub version: Option<String>,
    /// The program that it needs.
    pub executable: PathBuf,
}

/// A profiler that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// What it is called.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The profilers to use.
    pub chosen: Vec<Chosen>,
    /// Those that are not used although they were asked for, or all were.
    pub left_out: Vec<LeftOut>,
}

/// Says of each module that is named whether it can be found, without importing it, and of which version its package is.
const LOOK_FOR_MODULES: &str = "\
import importlib.metadata, importlib.util, json, sys
found = {}
for name, package in zip(sys.argv[1::2], sys.argv[2::2]):
    if importlib.util.find_spec(name):
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
print(json.dumps(found))";

impl Choice {
    /// The profilers of these names, or all that are there.
    ///
    /// # Errors
    /// When there is no profiler of a name, or one that is named is not there.
    pub fn of(program: &Program, names: Option<&[String]>) -> Result<Choice> {
        if let Some(unknown) =
            names.unwrap_or_default().iter().find(|name| ALL.iter().all(|known| known.name != **name))
        {
            let known: Vec<&str> = ALL.iter().map(|profiler| profiler.name).collect();
            bail!("there is no profiler {unknown}: choose from {}, or all", known.join(", "));
        }
        let modules = match &program.python {
            Ok(python) => modules_of(python)?,
            Err(_) => BTreeMap::new(),
        };
        let mut choice = Choice::default();
        for profiler in ALL.iter().filter(|known| names.is_none_or(|names| names.iter().any(|name| name == known.name)))
        {
            match look_for(profiler, program, &modules) {
                Ok(chosen) => choice.chosen.push(chosen),
                Err(reason) if names.is_some() => bail!("{} cannot be used: {reason}", profiler.name),
                Err(reason) => choice.left_out.push(LeftOut { name: profiler.name.to_owned(), reason }),
            }
        }
        Ok(choice)
    }
}

type Modules = BTreeMap<String, Option<String>>;

fn look_for(profiler: &'static Profiler, program: &Program, modules: &Modules) -> Result<Chosen, String> {
    let mut chosen = Chosen { profiler, version: None, executable: PathBuf::new() };
    if let Ok(python) = &program.python
        && python.interpreter.python.minor < profiler.since
    {
        return Err(format!("it needs CPython 3.{} or later", profiler.since));
    }
    match profiler.needs {
        Needs::Pronk => {}
        Needs::Python => drop(program.python.as_ref().map_err(Clone::clone)?),
        Needs::Module { name, package } => {
            program.python.as_ref().map_err(Clone::clone)?;
            let not_there = || format!("it is not installed: pip install {package}");
            chosen.version = modules.get(name).ok_or_else(not_there)?.clone();
        }
        Needs::Executable { name, install } => {
            chosen.executable =
                find_executable(name, program).ok_or_else(|| format!("it is not installed: {install}"))?;
        }
    }
    Ok(chosen)
}

/// A program on the search path, or where the interpreter's packages have theirs.
fn find_executable(name: &str, program: &Program) -> Option<PathBuf> {
    let beside = program.python.as_ref().ok().map(|python| python.interpreter.path.with_file_name(name));
    beside.and_then(|path| find_program(path.as_os_str())).or_else(|| find_program(OsStr::new(name)))
}

fn modules_of(python: &PythonCommand) -> Result<Modules> {
    let modules = ALL.iter().filter_map(|profiler| match profiler.needs {
        Needs::Module { name, package } => Some([name, package]),
        Needs::Pronk | Needs::Python | Needs::Executable { .. } => None,
    });
    let path = &python.interpreter.path;
    let output = Command::new(path)
        .args(["-c", LOOK_FOR_MODULES])
        .args(modules.flatten())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", path.display()))?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{} does not say which modules it has: {}", path.display(), said.trim_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Program {
        Program::of(&["/bin/sh".into(), "-c".into(), "true".into()])
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_are_known() {
        let error = Choice::of(&shell(), Some(&["pronk".into(), "gprof".into()])).expect_err("gprof").to_string();
        assert!(
            error.contains("gprof") && error.contains("pronk+budget, pronk+stubs") && error.contains("viztracer"),
            "{error}"
        );
    }

    #[test]
    fn a_command_without_python_has_no_profilers_that_are_modules() {
        let choice = Choice::of(&shell(), None).expect("a choice");
        assert_eq!(choice.chosen[0].profiler.name, "stubs");
        assert!(choice.chosen.iter().all(|chosen| chosen.profiler.name != "cProfile"));
        let left_out = choice.left_out.iter().find(|left_out| left_out.name == "cProfile").expect("it is left out");
        assert!(left_out.reason.contains("/bin/sh is neither a Python"), "{left_out:?}");
        let error = Choice::of(&shell(), Some(&["yappi".into()])).expect_err("no Python").to_string();
        assert!(error.starts_with("yappi cannot be used: "), "{error}");
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|profiler| profiler.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
