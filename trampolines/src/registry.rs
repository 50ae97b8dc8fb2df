//! Writes the registry: the file that says what each stub is called.
//!
//! The file is mapped whole at the start, far beyond its end, and grows by having its blocks reserved before anything is
//! written there. So there is one mapping for good, and no full disk can kill the program.

use crate::sys::{self, File, FileIdentity, PathText, Refused, Text};
use crate::wire::{
    Function, FunctionRecord, Header, LineTableFormat, MAGIC, MESSAGE_SIZE, REGISTRY_EXTENSION, RecordHeader,
    RecordKind, Status, Token, VERSION,
};
use core::ffi::CStr;
use core::fmt;
use core::mem::size_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The largest registry: room for about a million functions. Only what is used takes memory.
const LARGEST: usize = 256 << 20;
/// Where address space is limited (RLIMIT_AS), the room for about 50,000 functions has to do.
const SMALLER: usize = 16 << 20;
/// The size at first: the child of a fork may have a few functions only. It doubles until it grows by steps.
const FIRST_SIZE: usize = 16 << 10;
/// By how much the file grows later: CPython itself has about 500 functions at its start, which take about as much.
const STEP: usize = 128 << 10;
/// The longest name that is kept whole, in bytes.
const LONGEST_NAME: usize = 4096;
/// The longest line table that is kept, in bytes.
const LONGEST_LINE_TABLE: usize = 1 << 20;

/// The registry of one process.
///
/// One thread writes at a time; readers are other processes.
#[derive(Debug)]
pub struct Registry {
    base: NonNull<u8>,
    mapped: usize,
    reserved: usize,
    path: PathText,
    identity: FileIdentity,
    token: Token,
}

// SAFETY: the mapping is the registry's own and lives as long as the process.
unsafe impl Send for Registry {}

/// What a new registry says about its process.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// CPython's `PY_VERSION_HEX`, 0 for another interpreter.
    pub python_hexversion: u32,
    /// The size of a stub in bytes.
    pub stub_size: u32,
}

impl Registry {
    /// Makes the registry of this process in the session's directory.
    ///
    /// # Errors
    /// When the file cannot be made, filled or mapped.
    pub fn create(session: &CStr, token: Token, identity: Identity) -> Result<Registry, Refused> {
        let path = sys::path_in(session, format_args!("{token}.{REGISTRY_EXTENSION}"))?;
        let file = File::create_new(path.as_c())?;
        let prepare = || {
            file.reserve(FIRST_SIZE)?;
            let (base, mapped) = match file.map_shared(LARGEST) {
                Ok(base) => (base, LARGEST),
                Err(_) => (file.map_shared(SMALLER)?, SMALLER),
            };
            Ok((base, mapped, file.identity()?))
        };
        let (base, mapped, file_identity) = prepare().inspect_err(|_| sys::remove(path.as_c()))?;
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            header_size: size_of::<Header>() as u32,
            token: token.0,
            pid: sys::process_id(),
            status: AtomicU32::new(Status::Starting as u32),
            created_ns: sys::monotonic_ns(),
            python_hexversion: identity.python_hexversion,
            stub_size: identity.stub_size,
            used: AtomicU64::new(0),
            unregistered: AtomicU64::new(0),
            deep_stops: AtomicU64::new(0),
            message: [0; MESSAGE_SIZE],
        };
        // SAFETY: the beginning of the file is reserved and mapped, aligned to a page, and nobody else writes it.
        unsafe { base.cast::<Header>().write(header) };
        Ok(Registry { base, mapped, reserved: FIRST_SIZE, path, identity: file_identity, token })
    }

    /// The token that the mappings of stubs carry.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Says what became of the process.
    pub fn set_status(&mut self, status: Status, message: impl fmt::Display) {
        let text: Text<MESSAGE_SIZE> = Text::format(format_args!("{message}"));
        // SAFETY: the header is mapped and this is the only writer; a reader checks what it reads.
        unsafe {
            let header = self.base.cast::<Header>().as_ptr();
            let field = &raw mut (*header).message;
            for (index, byte) in text.as_bytes().iter().enumerate() {
                (field.cast::<u8>()).add(index).write_volatile(*byte);
            }
            (field.cast::<u8>()).add(text.as_bytes().len()).write_volatile(0);
        }
        self.header().status.store(status as u32, Ordering::Release);
    }

    /// Counts a function that got no stub of its own.
    pub fn count_unregistered(&self) {
        self.header().unregistered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a stop of stubs for a deep recursion.
    pub fn count_deep_stop(&self) {
        self.header().deep_stops.fetch_add(1, Ordering::Relaxed);
    }

    fn header(&self) -> &Header {
        // SAFETY: the header was written by `create` and stays mapped; what changes in it is atomic.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// Writes which function a stub is, and which counter it has.
    ///
    /// # Errors
    /// When the registry is full and cannot grow.
    pub fn add(&mut self, stub: u64, counter: u32, function: &Function<'_>) -> Result<(), Refused> {
        let short = |name| truncated(name, LONGEST_NAME);
        let lines_fit = function.line_table.len() <= LONGEST_LINE_TABLE;
        let line_table = if lines_fit { function.line_table } else { &[] };
        let line_table_format = if lines_fit { function.line_table_format } else { LineTableFormat::None };
        let texts = [short(function.module), short(function.qualname), short(function.file), line_table];

        let texts_size: usize = texts.iter().map(|text| text.len()).sum();
        let size = (size_of::<RecordHeader>() + size_of::<FunctionRecord>() + texts_size).next_multiple_of(8);
        let start = size_of::<Header>() + self.header().used.load(Ordering::Relaxed) as usize;
        self.make_room(start + size)?;
        self.header().used.fetch_add(size as u64, Ordering::Relaxed);

        let [module, qualname, file, lines] = texts;
        let record =
            RecordHeader { size: AtomicU32::new(0), kind: RecordKind::Function as u32, time_ns: sys::monotonic_ns() };
        let body = FunctionRecord {
            stub,
            first_line: function.first_line,
            line_table_format: line_table_format as u32,
            module_size: module.len() as u32,
            qualname_size: qualname.len() as u32,
            file_size: file.len() as u32,
            line_table_size: lines.len() as u32,
            counter,
            kind: function.kind as u32,
        };
        // SAFETY: `make_room` has reserved and mapped the bytes from `start` to `start + size`; `start` is a multiple
        // of 8, as the header's and each record's size are; the texts are as long as they were when summed up.
        unsafe {
            let header = self.base.add(start).cast::<RecordHeader>();
            header.write(record);
            let at = header.add(1).cast::<FunctionRecord>();
            at.write(body);
            let mut at = at.add(1).cast::<u8>();
            for text in [module, qualname, file, lines] {
                at.copy_from_nonoverlapping(NonNull::from(text).cast(), text.len());
                at = at.add(text.len());
            }
            header.as_ref().size.store(size as u32, Ordering::Release);
        }
        Ok(())
    }

    /// Reserves the file's blocks up to `end`.
    fn make_room(&mut self, end: usize) -> Result<(), Refused> {
        if end <= self.reserved {
            return Ok(());
        }
        let grown = if end <= STEP { end.next_power_of_two() } else { end.next_multiple_of(STEP) };
        if grown > self.mapped {
            return Err(Refused { what: "growing the registry", errno: libc::EFBIG });
        }
        // The descriptor is not kept open: a program that closes all descriptors, as daemons do, and opens its own,
        // would have its own file grow.
        let file = File::open_existing(self.path.as_c())?;
        if file.identity()? != self.identity {
            return Err(Refused { what: "growing the registry", errno: libc::ESTALE });
        }
        file.reserve(grown)?;
        self.reserved = grown;
        Ok(())
    }
}

/// The first bytes of a name, and no half of a character.
fn truncated(name: &[u8], longest: usize) -> &[u8] {
    let Some(short) = name.get(..longest) else { return name };
    let is_continuation = |byte: &u8| byte & 0xc0 == 0x80;
    if !name.get(longest).is_some_and(is_continuation) {
        return short;
    }
    let cut = short.iter().rposition(|byte| !is_continuation(byte)).unwrap_or(0);
    short.get(..cut).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FunctionKind;
    use crate::wire::{Reader, Record};
    use std::ffi::CString;
    use std::vec::Vec;
    use std::{format, vec};

    fn create(directory: &std::path::Path) -> Registry {
        let session = CString::new(directory.to_str().unwrap()).unwrap();
        Registry::create(&session, Token(0xabc), Identity { python_hexversion: 0x030d_00f0, stub_size: 64 }).unwrap()
    }

    fn bytes_of(directory: &std::path::Path, registry: &Registry) -> Vec<u8> {
        std::fs::read(directory.join(format!("{}.registry", registry.token()))).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = create(directory.path());
        let function = Function {
            module: b"pkg.mod",
            qualname: "Größe.<locals>.λ".as_bytes(),
            file: b"/srv/pkg/mod.py",
            first_line: 7,
            line_table_format: LineTableFormat::Pep657,
            line_table: &[1, 2, 3],
            kind: FunctionKind::Generator,
        };
        registry.add(0x1000, 17, &function).unwrap();
        registry.add(0x1040, 18, &Function { module: b"", line_table: &[], ..function }).unwrap();
        registry.set_status(Status::Running, "");
        registry.set_status(Status::Stopped, "why");

        let bytes = bytes_of(directory.path(), &registry);
        let reader = Reader::new(&bytes).unwrap();
        assert_eq!(reader.token(), registry.token());
        assert_eq!(reader.pid(), std::process::id());
        assert_eq!(reader.python_hexversion(), 0x030d_00f0);
        assert_eq!((reader.status(), reader.message()), (Some(Status::Stopped), b"why".as_slice()));
        let read: Vec<_> = reader.records().collect();
        let [
            Record::Function { stub: 0x1000, counter: 17, function: first, .. },
            Record::Function { stub: 0x1040, counter: 18, .. },
        ] = read[..]
        else {
            panic!("{read:?}");
        };
        assert_eq!(first, function);
    }

    #[test]
    fn it_grows_beyond_the_first_step_and_never_past_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = create(directory.path());
        registry.mapped = 3 * STEP;
        let table = vec![9; 1000];
        let function = Function {
            module: b"m",
            qualname: b"f",
            file: b"f.py",
            first_line: 1,
            line_table_format: LineTableFormat::Pep626,
            line_table: &table,
            kind: FunctionKind::Plain,
        };
        let mut added = 0;
        let error = loop {
            match registry.add(added * 64, 1, &function) {
                Ok(()) => added += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.errno, libc::EFBIG);
        let bytes = bytes_of(directory.path(), &registry);
        assert_eq!(bytes.len(), 3 * STEP);
        let reader = Reader::new(&bytes).unwrap();
        assert_eq!(reader.records().count() as u64, added);
        assert!(added > 350);
    }

    #[test]
    fn a_registry_that_was_replaced_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut registry = create(directory.path());
        let path = directory.path().join(format!("{}.registry", registry.token()));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"somebody else's").unwrap();
        assert_eq!(registry.make_room(2 * STEP).unwrap_err().errno, libc::ESTALE);
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody else's");
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(truncated("aé".as_bytes(), 2), b"a");
        assert_eq!(truncated("aé".as_bytes(), 3), "aé".as_bytes());
        assert_eq!(truncated("éé".as_bytes(), 2), "é".as_bytes());
    }
}
