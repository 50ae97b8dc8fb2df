//! Builds the agent: the library that is loaded into the profiled program, which the command carries within it.
//!
//! Whoever packages pronk can build it beforehand and name it in the environment variable `PRONK_AGENT`.

#[path = "../trampolines/agent_build.rs"]
mod agent_build;

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What the agent is built from, seen from this package.
const SOURCE: &str = "../trampolines";

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
    // The workspace's Cargo.toml has the agent's profile.
    for source in ["../Cargo.toml", "src", "Cargo.toml", "agent_build.rs"].map(|name| Path::new(SOURCE).join(name)) {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("agent");
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    agent_build::build_agent(&cargo, Path::new(SOURCE), Some(&target), &directory)
}
