//! Functions of libraries that are loaded after this one: those that ours stand before.

use crate::lock::Once;
use core::ffi::{CStr, c_void};
use core::ptr::NonNull;

/// A function that ours stands before.
#[derive(Debug)]
pub struct Next<F> {
    name: &'static CStr,
    function: Once<Option<F>>,
}

impl<F: Copy> Next<F> {
    const IS_A_FUNCTION: () = assert!(size_of::<F>() == size_of::<NonNull<c_void>>());

    /// The function with a name.
    ///
    /// # Safety
    /// It is of the type `F`, which is that of a pointer to a function.
    pub const unsafe fn new(name: &'static CStr) -> Next<F> {
        let () = Self::IS_A_FUNCTION;
        Next { name, function: Once::new() }
    }

    /// The function, looked up when this is first called. In a signal handler, or in the child of a fork, only what was looked up
    /// before can be had.
    pub fn get(&self) -> Option<F> {
        *self.function.get_or(|| {
            // SAFETY: the symbol is the function, as promised when this was made, and of the same size.
            next_symbol(self.name).map(|symbol| unsafe { core::mem::transmute_copy::<NonNull<c_void>, F>(&symbol) })
        })
    }
}

/// The address of a symbol that libraries loaded after this one have.
pub fn next_symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name is zero-terminated.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) })
}
