//! A persistent map from keys to labels: a copy shares what it does not change.
//!
//! It is a trie of the keys' numbers, four bits a level, the lowest first. Numbers are given out one after another, so they
//! spread over the branches without a hash, and two that differ part ways at last. A label lies in the first place on its
//! path that it has to itself (P. Bagwell, "Ideal Hash Trees", 2001; here branches keep their empty places).

use super::key::Key;
use core::mem;
use std::sync::Arc;
use std::vec;

/// The bits of a number that a level looks at: a change copies one branch a level, so narrow and few is what is wanted.
const BITS: u32 = 4;
const WIDTH: usize = 1 << BITS;

/// A label.
#[derive(Debug)]
pub struct Label {
    pub key: Key,
    pub value: Arc<str>,
}

/// A branch, or the whole trie.
#[derive(Clone, Debug, Default)]
pub struct Trie([Place; WIDTH]);

#[derive(Clone, Debug, Default)]
enum Place {
    #[default]
    Empty,
    Label(Arc<Label>),
    Branch(Arc<Trie>),
}

/// The place that a number has in the branches of a level.
fn digit(id: u64, level: u32) -> usize {
    (id >> (level * BITS)) as usize % WIDTH
}

impl Trie {
    /// The label of a key, by its number.
    pub fn get(&self, id: u64) -> Option<&Arc<Label>> {
        let mut branch = self;
        let mut level = 0;
        loop {
            match &branch.0[digit(id, level)] {
                Place::Branch(next) => branch = next,
                Place::Label(label) => return (label.key.id() == id).then_some(label),
                Place::Empty => return None,
            }
            level += 1;
        }
    }

    /// Puts a label in, in place of the one that its key has. Whether it had none.
    pub fn insert(&mut self, label: Arc<Label>) -> bool {
        self.insert_at(0, label)
    }

    fn insert_at(&mut self, level: u32, label: Arc<Label>) -> bool {
        let id = label.key.id();
        let place = &mut self.0[digit(id, level)];
        match place {
            Place::Branch(branch) => Arc::make_mut(branch).insert_at(level + 1, label),
            Place::Label(other) if other.key.id() != id => {
                let mut branch = Trie::default();
                branch.insert_at(level + 1, other.clone());
                branch.insert_at(level + 1, label);
                *place = Place::Branch(Arc::new(branch));
                true
            }
            Place::Label(_) | Place::Empty => matches!(mem::replace(place, Place::Label(label)), Place::Empty),
        }
    }

    /// Takes out the label of a key, by its number. A key without one costs copies for nothing: look first.
    pub fn remove(&mut self, id: u64) {
        self.remove_at(0, id);
    }

    fn remove_at(&mut self, level: u32, id: u64) {
        let place = &mut self.0[digit(id, level)];
        match place {
            Place::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                branch.remove_at(level + 1, id);
                if branch.0.iter().all(|place| matches!(place, Place::Empty)) {
                    *place = Place::Empty;
                }
            }
            Place::Label(label) if label.key.id() == id => *place = Place::Empty,
            Place::Label(_) | Place::Empty => {}
        }
    }

    /// All labels, in no particular order.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<Label>> {
        let mut branches = vec![self.0.iter()];
        core::iter::from_fn(move || {
            loop {
                match branches.last_mut()?.next() {
                    Some(Place::Label(label)) => return Some(label),
                    Some(Place::Branch(branch)) => branches.push(branch.0.iter()),
                    Some(Place::Empty) => {}
                    None => drop(branches.pop()),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The branches of a trie, itself among them, by address.
    fn branches(trie: &Trie) -> Vec<*const Trie> {
        let below = trie.0.iter().filter_map(|place| match place {
            Place::Branch(branch) => Some(branches(branch)),
            _ => None,
        });
        core::iter::once(&raw const *trie).chain(below.flatten()).collect()
    }

    fn label(key: &Key, value: &str) -> Arc<Label> {
        Arc::new(Label { key: key.clone(), value: value.into() })
    }

    #[test]
    fn a_change_copies_the_branches_on_its_path_and_no_others() {
        let keys: Vec<_> = (0..if cfg!(miri) { 300 } else { 10_000 }).map(|_| Key::new("k")).collect();
        let mut trie = Trie::default();
        assert!(keys.iter().all(|key| trie.insert(label(key, "a"))));
        let before = trie.clone();
        assert!(!trie.insert(label(&keys[123], "b")));
        let shared = branches(&before);
        let copied = branches(&trie).iter().filter(|branch| !shared.contains(branch)).count();
        // Other tests make keys meanwhile, so these need not be one after another.
        assert!((2..=5).contains(&copied), "{copied} of {}", shared.len());
        // Once they are its own, they are changed where they are.
        let own = branches(&trie);
        assert!(!trie.insert(label(&keys[123], "c")));
        assert_eq!(branches(&trie), own);
        assert_eq!(&*before.get(keys[123].id()).unwrap().value, "a");
        assert_eq!(&*trie.get(keys[123].id()).unwrap().value, "c");
    }

    #[test]
    fn what_is_taken_out_leaves_no_empty_branches() {
        let keys: Vec<_> = (0..200).map(|_| Key::new("k")).collect();
        let mut trie = Trie::default();
        assert!(keys.iter().all(|key| trie.insert(label(key, "a"))));
        assert!(branches(&trie).len() > 10);
        assert_eq!(trie.labels().count(), 200);
        keys.iter().for_each(|key| trie.remove(key.id()));
        assert_eq!((trie.labels().count(), branches(&trie).len()), (0, 1));
    }

    #[test]
    fn numbers_that_differ_in_their_highest_bits_only_have_places_too() {
        let keys = [1, 1 << 63 | 1, 1 << 60 | 1].map(Key::with_id);
        let mut trie = Trie::default();
        assert!(keys.iter().all(|key| trie.insert(label(key, "a"))));
        trie.remove(keys[1].id());
        let found = keys.each_ref().map(|key| trie.get(key.id()).is_some());
        assert_eq!(found, [true, false, true]);
    }
}
