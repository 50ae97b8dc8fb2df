//! Gets control while an interpreter starts, with its lock held, and in each subinterpreter again.
//!
//! `PyImport_Inittab` is CPython's table of built-in modules; it is public and meant to be extended before
//! initialization (documentation of the C API, `PyImport_ExtendInittab`). A copy of it, in which the initializer of one
//! module is wrapped, takes its place.
//!
//! That module is [`EARLY`], or [`LATE`] where CPython's own support for perf comes first. A module of our own can be added.

use super::code_object::type_of;
use super::definitions::{ModuleDefinition, PY_MOD_EXEC, Slot};
use super::refusal::Refusal;
use super::symbols::Object;
use crate::lock::Once;
use crate::sys;
use core::ffi::{CStr, c_char, c_int, c_void};

/// `struct _inittab` (Include/cpython/import.h).
#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    name: *const c_char,
    initialize: Option<Initialize>,
}

/// What makes a built-in module.
pub type Initialize = unsafe extern "C" fn() -> *mut Object;

/// `importlib._bootstrap` imports it in every interpreter, before any module that is written in Python is found.
const EARLY: &CStr = c"_weakref";
/// `-X perf` sets an evaluator of its own while the interpreter starts, and up to 3.14 ends the program if there is one
/// already (Python/pylifecycle.c, `init_interp_main`). This module comes later: the standard streams need it up to 3.13,
/// and `site` does.
const LATE: &CStr = c"_abc";

struct Wrapped {
    original: Initialize,
    on_start: fn(),
}

static WRAPPED: Once<Wrapped> = Once::new();

/// Arranges for `on_start` to be called by every interpreter that starts from now on, `late` in its start or early; and
/// adds a built-in module.
///
/// # Errors
/// Why that cannot be done.
pub fn wrap(on_start: fn(), late: bool, added: Option<(&'static CStr, Initialize)>) -> Result<(), Refusal> {
    let Some(table) = sys::symbol(c"PyImport_Inittab") else {
        return Err(Refusal::Missing(c"PyImport_Inittab"));
    };
    let table = table.cast::<*mut Entry>();
    // SAFETY: the variable holds a table that ends with an entry without a name; this runs before `main`, when nobody
    // else uses it.
    unsafe {
        let first = table.read();
        if first.is_null() {
            return Err(Refusal::NotBuiltIn(EARLY));
        }
        let entries = (0..).take_while(|&at| !(*first.add(at)).name.is_null()).count();
        let name = if late { LATE } else { EARLY };
        let module = (0..entries).find(|&at| CStr::from_ptr((*first.add(at)).name) == name);
        let original = module.and_then(|at| (*first.add(at)).initialize);
        let (Some(module), Some(original)) = (module, original) else {
            return Err(Refusal::NotBuiltIn(name));
        };
        let copy = sys::map_anonymous((entries + 2) * size_of::<Entry>()).map_err(Refusal::Memory)?;
        let copy = copy.cast::<Entry>().as_ptr();
        copy.copy_from_nonoverlapping(first, entries + 1);
        if let Some((name, initialize)) = added {
            // What follows is zeros: the table's end.
            copy.add(entries).write(Entry { name: name.as_ptr(), initialize: Some(initialize) });
        }
        WRAPPED.set(Wrapped { original, on_start });
        (*copy.add(module)).initialize = Some(initialize);
        table.write(copy);
    }
    Ok(())
}

/// The most slots that the module's definition may have; it has about four.
const MOST_SLOTS: usize = 32;

/// Stands for the module's initializer.
///
/// A module with multi-phase initialization (PEP 489) only describes itself here, and from 3.13 on it does so while the
/// main interpreter is current (Python/import.c, `import_run_extension`). Its slots are run by the interpreter that
/// imports it: so the description that we hand on has one more.
unsafe extern "C" fn initialize() -> *mut Object {
    let Some(wrapped) = WRAPPED.get() else { return core::ptr::null_mut() };
    // SAFETY: the module's own initializer, called as CPython would have; what it returns is an object or null.
    unsafe {
        let module = (wrapped.original)();
        match sys::symbol(c"PyModuleDef_Type") {
            Some(definition) if !module.is_null() && type_of(module) == definition.as_ptr() => {
                with_our_slot(module.cast()).map_or(module, |ours| ours.cast_mut().cast())
            }
            _ => {
                (wrapped.on_start)();
                module
            }
        }
    }
}

/// A copy of the definition whose first slot is ours; made once.
///
/// # Safety
/// The definition is a live `PyModuleDef`, whose slots end with a zero.
unsafe fn with_our_slot(definition: *const ModuleDefinition) -> Option<*const ModuleDefinition> {
    struct Copy(*const ModuleDefinition);
    // SAFETY: the copy is only read by whoever has its address, as every definition is.
    unsafe impl Send for Copy {}
    // SAFETY: as above.
    unsafe impl Sync for Copy {}
    static COPY: Once<Copy> = Once::new();

    if COPY.get().is_none() {
        // SAFETY: the definition and its slots are read within their bounds, and the copy has room for one slot more.
        unsafe {
            let slots = (*definition).slots;
            let count = if slots.is_null() { 0 } else { (0..MOST_SLOTS).find(|&at| (*slots.add(at)).slot == 0)? };
            let size = size_of::<ModuleDefinition>() + (count + 2) * size_of::<Slot>();
            let copy = sys::map_anonymous(size).ok()?.cast::<ModuleDefinition>().as_ptr();
            let our_slots = copy.add(1).cast::<Slot>();
            our_slots.write(Slot { slot: PY_MOD_EXEC, value: execute as *const c_void });
            our_slots.add(1).copy_from_nonoverlapping(slots, count);
            copy.write(ModuleDefinition { slots: our_slots, ..*definition });
            COPY.set(Copy(copy));
        }
    }
    COPY.get().map(|copy| copy.0)
}

/// Our slot: runs in the interpreter that imports the module.
extern "C" fn execute(_module: *mut Object) -> c_int {
    if let Some(wrapped) = WRAPPED.get() {
        (wrapped.on_start)();
    }
    0
}
