//! What a value of the program's is as a label.

use super::int;
use super::objects::type_of;
use super::sampled::Sampled;
use super::text::push_text;
use crate::capture::memory::Straight;
use crate::context::Pairs;
use crate::sys::Text;

/// The longest value, in bytes.
const LONGEST: usize = 200;

/// Adds a value, if it is a text or a whole number.
///
/// # Safety
/// A fault is caught.
pub unsafe fn push(sampled: &Sampled, key: &[u8], value: u64, pairs: &mut Pairs) -> Option<()> {
    let layout = sampled.walker.layout;
    // SAFETY: as promised by the caller.
    unsafe {
        let kind = type_of(value)?;
        if kind == sampled.tasks.text_type {
            let mut room = [0; LONGEST];
            let size = push_text(&Straight, &layout.text, value, &mut room);
            pairs.push(key, room.get(..size)?).then_some(())
        } else if kind == sampled.tasks.int_type {
            let number = int::number(&Straight, layout, value)?;
            pairs.push(key, Text::<24>::format(format_args!("{number}")).as_bytes()).then_some(())
        } else {
            None
        }
    }
}
