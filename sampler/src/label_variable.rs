//! A context variable of the program whose value is a label of its samples.

use crate::error::Error;
use crate::label_names::{LONGEST, is_key, is_name, pack};
use pronk_trampolines::wire::{MOST_VARIABLES, VARIABLES_SIZE};
use std::str::FromStr;

/// A context variable (`contextvars.ContextVar`) that is a global of a module: `[KEY=]MODULE.NAME`. Its value is the label
/// KEY; without that, the label NAME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelVariable {
    key: String,
    module: String,
    name: String,
}

/// Why a text names no variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a context variable is named by its module and its own name, such as app.web.request_id, if need be with a key for the \
     label before it: request=app.web.request_id"
)]
pub struct NotAVariable;

impl FromStr for LabelVariable {
    type Err = NotAVariable;

    fn from_str(text: &str) -> Result<LabelVariable, NotAVariable> {
        let (key, path) = text.split_once('=').map_or((None, text), |(key, path)| (Some(key), path));
        let (module, name) = path.rsplit_once('.').ok_or(NotAVariable)?;
        let key = key.unwrap_or(name);
        match is_key(key) && is_name(name) && module.len() <= LONGEST && module.split('.').all(is_name) {
            true => Ok(LabelVariable { key: key.to_owned(), module: module.to_owned(), name: name.to_owned() }),
            false => Err(NotAVariable),
        }
    }
}

/// The variables as the agent's settings have them.
///
/// # Errors
/// When there are too many, or their names are too long together.
pub(crate) fn to_settings(variables: &[LabelVariable]) -> Result<[u8; VARIABLES_SIZE], Error> {
    let texts = variables.iter().flat_map(|variable| [&*variable.key, &variable.module, &variable.name]);
    let packed = pack(texts).filter(|_| variables.len() <= MOST_VARIABLES);
    packed.ok_or(Error::TooManyVariables { asked: variables.len(), limit: MOST_VARIABLES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_by_module_and_name() {
        let parts = |text: &str| {
            let LabelVariable { key, module, name } = text.parse().ok()?;
            Some([key, module, name])
        };
        let expected = |parts: [&str; 3]| Some(parts.map(str::to_owned));
        assert_eq!(parts("app.web.request_id"), expected(["request_id", "app.web", "request_id"]));
        assert_eq!(parts("http.id=app.request_id"), expected(["http.id", "app", "request_id"]));
        for bad in
            ["", "request_id", ".request_id", "app.", "=app.x", "app..x", "app.1x", "a p.x", "app.x y", "k\n=a.x"]
        {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
        assert_eq!(parts(&format!("{}.x", "m".repeat(129))), None);
    }

    #[test]
    fn too_many_are_refused() {
        let variables: Vec<LabelVariable> = (0..17).map(|index| format!("app.v{index}").parse().unwrap()).collect();
        assert!(to_settings(&variables[..16]).unwrap().starts_with(b"v0\0app\0v0\0v1\0app\0v1\0"));
        assert!(matches!(to_settings(&variables), Err(Error::TooManyVariables { asked: 17, limit: 16 })));
    }
}
