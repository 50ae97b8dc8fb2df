//! Finds CPython in a process, and makes sure that it is one whose memory can be read.

use super::snapshot::{Pages, Snapshot};
use crate::error::Error;
use crate::target::Target;
use crate::target::files::{LoadedFile, Symbol, loaded_files};
use object::elf::{ELFCLASS32, EM_AARCH64, EM_X86_64};
use pronk_trampolines::python::dict::Pairs;
use pronk_trampolines::python::layout::{self, COOKIE, DebugOffsets, Fields, Layout, Source};
use pronk_trampolines::python::objects::Types;
use pronk_trampolines::python::{SUPPORTED, Walker, int, text};
use std::io::Read;

/// An interpreter in a process: where its things are.
#[derive(Debug)]
pub(crate) struct Python {
    /// `PY_VERSION_HEX`.
    pub(crate) hexversion: u32,
    pub(crate) layout: &'static Layout,
    pub(crate) fields: Fields,
    /// `_PyRuntime`.
    pub(crate) runtime: u64,
    pub(crate) walker: Walker,
    pub(crate) types: Types,
    pub(crate) values: ValueTypes,
    /// The table of `_asyncio`'s offsets, from 3.14 on (`Py_AsyncioModuleDebugOffsets`, Modules/_asynciomodule.c).
    pub(crate) asyncio_offsets: Option<u64>,
}

/// The addresses of the types of values that are shown, and of the objects that there are once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ValueTypes {
    pub(crate) text: u64,
    pub(crate) int: u64,
    pub(crate) bool: u64,
    pub(crate) float: u64,
    pub(crate) bytes: u64,
    pub(crate) byte_array: u64,
    pub(crate) dict: u64,
    pub(crate) set: u64,
    pub(crate) frozen_set: u64,
    pub(crate) kind: u64,
    pub(crate) module: u64,
    pub(crate) none: u64,
    pub(crate) ellipsis: u64,
}

/// The symbols that an interpreter must export.
const SYMBOLS: [&str; 25] = [
    "_PyRuntime",
    "PyCode_Type",
    "_PyEval_EvalFrameDefault",
    "PyCoro_Type",
    "PyGen_Type",
    "PyAsyncGen_Type",
    "PyFunction_Type",
    "PyMethod_Type",
    "PyCFunction_Type",
    "PyCell_Type",
    "PyTuple_Type",
    "PyList_Type",
    "PyUnicode_Type",
    "PyLong_Type",
    "PyBool_Type",
    "PyFloat_Type",
    "PyBytes_Type",
    "PyByteArray_Type",
    "PyDict_Type",
    "PySet_Type",
    "PyFrozenSet_Type",
    "PyType_Type",
    "PyModule_Type",
    "_Py_NoneStruct",
    "_Py_EllipsisObject",
];

/// The lowest byte of `PY_VERSION_HEX` of what is no pre-release (Include/patchlevel.h).
const FINAL: u32 = 0xf0;

impl Python {
    /// Finds the interpreter of a process.
    ///
    /// # Errors
    /// When there is none, or one that cannot be read.
    pub(crate) fn find(target: &Target) -> Result<Python, Error> {
        let pid = target.pid();
        let refused = |why| Error::Unreadable { pid, why };
        check_machine(target).map_err(refused)?;
        let files = loaded_files(target);
        let found = files.iter().find_map(|file| {
            let symbols = file.symbols(SYMBOLS);
            symbols[0].map(|_| (file, symbols))
        });
        let Some((file, symbols)) = found else { return Err(Error::NotPython(pid)) };
        if files.iter().any(LoadedFile::is_musl) {
            return Err(refused("it runs with musl, and only programs with glibc can be read".to_owned()));
        }
        let missing = SYMBOLS.iter().zip(&symbols).find(|(_, symbol)| symbol.is_none());
        if let Some((name, _)) = missing {
            return Err(refused(format!("its interpreter {} does not export {name}", file.path.display())));
        }
        let [version] = file.symbols(["Py_Version"]);
        let asyncio = files.iter().filter(|file| file.name().starts_with("_asyncio.")).chain([file]);
        let asyncio_offsets = asyncio.filter_map(|file| file.section(".AsyncioDebug")).next();
        let addresses = symbols.map(|symbol| symbol.map_or(0, |symbol| symbol.address));
        check(&Snapshot::new(target), addresses, version, asyncio_offsets).map_err(refused)
    }
}

/// Refuses programs for other machines.
fn check_machine(target: &Target) -> Result<(), String> {
    /// `EI_CLASS` is at 4, and `e_machine` at 18 (elf(5)).
    const HEADER: usize = 20;
    let mut header = [0; HEADER];
    let program = std::fs::File::open(target.directory().join("exe"));
    // What cannot be read here is found out where the interpreter is looked for.
    if program.and_then(|mut file| file.read_exact(&mut header)).is_err() || !header.starts_with(b"\x7fELF") {
        return Ok(());
    }
    if header[4] == ELFCLASS32 {
        return Err("it is a 32-bit program".to_owned());
    }
    let ours = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
    match u16::from_le_bytes([header[18], header[19]]) {
        machine if machine == ours => Ok(()),
        machine => Err(format!("it is a program for another machine (e_machine is {machine})")),
    }
}

/// The version of an interpreter, as far as it says so itself.
enum Stated {
    /// In `_Py_DebugOffsets` or `Py_Version`.
    Is(u32),
    /// It says so only where the layout leads: these are the ones that do not say it otherwise.
    OneOf([u8; 2]),
}

/// Makes sure that an interpreter is what its version says.
fn check(
    snapshot: &Snapshot,
    addresses: [u64; SYMBOLS.len()],
    version: Option<Symbol>,
    asyncio_offsets: Option<u64>,
) -> Result<Python, String> {
    let [runtime, ..] = addresses;
    let mut offsets: DebugOffsets = [0; _];
    for (place, word) in (runtime..).step_by(8).zip(&mut offsets) {
        *word = snapshot.word(place).unwrap_or(0);
    }
    let [cookie, hexversion, free_threaded, ..] = offsets;
    let stated = match (cookie, version) {
        (COOKIE, _) => Stated::Is(hexversion as u32),
        (_, Some(symbol)) => Stated::Is(snapshot.word(symbol.address).unwrap_or(0) as u32),
        _ => Stated::OneOf([9, 10]),
    };
    if cookie == COOKIE && free_threaded != 0 {
        return Err(format!("its CPython {} is free-threaded, which cannot be read", version_text(hexversion as u32)));
    }
    let candidates: Vec<u8> = match stated {
        Stated::Is(hexversion) => {
            let [major, minor, _, level] = hexversion.to_be_bytes();
            if major != 3 || !SUPPORTED.contains(&minor) {
                let (oldest, newest) = (SUPPORTED.start(), SUPPORTED.end());
                let text = version_text(hexversion);
                return Err(format!("it is CPython {text}; those from 3.{oldest} to 3.{newest} can be read"));
            }
            if u32::from(level) & FINAL != FINAL {
                return Err(format!("its CPython {} is a pre-release, which cannot be read", version_text(hexversion)));
            }
            vec![minor]
        }
        Stated::OneOf(minors) => minors.into(),
    };
    for minor in candidates {
        let Some(layout) = layout::of(minor) else { continue };
        let fields = match layout.runtime {
            Source::Fixed(fields) => Some(fields),
            Source::Published(published) => published.fields(&offsets, layout),
        };
        let Some(fields) = fields else { continue };
        let python = Python::new(addresses, layout, fields, asyncio_offsets);
        if let Some(hexversion) = python.stated_version(snapshot).filter(|version| version.to_be_bytes()[1] == minor) {
            return Ok(Python { hexversion, ..python });
        }
    }
    Err("its interpreter has not started yet, or its layout is not the one of its version".to_owned())
}

fn version_text(hexversion: u32) -> String {
    let [major, minor, micro, _] = hexversion.to_be_bytes();
    format!("{major}.{minor}.{micro}")
}

impl Python {
    fn new(
        addresses: [u64; SYMBOLS.len()],
        layout: &'static Layout,
        fields: Fields,
        asyncio_offsets: Option<u64>,
    ) -> Python {
        let [runtime, code_type, evaluator, rest @ ..] = addresses;
        let [coroutine, generator, async_generator, function, method, built_in, cell, tuple, list, rest @ ..] = rest;
        let [text, int, bool, float, bytes, byte_array, dict, set, frozen_set, kind, module, none, ellipsis] = rest;
        Python {
            hexversion: 0,
            layout,
            fields,
            runtime,
            walker: Walker { layout, code_type, evaluator },
            types: Types { coroutine, generator, async_generator, function, method, built_in, cell, tuple, list },
            values: ValueTypes {
                text,
                int,
                bool,
                float,
                bytes,
                byte_array,
                dict,
                set,
                frozen_set,
                kind,
                module,
                none,
                ellipsis,
            },
            asyncio_offsets,
        }
    }

    /// `sys.hexversion`: it is found only if the layout leads there.
    fn stated_version(&self, snapshot: &Snapshot) -> Option<u32> {
        // The main one is there from the start to the end; another one may just be made, or be about to go.
        self.interpreters(snapshot).iter().find_map(|interpreter| {
            let system = snapshot.word(interpreter.address.wrapping_add(self.fields.system))?;
            let object = self.value_of(snapshot, system, b"hexversion")?;
            // SAFETY: a snapshot takes any address.
            let number = unsafe { int::number(&snapshot, self.layout, object) }?;
            u32::try_from(number).ok()
        })
    }

    /// The value of a text in a dictionary.
    pub(crate) fn value_of<P: Pages>(&self, snapshot: &Snapshot<P>, dictionary: u64, key: &[u8]) -> Option<u64> {
        /// How many keys are looked through: `sys.modules` of a large program has thousands.
        const MOST_KEYS: usize = 1 << 16;
        let type_of_dictionary = snapshot.word(dictionary.wrapping_add(8))?;
        if type_of_dictionary != self.values.dict {
            return None;
        }
        // SAFETY: a snapshot takes any address.
        let mut entries = unsafe { Pairs::of(&snapshot, self.layout, dictionary)?.read(snapshot) }.take(MOST_KEYS);
        let is_key = |(name, value): &(u64, u64)| {
            *name != 0 && *value != 0 && text::is_text(&snapshot, &self.layout.text, *name, key)
        };
        entries.find(is_key).map(|(_, value)| value)
    }
}
