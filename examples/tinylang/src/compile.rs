//! Checks a program and finds the place of each variable.
//!
//! A call has one set of variables: those of `let` and of inner `define`s are variables of the function around them, as
//! in Python. All names that a body defines are known in the whole body, so that functions can call each other.

use crate::builtin::Builtin;
use crate::code::{Code, Expression, Place};
use crate::error::Error;
use crate::stubs::Stubs;
use crate::syntax::{Kind, Node};
use crate::value::Value;
use std::rc::Rc;

/// Compiles a program, as a function without parameters that is called `<program>`.
pub fn compile(program: &[Node], stubs: &Stubs) -> Result<Rc<Code>, Error> {
    let mut compiler = Compiler { functions: Vec::new(), stubs };
    compiler.function("<program>", 1, &[], program)
}

/// A function that is being compiled.
struct FunctionScope {
    name: String,
    /// The names that are known here; a later one hides an earlier one of the same name.
    names: Vec<(Rc<str>, usize)>,
    variables: usize,
}

impl FunctionScope {
    fn declare(&mut self, name: &str) -> usize {
        self.names.push((name.into(), self.variables));
        self.variables += 1;
        self.variables - 1
    }
}

struct Compiler<'a> {
    /// From the outermost to the innermost.
    functions: Vec<FunctionScope>,
    stubs: &'a Stubs,
}

impl Compiler<'_> {
    fn function(&mut self, name: &str, line: u32, parameters: &[Node], body: &[Node]) -> Result<Rc<Code>, Error> {
        // What is at the top level is not named after the program.
        let name = match self.functions.as_slice() {
            [] | [_] => name.to_owned(),
            [.., outer] => format!("{}.{name}", outer.name),
        };
        let stub = self.stubs.stub_for(&name, line);
        self.functions.push(FunctionScope { name, names: Vec::new(), variables: 0 });
        for parameter in parameters {
            let name = self.name_of(parameter)?.to_owned();
            self.innermost().declare(&name);
        }
        let body = self.body(line, body);
        let scope = self.functions.pop().ok_or_else(|| Error::new(line, "a function ends that did not begin"))?;
        let code =
            Code { name: scope.name, parameters: parameters.len(), variables: scope.variables, body: body?, stub };
        Ok(Rc::new(code))
    }

    fn innermost(&mut self) -> &mut FunctionScope {
        self.functions.last_mut().expect("something is compiled only within a function")
    }

    fn name_of<'n>(&self, node: &'n Node) -> Result<&'n str, Error> {
        match &node.kind {
            Kind::Name(name) => Ok(name),
            _ => Err(Error::new(node.line, "here a name is expected")),
        }
    }

    /// Expressions one after the other, with the names that they define.
    fn body(&mut self, line: u32, nodes: &[Node]) -> Result<Expression, Error> {
        for node in nodes {
            if let Some((name, _)) = defined(node) {
                self.innermost().declare(name);
            }
        }
        let mut expressions = nodes.iter().map(|node| self.expression(node)).collect::<Result<Vec<_>, _>>()?;
        match expressions.len() {
            0 => Err(Error::new(line, "here something to evaluate is missing")),
            1 => Ok(expressions.remove(0)),
            _ => Ok(Expression::Sequence(expressions)),
        }
    }

    fn all(&mut self, nodes: &[Node]) -> Result<Vec<Expression>, Error> {
        nodes.iter().map(|node| self.expression(node)).collect()
    }

    fn expression(&mut self, node: &Node) -> Result<Expression, Error> {
        let value = match &node.kind {
            Kind::Int(int) => Value::Int(*int),
            Kind::Float(float) => Value::Float(*float),
            Kind::Text(text) => Value::Text(text.as_str().into()),
            Kind::Name(name) => match name.as_str() {
                "nil" => Value::Nil,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => return self.place(name, node.line).map(Expression::Get),
            },
            Kind::List(nodes) => match nodes.split_first() {
                Some((first, rest)) => return self.form(node, first, rest),
                None => return Err(Error::new(node.line, "an empty list cannot be evaluated")),
            },
        };
        Ok(Expression::Constant(value))
    }

    fn find(&self, name: &str) -> Option<(usize, usize, Rc<str>)> {
        let found = |scope: &FunctionScope| scope.names.iter().rev().find(|(known, _)| **known == *name).cloned();
        self.functions
            .iter()
            .rev()
            .enumerate()
            .find_map(|(up, scope)| found(scope).map(|(name, index)| (up, index, name)))
    }

    fn place(&self, name: &str, line: u32) -> Result<Place, Error> {
        match self.find(name) {
            Some((up, index, name)) => Ok(Place { up, index, line, name }),
            None => Err(Error::new(line, format!("{name} is not defined"))),
        }
    }

    fn form(&mut self, node: &Node, first: &Node, rest: &[Node]) -> Result<Expression, Error> {
        let line = node.line;
        let wrong = |usage: &str| Err(Error::new(line, format!("this is written {usage}")));
        if let Kind::Name(name) = &first.kind {
            match (name.as_str(), rest) {
                ("define", [_, body @ ..]) => return self.define(node, body),
                ("define", _) => return wrong("(define NAME VALUE) or (define (NAME PARAMETER ...) BODY ...)"),
                ("fn", [Node { kind: Kind::List(parameters), .. }, body @ ..]) => {
                    return self.function("<fn>", line, parameters, body).map(Expression::Closure);
                }
                ("fn", _) => return wrong("(fn (PARAMETER ...) BODY ...)"),
                ("let", [Node { kind: Kind::List(bindings), .. }, body @ ..]) => {
                    return self.bind(line, bindings, body);
                }
                ("let", _) => return wrong("(let ((NAME VALUE) ...) BODY ...)"),
                ("set", [variable, value]) => {
                    let place = self.place(self.name_of(variable)?, variable.line)?;
                    return Ok(Expression::Set(place, Box::new(self.expression(value)?)));
                }
                ("set", _) => return wrong("(set NAME VALUE)"),
                ("if", [condition, then]) => {
                    let nil = Expression::Constant(Value::Nil);
                    return Ok(Expression::If(Box::new([self.expression(condition)?, self.expression(then)?, nil])));
                }
                ("if", [condition, then, or]) => {
                    let parts = [self.expression(condition)?, self.expression(then)?, self.expression(or)?];
                    return Ok(Expression::If(Box::new(parts)));
                }
                ("if", _) => return wrong("(if CONDITION THEN ELSE)"),
                ("while", [condition, body @ ..]) => {
                    let parts = [self.expression(condition)?, self.body(line, body)?];
                    return Ok(Expression::While(Box::new(parts)));
                }
                ("while", _) => return wrong("(while CONDITION BODY ...)"),
                ("do", body) => return self.body(line, body),
                ("and", [_, ..]) => return self.all(rest).map(Expression::And),
                ("or", [_, ..]) => return self.all(rest).map(Expression::Or),
                ("and" | "or", _) => return wrong("(and A ...) or (or A ...)"),
                _ => {}
            }
            if self.find(name).is_none()
                && let Some((builtin, arity)) = Builtin::named(name)
            {
                if !arity.contains(&rest.len()) {
                    return Err(Error::new(line, format!("{name} does not take {} arguments", rest.len())));
                }
                return Ok(Expression::Builtin(line, builtin, self.all(rest)?));
            }
        }
        Ok(Expression::Call(line, Box::new(self.expression(first)?), self.all(rest)?))
    }

    /// Its name is known already: [`Compiler::body`] declared it.
    fn define(&mut self, node: &Node, body: &[Node]) -> Result<Expression, Error> {
        let line = node.line;
        let Some((name, parameters)) = defined(node) else {
            return Err(Error::new(line, "here a name is expected"));
        };
        let Some((0, index, name)) = self.find(name) else {
            return Err(Error::new(line, "a definition stands in a body, not within an expression"));
        };
        let value = match (parameters, body) {
            (Some(parameters), body) => Expression::Closure(self.function(&name, line, parameters, body)?),
            (None, [value]) => self.expression(value)?,
            (None, _) => return Err(Error::new(line, "this is written (define NAME VALUE)")),
        };
        Ok(Expression::Set(Place { up: 0, index, line, name }, Box::new(value)))
    }

    fn bind(&mut self, line: u32, bindings: &[Node], body: &[Node]) -> Result<Expression, Error> {
        let known = self.innermost().names.len();
        let mut steps = Vec::new();
        for binding in bindings {
            let Kind::List(pair) = &binding.kind else {
                return Err(Error::new(binding.line, "this is written (NAME VALUE)"));
            };
            let [variable, value] = pair.as_slice() else {
                return Err(Error::new(binding.line, "this is written (NAME VALUE)"));
            };
            let name: Rc<str> = self.name_of(variable)?.into();
            let value = self.expression(value)?;
            let index = self.innermost().declare(&name);
            steps.push(Expression::Set(Place { up: 0, index, line: binding.line, name }, Box::new(value)));
        }
        steps.push(self.body(line, body)?);
        self.innermost().names.truncate(known);
        Ok(Expression::Sequence(steps))
    }
}

/// The name that a node defines, and the parameters if it is a function.
fn defined(node: &Node) -> Option<(&str, Option<&[Node]>)> {
    let Kind::List(nodes) = &node.kind else { return None };
    match nodes.as_slice() {
        [Node { kind: Kind::Name(define), .. }, what, ..] if define == "define" => match &what.kind {
            Kind::Name(name) => Some((name, None)),
            Kind::List(signature) => match signature.split_first() {
                Some((Node { kind: Kind::Name(name), .. }, parameters)) => Some((name, Some(parameters))),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
