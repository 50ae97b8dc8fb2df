//! Scopes: one level of labels.

use super::key::Key;
use super::trie::{Label, Trie};
use core::fmt;
use std::sync::Arc;

/// One level of labels: a map from keys to values, which are text.
///
/// A clone costs the same for any number of labels. What is changed after that is copied, and the rest stays shared: for
/// 10,000 labels a few hundred bytes for each level of a tree that is four levels deep.
///
/// ```
/// use pronk_trampolines::context::stack::{Key, Scope};
///
/// static USER: Key = Key::new("user");
/// let alice = Scope::new().with(&USER, "alice");
/// let mut bob = alice.clone();
/// bob.set(&USER, "bob");
/// assert_eq!((&**alice.get(&USER).unwrap(), &**bob.get(&USER).unwrap()), ("alice", "bob"));
/// ```
#[derive(Clone, Default)]
pub struct Scope {
    labels: Option<Arc<Trie>>,
    len: usize,
}

impl Scope {
    /// An empty one. Allocates nothing.
    pub const fn new() -> Scope {
        Scope { labels: None, len: 0 }
    }

    /// The scope with a label set: see [`Scope::set`].
    #[must_use]
    pub fn with(mut self, key: &Key, value: impl Into<Arc<str>>) -> Scope {
        self.set(key, value);
        self
    }

    /// Sets a label. A value that is an `Arc<str>` is shared, any other text is copied.
    pub fn set(&mut self, key: &Key, value: impl Into<Arc<str>>) {
        self.insert(Arc::new(Label { key: key.clone(), value: value.into() }));
    }

    pub(super) fn insert(&mut self, label: Arc<Label>) {
        let is_new = Arc::make_mut(self.labels.get_or_insert_default()).insert(label);
        self.len += usize::from(is_new);
    }

    /// Removes a label. Whether it was set.
    pub fn unset(&mut self, key: &Key) -> bool {
        if self.label(key).is_none() {
            return false;
        }
        self.len -= 1;
        match &mut self.labels {
            Some(labels) if self.len > 0 => Arc::make_mut(labels).remove(key.id()),
            labels => *labels = None,
        }
        true
    }

    /// The value of a label, if it is set.
    pub fn get(&self, key: &Key) -> Option<&Arc<str>> {
        self.label(key).map(|label| &label.value)
    }

    pub(super) fn label(&self, key: &Key) -> Option<&Arc<Label>> {
        self.labels.as_ref()?.get(key.id())
    }

    /// Whether it shares all its labels with another one, of which neither is empty.
    pub(super) fn is(&self, other: &Scope) -> bool {
        self.labels.as_ref().zip(other.labels.as_ref()).is_some_and(|(labels, other)| Arc::ptr_eq(labels, other))
    }

    /// All labels, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<str>)> {
        self.labels().map(|label| (&label.key, &label.value))
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &Arc<Label>> {
        self.labels.iter().flat_map(|labels| labels.labels())
    }

    /// How many labels are set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
