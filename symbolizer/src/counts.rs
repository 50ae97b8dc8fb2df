//! How often functions were called: the files of counts of a session, and whose counters they have.

mod estimate;

use crate::profile::{Counting, StubUse};
use crate::registry::{Function, Registries};
pub use estimate::Called;
use estimate::{Windows, windows};
use pronk_sampler::open_regular;
use pronk_trampolines::wire::{COUNTS_EXTENSION, HEAD_COUNTERS, Head, KINDS, LaneHead, Token};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// How much of a file is read at once, in bytes.
const PART: usize = 64 << 10;
/// How much is read of all files of a session, in bytes: they are the targets', which can say that there is as much as they like.
const MOST: u64 = 1 << 30;
/// How many steps from processes to those that they were forked from are made, of all counters together.
const MOST_STEPS: u64 = 1 << 28;

/// How often each function was called.
#[derive(Debug, Default)]
pub struct Counts {
    /// The functions that were called, and how often.
    pub calls: BTreeMap<Function, Called>,
    /// How far the numbers can be trusted.
    pub counting: Counting,
    /// What stubs have done.
    pub stubs: StubUse,
    /// What is missing, in words.
    pub notes: Vec<String>,
}

/// The counts of one process.
struct Counted {
    head: Head,
    /// Of each interpreter.
    interpreters: Vec<Lanes>,
}

impl Counts {
    /// Reads every file of counts in the session's directory. What cannot be read is noted.
    pub fn load(session: &Path, registries: &Registries) -> Counts {
        let mut counts = Counts::default();
        let mut processes: HashMap<Token, Counted> = HashMap::new();
        let entries = std::fs::read_dir(session).into_iter().flatten();
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let mut left = MOST;
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == COUNTS_EXTENSION)) {
            match read(path, &mut left) {
                Ok((token, counted)) => {
                    processes.insert(token, counted);
                }
                Err(problem) => counts.notes.push(format!("no numbers of calls from {}: {problem}", path.display())),
            }
        }
        let running = registries.running();
        if processes.is_empty() && counts.notes.is_empty() && !running.iter().any(|one| one.has_stubs) {
            return counts;
        }
        counts.add(&processes, registries);
        let uncounted = running.iter().filter(|one| !processes.contains_key(&one.token));
        let uncounted: Vec<u32> = uncounted.map(|one| one.pid).collect();
        counts.notes.extend(those(&uncounted).map(|who| format!("calls in {who} were not counted")));
        let whole = counts.notes.is_empty() && registries.unregistered() == 0 && registries.deep_stops() == 0;
        counts.counting = match processes.values().any(Counted::is_windowed) {
            _ if !whole => Counting::Incomplete,
            true => Counting::Estimated,
            false => Counting::Exact,
        };
        counts
    }

    fn add(&mut self, processes: &HashMap<Token, Counted>, registries: &Registries) {
        let lost: Vec<u32> =
            processes.values().map(|one| one.head).filter(|head| head.lost > 0).map(|head| head.pid).collect();
        self.notes.extend(those(&lost).map(|who| format!("some calls in {who} were not counted: there was no room")));
        let children =
            processes.values().fold(0_u64, |sum, one| sum.saturating_add(one.head.uncounted_children.into()));
        if children > 0 {
            self.notes.push(format!("calls in {children} forked processes were not counted: they could make no file"));
        }
        let (mut without_counter, mut without_name) = (0_u64, 0_u64);
        let mut steps = MOST_STEPS;
        for (token, counted) in processes {
            let windowed = counted.is_windowed();
            for lanes in &counted.interpreters {
                self.stubs.add(&lanes.heads, &counted.head.costs_ps);
                without_counter = without_counter.saturating_add(lanes.unnamed());
                let windows = windowed.then(|| Windows::of(&lanes.heads, &counted.head.costs_ps));
                for (&counter, by_group) in &lanes.counters {
                    let owner = owner(processes, *token, counter, &mut steps);
                    let Some(function) = registries.counted(owner, counter) else {
                        without_name = by_group.iter().fold(without_name, |sum, calls| sum.saturating_add(*calls));
                        continue;
                    };
                    let cost_ps = counted.head.costs_ps[function.kind as usize];
                    self.calls.entry(function.clone()).or_default().add(by_group, cost_ps, windows.as_ref());
                }
            }
        }
        let missing = [("without a counter of their own", without_counter), ("whose names were lost", without_name)];
        let missing = missing.into_iter().filter(|(_, calls)| *calls > 0);
        self.notes.extend(missing.map(|(what, calls)| format!("calls of functions {what}: {calls}")));
    }
}

impl Counted {
    /// Whether stubs were on in windows only.
    fn is_windowed(&self) -> bool {
        self.head.groups > 1
    }
}

impl StubUse {
    fn add(&mut self, heads: &[LaneHead], costs_ps: &[u32; KINDS]) {
        self.windows = windows(heads).fold(self.windows, |sum, head| sum.saturating_add(head.windows));
        for head in heads {
            self.on_ns = self.on_ns.saturating_add(head.on_ns);
            self.off_ns = self.off_ns.saturating_add(head.off_ns).saturating_add(head.before_ns);
            self.cost_ns = self.cost_ns.saturating_add(head.cost_ps(costs_ps) / 1000);
        }
    }
}

/// Processes in words, if there are any.
fn those(pids: &[u32]) -> Option<String> {
    match pids {
        [] => None,
        [pid] => Some(format!("process {pid}")),
        pids => Some(format!("{} processes", pids.len())),
    }
}

/// The process whose registry says whose counter it is: the child of a fork has its parent's stubs, as that has from its own.
fn owner(processes: &HashMap<Token, Counted>, token: Token, counter: u32, steps: &mut u64) -> Token {
    let mut owner = token;
    // A damaged file could say that a process is its own ancestor, or that very many are.
    for _ in 0..processes.len() {
        let Some(left) = steps.checked_sub(1) else { break };
        *steps = left;
        let parent = processes.get(&owner).and_then(|process| process.head.parent);
        match parent {
            Some((parent, inherited)) if counter < inherited => owner = parent,
            _ => break,
        }
    }
    owner
}

/// Reads a file, unless there is more in it than is left to read.
fn read(path: &Path, left: &mut u64) -> Result<(Token, Counted), String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<Token>().ok());
    let token = stem.ok_or("its name is not a token")?;
    let said = |error: io::Error| error.to_string();
    let (mut file, _) = open_regular(path).map_err(said)?;
    let mut bytes = Vec::new();
    file.by_ref().take(PART as u64).read_to_end(&mut bytes).map_err(said)?;
    let head = Head::read(&bytes)?;
    if head.token != token {
        return Err(format!("it says that it is {}", head.token));
    }
    let size: u64 = head.lanes().map(|lane| lane.end - lane.start).sum();
    *left = left.checked_sub(size).ok_or("there is too much in all of them together")?;
    let lanes: Vec<Range<u64>> = head.lanes().collect();
    let interpreters = lanes.chunks(head.groups as usize).map(|lanes| Lanes::read(&mut file, lanes));
    let interpreters = interpreters.collect::<io::Result<_>>().map_err(said)?;
    Ok((token, Counted { head, interpreters }))
}

/// The lanes of one interpreter, one for each group.
struct Lanes {
    heads: Vec<LaneHead>,
    /// Those counters that are not zero everywhere, by group.
    counters: BTreeMap<u32, Vec<u64>>,
}

impl Lanes {
    /// Reads the lanes of an interpreter. What is behind the end of the file was never written.
    fn read(file: &mut File, lanes: &[Range<u64>]) -> io::Result<Lanes> {
        let mut found = Lanes { heads: vec![LaneHead::default(); lanes.len()], counters: BTreeMap::new() };
        for (group, lane) in lanes.iter().enumerate() {
            file.seek(SeekFrom::Start(lane.start))?;
            let mut lane = BufReader::with_capacity(PART, &mut *file).take(lane.end - lane.start);
            let mut head = [0; size_of::<LaneHead>()];
            match lane.read_exact(&mut head) {
                Ok(()) => found.heads[group] = LaneHead::read(&head).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            }
            let mut word = [0; size_of::<u64>()];
            for counter in HEAD_COUNTERS.. {
                match lane.read_exact(&mut word) {
                    Ok(()) if word == [0; size_of::<u64>()] => {}
                    Ok(()) => {
                        let by_group = found.counters.entry(counter).or_insert_with(|| vec![0; lanes.len()]);
                        by_group[group] = u64::from_ne_bytes(word);
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(found)
    }

    /// How often stubs were entered that have no counter.
    fn unnamed(&self) -> u64 {
        self.heads.iter().fold(0, |sum, head| sum.saturating_add(head.unnamed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{RegistryBytes, counts_bytes as file};
    use pronk_trampolines::wire::{CountsHeader, Status};
    use std::mem::offset_of;

    const TOKEN: Token = Token(0xabc);
    const CHILD: Token = Token(0xdef);

    fn write(session: &Path, token: Token, bytes: &[u8]) {
        std::fs::write(session.join(format!("{token}.{COUNTS_EXTENSION}")), bytes).unwrap();
    }

    fn running(token: Token, pid: u32) -> RegistryBytes {
        RegistryBytes::new(token, pid, Status::Running, 100)
    }

    fn load(session: &Path) -> Counts {
        Counts::load(session, &Registries::load(session))
    }

    fn calls(counts: &Counts) -> Vec<(&str, bool, u64)> {
        counts
            .calls
            .iter()
            .map(|(function, calls)| (function.name.as_str(), function.kind.resumes(), calls.count()))
            .collect()
    }

    #[test]
    fn lanes_and_processes_are_summed_up_by_function() {
        let session = tempfile::tempdir().unwrap();
        let parent = running(TOKEN, 7).counted("f", 1, false).counted("g", 2, true).counted("late", 3, false);
        parent.write(session.path(), TOKEN);
        running(CHILD, 8).counted("h", 3, false).write(session.path(), CHILD);
        write(session.path(), TOKEN, &file(TOKEN, None, &[&[0, 10, 0, 5], &[0, 1, 2]]));
        // The counter behind those that the child has from its parent is its own.
        write(session.path(), CHILD, &file(CHILD, Some((TOKEN, 3)), &[&[0, 100, 0, 7]]));
        let counts = load(session.path());
        assert_eq!(calls(&counts), [("f", false, 111), ("g", true, 2), ("h", false, 7), ("late", false, 5)]);
        assert_eq!((counts.counting, counts.notes.len()), (Counting::Exact, 0), "{:?}", counts.notes);
    }

    #[test]
    fn nothing_is_counted_where_there_are_no_stubs() {
        let session = tempfile::tempdir().unwrap();
        running(TOKEN, 7).write(session.path(), TOKEN);
        let counts = load(session.path());
        assert_eq!((counts.counting, counts.calls.len(), counts.notes.len()), (Counting::Not, 0, 0));
        running(TOKEN, 7).counted("f", 1, false).write(session.path(), TOKEN);
        let counts = load(session.path());
        assert_eq!((counts.counting, counts.calls.len()), (Counting::Incomplete, 0));
        assert_eq!(counts.notes, ["calls in process 7 were not counted"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let session = tempfile::tempdir().unwrap();
        running(TOKEN, 7).counted("f", 1, false).write(session.path(), TOKEN);
        running(CHILD, 8).counted("f", 1, false).write(session.path(), CHILD);
        let mut bytes = file(TOKEN, None, &[&[4, 10, 3]]);
        let lost = offset_of!(CountsHeader, lost);
        bytes[lost..lost + 4].copy_from_slice(&1_u32.to_ne_bytes());
        let children = offset_of!(CountsHeader, uncounted_children);
        bytes[children..children + 4].copy_from_slice(&2_u32.to_ne_bytes());
        write(session.path(), TOKEN, &bytes);
        write(session.path(), CHILD, b"PRONK");
        let counts = load(session.path());
        assert_eq!((counts.counting, calls(&counts).as_slice()), (Counting::Incomplete, &[("f", false, 10)][..]));
        let notes = counts.notes.join("\n");
        for expected in [
            "0000000000000def.counts: it is shorter than its header",
            "some calls in process 7 were not counted: there was no room",
            "calls in 2 forked processes were not counted",
            "calls of functions without a counter of their own: 4",
            "calls of functions whose names were lost: 3",
            "calls in process 8 were not counted",
        ] {
            assert!(notes.contains(expected), "{expected}: {notes}");
        }
    }

    #[test]
    fn what_is_no_file_or_has_no_end_is_not_read() {
        let session = tempfile::tempdir().unwrap();
        let fifo = session.path().join(format!("{TOKEN}.{COUNTS_EXTENSION}"));
        crate::testing::run("mkfifo", &[fifo.to_str().unwrap()], session.path());
        let mut bytes = file(CHILD, None, &[&[0, 10]]);
        let mut set = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        set(offset_of!(CountsHeader, lanes), pronk_trampolines::wire::MOST_LANES as u32);
        set(offset_of!(CountsHeader, counters), pronk_trampolines::wire::COUNTERS);
        write(session.path(), CHILD, &bytes);
        let notes = load(session.path()).notes.join("\n");
        assert!(notes.contains("0000000000000abc.counts: it is not a regular file"), "{notes}");
        assert!(notes.contains("0000000000000def.counts: there is too much in all of them together"), "{notes}");
    }

    #[test]
    fn damage_costs_counts_only() {
        let session = tempfile::tempdir().unwrap();
        running(TOKEN, 7).counted("f", 1, false).write(session.path(), TOKEN);
        let whole = file(TOKEN, None, &[&[0, 10]]);
        for length in (0..64).chain([whole.len() - 1]) {
            write(session.path(), TOKEN, &whole[..length]);
            load(session.path());
        }
        for at in 0..72 {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= flip;
                write(session.path(), TOKEN, &damaged);
                load(session.path());
            }
        }
        // Two processes that say of each other that they were forked from it.
        write(session.path(), TOKEN, &file(TOKEN, Some((CHILD, 2)), &[&[0, 10]]));
        write(session.path(), CHILD, &file(CHILD, Some((TOKEN, 2)), &[&[0, 10]]));
        load(session.path());
    }
}
