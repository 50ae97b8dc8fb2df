//! Names as the source has them.

use gimli::DwLang;
use std::fmt::{self, Write};

/// Longer names stay as they are, mangled or not: nobody can read them, and names can be made that demangle to
/// gigabytes.
const MAX_LENGTH: usize = 4096;

/// What GCC and LLVM append to the names of parts and copies of a function: `f.cold`, `f.part.0`, `f.constprop.0.isra.0`.
const CLONES: [&str; 7] = [".cold", ".part", ".constprop", ".isra", ".lto_priv", ".llvm", ".localalias"];

/// The name of a symbol as the source has it: C++ and Rust names demangled, and copies of a function named as it is.
/// `language` is that of the source, if it is known.
pub fn demangle(symbol: &str, language: Option<DwLang>) -> String {
    let name = without_clones(symbol);
    // What glibc calls its own functions when it uses them itself (glibc, include/libc-symbols.h).
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    if name.len() > MAX_LENGTH {
        return name.to_owned();
    }
    let rust = || addr2line::demangle(name, gimli::DW_LANG_Rust).filter(|demangled| demangled.len() <= MAX_LENGTH);
    let demangled = match language {
        Some(gimli::DW_LANG_Rust) => rust(),
        // Older Rust names are C++ names as well.
        _ if name.starts_with("_Z") => rust().or_else(|| cpp(name)),
        None => rust(),
        Some(_) => None,
    };
    demangled.filter(|demangled| !demangled.is_empty()).unwrap_or_else(|| name.to_owned())
}

/// Demangles a C++ name, unless that becomes too long.
fn cpp(name: &str) -> Option<String> {
    let mut bounded = Bounded(String::new());
    let symbol = cpp_demangle::Symbol::new(name).ok()?;
    symbol.structured_demangle(&mut bounded, &cpp_demangle::DemangleOptions::default()).ok()?;
    Some(bounded.0)
}

/// Takes so much text and no more.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_LENGTH {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

fn without_clones(symbol: &str) -> &str {
    let cut = CLONES.iter().filter_map(|clone| {
        let at = symbol.find(clone)?;
        let rest = symbol.get(at + clone.len()..)?;
        (at > 0 && (rest.is_empty() || rest.starts_with('.'))).then_some(at)
    });
    cut.min().and_then(|at| symbol.get(..at)).unwrap_or(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_source() {
        assert_eq!(demangle("_ZN3geo5Point4moveEid", None), "geo::Point::move(int, double)");
        assert_eq!(demangle("_ZN4core3fmt5Write9write_str17h0123456789abcdefE", None), "core::fmt::Write::write_str");
        assert_eq!(demangle("_RNvC6_123foo3bar", None), "123foo::bar");
        assert_eq!(demangle("PyList_Append", None), "PyList_Append");
        assert_eq!(demangle("__GI___confstr", None), "__confstr");
        assert_eq!(demangle("_Znot_a_mangled_name", None), "_Znot_a_mangled_name");
    }

    #[test]
    fn copies_of_a_function_have_its_name() {
        assert_eq!(demangle("list_sort_impl.constprop.0.isra.0", None), "list_sort_impl");
        assert_eq!(demangle("bytes_richcompare.cold", None), "bytes_richcompare");
        assert_eq!(demangle("_ZN3geo5Point4moveEid.part.3", None), "geo::Point::move(int, double)");
        assert_eq!(demangle("a.partial", None), "a.partial");
        assert_eq!(demangle(".cold", None), ".cold");
    }

    #[test]
    fn overlong_names_stay_as_they_are() {
        let long = format!("_Z{}", "1a".repeat(MAX_LENGTH));
        assert_eq!(demangle(&long, None), long);
        // f(a, b<a, a>, b<b<a, a>, b<a, a>>, ...): each argument is twice as long as the one before.
        let arguments: String = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "E", "F", "G", "H"]
            .map(|number| format!("S0_IS{number}_S{number}_E"))
            .concat();
        let doubling = format!("_Z1f1a1bIS_S_E{arguments}");
        assert_eq!(demangle(&doubling, None), doubling);
        assert_eq!(demangle("_Z1f1a1bIS_S_ES0_IS1_S1_E", None), "f(a, b<a, a>, b<b<a, a>, b<a, a> >)");
    }
}
