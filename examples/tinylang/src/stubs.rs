//! The stubs of this interpreter's functions: all that it takes to be profiled by name.
//!
//! # Safety
//! A stub hands three words to the evaluator as they are. Here the second one is the address of a [`Call`] that is on the
//! stack of [`FunctionStub::call`] and stays there until the stub returns; the evaluator is the only one that makes a
//! reference of it.
#![allow(unsafe_code, reason = "the one module that calls stubs")]

use pronk_trampolines::functions::Functions;
use pronk_trampolines::stub::{Counters, Stub};
use pronk_trampolines::wire::{Function, FunctionKind, LineTableFormat, Status};
use std::fmt;

/// Makes the stubs of a program's functions.
#[derive(Debug)]
pub struct Stubs {
    functions: Functions,
    module: String,
    file: String,
}

impl Stubs {
    /// For a program in a file. Without a session of pronk's nothing gets a stub.
    pub fn new(module: &str, file: &str) -> Stubs {
        let functions = Functions::new();
        match functions.start_from_environment(0) {
            Ok(true) => functions.set_status(Status::Running, ""),
            Ok(false) => {}
            // The program is to run all the same.
            Err(refused) => eprintln!("tinylang: functions get no stubs: {refused}"),
        }
        Stubs { functions, module: module.to_owned(), file: file.to_owned() }
    }

    /// The stub of a function.
    pub fn stub_for(&self, name: &str, line: u32) -> FunctionStub {
        let stub = self.functions.stub_for(&Function {
            module: self.module.as_bytes(),
            qualname: name.as_bytes(),
            file: self.file.as_bytes(),
            first_line: line,
            line_table_format: LineTableFormat::None,
            line_table: &[],
            kind: FunctionKind::Plain,
        });
        FunctionStub(stub.zip(self.functions.counters(0).ok()))
    }
}

/// What calls of one function go through.
#[derive(Clone, Copy)]
pub struct FunctionStub(Option<(Stub, Counters)>);

impl fmt::Debug for FunctionStub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a stub" } else { "no stub" })
    }
}

/// What is to be evaluated, and room for its result.
struct Call<F, R> {
    evaluate: Option<F>,
    result: Option<R>,
}

impl FunctionStub {
    /// Evaluates a function's body below its stub, or without one if there is no session.
    pub fn call<F: FnOnce() -> R, R>(&self, evaluate: F) -> R {
        let Some((stub, counters)) = self.0 else { return evaluate() };
        let mut call = Call { evaluate: Some(evaluate), result: None };
        // SAFETY: `evaluator` is made for the type of `call`, which lives until the stub has returned. The interpreter has one
        // thread, and does not fork.
        unsafe { stub.call(counters, [0, (&raw mut call).addr(), 0], evaluator::<F, R>) };
        call.result.expect("a stub that returns has called the evaluator")
    }
}

/// What a stub calls.
extern "C" fn evaluator<F: FnOnce() -> R, R>(_: usize, call: usize, _: usize) -> usize {
    // SAFETY: the address is that of a `Call` of this very type (see `FunctionStub::call`), and nobody else uses it now.
    let call = unsafe { &mut *(call as *mut Call<F, R>) };
    call.result = call.evaluate.take().map(|evaluate| evaluate());
    0
}
