//! CPython's functions, looked up in the running process: nothing is linked.
//!
//! # Safety
//! A function's type here is its declaration in CPython's headers; where versions differ in names, not in types, the
//! names are tried one after the other.

use crate::sys;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;

/// An object, an interpreter, a thread state or a frame of CPython's: only ever used by address.
pub type Object = c_void;
/// A frame evaluation function (PEP 523).
pub type EvalFrame = unsafe extern "C" fn(*mut Object, *mut Object, c_int) -> *mut Object;

macro_rules! symbols {
    ($(#[$doc:meta])* $symbols:ident; $($field:ident: $type:ty = $($name:literal)or+;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $symbols {
            $(pub $field: $type,)*
        }

        impl $symbols {
            /// Finds all of them.
            ///
            /// # Errors
            /// The name of the first one that is missing.
            pub fn load() -> Result<$symbols, &'static CStr> {
                Ok($symbols {
                    $($field: {
                        let names: &[&'static CStr] = &[$($name),+];
                        match names.iter().find_map(|name| sys::symbol(name)) {
                            // SAFETY: the symbol is the function or variable of CPython's that the type declares.
                            Some(address) => unsafe { core::mem::transmute::<NonNull<c_void>, $type>(address) },
                            None => return Err(names.first().copied().unwrap_or_default()),
                        }
                    },)*
                })
            }
        }

        // SAFETY: the addresses are of code and of types, which CPython shares between threads.
        unsafe impl Send for $symbols {}
        // SAFETY: as above.
        unsafe impl Sync for $symbols {}
    };
}

symbols! {
    /// The functions that the hook calls.
    Symbols;
    code_type: *mut Object = c"PyCode_Type";
    default_eval_frame: EvalFrame = c"_PyEval_EvalFrameDefault";
    get_eval_frame: unsafe extern "C" fn(*mut Object) -> EvalFrame = c"_PyInterpreterState_GetEvalFrameFunc";
    set_eval_frame: unsafe extern "C" fn(*mut Object, EvalFrame) = c"_PyInterpreterState_SetEvalFrameFunc";
    this_interpreter: unsafe extern "C" fn() -> *mut Object = c"PyInterpreterState_Get";
    interpreter_id: unsafe extern "C" fn(*mut Object) -> i64 = c"PyInterpreterState_GetID";
    this_thread: unsafe extern "C" fn() -> *mut Object = c"PyThreadState_Get";
    save_thread: unsafe extern "C" fn() -> *mut Object = c"PyEval_SaveThread";
    restore_thread: unsafe extern "C" fn(*mut Object) = c"PyEval_RestoreThread";
    newest_thread: unsafe extern "C" fn() -> *mut Object
        = c"PyThreadState_GetUnchecked" or c"_PyThreadState_UncheckedGet";
    is_initialized: unsafe extern "C" fn() -> c_int = c"Py_IsInitialized";
    interpreter_of_thread: unsafe extern "C" fn(*mut Object) -> *mut Object = c"PyThreadState_GetInterpreter";
    recursion_limit: unsafe extern "C" fn() -> c_int = c"Py_GetRecursionLimit";
    request_code_extra: unsafe extern "C" fn(*const c_void) -> isize
        = c"PyUnstable_Eval_RequestCodeExtraIndex" or c"_PyEval_RequestCodeExtraIndex";
    set_code_extra: unsafe extern "C" fn(*mut Object, isize, *mut c_void) -> c_int
        = c"PyUnstable_Code_SetExtra" or c"_PyCode_SetExtra";
    new_empty_code: unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> *mut Object = c"PyCode_NewEmpty";
    get_attribute: unsafe extern "C" fn(*mut Object, *const c_char) -> *mut Object = c"PyObject_GetAttrString";
    text_type: *mut Object = c"PyUnicode_Type";
    int_type: *mut Object = c"PyLong_Type";
    dict_type: *mut Object = c"PyDict_Type";
    module_type: *mut Object = c"PyModule_Type";
    modules: unsafe extern "C" fn() -> *mut Object = c"PyImport_GetModuleDict";
    dict_next: unsafe extern "C" fn(*mut Object, *mut isize, *mut *mut Object, *mut *mut Object) -> c_int
        = c"PyDict_Next";
    text_equals: unsafe extern "C" fn(*mut Object, *const c_char) -> c_int = c"PyUnicode_CompareWithASCIIString";
    text_as_utf8: unsafe extern "C" fn(*mut Object, *mut isize) -> *const c_char = c"PyUnicode_AsUTF8AndSize";
    text_length: unsafe extern "C" fn(*mut Object) -> isize = c"PyUnicode_GetLength";
    text_character: unsafe extern "C" fn(*mut Object, isize) -> u32 = c"PyUnicode_ReadChar";
    bytes: unsafe extern "C" fn(*mut Object, *mut *mut c_char, *mut isize) -> c_int = c"PyBytes_AsStringAndSize";
    tuple_size: unsafe extern "C" fn(*mut Object) -> isize = c"PyTuple_Size";
    tuple_item: unsafe extern "C" fn(*mut Object, isize) -> *mut Object = c"PyTuple_GetItem";
    long_value: unsafe extern "C" fn(*mut Object) -> isize = c"PyLong_AsSsize_t";
    keep: unsafe extern "C" fn(*mut Object) = c"Py_IncRef";
    release: unsafe extern "C" fn(*mut Object) = c"Py_DecRef";
    error_occurred: unsafe extern "C" fn() -> *mut Object = c"PyErr_Occurred";
    error_clear: unsafe extern "C" fn() = c"PyErr_Clear";
    error_fetch: unsafe extern "C" fn(*mut *mut Object, *mut *mut Object, *mut *mut Object) = c"PyErr_Fetch";
    error_restore: unsafe extern "C" fn(*mut Object, *mut Object, *mut Object) = c"PyErr_Restore";
}

symbols! {
    /// The functions that labels need beside.
    LabelSymbols;
    prepare_module: unsafe extern "C" fn(*mut c_void) -> *mut Object = c"PyModuleDef_Init";
    new_type: unsafe extern "C" fn(*const c_void) -> *mut Object = c"PyType_FromSpec";
    allocate: unsafe extern "C" fn(*mut Object, isize) -> *mut Object = c"PyType_GenericAlloc";
    free: unsafe extern "C" fn(*mut Object) = c"PyObject_Free";
    set_attribute: unsafe extern "C" fn(*mut Object, *const c_char, *mut Object) -> c_int = c"PyObject_SetAttrString";
    hash: unsafe extern "C" fn(*mut Object) -> isize = c"PyObject_Hash";
    to_text: unsafe extern "C" fn(*mut Object) -> *mut Object = c"PyObject_Str";
    new_text: unsafe extern "C" fn(*const c_char) -> *mut Object = c"PyUnicode_FromString";
    new_dict: unsafe extern "C" fn() -> *mut Object = c"PyDict_New";
    copy_dict: unsafe extern "C" fn(*mut Object) -> *mut Object = c"PyDict_Copy";
    merge_dict: unsafe extern "C" fn(*mut Object, *mut Object, c_int) -> c_int = c"PyDict_Merge";
    set_item: unsafe extern "C" fn(*mut Object, *mut Object, *mut Object) -> c_int = c"PyDict_SetItem";
    new_variable: unsafe extern "C" fn(*const c_char, *mut Object) -> *mut Object = c"PyContextVar_New";
    get_variable: unsafe extern "C" fn(*mut Object, *mut Object, *mut *mut Object) -> c_int = c"PyContextVar_Get";
    set_variable: unsafe extern "C" fn(*mut Object, *mut Object) -> *mut Object = c"PyContextVar_Set";
    variable_type: *mut Object = c"PyContextVar_Type";
    new_context: unsafe extern "C" fn() -> *mut Object = c"PyContext_New";
    enter_context: unsafe extern "C" fn(*mut Object) -> c_int = c"PyContext_Enter";
    exit_context: unsafe extern "C" fn(*mut Object) -> c_int = c"PyContext_Exit";
    keep: unsafe extern "C" fn(*mut Object) = c"Py_IncRef";
    set_error: unsafe extern "C" fn(*mut Object, *const c_char) = c"PyErr_SetString";
    type_error: *const *mut Object = c"PyExc_TypeError";
    context_type: *mut Object = c"PyContext_Type";
    none: *mut Object = c"_Py_NoneStruct";
    coroutine_type: *mut Object = c"PyCoro_Type";
    generator_type: *mut Object = c"PyGen_Type";
}

symbols! {
    /// The types of what leads from a task to those that await it.
    TypeSymbols;
    coroutine: *mut Object = c"PyCoro_Type";
    generator: *mut Object = c"PyGen_Type";
    async_generator: *mut Object = c"PyAsyncGen_Type";
    function: *mut Object = c"PyFunction_Type";
    method: *mut Object = c"PyMethod_Type";
    built_in: *mut Object = c"PyCFunction_Type";
    cell: *mut Object = c"PyCell_Type";
    tuple: *mut Object = c"PyTuple_Type";
    list: *mut Object = c"PyList_Type";
}
