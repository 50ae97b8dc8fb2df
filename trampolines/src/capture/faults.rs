//! Memory that is not there ends a walk, and not the program.
//!
//! A walk reads what the interpreter's state leads to. Where something that pronk knows nothing of has changed that state,
//! such as code that exchanges stacks in its own way, it may lead anywhere. So a walk is an attempt: a fault within it comes
//! to our handler, which has it end. All other faults are the program's, which is given the signal back with the first one,
//! and meets the fault again as if pronk had never been there.
//!
//! # Safety
//! An attempt that fails leaves the Rust frames of what was attempted behind, as longjmp(3) would: they must have nothing to
//! drop. The thread's word says whether there is one, and where its registers are kept.

use super::program_action;
use crate::stub::thread;
use crate::sys::{self, Refused};
use core::arch::global_asm;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;

/// The signals of faults.
pub const FAULTS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

// u64 pronk_attempt(void (*call)(void *), void *data, usize *word): 1 when the call has returned, 0 when it has failed.
// `word` holds the stack pointer meanwhile, under which the registers lie that a function must keep (x86-64 psABI 1.0,
// section 3.2.1).
global_asm!(
    ".pushsection .text.pronk_attempt,\"ax\",%progbits",
    ".globl pronk_attempt",
    ".hidden pronk_attempt",
    ".type pronk_attempt, %function",
    "pronk_attempt:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_adjust_cfa_offset 8",
    "push rbx",
    ".cfi_adjust_cfa_offset 8",
    "push r12",
    ".cfi_adjust_cfa_offset 8",
    "push r13",
    ".cfi_adjust_cfa_offset 8",
    "push r14",
    ".cfi_adjust_cfa_offset 8",
    "push r15",
    ".cfi_adjust_cfa_offset 8",
    "push rdx",
    ".cfi_adjust_cfa_offset 8",
    "mov [rdx], rsp",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "mov eax, 1",
    "jmp 2f",
    ".globl pronk_attempt_failed",
    ".hidden pronk_attempt_failed",
    "pronk_attempt_failed:",
    "xor eax, eax",
    "2:",
    "pop rdx",
    ".cfi_adjust_cfa_offset -8",
    "mov qword ptr [rdx], 0",
    "pop r15",
    ".cfi_adjust_cfa_offset -8",
    "pop r14",
    ".cfi_adjust_cfa_offset -8",
    "pop r13",
    ".cfi_adjust_cfa_offset -8",
    "pop r12",
    ".cfi_adjust_cfa_offset -8",
    "pop rbx",
    ".cfi_adjust_cfa_offset -8",
    "pop rbp",
    ".cfi_adjust_cfa_offset -8",
    "ret",
    ".cfi_endproc",
    ".size pronk_attempt, . - pronk_attempt",
    ".popsection",
);

unsafe extern "C" {
    fn pronk_attempt(call: extern "C" fn(*mut c_void), data: *mut c_void, word: *mut usize) -> u64;
    fn pronk_attempt_failed();
}

/// What is attempted, and what comes of it.
struct Attempt<F, R> {
    attempted: Option<F>,
    result: MaybeUninit<R>,
}

/// Does something that may meet memory that is not there; `None` if it did.
///
/// # Safety
/// Nothing needs to be dropped in the midst of it, and it attempts nothing itself.
pub unsafe fn attempt<F: FnOnce() -> R, R: Copy>(attempted: F) -> Option<R> {
    extern "C" fn call<F: FnOnce() -> R, R>(data: *mut c_void) {
        // SAFETY: the data is what is passed below.
        let attempt = unsafe { &mut *data.cast::<Attempt<F, R>>() };
        if let Some(attempted) = attempt.attempted.take() {
            attempt.result.write(attempted());
        }
    }
    let mut attempt = Attempt { attempted: Some(attempted), result: MaybeUninit::uninit() };
    // SAFETY: a thread's words are its own, and the data is what `call` expects.
    unsafe {
        let word = &raw mut (*thread::words()).attempt;
        let has_returned = pronk_attempt(call::<F, R>, (&raw mut attempt).cast(), word) != 0;
        has_returned.then(|| attempt.result.assume_init())
    }
}

/// Installs the handler of faults.
///
/// # Errors
/// When the system refuses.
pub fn install() -> Result<(), Refused> {
    // SAFETY: zeros are a valid value: the default action.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    // A program may want to know of an overflow of its stack.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for signal in FAULTS {
        // SAFETY: the set is the action's own, and the handler is async-signal-safe.
        let installed = unsafe {
            libc::sigfillset(&mut action.sa_mask);
            program_action::install(signal, &action)
        };
        if !installed {
            return Err(sys::refused("sigaction"));
        }
    }
    Ok(())
}

/// Removes the handler: nothing is attempted any more.
pub fn remove() {
    FAULTS.iter().for_each(|signal| program_action::remove(*signal, handle as *const () as usize));
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: a thread's words are its own, and the kernel passes the information and the context of what was interrupted.
    unsafe {
        let stack_pointer = (*thread::words()).attempt;
        // What was sent is no fault (sigaction(2), "The si_code field").
        let is_sent = (*info).si_code <= 0;
        if stack_pointer == 0 || is_sent {
            return program_action::give_back(signal, is_sent.then_some(info));
        }
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let mut set = |register: c_int, value: usize| {
            if let Some(place) = registers.get_mut(register as usize) {
                *place = value as i64;
            }
        };
        set(libc::REG_RSP, stack_pointer);
        set(libc::REG_RIP, pronk_attempt_failed as *const () as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: usize) -> Option<u64> {
        // SAFETY: the reads have nothing to drop; volatile, so that they are made.
        unsafe { attempt(|| core::ptr::read_volatile(core::ptr::with_exposed_provenance::<u64>(address))) }
    }

    #[test]
    fn what_is_not_there_ends_the_attempt_and_what_is_there_is_read() {
        install().unwrap();
        let value = 42_u64;
        let there = (&raw const value).addr();
        // Nothing, the null page, and an address that no memory can have.
        for missing in [8, 0xdead_beef_0000_usize, 1 << 63] {
            assert_eq!((read(there), read(missing), read(there)), (Some(42), None, Some(42)));
        }
        let found = std::thread::spawn(move || (read(8), read(there))).join().unwrap();
        assert_eq!(found, (None, Some(42)));
    }

    #[test]
    fn a_fault_of_the_programs_ends_it_as_ever() {
        install().unwrap();
        // SAFETY: the child makes a fault, or leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: the fault is what is wanted.
            unsafe {
                libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                core::ptr::read_volatile(core::ptr::without_provenance::<u64>(8));
                libc::_exit(1);
            }
        }
        let mut status = 0;
        // SAFETY: `status` is valid to be written.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV);
    }
}
