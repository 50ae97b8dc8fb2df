//! Labels as text: each key and each value in UTF-8, with a zero behind it.

use crate::sys::Text;

/// The room for the labels of a scope, in bytes, with the zeros behind keys and values.
pub const PAIRS_SIZE: usize = 440;
/// The longest value that is kept whole, in bytes.
const LONGEST: usize = 200;

/// The labels of a scope.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    text: Text<{ PAIRS_SIZE + 1 }>,
}

impl Pairs {
    /// None.
    pub const fn new() -> Pairs {
        Pairs { text: Text::new() }
    }

    /// Adds a label. A long value is cut, at the end of a character. Whether there was room for it.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        let value = cut(value, LONGEST);
        let size = key.len().saturating_add(value.len()).saturating_add(2);
        if size > PAIRS_SIZE.saturating_sub(self.text.as_bytes().len()) || key.contains(&0) {
            return false;
        }
        self.text.push(key);
        self.text.push(&[0]);
        // A zero is none of text that is meant to be read.
        value.split(|byte| *byte == 0).for_each(|part| {
            self.text.push(part);
        });
        self.text.push(&[0]);
        true
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Default for Pairs {
    fn default() -> Pairs {
        Pairs::new()
    }
}

/// The beginning of a text of UTF-8 that is no longer than so many bytes.
fn cut(text: &[u8], longest: usize) -> &[u8] {
    let is_inside = |byte: Option<&u8>| byte.is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut end = longest.min(text.len());
    while end > 0 && is_inside(text.get(end)) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_texts_with_a_zero_behind() {
        let mut pairs = Pairs::new();
        assert!(pairs.push(b"request", b"checkout"));
        assert!(pairs.push(b"user", b"4\x002"));
        assert!(!pairs.push(b"a\x00b", b"1"));
        assert_eq!(pairs.as_bytes(), b"request\x00checkout\x00user\x0042\x00");
    }

    #[test]
    fn long_values_are_cut_between_characters_and_what_finds_no_room_is_left_out() {
        let mut pairs = Pairs::new();
        let long = "\u{e4}".repeat(101) + "x";
        assert!(pairs.push(b"k", &[b"x", long.as_bytes()].concat()));
        assert_eq!(pairs.as_bytes(), ["k\0x", &"\u{e4}".repeat(99), "\0"].concat().as_bytes());
        assert!(pairs.push(b"l", &[b'y'; 200]));
        assert!(!pairs.push(b"m", &[b'y'; 200]));
        assert!(pairs.push(b"n", b"1"));
        assert!(pairs.as_bytes().ends_with(b"n\x001\x00"));
        assert!(pairs.as_bytes().len() <= PAIRS_SIZE);
    }
}
