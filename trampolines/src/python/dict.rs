//! Reads dictionaries out of memory, wherever the lock is.
//!
//! Sources: `PyDictObject` of Include/cpython/dictobject.h; its keys in Objects/dict-common.h up to 3.10, and in
//! Include/internal/pycore_dict.h from 3.11 on.

use super::layout::Layout;
use crate::capture::memory::Memory;

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

/// The keys of a dictionary and their values, in the order of insertion; zeros are among them where one was removed.
/// `None` for a dictionary of another kind, as instances of classes can have.
///
/// # Safety
/// `memory` suits the address, and what the dictionary leads to.
pub unsafe fn entries<M: Memory>(
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
    // Up to 3.10: `dk_size` at 8, `dk_nentries` at 32, the indices from 40 on, of 1, 2, 4 or 8 bytes each.
    let (start, stride, key, count) = if layout.code.qualname.is_none() {
        let size = word(keys.wrapping_add(8))?;
        let index = match size {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => return None,
        };
        (keys.wrapping_add(40).wrapping_add(size.wrapping_mul(index)), 24, 8, word(keys.wrapping_add(32))?)
    } else {
        // The logarithm of the size of the indices at 9, the kind at 10, `dk_nentries` at 24, the indices from 32 on. Keys of
        // the kind 0 are any, and have their hash before them; the kind 1 is of strings.
        let [_, log2_size, kind, ..] = word(keys.wrapping_add(8))?.to_ne_bytes();
        let start = keys.wrapping_add(32).wrapping_add(1_u64.checked_shl(log2_size.into())?);
        match kind {
            0 => (start, 24, 8, word(keys.wrapping_add(24))?),
            1 => (start, 16, 0, word(keys.wrapping_add(24))?),
            _ => return None,
        }
    };
    Some((0..count).map_while(move |index| {
        let entry = start.wrapping_add(index.wrapping_mul(stride)).wrapping_add(key);
        Some((word(entry)?, word(entry.wrapping_add(8))?))
    }))
}
