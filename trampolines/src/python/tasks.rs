//! The task of asyncio that runs in a thread, found in a signal handler.
//!
//! Up to 3.13 a dictionary has the running task of each loop (`asyncio.tasks._current_tasks`), and says nothing of threads;
//! from 3.14 on a thread's state has its task, if that is written in C, at an offset that is not the same in all releases of a version. What makes a
//! task certain is the chain of frames: the frame of its coroutine is on it. That also tells where in a task its coroutine
//! is, and the name lies behind it (`TaskObj`, Modules/_asynciomodule.c, 3.9 to 3.15), so both are found by looking.
//!
//! # Safety
//! In a signal handler all reads are of what another thread may change or free meanwhile: who calls has faults caught. Who
//! calls with the interpreter's lock held has nobody who catches any. So objects are followed by what their types say that
//! they have, and what may be anything is read guarded.

use super::dict::{self, Words};
use super::int;
use super::layout::{CurrentTask, GeneratorFrame, Layout};
use super::links::Link;
use super::objects::{attributes_of, derives_from, has_name, is_address, is_subtype, type_of};
use super::symbols::Symbols;
use super::task_fields::{Fields, Known, Own};
use crate::capture::memory::{Guarded, Memory, Straight};
use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering};

/// The links of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Those that are known, oldest first.
    pub known: &'a [Link],
    /// Those on top of them, newest first.
    pub walked: &'a [Link],
}

/// A task that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The position of the link of its coroutine's frame, from the oldest link on.
    pub root: usize,
    /// Its name.
    pub name: TaskName,
    /// Where it is.
    pub address: u64,
    /// The offset of its coroutine in it, if it is written in C, or derives from what is.
    pub coroutine: Option<u64>,
}

/// The name of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskName {
    /// A string object, by its address.
    Text(u64),
    /// `Task-` and this number, which becomes a text when somebody asks for it (3.13 and later).
    Number(u64),
}

/// What was found out about tasks in this process.
#[derive(Debug)]
pub struct Tasks {
    /// The addresses of `str`, `int`, `dict`, and of the type of modules.
    pub text_type: u64,
    pub int_type: u64,
    pub dict_type: u64,
    pub module_type: u64,
    /// The interpreters of the process; more have no tasks.
    interpreters: [Interpreter; 16],
    /// The offset of the coroutine in a task of that type, and of the running task in a thread's state; 0 while it is not
    /// known.
    coroutine: AtomicU64,
    task_type: AtomicU64,
    running: AtomicU64,
}

/// An interpreter, and what leads to its tasks.
#[derive(Debug, Default)]
struct Interpreter {
    address: AtomicU64,
    /// `sys.modules`.
    modules: AtomicU64,
    /// How many modules there were when asyncio was looked for.
    looked_at: AtomicU64,
    /// `asyncio.tasks._current_tasks`; 0 while it is not there.
    current: AtomicU64,
    /// The one that is kept alive.
    kept: AtomicU64,
}

/// `interp` of `PyThreadState`, in all versions.
const INTERPRETER: u64 = 16;
/// `ob_type`.
const TYPE: u64 = 8;
/// `tp_name` of `PyTypeObject`.
const TYPE_NAME: u64 = 24;
/// `tp_basicsize`.
const BASIC_SIZE: u64 = 32;
/// `tp_name` of the tasks that are written in C.
const C_TASK: &[u8; 14] = b"_asyncio.Task\0";
/// Where a task's own fields begin, and how many of them or of its attributes are looked through.
const FIELDS: u64 = 16;
const FEW: u64 = 32;
/// Where in a thread's state the task is looked for.
const STATE_FIELDS: core::ops::Range<u64> = 64..2048;
/// How many of the oldest links are looked through for the coroutine of a task: what runs a loop is a few frames.
const MOST_BELOW: usize = 512;
/// How many running loops are looked through.
const MOST_LOOPS: usize = 256;
/// `CO_COROUTINE` (Include/cpython/code.h).
const CO_COROUTINE: c_int = 0x80;

impl Tasks {
    /// Nothing is known yet.
    pub fn new(symbols: &Symbols) -> Tasks {
        Tasks {
            text_type: symbols.text_type as u64,
            int_type: symbols.int_type as u64,
            dict_type: symbols.dict_type as u64,
            module_type: symbols.module_type as u64,
            interpreters: Default::default(),
            coroutine: AtomicU64::new(0),
            task_type: AtomicU64::new(0),
            running: AtomicU64::new(0),
        }
    }

    /// Notes an interpreter that starts.
    ///
    /// # Safety
    /// The interpreter's lock is held, and it has its modules.
    pub unsafe fn interpreter_starts(&self, symbols: &Symbols) {
        // SAFETY: as promised by the caller.
        let (address, modules) = unsafe { ((symbols.this_interpreter)() as u64, (symbols.modules)() as u64) };
        let is_free = |one: &&Interpreter| {
            let there = one.address.load(Ordering::Relaxed);
            there == address || there == 0
        };
        if let Some(one) = self.interpreters.iter().find(is_free) {
            one.current.store(0, Ordering::Relaxed);
            one.kept.store(0, Ordering::Relaxed);
            one.looked_at.store(0, Ordering::Relaxed);
            one.modules.store(modules, Ordering::Relaxed);
            one.address.store(address, Ordering::Release);
        }
    }

    /// `sys.modules` of the interpreter of a state.
    ///
    /// # Safety
    /// As for [`Tasks::running`].
    pub unsafe fn modules(&self, state: u64) -> Option<u64> {
        // SAFETY: as promised by the caller.
        let interpreter = unsafe { self.interpreter(state) }?;
        Some(interpreter.modules.load(Ordering::Relaxed))
    }

    /// # Safety
    /// As for [`Tasks::running`].
    unsafe fn interpreter(&self, state: u64) -> Option<&Interpreter> {
        // SAFETY: as promised by the caller.
        let address = unsafe { Straight.word(state.wrapping_add(INTERPRETER)) }?;
        self.interpreters.iter().find(|one| one.address.load(Ordering::Acquire) == address)
    }

    /// The task that the thread of a state runs, by the links of its frames.
    ///
    /// # Safety
    /// The state is the calling thread's own, which is in a signal handler, and a fault is caught.
    pub unsafe fn running(&self, layout: &Layout, state: u64, chain: &Chain<'_>) -> Option<Task> {
        // SAFETY: as promised by the caller.
        unsafe {
            let current = self.interpreter(state)?.current_tasks(self, layout)?;
            if layout.tasks.current == CurrentTask::InThreadState {
                let task = match self.running.load(Ordering::Relaxed) {
                    0 => self.learn(layout, state, chain),
                    at => match Straight.word(state.wrapping_add(at))? {
                        0 => None,
                        task => self.task_at(layout, task, chain),
                    },
                };
                if task.is_some() {
                    return task;
                }
            }
            // Tasks that are not written in C are here in all versions.
            let tasks = dict::entries(Straight, layout, current)?.take(MOST_LOOPS);
            tasks.filter(|(_, task)| *task != 0).find_map(|(_, task)| self.task_at(layout, task, chain))
        }
    }

    /// Finds what leads to the tasks of the interpreter of a thread's state, and keeps it alive for as long as the process: a
    /// coroutine may run when the modules are gone, in the interpreter's end.
    ///
    /// # Safety
    /// The state is the calling thread's own, which holds the interpreter's lock.
    pub unsafe fn keep_current(&self, layout: &Layout, state: u64, keep: impl FnOnce(u64)) {
        // SAFETY: as promised by the caller.
        unsafe {
            let interpreter = self.interpreter(state);
            let current = interpreter.and_then(|one| one.current_tasks(self, layout));
            if let (Some(interpreter), Some(current)) = (interpreter, current)
                && interpreter.kept.swap(current, Ordering::Relaxed) != current
            {
                keep(current);
            }
        }
    }

    /// The type of tasks that are written in C, once one was seen; else 0.
    pub fn task_type(&self) -> u64 {
        self.task_type.load(Ordering::Relaxed)
    }

    /// Whether it is not yet known where a thread's state has its task, which takes a search.
    pub fn is_to_be_searched(&self, layout: &Layout) -> bool {
        layout.tasks.current == CurrentTask::InThreadState && self.running.load(Ordering::Relaxed) == 0
    }

    /// Finds out where in a thread's state the running task is, when there is one.
    ///
    /// # Safety
    /// As for [`Tasks::running`].
    unsafe fn learn(&self, layout: &Layout, state: u64, chain: &Chain<'_>) -> Option<Task> {
        // SAFETY: guarded reads take any address; what has this type is a task. Code objects of links are alive.
        unsafe {
            let is_coroutine = |link: &Link| {
                Straight.number(link.code.wrapping_add(layout.code.flags.into())).unwrap_or(0) & CO_COROUTINE != 0
            };
            if !chain.oldest_first().any(|(_, link)| link.code != 0 && is_coroutine(link)) {
                return None;
            }
            let is_task = |object: u64| {
                let kind = Guarded.word(object.wrapping_add(TYPE)).unwrap_or(0);
                let name = Guarded.word(kind.wrapping_add(TYPE_NAME)).unwrap_or(0);
                Guarded.bytes(name).is_some_and(|name| name == *C_TASK)
            };
            STATE_FIELDS.step_by(8).find_map(|at| {
                let object = Guarded.word(state.wrapping_add(at)).filter(|object| is_address(*object))?;
                let task = if is_task(object) { self.task_at(layout, object, chain) } else { None };
                if task.is_some() {
                    self.running.store(at, Ordering::Relaxed);
                }
                task
            })
        }
    }

    /// What is known of a task, if its coroutine's frame is on the chain.
    ///
    /// # Safety
    /// As for [`Tasks::running`].
    unsafe fn task_at(&self, layout: &Layout, task: u64, chain: &Chain<'_>) -> Option<Task> {
        // SAFETY: as promised by the caller.
        unsafe {
            let kind = Straight.word(task.wrapping_add(TYPE))?;
            let at = self.coroutine.load(Ordering::Relaxed);
            if at != 0 && is_subtype(&Straight, kind, self.task_type.load(Ordering::Relaxed)) {
                let field = Words { start: task.wrapping_add(at), stride: 8, count: 1 };
                let found = self.task_in(&Known, layout, field, chain);
                return found.map(|(found, _)| Task { address: task, coroutine: Some(at), ..found });
            }
            let count = Straight.word(kind.wrapping_add(BASIC_SIZE))?.saturating_sub(FIELDS) / 8;
            let own = Words { start: task.wrapping_add(FIELDS), stride: 8, count };
            if let Some((found, at)) = self.task_in(&Own, layout, own, chain) {
                let at = at.wrapping_sub(task);
                if has_name(&Straight, kind, C_TASK) {
                    self.coroutine.store(at, Ordering::Relaxed);
                    self.task_type.store(kind, Ordering::Relaxed);
                }
                let coroutine = if derives_from(&Straight, kind, C_TASK) { Some(at) } else { None };
                return Some(Task { address: task, coroutine, ..found });
            }
            let attributes = attributes_of(&Straight, layout, task)?;
            self.task_in(&Known, layout, attributes, chain).map(|(found, _)| Task { address: task, ..found })
        }
    }

    /// What is known of a task by its fields, if its coroutine is among them; also the address of that field.
    ///
    /// # Safety
    /// As for [`Tasks::running`].
    unsafe fn task_in(
        &self,
        fields_in: &impl Fields,
        layout: &Layout,
        fields: Words,
        chain: &Chain<'_>,
    ) -> Option<(Task, u64)> {
        let places =
            (0..fields.count.min(FEW)).map(|index| fields.start.wrapping_add(index.wrapping_mul(fields.stride)));
        // SAFETY: as promised by the caller.
        unsafe {
            let (at, root) = places.clone().find_map(|at| {
                let coroutine = fields_in.field(at).filter(|object| is_address(*object))?;
                let frame = match layout.tasks.frame {
                    GeneratorFrame::Pointer(at) => fields_in.word_of(coroutine.wrapping_add(at.into()))?,
                    GeneratorFrame::Within(at) => coroutine.wrapping_add(at.into()),
                };
                let (root, _) = chain.oldest_first().find(|(_, link)| link.address == frame && link.code != 0)?;
                Some((at, root))
            })?;
            // The attributes of a class that is written in Python are in the order in which they were set; the first text is
            // its name (`Task.__init__`, Lib/asyncio/tasks.py).
            let is_text = |name: &TaskName| matches!(name, TaskName::Text(_));
            let name = self.name_at(fields_in, layout, at.wrapping_add(8));
            let mut names = places.clone().filter_map(|at| self.name_at(fields_in, layout, at));
            let name = name.or_else(|| names.find(is_text))?;
            Some((Task { root, name, address: 0, coroutine: None }, at))
        }
    }

    /// What is at a place, if it is a name.
    ///
    /// # Safety
    /// As for [`Tasks::running`].
    unsafe fn name_at(&self, fields_in: &impl Fields, layout: &Layout, place: u64) -> Option<TaskName> {
        // SAFETY: as promised by the caller.
        unsafe {
            let name = fields_in.field(place).filter(|name| is_address(*name))?;
            match fields_in.word_of(name.wrapping_add(TYPE))? {
                kind if kind == self.text_type => Some(TaskName::Text(name)),
                kind if kind == self.int_type => {
                    int::number(&Straight, layout, name).map(|number| TaskName::Number(number.unsigned_abs()))
                }
                _ => None,
            }
        }
    }
}

impl Interpreter {
    /// `asyncio.tasks._current_tasks`, once asyncio is there.
    ///
    /// # Safety
    /// As for [`Tasks::running`].
    unsafe fn current_tasks(&self, types: &Tasks, layout: &Layout) -> Option<u64> {
        let current = self.current.load(Ordering::Relaxed);
        if current != 0 {
            return Some(current);
        }
        let modules = self.modules.load(Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe {
            let count = dict::len(&Straight, modules)?;
            if self.looked_at.swap(count, Ordering::Relaxed) == count {
                return None;
            }
            // Anything may be under a name: what is not what it ought to be is not followed.
            let global = |names| dict::global(&Straight, layout, modules, types.module_type, names);
            // asyncio.tasks makes a dictionary, and then exchanges it for that of _asyncio. What comes last of all modules in
            // asyncio/__init__.py is not there before that is done (Lib/asyncio, 3.9 to 3.15).
            global((b"asyncio.unix_events", b"__name__"))?;
            let current = global((b"asyncio.tasks", b"_current_tasks"))?;
            if type_of(&Straight, current) != Some(types.dict_type) {
                return None;
            }
            self.current.store(current, Ordering::Relaxed);
            Some(current)
        }
    }
}

impl<'a> Chain<'a> {
    /// The oldest links with their positions, from the oldest on.
    fn oldest_first(&self) -> impl Iterator<Item = (usize, &'a Link)> + use<'a> {
        self.known.iter().chain(self.walked.iter().rev()).take(MOST_BELOW).enumerate()
    }
}
