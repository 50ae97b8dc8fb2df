//! The `pronk` command.
fn main() {}
