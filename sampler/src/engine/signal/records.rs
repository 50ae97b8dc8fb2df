//! The records of a ring, read from copies of their bytes. Nothing in them is believed.

use crate::recording::PythonCode;
use crate::unwind::{GeneralRegisters, Registers};
use pronk_trampolines::wire::{
    Function, NO_INSTRUCTION, REGISTERS, RingRecordKind, SampleRecord, ScopeRecord, ThreadRecord, read_function,
    sample_flags,
};
use std::mem::{offset_of, size_of};
use std::rc::Rc;

/// A record of a ring.
#[derive(Debug)]
pub(super) enum Record<'a> {
    Sample(Sample<'a>),
    /// A code object, by the number that frame links refer to it with.
    Code(u64, PythonCode),
    ThreadStart(Thread),
    ThreadEnd(Thread),
    /// Lines of `/proc/PID/maps`.
    Mappings(&'a [u8]),
    Scope(RawScope),
    /// Nothing, or nothing that this version knows.
    Other,
}

/// A sample: the head of its record, and what came behind it.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) time_ns: u64,
    pub(super) tid: u32,
    pub(super) sequence: u32,
    pub(super) weight: u32,
    /// How many of its periods belong to where the thread was at its sample before.
    pub(super) waited: u32,
    pub(super) flags: u32,
    pub(super) handler_ns: u32,
    /// The scope that the thread's context inherits, or 0.
    pub(super) inherits: u64,
    /// The position of the link in which the thread's task began, from the oldest on.
    pub(super) task_root: Option<usize>,
    /// The task's name, if it is not the one of the sample with a task before.
    pub(super) task_name: Option<&'a [u8]>,
    pub(super) registers: Registers,
    pub(super) general: GeneralRegisters,
    pub(super) stack_end: u64,
    pub(super) links_kept: usize,
    /// The new part of the stack, from the stack pointer on, rounded down to a multiple of 8.
    pub(super) stack: &'a [u8],
    links: &'a [u8],
    awaiters: &'a [u8],
    kernel: &'a [u8],
}

/// A link as the ring has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawLink {
    /// The code object's number; 0 for a border.
    pub(super) code: u32,
    pub(super) instruction: Option<u32>,
    pub(super) address: u64,
    /// The innermost scope that is open on the frame, or 0.
    pub(super) scope: u64,
}

/// A scope as the ring has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawScope {
    pub(super) serial: u64,
    /// The scope around it on the same frame, or 0.
    pub(super) outer: u64,
    /// The scope that contexts inherit with it, or 0.
    pub(super) inherits: u64,
    /// Whether these are the labels of the arguments of the frame's function, within which all its blocks are.
    pub(super) is_of_arguments: bool,
    pub(super) labels: Vec<(Rc<str>, Rc<str>)>,
}

/// A thread that begins or ends.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) time_ns: u64,
    pub(super) cpu_ns: u64,
    pub(super) tid: u32,
    pub(super) name: String,
}

/// Reads a record's contents. `None` when it is not what its kind says.
pub(super) fn read(kind: u32, contents: &[u8]) -> Option<Record<'_>> {
    Some(match RingRecordKind::from_raw(kind) {
        Some(RingRecordKind::Sample) => Record::Sample(read_sample(contents)?),
        Some(RingRecordKind::Code) => {
            let (number, function) = read_function(contents)?;
            Record::Code(number, python_code(&function))
        }
        Some(RingRecordKind::ThreadStart) => Record::ThreadStart(read_thread(contents)?),
        Some(RingRecordKind::ThreadEnd) => Record::ThreadEnd(read_thread(contents)?),
        Some(RingRecordKind::Mappings) => {
            Record::Mappings(contents.split(|byte| *byte == 0).next().unwrap_or_default())
        }
        Some(RingRecordKind::Scope) => Record::Scope(read_scope(contents, false)?),
        Some(RingRecordKind::Arguments) => Record::Scope(read_scope(contents, true)?),
        _ => Record::Other,
    })
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

fn read_sample(bytes: &[u8]) -> Option<Sample<'_>> {
    let number = |at| u32_at(bytes, at);
    let register = |index: usize| u64_at(bytes, offset_of!(SampleRecord, registers) + 8 * index);
    let mut general = GeneralRegisters::default();
    const _: () = assert!(REGISTERS == size_of::<GeneralRegisters>() / 8 + 1);
    for (index, value) in general.iter_mut().enumerate() {
        *value = register(1 + index)?;
    }
    let [_, _, _, _, _, _, fp, sp, ..] = general;
    let rest = bytes.get(size_of::<SampleRecord>()..)?;
    let (stack, rest) = rest.split_at_checked(number(offset_of!(SampleRecord, stack_new))? as usize)?;
    let size_of_links = |at| (number(at)? as usize).checked_mul(LINK);
    let (links, rest) = rest.split_at_checked(size_of_links(offset_of!(SampleRecord, links_new))?)?;
    let (awaiters, rest) = rest.split_at_checked(size_of_links(offset_of!(SampleRecord, awaiters))?)?;
    let (kernel, rest) = rest.split_at_checked((number(offset_of!(SampleRecord, kernel))? as usize).checked_mul(8)?)?;
    let task_name = rest.get(..number(offset_of!(SampleRecord, task_name))? as usize)?;
    let flags = number(offset_of!(SampleRecord, flags))?;
    Some(Sample {
        time_ns: u64_at(bytes, offset_of!(SampleRecord, time_ns))?,
        tid: number(offset_of!(SampleRecord, tid))?,
        sequence: number(offset_of!(SampleRecord, sequence))?,
        weight: number(offset_of!(SampleRecord, weight))?,
        waited: number(offset_of!(SampleRecord, waited))?,
        flags,
        handler_ns: number(offset_of!(SampleRecord, handler_ns))?,
        task_root: (number(offset_of!(SampleRecord, task_root))? as usize).checked_sub(1),
        task_name: (flags & sample_flags::SAME_TASK_NAME == 0).then_some(task_name),
        inherits: u64_at(bytes, offset_of!(SampleRecord, inherits))?,
        registers: Registers { pc: register(0)?, sp, fp },
        general,
        stack_end: u64_at(bytes, offset_of!(SampleRecord, stack_end))?,
        links_kept: number(offset_of!(SampleRecord, links_kept))? as usize,
        stack,
        links,
        awaiters,
        kernel,
    })
}

/// The size of a link in a record.
const LINK: usize = size_of::<pronk_trampolines::wire::FrameLink>();

impl Sample<'_> {
    /// The new links, newest first.
    pub(super) fn links(&self) -> impl DoubleEndedIterator<Item = RawLink> + '_ {
        links_in(self.links)
    }

    /// The links of the frames that await the task, those nearest to it first. None where there are no awaiters, or they
    /// are as they were.
    pub(super) fn awaiters(&self) -> impl DoubleEndedIterator<Item = RawLink> + '_ {
        links_in(self.awaiters)
    }

    /// The addresses in the kernel, newest first.
    pub(super) fn kernel(&self) -> Vec<u64> {
        self.kernel.chunks_exact(8).filter_map(|word| u64_at(word, 0)).collect()
    }
}

fn links_in(bytes: &[u8]) -> impl DoubleEndedIterator<Item = RawLink> + '_ {
    bytes.chunks_exact(LINK).map(|link| RawLink {
        code: u32_at(link, 0).unwrap_or(0),
        instruction: u32_at(link, 4).filter(|instruction| *instruction != NO_INSTRUCTION),
        address: u64_at(link, 8).unwrap_or(0),
        scope: u64_at(link, 16).unwrap_or(0),
    })
}

fn read_thread(bytes: &[u8]) -> Option<Thread> {
    let name = bytes.get(offset_of!(ThreadRecord, name)..)?.get(..16)?;
    Some(Thread {
        time_ns: u64_at(bytes, offset_of!(ThreadRecord, time_ns))?,
        cpu_ns: u64_at(bytes, offset_of!(ThreadRecord, cpu_ns))?,
        tid: u32_at(bytes, offset_of!(ThreadRecord, tid))?,
        name: text(name),
    })
}

fn read_scope(bytes: &[u8], is_of_arguments: bool) -> Option<RawScope> {
    let labels = labels(bytes.get(size_of::<ScopeRecord>()..)?);
    Some(RawScope {
        serial: u64_at(bytes, offset_of!(ScopeRecord, serial))?,
        outer: u64_at(bytes, offset_of!(ScopeRecord, outer))?,
        inherits: u64_at(bytes, offset_of!(ScopeRecord, inherits))?,
        is_of_arguments,
        labels,
    })
}

/// The labels behind a record: each key and each value with a zero behind it, and more zeros behind the last.
pub(in crate::engine) fn labels(bytes: &[u8]) -> Vec<(Rc<str>, Rc<str>)> {
    let mut texts = bytes.split(|byte| *byte == 0);
    let mut labels = Vec::new();
    while let (Some(key), Some(value)) = (texts.next().filter(|key| !key.is_empty()), texts.next()) {
        let text = |bytes| Rc::from(String::from_utf8_lossy(bytes));
        labels.push((text(key), text(value)));
    }
    labels
}

/// A text that ends with its first zero.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

fn python_code(function: &Function) -> PythonCode {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    PythonCode {
        module: text(function.module),
        qualname: text(function.qualname),
        file: text(function.file),
        first_line: function.first_line,
        line_table_format: function.line_table_format,
        line_table: function.line_table.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample's record with the given numbers of things behind it, a task's name, and a frame that awaits it.
    fn sample(stack: u32, links: u32, kernel: u32) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<SampleRecord>()];
        let mut set = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        set(offset_of!(SampleRecord, stack_new), stack);
        set(offset_of!(SampleRecord, links_new), links);
        set(offset_of!(SampleRecord, kernel), kernel);
        set(offset_of!(SampleRecord, tid), 7);
        set(offset_of!(SampleRecord, task_root), 2);
        set(offset_of!(SampleRecord, task_name), 4);
        set(offset_of!(SampleRecord, awaiters), 1);
        bytes.extend(vec![1; stack as usize]);
        for link in 0..links {
            bytes.extend([link, if link == 0 { NO_INSTRUCTION } else { 10 * link }].map(u32::to_ne_bytes).concat());
            bytes.extend([u64::from(link + 100), u64::from(link + 200)].map(u64::to_ne_bytes).concat());
        }
        bytes.extend([70, 80].map(u32::to_ne_bytes).concat());
        bytes.extend([90, 0].map(u64::to_ne_bytes).concat());
        bytes.extend((0..u64::from(kernel)).flat_map(u64::to_ne_bytes));
        bytes.extend(b"task");
        bytes
    }

    #[test]
    fn a_sample_has_what_comes_behind_it() {
        let bytes = sample(16, 2, 3);
        let Some(Record::Sample(sample)) = read(RingRecordKind::Sample as u32, &bytes) else { panic!("no sample") };
        assert_eq!((sample.tid, sample.stack), (7, [1; 16].as_slice()));
        let links: Vec<RawLink> = sample.links().collect();
        assert_eq!(links[0], RawLink { code: 0, instruction: None, address: 100, scope: 200 });
        assert_eq!(links[1], RawLink { code: 1, instruction: Some(10), address: 101, scope: 201 });
        let awaiters: Vec<RawLink> = sample.awaiters().collect();
        assert_eq!(awaiters, [RawLink { code: 70, instruction: Some(80), address: 90, scope: 0 }]);
        assert_eq!(sample.kernel(), [0, 1, 2]);
        assert_eq!((sample.task_root, sample.task_name), (Some(1), Some(&b"task"[..])));
    }

    #[test]
    fn a_scope_has_its_labels() {
        let bytes = [&[5_u64, 4, 3].map(u64::to_ne_bytes).concat()[..], b"job\0nightly\0empty\0\0\0\0"].concat();
        let Some(Record::Scope(scope)) = read(RingRecordKind::Scope as u32, &bytes) else { panic!("no scope") };
        let labels = vec![("job".into(), "nightly".into()), ("empty".into(), "".into())];
        assert_eq!(scope, RawScope { serial: 5, outer: 4, inherits: 3, is_of_arguments: false, labels });
    }

    #[test]
    fn records_that_are_too_short_are_none() {
        let whole = sample(16, 2, 3);
        for length in 0..whole.len() {
            assert!(read(RingRecordKind::Sample as u32, &whole[..length]).is_none(), "{length}");
        }
        for kind in [
            RingRecordKind::Code,
            RingRecordKind::ThreadStart,
            RingRecordKind::ThreadEnd,
            RingRecordKind::Scope,
            RingRecordKind::Arguments,
        ] {
            assert!(read(kind as u32, &[0; 16]).is_none(), "{kind:?}");
        }
        for field in [offset_of!(SampleRecord, links_new), offset_of!(SampleRecord, awaiters)] {
            let mut huge = sample(0, 0, 0);
            huge[field..][..4].copy_from_slice(&u32::MAX.to_ne_bytes());
            assert!(read(RingRecordKind::Sample as u32, &huge).is_none());
        }
        assert!(matches!(read(99, &[]), Some(Record::Other)));
    }
}
