//! Ways to take samples, and which of them a session uses.

pub(crate) mod perf;
mod plan;
pub(crate) mod signal;

pub(crate) use plan::Plan;

use crate::error::Error;
use crate::growth::Tap;
use crate::recorder::Recorded;
use crate::recording::Event;
use std::time::Duration;

/// What an engine found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) event: Event,
    /// Whether time in the kernel was sampled.
    pub(crate) kernel: bool,
    /// The CPU time of all threads while they were sampled, if it is known.
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) recorded: Recorded,
}

/// An engine that takes samples.
#[derive(Debug)]
pub(crate) enum Engine {
    Perf(perf::Engine),
    Signal(signal::Engine),
}

impl Engine {
    /// What causes its samples.
    pub(crate) fn event(&self) -> Event {
        match self {
            Engine::Perf(engine) => engine.event(),
            Engine::Signal(engine) => engine.event(),
        }
    }

    /// Whether time in the kernel is sampled.
    pub(crate) fn kernel(&self) -> bool {
        match self {
            Engine::Perf(engine) => engine.kernel(),
            Engine::Signal(engine) => engine.kernel(),
        }
    }

    /// Where its recording can be watched.
    pub(crate) fn tap(&mut self) -> &mut Tap {
        match self {
            Engine::Perf(engine) => &mut engine.tap,
            Engine::Signal(engine) => &mut engine.tap,
        }
    }

    /// Stops, and returns what was found.
    ///
    /// # Errors
    /// [`Error::Thread`] when a thread has panicked.
    pub(crate) fn stop(self) -> Result<Found, Error> {
        match self {
            Engine::Perf(engine) => engine.stop(),
            Engine::Signal(engine) => engine.stop(),
        }
    }
}
