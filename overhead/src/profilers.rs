//! The profilers that a program can be run under. A new one is an entry in [`ALL`].
//!
//! Their output goes into the directory of [`Setting::place`], which is removed. They are asked for the same rate, where they have
//! one, and for what else their own documentation shows first.

use crate::measure::{Target, Words};
use crate::program::{Program, PythonCommand, Runs};
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A profiler.
#[derive(Debug)]
pub struct Profiler {
    /// What it is called, here and in `--profilers`.
    pub name: &'static str,
    /// How it works.
    pub kind: Kind,
    /// What is needed to run it.
    pub needs: Needs,
    /// The oldest CPython 3 that has it, by the middle number.
    pub since: u32,
    /// How it is asked to run a program; or why it cannot run that.
    pub run: fn(&Program, &Setting<'_>) -> Result<Words, String>,
    /// A file that a target of this id leaves outside of [`Setting::place`].
    pub left: Option<fn(i32) -> PathBuf>,
}

/// How a profiler works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is not one: pronk's stubs or CPython's trampolines are there, and nothing is sampled.
    Stubs,
    /// It looks now and then.
    Sampling,
    /// It is called for each call.
    Tracing,
}

/// What is needed to run a profiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but pronk.
    Pronk,
    /// Nothing but a Python that is new enough.
    Python,
    /// A module for the program's interpreter.
    Module {
        /// The module.
        name: &'static str,
        /// What pip installs it by.
        package: &'static str,
    },
    /// A program, on the search path or beside the interpreter.
    Executable {
        /// The program.
        name: &'static str,
        /// How it is installed.
        install: &'static str,
    },
}

/// How to run profilers.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// pronk itself.
    pub pronk: &'a Path,
    /// Samples per second.
    pub frequency: u32,
    /// A directory for what profilers write.
    pub place: &'a Path,
    /// The program that is needed, where one is.
    pub executable: &'a Path,
}

impl Setting<'_> {
    fn file(&self, name: &str) -> OsString {
        self.place.join(name).into()
    }

    fn hertz(&self) -> OsString {
        self.frequency.to_string().into()
    }

    /// The time between two samples, in seconds.
    fn interval(&self) -> f64 {
        1.0 / f64::from(self.frequency)
    }

    fn pronk_record(&self, options: &[&str]) -> Vec<OsString> {
        let first =
            [self.pronk.into(), "record".into(), "-o".into(), self.file("profile.pronk"), "-F".into(), self.hertz()];
        [&first[..], &words(options), &words(&["--"])].concat()
    }

    /// The command with a counter of calls of ours before the script.
    fn counter(&self, program: &Program, way: &str) -> Result<Words, String> {
        let script = self.place.join("counter.py");
        std::fs::write(&script, include_str!("counter.py")).map_err(|error| error.to_string())?;
        let counter = [script.into(), way.into(), self.file("calls.txt")];
        inside(python(program)?.under(&counter, Runs::ScriptsAndModules))
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn python(program: &Program) -> Result<&PythonCommand, String> {
    program.python.as_ref().map_err(Clone::clone)
}

/// A profiler that starts the program.
fn around(around: Vec<OsString>, program: &Program) -> Result<Words, String> {
    Ok(Words { around, inside: program.words().to_vec(), target: Target::Itself })
}

/// A profiler that is in the program's process.
fn inside(inside: Result<Vec<OsString>, String>) -> Result<Words, String> {
    Ok(Words { inside: inside?, ..Words::default() })
}

/// `python -m PROFILER ...`
fn module(program: &Program, profiler: &str, options: &[OsString], runs: Runs) -> Result<Words, String> {
    let profiler = [&words(&["-m", profiler]), options].concat();
    inside(python(program)?.under(&profiler, runs))
}

/// Where CPython says the names of its trampolines (Python/perf_trampoline.c), which is where perf looks for them.
fn perf_map(target: i32) -> PathBuf {
    PathBuf::from(format!("/tmp/perf-{target}.map"))
}

/// The oldest CPython that pronk is for.
const OLDEST: u32 = 9;

/// All profilers, in the order in which they are shown.
pub const ALL: &[Profiler] = &[
    Profiler {
        name: "stubs",
        kind: Kind::Stubs,
        needs: Needs::Pronk,
        since: OLDEST,
        run: |program, setting| around(vec![setting.pronk.into(), "stubs".into(), "--".into()], program),
        left: None,
    },
    Profiler {
        name: "pronk",
        kind: Kind::Sampling,
        needs: Needs::Pronk,
        since: OLDEST,
        run: |program, setting| around(setting.pronk_record(&["--engine", "signal"]), program),
        left: None,
    },
    Profiler {
        name: "pronk+budget",
        kind: Kind::Sampling,
        needs: Needs::Pronk,
        since: OLDEST,
        run: |program, setting| around(setting.pronk_record(&["--engine", "signal", "--budget", "2"]), program),
        left: None,
    },
    Profiler {
        name: "pronk+stubs",
        kind: Kind::Sampling,
        needs: Needs::Pronk,
        since: OLDEST,
        run: |program, setting| around(setting.pronk_record(&["--engine", "signal", "--stubs", "full"]), program),
        left: None,
    },
    Profiler {
        name: "pronk-perf",
        kind: Kind::Sampling,
        needs: Needs::Pronk,
        since: OLDEST,
        run: |program, setting| around(setting.pronk_record(&["--engine", "perf"]), program),
        left: None,
    },
    Profiler {
        name: "profiling.sampling",
        kind: Kind::Sampling,
        needs: Needs::Python,
        since: 15,
        run: |program, setting| {
            if !python(program)?.options.is_empty() {
                return Err("it does not hand the interpreter's options on to the program".to_owned());
            }
            let options =
                [words(&["run", "-r"]), vec![setting.hertz(), "-o".into(), setting.file("sampling.pstats")]].concat();
            let words = module(program, "profiling.sampling", &options, Runs::ScriptsAndModules)?;
            // It starts the program by `sys.executable` itself, and needs to know its process: nothing can stand between.
            Ok(Words { target: Target::ItsChild, ..words })
        },
        left: None,
    },
    Profiler {
        name: "py-spy",
        kind: Kind::Sampling,
        needs: Needs::Executable { name: "py-spy", install: "pip install py-spy" },
        since: OLDEST,
        run: |program, setting| {
            let py_spy = vec![setting.executable.into(), "record".into(), "-r".into(), setting.hertz()];
            // The program is a child of the helper that measures it: subprocesses are to be followed.
            let output = vec!["--subprocesses".into(), "-o".into(), setting.file("py-spy.svg"), "--".into()];
            around([py_spy, output].concat(), program)
        },
        left: None,
    },
    Profiler {
        name: "austin",
        kind: Kind::Sampling,
        needs: Needs::Executable { name: "austin", install: "pip install austin-dist" },
        since: OLDEST,
        run: |program, setting| {
            let microseconds = format!("{:.0}", setting.interval() * 1e6);
            let austin = vec![setting.executable.into(), "-C".into(), "-i".into(), microseconds.into()];
            around([austin, vec!["-o".into(), setting.file("austin.out")]].concat(), program)
        },
        left: None,
    },
    Profiler {
        name: "pyinstrument",
        kind: Kind::Sampling,
        needs: Needs::Module { name: "pyinstrument", package: "pyinstrument" },
        since: OLDEST,
        run: |program, setting| {
            let interval = format!("{:.6}", setting.interval());
            let options = ["-i".into(), interval.into(), "-o".into(), setting.file("pyinstrument.txt")];
            module(program, "pyinstrument", &options, Runs::All)
        },
        left: None,
    },
    Profiler {
        name: "x-perf",
        kind: Kind::Stubs,
        needs: Needs::Python,
        since: 12,
        run: |program, _| inside(Ok(python(program)?.with_options(&words(&["-X", "perf"])))),
        left: Some(perf_map),
    },
    Profiler {
        name: "perf",
        kind: Kind::Sampling,
        needs: Needs::Executable { name: "perf", install: "apt install linux-perf" },
        since: 12,
        run: |program, setting| {
            let perf = vec![setting.executable.into(), "record".into(), "-qNg".into(), "-F".into()];
            let output = vec![setting.hertz(), "-o".into(), setting.file("perf.data"), "--".into()];
            let inside = python(program)?.with_options(&words(&["-X", "perf"]));
            Ok(Words { around: [perf, output].concat(), inside, target: Target::Itself })
        },
        left: Some(perf_map),
    },
    Profiler {
        name: "cProfile",
        kind: Kind::Tracing,
        needs: Needs::Python,
        since: OLDEST,
        run: |program, setting| {
            module(program, "cProfile", &["-o".into(), setting.file("cProfile.pstats")], Runs::ScriptsAndModules)
        },
        left: None,
    },
    Profiler {
        name: "profiling.tracing",
        kind: Kind::Tracing,
        needs: Needs::Python,
        since: 15,
        run: |program, setting| {
            module(
                program,
                "profiling.tracing",
                &["-o".into(), setting.file("tracing.pstats")],
                Runs::ScriptsAndModules,
            )
        },
        left: None,
    },
    Profiler {
        name: "sys.setprofile",
        kind: Kind::Tracing,
        needs: Needs::Python,
        since: OLDEST,
        run: |program, setting| setting.counter(program, "setprofile"),
        left: None,
    },
    Profiler {
        name: "sys.monitoring",
        kind: Kind::Tracing,
        needs: Needs::Python,
        since: 12,
        run: |program, setting| setting.counter(program, "monitoring"),
        left: None,
    },
    Profiler {
        name: "yappi",
        kind: Kind::Tracing,
        needs: Needs::Module { name: "yappi", package: "yappi" },
        since: OLDEST,
        run: |program, setting| module(program, "yappi", &["-o".into(), setting.file("yappi.pstats")], Runs::Scripts),
        left: None,
    },
    Profiler {
        name: "viztracer",
        kind: Kind::Tracing,
        needs: Needs::Module { name: "viztracer", package: "viztracer" },
        since: OLDEST,
        run: |program, setting| {
            let options = ["--quiet".into(), "-o".into(), setting.file("viztracer.json")];
            module(program, "viztracer", &options, Runs::ScriptsAndModules)
        },
        left: None,
    },
];
