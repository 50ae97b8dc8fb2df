//! First sight of a code object: gives it a stub and writes into the registry what it is called.

use super::code_object::{self, CO_OPTIMIZED, Name, attribute, bytes, field, first_line, utf8};
use super::codes::describe_known;
use super::coroutines;
use super::links::Link;
use super::symbols::{Object, Symbols};
use super::{CPython, FUNCTIONS, Sampled};
use crate::capture::memory::Straight;
use crate::capture::{self, Capture};
use crate::stub::Stub;
use crate::sys::Text;
use crate::wire::Function;
use core::ptr;

/// Code objects nest as functions and classes in source do; deeper ones are named when they run.
const DEEPEST_NESTING: usize = 32;

/// Keeps the interpreter's error as it is: a frame may be about to run with one set (`generator.throw`).
struct KeepError<'a> {
    symbols: &'a Symbols,
    kept: Option<[*mut Object; 3]>,
}

impl<'a> KeepError<'a> {
    /// # Safety
    /// The interpreter's lock is held.
    unsafe fn new(symbols: &'a Symbols) -> KeepError<'a> {
        // SAFETY: the three pointers are valid to be written.
        let kept = unsafe {
            (!(symbols.error_occurred)().is_null()).then(|| {
                let [mut kind, mut value, mut traceback] = [ptr::null_mut(); 3];
                (symbols.error_fetch)(&mut kind, &mut value, &mut traceback);
                [kind, value, traceback]
            })
        };
        KeepError { symbols, kept }
    }
}

impl Drop for KeepError<'_> {
    fn drop(&mut self) {
        if let Some([kind, value, traceback]) = self.kept {
            // SAFETY: the references are those that were fetched, and are given back.
            unsafe { (self.symbols.error_restore)(kind, value, traceback) };
        }
    }
}

/// Gives a frame's code object its stub.
///
/// # Safety
/// The frame is alive, the code object is its own, `index` is our slot, and the interpreter's lock is held.
pub unsafe fn register(python: &CPython, frame: *mut Object, code: *mut Object, index: u16) -> Option<Stub> {
    let symbols = &python.symbols;
    // SAFETY: as promised by the caller; the layout was checked.
    unsafe {
        let _error = KeepError::new(symbols);
        let mut scratch = Name::new();
        let globals: *mut Object = field(frame, python.layout.frame.globals);
        let module = utf8(symbols, module_name(symbols, globals), &mut scratch);
        let registration = Registration { python, index, module };
        match python.layout.code.qualname {
            Some(offset) => {
                let mut scratch = Name::new();
                registration.add(code, utf8(symbols, field(code, offset), &mut scratch))
            }
            None => {
                let mut scratch = Name::new();
                let name = utf8(symbols, field(code, python.layout.code.name), &mut scratch);
                let stub = registration.add(code, name);
                registration.add_nested(code, name, DEEPEST_NESTING);
                stub
            }
        }
    }
}

/// `__name__` in a module's globals, or null. It is among the first keys, which a module is created with.
///
/// Not looked up but searched for: a look-up may ask keys of the program's own types whether they are equal.
///
/// # Safety
/// The object is alive and the interpreter's lock is held.
unsafe fn module_name(symbols: &Symbols, globals: *mut Object) -> *mut Object {
    const MOST_KEYS: usize = 64;
    let mut position = 0;
    let [mut key, mut value] = [ptr::null_mut(); 2];
    // SAFETY: the three places are valid to be written; an object that is no dictionary has no entries for PyDict_Next.
    unsafe {
        for _ in 0..MOST_KEYS {
            if (symbols.dict_next)(globals, &mut position, &mut key, &mut value) == 0 {
                break;
            }
            let is_text = code_object::type_of(key) == symbols.text_type;
            if is_text && (symbols.text_equals)(key, c"__name__".as_ptr()) == 0 {
                return value;
            }
        }
    }
    ptr::null_mut()
}

struct Registration<'a> {
    python: &'a CPython,
    index: u16,
    module: &'a [u8],
}

impl Registration<'_> {
    /// # Safety
    /// As for [`register`].
    unsafe fn add(&self, code: *mut Object, qualname: &[u8]) -> Option<Stub> {
        let CPython { symbols, layout, .. } = self.python;
        let mut scratch = Name::new();
        // SAFETY: as promised by the caller.
        unsafe {
            let function = Function {
                module: self.module,
                qualname,
                file: utf8(symbols, field(code, layout.code.filename), &mut scratch),
                first_line: first_line(&layout.code, code),
                line_table_format: layout.code.line_table_format,
                line_table: bytes(symbols, field(code, layout.code.line_table)),
                kind: coroutines::kind(layout, code),
            };
            if let Some(capture) = capture::CAPTURE.get() {
                tell(capture, code as u64, &function);
            }
            let stub = FUNCTIONS.stub_for(&function)?;
            if (symbols.set_code_extra)(code, self.index as isize, coroutines::slot_of(layout, code, stub)) != 0 {
                // No memory for the slot: the code object is asked about again the next time.
                (symbols.error_clear)();
            }
            Some(stub)
        }
    }

    /// Up to 3.10 code objects do not know their qualified name. It follows from where they are: among the constants
    /// of the code that defines them.
    ///
    /// # Safety
    /// As for [`register`].
    unsafe fn add_nested(&self, code: *mut Object, qualname: &[u8], deepest: usize) {
        let CPython { symbols, layout, .. } = self.python;
        // SAFETY: as promised by the caller; constants live as long as their code object.
        unsafe {
            let constants = attribute(symbols, code, c"co_consts");
            if constants.object().is_null() {
                return;
            }
            let separator = separator(symbols, code, qualname);
            for at in 0..(symbols.tuple_size)(constants.object()) {
                let constant = (symbols.tuple_item)(constants.object(), at);
                if constant.is_null() || code_object::type_of(constant) != symbols.code_type {
                    continue;
                }
                let mut scratch = Name::new();
                let name = utf8(symbols, field(constant, layout.code.name), &mut scratch);
                let mut nested: Name = Text::new();
                if !separator.is_empty() {
                    nested.push(qualname);
                    nested.push(separator);
                }
                nested.push(name);
                self.add(constant, nested.as_bytes());
                if deepest > 0 {
                    self.add_nested(constant, nested.as_bytes(), deepest - 1);
                }
            }
            // A constant that is no tuple has set an error.
            (symbols.error_clear)();
        }
    }
}

/// What stands between the name of a code object and of one that is defined in it; nothing in a module.
///
/// # Safety
/// As for [`register`].
unsafe fn separator(symbols: &Symbols, code: *mut Object, qualname: &[u8]) -> &'static [u8] {
    if qualname == b"<module>" {
        return b"";
    }
    // SAFETY: the members of code objects are plain ones.
    let flags = unsafe {
        let flags = attribute(symbols, code, c"co_flags");
        if flags.object().is_null() { 0 } else { (symbols.long_value)(flags.object()) }
    };
    // A function's code is optimized, a class body's is not (Python/compile.c, compute_code_flags).
    if flags & CO_OPTIMIZED as isize != 0 { b".<locals>." } else { b"." }
}

/// Tells who takes samples what is known of a function.
///
/// # Safety
/// The code object is alive.
unsafe fn tell(capture: &Capture, code: u64, function: &Function<'_>) {
    let Sampled { codes, walker, arguments, .. } = &capture.sampled;
    // SAFETY: as promised by the caller.
    unsafe {
        let Some(check) = walker.check_of(&Straight, code) else { return };
        let link = Link { code, check, ..Link::default() };
        arguments.note(capture.settings.arguments(), walker.layout, &link, (function.module, function.qualname));
        if let Some(ring) = capture::ring() {
            describe_known(codes, &ring, &link, function);
        }
    }
}
