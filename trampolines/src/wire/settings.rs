//! What the profiler asks of the agents in a session: a file in the session's directory, written before the command starts.
//!
//! Without the file an agent runs functions through stubs and takes no samples: somebody outside does.

use crate::sys::PathText;
use core::ffi::CStr;
use core::mem::{offset_of, size_of};

/// The file's name in the session's directory.
pub const SETTINGS_FILE: &str = "settings";
/// The first eight bytes of the file.
pub const SETTINGS_MAGIC: [u8; 8] = *b"PRONKSET";
/// The version of the format that this crate reads and writes.
pub const SETTINGS_VERSION: u32 = 5;
/// The room for [`Settings::ring_directory`], in bytes.
pub const DIRECTORY_SIZE: usize = 256;

/// The room for [`Settings::variables`], in bytes.
pub const VARIABLES_SIZE: usize = 2048;
/// The most context variables that are labels.
pub const MOST_VARIABLES: usize = 16;
/// The room for [`Settings::arguments`], in bytes.
pub const ARGUMENTS_SIZE: usize = 4096;
/// The most arguments of functions that are labels.
pub const MOST_ARGUMENTS: usize = 16;

/// Which moments of a thread are sampled: the values of [`Settings::mode`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Those in which it is on a processor. A sample stands for a period of its CPU time.
    #[default]
    Cpu = 0,
    /// All. A sample stands for a period of time on the clock.
    Wall = 1,
    /// Those in which it holds the global interpreter lock. A sample stands for a period of its CPU time.
    Gil = 2,
}

impl Mode {
    /// The mode that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<Mode> {
        match raw {
            0 => Some(Mode::Cpu),
            1 => Some(Mode::Wall),
            2 => Some(Mode::Gil),
            _ => None,
        }
    }
}

/// What drives the handler: the values of [`Settings::driver`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Driver {
    /// A monotonic timer for each thread, weighed by the thread's CPU clock.
    #[default]
    Timer = 0,
    /// A perf event on each thread itself that counts its time in the kernel, too.
    PerfEvent = 1,
    /// Nothing: samples are taken by somebody outside, and the ring says what those cannot see: for whom each moment is.
    Outside = 2,
}

impl Driver {
    /// The driver that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<Driver> {
        match raw {
            0 => Some(Driver::Timer),
            1 => Some(Driver::PerfEvent),
            2 => Some(Driver::Outside),
            _ => None,
        }
    }
}

/// Whether functions run through stubs: the values of [`Settings::stubs`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum StubsSetting {
    /// Not.
    Off = 0,
    /// They do.
    Full = 1,
    /// Where they cost next to nothing and bring something: on CPython 3.9 and 3.10, which have no inlining to lose, and
    /// whose code objects do not know their qualified names.
    #[default]
    Auto = 2,
    /// In windows, so that they cost no more than [`Settings::budget_ppm`].
    Windowed = 3,
}

impl StubsSetting {
    /// The setting that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<StubsSetting> {
        match raw {
            0 => Some(StubsSetting::Off),
            1 => Some(StubsSetting::Full),
            2 => Some(StubsSetting::Auto),
            3 => Some(StubsSetting::Windowed),
            _ => None,
        }
    }
}

/// Which processes take part in a session: all that come from the first one, or only that, by its id in its own pid namespace;
/// what it executes is the same process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Followed(u32);

impl Followed {
    /// All that come from the first one.
    pub const ALL: Followed = Followed(0);

    /// Only one.
    pub const fn only(pid: u32) -> Followed {
        Followed(pid)
    }

    /// Whether a process takes part.
    pub const fn includes(self, pid: u32) -> bool {
        self.0 == 0 || self.0 == pid
    }

    /// Whether children of the first one do.
    pub const fn includes_children(self) -> bool {
        self.0 == 0
    }
}

/// The file.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Settings {
    /// [`SETTINGS_MAGIC`].
    pub magic: [u8; 8],
    /// [`SETTINGS_VERSION`].
    pub version: u32,
    /// A [`Mode`].
    pub mode: u32,
    /// The time that a sample stands for, in nanoseconds.
    pub period_ns: u64,
    /// The bytes of data that each process's ring has; a power of two.
    pub ring_size: u64,
    /// The [`Driver`] to use; where a thread is refused it, the timer does.
    pub driver: u32,
    /// Whether samples have the kernel's part of the stack: 0 or 1. Needs [`Driver::PerfEvent`].
    pub kernel: u32,
    /// A [`StubsSetting`].
    pub stubs: u32,
    /// Whether samples have the frames that await their task: 0 or 1.
    pub await_chains: u32,
    /// Whether the current span of OpenTelemetry is a label: 0 or 1.
    pub spans: u32,
    /// Which processes take part.
    pub followed: Followed,
    /// With [`StubsSetting::Windowed`]: what stubs may cost, in millionths of the CPU time.
    pub budget_ppm: u32,
    /// Zero.
    pub reserved: u32,
    /// The directory for rings, zero-terminated.
    pub ring_directory: [u8; DIRECTORY_SIZE],
    /// The context variables whose values are labels: of each the label's key, the module's name and the variable's, with a
    /// zero behind each. The rest is zeros.
    pub variables: [u8; VARIABLES_SIZE],
    /// The arguments of functions whose values are labels: of each the label's key, the function's name with its module's, and
    /// the argument's with those of attributes, with a zero behind each. The rest is zeros.
    pub arguments: [u8; ARGUMENTS_SIZE],
}

/// A context variable whose value is a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariableName<'a> {
    /// The label's key.
    pub key: &'a [u8],
    /// The name of the module that has it.
    pub module: &'a [u8],
    /// Its own.
    pub variable: &'a [u8],
}

/// An argument of a function whose value is a label, or what its attributes lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentName<'a> {
    /// The label's key.
    pub key: &'a [u8],
    /// The function's `__module__` and its `__qualname__`, with a dot between them.
    pub function: &'a [u8],
    /// The argument's own, and behind it those of attributes, with a dot before each.
    pub path: &'a [u8],
}

const _: () = {
    assert!(size_of::<Settings>() == 64 + DIRECTORY_SIZE + VARIABLES_SIZE + ARGUMENTS_SIZE);
    assert!(offset_of!(Settings, ring_directory) == 64);
};

impl Settings {
    /// The context variables whose values are labels.
    pub fn variables(&self) -> impl Iterator<Item = VariableName<'_>> + Clone {
        let name = |[key, module, variable]: [_; 3]| VariableName { key, module, variable };
        threes(&self.variables).map(name).take(MOST_VARIABLES)
    }

    /// The directory for rings, if there is room for its name.
    pub(crate) fn memory(&self) -> Option<PathText> {
        let mut path = PathText::new();
        let name = CStr::from_bytes_until_nul(&self.ring_directory).ok()?;
        path.push(name.to_bytes()).then_some(path)
    }

    /// Whether labels come from context variables.
    pub fn reads_variables(&self) -> bool {
        self.spans != 0 || self.variables().next().is_some()
    }

    /// The arguments of functions whose values are labels.
    pub fn arguments(&self) -> impl Iterator<Item = ArgumentName<'_>> + Clone {
        let name = |[key, function, path]: [_; 3]| ArgumentName { key, function, path };
        threes(&self.arguments).map(name).take(MOST_ARGUMENTS)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> [u8; size_of::<Settings>()] {
        // SAFETY: the structure is plain data without padding, as the assertion on its size and the order of its fields
        // show.
        unsafe { core::mem::transmute::<Settings, [u8; size_of::<Settings>()]>(*self) }
    }

    /// Reads the bytes of a file. `None` when they are not settings of this version, or ask for what there is not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Settings> {
        let bytes: [u8; size_of::<Settings>()] = bytes.try_into().ok()?;
        // SAFETY: every pattern of bits is a valid value of the structure.
        let settings = unsafe { core::mem::transmute::<[u8; size_of::<Settings>()], Settings>(bytes) };
        let known = settings.magic == SETTINGS_MAGIC && settings.version == SETTINGS_VERSION;
        let sound = Mode::from_raw(settings.mode).is_some()
            && Driver::from_raw(settings.driver).is_some()
            && StubsSetting::from_raw(settings.stubs).is_some()
            && settings.period_ns > 0
            && settings.ring_size.is_power_of_two()
            && settings.ring_directory.contains(&0);
        (known && sound).then_some(settings)
    }
}

/// Texts with a zero behind each, by threes; an empty one ends them.
fn threes(bytes: &[u8]) -> impl Iterator<Item = [&[u8]; 3]> + Clone {
    let mut texts = bytes.split(|byte| *byte == 0);
    core::iter::from_fn(move || {
        let first = texts.next().filter(|first| !first.is_empty())?;
        Some([first, texts.next()?, texts.next()?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_and_others_are_refused() {
        let mut settings = Settings {
            magic: SETTINGS_MAGIC,
            version: SETTINGS_VERSION,
            mode: Mode::Wall as u32,
            period_ns: 1_000_000,
            ring_size: 1 << 20,
            driver: Driver::PerfEvent as u32,
            kernel: 1,
            stubs: 0,
            await_chains: 1,
            spans: 1,
            followed: Followed::only(7),
            budget_ppm: 20_000,
            reserved: 0,
            ring_directory: [0; DIRECTORY_SIZE],
            variables: [0; VARIABLES_SIZE],
            arguments: [0; ARGUMENTS_SIZE],
        };
        let variables = b"request\0app.web\0request_id\0tenant\0app\0tenant\0";
        settings.variables[..variables.len()].copy_from_slice(variables);
        let arguments = b"path\0app.web.handler\0request.path\0";
        settings.arguments[..arguments.len()].copy_from_slice(arguments);
        settings.ring_directory[..4].copy_from_slice(b"/tmp");
        let read = Settings::from_bytes(&settings.to_bytes()).unwrap();
        assert_eq!(read.to_bytes(), settings.to_bytes());
        let names: std::vec::Vec<_> = read.variables().map(|name| (name.key, name.module, name.variable)).collect();
        let expected: [(&[u8], &[u8], &[u8]); 2] =
            [(b"request", b"app.web", b"request_id"), (b"tenant", b"app", b"tenant")];
        assert_eq!(names, expected);
        let expected = ArgumentName { key: b"path", function: b"app.web.handler", path: b"request.path" };
        assert!(read.arguments().eq([expected]));
        let refused = |change: fn(&mut Settings)| {
            let mut changed = settings;
            change(&mut changed);
            Settings::from_bytes(&changed.to_bytes()).is_none()
        };
        assert!(refused(|s| s.magic[0] = 0));
        assert!(refused(|s| s.version += 1));
        assert!(refused(|s| s.mode = 9));
        assert!(refused(|s| s.driver = 9));
        assert!(refused(|s| s.stubs = 9));
        assert!(refused(|s| s.period_ns = 0));
        assert!(refused(|s| s.ring_size = 1000));
        assert!(refused(|s| s.ring_directory = [b'a'; DIRECTORY_SIZE]));
        assert!(Settings::from_bytes(&settings.to_bytes()[1..]).is_none());
    }
}
