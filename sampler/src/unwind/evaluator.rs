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
