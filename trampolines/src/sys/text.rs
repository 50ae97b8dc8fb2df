//! Text without a heap.

use core::ffi::CStr;
use core::fmt::{self, Write};

/// A path without a heap.
pub type PathText = Text<{ libc::PATH_MAX as usize }>;

/// Text of bounded size, zero-terminated, without a heap. What does not fit is cut off.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Empty text.
    pub const fn new() -> Text<N> {
        Text { bytes: [0; N], len: 0 }
    }

    /// The formatted arguments.
    pub fn format(arguments: fmt::Arguments<'_>) -> Text<N> {
        let mut text = Text::new();
        // It fails only when the text is full, and then it is cut off.
        let _full = text.write_fmt(arguments);
        text
    }

    /// Appends bytes, as many as fit. Returns whether all did.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        // One byte stays zero for the end.
        let room = N.saturating_sub(1).saturating_sub(self.len);
        let (fits, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(fits) {
            *to = *from;
        }
        self.len = self.len.saturating_add(fits.len());
        rest.is_empty()
    }

    /// The bytes, without the zero at the end.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The text, as far as it is UTF-8.
    pub fn as_str(&self) -> &str {
        match core::str::from_utf8(self.as_bytes()) {
            Ok(text) => text,
            Err(error) => {
                let valid = self.as_bytes().get(..error.valid_up_to()).unwrap_or_default();
                core::str::from_utf8(valid).unwrap_or_default()
            }
        }
    }

    /// The text for C. A zero within the text ends it.
    pub fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.push(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_does_not_fit_is_cut_off() {
        let mut text: Text<8> = Text::new();
        assert!(text.push(b"abcd"));
        assert!(!text.push(b"efgh"));
        assert_eq!(text.as_bytes(), b"abcdefg");
        assert_eq!(text.as_c(), c"abcdefg");
    }
}
