//! The `pronk-bench` command.
#![forbid(unsafe_code)]

mod arguments;

use anyhow::{Context, Result, bail};
use arguments::{AccuracyArguments, Arguments, Common, OverheadArguments, SamplingArguments, Verb};
use clap::Parser;
use pronk_bench::interpreter::{self, Interpreter, Python};
use pronk_bench::output::{Measured, Results, today};
use pronk_bench::overhead::Workload;
use pronk_bench::pronk::Pronk;
use pronk_bench::{accuracy, overhead, sampling};
use pronk_overhead::machine::Machine;
use pronk_overhead::measure;
use std::path::Path;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    match Arguments::parse().verb {
        Verb::Overhead(arguments) => measure_overhead(&arguments)?,
        Verb::Accuracy(arguments) => measure_accuracy(&arguments)?,
        Verb::Sampling(arguments) => measure_sampling(&arguments)?,
        Verb::Measure(arguments) => return measure::helper(&arguments.to, &arguments.command).map(ExitCode::from),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure_overhead(arguments: &OverheadArguments) -> Result<()> {
    let common = &arguments.common;
    let pronk = Pronk::find(common.pronk.as_deref())?;
    let machine = Machine::this();
    let (workloads, pythons) = workloads(arguments)?;
    let settings = overhead::Settings {
        pronk: &pronk,
        frequency: common.frequency,
        options: &common.options,
        pairs: usize::from(arguments.pairs),
        budget: arguments.budget.map(|percent| 1.0 + percent / 100.0),
    };
    let measured = workloads.iter().map(|workload| overhead::measure(workload, &settings)).collect::<Result<_>>()?;
    finish(common, &pronk, machine, pythons, Measured::Overhead(measured))
}

fn workloads(arguments: &OverheadArguments) -> Result<(Vec<Workload>, Vec<Python>)> {
    if !arguments.command.is_empty() {
        let workload =
            Workload { name: measure::display(&arguments.command), python: None, command: arguments.command.clone() };
        return Ok((vec![workload], Vec::new()));
    }
    let newest = given_or_newest(arguments.python.as_deref())?;
    let workloads = Workload::examples(&arguments.common.examples, &newest, arguments.scale)?;
    Ok((workloads, vec![newest.python]))
}

fn measure_accuracy(arguments: &AccuracyArguments) -> Result<()> {
    let common = &arguments.common;
    let pronk = Pronk::find(common.pronk.as_deref())?;
    let machine = Machine::this();
    let interpreters = interpreters()?;
    let program = common.examples.join("known_answer.py");
    let settings = accuracy::Settings {
        pronk: &pronk,
        frequency: common.frequency,
        options: &common.options,
        seconds: arguments.seconds,
    };
    let mut measured = Vec::new();
    for interpreter in &interpreters {
        eprintln!("Python {}", interpreter.python.version);
        measured.push(accuracy::measure(&program, interpreter, &settings)?);
    }
    let pythons = interpreters.into_iter().map(|interpreter| interpreter.python).collect();
    finish(common, &pronk, machine, pythons, Measured::Accuracy(measured))
}

fn measure_sampling(arguments: &SamplingArguments) -> Result<()> {
    let common = &arguments.common;
    let pronk = Pronk::find(common.pronk.as_deref())?;
    let machine = Machine::this();
    let interpreter = given_or_newest(arguments.python.as_deref())?;
    let settings = sampling::Settings {
        pronk: &pronk,
        frequency: common.frequency,
        options: &common.options,
        seconds: arguments.seconds,
    };
    let mut measured = Vec::new();
    for program in sampling::programs() {
        eprintln!("{}", program.0);
        measured.push(sampling::measure(&common.examples, &program, &interpreter, &settings)?);
    }
    finish(common, &pronk, machine, vec![interpreter.python], Measured::Sampling(measured))
}

/// The interpreter that is given, or else the newest that is found.
fn given_or_newest(given: Option<&Path>) -> Result<Interpreter> {
    match given {
        Some(path) => Interpreter::ask(path),
        None => interpreters()?.into_iter().next_back().context("there is no interpreter"),
    }
}

fn interpreters() -> Result<Vec<Interpreter>> {
    let found = interpreter::find()?;
    if found.is_empty() {
        bail!("there is no CPython 3.9 to 3.15 here: name some in {}", interpreter::PYTHONS_ENV);
    }
    Ok(found)
}

fn finish(common: &Common, pronk: &Pronk, machine: Machine, pythons: Vec<Python>, measured: Measured) -> Result<()> {
    let results = Results {
        date: today(),
        pronk: pronk.version.clone(),
        machine,
        pythons,
        frequency: common.frequency,
        options: common.options.iter().map(|option| option.to_string_lossy().into_owned()).collect(),
        measured,
    };
    let directory = results.write(&common.output)?;
    print!("{}", results.to_markdown());
    eprintln!("written to {}", directory.display());
    Ok(())
}
