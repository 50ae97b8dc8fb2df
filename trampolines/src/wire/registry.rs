//! The registry file: a header, then records that are only ever appended.
//!
//! ```text
//! 0                      HEADER_SIZE
//! | Header               | RecordHeader, body, padding to 8 | RecordHeader, ... | zeros
//! ```
//!
//! A writer reserves room for a record by adding its size to [`Header::used`], fills it, and stores its size in
//! [`RecordHeader::size`] last, with release ordering. A reader stops at the first size that is zero: what is behind it
//! is not finished. All numbers are in the byte order of the machine; a registry never leaves it.
//!
//! [`Reader`] works on a copy of the file's bytes and believes none of them: a damaged registry costs names.

use super::{COUNTERS, Token};
use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// The first eight bytes of a registry.
pub const MAGIC: [u8; 8] = *b"PRONKREG";
/// The version of the format that this crate reads and writes.
pub const VERSION: u32 = 3;
/// The room for [`Header::message`], in bytes.
pub const MESSAGE_SIZE: usize = 256;

/// What the agent found when it started in a process: the values of [`Header::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The registry was made, and the hook is not yet in place.
    Starting = 0,
    /// Functions run through stubs.
    Running = 1,
    /// The interpreter was refused; the program runs without stubs. [`Header::message`] says why.
    Refused = 2,
    /// Functions ran through stubs, and no longer do. [`Header::message`] says why.
    Stopped = 3,
}

impl Status {
    /// The status that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<Status> {
        match raw {
            0 => Some(Status::Starting),
            1 => Some(Status::Running),
            2 => Some(Status::Refused),
            3 => Some(Status::Stopped),
            _ => None,
        }
    }
}

/// The head of a registry file.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// The size of this header in bytes: where the records begin.
    pub header_size: u32,
    /// The process's token, which is also in the file's name.
    pub token: u64,
    /// The process's id in its own pid namespace.
    pub pid: u32,
    /// A [`Status`].
    pub status: AtomicU32,
    /// When the registry was made: CLOCK_MONOTONIC, nanoseconds.
    pub created_ns: u64,
    /// CPython's `PY_VERSION_HEX`, 0 for another interpreter.
    pub python_hexversion: u32,
    /// The size of a stub in bytes.
    pub stub_size: u32,
    /// The bytes of all records, finished or begun.
    pub used: AtomicU64,
    /// Functions that got no stub of their own because memory or the registry was full.
    pub unregistered: AtomicU64,
    /// How often stubs were stopped for a while because the stack was nearly used up.
    pub deep_stops: AtomicU64,
    /// UTF-8, zero-terminated: what [`Header::status`] means, where it needs words.
    pub message: [u8; MESSAGE_SIZE],
}

const _: () = {
    assert!(size_of::<Header>() == 72 + MESSAGE_SIZE);
    assert!(offset_of!(Header, status) == 28);
    assert!(offset_of!(Header, used) == 48);
    assert!(offset_of!(Header, message) == 72);
};

/// What every record begins with.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct RecordHeader {
    /// The size of the whole record in bytes, a multiple of 8; 0 while it is being written.
    pub size: AtomicU32,
    /// A [`RecordKind`].
    pub kind: u32,
    /// When it was written: CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
}

const _: () = assert!(size_of::<RecordHeader>() == 16);

/// What a record is about. Readers pass over kinds that they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RecordKind {
    /// A [`FunctionRecord`] and its texts.
    Function = 1,
}

/// The format of a function's line table, by the CPython versions that use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum LineTableFormat {
    /// No line table.
    None = 0,
    /// CPython 3.9: `co_lnotab`.
    Lnotab = 1,
    /// CPython 3.10: `co_linetable` of PEP 626.
    Pep626 = 2,
    /// CPython 3.11 and later: `co_linetable` of PEP 657.
    Pep657 = 3,
}

impl LineTableFormat {
    /// The format that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<LineTableFormat> {
        match raw {
            0 => Some(LineTableFormat::None),
            1 => Some(LineTableFormat::Lnotab),
            2 => Some(LineTableFormat::Pep626),
            3 => Some(LineTableFormat::Pep657),
            _ => None,
        }
    }
}

/// A function and its stub. Behind it come the module's name, the qualified name, the file and the line table.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct FunctionRecord {
    /// The address of the stub in the process.
    pub stub: u64,
    /// The line on which the function begins.
    pub first_line: u32,
    /// A [`LineTableFormat`].
    pub line_table_format: u32,
    /// The length of the module's name in bytes.
    pub module_size: u32,
    /// The length of the qualified name in bytes.
    pub qualname_size: u32,
    /// The length of the file's name in bytes.
    pub file_size: u32,
    /// The length of the line table in bytes.
    pub line_table_size: u32,
    /// The stub's counter in each lane of the [file of counts](super::CountsHeader); [`super::NO_COUNTER`] if it has none.
    pub counter: u32,
    /// A [`FunctionKind`]. Rings do not say it.
    pub kind: u32,
}

const _: () = assert!(size_of::<FunctionRecord>() == 40);

/// What kind of function it is, on which depends what its stub costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum FunctionKind {
    /// One that runs from its call to its return.
    #[default]
    Plain = 0,
    /// A generator.
    Generator = 1,
    /// A coroutine, or an asynchronous generator.
    Coroutine = 2,
}

/// How many kinds there are.
pub const KINDS: usize = 3;

impl FunctionKind {
    /// Each of them, by their numbers.
    pub const ALL: [FunctionKind; KINDS] = [FunctionKind::Plain, FunctionKind::Generator, FunctionKind::Coroutine];

    /// The kind that a number stands for.
    pub const fn from_raw(raw: u32) -> Option<FunctionKind> {
        match raw {
            0 => Some(FunctionKind::Plain),
            1 => Some(FunctionKind::Generator),
            2 => Some(FunctionKind::Coroutine),
            _ => None,
        }
    }

    /// Whether the stub of such a function is entered each time that it goes on.
    pub const fn resumes(self) -> bool {
        !matches!(self, FunctionKind::Plain)
    }
}

/// What a function is called and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// The module's name, or empty. UTF-8, as are the other names; readers replace what is not.
    pub module: &'a [u8],
    /// The qualified name, such as `Server.handle.<locals>.reply`.
    pub qualname: &'a [u8],
    /// The file as the interpreter knows it.
    pub file: &'a [u8],
    /// The line on which the function begins.
    pub first_line: u32,
    /// How to read `line_table`.
    pub line_table_format: LineTableFormat,
    /// Which instruction is on which line.
    pub line_table: &'a [u8],
    /// What kind of function it is.
    pub kind: FunctionKind,
}

/// Why a file is not a registry that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The file is shorter than a header.
    Truncated,
    /// The file does not begin with [`MAGIC`].
    NotARegistry,
    /// The registry was written by another version of pronk: its version.
    Version(u32),
    /// The header contradicts itself.
    Damaged,
}

impl core::fmt::Display for ReadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ReadError::Truncated => write!(f, "the registry is shorter than its header"),
            ReadError::NotARegistry => write!(f, "the file is not a registry"),
            ReadError::Version(v) => write!(f, "the registry has version {v}, this pronk reads version {VERSION}"),
            ReadError::Damaged => write!(f, "the registry's header contradicts itself"),
        }
    }
}

impl core::error::Error for ReadError {}

/// One record of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A function got a stub.
    Function {
        /// The address of the stub in the process.
        stub: u64,
        /// When: CLOCK_MONOTONIC, nanoseconds.
        time_ns: u64,
        /// Its counter; [`super::NO_COUNTER`] if it has none.
        counter: u32,
        /// The function.
        function: Function<'a>,
    },
}

/// Reads a copy of a registry's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// When the bytes are not a registry of this version.
    pub fn new(bytes: &'a [u8]) -> Result<Reader<'a>, ReadError> {
        let reader = Reader { bytes };
        if bytes.len() >= MAGIC.len() && !bytes.starts_with(&MAGIC) {
            return Err(ReadError::NotARegistry);
        }
        if bytes.len() < size_of::<Header>() {
            return Err(ReadError::Truncated);
        }
        match reader.u32_at(offset_of!(Header, version)) {
            VERSION => {}
            other => return Err(ReadError::Version(other)),
        }
        if reader.u32_at(offset_of!(Header, header_size)) as usize != size_of::<Header>() || reader.stub_size() == 0 {
            return Err(ReadError::Damaged);
        }
        Ok(reader)
    }

    /// The process's token.
    pub fn token(&self) -> Token {
        Token(self.u64_at(offset_of!(Header, token)))
    }

    /// The process's id in its own pid namespace.
    pub fn pid(&self) -> u32 {
        self.u32_at(offset_of!(Header, pid))
    }

    /// What the agent found, or `None` for a number without meaning.
    pub fn status(&self) -> Option<Status> {
        Status::from_raw(self.u32_at(offset_of!(Header, status)))
    }

    /// When the registry was made: CLOCK_MONOTONIC, nanoseconds.
    pub fn created_ns(&self) -> u64 {
        self.u64_at(offset_of!(Header, created_ns))
    }

    /// CPython's `PY_VERSION_HEX`, 0 for another interpreter.
    pub fn python_hexversion(&self) -> u32 {
        self.u32_at(offset_of!(Header, python_hexversion))
    }

    /// The size of a stub in bytes, never 0.
    pub fn stub_size(&self) -> u32 {
        self.u32_at(offset_of!(Header, stub_size))
    }

    /// Functions that got no stub of their own.
    pub fn unregistered(&self) -> u64 {
        self.u64_at(offset_of!(Header, unregistered))
    }

    /// How often stubs were stopped for a while because the stack was nearly used up.
    pub fn deep_stops(&self) -> u64 {
        self.u64_at(offset_of!(Header, deep_stops))
    }

    /// What the status means, in words. May be empty; UTF-8 unless the file is damaged.
    pub fn message(&self) -> &'a [u8] {
        let at = offset_of!(Header, message);
        let field = self.bytes.get(at..at + MESSAGE_SIZE).unwrap_or_default();
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        field.get(..end).unwrap_or_default()
    }

    /// The finished records, in the order in which room was reserved for them.
    pub fn records(&self) -> Records<'a> {
        Records { rest: self.bytes.get(size_of::<Header>()..).unwrap_or_default() }
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32_at(self.bytes, at).unwrap_or(0)
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64_at(self.bytes, at).unwrap_or(0)
    }
}

/// The records of a registry; made by [`Reader::records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl Records<'_> {
    /// The bytes behind the last record that was read.
    pub fn unread(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let size = u32_at(self.rest, offset_of!(RecordHeader, size))? as usize;
            let record = self.rest.get(..size)?;
            if size < size_of::<RecordHeader>() || !size.is_multiple_of(8) {
                return None;
            }
            self.rest = self.rest.get(size..).unwrap_or_default();
            let kind = u32_at(record, offset_of!(RecordHeader, kind))?;
            if kind != RecordKind::Function as u32 {
                continue;
            }
            let time_ns = u64_at(record, offset_of!(RecordHeader, time_ns))?;
            let body = record.get(size_of::<RecordHeader>()..)?;
            let counter = u32_at(body, offset_of!(FunctionRecord, counter)).filter(|counter| *counter < COUNTERS);
            if let (Some((stub, function)), Some(counter)) = (read_function(body), counter) {
                return Some(Record::Function { stub, time_ns, counter, function });
            }
        }
    }
}

/// Reads a [`FunctionRecord`] and its texts: the function, and the record's `stub`.
pub fn read_function(body: &[u8]) -> Option<(u64, Function<'_>)> {
    let number = |at| u32_at(body, at);
    let mut texts = body.get(size_of::<FunctionRecord>()..)?;
    let mut take = |at| -> Option<&[u8]> {
        let (text, rest) = texts.split_at_checked(number(at)? as usize)?;
        texts = rest;
        Some(text)
    };
    let function = Function {
        module: take(offset_of!(FunctionRecord, module_size))?,
        qualname: take(offset_of!(FunctionRecord, qualname_size))?,
        file: take(offset_of!(FunctionRecord, file_size))?,
        line_table: take(offset_of!(FunctionRecord, line_table_size))?,
        first_line: number(offset_of!(FunctionRecord, first_line))?,
        line_table_format: LineTableFormat::from_raw(number(offset_of!(FunctionRecord, line_table_format))?)?,
        kind: FunctionKind::from_raw(number(offset_of!(FunctionRecord, kind))?)?,
    };
    Some((u64_at(body, offset_of!(FunctionRecord, stub))?, function))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
}
