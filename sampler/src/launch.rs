//! Starts the command, held back until sampling is ready.
//!
//! The child is forked first and waits at a pipe, so that events can be opened on its id and switch themselves on when
//! it calls `execve`. Apart from what [`Environment`] adds, the command finds everything as the profiler found it:
//! environment, open files, working directory, signals.
//!
//! # Safety
//! `unsafe` is needed for `fork` and for what the child does between `fork` and `execve`. Other threads may hold any
//! lock at the fork, so the child only makes async-signal-safe calls (signal-safety(7), fork(2)) on memory that was
//! prepared before: no allocation, no lock, no panic.

use crate::directory::SessionDirectory;
use crate::error::Error;
use crate::signals::Signals;
use pronk_trampolines::wire::SESSION_ENV;
use std::ffi::{CString, OsStr, OsString, c_char, c_int};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::ptr;
use std::sync::Arc;

/// Where a command reads and writes, where that is not where the profiler does.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// Its stdin.
    pub input: Option<Arc<File>>,
    /// Its stdout and stderr.
    pub output: Option<Arc<File>>,
}

impl Streams {
    /// The files, and the descriptors that they have in the command.
    fn files(&self) -> Vec<(c_int, c_int)> {
        let [input, output] = [&self.input, &self.output].map(|file| file.as_ref().map(|file| file.as_raw_fd()));
        let of = |file: Option<c_int>, as_descriptor| file.map(|file| (file, as_descriptor));
        let all = [of(input, libc::STDIN_FILENO), of(output, libc::STDOUT_FILENO), of(output, libc::STDERR_FILENO)];
        all.into_iter().flatten().collect()
    }
}

/// The environment that a command gets.
#[derive(Debug)]
pub(crate) struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// The profiler's own.
    pub(crate) fn inherited() -> Environment {
        Environment(std::env::vars_os().collect())
    }

    /// Has the dynamic linker load a library first, before those that it would load first anyway (ld.so(8)).
    pub(crate) fn preload(&mut self, library: &Path) {
        let mut value = library.as_os_str().to_owned();
        if let Some(before) = self.get("LD_PRELOAD").filter(|value| !value.is_empty()) {
            value.push(":");
            value.push(before);
        }
        self.set("LD_PRELOAD", value);
    }

    /// Has processes load the agent of a session.
    pub(crate) fn add_agent(&mut self, directory: &SessionDirectory) {
        self.preload(&directory.library());
        self.set(SESSION_ENV, directory.path().into());
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: OsString) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.into(), value));
    }

    fn get(&self, name: &str) -> Option<&OsString> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn lines(&self) -> Result<Vec<CString>, Error> {
        let line = |(name, value): &(OsString, OsString)| {
            let mut line = name.clone();
            line.push("=");
            line.push(value);
            c_string(&line)
        };
        self.0.iter().map(line).collect()
    }

    /// The files that `execvp` would try for a command (exec(3)).
    fn candidates(&self, command: &OsStr) -> Result<Vec<CString>, Error> {
        if command.is_empty() || command.as_bytes().contains(&b'/') {
            return Ok(vec![c_string(command)?]);
        }
        let path = self.get("PATH").map_or(OsStr::new("/bin:/usr/bin"), OsString::as_os_str);
        let places = path.as_bytes().split(|&byte| byte == b':');
        let file = |place: &[u8]| {
            let place = if place.is_empty() { b"." } else { place };
            c_string(&OsString::from_vec([place, b"/", command.as_bytes()].concat()))
        };
        places.map(file).collect()
    }
}

/// A command in which functions run through stubs, and of which nobody takes samples: the agent is there, and finds no settings
/// for sampling in the session's directory. That has to last as long as the command runs.
pub fn with_stubs_only(command: &[OsString], directory: &SessionDirectory) -> Command {
    let mut environment = Environment::inherited();
    environment.add_agent(directory);
    let mut started = Command::new(command.first().map_or(OsStr::new(""), OsString::as_os_str));
    started.args(command.get(1..).unwrap_or_default()).envs(environment.0);
    started
}

/// The command's main process.
#[derive(Debug)]
pub(crate) struct Child {
    pid: libc::pid_t,
    command: OsString,
    go: Option<PipeWriter>,
    report: PipeReader,
    /// Becomes readable when the process ends. `None` where the kernel has no pidfd_open (before 5.3).
    pidfd: Option<OwnedFd>,
    status: Option<ExitStatus>,
}

impl Child {
    /// Forks a child that waits for [`Child::release`].
    ///
    /// # Errors
    /// [`Error::NoCommand`], [`Error::ZeroByte`], or [`Error::System`] when the system refuses.
    pub(crate) fn fork(
        command: &[OsString],
        environment: &Environment,
        streams: &Streams,
        signals: &Signals,
    ) -> Result<Child, Error> {
        let program = command.first().ok_or(Error::NoCommand)?;
        let (go_reader, go) = io::pipe().map_err(Error::system("pipe"))?;
        let (report, report_writer) = io::pipe().map_err(Error::system("pipe"))?;
        let image = Image::new(command, environment, streams, signals)?;

        let mut everything = std::mem::MaybeUninit::uninit();
        let mut mask = std::mem::MaybeUninit::uninit();
        // SAFETY: sigfillset initializes `everything`, pthread_sigmask initializes `mask`. No handler of ours may run
        // in the child, where it would write into our own pipe: so everything is blocked until the child has put the
        // signals back. The child calls `run`, which keeps to async-signal-safe calls and never returns.
        let pid = unsafe {
            libc::sigfillset(everything.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, everything.as_ptr(), mask.as_mut_ptr());
            let pid = libc::fork();
            if pid == 0 {
                libc::close(go.as_raw_fd());
                image.run(go_reader.as_raw_fd(), report_writer.as_raw_fd(), mask.as_ptr());
            }
            pid
        };
        let forked = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
        // SAFETY: `mask` is what pthread_sigmask said before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), ptr::null_mut()) };
        let pid = forked.map_err(Error::system("fork"))?;
        Ok(Child { pid, command: program.clone(), go: Some(go), report, pidfd: pidfd_open(pid), status: None })
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// Becomes readable when the process ends, where the kernel can tell.
    pub(crate) fn ended(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Lets the child execute the command, and waits until it does.
    ///
    /// # Errors
    /// [`Error::Command`] when there is no such command or it cannot be executed.
    pub(crate) fn release(&mut self) -> Result<(), Error> {
        if let Some(mut go) = self.go.take() {
            // The child may have been killed meanwhile. Then its pipe is empty, and `poll` tells of its end.
            let _ = go.write_all(&[1]);
        }
        let mut errno = [0; 4];
        match self.report.read_exact(&mut errno) {
            Ok(()) => {
                self.wait()?;
                let source = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
                Err(Error::Command { command: self.command.clone(), source })
            }
            // The pipe's other end was closed, by execve or by the child's death.
            Err(_) => Ok(()),
        }
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// When the system says that there is no such child.
    pub(crate) fn poll(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.reap(libc::WNOHANG)
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// When the system says that there is no such child.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, Error> {
        loop {
            if let Some(status) = self.reap(0)? {
                return Ok(status);
            }
        }
    }

    fn reap(&mut self, options: c_int) -> Result<Option<ExitStatus>, Error> {
        if self.status.is_some() {
            return Ok(self.status);
        }
        let mut status = 0;
        // SAFETY: `status` is a place for the answer. The id is our own child's, which nobody else reaps.
        match unsafe { libc::waitpid(self.pid, &mut status, options) } {
            0 => Ok(None),
            pid if pid == self.pid => {
                self.status = Some(ExitStatus::from_raw(status));
                Ok(self.status)
            }
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                error => Err(Error::System { call: "waitpid", source: error }),
            },
        }
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: c_int) {
        if self.status.is_none() {
            // SAFETY: the process was not reaped, so the id is still its own.
            unsafe { libc::kill(self.pid, signal) };
        }
    }
}

impl Drop for Child {
    /// A child that was never released ends; a command that runs goes on.
    fn drop(&mut self) {
        if self.go.take().is_some() {
            let _ = self.wait();
        }
    }
}

/// What the child needs, prepared before the fork.
struct Image {
    candidates: Vec<CString>,
    /// Pointers into `words`, and a null pointer.
    argv: Vec<*const c_char>,
    /// The same for a script without `#!`: `/bin/sh`, the script (put in by the child), the other arguments.
    shell_argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    signals: Vec<(c_int, libc::sighandler_t)>,
    /// Descriptors of the profiler, and those that the command has for them.
    streams: Vec<(c_int, c_int)>,
    _words: Vec<CString>,
    _lines: Vec<CString>,
}

const SHELL: &std::ffi::CStr = c"/bin/sh";

impl Image {
    fn new(
        command: &[OsString],
        environment: &Environment,
        streams: &Streams,
        signals: &Signals,
    ) -> Result<Image, Error> {
        let words = command.iter().map(|word| c_string(word)).collect::<Result<Vec<_>, _>>()?;
        let lines = environment.lines()?;
        let program = command.first().ok_or(Error::NoCommand)?;
        let pointers =
            |strings: &[CString]| strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        let mut shell_argv = vec![SHELL.as_ptr(), ptr::null()];
        shell_argv.extend(words.iter().skip(1).map(|word| word.as_ptr()).chain([ptr::null()]));
        Ok(Image {
            candidates: environment.candidates(program)?,
            argv: pointers(&words),
            shell_argv,
            envp: pointers(&lines),
            signals: signals.inherited(),
            streams: streams.files(),
            _words: words,
            _lines: lines,
        })
    }

    /// The child's life until `execve`.
    ///
    /// # Safety
    /// To be called in a forked child only. `mask` points to the signal mask that the command is to have.
    unsafe fn run(mut self, go: c_int, report: c_int, mask: *const libc::sigset_t) -> ! {
        // SAFETY: every call is async-signal-safe and gets valid pointers; the strings live until `execve`, as this
        // function never returns. A zeroed sigaction is a valid one.
        unsafe {
            for &(signal, handler) in &self.signals {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler;
                libc::sigaction(signal, &action, ptr::null_mut());
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut());
            for &(file, descriptor) in &self.streams {
                // The copy stays open in the command, unlike the file. Both are open files, so nothing fails here.
                libc::dup2(file, descriptor);
            }

            let mut byte = 0u8;
            let released = loop {
                let got = libc::read(go, (&raw mut byte).cast(), 1);
                if got >= 0 || *libc::__errno_location() != libc::EINTR {
                    break got;
                }
            };
            if released != 1 {
                libc::_exit(127);
            }

            let mut answer = libc::ENOENT;
            for candidate in &self.candidates {
                libc::execve(candidate.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
                let mut errno = *libc::__errno_location();
                if errno == libc::ENOEXEC {
                    if let Some(script) = self.shell_argv.get_mut(1) {
                        *script = candidate.as_ptr();
                    }
                    libc::execve(SHELL.as_ptr(), self.shell_argv.as_ptr(), self.envp.as_ptr());
                    errno = libc::ENOEXEC;
                }
                match errno {
                    // As in glibc's execvp (posix/execvpe.c, 2.36): go on, and remember that something was found.
                    libc::EACCES => answer = errno,
                    libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                    _ => {
                        answer = errno;
                        break;
                    }
                }
            }
            libc::write(report, (&raw const answer).cast(), size_of::<c_int>());
            libc::_exit(127);
        }
    }
}

fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes()).map_err(|_| Error::ZeroByte(text.to_owned()))
}

pub(crate) fn pidfd_open(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers; a file that it returns is new, and ours. It closes on exec (pidfd_open(2)).
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as c_int))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment(variables.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    #[test]
    fn our_library_comes_first_and_the_others_stay() {
        let mut environment = environment(&[("LD_PRELOAD", "/a.so /b.so"), ("HOME", "/h")]);
        environment.preload(Path::new("/tmp/x/libpronk.so"));
        assert_eq!(environment.get("LD_PRELOAD").unwrap(), "/tmp/x/libpronk.so:/a.so /b.so");
        assert_eq!(environment.get("HOME").unwrap(), "/h");
    }

    #[test]
    fn commands_are_looked_for_as_execvp_does() {
        let found = |path: &[(&str, &str)], command: &str| {
            let candidates = environment(path).candidates(OsStr::new(command)).unwrap();
            candidates.into_iter().map(|file| file.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(found(&[("PATH", "/a::/b")], "x"), ["/a/x", "./x", "/b/x"]);
        assert_eq!(found(&[], "x"), ["/bin/x", "/usr/bin/x"]);
        assert_eq!(found(&[("PATH", "/a")], "./x"), ["./x"]);
        assert_eq!(found(&[("PATH", "/a")], ""), [""]);
    }

    #[test]
    fn a_zero_byte_is_refused() {
        assert!(matches!(c_string(OsStr::new("a\0b")), Err(Error::ZeroByte(_))));
    }
}
