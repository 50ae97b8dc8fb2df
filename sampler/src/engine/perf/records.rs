//! What the kernel says, in a form that owns its data.

use crate::files::FileId;
use linux_perf_event_reader::constants::{
    PERF_CONTEXT_KERNEL, PERF_CONTEXT_MAX, PERF_REG_X86_AX, PERF_REG_X86_BP, PERF_REG_X86_BX, PERF_REG_X86_CX,
    PERF_REG_X86_DI, PERF_REG_X86_DX, PERF_REG_X86_IP, PERF_REG_X86_R8, PERF_REG_X86_R9, PERF_REG_X86_R10,
    PERF_REG_X86_R11, PERF_REG_X86_R12, PERF_REG_X86_R13, PERF_REG_X86_R14, PERF_REG_X86_R15, PERF_REG_X86_SI,
    PERF_REG_X86_SP,
};
use linux_perf_event_reader::{
    BranchSampleFormat, Endianness, EventRecord, ForkOrExitRecord, Mmap2FileId, Mmap2Record, RawData, RawEventRecord,
    ReadFormat, RecordIdParseInfo, RecordParseInfo, RecordType, SampleFormat, SampleRecord,
};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;

use crate::unwind::{GeneralRegisters, Registers};

/// perf's numbers of the general registers, in the order of their DWARF numbers.
const GENERAL: [u64; 16] = [
    PERF_REG_X86_AX,
    PERF_REG_X86_DX,
    PERF_REG_X86_CX,
    PERF_REG_X86_BX,
    PERF_REG_X86_SI,
    PERF_REG_X86_DI,
    PERF_REG_X86_BP,
    PERF_REG_X86_SP,
    PERF_REG_X86_R8,
    PERF_REG_X86_R9,
    PERF_REG_X86_R10,
    PERF_REG_X86_R11,
    PERF_REG_X86_R12,
    PERF_REG_X86_R13,
    PERF_REG_X86_R14,
    PERF_REG_X86_R15,
];

/// The registers that samples have: what unwinding needs.
pub(super) const REGISTERS: u64 = {
    let mut mask = 1 << PERF_REG_X86_IP;
    let mut index = 0;
    while index < GENERAL.len() {
        mask |= 1 << GENERAL[index];
        index += 1;
    }
    mask
};

/// `PERF_RECORD_LOST_SAMPLES` of linux/perf_event.h.
const LOST_SAMPLES: RecordType = RecordType(13);

/// A record of the kernel's, and when it was made.
#[derive(Debug)]
pub(crate) struct Record {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub(crate) time: u64,
    pub(crate) kind: Kind,
}

/// What a record says.
#[derive(Debug)]
pub(crate) enum Kind {
    Sample(Sample),
    /// A process or a thread begins.
    Fork(Task),
    /// A thread ends.
    Exit(Task),
    /// A thread gets a name; by exec, its process gets a new image.
    Comm {
        pid: u32,
        tid: u32,
        name: String,
        exec: bool,
    },
    /// A process maps something executable.
    Mmap {
        pid: u32,
        range: Range<u64>,
        offset: u64,
        file: FileId,
    },
    /// The kernel dropped so many records.
    Lost(u64),
    Throttled,
    /// A record that could not be read.
    Malformed,
}

/// A thread, and the one that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) parent_pid: u32,
    pub(crate) parent_tid: u32,
}

/// A sample.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// Addresses in the kernel, the newest first.
    pub(crate) kernel: Vec<u64>,
    /// The registers in user space. `None` when the thread has none any more.
    pub(crate) registers: Option<UserRegisters>,
    /// The stack, from the stack pointer on.
    pub(crate) stack: Box<[u8]>,
    /// Whether the copy of the stack ended because it was full.
    pub(crate) cut: bool,
}

/// The registers of a thread in user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserRegisters {
    /// The address of the instruction.
    pub(crate) pc: u64,
    pub(crate) general: GeneralRegisters,
}

impl UserRegisters {
    /// Those that all unwinding needs.
    pub(crate) fn of_frame(&self) -> Registers {
        let [_, _, _, _, _, _, fp, sp, ..] = self.general;
        Registers { pc: self.pc, sp, fp }
    }

    /// Whether the thread is in a system call, of which nothing but `syscall` leaves the address of the next
    /// instruction in rcx (AMD64 Architecture Programmer's Manual, volume 3, "SYSCALL").
    pub(crate) fn in_system_call(&self) -> bool {
        let [_, _, rcx, ..] = self.general;
        rcx == self.pc
    }
}

impl Record {
    /// The memory that the record takes up, in bytes.
    pub(crate) fn size(&self) -> usize {
        let more = match &self.kind {
            Kind::Sample(sample) => sample.stack.len() + sample.kernel.len() * 8,
            Kind::Mmap { file, .. } => file.path.as_os_str().len(),
            _ => 0,
        };
        size_of::<Record>() + more
    }
}

/// Which of a sample's fields are asked for.
pub(super) fn sample_format(kernel: bool) -> SampleFormat {
    let always = SampleFormat::TID | SampleFormat::TIME | SampleFormat::REGS_USER | SampleFormat::STACK_USER;
    if kernel { always | SampleFormat::CALLCHAIN } else { always }
}

/// Reads records as the kernel writes them for an event of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordReader {
    format: RecordParseInfo,
}

impl RecordReader {
    /// For events with or without the kernel's part of stacks.
    pub(super) fn new(kernel: bool) -> RecordReader {
        // With these fields a sample begins, and every other record ends, with pid and tid, then the time.
        let format = RecordParseInfo {
            endian: Endianness::LittleEndian,
            sample_format: sample_format(kernel),
            branch_sample_format: BranchSampleFormat::empty(),
            read_format: ReadFormat::empty(),
            common_data_offset_from_end: Some(16),
            sample_regs_user: REGISTERS,
            user_regs_count: REGISTERS.count_ones() as u8,
            sample_regs_intr: 0,
            intr_regs_count: 0,
            id_parse_info: RecordIdParseInfo {
                nonsample_record_id_offset_from_end: None,
                sample_record_id_offset_from_start: None,
            },
            nonsample_record_time_offset_from_end: Some(8),
            sample_record_time_offset_from_start: Some(8),
        };
        RecordReader { format }
    }

    /// Reads a record: its type, its `misc` field and what is behind its header. `None` when it means nothing to us.
    pub(super) fn read(&self, kind: u32, misc: u16, body: RawData) -> Option<Record> {
        let raw = RawEventRecord::new(RecordType(kind), misc, body, self.format);
        let time = raw.timestamp().unwrap_or(0);
        let kind = match raw.parse() {
            Err(_) => Kind::Malformed,
            Ok(EventRecord::Sample(sample)) => read_sample(&sample).map_or(Kind::Malformed, Kind::Sample),
            Ok(EventRecord::Fork(task)) => Kind::Fork(read_task(task)),
            Ok(EventRecord::Exit(task)) => Kind::Exit(read_task(task)),
            Ok(EventRecord::Comm(comm)) => Kind::Comm {
                pid: comm.pid as u32,
                tid: comm.tid as u32,
                name: String::from_utf8_lossy(&comm.name.as_slice()).into_owned(),
                exec: comm.is_execve,
            },
            Ok(EventRecord::Mmap2(mmap)) => read_mmap(mmap),
            Ok(EventRecord::Lost(lost)) => Kind::Lost(lost.count),
            Ok(EventRecord::Throttle(_)) => Kind::Throttled,
            Ok(EventRecord::Raw(raw)) if raw.record_type == LOST_SAMPLES => match first_word(raw.data) {
                Some(count) => Kind::Lost(count),
                None => Kind::Malformed,
            },
            Ok(_) => return None,
        };
        Some(Record { time, kind })
    }
}

fn first_word(data: RawData) -> Option<u64> {
    let word = data.get(0..8)?.as_slice();
    word.first_chunk().map(|word| u64::from_le_bytes(*word))
}

fn read_sample(sample: &SampleRecord) -> Option<Sample> {
    let registers = sample.user_regs.as_ref().and_then(|regs| {
        let mut general = GeneralRegisters::default();
        for (register, &number) in general.iter_mut().zip(&GENERAL) {
            *register = regs.get(number)?;
        }
        Some(UserRegisters { pc: regs.get(PERF_REG_X86_IP)?, general })
    });
    let (stack, cut) = match sample.user_stack {
        Some((stack, used)) => {
            let copied = usize::try_from(used).ok()?.min(stack.len());
            let used = stack.get(0..copied)?.as_slice().into_owned();
            (used.into_boxed_slice(), copied > 0 && copied == stack.len())
        }
        None => (Box::default(), false),
    };
    let chain = sample.callchain.as_ref();
    let words = (0..chain.map_or(0, |chain| chain.len())).filter_map(|index| chain?.get(index));
    let kernel = words
        .scan(false, |in_kernel, word| {
            // Markers say where the addresses behind them are.
            if word >= PERF_CONTEXT_MAX {
                *in_kernel = word == PERF_CONTEXT_KERNEL;
                return Some(None);
            }
            Some(in_kernel.then_some(word))
        })
        .flatten()
        .collect();
    Some(Sample { pid: sample.pid? as u32, tid: sample.tid? as u32, kernel, registers, stack, cut })
}

fn read_task(task: ForkOrExitRecord) -> Task {
    Task { pid: task.pid as u32, tid: task.tid as u32, parent_pid: task.ppid as u32, parent_tid: task.ptid as u32 }
}

fn read_mmap(mmap: Mmap2Record) -> Kind {
    let path = std::ffi::OsString::from_vec(mmap.path.as_slice().into_owned()).into();
    let (Some(end), Mmap2FileId::InodeAndVersion(id)) = (mmap.address.checked_add(mmap.length), mmap.file_id) else {
        return Kind::Malformed;
    };
    let file = FileId { path, major: id.major, minor: id.minor, inode: id.inode, generation: id.inode_generation };
    Kind::Mmap { pid: mmap.pid as u32, range: mmap.address..end, offset: mmap.page_offset, file }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    const PID_TID: u64 = 7 | 8 << 32;

    /// As the kernel writes registers: ax, bx, cx, dx, si, di, bp, sp, ip, r8 to r15.
    const AS_WRITTEN: [u64; 17] = [0xa0, 0xa3, 0xa2, 0xa1, 0xa4, 0xa5, 0xb, 0x5000, 0xc, 8, 9, 10, 11, 12, 13, 14, 15];
    const GENERAL_READ: GeneralRegisters =
        [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xb, 0x5000, 8, 9, 10, 11, 12, 13, 14, 15];

    fn full_sample() -> Vec<u8> {
        bytes(&[&[PID_TID, 99, 2][..], &AS_WRITTEN, &[8, 1, 8]].concat())
    }

    #[test]
    fn a_sample_has_registers_the_stack_that_was_used_and_kernel_addresses_only() {
        let kernel_ip = 0xffff_ffff_8100_0000;
        let user = (-512i64) as u64;
        let before = [PID_TID, 99, 4, PERF_CONTEXT_KERNEL, kernel_ip, user, 0x1234, 2];
        let data = bytes(&[&before[..], &AS_WRITTEN, &[24, 1, 2, 3, 16]].concat());
        let split = RawData::Split(&data[..101], &data[101..]);
        let record = RecordReader::new(true).read(RecordType::SAMPLE.0, 1, split).unwrap();
        let Kind::Sample(sample) = record.kind else { panic!("{record:?}") };
        assert_eq!((record.time, sample.pid, sample.tid), (99, 7, 8));
        assert_eq!(sample.kernel, [kernel_ip]);
        let registers = sample.registers.unwrap();
        assert_eq!(registers, UserRegisters { pc: 0xc, general: GENERAL_READ });
        assert_eq!(registers.of_frame(), Registers { pc: 0xc, sp: 0x5000, fp: 0xb });
        assert_eq!(&*sample.stack, bytes(&[1, 2]));
        assert!(!sample.cut);
    }

    #[test]
    fn a_full_copy_of_the_stack_is_cut_and_a_thread_without_registers_has_none() {
        let reader = RecordReader::new(false);
        let full = full_sample();
        let record = reader.read(RecordType::SAMPLE.0, 2, RawData::Single(&full)).unwrap();
        assert!(matches!(record.kind, Kind::Sample(Sample { cut: true, .. })));
        let without = bytes(&[PID_TID, 99, 0, 0]);
        let record = reader.read(RecordType::SAMPLE.0, 2, RawData::Single(&without)).unwrap();
        assert!(matches!(record.kind, Kind::Sample(Sample { registers: None, cut: false, .. })));
    }

    #[test]
    fn records_that_are_cut_short_are_malformed_wherever_they_end() {
        let whole = full_sample();
        for size in 0..whole.len() {
            let record = RecordReader::new(false).read(RecordType::SAMPLE.0, 2, RawData::Single(&whole[..size]));
            assert!(matches!(record.unwrap().kind, Kind::Malformed), "{size}");
        }
    }

    #[test]
    fn numbers_that_are_too_big_are_malformed() {
        let huge = bytes(&[PID_TID, 99, u64::MAX / 8, 1, 2, 3]);
        let record = RecordReader::new(true).read(RecordType::SAMPLE.0, 2, RawData::Single(&huge)).unwrap();
        assert!(matches!(record.kind, Kind::Malformed));
        let mut mmap = bytes(&[PID_TID, u64::MAX, 2, 0, 0, 0, 0, 0]);
        mmap.extend(b"/x\0\0\0\0\0\0");
        mmap.extend(bytes(&[PID_TID, 5]));
        let record = RecordReader::new(true).read(RecordType::MMAP2.0, 2, RawData::Single(&mmap)).unwrap();
        assert!(matches!(record.kind, Kind::Malformed));
    }

    #[test]
    fn what_is_lost_is_counted() {
        let reader = RecordReader::new(false);
        let samples = reader.read(13, 0, RawData::Single(&bytes(&[5, PID_TID, 99]))).unwrap();
        assert!(matches!(samples, Record { kind: Kind::Lost(5), time: 99 }));
        let records = reader.read(RecordType::LOST.0, 0, RawData::Single(&bytes(&[1, 6, PID_TID, 99]))).unwrap();
        assert!(matches!(records, Record { kind: Kind::Lost(6), time: 99 }));
    }
}
