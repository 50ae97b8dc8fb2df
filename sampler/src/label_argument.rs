//! An argument of a function of the program whose value is a label of the samples that have the function on their stacks.

use crate::error::Error;
use crate::label_names::{is_key, is_name, pack};
use pronk_trampolines::wire::{ARGUMENTS_SIZE, MOST_ARGUMENTS};
use std::fmt;
use std::str::FromStr;

/// An argument of a function, or what its attributes lead to: `[KEY=]MODULE.FUNCTION:ARGUMENT[.ATTRIBUTE...]`. Its value is the
/// label KEY; without that, the label that the last name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelArgument {
    key: String,
    /// The module's name and the function's `__qualname__`, with a dot between them.
    function: String,
    /// The argument's name and those of attributes, with dots between them.
    path: String,
}

/// Why a text names no argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an argument is named by its function's module and __qualname__, a colon, and its own name, if need be with attributes \
     behind and a key for the label before: app.web.Handler.get:request.path, or url=app.web.Handler.get:request.path"
)]
pub struct NotAnArgument;

/// The longest name of a function with its module's, and the most attributes that a path has.
const LONGEST_FUNCTION: usize = 512;
const MOST_ATTRIBUTES: usize = 16;

impl FromStr for LabelArgument {
    type Err = NotAnArgument;

    fn from_str(text: &str) -> Result<LabelArgument, NotAnArgument> {
        let (key, place) = text.split_once('=').map_or((None, text), |(key, place)| (Some(key), place));
        let (function, path) = place.split_once(':').ok_or(NotAnArgument)?;
        // What `__qualname__` has of functions within functions, and of those without a name.
        let is_part = |name: &str| is_name(name) || matches!(name, "<locals>" | "<lambda>");
        let is_function =
            function.contains('.') && function.len() <= LONGEST_FUNCTION && function.split('.').all(is_part);
        let is_path = path.split('.').all(is_name) && path.split('.').count() <= 1 + MOST_ATTRIBUTES;
        let key = key.or_else(|| path.rsplit('.').next()).unwrap_or_default();
        match is_key(key) && is_function && is_path {
            true => Ok(LabelArgument { key: key.to_owned(), function: function.to_owned(), path: path.to_owned() }),
            false => Err(NotAnArgument),
        }
    }
}

impl fmt::Display for LabelArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.key, self.function, self.path)
    }
}

impl LabelArgument {
    /// What to say when it has given no label: whether its function was seen with such an argument.
    pub(crate) fn unused(&self, was_found: bool) -> String {
        let argument = self.path.split('.').next().unwrap_or_default();
        match was_found {
            true => format!(
                "--label-arg {self} has given no label: {} ran, and its {} was neither a text nor a whole number",
                self.function, self.path
            ),
            false => format!(
                "--label-arg {self} has given no label: no sample has a function {} with an argument {argument}; look at its \
                 __module__ (__main__ for the program itself) and its __qualname__",
                self.function
            ),
        }
    }
}

/// The arguments as the agent's settings have them.
///
/// # Errors
/// When there are too many, or their names are too long together.
pub(crate) fn to_settings(arguments: &[LabelArgument]) -> Result<[u8; ARGUMENTS_SIZE], Error> {
    let texts = arguments.iter().flat_map(|argument| [&*argument.key, &argument.function, &argument.path]);
    let packed = pack(texts).filter(|_| arguments.len() <= MOST_ARGUMENTS);
    packed.ok_or(Error::TooManyArguments { asked: arguments.len(), limit: MOST_ARGUMENTS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_named_by_function_and_path() {
        let parts = |text: &str| {
            let LabelArgument { key, function, path } = text.parse().ok()?;
            Some([key, function, path])
        };
        let expected = |parts: [&str; 3]| Some(parts.map(str::to_owned));
        assert_eq!(parts("app.web.get:request.path"), expected(["path", "app.web.get", "request.path"]));
        assert_eq!(parts("url=app.Web.get:self"), expected(["url", "app.Web.get", "self"]));
        assert_eq!(parts("a.f.<locals>.<lambda>:x"), expected(["x", "a.f.<locals>.<lambda>", "x"]));
        let bad = ["", "a.f", "a.f:", "f:x", ":x", "=a.f:x", "a..f:x", "a.f:x.", "a.f:x[0]", "a.f:x:y", "a.f:<lambda>"];
        for bad in bad {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
        assert_eq!(parts(&format!("a.f:x{}", ".y".repeat(17))), None);
    }

    #[test]
    fn too_many_are_refused() {
        let arguments: Vec<LabelArgument> = (0..17).map(|index| format!("a.f:x{index}").parse().unwrap()).collect();
        assert!(to_settings(&arguments[..16]).unwrap().starts_with(b"x0\0a.f\0x0\0x1\0a.f\0x1\0"));
        assert!(matches!(to_settings(&arguments), Err(Error::TooManyArguments { asked: 17, limit: 16 })));
    }
}
