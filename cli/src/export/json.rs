//! The report for programs, as JSON.
//!
//! One object, with these fields. Fields may be added in version 1; none is taken away and none changes its meaning.
//! What is not known is `null`.
//!
//! - `version`: 1.
//! - `pronk_version`: the version of pronk that made the profile.
//! - `command`: the command and its arguments.
//! - `started_at`: when sampling began, in seconds since 1970.
//! - `duration_ns`: how long sampling was on, in nanoseconds.
//! - `frequency_hz`: samples asked for per second: of CPU time of each thread, or of time on the clock if `mode` is `wall`.
//! - `mode`: which moments of a thread were sampled: `cpu` (on a processor), `wall` (all) or `gil` (holding the
//!   interpreter's lock).
//! - `event`, `engine`, `driver`, `stubs`: what caused a sample, how samples were taken (`perf` or `signal`), the same in
//!   words with the reason, whether stubs were on: `full`, `windowed`, `off`, or `auto` (on CPython 3.9 and 3.10).
//! - `exit`: how the command ended, in words.
//! - `native`: which native frames the report counts: `python` (none), `extensions` or `all`.
//! - `thread`: the name of the threads that the report is limited to, or `null`.
//! - `only`: what holds for all samples in the report, as it was asked for: a list of texts such as `label:tenant=a`, and
//!   `unperturbed`: taken outside of windows with stubs.
//! - `compensated`: how many samples are left out for what calls through stubs have cost; `null` if that was not asked for.
//! - `sort`: `self`, `total` or `calls`, by which `functions` is sorted, the highest first.
//! - `samples`: the number of samples in the report; percentages are of this.
//! - `quality`: `samples` (of the whole profile), `achieved_hz`, `lost`, `throttled`, `truncated`, `gaps`, `without_stack`,
//!   `retaken`, `torn`, `held_back`, `unsampled_threads`, `folded_values`, `unrecorded_scopes`, `handler_p50_ns`,
//!   `handler_p99_ns`, `unresolved_frames`, `unnamed_stubs`, `unregistered_functions`, `deep_stops`, `counting` (whether
//!   calls are counted `exact` or `incomplete`, in which case `notes` or the numbers before it say why, or are `estimated` from
//!   windows; `null` if they are not counted; there may be other words), `stubs` (in how many `windows` they were on, `on_ns` and
//!   `off_ns`, and what they have cost, `cost_ns`: an estimate), `kernel_excluded` (true or false), and `notes`, a list of texts.
//! - `processes`: for each `pid`, `parent` (its position in this list, or `null`), `name`, and `python`: an object with
//!   `status` (`stubs`, `refused` or `none`), `version` and `reason`.
//! - `threads`: for each `pid`, `tid`, `name`, `main` (true or false), and `samples`, of the whole profile.
//! - `functions`: for each `name`, `file`, `line` (on which it begins), `binary`, `category` (`python`, `interpreter`,
//!   `native`, `kernel` or `missing`), `self` and `total` (samples), `self_percent` and `total_percent`; `calls`, how often
//!   it was called, `calls_error` (how far from the truth an estimate can be, with 99 %; `null` if it is none), `resumes`
//!   (true for a generator or a coroutine: `calls` has each time that it was begun or went on),
//!   `at_least` (true where CPython runs some calls where nobody can count them), `calls_per_second` of the profile, `self_ns_per_call` and `total_ns_per_call`, estimates from samples. Those of calls are
//!   `null` where they are not known, and if the report is limited to some samples. If `sort` is `calls`, functions that are in
//!   no sample are in the list.

use super::Export;
use super::calls::CallTimes;
use super::table::Order;
use crate::messages::percent;
use pronk_symbolizer::profile::{Category, Counting, Mode, NativeFrames, Profile, PythonSupport, StringId, StubUse};
use pronk_symbolizer::view::{FunctionCount, View};
use serde::Serialize;
use std::io::{self, Write};

/// The version of the format.
const VERSION: u32 = 1;

/// Writes JSON.
#[derive(Debug)]
pub struct Json {
    /// By what functions are sorted.
    pub order: Order,
    /// How many functions there are at most.
    pub top: usize,
}

impl Export for Json {
    fn write(&self, profile: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        let report = Report::new(self, profile, view);
        serde_json::to_writer_pretty(&mut *to, &report)?;
        writeln!(to)
    }
}

/// What each report for programs begins with.
#[derive(Serialize)]
pub struct Head<'p> {
    version: u32,
    pronk_version: &'p str,
    command: &'p [String],
    started_at: u64,
    duration_ns: u64,
    frequency_hz: u32,
    mode: &'static str,
    event: &'p str,
    engine: &'p str,
    driver: &'p str,
    stubs: &'p str,
    exit: &'p str,
    native: &'static str,
    thread: Option<&'p str>,
    only: Vec<String>,
    compensated: Option<u64>,
}

#[derive(Serialize)]
struct Report<'p> {
    #[serde(flatten)]
    head: Head<'p>,
    sort: &'static str,
    samples: u64,
    quality: Quality<'p>,
    processes: Vec<Process<'p>>,
    threads: Vec<Thread<'p>>,
    functions: Vec<Function<'p>>,
}

#[derive(Serialize)]
struct Quality<'p> {
    samples: u64,
    achieved_hz: Option<f64>,
    lost: u64,
    throttled: u64,
    truncated: u64,
    gaps: u64,
    without_stack: u64,
    retaken: u64,
    torn: u64,
    held_back: u64,
    unsampled_threads: u64,
    folded_values: u64,
    unrecorded_scopes: u64,
    handler_p50_ns: Option<u64>,
    handler_p99_ns: Option<u64>,
    unresolved_frames: u64,
    unnamed_stubs: u64,
    unregistered_functions: u64,
    deep_stops: u64,
    counting: Option<&'static str>,
    stubs: StubUse,
    kernel_excluded: bool,
    notes: &'p [String],
}

#[derive(Serialize)]
struct Process<'p> {
    pid: u32,
    parent: Option<u32>,
    name: &'p str,
    python: Python<'p>,
}

#[derive(Serialize)]
struct Python<'p> {
    status: &'static str,
    version: Option<&'p str>,
    reason: Option<&'p str>,
}

#[derive(Serialize)]
struct Thread<'p> {
    pid: u32,
    tid: u32,
    name: &'p str,
    main: bool,
    samples: u64,
}

#[derive(Serialize)]
struct Function<'p> {
    name: &'p str,
    file: Option<&'p str>,
    line: Option<u32>,
    binary: Option<&'p str>,
    category: &'static str,
    #[serde(rename = "self")]
    itself: u64,
    total: u64,
    self_percent: f64,
    total_percent: f64,
    calls: Option<u64>,
    calls_error: Option<u64>,
    resumes: Option<bool>,
    at_least: Option<bool>,
    calls_per_second: Option<f64>,
    self_ns_per_call: Option<f64>,
    total_ns_per_call: Option<f64>,
}

impl<'p> Head<'p> {
    /// How the profile was made, and what the view shows of it.
    pub fn new(profile: &'p Profile, view: &'p View<'_>) -> Self {
        let meta = &profile.meta;
        Head {
            version: VERSION,
            pronk_version: &meta.pronk_version,
            command: &meta.command,
            started_at: meta.started_at_unix,
            duration_ns: meta.duration_ns,
            frequency_hz: meta.frequency,
            mode: match meta.mode {
                Mode::Cpu => "cpu",
                Mode::Wall => "wall",
                Mode::Gil => "gil",
            },
            event: &meta.event,
            engine: &meta.engine,
            driver: &meta.driver,
            stubs: &meta.stubs,
            exit: &meta.exit,
            native: name_of(view.native()),
            thread: view.options().thread.as_deref(),
            only: only(view),
            compensated: compensated(view),
        }
    }
}

impl<'p> Report<'p> {
    fn new(options: &Json, profile: &'p Profile, view: &'p View<'_>) -> Self {
        let samples = view.sample_count();
        let functions = options.order.functions(view);
        Report {
            head: Head::new(profile, view),
            sort: match options.order {
                Order::Itself => "self",
                Order::Total => "total",
                Order::Calls => "calls",
            },
            samples,
            quality: Quality::new(profile),
            processes: processes(profile),
            threads: threads(profile),
            functions: functions
                .iter()
                .take(options.top)
                .map(|count| Function::new(profile, view, count, samples))
                .collect(),
        }
    }
}

impl<'p> Quality<'p> {
    fn new(profile: &'p Profile) -> Self {
        let quality = &profile.quality;
        Quality {
            samples: quality.samples,
            // JSON has no infinities; serde_json would write null for them as well.
            achieved_hz: quality.achieved_hz.filter(|hz| hz.is_finite()),
            lost: quality.lost,
            throttled: quality.throttled,
            truncated: quality.truncated,
            gaps: quality.gaps,
            without_stack: quality.without_stack,
            retaken: quality.retaken,
            torn: quality.torn,
            held_back: quality.held_back,
            unsampled_threads: quality.unsampled_threads,
            folded_values: quality.folded_values,
            unrecorded_scopes: quality.unrecorded_scopes,
            handler_p50_ns: quality.handler_p50_ns,
            handler_p99_ns: quality.handler_p99_ns,
            unresolved_frames: quality.unresolved_frames,
            unnamed_stubs: quality.unnamed_stubs,
            unregistered_functions: quality.unregistered_functions,
            deep_stops: quality.deep_stops,
            counting: match quality.counting {
                Counting::Not => None,
                Counting::Exact => Some("exact"),
                Counting::Incomplete => Some("incomplete"),
                Counting::Estimated => Some("estimated"),
            },
            stubs: quality.stubs,
            kernel_excluded: quality.kernel_excluded,
            notes: &quality.notes,
        }
    }
}

impl<'p> Function<'p> {
    fn new(profile: &'p Profile, view: &View<'_>, count: &FunctionCount, samples: u64) -> Self {
        let times = CallTimes::of(view, &profile.meta, count);
        let function = &profile.functions[count.function.index()];
        let optional = |id: Option<StringId>| id.map(|id| text(profile, id));
        Function {
            name: text(profile, function.name),
            file: optional(function.file),
            line: function.first_line,
            binary: optional(function.binary),
            category: match function.category {
                Category::Python => "python",
                Category::Interpreter => "interpreter",
                Category::Native => "native",
                Category::Kernel => "kernel",
                Category::Missing => "missing",
            },
            itself: count.self_samples,
            total: count.total_samples,
            self_percent: hundredths(percent(count.self_samples, samples)),
            total_percent: hundredths(percent(count.total_samples, samples)),
            calls: times.map(|times| times.calls),
            calls_error: times.and_then(|times| times.error),
            resumes: times.map(|times| times.resumes),
            at_least: times.map(|times| times.at_least),
            calls_per_second: times.and_then(|times| times.per_second).map(hundredths),
            self_ns_per_call: times.map(|times| hundredths(times.self_ns)),
            total_ns_per_call: times.map(|times| hundredths(times.total_ns)),
        }
    }
}

/// What the command line calls them.
pub fn name_of(native: NativeFrames) -> &'static str {
    match native {
        NativeFrames::Python => "python",
        NativeFrames::Extensions => "extensions",
        NativeFrames::All => "all",
    }
}

/// What holds for all samples that the view shows.
pub fn only(view: &View<'_>) -> Vec<String> {
    let options = view.options();
    let unperturbed = options.unperturbed.then(|| "unperturbed".to_owned());
    options.only.iter().map(ToString::to_string).chain(unperturbed).collect()
}

/// How many samples are left out for what stubs have cost, if that was asked for.
pub fn compensated(view: &View<'_>) -> Option<u64> {
    view.options().compensate.then(|| view.compensated())
}

fn text(profile: &Profile, id: StringId) -> &str {
    &profile.strings[id.index()]
}

/// A number as it is written that need not be exact.
pub fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn processes(profile: &Profile) -> Vec<Process<'_>> {
    profile
        .processes
        .iter()
        .map(|process| Process {
            pid: process.pid,
            parent: process.parent.map(|parent| parent.0),
            name: text(profile, process.name),
            python: match &process.python {
                PythonSupport::NotPython => Python { status: "none", version: None, reason: None },
                PythonSupport::Stubs(version) => Python { status: "stubs", version: Some(version), reason: None },
                PythonSupport::Refused(reason) => Python { status: "refused", version: None, reason: Some(reason) },
            },
        })
        .collect()
}

fn threads(profile: &Profile) -> Vec<Thread<'_>> {
    let mut samples = vec![0_u64; profile.threads.len()];
    for sample in &profile.samples {
        samples[sample.thread.index()] += u64::from(sample.weight);
    }
    profile
        .threads
        .iter()
        .zip(samples)
        .map(|(thread, samples)| Thread {
            pid: profile.processes[thread.process.index()].pid,
            tid: thread.tid,
            name: text(profile, thread.name),
            main: thread.main,
            samples,
        })
        .collect()
}
