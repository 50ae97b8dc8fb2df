//! Reads string objects out of memory, wherever the lock is.
//!
//! # Safety
//! Who reads straight answers for the string being alive; guarded reads take any address.

use super::layout::Text;
use crate::capture::memory::Memory;

/// What the lowest byte of a string's state says: in all versions two bits for interning, three for the size of a character,
/// one for compact, one for ASCII.
#[derive(Clone, Copy, Debug)]
pub struct TextState {
    /// The size of a character in bytes.
    character: Character,
    ascii: bool,
}

/// How long a string's characters are (PEP 393).
#[derive(Clone, Copy, Debug)]
enum Character {
    One = 1,
    Two = 2,
    Four = 4,
}

/// The state of a string, if it is one of the forms that the compiler makes.
pub fn state_of(memory: &impl Memory, text: u64) -> Option<TextState> {
    if text == 0 {
        return None;
    }
    // SAFETY: guarded reads take any address; others are of strings that are alive.
    let state = unsafe { memory.byte(text.wrapping_add(32)) }?;
    let character = match state >> 2 & 7 {
        1 => Character::One,
        2 => Character::Two,
        4 => Character::Four,
        _ => return None,
    };
    let compact = state & 0x20 != 0;
    compact.then_some(TextState { character, ascii: state & 0x40 != 0 })
}

/// Whether an object is a string of these characters, which are ASCII.
pub fn is_text<M: Memory>(memory: &M, layout: &Text, text: u64, characters: &[u8]) -> bool {
    /// The longest text that is looked for.
    const LONGEST: usize = 48;
    let mut bytes = [0; LONGEST];
    let Some(bytes) = bytes.get_mut(..characters.len()) else { return false };
    state_of(memory, text).is_some_and(|state| state.ascii)
        // SAFETY: as in `state_of`.
        && unsafe { memory.word(text.wrapping_add(16)) } == Some(characters.len() as u64)
        // SAFETY: as above: there are so many characters.
        && unsafe { memory.fill(text.wrapping_add(layout.ascii.into()), bytes) }
        && bytes == characters
}

/// Copies the beginning of a string object, as UTF-8; how many bytes of the room that takes.
///
/// # Safety
/// `memory` suits the address.
pub unsafe fn push_text(memory: &impl Memory, layout: &Text, text: u64, room: &mut [u8]) -> usize {
    let mut texts = Texts::new(layout, room);
    texts.push(memory, text);
    texts.size()
}

/// Texts, one behind the other.
#[derive(Debug)]
pub struct Texts<'a> {
    layout: &'a Text,
    room: &'a mut [u8],
    used: usize,
}

impl<'a> Texts<'a> {
    /// None, with room for some.
    pub fn new(layout: &'a Text, room: &'a mut [u8]) -> Texts<'a> {
        Texts { layout, room, used: 0 }
    }

    /// How many bytes they have.
    pub fn size(&self) -> usize {
        self.used
    }

    /// Appends a string object as UTF-8, or as much of it as a name may have; how many bytes that were.
    pub fn push(&mut self, memory: &impl Memory, text: u64) -> u32 {
        /// The longest name that is kept whole, in characters.
        const LONGEST: u64 = 1024;
        let before = self.used;
        let Some(TextState { character, ascii }) = state_of(memory, text) else { return 0 };
        let start = text.wrapping_add(if ascii { self.layout.ascii } else { self.layout.compact }.into());
        // SAFETY: as in `state_of`.
        let length = unsafe { memory.word(text.wrapping_add(16)) }.unwrap_or(0).min(LONGEST);
        let size = character as u64;
        let mut units = [0_u8; 64];
        let mut index = 0;
        while index < length {
            // As many characters as fit, of at most four bytes each.
            let now = length.saturating_sub(index).min(16);
            let Some(bytes) = units.get_mut(..now.wrapping_mul(size) as usize) else { break };
            // SAFETY: as in `state_of`; the characters are within the string's length.
            if unsafe { !memory.fill(start.wrapping_add(index.wrapping_mul(size)), bytes) } {
                break;
            }
            let value = |unit: &[u8]| unit.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
            match character {
                Character::One => bytes.iter().for_each(|byte| self.push_character(u32::from(*byte))),
                Character::Two => bytes.chunks_exact(2).for_each(|unit| self.push_character(value(unit))),
                Character::Four => bytes.chunks_exact(4).for_each(|unit| self.push_character(value(unit))),
            }
            index = index.wrapping_add(now);
        }
        self.used.wrapping_sub(before) as u32
    }

    fn push_character(&mut self, character: u32) {
        let character = char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut utf8 = [0; 4];
        let utf8 = character.encode_utf8(&mut utf8).as_bytes();
        if let Some(room) = self.room.get_mut(self.used..).and_then(|room| room.get_mut(..utf8.len())) {
            room.iter_mut().zip(utf8).for_each(|(to, from)| *to = *from);
            self.used = self.used.wrapping_add(utf8.len());
        }
    }
}
