//! What the tests of the agent share: the agent itself, and libraries written in C.

#![allow(dead_code, reason = "no test uses all of it")]

#[path = "../../agent_build.rs"]
mod agent_build;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names an agent to test, instead of one that is built from the sources.
const AGENT_ENV: &str = "PRONK_AGENT";

/// The agent: built when it is first asked for, the way that the command builds the one it carries.
///
/// # Panics
/// When it cannot be built.
pub fn agent() -> &'static Path {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    AGENT.get_or_init(|| {
        if let Some(path) = env::var_os(AGENT_ENV) {
            return path.into();
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent");
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        agent_build::build_agent(env!("CARGO").as_ref(), package, None, &directory)
    })
}

/// Compiles C text to a shared library with the C compiler (`$CC`, else `cc`).
///
/// # Panics
/// When it cannot be compiled.
pub fn compile_library(source: &Path, library: &Path) {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([library, source])
        .arg("-ldl")
        .status()
        .unwrap_or_else(|error| panic!("{} runs: {error}", compiler.display()));
    assert!(status.success(), "{} is compiled: {status}", source.display());
}

/// The bytes of the one registry in a session's directory.
///
/// # Panics
/// When there is none, or more than one.
pub fn only_registry(session: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(session).unwrap().map(|entry| entry.unwrap().path());
    let mut registries = files.filter(|path| path.extension().is_some_and(|e| e == "registry"));
    let registry = registries.next().expect("the session has a registry");
    assert!(registries.next().is_none(), "the session has one registry");
    std::fs::read(registry).unwrap()
}
