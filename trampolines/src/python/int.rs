//! Reads int objects out of memory, wherever the lock is.

use super::layout::{Int, Layout};
use crate::capture::memory::Memory;

/// The number of an int object, if it has one or two digits, as all below 2^60 have.
///
/// # Safety
/// `memory` suits the address.
pub unsafe fn number(memory: &impl Memory, layout: &Layout, object: u64) -> Option<i64> {
    // SAFETY: as promised by the caller.
    let (size, digits) = unsafe { (memory.word(object.wrapping_add(16))?, memory.word(object.wrapping_add(24))?) };
    let (count, is_negative) = match layout.int {
        Int::Sized => (size.cast_signed().unsigned_abs(), size.cast_signed() < 0),
        Int::Tagged => (size >> 3, size & 3 == 2),
    };
    let (low, high) = (digits & 0x3fff_ffff, digits >> 32 & 0x3fff_ffff);
    let magnitude = match count {
        0 => 0,
        1 => low,
        2 => high << 30 | low,
        _ => return None,
    };
    let magnitude = magnitude as i64;
    Some(if is_negative { magnitude.wrapping_neg() } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::memory::Straight;
    use crate::python::layout;

    fn read(minor: u8, size: u64, digits: [u32; 2]) -> Option<i64> {
        let object = [1, 0, size, u64::from(digits[1]) << 32 | u64::from(digits[0])];
        // SAFETY: the object is as large as what is read.
        unsafe { number(&Straight, layout::of(minor).unwrap(), object.as_ptr() as u64) }
    }

    #[test]
    fn numbers_have_a_sign_and_digits_of_30_bits() {
        for (minor, sizes) in [(11, [0, 1, 2, (-2_i64).cast_unsigned(), 3]), (12, [1, 8, 16, 16 | 2, 24])] {
            let [zero, one, two, minus_two, three] = sizes;
            assert_eq!(read(minor, zero, [0, 0]), Some(0));
            assert_eq!(read(minor, one, [42, 7]), Some(42));
            assert_eq!(read(minor, two, [42, 7]), Some(7 << 30 | 42));
            assert_eq!(read(minor, minus_two, [42, 7]), Some(-(7 << 30 | 42)));
            assert_eq!(read(minor, three, [42, 7]), None);
        }
    }
}
