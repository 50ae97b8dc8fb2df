//! Turns the kernel's records, in the order of time, into what a recording holds.

use crate::engine::perf::records::{Kind, Record, Sample as RawSample};
use crate::files::{FileId, Files, Mapped};
use crate::mappings::{Image, Mapping};
use crate::maps;
use crate::processes::Processes;
use crate::recording::{
    Address, Frame, Losses, MappedFile, MappedObject, Mapping as RecordedMapping, MappingId, MonotonicNs, Process,
    Sample, StackId, StackTable, Thread,
};
use crate::unwind::modules::Modules;
use crate::unwind::stack::Stack;
use crate::unwind::{Found, Sampled, Walked, kernel_frames, unwind};
use pronk_trampolines::wire::code_of_mapping;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

/// The tables of a recording.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) processes: Vec<Process>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) mappings: Vec<RecordedMapping>,
    pub(crate) stacks: StackTable,
    pub(crate) samples: Vec<Sample>,
    pub(crate) losses: Losses,
}

/// Builds the tables of a recording.
#[derive(Debug)]
pub(crate) struct Recorder {
    processes: Processes,
    files: Files,
    modules: Modules,
    mappings: Vec<RecordedMapping>,
    stacks: StackTable,
    samples: Vec<Sample>,
    losses: Losses,
    /// When records were last lost, and when each process's mappings were looked up since.
    last_loss: Option<MonotonicNs>,
    looked_up: HashMap<u32, MonotonicNs>,
}

/// How often the mappings of a process are looked up while records are being lost, in nanoseconds.
const LOOK_UP_PERIOD: u64 = 1_000_000_000;

impl Recorder {
    pub(crate) fn new() -> Recorder {
        Recorder {
            processes: Processes::default(),
            files: Files::default(),
            modules: Modules::new(),
            mappings: Vec::new(),
            stacks: StackTable::default(),
            samples: Vec::new(),
            losses: Losses::default(),
            last_loss: None,
            looked_up: HashMap::new(),
        }
    }

    /// Takes the next record.
    pub(crate) fn record(&mut self, record: Record) {
        let time = MonotonicNs(record.time);
        match record.kind {
            Kind::Sample(sample) => self.sample(&sample, time),
            Kind::Fork(task) => self.processes.fork(task.pid, task.tid, task.parent_pid, task.parent_tid, time),
            Kind::Exit(task) => self.processes.exit(task.pid, task.tid, time),
            Kind::Comm { pid, tid, name, exec: true } => self.processes.exec(pid, tid, name, time),
            Kind::Comm { pid, tid, name, exec: false } => self.processes.rename(pid, tid, name, time),
            Kind::Mmap { pid, range, offset, file } => {
                let image = self.image(&file, &Mapped { pid, range: range.clone(), offset });
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

    /// The tables, complete.
    pub(crate) fn finish(mut self) -> Recorded {
        // A record that came late may be out of order.
        self.samples.sort_by_key(|sample| sample.time);
        let (processes, threads) = self.processes.finish();
        let Recorder { mappings, stacks, samples, losses, .. } = self;
        Recorded { processes, threads, mappings, stacks, samples, losses }
    }

    fn image(&mut self, file: &FileId, mapped: &Mapped) -> Image {
        let name = file.path.as_os_str().as_bytes();
        if let Some((kind, token)) = code_of_mapping(name) {
            return Image::Ours(kind, token);
        }
        if name == b"[vdso]" {
            return Image::Vdso;
        }
        // Memory without a file has names like these (perf_event_mmap_event of kernel/events/core.c, Linux 6.1;
        // memfd_create(2), shmem_zero_setup of mm/shmem.c).
        let without_file = ["//", "/memfd:", "/dev/zero", "/SYSV", "/anon_hugepage"];
        if !name.starts_with(b"/") || without_file.iter().any(|prefix| name.starts_with(prefix.as_bytes())) {
            return Image::Anonymous(String::from_utf8_lossy(name).into_owned());
        }
        Image::File(self.files.get(file, mapped, &mut self.modules))
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
            let mapping = Mapping::new(line.range, line.offset, self.image(&line.file, &mapped));
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
        }
        self.losses.without_stack += u64::from(frames.is_empty());
        let has = |wanted: fn(&Found) -> bool| u64::from(frames.iter().any(|frame| wanted(&frame.found)));
        self.losses.gaps += has(|frame| matches!(frame, Found::Gap));
        self.losses.truncated += has(|frame| matches!(frame, Found::Truncated));

        let mut stack: Option<StackId> = None;
        for frame in frames.into_iter().rev() {
            let frame = self.publish(frame.found);
            stack = Some(self.stacks.push(stack, frame));
        }
        for frame in kernel_frames(&sample.kernel) {
            stack = Some(self.stacks.push(stack, frame));
        }
        self.samples.push(Sample { thread, time, stack });
    }

    fn publish(&mut self, frame: Found) -> Frame {
        match frame {
            Found::Native(mapping, code) => Frame::Native(self.mapping_id(mapping), code),
            Found::Stub(mapping, stub) => Frame::Stub(self.mapping_id(mapping), stub),
            Found::Unmapped(code) => Frame::Unmapped(code),
            Found::Gap => Frame::Gap,
            Found::Truncated => Frame::Truncated,
        }
    }

    /// A mapping's place in the recording, which it gets with the first sample that refers to it.
    fn mapping_id(&mut self, mapping: &Mapping) -> MappingId {
        if let Some(id) = mapping.published.get() {
            return id;
        }
        let object = match &mapping.image {
            Image::File(file) => {
                let module = file.module(&mut self.modules);
                MappedObject::File(MappedFile {
                    path: file.path.clone(),
                    found: file.found.clone(),
                    device: file.device,
                    inode: file.inode,
                    build_id: module.and_then(|module| module.build_id().map(<[u8]>::to_vec)),
                })
            }
            Image::Vdso => MappedObject::Vdso,
            Image::Ours(kind, token) => MappedObject::Ours(*kind, *token),
            Image::Anonymous(name) => MappedObject::Anonymous(name.clone()),
        };
        let (start, end) = (Address(mapping.range.start), Address(mapping.range.end));
        self.mappings.push(RecordedMapping { start, end, file_offset: mapping.offset, object });
        let id = MappingId(self.mappings.len() as u32 - 1);
        mapping.published.set(Some(id));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::perf::records::UserRegisters;
    use crate::recording::Code;

    #[test]
    fn mappings_whose_records_were_lost_are_looked_up() {
        let here = mappings_whose_records_were_lost_are_looked_up as *const () as u64;
        let sample = || {
            let pid = std::process::id();
            let registers = Some(UserRegisters { pc: here, general: [0; 16] });
            Kind::Sample(RawSample { pid, tid: pid, kernel: vec![], registers, stack: Box::default(), cut: false })
        };
        let mut recorder = Recorder::new();
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
