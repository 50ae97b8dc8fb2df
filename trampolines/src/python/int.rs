//! Reads int objects out of memory, wherever the lock is.

use super::layout::{Int, Layout};
use crate::capture::memory::Memory;

/// Where the digits are.
const DIGITS: u64 = 24;

/// The number of an int object, if it has one or two digits, as all below 2^60 have.
///
/// # Safety
/// `memory` suits the address.
pub unsafe fn number(memory: &impl Memory, layout: &Layout, object: u64) -> Option<i64> {
    // SAFETY: as promised by the caller.
    let ((count, is_negative), digits) =
        unsafe { (size_of(memory, layout, object)?, memory.word(object.wrapping_add(DIGITS))?) };
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

/// The magnitude of an int object, if it has 128 bits or fewer.
///
/// # Safety
/// `memory` suits the address.
pub unsafe fn magnitude(memory: &impl Memory, layout: &Layout, object: u64) -> Option<u128> {
    /// So many digits have 128 bits.
    const MOST: u64 = 5;
    // SAFETY: as promised by the caller.
    let (count, _) = unsafe { size_of(memory, layout, object) }?;
    let places = (0..Some(count).filter(|count| *count <= MOST)?).rev();
    places.into_iter().try_fold(0_u128, |magnitude, place| {
        let at = object.wrapping_add(DIGITS).wrapping_add(place.wrapping_mul(4));
        // SAFETY: as above: the object has so many digits.
        let digit = unsafe { memory.number(at) }?.cast_unsigned();
        magnitude.checked_mul(1 << 30).map(|magnitude| magnitude | u128::from(digit & 0x3fff_ffff))
    })
}

/// How many digits an int object has, and whether it is negative.
///
/// # Safety
/// `memory` suits the address.
pub unsafe fn size_of(memory: &impl Memory, layout: &Layout, object: u64) -> Option<(u64, bool)> {
    // SAFETY: as promised by the caller.
    let size = unsafe { memory.word(object.wrapping_add(16)) }?;
    Some(match layout.int {
        Int::Sized => (size.cast_signed().unsigned_abs(), size.cast_signed() < 0),
        Int::Tagged => (size >> 3, size & 3 == 2),
    })
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
    fn magnitudes_have_128_bits() {
        for (minor, five, six) in [(11, 5, 6), (15, 5 << 3, 6 << 3)] {
            let read = |size: u64, digits: [u32; 6]| {
                let pair = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
                let [a, b, c, d, e, f] = digits;
                let object = [1, 0, size, pair(a, b), pair(c, d), pair(e, f)];
                // SAFETY: the object is as large as what is read.
                unsafe { magnitude(&Straight, layout::of(minor).unwrap(), object.as_ptr() as u64) }
            };
            let all = (1 << 30) - 1;
            assert_eq!(read(0, [7; 6]), Some(0));
            assert_eq!(read(five, [1, 2, 0, 0, 255, 7]), Some(255 << 120 | 2 << 30 | 1));
            assert_eq!(read(five, [all, all, all, all, 255, 7]), Some(u128::MAX));
            assert_eq!(read(five, [0, 0, 0, 0, 256, 7]), None);
            assert_eq!(read(six, [0; 6]), None);
        }
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
