//! Reads objects out of memory, wherever the lock is: what type they are of, and what they hold.
//!
//! # Safety
//! All reads are of what another thread may change or free meanwhile: who calls has faults caught, or hands over a `memory`
//! that takes any address.

use super::dict::{self, Pairs, Words};
use super::layout::{Attributes, Layout};
use super::symbols::TypeSymbols;
use super::text::is_text;
use crate::capture::memory::Memory;

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

/// The addresses of types of CPython.
#[derive(Clone, Copy, Debug, Default)]
pub struct Types {
    /// `PyCoro_Type`.
    pub coroutine: u64,
    /// `PyGen_Type`.
    pub generator: u64,
    /// `PyAsyncGen_Type`.
    pub async_generator: u64,
    /// `PyFunction_Type`.
    pub function: u64,
    /// `PyMethod_Type`.
    pub method: u64,
    /// `PyCFunction_Type`.
    pub built_in: u64,
    /// `PyCell_Type`.
    pub cell: u64,
    /// `PyTuple_Type`.
    pub tuple: u64,
    /// `PyList_Type`.
    pub list: u64,
}

impl Types {
    /// Of the interpreter in this process; `None` if it lacks one.
    pub fn load() -> Option<Types> {
        let found = TypeSymbols::load().ok()?;
        Some(Types {
            coroutine: found.coroutine as u64,
            generator: found.generator as u64,
            async_generator: found.async_generator as u64,
            function: found.function as u64,
            method: found.method as u64,
            built_in: found.built_in as u64,
            cell: found.cell as u64,
            tuple: found.tuple as u64,
            list: found.list as u64,
        })
    }
}

/// Reads objects of a version.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a, M> {
    /// How they are read.
    pub memory: M,
    /// Where things are.
    pub layout: &'a Layout,
    /// The types that are told apart by their address.
    pub types: &'a Types,
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
/// `memory` takes any address, or a fault is caught.
pub unsafe fn held_at(memory: &impl Memory, place: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe { memory.word(place) }.filter(|object| is_address(*object))
}

/// The type of an object.
///
/// # Safety
/// `memory` takes any address, or a fault is caught.
pub unsafe fn type_of(memory: &impl Memory, object: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe { held_at(memory, object.wrapping_add(TYPE)) }
}

/// Whether a type has this name, which ends with a zero.
///
/// # Safety
/// `memory` takes any address, or a fault is caught.
pub unsafe fn has_name<const SIZE: usize>(memory: &impl Memory, kind: u64, name: &[u8; SIZE]) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { is_c_text(memory, memory.word(kind.wrapping_add(TYPE_NAME)).unwrap_or(0), name) }
}

/// Whether a text in memory is this one, which ends with a zero.
///
/// # Safety
/// `memory` takes any address, or a fault is caught.
pub unsafe fn is_c_text<const SIZE: usize>(memory: &impl Memory, text: u64, wanted: &[u8; SIZE]) -> bool {
    // SAFETY: as promised by the caller. No more is read than is there: it ends with the first byte that is another one.
    let byte = |(at, wanted): (usize, &u8)| unsafe { memory.byte(text.wrapping_add(at as u64)) } == Some(*wanted);
    text >= 0x1_0000 && wanted.iter().enumerate().all(byte)
}

/// Whether a type or one of its bases has this name, which ends with a zero.
///
/// # Safety
/// `memory` takes any address, or a fault is caught.
pub unsafe fn derives_from<const SIZE: usize>(memory: &impl Memory, kind: u64, name: &[u8; SIZE]) -> bool {
    // SAFETY: as promised by the caller.
    let base = |kind: &u64| unsafe { held_at(memory, kind.wrapping_add(BASE)) };
    let mut bases = core::iter::successors(Some(kind), base).take(MOST_BASES);
    // SAFETY: as above.
    bases.any(|kind| unsafe { has_name(memory, kind, name) })
}

/// Whether a type is another one, or derives from it.
///
/// # Safety
/// As for [`type_of`], or the type is alive.
pub unsafe fn is_subtype(memory: &impl Memory, kind: u64, of: u64) -> bool {
    // SAFETY: as promised by the caller.
    let base = |kind: &u64| unsafe { held_at(memory, kind.wrapping_add(BASE)) };
    core::iter::successors(Some(kind), base).take(MOST_BASES).any(|one| one == of)
}

impl<M: Memory + Copy> Objects<'_, M> {
    /// Whether a function has this name in this module.
    ///
    /// # Safety
    /// `memory` takes any address, or a fault is caught.
    pub unsafe fn is_function(&self, object: u64, module: &[u8], qualname: &[u8]) -> bool {
        let fields = self.layout.awaits.function;
        let is = |at: u8, wanted: &[u8]| {
            // SAFETY: as promised by the caller.
            let text = unsafe { held_at(&self.memory, object.wrapping_add(at.into())) };
            text.is_some_and(|text| is_text(&self.memory, &self.layout.text, text, wanted))
        };
        is(fields.qualname, qualname) && is(fields.module, module)
    }

    /// The function and the object of a method that is bound.
    ///
    /// # Safety
    /// `memory` takes any address, or a fault is caught.
    pub unsafe fn method(&self, object: u64) -> Option<(u64, u64)> {
        // SAFETY: as promised by the caller.
        unsafe {
            if type_of(&self.memory, object)? != self.types.method {
                return None;
            }
            Some((
                held_at(&self.memory, object.wrapping_add(METHOD_FUNCTION))?,
                held_at(&self.memory, object.wrapping_add(METHOD_SELF))?,
            ))
        }
    }

    /// The items of a tuple, or of a list; none of what is neither.
    ///
    /// # Safety
    /// `memory` takes any address, or a fault is caught.
    pub unsafe fn items(&self, object: u64) -> Items {
        // SAFETY: as promised by the caller.
        let found = unsafe {
            let kind = type_of(&self.memory, object);
            let start = if kind == Some(self.types.tuple) {
                Some(object.wrapping_add(self.layout.awaits.items.into()))
            } else if kind == Some(self.types.list) {
                held_at(&self.memory, object.wrapping_add(LIST_ITEMS))
            } else {
                None
            };
            start.zip(self.memory.word(object.wrapping_add(SIZE)))
        };
        found.map_or(Items::default(), |(start, count)| Items { start, stride: 8, count })
    }

    /// What the cells of a function's closure hold: the variables of the functions around it.
    ///
    /// # Safety
    /// As for [`type_of`], also when the objects are asked for.
    pub unsafe fn closure(&self, function: u64) -> impl Iterator<Item = u64> + use<'_, M> {
        let memory = self.memory;
        let closure = self.layout.awaits.function.closure;
        let cell_type = self.types.cell;
        // SAFETY: as promised by the caller.
        let cells =
            unsafe { held_at(&self.memory, function.wrapping_add(closure.into())).map(|closure| self.items(closure)) };
        // SAFETY: as above.
        let content = move |cell: u64| unsafe {
            type_of(&memory, cell).filter(|kind| *kind == cell_type)?;
            held_at(&memory, cell.wrapping_add(CELL_CONTENT))
        };
        // SAFETY: as above.
        unsafe { cells.unwrap_or_default().objects(memory) }.filter_map(content)
    }

    /// The values of the attributes of an instance of a class that is written in Python.
    ///
    /// # Safety
    /// `memory` takes any address, or a fault is caught.
    pub unsafe fn attributes(&self, object: u64) -> Items {
        // SAFETY: as promised by the caller.
        let found = unsafe { attributes_of(&self.memory, self.layout, object) };
        found.map_or(Items::default(), |Words { start, stride, count }| Items { start, stride, count })
    }
}

/// Where the values of the attributes of an instance of a class that is written in Python are.
///
/// # Safety
/// `memory` takes any address, or a fault is caught.
pub unsafe fn attributes_of(memory: &impl Memory, layout: &Layout, object: u64) -> Option<Words> {
    // SAFETY: as promised by the caller.
    unsafe { own_attributes(memory, layout, object).or_else(|| attributes_in_dictionary(memory, layout, object)) }
}

/// The names of the attributes of an instance of a class that is written in Python, and their values.
///
/// # Safety
/// As for [`type_of`].
pub unsafe fn named_attributes(memory: &impl Memory, layout: &Layout, object: u64) -> Option<Pairs> {
    // SAFETY: as promised by the caller.
    unsafe {
        if let Some(values) = own_attributes(memory, layout, object) {
            let keys = type_of(memory, object)?.wrapping_add(layout.cached_keys.into());
            return Pairs::new(memory, layout, held_at(memory, keys)?, values);
        }
        Pairs::of(memory, layout, held_at(memory, place_of_dictionary(memory, layout, object)?)?)
    }
}

/// Those that are kept with the object, from 3.11 on.
///
/// # Safety
/// `memory` takes any address, or a fault is caught.
unsafe fn own_attributes(memory: &impl Memory, layout: &Layout, object: u64) -> Option<Words> {
    // SAFETY: as promised by the caller.
    unsafe {
        let kind = type_of(memory, object)?;
        let flags = memory.word(kind.wrapping_add(TYPE_FLAGS))?;
        match layout.tasks.attributes {
            // How many are set is two bytes before. One byte before is the size of what is there before, which has a byte for
            // each place and two more, rounded up to a multiple of 8 (`init_inline_values`, Objects/dictobject.c, 3.11).
            Attributes::Before { distance, tag } if flags & MANAGED_DICTIONARY != 0 => {
                let word = memory.word(object.wrapping_sub(distance.into())).filter(|word| *word != 0)?;
                let start = Some(word.wrapping_add(tag.into())).filter(|start| is_address(*start))?;
                let [set, before] = memory.bytes(start.wrapping_sub(2))?;
                Some(Words { start, stride: 8, count: set.max(before.saturating_sub(9)).into() })
            }
            // `_dictvalues` of Include/internal/pycore_dict.h, 3.13: the capacity, the size, whether it lies in an object,
            // and whether it is valid, a byte each; then the values.
            Attributes::Within if flags & INLINE_VALUES != 0 => {
                let size = memory.word(kind.wrapping_add(BASIC_SIZE)).filter(|size| (16..4096).contains(size))?;
                let head = object.wrapping_add(size);
                let [capacity, _, _, valid] = memory.bytes(head)?;
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
/// `memory` takes any address, or a fault is caught.
unsafe fn attributes_in_dictionary(memory: &impl Memory, layout: &Layout, object: u64) -> Option<Words> {
    // SAFETY: as promised by the caller.
    unsafe { dict::values(memory, layout, held_at(memory, place_of_dictionary(memory, layout, object)?)?) }
}

/// Where an instance has the address of its dictionary.
///
/// # Safety
/// As for [`type_of`].
unsafe fn place_of_dictionary(memory: &impl Memory, layout: &Layout, object: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        let kind = type_of(memory, object)?;
        // `_PyObject_ManagedDictPointer` and its successors (Include/internal/pycore_object.h, 3.11 and later).
        if !matches!(layout.tasks.attributes, Attributes::InDictionary)
            && memory.word(kind.wrapping_add(TYPE_FLAGS))? & MANAGED_DICTIONARY != 0
        {
            return Some(object.wrapping_sub(MANAGED_DICTIONARY_BEFORE));
        }
        let at = memory.word(kind.wrapping_add(DICTIONARY_OFFSET))?;
        Some(object.wrapping_add(Some(at).filter(|at| (16..4096).contains(at))?))
    }
}

/// The value of an attribute that an object has itself: one in its dictionary, or with the object.
///
/// # Safety
/// As for [`type_of`].
pub unsafe fn own_attribute<M: Memory + Copy>(memory: &M, layout: &Layout, object: u64, name: &[u8]) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        match own_attributes(memory, layout, object) {
            Some(values) => {
                let keys = held_at(memory, type_of(memory, object)?.wrapping_add(layout.cached_keys.into()))?;
                dict::shared_value(memory, layout, keys, values.start, name)
            }
            None => {
                let dictionary = held_at(memory, place_of_dictionary(memory, layout, object)?)?;
                dict::value_of(memory, layout, dictionary, name)
            }
        }
    }
}

impl Items {
    /// The objects; there may be places without one.
    ///
    /// # Safety
    /// As for [`type_of`], also when the next object is asked for.
    pub unsafe fn objects<M: Memory>(self, memory: M) -> impl Iterator<Item = u64> {
        /// How many are looked at.
        const MOST: u64 = 64;
        // SAFETY: as promised by the caller.
        let object =
            move |index: u64| unsafe { held_at(&memory, self.start.wrapping_add(index.wrapping_mul(self.stride))) };
        (0..self.count.min(MOST)).filter_map(object)
    }
}
