//! The registries of a session: which stub is which function, and what the agent did in each process.

use crate::profile::PythonSupport;
use pronk_sampler::open_regular;
use pronk_sampler::recording::{Address, Process};
use pronk_trampolines::wire::{
    FunctionKind, Header, NO_COUNTER, REGISTRY_EXTENSION, Reader, Record, Records, Status, Token,
};
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::mem::{offset_of, size_of};
use std::path::Path;

/// More than any program fills: 16 million functions of 64 bytes. Keeps a damaged file from filling the memory.
const MAX_SIZE: u64 = 1 << 30;

/// What a function is called and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// `module.qualname`.
    pub name: String,
    /// The file, if one was given.
    pub file: Option<String>,
    /// The line on which it begins, if it is known.
    pub first_line: Option<u32>,
    /// What kind of function it is.
    pub kind: FunctionKind,
    /// Whether CPython runs some of its calls without asking for a hook.
    pub led_round: bool,
}

/// The contents of one registry.
#[derive(Debug)]
struct Registry {
    pid: u32,
    created_ns: u64,
    support: PythonSupport,
    functions: Functions,
    /// How many bytes of its records were read.
    read: u64,
    unregistered: u64,
    deep_stops: u64,
}

/// The functions of a registry.
#[derive(Debug, Default)]
struct Functions {
    by_stub: HashMap<u64, Function>,
    /// The stub of each counter.
    counters: HashMap<u32, u64>,
}

/// A process in which Python runs with the agent.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The token of its registry.
    pub token: Token,
    /// The process's id.
    pub pid: u32,
    /// Whether functions run through stubs.
    pub has_stubs: bool,
}

/// Every registry of a session.
#[derive(Debug, Default)]
pub struct Registries {
    registries: HashMap<Token, Registry>,
    /// What was wrong, in words.
    pub notes: Vec<String>,
}

impl Registries {
    /// Reads every registry in the session's directory. What cannot be read is noted.
    pub fn load(session: &Path) -> Registries {
        let mut registries = Registries::default();
        registries.read_on(session);
        registries
    }

    /// Reads what the registries in the session's directory have got since, in those that are known and in new ones.
    pub fn read_on(&mut self, session: &Path) {
        let entries = match std::fs::read_dir(session) {
            Ok(entries) => entries,
            Err(error) => {
                self.note(format!("the session's directory {} cannot be read: {error}", session.display()));
                return;
            }
        };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == REGISTRY_EXTENSION)) {
            if let Err(problem) = self.read(path) {
                self.note(format!("no function names from {}: {problem}", path.display()));
            }
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Functions that got no stub of their own.
    pub fn unregistered(&self) -> u64 {
        self.registries.values().fold(0, |sum, registry| sum.saturating_add(registry.unregistered))
    }

    /// How often stubs were stopped for a while because the stack was nearly used up.
    pub fn deep_stops(&self) -> u64 {
        self.registries.values().fold(0, |sum, registry| sum.saturating_add(registry.deep_stops))
    }

    fn read(&mut self, path: &Path) -> Result<(), String> {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<Token>().ok());
        let token = stem.ok_or("its name is not a token")?;
        let before = self.registries.get(&token).map_or(0, |registry| registry.read);
        let bytes = read_used(path, before).map_err(|error| error.to_string())?;
        let reader = Reader::new(&bytes).map_err(|error| error.to_string())?;
        if reader.token() != token {
            return Err(format!("it says that it is {}", reader.token()));
        }
        let mut functions =
            self.registries.remove(&token).map_or_else(Functions::default, |registry| registry.functions);
        let mut records = reader.records();
        let all = records.unread();
        add_functions(&mut records, reader.python_hexversion(), &mut functions);
        let registry = Registry {
            pid: reader.pid(),
            created_ns: reader.created_ns(),
            support: support(&reader),
            functions,
            read: before.saturating_add((all - records.unread()) as u64),
            unregistered: reader.unregistered(),
            deep_stops: reader.deep_stops(),
        };
        self.registries.insert(token, registry);
        Ok(())
    }

    /// The function of a stub.
    pub fn function(&self, token: Token, stub: Address) -> Option<&Function> {
        self.registries.get(&token)?.functions.by_stub.get(&stub.0)
    }

    /// The function that a counter is of.
    pub fn counted(&self, token: Token, counter: u32) -> Option<&Function> {
        let functions = &self.registries.get(&token)?.functions;
        functions.by_stub.get(functions.counters.get(&counter)?)
    }

    /// The processes in which Python runs with the agent.
    pub fn running(&self) -> Vec<Running> {
        let running = self.registries.iter().filter(|(_, one)| matches!(one.support, PythonSupport::Stubs(_)));
        running
            .map(|(token, registry)| Running {
                token: *token,
                pid: registry.pid,
                has_stubs: !registry.functions.by_stub.is_empty(),
            })
            .collect()
    }

    /// The processes that were refused and are not among those of the recording, since nothing in them could be sampled: their
    /// ids, and why.
    pub fn refused_elsewhere(&self, processes: &[Process]) -> Vec<(u32, PythonSupport)> {
        let is_known = |registry: &&Registry| processes.iter().any(|process| process.pid == registry.pid);
        let others = self.registries.values().filter(|registry| !is_known(registry));
        let mut refused: Vec<(u32, PythonSupport)> = others
            .filter(|registry| matches!(registry.support, PythonSupport::Refused(_)))
            .map(|registry| (registry.pid, registry.support.clone()))
            .collect();
        refused.sort_by_key(|(pid, _)| *pid);
        refused
    }

    /// What pronk did in a process, by the frames that were read, by the registries that the process has and, where it has
    /// none, by the registry of an agent that was refused and so mapped nothing.
    pub fn support(&self, process: &Process) -> PythonSupport {
        // Where its frames were read, it is Python, whatever became of stubs.
        if let Some(hexversion) = process.python {
            return PythonSupport::Stubs(version(hexversion));
        }
        let mapped = process.registries.iter().filter_map(|token| self.registries.get(token));
        // A fork has its parent's registries as well as its own. Its own is the newest.
        if let Some(registry) = mapped.max_by_key(|registry| registry.created_ns) {
            return registry.support.clone();
        }
        if let Some(token) = process.registries.first() {
            return PythonSupport::Refused(format!("the registry {token} could not be read"));
        }
        let lifetime = process.started.0..=process.ended.map_or(u64::MAX, |ended| ended.0);
        let its_own = |registry: &&Registry| registry.pid == process.pid && lifetime.contains(&registry.created_ns);
        let newest = self.registries.values().filter(its_own).max_by_key(|registry| registry.created_ns);
        newest.map_or(PythonSupport::NotPython, |registry| registry.support.clone())
    }
}

/// The header of a registry's file and, of the part behind it that was ever used, what is behind so many bytes. The rest is
/// a hole, and can be large.
fn read_used(path: &Path, before: u64) -> io::Result<Vec<u8>> {
    let (mut file, _) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(size_of::<Header>() as u64).read_to_end(&mut bytes)?;
    let used = bytes.get(offset_of!(Header, used)..).and_then(|rest| rest.first_chunk());
    let used = used.map_or(0, |chunk| u64::from_ne_bytes(*chunk));
    file.seek(SeekFrom::Start((bytes.len() as u64).saturating_add(before)))?;
    file.take(used.min(MAX_SIZE).saturating_sub(before)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A Python function's name: its module's and its qualified one.
pub fn full_name(module: &str, qualname: &str) -> String {
    if module.is_empty() { qualname.to_owned() } else { format!("{module}.{qualname}") }
}

/// Whether a version of CPython leads calls of functions of that name round every hook, once it has specialized the instruction
/// that makes them: `CALL_ALLOC_AND_ENTER_INIT` of 3.13 (Python/bytecodes.c), `BINARY_SUBSCR_GETITEM` of 3.11.0 to 3.11.3
/// (Python/ceval.c).
fn is_led_round(hexversion: u32, qualname: &[u8]) -> bool {
    let is_method = |name: &[u8]| qualname.strip_suffix(name).is_some_and(|rest| rest.ends_with(b"."));
    match hexversion >> 8 {
        0x030d00..=0x030dff => is_method(b"__init__"),
        0x030b00..=0x030b03 => is_method(b"__getitem__"),
        _ => false,
    }
}

fn add_functions(records: &mut Records<'_>, hexversion: u32, functions: &mut Functions) {
    for Record::Function { stub, counter, function, .. } in records {
        let named = Function {
            name: full_name(&String::from_utf8_lossy(function.module), &String::from_utf8_lossy(function.qualname)),
            file: (!function.file.is_empty()).then(|| String::from_utf8_lossy(function.file).into_owned()),
            first_line: (function.first_line != 0).then_some(function.first_line),
            kind: function.kind,
            led_round: is_led_round(hexversion, function.qualname),
        };
        functions.by_stub.insert(stub, named);
        if counter != NO_COUNTER {
            functions.counters.insert(counter, stub);
        }
    }
}

fn support(reader: &Reader) -> PythonSupport {
    let message = String::from_utf8_lossy(reader.message()).into_owned();
    match reader.status() {
        Some(Status::Running) => PythonSupport::Stubs(version(reader.python_hexversion())),
        Some(Status::Starting) => PythonSupport::NotPython,
        Some(Status::Refused) => PythonSupport::Refused(message),
        Some(Status::Stopped) => PythonSupport::Refused(format!("stubs were stopped: {message}")),
        None => PythonSupport::Refused("its registry has a status without meaning".to_owned()),
    }
}

/// A version in words from `PY_VERSION_HEX` (CPython, `Include/patchlevel.h`): major, minor, micro, release level and
/// serial, of 8, 8, 8, 4 and 4 bits. Empty for another interpreter, which has none.
fn version(hex: u32) -> String {
    if hex == 0 {
        return String::new();
    }
    let (major, minor, micro, serial) = (hex >> 24, hex >> 16 & 0xff, hex >> 8 & 0xff, hex & 0xf);
    let level = match hex >> 4 & 0xf {
        0xa => format!("a{serial}"),
        0xb => format!("b{serial}"),
        0xc => format!("rc{serial}"),
        _ => String::new(),
    };
    format!("{major}.{minor}.{micro}{level}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{RegistryBytes, run};
    use pronk_sampler::recording::MonotonicNs;

    const TOKEN: Token = Token(0xabc);
    const OTHER: Token = Token(0xdef);

    fn process(pid: u32, life: std::ops::Range<u64>, registries: &[Token]) -> Process {
        Process {
            pid,
            parent: None,
            name: "python3".to_owned(),
            executable: None,
            started: MonotonicNs(life.start),
            ended: Some(MonotonicNs(life.end)),
            registries: registries.to_vec(),
            python: None,
        }
    }

    fn running() -> RegistryBytes {
        RegistryBytes::new(TOKEN, 7, Status::Running, 100)
    }

    #[test]
    fn stubs_have_the_names_of_their_functions() {
        let session = tempfile::tempdir().unwrap();
        running()
            .function(0x1000, "shop", "Basket.total", "/srv/shop.py", 12)
            .function(0x1040, "", "main", "", 0)
            .write(session.path(), TOKEN);
        let registries = Registries::load(session.path());
        let total = Function {
            name: "shop.Basket.total".to_owned(),
            file: Some("/srv/shop.py".to_owned()),
            first_line: Some(12),
            kind: FunctionKind::Plain,
            led_round: false,
        };
        assert_eq!(registries.function(TOKEN, Address(0x1000)), Some(&total));
        let main = Function {
            name: "main".to_owned(),
            file: None,
            first_line: None,
            kind: FunctionKind::Plain,
            led_round: false,
        };
        assert_eq!(registries.function(TOKEN, Address(0x1040)), Some(&main));
        assert_eq!(registries.function(TOKEN, Address(0x1080)), None);
        assert_eq!(registries.function(OTHER, Address(0x1000)), None);
        assert_eq!(registries.notes, [""; 0]);
    }

    #[test]
    fn a_process_is_what_its_own_registry_says() {
        let session = tempfile::tempdir().unwrap();
        running().write(session.path(), TOKEN);
        let refused = RegistryBytes::new(OTHER, 8, Status::Refused, 500).message("CPython 3.8 is not supported");
        refused.write(session.path(), OTHER);
        let registries = Registries::load(session.path());
        let stubs = PythonSupport::Stubs("3.12.1".to_owned());
        let why = PythonSupport::Refused("CPython 3.8 is not supported".to_owned());
        assert_eq!(registries.support(&process(7, 0..1000, &[TOKEN])), stubs);
        // A fork that has its parent's registry and its own.
        assert_eq!(registries.support(&process(8, 400..1000, &[TOKEN, OTHER])), why);
        // Nothing is mapped where the interpreter was refused: by process id and time.
        assert_eq!(registries.support(&process(8, 400..1000, &[])), why);
        assert_eq!(registries.support(&process(8, 600..1000, &[])), PythonSupport::NotPython);
        assert_eq!(registries.support(&process(9, 0..1000, &[])), PythonSupport::NotPython);
        let read = Process { python: Some(0x030d_00f0), ..process(8, 400..1000, &[TOKEN, OTHER]) };
        assert_eq!(registries.support(&read), PythonSupport::Stubs("3.13.0".to_owned()));
        assert_eq!(registries.refused_elsewhere(&[process(7, 0..1000, &[])]), [(8, why)]);
        assert_eq!(registries.refused_elsewhere(&[process(8, 0..1000, &[])]), []);
        let lost = registries.support(&process(9, 0..1000, &[Token(5)]));
        assert!(matches!(lost, PythonSupport::Refused(why) if why.contains("0000000000000005")));
    }

    #[test]
    fn some_versions_lead_some_methods_round_a_hook() {
        assert!(is_led_round(0x030d_02f0, b"Shop.__init__") && is_led_round(0x030b_03f0, b"Shop.__getitem__"));
        assert!(!is_led_round(0x030e_00f0, b"Shop.__init__") && !is_led_round(0x030b_04f0, b"Shop.__getitem__"));
        assert!(!is_led_round(0x030d_02f0, b"__init__") && !is_led_round(0x030d_02f0, b"Shop.init__init__"));
        assert!(!is_led_round(0x030d_02f0, b"Shop.__getitem__"));
    }

    #[test]
    fn versions_are_in_words() {
        assert_eq!(version(0x030c_01f0), "3.12.1");
        assert_eq!(version(0x030f_00c2), "3.15.0rc2");
        assert_eq!(version(0x030f_00b1), "3.15.0b1");
        assert_eq!(version(0x030f_00a7), "3.15.0a7");
        assert_eq!(version(0), "");
    }

    #[test]
    fn a_growing_registry_gives_what_is_finished() {
        let session = tempfile::tempdir().unwrap();
        let mut registry = running().function(0x1000, "a", "f", "a.py", 1).function(0x1040, "a", "g", "a.py", 5);
        let begun = registry.0.len();
        registry = registry.function(0x1080, "a", "h", "a.py", 9);
        registry.set(begun, &0u32.to_ne_bytes());
        let path = registry.write(session.path(), TOKEN);
        // The file is as large as a registry can become. What is not used is a hole.
        std::fs::File::options().write(true).open(path).unwrap().set_len(1 << 32).unwrap();
        let registries = Registries::load(session.path());
        assert_eq!(registries.function(TOKEN, Address(0x1040)).unwrap().name, "a.g");
        assert_eq!(registries.function(TOKEN, Address(0x1080)), None);
    }

    #[test]
    fn what_a_registry_has_got_since_is_read_on() {
        let session = tempfile::tempdir().unwrap();
        let mut registry = running().function(0x1000, "a", "f", "a.py", 1);
        registry.write(session.path(), TOKEN);
        let mut registries = Registries::load(session.path());
        registry = registry.function(0x1040, "a", "g", "a.py", 5);
        let begun = registry.0.len();
        registry = registry.function(0x1080, "a", "h", "a.py", 9);
        let size = registry.0[begun..begun + 4].to_vec();
        registry.set(begun, &0u32.to_ne_bytes());
        registry.write(session.path(), TOKEN);
        registries.read_on(session.path());
        let name = |registries: &Registries, stub| Some(registries.function(TOKEN, Address(stub))?.name.clone());
        assert_eq!(name(&registries, 0x1040).as_deref(), Some("a.g"));
        assert_eq!(name(&registries, 0x1080), None);
        registry.set(begun, &size);
        // What was read is not read again.
        registry.set(size_of::<Header>(), &[0xff; 8]);
        registry.write(session.path(), TOKEN);
        registries.read_on(session.path());
        assert_eq!(name(&registries, 0x1080).as_deref(), Some("a.h"));
        assert_eq!(name(&registries, 0x1000).as_deref(), Some("a.f"));
    }

    #[test]
    fn damage_costs_names_only() {
        let session = tempfile::tempdir().unwrap();
        let whole = running().function(0x1000, "a", "f", "a.py", 1).function(0x1040, "a", "g", "a.py", 5).0;
        for length in 0..whole.len() {
            RegistryBytes(whole[..length].to_vec()).write(session.path(), TOKEN);
            let registries = Registries::load(session.path());
            assert_eq!(registries.function(TOKEN, Address(0x1040)), None);
            let is_header = length >= size_of::<Header>();
            assert_eq!(registries.notes.is_empty(), is_header, "{length}: {:?}", registries.notes);
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                RegistryBytes(damaged).write(session.path(), TOKEN);
                let registries = Registries::load(session.path());
                let _ = registries.support(&process(7, 0..1000, &[TOKEN]));
                let _ = registries.function(TOKEN, Address(0x1000));
            }
        }
    }

    #[test]
    fn what_is_no_registry_is_noted() {
        let session = tempfile::tempdir().unwrap();
        running().write(session.path(), OTHER);
        std::fs::write(session.path().join("zz.registry"), b"").unwrap();
        std::fs::write(session.path().join("something.else"), b"").unwrap();
        std::fs::create_dir(session.path().join("00000000000000aa.registry")).unwrap();
        // Who opens a fifo waits for somebody who writes to it.
        run("mkfifo", &["00000000000000bb.registry"], session.path());
        let notes = Registries::load(session.path()).notes;
        assert_eq!(notes.len(), 4, "{notes:?}");
        assert!(notes[0].contains("00000000000000aa.registry"), "{notes:?}");
        assert!(notes[1].contains("00000000000000bb.registry: it is not a regular file"), "{notes:?}");
        assert!(notes[2].contains("it says that it is 0000000000000abc"), "{notes:?}");
        assert!(notes[3].contains("its name is not a token"), "{notes:?}");
        let gone = Registries::load(&session.path().join("gone"));
        assert!(gone.notes[0].contains("gone"), "{:?}", gone.notes);
    }
}
