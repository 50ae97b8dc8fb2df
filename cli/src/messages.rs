//! pronk's own words: on stderr, each line marked, since stdout belongs to the profiled program.

use std::io::{self, Write};

/// Writes a message to stderr, each line behind `pronk: `. A stderr that is closed or full is not an error.
macro_rules! say {
    ($($arguments:tt)*) => {
        $crate::messages::write(&format!($($arguments)*))
    };
}
pub(crate) use say;

/// Writes a text to stderr, each line behind `pronk: `, in one piece so that the program's own lines stay whole.
pub fn write(text: &str) {
    let lines: String = text.lines().map(|line| format!("pronk: {}\n", printable(line).trim_end())).collect();
    // There is nobody left to tell if this fails, and the program's own result counts for more.
    let _ = io::stderr().write_all(lines.as_bytes());
}

/// A text for one line of a terminal: without what would end the line or move the cursor, since names and reasons come
/// from the program that was profiled.
pub fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// An error and its causes, each once: some errors say their cause themselves.
pub fn describe(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.contains(&cause) {
        true => text,
        false if text.is_empty() => cause,
        false => text + ": " + &cause,
    })
}

/// Whether the reader of our output has gone, as with `pronk report | head`.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// The exit status that an error asks for: those of a command that could not be run are the shell's.
pub fn status_of(error: &anyhow::Error) -> Option<u8> {
    error.downcast_ref::<pronk_sampler::Error>()?.exit_code()
}

/// A whole number with a comma between thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part` of `whole` in percent; 0 of 0 is 0.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            ["0", "999", "1,000", "123,456", "1,234,567"].map(str::to_owned),
            [thousands(0), thousands(999), thousands(1000), thousands(123_456), thousands(1_234_567),]
        );
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no space").context("cannot write a: no space").context("there is no profile");
        assert_eq!(describe(&error), "there is no profile: cannot write a: no space");
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn nothing_is_no_percent_of_nothing() {
        assert_eq!(percent(0, 0), 0.0);
        assert_eq!(percent(1, 4), 25.0);
    }

    #[test]
    fn a_broken_pipe_is_seen_through_its_context() {
        let broken = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot write");
        assert!(is_broken_pipe(&broken));
        assert!(!is_broken_pipe(&anyhow::anyhow!("something else")));
    }
}
