//! Which samples are chosen, by the values that they have.

use super::by::By;
use std::fmt;
use std::str::FromStr;

/// A choice of samples: those whose value is the one that is named, or is like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    by: By,
    wanted: String,
}

/// A text does not say which samples to choose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is label:KEY=VALUE, or one of task, task-group, thread and process with a pattern, such as task=worker-*, in which * \
     is any text and ? any character"
)]
pub struct ParseOnlyError;

impl FromStr for Only {
    type Err = ParseOnlyError;

    fn from_str(text: &str) -> Result<Only, ParseOnlyError> {
        let (by, wanted) = text.split_once('=').ok_or(ParseOnlyError)?;
        let by = match by.parse() {
            // A pattern is compared with the names that tasks have.
            Ok(By::Task) => By::EachTask,
            Ok(by) => by,
            Err(_) => return Err(ParseOnlyError),
        };
        Ok(Only { by, wanted: wanted.to_owned() })
    }
}

impl fmt::Display for Only {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}={}", self.by, self.wanted)
    }
}

impl Only {
    /// What has the values.
    pub fn by(&self) -> &By {
        &self.by
    }

    /// Whether samples of a value are chosen. Those that have none are, where that is just what is asked for.
    pub fn matches(&self, value: &str) -> bool {
        let takes_pattern = !matches!(self.by, By::Label(_)) && Some(value) != self.by.lacking();
        value == self.wanted || takes_pattern && is_like(value, &self.wanted)
    }
}

/// Whether a text is like a pattern, in which `*` is any text and `?` any character.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut in_pattern) = (0, 0);
    // Behind the last `*`, and where in the text what it stands for ends so far. Only this one can need to stand for more:
    // if what was matched before is found further left, it leaves more for the rest.
    let mut last_star = None;
    while at < text.len() {
        match (pattern.get(in_pattern), last_star) {
            (Some('*'), _) => {
                in_pattern += 1;
                last_star = Some((in_pattern, at));
            }
            (Some(&wanted), _) if wanted == '?' || wanted == text[at] => {
                at += 1;
                in_pattern += 1;
            }
            (_, Some((behind, end))) => {
                at = end + 1;
                in_pattern = behind;
                last_star = Some((behind, at));
            }
            (_, None) => return false,
        }
    }
    pattern[in_pattern..].iter().all(|&left| left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Only {
        text.parse().unwrap()
    }

    #[test]
    fn a_choice_is_read_and_written_alike() {
        for text in
            ["label:tenant=a", "label:query=a=b", "label:tenant=", "task=Task-*", "task-group=app.*", "thread=?"]
        {
            assert_eq!(only(text).to_string(), text);
        }
        for text in ["", "task", "label:tenant", "label:=a", "=a", "name=a", "Task=a"] {
            assert_eq!(text.parse::<Only>(), Err(ParseOnlyError), "{text}");
        }
    }

    #[test]
    fn labels_are_compared_as_they_are() {
        assert!(only("label:query=a*").matches("a*") && !only("label:query=a*").matches("ab"));
        assert!(only("label:query=").matches("") && !only("label:query=").matches("(none)"));
        assert!(only("label:query=(none)").matches("(none)"));
    }

    #[test]
    fn no_pattern_means_what_has_no_task() {
        assert!(only("task=*").matches("Task-1") && !only("task=*").matches("(no task)"));
        assert!(only("task=(no task)").matches("(no task)"));
    }

    #[test]
    fn patterns_have_stars_and_question_marks() {
        let like = [
            ("worker-1", "worker-?"),
            ("worker-12", "worker-*"),
            ("", "*"),
            ("", ""),
            ("abcabd", "*abd"),
            ("a.b.c", "a*c"),
            ("a.b.c", "*.*.*"),
            ("aaa", "a*a*a**"),
            ("Gr\u{fc}n", "Gr?n"),
            ("a*", "a*"),
        ];
        for (text, pattern) in like {
            assert!(is_like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in
            [("worker-12", "worker-?"), ("", "?"), ("ab", "a"), ("a", ""), ("abc", "*b"), ("aa", "a*a*a")]
        {
            assert!(!is_like(text, pattern), "{text} {pattern}");
        }
        // With a matcher that tries every way, this would not end.
        let pattern = "a*".repeat(500) + "b";
        assert!(!is_like(&"a".repeat(5_000), &pattern));
    }
}
