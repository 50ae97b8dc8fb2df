//! Reads code objects: what they are called, where they are, and our slot in them.
//!
//! # Safety
//! All functions here are called with the interpreter's lock held, and with code objects that are alive: the frame that
//! is about to run owns its own, and that owns the ones among its constants.
//! Nothing here runs Python code: the members of code objects are plain ones, and the values are exact strings, bytes
//! and tuples, which the compiler and `code.__new__` make sure of.

use super::layout::{Code, Frame};
use super::symbols::{Object, Symbols};
use crate::sys::Text;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;

/// The longest name that is put together here, in bytes.
pub const NAME_SIZE: usize = 1024;
/// A name that had to be put together.
pub type Name = Text<NAME_SIZE>;

/// CPython's flags of functions (Include/cpython/code.h): a class body has neither.
pub const CO_OPTIMIZED: i32 = 1;

/// Reads a word or a number of an object.
///
/// # Safety
/// The object is alive and has a value of that type at that offset.
pub unsafe fn field<T: Copy>(object: *const Object, offset: impl Into<usize>) -> T {
    // SAFETY: as promised by the caller; CPython aligns its fields.
    unsafe { object.cast::<u8>().add(offset.into()).cast::<T>().read() }
}

/// The type of an object.
///
/// # Safety
/// The object is alive.
pub unsafe fn type_of(object: *const Object) -> *mut Object {
    // SAFETY: `ob_type` follows the reference count in every build that is supported.
    unsafe { field(object, 8_usize) }
}

/// The code object of a frame, if it is one.
///
/// # Safety
/// The frame is alive.
pub unsafe fn of_frame(symbols: &Symbols, layout: &Frame, frame: *const Object) -> Option<*mut Object> {
    // SAFETY: a live frame has a live object there (None, in some of CPython's own frames).
    unsafe {
        let mut code: *mut Object = field(frame, layout.code);
        if layout.code_is_tagged {
            code = code.map_addr(|address| address & !3);
        }
        (!code.is_null() && type_of(code) == symbols.code_type).then_some(code)
    }
}

/// Our slot in a code object, if the code object has one and it is set.
///
/// # Safety
/// The code object is alive.
pub unsafe fn extra(layout: &Code, code: *const Object, index: u16) -> Option<*mut Object> {
    // SAFETY: `co_extra` is null or points at its size in slots, followed by the slots.
    unsafe {
        let extra: *const isize = field(code, layout.extra);
        if extra.is_null() || *extra <= index as isize {
            return None;
        }
        let slot: *mut Object = *extra.add(1 + usize::from(index)).cast();
        (!slot.is_null()).then_some(slot)
    }
}

/// The text of a string object as UTF-8. `scratch` takes it where the object cannot give it: surrogates become U+FFFD.
///
/// # Safety
/// The object is null or alive, and stays so while the text is used. No error is set.
pub unsafe fn utf8<'a>(symbols: &Symbols, text: *mut Object, scratch: &'a mut Name) -> &'a [u8] {
    // SAFETY: as promised by the caller.
    unsafe {
        if let Some(bytes) = own_utf8(symbols, text) {
            return bytes;
        }
        *scratch = Name::new();
        for index in 0..(symbols.text_length)(text) {
            let character = (symbols.text_character)(text, index);
            let character = char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER);
            if !scratch.push(character.encode_utf8(&mut [0; 4]).as_bytes()) {
                break;
            }
        }
        (symbols.error_clear)();
        scratch.as_bytes()
    }
}

/// The same of an object that can give it, as all can whose text is Unicode.
///
/// # Safety
/// As for [`utf8`].
pub unsafe fn own_utf8<'a>(symbols: &Symbols, text: *mut Object) -> Option<&'a [u8]> {
    if text.is_null() {
        return Some(&[]);
    }
    // SAFETY: the interpreter's function checks the object's type.
    unsafe {
        let mut len = 0;
        let bytes = (symbols.text_as_utf8)(text, &mut len);
        if bytes.is_null() {
            (symbols.error_clear)();
            return None;
        }
        Some(core::slice::from_raw_parts(bytes.cast(), usize::try_from(len).unwrap_or(0)))
    }
}

/// The contents of a bytes object.
///
/// # Safety
/// The object is null or alive, and stays so while the bytes are used. No error is set.
pub unsafe fn bytes<'a>(symbols: &Symbols, object: *mut Object) -> &'a [u8] {
    let (mut start, mut len): (*mut c_char, isize) = (ptr::null_mut(), 0);
    // SAFETY: the interpreter's function checks the object's type.
    unsafe {
        if object.is_null() || (symbols.bytes)(object, &mut start, &mut len) != 0 {
            (symbols.error_clear)();
            return &[];
        }
        core::slice::from_raw_parts(start.cast(), usize::try_from(len).unwrap_or(0))
    }
}

/// An attribute of an object: a new reference, given back on drop.
#[derive(Debug)]
pub struct Attribute<'a> {
    symbols: &'a Symbols,
    object: *mut Object,
}

impl Attribute<'_> {
    /// Null when the object has no such attribute.
    pub fn object(&self) -> *mut Object {
        self.object
    }
}

impl Drop for Attribute<'_> {
    fn drop(&mut self) {
        if !self.object.is_null() {
            // SAFETY: the reference is owned.
            unsafe { (self.symbols.release)(self.object) };
        }
    }
}

/// Looks up an attribute.
///
/// # Safety
/// The object is alive; looking up its attributes runs no Python code. No error is set.
pub unsafe fn attribute<'a>(symbols: &'a Symbols, object: *mut Object, name: &CStr) -> Attribute<'a> {
    // SAFETY: the name is zero-terminated; the rest is the caller's promise.
    let attribute = unsafe { (symbols.get_attribute)(object, name.as_ptr()) };
    if attribute.is_null() {
        // SAFETY: the lock is held.
        unsafe { (symbols.error_clear)() };
    }
    Attribute { symbols, object: attribute }
}

/// The number in an int field of a code object; line numbers below 1 do not occur in source.
///
/// # Safety
/// The code object is alive.
pub unsafe fn first_line(layout: &Code, code: *const Object) -> u32 {
    // SAFETY: as promised by the caller.
    let line: c_int = unsafe { field(code, layout.first_line) };
    u32::try_from(line).unwrap_or(0)
}
