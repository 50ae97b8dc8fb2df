//! `pronk doctor`: what this machine permits, and what to do about the rest.

use crate::agent;
use crate::ending::Ending;
use crate::messages::{printable, thousands};
use anyhow::{Context, Result};
use pronk_sampler::{Answer, EngineChoice, Mode, Permissions, Request, Session, SessionDirectory, probe, tick_cost};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::time::Duration;

/// The command of the trials. POSIX has it everywhere.
const TRIAL: &str = "true";

/// The frequency of the trials, in samples per second: any machine allows it.
const TRIAL_FREQUENCY: u32 = 99;

/// What interrupts may take of a thread's time at 1,000 Hz without a remark, in percent.
const MOST_PERCENT: f64 = 1.0;

/// What was found about one thing that a profile needs, or is better for.
struct Finding {
    what: &'static str,
    found: Found,
}

enum Found {
    /// It is there: what it is.
    Ok(String),
    /// It is not there, and a profile is poorer without it: why, and what to do.
    Poorer(String),
    /// It is not there, and there can be no profile: why, and what to do.
    Missing(String),
}

/// Writes the findings to stdout. The status is 0 if `pronk record` works here and 1 if it does not.
///
/// # Errors
/// When stdout cannot be written.
pub fn run() -> Result<Ending> {
    let permissions = probe();
    // Either engine is enough.
    let perf = trial(EngineChoice::Perf);
    let signal = trial(EngineChoice::Signal);
    let any = perf.is_ok() || signal.is_ok();
    let findings = [
        user(&permissions),
        kernel(&permissions),
        kernel_names(&permissions),
        cycles(&permissions),
        frequency(&permissions),
        memory(&permissions),
        files(&permissions),
        agent(),
        directory(),
        Finding { what: "perf engine", found: engine(perf, any) },
        Finding { what: "signal engine", found: engine(signal, any) },
        Finding { what: "interrupts", found: interrupts(tick_cost()) },
    ];
    let works = !findings.iter().any(|finding| matches!(finding.found, Found::Missing(_)));
    let mut stdout = io::stdout().lock();
    let end = if works { "`pronk record` works here." } else { "`pronk record` does not work here." };
    findings
        .iter()
        .try_for_each(|finding| writeln!(stdout, "{finding}"))
        .and_then(|()| writeln!(stdout, "{end}"))
        .context("cannot write the findings")?;
    Ok(Ending::Status(if works { 0 } else { 1 }))
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, words) = match &self.found {
            Found::Ok(words) => ("ok", words),
            Found::Poorer(words) | Found::Missing(words) => ("no", words),
        };
        let mut lines = words.lines().map(printable);
        write!(formatter, "{mark}  {:<18} {}", self.what, lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| write!(formatter, "\n{:<23}{line}", ""))
    }
}

fn user(permissions: &Permissions) -> Finding {
    let found = match &permissions.user {
        Answer::Yes => Found::Ok("programs can be sampled with perf_event_open".to_owned()),
        Answer::No(reason) => Found::Poorer(reason.clone()),
    };
    Finding { what: "perf events", found }
}

fn kernel(permissions: &Permissions) -> Finding {
    let found = match &permissions.kernel {
        Answer::Yes => Found::Ok("time in the kernel is seen".to_owned()),
        Answer::No(reason) => Found::Poorer(format!("time in the kernel is not seen: {reason}")),
    };
    Finding { what: "kernel sampling", found }
}

fn kernel_names(permissions: &Permissions) -> Finding {
    let found = if kernel_addresses_are_readable() {
        Found::Ok("/proc/kallsyms can be read".to_owned())
    } else {
        // Who may see the addresses: kallsyms_show_value in kernel/ksyms_common.c.
        Found::Poorer(match permissions.kptr_restrict {
            Some(0) => "addresses in /proc/kallsyms are hidden while kernel.perf_event_paranoid is above 1: lower it \
                        (sysctl kernel.perf_event_paranoid=1) or run pronk as root"
                .to_owned(),
            Some(1) => "addresses in /proc/kallsyms are for root only while kernel.kptr_restrict is 1: run pronk as \
                        root, or lower it (sysctl kernel.kptr_restrict=0)"
                .to_owned(),
            Some(level) => format!(
                "addresses in /proc/kallsyms are hidden while kernel.kptr_restrict is {level}: lower it \
                 (sysctl kernel.kptr_restrict=1) and run pronk as root"
            ),
            None => "/proc/kallsyms shows no addresses, and kernel.kptr_restrict cannot be read: run pronk as root"
                .to_owned(),
        })
    };
    Finding { what: "kernel names", found }
}

/// Whether any symbol has an address: to those who may not know, the kernel shows 0 for all.
fn kernel_addresses_are_readable() -> bool {
    let Ok(symbols) = std::fs::File::open("/proc/kallsyms") else { return false };
    BufReader::new(symbols)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.split(' ').next().is_some_and(|address| address.bytes().any(|digit| digit != b'0')))
}

fn cycles(permissions: &Permissions) -> Finding {
    let found = match &permissions.cycles {
        Answer::Yes => Found::Ok("the processor's counter of cycles can be used".to_owned()),
        Answer::No(reason) => Found::Poorer(reason.clone()),
    };
    Finding { what: "cycles", found }
}

fn frequency(permissions: &Permissions) -> Finding {
    let found = match permissions.max_sample_rate {
        Some(rate) if rate < i64::from(TRIAL_FREQUENCY) => Found::Poorer(format!(
            "kernel.perf_event_max_sample_rate is {rate}: raise it (sysctl kernel.perf_event_max_sample_rate=100000)"
        )),
        Some(rate) => Found::Ok(format!("up to {} Hz", thousands(rate.unsigned_abs()))),
        None => Found::Ok("no limit is known".to_owned()),
    };
    Finding { what: "frequency", found }
}

fn memory(permissions: &Permissions) -> Finding {
    let per_processor = permissions.mlock_kb.map_or_else(|| "an unknown size".to_owned(), |kib| format!("{kib} KiB"));
    let more = match permissions.memlock {
        None => "without limit".to_owned(),
        Some(bytes) => format!("{} KiB", thousands(bytes / 1024)),
    };
    let found = format!("{per_processor} for each processor (kernel.perf_event_mlock_kb), and {more} more (ulimit -l)");
    Finding { what: "locked memory", found: Found::Ok(found) }
}

fn files(permissions: &Permissions) -> Finding {
    let (files, processors) = (permissions.open_files, permissions.processors);
    let found = if files <= processors as u64 {
        Found::Poorer(format!("{processors} processors need a file each, and {files} may be open: raise `ulimit -n`"))
    } else {
        Found::Ok(format!("{} may be open; {processors} processors need one each", thousands(files)))
    };
    Finding { what: "open files", found }
}

fn agent() -> Finding {
    // The identification of every ELF file (gABI, "ELF Identification").
    let found = if agent::LIBRARY.starts_with(b"\x7fELF") {
        Found::Ok(format!("included, {} bytes", thousands(agent::LIBRARY.len() as u64)))
    } else {
        Found::Missing("what was built into this pronk as its agent is no library: build pronk anew".to_owned())
    };
    Finding { what: "agent", found }
}

fn directory() -> Finding {
    let found = match SessionDirectory::create(agent::LIBRARY) {
        Ok(directory) => {
            let place = directory.path().parent().unwrap_or(directory.path());
            Found::Ok(place.display().to_string())
        }
        Err(error) => Found::Missing(error.to_string()),
    };
    Finding { what: "session directory", found }
}

/// What it costs a thread to be interrupted, whatever is done then.
fn interrupts(cost: Option<Duration>) -> Found {
    let Some(seconds) = cost.map(|cost| cost.as_secs_f64()) else {
        return Found::Poorer(
            "neither a perf event nor a timer signals a thread, so their cost is not known".to_owned(),
        );
    };
    let percent = 100.0 * seconds * 1_000.0;
    let words = format!("each takes {:.1} µs of the thread's time: {percent:.1} % at 1,000 Hz", 1e6 * seconds);
    match percent <= MOST_PERCENT {
        true => Found::Ok(words),
        false => Found::Poorer(format!("{words}, as in many virtual machines\n-F 100 costs a tenth of that")),
    }
}

/// Profiles a command with an engine, for what cannot be foretold. Returns the engine in words, or why it does not work.
fn trial(engine: EngineChoice) -> std::result::Result<String, String> {
    let attempt = || -> std::result::Result<_, pronk_sampler::Error> {
        let request = Request {
            command: vec![TRIAL.into()],
            frequency: TRIAL_FREQUENCY,
            engine,
            mode: Mode::Cpu,
            kernel: false,
            await_chains: false,
            duration: None,
            stubs: Default::default(),
            label_variables: Vec::new(),
            label_arguments: Vec::new(),
            label_spans: false,
            children: true,
            streams: Default::default(),
        };
        let mut session = Session::start(request, SessionDirectory::create(agent::LIBRARY)?)?;
        session.record()?;
        Ok((session.wait()?.unwrap_or_default(), session.engine()))
    };
    match attempt() {
        Ok((status, words)) if status.success() => Ok(words),
        Ok((status, _)) => Err(format!("`{TRIAL}` failed while it was profiled: {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// What came of a trial. If any engine works, there can be a profile.
fn engine(trial: std::result::Result<String, String>, any: bool) -> Found {
    match trial {
        Ok(words) => Found::Ok(words),
        Err(reason) if any => Found::Poorer(reason),
        Err(reason) => Found::Missing(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_more_lines_under_it() {
        let finding = Finding { what: "agent", found: Found::Ok("first\nsecond".to_owned()) };
        assert_eq!(finding.to_string(), "ok  agent              first\n                       second");
        let finding = Finding { what: "perf events", found: Found::Missing("refused".to_owned()) };
        assert_eq!(finding.to_string(), "no  perf events        refused");
    }
}
