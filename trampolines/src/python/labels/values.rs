//! The values of labels: texts, and whole numbers.
//!
//! # Safety
//! All functions are called with the interpreter's lock held.

use super::super::code_object::{own_utf8, type_of};
use super::super::symbols::Object;
use super::Python;
use crate::context::Pairs;
use crate::sys::Text;
use core::ffi::CStr;
use core::ptr;

/// What stands for a text that is none, or that has surrogates without partners.
const NOT_UNICODE: &CStr = c"?";

impl Python {
    /// The text of labels.
    ///
    /// # Safety
    /// See the module; no error is set. The dictionary is a label's.
    pub unsafe fn pairs(&self, labels: *mut Object) -> Pairs {
        let mut pairs = Pairs::new();
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: the dictionary is not changed meanwhile; keys and values are borrowed from it.
        unsafe {
            while (self.symbols.dict_next)(labels, &mut position, &mut key, &mut value) != 0 {
                let key = own_utf8(&self.symbols, key).unwrap_or(NOT_UNICODE.to_bytes());
                if type_of(value) == self.symbols.text_type {
                    pairs.push(key, own_utf8(&self.symbols, value).unwrap_or(NOT_UNICODE.to_bytes()));
                    continue;
                }
                let number = (self.symbols.long_value)(value);
                if number == -1 && !(self.symbols.error_occurred)().is_null() {
                    (self.symbols.error_clear)();
                }
                let number: Text<24> = Text::format(format_args!("{number}"));
                pairs.push(key, number.as_bytes());
            }
        }
        pairs
    }

    /// Has all values be texts or whole numbers that fit into a word. `str` gives their texts; one that fails is `?`.
    ///
    /// # Safety
    /// See the module; no error is set. The dictionary is ours alone.
    pub unsafe fn make_plain(&self, labels: *mut Object) -> bool {
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: values of keys that are there may be replaced while the dictionary is gone through.
        unsafe {
            while (self.symbols.dict_next)(labels, &mut position, &mut key, &mut value) != 0 {
                let kind = type_of(value);
                if kind == self.symbols.text_type || (kind == self.symbols.int_type && self.fits(value)) {
                    continue;
                }
                let mut text = (self.labels.to_text)(value);
                if !text.is_null() && type_of(text) != self.symbols.text_type {
                    // What derives from a text may refer to anything.
                    (self.symbols.release)(text);
                    text = ptr::null_mut();
                }
                if text.is_null() {
                    (self.symbols.error_clear)();
                    text = (self.labels.new_text)(NOT_UNICODE.as_ptr());
                }
                let is_set = !text.is_null() && (self.labels.set_item)(labels, key, text) == 0;
                if !text.is_null() {
                    (self.symbols.release)(text);
                }
                if !is_set {
                    return false;
                }
            }
        }
        true
    }

    /// # Safety
    /// See the module; no error is set. The object is an int.
    unsafe fn fits(&self, number: *mut Object) -> bool {
        // SAFETY: as promised by the caller.
        unsafe {
            if (self.symbols.long_value)(number) != -1 || (self.symbols.error_occurred)().is_null() {
                return true;
            }
            (self.symbols.error_clear)();
        }
        false
    }
}
