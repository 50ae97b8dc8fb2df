//! A session: one profiling of one command and all that it starts, or of a process that ran before.

mod watch;

pub use watch::Watched;

use crate::attach::Prepared;
use crate::directory::SessionDirectory;
use crate::engine::{Engine, Found, Plan};
use crate::error::Error;
use crate::label_argument::LabelArgument;
use crate::label_variable::LabelVariable;
use crate::launch::{Child, Environment, Streams};
use crate::recording::{Losses, MonotonicNs, Recording, now};
use crate::signals::Signals;
use crate::subject::{State, Subject};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pronk_trampolines::wire::{Followed, Mode};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

/// What to profile, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command and its arguments. The command is looked for as a shell does.
    pub command: Vec<OsString>,
    /// Samples per second of CPU time of each thread; per second on the clock with [`Mode::Wall`].
    pub frequency: u32,
    /// How long to sample; `None` is until the command ends.
    pub duration: Option<Duration>,
    /// How to take samples.
    pub engine: EngineChoice,
    /// Which moments of a thread to sample. The perf engine has [`Mode::Cpu`] only.
    pub mode: Mode,
    /// Whether samples must have the kernel's part of the stack. The perf engine has it wherever it is permitted.
    pub kernel: bool,
    /// Whether samples have the frames that await their task. The perf engine has none.
    pub await_chains: bool,
    /// When each function of an interpreter runs through a stub.
    pub stubs: Stubs,
    /// The context variables whose values are labels of samples; needs the signal engine.
    pub label_variables: Vec<LabelVariable>,
    /// The arguments of functions whose values are labels of samples; needs the signal engine.
    pub label_arguments: Vec<LabelArgument>,
    /// Whether the current span of OpenTelemetry is a label of samples; needs the signal engine.
    pub label_spans: bool,
    /// Whether processes that the first one starts are sampled as well. What the first one executes itself always is.
    pub children: bool,
    /// Where the command reads and writes.
    pub streams: Streams,
}

/// When functions run through stubs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stubs {
    /// As the engine needs it: always with the perf engine; with the signal engine on CPython 3.9 and 3.10 only.
    #[default]
    Auto,
    /// Always.
    Full,
    /// In windows, so that they cost no more than so many millionths of the program's CPU time; needs the signal engine.
    Windowed {
        /// How many.
        budget_ppm: u32,
    },
    /// Never.
    Off,
}

/// How to take samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The best that this machine permits: the signal engine, which works everywhere.
    #[default]
    Auto,
    /// By the kernel, from outside the program.
    Perf,
    /// By a signal handler in each thread of a Python program.
    Signal,
}

/// A command, or a process, that runs and is sampled.
#[derive(Debug)]
pub struct Session {
    subject: Subject,
    engine: Option<Engine>,
    plan: Plan,
    signals: Signals,
    request: Request,
    started: MonotonicNs,
    started_at: SystemTime,
    deadline: Option<Instant>,
    /// Dropped last, when nothing needs it any more.
    directory: SessionDirectory,
}

/// How often to look whether the command has ended, where the kernel cannot tell.
const LOOK_MS: u16 = 10;

impl Session {
    /// Starts the command and samples it from its first instruction on.
    ///
    /// Until the session is dropped this process survives SIGINT and SIGQUIT, which the terminal sends to the command
    /// as well; and what others send to this process of these, of SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGCONT is
    /// handed on to the command, while [`Session::record`] or [`Session::wait`] runs.
    ///
    /// # Errors
    /// When the request cannot be met, the command cannot be executed, the kernel refuses to sample, or another session
    /// runs in this process. Then nothing was run.
    pub fn start(request: Request, directory: SessionDirectory) -> Result<Session, Error> {
        let plan = Plan::of(&request, &directory)?;
        let mut environment = Environment::inherited();
        if plan.agent() {
            environment.add_agent(&directory);
        }
        let signals = Signals::catch()?;
        let mut child = Child::fork(&request.command, &environment, &request.streams, &signals)?;
        plan.write_settings(&request, followed(&request, child.pid().unsigned_abs()), &directory)?;
        let engine = plan.start(child.pid(), None)?;
        let started = (now(), SystemTime::now());
        child.release()?;
        Ok(Session::begun(Subject::Command(child), started, engine, plan, signals, request, directory))
    }

    /// Samples a process that runs already, by the signal engine. The request's command counts for nothing.
    ///
    /// Until the session is dropped, SIGINT, SIGQUIT, SIGTERM and SIGHUP end [`Session::record`], and not this process.
    ///
    /// # Errors
    /// When the request cannot be met, or the process cannot be attached to. It then runs on as before.
    pub fn attach(mut request: Request, pid: u32, directory: SessionDirectory) -> Result<Session, Error> {
        if request.engine == EngineChoice::Perf {
            return Err(Error::PerfAttach);
        }
        if !matches!(request.stubs, Stubs::Auto | Stubs::Off) {
            return Err(Error::StubsOfProcess);
        }
        request.stubs = Stubs::Off;
        let plan = Plan::of(&request, &directory)?;
        let signals = Signals::catch()?;
        let prepared = Prepared::new(pid, &directory)?;
        plan.write_settings(&request, followed(&request, prepared.own_pid()?), &directory)?;
        // Another user's process has to find what is there for it.
        let owner = prepared.foreign_owner()?;
        if let Some(owner) = owner {
            plan.give_to(owner)?;
            directory.give_to(owner)?;
        }
        let engine = plan.start(pid.cast_signed(), owner.map(|(user, _)| user))?;
        let attached = prepared.attach(&directory)?;
        request.command = attached.command();
        let started = (now(), SystemTime::now());
        Ok(Session::begun(Subject::Process(attached), started, engine, plan, signals, request, directory))
    }

    fn begun(
        subject: Subject,
        (started, started_at): (MonotonicNs, SystemTime),
        engine: Engine,
        plan: Plan,
        signals: Signals,
        request: Request,
        directory: SessionDirectory,
    ) -> Session {
        let deadline = request.duration.and_then(|duration| Instant::now().checked_add(duration));
        let engine = Some(engine);
        Session { subject, engine, plan, signals, request, started, started_at, deadline, directory }
    }

    /// Samples until the command or the process ends, or as long as was asked for; a process also until a signal asks this
    /// one to end. Processes that a command leaves behind are not waited for. A process that ran before is left as it was.
    ///
    /// The recording's `session` directory lasts as long as this session. A second call finds nothing new.
    ///
    /// # Errors
    /// When the system refuses to tell about the command, or a thread of the profiler's failed.
    pub fn record(&mut self) -> Result<Recording, Error> {
        let exit = self.wait_until(self.deadline)?;
        self.finish(exit)
    }

    /// Samples no more.
    fn finish(&mut self, exit: Option<ExitStatus>) -> Result<Recording, Error> {
        let ended = now();
        let found = self.engine.take().map(Engine::stop).transpose();
        let left = self.subject.leave();
        let mut recording = self.recording(found?, ended, exit);
        recording.notes.extend(left);
        Ok(recording)
    }

    /// How long a thread of a process that ran before was stopped to give it the agent.
    pub fn pause(&self) -> Option<Duration> {
        match &self.subject {
            Subject::Process(attached) => Some(attached.pause),
            Subject::Command(_) | Subject::Left(_) => None,
        }
    }

    /// Waits until the command ends, also when it goes on after the sampling. `None` is of a process that ran before, which
    /// is not waited for.
    ///
    /// # Errors
    /// When the system refuses to tell about the command.
    pub fn wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        match self.subject {
            Subject::Command(_) => self.wait_until(None),
            Subject::Process(_) | Subject::Left(_) => Ok(None),
        }
    }

    /// The command that runs, and its arguments.
    pub fn command(&self) -> &[OsString] {
        &self.request.command
    }

    /// Which engine takes the samples, what drives it, and why: one line, in words.
    pub fn engine(&self) -> String {
        self.plan.to_string()
    }

    /// What was asked for; of a process that runs, what is done of that.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The session's directory, where the agents write.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The id of the command's first process, or of the one that ran before.
    pub fn pid(&self) -> u32 {
        self.subject.pid()
    }

    /// Waits for the end of the command or process, or for a time, and takes signals meanwhile.
    fn wait_until(&mut self, deadline: Option<Instant>) -> Result<Option<ExitStatus>, Error> {
        loop {
            let asked_to_end = self.take_signals();
            if asked_to_end && !self.subject.is_command() {
                return Ok(None);
            }
            if let State::Ended(status) = self.subject.look()? {
                return Ok(status);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let mut files = vec![PollFd::new(self.signals.fd(), PollFlags::POLLIN)];
            files.extend(self.subject.ended().map(|ended| PollFd::new(ended, PollFlags::POLLIN)));
            let longest = if files.len() > 1 { PollTimeout::MAX } else { PollTimeout::from(LOOK_MS) };
            let left = left.into_iter().chain(self.subject.longest_wait()).min();
            wait(&mut files, left, longest)?;
        }
    }

    /// Hands on the signals that are there. Whether one of them asks this process to end.
    fn take_signals(&mut self) -> bool {
        let mut asked_to_end = false;
        while let Some(received) = self.signals.next() {
            self.subject.hand_on(received);
            asked_to_end |= [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP].contains(&received.signal);
        }
        asked_to_end
    }

    fn recording(&self, found: Option<Found>, ended: MonotonicNs, exit: Option<ExitStatus>) -> Recording {
        let mut recording = Recording {
            started: self.started,
            ended,
            started_at: self.started_at,
            event: crate::recording::Event::CpuClock,
            frequency: self.request.frequency,
            processes: Vec::new(),
            threads: Vec::new(),
            mappings: Vec::new(),
            codes: Vec::new(),
            stacks: Default::default(),
            contexts: Default::default(),
            samples: Vec::new(),
            losses: Losses::default(),
            notes: Vec::new(),
            exit,
            session: self.directory.path().to_owned(),
            counts: self.plan.memory().unwrap_or(self.directory.path()).to_owned(),
        };
        if let Some(Found { event, kernel, cpu_time, recorded }) = found {
            recording.event = event;
            recording.processes = recorded.processes;
            recording.threads = recorded.threads;
            recording.mappings = recorded.mappings;
            recording.codes = recorded.codes;
            recording.notes = recorded.notes;
            recording.stacks = recorded.stacks;
            recording.contexts = recorded.contexts;
            recording.samples = recorded.samples;
            let sampled_for = Duration::from_nanos(ended.0.saturating_sub(self.started.0));
            recording.losses = Losses { kernel_excluded: !kernel, sampled_for, cpu_time, ..recorded.losses };
        }
        recording
    }
}

/// Which processes a request has take part, where the first one has an id.
fn followed(request: &Request, first: u32) -> Followed {
    if request.children { Followed::ALL } else { Followed::only(first) }
}

/// Waits until one of the files can be read, but no longer than what is left, nor than the longest time.
fn wait(files: &mut [PollFd], left: Option<Duration>, longest: PollTimeout) -> Result<(), Error> {
    // Rounded up, so as not to look again and again in the last millisecond.
    let left = left.map(|left| left.saturating_add(Duration::from_micros(999)));
    let timeout = left.map_or(longest, |left| PollTimeout::try_from(left).unwrap_or(longest).min(longest));
    match poll(files, timeout) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(errno) => Err(Error::System { call: "poll", source: errno.into() }),
    }
}
