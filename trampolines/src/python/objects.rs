//! Reads objects out of memory, wherever the lock is: what type they are of, and what they hold.
//!
//! # Safety
//! All reads are of what another thread may change or free meanwhile: who calls has faults caught.

use super::dict::{self, Words};
use super::layout::{Attributes, Layout};
use super::symbols::TypeSymbols;
use super::text::is_text;
use crate::capture::memory::{Memory, Straight};

/// `ob_type`.
const TYPE: u64 = 8;
/// `ob_size` of objects with items.
const SIZE: u64 = 16;
/// `tp_name`, `tp_basicsize`, `tp_flags` and `tp_base` of `PyTypeObject` (Include/cpython/object.h), in all versions.
const TYPE_NAME: u64 = 24;
const BASIC_SIZE: u64 = 32;
const TYPE_FLAGS: u64 = 168;
const BASE: u64 = 256;
/// `tp_dictoffset`; and how far before an object the dictionary lies that has no place in it, from 3.11 on.
const DICTIONARY_OFFSET: u64 = 288;
const MANAGED_DICTIONARY_BEFORE: u64 = 24;
/// `Py_TPFLAGS_INLINE_VALUES` (Include/object.h, 3.13).
const INLINE_VALUES: u64 = 1 << 2;
/// `Py_TPFLAGS_MANAGED_DICT` (Include/object.h, 3.11).
const MANAGED_DICTIONARY: u64 = 1 << 4;
/// How many bases of a type are looked through.
const MOST_BASES: usize = 8;
/// `ob_item` of `PyListObject`: where its items are.
const LIST_ITEMS: u64 = 24;
/// `ob_ref` of `PyCellObject`, `im_func` and `im_self` of `PyMethodObject`.
const CELL_CONTENT: u64 = 16;
const METHOD_FUNCTION: u64 = 16;
const METHOD_SELF: u64 = 24;

/// Reads objects of a version.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    /// Where things are.
    pub layout: &'a Layout,
    /// The types that are told apart by their address.
    pub types: &'a TypeSymbols,
}

/// Places of objects, at the same distance from each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Items {
    start: u64,
    stride: u64,
    count: u64,
}

/// Whether a word can be the address of an object.
pub fn is_address(word: u64) -> bool {
    (0x1_0000..1 << 47).contains(&word) && word.is_multiple_of(8)
}

/// The address of an object that is held at an address, if there is one.
///
/// # Safety
/// A fault is caught.
pub unsafe fn held_at(place: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe { Straight.word(place) }.filter(|object| is_address(*object))
}

/// The type of an object.
///
/// # Safety
/// A fault is caught.
pub unsafe fn type_of(object: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe { held_at(object.wrapping_add(TYPE)) }
}

/// Whether a type has this name, which ends with a zero.
///
/// # Safety
/// A fault is caught.
pub unsafe fn has_name<const SIZE: usize>(kind: u64, name: &[u8; SIZE]) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { is_c_text(Straight.word(kind.wrapping_add(TYPE_NAME)).unwrap_or(0), name) }
}

/// Whether a text in memory is this one, which ends with a zero.
///
/// # Safety
/// A fault is caught.
pub unsafe fn is_c_text<const SIZE: usize>(text: u64, wanted: &[u8; SIZE]) -> bool {
    // SAFETY: as promised by the caller. No more is read than is there: it ends with the first byte that is another one.
    let byte = |(at, wanted): (usize, &u8)| unsafe { Straight.byte(text.wrapping_add(at as u64)) } == Some(*wanted);
    text >= 0x1_0000 && wanted.iter().enumerate().all(byte)
}

/// Whether a type or one of its bases has this name, which ends with a zero.
///
/// # Safety
/// A fault is caught.
pub unsafe fn derives_from<const SIZE: usize>(kind: u64, name: &[u8; SIZE]) -> bool {
    // SAFETY: as promised by the caller.
    let base = |kind: &u64| unsafe { held_at(kind.wrapping_add(BASE)) };
    let mut bases = core::iter::successors(Some(kind), base).take(MOST_BASES);
    // SAFETY: as above.
    bases.any(|kind| unsafe { has_name(kind, name) })
}

/// Whether a type is another one, or derives from it.
///
/// # Safety
/// A fault is caught, or the type is alive.
pub unsafe fn is_subtype(kind: u64, of: u64) -> bool {
    // SAFETY: as promised by the caller.
    let base = |kind: &u64| unsafe { held_at(kind.wrapping_add(BASE)) };
    core::iter::successors(Some(kind), base).take(MOST_BASES).any(|one| one == of)
}

impl Objects<'_> {
    /// Whether a function has this name in this module.
    ///
    /// # Safety
    /// A fault is caught.
    pub unsafe fn is_function(&self, object: u64, module: &[u8], qualname: &[u8]) -> bool {
        let fields = self.layout.awaits.function;
        let is = |at: u8, wanted: &[u8]| {
            // SAFETY: as promised by the caller.
            let text = unsafe { held_at(object.wrapping_add(at.into())) };
            text.is_some_and(|text| is_text(&Straight, &self.layout.text, text, wanted))
        };
        is(fields.qualname, qualname) && is(fields.module, module)
    }

    /// The function and the object of a method that is bound.
    ///
    /// # Safety
    /// A fault is caught.
    pub unsafe fn method(&self, object: u64) -> Option<(u64, u64)> {
        // SAFETY: as promised by the caller.
        unsafe {
            if type_of(object)? != self.types.method as u64 {
                return None;
            }
            Some((held_at(object.wrapping_add(METHOD_FUNCTION))?, held_at(object.wrapping_add(METHOD_SELF))?))
        }
    }

    /// The items of a tuple, or of a list; none of what is neither.
    ///
    /// # Safety
    /// A fault is caught.
    pub unsafe fn items(&self, object: u64) -> Items {
        // SAFETY: as promised by the caller.
        let found = unsafe {
            let kind = type_of(object);
            let start = if kind == Some(self.types.tuple as u64) {
                Some(object.wrapping_add(self.layout.awaits.items.into()))
            } else if kind == Some(self.types.list as u64) {
                held_at(object.wrapping_add(LIST_ITEMS))
            } else {
                None
            };
            start.zip(Straight.word(object.wrapping_add(SIZE)))
        };
        found.map_or(Items::default(), |(start, count)| Items { start, stride: 8, count })
    }

    /// What the cells of a function's closure hold: the variables of the functions around it.
    ///
    /// # Safety
    /// A fault is caught, also when the objects are asked for.
    pub unsafe fn closure(&self, function: u64) -> impl Iterator<Item = u64> + use<'_> {
        let closure = self.layout.awaits.function.closure;
        let cell_type = self.types.cell as u64;
        // SAFETY: as promised by the caller.
        let cells = unsafe { held_at(function.wrapping_add(closure.into())).map(|closure| self.items(closure)) };
        // SAFETY: as above.
        let content = move |cell: u64| unsafe {
            type_of(cell).filter(|kind| *kind == cell_type)?;
            held_at(cell.wrapping_add(CELL_CONTENT))
        };
        // SAFETY: as above.
        unsafe { cells.unwrap_or_default().objects() }.filter_map(content)
    }

    /// The values of the attributes of an instance of a class that is written in Python.
    ///
    /// # Safety
    /// A fault is caught.
    pub unsafe fn attributes(&self, object: u64) -> Items {
        // SAFETY: as promised by the caller.
        let found = unsafe { attributes_of(self.layout, object) };
        found.map_or(Items::default(), |Words { start, stride, count }| Items { start, stride, count })
    }
}

/// Where the values of the attributes of an instance of a class that is written in Python are.
///
/// # Safety
/// A fault is caught.
pub unsafe fn attributes_of(layout: &Layout, object: u64) -> Option<Words> {
    // SAFETY: as promised by the caller.
    unsafe { own_attributes(layout, object).or_else(|| attributes_in_dictionary(layout, object)) }
}

/// Those that are kept with the object, from 3.11 on.
///
/// # Safety
/// A fault is caught.
unsafe fn own_attributes(layout: &Layout, object: u64) -> Option<Words> {
    // SAFETY: as promised by the caller.
    unsafe {
        let kind = type_of(object)?;
        let flags = Straight.word(kind.wrapping_add(TYPE_FLAGS))?;
        match layout.tasks.attributes {
            // How many are set is two bytes before. One byte before is the size of what is there before, which has a byte for
            // each place and two more, rounded up to a multiple of 8 (`init_inline_values`, Objects/dictobject.c, 3.11).
            Attributes::Before { distance, tag } if flags & MANAGED_DICTIONARY != 0 => {
                let word = Straight.word(object.wrapping_sub(distance.into())).filter(|word| *word != 0)?;
                let start = Some(word.wrapping_add(tag.into())).filter(|start| is_address(*start))?;
                let [set, before] = Straight.bytes(start.wrapping_sub(2))?;
                Some(Words { start, stride: 8, count: set.max(before.saturating_sub(9)).into() })
            }
            // `_dictvalues` of Include/internal/pycore_dict.h, 3.13: the capacity, the size, whether it lies in an object,
            // and whether it is valid, a byte each; then the values.
            Attributes::Within if flags & INLINE_VALUES != 0 => {
                let size = Straight.word(kind.wrapping_add(BASIC_SIZE)).filter(|size| (16..4096).contains(size))?;
                let head = object.wrapping_add(size);
                let [capacity, _, _, valid] = Straight.bytes(head)?;
                (valid == 1).then_some(Words { start: head.wrapping_add(8), stride: 8, count: capacity.into() })
            }
            _ => None,
        }
    }
}

/// The values of the attributes of an instance that has a dictionary of them, such as one with other attributes than its class
/// has room for.
///
/// # Safety
/// A fault is caught.
unsafe fn attributes_in_dictionary(layout: &Layout, object: u64) -> Option<Words> {
    // SAFETY: as promised by the caller.
    unsafe { dict::values(&Straight, layout, dictionary_of(layout, object)?) }
}

/// The dictionary of an object, if it has one.
///
/// # Safety
/// A fault is caught.
unsafe fn dictionary_of(layout: &Layout, object: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        let kind = type_of(object)?;
        let flags = Straight.word(kind.wrapping_add(TYPE_FLAGS))?;
        let may_be_before = !matches!(layout.tasks.attributes, Attributes::InDictionary);
        let place = match may_be_before && flags & MANAGED_DICTIONARY != 0 {
            // `_PyObject_ManagedDictPointer` and its successors (Include/internal/pycore_object.h, 3.11 and later).
            true => object.wrapping_sub(MANAGED_DICTIONARY_BEFORE),
            false => {
                let at = Straight.word(kind.wrapping_add(DICTIONARY_OFFSET))?;
                object.wrapping_add(Some(at).filter(|at| (16..4096).contains(at))?)
            }
        };
        held_at(place)
    }
}

/// The value of an attribute that an object has itself: one in its dictionary, or with the object.
///
/// # Safety
/// A fault is caught.
pub unsafe fn own_attribute(layout: &Layout, object: u64, name: &[u8]) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        match own_attributes(layout, object) {
            Some(values) => {
                let keys = held_at(type_of(object)?.wrapping_add(layout.shared_keys.into()))?;
                dict::shared_value(&Straight, layout, keys, values.start, name)
            }
            None => dict::value_of(&Straight, layout, dictionary_of(layout, object)?, name),
        }
    }
}

impl Items {
    /// The objects; there may be places without one.
    ///
    /// # Safety
    /// A fault is caught, also when the next object is asked for.
    pub unsafe fn objects(self) -> impl Iterator<Item = u64> {
        /// How many are looked at.
        const MOST: u64 = 64;
        // SAFETY: as promised by the caller.
        let object = move |index: u64| unsafe { held_at(self.start.wrapping_add(index.wrapping_mul(self.stride))) };
        (0..self.count.min(MOST)).filter_map(object)
    }
}
