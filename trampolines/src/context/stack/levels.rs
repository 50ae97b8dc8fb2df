//! Contexts: stacks of scopes.

use super::key::Key;
use super::scope::Scope;
use super::trie::Label;
use core::ptr;
use std::sync::Arc;
use std::vec::Vec;

/// A task, and the scopes that it works in: the innermost scope that sets a label says its value.
///
/// A clone is a pointer, whatever the context holds. A change copies what is shared, and nothing else.
///
/// ```
/// use pronk_trampolines::context::stack::{Context, Key, Scope};
///
/// static USER: Key = Key::new("user");
/// static STEP: Key = Key::new("step");
/// let outer = Context::new().for_task("worker-1").pushed(Scope::new().with(&USER, "alice").with(&STEP, "read"));
/// let inner = outer.pushed(Scope::new().with(&STEP, "write"));
/// let value = |context: &Context, key| context.get(key).map(|value| value.to_string());
/// assert_eq!((value(&inner, &USER), value(&inner, &STEP)), (Some("alice".into()), Some("write".into())));
/// assert_eq!(value(&outer, &STEP), Some("read".into()));
/// assert_eq!((inner.task(), inner.squash().len()), (Some("worker-1"), 2));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context(Option<Arc<Level>>);

#[derive(Clone, Debug)]
struct Level {
    task: Option<Arc<str>>,
    scope: Scope,
    /// The next scope further out that is not empty: an empty one says nothing, so only the innermost one may be.
    outer: Option<Arc<Level>>,
}

impl Context {
    /// No task, and an empty scope. Allocates nothing.
    pub const fn new() -> Context {
        Context(None)
    }

    /// The context with the name of a task, in place of the one that it had.
    #[must_use]
    pub fn for_task(mut self, name: impl Into<Arc<str>>) -> Context {
        self.innermost_mut().task = Some(name.into());
        self
    }

    /// The name of its task, if it is of one.
    pub fn task(&self) -> Option<&str> {
        self.0.as_ref()?.task.as_deref()
    }

    /// The context with a scope within those that it has.
    #[must_use]
    pub fn pushed(&self, scope: Scope) -> Context {
        let task = self.0.as_ref().and_then(|level| level.task.clone());
        Context(Some(Arc::new(Level { task, scope, outer: self.labelled().cloned() })))
    }

    /// Sets a label in the innermost scope.
    pub fn set(&mut self, key: &Key, value: impl Into<Arc<str>>) {
        self.innermost_mut().scope.set(key, value);
    }

    /// Removes a label from the innermost scope, so that an outer one says its value. Whether it was set there.
    pub fn unset(&mut self, key: &Key) -> bool {
        self.own(key).is_some() && self.innermost_mut().scope.unset(key)
    }

    /// The value of a label.
    pub fn get(&self, key: &Key) -> Option<&Arc<str>> {
        self.label(key).map(|label| &label.value)
    }

    pub(super) fn label(&self, key: &Key) -> Option<&Arc<Label>> {
        self.scopes().find_map(|scope| scope.label(key))
    }

    /// The label of a key if the innermost scope sets it.
    pub(super) fn own(&self, key: &Key) -> Option<&Arc<Label>> {
        self.0.as_ref()?.scope.label(key)
    }

    /// Has the innermost scope say of a key what it said before: see [`Context::own`]. Whether that may be a change.
    pub(super) fn restore(&mut self, key: &Key, own: Option<Arc<Label>>) -> bool {
        let Some(label) = own else { return self.unset(key) };
        self.innermost_mut().scope.insert(label);
        true
    }

    /// The scopes, from the innermost on, without those that are empty.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        core::iter::successors(self.labelled(), |level| level.outer.as_ref()).map(|level| &level.scope)
    }

    /// One scope that says the same as all of them. Costs the labels of all scopes but the outermost one.
    pub fn squash(&self) -> Scope {
        let scopes: Vec<_> = self.scopes().collect();
        let mut outward = scopes.into_iter().rev();
        let mut squashed = outward.next().cloned().unwrap_or_default();
        outward.flat_map(Scope::labels).for_each(|label| squashed.insert(label.clone()));
        squashed
    }

    /// Whether it has the very scopes of another one, those that are empty aside, so that every label has the same value.
    /// That two were made alike is not enough.
    pub(super) fn has_scopes_of(&self, other: &Context) -> bool {
        let outer = |level: &Level| level.outer.as_ref().map_or(ptr::null(), Arc::as_ptr);
        match (self.labelled(), other.labelled()) {
            (None, None) => true,
            (Some(level), Some(other)) => level.scope.is(&other.scope) && ptr::eq(outer(level), outer(other)),
            _ => false,
        }
    }

    /// The innermost level with labels.
    fn labelled(&self) -> Option<&Arc<Level>> {
        let innermost = self.0.as_ref()?;
        if innermost.scope.is_empty() { innermost.outer.as_ref() } else { Some(innermost) }
    }

    /// The innermost level, to be changed. No other context sees the change.
    fn innermost_mut(&mut self) -> &mut Level {
        let empty = || Arc::new(Level { task: None, scope: Scope::new(), outer: None });
        Arc::make_mut(self.0.get_or_insert_with(empty))
    }
}

/// A stack may be deep: its levels go one after another, not one within another.
impl Drop for Level {
    fn drop(&mut self) {
        let mut outer = self.outer.take();
        while let Some(mut level) = outer.and_then(Arc::into_inner) {
            outer = level.outer.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squashed_scopes_say_what_the_stack_says() {
        let [a, b, c] = ["a", "b", "c"].map(Key::named);
        let context = Context::new()
            .pushed(Scope::new().with(&a, "1").with(&b, "1"))
            .pushed(Scope::new())
            .pushed(Scope::new().with(&b, "2").with(&c, "2"));
        let squashed = context.squash();
        let values = [&a, &b, &c].map(|key| squashed.get(key).map(|value| &**value));
        assert_eq!((values, squashed.len()), ([Some("1"), Some("2"), Some("2")], 3));
        assert!(Context::new().pushed(Scope::new()).squash().is_empty());
    }

    #[test]
    fn empty_scopes_are_kept_only_innermost() {
        let a = Key::new("a");
        let mut context = (0..100).fold(Context::new(), |context, _| context.pushed(Scope::new()));
        context.set(&a, "1");
        context = context.pushed(Scope::new()).pushed(Scope::new());
        assert_eq!(context.scopes().count(), 1);
        assert_eq!(context.get(&a).map(|value| &**value), Some("1"));
        assert!(!context.unset(&a));
        context.set(&a, "2");
        assert!(context.unset(&a));
        assert_eq!(context.get(&a).map(|value| &**value), Some("1"));
    }

    #[test]
    fn a_change_is_seen_by_no_other_context() {
        let a = Key::new("a");
        let mut context = Context::new().for_task("t");
        context.set(&a, "1");
        let mut other = context.clone().for_task("u");
        other.set(&a, "2");
        assert_eq!((context.get(&a).map(|value| &**value), context.task()), (Some("1"), Some("t")));
        assert_eq!((other.get(&a).map(|value| &**value), other.task()), (Some("2"), Some("u")));
    }

    #[test]
    fn contexts_have_the_same_scopes_if_they_share_all_of_them() {
        let a = Key::new("a");
        let scope = Scope::new().with(&a, "1");
        let outer = Context::new().pushed(scope.clone());
        let inner = outer.pushed(scope.clone());
        assert!(inner.has_scopes_of(&inner.clone().for_task("t").pushed(Scope::new())));
        assert!(inner.has_scopes_of(&outer.pushed(scope)));
        assert!(!inner.has_scopes_of(&outer) && !outer.has_scopes_of(&inner));
        assert!(!outer.has_scopes_of(&Context::new()) && !Context::new().has_scopes_of(&outer));
        let mut changed = inner.clone();
        changed.set(&a, "1");
        assert!(!changed.has_scopes_of(&inner));
    }

    #[test]
    fn a_deep_stack_goes_without_deep_recursion() {
        let a = Key::new("a");
        let scope = Scope::new().with(&a, "1");
        let levels = if cfg!(miri) { 1000 } else { 1_000_000 };
        let deep = (0..levels).fold(Context::new(), |context, _| context.pushed(scope.clone()));
        let part = deep.pushed(Scope::new());
        drop(deep);
        assert_eq!(part.scopes().count(), levels);
    }
}
