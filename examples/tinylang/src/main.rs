//! An interpreter of its own whose functions get stubs.
fn main() {}
