//! The symbols of functions, by address.

use super::elf::Svma;

/// Of longer names only so much is looked at. Many symbols can have one name, or parts of it.
const LONGEST_NAME: usize = 1 << 14;

/// A symbol that may name a function.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    /// Where the function begins.
    pub start: Svma,
    /// Its size in bytes, or 0 when that is not stated.
    pub size: u64,
    /// The end of the section that it is in.
    pub limit: Svma,
    /// Where its name begins in the names.
    pub name: usize,
    /// Whether other files can see it.
    pub global: bool,
    /// Whether it says that it is a function.
    pub typed: bool,
}

/// The symbols of one file. Filled by `add*`, made ready by [`SymbolTable::finish`].
#[derive(Debug, Default)]
pub struct SymbolTable {
    names: Vec<u8>,
    symbols: Vec<Symbol>,
    /// The names of symbols that have the address of a better one.
    aliases: Vec<usize>,
    /// For each symbol, the greatest end of it and of all before it: where a search to the left can stop.
    reach: Vec<u64>,
    /// The names of symbols that the file takes from other ones.
    imports: Vec<usize>,
}

impl SymbolTable {
    /// Adds a string table, and says where it begins.
    pub fn add_names(&mut self, names: &[u8]) -> usize {
        let base = self.names.len();
        self.names.extend_from_slice(names);
        // A table that does not end in zero must not run into the next one.
        self.names.push(0);
        base
    }

    /// Adds a symbol.
    pub fn add(&mut self, symbol: Symbol) {
        let name = self.name(symbol.name);
        // `$x` and `$d` mark code and data on aarch64 (ELF for the Arm 64-bit Architecture, section 5.5.5).
        if !name.is_empty() && !name.starts_with(b"$") {
            self.symbols.push(symbol);
        }
    }

    /// Adds a symbol that the file takes from another one.
    pub fn add_import(&mut self, name: usize) {
        self.imports.push(name);
    }

    /// Sorts the symbols, and leaves the best one of those with the same address.
    pub fn finish(&mut self) {
        let mut symbols = std::mem::take(&mut self.symbols);
        symbols.sort_by(|a, b| a.start.cmp(&b.start).then_with(|| self.rank(a).cmp(&self.rank(b))));
        symbols.dedup_by(|worse, better| {
            let same = worse.start == better.start;
            if same {
                self.aliases.push(worse.name);
            }
            same
        });
        // What has no size ends where the next symbol begins, or with its section.
        for at in 0..symbols.len() {
            let next = symbols.get(at + 1).map_or(Svma(u64::MAX), |next| next.start);
            if let Some(symbol) = symbols.get_mut(at).filter(|symbol| symbol.size == 0) {
                symbol.size = next.min(symbol.limit).0.saturating_sub(symbol.start.0);
            }
        }
        let ends = symbols.iter().scan(0u64, |reach, symbol| {
            *reach = (*reach).max(symbol.start.0.saturating_add(symbol.size));
            Some(*reach)
        });
        self.reach = ends.collect();
        self.symbols = symbols;
    }

    /// Among symbols of one address, the least is the best: those that say that they are functions and how long, that
    /// other files can see, and whose names are plain.
    fn rank<'a>(&'a self, symbol: &Symbol) -> impl Ord + use<'a> {
        let name = self.name(symbol.name);
        let underscores = name.iter().take_while(|&&byte| byte == b'_').count();
        (symbol.size == 0, !symbol.typed, !symbol.global, underscores, name.len(), name)
    }

    /// The name of the function that contains an address: of the one that begins last, where there are several.
    pub fn find(&self, Svma(address): Svma) -> Option<&[u8]> {
        let mut at = self.symbols.partition_point(|symbol| symbol.start.0 <= address);
        while at > 0 && self.reach.get(at - 1).is_some_and(|&reach| reach > address) {
            at -= 1;
            let symbol = self.symbols.get(at)?;
            if address - symbol.start.0 < symbol.size {
                return Some(self.name(symbol.name));
            }
        }
        None
    }

    /// Whether the file defines a function of this name.
    pub fn defines(&self, name: &str) -> bool {
        let mut names = self.symbols.iter().map(|symbol| symbol.name).chain(self.aliases.iter().copied());
        names.any(|at| self.name(at) == name.as_bytes())
    }

    /// Whether the file takes this name from another file.
    pub fn imports(&self, name: &str) -> bool {
        self.imports.iter().any(|at| self.name(*at) == name.as_bytes())
    }

    fn name(&self, at: usize) -> &[u8] {
        let rest = self.names.get(at..).unwrap_or_default();
        let rest = rest.get(..LONGEST_NAME).unwrap_or(rest);
        // The last table ends in zero.
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        // In .symtab, a version may follow the name: `memcpy@@GLIBC_2.14`.
        name.split(|&byte| byte == b'@').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_that_are_parts_of_each_other_cost_no_more_than_short_ones() {
        // As copies of what they are parts of, these would be 64 GiB.
        const COUNT: usize = 1 << 17;
        let mut table = SymbolTable::default();
        table.add_names(&[b'a'; 4 * COUNT]);
        let (start, limit) = (Svma(0x1000), Svma(0x2000));
        for name in 0..COUNT {
            table.add_import(name);
            if name % 64 == 0 {
                table.add(Symbol { start, size: 8, limit, name, global: true, typed: true });
            }
        }
        table.finish();
        assert_eq!(table.find(start), Some(&[b'a'; LONGEST_NAME][..]));
        assert!(table.defines(&"a".repeat(LONGEST_NAME)) && !table.imports("other"));
    }
}
