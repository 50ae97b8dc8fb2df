//! Reading what nobody would write: the memory of real processes, changed at random.

use super::code::Codes;
use super::find::Python;
use super::snapshot::{Page, Pages, Snapshot};
use super::threads::MOST_LINKS;
use crate::target::Target;
use pronk_bench::interpreter::interpreters_for_tests;
use pronk_trampolines::python::{End, Link};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// How often the memory of each process is changed.
const ROUNDS: u64 = 300;

const PROGRAM: &str = "
import asyncio, sys, threading
class Thing:
    def __init__(self): self.number, self.text, self.items = 7, 'words', [1, (2, {3: b'4'})]
def deep(n, thing, *rest, key=2**200):
    some = {'a': frozenset([1.5]), 'b': None}; cell = thing
    f = lambda: cell
    if n: return deep(n - 1, thing)
    print('ready', flush=True); sys.stdin.readline()
async def leaf(): await asyncio.sleep(1000)
async def gathering(): await asyncio.gather(asyncio.create_task(leaf()), asyncio.create_task(leaf()))
async def main():
    task = asyncio.create_task(gathering(), name='gathering')
    await asyncio.sleep(0.01)
    deep(5, Thing())
threading.Thread(target=threading.Event().wait, name='waits', daemon=True).start()
asyncio.run(main())
";

/// A process that is there for as long as the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The pages of a process that were asked for, to be asked for again.
struct Kept<'a> {
    target: &'a Target,
    pages: RefCell<BTreeMap<u64, Page>>,
}

impl Pages for Kept<'_> {
    fn read(&self, address: u64, page: &mut Page) -> bool {
        let is_there = Pages::read(self.target, address, page);
        if is_there {
            self.pages.borrow_mut().insert(address, *page);
        }
        is_there
    }
}

/// Pages without a process.
#[derive(Clone)]
struct Changed(BTreeMap<u64, Page>);

impl Pages for Changed {
    fn read(&self, address: u64, page: &mut Page) -> bool {
        self.0.get(&address).map(|there| *page = *there).is_some()
    }
}

/// Numbers that are the same each time (G. Marsaglia, "Xorshift RNGs", 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Changes some words.
fn change(pages: &mut BTreeMap<u64, Page>, numbers: &mut Numbers) {
    let addresses: Vec<u64> = pages.keys().copied().collect();
    let place = |numbers: &mut Numbers| (addresses[numbers.below(addresses.len())], 8 * numbers.below(512));
    for _ in 0..1 << numbers.below(12) {
        let (page, at) = place(numbers);
        let (other_page, other_at) = place(numbers);
        let other = pages[&other_page][other_at..other_at + 8].to_vec();
        let word = match numbers.below(6) {
            // Another word of the process: a wrong address that is there, more often than not.
            0 | 1 => other,
            // A place in the process.
            2 => (other_page + other_at as u64).to_le_bytes().to_vec(),
            3 => numbers.next().to_le_bytes().to_vec(),
            4 => (u64::MAX - numbers.next() % 4096).to_le_bytes().to_vec(),
            _ => (numbers.next() % 1024).to_le_bytes().to_vec(),
        };
        pages.get_mut(&page).unwrap()[at..at + 8].copy_from_slice(&word);
    }
}

/// Reads all that there is to read; how many frames, variables and tasks were found.
fn read_all<P: Pages>(python: &Python, pages: &P) -> [usize; 3] {
    let snapshot = Snapshot::new(pages);
    let mut room = vec![Link::default(); MOST_LINKS];
    let mut codes = Codes::default();
    let [mut frames, mut variables, mut tasks] = [0; 3];
    let mut look_at = |link: &Link| {
        codes.id(python, &snapshot, link);
        python.variables(&snapshot, link).len()
    };
    for interpreter in python.interpreters(&snapshot) {
        let threads = python.threads(&snapshot, &interpreter);
        python.thread_names(&snapshot, &interpreter);
        for task in python.tasks(&snapshot, &interpreter, &threads) {
            tasks += 1;
            task.links.iter().for_each(|link| variables += look_at(link));
            task.waits_for.map(|object| python.value(&snapshot, object));
        }
        for thread in &threads {
            let chain = python.chain(&snapshot, thread.address, 0, &mut room);
            for link in chain.links.iter().filter(|link| link.code != 0).take(200) {
                frames += 1;
                variables += look_at(link);
            }
        }
    }
    [frames, variables, tasks]
}

#[test]
fn whatever_is_in_memory_is_read_to_an_end() {
    for interpreter in interpreters_for_tests() {
        let mut command = Command::new(&interpreter.path);
        command.args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{interpreter}");
        let target = Target::open(running.0.id()).unwrap();
        let python = Python::find(&target).unwrap();
        let kept = Kept { target: &target, pages: RefCell::default() };
        let [frames, variables, tasks] = read_all(&python, &kept);
        assert!(frames > 10 && variables > 30 && tasks == 4, "{interpreter}: {frames}, {variables}, {tasks}");
        let pages = kept.pages.into_inner();
        assert_eq!(read_all(&python, &Changed(pages.clone())), [frames, variables, tasks], "{interpreter}");
        check_circles(&python, &pages);
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut differ = 0;
        for _ in 0..ROUNDS {
            let mut changed = pages.clone();
            change(&mut changed, &mut numbers);
            differ += u64::from(read_all(&python, &Changed(changed)) != [frames, variables, tasks]);
        }
        assert!(differ > ROUNDS / 10, "{interpreter}: {differ} of {ROUNDS}");
    }
}

/// Writes a word.
fn write(pages: &mut BTreeMap<u64, Page>, address: u64, word: u64) {
    let at = (address % 4096) as usize;
    pages.get_mut(&(address - address % 4096)).unwrap()[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

/// Has lists lead back to where they were: the frames of a thread, threads, and interpreters.
fn check_circles(python: &Python, pages: &BTreeMap<u64, Page>) {
    let mut room = vec![Link::default(); MOST_LINKS];
    let whole = Changed(pages.clone());
    let snapshot = Snapshot::new(&whole);
    let interpreter = python.interpreters(&snapshot)[0];
    let threads = python.threads(&snapshot, &interpreter);
    let newest = &threads[0];
    let links = python.chain(&snapshot, newest.address, 0, &mut room).links;
    let frames: Vec<u64> = links.iter().filter(|link| link.code != 0).map(|link| link.address).collect();

    let mut circles = pages.clone();
    write(&mut circles, frames[4] + u64::from(python.layout.links.previous), frames[1]);
    write(&mut circles, newest.address + python.fields.next_thread, threads[1].address);
    write(&mut circles, interpreter.address + python.fields.next, interpreter.address);
    let circles = Changed(circles);
    let snapshot = Snapshot::new(&circles);
    let chain = python.chain(&snapshot, newest.address, 0, &mut room);
    assert_eq!(chain.end, End::Torn);
    assert!(chain.links.len() < 64, "{}", chain.links.len());
    assert_eq!(python.interpreters(&snapshot).len(), 1);
    assert_eq!(python.threads(&snapshot, &interpreter).len(), threads.len());
}
