//! `_pronk.task`: a block, or a whole coroutine, that is a task of a library that pronk knows nothing of.
//!
//! It is a scope like any other. Its one label has a key that no label of a program has, and is inherited by nobody.

use super::super::code_object::{field, type_of};
use super::super::layout::GeneratorFrame;
use super::super::symbols::Object;
use super::blocks::Block;
use super::{Interpreter, PYTHON, Python, label};
use crate::wire::TASK_KEY;
use core::ptr;

/// `task(name, coroutine=None)`: what a `with` block is entered for; or with a coroutine, which is the task as long as what
/// comes back is kept, and not left by its `__exit__`.
///
/// # Safety
/// Called by CPython, with the interpreter's lock held and so many arguments.
pub unsafe extern "C" fn task(_: *mut Object, arguments: *const *mut Object, count: isize) -> *mut Object {
    let Some(python) = PYTHON.get() else { return ptr::null_mut() };
    // SAFETY: as promised by the caller; references are ours until they are released.
    unsafe {
        let mut given = [ptr::null_mut(); 2];
        let count = usize::try_from(count).unwrap_or(0);
        if !(1..=2).contains(&count) {
            return refuse(python);
        }
        given.iter_mut().take(count).enumerate().for_each(|(index, one)| *one = *arguments.add(index));
        let [name, coroutine] = given;
        let here = (python.symbols.this_interpreter)() as u64;
        let interpreter = Interpreter::find(|one| one.is_at(here));
        let Some(interpreter) = interpreter.filter(|_| type_of(name) == python.symbols.text_type) else {
            return refuse(python);
        };
        let task = python.new_task(interpreter, name);
        if task.is_null() || coroutine.is_null() {
            return task.cast();
        }
        let kind = type_of(coroutine);
        if kind != python.labels.coroutine_type && kind != python.labels.generator_type {
            (python.symbols.release)(task.cast());
            return refuse(python);
        }
        if let Some(block) = block_of(python, coroutine) {
            (*task).entered = true;
            label::open(python, interpreter, task, &block);
        }
        task.cast()
    }
}

/// # Safety
/// The interpreter's lock is held.
unsafe fn refuse(python: &Python) -> *mut Object {
    let message = c"a task has a name, which is a str, and may have a coroutine: task(name, coroutine)";
    // SAFETY: as promised by the caller.
    unsafe { (python.labels.set_error)(*python.labels.type_error, message.as_ptr()) };
    ptr::null_mut()
}

impl Python {
    /// A new label that names a task; null with an error set if there is no memory.
    ///
    /// # Safety
    /// The interpreter's lock is held, and no error is set.
    unsafe fn new_task(&self, interpreter: &Interpreter, name: *mut Object) -> *mut label::Label {
        // SAFETY: as promised by the caller.
        unsafe {
            let (labels, key) = ((self.labels.new_dict)(), (self.labels.new_text)(TASK_KEY.as_ptr()));
            let is_set = !labels.is_null() && !key.is_null() && (self.labels.set_item)(labels, key, name) == 0;
            if !key.is_null() {
                (self.symbols.release)(key);
            }
            if !is_set {
                if !labels.is_null() {
                    (self.symbols.release)(labels);
                }
                return ptr::null_mut();
            }
            let task = self.new_label(interpreter.label_type(), labels);
            if !task.is_null() {
                (*task).is_task = true;
            }
            task
        }
    }
}

/// The frame of a coroutine or a generator that has not ended.
///
/// # Safety
/// The interpreter's lock is held, and the object is one.
unsafe fn block_of(python: &Python, coroutine: *mut Object) -> Option<Block> {
    let layout = python.walker.layout;
    // SAFETY: as promised by the caller.
    unsafe {
        let frame = match layout.tasks.frame {
            GeneratorFrame::Pointer(at) => field::<u64>(coroutine, at),
            GeneratorFrame::Within(at) => (coroutine as u64).wrapping_add(at.into()),
        };
        let code = if frame == 0 { 0 } else { python.walker.code_of(frame) };
        (code != 0).then_some(Block { frame, code, yields: true })
    }
}
