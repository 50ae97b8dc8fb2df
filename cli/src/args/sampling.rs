//! What verbs that sample have in common: the command or the process, and how it is sampled.

use super::pid;
use clap::{Args, ValueEnum};
use pronk_sampler::{EngineChoice, LabelArgument, LabelVariable};
use pronk_symbolizer::profile::{self, NativeFrames};
use std::ffi::OsString;

/// What to sample, and how.
#[derive(Args, Debug)]
pub struct Sampling {
    /// Samples per second of what --mode says, for each thread
    #[arg(short = 'F', long, value_name = "HZ", default_value = "999", value_parser = frequency)]
    pub frequency: u32,

    /// Which moments of a thread are sampled
    #[arg(long, value_enum, default_value_t = Mode::Cpu)]
    pub mode: Mode,

    /// Native frames to show in what is drawn
    #[arg(long, value_enum, default_value_t = Native::Extensions)]
    pub native: Native,

    /// How samples are taken
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,

    /// Have the kernel's part of each stack, where that is permitted (perf has it anyway)
    #[arg(long)]
    pub kernel: bool,

    /// When functions run through their stubs
    #[arg(long, value_enum, default_value_t = Stubs::Auto)]
    pub stubs: Stubs,

    /// With --stubs windowed, which it implies: how much of the program's CPU time stubs may cost [default: 2]
    #[arg(long, value_name = "PERCENT", value_parser = budget)]
    pub budget: Option<Budget>,

    /// Have the value of this context variable as a label (KEY=MODULE.NAME names the label); may be repeated
    #[arg(long, value_name = "MODULE.NAME")]
    pub label_var: Vec<LabelVariable>,

    /// Have this argument of a function, or an attribute of it (FUNCTION:ARGUMENT.ATTRIBUTE), as a label of what the function
    /// does; may be repeated
    #[arg(long, value_name = "MODULE.FUNCTION:ARGUMENT")]
    pub label_arg: Vec<LabelArgument>,

    /// Have the name and the trace id of the current span of OpenTelemetry as labels: span and trace
    #[arg(long)]
    pub label_otel: bool,

    /// Sample the command's first process only, or the process of --pid, and none that it starts
    #[arg(long)]
    pub no_follow: bool,

    /// Attach to this process, which runs already
    #[arg(short, long, value_name = "PID", conflicts_with = "command", value_parser = pid)]
    pub pid: Option<u32>,

    /// The command to run, and its arguments
    #[arg(
        required_unless_present = "pid",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

/// Which native frames to show. Python frames are always shown.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Native {
    /// None
    Python,
    /// Those of extension modules, libraries and the kernel, without the interpreter's own machinery
    Extensions,
    /// All
    All,
}

impl From<Native> for NativeFrames {
    fn from(native: Native) -> Self {
        match native {
            Native::Python => NativeFrames::Python,
            Native::Extensions => NativeFrames::Extensions,
            Native::All => NativeFrames::All,
        }
    }
}

/// How samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The best that this machine permits: signal, driven by perf events or by timers
    Auto,
    /// By the kernel, from outside the program
    Perf,
    /// By a signal handler in the program
    Signal,
}

impl From<Engine> for EngineChoice {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Auto => EngineChoice::Auto,
            Engine::Perf => EngineChoice::Perf,
            Engine::Signal => EngineChoice::Signal,
        }
    }
}

/// Which moments of a thread are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Those in which it is on a processor
    Cpu,
    /// All, waiting included (needs the signal engine)
    Wall,
    /// Those in which it holds the interpreter's lock (needs the signal engine)
    Gil,
}

impl From<Mode> for pronk_sampler::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Cpu => pronk_sampler::Mode::Cpu,
            Mode::Wall => pronk_sampler::Mode::Wall,
            Mode::Gil => pronk_sampler::Mode::Gil,
        }
    }
}

impl From<Mode> for profile::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Cpu => profile::Mode::Cpu,
            Mode::Wall => profile::Mode::Wall,
            Mode::Gil => profile::Mode::Gil,
        }
    }
}

/// When functions run through their stubs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stubs {
    /// As the engine needs it: full with perf; with signal on CPython 3.9 and 3.10 only
    Auto,
    /// Always
    Full,
    /// In short windows, so that they cost no more than --budget (needs the signal engine)
    Windowed,
    /// Never (needs the signal engine)
    Off,
}

/// A share of a program's CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In millionths.
    pub ppm: u32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { ppm: 20_000 }
    }
}

impl Sampling {
    /// When functions run through stubs: a budget is one for windows.
    ///
    /// # Errors
    /// When a budget and another way to use stubs are asked for.
    pub fn stubs(&self) -> Result<pronk_sampler::Stubs, String> {
        let budget = self.budget;
        match (self.stubs, budget) {
            (Stubs::Windowed, _) | (Stubs::Auto, Some(_)) => {
                Ok(pronk_sampler::Stubs::Windowed { budget_ppm: budget.unwrap_or_default().ppm })
            }
            (Stubs::Full | Stubs::Off, Some(_)) => {
                Err("--budget is for stubs that are on in windows: use it with --stubs windowed, or alone".to_owned())
            }
            (Stubs::Auto, None) => Ok(pronk_sampler::Stubs::Auto),
            (Stubs::Full, None) => Ok(pronk_sampler::Stubs::Full),
            (Stubs::Off, None) => Ok(pronk_sampler::Stubs::Off),
        }
    }
}

/// Reads a budget in percent.
fn budget(text: &str) -> Result<Budget, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| (0.01..=100.0).contains(percent));
    let ppm = |percent: f64| Budget { ppm: (percent * 10_000.0).round() as u32 };
    percent.map(ppm).ok_or_else(|| "a budget is a number of percent, from 0.01 to 100".to_owned())
}

pub(super) fn frequency(text: &str) -> Result<u32, String> {
    // The engines' limits are the sampler's to check: it names them and their values.
    text.parse().ok().filter(|hz| *hz > 0).ok_or_else(|| {
        "a frequency is a whole number of samples per second, from 1 to 20000, with --engine perf to \
         kernel.perf_event_max_sample_rate"
            .to_owned()
    })
}
