//! The frame evaluation hook (PEP 523): every frame that CPython is about to run comes by here, on its way to its stub.
//!
//! # Safety
//! CPython calls everything in this file with the interpreter's lock held.

use super::hook_code::{LowRecursion, Parameters, hook_code};
use super::hook_words::HookWords;
use super::interpreters::{self, Interpreter, State, with_interpreter};
use super::layout::Layout;
use super::recursion;
use super::refusal::Refusal;
use super::register;
use super::symbols::{EvalFrame, Object};
use super::{CPython, FUNCTIONS, Stubs, check};
use super::{code_object, coroutines, windows};
use crate::capture;
use crate::lock::{Lock, Once};
use crate::stub::{Counters, Stub, map_code, thread};
use crate::sys::{self, KeepErrno, Refused};
use crate::wire::{GROUPS, HOOK_NAME, LaneHead, MOST_LANES, Token};
use core::ffi::{c_int, c_void};
use core::ptr::{self, fn_addr_eq};

/// What the first installation found out, the same for every interpreter of the process.
#[derive(Debug)]
pub(super) struct Installed {
    /// Our slot in `co_extra`.
    index: u16,
    /// The C recursion of a thread that has used none.
    pub c_recursion_limit: c_int,
}

pub(super) static INSTALLED: Once<Installed> = Once::new();

/// How many hooks are remembered, so that one that is needed again is not made again.
const MOST_HOOKS: usize = 2 * MOST_LANES;

/// Installs the hook in the current interpreter. Does nothing when it is there already.
///
/// # Errors
/// Why the interpreter goes on without stubs.
///
/// # Safety
/// The interpreter's lock is held.
pub(super) unsafe fn install(python: &CPython) -> Result<(), Refusal> {
    let symbols = &python.symbols;
    // SAFETY: the lock is held, so there is a current interpreter.
    let (address, id, current) = unsafe {
        let address = (symbols.this_interpreter)();
        (address, (symbols.interpreter_id)(address), (symbols.get_eval_frame)(address))
    };
    let known = interpreters::known(address, id);
    if let Some(windows) = windows::of_interpreter(address).filter(|_| known.is_none()) {
        // They were those of an interpreter that has ended, and had the same address.
        windows.forget();
    }
    // Under another hook ours is still there, since that one calls it: taking that one as our next would be a circle.
    // Only the default evaluator certainly calls nobody. A thread that is deep puts the hook back by itself.
    let is_there = known.is_some_and(|known| {
        let covered = known.state != State::Removed && !fn_addr_eq(symbols.default_eval_frame, current);
        // An interpreter that was started again has the same address and number, and no slot of ours.
        // SAFETY: the lock is held, and where a hook is installed no error is set.
        let has_slot =
            || INSTALLED.get().is_some_and(|installed| unsafe { check::slot_is_reserved(symbols, installed.index) });
        let in_windows = known.state == State::Active && windows::of_place(known.lane).is_some() && has_slot();
        known.is_hook(current) || covered || in_windows || known.deep > 0
    });
    if is_there {
        let lane = with_interpreter(address, |known| {
            known.state = State::Active;
            known.lane
        });
        // Lanes of windows are mapped when the first one is open.
        let lane = lane.filter(|lane| windows::of_place(*lane).is_none());
        return lane.map_or(Ok(()), |lane| open_fast_path(lane).map(|_| ()).map_err(Refusal::Memory));
    }
    // Nobody asks for more, and nobody would take the hook out.
    if windows::are_over() {
        return Ok(());
    }
    // SAFETY: as above.
    let installed = unsafe { reserve_slot(python, known.is_some())? };
    let known = Interpreter { address, id, hook: current, next: current, state: State::Removed, deep: 0, lane: 0 };
    let lane = interpreters::keep(known).ok_or(Refusal::TooManyInterpreters)?;
    let made = make_hook(python, installed, current, lane);
    let begin_windows = |hook, budget| {
        // SAFETY: the lock is held; the hook stays, and what is set stays as long as the interpreter.
        fn_addr_eq(symbols.default_eval_frame, current)
            && unsafe { windows::begin(symbols, lane, (address, hook, current), budget) }
    };
    if let Stubs::Windowed { budget_ppm } = python.stubs {
        let hook = made.map_err(Refusal::Memory)?;
        if !begin_windows(hook, Some((budget_ppm, python.costs_ps))) {
            interpreters::forget(address);
            return Err(Refusal::NoWindows);
        }
        interpreters::keep(Interpreter { hook, state: State::Active, ..known });
        return Ok(());
    }
    match made.and_then(|hook| open_fast_path(lane).map(|_| hook)) {
        Ok(hook) => {
            interpreters::keep(Interpreter { hook, state: State::Active, ..known });
            // Where there is no handler that takes the hook out when the session has ended, or it cannot know how, it stays.
            if !(capture::CAPTURE.get().is_some() && begin_windows(hook, None)) {
                // SAFETY: the hook is an evaluator, and stays mapped for good.
                unsafe { (symbols.set_eval_frame)(address, hook) };
            }
            Ok(())
        }
        Err(refused) => {
            interpreters::forget(address);
            Err(Refusal::Memory(refused))
        }
    }
}

/// Gets a slot in `co_extra` from the current interpreter, and checks the layout once.
///
/// `maybe_reserved`: an interpreter of the same address and number has given us one. It may be another one all the same:
/// the main interpreter has both again after `Py_Finalize` and `Py_Initialize`.
///
/// # Safety
/// The interpreter's lock is held.
unsafe fn reserve_slot(python: &CPython, maybe_reserved: bool) -> Result<&'static Installed, Refusal> {
    let symbols = &python.symbols;
    if let Some(installed) = INSTALLED.get().filter(|_| maybe_reserved) {
        // SAFETY: the lock is held, and where a hook is installed no error is set.
        if unsafe { check::slot_is_reserved(symbols, installed.index) } {
            return Ok(installed);
        }
    }
    // SAFETY: no function is given that would be called when code objects die: a stub outlives its function.
    let index = unsafe { (symbols.request_code_extra)(ptr::null()) };
    let Ok(index) = u16::try_from(index) else {
        return Err(Refusal::NoSlot);
    };
    match INSTALLED.get() {
        // Code objects that come with the interpreter are shared by all interpreters of a process.
        Some(installed) if installed.index != index => {
            return Err(Refusal::OtherSlot);
        }
        Some(_) => {}
        None => {
            // SAFETY: the lock is held, and at an import no error is set.
            unsafe {
                check::check(symbols, python.layout, index, ptr::from_ref(&INSTALLED).cast_mut().cast())
                    .map_err(Refusal::Layout)?;
            }
            // SAFETY: the lock is held.
            let c_recursion_limit = unsafe { recursion::remaining(python, (symbols.this_thread)()) };
            INSTALLED.set(Installed { index, c_recursion_limit });
        }
    }
    // The first installation is in the main interpreter, before there are others.
    INSTALLED.get().ok_or(Refusal::OtherSlot)
}

/// Lets an interpreter's calls through to the fast path, and returns where they count.
fn open_fast_path(lane: usize) -> Result<Counters, Refused> {
    let (Some(words), Some(installed)) = (HookWords::of(lane), INSTALLED.get()) else {
        return Err(Refused { what: "mmap", errno: libc::ENOMEM });
    };
    let counters = match windows::of_place(lane) {
        Some(windows) => windows.map_lanes(|group| FUNCTIONS.counters(lane * GROUPS + group))?,
        None => FUNCTIONS.counters(lane)?,
    };
    words.open(installed.index, counters);
    Ok(counters)
}

/// Where an interpreter's stubs count. In the child of a fork they are found anew.
pub(super) fn counters_of(lane: usize) -> Option<Counters> {
    HookWords::of(lane)?.counters().or_else(|| open_fast_path(lane).ok())
}

/// Removes the hook from the current interpreter. Where another hook has been set over it, it stays and hands every
/// frame on.
///
/// # Safety
/// The interpreter's lock is held.
pub(super) unsafe fn remove(python: &CPython) {
    // SAFETY: the lock is held; the evaluator that is set was set before ours.
    unsafe {
        let interpreter = (python.symbols.this_interpreter)();
        let current = (python.symbols.get_eval_frame)(interpreter);
        let next = with_interpreter(interpreter, |known| {
            let is_ours = known.is_hook(current);
            if let Some(windows) = windows::of_interpreter(interpreter) {
                windows.forget();
            }
            known.state = match known.state {
                State::Removed => State::Removed,
                _ if is_ours => State::Removed,
                _ => State::Passing,
            };
            if let (State::Passing, Some(words)) = (known.state, HookWords::of(known.lane)) {
                words.close();
            }
            is_ours.then_some(known.next)
        });
        if let Some(next) = next.flatten() {
            (python.symbols.set_eval_frame)(interpreter, next);
        }
    }
}

/// A hook's code in front of an evaluator; there is one for each different evaluator and each lane.
fn make_hook(python: &CPython, installed: &Installed, next: EvalFrame, lane: usize) -> Result<EvalFrame, Refused> {
    static HOOKS: Lock<[Option<(usize, EvalFrame, EvalFrame)>; MOST_HOOKS]> = Lock::new([None; MOST_HOOKS], |_| ());
    let words = HookWords::of(lane).ok_or(Refused { what: "mmap", errno: libc::ENOMEM })?;
    HOOKS.with(|hooks| {
        let is_it = |of: usize, before| of == lane && fn_addr_eq(before, next);
        let made = hooks.iter().flatten().find(|(of, before, _)| is_it(*of, *before));
        if let Some((_, _, hook)) = made {
            return Ok(*hook);
        }
        let offset = thread::offset();
        let layout = python.layout;
        let parameters = Parameters {
            stack_limit: offset + thread::STACK_LIMIT,
            frame_code: layout.frame.code,
            code_is_tagged: layout.frame.code_is_tagged,
            code_extra: layout.code.extra,
            index: installed.index,
            words: ptr::from_ref(words) as usize,
            recursion: layout.c_recursion.map(|fields| LowRecursion {
                remaining: fields.remaining,
                low: recursion::lowest_for_stubs(installed.c_recursion_limit),
            }),
            next: next as usize,
            resolve: resolve as *const () as usize,
        };
        let token = FUNCTIONS.token().unwrap_or(Token(0));
        let code = map_code(HOOK_NAME, token, 1, |_| hook_code(&parameters))?;
        // SAFETY: the code follows the calling convention of an evaluator and never goes away.
        let hook: EvalFrame = unsafe { core::mem::transmute(code) };
        if let Some(slot) = hooks.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((lane, next, hook));
        }
        Ok(hook)
    })
}

/// The slow path: decides where the hook jumps to with its three arguments, and the next evaluator as the fourth.
///
/// # Safety
/// Called by the hook's code.
unsafe extern "C" fn resolve(
    thread_state: *mut Object,
    frame: *mut Object,
    _throwflag: c_int,
    next: EvalFrame,
) -> *const c_void {
    let _errno = KeepErrno::new();
    let next_address = next as *const c_void;
    let Some(python) = super::CPYTHON.get() else { return next_address };
    // SAFETY: the arguments are CPython's, and the lock is held.
    unsafe {
        let interpreter = (python.symbols.interpreter_of_thread)(thread_state);
        let lane = with_interpreter(interpreter, |known| (known.state == State::Active).then_some(known.lane));
        // A stub has to have somewhere to count.
        if lane.flatten().and_then(counters_of).is_none() {
            return next_address;
        }
        let stub = stub_of(python, frame);
        if let Some(stub) = stub {
            coroutines::look_at(python, thread_state, frame, stub);
        }
        if recursion::is_deep(python, thread_state) {
            return recursion::run_deep as *const c_void;
        }
        match stub {
            Some(stub) => stub.address() as *const c_void,
            None => next_address,
        }
    }
}

/// The stub of a frame's function, made on first sight.
///
/// # Safety
/// The frame is alive and the interpreter's lock is held.
pub(super) unsafe fn stub_of(python: &CPython, frame: *mut Object) -> Option<Stub> {
    let index = INSTALLED.get()?.index;
    // SAFETY: as promised by the caller.
    unsafe {
        let code = code_object::of_frame(&python.symbols, &python.layout.frame, frame)?;
        match code_object::extra(&python.layout.code, code, index) {
            Some(slot) => Some(Stub::from_slot(slot)?),
            None => {
                let began_ns = sys::monotonic_ns();
                let stub = register::register(python, frame, code, index);
                count_registering(python, sys::monotonic_ns().saturating_sub(began_ns));
                stub
            }
        }
    }
}

/// Counts the time that it took to give a function its stub.
///
/// # Safety
/// The interpreter's lock is held.
unsafe fn count_registering(python: &CPython, took_ns: u64) {
    // SAFETY: the lock is held, so there is a current interpreter.
    let interpreter = unsafe { (python.symbols.this_interpreter)() };
    let words = with_interpreter(interpreter, |known| HookWords::of(known.lane));
    if let Some(counters) = words.flatten().and_then(HookWords::counters) {
        // SAFETY: the counters are the interpreter's, and who holds its lock is alone with them.
        let head = unsafe { &mut *(counters.address() as *mut LaneHead) };
        head.registering_ns = head.registering_ns.wrapping_add(took_ns);
    }
}

/// The address of the stub of a code object, 0 if it has none.
///
/// # Safety
/// The code object is alive and the interpreter's lock is held.
pub(super) unsafe fn stub_address(layout: &Layout, code: *const Object) -> u64 {
    // SAFETY: as promised by the caller; the slot is ours.
    let stub = INSTALLED.get().and_then(|installed| unsafe {
        let slot = code_object::extra(&layout.code, code, installed.index)?;
        Stub::from_slot(slot)
    });
    stub.map_or(0, |stub| stub.address() as u64)
}

/// Takes the hook out of an interpreter, if it is the current one.
///
/// # Safety
/// The interpreter's lock is held.
pub(super) unsafe fn suspend(python: &CPython, interpreter: *mut Object) {
    // SAFETY: the lock is held; the evaluator that is set was set before ours.
    unsafe {
        let current = (python.symbols.get_eval_frame)(interpreter);
        let next = with_interpreter(interpreter, |known| {
            known.deep += 1;
            if let Some(windows) = windows::of_interpreter(interpreter) {
                windows.set_deep(known.deep);
                return None;
            }
            known.is_hook(current).then_some(known.next)
        });
        if let Some(next) = next.flatten() {
            (python.symbols.set_eval_frame)(interpreter, next);
        }
    }
}

/// Puts the hook back after [`suspend`], unless another thread is deep or somebody else has set an evaluator meanwhile.
///
/// # Safety
/// The interpreter's lock is held.
pub(super) unsafe fn resume(python: &CPython, interpreter: *mut Object) {
    // SAFETY: the lock is held; the hook never goes away.
    unsafe {
        let current = (python.symbols.get_eval_frame)(interpreter);
        let hook = with_interpreter(interpreter, |known| {
            known.deep = known.deep.saturating_sub(1);
            if let Some(windows) = windows::of_interpreter(interpreter) {
                windows.set_deep(known.deep);
                return None;
            }
            let undisturbed = known.state == State::Active && known.is_next(current);
            (known.deep == 0 && undisturbed).then_some(known.hook)
        });
        if let Some(hook) = hook.flatten() {
            (python.symbols.set_eval_frame)(interpreter, hook);
        }
    }
}
