//! The module's definition.
//!
//! # Safety
//! The structures are CPython's (Include/moduleobject.h, Include/methodobject.h, Include/object.h of the stable ABI). They
//! stay for good, and CPython changes nothing but the head of the module's definition, with its lock held.

use super::super::symbols::Object;
use super::inherited::ContextVariables;
use super::label::{self, SIZE};
use super::{CONTEXT_VARIABLES, Interpreter, PYTHON, blocks};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr;

/// What is handed to CPython by its address.
struct Given<T>(UnsafeCell<T>);

// SAFETY: see the module.
unsafe impl<T> Sync for Given<T> {}

impl<T> Given<T> {
    const fn new(value: T) -> Given<T> {
        Given(UnsafeCell::new(value))
    }
}

/// `PyModuleDef`.
#[repr(C)]
struct ModuleDefinition {
    references: isize,
    kind: *mut Object,
    init_index_copy: [usize; 3],
    name: *const c_char,
    doc: *const c_char,
    size: isize,
    methods: *const Method,
    slots: *const Slot,
    traverse_clear_free: [usize; 3],
}

/// `PyMethodDef`.
#[repr(C)]
struct Method {
    name: *const c_char,
    function: *const c_void,
    flags: c_int,
    doc: *const c_char,
}

/// `PyModuleDef_Slot`, `PyType_Slot`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Slot {
    slot: c_int,
    value: *const c_void,
}

/// `PyType_Spec`.
#[repr(C)]
struct TypeDefinition {
    name: *const c_char,
    size: c_int,
    item_size: c_int,
    flags: c_uint,
    slots: *const Slot,
}

const METH_NOARGS: c_int = 0x4;
const METH_O: c_int = 0x8;
const METH_FASTCALL: c_int = 0x80;
const PY_TPFLAGS_DEFAULT: c_uint = 1 << 18;
const PY_MOD_EXEC: c_int = 2;
/// From 3.12 on: with `PY_MOD_PER_INTERPRETER_GIL_SUPPORTED`.
const PY_MOD_MULTIPLE_INTERPRETERS: c_int = 3;
const PER_INTERPRETER: *const c_void = ptr::without_provenance(2);
const FIRST_WITH_INTERPRETERS: u8 = 12;
/// Numbers of slots (Include/typeslots.h).
const PY_TP_DEALLOC: c_int = 52;
const PY_TP_DOC: c_int = 56;
const PY_TP_METHODS: c_int = 64;
const PY_TP_NEW: c_int = 65;

const fn method(name: &'static CStr, function: *const c_void, flags: c_int, doc: &'static CStr) -> Method {
    Method { name: name.as_ptr(), function, flags, doc: doc.as_ptr() }
}

const fn slot(slot: c_int, value: *const c_void) -> Slot {
    Slot { slot, value }
}

const LAST_METHOD: Method = Method { name: ptr::null(), function: ptr::null(), flags: 0, doc: ptr::null() };
const LAST_SLOT: Slot = slot(0, ptr::null());

static LABEL_METHODS: Given<[Method; 3]> = Given::new([
    method(c"__enter__", label::enter as *const c_void, METH_NOARGS, c"Opens the block."),
    method(c"__exit__", label::exit as *const c_void, METH_FASTCALL, c"Closes the block."),
    LAST_METHOD,
]);

static LABEL_SLOTS: Given<[Slot; 5]> = Given::new([
    slot(PY_TP_NEW, label::new as *const c_void),
    slot(PY_TP_DEALLOC, label::delete as *const c_void),
    slot(PY_TP_METHODS, LABEL_METHODS.0.get() as *const c_void),
    slot(PY_TP_DOC, c"label(key=value, ...): samples of a `with` block have these labels.".as_ptr().cast()),
    LAST_SLOT,
]);

static LABEL: Given<TypeDefinition> = Given::new(TypeDefinition {
    name: c"_pronk.label".as_ptr(),
    size: SIZE as c_int,
    item_size: 0,
    flags: PY_TPFLAGS_DEFAULT,
    slots: LABEL_SLOTS.0.get().cast(),
});

static METHODS: Given<[Method; 3]> = Given::new([
    method(c"labels", labels as *const c_void, METH_NOARGS, c"The labels that a sample would have now."),
    method(
        c"pass_over",
        pass_over as *const c_void,
        METH_O,
        c"Has a module's functions have no blocks, by its dictionary.",
    ),
    LAST_METHOD,
]);

static SLOTS: Given<[Slot; 3]> = Given::new([
    slot(PY_MOD_EXEC, execute as *const c_void),
    slot(PY_MOD_MULTIPLE_INTERPRETERS, PER_INTERPRETER),
    LAST_SLOT,
]);

static SLOTS_BEFORE_3_12: Given<[Slot; 2]> = Given::new([slot(PY_MOD_EXEC, execute as *const c_void), LAST_SLOT]);

static MODULE: Given<ModuleDefinition> = Given::new(ModuleDefinition {
    references: 1,
    kind: ptr::null_mut(),
    init_index_copy: [0; 3],
    name: c"_pronk".as_ptr(),
    doc: ptr::null(),
    size: 0,
    methods: METHODS.0.get().cast(),
    slots: SLOTS.0.get().cast(),
    traverse_clear_free: [0; 3],
});

/// `PyInit__pronk`.
pub unsafe extern "C" fn initialize() -> *mut Object {
    let Some(python) = PYTHON.get() else { return ptr::null_mut() };
    // SAFETY: the interpreter's lock is held; what is written is the same each time.
    unsafe {
        if python.minor < FIRST_WITH_INTERPRETERS {
            (*MODULE.0.get()).slots = SLOTS_BEFORE_3_12.0.get().cast();
        }
        (python.labels.prepare_module)(MODULE.0.get().cast())
    }
}

/// Runs when an interpreter imports the module: -1 with an error set if that fails.
unsafe extern "C" fn execute(module: *mut Object) -> c_int {
    let Some(python) = PYTHON.get() else { return 0 };
    let (symbols, labels) = (&python.symbols, &python.labels);
    // SAFETY: the interpreter's lock is held; references are ours until they are released.
    unsafe {
        let kind = (labels.new_type)(LABEL.0.get().cast());
        if kind.is_null() {
            return -1;
        }
        let variable = (labels.new_variable)(c"_pronk.around".as_ptr(), ptr::null_mut());
        // The type keeps the variable: whoever has a label has the type.
        let done = !variable.is_null()
            && (labels.set_attribute)(kind, c"_around".as_ptr(), variable) == 0
            && (labels.set_attribute)(module, c"label".as_ptr(), kind) == 0;
        if done {
            if CONTEXT_VARIABLES.get().is_none()
                && let Some(learned) = ContextVariables::learn(symbols, labels, python.walker.layout)
            {
                CONTEXT_VARIABLES.set(learned);
            }
            let hash = (labels.hash)(variable) as u64;
            Interpreter::keep((symbols.this_interpreter)() as u64, kind as u64, variable as u64, hash);
        }
        if !variable.is_null() {
            (symbols.release)(variable);
        }
        (symbols.release)(kind);
        if done { 0 } else { -1 }
    }
}

unsafe extern "C" fn labels(_: *mut Object, _: *mut Object) -> *mut Object {
    // SAFETY: the interpreter's lock is held, and no error is set.
    PYTHON.get().map_or(ptr::null_mut(), |python| unsafe { python.labels_now() })
}

unsafe extern "C" fn pass_over(_: *mut Object, globals: *mut Object) -> *mut Object {
    let Some(python) = PYTHON.get() else { return ptr::null_mut() };
    // SAFETY: the interpreter's lock is held. The dictionary is kept for good: so is a module's.
    unsafe { (python.labels.keep)(globals) };
    blocks::pass_over(globals as u64);
    python.none()
}
