//! The module's definition.
//!
//! # Safety
//! The definitions stay for good, and CPython changes nothing but the head of the module's, with its lock held.

use super::super::definitions::{
    FIRST_WITH_INTERPRETERS, Given, LAST_METHOD, LAST_SLOT, METH_FASTCALL, METH_NOARGS, METH_O, Method,
    ModuleDefinition, PER_INTERPRETER, PY_MOD_EXEC, PY_MOD_MULTIPLE_INTERPRETERS, PY_TP_DEALLOC, PY_TP_DOC,
    PY_TP_METHODS, PY_TP_NEW, PY_TPFLAGS_DEFAULT, Slot, TypeDefinition, method, slot,
};
use super::super::symbols::Object;
use super::label::{self, SIZE};
use super::{Interpreter, PYTHON, blocks, learn_context_variables, runs, task};
use core::ffi::{c_int, c_void};
use core::ptr;

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

static METHODS: Given<[Method; 4]> = Given::new([
    method(c"labels", labels as *const c_void, METH_NOARGS, c"The labels that a sample would have now."),
    method(c"task", task::task as *const c_void, METH_FASTCALL, c"A block, or a coroutine, that is a task."),
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
            learn_context_variables();
            runs::follow(symbols, labels);
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
