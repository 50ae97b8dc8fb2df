//! Call frame information whose rules read memory, which framehop does not evaluate.
//!
//! It takes such code for code with frame pointers, which is right for none of the cases that there are: functions
//! that realign the stack (gcc keeps the address of the arguments in memory) and the trampoline that returns from
//! signal handlers.

use super::Registers;
use super::stack::Stack;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult, LittleEndian,
    ParsedEhFrameHdr, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value, X86_64,
};
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

    /// The caller's registers, if the code at an address has a rule with an expression for its frame address.
    /// `None` when it has not; `Some(None)` when the expression cannot be evaluated.
    pub(super) fn step_by_expression(
        &self,
        address: u64,
        registers: Registers,
        stack: &Stack,
        context: &mut UnwindContext<usize>,
    ) -> Option<Option<Registers>> {
        let index = self.index()?;
        let mut eh_frame = EhFrame::new(&self.eh_frame, LittleEndian);
        eh_frame.set_address_size(8);
        let fde = index.table()?.fde_for_address(&eh_frame, &self.bases, address, EhFrame::cie_from_offset).ok()?;
        let row = fde.unwind_info_for_address(&eh_frame, &self.bases, context, address).ok()?;
        let CfaRule::Expression(expression) = row.cfa() else { return None };
        let frame = Frame { eh_frame: &eh_frame, encoding: fde.cie().encoding(), registers, stack };
        let caller = || {
            let cfa = frame.evaluate(expression, None)?;
            let fp = frame.register(row.register(X86_64::RBP).as_ref(), cfa, registers.fp)?;
            let pc = frame.register(row.register(X86_64::RA).as_ref(), cfa, 0)?;
            (pc != 0).then_some(Registers { pc, sp: cfa, fp })
        };
        Some(caller())
    }
}

/// What the rules of a row are evaluated with.
struct Frame<'a> {
    eh_frame: &'a EhFrame<Slice<'a>>,
    encoding: Encoding,
    registers: Registers,
    stack: &'a Stack<'a>,
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
            _ => None,
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
