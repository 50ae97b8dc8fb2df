//! The name of the module of a frame's function.

use super::dict;
use super::layout::{Frame, Function, Layout};
use super::text::{is_text, state_of};
use crate::capture::memory::Memory;

/// The string that is the name of a frame's module.
///
/// # Safety
/// `memory` takes any address.
pub unsafe fn module_of_frame<M: Memory + Copy>(memory: M, layout: &Layout, frame: u64) -> Option<u64> {
    let Frame { globals, .. } = layout.frame;
    // SAFETY: as promised by the caller.
    let word = |address: u64| unsafe { memory.word(address) }.unwrap_or(0);
    if let Some(Function { at, module }) = layout.links.function {
        // From 3.14 on the low bits of references on the stack are a tag.
        let function = word(frame.wrapping_add(at.into())) & !3;
        let module = word(function.wrapping_add(module.into()));
        if function != 0 && state_of(&memory, module).is_some() {
            return Some(module);
        }
    }
    // SAFETY: as promised by the caller.
    unsafe { name_in(memory, layout, word(frame.wrapping_add(globals.into()))) }
}

/// The value of `__name__` in a module's dictionary. It is among the first keys, which a module is created with.
///
/// # Safety
/// `memory` takes any address.
unsafe fn name_in<M: Memory + Copy>(memory: M, layout: &Layout, dictionary: u64) -> Option<u64> {
    const MOST_KEYS: usize = 16;
    // SAFETY: as promised by the caller.
    let entries = unsafe { dict::entries(memory, layout, dictionary) }?;
    let is_name = |(key, value): &(u64, u64)| {
        is_text(&memory, &layout.text, *key, b"__name__") && state_of(&memory, *value).is_some()
    };
    entries.take(MOST_KEYS).find(is_name).map(|(_, value)| value)
}
