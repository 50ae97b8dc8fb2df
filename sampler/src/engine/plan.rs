//! Which engine a session uses, what drives it, and why.

use super::signal::rings::RingDirectory;
use super::{Engine, perf, signal};
use crate::directory::SessionDirectory;
use crate::error::Error;
use crate::label_argument;
use crate::label_variable;
use crate::limits;
use crate::session::{EngineChoice, Request, Stubs};
use pronk_trampolines::wire::{
    DIRECTORY_SIZE, Driver, Followed, Mode, SETTINGS_FILE, SETTINGS_MAGIC, SETTINGS_VERSION, Settings, StubsSetting,
};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The most samples per second of the signal engine.
const HIGHEST_FREQUENCY: u32 = 20_000;
/// What a sample takes up in a ring, in bytes, where stacks change a lot.
const SAMPLE_SIZE: u64 = 2048;
/// The least and the most bytes of data in a ring.
const RING_SIZES: std::ops::RangeInclusive<u64> = 2 << 20..=32 << 20;
/// The bytes of data in a ring that has no samples: 30,000 blocks with labels are opened and closed before it is full.
const RING_OF_MOMENTS: u64 = 4 << 20;

/// How a session takes its samples.
#[derive(Debug)]
pub(crate) struct Plan {
    frequency: u32,
    children: bool,
    stubs: bool,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// With the directory in which processes say for whom their samples are, if they do.
    Perf(Option<Rings>),
    Signal(Signal),
}

/// The signal engine.
#[derive(Debug)]
struct Signal {
    mode: Mode,
    driver: Driver,
    /// Why it is not driven by perf events, if it is not.
    reason: String,
    rings: Rings,
    /// The sources of labels that are asked for.
    sources: signal::Sources,
}

/// The directory for the rings of a session's processes.
#[derive(Debug)]
struct Rings {
    path: PathBuf,
    /// The same, as the processes see it.
    inside: PathBuf,
    /// Where that is not the session's. It goes with the session.
    directory: Option<SessionDirectory>,
}

impl Rings {
    fn make(directory: &SessionDirectory) -> Rings {
        let own = directory.for_rings();
        let used = own.as_ref().unwrap_or(directory);
        Rings { path: used.path().to_owned(), inside: used.inside().to_owned(), directory: own }
    }
}

impl Plan {
    /// What is possible of what is asked for.
    ///
    /// # Errors
    /// When the request cannot be met.
    pub(crate) fn of(request: &Request, directory: &SessionDirectory) -> Result<Plan, Error> {
        let Request { frequency, children, .. } = *request;
        match request.engine {
            EngineChoice::Perf => {
                if request.mode != Mode::Cpu {
                    return Err(Error::ModeOfPerf);
                }
                if !request.label_variables.is_empty() {
                    return Err(Error::VariablesOfPerf);
                }
                if !request.label_arguments.is_empty() {
                    return Err(Error::ArgumentsOfPerf);
                }
                if request.label_spans {
                    return Err(Error::SpansOfPerf);
                }
                if request.await_chains {
                    return Err(Error::AwaitChainsOfPerf);
                }
                check_frequency(frequency, limits::number("perf_event_max_sample_rate"))?;
                if matches!(request.stubs, Stubs::Windowed { .. }) {
                    return Err(Error::WindowsOfPerf);
                }
                let stubs = request.stubs != Stubs::Off;
                let rings = stubs.then(|| Rings::make(directory));
                Ok(Plan { frequency, children, stubs, way: Way::Perf(rings) })
            }
            EngineChoice::Auto | EngineChoice::Signal => {
                let stubs = matches!(request.stubs, Stubs::Full | Stubs::Windowed { .. });
                let signal = Signal::plan(request, directory)?;
                Ok(Plan { frequency, children, stubs, way: Way::Signal(signal) })
            }
        }
    }

    /// Writes the settings for the agents.
    ///
    /// # Errors
    /// When the file cannot be written, or what is asked for has no room in it.
    pub(crate) fn write_settings(
        &self,
        request: &Request,
        followed: Followed,
        directory: &SessionDirectory,
    ) -> Result<(), Error> {
        let stubs = match request.stubs {
            _ if matches!(self.way, Way::Perf(_)) => StubsSetting::Full,
            Stubs::Auto => StubsSetting::Auto,
            Stubs::Full => StubsSetting::Full,
            Stubs::Windowed { .. } => StubsSetting::Windowed,
            Stubs::Off => StubsSetting::Off,
        };
        let budget_ppm = if let Stubs::Windowed { budget_ppm } = request.stubs { budget_ppm } else { 0 };
        let (driver, ring_size, rings) = match &self.way {
            Way::Perf(None) => return Ok(()),
            Way::Perf(Some(rings)) => (Driver::Outside, RING_OF_MOMENTS, rings),
            Way::Signal(signal) => {
                let second = u64::from(self.frequency).saturating_mul(SAMPLE_SIZE).next_power_of_two();
                (signal.driver, second.clamp(*RING_SIZES.start(), *RING_SIZES.end()), &signal.rings)
            }
        };
        let mut ring_directory = [0; DIRECTORY_SIZE];
        let path = rings.inside.as_os_str().as_bytes();
        // One zero has to follow.
        match ring_directory.get_mut(..path.len()).filter(|_| path.len() < DIRECTORY_SIZE) {
            Some(place) => place.copy_from_slice(path),
            None => return Err(Error::DirectoryTooLong(rings.inside.clone())),
        }
        let settings = Settings {
            magic: SETTINGS_MAGIC,
            version: SETTINGS_VERSION,
            mode: request.mode as u32,
            period_ns: 1_000_000_000 / u64::from(request.frequency.max(1)),
            ring_size,
            driver: driver as u32,
            kernel: request.kernel.into(),
            stubs: stubs as u32,
            await_chains: request.await_chains.into(),
            spans: request.label_spans.into(),
            followed,
            budget_ppm,
            reserved: 0,
            ring_directory,
            variables: label_variable::to_settings(&request.label_variables)?,
            arguments: label_argument::to_settings(&request.label_arguments)?,
        };
        let written = std::fs::write(directory.path().join(SETTINGS_FILE), settings.to_bytes());
        written.map_err(Error::system("write"))
    }

    /// Whether the agent has to be in the program.
    pub(crate) fn agent(&self) -> bool {
        self.stubs || matches!(self.way, Way::Signal(_))
    }

    /// The directory for what processes share with pronk in memory.
    pub(crate) fn memory(&self) -> Option<&Path> {
        match &self.way {
            Way::Perf(rings) => rings.as_ref().map(|rings| rings.path.as_path()),
            Way::Signal(signal) => Some(&signal.rings.path),
        }
    }

    /// Gives what agents use beside the session's directory to another user.
    ///
    /// # Errors
    /// When this user may not do that.
    pub(crate) fn give_to(&self, owner: (u32, u32)) -> Result<(), Error> {
        let rings = match &self.way {
            Way::Perf(rings) => rings.as_ref(),
            Way::Signal(signal) => Some(&signal.rings),
        };
        rings.and_then(|rings| rings.directory.as_ref()).map_or(Ok(()), |directory| directory.give_to(owner))
    }

    /// Starts the engine, for a process that has yet to call `execve`, or runs already; its files may belong to that user as
    /// well.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn start(&self, pid: i32, user: Option<u32>) -> Result<Engine, Error> {
        Ok(match &self.way {
            Way::Perf(rings) => {
                let rings = rings.as_ref().map(|rings| rings.path.clone());
                Engine::Perf(perf::Engine::start(pid, self.children, self.frequency, rings)?)
            }
            Way::Signal(signal) => {
                let Signal { rings, mode, sources, .. } = signal;
                let rings = RingDirectory::new(rings.path.clone(), user);
                Engine::Signal(signal::Engine::start(rings, *mode, sources.clone())?)
            }
        })
    }
}

impl Signal {
    fn plan(request: &Request, directory: &SessionDirectory) -> Result<Signal, Error> {
        let frequency = request.frequency;
        match frequency {
            0 => return Err(Error::FrequencyZero),
            asked if asked > HIGHEST_FREQUENCY => {
                return Err(Error::FrequencyTooHighForSignals { asked, limit: HIGHEST_FREQUENCY });
            }
            _ => {}
        }
        let permitted = perf::events::own_thread_with_kernel();
        let (driver, reason) = match (request.mode, permitted) {
            (Mode::Wall, _) if request.kernel => return Err(Error::KernelOfWall),
            (Mode::Wall, _) => (Driver::Timer, "a perf event does not count time on the clock".to_owned()),
            (_, Ok(())) => (Driver::PerfEvent, String::new()),
            (_, Err(source)) if request.kernel => return Err(perf::events::refused_with_kernel(source)),
            (_, Err(source)) => (Driver::Timer, perf::events::why_refused(&source)),
        };
        let rings = Rings::make(directory);
        Ok(Signal { mode: request.mode, driver, reason, rings, sources: signal::Sources::of(request) })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Perf(_) => write!(f, "perf engine: the kernel takes the samples"),
            Way::Signal(Signal { driver: Driver::PerfEvent, .. }) => {
                write!(f, "signal engine, driven by a perf event of each thread")
            }
            Way::Signal(Signal { driver: Driver::Timer | Driver::Outside, reason, .. }) => {
                write!(f, "signal engine, driven by a timer of each thread: {reason}")
            }
        }
    }
}

fn check_frequency(asked: u32, limit: Option<i64>) -> Result<(), Error> {
    if asked == 0 {
        return Err(Error::FrequencyZero);
    }
    match limit.map(|limit| u32::try_from(limit).unwrap_or(0)) {
        Some(limit) if asked > limit => Err(Error::FrequencyTooHigh { asked, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Streams;

    #[test]
    fn frequencies_are_checked_against_the_kernels_limit() {
        assert!(matches!(check_frequency(0, Some(100)), Err(Error::FrequencyZero)));
        assert!(check_frequency(100, Some(100)).is_ok());
        assert!(check_frequency(100, None).is_ok());
        let refused = check_frequency(101, Some(100));
        assert!(matches!(refused, Err(Error::FrequencyTooHigh { asked: 101, limit: 100 })));
    }

    #[test]
    fn what_an_engine_cannot_do_is_refused() {
        let directory = SessionDirectory::create(b"").unwrap();
        let request = |engine, frequency, mode, kernel, stubs| Request {
            command: vec!["true".into()],
            frequency,
            duration: None,
            engine,
            mode,
            kernel,
            await_chains: true,
            stubs,
            label_variables: Vec::new(),
            label_arguments: Vec::new(),
            label_spans: false,
            children: true,
            streams: Streams::default(),
        };
        const WINDOWED: Stubs = Stubs::Windowed { budget_ppm: 20_000 };
        let refused = |request: Request| Plan::of(&request, &directory).unwrap_err().to_string();
        use EngineChoice::{Perf, Signal};
        assert!(refused(request(Signal, 20_001, Mode::Cpu, false, Stubs::Auto)).contains("20000"));
        assert!(refused(request(Signal, 0, Mode::Cpu, false, Stubs::Auto)).contains("-F 0"));
        assert!(refused(request(Signal, 99, Mode::Wall, true, Stubs::Auto)).contains("--kernel"));
        assert!(refused(request(Perf, 99, Mode::Gil, false, Stubs::Auto)).contains("--engine signal"));
        assert!(refused(request(Perf, 99, Mode::Cpu, false, Stubs::Auto)).contains("--await-chains"));
        let windowed = Request { await_chains: false, ..request(Perf, 99, Mode::Cpu, false, WINDOWED) };
        assert!(refused(windowed).contains("--budget"));
        let of_arguments = Request {
            await_chains: false,
            label_arguments: vec!["app.f:x".parse().unwrap()],
            ..request(Perf, 99, Mode::Cpu, false, Stubs::Auto)
        };
        assert!(refused(of_arguments).contains("--label-arg"));
        let of_spans =
            Request { await_chains: false, label_spans: true, ..request(Perf, 99, Mode::Cpu, false, Stubs::Auto) };
        assert!(refused(of_spans).contains("--label-otel"));
        let plan = Plan::of(&request(EngineChoice::Auto, 99, Mode::Wall, false, Stubs::Auto), &directory).unwrap();
        assert!(plan.agent() && !plan.stubs);
        assert!(plan.to_string().starts_with("signal engine, driven by a timer of each thread: "), "{plan}");
        let written = plan.write_settings(
            &request(EngineChoice::Auto, 99, Mode::Wall, false, Stubs::Auto),
            Followed::only(7),
            &directory,
        );
        written.unwrap();
        let settings = std::fs::read(directory.path().join(SETTINGS_FILE)).unwrap();
        let settings = Settings::from_bytes(&settings).unwrap();
        assert_eq!((settings.period_ns, settings.await_chains), (1_000_000_000 / 99, 1));
    }
}
