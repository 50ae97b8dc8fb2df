//! Finds out whether a layout is right for the running interpreter, before anything relies on it.
//!
//! An object whose contents are known is made, and each field is compared with what Python itself says of it.

use super::code_object::{attribute, field, utf8};
use super::layout::Layout;
use super::symbols::{Object, Symbols};
use crate::sys::Text;
use core::ffi::{CStr, c_int};
use core::ptr;

const FILE: &CStr = c"pronk-layout-check.py";
const NAME: &CStr = c"pronk_layout_check";
const LINE: c_int = 12_345;

/// Checks a layout, and that what we put into our slot of `co_extra` is found there.
///
/// `slot` is put into the slot at `index`.
///
/// # Errors
/// The field that is not where it should be.
///
/// # Safety
/// The interpreter's lock is held and no error is set.
pub unsafe fn check(symbols: &Symbols, layout: &Layout, index: u16, slot: *mut Object) -> Result<(), &'static str> {
    // SAFETY: the texts are zero-terminated, and the object is ours until it is released.
    unsafe {
        let code = (symbols.new_empty_code)(FILE.as_ptr(), NAME.as_ptr(), LINE);
        if code.is_null() {
            (symbols.error_clear)();
            return Err("a new code object");
        }
        let result = check_code(symbols, layout, code, index, slot).and_then(|()| check_thread(symbols, layout));
        (symbols.release)(code);
        result
    }
}

/// Whether the current interpreter has given out the slot at `index`: only then it can be set.
///
/// # Safety
/// The interpreter's lock is held and no error is set.
pub unsafe fn slot_is_reserved(symbols: &Symbols, index: u16) -> bool {
    // SAFETY: the texts are zero-terminated, and the object is ours until it is released.
    unsafe {
        let code = (symbols.new_empty_code)(FILE.as_ptr(), NAME.as_ptr(), LINE);
        if code.is_null() {
            (symbols.error_clear)();
            return false;
        }
        let reserved = (symbols.set_code_extra)(code, index as isize, ptr::null_mut()) == 0;
        (symbols.error_clear)();
        (symbols.release)(code);
        reserved
    }
}

/// # Safety
/// As for [`check`]; `code` is alive.
unsafe fn check_code(
    symbols: &Symbols,
    layout: &Layout,
    code: *mut Object,
    index: u16,
    slot: *mut Object,
) -> Result<(), &'static str> {
    let fields = &layout.code;
    // SAFETY: code objects are larger than every offset of every layout, so that even a wrong one reads within.
    unsafe {
        let same = |offset: u16, name: &CStr| {
            let expected = attribute(symbols, code, name);
            !expected.object().is_null() && field::<*mut Object>(code, offset) == expected.object()
        };
        if !same(fields.filename, c"co_filename") {
            return Err("co_filename");
        }
        if utf8(symbols, field(code, fields.filename), &mut Text::new()) != FILE.to_bytes() {
            return Err("the text of co_filename");
        }
        if !same(fields.name, c"co_name") {
            return Err("co_name");
        }
        if fields.qualname.is_some_and(|offset| !same(offset, c"co_qualname")) {
            return Err("co_qualname");
        }
        if field::<c_int>(code, fields.first_line) != LINE {
            return Err("co_firstlineno");
        }
        if !same(fields.line_table, fields.line_table_attribute) {
            return Err("co_linetable");
        }
        // Setting a slot must turn the word from null into a pointer: only then it is followed.
        if !field::<*mut Object>(code, fields.extra).is_null() {
            return Err("co_extra of a new code object");
        }
        if (symbols.set_code_extra)(code, index as isize, slot) != 0 {
            (symbols.error_clear)();
            return Err("setting co_extra");
        }
        let extra: *const usize = field(code, fields.extra);
        if extra.is_null() || *extra <= usize::from(index) || *extra > 255 {
            return Err("co_extra");
        }
        let found = *extra.add(1 + usize::from(index)) == slot as usize;
        // No free function looks at the slot, but the next reader of the object should not find it.
        (symbols.set_code_extra)(code, index as isize, ptr::null_mut());
        if found { Ok(()) } else { Err("the slot in co_extra") }
    }
}

/// # Safety
/// As for [`check`].
unsafe fn check_thread(symbols: &Symbols, layout: &Layout) -> Result<(), &'static str> {
    let Some(recursion) = layout.c_recursion else { return Ok(()) };
    // SAFETY: thread states are larger than both offsets.
    unsafe {
        let thread = (symbols.this_thread)();
        let limit: c_int = field(thread, recursion.python_limit);
        let remaining: c_int = field(thread, recursion.remaining);
        match limit == (symbols.recursion_limit)() && (1..=1_000_000).contains(&remaining) {
            true => Ok(()),
            false => Err("c_recursion_remaining"),
        }
    }
}
