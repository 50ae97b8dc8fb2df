//! The values of the language, and the variables that hold them.

use crate::code::Code;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A value. Copies share what they refer to.
#[derive(Clone, Debug)]
pub enum Value {
    /// What has no other value.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// A text.
    Text(Rc<str>),
    /// A row of values that can be changed.
    Vector(Rc<RefCell<Vec<Value>>>),
    /// A function with the variables around it.
    Closure(Rc<Closure>),
}

/// A function, and the variables that it sees.
pub struct Closure {
    /// What it does.
    pub code: Rc<Code>,
    /// The variables of the call in which it was made.
    pub outer: Option<Rc<Scope>>,
}

// A closure is one of the variables of the scope that it refers to, so nothing but its name is shown.
impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Closure({})", self.code.name)
    }
}

/// The variables of one call.
#[derive(Debug)]
pub struct Scope {
    /// Their values; `None` before the first is set.
    pub variables: RefCell<Vec<Option<Value>>>,
    /// The variables of the function around it.
    pub outer: Option<Rc<Scope>>,
}

impl Value {
    /// Everything is true but `false` and `nil`.
    pub fn is_true(&self) -> bool {
        !matches!(self, Value::Nil | Value::Bool(false))
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "a truth value",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number with a point",
            Value::Text(_) => "a text",
            Value::Vector(_) => "a vector",
            Value::Closure(_) => "a function",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Text(text) => f.write_str(text),
            // What is in it may be the vector itself, so only its length is shown.
            Value::Vector(values) => write!(f, "[{} values]", values.borrow().len()),
            Value::Closure(closure) => write!(f, "[function {}]", closure.code.name),
        }
    }
}
