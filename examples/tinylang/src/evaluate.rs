//! Runs a program.

use crate::code::{Code, Expression, Place};
use crate::error::Error;
use crate::value::{Closure, Scope, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// Runs a program that was compiled, and returns the value of its last expression.
///
/// Calls may use `stack` bytes of the thread's stack; a recursion that needs more is an error of the program.
pub fn run(program: Rc<Code>, stack: usize) -> Result<Value, Error> {
    let mut interpreter = Interpreter { lowest: position_on_stack().saturating_sub(stack) };
    interpreter.call(1, &Closure { code: program, outer: None }, Vec::new())
}

/// The address of something on the stack, to see how much of it is used. It grows downwards.
#[inline(never)]
fn position_on_stack() -> usize {
    let here = 0u8;
    std::hint::black_box(&raw const here).addr()
}

#[derive(Debug)]
struct Interpreter {
    lowest: usize,
}

impl Interpreter {
    /// Calls a function: the one place where a body is evaluated, below the function's stub.
    fn call(&mut self, line: u32, closure: &Closure, arguments: Vec<Option<Value>>) -> Result<Value, Error> {
        let code = &closure.code;
        if arguments.len() != code.parameters {
            let message = format!("{} takes {} arguments, not {}", code.name, code.parameters, arguments.len());
            return Err(Error::new(line, message));
        }
        if position_on_stack() < self.lowest {
            return Err(Error::new(line, format!("the recursion of {} is too deep", code.name)));
        }
        let mut variables = arguments;
        variables.resize(code.variables, None);
        let scope = Rc::new(Scope { variables: RefCell::new(variables), outer: closure.outer.clone() });
        code.stub.call(|| self.evaluate(&code.body, &scope))
    }

    fn evaluate(&mut self, expression: &Expression, scope: &Rc<Scope>) -> Result<Value, Error> {
        match expression {
            Expression::Constant(value) => Ok(value.clone()),
            Expression::Get(place) => get(scope, place),
            Expression::Set(place, value) => {
                let value = self.evaluate(value, scope)?;
                let mut variables = find(scope, place)?.variables.borrow_mut();
                *variables.get_mut(place.index).ok_or_else(|| nowhere(place))? = Some(value);
                Ok(Value::Nil)
            }
            Expression::If(parts) => {
                let [condition, then, or] = &**parts;
                let taken = if self.evaluate(condition, scope)?.is_true() { then } else { or };
                self.evaluate(taken, scope)
            }
            Expression::While(parts) => {
                let [condition, body] = &**parts;
                while self.evaluate(condition, scope)?.is_true() {
                    self.evaluate(body, scope)?;
                }
                Ok(Value::Nil)
            }
            Expression::Sequence(steps) => steps.iter().try_fold(Value::Nil, |_, step| self.evaluate(step, scope)),
            Expression::And(parts) => self.first(parts, scope, |value| !value.is_true()),
            Expression::Or(parts) => self.first(parts, scope, Value::is_true),
            Expression::Closure(code) => {
                Ok(Value::Closure(Rc::new(Closure { code: code.clone(), outer: Some(scope.clone()) })))
            }
            Expression::Builtin(line, builtin, arguments) => self.builtin(*line, *builtin, arguments, scope),
            Expression::Call(line, callee, arguments) => {
                let callee = self.evaluate(callee, scope)?;
                let Value::Closure(closure) = callee else {
                    return Err(Error::new(*line, format!("{} cannot be called", callee.kind())));
                };
                let evaluated = arguments.iter().map(|argument| self.evaluate(argument, scope).map(Some));
                let arguments = evaluated.collect::<Result<Vec<_>, _>>()?;
                self.call(*line, &closure, arguments)
            }
        }
    }

    fn builtin(
        &mut self,
        line: u32,
        builtin: crate::builtin::Builtin,
        arguments: &[Expression],
        scope: &Rc<Scope>,
    ) -> Result<Value, Error> {
        let applied = match arguments {
            // No allocation for what most operations take.
            [a, b] => builtin.apply(&[self.evaluate(a, scope)?, self.evaluate(b, scope)?]),
            _ => {
                let values = arguments.iter().map(|argument| self.evaluate(argument, scope));
                builtin.apply(&values.collect::<Result<Vec<_>, _>>()?)
            }
        };
        applied.map_err(|message| Error::new(line, message))
    }

    /// The first value that ends it, or the last one.
    fn first(&mut self, parts: &[Expression], scope: &Rc<Scope>, ends: fn(&Value) -> bool) -> Result<Value, Error> {
        let mut last = Value::Nil;
        for part in parts {
            last = self.evaluate(part, scope)?;
            if ends(&last) {
                break;
            }
        }
        Ok(last)
    }
}

fn find<'s>(scope: &'s Scope, place: &Place) -> Result<&'s Scope, Error> {
    let mut scope = scope;
    for _ in 0..place.up {
        scope = scope.outer.as_deref().ok_or_else(|| nowhere(place))?;
    }
    Ok(scope)
}

fn get(scope: &Scope, place: &Place) -> Result<Value, Error> {
    let variables = find(scope, place)?.variables.borrow();
    match variables.get(place.index) {
        Some(Some(value)) => Ok(value.clone()),
        Some(None) => Err(Error::new(place.line, format!("{} has no value yet", place.name))),
        None => Err(nowhere(place)),
    }
}

fn nowhere(place: &Place) -> Error {
    Error::new(place.line, format!("there is no variable {}", place.name))
}
