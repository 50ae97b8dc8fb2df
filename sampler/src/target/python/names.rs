//! The names that a program has given to its threads.

use super::find::Python;
use super::snapshot::{Pages, Snapshot};
use super::threads::Interpreter;
use pronk_trampolines::python::dict::{self, Pairs};
use pronk_trampolines::python::int;
use std::collections::HashMap;

/// The most threads that have a name.
const MOST_THREADS: usize = 1 << 14;
/// `ob_type`.
const TYPE: u64 = 8;

impl Python {
    /// The names of threads, by their identifiers: `threading._active` has the threads, and each its name in `_name`
    /// (Lib/threading.py, 3.9 to 3.15).
    pub(crate) fn thread_names<P: Pages>(
        &self,
        snapshot: &Snapshot<P>,
        interpreter: &Interpreter,
    ) -> HashMap<u64, String> {
        let names: (&[u8], &[u8]) = (b"threading", b"_active");
        // SAFETY: a snapshot takes any address.
        let active = unsafe { dict::global(&snapshot, self.layout, interpreter.modules, self.values.module, names) };
        let is_dictionary = |object: &u64| snapshot.word(object.wrapping_add(TYPE)) == Some(self.values.dict);
        // SAFETY: as above.
        let pairs =
            active.filter(is_dictionary).and_then(|active| unsafe { Pairs::of(&snapshot, self.layout, active) });
        let Some(pairs) = pairs else { return HashMap::new() };
        // SAFETY: as above.
        let pairs = unsafe { pairs.read(snapshot) }.take(MOST_THREADS).filter(|(key, value)| *key != 0 && *value != 0);
        pairs
            .filter_map(|(identifier, thread)| {
                let is_int = snapshot.word(identifier.wrapping_add(TYPE))? == self.values.int;
                // SAFETY: as above.
                let identifier = unsafe { int::number(&snapshot, self.layout, identifier) }.filter(|_| is_int)?;
                let name = self.attribute(snapshot, thread, b"_name")?;
                Some((identifier.cast_unsigned(), self.text_of(snapshot, name)?))
            })
            .collect()
    }
}
