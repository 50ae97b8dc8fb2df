//! Tells the interpreter's own machinery from native code that a person would want to see.
//!
//! An interpreter's binary holds both: the evaluator, calls, attributes and memory, and also built-in modules and
//! functions that do work of their own when a program asks for it. A person who sorts a list wants to see `list_sort`,
//! and not the four functions of the machinery that lead there. The two are told apart by name, by the table
//! [`WORK`]: what is not in it is machinery. A binary without symbols for them shows none of this work as native; its
//! time then is the Python function's that asked for it.

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
            Binary::Interpreter => !does_work(function),
            Binary::Launcher => matches!(function, "main" | "_start"),
            Binary::CLibrary => STARTERS.contains(&function),
            Binary::Other => function == "_start",
        };
        if machinery { Category::Interpreter } else { Category::Native }
    }
}

/// A group of functions that do work that a program asked for, by the names that they have in CPython 3.9 to 3.15.
struct Family {
    prefix: &'static str,
    /// What follows the prefix; empty for anything.
    names: &'static [&'static str],
}

const fn all(prefix: &'static str) -> Family {
    Family { prefix, names: &[] }
}

const fn some(prefix: &'static str, names: &'static [&'static str]) -> Family {
    Family { prefix, names }
}

/// Names in an interpreter's binary that are not machinery.
///
/// Methods and functions made by Argument Clinic are called `type_method` and `module_function`, with `_impl` behind for
/// the part that does the work. Of the built-in types, only methods that a program calls by name are here: their slots
/// (`list_dealloc`, `dict_subscript`, `unicode_hash`, `long_add`) are how the interpreter runs any program.
const WORK: &[Family] = &[
    // Built-in functions (Python/bltinmodule.c) and what they iterate with.
    all("builtin_"),
    some("map_", &["next"]),
    some("filter_", &["next"]),
    some("zip_", &["next"]),
    some("enum_", &["next"]),
    all("min_max"),
    // Methods of built-in types (Objects/).
    some("list_", &["sort", "reverse", "index", "count", "remove", "insert", "copy", "extend"]),
    some("dict_", &["copy", "update", "fromkeys", "items", "keys", "values"]),
    some("set_", SET_METHODS),
    some("frozenset_", SET_METHODS),
    some("unicode_", TEXT_METHODS),
    some("bytes_", TEXT_METHODS),
    some("bytearray_", TEXT_METHODS),
    all("stringlib_"),
    all("asciilib_"),
    all("ucs1lib_"),
    all("ucs2lib_"),
    all("ucs4lib_"),
    some("do_string_", &["format", "format_map"]),
    some("tuple_", &["index", "count"]),
    some("memoryview_", &["tobytes", "tolist", "hex", "cast"]),
    // Numbers that are too long for one machine word, and numbers in words (Objects/longobject.c, floatobject.c).
    some("int_", &["from_bytes", "to_bytes", "__format__"]),
    some("float_", &["hex", "fromhex", "__format__"]),
    some("long_", &["pow", "divrem", "to_decimal_string", "to_decimal_string_internal", "format_binary"]),
    some("k_", &["mul", "lopsided_mul"]),
    some("x_", &["mul", "divrem"]),
    // Sorting (Objects/listobject.c).
    some("binary", &["sort"]),
    some("gallop_", &["left", "right"]),
    some("merge_", &["lo", "hi", "at"]),
    // The garbage collector (Modules/gcmodule.c, from 3.13 on Python/gc.c).
    all("gc_collect"),
    some("PyGC_", &["Collect"]),
    // Regular expressions (Modules/_sre).
    all("_sre_"),
    all("sre_"),
    some("pattern_", &["subx", "new_match"]),
    some("match_", &["group", "getslice", "getslice_by_index"]),
    // Input and output (Modules/_io).
    all("_io_"),
    all("_buffered"),
    all("buffered_"),
    all("bufferedrwpair_"),
    all("_textiowrapper_"),
    all("textiowrapper_"),
    all("fileio_"),
    all("bytesio_"),
    all("stringio_"),
    // Operating system and time.
    all("os_"),
    all("time_"),
    all("select_"),
    all("sock_"),
    all("_socket_"),
    all("signal_"),
    some("lock_", &["PyThread_acquire_lock"]),
    some("rlock_", &["acquire"]),
    // Data: codecs, marshal, pickle, JSON, CSV, struct, arrays.
    all("_codecs_"),
    all("marshal_"),
    some("r_", &["object"]),
    some("w_", &["object"]),
    all("_pickle_"),
    some("save", &["", "_reduce"]),
    all("_json_"),
    all("scanner_call"),
    all("scan_once_"),
    all("scanstring_"),
    all("encoder_"),
    all("py_scanstring"),
    all("py_encode_basestring"),
    all("_csv_"),
    all("_struct_"),
    all("Struct_"),
    all("s_pack"),
    all("s_unpack"),
    all("array_array_"),
    all("binascii_"),
    all("_datetime_"),
    all("datetime_"),
    // Collections, iterators, functions.
    all("_collections_"),
    all("deque_"),
    all("OrderedDict_"),
    all("itertools_"),
    some("accumulate_", &["next"]),
    some("batched_", &["next"]),
    some("chain_", &["next"]),
    some("combinations_", &["next"]),
    some("compress_", &["next"]),
    some("cwr_", &["next"]),
    some("groupby_", &["next"]),
    some("islice_", &["next"]),
    some("pairwise_", &["next"]),
    some("permutations_", &["next"]),
    some("product_", &["next"]),
    some("starmap_", &["next"]),
    some("takewhile_", &["next"]),
    some("zip_longest_", &["next"]),
    some("functools_", &["reduce"]),
    some("_functools_", &["reduce"]),
    all("_heapq_"),
    all("_bisect_"),
    all("_operator_"),
    // Mathematics and randomness.
    all("math_"),
    all("cmath_"),
    all("_random_"),
    all("_statistics_"),
    all("unicodedata_"),
    all("_decimal_"),
    all("mpd_"),
    all("_mpd_"),
    // Compression and hashes.
    all("zlib_"),
    some("", &["deflate", "inflate", "crc32", "crc32_z", "adler32", "adler32_z", "compress_block"]),
    all("deflate_"),
    all("inflate_"),
    all("_bz2_"),
    all("BZ2_"),
    all("_lzma_"),
    all("lzma_"),
    all("ZSTD_"),
    all("_zstd_"),
    all("_hashlib_"),
    all("EVP_"),
    all("_md5_"),
    all("MD5Type_"),
    all("_sha1_"),
    all("_sha2_"),
    all("_sha256_"),
    all("_sha512_"),
    all("_sha3_"),
    all("SHA1Type_"),
    all("SHA256Type_"),
    all("SHA512Type_"),
    all("_blake2_"),
    all("blake2"),
    all("Hacl_"),
    all("python_hashlib_Hacl_"),
    // Libraries that statically linked interpreters contain.
    all("sqlite3"),
    all("pysqlite_"),
    all("SSL_"),
    all("_ssl_"),
    all("XML_"),
    all("pyexpat_"),
    all("_elementtree_"),
    all("ffi_"),
    all("_ctypes_"),
];

/// The methods of `set` and `frozenset` that look at every element.
const SET_METHODS: &[&str] = &[
    "copy",
    "difference",
    "difference_multi",
    "difference_update",
    "intersection",
    "intersection_multi",
    "intersection_update",
    "isdisjoint",
    "issubset",
    "issuperset",
    "symmetric_difference",
    "symmetric_difference_update",
    "union",
    "update",
];

/// The methods of `str`, `bytes` and `bytearray` that look at every character.
const TEXT_METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "decode",
    "encode",
    "encode_utf8",
    "decode_utf8",
    "endswith",
    "expandtabs",
    "extend",
    "find",
    "fromhex",
    "hex",
    "index",
    "isalnum",
    "isalpha",
    "isdigit",
    "isspace",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "reverse",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

/// How the names of slots and module hooks end: they belong to the machinery whatever their type or module does.
const SLOTS: [&str; 5] = ["_dealloc", "_traverse", "_free", "_clear", "_new"];

/// Built-in functions that only lead to other Python code, which has frames of its own.
const LEADS_TO_PYTHON: [&str; 4] = ["builtin___build_class__", "builtin___import__", "builtin_exec", "builtin_eval"];

fn does_work(function: &str) -> bool {
    let name = function.strip_suffix("_impl").unwrap_or(function);
    if LEADS_TO_PYTHON.contains(&name) || SLOTS.iter().any(|slot| name.ends_with(slot)) {
        return false;
    }
    WORK.iter().any(|family| {
        let rest = name.strip_prefix(family.prefix);
        rest.is_some_and(|rest| family.names.is_empty() || family.names.contains(&rest))
    })
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
    fn what_starts_programs_and_threads_is_machinery() {
        assert_eq!(Binary::CLibrary.category("start_thread"), Category::Interpreter);
        assert_eq!(Binary::CLibrary.category("__libc_start_main_impl"), Category::Interpreter);
        assert_eq!(Binary::CLibrary.category("memcpy"), Category::Native);
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
