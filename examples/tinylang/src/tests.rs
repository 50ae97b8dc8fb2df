//! Programs, and what comes out of them.

use crate::compile::compile;
use crate::evaluate::run;
use crate::stubs::Stubs;
use crate::syntax::read;

/// The value of a program's last expression, or its error.
fn value_of(source: &str) -> String {
    let stubs = Stubs::new("test", "test.tl");
    let result = read(source).and_then(|program| compile(&program, &stubs)).and_then(|program| run(program, 256 << 10));
    match result {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn arithmetic_keeps_whole_numbers_whole() {
    assert_eq!(value_of("(+ 1 2 3)"), "6");
    assert_eq!(value_of("(* 2 (- 7 2.5))"), "9.0");
    assert_eq!(value_of("(/ 7 2)"), "3");
    assert_eq!(value_of("(% 7 2)"), "1");
    assert_eq!(value_of("(/ 7 2.0)"), "3.5");
    assert_eq!(value_of("(= 1 1.0)"), "true");
}

#[test]
fn functions_call_themselves_and_each_other() {
    assert_eq!(value_of("(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 15)"), "610");
    let mutual = "
        (define (even n) (if (= n 0) true (odd (- n 1))))
        (define (odd n) (if (= n 0) false (even (- n 1))))
        (even 11)";
    assert_eq!(value_of(mutual), "false");
}

#[test]
fn closures_keep_their_variables() {
    let counter = "
        (define (counter start)
          (let ((count start))
            (fn (step) (set count (+ count step)) count)))
        (define a (counter 10))
        (define b (counter 100))
        (a 1) (b 1) (a 5)";
    assert_eq!(value_of(counter), "16");
}

#[test]
fn inner_names_hide_outer_ones() {
    assert_eq!(value_of("(define x 1) (let ((x 2)) (set x 3)) x"), "1");
    assert_eq!(value_of("(define (f x) (let ((x (+ x 1))) (* x 10))) (f 1)"), "20");
    assert_eq!(value_of("(define (print x) (+ x 1)) (print 1)"), "2");
}

#[test]
fn loops_and_vectors() {
    let squares = "
        (define v (vector 10 0))
        (let ((i 0)) (while (< i (length v)) (put v i (* i i)) (set i (+ i 1))))
        (text (get v 3) \"-\" (get v 9))";
    assert_eq!(value_of(squares), "9-81");
    assert_eq!(value_of("(and 1 false 2)"), "false");
    assert_eq!(value_of("(or nil 7 8)"), "7");
    assert_eq!(value_of("(if nil 1)"), "nil");
}

#[test]
fn errors_name_their_line() {
    assert_eq!(value_of("\n(+ 1 x)"), "line 2: x is not defined");
    assert_eq!(value_of("(define (f a) a)\n\n(f 1 2)"), "line 3: f takes 1 arguments, not 2");
    assert_eq!(value_of("(define (f)\n  (+ 1\n     (/ 1 0)))\n(f)"), "line 3: division by zero");
    assert_eq!(value_of("(define a\n b)\n(define b 1)"), "line 2: b has no value yet");
    assert_eq!(value_of("(get (vector 3 0) 3)"), "line 1: the vector has no position 3");
    assert_eq!(value_of("(get (vector 3 0) -1)"), "line 1: the vector has no position -1");
    assert_eq!(value_of("(vector 99999999999 0)"), "line 1: a vector cannot have 99999999999 values");
    assert_eq!(value_of("(1 2)"), "line 1: a whole number cannot be called");
    assert_eq!(value_of("(* 9223372036854775807 2)"), "line 1: the number is too large");
    assert_eq!(value_of("(/ -9223372036854775808 -1)"), "line 1: the number is too large");
    assert_eq!(value_of("(+ 1 \"a\")"), "line 1: a text is not a number");
    assert_eq!(value_of("(not 1 2)"), "line 1: not does not take 2 arguments");
    assert_eq!(value_of("()"), "line 1: an empty list cannot be evaluated");
    assert_eq!(value_of("(let (x) x)"), "line 1: this is written (NAME VALUE)");
    assert_eq!(value_of("(+ 1 (define y 2))"), "line 1: a definition stands in a body, not within an expression");
}

#[test]
fn a_recursion_that_never_ends_is_an_error() {
    assert_eq!(value_of("(define (down n)\n  (+ 1 (down n)))\n(down 1)"), "line 2: the recursion of down is too deep");
}

#[test]
fn functions_are_named_after_those_around_them() {
    let source = "(define (outer) (define (inner) (fn (x) x)) (inner)) (outer)";
    assert_eq!(value_of(source), "[function outer.inner.<fn>]");
}
