//! The processes and threads of a session, and what each has mapped.

use crate::mappings::{Image, Mapping, Mappings};
use crate::recording::{MonotonicNs, Process, ProcessId, Thread, ThreadId};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// All processes and threads that ran, and the live ones by their ids.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    processes: Rows<Process>,
    threads: Rows<Thread>,
    live: HashMap<u32, Live>,
}

/// A table that knows which of its rows have changed.
#[derive(Debug)]
struct Rows<T> {
    rows: Vec<T>,
    changed: BTreeSet<usize>,
}

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows { rows: Vec::new(), changed: BTreeSet::new() }
    }
}

impl<T: Clone> Rows<T> {
    fn get(&self, at: usize) -> Option<&T> {
        self.rows.get(at)
    }

    /// A row that is about to change.
    fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let row = self.rows.get_mut(at);
        if row.is_some() {
            self.changed.insert(at);
        }
        row
    }

    /// Adds a row. Where it is.
    fn push(&mut self, row: T) -> usize {
        self.changed.insert(self.rows.len());
        self.rows.push(row);
        self.rows.len() - 1
    }

    /// The rows that are new or have changed since this was asked before, in order.
    fn take_changed(&mut self) -> impl Iterator<Item = (usize, T)> + '_ {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|at| (at, self.rows[at].clone()))
    }
}

/// A process that runs.
#[derive(Debug)]
struct Live {
    id: ProcessId,
    /// Shared with the process that it was forked from, until one of them maps something.
    mappings: Rc<Mappings>,
    threads: HashMap<u32, ThreadId>,
}

impl Processes {
    /// A thread begins; if it is of another process than the one that made it, so does a process.
    pub(crate) fn fork(&mut self, pid: u32, tid: u32, parent_pid: u32, parent_tid: u32, time: MonotonicNs) {
        let name = self.thread_name(parent_pid, parent_tid);
        if pid == parent_pid {
            let process = self.live(pid, time);
            let thread = self.new_thread(process, pid, tid, name);
            if let Some(live) = self.live.get_mut(&pid) {
                live.threads.insert(tid, thread);
            }
            return;
        }
        let parent = self.live.get(&parent_pid).map(|live| (live.id, live.mappings.clone()));
        let (parent_id, mappings) = parent.map_or_else(Default::default, |(id, mappings)| (Some(id), mappings));
        let inherited = parent_id.and_then(|id| self.processes.get(id.index())).cloned();
        let id = self.new_process(Process {
            pid,
            parent: parent_id,
            name: name.clone(),
            executable: inherited.as_ref().and_then(|parent| parent.executable.clone()),
            started: time,
            ended: None,
            python: inherited.as_ref().and_then(|parent| parent.python),
            registries: inherited.map_or_else(Vec::new, |parent| parent.registries),
        });
        let thread = self.new_thread(id, pid, tid, name);
        self.live.insert(pid, Live { id, mappings, threads: HashMap::from([(tid, thread)]) });
    }

    /// A process executes another program.
    pub(crate) fn exec(&mut self, pid: u32, tid: u32, name: String, time: MonotonicNs) {
        let before = self.live.remove(&pid);
        if let Some(process) = before.as_ref().and_then(|live| self.processes.get_mut(live.id.index())) {
            process.ended.get_or_insert(time);
        }
        let id = self.new_process(Process {
            pid,
            parent: before.map(|live| live.id),
            name: name.clone(),
            executable: None,
            started: time,
            ended: None,
            registries: Vec::new(),
            python: None,
        });
        let thread = self.new_thread(id, pid, tid, name);
        let live = Live { id, mappings: Rc::default(), threads: HashMap::from([(tid, thread)]) };
        self.live.insert(pid, live);
    }

    /// Whether a process that runs has an id.
    pub(crate) fn is_live(&self, pid: u32) -> bool {
        self.live.contains_key(&pid)
    }

    /// Whether no thread of a process runs.
    pub(crate) fn has_ended(&self, pid: u32) -> bool {
        self.live.get(&pid).is_none_or(|live| live.threads.is_empty())
    }

    /// A process's frames are read: it is CPython of a version.
    pub(crate) fn set_python(&mut self, pid: u32, hexversion: u32) {
        let id = self.live.get(&pid).map(|live| live.id);
        if let Some(process) = id.and_then(|id| self.processes.get_mut(id.index())) {
            process.python = Some(hexversion);
        }
    }

    /// A thread gets another name, which is the process's as well if it is the first.
    pub(crate) fn rename(&mut self, pid: u32, tid: u32, name: String, time: MonotonicNs) {
        let id = self.thread(pid, tid, time).index();
        if self.threads.get(id).is_none_or(|thread| thread.name == name) {
            return;
        }
        if let Some(thread) = self.threads.get_mut(id) {
            if let Some(process) = self.processes.get_mut(thread.process.index()).filter(|_| thread.main) {
                process.name.clone_from(&name);
            }
            thread.name = name;
        }
    }

    /// A thread ends, and with the last one its process.
    pub(crate) fn exit(&mut self, pid: u32, tid: u32, time: MonotonicNs) {
        let Some(live) = self.live.get_mut(&pid) else { return };
        live.threads.remove(&tid);
        if live.threads.is_empty() {
            live.mappings = Rc::default();
            if let Some(process) = self.processes.get_mut(live.id.index()) {
                process.ended.get_or_insert(time);
            }
        }
    }

    /// A process maps something executable.
    pub(crate) fn map(&mut self, pid: u32, mapping: Mapping, time: MonotonicNs) {
        let id = self.live(pid, time);
        if let Some(process) = self.processes.get_mut(id.index()) {
            match &mapping.image {
                // What execve maps first is the program; the dynamic linker comes after it.
                Image::File(file) if process.executable.is_none() => process.executable = Some(file.path.clone()),
                Image::Ours(_, token) if !process.registries.contains(token) => process.registries.push(*token),
                _ => {}
            }
        }
        if let Some(live) = self.live.get_mut(&pid) {
            Rc::make_mut(&mut live.mappings).add(mapping);
        }
    }

    /// A thread, made known if it is not: its first record may have been lost.
    pub(crate) fn thread(&mut self, pid: u32, tid: u32, time: MonotonicNs) -> ThreadId {
        let process = self.live(pid, time);
        if let Some(&known) = self.live.get(&pid).and_then(|live| live.threads.get(&tid)) {
            return known;
        }
        let name = self.processes.get(process.index()).map_or_else(String::new, |process| process.name.clone());
        let thread = self.new_thread(process, pid, tid, name);
        if let Some(live) = self.live.get_mut(&pid) {
            live.threads.insert(tid, thread);
        }
        thread
    }

    /// What a process has mapped.
    pub(crate) fn mappings(&self, pid: u32) -> Rc<Mappings> {
        self.live.get(&pid).map_or_else(Rc::default, |live| live.mappings.clone())
    }

    /// All processes and threads that ran.
    pub(crate) fn finish(self) -> (Vec<Process>, Vec<Thread>) {
        (self.processes.rows, self.threads.rows)
    }

    /// The processes that are new or have changed since this was asked before, in order.
    pub(crate) fn changed_processes(&mut self) -> Vec<(ProcessId, Process)> {
        self.processes.take_changed().map(|(at, process)| (ProcessId(at as u32), process)).collect()
    }

    /// The threads that are new or have changed since this was asked before, in order.
    pub(crate) fn changed_threads(&mut self) -> Vec<(ThreadId, Thread)> {
        self.threads.take_changed().map(|(at, thread)| (ThreadId(at as u32), thread)).collect()
    }

    /// The ids of the processes of which a thread runs.
    pub(crate) fn live_pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.live.iter().filter(|(_, live)| !live.threads.is_empty()).map(|(pid, _)| *pid)
    }

    /// The process that has an id now, made known if it is not.
    fn live(&mut self, pid: u32, time: MonotonicNs) -> ProcessId {
        if let Some(live) = self.live.get(&pid) {
            return live.id;
        }
        let process = Process {
            pid,
            parent: None,
            name: String::new(),
            executable: None,
            started: time,
            ended: None,
            registries: Vec::new(),
            python: None,
        };
        let id = self.new_process(process);
        self.live.insert(pid, Live { id, mappings: Rc::default(), threads: HashMap::new() });
        id
    }

    fn thread_name(&self, pid: u32, tid: u32) -> String {
        let thread = self.live.get(&pid).and_then(|live| live.threads.get(&tid));
        thread
            .and_then(|thread| self.threads.get(thread.index()))
            .map_or_else(String::new, |thread| thread.name.clone())
    }

    fn new_process(&mut self, process: Process) -> ProcessId {
        ProcessId(self.processes.push(process) as u32)
    }

    fn new_thread(&mut self, process: ProcessId, pid: u32, tid: u32, name: String) -> ThreadId {
        ThreadId(self.threads.push(Thread { process, tid, name, main: tid == pid }) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pronk_trampolines::wire::{CodeKind, Token};

    fn at(time: u64) -> MonotonicNs {
        MonotonicNs(time)
    }

    fn stubs(start: u64, token: u64) -> Mapping {
        Mapping::new(start..start + 0x1000, 0, Image::Ours(CodeKind::Stubs, Token(token)))
    }

    #[test]
    fn a_fork_has_its_parents_mappings_until_either_maps_something() {
        let mut processes = Processes::default();
        processes.exec(1, 1, "sh".into(), at(1));
        processes.map(1, stubs(0x1000, 7), at(2));
        processes.fork(2, 2, 1, 1, at(3));
        assert!(Rc::ptr_eq(&processes.mappings(1), &processes.mappings(2)));
        processes.map(2, stubs(0x8000, 8), at(4));
        processes.map(1, stubs(0x4000, 9), at(5));
        let mapped = |processes: &Processes, pid| {
            [0x1000, 0x4000, 0x8000].map(|address| processes.mappings(pid).find(address).is_some())
        };
        assert_eq!(mapped(&processes, 1), [true, true, false]);
        assert_eq!(mapped(&processes, 2), [true, false, true]);
        let (all, _) = processes.finish();
        assert_eq!(all[1].parent, Some(ProcessId(0)));
        assert_eq!(all[1].name, "sh");
        assert_eq!(all[0].registries, [Token(7), Token(9)]);
        assert_eq!(all[1].registries, [Token(7), Token(8)]);
    }

    #[test]
    fn an_exec_is_a_new_image_of_the_same_process() {
        let mut processes = Processes::default();
        processes.exec(1, 1, "sh".into(), at(1));
        processes.map(1, stubs(0x1000, 7), at(2));
        let before = processes.thread(1, 1, at(2));
        processes.exec(1, 1, "python3".into(), at(3));
        let after = processes.thread(1, 1, at(3));
        assert_ne!(before, after);
        assert!(processes.mappings(1).find(0x1000).is_none());
        processes.exit(1, 1, at(9));
        let (all, threads) = processes.finish();
        let times: Vec<_> = all.iter().map(|process| (process.started, process.ended)).collect();
        assert_eq!(times, [(at(1), Some(at(3))), (at(3), Some(at(9)))]);
        assert_eq!((all[1].parent, &*all[1].name), (Some(ProcessId(0)), "python3"));
        assert!(all[1].registries.is_empty());
        assert_eq!(threads.iter().map(|thread| thread.process).collect::<Vec<_>>(), [ProcessId(0), ProcessId(1)]);
    }

    #[test]
    fn a_process_ends_with_its_last_thread_and_its_id_can_be_used_again() {
        let mut processes = Processes::default();
        processes.exec(1, 1, "a".into(), at(1));
        processes.fork(1, 2, 1, 1, at(2));
        processes.rename(1, 2, "worker".into(), at(3));
        processes.exit(1, 1, at(4));
        let worker = processes.thread(1, 2, at(5));
        processes.exit(1, 2, at(6));
        processes.exec(7, 7, "other".into(), at(7));
        processes.fork(1, 1, 7, 7, at(8));
        let (all, threads) = processes.finish();
        assert_eq!(all.iter().map(|process| process.ended).collect::<Vec<_>>(), [Some(at(6)), None, None]);
        assert_eq!((&*threads[worker.index()].name, threads[worker.index()].main), ("worker", false));
        assert_eq!(&*all[0].name, "a");
        assert_eq!((all[2].pid, all[2].parent), (1, Some(ProcessId(1))));
    }

    #[test]
    fn what_was_never_announced_is_known_all_the_same() {
        let mut processes = Processes::default();
        let thread = processes.thread(5, 6, at(1));
        assert_eq!(processes.thread(5, 6, at(2)), thread);
        processes.exit(9, 9, at(2));
        processes.fork(8, 8, 9, 9, at(3));
        let (all, threads) = processes.finish();
        assert_eq!((all[0].pid, all[1].pid, all[1].parent), (5, 8, None));
        assert!(!threads[thread.index()].main);
    }
}
