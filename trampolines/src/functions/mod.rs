//! Gives each function its stub, and names it in the registry.
//!
//! Two functions that are equal in everything that the registry says of them share a stub. So a program that compiles
//! the same text again and again uses no more memory each time, and no stub ever has to be freed or used for something
//! else while it may be on a stack.

mod table;

use crate::counts::{Counts, Terms};
use crate::lock::Lock;
use crate::registry::{Identity, Registry};
use crate::stub::{Counters, STUB_SIZE, Stub, StubMemory};
use crate::sys::{self, KeepErrno, PathText, Refused};
use crate::wire::{Function, FunctionKind, KINDS, LineTableFormat, Status, Token};
use core::ffi::CStr;
use core::fmt;
use table::{StubTable, key_of};

/// The most functions that get stubs of their own in one process.
const MOST_FUNCTIONS: usize = 1 << 20;

/// What functions share that get no stub of their own: memory is used up, or there are too many.
const SHARED: Function<'_> = Function {
    module: b"",
    qualname: b"[function without a stub of its own]",
    file: b"",
    first_line: 0,
    line_table_format: LineTableFormat::None,
    line_table: &[],
    kind: FunctionKind::Plain,
};

/// The stubs of one process.
///
/// All methods can be called from any thread; they take a lock for a moment, so not from a signal handler.
#[derive(Debug)]
pub struct Functions {
    inner: Lock<Option<Inner>>,
}

#[derive(Debug)]
struct Inner {
    session: PathText,
    identity: Identity,
    /// The token of this very process, which its registry and its counts have.
    token: Token,
    /// Made when the first stub is named; `Some(None)` if it cannot be made.
    registry: Option<Option<Registry>>,
    status: Status,
    /// By kind.
    stubs: [StubMemory; KINDS],
    /// Made when functions begin to run through stubs.
    counts: Option<Counts>,
    terms: Terms,
    /// Where the file of counts is, if that is not the session's directory.
    memory: Option<PathText>,
    known: StubTable,
    shared: Option<Stub>,
    /// Which fork `token` and what is named by it belong to.
    generation: u32,
    seed: u64,
}

/// The directory of the session that the environment names.
pub(crate) fn session_of_environment() -> Option<PathText> {
    let name: sys::Text<64> = sys::Text::format(format_args!("{}", crate::wire::SESSION_ENV));
    sys::environment(name.as_c())
}

impl Default for Functions {
    fn default() -> Functions {
        Functions::new()
    }
}

impl Functions {
    /// Not started: nothing gets a stub.
    pub const fn new() -> Functions {
        Functions { inner: Lock::new(None, Inner::mend) }
    }

    /// Starts in the session that the environment names, if it names one.
    ///
    /// `python_hexversion` is CPython's `PY_VERSION_HEX`, and 0 for another interpreter. Returns whether there is a
    /// session. To be called while no other thread changes the environment.
    ///
    /// # Errors
    /// When the registry cannot be made.
    pub fn start_from_environment(&self, python_hexversion: u32) -> Result<bool, Refused> {
        match session_of_environment() {
            Some(session) => self.start(session.as_c(), python_hexversion).map(|()| true),
            None => Ok(false),
        }
    }

    /// Starts in a session's directory. Does nothing when already started.
    ///
    /// # Errors
    /// When the registry cannot be made.
    pub fn start(&self, session: &CStr, python_hexversion: u32) -> Result<(), Refused> {
        let _errno = KeepErrno::new();
        self.inner.with(|inner| {
            if inner.is_some() {
                return Ok(());
            }
            let identity = Identity { python_hexversion, stub_size: STUB_SIZE as u32 };
            let token = sys::random_token();
            let registry = Registry::create(session, token, identity)?;
            let mut path = PathText::new();
            path.push(session.to_bytes());
            *inner = Some(Inner {
                session: path,
                identity,
                seed: token.0,
                token,
                registry: Some(Some(registry)),
                status: Status::Starting,
                stubs: FunctionKind::ALL.map(StubMemory::new),
                counts: None,
                terms: Terms::default(),
                memory: None,
                known: StubTable::new()?,
                shared: None,
                generation: sys::fork_generation(),
            });
            Ok(())
        })
    }

    /// The token of this process's registry.
    pub fn token(&self) -> Option<Token> {
        self.inner.with(|inner| inner.as_mut()?.own_registry().map(|registry| registry.token()))
    }

    /// Says in the registry what became of the process.
    pub fn set_status(&self, status: Status, message: impl fmt::Display) {
        let _errno = KeepErrno::new();
        self.inner.with(|inner| {
            let Some(inner) = inner else { return };
            inner.status = status;
            if let Some(registry) = inner.own_registry() {
                registry.set_status(status, message);
            }
        });
    }

    /// Counts a stop of stubs for a deep recursion.
    pub fn count_deep_stop(&self) {
        let _errno = KeepErrno::new();
        self.inner.with(|inner| {
            if let Some(registry) = inner.as_mut().and_then(Inner::own_registry) {
                registry.count_deep_stop();
            }
        });
    }

    /// Says how stubs count, and in which directory, if that is not the session's; to be called before they do.
    pub(crate) fn set_terms(&self, terms: Terms, memory: Option<PathText>) {
        self.inner.with(|inner| {
            if let Some(inner) = inner {
                inner.terms = terms;
                inner.memory = memory;
            }
        });
    }

    /// Where stubs count that run in a lane: what runs one function at a time, as an interpreter with a lock does. To be
    /// asked for again in the child of a fork.
    ///
    /// # Errors
    /// When stubs were not started, there is no memory for the lane, or there are too many: up to
    /// [`MOST_LANES`](crate::wire::MOST_LANES).
    pub fn counters(&self, lane: usize) -> Result<Counters, Refused> {
        let _errno = KeepErrno::new();
        let not_started = Refused { what: "stubs", errno: libc::ENOENT };
        self.inner.with(|inner| inner.as_mut().ok_or(not_started)?.counts().lane(lane))
    }

    /// The stub of a function; made and registered when the function is new.
    ///
    /// `None` when stubs were not started, or not even the stub is left that functions share when memory is used up.
    pub fn stub_for(&self, function: &Function<'_>) -> Option<Stub> {
        let _errno = KeepErrno::new();
        self.inner.with(|inner| inner.as_mut()?.stub_for(function))
    }
}

const NO_REGISTRY: Refused = Refused { what: "the registry of this process", errno: libc::ENOENT };

impl Inner {
    /// Forgets what a thread may have left half changed. The registry is made anew in the child of a fork anyway.
    fn mend(inner: &mut Option<Inner>) {
        if let Some(inner) = inner {
            inner.stubs.iter_mut().for_each(StubMemory::abandon);
            // Without memory for a new table, the old one stays: what it may lack is made again.
            if let Ok(known) = StubTable::new() {
                inner.known = known;
            }
        }
    }

    fn stub_for(&mut self, function: &Function<'_>) -> Option<Stub> {
        let key = key_of(function, self.seed);
        if let Some(stub) = self.known.get(key) {
            return Some(stub);
        }
        let made = if self.known.len() < MOST_FUNCTIONS { self.make(function).ok() } else { None };
        match made {
            Some(stub) => {
                // When the table cannot grow, the function is only not found again.
                let _ = self.known.insert(key, stub);
                Some(stub)
            }
            None => {
                if let Some(registry) = self.own_registry() {
                    registry.count_unregistered();
                }
                self.shared
            }
        }
    }

    fn make(&mut self, function: &Function<'_>) -> Result<Stub, Refused> {
        let token = match self.own_registry() {
            Some(registry) => registry.token(),
            None => return Err(NO_REGISTRY),
        };
        if self.shared.is_none() {
            self.shared = Some(self.take_named(token, &SHARED)?);
        }
        self.take_named(token, function)
    }

    fn take_named(&mut self, token: Token, function: &Function<'_>) -> Result<Stub, Refused> {
        let directory = self.memory.as_ref().unwrap_or(&self.session);
        let counts = self.counts.get_or_insert_with(|| Counts::create(directory.as_c(), token, self.terms));
        let Some(stubs) = self.stubs.get_mut(function.kind as usize) else { return Err(NO_REGISTRY) };
        let (stub, counter) = stubs.take(token, counts)?;
        self.name(stub, counter, function).map(|()| stub).inspect_err(|_| {
            if let Some(stubs) = self.stubs.get_mut(function.kind as usize) {
                stubs.put_back(stub);
            }
        })
    }

    fn name(&mut self, stub: Stub, counter: u32, function: &Function<'_>) -> Result<(), Refused> {
        self.own_registry().ok_or(NO_REGISTRY)?.add(stub.address() as u64, counter, function)
    }

    /// The counters of this very process.
    fn counts(&mut self) -> &mut Counts {
        self.become_own_process();
        let directory = self.memory.as_ref().unwrap_or(&self.session);
        self.counts.get_or_insert_with(|| Counts::create(directory.as_c(), self.token, self.terms))
    }

    /// The registry of this very process.
    fn own_registry(&mut self) -> Option<&mut Registry> {
        self.become_own_process();
        let make = || {
            let mut registry = Registry::create(self.session.as_c(), self.token, self.identity).ok()?;
            registry.set_status(self.status, "");
            Some(registry)
        };
        self.registry.get_or_insert_with(make).as_mut()
    }

    /// The child of a fork has a registry and counts of its own, with stub memory of its own, since its parent goes on writing
    /// into the other ones.
    fn become_own_process(&mut self) {
        let generation = sys::fork_generation();
        if self.generation != generation {
            self.generation = generation;
            self.token = sys::random_token();
            self.registry = None;
            self.stubs.iter_mut().for_each(StubMemory::abandon);
            if let Some(counts) = &mut self.counts {
                counts.forked(self.memory.as_ref().unwrap_or(&self.session).as_c(), self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::vec::Vec;
    use std::{format, fs, vec};

    fn function<'a>(qualname: &'a str, line_table: &'a [u8]) -> Function<'a> {
        Function {
            module: b"m",
            qualname: qualname.as_bytes(),
            file: b"m.py",
            first_line: 3,
            line_table_format: LineTableFormat::None,
            line_table,
            kind: FunctionKind::Plain,
        }
    }

    fn started() -> (tempfile::TempDir, Functions) {
        let directory = tempfile::tempdir().unwrap();
        let functions = Functions::new();
        let session = CString::new(directory.path().to_str().unwrap()).unwrap();
        functions.start(&session, 0).unwrap();
        (directory, functions)
    }

    /// The files of a session that end so.
    fn files(directory: &tempfile::TempDir, extension: &str) -> Vec<Vec<u8>> {
        let paths = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|e| e == extension))
            .map(|path| fs::read(path).unwrap())
            .collect()
    }

    #[test]
    fn equal_functions_share_a_stub_and_different_ones_do_not() {
        let (_directory, functions) = started();
        let a = functions.stub_for(&function("a", &[])).unwrap();
        assert_eq!(functions.stub_for(&function("a", &[])), Some(a));
        assert_ne!(functions.stub_for(&function("a", &[0])), Some(a));
        assert_ne!(functions.stub_for(&function("b", &[])), Some(a));
    }

    #[test]
    fn ten_thousand_functions_keep_their_stubs() {
        let (directory, functions) = started();
        let names: Vec<_> = (0..10_000).map(|n| format!("f{n}")).collect();
        let stubs: Vec<_> = names.iter().map(|name| functions.stub_for(&function(name, &[])).unwrap()).collect();
        let again: Vec<_> = names.iter().map(|name| functions.stub_for(&function(name, &[])).unwrap()).collect();
        assert_eq!(stubs, again);
        let mut addresses: Vec<_> = stubs.iter().map(|stub| stub.address()).collect();
        addresses.sort_unstable();
        assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] >= STUB_SIZE));

        let bytes = files(&directory, "registry").remove(0);
        // The stub that functions share when memory is used up is one more.
        assert_eq!(crate::wire::Reader::new(&bytes).unwrap().records().count(), 10_001);
    }

    #[test]
    fn the_stub_calls_the_evaluator_with_its_record_in_place() {
        extern "C" fn evaluator(thread: usize, frame: usize, third: usize) -> usize {
            // SAFETY: a stub is running, so the thread's head points at its record.
            unsafe {
                let base = (*crate::stub::thread::words()).head;
                let word = |offset: i64| *((base as i64 + offset) as *const usize);
                use crate::stub::record;
                let stub = record::live_stub(base as u64, |at| Some(word(at) as u64)).unwrap() as usize;
                assert_eq!((word(record::THREAD), word(record::FRAME)), (thread, frame));
                if third == 0 {
                    return stub;
                }
                let link = word(record::LINK);
                assert!(link > base);
                let below = *((link as i64 + record::TAG) as *const usize);
                record::stub_of_tag(below as u64, link as u64).unwrap() as usize
            }
        }
        extern "C" fn outer(inner_stub: usize, frame: usize, third: usize) -> usize {
            // SAFETY: the addresses are those of a stub and of the counters, passed on by the test.
            unsafe {
                let inner: Stub = core::mem::transmute(inner_stub);
                let counters: Counters = core::mem::transmute(frame);
                inner.call(counters, [11, frame, third], evaluator)
            }
        }
        let (_directory, functions) = started();
        let stubs = ["outer", "inner"].map(|name| functions.stub_for(&function(name, &[])).unwrap());
        let counters = functions.counters(0).unwrap();
        // SAFETY: the evaluators take any words, and `outer` a stub and the counters.
        unsafe {
            assert_eq!(stubs[1].call(counters, [5, 6, 0], evaluator), stubs[1].address());
            let words = [stubs[1].address(), counters.address(), 1];
            assert_eq!(stubs[0].call(counters, words, outer), stubs[0].address());
            assert_eq!((*crate::stub::thread::words()).head, 0);
        }
    }

    #[test]
    fn the_process_unwinder_walks_through_stubs() {
        extern "C" fn evaluator(addresses: usize, capacity: usize, _: usize) -> usize {
            unsafe extern "C" {
                fn backtrace(buffer: *mut usize, size: i32) -> i32;
            }
            // SAFETY: the buffer is as long as said.
            unsafe { backtrace(addresses as *mut usize, capacity as i32) as usize }
        }
        let (_directory, functions) = started();
        let stub = functions.stub_for(&function("walked", &[])).unwrap();
        let mut buffer = vec![0_usize; 200];
        let words = [buffer.as_mut_ptr() as usize, buffer.len(), 0];
        // SAFETY: the evaluator writes into the buffer, which is as long as said.
        let depth = unsafe { stub.call(functions.counters(0).unwrap(), words, evaluator) };
        let addresses = &buffer[..depth];
        let position = addresses.iter().position(|a| *a == stub.address() + crate::stub::RETURN_OFFSET as usize);
        let position = position.expect("the stub is in the backtrace");
        assert!(depth > position + 5, "the walk goes on behind the stub: {addresses:x?}");
    }

    #[test]
    fn a_forked_child_keeps_its_stubs_and_names_new_ones_in_a_registry_of_its_own() {
        let (directory, functions) = started();
        let old = functions.stub_for(&function("old", &[])).unwrap();
        // SAFETY: the child makes a stub and leaves; no other thread holds the lock of `functions`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let kept = functions.stub_for(&function("old", &[])) == Some(old);
            let new = functions.stub_for(&function("new", &[])).is_some();
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(i32::from(kept && new)) };
        }
        let mut status = 0;
        // SAFETY: `status` is valid to be written.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(libc::WEXITSTATUS(status), 1);
        functions.stub_for(&function("parent", &[])).unwrap();

        let mut names: Vec<Vec<std::string::String>> = files(&directory, "registry")
            .into_iter()
            .map(|bytes| {
                let reader = crate::wire::Reader::new(&bytes).unwrap();
                let name = |record| {
                    let crate::wire::Record::Function { function, .. } = record;
                    std::string::String::from_utf8(function.qualname.to_vec()).unwrap()
                };
                reader.records().map(name).filter(|name| !name.starts_with('[')).collect()
            })
            .collect();
        names.sort();
        assert_eq!(names, [vec!["new"], vec!["old", "parent"]]);
        let heads =
            files(&directory, "counts").iter().map(|bytes| crate::wire::Head::read(bytes).unwrap()).collect::<Vec<_>>();
        assert_eq!(heads.len(), 2);
        let parent = functions.token();
        assert!(heads.iter().any(|head| head.parent.map(|(token, _)| token) == parent), "{heads:?}");
    }
}
