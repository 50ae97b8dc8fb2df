//! Code objects of a process.

use super::find::Python;
use super::snapshot::{Pages, Snapshot};
use crate::recording::{CodeId, PythonCode};
use pronk_trampolines::python::layout::Code;
use pronk_trampolines::python::{Link, module_of_frame, text};
use pronk_trampolines::wire::LineTableFormat;
use std::collections::HashMap;

/// The longest line table that is read, in bytes.
const LONGEST_LINE_TABLE: usize = 256 << 10;
/// `ob_size` and `ob_sval` of `PyBytesObject` (Include/cpython/bytesobject.h).
const BYTES_SIZE: u64 = 16;
const BYTES: u64 = 32;

/// The code objects of frames, each once.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    pub(crate) all: Vec<PythonCode>,
    known: HashMap<u64, CodeId>,
}

impl Codes {
    /// That of a frame.
    pub(crate) fn id<P: Pages>(&mut self, python: &Python, snapshot: &Snapshot<P>, link: &Link) -> CodeId {
        *self.known.entry(link.code).or_insert_with(|| {
            self.all.push(python.code(snapshot, link));
            CodeId(self.all.len() as u32 - 1)
        })
    }
}

impl Python {
    fn code<P: Pages>(&self, snapshot: &Snapshot<P>, link: &Link) -> PythonCode {
        let Code { filename, name, qualname, first_line, line_table, line_table_format, .. } = self.layout.code;
        let field = |at: u16| snapshot.word(link.code.wrapping_add(at.into())).unwrap_or(0);
        let line_table = self.bytes(snapshot, field(line_table), LONGEST_LINE_TABLE);
        // SAFETY: a snapshot takes any address.
        let module = unsafe { module_of_frame(snapshot, self.layout, link.address) };
        PythonCode {
            module: module.map_or_else(String::new, |module| self.text(snapshot, module)),
            qualname: self.text(snapshot, field(qualname.unwrap_or(name))),
            file: self.text(snapshot, field(filename)),
            first_line: snapshot
                .number(link.code.wrapping_add(first_line.into()))
                .and_then(|line| u32::try_from(line).ok())
                .unwrap_or(0),
            line_table_format: if line_table.is_some() { line_table_format } else { LineTableFormat::None },
            line_table: line_table.unwrap_or_default(),
        }
    }

    /// The beginning of a string object.
    pub(crate) fn text<P: Pages>(&self, snapshot: &Snapshot<P>, object: u64) -> String {
        let mut room = [0; 4096];
        // SAFETY: a snapshot takes any address.
        let size = unsafe { text::push_text(&snapshot, &self.layout.text, object, &mut room) };
        String::from_utf8_lossy(&room[..size]).into_owned()
    }

    /// What is in a bytes object, unless that is more than `most`.
    pub(crate) fn bytes<P: Pages>(&self, snapshot: &Snapshot<P>, object: u64, most: usize) -> Option<Vec<u8>> {
        let size = snapshot.word(object.wrapping_add(BYTES_SIZE))?;
        snapshot.bytes(object.wrapping_add(BYTES), size, most)
    }
}
