//! The variables of frames.

use super::find::Python;
use super::snapshot::{Pages, Snapshot};
use pronk_trampolines::python::Link;
use pronk_trampolines::python::dict::Pairs;
use pronk_trampolines::python::layout::VariableNames;
use pronk_trampolines::python::objects::is_address;

/// A variable of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it has, in a few words.
    pub value: String,
}

/// How many variables of a frame are shown, and how many are looked through.
const MOST_VARIABLES: usize = 100;
const MOST_PLACES: u64 = 4096;
/// `ob_type`, and `ob_ref` of `PyCellObject`.
const TYPE: u64 = 8;
const CELL_CONTENT: u64 = 16;
/// Kinds of variables (Include/internal/pycore_code.h, 3.11): one of these may be in a cell. And one that `locals()` does not
/// have (`CO_FAST_HIDDEN`, 3.12).
const CELL_OR_FREE: u8 = 0x40 | 0x80;
const HIDDEN: u8 = 0x10;
/// `CO_OPTIMIZED` (Include/cpython/code.h): what a class's body and a module lack.
const OPTIMIZED: i32 = 1;
/// What the low bits of a reference in a frame say, from 3.14 on (`_PyStackRef`, Include/internal/pycore_stackref.h).
const TAG: u64 = 3;

/// A place of a frame.
struct Place {
    name: u64,
    value: u64,
    may_be_cell: bool,
}

impl Python {
    /// The variables of a frame that have a value, in the order of its code object.
    pub(crate) fn variables<P: Pages>(&self, snapshot: &Snapshot<P>, link: &Link) -> Vec<Variable> {
        let flags = snapshot.number(link.code.wrapping_add(self.layout.code.flags.into())).unwrap_or(0);
        let places = match flags & OPTIMIZED {
            0 => self.in_dictionary(snapshot, link),
            _ => self.in_frame(snapshot, link),
        };
        let mut variables = Vec::new();
        for Place { name, value, may_be_cell } in places.unwrap_or_default() {
            let Some(name) = self.text_of(snapshot, name) else { continue };
            let Some(value) = self.variable_value(snapshot, value, may_be_cell) else { continue };
            variables.push(Variable { name, value });
            if variables.len() >= MOST_VARIABLES {
                break;
            }
        }
        variables
    }

    /// The value of a variable, unless it has none.
    fn variable_value<P: Pages>(&self, snapshot: &Snapshot<P>, word: u64, may_be_cell: bool) -> Option<String> {
        let object = if self.layout.frame.code_is_tagged { word & !TAG } else { word };
        if object == 0 {
            return None;
        }
        let is_cell = || snapshot.word(object.wrapping_add(TYPE)) == Some(self.types.cell);
        if may_be_cell && is_cell() {
            let content = snapshot.word(object.wrapping_add(CELL_CONTENT)).filter(|content| *content != 0)?;
            return Some(self.value(snapshot, content));
        }
        Some(self.value(snapshot, object))
    }

    /// Those that lie in the frame.
    fn in_frame<P: Pages>(&self, snapshot: &Snapshot<P>, link: &Link) -> Option<Vec<Place>> {
        let field = |at: u16| snapshot.word(link.code.wrapping_add(at.into()));
        let count = |at: u16| snapshot.number(link.code.wrapping_add(at.into())).and_then(|it| u64::try_from(it).ok());
        let start = link.address.wrapping_add(self.layout.variables.start.into());
        let value = |index: u64| snapshot.word(start.wrapping_add(index.wrapping_mul(8)));
        let mut places = Vec::new();
        match self.layout.variables.names {
            VariableNames::Together { names, kinds, count: at } => {
                let kinds = self.bytes(snapshot, field(kinds)?, MOST_PLACES as usize)?;
                let names = self.tuple(snapshot, field(names)?)?;
                for (index, (name, kind)) in names.into_iter().zip(kinds).enumerate().take(count(at)? as usize) {
                    if kind & HIDDEN == 0 {
                        let value = value(index as u64)?;
                        places.push(Place { name, value, may_be_cell: kind & CELL_OR_FREE != 0 });
                    }
                }
            }
            VariableNames::Apart { own, cells, free, own_count } => {
                let own = self.tuple(snapshot, field(own)?)?;
                for (index, name) in (0..).zip(own).take(count(own_count)? as usize) {
                    places.push(Place { name, value: value(index)?, may_be_cell: false });
                }
                let cells = self.tuple(snapshot, field(cells)?)?.into_iter().chain(self.tuple(snapshot, field(free)?)?);
                for (index, name) in (count(own_count)?..).zip(cells) {
                    places.push(Place { name, value: value(index)?, may_be_cell: true });
                }
            }
        }
        Some(places)
    }

    /// Those of a class's body. A module's are its global variables, which are too many to be shown.
    fn in_dictionary<P: Pages>(&self, snapshot: &Snapshot<P>, link: &Link) -> Option<Vec<Place>> {
        let field = |at: u8| snapshot.word(link.address.wrapping_add(at.into()));
        let dictionary = field(self.layout.variables.dictionary).filter(|object| is_address(*object))?;
        let is_dictionary = snapshot.word(dictionary.wrapping_add(TYPE))? == self.values.dict;
        if !is_dictionary || field(self.layout.frame.globals) == Some(dictionary) {
            return None;
        }
        // SAFETY: a snapshot takes any address.
        let pairs = unsafe { Pairs::of(&snapshot, self.layout, dictionary)?.read(snapshot) };
        let place = |(name, value)| Place { name, value, may_be_cell: false };
        Some(pairs.take(MOST_PLACES as usize).filter(|(name, _)| *name != 0).map(place).collect())
    }

    /// The items of a tuple.
    fn tuple<P: Pages>(&self, snapshot: &Snapshot<P>, object: u64) -> Option<Vec<u64>> {
        if snapshot.word(object.wrapping_add(TYPE))? != self.types.tuple {
            return None;
        }
        let count = snapshot.word(object.wrapping_add(16)).filter(|count| *count <= MOST_PLACES)?;
        let start = object.wrapping_add(self.layout.awaits.items.into());
        (0..count).map(|index| snapshot.word(start.wrapping_add(index * 8))).collect()
    }
}
