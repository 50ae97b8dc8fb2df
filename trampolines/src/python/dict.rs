//! Reads dictionaries out of memory, wherever the lock is.
//!
//! Sources: `PyDictObject` of Include/cpython/dictobject.h; its keys in Objects/dict-common.h up to 3.10, and in
//! Include/internal/pycore_dict.h from 3.11 on.

use super::layout::{Attributes, Layout};
use super::objects::is_address;
use super::text::is_text;
use crate::capture::memory::Memory;

/// `ob_type`.
const TYPE: u64 = 8;
/// `ma_used`: how many keys there are.
const USED: u64 = 16;
/// `ma_keys`, and `ma_values`, where the values lie apart from the keys.
const KEYS: u64 = 32;
const VALUES: u64 = 40;

/// How many keys a dictionary has.
///
/// # Safety
/// `memory` suits the address.
pub unsafe fn len(memory: &impl Memory, dictionary: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe { memory.word(dictionary.wrapping_add(USED)) }
}

/// Words that lie at the same distance from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The address of the first.
    pub start: u64,
    /// From one to the next, in bytes.
    pub stride: u64,
    /// How many there are.
    pub count: u64,
}

/// The values of an instance's dictionary, of which the keys are not of interest: there may be zeros among them.
///
/// # Safety
/// `memory` suits the address, and what the dictionary leads to.
pub unsafe fn values(memory: &impl Memory, layout: &Layout, dictionary: u64) -> Option<Words> {
    // SAFETY: as promised by the caller.
    unsafe {
        let apart = memory.word(dictionary.wrapping_add(VALUES))?;
        match apart {
            0 => entries_of(memory, layout, memory.word(dictionary.wrapping_add(KEYS))?)
                .map(|(words, key)| Words { start: words.start.wrapping_add(key).wrapping_add(8), ..words }),
            // From 3.13 on there is a head, which begins with their number.
            head if matches!(layout.tasks.attributes, Attributes::Within) => {
                Some(Words { start: head.wrapping_add(8), stride: 8, count: memory.byte(head)?.into() })
            }
            start => Some(Words { start, stride: 8, count: len(memory, dictionary)? }),
        }
    }
}

/// The keys of a dictionary and their values, in the order of insertion; zeros are among them where one was removed.
/// `None` for a dictionary of another kind, as instances of classes can have.
///
/// # Safety
/// `memory` suits the address, and what the dictionary leads to.
pub unsafe fn entries<M: Memory + Copy>(
    memory: M,
    layout: &Layout,
    dictionary: u64,
) -> Option<impl Iterator<Item = (u64, u64)>> {
    // SAFETY: as promised by the caller.
    let word = move |address: u64| unsafe { memory.word(address) };
    let keys = word(dictionary.wrapping_add(KEYS)).filter(|keys| *keys != 0)?;
    if word(dictionary.wrapping_add(VALUES))? != 0 {
        return None;
    }
    // SAFETY: as above.
    let (entries, key) = unsafe { entries_of(&memory, layout, keys) }?;
    Some((0..entries.count).map_while(move |index| {
        let entry = entries.start.wrapping_add(index.wrapping_mul(entries.stride)).wrapping_add(key);
        Some((word(entry)?, word(entry.wrapping_add(8))?))
    }))
}

/// The entries of a table of keys, and where in each the key is, with its value behind.
///
/// # Safety
/// `memory` suits the address.
unsafe fn entries_of(memory: &impl Memory, layout: &Layout, keys: u64) -> Option<(Words, u64)> {
    // SAFETY: as promised by the caller.
    let word = |at: u64| unsafe { memory.word(keys.wrapping_add(at)) };
    // Up to 3.10: `dk_size` at 8, `dk_nentries` at 32, the indices from 40 on, of 1, 2, 4 or 8 bytes each.
    if layout.code.qualname.is_none() {
        let size = word(8)?;
        let index = match size {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => return None,
        };
        let start = keys.wrapping_add(40).wrapping_add(size.wrapping_mul(index));
        return Some((Words { start, stride: 24, count: word(32)? }, 8));
    }
    // The logarithm of the size of the indices at 9, the kind at 10, `dk_nentries` at 24, the indices from 32 on. Keys of the
    // kind 0 are any, and have their hash before them; the kind 1 is of strings, and so is 2, which instances share.
    let [_, log2_size, kind, ..] = word(8)?.to_ne_bytes();
    let start = keys.wrapping_add(32).wrapping_add(1_u64.checked_shl(log2_size.into())?);
    let count = word(24)?;
    match kind {
        0 => Some((Words { start, stride: 24, count }, 8)),
        1 | 2 => Some((Words { start, stride: 16, count }, 0)),
        _ => None,
    }
}

/// `md_dict` of `PyModuleObject`.
const MODULE_DICT: u64 = 16;
/// How many keys are looked through.
const MOST_KEYS: usize = 1 << 14;

/// A global variable of a module: by `sys.modules`, the type of modules, and the module's name with the variable's. Anything may
/// be under a module's name: what is no module has no variables.
///
/// # Safety
/// `memory` suits the address, and what it leads to.
pub unsafe fn global<M: Memory + Copy>(
    memory: &M,
    layout: &Layout,
    modules: u64,
    module_type: u64,
    (module, name): (&[u8], &[u8]),
) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        let module = value_of(memory, layout, modules, module)?;
        if memory.word(module.wrapping_add(TYPE))? != module_type {
            return None;
        }
        let names = memory.word(module.wrapping_add(MODULE_DICT)).filter(|names| is_address(*names))?;
        value_of(memory, layout, names, name)
    }
}

/// The value of a text in a dictionary.
///
/// # Safety
/// `memory` suits the address, and what the dictionary leads to.
pub unsafe fn value_of<M: Memory + Copy>(memory: &M, layout: &Layout, dictionary: u64, key: &[u8]) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        if memory.word(dictionary.wrapping_add(VALUES))? != 0 {
            let values = values(memory, layout, dictionary)?;
            return shared_value(memory, layout, memory.word(dictionary.wrapping_add(KEYS))?, values.start, key);
        }
        let mut entries = entries(*memory, layout, dictionary)?.take(MOST_KEYS);
        let is_key = |entry: &(u64, u64)| is_address(entry.1) && is_text(memory, &layout.text, entry.0, key);
        entries.find(is_key).map(|(_, value)| value)
    }
}

/// The value of a text where keys are shared, and the first value is elsewhere.
///
/// # Safety
/// `memory` suits the addresses: there is a value for each key.
pub unsafe fn shared_value(memory: &impl Memory, layout: &Layout, keys: u64, first: u64, key: &[u8]) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        let (entries, at) = entries_of(memory, layout, keys)?;
        let is_key = |index: &u64| {
            let entry = entries.start.wrapping_add(index.wrapping_mul(entries.stride)).wrapping_add(at);
            memory.word(entry).is_some_and(|text| is_text(memory, &layout.text, text, key))
        };
        let index = (0..entries.count.min(MOST_KEYS as u64)).find(is_key)?;
        memory.word(first.wrapping_add(index.wrapping_mul(8))).filter(|value| is_address(*value))
    }
}
