//! The native frames of threads that were stopped: what is copied while they are, and how it is unwound then.

use crate::files::Mapped;
use crate::mappings::{Mapping, Mappings};
use crate::maps;
use crate::published::Published;
use crate::recording::{Address, Frame, StackId, StackTable};
use crate::target::Target;
use crate::target::files::{Region, regions};
use crate::target::stop::Stopped;
use crate::unwind::evaluator::Evaluator;
use crate::unwind::merge::Link;
use crate::unwind::modules::Modules;
use crate::unwind::stack::Stack;
use crate::unwind::thread::{ThreadSample, ThreadWalk};
use crate::unwind::{GeneralRegisters, Registers};
use std::rc::Rc;

/// The most that is copied of a thread's stack, and of all stacks together, in bytes.
const MOST_OF_STACK: u64 = 1 << 20;
const MOST_OF_ALL: u64 = 64 << 20;

/// The registers of a thread and a copy of its stack.
#[derive(Debug)]
pub(super) struct Copied {
    registers: Registers,
    general: GeneralRegisters,
    stack: Vec<u8>,
    is_cut: bool,
}

/// Copies stacks.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    target: &'a Target,
    regions: Vec<Region>,
    left: u64,
}

impl<'a> Copier<'a> {
    pub(super) fn new(target: &'a Target) -> Copier<'a> {
        Copier { target, regions: regions(target), left: MOST_OF_ALL }
    }

    /// Copies what is needed of a thread.
    pub(super) fn copy(&mut self, thread: &Stopped) -> Option<Copied> {
        let (registers, general) = registers_of(thread)?;
        let holds = |region: &&Region| region.range.contains(&registers.sp);
        let end = self.regions.iter().find(holds).map_or(registers.sp, |region| region.range.end);
        let mut size = (end - registers.sp).min(MOST_OF_STACK).min(self.left);
        let mut stack = vec![0; usize::try_from(size).unwrap_or(0)];
        self.left -= size;
        // What it had mapped may have changed since it was looked up.
        while self.target.read(registers.sp, &mut stack).is_err() {
            size /= 2;
            stack.truncate(usize::try_from(size).unwrap_or(0));
        }
        let is_cut = registers.sp + size < end;
        Some(Copied { registers, general, stack, is_cut })
    }
}

/// The registers of a thread, by their DWARF numbers (x86-64 psABI 1.0, figure 3.36).
#[cfg(target_arch = "x86_64")]
fn registers_of(thread: &Stopped) -> Option<(Registers, GeneralRegisters)> {
    let user = thread.registers().ok()?;
    let general = [
        user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi, user.rbp, user.rsp, user.r8, user.r9, user.r10,
        user.r11, user.r12, user.r13, user.r14, user.r15,
    ];
    Some((Registers { pc: user.rip, sp: user.rsp, fp: user.rbp }, general))
}

#[cfg(not(target_arch = "x86_64"))]
fn registers_of(_: &Stopped) -> Option<(Registers, GeneralRegisters)> {
    None
}

/// Where a thread is that is stopped: its instruction, and what `pthread_self` gives in it.
#[cfg(target_arch = "x86_64")]
pub(super) fn place_of(thread: &Stopped) -> Option<(u64, u64)> {
    thread.registers().ok().map(|user| (user.rip, user.fs_base))
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn place_of(_: &Stopped) -> Option<(u64, u64)> {
    None
}

/// Unwinds what was copied, and puts Python's frames where they belong.
#[derive(Debug)]
pub(super) struct Unwinder {
    modules: Modules,
    pub(super) published: Published,
    mappings: Rc<Mappings>,
    evaluator: Evaluator,
}

impl Unwinder {
    /// For a process that is there, and the address of its evaluator.
    pub(super) fn new(target: &Target, evaluator: Address) -> Unwinder {
        let (mut modules, mut published) = (Modules::new(), Published::default());
        let mut mappings = Mappings::default();
        for line in maps::read(target.pid()) {
            let mapped = Mapped { pid: target.pid(), range: line.range.clone(), offset: line.offset };
            let image = published.image(&line.file, &mapped, &mut modules);
            mappings.add(Mapping::new(line.range, line.offset, image));
        }
        let evaluator = Evaluator::find(evaluator, &mappings, &mut modules);
        Unwinder { modules, published, mappings: Rc::new(mappings), evaluator }
    }

    /// The stack of a thread, by its links from the oldest to the newest.
    pub(super) fn stack(
        &mut self,
        copied: &Copied,
        links: &[Link],
        is_cut: bool,
        stacks: &mut StackTable,
    ) -> Option<StackId> {
        let Copied { registers, general, .. } = *copied;
        let sample = ThreadSample {
            mappings: &self.mappings,
            evaluator: &self.evaluator,
            registers,
            general: &general,
            stack: &Stack::new(registers.sp, &copied.stack, copied.is_cut),
            unchanged_from: u64::MAX,
            links,
            links_kept: 0,
            links_cut: is_cut,
            torn: false,
            kernel: &[],
        };
        let Unwinder { modules, published, .. } = self;
        ThreadWalk::default().sample(&sample, modules, |modules, found| published.frame(found, modules), stacks).stack
    }
}

/// A stack of Python's frames alone, by links from the oldest to the newest.
pub(super) fn without_native(links: &[Link], is_cut: bool, stacks: &mut StackTable) -> Option<StackId> {
    let cut = is_cut.then_some(Frame::Truncated);
    let frames = links.iter().filter_map(|link| Some(Frame::Python(link.code?, link.instruction)));
    cut.into_iter().chain(frames).fold(None, |below, frame| Some(stacks.push(below, frame)))
}
