//! Where a thread may be given a library to load.
//!
//! It must not be in the midst of allocating memory or of loading another library, whose locks it would wait for for ever, and
//! not in the midst of starting or ending a thread. All of that is code of the C library and the dynamic linker, which call
//! nobody else while they hold such a lock. So a thread whose own instruction lies elsewhere may; and one that waits in the
//! kernel may if what it waits for is no such lock.

use super::call::{is_c_library, is_linker};
use crate::target::files::Region;

/// What the kernel leaves in the place of a result in a thread whose system call was interrupted, and is to be made again
/// (include/linux/errno.h, Linux 6.1): ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, and ERESTART_RESTARTBLOCK.
const RESTART: [i64; 3] = [-512, -513, -514];
const RESTART_BY_BLOCK: i64 = -516;
/// `restart_syscall` (arch/x86/entry/syscalls/syscall_64.tbl), which goes on with a call that has a time limit.
const RESTART_SYSCALL: u64 = 219;
/// The length of the instruction `syscall`.
const SYSCALL_SIZE: u64 = 2;

/// Where a thread would go on, and with what in rax: what the kernel would have made of an interrupted system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) instruction: u64,
    pub(super) result: u64,
}

/// Where a stopped thread goes on, if it may load a library now.
#[cfg(target_arch = "x86_64")]
pub(super) fn resume_of(registers: &libc::user_regs_struct, regions: &[Region]) -> Option<Resume> {
    let libc::user_regs_struct { rip, rax, rsi, orig_rax, cs, .. } = *registers;
    // The code segment of 64-bit programs (__USER_CS, arch/x86/include/asm/segment.h).
    const USER_CODE: u64 = 0x33;
    if cs != USER_CODE {
        return None;
    }
    let region = regions.iter().find(|region| region.executable && region.range.contains(&rip))?;
    let name = region.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let call = orig_rax.cast_signed();
    if call >= 0 {
        // The dynamic linker makes its system calls itself.
        let waits_safely = waits_safely(call, rsi) && !is_linker(name);
        return waits_safely.then(|| after_call(rip, rax, orig_rax))?;
    }
    let is_kernels = region.path.as_os_str().as_encoded_bytes().starts_with(b"[");
    let is_unsafe = is_kernels || is_c_library(name) || is_allocator(name);
    (!is_unsafe).then_some(Resume { instruction: rip, result: rax })
}

/// Whether a file has functions in place of the C library's that allocate memory.
fn is_allocator(name: &str) -> bool {
    ["libjemalloc", "libtcmalloc", "libmimalloc", "libhoard", "libasan", "libtsan"]
        .iter()
        .any(|known| name.starts_with(known))
}

/// Whether a thread that waits in a system call holds no lock of the C library's that is needed.
fn waits_safely(call: i64, second: u64) -> bool {
    // FUTEX_WAIT and FUTEX_WAIT_BITSET, and what tells which (futex(2)).
    const WAIT_BITSET: u64 = 9;
    const COMMAND: u64 = 0x7f;
    match call {
        // Locks of the C library's wait by FUTEX_WAIT (`lll_lock_wait`, nptl/lowlevellock.c); semaphores, conditions and joins,
        // by which threads of Python wait, by FUTEX_WAIT_BITSET (sysdeps/nptl/futex-internal.c, glibc 2.36).
        libc::SYS_futex => second & COMMAND == WAIT_BITSET,
        // What allocates memory, and starts and ends processes and threads.
        libc::SYS_mmap
        | libc::SYS_munmap
        | libc::SYS_mremap
        | libc::SYS_mprotect
        | libc::SYS_madvise
        | libc::SYS_brk
        | libc::SYS_clone
        | libc::SYS_clone3
        | libc::SYS_fork
        | libc::SYS_vfork
        | libc::SYS_execve
        | libc::SYS_execveat
        | libc::SYS_exit
        | libc::SYS_exit_group
        | libc::SYS_rt_sigreturn => false,
        _ => true,
    }
}

/// What the kernel makes of a system call that was interrupted. One that has ended has its result, and its thread is behind it,
/// in the midst of whatever called it.
fn after_call(instruction: u64, rax: u64, call: u64) -> Option<Resume> {
    const EINTR: i64 = -4;
    let again = instruction.wrapping_sub(SYSCALL_SIZE);
    match rax.cast_signed() {
        result if RESTART.contains(&result) => Some(Resume { instruction: again, result: call }),
        RESTART_BY_BLOCK => Some(Resume { instruction: again, result: RESTART_SYSCALL }),
        // Some calls, such as epoll_wait, are not made again by the kernel: whoever calls them does that (signal(7)).
        EINTR => Some(Resume { instruction, result: rax }),
        _ => None,
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn registers(rip: u64, rax: i64, call: i64, second: u64) -> libc::user_regs_struct {
        // SAFETY: zeros are a valid value.
        let zeros: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        let (rax, orig_rax) = (rax.cast_unsigned(), call.cast_unsigned());
        libc::user_regs_struct { rip, rax, orig_rax, rsi: second, cs: 0x33, ..zeros }
    }

    fn regions() -> Vec<Region> {
        let region = |start: u64, path: &str| Region {
            range: start..start + 0x1000,
            executable: true,
            offset: 0,
            inode: 1,
            path: path.into(),
        };
        vec![
            region(0x1000, "/usr/bin/python3.12"),
            region(0x2000, "/lib/x86_64-linux-gnu/libc.so.6"),
            region(0x3000, "/lib64/ld-linux-x86-64.so.2"),
            region(0x4000, "[vdso]"),
            region(0x5000, ""),
        ]
    }

    #[test]
    fn a_thread_that_runs_may_where_no_lock_can_be_held() {
        let at = |rip| resume_of(&registers(rip, 7, -1, 0), &regions());
        assert_eq!(at(0x1234), Some(Resume { instruction: 0x1234, result: 7 }));
        assert_eq!(at(0x5678), Some(Resume { instruction: 0x5678, result: 7 }));
        assert_eq!([0x2345, 0x3456, 0x4567, 0x9999].map(at), [None; 4]);
        let of_another_kind = libc::user_regs_struct { cs: 0x23, ..registers(0x1234, 7, -1, 0) };
        assert_eq!(resume_of(&of_another_kind, &regions()), None);
    }

    #[test]
    fn a_thread_that_waits_makes_its_call_again() {
        let at = |rax, call, second| resume_of(&registers(0x2345, rax, call, second), &regions());
        let again = |result| Some(Resume { instruction: 0x2343, result });
        assert_eq!(at(-512, libc::SYS_read, 0), again(libc::SYS_read as u64));
        assert_eq!(at(-516, libc::SYS_clock_nanosleep, 0), again(219));
        assert_eq!(at(-4, libc::SYS_epoll_wait, 0), Some(Resume { instruction: 0x2345, result: -4_i64 as u64 }));
        // A condition, and a lock.
        assert_eq!(at(-512, libc::SYS_futex, 0x189), again(libc::SYS_futex as u64));
        assert_eq!(at(-512, libc::SYS_futex, 0x80), None);
        // It has ended; and one that allocates.
        assert_eq!(at(5, libc::SYS_read, 0), None);
        assert_eq!(at(-512, libc::SYS_mmap, 0), None);
        let of_linker = registers(0x3456, -512, libc::SYS_read, 0);
        assert_eq!(resume_of(&of_linker, &regions()), None);
    }
}
