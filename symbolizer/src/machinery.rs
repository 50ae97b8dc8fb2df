//! Tells the interpreter's own machinery from native code that a person would want to see.
//!
//! An interpreter's binary holds both: the evaluator, calls, attributes and memory, and also built-in modules and
//! functions that do work of their own when a program asks for it. A person who sorts a list wants to see `list_sort`,
//! and not the four functions of the machinery that lead there. The two are told apart by name, by the table in
//! [`work`]: what is not in it is machinery. A binary without symbols for them shows none of this work as native; its
//! time then is the Python function's that asked for it.

mod work;

use crate::native::Module;
use crate::profile::Category;

/// What a binary is, as far as categories go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// It holds the evaluator of CPython: an executable or a shared library.
    Interpreter,
    /// It only calls an interpreter in a library: `python3` of a build with a shared library.
    Launcher,
    /// pronk's own library in the target.
    Agent,
    /// The C library or the dynamic loader.
    CLibrary,
    /// Any other.
    Other,
}

/// What the agent's library is called.
const AGENT: &str = "libpronk.so";

/// How the names of the C library's files begin: glibc (with and without version; the thread library was a file of its own
/// before 2.34) and musl.
const C_LIBRARIES: [&str; 8] =
    ["libc.so", "libc-2.", "libpthread.so", "libpthread-2.", "libc.musl-", "ld-linux", "ld-musl-", "ld-2."];

/// What starts a program or a thread: in glibc `sysdeps/*/start.S`, `csu/libc-start.c`, `nptl/pthread_create.c` and
/// `sysdeps/unix/sysv/linux/*/clone*.S`; in musl `crt/crt1.c`, `src/env/__libc_start_main.c` and `src/thread/`.
const STARTERS: [&str; 13] = [
    "_start",
    "_start_c",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "libc_start_main_stage2",
    "start_thread",
    "start",
    "clone",
    "clone3",
    "__clone",
    "__clone3",
    "_dl_start_user",
];

/// The dynamic linker's work behind calls and thread-local variables of an interpreter in a shared library, which a
/// program never asks for by itself: in glibc `elf/dl-runtime.c`, `elf/dl-lookup.c`, `elf/dl-tls.c` and
/// `sysdeps/x86_64/dl-trampoline.h`; in musl `src/thread/__tls_get_addr.c`.
const LINKER: [&str; 9] = [
    "__tls_get_addr",
    "__tls_get_addr_slow",
    "tls_get_addr_tail",
    "update_get_addr",
    "_dl_fixup",
    "_dl_lookup_symbol_x",
    "_dl_new_hash",
    "do_lookup_x",
    "check_match",
];
/// How the names of its entries for lazy binding begin: each has one for each way to save registers.
const LINKER_ENTRIES: [&str; 2] = ["_dl_runtime_resolve", "_dl_tlsdesc_"];

impl Binary {
    /// What a binary is.
    pub fn of(module: &Module) -> Binary {
        if module.name == AGENT {
            Binary::Agent
        } else if module.defines("_PyEval_EvalFrameDefault") {
            Binary::Interpreter
        } else if C_LIBRARIES.iter().any(|prefix| module.name.starts_with(prefix)) {
            Binary::CLibrary
        } else if module.imports("Py_BytesMain") {
            // CPython's Programs/python.c: its `main` calls this and nothing else.
            Binary::Launcher
        } else {
            Binary::Other
        }
    }

    /// The category of a function in the binary. Functions that were inlined into it have the same.
    pub fn category(self, function: &str) -> Category {
        let machinery = match self {
            Binary::Agent => true,
            Binary::Interpreter => !work::does_work(function),
            Binary::Launcher => matches!(function, "main" | "_start"),
            Binary::CLibrary => {
                let is_entry = LINKER_ENTRIES.iter().any(|prefix| function.starts_with(prefix));
                STARTERS.contains(&function) || LINKER.contains(&function) || is_entry
            }
            Binary::Other => function == "_start",
        };
        if machinery { Category::Interpreter } else { Category::Native }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_a_program_asks_for_is_native() {
        for name in [
            "builtin_sorted",
            "list_sort",
            "list_sort_impl",
            "sre_ucs1_match",
            "_sre_SRE_Pattern_search",
            "unicode_join",
            "bytes_replace",
            "gc_collect_main",
            "time_sleep",
            "_io_TextIOWrapper_write",
            "inflate",
            "deflate_fast",
            "sqlite3VdbeExec",
            "chain_next",
            "k_mul",
            "marshal_loads",
            "set_union",
        ] {
            assert_eq!(Binary::Interpreter.category(name), Category::Native, "{name}");
        }
    }

    #[test]
    fn everything_else_in_an_interpreter_is_machinery() {
        for name in [
            "_PyEval_EvalFrameDefault",
            "PyObject_Vectorcall",
            "cfunction_vectorcall_O",
            "list_dealloc",
            "dict_subscript",
            "long_add",
            "unicode_hash",
            "deque_dealloc",
            "_io_clear",
            "builtin_exec",
            "builtin___build_class___impl",
            "match_keys",
            "pattern_dealloc",
            "main",
            "python3.15+0x4f0",
            "",
        ] {
            assert_eq!(Binary::Interpreter.category(name), Category::Interpreter, "{name}");
        }
    }

    #[test]
    fn what_starts_programs_and_binds_calls_is_machinery() {
        assert_eq!(Binary::CLibrary.category("start_thread"), Category::Interpreter);
        assert_eq!(Binary::CLibrary.category("__libc_start_main_impl"), Category::Interpreter);
        assert_eq!(Binary::CLibrary.category("memcpy"), Category::Native);
        assert_eq!(Binary::CLibrary.category("__tls_get_addr"), Category::Interpreter);
        assert_eq!(Binary::CLibrary.category("_dl_runtime_resolve_xsavec"), Category::Interpreter);
        assert_eq!(Binary::CLibrary.category("_dl_open"), Category::Native);
        assert_eq!(Binary::Other.category("do_lookup_x"), Category::Native);
        assert_eq!(Binary::Launcher.category("main"), Category::Interpreter);
        assert_eq!(Binary::Other.category("main"), Category::Native);
        assert_eq!(Binary::Other.category("_start"), Category::Interpreter);
        assert_eq!(Binary::Agent.category("hook"), Category::Interpreter);
    }

    #[test]
    fn binaries_without_symbols_are_known_by_their_names() {
        let binary = |name| Binary::of(&Module::without_names(name));
        assert_eq!(binary("libpronk.so"), Binary::Agent);
        assert_eq!(binary("libc.so.6"), Binary::CLibrary);
        assert_eq!(binary("ld-linux-x86-64.so.2"), Binary::CLibrary);
        assert_eq!(binary("libcrypto.so.3"), Binary::Other);
    }
}
