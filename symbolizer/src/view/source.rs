//! The files of a profile, and how often each of their lines was seen.

use super::View;
use crate::profile::{Category, FrameId, StringId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How often a file was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCount {
    /// The file.
    pub file: StringId,
    /// Samples in which a function of the file was anywhere on the stack.
    pub total_samples: u64,
}

/// How often a line was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCount {
    /// Samples in which the newest frame that is shown was on it.
    pub self_samples: u64,
    /// Samples in which any frame was on it; a sample in which it is several times counts once.
    pub total_samples: u64,
}

/// The lines of a file that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// The lines, from the first one on.
    pub lines: BTreeMap<u32, LineCount>,
    /// The same for all frames of the file of which the line is not known.
    pub without_line: LineCount,
}

impl View<'_> {
    /// The files that were seen, the most frequent first, then by name.
    pub fn files(&self) -> Vec<FileCount> {
        let mut counts: HashMap<StringId, u64> = HashMap::new();
        for ((_, stack), count) in self.stack_counts() {
            let frames = stack.map_or_else(Vec::new, |stack| self.frames(stack));
            let files: HashSet<StringId> = frames.iter().filter_map(|&frame| self.file(frame)).collect();
            for file in files {
                *counts.entry(file).or_insert(0) += count;
            }
        }
        let files = counts.into_iter().map(|(file, total_samples)| FileCount { file, total_samples });
        let mut files: Vec<FileCount> = files.collect();
        files.sort_by_key(|count| (Reverse(count.total_samples), &self.profile.strings[count.file.index()]));
        files
    }

    /// How often each line of a file was seen.
    pub fn source(&self, file: StringId) -> SourceCounts {
        let mut found = SourceCounts::default();
        for ((_, stack), count) in self.stack_counts() {
            let frames = stack.map_or_else(Vec::new, |stack| self.frames(stack));
            let line = |&frame: &FrameId| (self.file(frame) == Some(file)).then(|| self.line(frame));
            if let Some(newest) = frames.last().and_then(line) {
                found.count(newest).self_samples += count;
            }
            let distinct: HashSet<Option<u32>> = frames.iter().filter_map(line).collect();
            for line in distinct {
                found.count(line).total_samples += count;
            }
        }
        found
    }

    /// Whether lines are known of the Python functions that are in the profile, if there are any.
    pub fn knows_lines(&self) -> bool {
        let is_python = |function: &crate::profile::FunctionId| {
            self.profile.functions[function.index()].category == Category::Python
        };
        let mut python = self.profile.frames.iter().filter(|frame| is_python(&frame.function)).peekable();
        python.peek().is_none() || python.any(|frame| frame.line.is_some())
    }

    fn file(&self, frame: FrameId) -> Option<StringId> {
        self.profile.functions[self.function(frame).index()].file
    }

    fn line(&self, frame: FrameId) -> Option<u32> {
        self.profile.frames[frame.index()].line
    }
}

impl SourceCounts {
    fn count(&mut self, line: Option<u32>) -> &mut LineCount {
        line.map_or(&mut self.without_line, |line| self.lines.entry(line).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::NativeFrames;
    use crate::testing::profile;
    use crate::view::ViewOptions;

    fn file(profile: &crate::profile::Profile, name: &str) -> StringId {
        StringId(profile.strings.iter().position(|text| text == name).unwrap() as u32)
    }

    fn counts(self_samples: u64, total_samples: u64) -> LineCount {
        LineCount { self_samples, total_samples }
    }

    #[test]
    fn a_line_counts_once_in_a_sample() {
        let profile = profile();
        let view = View::new(&profile, &ViewOptions::default());
        let found = view.source(file(&profile, "/srv/app/shop.py"));
        let expected = [(2, counts(0, 7)), (11, counts(0, 2)), (12, counts(2, 2))];
        assert_eq!(found.lines, BTreeMap::from(expected));
        assert_eq!(found.without_line, counts(0, 0));
    }

    #[test]
    fn a_callers_line_has_the_time_of_native_code_that_is_not_shown() {
        let profile = profile();
        let options = ViewOptions { native: Some(NativeFrames::Python), ..Default::default() };
        let found = View::new(&profile, &options).source(file(&profile, "<string>"));
        assert_eq!(found.lines, BTreeMap::new());
        assert_eq!(found.without_line, counts(4, 4));
    }

    #[test]
    fn files_are_sorted_by_their_samples() {
        let profile = profile();
        let view = View::new(&profile, &ViewOptions::default());
        let files: Vec<(&str, u64)> = view
            .files()
            .iter()
            .map(|count| (profile.strings[count.file.index()].as_str(), count.total_samples))
            .collect();
        assert_eq!(files, [("/srv/app/shop.py", 7), ("<string>", 4)]);
    }

    #[test]
    fn lines_are_known_if_any_python_function_has_one() {
        let mut profile = profile();
        assert!(View::new(&profile, &ViewOptions::default()).knows_lines());
        profile.frames.iter_mut().for_each(|frame| frame.line = None);
        assert!(!View::new(&profile, &ViewOptions::default()).knows_lines());
        assert!(View::new(&Default::default(), &ViewOptions::default()).knows_lines());
    }
}
