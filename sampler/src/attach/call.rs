//! Has a thread of another process call the agent, and go on as if it never had.
//!
//! The thread is stopped where it may load a library ([`super::safe_point`]), and its instruction pointer is set to code that
//! keeps all of its registers, makes the call, puts the registers back and jumps to where the thread was. The thread is let
//! go at once, and needs nobody from then on: whoever attaches may be killed at any moment, and the thread goes on rightly.
//!
//! The code lies in the padding behind the code of a file that the process has mapped: the rest of the last page, which nobody
//! uses. So nothing has to be allocated in the process, which would take several steps with a thread that is not itself in
//! between.
//!
//! # Safety
//! `unsafe` is needed to read the code below as data.

use crate::target::files::{LoadedFile, Symbol};
use std::arch::global_asm;
use std::ffi::CStr;

/// The room for the code itself, in bytes: the same in all versions of pronk, which have to know of each other whether a thread will
/// come back to it. Behind it are words and texts, which a thread may have the addresses of for long.
pub(super) const CODE_SIZE: usize = 512;

/// What the code calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Functions {
    pub(super) open: Symbol,
    pub(super) find: Symbol,
    pub(super) error: Symbol,
    pub(super) errno: Symbol,
}

impl Functions {
    /// Looks for them among the files of a process: they are in the C library, or with glibc up to 2.33 partly in `libdl`.
    pub(super) fn find(files: &[LoadedFile]) -> Option<Functions> {
        let names = ["dlopen", "dlsym", "dlerror", "__errno_location"];
        let mut found = [None; 4];
        for file in files.iter().filter(|file| is_c_library(file.name())) {
            for (found, new) in found.iter_mut().zip(file.symbols(names)) {
                *found = found.or(new);
            }
        }
        let [open, find, error, errno] = found;
        Some(Functions { open: open?, find: find?, error: error?, errno: errno? })
    }
}

/// Whether a file is a part of the GNU C library, by its name, or the dynamic linker.
pub(super) fn is_c_library(name: &str) -> bool {
    let parts = ["libc.so.", "libc-2.", "libdl.so.", "libdl-2.", "libpthread.so.", "libpthread-2."];
    is_linker(name) || parts.iter().any(|part| name.starts_with(part))
}

/// Whether a file is the dynamic linker of the GNU C library.
pub(super) fn is_linker(name: &str) -> bool {
    ["ld-linux", "ld-2.", "ld.so"].iter().any(|part| name.starts_with(part))
}

// The code has 512 bytes: see `CODE_SIZE`. The words behind it are filled in for each call ([`Call::code`]). The red zone of 128
// bytes below the stack pointer is the thread's (x86-64 psABI 1.0, section 3.2.2). `xsave` wants 64 bytes of its header to be zero (Intel SDM, volume 1, 13.4.2),
// and 64-byte alignment. The numbers of open, write and close are 2, 1 and 3 (arch/x86/entry/syscalls/syscall_64.tbl); the
// flags of open are O_WRONLY, O_NOFOLLOW and O_CLOEXEC; 2 is RTLD_NOW.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .rodata.pronk_call,\"a\",%progbits",
    ".balign 8",
    ".globl pronk_call_start",
    ".hidden pronk_call_start",
    "pronk_call_start:",
    "lea rsp, [rsp - 128]",
    "pushfq",
    "push rax",
    "push rbx",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push rbp",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov rbp, rsp",
    "cld",
    "sub rsp, [rip + 90f]",
    "and rsp, -64",
    "xor eax, eax",
    "lea rdi, [rsp + 512]",
    "mov ecx, 8",
    "rep stosq",
    "mov eax, -1",
    "mov edx, -1",
    "xsave [rsp]",
    "mov r12, rsp",
    "call [rip + 91f]",
    "mov r13, rax",
    "mov r14d, [rax]",
    "mov rbx, [rip + 92f]",
    "test rbx, rbx",
    "jnz 2f",
    "lea rdi, [rip + 98f]",
    "add rdi, [rip + 93f]",
    "mov esi, 2",
    "call [rip + 94f]",
    "test rax, rax",
    "jz 3f",
    "mov rdi, rax",
    "lea rsi, [rip + 7f]",
    "call [rip + 95f]",
    "test rax, rax",
    "jz 3f",
    "mov rbx, rax",
    "2:",
    "lea rdi, [rip + 98f]",
    "call rbx",
    "jmp 4f",
    // It failed: the reason goes into its file.
    "3:",
    "call [rip + 96f]",
    "test rax, rax",
    "jz 4f",
    "mov r15, rax",
    "lea rdi, [rip + 98f]",
    "add rdi, [rip + 97f]",
    "mov esi, 0xa0001",
    "xor edx, edx",
    "mov eax, 2",
    "syscall",
    "test eax, eax",
    "js 4f",
    "mov ebx, eax",
    "mov rdi, r15",
    "xor eax, eax",
    "mov rcx, -1",
    "repne scasb",
    "not rcx",
    "lea rdx, [rcx - 1]",
    "mov edi, ebx",
    "mov rsi, r15",
    "mov eax, 1",
    "syscall",
    "mov edi, ebx",
    "mov eax, 3",
    "syscall",
    // Nothing of the call stays below the stack pointer: who looks for a place takes an address in this one for a use of it.
    "4:",
    "xor eax, eax",
    "lea rdi, [rsp - 2048]",
    "mov ecx, 256",
    "rep stosq",
    "mov [r13], r14d",
    "mov eax, -1",
    "mov edx, -1",
    "xrstor [r12]",
    "mov rsp, rbp",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rbp",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rbx",
    "pop rax",
    "popfq",
    "lea rsp, [rsp + 128]",
    "jmp [rip + 99f]",
    "7:",
    ".asciz \"pronk_attach\"",
    ".skip 512 - (. - pronk_call_start)",
    ".globl pronk_call_words",
    ".hidden pronk_call_words",
    "pronk_call_words:",
    "90: .quad 0",
    "91: .quad 0",
    "92: .quad 0",
    "93: .quad 0",
    "94: .quad 0",
    "95: .quad 0",
    "96: .quad 0",
    "97: .quad 0",
    "99: .quad 0",
    ".globl pronk_call_texts",
    ".hidden pronk_call_texts",
    "pronk_call_texts:",
    "98:",
    ".popsection",
);

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    static pronk_call_start: u8;
    static pronk_call_words: u8;
    static pronk_call_texts: u8;
}

/// A call that a thread is to make.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The path of the session's directory, as the process sees it.
    pub(super) session: &'a CStr,
    /// The agent's function, where the library is loaded already.
    pub(super) attach: Option<u64>,
    /// The path of the library, to be loaded otherwise.
    pub(super) library: &'a CStr,
    /// The path of the file for the reason, should that fail.
    pub(super) reason: &'a CStr,
    pub(super) functions: Functions,
    /// Where the thread goes on.
    pub(super) resume: u64,
}

impl Call<'_> {
    /// The code and what it needs, to be put at any address.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn code(&self) -> Vec<u8> {
        let texts = [self.session, self.library, self.reason].map(CStr::to_bytes_with_nul);
        let [session, library, _] = texts.map(|text| text.len() as u64);
        let Functions { open, find, error, errno } = self.functions;
        // In the order of the labels 90 to 97, and 99. The texts are found by how far they are from the first one.
        let words = [
            registers_size(),
            errno.address,
            self.attach.unwrap_or(0),
            session,
            open.address,
            find.address,
            error.address,
            session + library,
            self.resume,
        ];
        // SAFETY: the symbols are labels in one piece of data, in that order.
        let code = unsafe {
            let (start, end) = (&raw const pronk_call_start, &raw const pronk_call_words);
            assert_eq!((&raw const pronk_call_texts).offset_from(end) as usize, size_of_val(&words));
            assert_eq!(end.offset_from(start) as usize, CODE_SIZE);
            std::slice::from_raw_parts(start, end.offset_from(start) as usize)
        };
        let words = words.iter().flat_map(|word| word.to_ne_bytes());
        code.iter().copied().chain(words).chain(texts.into_iter().flatten().copied()).collect()
    }
}

/// How much room the registers take up that `xsave` keeps (Intel SDM, volume 2, CPUID leaf 0DH).
#[cfg(target_arch = "x86_64")]
fn registers_size() -> u64 {
    u64::from(std::arch::x86_64::__cpuid_count(0xd, 0).ebx).max(1024).next_multiple_of(64)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_code_has_its_words_and_texts_behind_it() {
        let symbol = |address| Symbol { address, size: 1 };
        let functions = Functions { open: symbol(11), find: symbol(12), error: symbol(13), errno: symbol(14) };
        let call = Call {
            session: c"/tmp/s",
            attach: None,
            library: c"/tmp/s/lib.so",
            reason: c"/tmp/s/reason",
            functions,
            resume: 0x1234_5678_9abc,
        };
        let code = call.code();
        let texts = b"/tmp/s\0/tmp/s/lib.so\0/tmp/s/reason\0";
        assert!(code.ends_with(texts));
        let words = &code[code.len() - texts.len() - 72..code.len() - texts.len()];
        let word = |at: usize| u64::from_ne_bytes(words[8 * at..8 * at + 8].try_into().unwrap());
        assert!(word(0) >= 1024 && word(0) % 64 == 0);
        let rest: Vec<_> = (1..9).map(word).collect();
        assert_eq!(rest, [14, 0, 7, 11, 12, 13, 21, 0x1234_5678_9abc]);
        assert!(code.len() < 700, "{}", code.len());
    }
}
