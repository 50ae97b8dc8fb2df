//! Has the calls of a program that runs already come by the agent.
//!
//! In a program that was started with the agent, the dynamic linker leads the program's calls of a few functions of the C
//! library to the agent, which stands before it. In one that runs already, they have been led past it: so the words through
//! which the program calls them, one in each file that is loaded, are changed, and changed back in the end. A word is an
//! address that is read as a whole, so whoever calls meanwhile calls the one or the other.
//!
//! # Safety
//! The tables are the dynamic linker's own (gABI, "Dynamic Section"), of files that are loaded while they are looked at
//! ([`loader`]).

use crate::sys;
use crate::sys::loader::{self, LoadedFile, Loads};
use core::ffi::{CStr, c_void};
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

/// How many files had been loaded when calls were last led here.
static LOADED: AtomicU64 = AtomicU64::new(0);

/// Leads calls to our functions, also those of files that were loaded since. Where another one is being loaded, this is to be
/// called again.
pub fn lead_here(replacements: &[Replacement]) {
    let loads = Loads::now();
    if LOADED.load(Ordering::Relaxed) == loads.loaded {
        return;
    }
    // Who loads a file writes its words, too, and counts on its pages until it is done.
    loader::wait_for_loads();
    let are_led = each_word(Some(loads), |name, word, read_only| {
        if let Some(one) = find(replacements, name) {
            // SAFETY: the word is one of a file that is loaded.
            unsafe { store(word, None, one.ours, read_only) };
        }
    });
    if are_led {
        LOADED.store(loads.loaded, Ordering::Relaxed);
    }
}

/// Leads calls past our functions again.
pub fn lead_back(replacements: &[Replacement]) {
    LOADED.store(0, Ordering::Relaxed);
    each_word(None, |name, word, read_only| {
        if let Some(one) = find(replacements, name) {
            // SAFETY: as above; a word that holds our address is one of a file that was loaded before.
            unsafe { store(word, Some(one.ours), one.real, read_only) };
        }
    });
}

fn find<'a>(replacements: &'a [Replacement], name: &CStr) -> Option<&'a Replacement> {
    replacements.iter().find(|one| one.name == name && one.real != 0)
}

/// Hands over each word of the files that are loaded through which they call a function: with the function's name, and whether
/// the word is in memory that is read-only once the file is loaded. The files are held on to meanwhile, so nothing may be
/// asked of the dynamic linker. Whether all were: see [`loader::each_file`].
fn each_word(loads: Option<Loads>, mut hand_over: impl FnMut(&CStr, *const AtomicUsize, bool)) -> bool {
    loader::each_file(loads, |file: &LoadedFile<'_>| {
        let base = file.base();
        // SAFETY: a file that is loaded has one dynamic section, if any.
        if let Some(tables) = file.segment(libc::PT_DYNAMIC).and_then(|at| unsafe { Tables::read(base, at.start) }) {
            let read_only = file.segment(libc::PT_GNU_RELRO).unwrap_or(0..0);
            // SAFETY: the file is loaded.
            unsafe { tables.each(|name, word| hand_over(name, word, read_only.contains(&(word as usize)))) };
        }
    })
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
        let are_all = each_word(Some(Loads::now()), |name, word, _| {
            // SAFETY: the words are those of files that are loaded.
            let leads_to = unsafe { (*word).load(Ordering::Relaxed) };
            found |= name == c"pthread_create" && leads_to == real;
        });
        assert!(found || !are_all, "the standard library starts threads");
    }
}
