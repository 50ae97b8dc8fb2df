//! Walks the chain of a thread's interpreter frames: the frame links.
//!
//! # Safety
//! The chain is read by its own thread, in a signal handler: so nothing on it can change or go away meanwhile, since
//! each frame that is on the chain owns its code object. What the handler may have interrupted is a change of the chain
//! itself; the walk says when the chain that it found cannot be a whole one.

use super::layout::{Border, Instruction, Layout, Newest, OWNED_BY_EVALUATOR};
use crate::capture::memory::{Memory, Straight};
use crate::wire::NO_INSTRUCTION;

/// One link of the chain, newest first: a frame, or the border between two calls of the evaluator.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Link {
    /// The frame's address; of a border, an address within the evaluator's native frame.
    pub address: u64,
    /// The frame's code object; 0 for a border.
    pub code: u64,
    /// The offset of the instruction in the bytecode, in bytes, or [`NO_INSTRUCTION`].
    pub instruction: u32,
    /// The code object's number, once it is known.
    pub number: u32,
    /// Tells the code object from another one at the same address.
    pub check: u64,
    /// The serial number of the innermost scope that is open on the frame; 0 is none.
    pub scope: u64,
}

impl Link {
    /// Whether the frame has not gone past its first instruction.
    fn is_at_start(&self) -> bool {
        self.code != 0 && (self.instruction == NO_INSTRUCTION || self.instruction == 0)
    }

    /// Whether this is the same place in the same frame as another link, in the same scope.
    pub fn is_same(&self, other: &Link) -> bool {
        let words = |link: &Link| (link.address, link.code, link.instruction, link.check, link.scope);
        words(self) == words(other)
    }
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the thread's oldest frame.
    Base,
    /// At the frame that it was to end with.
    Known,
    /// In the midst: the chain was being changed.
    Torn,
    /// There was no more room for links.
    Cut,
}

/// What a walk found.
#[derive(Clone, Copy, Debug)]
pub struct Walked {
    /// How many links were written.
    pub count: usize,
    /// How it ended.
    pub end: End,
}

/// The first instructions of `_PyEval_EvalFrameDefault` in which 3.11 and 3.12 have linked a `_PyCFrame` that does not have
/// its frame yet, in bytes: 80 to 110 in the builds that were measured.
const PROLOGUE: u64 = 256;

/// More than the size of `_PyEval_EvalFrameDefault` in any build, in bytes.
const EVALUATOR: u64 = 128 << 10;

/// How to walk the frames of an interpreter.
#[derive(Clone, Copy, Debug)]
pub struct Walker {
    /// Where things are.
    pub layout: &'static Layout,
    /// The address of `PyCode_Type`.
    pub code_type: u64,
    /// The address of `_PyEval_EvalFrameDefault`.
    pub evaluator: u64,
}

impl Walker {
    /// Walks the frames of a thread state, and writes them to `links`, newest first.
    ///
    /// `pc` is the instruction that was interrupted. The walk ends with the frame at `last`, if it comes to that: what is
    /// older is known.
    ///
    /// # Safety
    /// The thread state is the calling thread's own, which is in a signal handler, and `memory` suits what it may have
    /// interrupted; or `memory` takes any address.
    pub unsafe fn walk(
        &self,
        memory: impl Memory,
        thread: u64,
        pc: u64,
        last: Option<u64>,
        links: &mut [Link],
    ) -> Walked {
        let torn = |count| Walked { count, end: End::Torn };
        let has_c_frames = matches!(self.layout.links.newest, Newest::CFrame { .. });
        let in_prologue = pc.wrapping_sub(self.evaluator) < PROLOGUE;
        if in_prologue && has_c_frames {
            return torn(0);
        }
        // On 3.11 and 3.12 the evaluator pushes frames itself (`DISPATCH_INLINED`, Python/ceval_macros.h), and a compiler may
        // have it link the new frame to the thread before it links that to its caller. On 3.13 to 3.15 none was found so
        // in 1.2 million samples, and to suspect each frame at its start costs samples of programs that call much.
        let may_push = has_c_frames && pc.wrapping_sub(self.evaluator) < EVALUATOR;
        let mut count = 0;
        // SAFETY: as promised by the caller: what is read are the thread's own frames and their code objects.
        let found = unsafe { self.walk_links(&memory, thread, may_push, last, links, &mut count) };
        Walked { count, ..found.unwrap_or(torn(count)) }
    }

    /// # Safety
    /// As for [`Walker::walk`].
    unsafe fn walk_links(
        &self,
        memory: &impl Memory,
        thread: u64,
        may_push: bool,
        last: Option<u64>,
        links: &mut [Link],
        count: &mut usize,
    ) -> Option<Walked> {
        let layout = &self.layout.links;
        let mut room = links.iter_mut();
        let mut at_border = true;
        let mut circle = Circle::default();
        // SAFETY: as promised by the caller.
        unsafe {
            let (mut frame, mut c_frame) = match layout.newest {
                Newest::Frame(at) => (memory.word(at_of(thread, at))?, 0),
                Newest::CFrame { at, frame, .. } => {
                    let c_frame = memory.word(at_of(thread, at))?;
                    (memory.word(at_of(c_frame, frame))?, c_frame)
                }
            };
            // One that has not executed anything yet may be about to be linked to its caller.
            if may_push && frame != 0 && self.link(memory, frame)?.is_some_and(|link| link.is_at_start()) {
                return None;
            }
            while frame != 0 {
                if !frame.is_multiple_of(8) || circle.closes_at(frame) {
                    return None;
                }
                let older = memory.word(at_of(frame, layout.previous))?;
                let border = match layout.border {
                    Border::Frame(owner) if memory.byte(at_of(frame, owner))? >= OWNED_BY_EVALUATOR => Some(frame),
                    _ => None,
                };
                if border.is_none()
                    && let Some(link) = self.link(memory, frame)?
                {
                    match room.next() {
                        Some(place) => *place = link,
                        None => return Some(Walked { count: *count, end: End::Cut }),
                    }
                    *count = count.saturating_add(1);
                    at_border = matches!(layout.border, Border::Everywhere);
                    if last == Some(frame) {
                        return Some(Walked { count: *count, end: End::Known });
                    }
                }
                let border = match (layout.border, layout.newest) {
                    (Border::Flag(flag), Newest::CFrame { frame: current, previous, .. })
                        if memory.byte(at_of(frame, flag))? != 0 =>
                    {
                        let below = match c_frame {
                            0 => return None,
                            c_frame => memory.word(at_of(c_frame, previous))?,
                        };
                        // What waits for the generator into which an exception is thrown is linked by hand, with the
                        // flag of when it was resumed last (`_gen_throw`, Objects/genobject.c, 3.11): no call of the
                        // evaluator has begun with it. One that has was linked to the newest frame of the call below.
                        if below != 0 && memory.word(at_of(below, current))? == older {
                            let here = c_frame;
                            c_frame = below;
                            Some(here)
                        } else {
                            None
                        }
                    }
                    _ => border,
                };
                if let Some(address) = border {
                    match room.next() {
                        Some(place) => *place = Link { address, ..Link::default() },
                        None => return Some(Walked { count: *count, end: End::Cut }),
                    }
                    *count = count.saturating_add(1);
                    at_border = true;
                }
                frame = older;
            }
        }
        // From 3.15 on each thread has a frame of its own below all others (`base_frame`, Include/cpython/pystate.h), which
        // belongs to no call of the evaluator.
        let is_border = |at: Option<&Link>| at.is_some_and(|link| link.code == 0);
        let last = count.wrapping_sub(1);
        if is_border(links.get(last)) && is_border(links.get(last.wrapping_sub(1))) {
            *count = last;
        }
        // A generator that yields on 3.12 leaves the chain before the thread's newest frame moves on: the chain then ends
        // with it, and not with a call of the evaluator.
        at_border.then_some(Walked { count: *count, end: End::Base })
    }

    /// The frames of a thread that a program knows of, with their code objects, from the newest on.
    ///
    /// # Safety
    /// The thread state is the calling thread's own, which is in no signal handler and holds the interpreter's lock.
    pub unsafe fn frames(&self, thread: u64) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (walker, links) = (*self, &self.layout.links);
        // SAFETY: as promised by the caller: the chain is whole, and stays as it is.
        let word = |address: u64| unsafe { Straight.word(address) }.unwrap_or(0);
        let mut next = match links.newest {
            Newest::Frame(at) => word(at_of(thread, at)),
            Newest::CFrame { at, frame, .. } => word(at_of(word(at_of(thread, at)), frame)),
        };
        core::iter::from_fn(move || {
            loop {
                let frame = next;
                if frame == 0 {
                    return None;
                }
                next = word(at_of(frame, links.previous));
                // SAFETY: as above.
                let owner = |at: u8| unsafe { Straight.byte(at_of(frame, at)) };
                let is_border = matches!(links.border, Border::Frame(at) if owner(at) >= Some(OWNED_BY_EVALUATOR));
                if !is_border {
                    // SAFETY: as above.
                    return Some((frame, unsafe { walker.code_of(frame) }));
                }
            }
        })
    }

    /// The code object of a frame.
    ///
    /// # Safety
    /// The frame is alive.
    pub unsafe fn code_of(&self, frame: u64) -> u64 {
        let fields = &self.layout.frame;
        // SAFETY: as promised by the caller.
        let code = unsafe { Straight.word(at_of(frame, fields.code)) }.unwrap_or(0);
        if fields.code_is_tagged { code & !3 } else { code }
    }

    /// A number that tells a code object from another one at the same address.
    ///
    /// # Safety
    /// As for [`Walker::walk`]: the code object is alive.
    pub unsafe fn check_of(&self, memory: &impl Memory, code: u64) -> Option<u64> {
        let of_code = &self.layout.code;
        // SAFETY: as promised by the caller.
        unsafe {
            let name = memory.word(at_of(code, of_code.name))?;
            let line_table = memory.word(at_of(code, of_code.line_table))?;
            let first_line = memory.number(at_of(code, of_code.first_line))?;
            Some(name.rotate_left(24) ^ line_table ^ u64::from(first_line.unsigned_abs()).rotate_left(48))
        }
    }

    /// The link of a frame: `Some(None)` for one that no program knows of, `None` for what is no frame.
    ///
    /// # Safety
    /// As for [`Walker::walk`].
    pub(super) unsafe fn link(&self, memory: &impl Memory, frame: u64) -> Option<Option<Link>> {
        let Layout { frame: fields, code: of_code, links, .. } = self.layout;
        // SAFETY: as promised by the caller.
        unsafe {
            let mut code = memory.word(at_of(frame, fields.code))?;
            if fields.code_is_tagged {
                code &= !3;
            }
            if code == 0 || memory.word(at_of(code, 8_u8))? != self.code_type {
                return None;
            }
            let name = memory.word(at_of(code, of_code.name))?;
            let first_line = memory.number(at_of(code, of_code.first_line))?;
            // What 3.13 and later put between a constructor and its caller (Python/codegen or Objects/codeobject.c,
            // `_Py_InitCleanup`) has no first line, and its name for a file.
            if first_line == 0 && memory.word(at_of(code, of_code.filename))? == name {
                return Some(None);
            }
            let check = self.check_of(memory, code)?;
            let instruction = match links.instruction {
                Instruction::Bytes(at) => i64::from(memory.number(at_of(frame, at))?),
                Instruction::Units(at) => i64::from(memory.number(at_of(frame, at))?).wrapping_mul(2),
                Instruction::Pointer(at) => {
                    let pointer = memory.word(at_of(frame, at))?;
                    pointer.wrapping_sub(at_of(code, of_code.bytecode)) as i64
                }
            };
            let instruction = u32::try_from(instruction).unwrap_or(NO_INSTRUCTION);
            Some(Some(Link { address: frame, code, instruction, number: 0, check, scope: 0 }))
        }
    }
}

/// Notices when a chain that is being changed leads back to where it was (R. P. Brent, "An improved Monte Carlo
/// factorization algorithm", 1980): it compares with one address, which it takes anew after twice as many steps each time.
#[derive(Debug, Default)]
struct Circle {
    start: u64,
    steps: u32,
}

impl Circle {
    fn closes_at(&mut self, address: u64) -> bool {
        if address == self.start {
            return true;
        }
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_power_of_two() {
            self.start = address;
        }
        false
    }
}

/// The address of a field.
fn at_of(object: u64, offset: impl Into<u64>) -> u64 {
    object.wrapping_add(offset.into())
}
