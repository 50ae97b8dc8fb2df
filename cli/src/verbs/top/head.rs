//! What is said above the table: how the command does, and how sampling does.

use super::model::Model;
use crate::messages::{percent, printable, thousands};
use crate::verbs::sampling::in_words;
use pronk_sampler::recording::{Event, Losses};
use pronk_symbolizer::live::{Live, Seen, WINDOW};
use std::process::ExitStatus;
use std::time::Duration;

/// The words of it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The command.
    pub title: String,
    /// How long it has run, and what is special.
    pub state: String,
    /// CPU time and samples.
    pub rates: String,
    /// What went wrong.
    pub quality: String,
    /// The label that is shown.
    pub label: Option<String>,
    /// All samples, of which rows have a share.
    pub samples: Seen,
    /// Why there is no row.
    pub nothing: Option<String>,
    /// What is asked when the user wants to quit.
    pub quit: String,
}

impl Head {
    /// The words for what the model shows.
    pub fn new(command: &[String], model: &Model, live: &Live, ended: Option<Option<ExitStatus>>) -> Head {
        let counts = model.counts(live);
        let time = counts.time();
        let samples = counts.samples();
        Head {
            title: format!("pronk top  {}", printable(&command.join(" "))),
            state: state(time.so_far, model.is_frozen(), ended),
            rates: rates(live, model),
            quality: quality(&counts.losses, samples.so_far),
            label: model.label(live).map(printable),
            samples,
            nothing: nothing(live, samples),
            quit: "the command runs: i interrupt it and quit  w quit and wait for it  Esc stay".to_owned(),
        }
    }
}

fn state(time: Duration, is_frozen: bool, ended: Option<Option<ExitStatus>>) -> String {
    let seconds = time.as_secs();
    let mut parts = Vec::new();
    if is_frozen {
        parts.push("FROZEN".to_owned());
    }
    parts.push(match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    });
    if let Some(status) = ended {
        parts.push(status.map_or("ended".to_owned(), |status| format!("ended: {}", in_words(status))));
    }
    parts.join("  ")
}

/// The CPU time of the processes, the rate of samples in it, and how long the interpreter's lock was held where that is
/// what was sampled. Samples of other modes do not say who has the lock.
fn rates(live: &Live, model: &Model) -> String {
    let counts = model.counts(live);
    let recording = live.recording();
    let (time, cpu_time, samples) = (counts.time(), counts.cpu_time(), counts.samples());
    let seconds = |time: Duration| time.as_secs_f64();
    let per = |samples: f64, time: Duration| if time.is_zero() { 0.0 } else { samples / seconds(time) };
    let mut parts = vec![format!("CPU {:.0}%", 100.0 * per(seconds(cpu_time.now), time.now))];
    let asked = recording.frequency;
    match recording.event {
        Event::Wall => parts.push(format!("{asked} Hz asked")),
        Event::Gil => {
            let held = per(samples.now as f64 / f64::from(asked.max(1)), time.now);
            parts.push(format!("GIL held {:.0}%", 100.0 * held));
            parts.push(format!("{asked} Hz asked"));
        }
        Event::Cycles | Event::CpuClock | Event::TaskClock => {
            parts.push(format!("{asked} Hz asked, {:.0} achieved", per(samples.now as f64, cpu_time.now)));
        }
    }
    parts.push(format!("{} samples", thousands(samples.so_far)));
    parts.push(format!("now: {} s", WINDOW.as_secs().min(time.so_far.as_secs())));
    parts.join("  ")
}

fn quality(losses: &Losses, samples: u64) -> String {
    let share = |part: u64| format!("{} ({:.1}%)", thousands(part), percent(part, samples + losses.lost));
    format!("lost {}  torn {}  truncated {}", share(losses.lost), share(losses.torn), share(losses.truncated))
}

fn nothing(live: &Live, samples: Seen) -> Option<String> {
    if samples.so_far > 0 {
        return None;
    }
    let why = live.refusal();
    let hint = "no samples yet: it waits, or is not Python (--mode wall samples waiting, --engine perf all programs)";
    Some(why.map_or_else(|| hint.to_owned(), |why| format!("nothing to see in {}", printable(&why))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn the_state_has_the_time_and_the_end() {
        let state = |seconds, frozen, ended| state(Duration::from_secs(seconds), frozen, ended);
        assert_eq!(state(59, false, None), "59 s");
        assert_eq!(state(61, true, None), "FROZEN  1:01 min");
        assert_eq!(state(7260, false, Some(Some(ExitStatus::from_raw(3 << 8)))), "2:01 h  ended: exit code 3");
        assert_eq!(state(0, false, Some(Some(ExitStatus::from_raw(9)))), "0 s  ended: killed by signal 9");
    }

    #[test]
    fn losses_have_their_share() {
        let losses = Losses { lost: 10, torn: 1, ..Losses::default() };
        assert_eq!(quality(&losses, 990), "lost 10 (1.0%)  torn 1 (0.1%)  truncated 0 (0.0%)");
    }
}
