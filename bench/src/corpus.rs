//! The inputs of the fuzz targets (`fuzz/corpus`): tests read all of them, too.

use std::fs;
use std::path::PathBuf;

/// Set to 1, it has golden files and seeds written anew.
const BLESS_ENV: &str = "PRONK_BLESS";

fn directory(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Has every input of a target read; how much was understood of all of them.
///
/// # Panics
/// When there are none.
pub fn replay(target: &str, read: impl Fn(&[u8]) -> usize) -> usize {
    let directory = directory(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry of a directory").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    paths.iter().map(|path| read(&fs::read(path).expect("an input"))).sum()
}

/// Keeps an input of a target, if seeds are being written (`PRONK_BLESS=1`).
///
/// # Panics
/// When it cannot be written.
pub fn keep(target: &str, name: &str, input: &[u8]) {
    if std::env::var_os(BLESS_ENV).is_some_and(|value| value == "1") {
        let directory = directory(target);
        fs::create_dir_all(&directory).expect("the corpus's directory can be made");
        fs::write(directory.join(name), input).expect("an input can be written");
    }
}
