//! Who awaits a task of asyncio, found in a signal handler: the frames of the coroutines that wait for it.
//!
//! What a task is to wake up when it is done is among its callbacks (`fut_callback0` and `fut_callbacks`,
//! Modules/_asynciomodule.c, 3.9 to 3.15): the task that awaits it, or what `asyncio` has put between the two, which
//! leads to a future, with callbacks in turn. A task is only taken for one that awaits a future if that is just what it says itself
//! (`task_fut_waiter`). So what is found is true at that moment, in all versions alike; `task_awaited_by` of 3.14 also has tasks
//! that will wait later, or that wait for something else meanwhile.
//!
//! # Safety
//! All reads are of what another thread may change or free meanwhile: who calls has faults caught.

use super::layout::{GeneratorFrame, Layout, STATE_BEFORE_FRAME, Sign, ValueStack};
use super::links::{Link, Walker};
use super::objects::{Items, Objects, derives_from, has_name, held_at, is_address, is_c_text, type_of};
use super::symbols::TypeSymbols;
use super::tasks::Task;
use crate::capture::memory::{Memory, Straight};
use crate::wire::NO_INSTRUCTION;

/// `fut_callback0` and `fut_callbacks` of `FutureObj`: the first callback, and a list of the others with their contexts.
const CALLBACK: u64 = 24;
const CALLBACKS: u64 = 40;
/// `task_fut_waiter` lies before `task_coro` in `TaskObj`.
const WAITER_BEFORE_COROUTINE: u64 = 8;
/// `m_ml` and `m_self` of `PyCFunctionObject`.
const BUILT_IN: u64 = 16;
const BUILT_IN_SELF: u64 = 24;
/// `ww_task` of `TaskWakeupMethWrapper`, up to 3.9.
const WRAPPED_TASK: u64 = 16;
/// `fn` and `args` of `partialobject` (Modules/_functoolsmodule.c).
const PARTIAL_FUNCTION: u64 = 16;
const PARTIAL_ARGUMENTS: u64 = 24;
/// What `coroutine_wrapper`, `async_generator_asend` and their like wait for (Objects/genobject.c); and the future of a `FutureIter`.
const WRAPPED: u64 = 16;
/// `co_code` is a bytes object: its size, and its bytes (Include/cpython/bytesobject.h).
const BYTES_SIZE: u64 = 16;
const BYTES: u64 = 32;
/// `YIELD_FROM` (Include/opcode.h, 3.9 and 3.10).
const YIELD_FROM: u8 = 72;
/// The most values on a frame's stack.
const MOST_VALUES: i32 = 1 << 16;

/// The most tasks that await each other, and the most futures between two of them.
const MOST_TASKS: usize = 16;
const MOST_FUTURES: u32 = 8;
/// How many callbacks are looked at, for one sample.
const MOST_CALLBACKS: u32 = 256;

/// The functions of `asyncio.tasks` that are called back when a task is done, with the future that is waited for in a variable:
/// of `gather` (the first one in 3.9), `wait`, and `shield`.
const WAITING: [&[u8]; 4] = [
    b"_gather.<locals>._done_callback",
    b"gather.<locals>._done_callback",
    b"_wait.<locals>._on_completion",
    b"shield.<locals>._inner_done_callback",
];
/// The one of `wait_for`, up to 3.11, with that future as an argument.
const RELEASING: &[u8] = b"_release_waiter";
const TASKS_MODULE: &[u8] = b"asyncio.tasks";
/// The method of a group of tasks, which has that future among its attributes.
const OF_GROUP: &[u8] = b"TaskGroup._on_task_done";
const GROUPS_MODULE: &[u8] = b"asyncio.taskgroups";

/// Finds who awaits a task.
#[derive(Debug)]
pub struct Awaits {
    types: TypeSymbols,
}

/// A search, for one sample.
struct Search<'a> {
    objects: Objects<'a>,
    walker: &'a Walker,
    /// The offset of the coroutine in a task.
    coroutine: u64,
    callbacks_left: u32,
}

impl Awaits {
    /// With the types of the interpreter in this process.
    pub fn new(types: TypeSymbols) -> Awaits {
        Awaits { types }
    }

    /// Writes the links of the frames that wait for a task, as far as that is certain: those nearest to it first. How many those
    /// are; there are none of a task whose frames have no room.
    ///
    /// # Safety
    /// The calling thread is in a signal handler and runs the task, and a fault is caught.
    pub unsafe fn find(&self, walker: &Walker, task: &Task, room: &mut [Link]) -> usize {
        let Some(coroutine) = task.coroutine else { return 0 };
        let objects = Objects { layout: walker.layout, types: &self.types };
        let mut search = Search { objects, walker, coroutine, callbacks_left: MOST_CALLBACKS };
        let mut tasks = [0; MOST_TASKS];
        let (mut at, mut used) = (task.address, 0_usize);
        for index in 0..MOST_TASKS {
            if let Some(place) = tasks.get_mut(index) {
                *place = at;
            }
            let rest = room.get_mut(used..).unwrap_or_default();
            // SAFETY: as promised by the caller.
            let found = unsafe {
                let awaiter = search.awaiter_of(at, 0).filter(|awaiter| !tasks.contains(awaiter));
                awaiter.and_then(|awaiter| Some((awaiter, search.frames(awaiter, rest)?)))
            };
            let Some((awaiter, count)) = found else { break };
            rest.get_mut(..count).unwrap_or_default().reverse();
            (at, used) = (awaiter, used.wrapping_add(count));
        }
        used
    }
}

impl Search<'_> {
    /// The task that waits for a future, or for what is done when that is.
    ///
    /// # Safety
    /// As for [`Awaits::find`].
    unsafe fn awaiter_of(&mut self, future: u64, depth: u32) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe {
            let first = held_at(future.wrapping_add(CALLBACK));
            let list = held_at(future.wrapping_add(CALLBACKS));
            let others = list.map_or(Items::default(), |list| self.objects.items(list));
            let objects = self.objects;
            let others = others.objects().filter_map(|pair| objects.items(pair).objects().next());
            first.into_iter().chain(others).find_map(|callback| {
                self.callbacks_left = self.callbacks_left.checked_sub(1)?;
                self.behind(callback, future, depth)
            })
        }
    }

    /// The task to which a callback of a future leads.
    ///
    /// # Safety
    /// As for [`Awaits::find`].
    unsafe fn behind(&mut self, callback: u64, future: u64, depth: u32) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe {
            let objects = self.objects;
            let kind = type_of(callback)?;
            if kind == objects.types.built_in as u64 {
                let definition = Straight.word(callback.wrapping_add(BUILT_IN)).filter(|it| is_address(*it))?;
                let wakes_up = is_c_text(Straight.word(definition)?, b"task_wakeup\0");
                return held_at(callback.wrapping_add(BUILT_IN_SELF)).filter(|it| wakes_up && self.waits(*it, future));
            }
            if kind == objects.types.function as u64 {
                let is = |name: &&[u8]| objects.is_function(callback, TASKS_MODULE, name);
                WAITING.iter().find(|name| is(name))?;
                return self.through(objects.closure(callback), depth);
            }
            if let Some((function, group)) = objects.method(callback) {
                return match objects.is_function(function, GROUPS_MODULE, OF_GROUP) {
                    true => self.through(objects.attributes(group).objects(), depth),
                    false => None,
                };
            }
            if has_name(kind, b"TaskWakeupMethWrapper\0") {
                return held_at(callback.wrapping_add(WRAPPED_TASK)).filter(|task| self.waits(*task, future));
            }
            if has_name(kind, b"functools.partial\0") {
                let function = held_at(callback.wrapping_add(PARTIAL_FUNCTION))?;
                let is_function = type_of(function)? == objects.types.function as u64;
                if is_function && objects.is_function(function, TASKS_MODULE, RELEASING) {
                    let arguments = held_at(callback.wrapping_add(PARTIAL_ARGUMENTS))?;
                    return self.through(objects.items(arguments).objects(), depth);
                }
            }
            None
        }
    }

    /// The task that waits for one of these futures. Tasks that are among them were not meant.
    ///
    /// # Safety
    /// As for [`Awaits::find`].
    unsafe fn through(&mut self, objects: impl Iterator<Item = u64>, depth: u32) -> Option<u64> {
        let depth = Some(depth.wrapping_add(1)).filter(|depth| *depth < MOST_FUTURES)?;
        // SAFETY: as promised by the caller.
        let is_future = |object: &u64| unsafe {
            let is = |kind| derives_from(kind, b"_asyncio.Future\0") && !derives_from(kind, b"_asyncio.Task\0");
            type_of(*object).is_some_and(is)
        };
        // SAFETY: as above.
        objects.filter(is_future).find_map(|future| unsafe { self.awaiter_of(future, depth) })
    }

    /// Whether a task waits for a future just now.
    ///
    /// # Safety
    /// As for [`Awaits::find`].
    unsafe fn waits(&self, task: u64, future: u64) -> bool {
        // SAFETY: as promised by the caller.
        unsafe {
            let is_task = type_of(task).is_some_and(|kind| derives_from(kind, b"_asyncio.Task\0"));
            is_task && self.waiter(task) == Some(future)
        }
    }

    /// # Safety
    /// As for [`Awaits::find`]: it is a task.
    unsafe fn waiter(&self, task: u64) -> Option<u64> {
        // SAFETY: as promised by the caller.
        unsafe { held_at(task.wrapping_add(self.coroutine).wrapping_sub(WAITER_BEFORE_COROUTINE)) }
    }

    /// Writes the links of the coroutines of a task that waits, from the one that it runs on; how many they are. `None` if they
    /// do not lead to what it waits for, or have no room.
    ///
    /// # Safety
    /// As for [`Awaits::find`]: it is a task.
    unsafe fn frames(&self, task: u64, room: &mut [Link]) -> Option<usize> {
        let mut count = 0_usize;
        // SAFETY: as promised by the caller.
        unsafe {
            let mut at = held_at(task.wrapping_add(self.coroutine))?;
            loop {
                let kind = type_of(at)?;
                if self.is_generator(kind) {
                    let (link, awaited) = self.suspended(at)?;
                    *room.get_mut(count)? = link;
                    count = count.wrapping_add(1);
                    at = awaited;
                } else if is_wrapper(kind) {
                    at = held_at(at.wrapping_add(WRAPPED))?;
                } else if has_name(kind, b"_asyncio.FutureIter\0") {
                    let waits_for_it = held_at(at.wrapping_add(WRAPPED)) == self.waiter(task);
                    return Some(count).filter(|count| waits_for_it && *count > 0);
                } else {
                    // What others have written to wait with is not known.
                    return Some(count).filter(|count| *count > 0);
                }
            }
        }
    }

    fn is_generator(&self, kind: u64) -> bool {
        let TypeSymbols { coroutine, generator, async_generator, .. } = self.objects.types;
        [coroutine, generator, async_generator].iter().any(|one| **one as u64 == kind)
    }

    /// The link of the frame of a generator that is suspended because it waits, and what it waits for.
    ///
    /// # Safety
    /// As for [`Awaits::find`].
    unsafe fn suspended(&self, generator: u64) -> Option<(Link, u64)> {
        let Layout { tasks, awaits, code, .. } = self.walker.layout;
        // SAFETY: as promised by the caller.
        unsafe {
            let frame = match tasks.frame {
                GeneratorFrame::Pointer(at) => held_at(generator.wrapping_add(at.into()))?,
                GeneratorFrame::Within(at) => generator.wrapping_add(at.into()),
            };
            let state = |frame: u64| Some(Straight.byte(frame.wrapping_sub(STATE_BEFORE_FRAME))? as i8);
            let is_state = |first, last| Some((first..=last).contains(&state(frame)?));
            match awaits.sign {
                Sign::State(first, last) if is_state(first, last)? => {}
                Sign::Resume(wanted) if is_state(wanted, wanted)? => {}
                Sign::Opcode(_) => {}
                Sign::State(..) | Sign::Resume(_) => return None,
            }
            let link = self.walker.link(&Straight, frame)??;
            let instruction = Some(link.instruction).filter(|it| *it != NO_INSTRUCTION).map(u64::from)?;
            let is_sign = match awaits.sign {
                Sign::State(..) => true,
                // `yield` has 1 there, `yield from` 2, and `await` 3 (Python/compile.c).
                Sign::Resume(_) => {
                    let argument =
                        link.code.wrapping_add(code.bytecode.into()).wrapping_add(instruction).wrapping_add(3);
                    matches!(Straight.byte(argument)?, 2 | 3)
                }
                Sign::Opcode(at) => {
                    let bytecode = held_at(link.code.wrapping_add(at.into()))?;
                    let next = instruction.wrapping_add(2);
                    let size = Straight.word(bytecode.wrapping_add(BYTES_SIZE))?;
                    next < size && Straight.byte(bytecode.wrapping_add(BYTES).wrapping_add(next))? == YIELD_FROM
                }
            };
            let newest = |start: u64, count: i32| {
                let count = Some(count).filter(|count| (1..MOST_VALUES).contains(count))?;
                Some(start.wrapping_add((count as u64).wrapping_sub(1).wrapping_mul(8)))
            };
            let field = |at: u8| frame.wrapping_add(at.into());
            let place = match awaits.stack {
                // It is null in a frame that runs.
                ValueStack::Top { top, before } => held_at(field(top))?.wrapping_sub(before.into()),
                ValueStack::Outside { start, count } => newest(held_at(field(start))?, Straight.number(field(count))?)?,
                ValueStack::Within { start, count } => newest(field(start), Straight.number(field(count))?)?,
            };
            // From 3.14 on the low bits of references on the stack are a tag.
            let awaited = Straight.word(place)? & !3;
            Some((link, awaited)).filter(|(_, awaited)| is_sign && is_address(*awaited))
        }
    }
}

/// Whether a type is of what hands on to a coroutine or a generator.
///
/// # Safety
/// A fault is caught.
unsafe fn is_wrapper(kind: u64) -> bool {
    // SAFETY: as promised by the caller.
    unsafe {
        has_name(kind, b"coroutine_wrapper\0")
            || has_name(kind, b"async_generator_asend\0")
            || has_name(kind, b"async_generator_athrow\0")
            || has_name(kind, b"anext_awaitable\0")
    }
}
