//! Why an interpreter goes on without stubs, in words for the one who profiles it.

use super::version::SUPPORTED;
use crate::sys::Refused;
use core::ffi::CStr;
use core::fmt;

/// The reason.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The version is too old or too new.
    Version,
    /// The build has no global interpreter lock.
    FreeThreaded,
    /// The version is not final: its layouts may still change.
    PreRelease,
    /// A function or variable is not exported.
    Missing(&'static CStr),
    /// A module is not in the table of built-in modules.
    NotBuiltIn(&'static CStr),
    /// A field is not where the layout says.
    Layout(&'static str),
    /// All slots of `co_extra` are taken.
    NoSlot,
    /// Our slot in `co_extra` would not be the same in all interpreters of the process.
    OtherSlot,
    /// Stubs cannot be switched on and off.
    NoWindows,
    /// There are more interpreters in the process than can be kept.
    TooManyInterpreters,
    /// The kernel gives no memory for code.
    Memory(Refused),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Version => {
                write!(f, "stubs work on CPython 3.{} to 3.{}", SUPPORTED.start(), SUPPORTED.end())
            }
            Refusal::FreeThreaded => write!(f, "stubs do not work on free-threaded builds"),
            Refusal::PreRelease => write!(f, "stubs do not work on pre-releases, whose layouts may change"),
            Refusal::Missing(symbol) => write!(f, "it does not export {}", symbol.to_str().unwrap_or("a symbol")),
            Refusal::NotBuiltIn(module) => {
                write!(f, "{} is not among its built-in modules", module.to_str().unwrap_or("a module"))
            }
            Refusal::Layout(field) => write!(f, "its layout is not the one of its version: {field} is elsewhere"),
            Refusal::NoSlot => write!(f, "other tools have taken all slots of co_extra"),
            Refusal::OtherSlot => write!(f, "another tool uses co_extra differently in one of its interpreters"),
            Refusal::NoWindows => write!(
                f,
                "stubs cannot be on in windows: another tool has set an evaluator, it keeps that elsewhere, or it has too \
                 many interpreters"
            ),
            Refusal::TooManyInterpreters => write!(f, "it has too many interpreters in one process"),
            Refusal::Memory(refused) => write!(f, "there is no memory for code: {refused}"),
        }
    }
}
