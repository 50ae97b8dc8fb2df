//! Builds the agent: the library that is loaded into the profiled program, which the command carries within it.
//!
//! Cargo has no stable way to depend on another package's cdylib, so a cargo of its own builds it, in a target directory
//! of its own. Whoever packages pronk can build it beforehand and name it in the environment variable `PRONK_AGENT`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the agent is built from, seen from this package.
const SOURCE: &str = "../trampolines";

/// Names of environment variables, or what they begin with, that the outer cargo or its user has set for the outer build.
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

fn main() {
    println!("cargo::rerun-if-env-changed=PRONK_AGENT");
    let library = match env::var_os("PRONK_AGENT") {
        Some(path) => prebuilt(Path::new(&path)),
        None => build(),
    };
    println!("cargo::rustc-env=PRONK_AGENT_LIBRARY={}", library.display());
}

fn prebuilt(path: &Path) -> PathBuf {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::canonicalize(path).unwrap_or_else(|error| panic!("PRONK_AGENT={}: {error}", path.display()))
}

fn build() -> PathBuf {
    for source in ["src", "Cargo.toml", "../Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", Path::new(SOURCE).join(source).display());
    }
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("agent");

    // The profile `agent` is in the workspace's Cargo.toml: without unwinding, which must not cross into C.
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo.arg("rustc").arg("--manifest-path").arg(Path::new(SOURCE).join("Cargo.toml"));
    cargo.args(["--lib", "--crate-type", "cdylib", "--features", "agent", "--locked", "--profile", "agent"]);
    cargo.arg("--target").arg(&target).arg("--target-dir").arg(&directory);
    // A build directory that the user's configuration names is locked by the outer cargo.
    let intermediate = directory.join("build");
    for (name, _) in env::vars_os() {
        let flags = |name: &str| name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS");
        if name.to_str().is_some_and(|name| flags(name) || OUTER.iter().any(|outer| name.starts_with(outer))) {
            cargo.env_remove(&name);
        }
    }

    cargo.env("CARGO_BUILD_BUILD_DIR", &intermediate);

    let status = cargo.status().unwrap_or_else(|error| panic!("cannot run {cargo:?}: {error}"));
    assert!(status.success(), "the agent could not be built ({status}) by {cargo:?}");
    directory.join(target).join("agent").join("libpronk_trampolines.so")
}
