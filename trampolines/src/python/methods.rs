//! Stands before a method of a type that is written in C, in the type's table. The method object stays the one that it is.
//!
//! # Safety
//! The tables are CPython's, which reads them at each call (`PyMethodDescrObject`, Objects/descrobject.c), with the
//! interpreter's lock held.

use super::code_object::field;
use super::definitions::Method;
use super::symbols::Object;
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// `tp_methods` of `PyTypeObject` (Include/cpython/object.h).
const METHODS: usize = 232;
/// No type that is meant here has more.
const MOST_METHODS: usize = 64;

/// `METH_O`, and `METH_FASTCALL | METH_KEYWORDS`.
pub const ONE_ARGUMENT: c_int = 0x8;
/// See [`ONE_ARGUMENT`].
pub const FAST_WITH_KEYWORDS: c_int = 0x80 | 0x2;

/// The function of a method before something stood before it; 0 as long as nothing does.
#[derive(Debug)]
pub struct Before(AtomicUsize);

impl Before {
    /// Nothing stands before it.
    pub const fn new() -> Before {
        Before(AtomicUsize::new(0))
    }

    /// The address of the function; 0 if nothing stands before it.
    pub fn address(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Has a function stand before a method of a type. Where the type has none of that name and kind, nothing happens.
    ///
    /// # Safety
    /// The type is alive and stays, and the function is one for such a method. It calls the one that was there before.
    pub unsafe fn put(&self, function: usize, kind: *const Object, name: &CStr, flags: c_int) {
        // SAFETY: as promised by the caller; a table of methods ends with one that has no name.
        unsafe {
            let methods: *mut Method = field(kind, METHODS);
            for at in 0..MOST_METHODS {
                let method = methods.wrapping_add(at);
                if methods.is_null() || (*method).name.is_null() {
                    return;
                }
                if CStr::from_ptr((*method).name) == name && (*method).flags == flags {
                    let function = function as *const c_void;
                    if (*method).function != function {
                        self.0.store((*method).function as usize, Ordering::Release);
                        (&raw mut (*method).function).write_volatile(function);
                    }
                    return;
                }
            }
        }
    }
}
