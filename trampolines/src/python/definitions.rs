//! How modules, types and methods are described to CPython (Include/moduleobject.h, Include/methodobject.h,
//! Include/object.h, Include/typeslots.h; all of the stable ABI).

use super::symbols::Object;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr;

/// What is handed to CPython by its address.
#[derive(Debug)]
pub struct Given<T>(pub UnsafeCell<T>);

// SAFETY: see the module.
unsafe impl<T> Sync for Given<T> {}

impl<T> Given<T> {
    pub const fn new(value: T) -> Given<T> {
        Given(UnsafeCell::new(value))
    }
}

/// `PyModuleDef`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ModuleDefinition {
    pub references: isize,
    pub kind: *mut Object,
    pub init_index_copy: [usize; 3],
    pub name: *const c_char,
    pub doc: *const c_char,
    pub size: isize,
    pub methods: *const Method,
    pub slots: *const Slot,
    pub traverse_clear_free: [usize; 3],
}

/// `PyMethodDef`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Method {
    pub name: *const c_char,
    pub function: *const c_void,
    pub flags: c_int,
    pub doc: *const c_char,
}

/// `PyModuleDef_Slot`, `PyType_Slot`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Slot {
    pub slot: c_int,
    pub value: *const c_void,
}

/// `PyType_Spec`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TypeDefinition {
    pub name: *const c_char,
    pub size: c_int,
    pub item_size: c_int,
    pub flags: c_uint,
    pub slots: *const Slot,
}

pub const METH_NOARGS: c_int = 0x4;
pub const METH_O: c_int = 0x8;
pub const METH_FASTCALL: c_int = 0x80;
pub const PY_TPFLAGS_DEFAULT: c_uint = 1 << 18;
pub const PY_MOD_EXEC: c_int = 2;
/// From 3.12 on: with `PY_MOD_PER_INTERPRETER_GIL_SUPPORTED`.
pub const PY_MOD_MULTIPLE_INTERPRETERS: c_int = 3;
pub const PER_INTERPRETER: *const c_void = ptr::without_provenance(2);
pub const FIRST_WITH_INTERPRETERS: u8 = 12;
/// Numbers of slots (Include/typeslots.h).
pub const PY_TP_DEALLOC: c_int = 52;
pub const PY_TP_DOC: c_int = 56;
pub const PY_TP_METHODS: c_int = 64;
pub const PY_TP_NEW: c_int = 65;

pub const fn method(name: &'static CStr, function: *const c_void, flags: c_int, doc: &'static CStr) -> Method {
    Method { name: name.as_ptr(), function, flags, doc: doc.as_ptr() }
}

pub const fn slot(slot: c_int, value: *const c_void) -> Slot {
    Slot { slot, value }
}

pub const LAST_METHOD: Method = Method { name: ptr::null(), function: ptr::null(), flags: 0, doc: ptr::null() };
pub const LAST_SLOT: Slot = slot(0, ptr::null());
