//! Call frame information that framehop does not evaluate: rules that read memory, and rules by other registers than the
//! stack and frame pointers.
//!
//! It takes such code for code with frame pointers, which is right for none of the cases that there are: functions
//! that realign the stack (gcc keeps the address of the arguments in memory, glibc's `_dl_runtime_resolve_xsavec` the
//! stack pointer in rbx), the trampoline that returns from signal handlers, and `vfork`, which keeps its return address
//! in a register.

use super::Registers;
use super::stack::Stack;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult, FrameDescriptionEntry,
    LittleEndian, ParsedEhFrameHdr, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
    UnwindTableRow, Value, X86_64,
};
use std::ops::Range;
use std::rc::Rc;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// How many operations an expression may have, jumps included.
const MAX_OPERATIONS: u32 = 1000;

/// The unwind sections of a file, with their addresses as the file states them.
#[derive(Clone, Debug)]
pub(super) struct Sections {
    pub(super) eh_frame: Rc<[u8]>,
    pub(super) eh_frame_hdr: Rc<[u8]>,
    pub(super) bases: BaseAddresses,
}

impl Sections {
    /// Whether the index of the unwind information can be read and has a table to search in.
    pub(super) fn has_index(&self) -> bool {
        self.index().is_some_and(|index| index.table().is_some())
    }

    fn index(&self) -> Option<ParsedEhFrameHdr<Slice<'_>>> {
        EhFrameHdr::new(&self.eh_frame_hdr, LittleEndian).parse(&self.bases, 8).ok()
    }

    /// The addresses of the code that is described together with that at an address: mostly a function, or a part of one.
    pub(super) fn described_with(&self, address: u64) -> Option<Range<u64>> {
        let eh_frame = self.eh_frame();
        let fde = self.fde(&eh_frame, address)?;
        let start = fde.initial_address();
        Some(start..start.checked_add(fde.len())?)
    }

    /// The rules for the code at an address, if framehop does not evaluate them.
    pub(super) fn special_rules(&self, address: u64, context: &mut UnwindContext<usize>) -> Option<Rules> {
        let rules = self.rules(address, context)?;
        let by_pointer = matches!(rules.row.cfa(), CfaRule::RegisterAndOffset { register, .. }
            if matches!(*register, X86_64::RSP | X86_64::RBP));
        let on_stack =
            matches!(rules.row.register(X86_64::RA), None | Some(RegisterRule::Undefined | RegisterRule::Offset(_)));
        (!by_pointer || !on_stack).then_some(rules)
    }

    /// The rules for the code at an address.
    pub(super) fn rules(&self, address: u64, context: &mut UnwindContext<usize>) -> Option<Rules> {
        let eh_frame = self.eh_frame();
        let fde = self.fde(&eh_frame, address)?;
        let row = fde.unwind_info_for_address(&eh_frame, &self.bases, context, address).ok()?;
        Some(Rules { row: row.clone(), encoding: fde.cie().encoding() })
    }

    fn fde<'a>(&'a self, eh_frame: &EhFrame<Slice<'a>>, address: u64) -> Option<FrameDescriptionEntry<Slice<'a>>> {
        let index = self.index()?;
        let fde = index.table()?.fde_for_address(eh_frame, &self.bases, address, EhFrame::cie_from_offset).ok()?;
        fde.contains(address).then_some(fde)
    }

    fn eh_frame(&self) -> EhFrame<Slice<'_>> {
        let mut eh_frame = EhFrame::new(&self.eh_frame, LittleEndian);
        eh_frame.set_address_size(8);
        eh_frame
    }
}

/// How to find a caller's registers.
#[derive(Debug)]
pub(super) struct Rules {
    row: UnwindTableRow<usize>,
    encoding: Encoding,
}

impl Rules {
    /// What becomes of a register in the caller.
    pub(super) fn register(&self, register: Register) -> Option<RegisterRule<usize>> {
        self.row.register(register)
    }

    /// The caller's registers. `other` tells the values of registers that are not in `registers`.
    pub(super) fn caller(
        &self,
        sections: &Sections,
        registers: Registers,
        stack: &Stack,
        other: &dyn Fn(Register) -> Option<u64>,
    ) -> Option<Registers> {
        let eh_frame = sections.eh_frame();
        let frame = Frame { eh_frame: &eh_frame, encoding: self.encoding, registers, stack, other };
        let sp = match self.row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => frame.known(*register)?.checked_add_signed(*offset)?,
            CfaRule::Expression(expression) => frame.evaluate(expression, None)?,
        };
        let fp = frame.register(self.register(X86_64::RBP).as_ref(), sp, registers.fp)?;
        let pc = frame.register(self.register(X86_64::RA).as_ref(), sp, 0)?;
        (pc != 0).then_some(Registers { pc, sp, fp })
    }
}

/// What the rules of a row are evaluated with.
struct Frame<'a> {
    eh_frame: &'a EhFrame<Slice<'a>>,
    encoding: Encoding,
    registers: Registers,
    stack: &'a Stack<'a>,
    other: &'a dyn Fn(Register) -> Option<u64>,
}

impl Frame<'_> {
    /// The value that a register has in the caller.
    fn register(&self, rule: Option<&RegisterRule<usize>>, cfa: u64, current: u64) -> Option<u64> {
        match rule {
            None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => Some(current),
            Some(RegisterRule::Offset(offset)) => self.stack.word_at(cfa, *offset),
            Some(RegisterRule::ValOffset(offset)) => cfa.checked_add_signed(*offset),
            Some(RegisterRule::Register(other)) => self.known(*other),
            Some(RegisterRule::Expression(expression)) => self.stack.word(self.evaluate(expression, Some(cfa))?),
            Some(RegisterRule::ValExpression(expression)) => self.evaluate(expression, Some(cfa)),
            Some(_) => None,
        }
    }

    fn known(&self, register: Register) -> Option<u64> {
        match register {
            X86_64::RSP => Some(self.registers.sp),
            X86_64::RBP => Some(self.registers.fp),
            X86_64::RA => Some(self.registers.pc),
            other => (self.other)(other),
        }
    }

    fn evaluate(&self, expression: &UnwindExpression<usize>, initial: Option<u64>) -> Option<u64> {
        let mut evaluation = expression.get(self.eh_frame).ok()?.evaluation(self.encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.known(register)?)).ok()?
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    evaluation.resume_with_memory(Value::Generic(self.stack.word(address)?)).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.as_result().last()?.location {
            gimli::Location::Address { address } => Some(address),
            gimli::Location::Register { register } => self.known(register),
            _ => None,
        }
    }
}
