//! The current context of each thread.
//!
//! It may be asked for while it is being changed, as an allocator may want to know its labels. Such a one gets nothing, and what
//! it tries to change stays as it is.

use super::cache::Cache;
use super::key::Key;
use super::levels::Context;
use super::scope::Scope;
use super::trie::Label;
use core::cell::{BorrowError, Cell, RefCell};
use core::marker::PhantomData;
use std::sync::Arc;
use std::thread_local;
use std::vec::Vec;

thread_local! {
    static THREAD: Thread = const { Thread::new() };
}

struct Thread {
    /// The contexts that were made current, the last of which is. Where there is none, an empty one is.
    stack: RefCell<Vec<Begun>>,
    /// How many guards there were.
    guards: Cell<u64>,
    cache: Cache,
}

/// A context that was made current.
struct Begun {
    /// The guard that it is current with, or 0 for good.
    guard: u64,
    context: Context,
}

static EMPTY: Context = Context::new();

fn current(stack: &[Begun]) -> &Context {
    stack.last().map_or(&EMPTY, |begun| &begun.context)
}

impl Thread {
    const fn new() -> Thread {
        Thread { stack: RefCell::new(Vec::new()), guards: Cell::new(0), cache: Cache::new() }
    }

    /// Something of the current context.
    #[inline]
    fn look<R>(&self, look: impl FnOnce(&Context) -> R) -> Result<R, BorrowError> {
        self.stack.try_borrow().map(|stack| look(current(&stack)))
    }

    fn begin(&self, next: impl FnOnce(&Context) -> Context) -> Guard {
        let Ok(mut stack) = self.stack.try_borrow_mut() else { return Guard::none() };
        let context = next(current(&stack));
        self.goes_over(current(&stack), &context);
        let guard = self.guards.get() + 1;
        self.guards.set(guard);
        stack.push(Begun { guard, context });
        Guard { guard, index: stack.len() - 1, on_this_thread: PhantomData }
    }

    fn end(&self, guard: &Guard) {
        if let Ok(mut stack) = self.stack.try_borrow_mut()
            && stack.get(guard.index).is_some_and(|begun| begun.guard == guard.guard)
        {
            self.goes_over(current(&stack), current(&stack[..guard.index]));
            stack.truncate(guard.index);
        }
    }

    /// Tells the cache that another context becomes the current one.
    fn goes_over(&self, from: &Context, to: &Context) {
        if !from.has_scopes_of(to) {
            self.cache.forget_all();
        }
    }

    /// Changes what the current context says of one key. Whether `action` says that it did.
    fn change(&self, key: &Key, action: impl FnOnce(&mut Context) -> bool) -> bool {
        let Ok(mut stack) = self.stack.try_borrow_mut() else { return false };
        if stack.is_empty() {
            stack.push(Begun { guard: 0, context: Context::new() });
        }
        let is_changed = stack.last_mut().is_some_and(|begun| action(&mut begun.context));
        if is_changed {
            self.cache.forget(key);
        }
        is_changed
    }

    /// The cache's, and if it has to search, the current context's.
    #[inline]
    fn read<R>(&self, key: &Key, read: impl FnOnce(Option<&Label>) -> R) -> R {
        self.cache.read(key, || self.look(|current| current.label(key).cloned()), read)
    }
}

/// Something of this thread's current context; `None` where it cannot be had.
#[inline]
fn look<R>(look: impl FnOnce(&Context) -> R) -> Option<R> {
    THREAD.try_with(|thread| thread.look(look).ok()).ok().flatten()
}

/// The current context of this thread. It costs the same whatever the context holds.
///
/// A thread starts with an empty context. When it ends, and its thread-local storage is gone, it has an empty one again, which
/// cannot be changed: this is so for all that is about the current context.
///
/// ```
/// use pronk_trampolines::context::stack::{self, Key};
///
/// static USER: Key = Key::new("user");
/// USER.set("alice");
/// let alice = stack::snapshot();
/// USER.set("bob");
/// assert_eq!(alice.get(&USER).unwrap().as_ref(), "alice");
/// ```
#[inline]
pub fn snapshot() -> Context {
    look(Context::clone).unwrap_or_default()
}

/// Puts a scope on this thread's current context, within those that are there, until the guard goes: at the end of the block,
/// by a return, or by a panic.
///
/// ```
/// use pronk_trampolines::context::stack::{self, Key, Scope};
///
/// static STEP: Key = Key::new("step");
/// let failed = std::panic::catch_unwind(|| {
///     let _scope = stack::push(Scope::new().with(&STEP, "payment"));
///     panic!("no money");
/// });
/// assert!(failed.is_err());
/// assert_eq!(STEP.get(), None);
/// ```
#[inline]
pub fn push(scope: Scope) -> Guard {
    THREAD.try_with(|thread| thread.begin(|current| current.pushed(scope))).unwrap_or_else(|_| Guard::none())
}

/// Makes a context this thread's current one, until the guard goes, when the one that was current before is so again. It
/// costs the same whatever the contexts hold.
///
/// What is set meanwhile is set in the context that was switched to, and goes with the guard, unless a [`snapshot`] is taken
/// of it: a scheduler that comes back to a task switches to the snapshot that it took when it left it.
///
/// ```
/// use pronk_trampolines::context::stack::{self, Context, Key};
///
/// static STEP: Key = Key::new("step");
/// let mut task = Context::new().for_task("worker-1");
/// for step in ["read", "write"] {
///     let _switch = stack::switch(task);
///     STEP.set(step);
///     task = stack::snapshot();
/// }
/// assert_eq!(task.get(&STEP).unwrap().as_ref(), "write");
/// assert_eq!(STEP.get(), None);
/// ```
#[inline]
pub fn switch(context: Context) -> Guard {
    THREAD.try_with(|thread| thread.begin(|_| context)).unwrap_or_else(|_| Guard::none())
}

/// What [`push`] and [`switch`] have begun, which ends when this is dropped: the context that was current before is current
/// again. It stays on its thread.
///
/// A guard that is dropped before others that are younger ends what they have begun as well, and nothing happens when those
/// are dropped later. What a guard has begun that is never dropped (`mem::forget`) ends with the next older one.
///
/// A future that is suspended suspends none of its guards, so they are not for keeping across an `await`: have whoever polls it
/// switch to its context around each poll, as with [`switch`].
#[derive(Debug)]
#[must_use = "what it stands for ends when it is dropped"]
pub struct Guard {
    /// Its number among the thread's guards.
    guard: u64,
    /// Where its context is in the thread's stack, as long as it has not gone.
    index: usize,
    on_this_thread: PhantomData<*const ()>,
}

impl Guard {
    /// Of nothing.
    fn none() -> Guard {
        Guard { guard: 0, index: usize::MAX, on_this_thread: PhantomData }
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // Where the thread keeps nothing any more there is nothing to end.
        let _ = THREAD.try_with(|thread| thread.end(self));
    }
}

/// Labels of this thread's current context.
impl Key {
    /// Calls `read`, once, with this label's value. The second time is cheap: the label is looked for again only on another thread,
    /// when a scope was pushed or popped that is not empty, or another context switched to, and when this label was changed.
    ///
    /// That holds for up to 4096 keys, as they are first used by the program; beyond them two keys may be in each other's way.
    /// `read` may change contexts; the value that it was given stays.
    #[inline]
    pub fn with<R>(&self, mut read: impl FnMut(Option<&str>) -> R) -> R {
        let here = THREAD.try_with(|thread| thread.read(self, |label| read(label.map(|label| &*label.value))));
        here.unwrap_or_else(|_| read(None))
    }

    /// This label's value: [`Key::with`], and a handle of the value.
    pub fn get(&self) -> Option<Arc<str>> {
        let value = |label: Option<&Label>| label.map(|label| label.value.clone());
        THREAD.try_with(|thread| thread.read(self, value)).ok().flatten()
    }

    /// Sets this label in the innermost scope: until it is set again, or the scope goes. Costs the copies that a snapshot
    /// makes necessary ([`Scope`]).
    pub fn set(&self, value: impl Into<Arc<str>>) {
        let value = value.into();
        let set = |current: &mut Context| {
            current.set(self, value);
            true
        };
        let _ = THREAD.try_with(|thread| thread.change(self, set));
    }

    /// Removes this label from the innermost scope, so that an outer one says its value. Whether it was set there.
    pub fn unset(&self) -> bool {
        THREAD.try_with(|thread| thread.change(self, |current| current.unset(self))).unwrap_or(false)
    }

    /// What the innermost scope itself says of this label, to be restored: its value, or that it says nothing and an outer
    /// scope's value holds.
    ///
    /// ```
    /// use pronk_trampolines::context::stack::{self, Key, Scope};
    ///
    /// static STEP: Key = Key::new("step");
    /// STEP.set("all");
    /// let _scope = stack::push(Scope::new());
    /// let saved = STEP.save();
    /// STEP.set("a part");
    /// saved.restore();
    /// assert_eq!(STEP.get().as_deref(), Some("all"));
    /// assert!(!STEP.unset(), "it is the outer scope's");
    /// ```
    pub fn save(&self) -> Saved {
        Saved { key: self.clone(), own: look(|current| current.own(self).cloned()).flatten() }
    }
}

/// What a scope said of one label: see [`Key::save`].
#[derive(Clone, Debug)]
pub struct Saved {
    key: Key,
    own: Option<Arc<Label>>,
}

impl Saved {
    /// Has the innermost scope of this thread's current context say what was saved. It is meant for the scope that it was
    /// saved from, which is not checked.
    pub fn restore(self) {
        let Saved { key, own } = self;
        let _ = THREAD.try_with(|thread| thread.change(&key, |current| current.restore(&key, own)));
    }
}

/// How often labels of this thread were searched for.
#[cfg(test)]
pub(super) fn searches() -> u64 {
    THREAD.with(|thread| thread.cache.searches.get())
}
