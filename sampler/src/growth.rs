//! A recording while it grows: what is new in it, handed over whenever it is asked for.
//!
//! Who watches asks, and the thread that puts samples together answers between two of its rounds: with copies of the rows
//! that are new in its tables, and with the samples themselves, which it then has no more. So neither waits for the other,
//! and an answer is as large as what is new, however long the recording is.

use crate::processes::Processes;
use crate::recording::{
    Context, Frame, Losses, Mapping, MonotonicNs, Process, ProcessId, PythonCode, Recording, Sample, StackId,
    StackTable, Thread, ThreadId,
};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What a recording has got since the growth before.
#[derive(Debug)]
pub struct Growth {
    /// Up to when.
    pub until: MonotonicNs,
    /// The processes that are new or have changed.
    pub processes: Vec<(ProcessId, Process)>,
    /// The threads that are new or have changed.
    pub threads: Vec<(ThreadId, Thread)>,
    /// The new rows of [`Recording::mappings`].
    pub mappings: Vec<Mapping>,
    /// The new rows of [`Recording::codes`].
    pub codes: Vec<PythonCode>,
    /// The new stacks: each a frame on top of another stack.
    pub stacks: Vec<(Option<StackId>, Frame)>,
    /// The new contexts.
    pub contexts: Vec<Context>,
    /// The new samples.
    pub samples: Vec<Sample>,
    /// What went wrong so far.
    pub losses: Losses,
    /// The CPU time that the processes have used so far.
    pub cpu_time: Duration,
}

impl Recording {
    /// Puts in what is new, but for the samples, which are returned.
    pub fn grow(&mut self, growth: Growth) -> Vec<Sample> {
        self.ended = growth.until;
        put(&mut self.processes, growth.processes.into_iter().map(|(id, process)| (id.index(), process)));
        put(&mut self.threads, growth.threads.into_iter().map(|(id, thread)| (id.index(), thread)));
        self.mappings.extend(growth.mappings);
        self.codes.extend(growth.codes);
        for (below, frame) in growth.stacks {
            self.stacks.push(below, frame);
        }
        for context in growth.contexts {
            self.contexts.id(context);
        }
        self.losses = growth.losses;
        growth.samples
    }
}

/// Puts rows at their places. They are in order, and those that are new follow the last one.
fn put<T>(table: &mut Vec<T>, rows: impl Iterator<Item = (usize, T)>) {
    for (at, row) in rows {
        match table.get_mut(at) {
            Some(place) => *place = row,
            None => table.push(row),
        }
    }
}

/// The side that asks.
#[derive(Debug)]
pub(crate) struct Tap {
    asks: Sender<()>,
    growths: Receiver<Growth>,
    asked: bool,
}

/// The side that answers.
#[derive(Debug)]
pub(crate) struct Asked {
    asks: Receiver<()>,
    growths: Sender<Growth>,
    waits: bool,
    handed: Handed,
}

/// Both sides.
pub(crate) fn tap() -> (Tap, Asked) {
    let (asks, asked) = channel();
    let (answers, growths) = channel();
    let tap = Tap { asks, growths, asked: false };
    (tap, Asked { asks: asked, growths: answers, waits: false, handed: Handed::default() })
}

impl Tap {
    /// The answer to the question before, if there is one by now. Asks again if so.
    pub(crate) fn growth(&mut self) -> Option<Growth> {
        let growth = self.growths.try_recv().ok();
        if growth.is_some() || !self.asked {
            // Where nobody answers any more, the recording is whole elsewhere.
            self.asked = self.asks.send(()).is_ok();
        }
        growth
    }

    /// The samples of an answer that was not taken. To be called when nobody answers any more.
    pub(crate) fn untaken(self) -> Vec<Sample> {
        self.growths.try_iter().flat_map(|growth| growth.samples).collect()
    }
}

impl Asked {
    /// Answers, if somebody has asked. `so_far` can be `None` when this is not the moment: it is asked again.
    pub(crate) fn answer<'t>(&mut self, so_far: impl FnOnce() -> Option<SoFar<'t>>) {
        self.waits |= self.asks.try_recv().is_ok();
        if let Some(so_far) = self.waits.then(so_far).flatten() {
            self.waits = false;
            let _ = self.growths.send(self.handed.growth(so_far));
        }
    }
}

/// The tables of a recording as they are now.
#[derive(Debug)]
pub(crate) struct SoFar<'t> {
    pub(crate) until: MonotonicNs,
    pub(crate) processes: &'t mut Processes,
    pub(crate) mappings: &'t [Mapping],
    pub(crate) codes: &'t [PythonCode],
    pub(crate) stacks: &'t StackTable,
    pub(crate) contexts: &'t [Context],
    pub(crate) samples: &'t mut Vec<Sample>,
    pub(crate) losses: Losses,
}

/// How much of each table was handed over.
#[derive(Debug, Default)]
struct Handed {
    mappings: usize,
    codes: usize,
    stacks: usize,
    contexts: usize,
    /// The CPU time that each process had used when it was last seen alive.
    cpu_times: BTreeMap<u32, Duration>,
}

impl Handed {
    fn growth(&mut self, so_far: SoFar<'_>) -> Growth {
        for pid in so_far.processes.live_pids() {
            if let Some(time) = cpu_time(pid) {
                self.cpu_times.insert(pid, time);
            }
        }
        let growth = Growth {
            until: so_far.until,
            processes: so_far.processes.changed_processes(),
            threads: so_far.processes.changed_threads(),
            mappings: so_far.mappings[self.mappings..].to_vec(),
            codes: so_far.codes[self.codes..].to_vec(),
            stacks: so_far.stacks.from(self.stacks).to_vec(),
            contexts: so_far.contexts[self.contexts..].to_vec(),
            samples: std::mem::take(so_far.samples),
            losses: so_far.losses,
            cpu_time: self.cpu_times.values().sum(),
        };
        self.mappings = so_far.mappings.len();
        self.codes = so_far.codes.len();
        self.stacks = so_far.stacks.len();
        self.contexts = so_far.contexts.len();
        growth
    }
}

/// The CPU time that a process has used, in all its threads that ever were (clock_getcpuclockid(3)).
fn cpu_time(pid: u32) -> Option<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.cast_signed())).ok()?;
    clock.now().ok().map(Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Address, Code};

    fn frame(address: u64) -> Frame {
        Frame::Unmapped(Code::At(Address(address)))
    }

    #[test]
    fn what_was_handed_over_is_not_handed_over_again() {
        let (mut tap, mut asked) = tap();
        let mut processes = Processes::default();
        let mut stacks = StackTable::default();
        let mut samples = Vec::new();
        let mut answer = |processes: &mut Processes, stacks: &StackTable, samples: &mut Vec<Sample>| {
            let (mappings, codes, contexts): (&[_], &[_], &[_]) = (&[], &[], &[]);
            let losses = Losses::default();
            let until = MonotonicNs(1);
            asked.answer(|| Some(SoFar { until, processes, mappings, codes, stacks, contexts, samples, losses }));
        };
        let thread = processes.thread(1, 1, MonotonicNs(1));
        let stack = stacks.push(None, frame(1));
        let sample = |stack| Sample {
            thread,
            time: MonotonicNs(1),
            stack: Some(stack),
            context: None,
            weight: 1,
            in_window: false,
        };
        samples.push(sample(stack));
        answer(&mut processes, &stacks, &mut samples);
        assert!(tap.growth().is_none(), "nobody had asked");
        answer(&mut processes, &stacks, &mut samples);
        let first = tap.growth().unwrap();
        assert_eq!((first.processes.len(), first.threads.len(), first.samples.len()), (1, 1, 1));
        assert_eq!(first.stacks, [(None, frame(1))]);
        let above = stacks.push(Some(stack), frame(2));
        samples.push(sample(above));
        processes.rename(1, 1, "renamed".into(), MonotonicNs(2));
        answer(&mut processes, &stacks, &mut samples);
        let second = tap.growth().unwrap();
        assert_eq!(second.stacks, [(Some(stack), frame(2))]);
        assert_eq!((second.samples.len(), &*second.threads[0].1.name), (1, "renamed"));
        answer(&mut processes, &stacks, &mut samples);
        let third = tap.growth().unwrap();
        assert!(third.processes.is_empty() && third.threads.is_empty() && third.samples.is_empty());
    }

    #[test]
    fn a_question_waits_for_the_moment() {
        let (mut tap, mut asked) = tap();
        assert!(tap.growth().is_none());
        asked.answer(|| None);
        assert!(tap.growth().is_none());
        let mut processes = Processes::default();
        let (stacks, mut samples) = (StackTable::default(), Vec::new());
        asked.answer(|| {
            Some(SoFar {
                until: MonotonicNs(7),
                processes: &mut processes,
                mappings: &[],
                codes: &[],
                stacks: &stacks,
                contexts: &[],
                samples: &mut samples,
                losses: Losses::default(),
            })
        });
        assert_eq!(tap.growth().map(|growth| growth.until), Some(MonotonicNs(7)));
    }
}
