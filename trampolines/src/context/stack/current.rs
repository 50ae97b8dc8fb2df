//! The current context of each thread.
//!
//! A context that is worked on is taken out of its cell meanwhile, so nothing here can meet itself at work. That may well
//! happen, as an allocator may ask for labels: what it finds then is not kept.

use super::cache::Cache;
use super::key::Key;
use super::levels::Context;
use super::scope::Scope;
use super::trie::Label;
use core::cell::Cell;
use core::marker::PhantomData;
use std::sync::Arc;
use std::thread_local;
use std::vec::Vec;

thread_local! {
    static THREAD: Thread = const { Thread::new() };
}

struct Thread {
    current: Cell<Context>,
    /// What was current before each guard that has not gone, from the oldest on.
    before: Cell<Vec<Before>>,
    /// How many guards there were.
    guards: Cell<u64>,
    cache: Cache,
}

struct Before {
    guard: u64,
    context: Context,
}

impl Thread {
    const fn new() -> Thread {
        Thread {
            current: Cell::new(Context::new()),
            before: Cell::new(Vec::new()),
            guards: Cell::new(0),
            cache: Cache::new(),
        }
    }

    /// Does something with the current context.
    #[inline]
    fn with_current<R>(&self, action: impl FnOnce(&mut Context) -> R) -> R {
        let keeps = self.cache.keeps.replace(false);
        let mut current = self.current.take();
        let result = action(&mut current);
        self.current.set(current);
        self.cache.keeps.set(keeps);
        result
    }

    /// Changes what the current context says of one key, if `action` says that it did.
    fn change(&self, key: &Key, action: impl FnOnce(&mut Context) -> bool) -> bool {
        let is_changed = self.with_current(action);
        if is_changed {
            self.cache.forget(key);
        }
        is_changed
    }

    /// Makes another context the current one, and returns the one that was.
    fn exchange(&self, context: Context) -> Context {
        let before = self.current.take();
        if !before.has_scopes_of(&context) {
            self.cache.forget_all();
        }
        self.current.set(context);
        before
    }

    fn begin(&self, context: Context) -> Guard {
        let context = self.exchange(context);
        let guard = self.guards.get() + 1;
        self.guards.set(guard);
        let mut before = self.before.take();
        let index = before.len();
        before.push(Before { guard, context });
        self.before.set(before);
        Guard { guard, index, on_this_thread: PhantomData }
    }

    fn end(&self, guard: &Guard) {
        let mut before = self.before.take();
        let is_there = before.get(guard.index).is_some_and(|before| before.guard == guard.guard);
        let ended = if is_there { before.drain(guard.index..).next() } else { None };
        self.before.set(before);
        if let Some(ended) = ended {
            self.exchange(ended.context);
        }
    }
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
    THREAD.try_with(|thread| thread.with_current(|current| current.clone())).unwrap_or_default()
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
    let push = |thread: &Thread| thread.begin(thread.with_current(|current| current.pushed(scope)));
    THREAD.try_with(push).unwrap_or(Guard::NONE)
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
    THREAD.try_with(|thread| thread.begin(context)).unwrap_or(Guard::NONE)
}

/// What [`push`] and [`switch`] have begun, which ends when this is dropped: the context that was current before is current
/// again. It stays on its thread.
///
/// A guard that is dropped before others that are younger ends what they have begun as well, and nothing happens when those
/// are dropped later. What a guard has begun that is never dropped (`mem::forget`) ends with the next older one.
#[derive(Debug)]
#[must_use = "what it stands for ends when it is dropped"]
pub struct Guard {
    /// Its number among the thread's guards. 0 is none.
    guard: u64,
    /// Where among those that had not gone.
    index: usize,
    on_this_thread: PhantomData<*const ()>,
}

impl Guard {
    /// Of a thread that has ended.
    const NONE: Guard = Guard { guard: 0, index: 0, on_this_thread: PhantomData };
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
    /// Calls `read` with this label's value. The second time is cheap: the label is looked for again only on another thread,
    /// when a scope was pushed or popped that is not empty, or another context switched to, and when this label was changed.
    ///
    /// That holds for up to 4096 keys, as they are first used by the program; beyond them two keys may be in each other's way.
    /// `read` may change contexts; the value that it was given stays.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(Option<&str>) -> R) -> R {
        if THREAD.try_with(|_| ()).is_err() {
            return read(None);
        }
        let read = |label: Option<&Label>| read(label.map(|label| &*label.value));
        THREAD.with(|thread| {
            let search = || thread.with_current(|current| current.label(self).cloned());
            thread.cache.read(self, search, read)
        })
    }

    /// This label's value: [`Key::with`], and a handle of the value.
    pub fn get(&self) -> Option<Arc<str>> {
        let search = |thread: &Thread| thread.with_current(|current| current.label(self).cloned());
        let value = |label: Option<&Label>| label.map(|label| label.value.clone());
        THREAD.try_with(|thread| thread.cache.read(self, || search(thread), value)).ok().flatten()
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
        let own = THREAD.try_with(|thread| thread.with_current(|current| current.own(self).cloned()));
        Saved { key: self.clone(), own: own.ok().flatten() }
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
