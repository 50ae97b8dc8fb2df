//! Keys: what a label is a label of.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The key of a label. It is itself and no other: two keys that were made with the same name are two keys, and do not clash.
///
/// A key is usually a `static`. A `const` would be another key wherever it is used.
///
/// ```
/// use pronk_trampolines::context::stack::Key;
///
/// static REQUEST: Key = Key::new("request");
/// let column = Key::named(format!("column {}", 7));
/// assert_eq!((REQUEST.name(), column.name()), ("request", "column 7"));
/// assert_eq!(column, column.clone());
/// assert_ne!(REQUEST, Key::new("request"));
/// ```
pub struct Key {
    /// What it is told by, and found by in scopes; 0 until that is asked for. Numbers are not used again.
    id: AtomicU64,
    name: Name,
}

#[derive(Clone)]
enum Name {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Key {
    /// A new key, with a name that is known when the program is compiled.
    pub const fn new(name: &'static str) -> Key {
        Key { id: AtomicU64::new(0), name: Name::Static(name) }
    }

    /// A new key, with a name that the program has made.
    pub fn named(name: impl Into<Arc<str>>) -> Key {
        Key { id: AtomicU64::new(0), name: Name::Shared(name.into()) }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        match &self.name {
            Name::Static(name) => name,
            Name::Shared(name) => name,
        }
    }

    /// Its number, which is not 0. Keys get them in the order in which they are first used, without gaps worth speaking of.
    #[inline]
    pub(super) fn id(&self) -> u64 {
        // Nothing else is published with the number.
        match self.id.load(Ordering::Relaxed) {
            0 => self.number(),
            id => id,
        }
    }

    /// A key with a number that the test has chosen.
    #[cfg(test)]
    pub(super) fn with_id(id: u64) -> Key {
        Key { id: AtomicU64::new(id), name: Name::Static("k") }
    }

    #[cold]
    fn number(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let fresh = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        match self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            // Another thread was first.
            Err(id) => id,
        }
    }
}

/// Another handle for the same key, not another key.
impl Clone for Key {
    fn clone(&self) -> Key {
        Key { id: AtomicU64::new(self.id()), name: self.name.clone() }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.name(), self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_key_is_itself_and_its_clones() {
        static KEY: Key = Key::new("k");
        let other = Key::named("k");
        assert_eq!((KEY.clone(), other.clone()), (KEY.clone(), other.clone()));
        assert_ne!(KEY.clone(), other);
        assert_eq!(KEY.name(), other.name());
    }

    #[test]
    fn threads_that_use_a_key_first_at_the_same_time_agree_on_it() {
        for _ in 0..if cfg!(miri) { 4 } else { 200 } {
            let key = &Key::new("k");
            let ids: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| key.id())).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(ids.iter().all(|id| *id == key.id() && *id != 0), "{ids:?}");
        }
    }
}
