//! Ctrl-C ends the run that goes on, and no other is begun: what was measured so far counts.

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether somebody has asked to stop, and the run that is to be ended then.
#[derive(Clone, Debug, Default)]
pub struct Interrupts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// How often it was asked for.
    asked: u32,
    /// The process group of the run, until it is waited for.
    running: Option<Pid>,
}

impl Interrupts {
    /// From now on signals that would end this process ask to stop.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn heed() -> Result<Interrupts> {
        let interrupts = Interrupts::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT]).context("signals cannot be caught")?;
        let asked = interrupts.clone();
        std::thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(move || signals.forever().for_each(|_| asked.ask()))
            .context("no thread for signals")?;
        Ok(interrupts)
    }

    /// Whether somebody has asked to stop.
    pub fn asked(&self) -> bool {
        self.state().asked > 0
    }

    /// Begins a run, unless somebody has asked to stop: `start` makes a process group and returns its id.
    ///
    /// # Errors
    /// Those of `start`.
    pub(crate) fn begin<T>(&self, start: impl FnOnce() -> Result<(Pid, T)>) -> Result<Option<T>> {
        let mut state = self.state();
        if state.asked > 0 {
            return Ok(None);
        }
        let (group, started) = start()?;
        state.running = Some(group);
        Ok(Some(started))
    }

    /// The run has ended. To be called before its process is waited for: afterwards the id may be another's.
    pub(crate) fn ended(&self) {
        self.state().running = None;
    }

    fn ask(&self) {
        let mut state = self.state();
        state.asked += 1;
        // Not SIGINT: programs catch that to ask a question or to go on. Whoever is impatient presses Ctrl-C again.
        let signal = if state.asked == 1 { Signal::SIGTERM } else { Signal::SIGKILL };
        if let Some(group) = state.running {
            let _ = killpg(group, signal);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    fn start(script: &str) -> Result<(Pid, Pid)> {
        let child = Command::new("/bin/sh").args(["-c", script]).process_group(0).spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        Ok((pid, pid))
    }

    #[test]
    fn a_run_is_ended_and_no_other_is_begun() {
        let interrupts = Interrupts::default();
        let run = interrupts.begin(|| start("sleep 1000; true")).expect("it starts").expect("nobody has asked to stop");
        interrupts.ask();
        wait::until_ended(run).expect("our child");
        interrupts.ended();
        assert_eq!(wait::wait(run).expect("our child").status.signal(), Some(SIGTERM));
        assert!(interrupts.asked());
        assert!(interrupts.begin(|| start("true")).expect("no error").is_none());
    }
}
