//! Whether a thread is in the midst of exchanging its stack for another one, as greenlet does.
//!
//! greenlet copies a greenlet's part of the stack away and another one's in, and only then has the interpreter's thread
//! go on with the other one's frames. In between the chain of frames leads through parts of the stack that are another
//! greenlet's. A handler that interrupts this code must not believe what it reads there.
//!
//! # Safety
//! The list of libraries is the dynamic linker's (`_r_debug`, link.h): it grows at its end only as long as nobody closes a
//! library, and a new entry is complete before code of its library runs. CPython never closes extension modules.

use crate::sys;
use crate::wire::REGISTERS;
use core::ffi::{CStr, c_char, c_int};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// `struct link_map` (link.h), as far as it is public.
#[derive(Debug)]
#[repr(C)]
struct Library {
    address: usize,
    name: *const c_char,
    dynamic: usize,
    next: AtomicPtr<Library>,
}

/// `struct r_debug` (link.h).
#[repr(C)]
struct Libraries {
    version: c_int,
    first: *mut Library,
}

/// How the file's name of the library that exchanges stacks begins. gevent has others with such a word in their names.
const NAME: &[u8] = b"_greenlet.";
/// How many words from the top of the stack are looked through for return addresses. Between the exchange and the thread's
/// going on, greenlet gives memory back: the C library's free takes up to about 400 bytes of stack for that.
const WORDS: usize = 64;

/// The code that exchanges stacks.
#[derive(Debug)]
pub struct Switches {
    /// The newest library that was looked at.
    newest: AtomicPtr<Library>,
    start: AtomicU64,
    end: AtomicU64,
}

impl Switches {
    /// Of this process.
    pub fn new() -> Switches {
        let libraries = sys::symbol(c"_r_debug").map(|symbol| symbol.cast::<Libraries>());
        // SAFETY: the symbol is the linker's structure, which stays.
        let first = libraries.map_or(ptr::null_mut(), |libraries| unsafe { (*libraries.as_ptr()).first });
        Switches { newest: AtomicPtr::new(first), start: AtomicU64::new(0), end: AtomicU64::new(0) }
    }

    /// Whether code that exchanges stacks runs, or has called what runs.
    pub fn may_be_switching(&self, registers: &[u64; REGISTERS]) -> bool {
        self.look_at_new_libraries();
        let (start, end) = (self.start.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        if start == end {
            return false;
        }
        let [pc, _, _, _, _, _, _, _, pointer, ..] = *registers;
        let code = start..end;
        let words = (0..WORDS).map(|index| {
            let address = (pointer & !7).wrapping_add(8 * index as u64);
            // SAFETY: the handler's own frame is below the interrupted one on the same stack, whose base has more than so
            // many words: what starts the thread or the program.
            unsafe { (address as *const u64).read_volatile() }
        });
        code.contains(&pc) || words.into_iter().any(|word| code.contains(&word))
    }

    fn look_at_new_libraries(&self) {
        let mut newest = self.newest.load(Ordering::Relaxed);
        // SAFETY: the list and its names stay, as nothing of it is closed.
        while let Some(library) = unsafe { newest.as_ref() } {
            let next = library.next.load(Ordering::Acquire);
            if next.is_null() {
                break;
            }
            newest = next;
            self.newest.store(next, Ordering::Relaxed);
            // SAFETY: as above.
            unsafe { self.look_at(&*next) };
        }
    }

    /// # Safety
    /// The library is loaded.
    unsafe fn look_at(&self, library: &Library) {
        // SAFETY: as promised by the caller; names are zero-terminated.
        let name = unsafe { CStr::from_ptr(library.name) }.to_bytes();
        if !name.rsplit(|byte| *byte == b'/').next().is_some_and(|file| file.starts_with(NAME)) {
            return;
        }
        // SAFETY: a library that is loaded begins with its headers, which are in its first segment (gABI, "Program Header").
        unsafe {
            let header = library.address as *const libc::Elf64_Ehdr;
            let segments = (library.address + (*header).e_phoff as usize) as *const libc::Elf64_Phdr;
            for index in 0..usize::from((*header).e_phnum) {
                let segment = &*segments.add(index);
                if segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_X != 0 {
                    let start = library.address as u64 + segment.p_vaddr;
                    self.end.store(start + segment.p_memsz, Ordering::Relaxed);
                    self.start.store(start, Ordering::Relaxed);
                }
            }
        }
    }
}
