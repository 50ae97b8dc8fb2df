//! A small language whose functions get stubs.
//!
//! It shows that nothing about stubs is particular to Python: an interpreter that evaluates each function's body through
//! the function's own stub ([`stubs`]) appears in pronk's flamegraphs with its own names.
#![deny(unsafe_code)]

mod builtin;
mod code;
mod compile;
mod error;
mod evaluate;
mod stubs;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;
use std::process::ExitCode;
use stubs::Stubs;

/// Calls may use so much of the stack: half of what a program usually has.
const STACK: usize = 4 << 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(file), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: tinylang PROGRAM.tl");
        return ExitCode::from(2);
    };
    let file = Path::new(&file);
    match run_file(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tinylang: {}: {message}", file.display());
            ExitCode::FAILURE
        }
    }
}

fn run_file(file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let source = std::fs::read_to_string(file)?;
    let module = file.file_stem().unwrap_or_default().to_string_lossy();
    let stubs = Stubs::new(&module, &std::path::absolute(file)?.to_string_lossy());
    let program = compile::compile(&syntax::read(&source)?, &stubs)?;
    evaluate::run(program, STACK)?;
    Ok(())
}
