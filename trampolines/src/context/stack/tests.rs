//! Current contexts against a model of them, and across threads.

use super::{Context, Guard, Key, Saved, Scope, current::searches, push, snapshot, switch};
use std::borrow::ToOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::string::String;
use std::sync::{Arc, Barrier};
use std::vec::Vec;

fn assert_shared<T: Send + Sync + 'static>() {}

#[test]
fn snapshots_scopes_keys_and_what_is_saved_can_go_to_other_threads() {
    assert_shared::<(Context, Scope, Key, Saved)>();
}

/// The value of a key, and how often it was searched for.
fn read(key: &Key) -> (Option<String>, u64) {
    let before = searches();
    let value = key.with(|value| value.map(ToOwned::to_owned));
    (value, searches() - before)
}

fn of(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn a_label_is_searched_for_once_until_it_may_have_changed() {
    let [key, other] = [1, 2].map(Key::with_id);
    assert_eq!((read(&key), read(&key)), ((None, 1), (None, 0)), "that there is none is known too");
    key.set("1");
    assert_eq!((read(&key), read(&key)), ((of("1"), 1), (of("1"), 0)));
    assert_eq!(read(&key.clone()), (of("1"), 0));
    assert_eq!(searches(), 2);
    assert_eq!(key.get().as_deref(), Some("1"));
    assert_eq!(searches(), 2);

    other.set("x");
    assert_eq!(read(&key), (of("1"), 0), "another label was set");
    assert!(other.unset());
    assert_eq!(read(&key), (of("1"), 0), "another label was removed");

    let empty = push(Scope::new());
    assert_eq!(read(&key), (of("1"), 0), "the scope is empty");
    assert!(!key.unset());
    key.save().restore();
    assert_eq!(read(&key), (of("1"), 0), "nothing was removed");
    drop(empty);
    assert_eq!(read(&key), (of("1"), 0), "the scope was empty");

    let scope = push(Scope::new().with(&other, "y"));
    assert_eq!((read(&key), read(&key)), ((of("1"), 1), (of("1"), 0)));
    drop(scope);
    assert_eq!((read(&key), read(&key)), ((of("1"), 1), (of("1"), 0)));

    let same = switch(snapshot().for_task("t"));
    assert_eq!(read(&key), (of("1"), 0), "only the task is another one");
    drop(same);
    let nothing = switch(Context::new());
    assert_eq!((read(&key), read(&key)), ((None, 1), (None, 0)));
    drop(nothing);
    assert_eq!((read(&key), read(&key)), ((of("1"), 1), (of("1"), 0)));

    let context = snapshot();
    let there = std::thread::spawn(move || {
        let _there = switch(context);
        let first = read(&key);
        (first, read(&key), key)
    });
    let (first, second, key) = there.join().unwrap();
    assert_eq!((first, second), ((of("1"), 1), (of("1"), 0)), "a thread has to search for itself");
    assert_eq!(read(&key), (of("1"), 0), "and does not disturb others");
}

#[test]
fn labels_may_change_while_one_is_looked_at() {
    let key = Key::new("key");
    key.set("1");
    assert_eq!(read(&key).0, of("1"));
    key.with(|value| {
        key.set("2");
        let _scope = push(Scope::new().with(&key, "3"));
        assert_eq!(read(&key).0, of("3"));
        assert_eq!(value, Some("1"));
    });
    assert_eq!((read(&key), read(&key)), ((of("2"), 1), (of("2"), 0)));
}

#[test]
fn more_keys_than_the_cache_has_places_for_have_their_own_values() {
    let keys: Vec<_> = (0..if cfg!(miri) { 100 } else { 10_000 }).map(|_| Key::new("key")).collect();
    keys.iter().enumerate().for_each(|(index, key)| key.set(format!("{index}")));
    for _ in 0..2 {
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(read(key).0, Some(format!("{index}")));
        }
    }
}

#[test]
fn an_inherited_value_is_not_made_an_own_one_by_saving_and_restoring() {
    let key = Key::new("key");
    key.set("outer");
    let scope = push(Scope::new());
    let saved = key.save();
    key.set("inner");
    let inner = key.save();
    saved.clone().restore();
    assert_eq!(read(&key).0, of("outer"));
    assert!(!key.unset());
    inner.restore();
    assert_eq!(read(&key).0, of("inner"));
    saved.restore();
    drop(scope);
    key.set("later");
    assert_eq!(read(&key).0, of("later"));
}

#[test]
fn a_guard_ends_what_younger_ones_have_begun() {
    let key = Key::new("key");
    let scope = |value: &str| Scope::new().with(&key, value);
    let outer = push(scope("1"));
    let inner = push(scope("2"));
    std::mem::forget(push(scope("3")));
    drop(outer);
    assert_eq!(read(&key).0, None);
    let (outer, middle) = (push(scope("4")), push(scope("5")));
    // It is of no consequence by now, though there are others in its place.
    drop(inner);
    assert_eq!(read(&key).0, of("5"));
    drop((middle, outer));
    assert_eq!(read(&key).0, None);
}

#[test]
fn a_panic_ends_what_its_frames_have_begun() {
    let key = Key::new("key");
    let _scope = push(Scope::new().with(&key, "outer"));
    let unwound = std::panic::catch_unwind(|| {
        let _scope = push(Scope::new().with(&key, "inner"));
        let _switch = switch(Context::new().for_task("t"));
        key.with(|_| std::panic::resume_unwind(std::boxed::Box::new(())));
    });
    assert!(unwound.is_err());
    assert_eq!((read(&key).0, snapshot().task()), (of("outer"), None));
}

#[test]
fn a_thread_whose_storage_is_gone_has_an_empty_context() {
    struct Late {
        key: Key,
        seen: std::sync::mpsc::Sender<(Option<String>, Option<String>)>,
    }
    impl Drop for Late {
        fn drop(&mut self) {
            self.key.set("late");
            let _scope = push(Scope::new().with(&self.key, "late"));
            self.key.save().restore();
            let seen =
                (self.key.with(|value| value.map(ToOwned::to_owned)), self.key.get().as_deref().map(String::from));
            let _ = self.seen.send(seen);
        }
    }
    std::thread_local!(static LATE: std::cell::OnceCell<Late> = const { std::cell::OnceCell::new() });
    let (seen, all) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let key = Key::new("key");
        // The thread's storage goes in the opposite order: this is there when contexts are gone.
        LATE.with(|late| assert!(late.set(Late { key: key.clone(), seen }).is_ok()));
        key.set("early");
        std::mem::forget(push(Scope::new()));
        assert_eq!(read(&key).0, of("early"));
    });
    thread.join().unwrap();
    assert_eq!(all.recv(), Ok((None, None)));
}

#[test]
fn threads_that_start_from_one_snapshot_keep_their_changes_to_themselves() {
    let keys: Arc<Vec<_>> = Arc::new((0..100).map(|_| Key::new("key")).collect());
    let scope = keys.iter().fold(Scope::new(), |scope, key| scope.with(key, "shared"));
    let shared = Context::new().pushed(scope);
    let barrier = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (keys, shared, barrier) = (keys.clone(), shared.clone(), barrier.clone());
            std::thread::spawn(move || {
                let _switch = switch(shared);
                barrier.wait();
                let own = || keys.iter().skip(number).step_by(4);
                own().for_each(|key| key.set(format!("{number}")));
                barrier.wait();
                assert!(own().all(|key| read(key).0 == Some(format!("{number}"))));
                assert_eq!(keys.iter().filter(|key| read(key).0 == of("shared")).count(), 75);
                // The thread goes on with what another one would see of it.
                snapshot()
            })
        })
        .collect();
    let contexts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for (number, context) in contexts.iter().enumerate() {
        assert_eq!(context.get(&keys[number]).map(|value| &**value), Some(&*format!("{number}")));
    }
    assert!(keys.iter().all(|key| &**shared.get(key).unwrap() == "shared"));
}

/// A level of the model: whoever changes it gives it another number.
#[derive(Clone, Debug, Default)]
struct Level {
    number: u64,
    labels: BTreeMap<usize, String>,
}

type Levels = Vec<Level>;

/// What must be so of a thread.
struct Model {
    current: Levels,
    /// The guards that have not gone, with what was current before.
    guards: Vec<(Guard, Levels)>,
    /// The keys that need not be searched for.
    known: BTreeSet<usize>,
    numbers: u64,
}

impl Model {
    fn value(levels: &Levels, key: usize) -> Option<String> {
        levels.iter().rev().find_map(|level| level.labels.get(&key).cloned())
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn exchange(&mut self, levels: Levels) -> Levels {
        let numbers = |levels: &Levels| -> Vec<_> {
            levels.iter().filter(|level| !level.labels.is_empty()).map(|level| level.number).collect()
        };
        if numbers(&self.current) != numbers(&levels) {
            self.known.clear();
        }
        std::mem::replace(&mut self.current, levels)
    }

    fn begin(&mut self, guard: Guard, levels: Levels) {
        let before = self.exchange(levels);
        self.guards.push((guard, before));
    }

    fn own(&self, key: usize) -> Option<String> {
        self.current.last().and_then(|level| level.labels.get(&key).cloned())
    }

    /// Sets or removes a label of the innermost scope.
    fn set(&mut self, key: usize, value: Option<String>) {
        if value.is_none() && self.own(key).is_none() {
            return;
        }
        let number = self.number();
        if self.current.is_empty() {
            self.current.push(Level::default());
        }
        let innermost = self.current.last_mut().unwrap();
        innermost.number = number;
        match value {
            Some(value) => drop(innermost.labels.insert(key, value)),
            None => drop(innermost.labels.remove(&key)),
        }
        self.known.remove(&key);
    }
}

/// Pseudo-random numbers (G. Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

fn check(levels: &Levels, context: &Context, keys: &[Key]) {
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(context.get(key).map(|value| &**value), Model::value(levels, index).as_deref());
    }
    let mut expected: Vec<_> = (0..keys.len()).filter_map(|key| Some((key, Model::value(levels, key)?))).collect();
    let squashed = context.squash();
    assert_eq!(squashed.len(), expected.len());
    expected.retain(|(key, value)| squashed.get(&keys[*key]).is_none_or(|found| **found != **value));
    assert_eq!(expected, []);
}

/// Does what chance will have it, on this thread and in the model, and compares: every value, and every search.
fn by_chance(seed: u64, steps: usize) {
    // All have places of their own in the cache; at a distance of 16 and more they share branches.
    let distance = [1, 16, 256][seed as usize % 3];
    let keys: Vec<_> = (0..12).map(|index| Key::with_id(1 + index * distance)).collect();
    let mut random = Random(seed);
    let mut model = Model { current: Levels::new(), guards: Vec::new(), known: BTreeSet::new(), numbers: 0 };
    let mut snapshots = std::vec![(Context::new(), Levels::new())];
    let mut saved: Vec<(Saved, usize, Option<String>)> = Vec::new();
    let mut gone: Vec<Guard> = Vec::new();
    for step in 0..steps {
        let key = random.below(keys.len());
        let value = format!("{step}");
        match random.below(24) {
            0..3 => {
                let mut level = Level { number: model.number(), ..Level::default() };
                let mut scope = Scope::new();
                for _ in 0..random.below(3) {
                    let key = random.below(keys.len());
                    level.labels.insert(key, value.clone());
                    scope.set(&keys[key], value.as_str());
                }
                let levels = model.current.iter().cloned().chain([level]).collect();
                model.begin(push(scope), levels);
            }
            3..6 if !model.guards.is_empty() => {
                let oldest = model.guards.len() - 1 - random.below(model.guards.len().min(3));
                let mut ended = model.guards.split_off(oldest).into_iter();
                let (guard, before) = ended.next().unwrap();
                gone.extend(ended.map(|(guard, _)| guard));
                drop(guard);
                model.exchange(before);
            }
            6 => gone.truncate(random.below(gone.len() + 1)),
            7..10 => {
                keys[key].set(value.as_str());
                model.set(key, Some(value));
            }
            10 => {
                assert_eq!(keys[key].unset(), model.own(key).is_some());
                model.set(key, None);
            }
            11 => saved.push((keys[key].save(), key, model.own(key))),
            12 if !saved.is_empty() => {
                let (kept, key, own) = saved.swap_remove(random.below(saved.len()));
                kept.restore();
                model.set(key, own);
            }
            13 => snapshots.push((snapshot(), model.current.clone())),
            14 => {
                let (context, levels) = snapshots[random.below(snapshots.len())].clone();
                model.begin(switch(context), levels);
            }
            15 => {
                let levels = model.current.clone();
                model.begin(switch(snapshot().for_task(value)), levels);
            }
            _ => {
                let expected = (Model::value(&model.current, key), u64::from(model.known.insert(key)));
                assert_eq!(read(&keys[key]), expected, "step {step} of seed {seed:#x}");
            }
        }
    }
    check(&model.current, &snapshot(), &keys);
    snapshots.iter().for_each(|(context, levels)| check(levels, context, &keys));
}

#[test]
fn what_threads_do_by_chance_is_what_a_model_does() {
    let (threads, rounds, steps) = if cfg!(miri) { (2, 1, 200) } else { (4, 100, 1000) };
    let threads: Vec<_> = (1..=threads)
        .map(|thread: u64| {
            std::thread::spawn(move || {
                for round in 1..=rounds {
                    // Each in a thread of its own, which starts with nothing.
                    std::thread::spawn(move || by_chance(thread << 32 | round, steps)).join().unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
