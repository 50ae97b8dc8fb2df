//! Seeds, which `PRONK_BLESS=1` writes into the corpus, and the whole corpus read once.

use pronk_bench::corpus::{keep, replay};
use pronk_trampolines::stub::{RETURN_OFFSET, STUB_SIZE};
use pronk_trampolines::wire::{
    AS_THE_THREAD, AttachState, CONTROL_MAGIC, CONTROL_VERSION, LineTableFormat, NO_TASK, RingHeader,
    RingRecordKind as Kind, SampleRecord, sample_flags,
};
use std::mem::{offset_of, size_of};
use std::process::Command;
use std::time::Duration;

/// Where things are in the process that the seeds tell of.
const STACK: u64 = 0x7ffd_0000_0000;
const STUBS: u64 = 0x7f00_0000_0000;
const CODE: u64 = 0x5500_0000_0000;
const TID: u32 = u32::MAX;

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// A record with its kind and size before it.
fn framed(kind: u8, contents: &[u8]) -> Vec<u8> {
    [&[kind], &(contents.len() as u16).to_le_bytes()[..], contents].concat()
}

fn record(kind: Kind, contents: &[u8]) -> Vec<u8> {
    framed(kind as u8, contents)
}

fn maps_text() -> Vec<u8> {
    let line = |start: u64, name: &str| {
        format!("{start:x}-{:x} r-xp 00000000 00:01 7                 {name}\n", start + 0x10000)
    };
    [
        line(CODE, ""),
        line(CODE + 0x20000, "/usr/bin/python3.13"),
        line(STUBS, "/memfd:pronk-stubs-00000000deadbeef (deleted)"),
        line(STUBS + 0x20000, "/memfd:pronk-hook-00000000deadbeef (deleted)"),
        "5000-6000 rw-p 00000000 fe:00 9 /a file\n".to_owned(),
    ]
    .concat()
    .into_bytes()
}

fn code(number: u64, name: &str) -> Vec<u8> {
    let table = [0xe8, 0x04, 0xf8];
    let sizes = [4, name.len() as u32, 4, table.len() as u32];
    let head = [words(&[number]), numbers(&[10, LineTableFormat::Pep657 as u32]), numbers(&sizes)].concat();
    record(Kind::Code, &[&head, &b"shop"[..], name.as_bytes(), b"s.py", &table].concat())
}

fn thread(kind: Kind) -> Vec<u8> {
    record(kind, &[words(&[1_000, 500]), numbers(&[TID, 0]), b"worker\0\0\0\0\0\0\0\0\0\0".to_vec()].concat())
}

fn scope(kind: Kind, serial: u64, outer: u64, inherits: u64, labels: &[u8]) -> Vec<u8> {
    record(kind, &[&words(&[serial, outer, inherits]), labels].concat())
}

/// A link: code object, instruction, address, scope.
type Link = (u32, u32, u64, u64);

struct Sample<'a> {
    time: u64,
    pc: u64,
    /// The stack from its pointer on, as far as it is new; what was there before follows.
    stack: &'a [u64],
    kept: u64,
    links: &'a [Link],
    links_kept: u32,
    awaiters: &'a [Link],
    flags: u32,
}

impl Sample<'_> {
    fn record(&self) -> Vec<u8> {
        let mut head = vec![0; size_of::<SampleRecord>()];
        let mut set = |at: usize, value: &[u8]| head[at..at + value.len()].copy_from_slice(value);
        let end = STACK + 0x1000;
        let sp = end - self.kept - 8 * self.stack.len() as u64;
        let name = b"Task-7";
        set(offset_of!(SampleRecord, time_ns), &self.time.to_ne_bytes());
        for (at, value) in [
            (offset_of!(SampleRecord, tid), TID),
            (offset_of!(SampleRecord, weight), 2),
            (offset_of!(SampleRecord, waited), 1),
            (offset_of!(SampleRecord, flags), self.flags),
            (offset_of!(SampleRecord, kernel), 2),
            (offset_of!(SampleRecord, stack_new), 8 * self.stack.len() as u32),
            (offset_of!(SampleRecord, links_new), self.links.len() as u32),
            (offset_of!(SampleRecord, links_kept), self.links_kept),
            (offset_of!(SampleRecord, task_root), 2),
            (offset_of!(SampleRecord, task_name), name.len() as u32),
            (offset_of!(SampleRecord, awaiters), self.awaiters.len() as u32),
        ] {
            set(at, &value.to_ne_bytes());
        }
        let registers = offset_of!(SampleRecord, registers);
        set(registers, &self.pc.to_ne_bytes());
        set(registers + 8 * 7, &(sp + 16).to_ne_bytes());
        set(registers + 8 * 8, &sp.to_ne_bytes());
        set(offset_of!(SampleRecord, inherits), &1_u64.to_ne_bytes());
        set(offset_of!(SampleRecord, stack_end), &end.to_ne_bytes());
        let links = |links: &[Link]| {
            let link = |&(code, instruction, address, scope): &Link| {
                [numbers(&[code, instruction]), words(&[address, scope])].concat()
            };
            links.iter().flat_map(link).collect::<Vec<u8>>()
        };
        let kernel = words(&[0xffff_ffff_8100_0000, 0xffff_ffff_8100_0100]);
        let contents =
            [head, words(self.stack), links(self.links), links(self.awaiters), kernel, name.to_vec()].concat();
        record(Kind::Sample, &contents)
    }
}

/// A thread's records, as an agent writes them, of a version of CPython.
fn records(minor: u16) -> Vec<u8> {
    let stub = STUBS + STUB_SIZE as u64;
    // The record of a stub, whose base is at the stack's end less 0x40 (trampolines/src/stub/record.rs).
    let base = STACK + 0x1000 - 0x40;
    let stack = [
        CODE + 0x20,
        base,
        CODE + 0x40,
        0,
        stub + u64::from(RETURN_OFFSET),
        0,
        0x70,
        0x10,
        stub ^ base,
        base + 0x20,
        CODE + 0x60,
        7,
        7,
        0,
        CODE + 0x80,
        7,
        7,
        7,
    ];
    let links =
        [(3, 4, 0x30, 9), (0, 0, STACK + 0xf80, 0), (2, u32::MAX, 0x20, 2), (1, 2, 0x10, 0), (0, 0, STACK + 0xfa0, 0)];
    let first = Sample {
        time: 2_000,
        pc: CODE + 0x10,
        stack: &stack,
        kept: 0,
        links: &links,
        links_kept: 0,
        awaiters: &links[2..4],
        flags: 0,
    };
    let flags = sample_flags::SAME_TASK_NAME | sample_flags::SAME_AWAITERS | sample_flags::IN_SYSTEM_CALL;
    let second = Sample {
        time: 3_000,
        stack: &stack[..4],
        kept: 0x60,
        links: &links[..1],
        links_kept: 4,
        flags,
        awaiters: &[],
        ..first
    };
    let cut = sample_flags::STACK_CUT | sample_flags::LINKS_CUT;
    let third = Sample { time: 4_000, kept: 0x40, links: &[], links_kept: 2, flags: cut, ..second };
    let torn = Sample { time: 5_000, links_kept: 0, flags: sample_flags::TORN, ..third };
    let version = (0x0300 + minor).to_le_bytes().to_vec();
    let task = [b"\x01task\0", &b"serve\0k\0w\0"[..]].concat();
    [
        version,
        record(Kind::Mappings, &maps_text()),
        thread(Kind::ThreadStart),
        code(1, "main"),
        code(2, "serve"),
        scope(Kind::Scope, 1, 0, 0, b"job\0nightly\0"),
        scope(Kind::Scope, 2, 0, 1, &task),
        scope(Kind::Arguments, 9, 2, 1, b"path\0/basket\0"),
        first.record(),
        second.record(),
        code(3, "total"),
        third.record(),
        record(Kind::Padding, &[0; 16]),
        torn.record(),
        thread(Kind::ThreadEnd),
    ]
    .concat()
}

/// A question of the target `moments`: what holds for frames at a time.
fn asked(kind: u8, time: u64, frames: &[[u64; 3]]) -> Vec<u8> {
    framed(kind, &words(&[&[time], frames.concat().as_slice()].concat()))
}

fn moments() -> Vec<u8> {
    const FRAME: [u64; 3] = [0x10, 0x50, 0x70];
    let [frame, stub, state] = FRAME;
    let task =
        |time, frame, inherits, size| [words(&[time, state, frame, stub, inherits, size]), b"Task-7".to_vec()].concat();
    [
        record(Kind::Opened, &[words(&[10, frame, stub, 1, 0]), b"job\0nightly\0".to_vec()].concat()),
        record(Kind::Inherits, &words(&[11, state, 1])),
        record(Kind::Opened, &[words(&[20, frame, stub, 2, 1]), b"\x01task\0serve\0".to_vec()].concat()),
        record(Kind::Task, &task(21, frame, AS_THE_THREAD, 6)),
        record(Kind::Task, &task(22, 0x18, 2, 6)),
        record(Kind::Task, &task(23, 0x18, 2, NO_TASK)),
        record(Kind::Closed, &words(&[30, 2, state, 1])),
        record(Kind::Ended, &words(&[40, 1])),
        record(Kind::Forget, &words(&[50])),
        record(Kind::Opened, &[words(&[60, frame, stub, 3, 0]), b"k\0v\0".to_vec()].concat()),
        asked(224, 15, &[FRAME, [0x18, stub, state]]),
        asked(128, 16, &[]),
        asked(192, 17, &[FRAME]),
        asked(224, 25, &[FRAME]),
        asked(224, 35, &[FRAME]),
        asked(64, 55, &[]),
        asked(224, 65, &[FRAME]),
        asked(160, 70, &[]),
        asked(224, 71, &[FRAME]),
    ]
    .concat()
}

#[test]
fn rings() {
    for minor in [10, 13] {
        keep("records", &format!("python-3.{minor}"), &records(minor));
    }
    let ring = super::ring::file(&records(13));
    keep("ring", "records", &ring);
    // Where the ring's end was come to.
    let mut later = ring.clone();
    for at in [offset_of!(RingHeader, head), offset_of!(RingHeader, tail)] {
        let position = u64::from_ne_bytes(*later[at..].first_chunk().unwrap()) + (1 << 20);
        later[at..at + 8].copy_from_slice(&position.to_ne_bytes());
    }
    keep("ring", "later", &later);
    for (target, read) in [("records", super::records as fn(&[u8]) -> _), ("ring", super::ring)] {
        let recordings = |data: &[u8]| {
            let recording = read(data);
            recording.samples.len() + recording.contexts.all().len() + recording.codes.len()
        };
        let understood = replay(target, recordings);
        assert!(understood >= 9, "{target}: {understood}");
    }
}

#[test]
fn a_ring_that_takes_long_is_read_in_turns_and_not_for_ever() {
    let read = |turn, longest| {
        let directory = tempfile::tempdir().unwrap();
        let ring = super::ring::file(&records(13));
        let (header, records) = ring.split_at(size_of::<RingHeader>());
        super::ring::write(directory.path(), header, records);
        let recorded = crate::engine::signal::read_to_end(directory.path().to_owned(), turn, longest);
        (recorded.codes.len(), recorded.samples.len(), recorded.notes.len())
    };
    let whole = read(Duration::MAX, Duration::MAX);
    assert!(whole.1 > 4 && whole.2 == 0, "{whole:?}");
    assert_eq!(read(Duration::ZERO, Duration::MAX), whole);
    assert_eq!(read(Duration::ZERO, Duration::ZERO), (0, 0, 1));
}

#[test]
fn moments_of_a_process() {
    keep("moments", "all", &moments());
    let understood = replay("moments", super::moments);
    assert!(understood >= 4, "{understood}");
}

#[test]
fn maps() {
    keep("maps", "python", &maps_text());
    keep("maps", "kernel", b"7ffc1000-7ffc3000 r-xp 00000000 00:00 0                  [vdso]\n");
    let understood = replay("maps", super::maps);
    assert!(understood >= 6, "{understood}");
}

#[test]
fn control_pages() {
    let page = |state: AttachState| {
        let head =
            [&CONTROL_MAGIC[..], &numbers(&[CONTROL_VERSION, 0]), &words(&[3]), &numbers(&[state as u32, 1])].concat();
        [head, vec![0; 32], b"no\nroom".to_vec()].concat()
    };
    keep("control", "sampling", &page(AttachState::Sampling));
    keep("control", "refused", &page(AttachState::Refused));
    let understood = replay("control", super::control);
    assert!(understood >= 2, "{understood}");
}

/// Functions whose frames are told in different ways: without and with a frame pointer, by an expression, by another register.
const SOURCE: &str = "
int outer(int *at) { int big[100]; for (int i = 0; i < 100; i++) big[i] = at[i]; at[0] = big[at[1]]; return at[2]; }
int caller(int *at, int n) { int many[n]; many[at[0]] = 1; return outer(many) + 1; }
int aligned(int *at) { __attribute__((aligned(64))) int big[64]; for (int i = 0; i < 64; i++) big[i] = i; return outer(big); }
__asm__(\".text; odd: .cfi_startproc; .cfi_escape 0x0f,3,0x77,8,6; .cfi_escape 0x10,0x10,3,0x70,0,6; nop; nop; \"
  \".cfi_def_cfa rbx, 16; .cfi_register rip, r12; nop; ret; .cfi_endproc; .type odd, @function; .size odd, .-odd\");
";

#[test]
fn modules() {
    let directory = tempfile::tempdir().unwrap();
    let built = |name: &str, options: &[&str]| {
        let (source, binary) = (directory.path().join("a.c"), directory.path().join(name));
        std::fs::write(&source, SOURCE).unwrap();
        let common = ["-shared", "-fPIC", "-O1", "-s", "-nostdlib", "-Wl,-z,noseparate-code,-z,max-page-size=4096"];
        let status = Command::new("gcc").args(common).args(options).arg("-o").arg(&binary).arg(&source).status();
        assert!(status.unwrap().success());
        std::fs::read(binary).unwrap()
    };
    for (name, options) in [("eh_frame", &["-Wl,--build-id"][..]), ("no_index", &["-Wl,--no-eh-frame-hdr"])] {
        let bytes = built(name, options);
        assert!(super::module(&bytes) > 64, "{name}: {}", super::module(&bytes));
        keep("module", name, &bytes);
    }
    let understood = replay("module", super::module);
    assert!(understood >= 128, "{understood}");
}
