//! A series of profiles, each of the time since the one before, of which the last ones are kept.

use crate::args::RecordArguments;
use crate::messages::{describe, say};
use crate::output::Output;
use crate::verbs::sampling;
use pronk_sampler::{Error, Session};
use pronk_symbolizer::live::Live;
use pronk_symbolizer::profile::Profile;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the sampler is asked for what is new: its samples need not be kept twice then.
const STEP: Duration = Duration::from_millis(250);

/// The files of a series.
struct Series<'a, W> {
    output: &'a Output,
    /// Writes a profile to a file. Returns where that is.
    write: W,
    most: NonZeroUsize,
    written: u64,
    kept: VecDeque<PathBuf>,
}

impl<W: Fn(Profile, &Output) -> anyhow::Result<PathBuf>> Series<'_, W> {
    /// Writes the next file, in place of the oldest one where there are as many as may be.
    fn add(&mut self, profile: Profile) {
        while self.kept.len() >= self.most.get() {
            if let Some(oldest) = self.kept.pop_front() {
                // Somebody may have taken it away.
                let _ = std::fs::remove_file(oldest);
            }
        }
        self.written += 1;
        match (self.write)(profile, &self.output.tagged(&format!("{:06}", self.written))) {
            Ok(path) => self.kept.push_back(path),
            Err(error) => say!("{}; what was sampled in that time is lost", describe(&error)),
        }
    }

    /// What there is of it, in words.
    fn summary(&self) -> String {
        let kept = match (self.kept.front(), self.kept.back()) {
            (Some(first), Some(last)) if first != last => format!("{} to {}", first.display(), last.display()),
            (Some(only), _) => only.display().to_string(),
            _ => return "no profile could be written".to_owned(),
        };
        match self.written - self.kept.len() as u64 {
            0 => format!("{} profiles: {kept}", self.written),
            gone => {
                format!("{} profiles, the first {gone} of which are gone, as --keep asks for: {kept}", self.written)
            }
        }
    }
}

/// Samples as [`Session::record`] does, and writes a profile whenever so much time has passed, and one in the end.
///
/// # Errors
/// Those of [`Session::record`].
pub fn record(
    arguments: &RecordArguments,
    session: &mut Session,
    every: Duration,
    output: &Output,
    write: impl Fn(Profile, &Output) -> anyhow::Result<PathBuf>,
) -> Result<(), Error> {
    let mut live = Live::new(session.nothing_yet(), arguments.sampling.native.into());
    let mut series = Series { output, write, most: arguments.keep, written: 0, kept: VecDeque::new() };
    let started = Instant::now();
    let deadline = arguments.duration.and_then(|duration| started.checked_add(duration));
    let mut turn = started + every;
    let turned =
        |live: &mut Live, session: &Session| live.turn(sampling::meta(&arguments.sampling, live.recording(), session));
    loop {
        if let Some(growth) = session.growth() {
            live.grow(growth);
        }
        let now = Instant::now();
        if now >= turn {
            series.add(turned(&mut live, session));
            // One that was late does not make the next ones early.
            while turn <= now {
                turn += every;
            }
        }
        let next = (now + STEP).min(turn).min(deadline.unwrap_or(turn));
        let watched = session.watch(None, next)?;
        let is_asked_to_end = watched.asked_to_end && arguments.sampling.pid.is_some();
        if watched.has_ended || is_asked_to_end || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
    }
    live.finish(session.stop()?);
    series.add(turned(&mut live, session));
    say!("{}", series.summary());
    Ok(())
}
