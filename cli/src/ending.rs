//! How pronk ends: as the program did, whatever way that was.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

/// How pronk ends when nothing went wrong with pronk.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// With an exit status of its own.
    Status(u8),
    /// As the program that it ran.
    LikeProgram(ExitStatus),
}

impl Ending {
    /// The status that this ends with; where the program was killed by a signal, pronk dies here by the same one, so
    /// that whoever waits for pronk sees what it would have seen of the program.
    pub fn take(self) -> ExitCode {
        match self {
            Ending::Status(status) => ExitCode::from(status),
            Ending::LikeProgram(status) => {
                if let Some(signal) = status.signal() {
                    die_by(signal);
                    // Only a signal that nix or this kernel does not know leads here. Shells report it like this.
                    return ExitCode::from(128_u8.saturating_add(signal as u8));
                }
                // exit(2): the status is its lowest 8 bits, so it always fits.
                ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
            }
        }
    }
}

fn die_by(signal: i32) {
    let Ok(signal) = Signal::try_from(signal) else { return };
    // The program has dumped its core if it was to; ours would overwrite it.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed, only the default action; SIGKILL and SIGSTOP are refused with an error.
    let _ = unsafe { sigaction(signal, &default) };
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = only.thread_unblock();
    let _ = raise(signal);
}
