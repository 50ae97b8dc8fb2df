//! The library that is loaded into a target: what the loader runs, what it exports, and what becomes of a panic.

use crate::python;

/// Runs when the loader has mapped the library, before the program's `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

extern "C" fn on_load() {
    python::start();
}

/// [`python::install`], for callers that hold the interpreter's lock.
///
/// # Safety
/// The interpreter's lock is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_install() -> bool {
    // SAFETY: as promised by the caller.
    unsafe { python::install() }
}

/// [`python::remove`], for callers that hold the interpreter's lock.
///
/// # Safety
/// The interpreter's lock is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pronk_remove() {
    // SAFETY: as promised by the caller.
    unsafe { python::remove() }
}

unsafe extern "C" {
    /// Is nowhere defined: a library that needs it does not link.
    fn pronk_agent_contains_a_path_to_a_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never linked.
    unsafe { pronk_agent_contains_a_path_to_a_panic() }
}
