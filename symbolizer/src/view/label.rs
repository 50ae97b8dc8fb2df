//! What functions and values are called where they are shown.

use crate::profile::{Category, Function, StringId};

/// The line of a function that its label has.
#[derive(Clone, Copy)]
pub(crate) enum Line {
    /// The one on which it begins.
    Begins,
    /// The one that was being executed, if it is known.
    Executed(Option<u32>),
}

/// What a function is called: see [`View::label`](super::View::label).
pub(crate) fn label(strings: &[String], function: &Function, line: Line) -> String {
    let text = |id: StringId| strings[id.index()].as_str();
    let name = text(function.name);
    let label = match (function.category, function.file, function.binary) {
        (Category::Python, Some(file), _) => {
            let file = base_name(text(file));
            let line = match line {
                Line::Begins => function.first_line,
                Line::Executed(line) => line,
            };
            match line {
                Some(line) => format!("{name} ({file}:{line})"),
                None => format!("{name} ({file})"),
            }
        }
        (Category::Native | Category::Interpreter, Some(file), _) if let Line::Executed(Some(line)) = line => {
            format!("{name} ({}:{line})", base_name(text(file)))
        }
        (Category::Kernel, _, Some(binary)) if text(binary) != name => format!("{name} {}", text(binary)),
        (Category::Native | Category::Interpreter, _, Some(binary)) => {
            let binary = text(binary);
            // `binary+0x1234` says it already.
            match name.strip_prefix(binary).is_some_and(|rest| rest.starts_with("+0x")) {
                true => name.to_owned(),
                false => format!("{name} ({binary})"),
            }
        }
        _ => name.to_owned(),
    };
    one_frame(&label)
}

/// A value as it is drawn and printed: in one line, not empty, and free of what ends a frame.
pub fn shown(value: &str) -> String {
    match one_frame(value).trim() {
        "" => "(empty)".to_owned(),
        value => value.to_owned(),
    }
}

/// A text without `;`, line ends, other control characters and those that are in no XML (XML 1.0, "Characters"): one
/// frame of a collapsed stack.
fn one_frame(text: &str) -> String {
    let replace = |char: char| match char {
        ';' => ':',
        char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => ' ',
        char => char,
    };
    text.chars().map(replace).collect()
}

/// The last part of a path; names such as `<string>` and `<frozen importlib._bootstrap>` as they are.
fn base_name(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit('/').next() {
        Some(base) if !base.is_empty() && !path.starts_with('<') => base,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_frame() {
        assert_eq!(shown("GET /a;b\n"), "GET /a:b");
        assert_eq!(shown("\u{1b}[31m red"), "[31m red");
        assert_eq!((shown(""), shown(" \n")), ("(empty)".to_owned(), "(empty)".to_owned()));
    }

    #[test]
    fn files_are_shown_by_their_last_part() {
        assert_eq!(base_name("/srv/app/shop.py"), "shop.py");
        assert_eq!(base_name("shop.py"), "shop.py");
        assert_eq!(base_name("<frozen importlib._bootstrap>"), "<frozen importlib._bootstrap>");
        assert_eq!(base_name("<ipython/input>"), "<ipython/input>");
        assert_eq!(base_name("/"), "/");
        assert_eq!(base_name(""), "");
    }
}
