//! How the agent is built from this package: shared by the command's build script and by the tests.
//!
//! Cargo has no stable way to depend on another package's cdylib, so a cargo of its own builds it, in a target directory
//! of its own.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of environment variables, or what they begin with, that an outer cargo or its user has set for the outer build.
/// In the inner build they would change the agent's flags, its place, or the compiler that is called (clippy's).
const OUTER: [&str; 14] = [
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_FEATURE_",
    "CARGO_INCREMENTAL",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_DIR",
    "CARGO_UNSTABLE_",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

/// Builds the agent for a target such as `x86_64-unknown-linux-gnu` (the host's where it is `None`) in a directory, and
/// returns the library's path.
///
/// # Panics
/// When it cannot be built.
pub fn build_agent(cargo: &OsStr, package: &Path, target: Option<&str>, directory: &Path) -> PathBuf {
    let mut command = Command::new(cargo);
    command.arg("rustc").arg("--manifest-path").arg(package.join("Cargo.toml"));
    command.args(["--lib", "--crate-type", "cdylib", "--features", "agent", "--locked", "--profile", "agent"]);
    // What the inner cargo would put into a shared build directory, two builds at once would fight for.
    command.arg("--target-dir").arg(directory);
    let mut library = directory.to_path_buf();
    if let Some(target) = target {
        command.arg("--target").arg(target);
        library.push(target);
    }
    // A symbol that is nowhere defined ends the build: the panic handler refers to one (src/agent.rs).
    // And the library stays when somebody closes it: its code may be on stacks.
    command.args(["--", "-C", "link-arg=-Wl,-z,defs", "-C", "link-arg=-Wl,-z,nodelete"]);
    // The addresses of its functions are those of its own, and not of others that have the same names and were loaded before.
    command.args(["-C", "link-arg=-Wl,-Bsymbolic-functions"]);
    for (name, _) in env::vars_os() {
        let flags = |name: &str| name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS");
        if name.to_str().is_some_and(|name| flags(name) || OUTER.iter().any(|outer| name.starts_with(outer))) {
            command.env_remove(&name);
        }
    }
    command.env("CARGO_BUILD_BUILD_DIR", directory);
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "the agent could not be built ({status}) by {command:?}");
    library.join("agent").join("libpronk_trampolines.so")
}
