//! Turns the kernel's records, in the order of time, into what a recording holds.

use crate::engine::perf::contexts::Rings;
use crate::engine::perf::records::{Kind, Record, Sample as RawSample};
use crate::engine::perf::timeline::PythonFrame;
use crate::files::Mapped;
use crate::growth::SoFar;
use crate::mappings::Mapping;
use crate::maps;
use crate::processes::Processes;
use crate::published::Published;
use crate::recording::{
    ContextTable, Losses, Mapping as RecordedMapping, MonotonicNs, Process, PythonCode, Sample, StackId, StackTable,
    Thread,
};
use crate::unwind::modules::Modules;
use crate::unwind::stack::Stack;
use crate::unwind::{Found, Sampled, Walked, kernel_frames, unwind};
use std::collections::HashMap;

/// The tables of a recording.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) processes: Vec<Process>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) mappings: Vec<RecordedMapping>,
    pub(crate) codes: Vec<PythonCode>,
    pub(crate) stacks: StackTable,
    pub(crate) contexts: ContextTable,
    pub(crate) samples: Vec<Sample>,
    pub(crate) losses: Losses,
    /// What was wrong, in words.
    pub(crate) notes: Vec<String>,
}

/// Builds the tables of a recording.
#[derive(Debug)]
pub(crate) struct Recorder {
    processes: Processes,
    published: Published,
    modules: Modules,
    stacks: StackTable,
    samples: Vec<Sample>,
    losses: Losses,
    /// What processes say of their samples, if they do.
    rings: Option<Rings>,
    /// When records were last lost, and when each process's mappings were looked up since.
    last_loss: Option<MonotonicNs>,
    looked_up: HashMap<u32, MonotonicNs>,
}

/// How often the mappings of a process are looked up while records are being lost, in nanoseconds.
const LOOK_UP_PERIOD: u64 = 1_000_000_000;

impl Recorder {
    pub(crate) fn new(rings: Option<Rings>) -> Recorder {
        Recorder {
            processes: Processes::default(),
            published: Published::default(),
            modules: Modules::new(),
            stacks: StackTable::default(),
            samples: Vec::new(),
            losses: Losses::default(),
            rings,
            last_loss: None,
            looked_up: HashMap::new(),
        }
    }

    /// Reads what processes have said. To be called before the records are taken that the kernel had by now.
    pub(crate) fn read_rings(&mut self) {
        if let Some(rings) = &mut self.rings {
            rings.read();
        }
    }

    /// All records from before a time were taken.
    pub(crate) fn go_on(&mut self, time: u64) {
        if let Some(rings) = &mut self.rings {
            rings.go_on(time);
        }
    }

    /// Takes the next record.
    pub(crate) fn record(&mut self, record: Record) {
        let time = MonotonicNs(record.time);
        if let Some(rings) = &mut self.rings {
            match &record.kind {
                Kind::Fork(task) if task.pid != task.parent_pid => rings.fork(task.parent_pid, task.pid, record.time),
                Kind::Comm { pid, exec: true, .. } => rings.forget(*pid, record.time),
                _ => {}
            }
        }
        match record.kind {
            Kind::Sample(sample) => self.sample(&sample, time),
            Kind::Fork(task) => self.processes.fork(task.pid, task.tid, task.parent_pid, task.parent_tid, time),
            Kind::Exit(task) => {
                self.processes.exit(task.pid, task.tid, time);
                if let Some(rings) = self.rings.as_mut().filter(|_| self.processes.has_ended(task.pid)) {
                    rings.forget(task.pid, time.0);
                }
            }
            Kind::Comm { pid, tid, name, exec: true } => self.processes.exec(pid, tid, name, time),
            Kind::Comm { pid, tid, name, exec: false } => self.processes.rename(pid, tid, name, time),
            Kind::Mmap { pid, range, offset, file } => {
                let mapped = Mapped { pid, range: range.clone(), offset };
                let image = self.published.image(&file, &mapped, &mut self.modules);
                self.processes.map(pid, Mapping::new(range, offset, image), time);
            }
            Kind::Lost(count) => {
                self.losses.lost = self.losses.lost.saturating_add(count);
                self.last_loss = Some(time);
            }
            Kind::Throttled => self.losses.throttled += 1,
            Kind::Malformed => self.losses.malformed += 1,
        }
    }

    /// The tables as they are, up to a time.
    pub(crate) fn so_far(&mut self, until: MonotonicNs) -> SoFar<'_> {
        SoFar {
            until,
            processes: &mut self.processes,
            mappings: &self.published.mappings,
            codes: &[],
            stacks: &self.stacks,
            contexts: self.rings.as_ref().map_or(&[], Rings::contexts),
            samples: &mut self.samples,
            losses: self.losses.clone(),
        }
    }

    /// The tables, complete.
    pub(crate) fn finish(mut self) -> Recorded {
        // A record that came late may be out of order.
        self.samples.sort_by_key(|sample| sample.time);
        let (processes, threads) = self.processes.finish();
        let Recorder { published, stacks, samples, mut losses, rings, .. } = self;
        let mut notes = Vec::new();
        let contexts = rings.map_or_else(ContextTable::default, |rings| rings.finish(&mut losses, &mut notes));
        Recorded {
            processes,
            threads,
            mappings: published.mappings,
            codes: Vec::new(),
            stacks,
            contexts,
            samples,
            losses,
            notes,
        }
    }

    /// Looks up what a process has mapped, if the kernel may have dropped a record that said so.
    fn look_up_mappings(&mut self, pid: u32, time: MonotonicNs) {
        let Some(last_loss) = self.last_loss else { return };
        let is_recent = |last: &MonotonicNs| *last >= last_loss || time.0.saturating_sub(last.0) < LOOK_UP_PERIOD;
        if self.looked_up.get(&pid).is_some_and(is_recent) {
            return;
        }
        self.looked_up.insert(pid, time);
        for line in maps::read(pid) {
            let mapped = Mapped { pid, range: line.range.clone(), offset: line.offset };
            let image = self.published.image(&line.file, &mapped, &mut self.modules);
            let mapping = Mapping::new(line.range, line.offset, image);
            if !self.processes.mappings(pid).has_like(&mapping) {
                self.processes.map(pid, mapping, time);
            }
        }
    }

    fn sample(&mut self, sample: &RawSample, time: MonotonicNs) {
        self.look_up_mappings(sample.pid, time);
        let thread = self.processes.thread(sample.pid, sample.tid, time);
        let mappings = self.processes.mappings(sample.pid);
        let mut frames = Vec::new();
        let mut of_python = Vec::new();
        if let Some(registers) = &sample.registers {
            let from = registers.of_frame();
            let stack = Stack::new(from.sp, &sample.stack, sample.cut);
            let sampled = Sampled { mappings: &mappings, registers: from, general: &registers.general, stack: &stack };
            unwind(&sampled, &mut self.modules, &mut frames);
            // In the midst of execve and of its end a thread still has registers, and their memory is gone. A page
            // fault may find the stack without memory as well, but not the code.
            let memory_is_gone =
                sample.stack.is_empty() || matches!(frames[..], [Walked { found: Found::Unmapped(_), .. }, ..]);
            if !sample.kernel.is_empty() && registers.in_system_call() && memory_is_gone {
                frames.clear();
            }
            if self.rings.is_some() {
                let record = |frame: &Walked| {
                    let (registry, stub, frame, state) = frame.record(&stack)?;
                    Some(PythonFrame { frame, stub, state, registry })
                };
                of_python.extend(frames.iter().rev().filter_map(record));
            }
        }
        let rings = self.rings.as_mut().filter(|_| !of_python.is_empty());
        let context = rings.and_then(|rings| rings.context(sample.pid, &of_python, time.0));
        self.losses.without_stack += u64::from(frames.is_empty());
        let has = |wanted: fn(&Found) -> bool| u64::from(frames.iter().any(|frame| wanted(&frame.found)));
        self.losses.gaps += has(|frame| matches!(frame, Found::Gap));
        self.losses.truncated += has(|frame| matches!(frame, Found::Truncated));

        let mut stack: Option<StackId> = None;
        for frame in frames.into_iter().rev() {
            let frame = self.published.frame(frame.found, &mut self.modules);
            stack = Some(self.stacks.push(stack, frame));
        }
        for frame in kernel_frames(&sample.kernel) {
            stack = Some(self.stacks.push(stack, frame));
        }
        self.samples.push(Sample { thread, time, stack, context, weight: 1, in_window: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::perf::records::UserRegisters;
    use crate::recording::{Address, Code, Frame, MappedObject};

    #[test]
    fn mappings_whose_records_were_lost_are_looked_up() {
        let here = mappings_whose_records_were_lost_are_looked_up as *const () as u64;
        let sample = || {
            let pid = std::process::id();
            let registers = Some(UserRegisters { pc: here, general: [0; 16] });
            Kind::Sample(RawSample { pid, tid: pid, kernel: vec![], registers, stack: Box::default(), cut: false })
        };
        let mut recorder = Recorder::new(None);
        recorder.record(Record { time: 1, kind: sample() });
        recorder.record(Record { time: 2, kind: Kind::Lost(3) });
        recorder.record(Record { time: 3, kind: sample() });
        let recorded = recorder.finish();
        assert_eq!(recorded.losses.lost, 3);
        let newest = |index: usize| recorded.stacks.frames(recorded.samples[index].stack.unwrap()).next().unwrap();
        assert_eq!(newest(0), Frame::Unmapped(Code::At(Address(here))));
        let Frame::Native(mapping, _) = newest(1) else { panic!("{:?}", newest(1)) };
        let MappedObject::File(file) = &recorded.mappings[mapping.index()].object else { panic!("not a file") };
        assert_eq!(file.found, std::env::current_exe().ok());
    }
}
