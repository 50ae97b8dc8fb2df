//! A part of a profile: some of its samples, with what they refer to and no more.

use crate::profile::{
    Context, ContextId, Counting, Frame, FrameId, Function, FunctionId, Process, ProcessId, Profile, Sample, Stack,
    StackId, StringId, Task, Thread, ThreadId,
};

impl Profile {
    /// The profile that some of the samples make. What the quality says beside the number of samples is of all of them. It has no
    /// numbers of calls.
    ///
    /// The profile is a valid one ([`Profile::validate`]).
    pub fn part(&self, is_in: impl Fn(&Sample) -> bool) -> Profile {
        let samples: Vec<Sample> = self.samples.iter().filter(|sample| is_in(sample)).copied().collect();
        let mut threads = Rows::of(&self.threads);
        let mut contexts = Rows::of(&self.contexts);
        let mut stacks = Rows::of(&self.stacks);
        for sample in &samples {
            threads.keep(sample.thread.0);
            contexts.keep_if_any(sample.context.map(|context| context.0));
            stacks.keep_if_any(sample.stack.map(|stack| stack.0));
        }
        let mut processes = Rows::of(&self.processes);
        let mut strings = Rows::of(&self.strings);
        for thread in threads.kept(&self.threads) {
            processes.keep(thread.process.0);
            strings.keep(thread.name.0);
        }
        for process in processes.kept(&self.processes) {
            strings.keep(process.name.0);
        }
        for context in contexts.kept(&self.contexts) {
            context.labels.iter().flat_map(|(key, value)| [key, value]).for_each(|text| strings.keep(text.0));
            if let Some(task) = &context.task {
                [task.name, task.root].iter().for_each(|text| strings.keep(text.0));
                stacks.keep_if_any(task.awaiters.map(|stack| stack.0));
            }
        }
        let mut frames = Rows::of(&self.frames);
        // What a stack is on top of comes before it.
        for (at, stack) in self.stacks.iter().enumerate().rev() {
            if stacks.has(at) {
                stacks.keep_if_any(stack.below.map(|below| below.0));
                frames.keep(stack.frame.0);
            }
        }
        let mut functions = Rows::of(&self.functions);
        frames.kept(&self.frames).for_each(|frame| functions.keep(frame.function.0));
        for function in functions.kept(&self.functions) {
            strings.keep(function.name.0);
            [function.file, function.binary].iter().flatten().for_each(|text| strings.keep(text.0));
        }

        let [strings_now, processes_now, threads_now, functions_now, frames_now, stacks_now, contexts_now] =
            [&strings, &processes, &threads, &functions, &frames, &stacks, &contexts].map(Rows::numbers);
        let text = |id: StringId| StringId(strings_now[id.index()]);
        let mut part = Profile {
            meta: self.meta.clone(),
            quality: self.quality.clone(),
            strings: strings.kept(&self.strings).cloned().collect(),
            processes: Vec::new(),
            threads: Vec::new(),
            functions: Vec::new(),
            frames: Vec::new(),
            stacks: Vec::new(),
            contexts: Vec::new(),
            samples: Vec::new(),
            // They are of all processes, from the beginning to the end.
            calls: Vec::new(),
        };
        part.quality.counting = Counting::Not;
        part.processes.extend(processes.kept(&self.processes).map(|process| {
            let parent = process.parent.filter(|parent| processes.has(parent.index()));
            let parent = parent.map(|parent| ProcessId(processes_now[parent.index()]));
            Process { parent, name: text(process.name), ..process.clone() }
        }));
        part.threads.extend(threads.kept(&self.threads).map(|thread| {
            let process = ProcessId(processes_now[thread.process.index()]);
            Thread { process, name: text(thread.name), ..thread.clone() }
        }));
        part.functions.extend(functions.kept(&self.functions).map(|function| {
            let (file, binary) = (function.file.map(text), function.binary.map(text));
            Function { name: text(function.name), file, binary, ..function.clone() }
        }));
        part.frames.extend(
            frames
                .kept(&self.frames)
                .map(|frame| Frame { function: FunctionId(functions_now[frame.function.index()]), ..*frame }),
        );
        let stack_now = |id: StackId| StackId(stacks_now[id.index()]);
        part.stacks.extend(
            stacks.kept(&self.stacks).map(|stack| Stack {
                below: stack.below.map(stack_now),
                frame: FrameId(frames_now[stack.frame.index()]),
            }),
        );
        part.contexts.extend(contexts.kept(&self.contexts).map(|context| Context {
            labels: context.labels.iter().map(|(key, value)| (text(*key), text(*value))).collect(),
            task: context.task.map(|task| Task {
                name: text(task.name),
                root: text(task.root),
                awaiters: task.awaiters.map(stack_now),
                ..task
            }),
        }));
        part.samples.extend(samples.iter().map(|sample| Sample {
            thread: ThreadId(threads_now[sample.thread.index()]),
            stack: sample.stack.map(stack_now),
            context: sample.context.map(|context| ContextId(contexts_now[context.index()])),
            ..*sample
        }));
        part.quality.samples = part.samples.iter().map(|sample| u64::from(sample.weight)).sum();
        part
    }
}

/// Which rows of a table are kept.
struct Rows(Vec<bool>);

impl Rows {
    /// None of a table's.
    fn of<T>(table: &[T]) -> Rows {
        Rows(vec![false; table.len()])
    }

    fn keep(&mut self, row: u32) {
        self.0[row as usize] = true;
    }

    fn keep_if_any(&mut self, row: Option<u32>) {
        row.into_iter().for_each(|row| self.keep(row));
    }

    fn has(&self, row: usize) -> bool {
        self.0[row]
    }

    /// Those rows.
    fn kept<'t, T>(&'t self, table: &'t [T]) -> impl Iterator<Item = &'t T> {
        table.iter().zip(&self.0).filter(|(_, kept)| **kept).map(|(row, _)| row)
    }

    /// The place that each row gets; that of a row that is not kept means nothing.
    fn numbers(&self) -> Vec<u32> {
        let place = |next: &mut u32, kept: &bool| {
            let place = *next;
            *next += u32::from(*kept);
            Some(place)
        };
        self.0.iter().scan(0, place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;
    use crate::view::{View, ViewOptions};

    fn folded(profile: &Profile, thread: Option<&str>) -> std::collections::BTreeMap<String, u64> {
        View::new(profile, &ViewOptions { thread: thread.map(str::to_owned), ..ViewOptions::default() }).folded()
    }

    #[test]
    fn all_samples_make_the_same_profile() {
        let whole = profile();
        let part = whole.part(|_| true);
        part.clone().validate().unwrap();
        assert_eq!((part.samples.len(), part.quality.samples), (whole.samples.len(), 9));
        assert_eq!(folded(&part, None), folded(&whole, None));
    }

    #[test]
    fn a_part_has_what_its_samples_refer_to_and_no_more() {
        let whole = profile();
        let part = whole.part(|sample| sample.thread == ThreadId(1));
        part.clone().validate().unwrap();
        assert_eq!(folded(&part, None), folded(&whole, Some("worker")));
        assert_eq!((part.threads.len(), part.processes.len(), part.contexts.len()), (1, 1, 1));
        assert_eq!((part.quality.samples, part.stacks.len()), (3, 4));
        let has = |text: &str| part.strings.iter().any(|string| string == text);
        assert!(has("worker") && has("cleaner") && has("page_fault"));
        assert!(!has("MainThread") && !has("shop.fib") && !has("Task-12"));
    }

    #[test]
    fn no_samples_make_an_empty_profile() {
        let part = profile().part(|_| false);
        part.clone().validate().unwrap();
        assert!(part.strings.is_empty() && part.stacks.is_empty() && part.processes.is_empty());
    }
}
