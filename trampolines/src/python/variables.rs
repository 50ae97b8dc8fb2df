//! Context variables of the program whose values are labels: `pronk record --label-var`.
//!
//! The variable is found by the name of its module and its own, in `sys.modules`, and its value is read in the signal handler
//! ([`super::labels`]). So the program need not be changed, nor know of it.

use super::dict;
use super::labels::{self, Variable};
use super::sampled::Sampled;
use super::search::Search;
use super::values;
use crate::capture::memory::{Memory, Straight};
use crate::context::Pairs;
use crate::wire::{MOST_VARIABLES, VariableName};
use core::sync::atomic::{AtomicU64, Ordering};

/// `ob_type`.
const TYPE: u64 = 8;

/// The variables of the first interpreter of the process, as far as they were found.
#[derive(Debug, Default)]
pub struct Variables {
    found: [AtomicU64; MOST_VARIABLES],
    search: Search,
}

impl Variables {
    /// Forgets which were found.
    pub fn forget(&self) {
        self.found.iter().for_each(|found| found.store(0, Ordering::Relaxed));
        self.search.begin_again();
    }

    /// The labels that the variables give to a thread, by its state.
    ///
    /// # Safety
    /// The state is the calling thread's own, which is in a signal handler, and a fault is caught.
    pub unsafe fn labels<'a>(
        &self,
        sampled: &Sampled,
        names: impl Iterator<Item = VariableName<'a>> + Clone,
        state: u64,
    ) -> Pairs {
        let mut pairs = Pairs::new();
        // SAFETY: as promised by the caller.
        unsafe { self.find(sampled, names.clone(), state) };
        for (name, found) in names.zip(&self.found) {
            let variable = found.load(Ordering::Relaxed);
            if variable != 0 {
                // SAFETY: as promised by the caller.
                unsafe { Self::push(sampled, state, name.key, variable, &mut pairs) };
            }
        }
        pairs
    }

    /// Looks for the variables that were not found yet.
    ///
    /// # Safety
    /// As for [`Variables::labels`].
    unsafe fn find<'a>(&self, sampled: &Sampled, names: impl Iterator<Item = VariableName<'a>> + Clone, state: u64) {
        let layout = sampled.walker.layout;
        let mut missing = names.zip(&self.found).filter(|(_, found)| found.load(Ordering::Relaxed) == 0).peekable();
        if missing.peek().is_none() {
            return;
        }
        // SAFETY: as promised by the caller.
        unsafe {
            let Some(modules) = self.search.modules(sampled, state) else { return };
            let module_type = sampled.tasks.module_type;
            for (name, found) in missing {
                let object = dict::global(&Straight, layout, modules, module_type, (name.module, name.variable));
                let is_variable = |object: &u64| labels::is_variable(Straight.word(object.wrapping_add(TYPE)));
                if let Some(object) = object.filter(is_variable) {
                    found.store(object, Ordering::Relaxed);
                }
            }
        }
    }

    /// Adds the value of a variable, if it has one that is a text or a whole number.
    ///
    /// # Safety
    /// As for [`Variables::labels`].
    unsafe fn push(sampled: &Sampled, state: u64, key: &[u8], variable: u64, pairs: &mut Pairs) -> Option<()> {
        // SAFETY: as promised by the caller.
        unsafe {
            let variable = Variable::at(&Straight, variable)?;
            values::push(sampled, key, labels::value_of(&Straight, sampled.walker.layout, state, variable)?, pairs)
        }
    }
}
