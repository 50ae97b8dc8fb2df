//! Disassembles generated code, checks its structure, and compares it with a listing that a person can read.

use super::{Cfa, Saved, UnwindEntry, UnwindRow};
use iced_x86::Formatter as _;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{env, format, fs, path::Path};
use yaxpeax_arch::{Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64;

/// Set, it makes the listings that are compared with what the code is now.
const BLESS_ENV: &str = "PRONK_BLESS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    X86_64,
    Aarch64,
}

/// Where an instruction leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Call,
    /// To the next instruction, or to one in the same code.
    Branch(usize),
    /// Out of the code: a return, or a jump to an address in a register.
    Leave,
}

#[derive(Clone, Debug)]
struct Instruction {
    offset: usize,
    len: usize,
    text: String,
    flow: Flow,
}

/// Generated code.
#[derive(Debug)]
pub(crate) struct Disassembled {
    architecture: Architecture,
    instructions: Vec<Instruction>,
    code: Vec<u8>,
}

impl Disassembled {
    /// Disassembles each run of instructions, up to the one that leaves, and passes over what is filled in between.
    pub fn new(architecture: Architecture, code: &[u8]) -> Disassembled {
        let mut instructions = Vec::new();
        let mut offset = 0;
        while offset < code.len() {
            let instruction = architecture.disassemble(code, offset);
            offset += instruction.len;
            let leaves = instruction.flow == Flow::Leave;
            instructions.push(instruction);
            if leaves {
                let filled = code[offset..].iter().take_while(|byte| **byte == architecture.fill()).count();
                offset += filled;
            }
        }
        Disassembled { architecture, instructions, code: code.to_vec() }
    }

    /// Checks that branches stay within the code, that it is left only where it should be, and that the unwind rows
    /// begin where the frame changes.
    pub fn check(&self, rows: &[UnwindEntry]) {
        let starts: BTreeSet<usize> = self.instructions.iter().map(|instruction| instruction.offset).collect();
        for instruction in &self.instructions {
            if let Flow::Branch(target) = instruction.flow {
                assert!(starts.contains(&target), "{instruction:?} leads into the middle of an instruction");
            }
        }
        // The code fits, and nothing runs into what is filled.
        assert_eq!(self.instructions.last().unwrap().flow, Flow::Leave);
        let mut changes: Vec<usize> = self
            .instructions
            .iter()
            .filter(|instruction| self.architecture.changes_frame(&instruction.text))
            .map(|instruction| instruction.offset + instruction.len)
            .collect();
        changes.insert(0, 0);
        let from: Vec<usize> = rows.iter().map(|entry| entry.from.into()).collect();
        assert_eq!(from, changes, "where unwind rows begin, and where the frame changes");
        assert!(from.iter().all(|from| starts.contains(from)));
    }

    /// Checks that a call is right before an offset.
    pub fn check_return(&self, offset: u16) {
        let call = self.instructions.iter().find(|one| one.offset + one.len == usize::from(offset)).unwrap();
        assert_eq!(call.flow, Flow::Call, "{call:?}");
        let calls = self.instructions.iter().filter(|one| one.flow == Flow::Call).count();
        assert_eq!(calls, 1);
    }

    /// How many instructions leave the code.
    pub fn exits(&self) -> usize {
        self.instructions.iter().filter(|one| one.flow == Flow::Leave).count()
    }

    /// How many instructions there are on the way that never branches.
    fn straight(&self) -> usize {
        self.instructions.iter().take_while(|one| one.flow != Flow::Leave).count() + 1
    }

    /// How many instructions the way has that never branches; then a line for each instruction, and one for each unwind row where it
    /// begins.
    pub fn listing(&self, rows: &[UnwindEntry]) -> String {
        let mut listing = format!("        ; {} instructions\n", self.straight());
        let mut end = 0;
        for Instruction { offset, len, text, .. } in &self.instructions {
            if *offset > end {
                writeln!(listing, "        ... filled with {:02x}", self.architecture.fill()).unwrap();
            }
            end = offset + len;
            if let Some(entry) = rows.iter().find(|entry| usize::from(entry.from) == *offset) {
                writeln!(listing, "        {}", describe(entry.row)).unwrap();
            }
            let bytes: Vec<String> = self.code[*offset..end].iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(listing, "{offset:6}  {:<31}{text}", bytes.join(" ")).unwrap();
        }
        listing
    }
}

impl Architecture {
    pub const BOTH: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

    /// What unused code memory is filled with.
    fn fill(self) -> u8 {
        match self {
            Architecture::X86_64 => 0xcc,
            Architecture::Aarch64 => 0,
        }
    }

    fn disassemble(self, code: &[u8], offset: usize) -> Instruction {
        let mut instruction = match self {
            Architecture::X86_64 => disassemble_x86_64(code, offset),
            Architecture::Aarch64 => disassemble_aarch64(code, offset),
        };
        // Where branches lead, counted as the offsets in the listing are.
        if let (Flow::Branch(target), Some((before, _))) = (instruction.flow, instruction.text.rsplit_once(' ')) {
            instruction.text = format!("{before} {target}");
        }
        instruction
    }

    /// Whether it is another unwind row from behind an instruction on.
    fn changes_frame(self, text: &str) -> bool {
        let beginnings = match self {
            Architecture::X86_64 => ["push rbp", "mov rbp,", "leave", "pop rbp"].as_slice(),
            Architecture::Aarch64 => &["stp x29, x30,", "mov x29,", "ldp x29, x30,"],
        };
        beginnings.iter().any(|beginning| text.starts_with(beginning))
    }
}

fn disassemble_x86_64(code: &[u8], offset: usize) -> Instruction {
    let mut decoder = iced_x86::Decoder::with_ip(64, code, 0, iced_x86::DecoderOptions::NONE);
    decoder.set_position(offset).unwrap();
    decoder.set_ip(offset as u64);
    let instruction = decoder.decode();
    assert!(!instruction.is_invalid(), "at {offset}: {:x?}", &code[offset..]);
    let flow = match instruction.flow_control() {
        iced_x86::FlowControl::Next => Flow::Next,
        iced_x86::FlowControl::IndirectCall => Flow::Call,
        iced_x86::FlowControl::ConditionalBranch => Flow::Branch(instruction.near_branch_target() as usize),
        iced_x86::FlowControl::Return | iced_x86::FlowControl::IndirectBranch => Flow::Leave,
        other => panic!("at {offset}: {other:?}"),
    };
    let mut formatter = iced_x86::NasmFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    options.set_show_branch_size(false);
    options.set_rip_relative_addresses(true);
    let mut text = String::new();
    formatter.format(&instruction, &mut text);
    Instruction { offset, len: instruction.len(), text, flow }
}

fn disassemble_aarch64(code: &[u8], offset: usize) -> Instruction {
    let bytes = &code[offset..offset + 4];
    let instruction = a64::InstDecoder::default().decode(&mut U8Reader::new(bytes)).unwrap();
    let target = |operand| match operand {
        a64::Operand::PCOffset(displacement) => offset.checked_add_signed(displacement as isize).unwrap(),
        other => panic!("at {offset}: {other:?}"),
    };
    let flow = match instruction.opcode {
        a64::Opcode::BLR => Flow::Call,
        a64::Opcode::Bcc(_) => Flow::Branch(target(instruction.operands[0])),
        a64::Opcode::CBZ => Flow::Branch(target(instruction.operands[1])),
        a64::Opcode::RET | a64::Opcode::BR => Flow::Leave,
        a64::Opcode::B | a64::Opcode::BL | a64::Opcode::CBNZ | a64::Opcode::TBZ | a64::Opcode::TBNZ => {
            panic!("at {offset}: {instruction}")
        }
        a64::Opcode::UDF | a64::Opcode::BRK => panic!("the code runs into {instruction} at {offset}"),
        _ => Flow::Next,
    };
    let mut text = instruction.to_string();
    // The disassembler knows "bti c" only as one of the hints (Arm Architecture Reference Manual, "BTI").
    if text == "hint #0x22" {
        text = "bti c".to_string();
    }
    Instruction { offset, len: 4, text, flow }
}

fn describe(row: UnwindRow) -> String {
    let cfa = match row.cfa {
        Cfa::StackPointer(offset) => format!("stack pointer + {offset}"),
        Cfa::FramePointer(offset) => format!("frame pointer + {offset}"),
    };
    let saved = |saved| match saved {
        Saved::InRegister => "in its register".to_string(),
        Saved::BelowCfa(offset) => format!("at CFA - {offset}"),
    };
    let (frame_pointer, return_address) = (saved(row.frame_pointer), saved(row.return_address));
    format!("; CFA = {cfa}, frame pointer {frame_pointer}, return address {return_address}")
}

/// Compares a listing with the one in `tests/disassembly`.
pub(crate) fn compare(name: &str, listing: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disassembly").join(name);
    if env::var_os(BLESS_ENV).is_some() {
        fs::write(&path, listing).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        listing == expected,
        "{} is not what the code is. If the code is right, run the test again with {BLESS_ENV}=1. The code:\n{listing}",
        path.display(),
    );
}
