//! `.folded`: collapsed stacks, one a line, root first, frames joined by `;`, then a space and the number of samples.

use super::Export;
use pronk_symbolizer::profile::Profile;
use pronk_symbolizer::view::View;
use std::io::{self, Write};

/// Writes collapsed stacks.
#[derive(Debug)]
pub struct Folded;

impl Export for Folded {
    fn write(&self, _: &Profile, view: &View<'_>, to: &mut dyn Write) -> io::Result<()> {
        lines(view).iter().try_for_each(|line| writeln!(to, "{line}"))
    }
}

/// The lines, without their ends.
pub fn lines(view: &View<'_>) -> Vec<String> {
    view.folded().iter().map(|(stack, samples)| format!("{} {samples}", unambiguous(stack))).collect()
}

/// A stack, or a label, so that whoever reads the line finds the number of samples: a number at the end of a label would
/// be taken for one, and a line that begins with `# ` for a comment.
pub fn unambiguous(label: &str) -> String {
    let mut label = label.trim().to_owned();
    let number = |word: &str| word.chars().all(|character| character.is_ascii_digit() || character == '.');
    while let Some((at, space)) = label.char_indices().rfind(|(_, character)| character.is_whitespace())
        && number(&label[at + space.len_utf8()..])
    {
        label.replace_range(at..at + space.len_utf8(), "_");
    }
    if label.starts_with("# ") {
        label.replace_range(1..2, "_");
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_be_taken_for_a_number_of_samples() {
        assert_eq!(unambiguous("a 1;m.f (a.py:1)"), "a 1;m.f (a.py:1)");
        assert_eq!(unambiguous("a;counts 12"), "a;counts_12");
        assert_eq!(unambiguous("counts 1.5 "), "counts_1.5");
        assert_eq!(unambiguous("wide\u{2003}7"), "wide_7");
        assert_eq!(unambiguous("# name"), "#_name");
        assert_eq!(unambiguous(""), "");
    }
}
