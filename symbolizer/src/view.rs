//! A way to look at a profile: which frames are seen, what they are called, and how often.

use crate::profile::{
    Calls, Category, Frame, FrameId, Function, FunctionId, NativeFrames, Profile, Sample, StackId, StringId, ThreadId,
};
pub(crate) use label::{Line, label};
use std::collections::{BTreeMap, HashMap, HashSet};
use values::Values;

mod by;
mod compensate;
mod label;
mod only;
mod source;
mod timeline;
mod values;

pub use by::{By, NO_LABEL, NO_TASK, ParseByError};
pub use label::shown;
pub use only::{Only, ParseOnlyError};
pub use source::{FileCount, LineCount, SourceCounts};
pub use timeline::{Timeline, TimelineRow, Who};
pub use values::{ValueCount, label_keys};

/// The mark of a sample of which nothing is known but that it was taken.
pub const NO_STACK: &str = "[no stack]";
/// The mark of a sample in which the view shows no frame, such as one of a thread that never ran Python.
pub const NOTHING_SHOWN: &str = "[native]";

/// What a view shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewOptions {
    /// Which native frames; by default those that the profile was made for.
    pub native: Option<NativeFrames>,
    /// Only the threads of this name or thread id.
    pub thread: Option<String>,
    /// Only the samples for which all of these hold.
    pub only: Vec<Only>,
    /// Whether samples are left out that were taken in windows, in which stubs had the program run slower.
    pub unperturbed: bool,
    /// Whether samples are left out for what stubs have cost.
    pub compensate: bool,
    /// What samples are set apart by.
    pub by: Option<By>,
    /// Whether frames of one function on different lines are told apart.
    pub lines: bool,
}

/// How often a function was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCount {
    /// The function.
    pub function: FunctionId,
    /// Samples in which it was the newest frame that is shown.
    pub self_samples: u64,
    /// Samples in which it was anywhere on the stack; a sample in which it recurses counts once.
    pub total_samples: u64,
}

/// A sample as a view shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSample {
    /// The thread that was running.
    pub thread: ThreadId,
    /// When, in nanoseconds since sampling began.
    pub time_ns: u64,
    /// The frames that are shown, the root first.
    pub frames: Vec<FrameId>,
    /// Whether the sample has a stack at all.
    pub has_stack: bool,
    /// How many samples it counts as.
    pub weight: u32,
}

/// A profile, seen in one way.
///
/// The profile must have passed [`Profile::validate`], as those have that [`crate::symbolize`] and
/// [`crate::file::read`] return.
#[derive(Clone, Debug)]
pub struct View<'a> {
    profile: &'a Profile,
    options: ViewOptions,
    /// For each stack, the nearest one from there towards the root whose topmost frame is shown.
    shown: Vec<Option<StackId>>,
    /// For each thread, whether it is shown.
    threads: Vec<bool>,
    /// For each [`ViewOptions::only`], the values, and for each of them whether it is shown.
    only: Vec<(Values, Vec<bool>)>,
    /// What samples are set apart by.
    values: Option<Values>,
    /// How many samples each of the profile counts as, where that is not what the profile says.
    weights: Option<Vec<u32>>,
    /// How often functions were called.
    calls: HashMap<FunctionId, Calls>,
    /// See [`View::samples_of_each`].
    samples_of_each: f64,
}

impl<'a> View<'a> {
    /// A view of a profile.
    pub fn new(profile: &'a Profile, options: &ViewOptions) -> View<'a> {
        let native = options.native.unwrap_or(profile.meta.native);
        let visible: Vec<bool> =
            profile.functions.iter().map(|function| shows(&profile.strings, function, native)).collect();
        let mut shown: Vec<Option<StackId>> = Vec::with_capacity(profile.stacks.len());
        for (index, stack) in profile.stacks.iter().enumerate() {
            let function = profile.frames[stack.frame.index()].function;
            shown.push(match visible[function.index()] {
                true => Some(StackId(index as u32)),
                false => stack.below.and_then(|below| shown[below.index()]),
            });
        }
        let wanted = |name: StringId, tid: u32| match &options.thread {
            None => true,
            Some(thread) => *thread == profile.strings[name.index()] || *thread == tid.to_string(),
        };
        let threads = profile.threads.iter().map(|thread| wanted(thread.name, thread.tid)).collect();
        let only = options.only.iter().map(|only| {
            let values = Values::new(profile, only.by());
            let wanted = values.texts.iter().map(|value| only.matches(value)).collect();
            (values, wanted)
        });
        let only = only.collect();
        let values = options.by.as_ref().map(|by| Values::new(profile, by));
        let options = ViewOptions { native: Some(native), ..options.clone() };
        let weights = options.compensate.then(|| compensate::weights(profile));
        let calls = HashMap::new();
        let mut view = View { profile, options, shown, threads, only, values, weights, calls, samples_of_each: 1.0 };
        if view.shows_calls() {
            let calls = profile.calls.iter().filter(|calls| calls.count > 0);
            view.calls = calls.map(|calls| (calls.function, *calls)).collect();
        }
        if view.options.unperturbed {
            let chosen: u64 = profile.samples.iter().filter(|s| view.chooses(s)).map(|s| u64::from(s.weight)).sum();
            view.samples_of_each = chosen as f64 / view.sample_count().max(1) as f64;
        }
        view
    }

    /// What the view shows.
    pub fn options(&self) -> &ViewOptions {
        &self.options
    }

    /// Which native frames the view shows.
    pub fn native(&self) -> NativeFrames {
        self.options.native.unwrap_or(self.profile.meta.native)
    }

    fn shows(&self, sample: &Sample) -> bool {
        self.chooses(sample) && !(self.options.unperturbed && sample.in_window)
    }

    /// Whether a sample would be shown, had stubs been off.
    fn chooses(&self, sample: &Sample) -> bool {
        self.threads[sample.thread.index()] && self.only.iter().all(|(values, wanted)| wanted[values.position(sample)])
    }

    fn shown_samples(&self) -> impl Iterator<Item = Sample> {
        let samples = self.profile.samples.iter().enumerate().filter(|(_, sample)| self.shows(sample));
        let samples = samples.map(|(at, sample)| match &self.weights {
            Some(weights) => Sample { weight: weights[at], ..*sample },
            None => *sample,
        });
        samples.filter(|sample| sample.weight > 0)
    }

    /// The samples that are shown, by time.
    pub fn samples(&self) -> impl Iterator<Item = ShownSample> + '_ {
        self.shown_samples().map(|sample| ShownSample {
            thread: sample.thread,
            time_ns: sample.time_ns,
            frames: sample.stack.map_or_else(Vec::new, |stack| self.frames(stack)),
            has_stack: sample.stack.is_some(),
            weight: sample.weight,
        })
    }

    /// The number of samples that are shown.
    pub fn sample_count(&self) -> u64 {
        self.shown_samples().map(|sample| u64::from(sample.weight)).sum()
    }

    /// How many samples are left out for what stubs have cost, of those that would be shown.
    pub fn compensated(&self) -> u64 {
        let shown = self.profile.samples.iter().filter(|sample| self.shows(sample));
        shown.map(|sample| u64::from(sample.weight)).sum::<u64>().saturating_sub(self.sample_count())
    }

    /// How many samples of the profile each that is shown stands for: more than one where those in windows are left out.
    pub fn samples_of_each(&self) -> f64 {
        self.samples_of_each
    }

    /// The frames of a stack that are shown, the root first.
    pub fn frames(&self, stack: StackId) -> Vec<FrameId> {
        let mut frames = Vec::new();
        let mut next = self.shown[stack.index()];
        while let Some(stack) = next {
            let stack = self.profile.stacks[stack.index()];
            frames.push(stack.frame);
            next = stack.below.and_then(|below| self.shown[below.index()]);
        }
        frames.reverse();
        frames
    }

    /// How often each stack was seen: the labels of its frames, the root first, joined by `;`. A sample in which no
    /// frame is shown counts for [`NOTHING_SHOWN`] or [`NO_STACK`]. Where samples are set apart, the value is the root.
    pub fn folded(&self) -> BTreeMap<String, u64> {
        let labels = self.frame_labels();
        let values: Vec<String> =
            self.values.iter().flat_map(|values| &values.texts).map(|value| shown(value)).collect();
        let mut folded = BTreeMap::new();
        for ((value, stack), count) in self.stack_counts() {
            let frames = stack.map_or_else(Vec::new, |stack| self.frames(stack));
            let parts: Vec<&str> = frames.iter().map(|&frame| labels[frame.index()].as_str()).collect();
            let key = match (stack, parts.is_empty()) {
                (None, _) => NO_STACK.to_owned(),
                (Some(_), true) => NOTHING_SHOWN.to_owned(),
                (Some(_), false) => parts.join(";"),
            };
            let key = match value {
                Some(value) => format!("{};{key}", values[value]),
                None => key,
            };
            *folded.entry(key).or_insert(0) += count;
        }
        folded
    }

    /// How often each function was seen, for those that were; the most frequent on top first, then the most frequent
    /// anywhere, then by label.
    pub fn functions(&self) -> Vec<FunctionCount> {
        let mut counts: Vec<FunctionCount> = (0..self.profile.functions.len() as u32)
            .map(|id| FunctionCount { function: FunctionId(id), self_samples: 0, total_samples: 0 })
            .collect();
        for ((_, stack), count) in self.stack_counts() {
            let frames = stack.map_or_else(Vec::new, |stack| self.frames(stack));
            if let Some(&newest) = frames.last() {
                counts[self.function(newest).index()].self_samples += count;
            }
            let distinct: HashSet<FunctionId> = frames.iter().map(|&frame| self.function(frame)).collect();
            for function in distinct {
                counts[function.index()].total_samples += count;
            }
        }
        let label = |id| self.label(FunctionId(id));
        let labels: Vec<String> = (0..self.profile.functions.len() as u32).map(label).collect();
        counts.retain(|count| count.total_samples > 0);
        counts.sort_by(|a, b| {
            let by_count = (b.self_samples, b.total_samples).cmp(&(a.self_samples, a.total_samples));
            by_count.then_with(|| labels[a.function.index()].cmp(&labels[b.function.index()]))
        });
        counts
    }

    /// Whether calls are shown: not where only some samples are, since nobody counts for whom a call is.
    pub fn shows_calls(&self) -> bool {
        self.options.thread.is_none() && self.options.only.is_empty()
    }

    /// How often a function was called, if that was counted and is shown.
    pub fn calls(&self, function: FunctionId) -> Option<Calls> {
        self.calls.get(&function).copied()
    }

    /// The functions that were called and are in no sample, by label.
    pub fn functions_without_samples(&self) -> Vec<FunctionCount> {
        let seen: HashSet<FunctionId> = self.functions().iter().map(|count| count.function).collect();
        let mut called: Vec<FunctionId> = self.calls.keys().filter(|id| !seen.contains(*id)).copied().collect();
        called.sort_by_cached_key(|&function| self.label(function));
        called.into_iter().map(|function| FunctionCount { function, self_samples: 0, total_samples: 0 }).collect()
    }

    /// What a function is called: `module.qualname (file:line)` for Python, `function (binary)` for native code,
    /// `function [kernel]` for the kernel's. Free of `;`, line ends and other control characters.
    pub fn label(&self, function: FunctionId) -> String {
        label(&self.profile.strings, &self.profile.functions[function.index()], Line::Begins)
    }

    /// What each frame is called: as its function, and where lines are told apart, with the line that was being executed
    /// and no other.
    pub fn frame_labels(&self) -> Vec<String> {
        let label = |frame: &Frame| {
            let line = if self.options.lines { Line::Executed(frame.line) } else { Line::Begins };
            label(&self.profile.strings, &self.profile.functions[frame.function.index()], line)
        };
        self.profile.frames.iter().map(label).collect()
    }

    /// The function that a frame is in.
    pub fn function(&self, frame: FrameId) -> FunctionId {
        self.profile.frames[frame.index()].function
    }

    /// How many samples have each stack that is shown, `None` for those without one; under the position of their value,
    /// where samples are set apart.
    fn stack_counts(&self) -> BTreeMap<(Option<usize>, Option<StackId>), u64> {
        let mut counts = BTreeMap::new();
        for sample in self.shown_samples() {
            let value = self.values.as_ref().map(|values| values.position(&sample));
            // Stacks that look the same are one, except that one without frames must stay a stack.
            let stack = sample.stack.map(|stack| self.shown[stack.index()].unwrap_or(stack));
            *counts.entry((value, stack)).or_insert(0) += u64::from(sample.weight);
        }
        counts
    }
}

/// Whether a function's frames are shown.
pub(crate) fn shows(strings: &[String], function: &Function, native: NativeFrames) -> bool {
    match (function.category, native) {
        (Category::Python, _) | (_, NativeFrames::All) => true,
        (Category::Missing, NativeFrames::Extensions) => true,
        // Where no native frames are shown, missing ones are not missed.
        (Category::Missing, NativeFrames::Python) => strings[function.name.index()] != crate::names::FRAMES_MISSING,
        (Category::Native | Category::Kernel, native) => native == NativeFrames::Extensions,
        (Category::Interpreter, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;

    fn folded(native: NativeFrames, thread: Option<&str>) -> Vec<(String, u64)> {
        let options = ViewOptions { native: Some(native), thread: thread.map(str::to_owned), ..Default::default() };
        View::new(&profile(), &options).folded().into_iter().collect()
    }

    fn expect(lines: &[(&str, u64)]) -> Vec<(String, u64)> {
        lines.iter().map(|&(stack, count)| (stack.to_owned(), count)).collect()
    }

    const MAIN: &str = "__main__.<module> (shop.py:1)";

    #[test]
    fn extensions_show_what_is_not_machinery() {
        let lines = expect(&[
            (NOTHING_SHOWN, 1),
            (NO_STACK, 1),
            ("[stack truncated];__main__.<module> (shop.py:1);page_fault [kernel]", 1),
            ("__main__.<module> (shop.py:1);shop.fib (shop.py:10);shop.fib (shop.py:10);shop.fib (shop.py:10)", 2),
            ("__main__.<module> (shop.py:1);shop.sort:er  (<string>:1);[frames missing];libz.so.1+0x1230", 1),
            ("__main__.<module> (shop.py:1);shop.sort:er  (<string>:1);list_sort (python3.12)", 3),
        ]);
        assert_eq!(folded(NativeFrames::Extensions, None), lines);
    }

    #[test]
    fn python_shows_python_and_where_the_root_is_missing() {
        let lines = expect(&[
            (NOTHING_SHOWN, 1),
            (NO_STACK, 1),
            ("[stack truncated];__main__.<module> (shop.py:1)", 1),
            ("__main__.<module> (shop.py:1);shop.fib (shop.py:10);shop.fib (shop.py:10);shop.fib (shop.py:10)", 2),
            ("__main__.<module> (shop.py:1);shop.sort:er  (<string>:1)", 4),
        ]);
        assert_eq!(folded(NativeFrames::Python, None), lines);
    }

    #[test]
    fn all_shows_every_frame() {
        let lines = folded(NativeFrames::All, Some("worker"));
        let expected = expect(&[
            ("PyObject_Vectorcall (python3.12)", 1),
            (NO_STACK, 1),
            ("[stack truncated];__main__.<module> (shop.py:1);page_fault [kernel]", 1),
        ]);
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_tell_frames_of_one_function_apart() {
        let profile = profile();
        let options = ViewOptions { native: Some(NativeFrames::Python), lines: true, ..Default::default() };
        let folded: Vec<(String, u64)> = View::new(&profile, &options).folded().into_iter().collect();
        let lines = expect(&[
            (NOTHING_SHOWN, 1),
            (NO_STACK, 1),
            ("[stack truncated];__main__.<module> (shop.py:2)", 1),
            ("__main__.<module> (shop.py:2);shop.fib (shop.py:11);shop.fib (shop.py:11);shop.fib (shop.py:12)", 2),
            ("__main__.<module> (shop.py:2);shop.sort:er  (<string>)", 4),
        ]);
        assert_eq!(folded, lines);
    }

    #[test]
    fn a_native_function_has_its_line_where_that_is_known() {
        let mut profile = profile();
        let file = StringId(profile.strings.len() as u32);
        profile.strings.push("/usr/src/list.c".to_owned());
        let sorting = profile
            .frames
            .iter_mut()
            .find(|frame| profile.strings[profile.functions[frame.function.index()].name.index()] == "list_sort");
        let sorting = sorting.unwrap();
        sorting.line = Some(1234);
        profile.functions[sorting.function.index()].file = Some(file);
        let with = |lines| View::new(&profile, &ViewOptions { lines, ..Default::default() }).frame_labels();
        assert!(with(true).contains(&"list_sort (list.c:1234)".to_owned()));
        assert!(with(false).contains(&"list_sort (python3.12)".to_owned()));
    }

    #[test]
    fn calls_are_those_of_the_whole_profile() {
        let profile = profile();
        let view = View::new(&profile, &ViewOptions::default());
        let sampled = view.functions()[0].function;
        let [idle] = view.functions_without_samples()[..] else { panic!("{:?}", view.functions_without_samples()) };
        assert_eq!((view.label(idle.function).as_str(), idle.total_samples), ("shop.idle", 0));
        assert_eq!(view.calls(idle.function).map(|calls| (calls.count, calls.resumes)), Some((25_000, true)));
        assert_eq!(view.calls(FunctionId(1)).map(|calls| calls.count), Some(1_000));
        assert_eq!(view.calls(sampled).is_some(), sampled == FunctionId(1));
        let some = ViewOptions { thread: Some("worker".to_owned()), ..ViewOptions::default() };
        let view = View::new(&profile, &some);
        assert!(!view.shows_calls() && view.calls(FunctionId(1)).is_none());
        assert_eq!(view.functions_without_samples(), []);
    }

    #[test]
    fn threads_are_chosen_by_name_or_id() {
        assert_eq!(folded(NativeFrames::Python, Some("8")), folded(NativeFrames::Python, Some("worker")));
        assert_eq!(folded(NativeFrames::Python, Some("nobody")), []);
        let profile = profile();
        let view = View::new(&profile, &ViewOptions { thread: Some("7".to_owned()), ..Default::default() });
        assert_eq!((view.sample_count(), view.samples().count()), (6, 3));
    }

    #[test]
    fn recursion_counts_once() {
        let profile = profile();
        let view = View::new(&profile, &ViewOptions::default());
        let counts: Vec<(String, u64, u64)> = view
            .functions()
            .iter()
            .map(|count| (view.label(count.function), count.self_samples, count.total_samples))
            .collect();
        let expected = [
            ("list_sort (python3.12)", 3, 3),
            ("shop.fib (shop.py:10)", 2, 2),
            ("libz.so.1+0x1230", 1, 1),
            ("page_fault [kernel]", 1, 1),
            (MAIN, 0, 7),
            ("shop.sort:er  (<string>:1)", 0, 4),
            ("[frames missing]", 0, 1),
            ("[stack truncated]", 0, 1),
        ];
        assert_eq!(counts, expected.map(|(label, own, total)| (label.to_owned(), own, total)));
    }

    #[test]
    fn samples_have_their_frames_from_the_root_on() {
        let profile = profile();
        let view = View::new(&profile, &ViewOptions::default());
        let samples: Vec<ShownSample> = view.samples().collect();
        let labels = |sample: &ShownSample| -> Vec<String> {
            sample.frames.iter().map(|&frame| view.label(view.function(frame))).collect()
        };
        let [_, sorts, .., without] = &samples[..] else { panic!("{samples:?}") };
        assert_eq!(labels(sorts), [MAIN, "shop.sort:er  (<string>:1)", "list_sort (python3.12)"]);
        assert_eq!((sorts.time_ns, sorts.thread, sorts.weight), (1000, ThreadId(0), 3));
        assert!(sorts.has_stack && !without.has_stack && without.frames.is_empty());
    }
}
