//! What `pronk record` says at its end.

use crate::export::Format;
use crate::messages::{describe, percent, thousands};
use crate::output::Written;
use pronk_symbolizer::profile::{Counting, Mode, Profile, PythonSupport, Quality, StubUse};
use pronk_symbolizer::view::View;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many of the hottest functions are named.
const HOTTEST: usize = 5;

/// How many reasons are given for processes that ran without stubs.
const MOST_REASONS: usize = 5;

/// The summary, in lines.
pub fn of(profile: &Profile, view: &View<'_>, files: &[(Format, Written)]) -> String {
    let mut text = samples(profile);
    let said = [engine(profile)].into_iter().chain(handler(&profile.quality));
    let said = said.chain(stubs(profile)).chain(calls(profile));
    for line in said.chain(quality(&profile.quality)).chain(processes(profile)) {
        let _ = write!(text, "\n{line}");
    }
    let functions = view.functions();
    if !functions.is_empty() {
        let all = view.sample_count();
        let _ = write!(text, "\n   self    total  function");
        for count in functions.iter().take(HOTTEST) {
            let (own, total) = (percent(count.self_samples, all), percent(count.total_samples, all));
            let _ = write!(text, "\n{own:6.1}%  {total:6.1}%  {}", view.label(count.function));
        }
    }
    for (format, written) in files {
        let _ = write!(text, "\n{}", file(*format, written));
    }
    text
}

/// How many samples there are, and how fast they came.
fn samples(profile: &Profile) -> String {
    let (meta, quality) = (&profile.meta, &profile.quality);
    let seconds = meta.duration_ns as f64 / 1e9;
    let mut text = format!("{} samples in {seconds:.2} s", thousands(quality.samples));
    let _ = match quality.achieved_hz {
        Some(achieved) => write!(text, ": {achieved:.0} in a second of CPU time, {} asked for", meta.frequency),
        None if meta.mode == Mode::Wall => write!(text, ", {} asked for in a second of each thread", meta.frequency),
        None => write!(text, ", {} asked for in a second of CPU time", meta.frequency),
    };
    text
}

/// How samples were taken, and what each stands for.
fn engine(profile: &Profile) -> String {
    let meta = &profile.meta;
    let milliseconds = 1e3 / f64::from(meta.frequency);
    let time = match meta.mode {
        Mode::Cpu => "a thread's CPU time",
        Mode::Wall => "a thread's time on the clock, waiting included",
        Mode::Gil => "CPU time of the thread that holds the GIL",
    };
    format!("{}; a sample stands for {milliseconds:.3} ms of {time}", meta.driver)
}

/// What the handler took, and how often it had to try again: nothing is wrong with that.
fn handler(quality: &Quality) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(p50), Some(p99)) = (quality.handler_p50_ns, quality.handler_p99_ns) {
        let [p50, p99] = [p50, p99].map(|ns| ns as f64 / 1e3);
        lines.push(format!(
            "a sample took {p50:.1} \u{b5}s of the program's time, and 99 of 100 at most {p99:.1} \u{b5}s"
        ));
    }
    if quality.retaken > 0 {
        let times = thousands(quality.retaken);
        lines.push(format!(
            "samples taken again, since the interpreter was between two states: {times}; none is lost by it"
        ));
    }
    lines
}

/// What stubs have done, and what they have cost.
fn stubs(profile: &Profile) -> Option<String> {
    let StubUse { windows, on_ns, off_ns, cost_ns } = profile.quality.stubs;
    if profile.meta.stubs == "windowed" {
        let time_ns = on_ns.saturating_add(off_ns);
        if windows == 0 {
            return Some("stubs were never on: the program was too short for a window, or is not Python".to_owned());
        }
        let (on, cost) = (percent(on_ns, time_ns), percent(cost_ns, time_ns));
        return Some(format!(
            "stubs were on for {on:.1}% of the time, in windows ({}), and have cost about {cost:.1}%",
            thousands(windows)
        ));
    }
    let sample_ns = 1_000_000_000 / u64::from(profile.meta.frequency.max(1));
    let time_ns = profile.quality.samples.saturating_mul(sample_ns);
    let is_known = cost_ns > 0 && profile.meta.mode != Mode::Wall && time_ns > 0;
    is_known.then(|| format!("stubs have cost about {:.1}% of the time", percent(cost_ns, time_ns)))
}

/// How many calls were counted.
fn calls(profile: &Profile) -> Option<String> {
    let how = match profile.quality.counting {
        Counting::Not => return None,
        Counting::Exact => "were counted",
        Counting::Incomplete if profile.quality.stubs.windows > 0 => "are estimated from windows; some are missing",
        Counting::Incomplete => "were counted; some are missing",
        Counting::Estimated => "are estimated from windows in which they were counted",
    };
    let calls = profile.calls.iter().fold(0_u64, |sum, calls| sum.saturating_add(calls.count));
    let (calls, functions) = (thousands(calls), thousands(profile.calls.len() as u64));
    Some(format!("{calls} calls of {functions} Python functions {how} (pronk report --calls)"))
}

/// What is missing or doubtful, a line each; one line to say that nothing is.
fn quality(quality: &Quality) -> Vec<String> {
    let counted = [
        ("samples lost because a buffer was full (try a lower -F)", quality.lost),
        ("times that the kernel throttled sampling (try a lower -F)", quality.throttled),
        ("samples with more native stack than is copied: frames are missing at [stack truncated]", quality.truncated),
        ("samples with native frames that could not be unwound", quality.gaps),
        ("samples without a stack", quality.without_stack),
        ("samples whose Python frames could not be read to the root", quality.torn),
        (
            "threads that could not be sampled: the system, or a filter of system calls (seccomp), gives no timer or memory",
            quality.unsampled_threads,
        ),
        ("samples not taken because the program held their signal back", quality.held_back),
        ("times that a label had too many values: it counts as \"other\" there", quality.folded_values),
        ("blocks with labels that are in no sample, as there were too many", quality.unrecorded_scopes),
        ("native places without a name, since no symbols were found for them", quality.unresolved_frames),
        ("Python functions whose names were lost", quality.unnamed_stubs),
        ("Python functions that got no stub", quality.unregistered_functions),
        ("times that stubs were off because the stack was nearly used up", quality.deep_stops),
    ];
    let mut lines: Vec<String> = counted
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{what}: {}", thousands(count)))
        .collect();
    if quality.kernel_excluded {
        lines.push("time in the kernel is left out: it may not be sampled here (`pronk doctor` says why)".to_owned());
    }
    lines.extend(quality.notes.iter().cloned());
    if lines.is_empty() && quality.samples > 0 {
        lines.push("nothing was lost, every stack is complete".to_owned());
    }
    lines
}

/// The processes without stubs, those of one name and one reason together. What is not Python and is in no sample, such
/// as a child on its way from fork to exec, is not worth a word.
fn processes(profile: &Profile) -> Vec<String> {
    let mut refused: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    let mut other: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sampled = vec![false; profile.processes.len()];
    for sample in &profile.samples {
        sampled[profile.threads[sample.thread.index()].process.index()] = true;
    }
    for (process, sampled) in profile.processes.iter().zip(sampled) {
        let name = profile.strings[process.name.index()].as_str();
        match &process.python {
            PythonSupport::Stubs(_) => {}
            PythonSupport::Refused(reason) => refused.entry((name, reason)).or_default().push(process.pid),
            PythonSupport::NotPython if !sampled => {}
            PythonSupport::NotPython => *other.entry(name).or_default() += 1,
        }
    }
    let mut lines = Vec::new();
    if profile.processes.is_empty() && profile.meta.engine == "signal" {
        lines.push("no Python was started, and the signal engine samples nothing else: --engine perf does".to_owned());
    }
    for ((name, reason), pids) in refused.iter().take(MOST_REASONS) {
        let who = match pids.as_slice() {
            [pid] => format!("{name} ({pid})"),
            pids => format!("{name} ({} processes)", pids.len()),
        };
        lines.push(format!("{who} ran without Python names: {reason}"));
    }
    if refused.len() > MOST_REASONS {
        lines.push(format!("{} more kinds of processes ran without Python names", refused.len() - MOST_REASONS));
    }
    if !other.is_empty() {
        let names: Vec<String> = other
            .iter()
            .take(MOST_REASONS)
            .map(|(name, count)| if *count == 1 { (*name).to_owned() } else { format!("{name} ({count} times)") })
            .collect();
        let more = if other.len() > MOST_REASONS { ", ..." } else { "" };
        lines.push(format!("not Python, so only native frames: {}{more}", names.join(", ")));
    }
    lines
}

fn file(format: Format, written: &Written) -> String {
    let what = match format {
        Format::Svg => "flamegraph",
        Format::Folded => "stacks",
        Format::Pronk => "profile",
    };
    let mut text = format!("{what:<10}  {}", written.path.display());
    if let Some(previous) = &written.previous {
        let _ = write!(text, " (the one before is {})", previous.display());
    }
    if let Some(error) = &written.instead_because {
        let _ = write!(text, " (it is there because: {})", describe(error));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pronk_symbolizer::profile::Meta;
    use std::path::PathBuf;

    #[test]
    fn a_clean_profile_is_called_clean() {
        let clean = Quality { samples: 1, ..Quality::default() };
        assert_eq!(quality(&clean), ["nothing was lost, every stack is complete"]);
        assert!(quality(&Quality::default()).is_empty());
    }

    #[test]
    fn only_what_is_wrong_is_said() {
        let lossy = Quality { samples: 9, lost: 1234, kernel_excluded: true, ..Quality::default() };
        let lines = quality(&lossy);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "samples lost because a buffer was full (try a lower -F): 1,234");
        assert!(lines[1].starts_with("time in the kernel is left out"));
    }

    #[test]
    fn what_a_sample_stands_for_depends_on_the_mode() {
        let said = |mode, frequency| {
            let meta = Meta { mode, frequency, driver: "signal, by a timer".to_owned(), ..Meta::default() };
            engine(&Profile { meta, ..Profile::default() })
        };
        let expected = "signal, by a timer; a sample stands for 1.001 ms of a thread's CPU time";
        assert_eq!(said(Mode::Cpu, 999), expected);
        assert!(said(Mode::Wall, 100).ends_with("10.000 ms of a thread's time on the clock, waiting included"));
        assert!(said(Mode::Gil, 20_000).ends_with("0.050 ms of CPU time of the thread that holds the GIL"));
    }

    #[test]
    fn what_the_handler_did_is_not_a_loss() {
        let times = Quality {
            samples: 1,
            retaken: 1_234,
            handler_p50_ns: Some(1_250),
            handler_p99_ns: Some(8_000),
            ..Quality::default()
        };
        let expected = [
            "a sample took 1.2 \u{b5}s of the program's time, and 99 of 100 at most 8.0 \u{b5}s",
            "samples taken again, since the interpreter was between two states: 1,234; none is lost by it",
        ];
        assert_eq!(handler(&times), expected);
        assert_eq!(quality(&times), ["nothing was lost, every stack is complete"]);
        assert!(handler(&Quality::default()).is_empty());
        let torn = Quality { samples: 1, torn: 2, held_back: 3, ..Quality::default() };
        assert_eq!(quality(&torn).len(), 2);
    }

    #[test]
    fn labels_that_are_missing_are_said() {
        let missing = Quality { samples: 1, folded_values: 2_000, unrecorded_scopes: 3, ..Quality::default() };
        let lines = quality(&missing);
        assert_eq!(lines[0], "times that a label had too many values: it counts as \"other\" there: 2,000");
        assert_eq!(lines[1], "blocks with labels that are in no sample, as there were too many: 3");
    }

    #[test]
    fn a_file_in_another_place_says_why() {
        let written = Written {
            path: PathBuf::from("/tmp/pronk-1.svg"),
            previous: None,
            instead_because: Some(anyhow::anyhow!("No space left on device").context("cannot write x.svg")),
        };
        let line = file(Format::Svg, &written);
        assert_eq!(
            line,
            "flamegraph  /tmp/pronk-1.svg (it is there because: cannot write x.svg: No space left on device)"
        );
    }
}
