//! What can go wrong in a session, said so that a person knows what to do.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a session could not be started or finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Zero samples per second were asked for.
    #[error("-F 0 takes no samples: ask for at least 1 sample per second, such as -F 999")]
    FrequencyZero,
    /// More samples per second were asked for than the kernel allows.
    #[error(
        "-F {asked} is more than the kernel allows: kernel.perf_event_max_sample_rate is {limit}; use -F {limit} or \
         less, or raise it: sysctl kernel.perf_event_max_sample_rate={asked}"
    )]
    FrequencyTooHigh {
        /// The samples per second that were asked for.
        asked: u32,
        /// `/proc/sys/kernel/perf_event_max_sample_rate`.
        limit: u32,
    },
    /// More samples per second were asked for than the signal engine takes.
    #[error("-F {asked} is more than --engine signal takes: use -F {limit} or less")]
    FrequencyTooHighForSignals {
        /// The samples per second that were asked for.
        asked: u32,
        /// The most that there can be.
        limit: u32,
    },
    /// The perf engine was asked for another mode than cpu.
    #[error("--engine perf samples CPU time only: use --engine signal for --mode wall and --mode gil")]
    ModeOfPerf,
    /// The perf engine was asked for what awaits tasks.
    #[error("--await-chains needs --engine signal: what awaits a task is only found from inside the program")]
    AwaitChainsOfPerf,
    /// The kernel's part of stacks was asked for, for time on the clock.
    #[error(
        "--kernel does not go with --mode wall: a thread that waits has no samples of the kernel's; use --mode cpu"
    )]
    KernelOfWall,
    /// The kernel's part of stacks was asked for, and is not permitted.
    #[error("--kernel needs perf_event_open with the kernel's part of stacks, which is refused: {0}")]
    KernelRefused(String),
    /// More context variables were to be labels than there can be.
    #[error("{asked} context variables are to be labels: there can be {limit}, with names of 2,048 bytes together")]
    TooManyVariables {
        /// How many were asked for.
        asked: usize,
        /// The most that there can be.
        limit: usize,
    },
    /// More arguments of functions were to be labels than there can be.
    #[error("{asked} arguments are to be labels: there can be {limit}, with names of 4,096 bytes together")]
    TooManyArguments {
        /// How many were asked for.
        asked: usize,
        /// The most that there can be.
        limit: usize,
    },
    /// The perf engine was asked for labels from arguments.
    #[error("--engine perf does not read the arguments of functions: use --engine signal for --label-arg")]
    ArgumentsOfPerf,
    /// The perf engine was asked for labels from spans.
    #[error("--engine perf does not read the spans of OpenTelemetry: use --engine signal for --label-otel")]
    SpansOfPerf,
    /// The perf engine was asked for labels from context variables.
    #[error("--engine perf does not read context variables: use --engine signal for --label-var")]
    VariablesOfPerf,
    /// The path of the directory for rings is too long for the agent.
    #[error("the path {} is too long for a session's directory: set TMPDIR to a shorter one", .0.display())]
    DirectoryTooLong(PathBuf),
    /// There was no command to run.
    #[error("there is no command to run: give one after --, as in `pronk record -- python3 app.py`")]
    NoCommand,
    /// A word of the command, or of what the command finds in its environment, has a zero byte.
    #[error("{0:?} has a zero byte in it, which no program can be given: remove it")]
    ZeroByte(OsString),
    /// The command could not be executed.
    #[error("cannot run {}: {source}{}", .command.display(), advice(.source))]
    Command {
        /// The command as it was given.
        command: OsString,
        /// What `execve` said.
        source: io::Error,
    },
    /// None of the places for a session's directory would do, in what a process sees as its files.
    #[error(
        "no place for a private directory that may hold a library to load, where the process sees it:{0}\nmount one there that \
             is writable and may hold programs, as with `docker run --tmpfs /tmp:exec`"
    )]
    NoDirectoryInside(String),
    /// None of the places for a session's directory would do.
    #[error(
        "no place for a private directory that may hold a library to load:{0}\nset TMPDIR to a directory that is \
             writable, not mounted noexec, and has no colon or white space in its path"
    )]
    NoDirectory(String),
    /// Another session runs in this process.
    #[error("this process runs a session already: finish it before starting another")]
    Busy,
    /// `perf_event_open` was refused.
    #[error("the kernel refuses perf_event_open ({source}): /proc/sys/kernel/perf_event_paranoid is {level}; {advice}")]
    Refused {
        /// What the kernel said.
        source: io::Error,
        /// `/proc/sys/kernel/perf_event_paranoid`, or what to call it when it cannot be read.
        level: String,
        /// What to do about it.
        advice: String,
    },
    /// The kernel has no `perf_event_open`, or it is hidden.
    #[error(
        "this kernel has no perf_event_open ({0}): it was built without CONFIG_PERF_EVENTS, or a sandbox hides it; \
             run pronk on a kernel that has it"
    )]
    Unsupported(io::Error),
    /// Too many files are open.
    #[error("one file per processor is needed, {cpus} in all, and RLIMIT_NOFILE is {limit}: raise it with \
             `ulimit -n {}`", cpus + 64)]
    TooManyFiles {
        /// The processors that are online.
        cpus: usize,
        /// The soft limit.
        limit: u64,
    },
    /// No ring buffer could be mapped, not even a small one.
    #[error(
        "cannot map a ring buffer of {kib} KiB for each of {cpus} processors ({source}): \
             kernel.perf_event_mlock_kb is {mlock_kb} and RLIMIT_MEMLOCK is {memlock}; raise one of them: \
             sysctl kernel.perf_event_mlock_kb=2048, or `ulimit -l 65536`"
    )]
    Ring {
        /// What the kernel said to the smallest size.
        source: io::Error,
        /// The smallest size, in KiB.
        kib: usize,
        /// The processors that are online.
        cpus: usize,
        /// `/proc/sys/kernel/perf_event_mlock_kb`.
        mlock_kb: String,
        /// The soft limit, in bytes.
        memlock: String,
    },
    /// A file or directory of the session's could not be used.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A process that runs was to be profiled by the perf engine.
    #[error("--engine perf does not attach to a process that runs: use --engine signal, or start it under pronk")]
    PerfAttach,
    /// Stubs were to be on in windows with the perf engine.
    #[error(
        "--engine perf has its Python names from stubs, which are always on: --stubs windowed and --budget need --engine \
         signal"
    )]
    WindowsOfPerf,
    /// A process that runs was to have stubs.
    #[error(
        "--stubs full, --stubs windowed and --budget do not go with --pid: samples of a process that runs are taken without \
         stubs"
    )]
    StubsOfProcess,
    /// There is no such process.
    #[error("there is no process {0}, or it has ended: check the number with `ps`")]
    NoProcess(u32),
    /// The process is this one.
    #[error("a profiler cannot attach to itself: give the id of another process")]
    OwnProcess,
    /// The id is that of a thread.
    #[error("{tid} is a thread of process {pid}: use --pid {pid}")]
    ThreadOf {
        /// What was asked for.
        tid: u32,
        /// The process that it belongs to.
        pid: u32,
    },
    /// The process may not be traced.
    #[error("process {pid} may not be traced ({source}){}", attach_advice(*.pid))]
    NotPermitted {
        /// The process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// A filter of system calls holds for this process.
    #[error(
        "process {pid} cannot be stopped ({source}): a filter of system calls (seccomp) refuses ptrace to pronk itself; run pronk \
         outside of that sandbox, or allow it ptrace: in a container, start that with --cap-add SYS_PTRACE"
    )]
    PtraceFiltered {
        /// The process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another process traces it.
    #[error("process {pid} is traced by process {tracer}, a debugger or strace perhaps: end that one first")]
    Traced {
        /// The process.
        pid: u32,
        /// The process that traces it.
        tracer: u32,
    },
    /// Another profiler attaches to the process.
    #[error("another pronk is attaching to process {0}: try again when it has")]
    OtherAttaches(u32),
    /// The process is stopped by job control.
    #[error("process {0} is stopped: let it go on first, with `kill -CONT {0}`")]
    ProcessStopped(u32),
    /// There is no interpreter in the process.
    #[error(
        "process {0} is not CPython, or does not export what pronk needs of it: give the id of a process of Python 3.9 to 3.15"
    )]
    NotPython(u32),
    /// The process uses another C library.
    #[error("process {0} uses the C library musl, in which pronk's agent cannot be loaded; it needs glibc")]
    Musl(u32),
    /// The process cannot load libraries.
    #[error("process {0} has no dlopen: it is linked statically, and cannot load pronk's agent")]
    NoLoader(u32),
    /// There is no padding in the process's code.
    #[error(
        "process {0} has no room in its code for the call of the agent: start it with `pronk record -- COMMAND` instead"
    )]
    NoPlace(u32),
    /// The library could not be loaded.
    #[error("process {pid} cannot load pronk's agent: {reason}{advice}")]
    AgentNotLoaded {
        /// The process.
        pid: u32,
        /// What its dynamic linker said.
        reason: String,
        /// What may be behind that.
        advice: &'static str,
    },
    /// The agent does not take part.
    #[error("process {pid} cannot be profiled: {reason}")]
    AgentRefused {
        /// The process.
        pid: u32,
        /// What the agent said.
        reason: String,
    },
    /// The call was not made in time.
    #[error("process {pid} has not answered in {} s; if it is frozen, let it go on, and try again{advice}", .waited.as_secs())]
    NoAnswer {
        /// The process.
        pid: u32,
        /// How long that was waited for.
        waited: Duration,
        /// What may be behind that.
        advice: &'static str,
    },
    /// The interpreter's lock was not given up.
    #[error(
        "process {pid} has not given up the interpreter's lock in {} s: code in C keeps it, or, up to 3.11, a thread \
         of another interpreter that never waits; see where with `pronk dump --pid {pid} --native`", .waited.as_secs()
    )]
    NoLock {
        /// The process.
        pid: u32,
        /// How long that was waited for.
        waited: Duration,
    },
    /// No thread came to a place where it can be given something to do.
    #[error(
        "no thread of process {pid} came to a place in {} s where it can load a library; it runs on as before: try again",
        .waited.as_secs_f64()
    )]
    NoSafePoint {
        /// The process.
        pid: u32,
        /// How long that was waited for.
        waited: Duration,
    },
    /// The padding behind the code of the files of a process is used by earlier sessions.
    #[error(
        "all places for the code of a call in process {pid} were in use for {} s, by earlier sessions; it runs on as before: \
         try again",
        .waited.as_secs_f64()
    )]
    NoFreePlace {
        /// The process.
        pid: u32,
        /// How long that was waited for.
        waited: Duration,
    },
    /// The interpreter of the process is one that cannot be read.
    #[error("process {pid} cannot be read: {why}")]
    Unreadable {
        /// The process.
        pid: u32,
        /// Why, in words.
        why: String,
    },
    /// Another call into the system failed.
    #[error("{call} failed: {source}{}", advice(.source))]
    System {
        /// Which call.
        call: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A thread of the profiler's ended by a panic: a fault of pronk's.
    #[error("the profiler's {0} thread failed: this is a fault of pronk's; please report it")]
    Thread(&'static str),
}

impl Error {
    /// The exit code with which a shell would answer: 127 when there is no such command, 126 when there is one that
    /// cannot be executed, and `None` when the error is not about the command.
    pub fn exit_code(&self) -> Option<u8> {
        match self {
            Error::Command { source, .. } => match source.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => Some(127),
                _ => Some(126),
            },
            _ => None,
        }
    }

    pub(crate) fn system(call: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { call, source }
    }
}

/// What a user can do to be permitted to trace a process (ptrace(2), "Ptrace access mode checking").
fn attach_advice(pid: u32) -> String {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(format!("/proc/{pid}")).map(|metadata| metadata.uid());
    let me = nix::unistd::geteuid().as_raw();
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match (owner, scope.trim()) {
        (Ok(owner), _) if owner != me && me != 0 => {
            format!(": it belongs to user {owner}; run pronk as that user, or with sudo")
        }
        (_, "1" | "2") if me != 0 => {
            ": kernel.yama.ptrace_scope is not 0; run pronk with sudo, or set it: sysctl kernel.yama.ptrace_scope=0"
                .to_owned()
        }
        (_, "3") => ": kernel.yama.ptrace_scope is 3, which forbids it until the machine is started anew".to_owned(),
        _ => ": CAP_SYS_PTRACE is needed; in a container, start that with --cap-add SYS_PTRACE".to_owned(),
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ENOENT) => "; check the spelling, the PATH, and the interpreter that a script names after `#!`",
        Some(libc::EACCES) => "; check that it is a program and may be executed (chmod +x)",
        Some(libc::EMFILE) => "; raise RLIMIT_NOFILE, as with `ulimit -n 1024`",
        Some(libc::ENOEXEC) => "; it is not a program for this machine, nor a script",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_answers_as_in_a_shell() {
        let error = |errno| Error::Command { command: "x".into(), source: io::Error::from_raw_os_error(errno) };
        assert_eq!(error(libc::ENOENT).exit_code(), Some(127));
        assert_eq!(error(libc::EACCES).exit_code(), Some(126));
        assert_eq!(error(libc::ENOEXEC).exit_code(), Some(126));
        assert_eq!(Error::FrequencyZero.exit_code(), None);
    }

    #[test]
    fn a_frequency_that_is_too_high_names_the_limit_and_the_flag() {
        let text = Error::FrequencyTooHigh { asked: 10_000_000, limit: 100_000 }.to_string();
        assert!(text.contains("-F 10000000") && text.contains("perf_event_max_sample_rate is 100000"), "{text}");
    }
}
