//! What a stack counts for, known once for each stack: the function on top, the functions that are in it, and which of them
//! called which. Stacks are a tree, and these are chains in it: what a stack adds to the one below. So a sample costs as
//! much as it has different functions, however deep a recursion is.

use crate::profile::FunctionId;
use std::collections::HashMap;

/// Position in [`Chains`].
type Link = Option<u32>;

/// Sets of numbers, each a number more than another set.
#[derive(Debug, Default)]
struct Chains {
    links: Vec<(u32, Link)>,
}

impl Chains {
    fn of(&self, first: Link) -> impl Iterator<Item = u32> + '_ {
        let mut next = first;
        std::iter::from_fn(move || {
            let (number, rest) = self.links[next? as usize];
            next = rest;
            Some(number)
        })
    }

    /// The set with a number more, if that is not in it.
    fn with(&mut self, set: Link, number: u32) -> Link {
        if self.of(set).any(|known| known == number) {
            return set;
        }
        self.links.push((number, set));
        Some(self.links.len() as u32 - 1)
    }
}

/// What a stack counts for.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    newest: Option<FunctionId>,
    functions: Link,
    calls: Link,
}

/// All stacks of a profile, and what they count for.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    nodes: Vec<Node>,
    functions: Chains,
    calls: Chains,
    calls_by_functions: HashMap<(FunctionId, FunctionId), u32>,
    /// For each function, the calls that lead to it, and who makes them.
    callers: HashMap<FunctionId, Vec<(u32, FunctionId)>>,
    /// For each function, the calls that it makes, and to whom.
    callees: HashMap<FunctionId, Vec<(u32, FunctionId)>>,
}

impl Stacks {
    /// How many stacks there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The next stack: on top of another one, with a function on top, unless that is not shown.
    pub(super) fn push(&mut self, below: Option<usize>, function: Option<FunctionId>) {
        let below = below.and_then(|below| self.nodes.get(below)).copied().unwrap_or_default();
        let Some(function) = function else { return self.nodes.push(below) };
        let functions = self.functions.with(below.functions, function.0);
        let calls = match below.newest {
            Some(caller) => {
                let call = self.call(caller, function);
                self.calls.with(below.calls, call)
            }
            None => below.calls,
        };
        self.nodes.push(Node { newest: Some(function), functions, calls });
    }

    fn call(&mut self, caller: FunctionId, callee: FunctionId) -> u32 {
        let next = self.calls_by_functions.len() as u32;
        let call = *self.calls_by_functions.entry((caller, callee)).or_insert(next);
        if call == next {
            self.callers.entry(callee).or_default().push((call, caller));
            self.callees.entry(caller).or_default().push((call, callee));
        }
        call
    }

    /// The function on top, of those that are shown.
    pub(super) fn newest(&self, stack: usize) -> Option<FunctionId> {
        self.nodes[stack].newest
    }

    /// The functions in a stack, each once.
    pub(super) fn functions(&self, stack: usize) -> impl Iterator<Item = u32> + '_ {
        self.functions.of(self.nodes[stack].functions)
    }

    /// The calls in a stack, each once.
    pub(super) fn calls(&self, stack: usize) -> impl Iterator<Item = u32> + '_ {
        self.calls.of(self.nodes[stack].calls)
    }

    /// The calls that lead to a function, and who makes them.
    pub(super) fn callers(&self, function: FunctionId) -> &[(u32, FunctionId)] {
        self.callers.get(&function).map_or(&[], Vec::as_slice)
    }

    /// The calls that a function makes, and to whom.
    pub(super) fn callees(&self, function: FunctionId) -> &[(u32, FunctionId)] {
        self.callees.get(&function).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn a_recursion_counts_once() {
        let [main, even, odd] = [0, 1, 2].map(FunctionId);
        let mut stacks = Stacks::default();
        stacks.push(None, Some(main));
        for depth in 0..1000 {
            stacks.push(Some(depth), Some(if depth % 2 == 0 { even } else { odd }));
        }
        // What is not shown changes nothing.
        stacks.push(Some(1000), None);
        assert_eq!(stacks.newest(1001), Some(odd));
        assert_eq!(sorted(stacks.functions(1001)), [0, 1, 2]);
        assert_eq!(sorted(stacks.calls(1001)), [0, 1, 2]);
        assert_eq!(stacks.functions.links.len() + stacks.calls.links.len(), 6);
        assert_eq!(stacks.callers(even), [(0, main), (2, odd)]);
        assert_eq!(stacks.callees(even), [(1, odd)]);
        assert_eq!(stacks.callers(main), []);
    }

    #[test]
    fn a_stack_in_which_nothing_is_shown_counts_for_nothing() {
        let mut stacks = Stacks::default();
        stacks.push(None, None);
        assert_eq!((stacks.newest(0), stacks.functions(0).count(), stacks.calls(0).count()), (None, 0, 0));
    }
}
