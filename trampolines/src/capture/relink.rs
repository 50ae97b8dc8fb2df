//! Has the calls of a program that runs already come by the agent.
//!
//! In a program that was started with the agent, the dynamic linker leads the program's calls of a few functions of the C
//! library to the agent, which stands before it. In one that runs already, they have been led past it: so the words through
//! which the program calls them, one in each file that is loaded, are changed, and changed back in the end. A word is an
//! address that is read as a whole, so whoever calls meanwhile calls the one or the other.
//!
//! # Safety
//! The tables are the dynamic linker's own (gABI, "Dynamic Section"), of files that are loaded while they are looked at:
//! `dl_iterate_phdr(3)` holds off whoever would close one.

use crate::sys;
use core::ffi::{CStr, c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A function of the C library's, and ours that stands before it.
#[derive(Clone, Copy, Debug)]
pub struct Replacement {
    name: &'static CStr,
    /// Its address, looked up beforehand: who looks for a symbol while files are looked at waits for whoever loads a file, and
    /// that one waits for this one. 0 where there is none.
    real: usize,
    /// The address of ours.
    ours: usize,
}

impl Replacement {
    /// Of the function with a name, by ours at an address.
    pub fn new(name: &'static CStr, ours: usize) -> Replacement {
        Replacement { name, real: sys::next_symbol(name).map_or(0, |symbol| symbol.as_ptr() as usize), ours }
    }
}

/// An entry of the dynamic section (`Elf64_Dyn`).
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

const DT_PLTRELSZ: i64 = 2;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_RELA: i64 = 7;
const DT_RELASZ: i64 = 8;
const DT_JMPREL: i64 = 23;

/// Kinds of relocations whose place holds the address of a function: `R_X86_64_GLOB_DAT`, `R_X86_64_JUMP_SLOT` (x86-64 psABI
/// 1.0, table 4.9).
#[cfg(target_arch = "x86_64")]
const ADDRESSES: [u32; 2] = [6, 7];
/// The same: `R_AARCH64_GLOB_DAT`, `R_AARCH64_JUMP_SLOT` (ELF for the Arm 64-bit Architecture, "Dynamic relocations").
#[cfg(target_arch = "aarch64")]
const ADDRESSES: [u32; 2] = [1025, 1026];

const PAGE: usize = 4096;

/// Which files were loaded when calls were last led here (`dlpi_adds`).
static LOADED: AtomicU64 = AtomicU64::new(0);

/// Leads calls to our functions, also those of files that were loaded since.
pub fn lead_here(replacements: &[Replacement]) {
    let adds = how_often_files_were_loaded();
    if LOADED.swap(adds, Ordering::Relaxed) != adds {
        each_word(|name, word, read_only| {
            if let Some(one) = find(replacements, name) {
                // SAFETY: the word is one of a file that is loaded.
                unsafe { store(word, None, one.ours, read_only) };
            }
        });
    }
}

/// Leads calls past our functions again.
pub fn lead_back(replacements: &[Replacement]) {
    LOADED.store(0, Ordering::Relaxed);
    each_word(|name, word, read_only| {
        if let Some(one) = find(replacements, name) {
            // SAFETY: as above.
            unsafe { store(word, Some(one.ours), one.real, read_only) };
        }
    });
}

fn find<'a>(replacements: &'a [Replacement], name: &CStr) -> Option<&'a Replacement> {
    replacements.iter().find(|one| one.name == name && one.real != 0)
}

/// `dlpi_adds`.
fn how_often_files_were_loaded() -> u64 {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, adds: *mut c_void) -> c_int {
        // SAFETY: the linker passes valid information, and `adds` is the number below.
        unsafe { *adds.cast::<u64>() = (*info).dlpi_adds };
        1
    }
    let mut adds = 0_u64;
    // SAFETY: the callback keeps to what the linker passes.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut adds).cast()) };
    adds
}

/// Hands over each word of the files that are loaded through which they call a function: with the function's name, and whether
/// the word is in memory that is read-only once the file is loaded. The files are held on to meanwhile, so nothing may be
/// asked of the dynamic linker.
fn each_word<F: FnMut(&CStr, *const AtomicUsize, bool)>(mut hand_over: F) {
    unsafe extern "C" fn look<F: FnMut(&CStr, *const AtomicUsize, bool)>(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        hand_over: *mut c_void,
    ) -> c_int {
        // SAFETY: the linker passes valid information, and `hand_over` is the one below.
        unsafe {
            let (info, hand_over) = (&*info, &mut *hand_over.cast::<F>());
            let base = info.dlpi_addr as usize;
            let headers = core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into());
            let range = |header: &libc::Elf64_Phdr| {
                let start = base.wrapping_add(header.p_vaddr as usize);
                start..start.wrapping_add(header.p_memsz as usize)
            };
            let find = |kind| headers.iter().find(|header| header.p_type == kind).map(range);
            if let Some(tables) = find(libc::PT_DYNAMIC).and_then(|dynamic| Tables::read(base, dynamic.start)) {
                let read_only = find(libc::PT_GNU_RELRO).unwrap_or(0..0);
                tables.each(|name, word| hand_over(name, word, read_only.contains(&(word as usize))));
            }
        }
        0
    }
    // SAFETY: the callback keeps to what the linker passes.
    unsafe { libc::dl_iterate_phdr(Some(look::<F>), (&raw mut hand_over).cast()) };
}

/// Stores an address in a word, if it holds the one that it should.
///
/// # Safety
/// The word is one of a file that is loaded.
unsafe fn store(word: *const AtomicUsize, from: Option<usize>, to: usize, read_only: bool) {
    let page = (word as usize & !(PAGE - 1)) as *mut c_void;
    // SAFETY: as promised by the caller; where the page cannot be made writable, nothing is written.
    unsafe {
        let now = (*word).load(Ordering::Relaxed);
        if now == to || from.is_some_and(|from| from != now) {
            return;
        }
        if read_only && libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_WRITE) != 0 {
            return;
        }
        (*word).store(to, Ordering::Release);
        if read_only {
            libc::mprotect(page, PAGE, libc::PROT_READ);
        }
    }
}

/// The tables of a file that tell which word leads where.
struct Tables {
    base: usize,
    symbols: NonNull<libc::Elf64_Sym>,
    names: NonNull<i8>,
    relocations: [(usize, usize); 2],
}

impl Tables {
    /// Reads the dynamic section of a file that is loaded at a base.
    ///
    /// # Safety
    /// It is one.
    unsafe fn read(base: usize, dynamic: usize) -> Option<Tables> {
        let (mut names, mut symbols) = (0, 0);
        let mut relocations = [(0, 0); 2];
        let mut entry = dynamic as *const Dynamic;
        // SAFETY: as promised by the caller: the section ends with a zero.
        unsafe {
            while (*entry).tag != 0 {
                let value = (*entry).value;
                match (*entry).tag {
                    DT_STRTAB => names = value,
                    DT_SYMTAB => symbols = value,
                    DT_RELA => relocations[0].0 = value,
                    DT_RELASZ => relocations[0].1 = value,
                    DT_JMPREL => relocations[1].0 = value,
                    DT_PLTRELSZ => relocations[1].1 = value,
                    _ => {}
                }
                entry = entry.add(1);
            }
        }
        // glibc has put addresses there in the place of offsets, but for the kernel's own file (elf/get-dynamic-info.h).
        let is_moved = |address: usize| address >= base;
        let (names, symbols) = (NonNull::new(names as *mut i8)?, NonNull::new(symbols as *mut libc::Elf64_Sym)?);
        let is_sound = is_moved(names.as_ptr() as usize)
            && is_moved(symbols.as_ptr() as usize)
            && relocations.iter().all(|(start, size)| *size == 0 || is_moved(*start));
        is_sound.then_some(Tables { base, symbols, names, relocations })
    }

    /// Hands over each word that leads to a function with a name.
    ///
    /// # Safety
    /// The file is loaded.
    unsafe fn each(&self, mut hand_over: impl FnMut(&CStr, *const AtomicUsize)) {
        for (start, size) in self.relocations {
            let count = size / size_of::<libc::Elf64_Rela>();
            for index in 0..count {
                // SAFETY: the table has so many entries; symbols and names are where they say.
                unsafe {
                    let relocation = &*(start as *const libc::Elf64_Rela).add(index);
                    let (symbol, kind) = ((relocation.r_info >> 32) as usize, relocation.r_info as u32);
                    if symbol == 0 || !ADDRESSES.contains(&kind) {
                        continue;
                    }
                    let name = (*self.symbols.as_ptr().add(symbol)).st_name as usize;
                    let name = CStr::from_ptr(self.names.as_ptr().add(name).cast());
                    let word = self.base.wrapping_add(relocation.r_offset as usize);
                    hand_over(name, word as *const AtomicUsize);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_changed_only_if_it_holds_what_it_should() {
        let word = AtomicUsize::new(1);
        let now = |from, to| {
            // SAFETY: the word is the test's own.
            unsafe { store(&word, from, to, false) };
            word.load(Ordering::Relaxed)
        };
        assert_eq!((now(None, 2), now(Some(3), 4), now(Some(2), 5)), (2, 2, 5));
    }

    #[test]
    fn the_calls_of_loaded_files_are_found() {
        let real = sys::symbol(c"pthread_create").map_or(0, |symbol| symbol.as_ptr() as usize);
        let mut found = false;
        each_word(|name, word, _| {
            // SAFETY: the words are those of files that are loaded.
            let leads_to = unsafe { (*word).load(Ordering::Relaxed) };
            found |= name == c"pthread_create" && leads_to == real;
        });
        assert!(found, "the standard library starts threads");
    }
}
