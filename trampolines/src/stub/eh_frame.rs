//! `.eh_frame` for stubs, for the unwinders in the process: forced unwinding when a thread is cancelled, backtraces of
//! crash handlers, debuggers.
//!
//! The format: Linux Standard Base, "Exception Frames", and DWARF 5, section 6.4.

use super::native::{DWARF, STUB_SIZE, UNWIND_TABLE};
use super::unwind::{Cfa, Saved, UnwindEntry};
use crate::sys::{self, Refused};
use core::ffi::c_void;
use core::ptr::NonNull;

/// The numbers that DWARF gives to the registers that the rules speak of.
#[derive(Clone, Copy, Debug)]
pub struct DwarfNumbers {
    /// The stack pointer.
    pub stack_pointer: u8,
    /// The frame pointer.
    pub frame_pointer: u8,
    /// The column of the return address.
    pub return_address: u8,
}

/// What the table is made from.
struct Description {
    stub_size: usize,
    registers: DwarfNumbers,
    rows: &'static [UnwindEntry],
}

const NATIVE: Description = Description { stub_size: STUB_SIZE, registers: DWARF, rows: UNWIND_TABLE };

/// The size of the common information entry, and of a frame description entry, in bytes.
const CIE_SIZE: usize = 24;
const FDE_SIZE: usize = 64;

const DW_CFA_ADVANCE_LOC1: u8 = 0x02;
const DW_CFA_OFFSET: u8 = 0x80;
const DW_CFA_SAME_VALUE: u8 = 0x08;
const DW_CFA_DEF_CFA: u8 = 0x0c;
const DW_EH_PE_ABSPTR: u8 = 0x00;
/// The CFI version of `.eh_frame`.
const VERSION: u8 = 1;
/// -8 as SLEB128: offsets of saved registers are counted in words below the canonical frame address.
const DATA_ALIGNMENT: u8 = 0x78;

/// The size of the table for so many stubs, in bytes.
const fn table_size(stubs: usize) -> usize {
    // A length of zero ends the table.
    CIE_SIZE + stubs * FDE_SIZE + 4
}

/// Bytes that are filled from the front.
struct Bytes<'a> {
    rest: core::slice::IterMut<'a, u8>,
}

impl Bytes<'_> {
    fn put(&mut self, bytes: &[u8]) {
        for (from, to) in bytes.iter().zip(self.rest.by_ref()) {
            *to = *from;
        }
    }
}

/// Fills a table of [`table_size`] zeroed bytes for stubs that follow each other from `start` on.
fn write_table(table: &mut [u8], of: &Description, start: u64, stubs: usize) {
    let Some((cie, fdes)) = table.split_at_mut_checked(CIE_SIZE) else { return };
    let mut cie = Bytes { rest: cie.iter_mut() };
    cie.put(&(CIE_SIZE as u32 - 4).to_ne_bytes());
    cie.put(&0_u32.to_ne_bytes());
    cie.put(&[VERSION, b'z', b'R', 0, 1, DATA_ALIGNMENT, of.registers.return_address, 1, DW_EH_PE_ABSPTR]);
    // What is left is zero: DW_CFA_nop.
    for (index, fde) in fdes.chunks_exact_mut(FDE_SIZE).take(stubs).enumerate() {
        let offset = index * FDE_SIZE;
        let mut fde = Bytes { rest: fde.iter_mut() };
        fde.put(&(FDE_SIZE as u32 - 4).to_ne_bytes());
        // The distance from this field back to the common information entry.
        fde.put(&((CIE_SIZE + offset + 4) as u32).to_ne_bytes());
        fde.put(&start.wrapping_add((index * of.stub_size) as u64).to_ne_bytes());
        fde.put(&(of.stub_size as u64).to_ne_bytes());
        fde.put(&[0]); // no augmentation data
        write_rows(&mut fde, of);
    }
}

fn write_rows(fde: &mut Bytes<'_>, of: &Description) {
    let registers = of.registers;
    let mut at = 0;
    for entry in of.rows {
        if entry.from > at {
            fde.put(&[DW_CFA_ADVANCE_LOC1, (entry.from - at) as u8]);
            at = entry.from;
        }
        match entry.row.cfa {
            Cfa::StackPointer(offset) => fde.put(&[DW_CFA_DEF_CFA, registers.stack_pointer, offset]),
            Cfa::FramePointer(offset) => fde.put(&[DW_CFA_DEF_CFA, registers.frame_pointer, offset]),
        }
        let registers =
            [(registers.frame_pointer, entry.row.frame_pointer), (registers.return_address, entry.row.return_address)];
        for (register, saved) in registers {
            match saved {
                // Said outright: what holds for a register that no rule speaks of differs by ABI.
                Saved::InRegister => fde.put(&[DW_CFA_SAME_VALUE, register]),
                Saved::BelowCfa(offset) => fde.put(&[DW_CFA_OFFSET | register, offset / 8]),
            }
        }
    }
}

/// Tells the process's unwinder, if it has one, about stubs that follow each other from `start` on.
///
/// The table stays for good, as the stubs do.
///
/// # Errors
/// When there is no memory for the table.
pub fn register(start: NonNull<u8>, stubs: usize) -> Result<(), Refused> {
    // A process without exceptions, such as most Pythons, may not have an unwinder, or not where everybody sees it.
    let register_frame =
        sys::symbol(c"__register_frame").or_else(|| sys::symbol_of_library(c"libgcc_s.so.1", c"__register_frame"));
    let Some(register_frame) = register_frame else { return Ok(()) };
    let size = table_size(stubs);
    let table = sys::map_anonymous(size)?;
    // SAFETY: the memory was just mapped, is that long, and is handed over for good.
    unsafe {
        let bytes = core::slice::from_raw_parts_mut(table.as_ptr(), size);
        write_table(bytes, &NATIVE, start.as_ptr() as u64, stubs);
        let register_frame: unsafe extern "C" fn(*mut c_void) = core::mem::transmute(register_frame);
        register_frame(table.as_ptr().cast());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{aarch64, row_at, x86_64};
    use super::{Cfa, Description, Saved, table_size, write_table};
    use gimli::{BaseAddresses, CfaRule, EhFrame, NativeEndian, Register, RegisterRule, UnwindContext, UnwindSection};
    use std::vec;

    const X86_64: Description =
        Description { stub_size: x86_64::STUB_SIZE, registers: x86_64::DWARF, rows: x86_64::UNWIND_TABLE };
    const AARCH64: Description =
        Description { stub_size: aarch64::STUB_SIZE, registers: aarch64::DWARF, rows: aarch64::UNWIND_TABLE };

    #[test]
    fn gimli_reads_the_rows_that_the_table_was_made_from() {
        for description in [X86_64, AARCH64] {
            check(&description);
        }
    }

    fn check(of: &Description) {
        let start = 0x7000_0000;
        let size = of.stub_size as u64;
        let mut table = vec![0; table_size(3)];
        write_table(&mut table, of, start, 3);
        let eh_frame = EhFrame::new(&table, NativeEndian);
        let bases = BaseAddresses::default();
        let mut context = UnwindContext::new();
        for stub in 0..3 {
            let fde = eh_frame.fde_for_address(&bases, start + stub * size, EhFrame::cie_from_offset).unwrap();
            assert_eq!(fde.cie().return_address_register(), Register(of.registers.return_address.into()));
            for offset in 0..size {
                let address = start + stub * size + offset;
                let row = fde.unwind_info_for_address(&eh_frame, &bases, &mut context, address).unwrap();
                let ours = row_at(of.rows, offset).unwrap();
                let (register, cfa_offset) = match ours.cfa {
                    Cfa::StackPointer(offset) => (of.registers.stack_pointer, offset),
                    Cfa::FramePointer(offset) => (of.registers.frame_pointer, offset),
                };
                let expected =
                    CfaRule::RegisterAndOffset { register: Register(register.into()), offset: cfa_offset.into() };
                assert_eq!(*row.cfa(), expected, "at {offset}");
                for (register, saved) in [
                    (of.registers.frame_pointer, ours.frame_pointer),
                    (of.registers.return_address, ours.return_address),
                ] {
                    let expected = match saved {
                        Saved::InRegister => RegisterRule::SameValue,
                        Saved::BelowCfa(below) => RegisterRule::Offset(-i64::from(below)),
                    };
                    assert_eq!(row.register(Register(register.into())), Some(expected), "at {offset}");
                }
            }
        }
    }
}
