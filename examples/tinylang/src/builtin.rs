//! What the language itself can do with values.

use crate::value::Value;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// The largest vector that can be made at once.
const LARGEST_VECTOR: i64 = 1 << 24;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `(+ a b ...)`
    Add,
    /// `(- a b)`
    Subtract,
    /// `(* a b ...)`
    Multiply,
    /// `(/ a b)`: rounds towards zero for whole numbers.
    Divide,
    /// `(% a b)`: what is left of a whole division.
    Remainder,
    /// `(< a b)`
    Less,
    /// `(> a b)`
    Greater,
    /// `(= a b)`
    Equal,
    /// `(not a)`
    Not,
    /// `(float a)`
    Float,
    /// `(text a ...)`: the values as one text.
    Text,
    /// `(vector n value)`: n times the value.
    Vector,
    /// `(length v)`
    Length,
    /// `(get v i)`
    Get,
    /// `(put v i value)`
    Put,
    /// `(print a ...)`: a line, with blanks between the values.
    Print,
}

const TABLE: [(&str, Builtin, RangeInclusive<usize>); 16] = [
    ("+", Builtin::Add, 2..=usize::MAX),
    ("-", Builtin::Subtract, 2..=2),
    ("*", Builtin::Multiply, 2..=usize::MAX),
    ("/", Builtin::Divide, 2..=2),
    ("%", Builtin::Remainder, 2..=2),
    ("<", Builtin::Less, 2..=2),
    (">", Builtin::Greater, 2..=2),
    ("=", Builtin::Equal, 2..=2),
    ("not", Builtin::Not, 1..=1),
    ("float", Builtin::Float, 1..=1),
    ("text", Builtin::Text, 0..=usize::MAX),
    ("vector", Builtin::Vector, 2..=2),
    ("length", Builtin::Length, 1..=1),
    ("get", Builtin::Get, 2..=2),
    ("put", Builtin::Put, 3..=3),
    ("print", Builtin::Print, 0..=usize::MAX),
];

impl Builtin {
    /// The operation of a name, and how many arguments it takes.
    pub fn named(name: &str) -> Option<(Builtin, RangeInclusive<usize>)> {
        TABLE.iter().find(|entry| entry.0 == name).map(|entry| (entry.1, entry.2.clone()))
    }

    /// Does it. The number of arguments was checked when the program was read.
    pub fn apply(self, arguments: &[Value]) -> Result<Value, String> {
        match (self, arguments) {
            (Builtin::Add, [first, rest @ ..]) => {
                fold(first, rest, |a, b| arithmetic(a, b, i64::checked_add, |a, b| a + b))
            }
            (Builtin::Multiply, [first, rest @ ..]) => {
                fold(first, rest, |a, b| arithmetic(a, b, i64::checked_mul, |a, b| a * b))
            }
            (Builtin::Subtract, [a, b]) => arithmetic(a, b, i64::checked_sub, |a, b| a - b),
            (Builtin::Divide | Builtin::Remainder, [_, Value::Int(0)]) => Err("division by zero".into()),
            (Builtin::Divide, [a, b]) => arithmetic(a, b, i64::checked_div, |a, b| a / b),
            (Builtin::Remainder, [a, b]) => arithmetic(a, b, i64::checked_rem, |a, b| a % b),
            (Builtin::Less, [a, b]) => Ok(Value::Bool(order(a, b)? == Some(Ordering::Less))),
            (Builtin::Greater, [a, b]) => Ok(Value::Bool(order(a, b)? == Some(Ordering::Greater))),
            (Builtin::Equal, [a, b]) => Ok(Value::Bool(equal(a, b))),
            (Builtin::Not, [a]) => Ok(Value::Bool(!a.is_true())),
            (Builtin::Float, [a]) => number(a).map(Value::Float),
            (Builtin::Text, values) => Ok(Value::Text(join(values, "").into())),
            (Builtin::Vector, [Value::Int(length @ 0..=LARGEST_VECTOR), value]) => {
                Ok(Value::Vector(Rc::new(RefCell::new(vec![value.clone(); *length as usize]))))
            }
            (Builtin::Vector, [length, _]) => Err(format!("a vector cannot have {length} values")),
            (Builtin::Length, [Value::Vector(values)]) => Ok(Value::Int(values.borrow().len() as i64)),
            (Builtin::Get, [Value::Vector(values), index]) => {
                values.borrow().get(position(index)?).cloned().ok_or_else(|| outside(index))
            }
            (Builtin::Put, [Value::Vector(values), index, value]) => {
                *values.borrow_mut().get_mut(position(index)?).ok_or_else(|| outside(index))? = value.clone();
                Ok(Value::Nil)
            }
            (Builtin::Length | Builtin::Get | Builtin::Put, [other, ..]) => {
                Err(format!("{} is not a vector", other.kind()))
            }
            (Builtin::Print, values) => {
                println!("{}", join(values, " "));
                Ok(Value::Nil)
            }
            (operation, _) => Err(format!("{operation:?} does not take so many arguments")),
        }
    }
}

fn fold(first: &Value, rest: &[Value], apply: fn(&Value, &Value) -> Result<Value, String>) -> Result<Value, String> {
    rest.iter().try_fold(first.clone(), |sum, value| apply(&sum, value))
}

/// Whole numbers stay whole; with a number with a point the result has one.
fn arithmetic(
    a: &Value,
    b: &Value,
    ints: fn(i64, i64) -> Option<i64>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => ints(*a, *b).map(Value::Int).ok_or_else(|| "the number is too large".into()),
        _ => Ok(Value::Float(floats(number(a)?, number(b)?))),
    }
}

fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        _ => Ok(number(a)?.partial_cmp(&number(b)?)),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Vector(a), Value::Vector(b)) => Rc::ptr_eq(a, b),
        (Value::Closure(a), Value::Closure(b)) => Rc::ptr_eq(a, b),
        _ => matches!((number(a), number(b)), (Ok(a), Ok(b)) if a == b),
    }
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Int(value) => Ok(*value as f64),
        Value::Float(value) => Ok(*value),
        other => Err(format!("{} is not a number", other.kind())),
    }
}

fn position(value: &Value) -> Result<usize, String> {
    match value {
        Value::Int(index) => usize::try_from(*index).map_err(|_| outside(value)),
        other => Err(format!("{} is not a position", other.kind())),
    }
}

fn outside(index: &Value) -> String {
    format!("the vector has no position {index}")
}

fn join(values: &[Value], between: &str) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(between)
}
