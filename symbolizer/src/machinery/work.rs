//! The table of what is not machinery in an interpreter's binary.

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

/// Whether a function in an interpreter's binary does work that a program asked for, by its name.
pub fn does_work(function: &str) -> bool {
    let name = function.strip_suffix("_impl").unwrap_or(function);
    if LEADS_TO_PYTHON.contains(&name) || SLOTS.iter().any(|slot| name.ends_with(slot)) {
        return false;
    }
    WORK.iter().any(|family| {
        let rest = name.strip_prefix(family.prefix);
        rest.is_some_and(|rest| family.names.is_empty() || family.names.contains(&rest))
    })
}
