//! The kernel's symbols, from `/proc/kallsyms`.

use pronk_sampler::recording::Address;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Where the kernel lists its symbols (proc(5)).
pub const KALLSYMS: &str = "/proc/kallsyms";
/// The binary of the kernel's own functions. Those of a module have the module's name in brackets.
pub const KERNEL: &str = "[kernel]";

/// More than any kernel has. Keeps a strange file from filling the memory.
const MAX_SIZE: u64 = 1 << 28;

#[derive(Debug)]
struct Symbol {
    start: u64,
    name: String,
    module: Option<String>,
}

/// The functions of the running kernel; empty when they may not be seen.
#[derive(Debug, Default)]
pub struct Kernel {
    symbols: Vec<Symbol>,
}

impl Kernel {
    /// Reads the kernel's symbols. Without permission the kernel shows every address as 0 (`kptr_restrict`), and then
    /// there are none.
    pub fn load(path: &Path) -> Kernel {
        let Ok(file) = File::open(path) else { return Kernel::default() };
        Kernel::read(BufReader::new(file.take(MAX_SIZE)))
    }

    fn read(lines: impl BufRead) -> Kernel {
        let mut symbols: Vec<Symbol> = lines.lines().map_while(Result::ok).filter_map(|line| parse(&line)).collect();
        // Stable: of several names for an address, the first one in the kernel's own order stays.
        symbols.sort_by_key(|symbol| symbol.start);
        symbols.dedup_by_key(|symbol| symbol.start);
        if symbols.iter().all(|symbol| symbol.start == 0) {
            symbols.clear();
        }
        Kernel { symbols }
    }

    /// The function at an address and the binary that it is in.
    pub fn find(&self, Address(address): Address) -> Option<(&str, String)> {
        let behind = self.symbols.partition_point(|symbol| symbol.start <= address);
        let symbol = self.symbols.get(behind.checked_sub(1)?)?;
        let binary = symbol.module.as_ref().map_or(KERNEL.to_owned(), |module| format!("[{module}]"));
        Some((&symbol.name, binary))
    }
}

/// Reads a line such as `ffffffffc0a1b2c0 t ext4_readdir [ext4]`. `None` for what is not code.
fn parse(line: &str) -> Option<Symbol> {
    let mut words = line.split_ascii_whitespace();
    let start = u64::from_str_radix(words.next()?, 16).ok()?;
    if !matches!(words.next()?, "t" | "T" | "w" | "W") {
        return None;
    }
    let name = words.next()?.to_owned();
    let module = words.next().map(|word| word.trim_matches(['[', ']']).to_owned());
    Some(Symbol { start, name, module })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "ffffffff81000000 T _stext\nffffffff81000000 T _text\nffffffff81000100 t do_idle\n\
        ffffffff81000180 d some_data\nffffffffc0001000 t ext4_readdir\t[ext4]\nbad line\n";

    #[test]
    fn functions_are_found_by_address() {
        let kernel = Kernel::read(LINES.as_bytes());
        let find = |address| kernel.find(Address(address)).map(|(name, binary)| (name.to_owned(), binary));
        assert_eq!(find(0xffff_ffff_8100_0000), Some(("_stext".to_owned(), "[kernel]".to_owned())));
        assert_eq!(find(0xffff_ffff_8100_0190), Some(("do_idle".to_owned(), "[kernel]".to_owned())));
        assert_eq!(find(0xffff_ffff_c000_1010), Some(("ext4_readdir".to_owned(), "[ext4]".to_owned())));
        assert_eq!(find(0x1000), None);
    }

    #[test]
    fn hidden_addresses_give_no_names() {
        let kernel = Kernel::read("0000000000000000 T _stext\n0000000000000000 T do_idle\n".as_bytes());
        assert_eq!(kernel.find(Address(0xffff_ffff_8100_0000)), None);
        assert_eq!(Kernel::load(Path::new("/nonexistent/kallsyms")).find(Address(1)), None);
    }
}
