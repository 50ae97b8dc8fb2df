//! A program that was checked: variables are places, and every function has its stub.

use crate::builtin::Builtin;
use crate::stubs::FunctionStub;
use crate::value::Value;
use std::rc::Rc;

/// A function.
#[derive(Debug)]
pub struct Code {
    /// The name, with those of the functions around it: `outer.inner`.
    pub name: String,
    /// How many of the variables are parameters; they come first.
    pub parameters: usize,
    /// How many variables a call has.
    pub variables: usize,
    /// What it does.
    pub body: Expression,
    /// The stub that calls of it go through.
    pub stub: FunctionStub,
}

/// What can be evaluated.
#[derive(Debug)]
pub enum Expression {
    /// A value that is known.
    Constant(Value),
    /// The value of a variable.
    Get(Place),
    /// Gives a variable a value.
    Set(Place, Box<Expression>),
    /// The second if the first is true, else the third.
    If(Box<[Expression; 3]>),
    /// The second for as long as the first is true.
    While(Box<[Expression; 2]>),
    /// All, and the value of the last.
    Sequence(Vec<Expression>),
    /// The first that is not true, or the last.
    And(Vec<Expression>),
    /// The first that is true, or the last.
    Or(Vec<Expression>),
    /// A new function.
    Closure(Rc<Code>),
    /// What the language itself can do.
    Builtin(u32, Builtin, Vec<Expression>),
    /// A call, at a line, of a function with arguments.
    Call(u32, Box<Expression>, Vec<Expression>),
}

/// Where a variable is.
#[derive(Clone, Debug)]
pub struct Place {
    /// How many functions further out.
    pub up: usize,
    /// Which of the function's variables.
    pub index: usize,
    /// The line on which it is used.
    pub line: u32,
    /// What it is called.
    pub name: Rc<str>,
}
