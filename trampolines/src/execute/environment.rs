//! The environment that a program is executed with.
//!
//! # Safety
//! An environment is a list of zero-terminated texts that ends with a null pointer (execve(2)); what is made here points to
//! texts of the caller's, and of the value itself.

use crate::sys::Text;
use crate::wire::SESSION_ENV;
use core::ffi::{CStr, c_char};
use core::ptr;

/// The variable by which the dynamic linker is asked to load the agent (ld.so(8)).
const PRELOAD_ENV: &str = "LD_PRELOAD";
/// The most variables that are looked through. Programs with more are executed with what they have.
const MOST_VARIABLES: usize = 1024;

/// A list of variables, made without a heap.
#[derive(Debug)]
pub struct Environment {
    variables: [*const c_char; MOST_VARIABLES],
    used: usize,
    session: Text<512>,
    preload: Text<2048>,
}

impl Environment {
    /// Empty.
    pub const fn new() -> Environment {
        Environment { variables: [ptr::null(); MOST_VARIABLES], used: 0, session: Text::new(), preload: Text::new() }
    }

    /// Variables, but with those that have the agent loaded for a session, or without them. `None` where there is no room.
    ///
    /// # Safety
    /// `given` is an environment, or null, and stays as long as what is returned is used.
    pub unsafe fn make(
        &mut self,
        given: *const *const c_char,
        session: &CStr,
        library: &CStr,
        wanted: bool,
    ) -> Option<*const *const c_char> {
        let mut has_session = false;
        let mut has_preload = false;
        // SAFETY: as promised by the caller.
        for variable in unsafe { texts(given) } {
            let bytes = variable.to_bytes();
            if let Some(value) = value_of(bytes, SESSION_ENV) {
                match wanted {
                    true if !has_session => self.push_session(session)?,
                    false if value != session.to_bytes() => self.push(variable.as_ptr())?,
                    _ => {}
                }
                has_session = true;
            } else if let Some(value) = value_of(bytes, PRELOAD_ENV).filter(|_| !has_preload) {
                has_preload = true;
                if wanted || libraries(value).any(|one| one == library.to_bytes()) {
                    let others = libraries(value).filter(|one| *one != library.to_bytes());
                    self.push_preload(wanted.then_some(library), others)?;
                } else {
                    self.push(variable.as_ptr())?;
                }
            } else {
                self.push(variable.as_ptr())?;
            }
        }
        if wanted && !has_preload {
            self.push_preload(Some(library), [].into_iter())?;
        }
        if wanted && !has_session {
            self.push_session(session)?;
        }
        self.push(ptr::null())?;
        Some(self.variables.as_ptr())
    }

    fn push(&mut self, variable: *const c_char) -> Option<()> {
        *self.variables.get_mut(self.used)? = variable;
        self.used = self.used.checked_add(1)?;
        Some(())
    }

    fn push_session(&mut self, session: &CStr) -> Option<()> {
        let parts = [SESSION_ENV.as_bytes(), b"=", session.to_bytes()];
        parts.into_iter().all(|part| self.session.push(part)).then_some(())?;
        self.push(self.session.as_c().as_ptr())
    }

    /// Has a library loaded before others; no variable where there are none.
    fn push_preload<'a>(&mut self, library: Option<&'a CStr>, others: impl Iterator<Item = &'a [u8]>) -> Option<()> {
        let mut separator: &[u8] = b"=";
        self.preload.push(PRELOAD_ENV.as_bytes()).then_some(())?;
        for one in library.map(CStr::to_bytes).into_iter().chain(others) {
            (self.preload.push(separator) && self.preload.push(one)).then_some(())?;
            separator = b":";
        }
        if separator == b"=" { Some(()) } else { self.push(self.preload.as_c().as_ptr()) }
    }
}

/// The value in a text such as `NAME=value`, if the name is that.
fn value_of<'a>(variable: &'a [u8], name: &str) -> Option<&'a [u8]> {
    variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// The libraries of a list. What separates them is a colon or a space (ld.so(8)).
fn libraries(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| matches!(byte, b':' | b' ')).filter(|one| !one.is_empty())
}

/// The texts of a list.
///
/// # Safety
/// It is null, or ends with a null pointer; the texts are zero-terminated, and stay as long as they are used.
unsafe fn texts<'a>(mut list: *const *const c_char) -> impl Iterator<Item = &'a CStr> {
    core::iter::from_fn(move || {
        // SAFETY: as promised by the caller.
        unsafe {
            let text = list.as_ref().filter(|text| !text.is_null())?;
            list = list.add(1);
            Some(CStr::from_ptr(*text))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const SESSION: &CStr = c"/tmp/pronk-abc";
    const LIBRARY: &CStr = c"/tmp/pronk-abc/libpronk.so";

    fn made(given: &[&CStr], wanted: bool) -> Option<Vec<std::string::String>> {
        let mut list: Vec<*const c_char> = given.iter().map(|text| text.as_ptr()).collect();
        list.push(ptr::null());
        let mut environment = Environment::new();
        // SAFETY: the list ends with a null pointer, and lives until the end of this function.
        unsafe {
            let made = environment.make(list.as_ptr(), SESSION, LIBRARY, wanted)?;
            Some(texts(made).map(|text| std::string::String::from(text.to_str().unwrap())).collect())
        }
    }

    #[test]
    fn a_sessions_variables_are_added_where_they_are_missing() {
        let expected = ["A=1", "LD_PRELOAD=/tmp/pronk-abc/libpronk.so", "PRONK_SESSION=/tmp/pronk-abc"];
        assert_eq!(made(&[c"A=1"], true).unwrap(), expected);
        // It stays as it is, each in its place.
        let there = [c"PRONK_SESSION=/tmp/pronk-abc", c"A=1", c"LD_PRELOAD=/tmp/pronk-abc/libpronk.so"];
        assert_eq!(made(&there, true).unwrap(), there.map(|text| text.to_str().unwrap()));
        assert_eq!(made(&[], true).unwrap().len(), 2);
    }

    #[test]
    fn other_libraries_stay_and_another_session_does_not() {
        let given = [c"LD_PRELOAD=/a.so /b.so", c"PRONK_SESSION=/tmp/pronk-old"];
        let expected = ["LD_PRELOAD=/tmp/pronk-abc/libpronk.so:/a.so:/b.so", "PRONK_SESSION=/tmp/pronk-abc"];
        assert_eq!(made(&given, true).unwrap(), expected);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_taken_out() {
        let given = [c"LD_PRELOAD=/tmp/pronk-abc/libpronk.so:/a.so", c"PRONK_SESSION=/tmp/pronk-abc", c"A=1"];
        assert_eq!(made(&given, false).unwrap(), ["LD_PRELOAD=/a.so", "A=1"]);
        let given = [c"LD_PRELOAD=/tmp/pronk-abc/libpronk.so", c"PRONK_SESSION=/tmp/pronk-new"];
        assert_eq!(made(&given, false).unwrap(), ["PRONK_SESSION=/tmp/pronk-new"]);
        // What is none of ours stays as it is.
        let given = [c"LD_PRELOAD=/a.so  /b.so", c"A=1"];
        assert_eq!(made(&given, false).unwrap(), given.map(|text| text.to_str().unwrap()));
        assert_eq!(made(&[c"LD_PRELOAD="], false).unwrap(), ["LD_PRELOAD="]);
    }

    #[test]
    fn too_many_variables_are_none_of_ours() {
        assert!(made(&[c"A=1"; MOST_VARIABLES - 1], false).is_some());
        assert!(made(&[c"A=1"; MOST_VARIABLES - 1], true).is_none());
        assert!(made(&[c"A=1"; MOST_VARIABLES], false).is_none());
    }

    #[test]
    fn no_environment_is_an_empty_one() {
        let mut environment = Environment::new();
        // SAFETY: null is an empty environment.
        let made = unsafe { environment.make(ptr::null(), SESSION, LIBRARY, true) };
        // SAFETY: as above.
        assert_eq!(unsafe { texts(made.unwrap()) }.count(), 2);
    }
}
