//! `_pronk.label`: the object of a `with` block.
//!
//! Entered, it opens a scope on the frame of the block, and becomes the value of a context variable, so that contexts
//! that are copied meanwhile inherit it. A generator's block does not: what runs while the generator is suspended would.
//!
//! # Safety
//! All functions are called by CPython, with the interpreter's lock held and the arguments that their kind of slot or method
//! has (documentation of the C API, "Type Object Structures", "Common Object Structures").

use super::super::code_object::{field, type_of};
use super::super::symbols::Object;
use super::blocks::{self, Block};
use super::moments::{end_scope, serial_of};
use super::{Interpreter, PYTHON, Python, SCOPES};
use crate::context::{Opened, ScopeNumber};
use core::mem::offset_of;
use core::ptr;

/// The object.
#[derive(Debug)]
#[repr(C)]
pub struct Label {
    /// `PyObject_HEAD`.
    references: isize,
    kind: *mut Object,
    /// A dictionary: from keys to texts and whole numbers. Nothing in it refers to other objects, so labels need no
    /// garbage collector.
    labels: *mut Object,
    /// The label that was around it, in the context in which it was entered; null if there was none.
    around: *mut Object,
    /// The label of which it is a copy, if it is one.
    origin: *mut Object,
    /// How many labels there are around it.
    depth: u32,
    /// Its scope, as [`ScopeNumber::raw`] has it.
    number: u32,
    /// Whether it was ever entered.
    pub entered: bool,
    /// Whether it names a task, and so is inherited by nobody.
    pub is_task: bool,
}

/// The size of the object.
pub const SIZE: usize = size_of::<Label>();
/// Where the object has the number of its scope.
pub const NUMBER: usize = offset_of!(Label, number);

/// So many labels around one are flattened into one: a task that makes the next one within a block, and so on, would have
/// more and more of them.
const DEEPEST: u32 = 16;

impl Python {
    /// A new reference to `None`.
    pub fn none(&self) -> *mut Object {
        // SAFETY: None is alive.
        unsafe { (self.labels.keep)(self.labels.none) };
        self.labels.none
    }

    /// # Safety
    /// See the module. The dictionary's reference is given away.
    pub unsafe fn new_label(&self, kind: *mut Object, labels: *mut Object) -> *mut Label {
        // SAFETY: the type makes objects of this size, filled with zeros behind the head.
        unsafe {
            let label = (self.labels.allocate)(kind, 0).cast::<Label>();
            if label.is_null() {
                (self.symbols.release)(labels);
            } else {
                (*label).labels = labels;
            }
            label
        }
    }

    /// The value of an interpreter's variable, if that is a label: a new reference, or null.
    ///
    /// # Safety
    /// See the module; no error is set.
    unsafe fn label_around(&self, interpreter: &Interpreter) -> *mut Label {
        let mut value = ptr::null_mut();
        // SAFETY: the variable is alive as long as the type is. Its value is a new reference.
        unsafe {
            if (self.labels.get_variable)(interpreter.variable(), ptr::null_mut(), &mut value) != 0 {
                (self.symbols.error_clear)();
            }
            if !value.is_null() && type_of(value) != interpreter.label_type() {
                (self.symbols.release)(value);
                value = ptr::null_mut();
            }
        }
        value.cast()
    }

    /// # Safety
    /// See the module; no error is set.
    unsafe fn set_around(&self, interpreter: &Interpreter, value: *mut Object) {
        // SAFETY: as above.
        unsafe {
            let value = if value.is_null() { self.labels.none } else { value };
            let token = (self.labels.set_variable)(interpreter.variable(), value);
            if token.is_null() {
                (self.symbols.error_clear)();
            } else {
                (self.symbols.release)(token);
            }
        }
    }

    /// One label with all that a label and those around it have: a new reference, or null. Takes the reference of the one.
    ///
    /// # Safety
    /// See the module; no error is set.
    unsafe fn flatten(&self, label: *mut Label) -> *mut Label {
        // SAFETY: the label and those around it are alive.
        unsafe {
            let all = (self.labels.new_dict)();
            if !all.is_null() {
                self.merge_around(all, label);
            }
            let flat = if all.is_null() { ptr::null_mut() } else { self.new_label((*label).kind, all) };
            (self.symbols.release)(label.cast());
            if flat.is_null() {
                (self.symbols.error_clear)();
                return flat;
            }
            (*flat).entered = true;
            let object = flat as u64;
            let opened = Opened { frame: 0, code: 0, labels: &self.pairs(all), inherits: None, object };
            (*flat).number = self.open_scope(&opened).map_or(0, ScopeNumber::raw);
            flat
        }
    }

    /// Adds the labels of one, and of those around it, to a dictionary, where it lacks them.
    ///
    /// # Safety
    /// See the module; no error is set.
    unsafe fn merge_around(&self, all: *mut Object, label: *mut Label) {
        let mut next = label;
        // SAFETY: a label keeps the one around it alive.
        unsafe {
            while !next.is_null() {
                if (self.labels.merge_dict)(all, (*next).labels, 0) != 0 {
                    (self.symbols.error_clear)();
                }
                next = (*next).around.cast();
            }
        }
    }

    /// All labels that a sample would have now: a new dictionary.
    ///
    /// # Safety
    /// See the module; no error is set.
    pub unsafe fn labels_now(&self) -> *mut Object {
        // SAFETY: what is open on a frame of this thread has an object that is alive, and a dictionary.
        unsafe {
            let all = (self.labels.new_dict)();
            if all.is_null() {
                return all;
            }
            if SCOPES.is_any_open() {
                let state = (self.symbols.this_thread)() as u64;
                let scopes = self.walker.frames(state).filter_map(|(frame, code)| SCOPES.newest_on(frame, code));
                for number in scopes.flat_map(|newest| SCOPES.outward(Some(newest))) {
                    let label = SCOPES.object(number) as *mut Label;
                    if !label.is_null() && !(*label).is_task && (self.labels.merge_dict)(all, (*label).labels, 0) != 0 {
                        (self.symbols.error_clear)();
                    }
                }
            }
            let here = (self.symbols.this_interpreter)() as u64;
            if let Some(interpreter) = Interpreter::find(|one| one.is_at(here)) {
                let around = self.label_around(interpreter);
                self.merge_around(all, around);
                if !around.is_null() {
                    (self.symbols.release)(around.cast());
                }
            }
            all
        }
    }
}

/// `tp_new`: `label(key=value, ...)`.
pub unsafe extern "C" fn new(kind: *mut Object, arguments: *mut Object, keywords: *mut Object) -> *mut Object {
    let Some(python) = PYTHON.get() else { return ptr::null_mut() };
    // SAFETY: see the module.
    unsafe {
        if (python.symbols.tuple_size)(arguments) != 0 {
            (python.labels.set_error)(
                *python.labels.type_error,
                c"labels are given by their names: label(key=value)".as_ptr(),
            );
            return ptr::null_mut();
        }
        let labels = if keywords.is_null() {
            (python.labels.new_dict)()
        } else if references(keywords) == 1 {
            // It was made for this call, and would be thrown away.
            (python.labels.keep)(keywords);
            keywords
        } else {
            (python.labels.copy_dict)(keywords)
        };
        if labels.is_null() {
            return labels;
        }
        if !python.make_plain(labels) {
            (python.symbols.release)(labels);
            return ptr::null_mut();
        }
        python.new_label(kind, labels).cast()
    }
}

/// How many references there are to an object: the low 32 bits of the word (3.14 and later have flags in the others).
///
/// # Safety
/// The object is alive.
unsafe fn references(object: *mut Object) -> u32 {
    // SAFETY: as promised by the caller.
    unsafe { field(object, 0_usize) }
}

/// `__enter__`
pub unsafe extern "C" fn enter(this: *mut Object, _: *mut Object) -> *mut Object {
    let Some(python) = PYTHON.get() else { return ptr::null_mut() };
    // SAFETY: see the module; the object is a label.
    unsafe {
        let label = entered_by(python, this.cast());
        if label.is_null() {
            return ptr::null_mut();
        }
        let interpreter = Interpreter::find(|one| one.label_type() == (*label).kind);
        if let (Some(interpreter), Some(block)) = (interpreter, blocks::caller(python)) {
            open(python, interpreter, label, &block);
        }
        (python.labels.keep)(this);
        this
    }
}

/// The label that is to be opened: the one that is entered, or if it was before, a copy of it, to which the scope keeps a
/// reference. Null with an error set if there is no memory.
///
/// # Safety
/// See the module.
unsafe fn entered_by(python: &Python, this: *mut Label) -> *mut Label {
    // SAFETY: see the module.
    unsafe {
        let label = match (*this).entered {
            false => this,
            true => {
                (python.labels.keep)((*this).labels);
                let copy = python.new_label((*this).kind, (*this).labels);
                if copy.is_null() {
                    return copy;
                }
                (*copy).origin = this.cast();
                (*copy).is_task = (*this).is_task;
                copy
            }
        };
        (*label).entered = true;
        label
    }
}

/// # Safety
/// See the module.
pub unsafe fn open(python: &Python, interpreter: &Interpreter, label: *mut Label, block: &Block) {
    // SAFETY: see the module.
    unsafe {
        let mut around = python.label_around(interpreter);
        let mut flattened = None;
        if !around.is_null() && (*around).depth >= DEEPEST {
            flattened = Some(serial_of((*around).number));
            around = python.flatten(around);
        }
        if !around.is_null() {
            (*label).around = around.cast();
            (*label).depth = (*around).depth.wrapping_add(1);
        }
        let inherits = if around.is_null() { None } else { ScopeNumber::from_raw((*around).number) };
        let (Block { frame, code, .. }, object) = (*block, label as u64);
        let opened = Opened { frame, code, labels: &python.pairs((*label).labels), inherits, object };
        (*label).number = python.open_scope(&opened).map_or(0, ScopeNumber::raw);
        if (*label).number == 0 && !(*label).origin.is_null() {
            // Without a scope nobody would find the copy again.
            (python.symbols.release)(label.cast());
        } else if !block.yields && !(*label).is_task {
            python.set_around(interpreter, label.cast());
            if let Some(before) = flattened {
                python.say_flattened(before, if around.is_null() { 0 } else { serial_of((*around).number) });
            }
        }
    }
}

/// `__exit__`
pub unsafe extern "C" fn exit(this: *mut Object, _: *const *mut Object, _: isize) -> *mut Object {
    let Some(python) = PYTHON.get() else { return ptr::null_mut() };
    // SAFETY: see the module; the object is a label, and what stands for a scope is one as long as the scope is open.
    unsafe {
        let is_of = |label: *mut Label| label.cast() == this || (*label).origin == this;
        let block = blocks::caller(python);
        let open = block.and_then(|block| SCOPES.newest_on(block.frame, block.code));
        let on_frame = SCOPES.outward(open).map(|number| SCOPES.object(number) as *mut Label);
        let label = on_frame.into_iter().find(|label| !label.is_null() && is_of(*label));
        // One that was entered by hand may be left in another function.
        let label = label.unwrap_or(this.cast());
        let number = ScopeNumber::from_raw((*label).number);
        if let Some(number) = number {
            SCOPES.close(number);
        }
        let mut around = None;
        if let Some(interpreter) = Interpreter::find(|one| one.label_type() == (*label).kind) {
            let now = python.label_around(interpreter);
            if now == label {
                python.set_around(interpreter, (*label).around);
                let label = (*label).around.cast::<Label>();
                around = Some(if label.is_null() { 0 } else { (*label).number });
            }
            if !now.is_null() {
                (python.symbols.release)(now.cast());
            }
        }
        if let Some(number) = number {
            python.say_closed(number, around);
        }
        if label.cast() != this {
            (python.symbols.release)(label.cast());
        }
        python.none()
    }
}

/// `tp_dealloc`
pub unsafe extern "C" fn delete(this: *mut Object) {
    let Some(python) = PYTHON.get() else { return };
    // SAFETY: see the module; the object is a label, to which nobody refers any more. An object of a type that was made at
    // run time has a reference to that.
    unsafe {
        let Label { kind, labels, around, number, .. } = *this.cast::<Label>();
        if let Some(number) = ScopeNumber::from_raw(number) {
            end_scope(number);
        }
        for object in [labels, around] {
            if !object.is_null() {
                (python.symbols.release)(object);
            }
        }
        (python.labels.free)(this);
        (python.symbols.release)(kind);
    }
}
