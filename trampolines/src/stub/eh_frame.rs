//! `.eh_frame` for stubs, for the unwinders in the process: forced unwinding when a thread is cancelled, backtraces of
//! crash handlers, debuggers.
//!
//! The format: Linux Standard Base, "Exception Frames", and DWARF 5, section 6.4.

use super::native::{DWARF, STUB_SIZE, UNWIND_TABLE};
use super::unwind::{Cfa, Saved};
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

/// The size of the common information entry, and of a frame description entry, in bytes.
const CIE_SIZE: usize = 24;
const FDE_SIZE: usize = 64;

const DW_CFA_ADVANCE_LOC: u8 = 0x40;
const DW_CFA_OFFSET: u8 = 0x80;
const DW_CFA_RESTORE: u8 = 0xc0;
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
fn write_table(table: &mut [u8], start: u64, stubs: usize) {
    let Some((cie, fdes)) = table.split_at_mut_checked(CIE_SIZE) else { return };
    let mut cie = Bytes { rest: cie.iter_mut() };
    cie.put(&(CIE_SIZE as u32 - 4).to_ne_bytes());
    cie.put(&0_u32.to_ne_bytes());
    cie.put(&[VERSION, b'z', b'R', 0, 1, DATA_ALIGNMENT, DWARF.return_address, 1, DW_EH_PE_ABSPTR]);
    // What is left is zero: DW_CFA_nop.
    for (index, fde) in fdes.chunks_exact_mut(FDE_SIZE).take(stubs).enumerate() {
        let offset = index * FDE_SIZE;
        let mut fde = Bytes { rest: fde.iter_mut() };
        fde.put(&(FDE_SIZE as u32 - 4).to_ne_bytes());
        // The distance from this field back to the common information entry.
        fde.put(&((CIE_SIZE + offset + 4) as u32).to_ne_bytes());
        fde.put(&start.wrapping_add((index * STUB_SIZE) as u64).to_ne_bytes());
        fde.put(&(STUB_SIZE as u64).to_ne_bytes());
        fde.put(&[0]); // no augmentation data
        write_rows(&mut fde);
    }
}

fn write_rows(fde: &mut Bytes<'_>) {
    let mut at = 0;
    for entry in UNWIND_TABLE {
        if entry.from > at {
            fde.put(&[DW_CFA_ADVANCE_LOC | (entry.from - at) as u8]);
            at = entry.from;
        }
        match entry.row.cfa {
            Cfa::StackPointer(offset) => fde.put(&[DW_CFA_DEF_CFA, DWARF.stack_pointer, offset]),
            Cfa::FramePointer(offset) => fde.put(&[DW_CFA_DEF_CFA, DWARF.frame_pointer, offset]),
        }
        let registers =
            [(DWARF.frame_pointer, entry.row.frame_pointer), (DWARF.return_address, entry.row.return_address)];
        for (register, saved) in registers {
            match saved {
                Saved::InRegister => fde.put(&[DW_CFA_RESTORE | register]),
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
    // libgcc's and LLVM's unwinders both have it; a process without exceptions may have neither.
    let Some(register_frame) = sys::symbol(c"__register_frame") else { return Ok(()) };
    let size = table_size(stubs);
    let table = sys::map_anonymous(size)?;
    // SAFETY: the memory was just mapped, is that long, and is handed over for good.
    unsafe {
        write_table(core::slice::from_raw_parts_mut(table.as_ptr(), size), start.as_ptr() as u64, stubs);
        let register_frame: unsafe extern "C" fn(*mut c_void) = core::mem::transmute(register_frame);
        register_frame(table.as_ptr().cast());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{BaseAddresses, CfaRule, EhFrame, NativeEndian, RegisterRule, UnwindContext, UnwindSection};
    use std::vec;

    #[test]
    fn gimli_reads_the_rows_that_the_table_was_made_from() {
        let start = 0x7000_0000;
        let mut table = vec![0; table_size(3)];
        write_table(&mut table, start, 3);
        let eh_frame = EhFrame::new(&table, NativeEndian);
        let bases = BaseAddresses::default();
        let mut context = UnwindContext::new();
        for stub in 0..3 {
            for offset in 0..STUB_SIZE as u64 {
                let address = start + stub * STUB_SIZE as u64 + offset;
                let row = eh_frame
                    .unwind_info_for_address(&bases, &mut context, address, EhFrame::cie_from_offset)
                    .expect("every address of a stub has a row");
                let ours = super::super::row_at(UNWIND_TABLE, offset).unwrap();
                let (register, cfa_offset) = match ours.cfa {
                    Cfa::StackPointer(offset) => (DWARF.stack_pointer, offset),
                    Cfa::FramePointer(offset) => (DWARF.frame_pointer, offset),
                };
                let expected =
                    CfaRule::RegisterAndOffset { register: gimli::Register(register.into()), offset: cfa_offset.into() };
                assert_eq!(*row.cfa(), expected, "at {offset}");
                for (register, saved) in [
                    (DWARF.frame_pointer, ours.frame_pointer),
                    (DWARF.return_address, ours.return_address),
                ] {
                    let rule = row.register(gimli::Register(register.into()));
                    match saved {
                        Saved::InRegister => assert!(!matches!(rule, Some(RegisterRule::Offset(_))), "at {offset}"),
                        Saved::BelowCfa(below) => {
                            assert_eq!(rule, Some(RegisterRule::Offset(-i64::from(below))), "at {offset}");
                        }
                    }
                }
            }
        }
    }
}
