//! Reads the value of a context variable (PEP 567) out of memory.
//!
//! A thread's state leads to the context that runs, that to a hash array mapped trie whose nodes never change
//! (Python/hamt.c, CPython 3.9 to 3.15). Its layout has been the same all the time; what is not certain is found out by a
//! context that is made for it.

use super::super::layout::Layout;
use super::super::symbols::{LabelSymbols, Object, Symbols};
use crate::capture::memory::{Memory, Straight};
use core::ptr;

/// `ob_type` of any object.
const TYPE: u64 = 8;
/// `ctx_vars` of `PyContext` (Include/internal/pycore_context.h).
const CONTEXT_VARS: u64 = 24;
/// `h_root` of `PyHamtObject` (Include/internal/pycore_hamt.h).
const ROOT: u64 = 16;
/// `b_bitmap` and `b_array` of `PyHamtNode_Bitmap`.
const BITMAP: u64 = 24;
const PAIRS: u64 = 32;
/// `a_array` of `PyHamtNode_Array`.
const CHILDREN: u64 = 16;
/// Each level takes so many bits of the hash.
const BITS: u32 = 5;
/// No trie is deeper (`_Py_HAMT_MAX_TREE_DEPTH`, with room to spare).
const DEEPEST: u32 = 10;
/// So many variables need a node of the other kind.
const MANY: usize = 40;

/// A context variable: its address, and what `hash` says of it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub address: u64,
    pub hash: u64,
}

/// `var_hash` of `PyContextVar`.
const VARIABLE_HASH: u64 = 56;

impl Variable {
    /// The variable at an address.
    ///
    /// # Safety
    /// `memory` suits the address.
    pub unsafe fn at(memory: &impl Memory, address: u64) -> Option<Variable> {
        // SAFETY: as promised by the caller.
        let hash = unsafe { memory.word(address.wrapping_add(VARIABLE_HASH)) }?;
        Some(Variable { address, hash })
    }

    /// `hamt_hash`: 32 bits of the 64.
    fn short_hash(self) -> u32 {
        let hash = (self.hash >> 32) as u32 ^ self.hash as u32;
        // -1 stands for an error.
        if hash == u32::MAX { hash.wrapping_sub(1) } else { hash }
    }
}

/// How to tell the kinds of nodes.
#[derive(Clone, Copy, Debug)]
pub struct ContextVariables {
    bitmap_node: u64,
    array_node: u64,
}

/// The variables of a context.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    nodes: ContextVariables,
    root: u64,
}

impl ContextVariables {
    /// Finds out how to read, in a context of its own. `None` when what is read is not what was put there.
    ///
    /// # Safety
    /// The interpreter's lock is held and no error is set.
    pub unsafe fn learn(symbols: &Symbols, labels: &LabelSymbols, layout: &Layout) -> Option<ContextVariables> {
        // SAFETY: the objects are ours until they are released, and the context is left again.
        unsafe {
            let context = (labels.new_context)();
            if context.is_null() || (labels.enter_context)(context) != 0 {
                (symbols.error_clear)();
                return None;
            }
            let mut variables = [ptr::null_mut(); MANY];
            let learned = Self::learn_in(symbols, labels, layout, context, &mut variables);
            (labels.exit_context)(context);
            (symbols.error_clear)();
            variables.iter().filter(|variable| !variable.is_null()).for_each(|variable| (symbols.release)(*variable));
            (symbols.release)(context);
            learned
        }
    }

    /// # Safety
    /// As for [`ContextVariables::learn`]; the context is the current one.
    unsafe fn learn_in(
        symbols: &Symbols,
        labels: &LabelSymbols,
        layout: &Layout,
        context: *mut Object,
        variables: &mut [*mut Object; MANY],
    ) -> Option<ContextVariables> {
        // SAFETY: as promised by the caller; a state is larger than the offset of every layout.
        unsafe {
            let state = (symbols.this_thread)() as u64;
            if Straight.word(state.wrapping_add(layout.context.into()))? != context as u64 {
                return None;
            }
            let mut set = |index: usize| -> Option<Variable> {
                let variable = (labels.new_variable)(c"pronk".as_ptr(), ptr::null_mut());
                *variables.get_mut(index)? = variable;
                if variable.is_null() {
                    return None;
                }
                let token = (labels.set_variable)(variable, variable);
                if token.is_null() {
                    return None;
                }
                (symbols.release)(token);
                let hash = (labels.hash)(variable) as u64;
                Variable::at(&Straight, variable as u64).filter(|variable| variable.hash == hash)
            };
            let first = set(0)?;
            let mut nodes = ContextVariables { bitmap_node: root_type(context)?, array_node: 0 };
            let is_right = |nodes: ContextVariables, variable: Variable| {
                let values = nodes.of_thread(&Straight, layout, state);
                values.and_then(|values| values.value(&Straight, variable)) == Some(variable.address)
            };
            if !is_right(nodes, first) {
                return None;
            }
            let last = (1..MANY).try_fold(first, |_, index| set(index))?;
            nodes.array_node = root_type(context)?;
            (nodes.array_node != nodes.bitmap_node && is_right(nodes, first) && is_right(nodes, last)).then_some(nodes)
        }
    }

    /// The variables of the context that a thread runs in.
    ///
    /// # Safety
    /// The state is the calling thread's, and `memory` suits what is read.
    pub unsafe fn of_thread(self, memory: &impl Memory, layout: &Layout, state: u64) -> Option<Values> {
        // SAFETY: as promised by the caller.
        unsafe { self.of_context(memory, memory.word(state.wrapping_add(layout.context.into()))?) }
    }

    /// The variables of a context, whose address may be 0.
    ///
    /// # Safety
    /// As for [`ContextVariables::of_thread`].
    pub unsafe fn of_context(self, memory: &impl Memory, context: u64) -> Option<Values> {
        if context == 0 {
            return None;
        }
        // SAFETY: as promised by the caller.
        unsafe {
            let trie = memory.word(context.wrapping_add(CONTEXT_VARS)).filter(|trie| *trie != 0)?;
            let root = memory.word(trie.wrapping_add(ROOT)).filter(|root| *root != 0)?;
            Some(Values { nodes: self, root })
        }
    }
}

impl Values {
    /// The address of a variable's value, if it has one.
    ///
    /// # Safety
    /// As for [`ContextVariables::of_thread`].
    pub unsafe fn value(&self, memory: &impl Memory, variable: Variable) -> Option<u64> {
        let mut node = self.root;
        let hash = variable.short_hash();
        for level in 0..DEEPEST {
            let index = hash.checked_shr(level.wrapping_mul(BITS)).unwrap_or(0) & 0x1f;
            // SAFETY: as promised by the caller.
            unsafe {
                let kind = memory.word(node.wrapping_add(TYPE))?;
                if kind == self.nodes.array_node {
                    node = memory.word(node.wrapping_add(CHILDREN).wrapping_add(u64::from(index).wrapping_mul(8)))?;
                } else if kind == self.nodes.bitmap_node {
                    let bitmap = memory.number(node.wrapping_add(BITMAP))?.cast_unsigned();
                    let bit = 1_u32.wrapping_shl(index);
                    if bitmap & bit == 0 {
                        return None;
                    }
                    let before = u64::from((bitmap & bit.wrapping_sub(1)).count_ones());
                    let pair = node.wrapping_add(PAIRS).wrapping_add(before.wrapping_mul(16));
                    let (key, value) = (memory.word(pair)?, memory.word(pair.wrapping_add(8))?);
                    if key != 0 {
                        return (key == variable.address).then_some(value);
                    }
                    node = value;
                } else {
                    // Variables whose hashes are the same, of which there are none in practice.
                    return None;
                }
            }
            if node == 0 {
                return None;
            }
        }
        None
    }
}

/// The type of the root of a context's variables.
///
/// # Safety
/// The context is alive.
unsafe fn root_type(context: *mut Object) -> Option<u64> {
    // SAFETY: a context leads to a trie, and that to its root.
    unsafe {
        let trie = Straight.word((context as u64).wrapping_add(CONTEXT_VARS))?;
        Straight.word(Straight.word(trie.wrapping_add(ROOT))?.wrapping_add(TYPE))
    }
}
