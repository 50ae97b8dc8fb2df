//! What a value is, in a few words: what its type says of it, read without running any code of the program.

use super::find::Python;
use super::snapshot::{Pages, Snapshot};
use pronk_trampolines::python::dict::Pairs;
use pronk_trampolines::python::int;
use pronk_trampolines::python::objects::{is_address, named_attributes};
use std::fmt::Write;

/// Limits of what is shown of a value: characters in all and of a text, bytes, items, digits of an int (of 30 bits each), and
/// values within values.
const MOST_CHARACTERS: usize = 300;
const MOST_OF_TEXT: usize = 80;
const MOST_BYTES: usize = 40;
const MOST_ITEMS: usize = 5;
const MOST_DIGITS: u64 = 64;
const DEEPEST: u32 = 2;
/// How many places of a table are looked through for items.
const MOST_PLACES: usize = 4096;

/// `ob_type`, and `ob_size` of objects with items, or the first field of others.
const TYPE: u64 = 8;
const SIZE: u64 = 16;
/// `ob_digit` of `PyLongObject`, `ob_item` of `PyListObject`; `ob_sval` of `PyBytesObject`; `ob_start` of `PyByteArrayObject`.
const DIGITS: u64 = 24;
const LIST_ITEMS: u64 = 24;
const BYTE_ARRAY_START: u64 = 40;
/// `ma_used` of dictionaries.
const DICT_USED: u64 = 16;
/// `used`, `mask` and `table` of `PySetObject` (Include/cpython/setobject.h): entries of a key and its hash, which is -1 for
/// one that was removed.
const SET_USED: u64 = 24;
const SET_MASK: u64 = 32;
const SET_TABLE: u64 = 40;
const REMOVED: u64 = u64::MAX;
/// `tp_name`, `tp_flags` and `tp_dict` of `PyTypeObject`; `Py_TPFLAGS_HEAPTYPE`; `ht_qualname` is before `ht_cached_keys`.
const TYPE_NAME: u64 = 24;
const TYPE_FLAGS: u64 = 168;
const TYPE_DICT: u64 = 264;
const HEAP_TYPE: u64 = 1 << 9;
const QUALNAME_BEFORE_KEYS: u64 = 8;
/// `md_dict` of `PyModuleObject`.
const MODULE_DICT: u64 = 16;

/// Puts values into words.
pub(super) struct Words<'a, P> {
    pub(super) python: &'a Python,
    pub(super) snapshot: &'a Snapshot<'a, P>,
}

impl Python {
    /// What a value is, in at most a few hundred characters.
    pub(crate) fn value<P: Pages>(&self, snapshot: &Snapshot<P>, object: u64) -> String {
        let mut text = String::new();
        Words { python: self, snapshot }.write(&mut text, object, 0);
        text
    }

    /// The name of a type, with its module's.
    pub(crate) fn type_name<P: Pages>(&self, snapshot: &Snapshot<P>, kind: u64) -> Option<String> {
        /// The longest name of a type that is not written in Python.
        const LONGEST: usize = 200;
        let field = |at: u64| snapshot.word(kind.wrapping_add(at));
        if field(TYPE_FLAGS)? & HEAP_TYPE == 0 {
            let start = field(TYPE_NAME)?;
            let bytes = (0..LONGEST as u64).map_while(|at| {
                let mut byte = [0];
                (snapshot.copy(start.wrapping_add(at), &mut byte) && byte != [0]).then_some(byte[0])
            });
            return Some(String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned());
        }
        let name = field(u64::from(self.layout.cached_keys) - QUALNAME_BEFORE_KEYS)?;
        let name = self.text_of(snapshot, name)?;
        let module = field(TYPE_DICT).and_then(|names| self.value_of(snapshot, names, b"__module__"));
        match module.and_then(|module| self.text_of(snapshot, module)) {
            Some(module) if module != "builtins" => Some(format!("{module}.{name}")),
            _ => Some(name),
        }
    }

    /// What is in an object, if it is a string.
    pub(crate) fn text_of<P: Pages>(&self, snapshot: &Snapshot<P>, object: u64) -> Option<String> {
        let is_text = snapshot.word(object.wrapping_add(TYPE))? == self.values.text;
        is_text.then(|| self.text(snapshot, object))
    }

    /// The elements of a set.
    pub(crate) fn set_items<P: Pages>(&self, snapshot: &Snapshot<P>, set: u64, most: usize) -> Vec<u64> {
        let field = |at: u64| snapshot.word(set.wrapping_add(at)).unwrap_or(0);
        let (mask, table) = (field(SET_MASK), field(SET_TABLE));
        let places = (0..=mask).map_while(|index| {
            let place = table.wrapping_add(index.wrapping_mul(16));
            Some((snapshot.word(place)?, snapshot.word(place.wrapping_add(8))?))
        });
        let items = places.take(most.saturating_mul(32)).filter(|(key, hash)| *key != 0 && *hash != REMOVED);
        items.map(|(key, _)| key).take(most).collect()
    }
}

impl<P: Pages> Words<'_, P> {
    fn word(&self, address: u64) -> Option<u64> {
        self.snapshot.word(address)
    }

    fn write(&self, text: &mut String, object: u64, depth: u32) {
        if self.write_known(text, object, depth).is_none() {
            let _ = write!(text, "<not readable at {object:#x}>");
        }
    }

    fn write_known(&self, text: &mut String, object: u64, depth: u32) -> Option<()> {
        let types = &self.python.values;
        if text.len() > MOST_CHARACTERS {
            text.push('…');
            return Some(());
        }
        if !is_address(object) {
            return None;
        }
        let kind = self.word(object.wrapping_add(TYPE))?;
        match kind {
            _ if object == types.none => text.push_str("None"),
            _ if object == types.ellipsis => text.push_str("Ellipsis"),
            kind if kind == types.bool => text.push_str(if self.is_zero(object)? { "False" } else { "True" }),
            kind if kind == types.int => text.push_str(&self.int(object)?),
            kind if kind == types.float => text.push_str(&float(f64::from_bits(self.word(object.wrapping_add(SIZE))?))),
            kind if kind == types.text => self.write_text(text, object)?,
            kind if kind == types.bytes => self.write_bytes(text, object, object.wrapping_add(32))?,
            kind if kind == types.byte_array => {
                text.push_str("bytearray(");
                self.write_bytes(text, object, self.word(object.wrapping_add(BYTE_ARRAY_START))?)?;
                text.push(')');
            }
            kind if kind == self.python.types.list => {
                let (start, count) =
                    (self.word(object.wrapping_add(LIST_ITEMS))?, self.word(object.wrapping_add(SIZE))?);
                self.write_items(text, ("[", "]"), &self.items(start, count), count, depth);
            }
            kind if kind == self.python.types.tuple => {
                let start = object.wrapping_add(self.python.layout.awaits.items.into());
                let count = self.word(object.wrapping_add(SIZE))?;
                let end = if count == 1 { ",)" } else { ")" };
                self.write_items(text, ("(", end), &self.items(start, count), count, depth);
            }
            kind if kind == types.set || kind == types.frozen_set => {
                let count = self.word(object.wrapping_add(SET_USED))?;
                let items = self.python.set_items(self.snapshot, object, MOST_ITEMS);
                let brackets = match (kind == types.set, count) {
                    (true, 0) => ("set(", ")"),
                    (true, _) => ("{", "}"),
                    (false, 0) => ("frozenset(", ")"),
                    (false, _) => ("frozenset({", "})"),
                };
                self.write_items(text, brackets, &items, count, depth);
            }
            kind if kind == types.dict => self.write_dict(text, object, depth)?,
            kind if kind == types.kind => {
                let _ = write!(text, "<class '{}'>", self.python.type_name(self.snapshot, object)?);
            }
            kind if kind == self.python.types.function => {
                let name = self.word(object.wrapping_add(self.python.layout.awaits.function.qualname.into()))?;
                let name = self.python.text_of(self.snapshot, name)?;
                let _ = write!(text, "<function {name} at {object:#x}>");
            }
            kind if kind == types.module => {
                let names = self.word(object.wrapping_add(MODULE_DICT))?;
                let name = self.python.value_of(self.snapshot, names, b"__name__");
                let name = name.and_then(|name| self.python.text_of(self.snapshot, name)).unwrap_or_default();
                let _ = write!(text, "<module '{name}'>");
            }
            kind => self.write_object(text, object, kind, depth)?,
        }
        Some(())
    }

    fn is_zero(&self, object: u64) -> Option<bool> {
        Some(self.digits(object)?.1.iter().all(|digit| *digit == 0))
    }

    /// Whether an int is negative, and its digits of 30 bits each, the lowest first; `None` where they are too many.
    fn digits(&self, object: u64) -> Option<(bool, Vec<u32>)> {
        let (count, is_negative) = self.size_of(object)?;
        let bytes =
            self.snapshot.bytes(object.wrapping_add(DIGITS), count.checked_mul(4)?, MOST_DIGITS as usize * 4)?;
        let digit = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |digit, byte| digit << 8 | u32::from(*byte));
        Some((is_negative, bytes.chunks_exact(4).map(digit).collect()))
    }

    /// How many digits an int has, and whether it is negative.
    fn size_of(&self, object: u64) -> Option<(u64, bool)> {
        // SAFETY: a snapshot takes any address.
        unsafe { int::size_of(&self.snapshot, self.python.layout, object) }
    }

    fn int(&self, object: u64) -> Option<String> {
        let (count, _) = self.size_of(object)?;
        if count > MOST_DIGITS {
            return Some(format!("<int of about {} bits>", count.saturating_mul(30)));
        }
        let (is_negative, digits) = self.digits(object)?;
        Some(format!("{}{}", if is_negative { "-" } else { "" }, decimal(digits)))
    }

    fn write_text(&self, text: &mut String, object: u64) -> Option<()> {
        let length = self.word(object.wrapping_add(SIZE))?;
        let characters = self.python.text(self.snapshot, object);
        let shown: String = characters.chars().take(MOST_OF_TEXT).collect();
        let quote = if shown.contains('\'') && !shown.contains('"') { '"' } else { '\'' };
        text.push(quote);
        for character in shown.chars() {
            match character {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\\' => text.push_str("\\\\"),
                character if character == quote => {
                    text.push('\\');
                    text.push(character);
                }
                character if character.is_control() => {
                    let _ = write!(text, "\\x{:02x}", u32::from(character));
                }
                character => text.push(character),
            }
        }
        text.push(quote);
        if length > MOST_OF_TEXT as u64 {
            let _ = write!(text, "… ({length} characters)");
        }
        Some(())
    }

    fn write_bytes(&self, text: &mut String, object: u64, start: u64) -> Option<()> {
        let count = self.word(object.wrapping_add(SIZE))?;
        let bytes = match count {
            0 => Vec::new(),
            count => self.snapshot.bytes(start, count.min(MOST_BYTES as u64), MOST_BYTES)?,
        };
        text.push_str("b'");
        for byte in bytes {
            match byte {
                b'\n' => text.push_str("\\n"),
                b'\r' => text.push_str("\\r"),
                b'\t' => text.push_str("\\t"),
                b'\'' | b'\\' => {
                    text.push('\\');
                    text.push(byte.into());
                }
                b' '..=b'~' => text.push(byte.into()),
                byte => {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
        }
        text.push('\'');
        if count > MOST_BYTES as u64 {
            let _ = write!(text, "… ({count} bytes)");
        }
        Some(())
    }

    fn items(&self, start: u64, count: u64) -> Vec<u64> {
        let word = |index: u64| self.word(start.wrapping_add(index.wrapping_mul(8)));
        (0..count.min(MOST_ITEMS as u64)).map_while(word).collect()
    }

    fn write_items(&self, text: &mut String, brackets: (&str, &str), items: &[u64], count: u64, depth: u32) {
        text.push_str(brackets.0);
        if depth >= DEEPEST && count > 0 {
            text.push('…');
        } else {
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                self.write(text, *item, depth + 1);
            }
            write_rest(text, items.len(), count);
        }
        text.push_str(brackets.1);
    }

    fn write_dict(&self, text: &mut String, object: u64, depth: u32) -> Option<()> {
        let count = self.word(object.wrapping_add(DICT_USED))?;
        text.push('{');
        if depth >= DEEPEST && count > 0 {
            text.push('…');
        } else if count > 0 {
            // SAFETY: a snapshot takes any address.
            let pairs = unsafe { Pairs::of(&self.snapshot, self.python.layout, object)?.read(self.snapshot) };
            let pairs = pairs.take(MOST_PLACES).filter(|(key, value)| *key != 0 && *value != 0);
            let mut shown = 0;
            for (key, value) in pairs.take(MOST_ITEMS) {
                text.push_str(if shown == 0 { "" } else { ", " });
                self.write(text, key, depth + 1);
                text.push_str(": ");
                self.write(text, value, depth + 1);
                shown += 1;
            }
            write_rest(text, shown, count);
        }
        text.push('}');
        Some(())
    }

    /// An object of any type, with those of its attributes that are simple.
    fn write_object(&self, text: &mut String, object: u64, kind: u64, depth: u32) -> Option<()> {
        let _ = write!(text, "<{} object at {object:#x}", self.python.type_name(self.snapshot, kind)?);
        if depth == 0 {
            self.write_attributes(text, object);
        }
        text.push('>');
        Some(())
    }

    fn write_attributes(&self, text: &mut String, object: u64) {
        let types = &self.python.values;
        let simple = [types.bool, types.int, types.float, types.text];
        let is_simple = |value: u64| {
            let kind = self.word(value.wrapping_add(TYPE));
            value == types.none || kind.is_some_and(|kind| simple.contains(&kind))
        };
        // SAFETY: a snapshot takes any address.
        let Some(pairs) = (unsafe { named_attributes(&self.snapshot, self.python.layout, object) }) else { return };
        // SAFETY: as above.
        let pairs = unsafe { pairs.read(self.snapshot) }.take(64);
        let attributes = pairs.filter(|(name, value)| is_address(*name) && is_address(*value) && is_simple(*value));
        for (name, value) in attributes.take(MOST_ITEMS) {
            let Some(name) = self.python.text_of(self.snapshot, name) else { continue };
            let _ = write!(text, " {name}=");
            self.write(text, value, DEEPEST);
        }
    }
}

/// Says how many items are not shown.
fn write_rest(text: &mut String, shown: usize, count: u64) {
    let rest = count.saturating_sub(shown as u64);
    if rest > 0 {
        let _ = write!(text, "{}… {rest} more", if shown == 0 { "" } else { ", " });
    }
}

/// A number of digits of 30 bits each, the lowest first, in decimal.
fn decimal(mut digits: Vec<u32>) -> String {
    /// The parts of the decimal number, which divide without overflow.
    const PART: u64 = 1_000_000_000;
    let mut parts = Vec::new();
    while digits.iter().any(|digit| *digit != 0) {
        let mut rest = 0_u64;
        for digit in digits.iter_mut().rev() {
            let value = rest << 30 | u64::from(*digit & 0x3fff_ffff);
            (*digit, rest) = ((value / PART) as u32, value % PART);
        }
        parts.push(rest);
    }
    let Some(first) = parts.pop() else { return "0".to_owned() };
    parts.iter().rev().fold(first.to_string(), |text, part| format!("{text}{part:09}"))
}

/// A float as Python writes it (`float_repr_style` of Python/pystrtod.c: the shortest digits, with an exponent below 1e-4 and from
/// 1e16 on).
fn float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "nan".to_owned() } else { value.to_string() };
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_python_writes_them() {
        assert_eq!(decimal(vec![]), "0");
        assert_eq!(decimal(vec![42]), "42");
        // 2 ** 100 and 10 ** 18.
        assert_eq!(decimal(vec![0, 0, 0, 1 << 10]), "1267650600228229401496703205376");
        assert_eq!(
            decimal(vec![0x2764_0000, 0x3782_dace & 0x3fff_ffff]),
            (0x3782_dace_u64 << 30 | 0x2764_0000).to_string()
        );
        for (value, expected) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(value), expected);
        }
    }
}
