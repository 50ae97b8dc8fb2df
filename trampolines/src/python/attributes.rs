//! Follows attributes out of memory, as far as no code is run for them.
//!
//! # Safety
//! All reads are of what another thread may change or free meanwhile: who calls has faults caught.

use super::dict;
use super::layout::Layout;
use super::objects::{has_name, held_at, own_attribute, type_of};
use crate::capture::memory::{Memory, Straight};

/// `tp_flags`, `tp_dict`, `tp_descr_get` and `tp_mro` of `PyTypeObject` (Include/cpython/object.h), in all versions.
const TYPE_FLAGS: u64 = 168;
const TYPE_DICTIONARY: u64 = 264;
const GET: u64 = 272;
const ORDER: u64 = 344;
/// `Py_TPFLAGS_TYPE_SUBCLASS` (Include/object.h): instances of the type are types.
const OF_TYPES: u64 = 1 << 31;
/// `ob_size` of a tuple.
const SIZE: u64 = 16;
/// The most classes that a class derives from.
const MOST_CLASSES: u64 = 64;
/// `d_type` of `PyDescrObject`, and `d_member` of `PyMemberDescrObject` (Include/cpython/descrobject.h).
const DESCRIPTOR_CLASS: u64 = 16;
const MEMBER: u64 = 40;
/// `type` and `offset` of `PyMemberDef`; and the types of members that are objects (Include/structmember.h).
const MEMBER_TYPE: u64 = 8;
const MEMBER_OFFSET: u64 = 16;
const OBJECTS: [i32; 2] = [6, 16];

/// The value of an attribute: one that the object has itself, in a slot, or that its class has. `None` for what code makes, such
/// as a property.
///
/// # Safety
/// A fault is caught.
pub unsafe fn attribute(layout: &Layout, object: u64, name: &[u8]) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        let kind = type_of(object)?;
        let is_class = Straight.word(kind.wrapping_add(TYPE_FLAGS))? & OF_TYPES != 0;
        if is_class {
            return of_classes(layout, object, name).and_then(|(_, value)| plain(value));
        }
        if let Some(value) = own_attribute(layout, object, name) {
            return Some(value);
        }
        let (class, value) = of_classes(layout, kind, name)?;
        if has_name(type_of(value)?, b"member_descriptor\0") {
            return in_slot(object, class, value);
        }
        plain(value)
    }
}

/// What the first class that has it has under a name, in the order in which a class's are looked through; and that class.
///
/// # Safety
/// A fault is caught.
unsafe fn of_classes(layout: &Layout, class: u64, name: &[u8]) -> Option<(u64, u64)> {
    // SAFETY: as promised by the caller.
    unsafe {
        let order = held_at(class.wrapping_add(ORDER))?;
        let count = Straight.word(order.wrapping_add(SIZE))?.min(MOST_CLASSES);
        let first = order.wrapping_add(layout.awaits.items.into());
        (0..count).find_map(|index| {
            let class = held_at(first.wrapping_add(index.wrapping_mul(8)))?;
            // The types that are written in C have none from 3.12 on, and nothing that is asked for.
            let names = held_at(class.wrapping_add(TYPE_DICTIONARY))?;
            Some((class, dict::value_of(&Straight, layout, names, name)?))
        })
    }
}

/// The value of a class's attribute that is what it is, for every instance.
///
/// # Safety
/// A fault is caught.
unsafe fn plain(value: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    let get = unsafe { Straight.word(type_of(value)?.wrapping_add(GET)) }?;
    Some(value).filter(|_| get == 0)
}

/// What an object has in the slot of a descriptor that was found in a class of its own.
///
/// # Safety
/// A fault is caught.
unsafe fn in_slot(object: u64, class: u64, descriptor: u64) -> Option<u64> {
    // SAFETY: as promised by the caller.
    unsafe {
        if held_at(descriptor.wrapping_add(DESCRIPTOR_CLASS))? != class {
            return None;
        }
        let member = held_at(descriptor.wrapping_add(MEMBER))?;
        let kind = Straight.number(member.wrapping_add(MEMBER_TYPE))?;
        let offset = Straight.word(member.wrapping_add(MEMBER_OFFSET))?;
        let is_object = OBJECTS.contains(&kind) && (16..1 << 16).contains(&offset);
        held_at(object.wrapping_add(offset)).filter(|_| is_object)
    }
}

/// What a path of attributes leads to from an object.
///
/// # Safety
/// A fault is caught.
pub unsafe fn follow<'a>(layout: &Layout, object: u64, path: impl IntoIterator<Item = &'a [u8]>) -> Option<u64> {
    // SAFETY: as promised by the caller.
    path.into_iter().try_fold(object, |object, name| unsafe { attribute(layout, object, name) })
}
