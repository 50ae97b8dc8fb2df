//! Where CPython's evaluator lies in a process.

use super::modules::Modules;
use crate::mappings::{Image, Mappings};
use crate::recording::{Address, Code};
use std::ops::Range;

/// The code of `_PyEval_EvalFrameDefault` in a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evaluator {
    parts: Vec<Range<u64>>,
}

impl Evaluator {
    /// Finds the code of the function that begins at an address. Nothing is in it if the file tells nothing of it.
    pub(crate) fn find(start: Address, mappings: &Mappings, modules: &mut Modules) -> Evaluator {
        let Some(mapping) = mappings.find(start.0) else { return Evaluator::default() };
        let Image::File(file) = &mapping.image else { return Evaluator::default() };
        let offset = mapping.offset_of(start.0);
        let parts = file.module(modules).map(|module| module.parts_of_function(offset, file)).unwrap_or_default();
        let in_process = |part: Range<i64>| {
            let end = start.0.checked_add_signed(part.end)?;
            Some(start.0.checked_add_signed(part.start)?..end)
        };
        Evaluator { parts: parts.into_iter().filter_map(in_process).collect() }
    }

    /// An evaluator in one piece.
    #[cfg(test)]
    pub(super) fn at(range: Range<u64>) -> Evaluator {
        Evaluator { parts: vec![range] }
    }

    /// Whether a frame is one of the evaluator's.
    pub(crate) fn holds(&self, code: Code) -> bool {
        let Address(address) = code.lookup();
        self.parts.iter().any(|part| part.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{FileId, Files, Mapped};
    use crate::mappings::Mapping;
    use object::{Object, ObjectSymbol};
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    const SOURCE: &str = "
        __attribute__((cold, noinline)) void give_up(int reason);
        void give_up(int reason) { __asm__ volatile(\"\" :: \"r\"(reason)); }
        int before(int value) { return value + 1; }
        int evaluate(int value) {
            if (value == 42) { give_up(1); give_up(2); return 7; }
            return before(value) * value;
        }
    ";
    const BASE: u64 = 0x7f00_0000_0000;

    #[test]
    fn a_function_has_the_parts_that_the_compiler_made_of_it() {
        let place = tempfile::tempdir().unwrap();
        let (source, library) = (place.path().join("evaluator.c"), place.path().join("evaluator.so"));
        std::fs::write(&source, SOURCE).unwrap();
        let options = ["-shared", "-fPIC", "-O2", "-freorder-blocks-and-partition", "-fno-inline", "-o"];
        let compiled = Command::new("cc").args(options).arg(&library).arg(&source).status().unwrap();
        assert!(compiled.success());

        let data = std::fs::read(&library).unwrap();
        let elf = object::File::parse(&*data).unwrap();
        let symbol = |name: &str| elf.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap();
        let metadata = std::fs::metadata(&library).unwrap();
        let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
        let id = FileId { path: library, major, minor, inode: metadata.ino(), generation: 0 };
        let mut modules = Modules::new();
        let mapped = Mapped { pid: 0, range: BASE..BASE + 0x10_0000, offset: 0 };
        let image = Image::File(Files::default().get(&id, &mapped, &mut modules));
        let mut mappings = Mappings::default();
        mappings.add(Mapping::new(mapped.range, 0, image));

        // In so small a library the addresses that the file states are offsets in it.
        let start = BASE + symbol("evaluate").address();
        let evaluator = Evaluator::find(Address(start), &mappings, &mut modules);
        let holds = |address| evaluator.holds(Code::At(Address(address)));
        assert!(holds(start) && holds(start + symbol("evaluate").size() - 1));
        assert!(evaluator.holds(Code::ReturnTo(Address(start + symbol("evaluate").size()))));
        assert!(!holds(start - 1) && !evaluator.holds(Code::ReturnTo(Address(start))));
        assert!(!holds(BASE + symbol("before").address()));
        let cold = symbol("evaluate.cold");
        assert!(holds(BASE + cold.address()) && holds(BASE + cold.address() + cold.size() - 1));
        assert!(!holds(BASE + cold.address() + cold.size()));
        // Nothing is there, or nothing that is known.
        for address in [0, BASE, BASE + 0xf_0000, u64::MAX] {
            let nothing = Evaluator::find(Address(address), &mappings, &mut modules);
            assert!(!nothing.holds(Code::At(Address(address))), "{address:#x}");
        }
    }
}
